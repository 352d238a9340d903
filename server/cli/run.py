"""`heytraders-mcp run` keeps live strategies running; `live` checks them.

`run` owns the strategies of a home folder: while it runs, clients' servers leave them to it. Installed as a user
service, it starts at login, through systemd on Linux and launchd on macOS.
"""

from __future__ import annotations

import os
import plistlib
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import click

from safety.private_file import write_private
from server.backend import open_backend, open_engine
from server.logs import start_log
from server.settings import BadSetting, Settings
from server.transports import SIGNALS

NAME: Final = "heytraders-live"
LABEL: Final = "com.hey-traders.live"
KEPT: Final = (
    "HEYTRADERS_HOME", "HEYTRADERS_SEED", "HEYTRADERS_DATA", "HEYTRADERS_VENUE_URLS", "HEYTRADERS_WEBHOOK_LOOPBACK",
    "HEYTRADERS_LOG_LEVEL",
)  # fmt: skip
"""Variables that are copied into a service file. Keys, passwords and database addresses are not."""
UNKEPT: Final = ("HEYTRADERS_DATABASE_URL", "HEYTRADERS_API_KEY", "HEYTRADERS_WEBHOOK_SECRET")


@click.command("run")
@click.option("--install", is_flag=True, help="Write a systemd user unit or a launchd agent that starts this command.")
@click.option("--print", "only_print", is_flag=True, help="Print that file and write nothing.")
def run(*, install: bool, only_print: bool) -> None:
    """Run live strategies in the foreground until SIGINT or SIGTERM, whether or not a client is open.

    It serves no client. Its log goes to stderr. Strategies that it leaves behind wait for the next process that opens
    the home folder.
    """
    settings = Settings.read(os.environ)
    if settings.hosted:
        raise BadSetting(
            f"{settings.url} runs live strategies itself, so there is nothing to run on this machine",
            suggestion="Run `heytraders-mcp logout` and unset HEYTRADERS_API_KEY to use the embedded engine",
        )
    if install or only_print:
        _install(settings, only_print=only_print)
        return
    start_log(settings)
    anyio.run(_run, replace(settings, stays=True))


async def _run(settings: Settings) -> None:
    with anyio.open_signal_receiver(*SIGNALS) as signals:
        async with open_backend(settings) as backend:
            await backend.client()
            click.echo(f"Process {os.getpid()} runs the live strategies of {settings.home}. Ctrl-C stops it.", err=True)
            async for _ in signals:
                click.echo("Stopping; the strategies wait for the next process.", err=True)
                return


def _install(settings: Settings, *, only_print: bool) -> None:
    """Write the service file for this platform, and print how to start it.

    Raises:
        BadSetting: The platform has neither systemd nor launchd, or a variable would be lost.
    """
    lost = [name for name in UNKEPT if os.environ.get(name)]
    if lost:
        raise BadSetting(
            f"{' and '.join(lost)} may contain a secret, which does not belong in a service file",
            suggestion="Unset it here, and set it in the service's own environment",
        )
    kept = {name: os.environ[name] for name in KEPT if os.environ.get(name)}
    kept["HEYTRADERS_HOME"] = str(settings.home)
    path, content, start = service_file(sys.platform, Path.home(), kept)
    if only_print:
        click.echo(content, nl=False)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, content)
    click.echo(f"Wrote {path}. Start it with: {start}")


def service_file(platform: str, user_home: Path, environment: Mapping[str, str]) -> tuple[Path, str, str]:
    """The path of the service file, its content, and the command that starts the service.

    Args:
        platform: A value of `sys.platform`.
        user_home: The user's home folder.
        environment: Variables for the service.

    Raises:
        BadSetting: The platform has neither systemd nor launchd.
    """
    program = [sys.executable, "-m", "heytraders_mcp", "run"]
    if platform == "darwin":
        path = user_home / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        agent = {
            "Label": LABEL,
            "ProgramArguments": program,
            "EnvironmentVariables": dict(environment),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "StandardErrorPath": str(user_home / "Library" / "Logs" / f"{NAME}.log"),
        }
        return path, plistlib.dumps(agent).decode(), f"launchctl bootstrap gui/$(id -u) {shlex.quote(str(path))}"
    if platform.startswith("linux"):
        path = user_home / ".config" / "systemd" / "user" / f"{NAME}.service"
        variables = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in environment.items())
        unit = (
            "[Unit]\nDescription=Live strategies of HeyTraders\nAfter=network-online.target\n\n"
            f"[Service]\nExecStart={' '.join(_quoted(word).replace('$', '$$') for word in program)}\n{variables}"
            "Restart=on-failure\nRestartSec=5\n\n"
            "[Install]\nWantedBy=default.target\n"
        )
        start = f"systemctl --user enable --now {NAME}; `loginctl enable-linger` keeps it running after you log out"
        return path, unit, start
    raise BadSetting(
        f"there is no service file for {platform}",
        suggestion="Let the system's own scheduler start `heytraders-mcp run` at login",
    )


def _quoted(word: str) -> str:
    """A word of a systemd unit, with %, quotes and backslashes escaped."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


@click.group("live")
def live() -> None:
    """Check live strategies."""


@live.command("verify")
@click.argument("subscription_id", required=False)
def verify(subscription_id: str | None) -> None:
    """Replay a subscription from its first bar, and compare it with the state that it continues from.

    Without an id, all running and paused subscriptions are verified. Exit code 1 if one differs.
    """
    settings = Settings.read(os.environ)
    start_log(settings)
    if not anyio.run(_verify, settings, subscription_id):
        sys.exit(1)


async def _verify(settings: Settings, subscription_id: str | None) -> bool:
    async with open_engine(settings) as engine:
        from api.times import iso8601
        from engine.access import LOCAL_AGENT

        verdicts = await anyio.to_thread.run_sync(engine.live.verify, LOCAL_AGENT, subscription_id)
    if not verdicts:
        click.echo("No live strategy runs.")
    for verdict in verdicts:
        if not verdict.traded:
            told = "has not seen a bar yet"
        elif verdict.problem is None:
            told = f"equals its replay at {iso8601(verdict.seen_until)}"
        else:
            told = f"differs from its replay at {iso8601(verdict.seen_until)}: {verdict.problem}"
        click.echo(f"{verdict.subscription_id} {verdict.name}: {told}")
    return all(verdict.problem is None for verdict in verdicts)

"""The command line. A command is imported on use. An error is one line that says what to do."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import TracebackType
from typing import Final, NoReturn

import click

from api.errors import HeyTradersError, clean, closest, explain

VERBS: Final[dict[str, str]] = {
    "serve": "Serve MCP over stdio, SSE or streamable HTTP.",
    "demo": "Show the main job end to end on the embedded engine.",
    "call": "Call one tool and print its result as JSON.",
    "data": "Import, fetch, list and remove candles.",
    "script": "Check a Signal DSL script.",
    "backtest": "Sweep, list, compare and look through backtests.",
    "market": "Evaluate expressions on a symbol; correlate symbols.",
    "report": "Write a page about a backtest with its pictures, and open it.",
    "accounts": "Connect exchange accounts; open, fund and check paper ones.",
    "run": "Run live strategies, also while no client is open.",
    "live": "Check live strategies against a replay.",
    "engine": "Serve the embedded engine's REST API.",
    "login": "Store the API key in this machine's keyring or a private file.",
    "logout": "Forget the stored API key.",
    "install": "Add this server to a client's configuration, without a key.",
    "approve": "Look at what waits for a human, and approve or refuse it.",
    "settle": "Record what became of an order of unknown outcome.",
    "halt": "Stop all trading: cancel, pause, and send nothing more.",
    "release": "End a halt.",
    "policy": "Show, explain, try and sign what agents may do.",
    "audit": "Check, export and show the journal of the safety layer.",
    "doctor": "Check this installation.",
}
"""Command name to help line. The click command is in `server/cli/<name>.py` or in its module in `_BESIDE`."""

_BESIDE: Final[dict[str, str]] = {
    "engine": "serve",
    "live": "run",
    "logout": "login",
    "market": "backtest",
    "release": "halt",
    "report": "backtest",
    "script": "backtest",
    "settle": "approve",
}
"""Commands that share the module of another command."""


class Verbs(click.Group):
    """Finds commands by name; the table of commands imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All commands, in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in VERBS:
            near = closest(cmd_name, VERBS, count=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" The commands are {', '.join(VERBS)}."
            raise click.UsageError(f"There is no command {clean(cmd_name, 40)!r}.{hint}", ctx)
        command: click.Command = getattr(import_module(f"server.cli.{_BESIDE.get(cmd_name, cmd_name)}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, invoke_without_command=True)
@click.option("--version", is_flag=True, help="Show the version and exit.")
@click.pass_context
def cli(context: click.Context, *, version: bool) -> None:
    """HeyTraders for AI agents. Without a command, serve MCP over stdio."""
    if version:
        from server import package_version

        click.echo(f"heytraders-mcp {package_version()}")
    elif context.invoked_subcommand is None:
        from server.logs import start_log
        from server.settings import Settings
        from server.transports import serve_stdio

        settings = Settings.read(os.environ)
        start_log(settings)
        serve_stdio(settings)


def main() -> None:
    """Run a command. Exit code 0 on success, 1 on failure, 2 on wrong usage."""
    sys.excepthook = _crashed
    try:
        cli.main(prog_name="heytraders-mcp", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(wrong.exit_code)
    except HeyTradersError as error:
        _give_up(error)
    except ExceptionGroup as group:
        known = group.subgroup(HeyTradersError)
        if known is None:
            raise
        _give_up(_first(known))


def _give_up(error: HeyTradersError) -> NoReturn:
    from safety.exits import redacted

    click.echo(f"heytraders-mcp: {redacted(explain(error))}", err=True)
    sys.exit(1)


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print Python's crash report without secrets."""
    import traceback

    from safety.exits import redacted

    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))


def _first(group: ExceptionGroup[HeyTradersError]) -> HeyTradersError:
    """The error inside nested exception groups."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, ExceptionGroup) else inner

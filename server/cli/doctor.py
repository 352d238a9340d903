"""`heytraders-mcp doctor`: reports installation, settings and anything that would keep the server from working."""

from __future__ import annotations

import os
import platform
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

import anyio
import click

from api.errors import HeyTradersError, explain
from api.exchanges import EXCHANGES
from safety.exits import know, redacted
from safety.private_file import BadFile
from server import package_version
from server.backend import open_backend
from server.channels import ConnectedAccounts
from server.keys import KeyOrigin, find_key, last_four
from server.settings import BadSetting, Settings

LIBRARIES: Final = (
    "mcp", "pydantic", "numpy", "ta-lib", "starlette", "sqlalchemy", "httpx", "cryptography", "keyring"
)  # fmt: skip
ORIGINS: Final[dict[KeyOrigin, str]] = {
    "keyring": "from this machine's keyring",
    "file": "from a private file (login.json); programs that run as you can read it",
    "environment": "from HEYTRADERS_API_KEY; anyone who can read your client's configuration has it: use login",
    "registered": "registered by an agent; research only",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line of the report."""

    ok: bool
    name: str
    text: str


@click.command("doctor")
def doctor() -> None:
    """Check this installation. Exit code 1 if something would keep it from working."""
    settings = Settings.read(os.environ)
    checks: tuple[Callable[[Settings], Iterator[Diagnosis]], ...] = (
        _versions,
        _bytecode,
        _settings,
        _data,
        _home,
        _key,
        _files,
        _safety,
        _accounts,
        _live,
        _backend,
    )
    healthy = True
    for check in checks:
        for finding in check(settings):
            healthy = healthy and finding.ok
            click.echo(f"{'ok ' if finding.ok else 'BAD'} {finding.name:<10} {redacted(finding.text)}")
    sys.exit(0 if healthy else 1)


def _versions(_: Settings) -> Iterator[Diagnosis]:
    python = f"{platform.python_version()} at {sys.executable}, SQLite {sqlite3.sqlite_version}"
    yield Diagnosis(ok=True, name="python", text=python)
    yield Diagnosis(ok=True, name="package", text=package_version())
    yield Diagnosis(ok=True, name="libraries", text=", ".join(f"{name} {version(name)}" for name in LIBRARIES))


def _bytecode(_: Settings) -> Iterator[Diagnosis]:
    import mcp_types

    compiled = Path(cache_from_source(mcp_types.__file__)).exists()
    yield Diagnosis(
        ok=True,
        name="bytecode",
        text="compiled" if compiled else "not compiled: starts take twice as long; install with UV_COMPILE_BYTECODE=1",
    )


def _settings(settings: Settings) -> Iterator[Diagnosis]:
    for doubt in settings.doubts:
        yield Diagnosis(ok=False, name="settings", text=doubt)
    for exchange, url in settings.venue_urls.items():
        yield Diagnosis(ok=True, name="settings", text=f"{exchange} is asked at {url} (HEYTRADERS_VENUE_URLS)")


def _data(settings: Settings) -> Iterator[Diagnosis]:
    """The source of market data, and whether its packages are installed."""
    from engine.venues.exchange.session import available, missing

    if settings.data == "simulated":
        text = "simulated, apart from imported candles; HEYTRADERS_DATA=exchange takes the exchanges' own"
        yield Diagnosis(ok=True, name="data", text=text)
    elif available():
        yield Diagnosis(
            ok=True, name="data", text=f"the exchanges' own, through ccxt {version('ccxt')}; none is simulated"
        )
    else:
        yield Diagnosis(ok=False, name="data", text=explain(missing()))


def _home(settings: Settings) -> Iterator[Diagnosis]:
    try:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=settings.home):
            pass
    except OSError as error:
        text = f"{settings.home} cannot be written ({error.strerror}); set HEYTRADERS_HOME to a folder of yours"
        yield Diagnosis(ok=False, name="home", text=text)
    else:
        yield Diagnosis(ok=True, name="home", text=f"{settings.home} can be written")


def _files(settings: Settings) -> Iterator[Diagnosis]:
    """Files of the home that other users can read or change, and symbolic links. No command creates either."""
    found = [settings.home, *sorted(settings.home.iterdir())] if settings.home.is_dir() else []
    wrong = 0
    for path in found:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            wrong += 1
            yield Diagnosis(
                ok=False, name="files", text=f"{path} is a link to {path.resolve()}; put the file itself there"
            )
        elif os.name == "posix" and status.st_mode & 0o077:
            wrong += 1
            mode = "700" if path.is_dir() else "600"
            yield Diagnosis(ok=False, name="files", text=f"others can read or change {path}; run: chmod {mode} {path}")
    if not wrong:
        yield Diagnosis(ok=True, name="files", text="only you can read them")


def _key(settings: Settings) -> Iterator[Diagnosis]:
    try:
        found = find_key(settings.home, settings.url, settings.api_key)
    except (BadSetting, BadFile) as error:
        yield Diagnosis(ok=False, name="key", text=explain(error))
        return
    if found is None:
        yield Diagnosis(ok=True, name="key", text="none; `heytraders-mcp login` stores one")
        return
    know(found.key.get_secret_value())
    yield Diagnosis(ok=True, name="key", text=f"{last_four(found.key)} for {settings.url}, {ORIGINS[found.origin]}")


def _safety(settings: Settings) -> Iterator[Diagnosis]:
    """Policy, assurance level and its reason, kill switch and journal. Never creates a ledger."""
    from safety.human.in_force import BUILT_IN, UNSIGNED_CHANGE, assurance_of, load, trusted
    from safety.ledger import Ledger

    if not Ledger.exists(settings.home):
        yield Diagnosis(ok=True, name="policy", text=BUILT_IN.origin)
        yield Diagnosis(ok=True, name="assurance", text=str(assurance_of(BUILT_IN, None)))
        return
    try:
        with closing(Ledger.open(settings.home)) as ledger:
            loaded, approver, switch = load(settings.home, ledger), trusted(settings.home, ledger), ledger.switch()
            breaks = ledger.verify()
    except HeyTradersError as error:
        yield Diagnosis(ok=False, name="ledger", text=explain(error))
        return
    assured = assurance_of(loaded, approver, key_in_environment=settings.key_in_environment)
    sound = all(warning == UNSIGNED_CHANGE for warning in loaded.warnings)
    yield Diagnosis(ok=sound, name="policy", text="; ".join((loaded.origin, *loaded.warnings)))
    yield Diagnosis(ok=True, name="assurance", text=str(assured))
    if switch.state == "ACTIVE":
        yield Diagnosis(ok=True, name="switch", text="ACTIVE")
    else:
        text = f"{switch.state} by {switch.by}: {switch.reason}; `heytraders-mcp release` ends it"
        yield Diagnosis(ok=False, name="switch", text=text)
    yield Diagnosis(ok=not breaks, name="journal", text="; ".join(breaks[:3]) or "consistent")


def _accounts(settings: Settings) -> Iterator[Diagnosis]:
    """Connected exchange accounts, and what detects an old copy of the home there."""
    try:
        connected = ConnectedAccounts(settings.home).all()
    except HeyTradersError as error:
        yield Diagnosis(ok=False, name="accounts", text=explain(error))
        return
    except OSError as error:
        text = f"the connected accounts in {settings.home} cannot be read ({error.strerror})"
        yield Diagnosis(ok=False, name="accounts", text=text)
        return
    from engine.venues.exchange.conventions import CONVENTIONS

    for one in connected:
        place = f"{one.account_id} at {EXCHANGES[one.exchange].name}{' testnet' if one.testnet else ''}"
        anchor = (
            "an old copy of the home is detected by this user's state folder, and before an order by the exchange's own"
            " orders of its symbol"
            if CONVENTIONS[one.exchange].names_intents
            else "only this user's state folder detects an old copy of the home; SECURITY.md says what follows"
        )
        yield Diagnosis(ok=True, name="accounts", text=f"{place}: {anchor}")


def _live(settings: Settings) -> Iterator[Diagnosis]:
    """The process that runs live strategies, and whether it outlives a client. Never creates a database."""
    if settings.hosted or (settings.database_url is None and not (settings.home / "engine.sqlite3").exists()):
        return
    from engine.live.lease import owner
    from engine.live.subscriptions import active
    from engine.store.database import Store, default_url

    try:
        with closing(Store.open(settings.database_url or default_url(settings.home))) as store:
            found, waiting = store.read_now(owner), len(store.read_now(active))
    except HeyTradersError as error:
        yield Diagnosis(ok=False, name="live", text=explain(error))
        return
    if found is None:
        runs = "a client's server runs them while it is open, `heytraders-mcp run` always"
        text = f"active strategies: {waiting}. No process runs strategies now; {runs}"
    elif found.stays:
        text = f"process {found.pid} runs strategies and continues when clients end"
    else:
        text = f"process {found.pid}, a client's server, runs strategies and stops with that client"
    yield Diagnosis(ok=True, name="live", text=text)


def _backend(settings: Settings) -> Iterator[Diagnosis]:
    where = settings.url if settings.hosted else "embedded engine"
    ok, text = anyio.run(_health, settings)
    yield Diagnosis(ok=ok, name="backend", text=f"{where}: {text}")


async def _health(settings: Settings) -> tuple[bool, str]:
    from api.meta import META_HEALTH, HealthRequest

    async with open_backend(settings) as backend:
        try:
            health = await (await backend.client()).call(META_HEALTH, HealthRequest())
        except HeyTradersError as error:
            return False, explain(error)
        return True, ", ".join(f"{name} {value}" for name, value in health.model_dump(exclude_none=True).items())

"""Fixtures shared by all test folders."""

from __future__ import annotations

import compileall
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, get_args

import hypothesis
import pytest
import sqlalchemy as sa
from jsonschema import Draft202012Validator
from mcp import Client
from mcp.client.session import ClientSession, ElicitationFnT
from mcp.types import CallToolResult

from engine.store import database
from safety.exits import Redactor
from server.app import open_server
from server.settings import Settings
from tests import postgresql, tables, workers
from tests.candle_files import write_random_hours
from tools import snapshot, surface

Era = Literal["auto", "legacy"]
Connect = Callable[..., AbstractAsyncContextManager[Client]]

_SERVER_URL = "HEYTRADERS_TEST_POSTGRESQL"
_ROOM = 4 << 30
_WAITING = ("chaos", "clients", "attack", "server")
"""Folders whose tests mostly wait for processes and clocks, longest first."""
_BUSY = ("tools", "engine/live", "engine/research", "venues", "engine/venues", "conformance", "engine/routes")
"""Folders with files that work for many seconds, longest first."""
_WHAT_A_TOOL_DOES = ("tools", "safety", "agent_tasks", "resources", "prompts")


def pytest_xdist_auto_num_workers() -> int:
    """One more than the number of cores, since some tests wait for processes and clocks."""
    return (os.cpu_count() or 1) + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--database postgresql` starts a PostgreSQL server and runs the tests' engines on it."""
    parser.addoption("--database", choices=("sqlite", "postgresql"), default="sqlite", help="the engine's database")


def pytest_configure(config: pytest.Config) -> None:
    """Start the server before tests are collected; the test processes find it in the environment.

    Files that a home keeps outside its folder go to a folder of this run.
    """
    gc.disable()  # until the tests are collected, as all of that lives on
    _check_results_against_the_committed_schemas()
    _compile_each_statement_once()
    hypothesis.settings.register_profile("patient", hypothesis.settings(), deadline=None)
    hypothesis.settings.load_profile("patient")  # a busy machine fails no law
    # Tests start about a hundred of our processes. Without compiled modules, each start takes a second longer.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if "PYTEST_XDIST_WORKER" not in os.environ:
        _keep_homes_in_memory()
        _compile_our_modules_once()
        os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="state-")
        config.add_cleanup(lambda: shutil.rmtree(os.environ["XDG_STATE_HOME"], ignore_errors=True))
    if config.getoption("--database") == "postgresql":
        if _SERVER_URL not in os.environ:
            running = ExitStack()
            os.environ[_SERVER_URL] = running.enter_context(postgresql.server())
            config.add_cleanup(running.close)
        url = os.environ[_SERVER_URL]
        database.default_url = lambda home: postgresql.schema_url(url, home)


def _check_results_against_the_committed_schemas() -> None:
    """A client asks for the list of tools at its first result, and compiles the schema: 20 ms for the same schemas in
    each test. Here it takes the committed schemas, which tests of the surface compare with the list.
    """
    ask = ClientSession.validate_tool_result
    committed = {row.name for row in surface.exposed()}

    @cache
    def validator(name: str) -> Draft202012Validator:
        schema = snapshot.load(name)["outputSchema"]
        Draft202012Validator.check_schema(schema)
        return Draft202012Validator(schema)

    async def validate(self: ClientSession, name: str, result: CallToolResult) -> None:
        if name in committed:
            validator(name).validate(result.structured_content)
        else:
            await ask(self, name, result)

    ClientSession.validate_tool_result = validate


class _Compiled(dict[Any, Any]):
    """Compiled statements by the type of their dialect, as the dialects of all our engines are alike."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((type(key[0]), *key[1:]), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__((type(key[0]), *key[1:]), value)


def _compile_each_statement_once() -> None:
    """The engines of a test process share their compiled SQL, which SQLAlchemy keeps for each engine alone."""
    sa.create_engine = partial(sa.create_engine, execution_options={"compiled_cache": _Compiled()})


def _keep_homes_in_memory() -> None:
    """Put temporary folders on a RAM disk where Linux has a large one, as each commit waits for the disk.

    No test needs the power to fail: those about durability look at what a program asks of the operating system.
    """
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > _ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def _compile_our_modules_once() -> None:
    """The test processes start together. In a new checkout, each would compile all modules for itself."""
    root = Path(__file__).parents[1]
    for folder in root.iterdir():
        if (folder / "__init__.py").is_file():
            compileall.compile_dir(folder, quiet=2, workers=0)


def pytest_sessionstart(session: pytest.Session) -> None:
    """A test process sends its parent six messages for each test. Those that nothing shows are not sent."""
    shown = session.config.option.verbose > 0 or session.config.option.durations is not None
    if "PYTEST_XDIST_WORKER" in os.environ and not shown:
        for plugin in session.config.pluginmanager.get_plugins():
            if hasattr(plugin, "sendevent"):
                plugin.sendevent = partial(_tell, plugin.sendevent)


def _tell(send: Callable[..., None], name: str, **event: Any) -> None:
    report = event.get("data", {})
    if name in {"logstart", "logfinish"} or (report.get("when") == "setup" and report.get("outcome") == "passed"):
        return
    send(name, **event)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long files first, so that the parallel test processes finish together; one of three waits while others work."""
    if config.getoption("--database") == "postgresql":
        items[:] = [item for item in items if item.get_closest_marker("sqlite") is None]
    _alternate_eras(items)
    files = list(dict.fromkeys(item.path for item in items))
    waiting = [path for path in files if _rank(path, _WAITING) < len(_WAITING)]
    busy = sorted(set(files) - set(waiting), key=lambda path: (_rank(path, _BUSY), files.index(path)))
    waiting.sort(key=lambda path: _rank(path, _WAITING))
    places = {path: 3 * number for number, path in enumerate(waiting)}
    places |= {path: number + number // 2 + 1 for number, path in enumerate(busy)}
    items.sort(key=lambda item: places[item.path])


def _rank(path: Path, folders: tuple[str, ...]) -> int:
    """The number of the first folder that contains the file; beyond them if none does."""
    here = path.relative_to(Path(__file__).parent).as_posix()
    return next((i for i, folder in enumerate(folders) if here.startswith(f"{folder}/")), len(folders))


def _alternate_eras(items: list[pytest.Item]) -> None:
    """In folders about what a tool does, each case of a test runs in one era, in turn; the other half is `slow`.

    The eras differ in how a call and a question travel. The tests of the server, of clients and of attackers cover that
    in both, and so does a test without other cases.
    """
    folders = {Path(__file__).parent / folder for folder in _WHAT_A_TOOL_DOES}
    chosen = {path: not folders.isdisjoint(path.parents) for path in {item.path for item in items}}
    cases: dict[tuple[Path, str], dict[str, dict[str, pytest.Function]]] = {}
    for item in items:
        if chosen[item.path] and isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            era = str(item.callspec.params.get("era"))
            if era in get_args(Era) and len(item.callspec.params) > 1:
                case = item.callspec.id.replace(era, "", 1)
                cases.setdefault((item.path, item.nodeid.partition("[")[0]), {}).setdefault(case, {})[era] = item
    for twins in cases.values():
        for number, twin in enumerate(twins.values()):
            if len(twin) == len(get_args(Era)):
                twin["legacy" if number % 2 == 0 else "auto"].add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Prepare what all tests use.

    The collected tests live to the end. Searching them for garbage again and again takes a tenth of the time.
    """
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 20)
    tables.make_once()
    workers.keep_idle()


def pytest_sessionfinish() -> None:
    """pytest searches for garbage five times more. What is still in use now need not be searched again."""
    workers.end_all()
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - pytest uses it
    """A process redacts every secret that it has met. Each test begins like a process that has met none."""
    monkeypatch.setattr("safety.exits._PROCESS", Redactor())


@pytest.fixture
def own_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """New databases are made from nothing, as for a user."""
    monkeypatch.setattr(tables, "copied", False)


@pytest.fixture
def own_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each engine starts its own processes for backtests, as for a user."""
    monkeypatch.setattr(workers, "kept", False)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL server for this run; skips where none is installed."""
    if _SERVER_URL in os.environ:
        yield os.environ[_SERVER_URL]
    elif postgresql.programs() is None:
        pytest.skip("no PostgreSQL server is installed; apt-get install postgresql")
    else:
        with postgresql.server() as url:
            yield url


@pytest.fixture(scope="session")
def btc_hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recorded BTC/USD hours, 2018-2022 (MIT, Gym-Trading-Env), or as many on a random walk where they are missing.

    We may not redistribute the recorded ones, so they are not committed. `HEYTRADERS_RECORDED_CSV` names the file; by
    default it is in a `shared/data` folder beside the checkout.
    """
    path = recorded_csv()
    return path if path.is_file() else write_random_hours(tmp_path_factory.mktemp("hours") / "hours.csv")


def recorded_csv() -> Path:
    """Where the recorded hours would be."""
    named = os.environ.get("HEYTRADERS_RECORDED_CSV")
    return Path(named) if named else Path(__file__).parents[2] / "shared" / "data" / "BTC_USD-Hourly.csv"


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder for tests that only read."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An embedded engine on a temporary home."""
    return Settings(home=tmp_path / "home")


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> Era:
    """Both protocol eras: 2026-07-28, and 2025-11-25 with its handshake."""
    chosen: Era = request.param
    return chosen


@pytest.fixture
def connect(era: Era, shared_home: Path) -> Connect:
    """`async with connect() as client:` talks MCP in memory to a server on the embedded engine, in both eras.

    Pass `Settings` for another home or other settings, and `answer` for a client with a dialog.
    """

    @asynccontextmanager
    async def session(settings: Settings | None = None, answer: ElicitationFnT | None = None) -> AsyncGenerator[Client]:
        chosen = settings or Settings(home=shared_home)
        async with (
            open_server(chosen) as server,
            Client(server, mode=era, cache=None, elicitation_callback=answer) as client,
        ):
            yield client

    return session

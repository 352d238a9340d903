"""Fixtures that every folder of tests shares."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from mcp import Client
from mcp.client.session import ElicitationFnT

from server.app import open_server
from server.settings import Settings

Era = Literal["auto", "legacy"]
Connect = Callable[..., AbstractAsyncContextManager[Client]]


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, since some tests wait for processes and clocks."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that the processes which share the tests end at the same time."""
    items.sort(key=lambda item: not item.path.is_relative_to(Path(__file__).parent / "server"))


@pytest.fixture(scope="session")
def recorded_btc_csv() -> Path:
    """Recorded BTC/USD hours, 2018-2022 (MIT, Gym-Trading-Env). Not ours to redistribute, so looked for, not committed.

    `HEYTRADERS_RECORDED_CSV` names the file; without it a `shared/data` folder beside the checkout is looked into.
    """
    named = os.environ.get("HEYTRADERS_RECORDED_CSV")
    beside = Path(__file__).parents[2] / "shared" / "data" / "BTC_USD-Hourly.csv"
    path = Path(named) if named else beside
    if not path.is_file():
        pytest.skip(f"no recorded data at {path}; set HEYTRADERS_RECORDED_CSV to BTC_USD-Hourly.csv")
    return path


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder for tests that only look."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An embedded engine with a home of its own."""
    return Settings(home=tmp_path / "home")


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> Era:
    """Both protocol eras: 2026-07-28, and 2025-11-25 with its handshake."""
    chosen: Era = request.param
    return chosen


@pytest.fixture
def connect(era: Era, shared_home: Path) -> Connect:
    """`async with connect() as client:` talks MCP in memory to a server on the embedded engine, in both eras.

    Give it `Settings` for anything but the shared home and the defaults, and `answer` for a client that has a dialog.
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

"""How much of the product one call touches: files, functions, validations, evaluations, transactions.

To understand a call from the tool to the venue, a reader has to keep all of it in mind, so each number has a ceiling. A
ceiling goes down when layers are merged, and is never raised to make room for another layer.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import pytest
from mcp import Client

from api.orders import PlaceRequest
from server.app import open_server
from server.backend import Safety
from server.settings import Settings
from tests.calls import result

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("api", "engine", "prompts", "resources", "safety", "server", "tools")
VALIDATES: Final = frozenset({"validate_python", "validate_json", "validate_strings"})


@dataclass
class Walk:
    """The files and functions entered during the measurement."""

    codes: set[CodeType] = field(default_factory=set[CodeType])
    validations: int = 0
    evaluations: int = 0
    transactions: int = 0
    watching: bool = False

    def entered(self, frame: FrameType, event: str, argument: Any) -> None:
        """Called for every function of every thread."""
        if not self.watching:
            return
        if event == "c_call":
            own = getattr(argument, "__self__", None) is PlaceRequest.__pydantic_validator__
            self.validations += own and argument.__name__ in VALIDATES
        elif event == "call":
            code = frame.f_code
            self.codes.add(code)
            self.evaluations += code.co_name == "evaluate" and code.co_filename.endswith("policy/evaluation.py")

    def stated(self, statement: str) -> None:
        """Called for every statement of every SQLite connection."""
        self.transactions += self.watching and statement.upper().startswith("BEGIN")

    @contextmanager
    def watched(self) -> Generator[None]:
        """Start to count, and discard earlier counts."""
        self.codes, self.validations, self.evaluations, self.transactions = set(), 0, 0, 0
        self.watching = True
        try:
            yield
        finally:
            self.watching = False

    @property
    def functions(self) -> list[CodeType]:
        """Functions of the product that have a name."""
        own = (code for code in self.codes if _of_product(code.co_filename))
        return [code for code in own if not code.co_name.startswith("<")]

    @property
    def files(self) -> list[str]:
        """Files of the product, by their path in the repository."""
        return sorted({str(Path(code.co_filename).relative_to(ROOT)) for code in self.functions})


def _of_product(name: str) -> bool:
    path = Path(name)
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in PACKAGES


def unwatched(_: Safety) -> None:
    """A stand-in for the counter."""


@pytest.fixture
def walk(monkeypatch: pytest.MonkeyPatch) -> Generator[Walk]:
    """A walk that sees every function and statement from here on. The server does nothing beside its calls."""
    walk, connect = Walk(), sqlite3.connect

    def connected(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **named)
        connection.set_trace_callback(walk.stated)
        return connection

    monkeypatch.setattr(Safety, "_watch", unwatched)
    monkeypatch.setattr("server.backend.SOON", 3_600.0)
    monkeypatch.setattr("server.backend.POLL_SECONDS", 3_600.0)
    monkeypatch.setattr(sqlite3, "connect", connected)
    monkeypatch.setattr("sqlite3.dbapi2.connect", connected)
    threading.setprofile(walk.entered)
    sys.setprofile(walk.entered)
    yield walk
    sys.setprofile(None)
    threading.setprofile(None)


@asynccontextmanager
async def client(home: Path) -> AsyncGenerator[Client]:
    """A client of a separate server."""
    async with open_server(Settings(home=home)) as server, Client(server) as connected:
        yield connected


ORDER: Final[dict[str, Any]] = {
    "account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": "0.001",
}  # fmt: skip


TRIES: Final = 3
"""The engine's first look at its live strategies may fall into a run; the shortest walk is that of the call alone."""


async def test_an_order_from_the_tool_to_its_paper_fill(walk: Walk, tmp_path: Path) -> None:
    walks: list[tuple[int, int, int]] = []
    files: list[str] = []
    async with client(tmp_path / "home") as connected:
        for _ in range(2):
            await result(connected, "orders_place", **ORDER)
        for _ in range(TRIES):
            with walk.watched():
                placed = await result(connected, "orders_place", **ORDER)
            walks.append((len(walk.files), len(walk.functions), walk.transactions))
            files = min(files or walk.files, walk.files, key=len)
            assert placed["status"] == "FILLED"
            assert (walk.validations, walk.evaluations) == (2, 2)

    shortest = [min(numbers) for numbers in zip(*walks, strict=True)]
    assert shortest[0] <= 50, "\n".join(files)
    assert shortest[1] <= 398
    assert shortest[2] <= 5


async def test_a_scan_of_two_symbols(walk: Walk, tmp_path: Path) -> None:
    scan = {"exchange": "binance", "universe": ["BTC/USDT", "ETH/USDT"], "timeframe": "1h", "condition": "close > 0"}
    walks: list[tuple[int, int]] = []
    found: dict[str, Any] = {}
    async with client(tmp_path / "home") as connected:
        await result(connected, "market_scan", **scan)
        for _ in range(TRIES):
            with walk.watched():
                found = await result(connected, "market_scan", **scan)
            walks.append((len(walk.files), len(walk.functions)))

    assert found
    assert min(walks)[0] <= 40, "\n".join(walk.files)
    assert min(functions for _, functions in walks) <= 256


IN_WORKER: Final = Path(__file__).with_name("worker")
"""What Python imports first in a worker process, to count the files there."""


@pytest.mark.usefixtures("own_workers")
async def test_a_backtest_from_the_tool_to_its_verdict(
    walk: Walk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work of the server's own process and of the worker process, which runs the backtest, together."""
    found = tmp_path / "files"
    monkeypatch.setenv("PYTHONPATH", str(IN_WORKER), prepend=os.pathsep)
    monkeypatch.setenv("WALK_FILES", str(found))
    script = 'emit_signal(rsi(close, 14) < 35, entry(TICKER, "LONG", Weight(1)))'
    job = {"strategy_type": "signal", "script": script, "universe": ["BINANCE:BTC/USDT"]}
    walks: list[list[str]] = []
    async with client(tmp_path / "home") as connected:
        for end in ("2024-03-01", "2024-03-02", "2024-03-03"):
            with walk.watched():
                verdict = await result(connected, "backtest_and_poll", **job, start_date="2024-01-01", end_date=end)
            assert verdict["status"] == "completed"
            lines = found.read_text(encoding="utf-8").splitlines()
            found.unlink()
            in_worker = {str(Path(line).relative_to(ROOT)) for line in lines if _of_product(line)}
            assert {"engine/simulation/kernel.py", "engine/results/metrics.py"} <= in_worker
            walks.append(sorted({*walk.files, *in_worker}))

    files = min(walks, key=len)
    assert len(files) <= 75, "\n".join(files)

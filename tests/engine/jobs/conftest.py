"""An engine that many tests share, because a worker process takes a second to start; and helpers that finish jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from api.symbols import Instrument
from api.times import AcceleratedClock
from engine.engine import Engine, EngineSettings
from engine.jobs.spec import JobSettings
from engine.routes import create_app
from tests.candle_files import import_file
from tests.idle import ended_job

NOON = 1_750_075_200.0
"""2025-06-16, 12:00 UTC."""

IMPORTED = Instrument("gate", "BTC", "USDT")
"""The ticker of the imported hours; other tickers stay simulated."""

Body = dict[str, Any]
Send = Callable[..., Awaitable[httpx.Response]]
Finish = Callable[[Body], Awaitable[Body]]

SCRIPT = 'oversold = rsi(close, 14) < 30\nemit_signal(oversold, entry("BINANCE:BTC/USDT", "LONG", Weight(0.5)))'
EXAMPLE: Body = {
    "strategy_type": "signal",
    "description": "RSI oversold bounce on BTC",
    "script": SCRIPT,
    "universe": ["BINANCE:BTC/USDT"],
    "start_date": "2024-01-01",
    "end_date": "2024-06-30",
    "timeframe": "4h",
    "initial_cash": 10000,
}
"""The body of the API document's workflow."""


@pytest.fixture(scope="session")
def research(tmp_path_factory: pytest.TempPathFactory) -> Generator[Engine]:
    """An engine with a stopped clock and one worker."""
    home = tmp_path_factory.mktemp("research")
    settings = EngineSettings(home, jobs=JobSettings(slots=1, max_bars=1_000_000))
    engine = anyio.run(Engine.open, settings, AcceleratedClock(NOON))
    yield engine
    anyio.run(engine.aclose)


@pytest.fixture(scope="session")
def imported(research: Engine, btc_hours: Path) -> Instrument:
    """The hours of BTC, imported."""
    import_file(research.store, btc_hours, IMPORTED, "1h", clock=research.clock)
    return IMPORTED


@pytest.fixture
def send(research: Engine) -> Send:
    """Send one request with the local key, and return the answer unchanged."""
    app = create_app(research)

    async def request(method: str, path: str, body: Body | None = None) -> httpx.Response:
        key = await research.access.local_key()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://engine/api/v1") as client:
            return await client.request(method, path, json=body, headers={"X-API-Key": key})

    return request


@pytest.fixture
def finish(send: Send) -> Finish:
    """Execute a backtest, poll until it has ended, and return its last status."""

    async def run(body: Body) -> Body:
        answer = await send("POST", "/backtest/execute", body)
        assert answer.status_code == 200, answer.text
        path = f"/backtest/status/{answer.json()['data']['backtest_id']}"

        async def look() -> Body:
            status: Body = (await send("GET", path)).json()["data"]
            return status

        return await ended_job(look)

    return run

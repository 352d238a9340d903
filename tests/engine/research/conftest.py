"""An engine that the research tests share, because worker processes take a second to start."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import anyio
import httpx
import pytest

from api.times import AcceleratedClock
from engine.engine import Engine, EngineSettings
from engine.jobs.spec import JobSettings
from engine.routes import create_app
from tests.idle import ended_job

NOON = 1_750_075_200.0
Body = dict[str, Any]

SCRIPT = """
n = param("n", 14, 5, 30, 5)
edge = param("edge", 30, 20, 40, 5)
r = rsi(close, n)
emit_signal(r < edge, entry(TICKER, "LONG", Weight(1)))
emit_signal(r > 100 - edge, exit(TICKER))
"""
SWEEP: Body = {
    "script": SCRIPT,
    "universe": ["BINANCE:BTC/USDT"],
    "start_date": "2024-01-01",
    "end_date": "2024-12-31",
    "timeframe": "4h",
}


@pytest.fixture(scope="session")
def research(tmp_path_factory: pytest.TempPathFactory) -> Generator[Engine]:
    """An engine with a stopped clock and one slot."""
    settings = EngineSettings(tmp_path_factory.mktemp("research"), jobs=JobSettings(slots=1))
    engine = anyio.run(Engine.open, settings, AcceleratedClock(NOON))
    yield engine
    anyio.run(engine.aclose)


class Door:
    """The engine's REST API with the local key."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._app = create_app(engine)

    async def send(self, method: str, path: str, body: Body | None = None) -> httpx.Response:
        """Send one request, and return the answer unchanged."""
        key = await self._engine.access.local_key()
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://engine/api/v1") as client:
            return await client.request(method, path, json=body, headers={"X-API-Key": key})

    async def data(self, method: str, path: str, body: Body | None = None) -> Body:
        """The answer to a request that must succeed."""
        answer = await self.send(method, path, body)
        assert answer.status_code == 200, answer.text
        found: Body = answer.json()["data"]
        return found

    async def ended(self, path: str) -> Body:
        """Follow a job to its end."""
        return await ended_job(lambda: self.data("GET", path))

    async def swept(self, **terms: Any) -> Body:
        """Run a sweep to its end."""
        started = await self.data("POST", "/backtest/sweep", SWEEP | terms)
        return await self.ended(f"/backtest/sweep/{started['sweep_id']}")

    async def tested(self, **terms: Any) -> str:
        """Run a backtest to its end and return its result_id."""
        body = SWEEP | {"strategy_type": "signal"} | terms
        started = await self.data("POST", "/backtest/execute", body)
        status = await self.ended(f"/backtest/status/{started['backtest_id']}")
        assert status["status"] == "completed", status
        return str(status["result_id"])


@pytest.fixture
def door(research: Engine) -> Door:
    """A client of the shared engine."""
    return Door(research)

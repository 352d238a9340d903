"""A backtest on an exchange's candles pays the exchange's funding rates, to the last payment."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from engine.clock import AcceleratedClock
from engine.engine import Engine, EngineSettings
from engine.jobs.spec import JobSettings
from engine.routes import create_app

from .fake_binance import FakeBinance, funding
from .fake_venue import serving, truth

pytest.importorskip("ccxt")

NOW = 1_772_366_415.0
HOUR, DAY = 3_600, 86_400
FROM = 1_772_323_200 - 3 * DAY
"""Three whole days before 2026-03-01, UTC."""

BODY: dict[str, Any] = {
    "strategy_type": "signal",
    "description": "Hold half of the account in bitcoin",
    "script": 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Weight(0.5)))',
    "universe": ["BINANCEFUTURESUSD:BTC/USDT:USDT"],
    "exchange": "binancefuturesusd",
    "timeframe": "1h",
    "start_date": "2026-02-26",
    "end_date": "2026-02-28",
}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncGenerator[httpx.AsyncClient]:
    """The engine's REST API on the candles of a fake Binance."""
    fake = FakeBinance(lambda: NOW)
    with serving(fake) as url:
        settings = EngineSettings(
            tmp_path, data="exchange", venue_urls={"binancefuturesusd": url}, jobs=JobSettings(slots=1)
        )
        engine = await Engine.open(settings, AcceleratedClock(NOW))
        headers = {"X-API-Key": await engine.access.local_key()}
        transport = httpx.ASGITransport(create_app(engine))
        async with httpx.AsyncClient(transport=transport, base_url="http://engine/api/v1", headers=headers) as client:
            yield client
        await engine.aclose()


async def test_every_funding_time_is_charged_on_what_was_held(service: httpx.AsyncClient) -> None:
    started = (await service.post("/backtest/execute", json=BODY)).json()
    assert started["success"], started
    result = await _finished(service, started["data"]["backtest_id"])
    found = (await service.get(f"/backtest/results/{result}")).json()["data"]
    metrics = (await service.get(f"/backtest/results/{result}/metrics")).json()["data"]
    trades = (await service.get(f"/backtest/results/{result}/trades")).json()["data"]["trades"]

    [trade] = trades
    entered = FROM + HOUR
    expected = sum(
        trade["amount"] * float(truth("BTCUSDT", HOUR, at)[0]) * float(funding(at))
        for at in range(FROM, FROM + 3 * DAY, 8 * HOUR)
        if at > entered
    )
    assert metrics["total_funding"] == pytest.approx(expected)
    assert expected != 0
    assert "exchange's rates" in found["assumptions"]["funding"]
    assert not any("funding" in warning for warning in found["warnings"])


async def _finished(service: httpx.AsyncClient, backtest_id: str) -> str:
    with anyio.fail_after(90):
        while True:
            status = (await service.get(f"/backtest/status/{backtest_id}")).json()["data"]
            if status["status"] not in {"queued", "pending", "running"}:
                assert status["status"] == "completed", status
                return str(status["result_id"])
            await anyio.sleep(0.1)

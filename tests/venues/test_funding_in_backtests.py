"""A backtest and a live strategy on an exchange's candles pay its funding rates, to the last payment."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from api.times import AcceleratedClock
from engine.access import LOCAL_AGENT
from engine.engine import Engine, EngineSettings
from engine.jobs.spec import JobSettings
from engine.live import LiveSettings
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
    async with opened(tmp_path, AcceleratedClock(NOW)) as (_, client):
        yield client


@asynccontextmanager
async def opened(
    home: Path, clock: AcceleratedClock, unpaid: frozenset[int] = frozenset()
) -> AsyncGenerator[tuple[Engine, httpx.AsyncClient]]:
    """An engine on the fake's prices, whose live strategies move only when the test says so."""
    fake = FakeBinance(clock.now)
    fake.unpaid |= unpaid
    with serving(fake) as url:
        settings = EngineSettings(
            home,
            data="exchange",
            venue_urls={"binancefuturesusd": url},
            jobs=JobSettings(slots=1),
            live=LiveSettings(in_background=False),
        )
        engine = await Engine.open(settings, clock)
        headers = {"X-API-Key": await engine.access.local_key()}
        transport = httpx.ASGITransport(create_app(engine))
        async with httpx.AsyncClient(transport=transport, base_url="http://engine/api/v1", headers=headers) as client:
            yield engine, client
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


async def test_a_funding_time_without_a_rate_is_told_and_not_taken_for_zero(tmp_path: Path) -> None:
    """The exchange left out 08:00 on the second day; the payments around it count."""
    hole = FROM + DAY + 8 * HOUR
    async with opened(tmp_path, AcceleratedClock(NOW), frozenset({hole})) as (_, service):
        started = (await service.post("/backtest/execute", json=BODY)).json()
        result = await _finished(service, started["data"]["backtest_id"])
        found = (await service.get(f"/backtest/results/{result}")).json()["data"]
        metrics = (await service.get(f"/backtest/results/{result}/metrics")).json()["data"]
        [trade] = (await service.get(f"/backtest/results/{result}/trades")).json()["data"]["trades"]

    due = [at for at in range(FROM + 8 * HOUR, FROM + 3 * DAY, 8 * HOUR) if at != hole]
    paid = sum(trade["amount"] * float(truth("BTCUSDT", HOUR, at)[0]) * float(funding(at)) for at in due)
    assert {funding(at)[0] == "-" for at in due} == {True, False}
    assert metrics["total_funding"] == pytest.approx(paid)
    [told] = [warning for warning in found["warnings"] if "funding" in warning]
    assert "missing from 2026-02-27T00:00:00Z to 2026-02-27T16:00:00Z; nothing is charged" in told


@pytest.mark.long
async def test_a_live_strategy_sizes_its_orders_on_equity_after_funding_as_its_backtest_does(tmp_path: Path) -> None:
    """It buys half of its equity at noon, holds it over three funding times, and buys a tenth more.

    The funding times are 16:00, 00:00 and 08:00, and each payment is the amount times the open times the rate.
    """
    script = (
        'emit_signal(bar_index == 0, entry(TICKER, "LONG", Weight(0.5)))\n'
        'emit_signal(bar_index == 22, entry(TICKER, "LONG", Weight(0.1), pyramiding=1))\n'
    )
    clock = AcceleratedClock(NOW)
    async with opened(tmp_path, clock) as (engine, service):
        started = (await service.post("/backtest/execute", json={**BODY, "script": script})).json()
        result = await _finished(service, started["data"]["backtest_id"])
        terms = {"mode": "trade", "account_id": "paper-binancefuturesusd"}
        made = (await service.post(f"/live-strategies/{result}/subscribe", json=terms)).json()["data"]
        for _ in range(24):
            clock.advance(HOUR)
            await anyio.to_thread.run_sync(engine.live.runner.tick)
        subscription = f"/live-strategies/subscriptions/{made['subscription_id']}"
        report = (await service.get(subscription)).json()["data"]["report"]
        signals = (await service.get(f"{subscription}/signals")).json()["data"]["signals"]
        [sound] = await anyio.to_thread.run_sync(engine.live.verify, LOCAL_AGENT, None)

    first, second = report["fills"][1], report["fills"][0]
    began = 1_772_366_400 // HOUR * HOUR
    amount = first["wanted_amount"]
    paid = [
        amount * float(truth("BTCUSDT", HOUR, at)[0]) * float(funding(at))
        for at in range(began // DAY * DAY, began + DAY, 8 * HOUR)
        if at > began + HOUR
    ]
    assert len(paid) == 3
    assert report["funding_paid"] == pytest.approx(sum(paid), rel=1e-6)
    assert (second["outcome"], signals[0]["size"]["value"]) == ("filled", pytest.approx(0.1, abs=0.002))
    assert sound.problem is None


async def _finished(service: httpx.AsyncClient, backtest_id: str) -> str:
    with anyio.fail_after(90):
        while True:
            status = (await service.get(f"/backtest/status/{backtest_id}")).json()["data"]
            if status["status"] not in {"queued", "pending", "running"}:
                assert status["status"] == "completed", status
                return str(status["result_id"])
            await anyio.sleep(0.1)

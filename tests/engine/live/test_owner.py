"""The process that runs the strategies survives its predecessor's death, a broken strategy and coarse candles."""

from __future__ import annotations

import asyncio
import csv
import json
import os
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import sqlalchemy as sa

from api.symbols import Instrument
from api.times import AcceleratedClock
from engine.engine import Engine, EngineSettings
from engine.live import LiveSettings
from engine.store.live import signals_table, subscriptions_table
from tests.candle_files import import_file
from tests.engine.conftest import NOON, Call
from tests.engine.live.conftest import Receiver
from tests.engine.live.test_faults import TRADE
from tests.engine.live.test_live_routes import HOUR, data, pass_hours, signals, subscribe


async def test_an_engine_that_began_without_subscriptions_runs_those_of_one_that_is_gone(
    call: Call, engine: Engine, clock: AcceleratedClock
) -> None:
    quick = LiveSettings(poll_seconds=0.01)
    second = await Engine.open(EngineSettings(engine.settings.home, live=quick), clock)
    made = await subscribe(call)
    await asyncio.to_thread(engine.live.close)

    clock.advance(60 * HOUR)
    with anyio.fail_after(30):
        while not await signals(call, made):
            await anyio.lowlevel.checkpoint()
    await second.aclose()


async def test_a_process_that_stays_takes_over_from_a_server_of_a_client(
    call: Call, engine: Engine, clock: AcceleratedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [1_750_000_000.0]
    monkeypatch.setattr("engine.live.lease.time.time", lambda: moment[0])
    made = await subscribe(call)
    path = f"/live-strategies/subscriptions/{made['subscription_id']}"
    staying = LiveSettings(in_background=False, stays=True)
    second = await Engine.open(EngineSettings(engine.settings.home, live=staying), clock)

    await pass_hours(engine, clock, 1)
    of_client = await data(call, "GET", path)
    await pass_hours(second, clock, 1)
    still_of_client = await data(call, "GET", path)
    moment[0] += 6.0
    await pass_hours(engine, clock, 1)
    of_nobody = await data(call, "GET", path)
    await pass_hours(second, clock, 1)
    await pass_hours(engine, clock, 1)
    of_service = await data(call, "GET", path)
    await second.aclose()

    assert of_client["last_bar_at"] == still_of_client["last_bar_at"] == "2025-06-16T13:00:00Z"
    assert of_client["runner"].startswith(f"Process {os.getpid()} runs it")
    assert "stops with that client" in of_client["runner"]
    assert "2025-06-15T15:06:40Z" in of_client["runner"]
    assert of_nobody["runner"].startswith("No process runs it now")
    assert of_nobody["last_bar_at"] == "2025-06-16T13:00:00Z"
    assert of_service["runner"].endswith("and continues when this client ends.")
    assert of_service["last_bar_at"] == "2025-06-16T16:00:00Z"


async def test_a_subscription_says_why_its_newest_signal_was_not_traded(
    call: Call, engine: Engine, clock: AcceleratedClock
) -> None:
    made = await subscribe(call, mode="trade", account_id="paper-binance")
    path = f"/live-strategies/subscriptions/{made['subscription_id']}"

    before = await data(call, "GET", path)
    clock.advance(60 * HOUR)
    await asyncio.to_thread(engine.live.runner.tick)
    after = await data(call, "GET", path)
    paused = await data(call, "POST", f"/live-strategies/macd-momentum/pause/{made['subscription_id']}")

    assert before["waits_for"] == "The bar that closes at 2025-06-16T13:00:00Z. There is no signal yet."
    assert after["waits_for"].startswith("The bar that closes at 2025-06-19T01:00:00Z. The signal of 2025-06-1")
    assert "was not traded" in after["waits_for"]
    assert paused["waits_for"] == "live_resume, because it is paused."


async def test_an_order_whose_placing_was_interrupted_is_found_again_however_late(
    call: Call, engine: Engine, clock: AcceleratedClock
) -> None:
    made = await subscribe(call, mode="trade", account_id="paper-binance")
    await pass_hours(engine, clock, 27)
    before = await signals(call, made)
    placed = [s for s in before if s["order_id"]]
    forgotten = sa.update(signals_table).values(order_state="due", order_id=None)
    await engine.store.write(lambda connection: connection.execute(forgotten))

    clock.advance(HOUR / 2 + 600)
    await asyncio.to_thread(engine.live.runner.tick)

    after = {s["signal_id"]: s for s in await signals(call, made)}
    orders = (await data(call, "GET", "/orders", params={"limit": 200}))["orders"]
    assert len(placed) > 2
    assert all(after[s["signal_id"]]["order_id"] == s["order_id"] for s in placed)
    assert len(orders) == len([s for s in after.values() if s["order_id"]])


@pytest.mark.parametrize(
    ("mode", "change", "problem"),
    [
        (TRADE, {"script": "nonsense("}, "VALIDATION_ERROR: "),
        ({}, {"leverage": "much"}, "INTERNAL_ERROR: the strategy could not be run (TypeError)"),
    ],
    ids=["trade", "signal"],
)
async def test_a_strategy_that_cannot_run_reports_errors_then_stops_and_disturbs_no_other(
    call: Call,
    engine: Engine,
    clock: AcceleratedClock,
    receiver: Receiver,
    mode: dict[str, str],
    change: dict[str, Any],
    problem: str,
) -> None:
    """What is delivered is what the subscription shows. One that trades says what becomes of its orders."""
    broken = await subscribe(call, webhook={"url": receiver.url, "events": ["error", "strategy_stopped"]}, **mode)
    sound = await subscribe(call)
    path = f"/live-strategies/subscriptions/{broken['subscription_id']}"

    def damage(connection: sa.Connection) -> None:
        one = subscriptions_table.c.id == broken["subscription_id"]
        deployment = json.loads(connection.execute(sa.select(subscriptions_table.c.deployment).where(one)).scalar_one())
        connection.execute(sa.update(subscriptions_table).where(one).values(deployment=json.dumps(deployment | change)))

    await engine.store.write(damage)
    await pass_hours(engine, clock, 1)
    failing = await data(call, "GET", path)
    await pass_hours(engine, clock, 5)
    await pass_hours(engine, clock, 24, every=12)
    await asyncio.to_thread(engine.live.runner.send)
    shown = await data(call, "GET", path)

    events = [json.loads(body) for _, body in receiver.received]
    told = [e["data"]["message"] for e in events]
    assert (failing["status"], shown["status"], shown["signal_count"]) == ("active", "stopped", 0)
    assert [e["event"] for e in events] == ["error"] * 5 + ["strategy_stopped"]
    assert [e["data"]["failures"] for e in events[:5]] == [1, 2, 3, 4, 5]
    assert (told[0], told[5]) == (failing["message"], shown["message"])
    assert told[0].startswith(problem)
    assert told[5].startswith(f"Stopped after 5 failures in a row: {problem}")
    stays = "Its positions stay open, and its resting orders, stops included, stay in the market."
    ended = "Its positions stay in the account; its resting orders, stops included, are cancelled."
    assert [stays in message for message in told[:4]] == [bool(mode)] * 4
    assert (stays in told[5], ended in told[5]) == (False, bool(mode))
    assert len(await signals(call, sound)) > 3


async def test_a_market_that_has_hourly_candles_only_is_traded(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    with (tmp_path / "hours.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["time", "open", "high", "low", "close", "volume"])
        for hour in range(-300, 80):
            price = 1000 + hour + 2 * abs(hour % 24 - 12)
            rows.writerow([int(NOON) + hour * HOUR, price, price + 1, price - 1, price, 1_000_000])
    bitcoin = Instrument("binance", "BTC", "USDT")
    await asyncio.to_thread(import_file, engine.store, tmp_path / "hours.csv", bitcoin, "1h")
    made = await subscribe(call, mode="trade", account_id="paper-binance")

    await pass_hours(engine, clock, 27)

    of_bitcoin = [s for s in await signals(call, made) if s["symbol"] == "BTC/USDT"]
    assert [s["side"] for s in of_bitcoin] == ["buy"]
    assert all(s["order_id"] for s in of_bitcoin)

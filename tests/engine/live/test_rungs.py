"""Grids of deployed strategies: each fill belongs to its own rung, and a missed rung costs no work afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from api.times import AcceleratedClock
from engine.engine import Engine
from tests.engine.conftest import Call
from tests.engine.live.test_live_routes import HOUR, data
from tests.engine.live.test_resting_orders import FLAT, Bar, Deployed, deploy

EQUAL = "emit_signal(bar_index == 0, grid(TICKER, lower=close * 0.9, upper=close * 1.1, levels=5, size=Amount(20)))\n"
"""Buys 20 at 95 and sells them at 100; buys 20 at 90 and sells them at 95."""
LOW: Bar = (89, 89, 89, 89)


async def reported(live: Deployed) -> list[tuple[str, str | None]]:
    """Side and limit of the order that each signal reports, oldest signal first."""
    listed = (await data(live.call, "GET", "/orders", params={"limit": 200}))["orders"]
    limits = {order["order_id"]: order["price"] for order in listed}
    signals = (await data(live.call, "GET", f"{live.path}/signals"))["signals"]
    return [(signal["side"], limits.get(signal["order_id"])) for signal in reversed(signals)]


async def test_a_fill_at_a_gap_is_reported_by_the_signal_of_its_own_rung(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    """Both rungs are bought at an open of 89, the higher one first, and sold at an open of 101, the lower one first."""
    bars: list[Bar] = [FLAT, FLAT, LOW, LOW, (101, 101, 101, 101)]
    live = await deploy(call, engine, clock, tmp_path, EQUAL, [*bars, *[FLAT] * 40])

    await live.hours(5)

    found = [(side, limit and float(limit)) for side, limit in await reported(live)]
    assert found == [("buy", 95), ("buy", 90), ("sell", 95), ("sell", 100)]
    assert (await live.shown())["report"]["outcomes"] == {"filled": 4}
    assert await live.fills() == [("buy", 20, 89), ("buy", 20, 89), ("sell", 20, 101), ("sell", 20, 101)]


async def test_rungs_that_were_missed_cost_nothing_at_later_bars(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    """The backtest has bought both rungs while no process ran. Statements are counted on the first and the 30th day."""
    live = await deploy(call, engine, clock, tmp_path, EQUAL, [FLAT, FLAT, *[LOW] * 800])
    clock.advance(6 * HOUR)
    await asyncio.to_thread(engine.live.runner.tick)
    await live.hours(2)

    first = await statements(live)
    clock.advance(29 * 24 * HOUR)
    await asyncio.to_thread(engine.live.runner.tick)
    await live.hours(1)
    last = await statements(live)

    report = (await live.shown())["report"]
    assert report["positions"] == [{"symbol": "BTC/USDT", "backtest": 40.0, "held": 0.0}]
    assert [order["message"] for order in report["orders"]] == ["nothing is held that it could close"] * 2
    assert last <= first < 40


async def statements(live: Deployed) -> int:
    """The SQL statements of the next bar."""
    made: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        made.append(statement)

    event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        await live.hours(1)
    finally:
        event.remove(sa.Engine, "before_cursor_execute", note)
    return len(made)

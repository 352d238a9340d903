"""Grids of deployed strategies: each fill belongs to its own rung, and a missed rung costs no work afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
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


HEARTBEATS = 2
"""Statements that depend on the time and not on what was missed: signs of life that fall into one of the bars."""
TRAILED = 'emit_signal(bar_index == 1, entry(TICKER, "LONG", Amount(40), trailing_stop=0.5))\n'


@pytest.mark.parametrize(
    ("script", "rise", "exits"),
    [(EQUAL, 0.0, ["grid", "grid"]), (TRAILED, 0.1, ["trailing_stop"])],
    ids=["grid", "trailing stop"],
)
async def test_what_was_missed_costs_nothing_at_later_bars(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path, script: str, rise: float, exits: list[str]
) -> None:
    """The backtest has bought 40 while no process ran. Statements are counted on the first and the 30th day.

    The trailing stop rises with the price at each bar.
    """
    rising: list[Bar] = [(p, p, p, p) for p in (89 + rise * hour for hour in range(800))]
    live = await deploy(call, engine, clock, tmp_path, script, [FLAT, FLAT, *rising])
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
    told = [(order["reason"], order["where"], order["message"]) for order in report["orders"]]
    assert told == [(reason, "not placed", "there is no position that it could close") for reason in exits]
    assert first < 40  # about 18 on SQLite; PostgreSQL's locks add ten
    assert last <= first + HEARTBEATS


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

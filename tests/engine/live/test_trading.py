"""What the exits of a trading strategy close: all of a short, or a fraction of the strategy's own holding."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from api.times import AcceleratedClock
from engine.engine import Engine
from engine.store.live import subscriptions_table
from tests.engine.conftest import Call
from tests.engine.live.test_live_routes import data, pass_hours, signals

CROSSES = """fast = ema(close, 3)
slow = ema(close, 8)
emit_signal(crossover(fast, slow), entry(TICKER, "LONG", Weight(0.2)))
emit_signal(crossunder(fast, slow), {closing})
"""


async def held_after_each_order(
    call: Call, engine: Engine, clock: AcceleratedClock, script: str
) -> list[tuple[dict[str, Any], float, float]]:
    """Trade a script for two days: each signal that placed an order, with the strategy's holding before and after."""
    body = {"mode": "trade", "account_id": "paper-binancefuturesusd"}
    made = await data(call, "POST", "/live-strategies/ema-trend-long-short/subscribe", json=body)

    def put_in(connection: sa.Connection) -> None:
        column = subscriptions_table.c.deployment
        deployment = json.loads(connection.execute(sa.select(column)).scalar_one()) | {"script": script}
        connection.execute(sa.update(subscriptions_table).values(deployment=json.dumps(deployment)))

    await engine.store.write(put_in)
    await pass_hours(engine, clock, 48)
    orders = (await data(call, "GET", "/orders", params={"limit": 200}))["orders"]
    filled = {o["order_id"]: o["filled_amount"] * (1 if o["side"] == "buy" else -1) for o in orders}
    net: dict[str, float] = {}
    replayed: list[tuple[dict[str, Any], float, float]] = []
    for signal in reversed(await signals(call, made)):
        if signal["order_id"]:
            before = net.get(signal["symbol"], 0.0)
            net[signal["symbol"]] = before + filled[signal["order_id"]]
            replayed.append((signal, before, net[signal["symbol"]]))
    return replayed


async def test_a_short_is_closed_whole_before_the_long_opens(
    call: Call, engine: Engine, clock: AcceleratedClock
) -> None:
    script = CROSSES.format(closing='entry(TICKER, "SHORT", Weight(0.2))')
    replayed = await held_after_each_order(call, engine, clock, script)

    exits = [(before, after) for signal, before, after in replayed if signal["action"] == "exit"]
    assert any(before < 0 for before, _ in exits)
    assert any(before > 0 for before, _ in exits)
    assert all(after == pytest.approx(0.0, abs=1e-9) for _, after in exits)


async def test_a_fraction_is_closed_of_what_the_strategy_holds(
    call: Call, engine: Engine, clock: AcceleratedClock
) -> None:
    replayed = await held_after_each_order(call, engine, clock, CROSSES.format(closing="exit(TICKER, fraction=0.5)"))

    exits = [(before, after) for signal, before, after in replayed if signal["action"] == "exit"]
    assert len(exits) > 2
    assert all(after == pytest.approx(before / 2, abs=1.01e-4) for before, after in exits)

"""A strategy in mode trade makes the fills of the backtest of the same bars, on a paper account.

Bars and sides of the fills are equal, amounts to the lot, and prices to two ticks: a paper account rounds the level of
a stop to a tick, and then the price of its market order. Fills of one side inside one bar have no order among them.

After a gap, entries of the bars that nobody saw are missed and exits are made at once. So the fills in a symbol differ
until the account and the backtest hold none of it at the same time, and are equal again from then on, but for the money
that one of them has won or lost alone: sizes follow the account's own equity.

`pytest -m slow tests/engine/live/test_trading_is_the_backtest.py` runs two hundred random strategies.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Any, Final

import pytest
import sqlalchemy as sa

from api.times import AcceleratedClock
from engine.engine import Engine, EngineSettings
from engine.live.deployment import Deployment
from engine.store.live import subscriptions_table
from tests.engine.conftest import NOON, Call
from tests.engine.live.conftest import LIVE
from tests.engine.live.test_faults import problems
from tests.engine.live.test_kept_state import backtested, deployment, written
from tests.engine.live.test_live_routes import data

MINUTE: Final = 60
BEGIN: Final = int(NOON)
NEVER: Final = 10**12
STEPS: Final = {"BTC/USDT": (0.1, 1e-6), "ETH/USDT": (0.001, 1e-4)}
"""Tick and lot of the simulated market."""


@dataclass(frozen=True)
class Fill:
    """One fill. `bar` is the open of the bar in which it happened, unix seconds; buys have a positive `amount`."""

    bar: int
    symbol: str
    amount: float
    price: float


async def trade(
    call: Call, engine: Engine, clock: AcceleratedClock, deployed: Deployment, passed: list[int]
) -> list[Fill]:
    """Trade a strategy on bars that arrive in groups. The process restarts before every tenth group."""
    clock.advance(1)
    body = {"mode": "trade", "account_id": "paper-binance"}
    await data(call, "POST", "/live-strategies/rsi-reversion/subscribe", json=body)
    values = {"deployment": deployed.to_json(), "started_at": BEGIN, "cursor": BEGIN}
    await engine.store.write(lambda connection: connection.execute(sa.update(subscriptions_table).values(**values)))
    running = engine
    for group, count in enumerate(passed, 1):
        clock.advance(count * MINUTE)
        if group % 10 == 0:
            running = await restarted(engine, running, clock)
        await asyncio.to_thread(running.live.runner.tick)
    if running is not engine:
        await running.aclose()
    return sorted((fill(order) for order in await orders(call) if order["filled_amount"]), key=lambda one: one.bar)


async def restarted(first: Engine, running: Engine, clock: AcceleratedClock) -> Engine:
    await asyncio.to_thread(running.live.close)
    if running is not first:
        await running.aclose()
    return await Engine.open(EngineSettings(first.settings.home, live=LIVE), clock)


async def orders(call: Call) -> list[dict[str, Any]]:
    """All orders, oldest first."""
    found: list[dict[str, Any]] = []
    while True:
        page = (await data(call, "GET", "/orders", params={"limit": 200, "offset": len(found)}))["orders"]
        found += page
        if len(page) < 200:
            return found[::-1]


def fill(order: dict[str, Any]) -> Fill:
    """A resting order's fill carries the close of its bar. Others happen a second after a bar has opened."""
    at, sign = seconds(order["updated_at"]), 1 if order["side"] == "buy" else -1
    bar = at - MINUTE if at % MINUTE == 0 else at // MINUTE * MINUTE
    return Fill(bar, order["symbol"], sign * float(order["filled_amount"]), float(order["average_price"]))


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def expected(engine: Engine, deployed: Deployment, bars: int) -> list[Fill]:
    """The fills of the backtest."""
    return [
        Fill(bar, ticker.partition(":")[2], direction * amount, price)
        for bar, ticker, direction, amount, _, price in backtested(engine, deployed, BEGIN, bars)
    ]


def assert_equal_except_after_gaps(made: list[Fill], meant: list[Fill], looks: list[int]) -> int:
    """Compare fills; returns how many were compared. `looks` are the closes of the bars that were seen as the last."""
    compared = 0
    for symbol in STEPS:
        mine, theirs = [f for f in made if f.symbol == symbol], [f for f in meant if f.symbol == symbol]
        equal_from, apart = BEGIN, 0.0
        for before, at in pairwise([BEGIN, *looks]):
            held, intended = (sum(f.amount for f in fills if f.bar < at) for fills in (mine, theirs))
            sold = -sum(f.amount for f in mine if f.bar == at and f.amount < 0)
            lot = STEPS[symbol][1]
            if at - before > MINUTE:
                compared += assert_equal(mine, theirs, (equal_from, before), symbol, apart)
                equal_from = NEVER
                if abs(intended) < lot:
                    assert held - sold < lot, "an exit that was found late is made at once"
            elif equal_from == NEVER and abs(held) < lot and abs(intended) < lot:
                equal_from = at
                apart = abs(money(made, at) / money(meant, at) - 1)
        compared += assert_equal(mine, theirs, (equal_from, looks[-1]), symbol, apart)
    return compared


def money(fills: list[Fill], until: int) -> float:
    """The money of an account that began with 10,000, with holdings at their last price, after a fee of 0.1 %."""
    before = [f for f in fills if f.bar < until]
    latest = {f.symbol: f.price for f in before}
    return 10_000 + sum(f.amount * (latest[f.symbol] - f.price) - 0.001 * abs(f.amount) * f.price for f in before)


def assert_equal(made: list[Fill], meant: list[Fill], span: tuple[int, int], symbol: str, apart: float) -> int:
    tick, lot = STEPS[symbol]

    def within(fills: list[Fill]) -> list[Fill]:
        inside = [f for f in fills if span[0] <= f.bar < span[1]]
        return sorted(inside, key=lambda f: (f.bar, f.amount > 0, f.price))

    mine, theirs = within(made), within(meant)
    assert [(f.bar, f.amount > 0) for f in mine] == [(f.bar, f.amount > 0) for f in theirs]
    assert [f.amount for f in mine] == pytest.approx([f.amount for f in theirs], abs=1.01 * lot, rel=1.05 * apart)
    assert [f.price for f in mine] == pytest.approx([f.price for f in theirs], abs=2.01 * tick, rel=0)
    return len(theirs)


def groups(seed: int, bars: int) -> list[int]:
    """How many bars have closed at each look. Every other strategy misses a few bars, or many."""
    draw = random.Random(seed)
    sizes = (1,) if seed % 2 == 0 else (*[1] * 14, 3, 15)
    found: list[int] = []
    while sum(found) < bars:
        found.append(draw.choice(sizes))
    return found


async def agree(call: Call, engine: Engine, clock: AcceleratedClock, seed: int, bars: int) -> int:
    """Trade a random strategy, and compare both ways; returns the number of fills that were compared."""
    stop, target = (0.002, 0.004) if seed % 5 == 0 else (None, None)
    deployed = replace(deployment(written(seed), stop, target), fee=0.001)
    passed = groups(seed, bars)

    made = await trade(call, engine, clock, deployed, passed)

    looks = [BEGIN + MINUTE * done for done in accumulate(passed)]
    meant = expected(engine, deployed, sum(passed))
    assert problems(engine) == []
    return assert_equal_except_after_gaps(made, meant, looks)


@pytest.mark.parametrize("seed", [4, 5, 17])
async def test_a_random_strategy_fills_as_its_backtest(
    call: Call, engine: Engine, clock: AcceleratedClock, seed: int
) -> None:
    assert await agree(call, engine, clock, seed, 40) > 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 220))
async def test_two_hundred_random_strategies_fill_as_their_backtests(
    call: Call, engine: Engine, clock: AcceleratedClock, seed: int
) -> None:
    await agree(call, engine, clock, seed, 60)

"""Resting orders compared with a loop plain enough to read as the rule: every bar, every order, in turn."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from api.times import AcceleratedClock

from .conftest import BTC, START, Bar, Bench, a_market

LOT = Decimal("0.00001")


@dataclass(eq=False)
class Resting:
    """An order of the plain loop."""

    side: str
    limit: Decimal
    rest: Decimal
    filled: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)


def plain_loop(orders: list[Resting], bars: list[Bar]) -> None:
    """A tenth of each bar's volume goes to the orders that it reaches.

    Sales at or below the open come first, because nothing inside a bar comes before its open. The rest is first come,
    first served.
    """
    for opened, high, low, _, volume in bars:
        left = (Decimal(str(volume)) / 10).quantize(LOT, ROUND_DOWN)
        at_open = [order for order in orders if order.side == "sell" and float(order.limit) <= opened]
        for order in [*at_open, *(order for order in orders if order not in at_open)]:
            reached = low <= float(order.limit) if order.side == "buy" else high >= float(order.limit)
            amount = min(order.rest, left) if reached else Decimal(0)
            better = min if order.side == "buy" else max
            order.rest -= amount
            order.filled += amount
            order.cost += amount * better(order.limit, Decimal(str(opened)))
            left -= amount


prices = st.integers(80_000, 120_000).map(float)


@st.composite
def bars(draw: st.DrawFn) -> Bar:
    opened, closed = draw(prices), draw(prices)
    high = max(opened, closed, draw(prices))
    low = min(opened, closed, draw(prices))
    return (opened, high, low, closed, draw(st.sampled_from([0.0, 0.003, 0.05, 1.0, 50.0])))


orders = st.one_of(
    st.tuples(st.just("buy"), st.integers(80_000, 99_999), st.integers(100, 900)),
    st.tuples(st.just("sell"), st.integers(100_001, 120_000), st.integers(100, 900)),
)


@settings(max_examples=15, deadline=None)
@given(st.lists(orders, min_size=1, max_size=5), st.lists(bars(), min_size=1, max_size=8), st.integers(1, 4))
def test_settling_does_what_the_plain_loop_does(
    placed: list[tuple[str, int, int]], moves: list[Bar], look_every: int
) -> None:
    async def trade(home: Path) -> list[tuple[Decimal, Decimal]]:
        clock = AcceleratedClock(START)
        market = a_market(clock)
        desk = Bench(home, market, clock)
        await desk.place("binance", "BTC/USDT", "buy", "0.05")
        made = [
            await desk.place("binance", "BTC/USDT", side, LOT * lots, order_type="limit", price=price)
            for side, price, lots in placed
        ]
        for minute, bar in enumerate(moves):
            market.tick({BTC: bar})
            if minute % look_every == 0:
                await desk.orders()
        ended = [await desk.order(order.order_id) for order in made]
        assert desk.problems() == []
        desk.store.close()
        return [(o.filled_amount or Decimal(0), (o.average_price or Decimal(0))) for o in ended]

    expected = [Resting(side, Decimal(price), LOT * lots) for side, price, lots in placed]
    plain_loop(expected, moves)
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(trade(Path(folder)))

    for order, (filled, average) in zip(expected, found, strict=True):
        assert filled == order.filled
        assert abs(average * filled - order.cost) < Decimal("0.000001")

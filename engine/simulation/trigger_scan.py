"""Looks ahead, many bars at a time, for the next bar on which a price triggers something.

The result is only the next bar to visit: the fill is computed from that bar alone. Each position and resting order
looks ahead once and remembers the result."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from engine.frame import Bools, Floats

from .account import OpenPosition, SimulatedAccount
from .market import Costs, TradedInstrument
from .pending import PendingOrders

FIRST_CHUNK = 256
LARGEST_CHUNK = 65_536


def guarded(position: OpenPosition, costs: Costs) -> bool:
    """Whether a price can close the position."""
    return (
        position.stop is not None
        or position.target is not None
        or position.trail is not None
        or position.price_target is not None
        or costs.can_liquidate(position.side)
    )


def see(position: OpenPosition, market: TradedInstrument, bar: int) -> None:
    """Bring the peak of a trailed position up to the bar before `bar`."""
    if position.trail is None or position.seen >= bar - 1:
        return
    passed = slice(position.seen + 1, bar)
    if position.side > 0:
        position.peak = float(np.fmax(position.peak, np.fmax.reduce(market.high[passed])))
    else:
        position.peak = float(np.fmin(position.peak, np.fmin.reduce(market.low[passed])))
    position.seen = bar - 1


def first_touch(position: OpenPosition, market: TradedInstrument, start: int, stop: int) -> int:
    """The first bar in [start, stop) on which a price closes the position, else `stop`.

    The position's peak must be known up to the bar before `start` (`see`).
    """
    low, high = market.low[start:stop], market.high[start:stop]
    level: float | Floats = position.fixed_guard(market.costs)[0]
    if position.trail is not None:
        level = _trailing_levels(position, position.trail, level, high if position.side > 0 else low)
    goal = position.goal()
    if position.side > 0:
        return first_true((low <= level) | (high >= goal), start)
    return first_true((high >= level) | (low <= goal), start)


def first_true(mask: Bools, start: int) -> int:
    """The first bar on which `mask`, which begins on bar `start`, holds; else the bar after its end."""
    if not len(mask):
        return start
    index = int(mask.argmax())
    return start + (index if mask[index] else len(mask))


def _trailing_levels(position: OpenPosition, trail: float, level: float, best: Floats) -> Floats:
    """The exit price of each bar: the trail follows the best price of the bars before, never its own."""
    follow = np.fmax if position.side > 0 else np.fmin
    before = np.empty(len(best))
    before[0] = position.peak
    before[1:] = best[:-1]
    follow.accumulate(before, out=before)
    before *= 1.0 - position.side * trail
    return follow(before, level)


BarPrices = tuple[float, float, float]
"""What resting orders wait for: a low at or below, a high at or above, a close above."""


class TriggerScan:
    """Finds the next bar whose prices may trigger something, and scans no bar twice for the same prices."""

    def __init__(
        self, markets: Sequence[TradedInstrument], account: SimulatedAccount, book: PendingOrders, size: int
    ) -> None:
        self._markets, self._account, self._book, self._size = markets, account, book, size
        self._orders: dict[int, tuple[BarPrices, int, int]] = {}
        self._resolutions = sorted(m.resolution for m in markets if m.resolution is not None)

    def next(self, bar: int) -> int:
        """The first bar from `bar` on that must be visited; past the end if there is none."""
        index = bisect_left(self._resolutions, bar)
        found = self._resolutions[index] if index < len(self._resolutions) else self._size
        for slot in self._account.order:
            position = self._account.positions[slot]
            if position.clear < bar:
                self._look(position, self._markets[slot[0]], bar)
            found = min(found, position.clear)
        for k in self._book.resting.keys() | self._book.cells.keys():
            found = min(found, self._look_for_orders(k, bar))
        return found

    def _look(self, position: OpenPosition, market: TradedInstrument, bar: int) -> None:
        """Rule out bars from `bar` on for a position; the scan resumes where it ended."""
        if not guarded(position, market.costs):
            position.clear = self._size
            return
        see(position, market, bar)
        end = min(bar + position.reach, self._size)
        position.clear = first_touch(position, market, bar, end)
        position.reach = min(4 * position.reach, LARGEST_CHUNK)

    def _look_for_orders(self, k: int, bar: int) -> int:
        prices = self._awaited(k)
        known, clear, reach = self._orders.get(k, (None, 0, FIRST_CHUNK))
        if known != prices:
            clear, reach = 0, FIRST_CHUNK
        if clear < bar:
            clear = self._look_for(self._markets[k], prices, bar, min(bar + reach, self._size))
            self._orders[k] = (prices, clear, min(4 * reach, LARGEST_CHUNK))
        return clear

    def _awaited(self, k: int) -> BarPrices:
        """The nearest prices at which a resting order of the instrument fills or a grid's rung is re-armed."""
        below, above, over = -math.inf, math.inf, math.inf
        for order in self._book.resting.get(k, ()):
            if order.side > 0:
                below = max(below, order.limit or 0.0)
            else:
                above = min(above, order.limit or 0.0)
        for cell in self._book.cells.get(k, ()):
            if cell.armed:
                below = max(below, cell.buy)
            elif (k, cell.number) not in self._account.positions:
                over = min(over, cell.buy)
        return below, above, over

    def _look_for(self, market: TradedInstrument, prices: BarPrices, bar: int, end: int) -> int:
        below, above, over = prices
        low, high, close = market.low[bar:end], market.high[bar:end], market.close[bar:end]
        return first_true((low <= below) | (high >= above) | (close > over), bar)

"""Which bar to visit next for the sake of prices: every position and resting order looks ahead once and remembers."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

from .account import Ledger, Position
from .market import Market
from .pending import Book
from .scan import FIRST_CHUNK, LARGEST_CHUNK, first_touch, first_true, guarded, see

Prices = tuple[float, float, float]
"""What resting orders wait for: a low at or below, a high at or above, a close above."""


class Lookout:
    """Finds the next bar whose prices may do something, scanning no bar twice for the same prices."""

    def __init__(self, markets: Sequence[Market], ledger: Ledger, book: Book, size: int) -> None:
        self._markets, self._ledger, self._book, self._size = markets, ledger, book, size
        self._orders: dict[int, tuple[Prices, int, int]] = {}
        self._resolutions = sorted(m.resolution for m in markets if m.resolution is not None)

    def next(self, bar: int) -> int:
        """The first bar from `bar` on that has to be visited; past the end where there is none."""
        index = bisect_left(self._resolutions, bar)
        found = self._resolutions[index] if index < len(self._resolutions) else self._size
        for slot in self._ledger.order:
            position = self._ledger.positions[slot]
            if position.clear < bar:
                self._look(position, self._markets[slot[0]], bar)
            found = min(found, position.clear)
        for k in self._book.resting.keys() | self._book.cells.keys():
            found = min(found, self._look_for_orders(k, bar))
        return found

    def _look(self, position: Position, market: Market, bar: int) -> None:
        """Rule out bars from `bar` on for a position; the end of the look is a bar to look again from."""
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

    def _awaited(self, k: int) -> Prices:
        """The nearest prices at which a resting order of the instrument fills or a grid's rung is armed again."""
        below, above, over = -math.inf, math.inf, math.inf
        for order in self._book.resting.get(k, ()):
            if order.side > 0:
                below = max(below, order.limit or 0.0)
            else:
                above = min(above, order.limit or 0.0)
        for cell in self._book.cells.get(k, ()):
            if cell.armed:
                below = max(below, cell.buy)
            elif (k, cell.number) not in self._ledger.positions:
                over = min(over, cell.buy)
        return below, above, over

    def _look_for(self, market: Market, prices: Prices, bar: int, end: int) -> int:
        below, above, over = prices
        low, high, close = market.low[bar:end], market.high[bar:end], market.close[bar:end]
        return first_true((low <= below) | (high >= above) | (close > over), bar)

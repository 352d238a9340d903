"""What time does to an account: resting orders meet the closed bars, positions are liquidated, markets resolve.

Deterministic and lazy: whoever looks at an account first brings it up to date. Each order and position remembers the
close of the last bar it has met, in the transaction that booked what the bar did, so that no bar counts twice.
An order meets only bars that open after it was placed. Within a bar the worst comes first: liquidation, then fills in
the order of placing, which share a part of the bar's volume: at the open where that is better than the order's price,
else at that price. What those fills opened is held against the bar's close.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from api.symbols import Instrument
from api.timeframes import SECONDS
from engine.feeds.feed import Candles
from engine.trading_rules import VOLUME_SHARE
from engine.venues.amounts import down, from_float

from .fills import Fill, liquidation_price
from .prices import Tape
from .records import OrderRecord, PositionRecord
from .trading import TradingAccount

BARS_AT_ONCE: Final = 2_000
"""Bars met in one transaction: short enough for other processes to wait for."""

Indices = NDArray[np.intp]


def pieces(tape: Tape) -> Iterator[range]:
    """The bars of a tape, in runs that fit one transaction. At least one, for a market that only has to resolve."""
    count = 0 if tape.candles is None else len(tape.candles)
    for first in range(0, max(count, 1), BARS_AT_ONCE):
        yield range(first, min(first + BARS_AT_ONCE, count))


def settle(trading: TradingAccount, instrument: Instrument, tape: Tape, bars: range) -> None:
    """Let the orders and the position in `instrument` meet `bars` of the tape; at its end the market may resolve."""
    candles = tape.candles
    if candles is not None and bars:
        _Walk(trading, instrument, candles, tape.steps.lot, bars).run()
    payout = tape.listing.payout
    if payout is not None and (candles is None or bars.stop >= len(candles)):
        trading.resolve(instrument, payout)


class _Walk:
    """One instrument's bars, visited only where something happens."""

    def __init__(
        self, trading: TradingAccount, instrument: Instrument, candles: Candles, lot: Decimal, bars: range
    ) -> None:
        self._trading = trading
        self._instrument = instrument
        self._bars = candles.bars
        self._opens = candles.time
        self._seconds = SECONDS[candles.timeframe]
        self._lot = lot
        self._range = bars
        self._touched: dict[int, Indices] = {}

    def run(self) -> None:
        """Visit the bars, then remember that they have been met."""
        start = self._range.start
        while (bar := self._next(start)) is not None:
            self._meet(bar)
            start = bar + 1
        self._trading.seen(self._instrument, self._close_time(self._range[-1]))

    def _next(self, start: int) -> int | None:
        """The next bar, from `start` on, in which something happens."""
        found = [self._touches(order) for order in self._trading.open_orders(self._instrument)]
        found.append(self._threats(self._trading.position(self._instrument)))
        following = (int(bars[at]) for bars in found if (at := int(np.searchsorted(bars, start))) < len(bars))
        return min(following, default=None)

    def _meet(self, bar: int) -> None:
        position = self._trading.position(self._instrument)
        if position is not None and bar in self._threats(position):
            self._liquidate(position, bar)
            return
        self._fill(bar)
        position = self._trading.position(self._instrument)
        if position is not None and self._is_under_water(position, float(self._bars.close[bar])):
            self._liquidate(position, bar)

    def _fill(self, bar: int) -> None:
        capacity = down(from_float(self._bars.volume[bar]) * VOLUME_SHARE, self._lot)
        maker = self._trading.account.terms.maker
        for order in self._trading.open_orders(self._instrument):
            amount = min(order.unfilled, capacity)
            if amount > 0 and bar in self._touches(order):
                capacity -= amount
                price = self._price(order, bar)
                fill = Fill(amount, price, maker, min(price, order.limit), self._close_time(bar))
                self._trading.fill_or_end(order, fill)

    def _price(self, order: OrderRecord, bar: int) -> Decimal:
        opened = from_float(self._bars.open[bar])
        return min(order.limit, opened) if order.side == "buy" else max(order.limit, opened)

    def _liquidate(self, position: PositionRecord, bar: int) -> None:
        price = liquidation_price(position)
        if price is not None:
            self._trading.liquidate(position, price, self._close_time(bar))

    def _is_under_water(self, position: PositionRecord, price: float) -> bool:
        limit = liquidation_price(position)
        return limit is not None and (price - float(limit)) * position.sign <= 0

    def _touches(self, order: OrderRecord) -> Indices:
        """The bars that reach an order's price. They never change, so they are looked for once."""
        if order.seq not in self._touched:
            self._touched[order.seq] = self._reaching(order.direction, order.limit, order.seen_until)
        return self._touched[order.seq]

    def _threats(self, position: PositionRecord | None) -> Indices:
        """The bars that reach the liquidation price of a position."""
        price = None if position is None else liquidation_price(position)
        if position is None or price is None:
            return np.empty(0, np.intp)
        return self._reaching(position.sign, price, position.seen_until)

    def _reaching(self, direction: int, price: Decimal, seen_until: int) -> Indices:
        """The bars, not met before, that come down to a price (direction 1) or up to it (-1)."""
        part = slice(self._range.start, self._range.stop)
        lows, highs = self._bars.low[part], self._bars.high[part]
        reached = lows <= float(price) if direction > 0 else highs >= float(price)
        return np.flatnonzero(reached & (self._opens[part] >= seen_until)) + self._range.start

    def _close_time(self, bar: int) -> int:
        return int(self._opens[bar]) + self._seconds

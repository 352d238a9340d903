"""Settles accounts over time: resting orders meet closed bars, positions are liquidated, markets resolve.

Settlement is deterministic and lazy: reading an account first brings it up to date. Each order and position stores the
close of the last bar it has met, in the transaction that booked the bar's effects, so that no bar counts twice. An
order meets only bars that open after it was placed. Within a bar the worst case comes first: stops and liquidation,
whichever price is nearer, then targets, then other fills in the order of placing. Those fills share a part of the bar's
volume, at the open if that is better than the order's price, else at that price. The positions they open are checked
against the bar's worst price.

A perpetual pays funding at the open of the first bar at or after each funding time, on its value there and before
anything else on that bar, as in backtests.

Exits follow the rules of backtests (`simulation.rules`). A stop becomes a market order when its price is reached,
or at an open beyond it, and fills completely. An entry that fills inside a bar is stopped on the same bar if the bar
went on to the stop, and reaches its target there only if the bar closed beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import zip_longest
from typing import Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from api.errors import NotFound
from api.symbols import Instrument
from api.times import SECONDS, Clock
from engine.feeds.feed import Candles
from engine.feeds.market import FundingRates
from engine.frame import Floats
from engine.store.database import Store
from engine.trading_rules import VOLUME_SHARE, ZERO, Steps, down, exact, from_float, trailing_price
from engine.venues.paper.postings import PaperFill, closable_part, liquidation_price
from engine.venues.paper.prices import Prices, SettlementBars, taken
from engine.venues.paper.records import (
    AccountRecord,
    DueSettlement,
    OrderRecord,
    PositionRecord,
    lock_account,
    waiting,
)
from engine.venues.paper.trading import TradingAccount

BARS_AT_ONCE: Final = 2_000
"""Bars per transaction: few enough that other processes can wait for it."""

Indices = NDArray[np.intp]


def pieces(history: SettlementBars) -> Iterator[range]:
    """The bars of a history in runs that fit one transaction. At least one run, for a market that only resolves."""
    count = 0 if history.candles is None else len(history.candles)
    for first in range(0, max(count, 1), BARS_AT_ONCE):
        yield range(first, min(first + BARS_AT_ONCE, count))


def settle(trading: TradingAccount, instrument: Instrument, history: SettlementBars, bars: range) -> None:
    """Let the orders and the position in `instrument` meet `bars` of the history; at its end the market may resolve."""
    candles = history.candles
    if candles is not None and bars:
        _Walk(trading, instrument, candles, history, bars).run()
    payout = history.listing.payout
    if payout is not None and (candles is None or bars.stop >= len(candles)):
        trading.resolve(instrument, payout)


class _Walk:
    """One instrument's bars, of which only those with an event are visited."""

    def __init__(
        self, trading: TradingAccount, instrument: Instrument, candles: Candles, history: SettlementBars, bars: range
    ) -> None:
        self._trading = trading
        self._instrument = instrument
        self._bars = candles.bars
        self._opens = candles.time
        self._seconds = SECONDS[candles.timeframe]
        self._steps: Steps = history.steps
        self._terms = history.terms
        self._range = bars
        self._rates = _due(candles, history.funding)
        self._touched: dict[int, Indices] = {}
        self._resting: list[OrderRecord] = []

    def run(self) -> None:
        """Visit the bars, then record that they have been met."""
        start = self._range.start
        while (bar := self._next(start)) is not None:
            self._meet(bar)
            start = bar + 1
        self._follow()
        self._trading.seen(self._instrument, self._close_time(self._range[-1]))

    def _next(self, start: int) -> int | None:
        """The next bar, from `start` on, in which something happens."""
        self._resting = self._open()
        found = [self._touches(order) for order in self._resting]
        position = self._trading.position(self._instrument)
        found += [self._threats(position), self._charged(position)]
        following = (int(bars[at]) for bars in found if (at := int(np.searchsorted(bars, start))) < len(bars))
        return min(following, default=None)

    def _meet(self, bar: int) -> None:
        position = self._trading.position(self._instrument)
        if position is not None and bar in self._charged(position):
            price, rate = from_float(self._bars.open[bar]), from_float(self._rates[bar])
            position = self._trading.pay_funding(position, price, rate, int(self._opens[bar]))
        self._capacity = down(from_float(self._bars.volume[bar]) * VOLUME_SHARE, self._steps.lot)
        self._close_at_open(position, bar)
        position = self._trading.position(self._instrument)
        if position is not None and bar in self._threats(position):
            self._stop_first(position, bar)
            position = self._trading.position(self._instrument)
            if position is not None:
                self._liquidate(position, bar)
                return
        self._fill(bar)
        position = self._trading.position(self._instrument)
        if position is not None and self._is_ruined(position, bar):
            self._liquidate(position, bar)

    def _close_at_open(self, position: PositionRecord | None, bar: int) -> None:
        """Fill the closing limit orders that the open already reaches: nothing inside the bar comes before its open.

        Without a position, as on spot accounts, sales close.
        """
        opened, held = from_float(self._bars.open[bar]), 1 if position is None else position.sign
        for known in self._open():
            reached = known.trigger is None and known.direction * (known.limit - opened) >= 0
            if reached and known.direction != held and bar in self._touches(known):
                order = self._trading.order(known)
                if order.is_open:
                    self._fill_limit(order, bar)

    def _stop_first(self, position: PositionRecord, bar: int) -> None:
        """Fill the stops that a bar reaches on its way to the liquidation price."""
        ruin = liquidation_price(position) or ZERO
        if position.sign * (from_float(self._bars.open[bar]) - ruin) <= 0:
            return
        for known in sorted(self._open(), key=_worst_first):
            if known.trigger is None or known.direction == position.sign or bar not in self._touches(known):
                continue
            reference = self._beyond(bar, known.direction, self._level(known, bar))
            order = self._trading.order(known)
            if order.is_open and position.sign * (reference - ruin) > 0:
                self._stop(order, bar, reference)

    def _fill(self, bar: int) -> None:
        orders = sorted(self._open(), key=_worst_first)
        linked = any(order.reduce_only or order.exits for order in orders)
        for known in orders:
            if bar not in self._touches(known):
                continue
            order = self._trading.order(known) if linked else known
            if not order.is_open:
                continue
            if order.trigger is not None:
                self._stop(order, bar, self._beyond(bar, order.direction, self._level(order, bar)))
                continue
            self._fill_limit(order, bar)

    def _fill_limit(self, order: OrderRecord, bar: int) -> None:
        amount = self._fillable(order, self._capacity)
        if amount > 0:
            self._capacity -= amount
            self._trading.fill_or_end(order, self._fill_of(order, bar, amount, self._price(order, bar)))
            self._exit_at_once(order, bar)

    def _open(self) -> list[OrderRecord]:
        return self._trading.open_orders(self._instrument)

    def _fillable(self, order: OrderRecord, capacity: Decimal) -> Decimal:
        """The amount of an order that the bar fills; a reduce-only order fills at most the open position."""
        if order.reduce_only and self._instrument.market_type == "perpetual":
            capacity = min(capacity, closable_part(self._trading.position(self._instrument), order.direction))
        return min(order.unfilled, capacity)

    def _fill_of(self, order: OrderRecord, bar: int, amount: Decimal, price: Decimal) -> PaperFill:
        """The fill of a resting limit order."""
        return PaperFill(
            amount, price, self._terms.maker, min(price, order.limit), self._close_time(bar), self._steps.tick
        )

    def _stop(self, order: OrderRecord, bar: int, reference: Decimal) -> None:
        """Fill a stop completely, as a market order."""
        price = taken(reference, order.direction, self._steps, self._instrument)
        fee = self._terms.taker
        self._trading.fill_or_end(
            order, PaperFill(order.unfilled, price, fee, price, self._close_time(bar), self._steps.tick)
        )

    def _exit_at_once(self, entry: OrderRecord, bar: int) -> None:
        """Close an entry opened on this bar if the prices after its fill reach an exit.

        After a fill at the open, the whole bar follows. After a fill inside the bar, only the bar's worst price and the
        close are sure to follow. The worst price comes first: a position that it liquidates reaches no target.
        """
        if not entry.exits:
            return
        at_open = self._price(entry, bar) != entry.limit or from_float(self._bars.open[bar]) == entry.limit
        for order in sorted(self._trading.exits_of(entry), key=_worst_first):
            worst, best = (
                (self._bars.low, self._bars.high) if order.side == "sell" else (self._bars.high, self._bars.low)
            )
            sign = -order.direction
            position = self._trading.position(self._instrument)
            if order.trigger is not None:
                ruin = None if position is None else liquidation_price(position)
                is_nearer = ruin is None or sign * (order.trigger - ruin) > 0
                if is_nearer and sign * (from_float(worst[bar]) - order.trigger) <= 0:
                    self._stop(order, bar, sign * min(sign * order.trigger, sign * self._price(entry, bar)))
                    return
                continue
            if position is not None and self._is_ruined(position, bar):
                return
            reached = from_float(best[bar]) if at_open else from_float(self._bars.close[bar])
            if sign * (reached - order.limit) >= 0:
                self._trading.fill_or_end(order, self._fill_of(order, bar, order.unfilled, order.limit))
                return
        self._trail_from(entry, bar, at_open=at_open)

    def _trail_from(self, entry: OrderRecord, bar: int, *, at_open: bool) -> None:
        """After a fill inside a bar, the close is the only better price that is sure to have come later."""
        for order in self._trading.exits_of(entry):
            if order.trail is not None and order.best is not None:
                better = max if order.side == "sell" else min
                best = self._bars.high if order.side == "sell" else self._bars.low
                price = from_float(best[bar] if at_open else self._bars.close[bar])
                self._trading.trail(order, better(order.best, price))

    def _beyond(self, bar: int, direction: int, level: Decimal) -> Decimal:
        """The price at which a stop is reached on a bar: its own, or an open already beyond it."""
        opened = from_float(self._bars.open[bar])
        return max(level, opened) if direction > 0 else min(level, opened)

    def _level(self, order: OrderRecord, bar: int) -> Decimal:
        """The trigger price of a stop on a bar."""
        if order.trail is None or order.best is None:
            return order.trigger or ZERO
        first = max(self._range.start, int(np.searchsorted(self._opens, order.seen_until)))
        return trailing_price(-order.direction, self._best(order, first, bar), order.trail)

    def _best(self, order: OrderRecord, first: int, stop: int) -> Decimal:
        """The best price that a trailing stop has seen before bar `stop`, with the bars from `first` on."""
        best = order.best or ZERO
        if first >= stop:
            return best
        if order.side == "sell":
            return max(best, from_float(self._bars.high[first:stop].max()))
        return min(best, from_float(self._bars.low[first:stop].min()))

    def _follow(self) -> None:
        """Record the best price of the current bars for trailing stops, once no event is left in them."""
        for order in self._resting:
            if order.trail is not None:
                first = max(self._range.start, int(np.searchsorted(self._opens, order.seen_until)))
                self._trading.trail(order, self._best(order, first, self._range.stop))

    def _price(self, order: OrderRecord, bar: int) -> Decimal:
        opened = from_float(self._bars.open[bar])
        return min(order.limit, opened) if order.side == "buy" else max(order.limit, opened)

    def _liquidate(self, position: PositionRecord, bar: int) -> None:
        price = liquidation_price(position)
        if price is not None:
            self._trading.liquidate(position, price, self._close_time(bar))

    def _is_ruined(self, position: PositionRecord, bar: int) -> bool:
        """Whether a position that a limit order opened or grew on a bar is liquidated on the same bar.

        The price came down to the limit of a buy (up to that of a sale), so the bar's worst price came later.
        """
        limit = liquidation_price(position)
        worst = float((self._bars.low if position.sign > 0 else self._bars.high)[bar])
        return limit is not None and (worst - float(limit)) * position.sign <= 0

    def _touches(self, order: OrderRecord) -> Indices:
        """The bars that reach an order's price. They never change, so they are computed once."""
        if order.seq not in self._touched:
            if order.trail is not None:
                touched = self._reaching_a_trail(order, order.trail)
            elif order.trigger is not None:
                touched = self._reaching(-order.direction, order.trigger, order.seen_until)
            else:
                touched = self._reaching(order.direction, order.limit, order.seen_until)
            self._touched[order.seq] = touched
        return self._touched[order.seq]

    def _reaching_a_trail(self, order: OrderRecord, trail: Decimal) -> Indices:
        """The bars that reach a trailing stop, which follows the best price of the bars before, never its own."""
        first = max(self._range.start, int(np.searchsorted(self._opens, order.seen_until)))
        part = slice(first, self._range.stop)
        lows, highs = self._bars.low[part], self._bars.high[part]
        best = np.concatenate(([float(order.best or ZERO)], highs if order.side == "sell" else lows))[:-1]
        if order.side == "sell":
            return np.flatnonzero(lows <= np.maximum.accumulate(best) * float(1 - trail)) + first
        return np.flatnonzero(highs >= np.minimum.accumulate(best) * float(1 + trail)) + first

    def _threats(self, position: PositionRecord | None) -> Indices:
        """The bars that reach the liquidation price of a position."""
        price = None if position is None else liquidation_price(position)
        if position is None or price is None:
            return np.empty(0, np.intp)
        return self._reaching(position.sign, price, position.seen_until)

    def _charged(self, position: PositionRecord | None) -> Indices:
        """The bars, not met before, at whose open a position pays funding or is paid."""
        if position is None:
            return np.empty(0, np.intp)
        part = slice(self._range.start, self._range.stop)
        due = (self._rates[part] != 0.0) & (self._opens[part] >= position.seen_until)
        return np.flatnonzero(due) + self._range.start

    def _reaching(self, direction: int, price: Decimal, seen_until: int) -> Indices:
        """The bars, not met before, that come down to a price (direction 1) or up to it (-1)."""
        part = slice(self._range.start, self._range.stop)
        lows, highs = self._bars.low[part], self._bars.high[part]
        reached = lows <= float(price) if direction > 0 else highs >= float(price)
        return np.flatnonzero(reached & (self._opens[part] >= seen_until)) + self._range.start

    def _close_time(self, bar: int) -> int:
        return int(self._opens[bar]) + self._seconds


def _due(candles: Candles, funding: FundingRates | None) -> Floats:
    """The funding rate due at the open of each bar: of all times since the bar before it opened, this open included."""
    rates = np.zeros(len(candles))
    if funding is not None and len(candles):
        after = funding.time > candles.time[0] - SECONDS[candles.timeframe]
        inside = after & (funding.time <= candles.time[-1])
        np.add.at(rates, np.searchsorted(candles.time, funding.time[inside]), funding.rate[inside])
    return rates


def _worst_first(order: OrderRecord) -> tuple[int, int]:
    """Stops, then targets, then all others in the order of placing."""
    return (0 if order.trigger is not None else 1 if order.role is not None else 2, order.seq)


_SHORTEST_BAR: Final = min(SECONDS.values())


@dataclass(frozen=True, slots=True)
class _UnmetBars:
    """Bars of an instrument that an account has not met."""

    account: AccountRecord
    instrument: Instrument
    history: SettlementBars

    def parts(self) -> Iterator[tuple[_UnmetBars, range]]:
        """A copy for each run of bars that fits one transaction."""
        return ((self, bars) for bars in pieces(self.history))


class Upkeep:
    """Brings accounts up to date. Blocking: use it in a thread."""

    def __init__(self, store: Store, prices: Prices, clock: Clock) -> None:
        self._store = store
        self._prices = prices
        self._clock = clock

    def settle(self, accounts: Sequence[AccountRecord]) -> bool:
        """Let open orders and positions of `accounts` meet every bar that has closed since they last met one.

        Instruments that the feed no longer lists are left unchanged.

        Returns:
            Whether there was such a bar.
        """
        return self.meet(self._store.read_now(lambda connection: waiting(connection, accounts)))

    def meet(self, waits: Sequence[DueSettlement]) -> bool:
        """The same for the result of `waiting`."""
        now = self._clock.now()
        found = (self._due(account, instrument, since, now) for account, instrument, since in waits)
        due = [one for one in found if one is not None]
        for step in zip_longest(*(one.parts() for one in due)):
            self._store.write_now(lambda connection, step=step: _settle_all(connection, now, step))
        return bool(due)

    def _due(self, account: AccountRecord, instrument: Instrument, since: int, now: float) -> _UnmetBars | None:
        if math.floor(now) - since < _SHORTEST_BAR:
            return None
        try:
            history = self._prices.history(instrument, since)
        except NotFound:
            return None
        return (
            None
            if history.candles is None and history.listing.payout is None
            else _UnmetBars(account, instrument, history)
        )


def _settle_all(connection: sa.Connection, now: float, step: Iterable[tuple[_UnmetBars, range] | None]) -> None:
    with exact():
        for part in step:
            if part is not None:
                due, bars = part
                lock_account(connection, due.account)
                settle(TradingAccount(connection, due.account, now), due.instrument, due.history, bars)

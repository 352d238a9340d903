"""The fast path: one instrument, a static program of market entries and exits.

The account does not change between two events, so the kernel jumps. When flat, it jumps to the next entry signal. In
position, it jumps to the next signal that matters, or to the first bar that touches an exit price or a portfolio limit,
which it finds by scanning in growing chunks. One pass at the end fills the equity curve. All other programs run in
`portfolio.py`. Both use the same `SimulatedAccount` and give the same bits as the reference loop in the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, reduce

import numpy as np

from engine.frame import Bools, Floats, Frame
from engine.program import DirectionSign, Entry, Exit, StaticProgram
from engine.trading_rules import ANY_ORDER

from .account import CUT, FLAT, OpenPosition, SimulatedAccount, account_state
from .market import TradedInstrument
from .result import EndedEarly, Simulation
from .rules import MoneyBounds, amount_for, closing, closing_price
from .schedule import EntryOrder, constant_order, fires, intents, order_at
from .settings import SimulationSettings
from .trades import ExitReason
from .trigger_scan import FIRST_CHUNK, LARGEST_CHUNK, first_touch, guarded, see

SLOT = (0, -1)


def takes(program: StaticProgram, markets: tuple[TradedInstrument, ...]) -> bool:
    """Whether this path can run the program."""
    if len(markets) != 1:
        return False
    market = markets[0]
    if market.exists is not None or market.resolution is not None or market.funding is not None:
        return False
    for _, intent in intents(program):
        plain = intent.once is None if isinstance(intent, Exit) else isinstance(intent, Entry) and intent.limit is None
        if not plain:
            return False
    return True


class SegmentKernel:
    """One run over one instrument. `path` holds, for each stretch between two events, its first bar, the balance, the
    signed amount held and the free cash."""

    def __init__(
        self,
        frame: Frame,
        market: TradedInstrument,
        program: StaticProgram,
        settings: SimulationSettings,
        first_bar: int,
        report: Callable[[float], None] | None,
    ) -> None:
        self._frame, self._market, self._settings, self._first = frame, market, settings, first_bar
        self._account = SimulatedAccount(settings.initial_cash, (market,))
        self._ended: EndedEarly | None = None
        self._path: list[float] = [first_bar, settings.initial_cash, 0.0, settings.initial_cash]
        self._limits = MoneyBounds.of(settings)
        self._report = report
        self._size = len(market.close)
        self._entries: list[tuple[Entry, Bools, EntryOrder | None]] = []
        self._exits: list[tuple[Exit, Bools]] = []
        self._shorts = False
        for condition, intent in intents(program):
            if isinstance(intent, Entry):
                self._shorts = self._shorts or intent.side < 0
                self._entries.append((intent, fires(condition, intent), constant_order(intent)))
            elif isinstance(intent, Exit):
                self._exits.append((intent, fires(condition, intent)))
        self._known: dict[tuple[int, bool], bytes] = {}

    def run(self) -> Simulation:
        """From the first bar to the last."""
        order = self._plain_order()
        if order is not None:
            self._chain(order)
            return self._finish()
        bar, size = self._first, self._size
        positions, report = self._account.positions, self._report
        while bar < size:
            bar = self._ride(positions[SLOT], bar) if positions else self._wait(bar)
            if report is not None:
                report(min(bar / size, 1.0))
        return self._finish()

    def _plain_order(self) -> EntryOrder | None:
        """The only entry of a program whose positions change only by its own exits; None for other programs."""
        if len(self._entries) != 1 or self._limits.active:
            return None
        entry, _, order = self._entries[0]
        costs = self._market.costs
        if order is None or entry.pyramiding or costs.can_liquidate(order.side):
            return None
        if not (order.stop is None and order.target is None and order.trail is None):
            return None
        whole = all(not isinstance(out.fraction, np.ndarray) and out.fraction >= 1.0 for out, _ in self._exits)
        return order if whole else None

    def _chain(self, order: EntryOrder) -> None:
        """Round trip after round trip: from each entry signal to the next exit signal."""
        account, bar, size = self._account, self._first, self._sizer(order)
        signals = self._signals(0, False), self._signals(order.side, False)  # noqa: FBT003
        while not account.positions:
            bar = account.round_trips(order.side, order.tag, signals, bar, size, self._path)
            if not bar:
                break
            self._trade(bar - 1, None)
        if self._report is not None:
            self._report(1.0)

    def _sizer(self, order: EntryOrder) -> Callable[[float, int], float]:
        """The amount that an entry buys at a price from flat: the request, limited by the money and the exchange."""
        account, market, costs = self._account, self._market, self._market.costs
        kind, value, per_worth = order.kind, order.value, costs.inverse_leverage + costs.fee

        def allowed(price: float, bar: int) -> float:
            amount = amount_for(kind, value, account.balance, price, None)
            return account.fitted(0, amount * account.afford(amount * costs.unit_cost(price)), price, bar)

        def weighed(price: float, bar: int) -> float:
            """The same for a weight that only fees reduce, where the exchange accepts any size."""
            free = account.balance
            if price <= 0.0 or free <= 0.0:
                return 0.0
            amount = free * value / price
            cost = amount * (price * per_worth)
            return amount if cost <= free else amount * (free / cost) if free / cost >= CUT else allowed(price, bar)

        return weighed if kind == "weight" and market.most is None and market.rules is ANY_ORDER else allowed

    def _finish(self) -> Simulation:
        account, market, last = self._account, self._market, self._size - 1
        mark = market.close.item(last)
        equity, cash, gross = self._curves()
        peak = max(self._settings.initial_cash, equity.item(equity.argmax()))
        final = account_state(account, {market.instrument: FLAT}, (mark,), last, peak)
        position = account.positions.get(SLOT)
        if position is not None:
            price = market.costs.exit_price(position.side, mark)
            account.close(position, position.amount, price, mark, last, "end_of_data")
            equity[-1] = cash[-1] = account.balance
            gross[-1] = 0.0
        trades, fills = account.records(self._frame)
        figures = equity, cash, gross, trades, fills, final, self._ended, account.sizes
        return Simulation(self._frame, self._settings, self._first, *figures)

    def _curves(self) -> tuple[Floats, Floats, Floats]:
        """Equity, free cash and value held at each bar's close: the account's path, stretched."""
        stretches = (*self._path, self._size)
        path = np.fromiter(stretches, np.float64, len(stretches))
        lengths = (path[4::4] - path[:-1:4]).astype(np.int64)
        equity, gross, free = path[1::4].repeat(lengths), path[2::4].repeat(lengths), path[3::4].repeat(lengths)
        gross *= self._market.close[self._first :]
        equity += gross
        return equity, free, np.abs(gross, out=gross) if self._shorts else gross

    def _wait(self, bar: int) -> int:
        """Flat at the close of `bar`: jump to the bar on which the next entry fills."""
        if self._limits.active and bar < self._size - 1:
            self._ended = self._limits.reached(self._account.balance)
            if self._ended is not None:
                return self._size
        signal = self._next_event(0, 0, bar)
        if signal >= self._size - 1:
            return self._size
        self._trade(signal, None)
        return signal + 1

    def _ride(self, position: OpenPosition, bar: int) -> int:
        """In position from the open of `bar`: jump to the bar on which that changes."""
        last = self._size - 1
        signal = self._next_event(position.side, position.entries, bar)
        signal = min(signal, last)
        if self._limits.active or guarded(position, self._market.costs):
            see(position, self._market, bar)
            touched, breached = self._watch(position, bar, signal + 1)
            if breached is not None:
                return self._end(position, *breached)
            if touched is not None:
                see(position, self._market, touched)
                self._close_within(position, touched)
                return touched
        if signal == last:
            return self._size
        self._trade(signal, position)
        return signal + 1

    @cached_property
    def _most(self) -> dict[int, int]:
        """The pyramiding that the entries of each side allow."""
        return {side: max((e.pyramiding for e, _, _ in self._entries if e.side == side), default=0) for side in (1, -1)}

    def _next_event(self, side: int, entries: int, bar: int) -> int:
        """The first bar from `bar` on whose signals matter to a position on `side` that `entries` have built."""
        key = (side, side != 0 and entries <= self._most[side])
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._signals(*key)
        event = found.find(1, bar)
        return self._size if event < 0 else event

    def _signals(self, side: int, room: bool) -> bytes:  # noqa: FBT001
        """One byte a bar: 1 where a signal matters to a position on `side`, or with side 0 to a flat account.

        `bytes.find` reaches the next one faster than a search in a list of all of them.
        """
        masks = [fired for entry, fired, _ in self._entries if entry.side != side or (room and entry.pyramiding)]
        if side:
            masks += [fired for out, fired in self._exits if out.side in (None, side)]
        return reduce(np.logical_or, masks).tobytes() if masks else b""

    def _watch(self, position: OpenPosition, start: int, stop: int) -> tuple[int | None, tuple[int, EndedEarly] | None]:
        """The first bar in [start, stop) that touches an exit price, or the close before it that breaks a limit."""
        chunk = FIRST_CHUNK
        while start < stop:
            end = min(start + chunk, stop)
            touched = first_touch(position, self._market, start, end)
            breached = self._limits.first(
                self._account.balance, position.signed, self._market.close[start : min(touched, self._size - 1)], start
            )
            if breached is not None:
                return None, breached
            if touched < end:
                return touched, None
            start = end
            see(position, self._market, start)
            chunk = min(4 * chunk, LARGEST_CHUNK)
        return None, None

    def _trade(self, signal: int, position: OpenPosition | None) -> None:
        """Fill the decisions of the close of `signal` at the next open."""
        bar = signal + 1
        reference = self._market.open.item(bar)
        equity = self._account.balance + (position.signed * reference if position else 0.0)
        orders = self._decided(signal, position)
        if position is not None:
            self._take_off(position, signal, reference, bool(orders) and orders[0].side != position.side)
        if orders:
            self._put_on(orders, equity, reference, bar)
        self._record(bar)

    def _decided(self, signal: int, position: OpenPosition | None) -> list[EntryOrder]:
        """The entries that fire: one direction per bar, and at most as many as pyramiding allows."""
        orders: list[EntryOrder] = []
        for entry, fired, order in self._entries:
            if not fired[signal] or (orders and orders[0].side != entry.side):
                continue
            have = len(orders) + (position.entries if position and position.side == entry.side else 0)
            if have == 0 or have <= entry.pyramiding:
                orders.append(order or order_at(entry, signal))
        return orders

    def _take_off(self, position: OpenPosition, signal: int, reference: float, reverse: bool) -> None:  # noqa: FBT001
        price = self._market.costs.exit_price(position.side, reference)
        for out, fired in self._exits:
            if fired[signal] and out.side in (None, position.side) and position.amount > 0.0:
                fraction = out.fraction
                amount = position.amount * (fraction.item(signal) if isinstance(fraction, np.ndarray) else fraction)
                self._account.close(position, amount, price, reference, signal + 1, "signal")
        if reverse and self._account.positions:
            self._account.close(position, position.amount, price, reference, signal + 1, "signal")

    def _put_on(self, orders: list[EntryOrder], equity: float, reference: float, bar: int) -> None:
        costs, account = self._market.costs, self._account
        side: DirectionSign = orders[0].side
        price = costs.entry_price(side, reference)
        unit = costs.unit_cost(price)
        wanted: list[float] = []
        cost = 0.0
        for order in orders:
            amount = amount_for(order.kind, order.value, equity, price, order.stop)
            wanted.append(amount)
            cost += amount * unit
        factor = account.afford(cost, len(orders))
        for i, order in enumerate(orders):
            position = account.open(SLOT, side, wanted[i] * factor, price, reference, bar, "entry")
            if position is not None:
                position.follow(order)
        account.settle()

    def _close_within(self, position: OpenPosition, bar: int) -> None:
        market = self._market
        how = closing(position, market.costs, market.open.item(bar), market.high.item(bar), market.low.item(bar))
        if how is None:
            raise AssertionError(f"bar {bar} was found to touch an exit price and does not")
        reference, reason = how
        price = closing_price(position, market.costs, reference, reason)
        self._account.close(position, position.amount, price, reference, bar, reason)
        self._record(bar)

    def _end(self, position: OpenPosition, bar: int, reason: EndedEarly) -> int:
        """A limit was reached at the close of `bar`: close at the next open and trade no more."""
        reference = self._market.open.item(bar + 1)
        price = self._market.costs.exit_price(position.side, reference)
        why: ExitReason = reason
        self._account.close(position, position.amount, price, reference, bar + 1, why)
        self._record(bar + 1)
        self._ended = reason
        return self._size

    def _record(self, bar: int) -> None:
        account = self._account
        position = account.positions.get(SLOT)
        self._path += (bar, account.balance, 0.0 if position is None else position.signed, account.free())

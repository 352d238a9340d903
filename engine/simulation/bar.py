"""One bar of trading on the general path: every instrument, every kind of order, in a fixed order.

At the open, waiting market orders fill: reductions before additions, all sized by the equity at the open. Limit orders
that the open already satisfies fill next. One that was placed at this open is taken at once, so it slips, but never
beyond its limit; one that has rested since an earlier bar fills at the open. A limit order is sized when it is placed:
at its limit, by the equity at that open after the market orders.

Within the bar, exits close positions first. Then the limit orders that the bar's range touches fill, and the positions
that they open may close on later prices of the bar. At the close, prediction tokens pay out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.program import DirectionSign

from .account import OpenPosition, PositionSlot, SimulatedAccount
from .market import TradedInstrument
from .pending import Cell, PendingClose, PendingEntry, PendingOrder, PendingOrders, PlaceGrid, TargetWeight
from .rules import Closing, amount_for, closing, closing_after_touch, closing_price, limit_fill
from .schedule import EntryOrder
from .trades import ExitReason, FillReason
from .trigger_scan import see


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An opening fill before it is scaled to the available money. `order` is None for a rebalance."""

    slot: PositionSlot
    side: DirectionSign
    amount: float
    price: float
    reason: FillReason
    tag: str | None
    order: EntryOrder | None


class Session:
    """The account's trading, one bar at a time."""

    def __init__(self, markets: Sequence[TradedInstrument], account: SimulatedAccount, book: PendingOrders) -> None:
        self._markets = markets
        self._account = account
        self._book = book
        self._resolutions = {m.resolution for m in markets}

    def trade(self, bar: int) -> None:
        """Everything that happens on `bar`."""
        book = self._book
        opens = self.opens(bar) if book.waiting or book.resting or book.cells else ()
        self._market_orders(bar, opens)
        book.new &= book.resting.keys()
        placed = {k for k in book.new if self._markets[k].has(bar)}
        if placed:
            equity = self._account.equity(opens)
            for k in placed:
                book.place(k, equity)
        for k in sorted(book.resting):
            self._limits(k, bar, opens[k], gap=True, new=k in placed)
        for k in sorted(book.cells):
            self._buy_cells(k, bar, opens, gap=True)
        for slot in tuple(self._account.order):
            position = self._account.positions[slot]
            if position.clear <= bar:
                self._close_by_itself(position, bar)
        for k in sorted(book.resting):
            self._limits(k, bar, opens[k], gap=False)
        for k in sorted(book.cells):
            self._buy_cells(k, bar, opens, gap=False)
            self._arm(k, bar)
        self._pay_out(bar)

    def fill_waiting(self, bar: int) -> None:
        """Fill only the market orders that wait for the open of `bar`."""
        if self._book.waiting:
            self._market_orders(bar, self.opens(bar))

    def close_all(self, bar: int, reason: ExitReason) -> None:
        """Close every position that trades on `bar`, at its open."""
        for slot in tuple(self._account.order):
            market = self._markets[slot[0]]
            if market.has(bar):
                self._close_at(self._account.positions[slot], market.open.item(bar), bar, reason)

    def close_at_end(self, bar: int) -> None:
        """Close everything at its last known price."""
        for slot in tuple(self._account.order):
            self._close_at(self._account.positions[slot], self._markets[slot[0]].mark.item(bar), bar, "end_of_data")

    def opens(self, bar: int) -> list[float]:
        """Each instrument's price at the open: its own, or the last one known."""
        return [m.open.item(bar) if m.has(bar) else (m.mark.item(bar - 1) if bar else 0.0) for m in self._markets]

    def _close_at(self, position: OpenPosition, reference: float, bar: int, reason: ExitReason) -> None:
        self._close(position, position.amount, reference, bar, reason)

    def _close(self, position: OpenPosition, amount: float, reference: float, bar: int, reason: ExitReason) -> None:
        price = closing_price(position, self._markets[position.slot[0]].costs, reference, reason)
        self._account.close(position, amount, price, reference, bar, reason)

    # --- market orders -----------------------------------------------------------------------------------------------

    def _market_orders(self, bar: int, opens: Sequence[float]) -> None:
        due = self._book.due(bar)
        if not due:
            return
        equity = self._account.equity(opens)
        for order in sorted(due, key=_exits_first):
            self._reduce(order, bar, opens, equity)
        wanted = [w for order in due if (w := self._wanted(order, opens, equity)) is not None]
        self._open_all(wanted, bar, opens)

    def _reduce(self, order: PendingOrder, bar: int, opens: Sequence[float], equity: float) -> None:
        match order:
            case PendingClose(k, side, fraction):
                for slot in [s for s in self._account.order if s[0] == k]:
                    position = self._account.positions[slot]
                    if side in (None, position.side):
                        self._close(position, position.amount * fraction, opens[k], bar, "signal")
            case PendingEntry(k, entry):
                position = self._account.positions.get((k, -1))
                if position is not None and position.side != entry.side:
                    self._close_at(position, opens[k], bar, "signal")
            case TargetWeight(k):
                position = self._account.positions.get((k, -1))
                if position is not None:
                    self._reduce_to(position, self._target(order, opens, equity), opens[k], bar)
            case PlaceGrid():
                pass

    def _target(self, order: TargetWeight, opens: Sequence[float], equity: float) -> float:
        """The signed amount for the weight at the open."""
        price = opens[order.k]
        return order.weight * equity / price if price > 0.0 else 0.0

    def _reduce_to(self, position: OpenPosition, target: float, price: float, bar: int) -> None:
        keep = max(position.side * target, 0.0)
        excess = position.amount - keep
        if keep == 0.0:
            self._close_at(position, price, bar, "rebalance")
        elif excess * price >= self._account.dust:
            self._close(position, excess, price, bar, "rebalance")

    def _wanted(self, order: PendingOrder, opens: Sequence[float], equity: float) -> _Wanted | None:
        if isinstance(order, PlaceGrid):
            amounts = [amount_for(order.kind, order.value, equity, price, None) for price in order.prices[:-1]]
            self._book.rest(order, amounts, opens[order.k])
            return None
        if isinstance(order, PendingEntry):
            costs, entry = self._markets[order.k].costs, order.order
            price = costs.entry_price(entry.side, opens[order.k])
            amount = amount_for(entry.kind, entry.value, equity, price, entry.stop)
            return _Wanted((order.k, -1), entry.side, amount, price, "entry", entry.tag, entry)
        return self._wanted_weight(order, opens, equity) if isinstance(order, TargetWeight) else None

    def _wanted_weight(self, order: TargetWeight, opens: Sequence[float], equity: float) -> _Wanted | None:
        target = self._target(order, opens, equity)
        side: DirectionSign = 1 if target > 0.0 else -1
        position = self._account.positions.get((order.k, -1))
        amount = side * target - (position.amount if position is not None else 0.0)
        if amount <= 0.0:
            return None
        price = self._markets[order.k].costs.entry_price(side, opens[order.k])
        return _Wanted((order.k, -1), side, amount, price, "rebalance", order.tag, None)

    def _open_all(self, wanted: Sequence[_Wanted], bar: int, references: Sequence[float]) -> None:
        """Make the opening fills, all scaled by one factor if money is short."""
        if not wanted:
            return
        cost = 0.0
        for w in wanted:
            cost += w.amount * self._markets[w.slot[0]].costs.unit_cost(w.price)
        factor = self._account.afford(cost, len(wanted))
        for w in wanted:
            position = self._account.open(
                w.slot, w.side, w.amount * factor, w.price, references[w.slot[0]], bar, w.reason
            )
            if position is None:
                continue
            if w.order is not None:
                self._account.follow(position, w.order)
            elif position.tag is None:
                position.tag = w.tag
        self._account.settle()

    # --- limit orders ------------------------------------------------------------------------------------------------

    def _limits(self, k: int, bar: int, opened: float, *, gap: bool, new: bool = False) -> None:
        """Fill an instrument's limit entries: at the open if that is no worse than the limit, else at the limit."""
        market, slot = self._markets[k], (k, -1)
        if not market.has(bar):
            return
        filled: float | None = None
        began = False
        remaining: list[EntryOrder] = []
        for order in self._book.resting.pop(k):
            limit = order.limit or 0.0
            reached = opened if gap else (market.low.item(bar) if order.side > 0 else market.high.item(bar))
            if order.side * reached > order.side * limit:
                remaining.append(order)
                continue
            reference = filled = opened if gap else limit
            if new:
                filled = limit_fill(market.costs, order.side, limit, reference)
            began = self._fill_limit(slot, order, filled, reference, bar) or began
        if remaining:
            self._book.resting[k] = remaining
        if filled is not None and not gap:
            self._close_after_touch(slot, filled, bar, began=began)

    def _fill_limit(self, slot: PositionSlot, order: EntryOrder, price: float, reference: float, bar: int) -> bool:
        """Fill one limit entry at `price`; true where that began a position."""
        costs, limit = self._markets[slot[0]].costs, order.limit or 0.0
        held = self._account.positions.get(slot)
        if held is not None and held.side != order.side:
            self._account.close(held, held.amount, price, reference, bar, "signal")
            self._account.note(order)
            held = None
        amount = order.units or 0.0
        amount *= self._account.afford(amount * costs.unit_cost(max(limit, price)))
        position = self._account.open(slot, order.side, amount, price, reference, bar, "entry", limit)
        self._account.settle()
        if position is None:
            return False
        self._account.follow(position, order)
        return held is None

    def _begin_inside(self, position: OpenPosition, bar: int) -> None:
        """After a fill inside the bar, the close is the only better price known to come later."""
        close = self._markets[position.slot[0]].close.item(bar)
        position.peak = max(position.peak, close) if position.side > 0 else min(position.peak, close)
        position.seen = bar

    def _close_after_touch(self, slot: PositionSlot, touched: float, bar: int, *, began: bool) -> None:
        """Close the position that a fill inside the bar left open, if the prices after the fill do so.

        A position that `began` here trails the close only from the next bar on: the bar's worst price came before it.
        """
        position = self._account.positions.get(slot)
        if position is None:
            return
        market = self._markets[slot[0]]
        see(position, market, bar)
        worst = market.low.item(bar) if position.side > 0 else market.high.item(bar)
        how = closing_after_touch(position, market.costs, touched, worst, market.close.item(bar))
        self._carry_out(position, how, bar)
        if how is None and began:
            self._begin_inside(position, bar)

    # --- grids -------------------------------------------------------------------------------------------------------

    def _buy_cells(self, k: int, bar: int, opens: Sequence[float], *, gap: bool) -> None:
        """Fill the armed rungs that the open, or else the bar's range, reaches; the highest first."""
        market = self._markets[k]
        if not market.has(bar):
            return
        reached = opens[k] if gap else market.low.item(bar)
        for cell in reversed(self._book.cells[k]):
            if cell.armed and reached <= cell.buy:
                self._buy_cell(cell, (k, cell.number), opens[k] if gap else cell.buy, bar, gap=gap)

    def _buy_cell(self, cell: Cell, slot: PositionSlot, price: float, bar: int, *, gap: bool) -> None:
        cell.armed = False
        amount = cell.amount * self._account.afford(cell.amount * self._markets[slot[0]].costs.unit_cost(price))
        position = self._account.open(slot, 1, amount, price, price, bar, "grid")
        self._account.settle()
        if position is not None:
            position.tag, position.price_target = cell.tag, cell.sell
            if not gap:
                self._close_after_touch(slot, price, bar, began=True)

    def _arm(self, k: int, bar: int) -> None:
        """A rung without a position rests again once the market has closed above it."""
        market = self._markets[k]
        if market.has(bar):
            close = market.close.item(bar)
            for cell in self._book.cells[k]:
                if not cell.armed and (k, cell.number) not in self._account.positions:
                    cell.armed = close > cell.buy

    # --- closing -----------------------------------------------------------------------------------------------------

    def _close_by_itself(self, position: OpenPosition, bar: int) -> None:
        market = self._markets[position.slot[0]]
        if market.has(bar):
            see(position, market, bar)
            prices = (market.open.item(bar), market.high.item(bar), market.low.item(bar))
            self._carry_out(position, closing(position, market.costs, *prices), bar)

    def _carry_out(self, position: OpenPosition, how: Closing | None, bar: int) -> None:
        if how is not None:
            reference, reason = how
            self._close_at(position, reference, bar, reason)

    def _pay_out(self, bar: int) -> None:
        if bar not in self._resolutions:
            return
        for k, market in enumerate(self._markets):
            if market.resolution == bar:
                for slot in [s for s in self._account.order if s[0] == k]:
                    self._close_at(self._account.positions[slot], market.close.item(bar), bar, "resolution")
                self._book.drop(k)


def _exits_first(order: PendingOrder) -> bool:
    return not isinstance(order, PendingClose)

"""One account inside one write transaction: accept, fill and end orders, liquidate, pay out.

The caller must read prices before opening a `TradingAccount`, since nothing slow may happen under the write lock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal

import sqlalchemy as sa

from api.orders import INTERNAL_PREFIX, OrderStatus
from api.symbols import Instrument
from engine.store.accounts import orders_table
from engine.store.database import new_id
from engine.trading_rules import ZERO, Exits, nearest, text, trailing_price
from engine.venues.paper.postings import (
    Books,
    InsufficientFunds,
    Line,
    PaperFill,
    closable_part,
    liquidate,
    opening_part,
    pay_out,
    reservation,
    trade,
)
from engine.venues.paper.records import (
    AccountRecord,
    OrderRecord,
    PositionRecord,
    insert_order,
    read_open_orders,
    read_order,
    read_orders,
    read_position,
    see_orders,
    update_order,
    write_exits,
    write_position,
)


@dataclass(frozen=True, slots=True)
class TradingAccount:
    """An account to trade on. `now` is unix seconds; the caller computes under `money.exact` and has locked it."""

    connection: sa.Connection
    account: AccountRecord
    now: float

    @property
    def books(self) -> Books:
        """Its ledger and balances."""
        return Books(self.connection, self.account.id, round(self.now * 1000))

    def open_orders(self, instrument: Instrument | None = None) -> list[OrderRecord]:
        """The resting orders, in the order of placing."""
        return read_open_orders(self.connection, self.account.id, instrument)

    def order(self, known: OrderRecord) -> OrderRecord:
        """The current state of an order, after other orders of its plan were filled or ended."""
        return read_order(self.connection, self.account, known.order_id) or known

    def position(self, instrument: Instrument) -> PositionRecord | None:
        """The open position, for perpetuals and prediction tokens."""
        return read_position(self.connection, self.account, instrument)

    def accept(self, order: OrderRecord) -> OrderRecord:
        """Store an order in state INIT."""
        return insert_order(self.connection, order)

    def rest(self, order: OrderRecord) -> OrderRecord:
        """Reserve funds for the rest of an order and let it rest.

        Raises:
            InsufficientFunds: There is not enough free.
        """
        others = [o for o in self.open_orders(order.instrument) if o.side == order.side and o.seq != order.seq]
        opening = opening_part(order, self.position(order.instrument), others)
        if order.reduce_only and order.instrument.market_type == "perpetual":
            opening = ZERO
        asset, amount = reservation(order, opening, self.account.terms)
        self.books.move("reserve", asset, amount, "free", "held", order.order_id)
        status: OrderStatus = "PART_FILLED" if order.filled else "OPEN"
        return self._update(order, replace(order, status=status, opening=opening, reserved=amount))

    def fill(self, order: OrderRecord, fill: PaperFill) -> OrderRecord:
        """Fill a part of an order. Its reserve for that part pays, then free funds if that is not enough.

        Raises:
            InsufficientFunds: Both together are not enough. Nothing was changed.
        """
        order = self._holding_the_reserve(order)
        effect = trade(order, self.position(order.instrument), fill)
        left = order.unfilled - fill.amount
        opening = min(max(order.opening - effect.opened, ZERO), left)
        after = replace(
            order,
            status="FILLED" if left == 0 else "PART_FILLED",
            filled=order.filled + fill.amount,
            cost=order.cost + fill.amount * fill.price,
            fee=order.fee + effect.fee,
            opening=opening,
        )
        if order.reserved:
            asset, needed = reservation(order, opening, self.account.terms)
            effect.lines.extend(_released(asset, order.reserved - needed))
            after = replace(after, reserved=needed)
        at = min(fill.at * 1000, round(self.now * 1000))
        self.books.post("fill", effect.lines, order_id=order.order_id, at=at)
        if effect.position is not None:
            write_position(self.connection, effect.position)
        filled = self._update(order, after, at)
        if filled.exits:
            self._protect(filled, effect.opened, fill)
        if filled.role is not None:
            self._one_cancels_other(filled, fill.amount)
        if order.instrument.market_type == "perpetual":
            self._fit_exits(order.instrument)
        return filled

    def exits_of(self, entry: OrderRecord) -> list[OrderRecord]:
        """The resting exits of an entry."""
        return [order for order in self.open_orders(entry.instrument) if order.parent == entry.order_id]

    def set_exits(self, entry: OrderRecord, exits: Exits, tick: Decimal, covers: Decimal | None = None) -> OrderRecord:
        """Replace the resting and future exits of an entry. The new ones cover `covers`, or else the same amount."""
        before = self.exits_of(entry)
        amount = max((order.unfilled for order in before), default=ZERO)
        seen = max((order.seen_until for order in before), default=math.ceil(self.now))
        if covers is not None:
            amount = covers
        elif not before and entry.filled:
            amount = self._unprotected(entry)
        for order in before:
            self.end(order, "CANCELLED", "Replaced")
        entry = replace(entry, exits=exits or None)
        write_exits(self.connection, entry)
        if exits and amount:
            best = next((order.best for order in before if order.best is not None), None)
            self._rest_exits(entry, exits, amount, seen, tick, best)
        return entry

    def cancel(self, order: OrderRecord) -> OrderRecord:
        """End an order on request: an exit together with the other one, an entry together with its future exits."""
        if order.role is not None:
            for other in self.open_orders(order.instrument):
                if other.parent == order.parent and other.seq != order.seq:
                    self.end(other, "CANCELLED", "Cancelled on request, with the other exit")
        kept = " The exits of what was filled stay" if self.exits_of(order) else ""
        return self.end(order, "CANCELLED", f"Cancelled on request.{kept}" if kept else "Cancelled on request")

    def held_by_exits(self, instrument: Instrument) -> Decimal:
        """How much of a spot or prediction balance exits hold."""
        return sum((order.reserved for order in self.open_orders(instrument) if order.role is not None), ZERO)

    def release(self, instrument: Instrument, amount: Decimal) -> None:
        """Shrink exits, the oldest first, until they hold `amount` less of a spot or prediction balance."""
        self._shrink(instrument, -1, amount, "What it protected was sold")

    def _holding_the_reserve(self, order: OrderRecord) -> OrderRecord:
        """An exit about to be filled, with its plan's reserve, which only one exit of a plan holds at a time."""
        if order.role is None or order.reserved or order.instrument.market_type == "perpetual":
            return order
        for other in self.open_orders(order.instrument):
            if other.parent == order.parent and other.reserved:
                self._update(other, replace(other, opening=ZERO, reserved=ZERO))
                return self._update(order, replace(order, opening=order.unfilled, reserved=other.reserved))
        return order

    def _protect(self, entry: OrderRecord, opened: Decimal, fill: PaperFill) -> None:
        """Extend the exits of an entry to the part that has just opened or grown a position."""
        resting = self.exits_of(entry)
        if opened == 0 or entry.exits is None:
            return
        if not resting:
            self._rest_exits(entry, entry.exits, opened, fill.at, fill.tick, None)
            return
        for order in resting:
            grown = replace(order, amount=order.amount + opened)
            if order.reserved:
                self._hold(grown, opened)
                grown = replace(grown, opening=grown.unfilled, reserved=order.reserved + opened)
            self._update(order, grown)

    def _rest_exits(
        self, entry: OrderRecord, exits: Exits, amount: Decimal, seen: int, tick: Decimal, best: Decimal | None
    ) -> None:
        """Accept one exit for each price; the first of a spot or prediction plan holds the amount to sell."""
        entered = entry.average_price or entry.limit
        now = round(self.now * 1000)
        for role, price in exits.prices(entry.direction, entered).items():
            is_target = role == "take_profit"
            is_first = role == next(iter(exits.prices(entry.direction, entered)))
            at = max(nearest(price, tick), tick)
            order = self.accept(
                OrderRecord(
                    order_id=new_order_id(),
                    account=self.account.id,
                    instrument=entry.instrument,
                    side="sell" if entry.side == "buy" else "buy",
                    order_type="limit" if is_target else "market",
                    amount=amount,
                    price=at if is_target else None,
                    leverage=entry.leverage,
                    label=None,
                    created_at=now,
                    updated_at=now,
                    seen_until=seen,
                    reduce_only=True,
                    role=role,
                    parent=entry.order_id,
                    trigger=None if is_target else at,
                    trail=exits.trail if role == "trailing_stop" else None,
                    best=(best or entered) if role == "trailing_stop" else None,
                )
            )
            resting = replace(order, status="OPEN")
            if is_first and entry.instrument.market_type != "perpetual":
                self._hold(order, amount)
                resting = replace(resting, opening=amount, reserved=amount)
            self._update(order, resting)

    def _hold(self, order: OrderRecord, amount: Decimal) -> None:
        self.books.move("reserve", order.instrument.base, amount, "free", "held", order.order_id)

    def _one_cancels_other(self, order: OrderRecord, amount: Decimal) -> None:
        """Reduce the other exit by the amount that one has sold; the plan ends when all is sold."""
        for other in self.open_orders(order.instrument):
            if other.parent == order.parent and other.seq != order.seq:
                if order.status == "FILLED":
                    self.end(other, "CANCELLED", "The other exit was filled")
                else:
                    self._update(other, replace(other, amount=other.amount - amount))
        entry = read_order(self.connection, self.account, order.parent or "")
        if order.status == "FILLED" and entry is not None and entry.is_open:
            self.end(entry, "CANCELLED", "One of its exits was filled")

    def _fit_exits(self, instrument: Instrument) -> None:
        """Exits of a perpetual never exceed the position; a closed or flipped position leaves none."""
        position = self.position(instrument)
        for direction in (1, -1):
            closable = closable_part(position, direction)
            plans = self._plans(instrument, direction)
            excess = sum((plan[0].unfilled for plan in plans), ZERO) - closable
            if excess > 0:
                self._shrink(instrument, direction, excess, "The position that it protects is closed")
            for order in self.open_orders(instrument):
                if closable == 0 and order.reduce_only and order.role is None and order.direction == direction:
                    self.end(order, "CANCELLED", "There is no position left to reduce")

    def _shrink(self, instrument: Instrument, direction: int, amount: Decimal, why: str) -> None:
        for plan in self._plans(instrument, direction):
            cut = min(plan[0].unfilled, amount)
            amount -= cut
            for order in plan if cut else ():
                if cut == order.unfilled:
                    self.end(order, "CANCELLED", why)
                    continue
                smaller = replace(order, amount=order.amount - cut)
                if order.reserved:
                    self.books.move("release", instrument.base, cut, "held", "free", order.order_id)
                    smaller = replace(smaller, opening=smaller.unfilled, reserved=order.reserved - cut)
                self._update(order, smaller)

    def _plans(self, instrument: Instrument, direction: int) -> list[list[OrderRecord]]:
        """The resting exits that buy or sell, by plan, oldest first; exits of one plan have the same size."""
        plans: dict[str, list[OrderRecord]] = {}
        for order in self.open_orders(instrument):
            if order.role is not None and order.direction == direction:
                plans.setdefault(order.parent or "", []).append(order)
        return list(plans.values())

    def _unprotected(self, entry: OrderRecord) -> Decimal:
        """The amount opened by an entry that no exit has closed or covers."""
        table = orders_table.c
        where = sa.and_(table.account == self.account.id, table.parent == entry.order_id)
        closed = sum((order.filled for order in read_orders(self.connection, where)), ZERO)
        if entry.instrument.market_type != "perpetual":
            there = self.books.amount("free", entry.instrument.base)
        else:
            plans = self._plans(entry.instrument, -entry.direction)
            there = closable_part(self.position(entry.instrument), -entry.direction)
            there -= sum((plan[0].unfilled for plan in plans), ZERO)
        return max(min(entry.filled - closed, there), ZERO)

    def end(self, order: OrderRecord, status: OrderStatus, message: str | None = None) -> OrderRecord:
        """End an order and release its reserve."""
        if order.reserved:
            asset, _ = reservation(order, order.opening, self.account.terms)
            self.books.move("release", asset, order.reserved, "held", "free", order.order_id)
        return self._update(order, replace(order, status=status, opening=ZERO, reserved=ZERO, message=message))

    def fill_or_end(self, order: OrderRecord, fill: PaperFill) -> OrderRecord:
        """Fill a resting order. End it if the position it was to close is gone and there are no funds to open one."""
        try:
            return self.fill(order, fill)
        except InsufficientFunds as error:
            status: OrderStatus = "CANCELLED" if order.filled else "REJECTED"
            return self.end(order, status, f"No margin when its price was reached: {error.message}")

    def pay_funding(self, position: PositionRecord, price: Decimal, rate: Decimal, at: int) -> PositionRecord:
        """Charge a funding rate on a position's value, or credit it; the margin pays what free money cannot."""
        quote = position.instrument.quote
        due = position.size * price * rate
        from_margin = min(max(due - self.books.amount("free", quote), ZERO), position.margin)
        from_free = due - from_margin if due <= 0 or from_margin == 0 else self.books.amount("free", quote)
        paid = from_free + from_margin
        lines = [Line("free", quote, -from_free), Line("margin", quote, -from_margin), Line("pnl", quote, paid)]
        self.books.post("funding", lines, at=at * 1000)
        charged = replace(position, margin=position.margin - from_margin)
        write_position(self.connection, charged)
        return charged

    def liquidate(self, position: PositionRecord, price: Decimal, at: int) -> None:
        """Close a position at its liquidation price: the margin is lost, and open orders in the instrument end."""
        for order in self.open_orders(position.instrument):
            self.end(order, "CANCELLED", "The position was liquidated")
        size = abs(position.size)
        message = f"Liquidated at {text(price)}: the isolated margin of {text(position.margin)} was lost"
        order = self.accept(
            OrderRecord(
                order_id=new_order_id(),
                account=self.account.id,
                instrument=position.instrument,
                side="sell" if position.size > 0 else "buy",
                order_type="market",
                amount=size,
                price=None,
                leverage=position.leverage,
                label="liquidation",
                created_at=at * 1000,
                updated_at=at * 1000,
                seen_until=at,
            )
        )
        self.books.post("liquidation", liquidate(position), order_id=order.order_id, at=at * 1000)
        write_position(self.connection, replace(position, size=ZERO))
        self._update(order, replace(order, status="FILLED", filled=size, cost=size * price, message=message), at * 1000)

    def resolve(self, instrument: Instrument, payout: int) -> None:
        """Resolve a prediction market: orders end, tokens are paid out."""
        for order in self.open_orders(instrument):
            self.end(order, "CANCELLED", f"The market resolved: the token pays {payout}")
        position = self.position(instrument)
        if position is not None:
            self.books.post("payout", pay_out(position, payout))
            write_position(self.connection, replace(position, size=ZERO))

    def trail(self, order: OrderRecord, best: Decimal) -> None:
        """Record the best price that a trailing stop has seen, and its new trigger."""
        if best != order.best and order.trail is not None:
            level = trailing_price(-order.direction, best, order.trail)
            self._update(order, replace(order, best=best, trigger=level))

    def seen(self, instrument: Instrument, until: int) -> None:
        """Record that all bars up to `until` (unix seconds) have been met, so that none is met twice."""
        see_orders(self.connection, self.account, instrument, until)
        position = self.position(instrument)
        if position is not None and position.seen_until < until:
            write_position(self.connection, replace(position, seen_until=until))

    def _update(self, before: OrderRecord, after: OrderRecord, at: int | None = None) -> OrderRecord:
        return update_order(self.connection, before, replace(after, updated_at=at or round(self.now * 1000)))


def new_order_id() -> str:
    """Our own id of an order; the prefix distinguishes it from a venue's."""
    return INTERNAL_PREFIX + new_id("order").removeprefix("order_")


def _released(asset: str, amount: Decimal) -> list[Line]:
    return [Line("held", asset, -amount), Line("free", asset, amount)]

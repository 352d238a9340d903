"""One account inside one write transaction: take an order in, fill it, end it, liquidate, pay out.

Whoever opens a `TradingAccount` has read prices before, since nothing slow may happen under the write lock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import sqlalchemy as sa

from api.orders import CANCELLABLE, INTERNAL_PREFIX, OrderStatus
from api.symbols import Instrument
from engine.store.broker import orders_table
from engine.store.ids import new_id
from engine.venues.amounts import ZERO, text

from .fills import Fill, liquidate, opening_part, pay_out, reservation, trade
from .ledger import Books, InsufficientFunds, Line
from .records import (
    AccountRecord,
    OrderRecord,
    PositionRecord,
    insert_order,
    read_orders,
    read_position,
    update_order,
    write_position,
)


@dataclass(frozen=True, slots=True)
class TradingAccount:
    """An account to trade on. `now` is unix seconds; the caller computes under `money.exact` and has it locked."""

    connection: sa.Connection
    account: AccountRecord
    now: float

    @property
    def books(self) -> Books:
        """Its ledger and balances."""
        return Books(self.connection, self.account.id, round(self.now * 1000))

    def open_orders(self, instrument: Instrument | None = None) -> list[OrderRecord]:
        """What rests, in the order of placing."""
        table = orders_table.c
        where = sa.and_(table.account == self.account.id, table.status.in_(CANCELLABLE))
        if instrument is not None:
            where = sa.and_(where, table.base == instrument.base, table.quote == instrument.quote)
        return list(read_orders(self.connection, where))

    def position(self, instrument: Instrument) -> PositionRecord | None:
        """The open position, for perpetuals and prediction tokens."""
        return read_position(self.connection, self.account, instrument)

    def accept(self, order: OrderRecord) -> OrderRecord:
        """Store an order in state INIT."""
        return insert_order(self.connection, order)

    def rest(self, order: OrderRecord) -> OrderRecord:
        """Reserve funds for what is left of an order and let it wait.

        Raises:
            InsufficientFunds: There is not enough free.
        """
        others = [o for o in self.open_orders(order.instrument) if o.side == order.side and o.seq != order.seq]
        opening = opening_part(order, self.position(order.instrument), others)
        asset, amount = reservation(order, opening, self.account.terms)
        self.books.move("reserve", asset, amount, "free", "held", order.order_id)
        status: OrderStatus = "PART_FILLED" if order.filled else "OPEN"
        return self._update(order, replace(order, status=status, opening=opening, reserved=amount))

    def fill(self, order: OrderRecord, fill: Fill) -> OrderRecord:
        """Trade a part of an order; what it held for that part pays for it, and free funds where that is not enough.

        Raises:
            InsufficientFunds: Both together are not enough. Nothing was changed.
        """
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
        return self._update(order, after, at)

    def end(self, order: OrderRecord, status: OrderStatus, message: str | None = None) -> OrderRecord:
        """Take an order out of the market and free what it held."""
        if order.reserved:
            asset, _ = reservation(order, order.opening, self.account.terms)
            self.books.move("release", asset, order.reserved, "held", "free", order.order_id)
        return self._update(order, replace(order, status=status, opening=ZERO, reserved=ZERO, message=message))

    def fill_or_end(self, order: OrderRecord, fill: Fill) -> OrderRecord:
        """Fill a resting order. If the position it was to close is gone and there are no funds to open one, end it."""
        try:
            return self.fill(order, fill)
        except InsufficientFunds as error:
            status: OrderStatus = "CANCELLED" if order.filled else "REJECTED"
            return self.end(order, status, f"No margin when its price was reached: {error.message}")

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
        """A prediction market has its answer: orders end, tokens are paid."""
        for order in self.open_orders(instrument):
            self.end(order, "CANCELLED", f"The market resolved: the token pays {payout}")
        position = self.position(instrument)
        if position is not None:
            self.books.post("payout", pay_out(position, payout))
            write_position(self.connection, replace(position, size=ZERO))

    def seen(self, instrument: Instrument, until: int) -> None:
        """Remember that all bars up to `until` (unix seconds) have been met, so that none is met twice."""
        for order in self.open_orders(instrument):
            if order.seen_until < until:
                update_order(self.connection, order, replace(order, seen_until=until))
        position = self.position(instrument)
        if position is not None and position.seen_until < until:
            write_position(self.connection, replace(position, seen_until=until))

    def _update(self, before: OrderRecord, after: OrderRecord, at: int | None = None) -> OrderRecord:
        return update_order(self.connection, before, replace(after, updated_at=at or round(self.now * 1000)))


def new_order_id() -> str:
    """Our own id of an order; the prefix tells it from a venue's."""
    return INTERNAL_PREFIX + new_id("order").removeprefix("order_")


def _released(asset: str, amount: Decimal) -> list[Line]:
    return [Line("held", asset, -amount), Line("free", asset, amount)]

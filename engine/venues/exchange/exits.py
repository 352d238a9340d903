"""The records of exits: how an entry gets them, what is left for each to close, and what becomes of them.

Everything here is decided from the rows alone, inside the caller's transaction.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

import sqlalchemy as sa

from api.exchanges import EXCHANGES
from api.orders import ExitRole
from engine.store.database import new_id
from engine.store.exchange_data import SentOrder, add_order, change_order, exits_of, take
from engine.trading_rules import ExitOrder

from .orders import LEFT_BEHIND, SeenOrder, order_id_for
from .views import HELD, WAITING

_BEHIND_SECONDS: Final = 10.0
"""Time after which a limit order of ours that closes, and that the price has left behind, is sent again."""


def book_outcome(connection: sa.Connection, order: SentOrder, lot: Decimal | None) -> None:
    """Record the outcome of an order and, for an entry, the exits that protect the filled part."""
    change_order(connection, order)
    if lot is None:
        return
    exits = exits_of(connection, order.order_id)
    amount = _received(order, lot) - sum(each.filled for each in exits)
    if not exits and amount > 0:
        for role in ("stop_loss", "take_profit"):
            price = getattr(order, role)
            if price is not None:
                add_order(connection, new_exit(order, role, price, amount))
    for each in exits:
        if each.status == WAITING and each.amount != amount:
            change_order(connection, replace(each, amount=amount, updated_at=order.updated_at))


def _received(order: SentOrder, lot: Decimal) -> Decimal:
    """The filled amount of an order, less a fee deducted from it, in whole lots."""
    base = order.symbol.partition("/")[0]
    fee = order.fee if order.fee is not None and order.fee_currency == base and order.side == "buy" else Decimal(0)
    return (order.filled - fee) // lot * lot


def new_exit(entry: SentOrder, role: str, price: Decimal, amount: Decimal, number: int = 0) -> SentOrder:
    """An exit that waits for its price, with its id at the exchange; `number` counts the exits it replaces."""
    label = f"{entry.order_id}/{role}" + (f"/{number}" if number else "")
    return SentOrder(
        order_id=new_id("order"),
        account_id=entry.account_id,
        exchange=entry.exchange,
        symbol=entry.symbol,
        label=label,
        client_id=order_id_for(entry.exchange, entry.account_id, label),
        side="sell" if entry.side == "buy" else "buy",
        order_type="market",
        amount=amount,
        price=None,
        leverage=None,
        status=WAITING,
        created_at=entry.updated_at,
        updated_at=entry.updated_at,
        stop_loss=price if role == "stop_loss" else None,
        take_profit=price if role == "take_profit" else None,
        reduce_only=True,
        role=role,
        parent=entry.order_id,
    )


def replace_exits(
    connection: sa.Connection,
    entry: SentOrder,
    prices: Mapping[ExitRole, Decimal],
    now: float,
    amount: Decimal | None = None,
) -> None:
    """Replace an entry's waiting or cancelled exits. The new ones cover `amount`, or else as much as the old ones."""
    stop, target = prices.get("stop_loss"), prices.get("take_profit")
    change_order(connection, replace(entry, stop_loss=stop, take_profit=target, updated_at=now))
    exits = exits_of(connection, entry.order_id)
    if any(each.status not in HELD and each.status != "CANCELLED" for each in exits):
        return
    protected = max((each.amount for each in exits), default=Decimal(0)) if amount is None else amount
    for each in exits:
        if each.status in HELD:
            change_order(connection, each.ended("CANCELLED", "Replaced", now))
    for role in ("stop_loss", "take_profit"):
        price, number = prices.get(role), sum(each.role == role for each in exits)
        if price is not None and protected:
            added = new_exit(entry, role, price, protected, number)
            add_order(connection, replace(added, created_at=now, updated_at=now))


def why_missed(row: SentOrder, seen: SeenOrder) -> str:
    name = EXCHANGES[row.exchange].name
    why = LEFT_BEHIND if row.message == LEFT_BEHIND else f"{name} ended it: {seen.state or seen.status}"
    return f"{seen.filled.normalize():f} of {row.amount.normalize():f} filled, then {why}"


def left_to_close(exit_order: SentOrder, exits: Sequence[SentOrder]) -> Decimal:
    """What an exit still has to close: its amount less its fills and those of the other exit since it was created."""
    others = (o.filled for o in exits if o.role != exit_order.role and o.updated_at > exit_order.created_at)
    return max(exit_order.amount - exit_order.filled - sum(others, Decimal(0)), Decimal(0))


def price_of(exit_order: SentOrder) -> Decimal:
    return exit_order.stop_loss or exit_order.take_profit or Decimal(0)


def as_asked(entry: SentOrder, exit_order: SentOrder) -> ExitOrder:
    """An exit as submitted to the gate."""
    price = price_of(exit_order)
    role, amount = exit_order.role or "", exit_order.amount
    why = exit_order.message or ""
    return ExitOrder(entry.label, entry.account_id, entry.symbol, exit_order.side, role, price, amount, why)


def take_all(connection: sa.Connection, taken: Sequence[SentOrder]) -> bool:
    """Update exits that waited, unless another process has changed one of them."""
    now = {each.order_id: each.status for each in exits_of(connection, taken[0].parent or "")}
    if any(now[each.order_id] != WAITING for each in taken):
        return False
    for each in taken:
        change_order(connection, each)
    return True


def cancel(connection: sa.Connection, exit_order: SentOrder, why: str, now: float) -> None:
    if take(connection, exit_order, "CANCELLED", now):
        change_order(connection, replace(exit_order, status="CANCELLED", message=why, updated_at=now))


def is_reached(exit_order: SentOrder, price: Decimal) -> bool:
    """Whether the last price has reached an exit's price."""
    stop, target, sells = exit_order.stop_loss, exit_order.take_profit, exit_order.side == "sell"
    if stop is not None:
        return price <= stop if sells else price >= stop
    return target is not None and (price >= target if sells else price <= target)


def is_behind(exit_order: SentOrder, price: Decimal) -> bool:
    """Whether the last price has been beyond a limit order of ours for some time."""
    limit = exit_order.price
    if limit is None or time.time() - exit_order.updated_at < _BEHIND_SECONDS:
        return False
    return price < limit if exit_order.side == "sell" else price > limit

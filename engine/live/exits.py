"""The exits of a strategy's positions, which rest on entries: which entry, how much they cover, and their rows.

A position has one stop and one target. They rest on its newest entry and cover all of it. A rung of a grid is a
separate position. The exits of an entry that fills while no process runs get their rows when they are found.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, get_args

import sqlalchemy as sa

from api.orders import Order
from engine.store.live import resting_table, signals_table

from .orders import ENTRY, LIVING, STOP, TARGET, ZERO, DueOrder, State, change, held, in_state, order_key, slot_of_fill

_row: Final = resting_table.c
_FILLED: Final = _row.filled > sa.literal_column("'0'")
"""An order with a fill, in the words of the index `ix_live_orders_filled`."""
EVERY_STATE: Final[tuple[State, ...]] = get_args(State)


def unclaimed_fill(connection: sa.Connection, signal: DueOrder) -> str | None:
    """The key of an exit that has filled and belongs to no signal yet, for a signal that closes its position."""
    in_slot = slot_of_fill(signal.reason, signal.instrument, signal.rung, closes=True)
    if in_slot is None:
        return None
    where = sa.and_(
        _row.subscription_id == signal.subscription_id,
        _row.symbol == signal.instrument.symbol,
        _row.side == signal.side,
        _row.state == "filled",
        in_slot,
    )
    rows = connection.execute(sa.select(_row.key, _row.price).where(where)).all()
    return min(rows, key=lambda row: abs(row.price - signal.price)).key if rows else None


def exits_beside(connection: sa.Connection, order: DueOrder) -> list[DueOrder]:
    """The living exits of an order's position, itself included."""
    name = order.position
    return [each for each in _living(connection, order) if each.slot in (STOP + name, TARGET + name)]


def resting_exits(connection: sa.Connection, order: DueOrder) -> list[DueOrder]:
    """The exits of the subscription that rest on entries in an order's instrument."""
    return [each for each in _living(connection, order) if each.state == "open" and each.entry is not None]


def _living(connection: sa.Connection, order: DueOrder) -> list[DueOrder]:
    mine = sa.and_(_row.subscription_id == order.subscription_id, _row.symbol == order.instrument.symbol)
    return in_state(connection, *LIVING, where=mine)


def covered(connection: sa.Connection, wish: DueOrder) -> Decimal:
    """How much the exits of a position cover: what its rung holds, or all that no rung of a grid holds."""
    amount = held(connection, wish.subscription_id, wish.instrument.symbol) or ZERO
    if amount * wish.direction >= 0:
        return ZERO
    if "#" in wish.position:
        return max(min(_in_rung(connection, wish, wish.position), abs(amount)), ZERO)
    names = {each.position for each in _living(connection, wish) if "#" in each.position}
    return max(abs(amount) - sum((_in_rung(connection, wish, name) for name in names), ZERO), ZERO)


def _in_rung(connection: sa.Connection, wish: DueOrder, name: str) -> Decimal:
    mine = sa.and_(_row.subscription_id == wish.subscription_id, _row.symbol == wish.instrument.symbol, _FILLED)
    bought = sa.select(_row.order_id, _row.filled, _row.received).where(mine, _row.slot == ENTRY + name)
    last = connection.execute(bought.order_by(_row.since.desc()).limit(1)).one_or_none()
    if last is None:
        return ZERO
    sold = sa.select(_row.filled).where(_FILLED, _row.entry == last.order_id)
    return Decimal(last.received or last.filled) - sum((Decimal(f) for f in connection.execute(sold).scalars()), ZERO)


def newest_entry(connection: sa.Connection, wish: DueOrder) -> str | None:
    """The `order_id` of the newest filled entry of a position; None if no order of the strategy opened it."""
    mine = sa.and_(_row.subscription_id == wish.subscription_id, _row.symbol == wish.instrument.symbol, _FILLED)
    entries = _row.slot == ENTRY + wish.position
    if "#" not in wish.position:
        entries = sa.and_(_row.slot.startswith(ENTRY, autoescape=True), _row.slot.not_like("%#%"))
    rested = sa.select(_row.since, _row.order_id).where(mine, entries, _row.order_id.is_not(None))
    found = list(connection.execute(rested.order_by(_row.since.desc()).limit(1)))
    if "#" not in wish.position:
        row = signals_table.c
        mine = sa.and_(row.subscription_id == wish.subscription_id, row.symbol == wish.instrument.symbol)
        opened = sa.and_(row.closes == 0.0, row.reason != "grid", row.order_id.is_not(None), row.filled > "0")
        taken = sa.select(row.bar_time, row.order_id).where(mine, opened)
        found += connection.execute(taken.order_by(row.seq.desc()).limit(1))
    return max(found)[1] if found else None


def adopt(connection: sa.Connection, entry: DueOrder, exit_order: Order, entry_id: str) -> DueOrder:
    """The row of an exit that rests on an entry; a new one for an exit that followed the fill by itself."""
    prefix = TARGET if exit_order.role == "take_profit" else STOP
    price = exit_order.price if exit_order.role == "take_profit" else exit_order.stop_loss
    known = connection.execute(sa.select(_row.key).where(_row.order_id == exit_order.order_id)).scalar_one_or_none()
    key = known or order_key(entry.subscription_id, f"{prefix}{entry.position}:{exit_order.order_id}", entry.since, 0.0)
    if known is None:
        reason = ("grid" if "#" in entry.position else "take_profit") if prefix == TARGET else "stop_loss"
        connection.execute(
            sa.insert(resting_table).values(
                key=key,
                subscription_id=entry.subscription_id,
                slot=prefix + entry.position,
                exchange=entry.instrument.exchange,
                symbol=entry.instrument.symbol,
                side=exit_order.side,
                kind="limit" if prefix == TARGET else "stop",
                closes=1.0,
                reason=reason,
                units=entry.units,
                equity=entry.equity,
                fixed=entry.fixed,
                price=float(price or 0),
                since=entry.since,
                state="open",
                entry=entry_id,
                order_id=exit_order.order_id,
            )
        )
    (row,) = in_state(connection, *EVERY_STATE, where=_row.key == key)
    return row


def begin_to_rest(connection: sa.Connection, wishes: Sequence[DueOrder], entry_id: str) -> None:
    """Record the entry on which exits are about to rest, so that a process that dies then leaves none unknown."""
    for each in wishes:
        change(connection, each.key, entry=entry_id)


def rest_on(connection: sa.Connection, wish: DueOrder, exit_order: Order, entry_id: str) -> None:
    """Record that an exit rests on an entry. One that rests there unchanged keeps its fills and its signal."""
    counted: dict[str, str | None] = {}
    earlier = sa.and_(_row.order_id == exit_order.order_id, _row.key != wish.key)
    fills = sa.select(_row.key, _row.filled, _row.average, _row.received).where(earlier)
    for row in connection.execute(fills).all():
        counted = {"filled": row.filled, "average": row.average, "received": row.received}
        reports = sa.update(signals_table).where(signals_table.c.resting == row.key)
        connection.execute(reports.values(resting=wish.key))
    connection.execute(sa.delete(resting_table).where(earlier))
    counted["wanted"] = None if exit_order.amount is None else str(exit_order.amount)
    change(connection, wish.key, state="open", order_id=exit_order.order_id, entry=entry_id, message=None, **counted)


def rest_again(connection: sa.Connection, order: DueOrder) -> None:
    """Put an exit that was taken back into the queue again, unless its successor waits there already."""
    beside = [each for each in exits_beside(connection, order) if each.slot == order.slot and each.state == "moving"]
    if beside:
        return
    values = dict(connection.execute(sa.select(resting_table).where(_row.key == order.key)).mappings().one())
    fresh = {"key": order_key(order.subscription_id, f"{order.slot}:{order.order_id}", order.since, order.price)}
    empty = dict.fromkeys(("order_id", "entry", "wanted", "filled", "average", "received", "message"))
    connection.execute(sa.insert(resting_table).values(values | empty | fresh | {"state": "moving"}))

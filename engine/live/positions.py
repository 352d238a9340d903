"""What a strategy holds in its account, compared with what its backtest holds, and the exits of its positions.

A holding changes with the fills of the strategy's own orders. What the account holds and the backtest does not is
closed at once; what it lacks is never bought late.

A position has one stop and one target. They rest on its newest entry and cover all of it. A rung of a grid is a
separate position. The exits of an entry that fills while no process runs get their rows when they are found.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, get_args

import sqlalchemy as sa

from api.orders import Order
from api.symbols import Instrument
from engine.store.live import resting_table, signals_table, subscriptions_table
from engine.trading_rules import down

from .deployment import Deployment
from .orders import (
    CLOSE,
    COVERS_NOTHING,
    ENTRY,
    LIVING,
    RECONCILED,
    REPORTED,
    STOP,
    TARGET,
    ZERO,
    DueOrder,
    LiveOrderState,
    change,
    in_state,
    order_key,
    rounded,
    slot_of_fill,
)

_row: Final = resting_table.c
_FILLED: Final = _row.filled > sa.literal_column("'0'")
"""An order with a fill, in the words of the index `ix_live_orders_filled`."""
EVERY_STATE: Final[tuple[LiveOrderState, ...]] = get_args(LiveOrderState)
_LEAST: Final = Decimal("0.01")
"""A strategy may hold so much more than intended, as a fraction: what is left over from lots and fees."""
_HOLDINGS: Final = sa.select(
    subscriptions_table.c.id,
    subscriptions_table.c.held,
    subscriptions_table.c.intended,
    subscriptions_table.c.deployment,
).where(subscriptions_table.c.id.in_(sa.bindparam("owners", expanding=True)))


def held(connection: sa.Connection, subscription_id: str, symbol: str) -> Decimal | None:
    """Base units bought and not yet sold by the subscription's own orders; negative when short.

    None if not counted yet, because an earlier release deployed the strategy.
    """
    owner = subscriptions_table.c
    text = connection.execute(sa.select(owner.held).where(owner.id == subscription_id)).scalar_one()
    return None if text is None else _amounts(text).get(symbol, ZERO)


def record(connection: sa.Connection, order: DueOrder, shown: Order, lot: Decimal) -> None:
    """Book the venue's state of an order: new fills change the strategy's holding, in whole lots.

    A fee that the venue takes out of what was bought is not held.
    """
    table = resting_table if order.signal_id is None else signals_table
    mine = _row.key == order.key if order.signal_id is None else signals_table.c.id == order.signal_id
    row = connection.execute(sa.select(table.c.filled, table.c.received).where(mine)).one_or_none()
    before = ZERO if row is None else Decimal(row.received or row.filled or "0")
    filled = received = shown.filled_amount or ZERO
    if order.direction > 0 and shown.fee and shown.fee_currency == order.instrument.base:
        received = down(filled - shown.fee, lot)
    average = None if shown.average_price is None else str(shown.average_price)
    values: dict[str, Any] = {"filled": str(filled), "average": average, "order_id": shown.order_id}
    if shown.amount is not None:
        values["wanted"] = str(shown.amount)
    connection.execute(sa.update(table).where(mine).values(**values, received=str(received)))
    if received != before:
        change_held(connection, order, (received - before) * order.direction)


def change_held(connection: sa.Connection, order: DueOrder, change: Decimal) -> None:
    """Book a change in the strategy's holding of an order's instrument."""
    owner = subscriptions_table.c
    one = owner.id == order.subscription_id
    amounts = _amounts(connection.execute(sa.select(owner.held).where(one)).scalar_one())
    amounts[order.instrument.symbol] = amounts.get(order.instrument.symbol, ZERO) + change
    set_held(connection, order.subscription_id, amounts)


def set_held(connection: sa.Connection, subscription_id: str, amounts: Mapping[str, Decimal]) -> None:
    """Record the strategy's holdings by symbol. Exits that covered nothing are looked at again."""
    text = json.dumps({symbol: str(amount) for symbol, amount in amounts.items() if amount})
    one = subscriptions_table.c.id == subscription_id
    connection.execute(sa.update(subscriptions_table).where(one).values(held=text))
    waiting = sa.and_(_row.subscription_id == subscription_id, COVERS_NOTHING)
    connection.execute(sa.update(resting_table).where(waiting).values(message=None))


def differences(connection: sa.Connection, subscription_id: str) -> list[dict[str, Any]]:
    """Holdings by symbol of the strategy's simulated account and of its orders, if either is not zero."""
    owner = subscriptions_table.c
    row = connection.execute(sa.select(owner.intended, owner.held).where(owner.id == subscription_id)).one()
    meant, has = _amounts(row.intended), _amounts(row.held)
    return [
        {"symbol": symbol, "backtest": rounded(meant.get(symbol, ZERO)), "held": rounded(has.get(symbol, ZERO))}
        for symbol in sorted(meant.keys() | has.keys())
    ]


def reconcile(connection: sa.Connection, seen: Mapping[str, int]) -> None:
    """Request to close at once what strategies hold and their backtests do not, if no exit is pending.

    A position that the backtest holds and the account does not is never opened late: its moment has passed. What an
    entry bought before the backtest is kept while the backtest has an order for it.

    Args:
        seen: The close of the last bar that a subscription has seen, by its id.
    """
    for subscription_id, instrument, amount, excess in _unintended(connection, seen):
        symbol, slot = instrument.symbol, f"{CLOSE}{instrument.ticker}"
        if _exits_due(connection, subscription_id, symbol):
            continue
        since = seen[subscription_id]
        key = order_key(subscription_id, slot, since, 0.0)
        mine = sa.and_(_row.subscription_id == subscription_id, _row.symbol == symbol)
        closes = sa.and_(mine, _row.slot == slot, _row.state == "due")
        if connection.execute(sa.select(_row.key).where(sa.or_(_row.key == key, closes))).first() is not None:
            continue
        connection.execute(
            sa.insert(resting_table).values(
                key=key,
                subscription_id=subscription_id,
                slot=slot,
                exchange=instrument.exchange,
                symbol=symbol,
                side="sell" if amount > 0 else "buy",
                kind="market",
                closes=float(excess / abs(amount)),
                reason=RECONCILED,
                units=float(excess),
                equity=0.0,
                fixed=True,
                price=0.0,
                since=since,
                state="due",
            )
        )
        connection.execute(sa.update(resting_table).where(mine, _row.state == "surplus").values(state="ended"))


def unintended(connection: sa.Connection, seen: Collection[str]) -> bool:
    """Whether any of these subscriptions holds what its backtest does not."""
    return next(_unintended(connection, seen), None) is not None


def _unintended(connection: sa.Connection, seen: Collection[str]) -> Iterator[tuple[str, Instrument, Decimal, Decimal]]:
    """What strategies hold of an instrument, and how much of it is to be closed."""
    dropped = set(connection.execute(sa.select(_row.subscription_id).where(_row.state == "surplus")).scalars())
    for row in connection.execute(_HOLDINGS, {"owners": list(seen)}).all():
        held, intended = _amounts(row.held), _amounts(row.intended)
        for instrument in Deployment.from_json(row.deployment).instruments if held else ():
            amount, meant = held.get(instrument.symbol, ZERO), intended.get(instrument.symbol, ZERO)
            if amount == 0:
                continue
            side = 1 if amount > 0 else -1
            if amount * meant > 0:
                excess = side * _bought(connection, row.id, instrument, "surplus") if row.id in dropped else ZERO
            else:
                early = _bought(connection, row.id, instrument, "open", "cancel", "filled")
                excess = abs(amount) - max(side * (meant + early), ZERO)
            if excess > abs(amount) * _LEAST:
                yield row.id, instrument, amount, min(excess, abs(amount))


def _bought(
    connection: sa.Connection, subscription_id: str, instrument: Instrument, *states: LiveOrderState
) -> Decimal:
    """What entries have bought that no signal reports, less what their exits sold; negative for shorts."""
    mine = sa.and_(_row.subscription_id == subscription_id, _row.symbol == instrument.symbol, _row.filled > "0")
    found = sa.select(_row.side, _row.order_id, _row.filled, _row.received).where(mine, _row.state.in_(states))
    total = ZERO
    for row in connection.execute(found.where(_row.slot.startswith(ENTRY, autoescape=True), sa.not_(REPORTED))).all():
        exits = sa.select(_row.filled).where(mine, _row.entry == row.order_id)
        left = Decimal(row.received or row.filled) - sum(map(Decimal, connection.execute(exits).scalars()), ZERO)
        total += max(left, ZERO) * (1 if row.side == "buy" else -1)
    return total


def _exits_due(connection: sa.Connection, subscription_id: str, symbol: str) -> bool:
    row = signals_table.c
    waiting = sa.select(row.seq).where(
        row.subscription_id == subscription_id,
        row.symbol == symbol,
        row.order_state.in_(("due", "open")),
    )
    return connection.execute(waiting.limit(1)).first() is not None


def _amounts(text: str | None) -> dict[str, Decimal]:
    values: dict[str, float | str] = json.loads(text or "{}")
    return {symbol: Decimal(str(amount)) for symbol, amount in values.items()}


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

"""Signals as rows: each decision is stored once, however often it is found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from api.errors import HeyTradersError, InvalidInput, show
from api.live import LatestSignalsRequest, Signal, SignalsRequest, SignalsResponse
from api.orders import INTERNAL_PREFIX
from api.symbols import Instrument, resolve
from api.timeframes import SECONDS
from engine.clock import iso8601
from engine.store.live import signals_table, subscriptions_table

from .deployment import Deployment
from .subscriptions import Running

if TYPE_CHECKING:
    from .decisions import Decision

OrderState = Literal["none", "due", "placed", "skipped", "refused"]
MICRO: Final = 1_000_000
_row: Final = signals_table.c


@dataclass(frozen=True, slots=True)
class DueOrder:
    """A stored signal whose order is still to be placed. `weight` and `closes`: see `Decision`."""

    signal_id: str
    subscription_id: str
    agent_id: str
    account_id: str
    instrument: Instrument
    leverage: float
    side: Literal["buy", "sell"]
    weight: float
    closes: float
    amount: float | None
    bar_time: int
    seconds: int

    @property
    def order_id(self) -> str:
        """The order's id follows from the signal's, so that placing it twice places it once."""
        return INTERNAL_PREFIX + self.signal_id


def store(
    connection: sa.Connection, running: Running, decisions: Iterable[Decision], now: float, order_state: OrderState
) -> list[Signal]:
    """Store what is not stored yet, and return just that."""
    fresh: list[Signal] = []
    for decision in decisions:
        signal_id = f"sig_{hashlib.sha256(f'{running.id}|{decision.key}'.encode()).hexdigest()[:26]}"
        if connection.execute(sa.select(_row.seq).where(_row.id == signal_id)).first() is not None:
            continue
        values = {
            "id": signal_id,
            "subscription_id": running.id,
            "bar_time": decision.bar_time,
            "created_us": int(now * MICRO),
            "exchange": decision.instrument.exchange,
            "symbol": decision.instrument.symbol,
            "side": "buy" if decision.direction > 0 else "sell",
            "action": decision.action,
            "position": decision.position,
            "price": repr(decision.price),
            "weight": decision.weight,
            "closes": decision.closes,
            "reason": decision.reason,
            "order_state": order_state,
            "amount": decision.amount,
            "stop": decision.stop,
            "target": decision.target,
        }
        connection.execute(sa.insert(signals_table).values(**values))
        fresh.append(_view(connection.execute(sa.select(signals_table).where(_row.id == signal_id)).one()))
    return fresh


def due_orders(connection: sa.Connection) -> list[DueOrder]:
    """Orders of trading subscriptions still to be placed, in the order of their signals; of stopped ones the exits."""
    owner = subscriptions_table.c
    ended = sa.and_(owner.status == "stopped", _row.closes > 0.0)
    wanted = (
        sa.select(signals_table, owner.agent_id, owner.account_id, owner.deployment)
        .join(subscriptions_table, owner.id == _row.subscription_id)
        .where(_row.order_state == "due", sa.or_(owner.status == "active", ended))
        .order_by(_row.seq)
    )
    return [_due(row) for row in connection.execute(wanted)]


def _due(row: Any) -> DueOrder:
    deployment = Deployment.from_json(row.deployment)
    return DueOrder(
        signal_id=row.id,
        subscription_id=row.subscription_id,
        agent_id=row.agent_id,
        account_id=row.account_id,
        instrument=resolve(row.symbol, row.exchange),
        leverage=deployment.leverage,
        side=row.side,
        weight=row.weight,
        closes=row.closes,
        amount=row.amount,
        bar_time=row.bar_time,
        seconds=SECONDS[deployment.timeframe],
    )


def order_ids(connection: sa.Connection, subscription_id: str, instrument: Instrument) -> list[str]:
    """The orders that a subscription has placed in an instrument."""
    wanted = sa.select(_row.order_id).where(
        _row.subscription_id == subscription_id,
        _row.exchange == instrument.exchange,
        _row.symbol == instrument.symbol,
        _row.order_id.is_not(None),
    )
    return list(connection.execute(wanted).scalars())


def set_order(
    connection: sa.Connection, signal_id: str, state: OrderState, *, order_id: str | None = None, message: str | None
) -> None:
    """What became of a signal's order."""
    connection.execute(
        sa.update(signals_table)
        .where(_row.id == signal_id)
        .values(order_state=state, order_id=order_id, message=message)
    )


def page(connection: sa.Connection, running: Running, request: SignalsRequest) -> SignalsResponse:
    """A page of the history, newest first.

    Raises:
        InvalidInput: The cursor is not valid, or the symbol cannot be read.
    """
    where = [_row.subscription_id == running.id]
    if request.symbol is not None:
        where.append(_row.symbol == _symbol(request.symbol, running))
    if request.side is not None:
        where.append(_row.side == request.side)
    if request.start_date is not None:
        where.append(_row.bar_time >= _midnight(request.start_date))
    if request.end_date is not None:
        where.append(_row.bar_time < _midnight(request.end_date + timedelta(days=1)))
    if request.cursor is not None:
        where.append(_row.seq < _position(request.cursor))
    rows = connection.execute(
        sa.select(signals_table).where(*where).order_by(_row.seq.desc()).limit(request.limit + 1)
    ).all()
    shown = rows[: request.limit]
    more = len(rows) > len(shown)
    return SignalsResponse(
        signals=tuple(_view(row) for row in shown), next_cursor=f"s{shown[-1].seq}" if more else None
    )


def latest(connection: sa.Connection, running: Running, request: LatestSignalsRequest) -> SignalsResponse:
    """What was stored after `since`, oldest first; without `since` the newest ones.

    `next_since` is the moment of the last one returned, to the microsecond; before the first signal, of the
    subscription. Signals of one moment are never split between two polls.
    """
    mine = sa.select(signals_table).where(_row.subscription_id == running.id)
    if request.since is None:
        newest = connection.execute(mine.order_by(_row.seq.desc()).limit(request.limit)).all()
        rows = list(reversed(newest))
    else:
        after = mine.where(_row.created_us > round(datetime.fromisoformat(request.since).timestamp() * MICRO))
        rows = list(connection.execute(after.order_by(_row.seq).limit(request.limit)).all())
        if len(rows) == request.limit:
            same_moment = mine.where(_row.seq > rows[-1].seq, _row.created_us == rows[-1].created_us)
            rows += connection.execute(same_moment.order_by(_row.seq)).all()
    newest_us = rows[-1].created_us if rows else int(running.created_at * MICRO)
    moment = request.since if request.since and not rows else _exact_moment(newest_us)
    return SignalsResponse(signals=tuple(_view(row) for row in rows), next_since=moment)


def _exact_moment(microseconds: int) -> str:
    seconds, rest = divmod(microseconds, MICRO)
    return f"{iso8601(seconds).removesuffix('Z')}.{rest:06d}Z"


def _view(row: Any) -> Signal:
    return Signal(
        signal_id=row.id,
        subscription_id=row.subscription_id,
        symbol=row.symbol,
        exchange=row.exchange,
        side=row.side,
        action=row.action,
        position=row.position,
        price=Decimal(row.price),
        size={"kind": "weight", "value": round(row.weight, 6)}
        if row.amount is None
        else {"kind": "amount", "value": row.amount},
        stop_price=None if row.stop is None else Decimal(repr(row.stop)),
        target_price=None if row.target is None else Decimal(repr(row.target)),
        bar_time=iso8601(row.bar_time),
        created_at=iso8601(row.created_us / MICRO),
        order_id=row.order_id,
        reason=row.reason,
        order_message=row.message,
    )


def _symbol(written: str, running: Running) -> str:
    from .decisions import watched

    known = [instrument.symbol for instrument in watched(running.deployment)]
    try:
        symbol = resolve(written, running.deployment.exchange).symbol
    except HeyTradersError:
        symbol = ""
    if symbol not in known:
        raise InvalidInput(
            f"symbol {show(written)} is not watched by {running.id}", suggestion=f"It watches {', '.join(known)}"
        )
    return symbol


def _position(cursor: str) -> int:
    if cursor[:1] == "s" and cursor[1:].isdecimal() and len(cursor) < 20:
        return int(cursor[1:])
    raise InvalidInput(f"cursor {show(cursor)} is not valid", suggestion="Pass next_cursor of the last page, unchanged")


def _midnight(day: Any) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())

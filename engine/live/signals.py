"""Signals as rows: each decision is stored only once, even if it is found again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from api.errors import HeyTradersError, InvalidInput, show
from api.live import LatestSignalsRequest, Signal, SignalsRequest, SignalsResponse
from api.orders import INTERNAL_PREFIX
from api.symbols import resolve
from api.times import SECONDS, iso8601
from engine.store.live import signals_table, subscriptions_table

from .deployment import Deployment
from .orders import DueOrder
from .subscriptions import Running, span

if TYPE_CHECKING:
    from .decisions import LiveDecision

OrderState = Literal["none", "due", "open", "placed", "skipped", "refused"]
"""`open`: placed, and not completely filled. `skipped`: a missed entry, or nothing was left to close."""
MICRO: Final = 1_000_000
_GRACE: Final = 60
"""Seconds after the close of a bar within which its orders are in time, for short bars."""
_LISTED: Final = 10
"""The number of newest fills that a report shows individually."""
_REPORTED: Final = 1_000
"""The number of newest signals in a report's figures."""
_row: Final = signals_table.c
_owner: Final = subscriptions_table.c
_DUE: Final = (
    sa.select(signals_table, _owner.agent_id, _owner.account_id, _owner.deployment)
    .join(subscriptions_table, _owner.id == _row.subscription_id)
    .where(
        sa.or_(
            _row.order_state == "open",
            sa.and_(_row.order_state == "due", _owner.status == "active"),
            sa.and_(_row.order_state == "due", _owner.status == "stopped", _row.closes > 0.0),
        )
    )
    .order_by(_row.seq)
)


def fresh(connection: sa.Connection, running: Running, decisions: Iterable[LiveDecision]) -> list[LiveDecision]:
    """The decisions that are not stored yet."""
    found = {signal_id(running, decision): decision for decision in decisions}
    if not found:
        return []
    stored = set(connection.execute(sa.select(_row.id).where(_row.id.in_(found))).scalars())
    return [decision for name, decision in found.items() if name not in stored]


def signal_id(running: Running, decision: LiveDecision) -> str:
    """The id of a decision's signal; the same each time it is found."""
    return f"sig_{hashlib.sha256(f'{running.id}|{decision.key}'.encode()).hexdigest()[:26]}"


def store(
    connection: sa.Connection,
    running: Running,
    decisions: Iterable[LiveDecision],
    now: float,
    resting: Mapping[str, str],
) -> list[Signal]:
    """Store new decisions.

    Args:
        resting: The keys of resting orders, by the key of their decision.
    """
    order_state: OrderState = "due" if running.mode == "trade" else "none"
    made: list[Signal] = []
    for decision in decisions:
        values = {
            "id": signal_id(running, decision),
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
            "units": decision.units,
            "resting": resting.get(decision.key),
            "rung": decision.rung,
        }
        connection.execute(sa.insert(signals_table).values(**values))
        made.append(_view(connection.execute(sa.select(signals_table).where(_row.id == values["id"])).one()))
    return made


def due_orders(connection: sa.Connection) -> list[DueOrder]:
    """Orders of trading subscriptions to place or follow, in signal order; for stopped subscriptions, exits only."""
    return [_due(row) for row in connection.execute(_DUE)]


def _due(row: Any) -> DueOrder:
    deployment = Deployment.from_json(row.deployment)
    price = float(row.price)
    units = row.units or row.amount or 0.0
    equity = deployment.initial_cash
    if row.units and row.weight > 0.0:
        equity = units * price / row.weight
    elif not units:
        units = row.weight * equity / price
    return DueOrder(
        key=INTERNAL_PREFIX + row.id,
        subscription_id=row.subscription_id,
        agent_id=row.agent_id,
        account_id=row.account_id,
        instrument=resolve(row.symbol, row.exchange),
        side=row.side,
        kind="market",
        closes=row.closes,
        reason=row.reason,
        units=units,
        equity=equity,
        fixed=row.amount is not None,
        price=price,
        leverage=deployment.leverage,
        since=row.bar_time,
        seconds=SECONDS[deployment.timeframe],
        order_id=row.order_id,
        filled=Decimal(row.filled or "0"),
        state=row.order_state,
        stop=row.stop,
        target=row.target,
        signal_id=row.id,
        resting=row.resting,
        rung=row.rung,
    )


def order_ids(connection: sa.Connection, subscription_id: str) -> list[tuple[str, str]]:
    """Symbol and id of each order that a subscription has placed for its signals."""
    wanted = sa.select(_row.symbol, _row.order_id).where(
        _row.subscription_id == subscription_id, _row.order_id.is_not(None)
    )
    return [(row.symbol, row.order_id) for row in connection.execute(wanted)]


def set_order(connection: sa.Connection, one: str, state: OrderState, message: str | None, **fill: str | None) -> None:
    """Record the outcome of a signal's order; `fill` holds changes of `order_id`, `resting`, ..."""
    values = {"order_state": state, "message": message, **fill}
    connection.execute(sa.update(signals_table).where(_row.id == one).values(**values))


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
    """Signals stored after `since`, oldest first; without `since`, the newest ones.

    `next_since` is the time of the last one returned, to the microsecond; before the first signal, the time of the
    subscription. Signals with the same time are never split between two polls.
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


def report(connection: sa.Connection, running: Running) -> dict[str, Any]:
    """How far the account deviated from the backtest: the newest fills individually, and totals over all.

    Slippage is in percent of the expected price; a cost is positive.
    """
    mine = sa.and_(_row.subscription_id == running.id, _row.order_state != "none")
    rows = connection.execute(sa.select(signals_table).where(mine).order_by(_row.seq.desc()).limit(_REPORTED)).all()
    fills = [_compared(row, running) for row in rows]
    slipped = [fill["slippage_pct"] for fill in fills if "slippage_pct" in fill]
    counts = Counter(fill["outcome"] for fill in fills)
    return {
        "outcomes": dict(counts),
        "mean_slippage_pct": round(sum(slipped) / len(slipped), 5) if slipped else None,
        "fills": fills[:_LISTED],
    }


def _compared(row: Any, running: Running) -> dict[str, Any]:
    """A signal with the result of its order, and whether that was late."""
    expected, filled, wanted = float(row.price), Decimal(row.filled or "0"), Decimal(row.wanted or "0")
    shown: dict[str, Any] = {
        "signal_id": row.id,
        "symbol": row.symbol,
        "side": row.side,
        "reason": row.reason,
        "bar_time": iso8601(row.bar_time),
        "outcome": _outcome(row.order_state, filled, wanted),
        "expected_price": float(f"{expected:.12g}"),
    }
    if row.average is not None:
        actual, direction = float(row.average), 1 if row.side == "buy" else -1
        shown |= {
            "actual_price": actual,
            "slippage_pct": round(100.0 * direction * (actual / expected - 1.0), 5),
            "wanted_amount": float(wanted),
            "filled_amount": float(filled),
        }
    late = row.created_us / MICRO - row.bar_time
    if row.message is not None:
        shown["message"] = row.message
    elif row.average is not None and row.resting is None and late > max(SECONDS[running.deployment.timeframe], _GRACE):
        shown["message"] = f"made {span(late)} after its bar: the strategy did not run when that closed"
    return shown


def _outcome(state: OrderState, filled: Decimal, wanted: Decimal) -> str:
    if state in ("due", "open"):
        return "waiting"
    if filled > 0 and filled < wanted:
        return "partial"
    if filled > 0 or state == "placed":
        return "filled"
    return "refused" if state == "refused" else "missed"


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
        price=_price(float(row.price)),
        size={"kind": "weight", "value": round(row.weight, 6)}
        if row.amount is None
        else {"kind": "amount", "value": row.amount},
        stop_price=None if row.stop is None else _price(row.stop),
        target_price=None if row.target is None else _price(row.target),
        bar_time=iso8601(row.bar_time),
        created_at=iso8601(row.created_us / MICRO),
        order_id=row.order_id,
        reason=row.reason,
        order_message=row.message or ("the order is placed within seconds" if row.order_state == "due" else None),
    )


def _price(number: float) -> Decimal:
    """A price without the residue of binary fractions."""
    return Decimal(f"{number:.14g}")


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

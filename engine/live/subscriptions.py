"""Subscriptions as rows: created, found, paused, resumed, ended, and advanced bar by bar."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from api.errors import InvalidInput, NotFound, show
from api.live import EVENTS, Subscription, WebhookEvent, WebhookState
from api.times import SECONDS, iso8601
from engine.store.accounts import accounts_table, orders_table
from engine.store.database import new_id
from engine.store.live import deliveries_table, resting_table, signals_table, subscriptions_table

from .deployment import Deployment
from .lease import owner as current_owner

Status = Literal["active", "paused", "stopped", "unsubscribed"]
MAX_ACTIVE: Final = 20
_DAY: Final = 86_400
_WAITING: Final = ("due", "open")
_OVER: Final = ("filled", "ended")
_LATE: Final = 60
"""Seconds after its close from which a bar is overdue, for short bars."""
_EQUAL: Final = 0.02
"""Holdings that differ by less than this fraction count as equal."""
_row: Final = subscriptions_table.c
_ONE: Final = _row.id == sa.bindparam("one")
_ACTIVE: Final = sa.select(subscriptions_table).where(_row.status == "active").order_by(_row.id)
_UNCHANGED: Final = sa.select(_row.id).where(_ONE, _row.status == "active", _row.cursor == sa.bindparam("seen"))
_SEEN: Final = (
    sa.update(subscriptions_table)
    .where(_ONE)
    .values(cursor=sa.bindparam("seen"), kept=sa.bindparam("state"), failures=0, message=None)
)


_ORDERS: Final = {
    "ended": "Its positions stay in the account; its resting orders, stops included, are cancelled.",
    "failed": "Its positions stay open, and its resting orders, stops included, stay in the market.",
}


@dataclass(frozen=True, slots=True)
class Hook:
    """The destination and events of a subscription's deliveries."""

    url: str
    secret: str | None
    events: tuple[WebhookEvent, ...] = EVENTS


@dataclass(frozen=True, slots=True)
class Running:
    """A running subscription. For `started_at` and `cursor`, see the table."""

    id: str
    agent_id: str
    strategy_id: str
    deployment: Deployment
    mode: Literal["signal", "trade"]
    account_id: str | None
    status: Status
    created_at: float
    started_at: int
    cursor: int
    failures: int
    message: str | None
    hook: Hook | None
    kept: str | None = None


def insert(connection: sa.Connection, running: Running) -> None:
    """Store a new subscription.

    Raises:
        InvalidInput: The agent has `MAX_ACTIVE` already.
    """
    mine = sa.and_(_row.agent_id == running.agent_id, _row.status.in_(("active", "paused")))
    count = connection.execute(sa.select(sa.func.count()).select_from(subscriptions_table).where(mine)).scalar_one()
    if count >= MAX_ACTIVE:
        raise InvalidInput(
            f"there are {count} subscriptions already; at most {MAX_ACTIVE} are allowed",
            suggestion="End one with live_unsubscribe",
        )
    connection.execute(
        sa.insert(subscriptions_table).values(
            id=running.id,
            agent_id=running.agent_id,
            strategy_id=running.strategy_id,
            deployment=running.deployment.to_json(),
            mode=running.mode,
            account_id=running.account_id,
            status=running.status,
            created_at=running.created_at,
            started_at=running.started_at,
            cursor=running.cursor,
            message=running.message,
            **_hook_columns(running.hook),
        )
    )


def find(connection: sa.Connection, agent_id: str, subscription_id: str) -> Running:
    """A subscription of the agent's.

    Raises:
        NotFound: `SUBSCRIPTION_NOT_FOUND`.
    """
    row = connection.execute(
        sa.select(subscriptions_table).where(_row.id == subscription_id, _row.agent_id == agent_id)
    ).one_or_none()
    if row is None:
        raise NotFound(
            f"there is no subscription {show(subscription_id)}",
            suggestion="live_subscriptions_list names yours",
            code="SUBSCRIPTION_NOT_FOUND",
        )
    return _running(row)


def of_agent(connection: sa.Connection, agent_id: str) -> list[Running]:
    """All of an agent's subscriptions, newest first."""
    wanted = sa.select(subscriptions_table).where(_row.agent_id == agent_id).order_by(_row.id.desc())
    return [_running(row) for row in connection.execute(wanted)]


def active(connection: sa.Connection) -> list[Running]:
    """Every running subscription, oldest first."""
    return [_running(row) for row in connection.execute(_ACTIVE)]


def is_unchanged(connection: sa.Connection, running: Running) -> bool:
    """Whether it still runs and has seen no other bar.

    While its bars were being read, it may have been paused or ended, or another process may have taken over.
    """
    return connection.execute(_UNCHANGED, {"one": running.id, "seen": running.cursor}).first() is not None


def set_status(connection: sa.Connection, subscription_id: str, status: Status, message: str | None) -> None:
    """Pause, resume, stop or end it."""
    _update(connection, subscription_id, status=status, message=message, failures=0)


def set_cursor(connection: sa.Connection, subscription_id: str, cursor: int) -> None:
    """Record the close of the last bar that it has seen, and clear earlier failures."""
    _update(connection, subscription_id, cursor=cursor, failures=0, message=None)


def set_seen(connection: sa.Connection, subscription_id: str, cursor: int, kept: str | None) -> None:
    """Record the last bar and the state after it."""
    connection.execute(_SEEN, {"one": subscription_id, "seen": cursor, "state": kept})


def twin(connection: sa.Connection, running: Running) -> Running | None:
    """An existing duplicate: the same strategy on the same account, or to the same webhook."""
    for other in of_agent(connection, running.agent_id):
        alike = (other.strategy_id, other.mode, other.account_id) == (
            running.strategy_id,
            running.mode,
            running.account_id,
        )
        same_hook = (other.hook and other.hook.url) == (running.hook and running.hook.url)
        if other.status in ("active", "paused") and alike and (running.mode == "trade" or same_hook):
            return other
    return None


def set_message(connection: sa.Connection, running: Running, message: str) -> None:
    """Record why it waits, unless it has moved on."""
    if is_unchanged(connection, running):
        _update(connection, running.id, message=message)


def with_orders(running: Running, message: str, stage: Literal["ended", "failed"]) -> str:
    """A message, and what becomes of the orders of a strategy that trades."""
    if running.mode != "trade":
        return message
    return f"{message}{'' if message.endswith('.') else '.'} {_ORDERS[stage]}"


def set_failure(connection: sa.Connection, subscription_id: str, failures: int, message: str) -> None:
    """Record another failure to read the bars."""
    _update(connection, subscription_id, failures=failures, message=message)


def set_hook(connection: sa.Connection, subscription_id: str, hook: Hook | None) -> None:
    """Configure or remove its webhook."""
    _update(connection, subscription_id, **_hook_columns(hook))


def view(connection: sa.Connection, running: Running, now: float) -> Subscription:
    """A subscription as the API shows it at `now`, unix seconds. The webhook's secret is left out."""
    newest = sa.select(sa.func.count(), sa.func.max(signals_table.c.created_us)).where(
        signals_table.c.subscription_id == running.id
    )
    count, latest = connection.execute(newest).one()
    seen = running.cursor if running.cursor > running.started_at else None
    return Subscription(
        subscription_id=running.id,
        strategy_id=running.strategy_id,
        strategy_name=running.deployment.name,
        mode=running.mode,
        status=running.status,
        account_id=running.account_id,
        paper=running.account_id is None or _is_paper(connection, running),
        webhook=hook_view(connection, running),
        created_at=iso8601(running.created_at),
        last_bar_at=None if seen is None else iso8601(seen),
        last_signal_at=None if latest is None else iso8601(latest / 1_000_000),
        signal_count=count,
        message=running.message,
        runner=_runner(connection, running),
        waits_for=_waits_for(connection, running, now),
    )


def _is_paper(connection: sa.Connection, running: Running) -> bool:
    account = accounts_table.c
    mine = sa.and_(account.owner == running.agent_id, account.account_id == running.account_id)
    return connection.execute(sa.select(account.id).where(mine)).first() is not None


def _runner(connection: sa.Connection, running: Running) -> str | None:
    """The process that runs it, and whether it outlives the client."""
    if running.status != "active":
        return None
    owner = current_owner(connection)
    if owner is None:
        return (
            "No process runs it now, so it decides nothing. It continues when a server opens this home folder again; "
            "`heytraders-mcp run` runs it without a client."
        )
    seen = iso8601(owner.seen_at)
    if owner.stays:
        return f"Process {owner.pid} runs it (last seen {seen}) and continues when this client ends."
    return (
        f"Process {owner.pid} runs it (last seen {seen}). It is the server of a client and stops with that client; "
        "`heytraders-mcp run` in a terminal keeps the strategy running."
    )


def _waits_for(connection: sa.Connection, running: Running, now: float) -> str | None:
    """The next bar, and the outcome of the newest signal that was not traded."""
    if running.status == "paused":
        return "live_resume, because it is paused."
    if running.status != "active":
        return None
    seconds = SECONDS[running.deployment.timeframe]
    next_close = running.cursor + seconds
    waits = f"The bar that closes at {iso8601(next_close)}."
    if now >= next_close + max(seconds, _LATE):
        waits = f"The bar that closed at {iso8601(next_close)}, {span(now - next_close)} ago."
    elif now < running.cursor:
        waits += f" The clock shows {iso8601(now)}, which is before the last bar that it has seen."
    if running.mode == "signal":
        return f"{waits} Mode signal places no orders."
    row = signals_table.c
    newest = (
        sa.select(row.order_state, row.symbol, row.bar_time, row.message)
        .where(row.subscription_id == running.id)
        .order_by(row.seq.desc())
        .limit(1)
    )
    last = connection.execute(newest).one_or_none()
    if last is None:
        return f"{waits} There is no signal yet."
    waits += _difference(connection, running)
    if last.order_state == "placed":
        return waits
    signal = f"the signal of {iso8601(last.bar_time)} on {last.symbol}"
    if last.order_state in _WAITING:
        return f"{waits} The order for {signal} is not filled yet{': ' + last.message if last.message else ''}."
    return f"{waits} T{signal[1:]} was not traded: {last.message or last.order_state}."


def span(seconds: float) -> str:
    """A duration in words, rounded down."""
    for name, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {name}"
    return f"{int(seconds)} seconds"


def _difference(connection: sa.Connection, running: Running) -> str:
    """Differences between the account's holdings and the backtest's, in words."""
    row = connection.execute(sa.select(_row.intended, _row.held).where(_row.id == running.id)).one()
    meant: dict[str, float] = json.loads(row.intended or "{}")
    has: dict[str, str] = json.loads(row.held or "{}")
    told = ""
    for symbol in sorted(meant.keys() | has.keys()):
        backtest, held = meant.get(symbol, 0.0), float(has.get(symbol, 0))
        if abs(held - backtest) > _EQUAL * abs(backtest):
            told += f" It holds {held:g} {symbol} where its backtest holds {backtest:g}."
    return told


def prune(connection: sa.Connection, now: float) -> None:
    """Delete expired data; see "What is kept, and for how long" in the documents.

    Orders with a fill stay: the books depend on them. Entries that carry exits stay as long as these.
    """
    month, quarter, year = now - 30 * _DAY, now - 90 * _DAY, now - 400 * _DAY
    log, rest, signal, order = deliveries_table.c, resting_table.c, signals_table.c, orders_table.c
    connection.execute(sa.delete(deliveries_table).where(log.state != "waiting", log.created_at < month))
    unfilled = sa.func.coalesce(rest.filled, "0") == "0"
    connection.execute(sa.delete(resting_table).where(rest.state == "ended", unfilled, rest.since < month))
    resting = resting_table.alias()
    carries = sa.select(resting.c.entry).where(resting.c.entry.is_not(None), resting.c.state.not_in(_OVER))
    kept = sa.func.coalesce(rest.entry, rest.order_id, "").in_(carries)
    connection.execute(sa.delete(resting_table).where(rest.state.in_(_OVER), rest.since < year, sa.not_(kept)))
    old = sa.and_(signal.bar_time < year, signal.order_state.not_in(_WAITING))
    opened = sa.func.coalesce(signal.order_id, "").in_(carries)
    connection.execute(sa.delete(signals_table).where(old, sa.not_(opened)))
    unfilled = sa.and_(order.status == "CANCELLED", order.filled == "0", order.updated_at < month * 1000)
    connection.execute(sa.delete(orders_table).where(unfilled))
    over = sa.and_(_row.status.in_(("stopped", "unsubscribed")), _row.cursor < quarter)
    connection.execute(sa.delete(subscriptions_table).where(over))


def hook_view(connection: sa.Connection, running: Running) -> WebhookState | None:
    """The webhook with the outcome of its last delivery, without the secret."""
    if running.hook is None:
        return None
    log = deliveries_table.c
    last = connection.execute(
        sa.select(log.last_at, log.last_status)
        .where(log.subscription_id == running.id, log.last_at.is_not(None))
        .order_by(log.last_at.desc(), log.id.desc())
        .limit(1)
    ).one_or_none()
    return WebhookState(
        url=running.hook.url,
        events=running.hook.events,
        last_delivery_at=None if last is None else iso8601(last.last_at),
        last_status=None if last is None else last.last_status,
    )


def new_subscription_id() -> str:
    """An id for a new subscription."""
    return new_id("sub")


def _update(connection: sa.Connection, subscription_id: str, **values: Any) -> None:
    connection.execute(sa.update(subscriptions_table).where(_row.id == subscription_id).values(**values))


def _hook_columns(hook: Hook | None) -> dict[str, Any]:
    if hook is None:
        return {"webhook_url": None, "webhook_secret": None, "webhook_events": None}
    return {"webhook_url": hook.url, "webhook_secret": hook.secret, "webhook_events": json.dumps(hook.events)}


def _running(row: Any) -> Running:
    hook = None
    if row.webhook_url is not None:
        hook = Hook(row.webhook_url, row.webhook_secret, tuple(json.loads(row.webhook_events)))
    return Running(
        id=row.id,
        agent_id=row.agent_id,
        strategy_id=row.strategy_id,
        deployment=Deployment.from_json(row.deployment),
        mode=row.mode,
        account_id=row.account_id,
        status=row.status,
        created_at=row.created_at,
        started_at=row.started_at,
        cursor=row.cursor,
        failures=row.failures,
        message=row.message,
        hook=hook,
        kept=row.kept,
    )

"""Stored data of exchanges: candles, funding rates, market lists, orders, and when each exchange may be queried again.

A series stores its bars in BLOBs like imported candles, and also the time ranges that were requested. A bar missing
inside such a range does not exist at the exchange; outside the ranges nothing is known.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any, Final, Literal, cast

import numpy as np
import sqlalchemy as sa

from api.exchanges import ExchangeId
from api.symbols import Instrument
from api.times import SECONDS, Timeframe
from engine.store import metadata
from engine.store.database import new_id

from .candles import CandleBlock, read_block, write_block

SeriesKind = Timeframe | Literal["funding"]
"""The content of a series: bars of a timeframe, or funding rates."""

TimeSpan = tuple[int, int]
"""`since <= open time < until`, unix seconds."""

fetched_series: Final = sa.Table(
    "fetched_series",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("exchange", sa.String(32), nullable=False),
    sa.Column("base", sa.String(128), nullable=False),
    sa.Column("quote", sa.String(32), nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("bars", sa.BigInteger, nullable=False),
    sa.Column("covered", sa.Text, nullable=False),
    sa.Column("revision", sa.String(40), nullable=False),
    sa.Column("origin", sa.String(64), nullable=False),
    sa.Column("fetched_at", sa.Float, nullable=False),
    sa.UniqueConstraint("exchange", "base", "quote", "kind"),
)

exchange_markets: Final = sa.Table(
    "exchange_markets",
    metadata,
    sa.Column("exchange", sa.String(32), primary_key=True),
    sa.Column("fetched_at", sa.Float, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

exchange_pace: Final = sa.Table(
    "exchange_pace",
    metadata,
    sa.Column("exchange", sa.String(32), primary_key=True),
    sa.Column("free_at", sa.Float, nullable=False),
)


exchange_orders: Final = sa.Table(
    "exchange_orders",
    metadata,
    sa.Column("order_id", sa.String(40), primary_key=True),
    sa.Column("account_id", sa.String(64), nullable=False),
    sa.Column("exchange", sa.String(32), nullable=False),
    sa.Column("symbol", sa.String(128), nullable=False),
    sa.Column("label", sa.String(100), nullable=False),
    sa.Column("client_id", sa.String(64), nullable=False),
    sa.Column("venue_id", sa.String(128)),
    sa.Column("side", sa.String(4), nullable=False),
    sa.Column("order_type", sa.String(8), nullable=False),
    sa.Column("amount", sa.String(64), nullable=False),
    sa.Column("price", sa.String(64)),
    sa.Column("leverage", sa.Integer),
    sa.Column("status", sa.String(12), nullable=False),
    sa.Column("filled", sa.String(64), nullable=False),
    sa.Column("average", sa.String(64)),
    sa.Column("fee", sa.String(64)),
    sa.Column("fee_currency", sa.String(20)),
    sa.Column("message", sa.String(300)),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("stop_loss", sa.String(64)),
    sa.Column("take_profit", sa.String(64)),
    sa.Column("reduce_only", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("role", sa.String(16)),
    sa.Column("parent", sa.String(40)),
    sa.UniqueConstraint("account_id", "client_id"),
)
"""Orders on the user's own accounts, recorded before they are sent.

An exit has a `role` and its entry's `order_id` as `parent`. While it waits for its price it is WAITING and
has not been sent. It is MISSED when its exchange ended it before it had filled, until another takes its place.
"""


_row: Final = exchange_orders.c
_ONE_SERIES: Final = sa.select(fetched_series).where(
    *(fetched_series.c[name] == sa.bindparam(name) for name in ("exchange", "base", "quote", "kind"))
)
_PACE: Final = sa.select(exchange_pace.c.free_at).where(exchange_pace.c.exchange == sa.bindparam("of"))
_CHANGE_PACE: Final = sa.update(exchange_pace).where(exchange_pace.c.exchange == sa.bindparam("of"))
_SAME_CLIENT_ID: Final = sa.select(exchange_orders).where(
    _row.account_id == sa.bindparam("account"), _row.client_id == sa.bindparam("client")
)
_CHANGE_ORDER: Final = sa.update(exchange_orders).where(_row.order_id == sa.bindparam("of"))
_EXITS: Final = sa.select(exchange_orders).where(_row.parent == sa.bindparam("of")).order_by(_row.role)
_PLANNED: Final = (
    sa.select(exchange_orders)
    .where(sa.or_(_row.stop_loss.is_not(None), _row.take_profit.is_not(None)))
    .where(_row.role.is_(None), _row.status != "REJECTED")
    .order_by(_row.created_at)
)


@dataclass(frozen=True, slots=True)
class SentOrder:
    """An order that was sent, or was about to be. Amounts in base units, times in unix seconds.

    `client_id` is the id that we chose for it at the exchange, `venue_id` the exchange's own id once known.
    """

    order_id: str
    account_id: str
    exchange: ExchangeId
    symbol: str
    label: str
    client_id: str
    side: str
    order_type: str
    amount: Decimal
    price: Decimal | None
    leverage: int | None
    status: str
    created_at: float
    updated_at: float
    venue_id: str | None = None
    filled: Decimal = Decimal(0)
    average: Decimal | None = None
    fee: Decimal | None = None
    fee_currency: str | None = None
    message: str | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    reduce_only: bool = False
    role: str | None = None
    parent: str | None = None

    @property
    def direction(self) -> int:
        """1 buys, -1 sells."""
        return 1 if self.side == "buy" else -1

    @property
    def has_plan(self) -> bool:
        """Whether exits follow once it fills."""
        return self.role is None and (self.stop_loss is not None or self.take_profit is not None)

    def ended(self, status: str, message: str, now: float) -> SentOrder:
        """A copy that has ended without ever reaching the exchange."""
        return replace(self, status=status, message=message[:300], updated_at=now)

    def learned(self, now: float, **seen: Any) -> SentOrder:
        """A copy updated with the exchange's state; itself if nothing is new."""
        changed = replace(self, **seen)
        return self if changed == self else replace(changed, updated_at=now)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A stored series. `covered` are disjoint spans, oldest first; `origin` is the source of its bars."""

    id: int
    instrument: Instrument
    kind: SeriesKind
    bars: int
    covered: tuple[TimeSpan, ...]
    revision: str
    origin: str
    fetched_at: float

    @property
    def holes(self) -> int | None:
        """Bars that the exchange lacks between the start and end of its coverage; `None` for funding."""
        if self.kind == "funding":
            return None
        return sum(until - since for since, until in self.covered) // SECONDS[self.kind] - self.bars


def gaps(covered: Sequence[TimeSpan], wanted: TimeSpan) -> list[TimeSpan]:
    """The parts of `wanted` not in `covered`, oldest first."""
    missing: list[TimeSpan] = []
    at, until = wanted
    for start, stop in covered:
        if stop <= at or start >= until:
            continue
        if start > at:
            missing.append((at, start))
        at = max(at, stop)
    if at < until:
        missing.append((at, until))
    return missing


def joined(covered: Sequence[TimeSpan], added: TimeSpan) -> tuple[TimeSpan, ...]:
    """`covered` with `added`, disjoint and oldest first."""
    merged: list[TimeSpan] = []
    for start, stop in sorted((*covered, added)):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return tuple(merged)


def all_fetched(connection: sa.Connection) -> tuple[Fetched, ...]:
    """Every stored series, by instrument and kind."""
    c = fetched_series.c
    rows = connection.execute(sa.select(fetched_series).order_by(c.exchange, c.base, c.quote, c.id))
    return tuple(_fetched(row) for row in rows)


def find_fetched(connection: sa.Connection, instrument: Instrument, kind: SeriesKind) -> Fetched | None:
    """One series, if anything of it is stored."""
    facts = {"exchange": instrument.exchange, "base": instrument.base, "quote": instrument.quote, "kind": kind}
    row = connection.execute(_ONE_SERIES, facts).one_or_none()
    return None if row is None else _fetched(row)


def read_fetched(
    connection: sa.Connection, series: Fetched, *, start: int | None, end: int | None, limit: int | None
) -> CandleBlock:
    """The last `limit` bars with `start <= open time < end`."""
    return read_block(connection, series.id, start=start, end=end, limit=limit, source="exchange")


def add_fetched(
    connection: sa.Connection,
    instrument: Instrument,
    kind: SeriesKind,
    block: CandleBlock,
    span: TimeSpan,
    *,
    origin: str,
    now: float,
) -> None:
    """Store an exchange's bars within `span`, possibly none. They replace stored bars of the same time."""
    series = find_fetched(connection, instrument, kind)
    if series is None:
        facts = {"exchange": instrument.exchange, "base": instrument.base, "quote": instrument.quote, "kind": kind}
        started = {"bars": 0, "covered": "[]", "revision": new_id("rev"), "origin": origin, "fetched_at": now}
        connection.execute(sa.insert(fetched_series).values({**facts, **started}))
        series = find_fetched(connection, instrument, kind)
        if series is None:
            raise RuntimeError("the series that was inserted is not there")
    tail = read_block(connection, series.id, start=span[0], end=None, limit=None, source="exchange")
    merged = np.concatenate((block, tail[:, ~np.isin(tail[0], block[0])]), axis=1)
    merged = merged[:, np.argsort(merged[0])]
    changed = not np.array_equal(tail, merged)
    if changed:
        write_block(connection, series.id, merged, source="exchange")
    origins = dict.fromkeys((*series.origin.split(" + "), origin))
    values: dict[str, Any] = {
        "bars": series.bars + merged.shape[1] - tail.shape[1],
        "covered": json.dumps(joined(series.covered, span)),
        "origin": " + ".join(origins)[:64],
        "fetched_at": now,
        **({"revision": new_id("rev")} if changed else {}),
    }
    connection.execute(sa.update(fetched_series).where(fetched_series.c.id == series.id).values(values))


def read_markets(connection: sa.Connection, exchange: ExchangeId) -> tuple[float, Any] | None:
    """The stored list of markets and its time."""
    row = connection.execute(sa.select(exchange_markets).where(exchange_markets.c.exchange == exchange)).one_or_none()
    return None if row is None else (row.fetched_at, json.loads(zlib.decompress(row.data)))


def write_markets(connection: sa.Connection, exchange: ExchangeId, markets: Any, now: float) -> None:
    """Replace the list of markets; `markets` is any JSON value."""
    connection.execute(sa.delete(exchange_markets).where(exchange_markets.c.exchange == exchange))
    data = zlib.compress(json.dumps(markets, separators=(",", ":")).encode())
    connection.execute(sa.insert(exchange_markets).values(exchange=exchange, fetched_at=now, data=data))


def take_turn(
    connection: sa.Connection, exchange: str, interval: float, burst: int, now: float, turns: float = 1.0
) -> float:
    """Reserve the next request to an exchange across all processes of this database; returns the seconds to wait.

    Args:
        connection: In a write transaction.
        exchange: The exchange.
        interval: Average seconds a turn.
        burst: How many turns may follow each other immediately after a pause.
        now: Unix seconds.
        turns: How many turns the request takes.
    """
    free_at = connection.execute(_PACE, {"of": exchange}).scalar_one_or_none()
    turn = max(free_at or 0.0, now - burst * interval) + interval * turns
    _set_pace(connection, exchange, turn, is_new=free_at is None)
    return max(0.0, turn - now)


def hold_back(connection: sa.Connection, exchange: str, until: float) -> None:
    """Block requests of all processes before `until`, as told by the exchange."""
    free_at = connection.execute(_PACE, {"of": exchange}).scalar_one_or_none()
    _set_pace(connection, exchange, max(free_at or 0.0, until), is_new=free_at is None)


def add_order(connection: sa.Connection, order: SentOrder) -> tuple[SentOrder, bool]:
    """Record an order. Returns the existing one if its id was used before, and whether this one is new."""
    same = {"account": order.account_id, "client": order.client_id}
    row = connection.execute(_SAME_CLIENT_ID, same).one_or_none()
    if row is not None:
        return _order(row), False
    connection.execute(sa.insert(exchange_orders), _columns(order))
    return order, True


def change_order(connection: sa.Connection, order: SentOrder) -> None:
    """Replace the record of an order."""
    connection.execute(_CHANGE_ORDER, {"of": order.order_id, **_columns(order)})


def orders_of(connection: sa.Connection, account_id: str) -> tuple[SentOrder, ...]:
    """Every order of an account, newest first."""
    c = exchange_orders.c
    wanted = sa.select(exchange_orders).where(c.account_id == account_id).order_by(c.created_at.desc())
    return tuple(_order(row) for row in connection.execute(wanted))


def with_plans(connection: sa.Connection) -> tuple[SentOrder, ...]:
    """Every entry with unfinished exits, oldest first. An exit that is sent or filled ends with the other one."""
    entries = [_order(row) for row in connection.execute(_PLANNED)]
    return tuple(entry for entry in entries if not _is_over(connection, entry))


def _is_over(connection: sa.Connection, entry: SentOrder) -> bool:
    exits = exits_of(connection, entry.order_id)
    if exits:
        return all(each.status in _ENDED for each in exits)
    return entry.status in _ENDED and entry.filled == 0


def exits_of(connection: sa.Connection, order_id: str) -> tuple[SentOrder, ...]:
    """The exits of an entry, the stop first."""
    return tuple(_order(row) for row in connection.execute(_EXITS, {"of": order_id}))


def take(connection: sa.Connection, order: SentOrder, status: str, now: float) -> bool:
    """Update an order if its status is still as known; false if another process has changed it."""
    c = exchange_orders.c
    same = sa.and_(c.order_id == order.order_id, c.status == order.status)
    moved = connection.execute(sa.update(exchange_orders).where(same).values(status=status, updated_at=now))
    return moved.rowcount == 1


def find_sent(connection: sa.Connection, account_id: str | None, order_id: str) -> SentOrder | None:
    """An order by our id, the exchange's id, or the client id; of one account or of all."""
    c = exchange_orders.c
    same = sa.or_(c.order_id == order_id, c.venue_id == order_id, c.client_id == order_id)
    wanted = sa.select(exchange_orders).where(same)
    if account_id is not None:
        wanted = wanted.where(c.account_id == account_id)
    row = connection.execute(wanted).first()
    return None if row is None else _order(row)


_ENDED: Final = ("FILLED", "CANCELLED", "REJECTED")
_DECIMALS: Final = ("amount", "price", "filled", "average", "fee", "stop_loss", "take_profit")


def _columns(order: SentOrder) -> dict[str, Any]:
    values = {one.name: getattr(order, one.name) for one in fields(order)}
    return {**values, **{name: None if values[name] is None else f"{values[name]:f}" for name in _DECIMALS}}


def _order(row: Any) -> SentOrder:
    values: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - the documented way to a row's columns by name
    exact: dict[str, Any] = {n: None if values[n] is None else Decimal(values[n]) for n in _DECIMALS}
    return SentOrder(**values | exact)


def _set_pace(connection: sa.Connection, exchange: str, free_at: float, *, is_new: bool) -> None:
    if is_new:
        connection.execute(sa.insert(exchange_pace), {"exchange": exchange, "free_at": free_at})
    else:
        connection.execute(_CHANGE_PACE, {"of": exchange, "free_at": free_at})


def _fetched(row: Any) -> Fetched:
    return Fetched(
        id=row.id,
        instrument=Instrument(cast("ExchangeId", row.exchange), row.base, row.quote),
        kind=cast("SeriesKind", row.kind),
        bars=row.bars,
        covered=tuple((since, until) for since, until in json.loads(row.covered)),
        revision=row.revision,
        origin=row.origin,
        fetched_at=row.fetched_at,
    )

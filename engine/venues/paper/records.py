"""Accounts, orders and positions as stored in the database, and the states of an order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final, Literal, cast

import sqlalchemy as sa

from api.errors import NotFound, closest, show
from api.exchanges import EXCHANGES, Exchange, ExchangeId
from api.orders import CANCELLABLE, ExitRole, OrderStatus, OrderType, Side
from api.symbols import Instrument
from engine.store.accounts import accounts_table, orders_table, positions_table
from engine.trading_rules import ZERO, Exits, down, text

AccountStatus = Literal["active", "closed"]

NEXT: Final[dict[OrderStatus, tuple[OrderStatus, ...]]] = {
    "INIT": ("INIT", "OPEN", "PART_FILLED", "FILLED", "CANCELLED", "REJECTED"),
    "OPEN": ("OPEN", "PART_FILLED", "FILLED", "CANCELLED", "REJECTED"),
    "PART_FILLED": ("PART_FILLED", "FILLED", "CANCELLED"),
    "FILLED": (),
    "CANCELLED": (),
    "REJECTED": (),
}
"""INIT: accepted. REJECTED: refused by the venue after that, with nothing filled. The last three are final."""


FIRST_VENUE_ID: Final = 1_770_000_000_000

_ACCOUNTS: Final = (
    sa.select(accounts_table).where(accounts_table.c.owner == sa.bindparam("of_owner")).order_by(accounts_table.c.id)
)
_ORDERS: Final = sa.select(orders_table).order_by(orders_table.c.seq)
_ORDER: Final = _ORDERS.where(
    orders_table.c.account == sa.bindparam("of_account"), orders_table.c.order_id == sa.bindparam("named")
)
_OPEN_ORDERS: Final = _ORDERS.where(
    orders_table.c.account == sa.bindparam("of_account"), orders_table.c.status.in_(CANCELLABLE)
)
_OPEN_ORDERS_IN: Final = _OPEN_ORDERS.where(
    orders_table.c.base == sa.bindparam("of_base"), orders_table.c.quote == sa.bindparam("of_quote")
)
_OPEN_SINCE: Final = (
    sa.select(orders_table.c.base, orders_table.c.quote, sa.func.min(orders_table.c.seen_until).label("moment"))
    .where(orders_table.c.account == sa.bindparam("of_account"), orders_table.c.status.in_(CANCELLABLE))
    .group_by(orders_table.c.base, orders_table.c.quote)
    .order_by(sa.func.min(orders_table.c.seq))
)
_SEEN: Final = (
    sa.update(orders_table)
    .where(
        orders_table.c.account == sa.bindparam("of_account"),
        orders_table.c.status.in_(CANCELLABLE),
        orders_table.c.base == sa.bindparam("of_base"),
        orders_table.c.quote == sa.bindparam("of_quote"),
        orders_table.c.seen_until < sa.bindparam("moment"),
    )
    .values(seen_until=sa.bindparam("moment"))
)
_UPDATE_ORDER: Final = sa.update(orders_table).where(orders_table.c.seq == sa.bindparam("number"))
_POSITIONS: Final = (
    sa.select(positions_table)
    .where(positions_table.c.account == sa.bindparam("of_account"))
    .order_by(positions_table.c.base, positions_table.c.quote)
)
_THIS_POSITION: Final = sa.and_(
    positions_table.c.account == sa.bindparam("of_account"),
    positions_table.c.base == sa.bindparam("of_base"),
    positions_table.c.quote == sa.bindparam("of_quote"),
)
_POSITION: Final = sa.select(positions_table).where(_THIS_POSITION)
_REMOVE_POSITION: Final = sa.delete(positions_table).where(_THIS_POSITION)
_LOCK: Final = sa.select(accounts_table.c.id).where(accounts_table.c.id == sa.bindparam("of_account")).with_for_update()


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """A paper account. `id` is the database's, `account_id` the owner's name for it; `opening` its opening balance."""

    id: int
    owner: str
    account_id: str
    exchange: ExchangeId
    name: str
    opening: Decimal
    status: AccountStatus
    created_at: int

    @property
    def currency(self) -> str:
        """The currency of its cash."""
        return EXCHANGES[self.exchange].quote

    @property
    def terms(self) -> Exchange:
        """The exchange's fees and limits."""
        return EXCHANGES[self.exchange]


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order. `opening` is the part of the remainder that needs new funds, `reserved` the amount held for it.

    `cost` sums price times amount of the fills. `seq` and the venue's id are set on storing. Times are unix
    milliseconds, `seen_until` unix seconds.

    `exits` follow an entry once it fills. An exit has a `role` and its entry's `order_id` as `parent`; it may only
    reduce. A stop waits for its `trigger`; a trailing stop stays the fraction `trail` behind the `best` price.
    """

    order_id: str
    account: int
    instrument: Instrument
    side: Side
    order_type: OrderType
    amount: Decimal
    price: Decimal | None
    leverage: int
    label: str | None
    created_at: int
    updated_at: int
    seen_until: int
    status: OrderStatus = "INIT"
    filled: Decimal = ZERO
    cost: Decimal = ZERO
    fee: Decimal = ZERO
    opening: Decimal = ZERO
    reserved: Decimal = ZERO
    message: str | None = None
    seq: int = 0
    exchange_order_id: str = ""
    reduce_only: bool = False
    exits: Exits | None = None
    role: ExitRole | None = None
    parent: str | None = None
    trigger: Decimal | None = None
    trail: Decimal | None = None
    best: Decimal | None = None

    @property
    def direction(self) -> Literal[1, -1]:
        """1 buys, -1 sells."""
        return 1 if self.side == "buy" else -1

    @property
    def unfilled(self) -> Decimal:
        """The unfilled amount, whether or not it can still fill."""
        return self.amount - self.filled

    @property
    def is_open(self) -> bool:
        """Whether it can still be filled or cancelled."""
        return self.status in CANCELLABLE

    @property
    def average_price(self) -> Decimal | None:
        """Average price of the fills, rounded down to 12 decimals if it does not terminate."""
        return down(self.cost / self.filled, Decimal("1e-12")) if self.filled else None

    @property
    def limit(self) -> Decimal:
        """The price; only for orders that have one."""
        if self.price is None:
            raise ArithmeticError(f"{self.order_id} is a market order and has no price")
        return self.price


@dataclass(frozen=True, slots=True)
class PositionRecord:
    """A perpetual or prediction position. `size` is signed, `cost` positive: the entry value in quote currency."""

    account: int
    instrument: Instrument
    size: Decimal
    cost: Decimal
    margin: Decimal
    leverage: int
    seen_until: int

    @property
    def sign(self) -> Literal[1, 0, -1]:
        """1 long, -1 short."""
        return 1 if self.size > 0 else -1 if self.size < 0 else 0

    @property
    def entry_price(self) -> Decimal:
        """Average entry price, rounded down to 12 decimals if it does not terminate."""
        return down(self.cost / abs(self.size), Decimal("1e-12"))

    def unrealized_pnl(self, mark: Decimal) -> Decimal:
        """The profit of closing at `mark`, before fees."""
        return self.size * mark - self.sign * self.cost


def read_accounts(connection: sa.Connection, owner: str) -> list[AccountRecord]:
    """All accounts of an owner, oldest first."""
    return [_account_of(dict(row)) for row in connection.execute(_ACCOUNTS, {"of_owner": owner}).mappings()]


def insert_account(connection: sa.Connection, values: Mapping[str, Any]) -> AccountRecord:
    """Store a new account."""
    stored = connection.execute(sa.insert(accounts_table).values(**values).returning(accounts_table)).mappings().one()
    return _account_of(dict(stored))


def _account_of(values: dict[str, Any]) -> AccountRecord:
    opening = Decimal(values.pop("opening"))
    return AccountRecord(opening=opening, **values)


def read_orders(connection: sa.Connection, where: sa.ColumnElement[bool]) -> Iterator[OrderRecord]:
    """The orders for which `where` holds, in the order of placing."""
    return (order_of(row) for row in connection.execute(_ORDERS.where(where)).mappings())


def read_open_orders(
    connection: sa.Connection, account: int, instrument: Instrument | None = None
) -> list[OrderRecord]:
    """The resting orders of an account, of one instrument or of all, in the order of placing."""
    if instrument is None:
        found = connection.execute(_OPEN_ORDERS, {"of_account": account})
    else:
        found = connection.execute(_OPEN_ORDERS_IN, _of(account, instrument))
    return [order_of(row) for row in found.mappings()]


def _of(account: int, instrument: Instrument) -> dict[str, int | str]:
    return {"of_account": account, "of_base": instrument.base, "of_quote": instrument.quote}


def find_account(
    accounts: Iterable[AccountRecord], account_id: str, connected: Callable[[], Collection[str]] = tuple[str]
) -> AccountRecord:
    """The account with that id.

    Args:
        accounts: The paper accounts to choose from.
        account_id: The id.
        connected: Gives the ids of the owner's exchange accounts, which the message names too.

    Raises:
        NotFound: No paper account has that id; the message names the closest ids.
    """
    known = {account.account_id: account for account in accounts}
    if account_id in known:
        return known[account_id]
    exchange_accounts = connected()
    if account_id in exchange_accounts:
        raise NotFound(
            f"{show(account_id)} is an exchange account, not a paper account",
            suggestion=f"Paper accounts: {', '.join(list(known)[:8])}",
        )
    named = [*exchange_accounts, *known]
    near = closest(account_id, named)
    raise NotFound(
        f"there is no account {show(account_id)}",
        suggestion=f"Did you mean {' or '.join(near)}?" if near else f"Accounts: {', '.join(named[:12])}",
    )


def read_order(connection: sa.Connection, account: AccountRecord, order_id: str) -> OrderRecord | None:
    """An account's order by our own id, if there is one."""
    row = connection.execute(_ORDER, {"of_account": account.id, "named": order_id}).mappings().first()
    return None if row is None else order_of(row)


def order_of(row: sa.RowMapping) -> OrderRecord:
    """A row of `orders_table`."""
    values: dict[str, Any] = dict(row)
    instrument = Instrument(cast("ExchangeId", values.pop("exchange")), values.pop("base"), values.pop("quote"))
    price = values.pop("price")
    amounts = {name: Decimal(values.pop(name)) for name in ("amount", "filled", "cost", "fee", "opening", "reserved")}
    optional = {"trigger": "trigger_price", "trail": "trail", "best": "best_price"}
    prices = {
        name: None if (value := values.pop(column)) is None else Decimal(value) for name, column in optional.items()
    }
    exits = Exits.from_text(values.pop("exits"))
    price = None if price is None else Decimal(price)
    return OrderRecord(instrument=instrument, price=price, exits=exits, **prices, **amounts, **values)


def lock_account(connection: sa.Connection, account: AccountRecord) -> None:
    """Lock this account against other writers until the transaction ends. SQLite admits only one writer anyway."""
    if connection.dialect.name != "sqlite":
        connection.execute(_LOCK, {"of_account": account.id})


def insert_order(connection: sa.Connection, order: OrderRecord) -> OrderRecord:
    """Store a new order and assign its sequence number, from which the venue's id follows."""
    fixed: dict[str, Any] = {
        "order_id": order.order_id,
        "exchange_order_id": order.order_id,
        "account": order.account,
        "exchange": order.instrument.exchange,
        "base": order.instrument.base,
        "quote": order.instrument.quote,
        "side": order.side,
        "order_type": order.order_type,
        "price": _text_or_none(order.price),
        "leverage": order.leverage,
        "label": order.label,
        "created_at": order.created_at,
        "reduce_only": order.reduce_only,
        "role": order.role,
        "parent": order.parent,
        "trail": _text_or_none(order.trail),
    }
    stored = connection.execute(sa.insert(orders_table), {**fixed, **_progress(order)})
    key = stored.inserted_primary_key
    if key is None:
        raise ArithmeticError(f"{order.order_id} was stored without a key")
    venue_id = _venue_id(order, key[0])
    connection.execute(_UPDATE_ORDER, {"number": key[0], "exchange_order_id": venue_id})
    return replace(order, seq=key[0], exchange_order_id=venue_id)


def _venue_id(order: OrderRecord, seq: int) -> str:
    """A hash on Polymarket, elsewhere a 13-digit number; unique for each order."""
    if EXCHANGES[order.instrument.exchange].own_order_ids == "hash":
        return f"0x{sha256(order.order_id.encode()).hexdigest()}"
    return str(FIRST_VENUE_ID + seq)


def update_order(connection: sa.Connection, before: OrderRecord, after: OrderRecord) -> OrderRecord:
    """Store the new state of an order.

    Raises:
        ArithmeticError: The state transition is not allowed, which is a bug in the caller.
    """
    if after.status not in NEXT[before.status] or not 0 <= before.filled <= after.filled <= after.amount:
        raise ArithmeticError(f"{before.order_id} cannot go from {before.status} to {after.status}")
    connection.execute(_UPDATE_ORDER, {"number": before.seq, **_progress(after)})
    return after


def write_exits(connection: sa.Connection, order: OrderRecord) -> None:
    """Store the exits of an entry, even after it has ended."""
    written = None if order.exits is None else order.exits.to_text()
    connection.execute(_UPDATE_ORDER, {"number": order.seq, "exits": written})


def _progress(order: OrderRecord) -> dict[str, Any]:
    return {
        "status": order.status,
        "amount": text(order.amount),
        "filled": text(order.filled),
        "cost": text(order.cost),
        "fee": text(order.fee),
        "opening": text(order.opening),
        "reserved": text(order.reserved),
        "message": order.message,
        "updated_at": order.updated_at,
        "seen_until": order.seen_until,
        "exits": None if order.exits is None else order.exits.to_text(),
        "trigger_price": _text_or_none(order.trigger),
        "best_price": _text_or_none(order.best),
    }


def _text_or_none(value: Decimal | None) -> str | None:
    return None if value is None else text(value)


def read_positions(connection: sa.Connection, account: AccountRecord) -> list[PositionRecord]:
    """The open positions of an account; a spot account has none."""
    if EXCHANGES[account.exchange].market_type == "spot":
        return []
    return [_position_of(row, account) for row in connection.execute(_POSITIONS, {"of_account": account.id})]


def read_position(connection: sa.Connection, account: AccountRecord, instrument: Instrument) -> PositionRecord | None:
    """The open position in `instrument`, if there is one; a spot account has none."""
    if EXCHANGES[account.exchange].market_type == "spot":
        return None
    row = connection.execute(_POSITION, _of(account.id, instrument)).one_or_none()
    return None if row is None else _position_of(row, account)


def _position_of(row: sa.Row[Any], account: AccountRecord) -> PositionRecord:
    return PositionRecord(
        account.id,
        Instrument(account.exchange, row.base, row.quote),
        Decimal(row.size),
        Decimal(row.cost),
        Decimal(row.margin),
        row.leverage,
        row.seen_until,
    )


def write_position(connection: sa.Connection, position: PositionRecord) -> None:
    """Replace the stored position; one of size 0 is removed."""
    connection.execute(_REMOVE_POSITION, _of(position.account, position.instrument))
    if position.size == 0:
        return
    connection.execute(
        sa.insert(positions_table).values(
            account=position.account,
            base=position.instrument.base,
            quote=position.instrument.quote,
            size=text(position.size),
            cost=text(position.cost),
            margin=text(position.margin),
            leverage=position.leverage,
            seen_until=position.seen_until,
        )
    )


DueSettlement = tuple[AccountRecord, Instrument, int]
"""Account, instrument and close of the last bar met (unix seconds) of an open order or position."""


def waiting(connection: sa.Connection, accounts: Iterable[AccountRecord]) -> list[DueSettlement]:
    """Account, instrument and close of the last bar met, for all open orders and positions.

    Sorted by account, so that all processes take locks in the same order.
    """
    by_id = {account.id: account for account in accounts}
    found: list[DueSettlement] = []
    for _, account in sorted(by_id.items()):
        since: dict[Instrument, int] = {}
        for row in connection.execute(_OPEN_SINCE, {"of_account": account.id}):
            since[Instrument(account.exchange, row.base, row.quote)] = row.moment
        for position in read_positions(connection, account):
            since[position.instrument] = min(since.get(position.instrument, position.seen_until), position.seen_until)
        found += ((account, instrument, moment) for instrument, moment in since.items())
    return found


def see_orders(connection: sa.Connection, account: AccountRecord, instrument: Instrument, until: int) -> None:
    """Record that the open orders in an instrument have met all bars up to `until` (unix seconds)."""
    connection.execute(_SEEN, _of(account.id, instrument) | {"moment": until})

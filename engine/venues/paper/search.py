"""Finds orders: pages of them by filters, and the one that a cancellation means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from api.errors import InvalidInput, NotFound
from api.exchanges import EXCHANGES, ExchangeId
from api.orders import INTERNAL_PREFIX, CancelRequest, ListRequest
from api.refusals import call_text, show
from api.symbols import resolve
from engine.store.broker import orders_table

from .lifecycle import find_account
from .records import AccountRecord, OrderRecord, order_of, read_orders


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the orders that match, and how many match in all."""

    orders: list[OrderRecord]
    total: int


def find_page(connection: sa.Connection, accounts: Sequence[AccountRecord], request: ListRequest) -> Page:
    """The orders of `accounts` that the request asks for, newest first.

    Raises:
        NotFound: The account does not exist.
        InvalidInput: No exchange in question lists the symbol.
    """
    table = orders_table.c
    if request.account_id is not None:
        accounts = [find_account(accounts, request.account_id)]
    where = table.account.in_([account.id for account in accounts])
    if request.status is not None:
        where = sa.and_(where, table.status == request.status)
    if request.exchange is not None:
        where = sa.and_(where, table.exchange == request.exchange)
    if request.symbol is not None:
        where = sa.and_(where, _symbol_filter(accounts, request.symbol, request.exchange))
    total = connection.execute(sa.select(sa.func.count()).select_from(orders_table).where(where)).scalar_one()
    query = sa.select(orders_table).where(where).order_by(table.seq.desc())
    rows = connection.execute(query.limit(request.limit).offset(request.offset)).mappings()
    return Page([order_of(row) for row in rows], total)


def find_order(connection: sa.Connection, accounts: Sequence[AccountRecord], request: CancelRequest) -> OrderRecord:
    """The order that a cancellation names, by our id or by the venue's.

    Raises:
        NotFound: `ORDER_NOT_FOUND`; says what an order from elsewhere would need.
        InvalidInput: Lighter's orders go by their numeric id.
    """
    if request.account_id is not None:
        accounts = [find_account(accounts, request.account_id)]
    table = orders_table.c
    named = sa.or_(table.order_id == request.order_id, table.exchange_order_id == request.order_id)
    where = sa.and_(table.account.in_([account.id for account in accounts]), named)
    if request.exchange is not None:
        where = sa.and_(where, table.exchange == request.exchange)
    if request.symbol is not None:
        where = sa.and_(where, _symbol_filter(accounts, request.symbol, request.exchange))
    order = next(read_orders(connection, where), None)
    if order is None:
        raise _unknown_order(request)
    if EXCHANGES[order.instrument.exchange].own_order_ids == "numeric" and request.order_id.startswith(INTERNAL_PREFIX):
        raise InvalidInput(
            f"order_id {show(request.order_id)} does not work on Lighter, which knows its own numeric ids only",
            suggestion=f"Use the exchange_order_id {order.exchange_order_id}",
            corrected=call_text("orders_cancel", {"order_id": order.exchange_order_id}),
        )
    return order


def _symbol_filter(accounts: Sequence[AccountRecord], symbol: str, exchange: str | None) -> sa.ColumnElement[bool]:
    """What the symbol names on each exchange in question; it need not be a symbol on all of them."""
    table = orders_table.c
    venues: set[ExchangeId] = {account.exchange for account in accounts if exchange in (None, account.exchange)}
    meanings: list[sa.ColumnElement[bool]] = []
    wrong: InvalidInput | None = None
    for venue in sorted(venues):
        try:
            instrument = resolve(symbol, venue)
        except InvalidInput as error:
            wrong = error
            continue
        same = (table.exchange == venue, table.base == instrument.base, table.quote == instrument.quote)
        meanings.append(sa.and_(*same))
    if not meanings and wrong is not None:
        raise wrong
    return sa.or_(sa.false(), *meanings)


def _unknown_order(request: CancelRequest) -> NotFound:
    conditional = {"exchange": request.exchange, "symbol": request.symbol, "account_id": request.account_id}
    missing = [name for name, value in conditional.items() if value is None]
    elsewhere = f"; an order that was not placed here also needs {', '.join(missing)}" if missing else ""
    return NotFound(
        f"there is no order {show(request.order_id)}",
        suggestion=f"orders_list shows the ids of your orders{elsewhere}",
        code="ORDER_NOT_FOUND",
    )

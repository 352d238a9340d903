"""Reads all orders of an account, in a list that grows and shifts while it is paged through.

A listing is complete only when nothing can have slipped between its pages. Only complete ones may say that something
is not there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from api import accounts, orders
from api.client import Client
from api.errors import HeyTradersError
from api.orders import Order

PAGE: Final = 200
OVERLAP: Final = 20
MAX_PAGES: Final = 50
SYMBOL_REQUIRED: Final = "lighter"
"""The venue whose open orders are listed for one symbol only (API document, "Lighter")."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What an account shows.

    Attributes:
        orders: Each order once, history first.
        since: Unix seconds on the service's clock; older orders need not be among them.
        complete: Every page came, and they overlapped.
    """

    orders: tuple[Order, ...]
    since: float
    complete: bool


@dataclass(slots=True)
class _Reading:
    rows: list[Order] = field(default_factory=list[Order])
    complete: bool = False


async def read_listing(client: Client, account_id: str, *, since: float, symbols: Collection[str] = ()) -> Listing:
    """The orders of an account back to `since`, those that are open, and whether that is all of them.

    Args:
        client: The service.
        account_id: Whose.
        since: Unix seconds on the service's clock; where the list is in order of time, older orders are not read.
        symbols: Those of Lighter, whose open orders have to be asked for one by one.
    """
    history = await _history(client, account_id, since)
    resting = await _open(client, account_id, symbols)
    return Listing(tuple(distinct([*history.rows, *resting.rows])), since, history.complete and resting.complete)


async def _history(client: Client, account_id: str, since: float) -> _Reading:
    reading, offset = _Reading(), 0
    for _ in range(MAX_PAGES):
        asked = orders.ListRequest(account_id=account_id, limit=PAGE, offset=offset)
        try:
            page = await client.call(orders.ORDERS_LIST, asked)
        except HeyTradersError:
            return reading
        if offset and page.orders and not _share_one(reading.rows, page.orders):
            return reading
        reading.rows += page.orders
        if _is_last(page, offset) or _reaches(reading.rows, since):
            reading.complete = True
            return reading
        offset += max(1, len(page.orders) - OVERLAP)
    return reading


def _is_last(page: orders.ListResponse, offset: int) -> bool:
    """Whether nothing follows. A short page of a service that does not say how many it gives may be one of many."""
    if page.total is not None:
        return offset + len(page.orders) >= page.total or not page.orders
    return not page.orders or (len(page.orders) < PAGE and page.limit == PAGE)


def _share_one(rows: Iterable[Order], page: Iterable[Order]) -> bool:
    """Whether a page begins within what was read before, so that nothing lies between."""
    return not {i for each in rows for i in ids(each)}.isdisjoint(i for each in page for i in ids(each))


def _reaches(rows: list[Order], since: float) -> bool:
    """Whether the list is in order of time, newest first, and its end lies before `since`."""
    times = [unix_or_none(each.created_at) for each in rows]
    known = [at for at in times if at is not None]
    return len(known) == len(times) and bool(known) and known[-1] < since and known == sorted(known, reverse=True)


async def _open(client: Client, account_id: str, symbols: Collection[str]) -> _Reading:
    reading = _Reading()
    for symbol in symbols or (None,):
        try:
            asked = accounts.OpenOrdersRequest(account_id=account_id, symbol=symbol)
            answer = await client.call(accounts.ACCOUNTS_OPEN_ORDERS, asked)
        except HeyTradersError:
            return reading
        reading.rows += answer.orders
    reading.complete = True
    return reading


def distinct(rows: Iterable[Order]) -> list[Order]:
    """Each order once: rows that share an id are one order, and the first of them is kept."""
    kept: list[Order] = []
    seen: set[str] = set()
    for each in rows:
        mine = ids(each)
        if mine and mine.isdisjoint(seen):
            kept.append(each)
        seen |= mine
    return kept


def ids(order: Order) -> frozenset[str]:
    """Everything that an order is called: by the service and by the exchange."""
    return frozenset(each for each in (order.order_id, order.exchange_order_id) if each)


def unix_or_none(text: str | None) -> float | None:
    """Unix seconds of a service's time, UTC where it names no zone; `None` for what is no time."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

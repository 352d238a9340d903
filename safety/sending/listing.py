"""Reads all orders of an account from a list that grows and shifts between pages.

A listing is complete only if no order can have slipped between two pages. Only a complete listing proves absence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from api import accounts, orders
from api.client import Client
from api.errors import HeyTradersError
from api.exchanges import EXCHANGES
from api.orders import Order as ShownOrder
from safety.sending.execution import differs
from safety.terms.intent import Intent
from safety.terms.proposal import OrderTerms

PAGE: Final = 200
OVERLAP: Final = 20
MAX_PAGES: Final = 50
SYMBOL_NEEDED: Final = frozenset(e.id for e in EXCHANGES.values() if e.symbol_needed)
"""Exchanges whose open orders are listed for one symbol at a time."""


@dataclass(frozen=True, slots=True)
class OrderListing:
    """The orders of an account.

    Attributes:
        orders: Each order once, history first.
        since: Unix seconds on the service's clock; older orders may be missing.
        complete: Every page was read, and the pages overlapped.
    """

    orders: tuple[ShownOrder, ...]
    since: float
    complete: bool


@dataclass(slots=True)
class _Reading:
    rows: list[ShownOrder] = field(default_factory=list[ShownOrder])
    complete: bool = False


async def read_listing(client: Client, account_id: str, *, since: float, symbols: Collection[str] = ()) -> OrderListing:
    """The orders of an account back to `since`, its open orders, and whether the listing is complete.

    Args:
        client: The service.
        account_id: The account.
        since: Unix seconds on the service's clock; if the list is sorted by time, older orders are not read.
        symbols: Lighter symbols, whose open orders must be requested one by one.
    """
    history = await _history(client, account_id, since)
    resting = await _open(client, account_id, symbols)
    return OrderListing(tuple(distinct([*history.rows, *resting.rows])), since, history.complete and resting.complete)


async def _history(client: Client, account_id: str, since: float) -> _Reading:
    reading, offset = _Reading(), 0
    for _ in range(MAX_PAGES):
        asked = orders.OrdersRequest(account_id=account_id, limit=PAGE, offset=offset)
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


def _is_last(page: orders.OrdersResponse, offset: int) -> bool:
    """Whether this is the last page. If the service gives no page size, a short page may still be one of many."""
    if page.total is not None:
        return offset + len(page.orders) >= page.total or not page.orders
    return not page.orders or (len(page.orders) < PAGE and page.limit == PAGE)


def _share_one(rows: Iterable[ShownOrder], page: Iterable[ShownOrder]) -> bool:
    """Whether a page overlaps the rows read before, so that there is no gap."""
    return not {i for each in rows for i in ids(each)}.isdisjoint(i for each in page for i in ids(each))


def _reaches(rows: list[ShownOrder], since: float) -> bool:
    """Whether the list is sorted by time, newest first, and ends before `since`."""
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


def distinct(rows: Iterable[ShownOrder]) -> list[ShownOrder]:
    """Each order once: rows that share an id are one order, and the first of them is kept."""
    kept: list[ShownOrder] = []
    seen: set[str] = set()
    for each in rows:
        mine = ids(each)
        if mine and mine.isdisjoint(seen):
            kept.append(each)
        seen |= mine
    return kept


def ids(order: ShownOrder) -> frozenset[str]:
    """All ids of an order, the service's and the exchange's."""
    return frozenset(each for each in (order.order_id, order.exchange_order_id) if each)


def unix_or_none(text: str | None) -> float | None:
    """Unix seconds of a service's time, in UTC if it has no zone; `None` if it is not a time."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(slots=True)
class Matches:
    """The matches between a listing and our intents.

    Attributes:
        found: Intent id to its order.
        several: Intent id to the orders that could belong to it, or carry its label.
        open: Ids of intents that must not be declared absent, because a similar order exists.
    """

    found: dict[str, ShownOrder] = field(default_factory=dict[str, ShownOrder])
    several: dict[str, list[ShownOrder]] = field(default_factory=dict[str, list[ShownOrder]])
    open: set[str] = field(default_factory=set[str])

    def mentions(self, intent: Intent) -> bool:
        """Whether any match concerns an intent."""
        return intent.intent_id in self.found or intent.intent_id in self.several or intent.intent_id in self.open


def by_label(intents: Iterable[Intent], listed: Collection[ShownOrder]) -> Matches:
    """Match orders by our labels."""
    matches = Matches()
    for intent in intents:
        under = [each for each in listed if each.label and each.label == intent.label]
        if len(under) == 1:
            matches.found[intent.intent_id] = under[0]
        elif under:
            matches.several[intent.intent_id] = under
    return matches


def by_terms(
    intents: Collection[Intent],
    listed: Collection[ShownOrder],
    *,
    before: Mapping[str, Collection[str]],
    earliest: Callable[[Intent], float],
) -> Matches:
    """Match orders by their terms, if they can only be ours.

    Args:
        intents: All intents of the account whose effect is uncertain.
        listed: Orders that belong to no other intent.
        before: Intent id to the order ids that the account had before sending.
        earliest: Earliest possible creation of an intent's order, Unix seconds on the service's clock.
    """
    named = [(each, ids(each)) for each in listed]
    fits: dict[str, list[ShownOrder]] = {}
    for intent in intents:
        known, since = before.get(intent.intent_id, ()), earliest(intent)
        fits[intent.intent_id] = [
            each for each, names in named if names.isdisjoint(known) and _fits(intent, each, since)
        ]
    fits = {name: [each for each in alike if _is_exact(intents, name, each)] or alike for name, alike in fits.items()}
    claims = [id(each) for orders in fits.values() for each in orders]
    sending = {id(each) for intent in intents if intent.state == "SENT" for each in fits[intent.intent_id]}
    matches = Matches()
    for intent in intents:
        mine = fits[intent.intent_id]
        if not mine:
            continue
        if any(id(each) in sending for each in mine):
            matches.open.add(intent.intent_id)
        elif len(mine) == 1 and claims.count(id(mine[0])) == 1:
            matches.found[intent.intent_id] = mine[0]
        else:
            matches.several[intent.intent_id] = mine
    return matches


def _is_exact(intents: Iterable[Intent], intent_id: str, shown: ShownOrder) -> bool:
    """Whether an order has exactly the terms that were sent.

    If one has, orders with only similar terms are not ours.
    """
    order = next(each.proposal.action for each in intents if each.intent_id == intent_id)
    return isinstance(order, OrderTerms) and order.amount == shown.amount and shown.price in {None, order.price}


def _fits(intent: Intent, shown: ShownOrder, earliest: float) -> bool:
    order = intent.proposal.action
    if not isinstance(order, OrderTerms) or (shown.label and shown.label != intent.label) or shown.parent:
        return False
    if shown.symbol is None or shown.side is None or shown.amount is None:
        return False
    made = unix_or_none(shown.created_at)
    return (made is None or made >= earliest) and differs(order, shown) is None

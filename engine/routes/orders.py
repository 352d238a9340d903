"""The accounts and orders sections: every call goes to the venue of the account that it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from anyio.to_thread import run_sync

from api.accounts import (
    ACCOUNTS_BALANCES,
    ACCOUNTS_GET,
    ACCOUNTS_LIST,
    ACCOUNTS_OPEN_ORDERS,
    Account,
    AccountRequest,
    AccountsRequest,
    AccountsResponse,
    BalancesRequest,
    BalancesResponse,
    OpenOrdersRequest,
    OpenOrdersResponse,
    Position,
)
from api.errors import NotFound
from api.exchanges import USUAL_EXCHANGE
from api.orders import (
    ORDERS_CANCEL,
    ORDERS_LIST,
    ORDERS_PLACE,
    CancelRequest,
    Order,
    OrdersRequest,
    OrdersResponse,
    PlacedOrder,
    PlaceRequest,
)
from api.symbols import Instrument
from engine.access import ApiCaller
from engine.engine import Engine
from engine.venues.venue import Venue

from .binding import Route, route

_PAGE: Final = 200
"""The maximum number of orders in one page of a venue."""

Answer = TypeVar("Answer")


async def _ask(engine: Engine, caller: ApiCaller, account_id: str | None, ask: Callable[[Venue], Answer]) -> Answer:
    """Call the venue of an account in a thread. A cancelled request does not interrupt it."""
    return await run_sync(lambda: ask(engine.venues.of(caller.identified, account_id)))


async def accounts(engine: Engine, caller: ApiCaller, _request: AccountsRequest) -> AccountsResponse:
    """The caller's accounts, paper ones first."""

    def work() -> list[Account]:
        return [account for venue in engine.venues.all(caller.identified) for account in venue.accounts()]

    return AccountsResponse(accounts=await run_sync(work))


async def account(engine: Engine, caller: ApiCaller, request: AccountRequest) -> Account:
    """One account."""
    return await _ask(engine, caller, request.account_id, lambda venue: venue.account(request.account_id))


async def balances(engine: Engine, caller: ApiCaller, request: BalancesRequest) -> BalancesResponse:
    """The holdings of an account. A position in a prediction token names its question, as the listing does."""
    return await _ask(engine, caller, request.account_id, lambda venue: _titled(engine, venue.balances(request)))


def _titled(engine: Engine, found: BalancesResponse) -> BalancesResponse:
    positions = [each if each.title else _with_title(engine, each) for each in found.positions]
    return found.model_copy(update={"positions": positions})


def _with_title(engine: Engine, position: Position) -> Position:
    token, _, quote = position.symbol.partition("/")
    if not token.isdecimal():
        return position
    try:
        listing = engine.feed.listing(Instrument(USUAL_EXCHANGE["prediction"], token, quote))
    except NotFound:  # it has been resolved and is no longer listed
        return position
    return position.model_copy(update={"title": listing.title})


async def open_orders(engine: Engine, caller: ApiCaller, request: OpenOrdersRequest) -> OpenOrdersResponse:
    """The resting orders of an account."""
    return await _ask(engine, caller, request.account_id, lambda venue: venue.open_orders(request))


async def place(engine: Engine, caller: ApiCaller, request: PlaceRequest) -> PlacedOrder:
    """Place an order on the account that it names."""
    return await _ask(engine, caller, request.account_id, lambda venue: venue.place(request))


async def cancel(engine: Engine, caller: ApiCaller, request: CancelRequest) -> Order:
    """Cancel an order at any venue."""

    def work() -> Order:
        return engine.venues.of(caller.identified, request.account_id, request.order_id).cancel(request)

    return await run_sync(work)


async def orders(engine: Engine, caller: ApiCaller, request: OrdersRequest) -> OrdersResponse:
    """A page of orders, newest first, of one account or of all."""

    def work() -> OrdersResponse:
        venues = engine.venues.all(caller.identified)
        if request.account_id is not None:
            return engine.venues.of(caller.identified, request.account_id).orders(request)
        return venues[0].orders(request) if len(venues) == 1 else _together(venues, request)

    return await run_sync(work)


def _together(venues: tuple[Venue, ...], request: OrdersRequest) -> OrdersResponse:
    """A page of the orders of several venues. If one of them cannot be reached, the request fails."""
    end = request.offset + request.limit
    found = [_newest(venue, request, end) for venue in venues]
    merged = sorted((order for rows, _ in found for order in rows), key=lambda o: o.created_at or "", reverse=True)
    return OrdersResponse(
        orders=merged[request.offset : end],
        total=sum(total for _, total in found),
        limit=request.limit,
        offset=request.offset,
    )


def _newest(venue: Venue, request: OrdersRequest, count: int) -> tuple[list[Order], int]:
    """The newest `count` orders of a venue that match, and how many match in all."""
    rows: list[Order] = []
    while True:
        page = venue.orders(request.model_copy(update={"offset": len(rows), "limit": _PAGE}))
        rows += page.orders
        if not page.orders or len(rows) >= min(count, page.total or 0):
            return rows, page.total or 0


ROUTES: Final[tuple[Route, ...]] = (
    route(ACCOUNTS_LIST, accounts),
    route(ACCOUNTS_GET, account),
    route(ACCOUNTS_BALANCES, balances),
    route(ACCOUNTS_OPEN_ORDERS, open_orders),
    route(ORDERS_PLACE, place),
    route(ORDERS_LIST, orders),
    route(ORDERS_CANCEL, cancel),
)

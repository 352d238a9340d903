"""The accounts section: paper accounts of the caller."""

from __future__ import annotations

from typing import Final

from api.accounts import (
    ACCOUNTS_BALANCES,
    ACCOUNTS_GET,
    ACCOUNTS_LIST,
    ACCOUNTS_OPEN_ORDERS,
    Account,
    AccountRequest,
    BalancesRequest,
    BalancesResponse,
    ListRequest,
    ListResponse,
    OpenOrdersRequest,
    OpenOrdersResponse,
)
from engine.access import Caller
from engine.engine import Engine

from .binding import Route, route


async def accounts(engine: Engine, caller: Caller, _request: ListRequest) -> ListResponse:
    """All accounts of the caller."""
    return ListResponse(accounts=await engine.desk.accounts(caller.identified))


async def account(engine: Engine, caller: Caller, request: AccountRequest) -> Account:
    """One of them."""
    return await engine.desk.account(caller.identified, request.account_id)


async def balances(engine: Engine, caller: Caller, request: BalancesRequest) -> BalancesResponse:
    """What it holds."""
    return await engine.desk.balances(caller.identified, request)


async def open_orders(engine: Engine, caller: Caller, request: OpenOrdersRequest) -> OpenOrdersResponse:
    """What rests in it."""
    return await engine.desk.open_orders(caller.identified, request)


ROUTES: Final[tuple[Route, ...]] = (
    route(ACCOUNTS_LIST, accounts),
    route(ACCOUNTS_GET, account),
    route(ACCOUNTS_BALANCES, balances),
    route(ACCOUNTS_OPEN_ORDERS, open_orders),
)

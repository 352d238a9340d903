"""Which venue answers for an account: the paper broker, or an exchange account of the user's own.

Own accounts belong to this machine's user alone: an agent that registered over the network has paper accounts only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio.to_thread

from api.accounts import Account, BalancesRequest, BalancesResponse, OpenOrdersRequest, OpenOrdersResponse
from api.orders import CancelRequest, ListRequest, ListResponse, Order, PlacedOrder, PlaceRequest
from engine.access import LOCAL_AGENT

from .paper.broker import Broker

if TYPE_CHECKING:
    from .exchange.accounts import ExchangeAccounts

_MOST: Final = 200


class Desk:
    """The one place that routes of accounts and orders go to. `owner` is an agent's id throughout."""

    def __init__(self, paper: Broker, own: ExchangeAccounts | None) -> None:
        self._paper = paper
        self._own = own

    def _of(self, owner: str, account_id: str | None) -> ExchangeAccounts | None:
        """Own accounts, where the account is one of them and the caller its owner."""
        if self._own is None or owner != LOCAL_AGENT:
            return None
        return self._own if self._own.has(account_id) else None

    async def accounts(self, owner: str) -> list[Account]:
        """Paper accounts, then own ones."""
        paper = await self._paper.accounts(owner)
        if self._own is None or owner != LOCAL_AGENT:
            return paper
        return [*paper, *await anyio.to_thread.run_sync(self._own.accounts)]

    async def account(self, owner: str, account_id: str) -> Account:
        """One account.

        Raises:
            NotFound: No account has that id.
        """
        own = await anyio.to_thread.run_sync(self._of, owner, account_id)
        if own is not None:
            return await anyio.to_thread.run_sync(own.account, account_id)
        return await self._paper.account(owner, account_id)

    async def balances(self, owner: str, request: BalancesRequest) -> BalancesResponse:
        """What an account holds."""
        own = await anyio.to_thread.run_sync(self._of, owner, request.account_id)
        return await (self._paper.balances(owner, request) if own is None else own.balances(request))

    async def open_orders(self, owner: str, request: OpenOrdersRequest) -> OpenOrdersResponse:
        """The resting orders of an account, newest first."""
        own = await anyio.to_thread.run_sync(self._of, owner, request.account_id)
        return await (self._paper.open_orders(owner, request) if own is None else own.open_orders(request))

    async def place(self, owner: str, request: PlaceRequest) -> PlacedOrder:
        """Place an order on the account that it names."""
        own = await anyio.to_thread.run_sync(self._of, owner, request.account_id)
        return await (self._paper.place(owner, request) if own is None else own.place(request))

    async def cancel(self, owner: str, request: CancelRequest) -> Order:
        """Cancel an order, wherever it is."""
        own = await anyio.to_thread.run_sync(self._of, owner, request.account_id)
        if own is None and request.account_id is None and self._own is not None and owner == LOCAL_AGENT:
            known = await anyio.to_thread.run_sync(self._own.knows_order, request.order_id)
            own = self._own if known else None
        return await (self._paper.cancel(owner, request) if own is None else own.cancel(request))

    async def orders(self, owner: str, request: ListRequest) -> ListResponse:
        """A page of orders, newest first, of one account or of all."""
        own = await anyio.to_thread.run_sync(self._of, owner, request.account_id)
        if own is not None:
            return await own.orders(request)
        if request.account_id is not None or self._own is None or owner != LOCAL_AGENT:
            return await self._paper.orders(owner, request)
        return await self._merged(owner, request, self._own)

    async def _merged(self, owner: str, request: ListRequest, own: ExchangeAccounts) -> ListResponse:
        """Paper and own orders together. Where own ones cannot be asked for, nothing is listed rather than a part."""
        real = await own.orders(request.model_copy(update={"offset": 0, "limit": _MOST}))
        if not real.orders:
            return await self._paper.orders(owner, request)
        reach = request.offset + request.limit
        paper: list[Order] = []
        total = 0
        while len(paper) < reach:
            step = request.model_copy(update={"offset": len(paper), "limit": _MOST})
            page = await self._paper.orders(owner, step)
            paper += page.orders
            total = page.total or 0
            if not page.orders or len(paper) >= total:
                break
        both = sorted((*paper, *real.orders), key=lambda order: order.created_at or "", reverse=True)
        return ListResponse(
            orders=both[request.offset : reach],
            total=total + (real.total or 0),
            limit=request.limit,
            offset=request.offset,
        )

"""Orders with their owner's labels. The exchange sees our labels instead, so that we can find an order again.

Reading and cancelling never wait for the safety layer: if it cannot answer, an order keeps our label.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from api.accounts import (
    ACCOUNTS_BALANCES,
    ACCOUNTS_OPEN_ORDERS,
    BalancesRequest,
    BalancesResponse,
    OpenOrdersRequest,
    OpenOrdersResponse,
)
from api.client import cancel_order
from api.errors import HeyTradersError
from api.orders import ORDERS_LIST, CancelRequest, Order, OrdersRequest, OrdersResponse
from safety.terms.intent import LABEL_PREFIX

from .context import ToolContext
from .declaration import Operation

if TYPE_CHECKING:
    from safety.face import Gate


async def list_orders(context: ToolContext, request: OrdersRequest) -> OrdersResponse:
    """List orders."""
    found = await context.client.call(ORDERS_LIST, request)
    return found.model_copy(update={"orders": await owned(context.safety, found.orders)})


async def open_orders(context: ToolContext, request: OpenOrdersRequest) -> OpenOrdersResponse:
    """List the open orders of an account."""
    found = await context.client.call(ACCOUNTS_OPEN_ORDERS, request)
    return found.model_copy(update={"orders": await owned(context.safety, found.orders)})


async def balances(context: ToolContext, request: BalancesRequest) -> BalancesResponse:
    """Read an account with its open orders."""
    found = await context.client.call(ACCOUNTS_BALANCES, request)
    return found.model_copy(update={"open_orders": await owned(context.safety, found.open_orders)})


async def cancel(context: ToolContext, request: CancelRequest) -> Order:
    """Cancel an order. No limit and no switch prevents it."""
    cancelled = await cancel_order(context.client, request)
    [order] = await owned(context.safety, [cancelled])
    return order


async def owned(open_safety: Callable[[], Awaitable[Gate]], orders: list[Order]) -> list[Order]:
    """The same orders with their owner's labels instead of ours."""
    if not any((order.label or "").startswith(LABEL_PREFIX) for order in orders):
        return orders
    try:
        gate = await open_safety()
        return await gate.reports.own_labels(orders)
    except HeyTradersError:
        return orders


LIST: Final = Operation(OrdersRequest, OrdersResponse, list_orders)
OPEN_ORDERS: Final = Operation(OpenOrdersRequest, OpenOrdersResponse, open_orders)
BALANCES: Final = Operation(BalancesRequest, BalancesResponse, balances)
CANCEL: Final = Operation(CancelRequest, Order, cancel)

"""Cancelling an order, which counts by its outcome: it may be asked for again, and a cancelled order is a success."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from .client import Client
from .errors import HeyTradersError, InvalidInput, NotNow, OutcomeUnknown, RateLimited
from .orders import ORDERS_CANCEL, ORDERS_LIST, CancelRequest, ListRequest, Order

WAITS: Final = (0.3, 1.0)
"""Seconds before the second and the third try."""

_LISTED: Final = 200


async def cancel_order(
    client: Client, request: CancelRequest, *, pause: Callable[[float], Awaitable[None]] = anyio.sleep
) -> Order:
    """Cancel it, tried up to three times while the trouble may pass. A refusal is checked against the list of orders.

    Raises:
        HeyTradersError: It is not cancelled, as far as the service shows; says why.
    """
    trouble = await _try(client, request)
    for wait in WAITS:
        if not isinstance(trouble, OutcomeUnknown | NotNow) or _asks_for_more(trouble):
            break
        await pause(wait)
        trouble = await _try(client, request)
    if isinstance(trouble, Order):
        return trouble
    shown = await _shown(client, request)
    if shown is not None and shown.status == "CANCELLED":
        return shown
    raise trouble


async def _try(client: Client, request: CancelRequest) -> Order | InvalidInput | NotNow | OutcomeUnknown:
    try:
        return await client.call(ORDERS_CANCEL, request)
    except (InvalidInput, NotNow, OutcomeUnknown) as error:
        return error


def _asks_for_more(trouble: HeyTradersError) -> bool:
    """Whether the service wants to be left alone for longer than is waited here."""
    return isinstance(trouble, RateLimited) and (trouble.retry_after or 0.0) > WAITS[-1]


async def _shown(client: Client, request: CancelRequest) -> Order | None:
    """The order among the newest, where it can be listed."""
    asked = ListRequest(account_id=request.account_id, exchange=request.exchange, limit=_LISTED)
    try:
        listed = await client.call(ORDERS_LIST, asked)
    except HeyTradersError:
        return None
    return next((each for each in listed.orders if request.order_id in {each.order_id, each.exchange_order_id}), None)

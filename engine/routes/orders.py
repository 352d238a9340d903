"""The orders section: paper orders of the caller."""

from __future__ import annotations

from typing import Final

from api.orders import (
    ORDERS_CANCEL,
    ORDERS_LIST,
    ORDERS_PLACE,
    CancelRequest,
    ListRequest,
    ListResponse,
    Order,
    PlacedOrder,
    PlaceRequest,
)
from engine.access import Caller
from engine.engine import Engine

from .binding import Route, route


async def place(engine: Engine, caller: Caller, request: PlaceRequest) -> PlacedOrder:
    """Place an order."""
    return await engine.desk.place(caller.identified, request)


async def orders(engine: Engine, caller: Caller, request: ListRequest) -> ListResponse:
    """A page of orders, newest first."""
    return await engine.desk.orders(caller.identified, request)


async def cancel(engine: Engine, caller: Caller, request: CancelRequest) -> Order:
    """Cancel an order."""
    return await engine.desk.cancel(caller.identified, request)


ROUTES: Final[tuple[Route, ...]] = (
    route(ORDERS_PLACE, place),
    route(ORDERS_LIST, orders),
    route(ORDERS_CANCEL, cancel),
)

"""Places an order, once the safety layer lets orders through to where the calls go."""

from __future__ import annotations

from typing import Final

from api.orders import ORDERS_PLACE, PlacedOrder, PlaceRequest
from safety import may_place

from .declaration import Operation
from .desk import Desk


async def place(desk: Desk, request: PlaceRequest) -> PlacedOrder:
    """Place the order, at most once."""
    may_place(desk.client.source)
    return await desk.client.call(ORDERS_PLACE, request)


OPERATION: Final = Operation(PlaceRequest, PlacedOrder, place)

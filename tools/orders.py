"""Orders: place, list, cancel. On the embedded engine all of it is paper."""

from __future__ import annotations

from typing import Final

from safety import may_place

from .declaration import LOOK, EndpointTool, Hints

ORDERS: Final = (
    EndpointTool(
        name="orders_place",
        title="Place an order",
        description="Place one order on an account; the result says whether it is paper. "
        "After an unclear failure look with orders_list before placing again.",
        hints=Hints(read_only=False, destructive=True, idempotent=False, open_world=True),
        gate=may_place,
    ),
    EndpointTool(
        name="orders_list",
        title="List orders",
        description="Orders in any state, newest first, by account, symbol, status or exchange.",
        hints=LOOK,
    ),
    EndpointTool(
        name="orders_cancel",
        title="Cancel an order",
        description="Cancel an order that is INIT, OPEN or PART_FILLED; what has been filled stays filled.",
        hints=Hints(read_only=False, destructive=True, idempotent=True, open_world=True),
    ),
)

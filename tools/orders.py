"""Orders: preview, place, list, cancel. On the embedded engine all of it is paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .declaration import LOOK, CompositeTool, Hints, later

if TYPE_CHECKING:
    from . import gated, own_labels
else:
    gated = later("tools.gated")
    own_labels = later("tools.own_labels")

_PLACES: Final = Hints(read_only=False, destructive=True, idempotent=False, open_world=True)

ORDERS: Final = (
    CompositeTool(
        name="order_preview",
        title="Preview an order",
        description="What the user's limits say about an order now: its value, every objection, an order that would "
        "pass, and what each limit leaves. Nothing is reserved or sent.",
        hints=LOOK,
        operation=lambda: gated.PREVIEW,
    ),
    CompositeTool(
        name="orders_place",
        title="Place an order",
        description="Place one order on an account; the result says whether it is paper. approval_required: a human "
        "approves it first, and order_intent tells what became of it. Unknown: look with order_intent, never place it "
        "again.",
        hints=_PLACES,
        operation=lambda: gated.PLACE,
    ),
    CompositeTool(
        name="place_with_confirmation",
        title="Place an order a human confirms",
        description="Ask the human, wait up to 45 s, place the order and follow it to its end. The answer comes in the "
        "client's dialog or the user's terminal; if later, see order_intent.",
        hints=_PLACES,
        operation=lambda: gated.PLACE_WITH_CONFIRMATION,
    ),
    CompositeTool(
        name="orders_list",
        title="List orders",
        description="Orders in any state, newest first, by account, symbol, status or exchange.",
        hints=LOOK,
        operation=lambda: own_labels.LIST,
    ),
    CompositeTool(
        name="orders_cancel",
        title="Cancel an order",
        description="Cancel an order that is INIT, OPEN or PART_FILLED; what has been filled stays filled.",
        hints=Hints(read_only=False, destructive=True, idempotent=True, open_world=True),
        operation=lambda: own_labels.CANCEL,
    ),
)

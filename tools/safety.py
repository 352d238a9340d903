"""The safety layer for agents: its status, the fate of an intent, and the kill switch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .declaration import LOOK, CompositeTool, Hints, later

if TYPE_CHECKING:
    from . import gated
else:
    gated = later("tools.gated")

SAFETY: Final = (
    CompositeTool(
        name="order_intent",
        title="Look up an intent",
        description="What became of an order, deployment or post that a human had to approve or whose outcome was "
        "unclear. UNKNOWN means that it may exist: wait and look again, never repeat it.",
        hints=LOOK,
        operation=lambda: gated.INTENT,
    ),
    CompositeTool(
        name="safety_status",
        title="See limits and approvals",
        description="Whether money is paper or live, the kill switch, each limit and what is left of it, what waits "
        "for a human, and how strong an approval can be here.",
        hints=LOOK,
        operation=lambda: gated.STATUS,
    ),
    CompositeTool(
        name="safety_halt",
        title="Halt all trading",
        description="Stop all new orders, cancel this server's open ones, pause strategies that trade. "
        "For when something is wrong; only the user can release it.",
        hints=Hints(read_only=False, destructive=True, idempotent=True, open_world=True),
        operation=lambda: gated.HALT,
    ),
)

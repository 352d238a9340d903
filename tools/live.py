"""Live strategies: deploy, watch, pause, end, and choose where their signals go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .declaration import LOOK, CompositeTool, EndpointTool, Hints, later

if TYPE_CHECKING:
    from . import gated
else:
    gated = later("tools.gated")

_CHANGES: Final = Hints(read_only=False, destructive=False, idempotent=True, open_world=True)
_ENDS: Final = Hints(read_only=False, destructive=True, idempotent=True, open_world=True)

LIVE: Final = (
    EndpointTool(
        name="live_strategies_list",
        title="List deployable strategies",
        description="Strategies that live_subscribe can deploy: ready ones and your own completed backtests.",
        hints=LOOK,
    ),
    CompositeTool(
        name="live_subscribe",
        title="Deploy a strategy",
        description="Run a strategy on closed bars from now on. Mode signal only reports; mode trade places its orders "
        "on an account without asking again; with real money a human approves it first.",
        hints=Hints(read_only=False, destructive=True, idempotent=False, open_world=True),
        operation=lambda: gated.SUBSCRIBE,
    ),
    EndpointTool(
        name="live_subscriptions_list",
        title="List subscriptions",
        description="Your deployed strategies with status and number of signals; ended ones only if asked for.",
        hints=LOOK,
    ),
    EndpointTool(
        name="live_subscription_get",
        title="Look at a subscription",
        description="One deployed strategy and its newest webhook deliveries. For signals use live_signals.",
        hints=LOOK,
    ),
    EndpointTool(
        name="live_unsubscribe",
        title="End a subscription",
        description="End a deployed strategy for good; what it holds stays in the account. To stop for a while use "
        "live_pause.",
        hints=_ENDS,
    ),
    EndpointTool(
        name="live_pause",
        title="Pause a subscription",
        description="Stop a deployed strategy until live_resume; bars that close while paused are skipped.",
        hints=_CHANGES,
    ),
    CompositeTool(
        name="live_resume",
        title="Resume a subscription",
        description="Resume a paused strategy from the next bar; one in mode trade places orders again.",
        hints=Hints(read_only=False, destructive=True, idempotent=True, open_world=True),
        operation=lambda: gated.RESUME,
    ),
    CompositeTool(
        name="live_webhook_set",
        title="Set a webhook",
        description="Deliver a subscription's events to a public https address; replaces the one before.",
        hints=_ENDS,
        operation=lambda: gated.SET_WEBHOOK,
    ),
    EndpointTool(
        name="live_webhook_remove",
        title="Remove a webhook",
        description="Stop deliveries; signals can still be polled.",
        hints=_ENDS,
    ),
    CompositeTool(
        name="live_webhook_test",
        title="Test a webhook",
        description="Send one test delivery to an address and report its answer.",
        hints=Hints(read_only=False, destructive=False, idempotent=False, open_world=True),
        operation=lambda: gated.TEST_WEBHOOK,
    ),
    EndpointTool(
        name="live_signals",
        title="Read signal history",
        description=(
            "A subscription's signals, newest first, filtered by symbol, side or days. To poll use live_signals_latest."
        ),
        hints=LOOK,
    ),
    EndpointTool(
        name="live_signals_latest",
        title="Poll for new signals",
        description="Signals since a moment, oldest first; pass next_since of the last poll as since.",
        hints=LOOK,
    ),
)

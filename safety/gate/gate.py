"""The one gate between tools and money, the public and strangers' addresses.

Every way through it has the same steps: exact terms, a look at the world, a decision inside the ledger's transaction,
a human where the policy wants one, one attempt, and a watch over what became of it. What only stops or looks never
comes here.
"""

from __future__ import annotations

from dataclasses import dataclass

from api.arena import PostRequest, ProfileUpdateRequest
from api.live import (
    SubscribeRequest,
    SwitchRequest,
    WebhookResponse,
    WebhookSetRequest,
    WebhookTestRequest,
    WebhookTestResponse,
)
from api.orders import Order, PlaceRequest
from safety.face import (
    Asking,
    GatedOrder,
    GatedPost,
    GatedProfile,
    GatedSubscription,
    Halted,
    IntentReport,
    Preview,
    SafetyStatus,
)
from safety.terms.intent import Caller

from . import halting, orders, publishing, standing, status
from .footing import Footing


@dataclass(frozen=True, slots=True)
class Gate:
    """What a `safety.face.SafetyDesk` promises, on a footing that tools cannot reach."""

    _footing: Footing

    async def preview(self, request: PlaceRequest) -> Preview:
        """What the policy would say."""
        return await status.preview(self._footing, request)

    async def place(self, request: PlaceRequest, tool: str, client: str) -> GatedOrder:
        """Place it, or say that a human has to approve it first."""
        return await orders.place(self._footing, request, Caller(tool, client))

    async def place_and_follow(
        self, request: PlaceRequest, tool: str, client: str, asking: Asking, wait_seconds: float
    ) -> GatedOrder:
        """Ask, wait for the human, place, and follow the order to a final state, all within `wait_seconds`."""
        return await orders.place_and_follow(self._footing, request, Caller(tool, client), asking, wait_seconds)

    async def intent(self, intent_id: str) -> IntentReport:
        """What became of it."""
        return await status.report(self._footing, intent_id)

    async def subscribe(self, request: SubscribeRequest, tool: str, client: str) -> GatedSubscription:
        """Deploy a strategy."""
        return await standing.subscribe(self._footing, request, Caller(tool, client))

    async def resume(self, request: SwitchRequest, tool: str, client: str) -> GatedSubscription:
        """Let a paused strategy go on."""
        return await standing.resume(self._footing, request, Caller(tool, client))

    async def set_webhook(self, request: WebhookSetRequest) -> WebhookResponse:
        """Configure a delivery."""
        return await standing.set_webhook(self._footing, request)

    async def test_webhook(self, request: WebhookTestRequest) -> WebhookTestResponse:
        """Try a delivery."""
        return await standing.test_webhook(self._footing, request)

    async def publish_post(self, request: PostRequest, tool: str, client: str) -> GatedPost:
        """Publish a post."""
        return await publishing.publish_post(self._footing, request, Caller(tool, client))

    async def publish_profile(self, request: ProfileUpdateRequest, tool: str, client: str) -> GatedProfile:
        """Change the public profile."""
        return await publishing.publish_profile(self._footing, request, Caller(tool, client))

    async def status(self) -> SafetyStatus:
        """How things stand."""
        return await status.status(self._footing)

    async def halt(self, reason: str, by: str) -> Halted:
        """Pull the kill switch, cancel our open orders, pause what trades by itself."""
        return await halting.halt(self._footing, reason, by)

    async def policy_text(self) -> str:
        """The effective policy as markdown, for the resource."""
        return await status.policy_text(self._footing)

    async def journal_text(self, limit: int) -> str:
        """The newest events as markdown, for the resource."""
        return await status.journal_text(self._footing, limit)

    async def own_labels(self, orders: list[Order]) -> list[Order]:
        """The same orders with the caller's labels in place of ours."""
        return await status.own_labels(self._footing, orders)

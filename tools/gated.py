"""What can move money, trade by itself or become public: each is one call of the gate, and nothing else is done here.

Nothing in a request counts as a human's word, and nothing that a tool can reach approves or sends.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, WithJsonSchema

from api.arena import PostRequest, ProfileUpdateRequest
from api.inputs import Whole
from api.live import (
    SubscribeRequest,
    SwitchRequest,
    WebhookResponse,
    WebhookSetRequest,
    WebhookTestRequest,
    WebhookTestResponse,
)
from api.orders import PlaceRequest
from safety.face import GatedOrder, GatedPost, GatedProfile, GatedSubscription, Preview

from .declaration import Operation
from .desk import Desk

MAX_WAIT: Final = 45


class ConfirmRequest(PlaceRequest):
    """A new order, and how long to wait for the human."""

    wait_seconds: Annotated[Whole, Field(ge=1, le=MAX_WAIT), WithJsonSchema({"type": "integer"})] = Field(
        MAX_WAIT, description="1-45."
    )

    def order(self) -> PlaceRequest:
        """The order alone."""
        return PlaceRequest.model_validate(self.model_dump(exclude={"wait_seconds"}))


async def preview(desk: Desk, request: PlaceRequest) -> Preview:
    """What the policy would say."""
    gate = await desk.safety()
    return await gate.reports.preview(request)


async def place(desk: Desk, request: PlaceRequest) -> GatedOrder:
    """Place it, or say that a human has to approve it first."""
    gate = await desk.safety()
    return await gate.orders.place(request, "orders_place", desk.caller)


async def place_with_confirmation(desk: Desk, request: ConfirmRequest) -> GatedOrder:
    """Ask, wait, place and follow."""
    gate = await desk.safety()
    return await gate.orders.place_and_follow(
        request.order(), "place_with_confirmation", desk.caller, desk.asking, float(request.wait_seconds)
    )


async def subscribe(desk: Desk, request: SubscribeRequest) -> GatedSubscription:
    """Deploy a strategy."""
    gate = await desk.safety()
    return await gate.deployments.subscribe(request, "live_subscribe", desk.caller)


async def resume(desk: Desk, request: SwitchRequest) -> GatedSubscription:
    """Let a paused strategy go on."""
    gate = await desk.safety()
    return await gate.deployments.resume(request, "live_resume", desk.caller)


async def set_webhook(desk: Desk, request: WebhookSetRequest) -> WebhookResponse:
    """Configure a delivery."""
    gate = await desk.safety()
    return await gate.deployments.set_webhook(request)


async def test_webhook(desk: Desk, request: WebhookTestRequest) -> WebhookTestResponse:
    """Try a delivery."""
    gate = await desk.safety()
    return await gate.deployments.test_webhook(request)


async def post(desk: Desk, request: PostRequest) -> GatedPost:
    """Publish a post."""
    gate = await desk.safety()
    return await gate.publications.post(request, "arena_post", desk.caller)


async def update_profile(desk: Desk, request: ProfileUpdateRequest) -> GatedProfile:
    """Change the public profile."""
    gate = await desk.safety()
    return await gate.publications.profile(request, "arena_profile_update", desk.caller)


PREVIEW: Final = Operation(PlaceRequest, Preview, preview)
PLACE: Final = Operation(PlaceRequest, GatedOrder, place)
PLACE_WITH_CONFIRMATION: Final = Operation(ConfirmRequest, GatedOrder, place_with_confirmation)
SUBSCRIBE: Final = Operation(SubscribeRequest, GatedSubscription, subscribe)
RESUME: Final = Operation(SwitchRequest, GatedSubscription, resume)
SET_WEBHOOK: Final = Operation(WebhookSetRequest, WebhookResponse, set_webhook)
TEST_WEBHOOK: Final = Operation(WebhookTestRequest, WebhookTestResponse, test_webhook)
POST: Final = Operation(PostRequest, GatedPost, post)
UPDATE_PROFILE: Final = Operation(ProfileUpdateRequest, GatedProfile, update_profile)

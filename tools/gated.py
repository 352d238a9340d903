"""Actions that can move money, trade by themselves or become public: each tool is one call of a part of the gate.

Nothing in a request counts as a human's approval, and no tool can reach code that approves or sends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Final

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

from .declaration import Operation, RequestT, ResponseT
from .desk import Desk

if TYPE_CHECKING:
    from safety.face import Gate

MAX_WAIT: Final = 45


class ConfirmRequest(PlaceRequest):
    """A new order, and how long to wait for the human."""

    wait_seconds: Annotated[Whole, Field(ge=1, le=MAX_WAIT), WithJsonSchema({"type": "integer"})] = Field(
        MAX_WAIT, description="1-45."
    )

    def order(self) -> PlaceRequest:
        """The order alone."""
        return PlaceRequest.model_validate(self.model_dump(exclude={"wait_seconds"}))


def gated(
    request: type[RequestT], response: type[ResponseT], call: Callable[[Gate, RequestT, Desk], Awaitable[ResponseT]]
) -> Operation[RequestT, ResponseT]:
    """The work of a tool: open the gate and make `call`."""

    async def run(desk: Desk, asked: RequestT) -> ResponseT:
        return await call(await desk.safety(), asked, desk)

    return Operation(request, response, run)


PREVIEW: Final = gated(PlaceRequest, Preview, lambda gate, asked, _: gate.reports.preview(asked))
PLACE: Final = gated(
    PlaceRequest, GatedOrder, lambda gate, asked, desk: gate.orders.place(asked, "orders_place", desk.caller)
)
PLACE_WITH_CONFIRMATION: Final = gated(
    ConfirmRequest,
    GatedOrder,
    lambda gate, asked, desk: gate.orders.place_and_follow(
        asked.order(), "place_with_confirmation", desk.caller, desk.asking, float(asked.wait_seconds)
    ),
)
SUBSCRIBE: Final = gated(
    SubscribeRequest,
    GatedSubscription,
    lambda gate, asked, desk: gate.deployments.subscribe(asked, "live_subscribe", desk.caller),
)
RESUME: Final = gated(
    SwitchRequest,
    GatedSubscription,
    lambda gate, asked, desk: gate.deployments.resume(asked, "live_resume", desk.caller),
)
SET_WEBHOOK: Final = gated(
    WebhookSetRequest, WebhookResponse, lambda gate, asked, _: gate.deployments.set_webhook(asked)
)
TEST_WEBHOOK: Final = gated(
    WebhookTestRequest, WebhookTestResponse, lambda gate, asked, _: gate.deployments.test_webhook(asked)
)
POST: Final = gated(
    PostRequest, GatedPost, lambda gate, asked, desk: gate.publications.post(asked, "arena_post", desk.caller)
)
UPDATE_PROFILE: Final = gated(
    ProfileUpdateRequest,
    GatedProfile,
    lambda gate, asked, desk: gate.publications.profile(asked, "arena_profile_update", desk.caller),
)

"""Actions that can move money, trade by themselves or become public, reports on them, and the kill switch.

Each tool is one call of a part of the gate. Nothing in a request counts as a human's approval. No tool can reach code
that approves or sends, and none can release the kill switch.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from api.arena import PostRequest, ProfileUpdateRequest
from api.errors import clean
from api.inputs import Identifier, Request, Whole
from api.live import (
    SubscribeRequest,
    SwitchRequest,
    WebhookResponse,
    WebhookSetRequest,
    WebhookTestRequest,
    WebhookTestResponse,
)
from api.orders import PlaceRequest
from safety.face import (
    GatedOrder,
    GatedPost,
    GatedProfile,
    GatedSubscription,
    Halted,
    IntentReport,
    Preview,
    SafetyStatus,
)

from .context import ToolContext
from .declaration import Operation, RequestT, ResponseT

if TYPE_CHECKING:
    from safety.face import Gate

MAX_WAIT: Final = 45
NO_REASON: Final = "no reason was given"
MAX_REASON: Final = 300
"""Maximum characters of a reason."""


class ConfirmRequest(PlaceRequest):
    """A new order, and how long to wait for the human."""

    wait_seconds: Annotated[Whole, Field(ge=1, le=MAX_WAIT), WithJsonSchema({"type": "integer"})] = Field(
        MAX_WAIT, description="1-45."
    )

    def order(self) -> PlaceRequest:
        """The order alone."""
        return PlaceRequest.model_validate(self.model_dump(exclude={"wait_seconds"}))


class IntentRequest(Request):
    """Which intent."""

    intent_id: Identifier = Field(description="From the call that returned it.")


class StatusRequest(Request):
    """No arguments."""


def _reason(value: object) -> str:
    """The reason in readable form. Nothing in its wording can cause a halt to be refused."""
    return clean(str(value), MAX_REASON) or NO_REASON


class HaltRequest(Request):
    """Why."""

    reason: Annotated[str, BeforeValidator(_reason)] = Field(
        default=NO_REASON, description="What is wrong, for the user to read."
    )


def gated(
    request: type[RequestT],
    response: type[ResponseT],
    call: Callable[[Gate, RequestT, ToolContext], Awaitable[ResponseT]],
) -> Operation[RequestT, ResponseT]:
    """The work of a tool: open the gate and make `call`."""

    async def run(context: ToolContext, asked: RequestT) -> ResponseT:
        return await call(await context.safety(), asked, context)

    return Operation(request, response, run)


PREVIEW: Final = gated(PlaceRequest, Preview, lambda gate, asked, _: gate.reports.preview(asked))
PLACE: Final = gated(
    PlaceRequest, GatedOrder, lambda gate, asked, context: gate.orders.place(asked, "orders_place", context.caller)
)
PLACE_WITH_CONFIRMATION: Final = gated(
    ConfirmRequest,
    GatedOrder,
    lambda gate, asked, context: gate.orders.place_and_follow(
        asked.order(), "place_with_confirmation", context.caller, context.asking, float(asked.wait_seconds)
    ),
)
SUBSCRIBE: Final = gated(
    SubscribeRequest,
    GatedSubscription,
    lambda gate, asked, context: gate.deployments.subscribe(asked, "live_subscribe", context.caller),
)
RESUME: Final = gated(
    SwitchRequest,
    GatedSubscription,
    lambda gate, asked, context: gate.deployments.resume(asked, "live_resume", context.caller),
)
SET_WEBHOOK: Final = gated(
    WebhookSetRequest, WebhookResponse, lambda gate, asked, _: gate.deployments.set_webhook(asked)
)
TEST_WEBHOOK: Final = gated(
    WebhookTestRequest, WebhookTestResponse, lambda gate, asked, _: gate.deployments.test_webhook(asked)
)
POST: Final = gated(
    PostRequest, GatedPost, lambda gate, asked, context: gate.publications.post(asked, "arena_post", context.caller)
)
UPDATE_PROFILE: Final = gated(
    ProfileUpdateRequest,
    GatedProfile,
    lambda gate, asked, context: gate.publications.profile(asked, "arena_profile_update", context.caller),
)
INTENT: Final = gated(IntentRequest, IntentReport, lambda gate, asked, _: gate.reports.intent(asked.intent_id))
STATUS: Final = gated(StatusRequest, SafetyStatus, lambda gate, _asked, _context: gate.reports.status())
HALT: Final = gated(
    HaltRequest,
    Halted,
    lambda gate, asked, context: gate.kill_switch.halt(asked.reason, f"safety_halt {context.caller}".strip()),
)

"""The part of the safety layer that tools, resources and prompts may import: its results and its few requests.

Nothing here approves, signs or sends. The server passes tools the `Gate`; this module only names its type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol

from pydantic import Field, WithJsonSchema

from api.arena import Post, Profile
from api.live import (
    Subscription,
)
from api.orders import Order, PlacedOrder
from api.outputs import Response, Time
from safety.terms.intent import IntentState

if TYPE_CHECKING:
    from safety.gate import Gate as Gate  # noqa: PLC0414 - tools take the type from here

OrderOutcome = Literal["placed", "approval_required", "unknown", "not_placed"]

HOW_TO_APPROVE: Final = "heytraders-mcp approve"


class WaitingIntent(Response):
    """An intent that waits for a human."""

    intent_id: str = Field(description="For order_intent.")
    summary: str = Field(description="What it is, rendered from its terms alone.")
    expires_at: Time = Field(description="ISO 8601 UTC.")
    how: str = Field(description="What the human runs; nothing an agent can call does it.")


Confirmed = Literal["nobody", "dialog", "terminal", "standing"]
"""Who agreed to an order: nobody had to, the client's dialog, a signature at the terminal, a deployment's approval."""


class GatedOrder(PlacedOrder):
    """An order, and its state in the safety layer."""

    outcome: OrderOutcome | None = Field(default=None, description="unknown: it may exist; never place it again.")
    intent_id: str | None = Field(default=None, description="For order_intent.")
    intent_state: Annotated[IntentState, WithJsonSchema({"type": "string"})] | None = Field(
        default=None, description="As order_intent names it."
    )
    confirmed_by: Confirmed | None = Field(default=None, description="Who approved; standing: a strategy's approval.")
    repeated: bool | None = Field(default=None, description="true: this call found the intent of an earlier one.")
    approval: WaitingIntent | None = Field(default=None, description="What a human has to approve.")
    next_step: str | None = Field(default=None, description="What to do now.")


class GatedSubscription(Subscription):
    """A subscription, or the approval that it waits for."""

    outcome: OrderOutcome | None = Field(default=None, description="approval_required: a human has to approve first.")
    approval: WaitingIntent | None = Field(default=None, description="What a human has to approve.")
    next_step: str | None = Field(default=None, description="What to do now.")


class GatedPost(Post):
    """A post, or the approval that it waits for."""

    outcome: OrderOutcome | None = Field(default=None, description="approval_required: a human has to approve first.")
    approval: WaitingIntent | None = Field(default=None, description="What a human has to approve.")


class GatedProfile(Profile):
    """A profile, or the approval that its change waits for."""

    outcome: OrderOutcome | None = Field(default=None, description="approval_required: a human has to approve first.")
    approval: WaitingIntent | None = Field(default=None, description="What a human has to approve.")


class Left(Response):
    """One limit and what is left of it."""

    rule: str
    limit: str
    left: str
    unit: str | None = None
    resets_at: Time | None = None


class Preview(Response):
    """What the policy would say to an order now. Nothing is reserved and nothing is sent."""

    decision: Literal["pass", "require", "deny"] = Field(description="require: a human has to approve it.")
    notional_usd: float | None = Field(default=None, description="At the worst of limit price and quote, leveraged.")
    rule: str | None = Field(default=None, description="The worst finding's rule.")
    reason: str | None = Field(default=None, description="With the numbers.")
    what_to_do: str | None = Field(default=None, description="What to do instead.")
    findings: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]], description="All objections.")
    suggestion: dict[str, Any] | None = Field(default=None, description="An order that would not be denied.")
    left: list[Left] = Field(default_factory=list[Left], description="What the limits leave.")
    quote: float | None = Field(default=None, description="Latest price, quote currency.")
    doubts: list[str] = Field(default_factory=list[str], description="Missing funds, a limit that fills at once.")
    paper: bool = Field(description="true: simulated money.")


class IntentReport(Response):
    """The outcome of an intent."""

    intent_id: str
    state: IntentState = Field(description="UNKNOWN: it may exist, never repeat it. ABSENT: not found so far.")
    kind: str = Field(description="order, standing (a deployed strategy) or publication.")
    summary: str = Field(description="What it is, rendered from its terms alone.")
    reason: str | None = Field(default=None, description="Why it is in this state.")
    created_at: Time
    changed_at: Time
    expires_at: Time | None = Field(default=None, description="While it waits for a human.")
    order: Order | None = Field(default=None, description="As the service last showed it.")
    subscription_id: str | None = Field(default=None, description="Of a deployed strategy.")
    next_step: str | None = Field(default=None, description="What to do now.")
    paper: bool = Field(description="true: simulated money.")


class SafetyStatus(Response):
    """The state of the safety layer: mode, limits and what waits."""

    mode: Literal["paper", "live", "off"] = Field(description="live: real orders are possible.")
    switch: Literal["ACTIVE", "REDUCING", "HALTED"] = Field(description="The kill switch.")
    switch_reason: str | None = Field(default=None, description="Why it is not ACTIVE.")
    assurance: str = Field(description="none, elicitation, passphrase or separate.")
    assurance_reason: str = Field(description="Why, and what would raise it.")
    policy: str = Field(description="Where the policy comes from and whether it is signed.")
    limits: list[Left] = Field(default_factory=list[Left], description="Each limit and what is left of it.")
    pending: list[WaitingIntent] = Field(default_factory=list[WaitingIntent], description="Waiting for a human.")
    unresolved: list[str] = Field(default_factory=list[str], description="Intents whose outcome is unknown.")
    warnings: list[str] = Field(default_factory=list[str], description="What a human should look at.")
    next_step: str | None = Field(default=None, description="What to do now.")


class Halted(Response):
    """What halting did."""

    switch: Literal["HALTED"]
    cancelled: list[str] = Field(default_factory=list[str], description="Our open orders that were cancelled.")
    paused: list[str] = Field(default_factory=list[str], description="Trade subscriptions that were paused.")
    failed: list[str] = Field(default_factory=list[str], description="What could not be cancelled or paused, and why.")
    next_step: str = Field(description="Only a human can release it.")


DialogAnswer = Literal["yes", "no", "not_asked"]


class Asking(Protocol):
    """The client's own dialog, if it has one. Its answer is a convenience and carries no authority of its own."""

    @property
    def available(self) -> bool:
        """Whether the client can show a question."""
        ...

    async def ask(self, intent_id: str, question: str) -> DialogAnswer:
        """Show the question and return the answer. May end the call, which is made again with the answer.

        Args:
            intent_id: The intent in question; each intent is asked about once.
            question: Frozen text, at most ten lines.
        """
        ...

    async def tell(self, done: float, total: float, message: str) -> None:
        """Report the progress of the wait."""
        ...

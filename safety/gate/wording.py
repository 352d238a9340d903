"""Words what the gate tells a model about an intent: its state, the reason, and what to do now.

It never suggests repeating an order that may exist.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Final

from api.errors import Denied, HeyTradersError, error_for
from api.inputs import iso
from api.orders import Order as ShownOrder
from api.outputs import to_wire
from safety.face import HOW_TO_APPROVE, Confirmed, GatedOrder, IntentReport, OrderOutcome, WaitingIntent
from safety.human.in_force import BY_ELICITATION
from safety.human.screen import summary
from safety.terms.facts import PolicyDecision
from safety.terms.intent import Intent, IntentState
from safety.terms.proposal import OrderTerms

OUTCOMES: Final[dict[IntentState, OrderOutcome]] = {
    "PENDING": "approval_required",
    "APPROVED": "approval_required",
    "SENT": "unknown",
    "UNKNOWN": "unknown",
    "ABSENT": "unknown",
    "ACKED": "placed",
}
"""What the caller must know first. In every other state, nothing was placed."""

MOST_NAMED: Final = 3
"""Number of objections in a refusal besides the worst; order_preview lists them all."""

NOTHING_NEW: Final = "This is the order of an earlier, identical call; no second order was made."

NEXT_STEPS: Final[dict[IntentState, str]] = {
    "PENDING": "Ask the user to run `{how}` in a terminal; then look with order_intent. Calling again changes nothing.",
    "APPROVED": "It is approved and about to be sent; look with order_intent.",
    "SENT": "It is being sent; look with order_intent. Never place it again: it may exist.",
    "UNKNOWN": (
        "It may exist. The server looks for it and sends nothing; check with order_intent. Never place it again."
    ),
    "ABSENT": (
        "It has not been found so far and may still appear; the server keeps looking. Tell the user before "
        "placing a similar order."
    ),
    "NOT_SENT": (
        "The service was not reached and nothing left this machine. The server keeps trying until the approval "
        "expires; check with order_intent, and do not place it again."
    ),
    "REJECTED": "The service refused it and nothing was placed.",
    "DECLINED": "Nothing was placed. Tell the user why, and do not try to get around it.",
    "EXPIRED": "Nothing was placed; it was not approved and sent in time. Ask the user before you place it again.",
    "EXPIRED_DRIFT": "Nothing was placed: the market has moved since the approval was requested. Preview it again.",
    "HALTED": "Nothing was placed. Only the user can end the halt: `heytraders-mcp release`.",
}


def how_to_approve(intent: Intent) -> str:
    """The command that a human runs."""
    return f"{HOW_TO_APPROVE} {intent.intent_id}"


def next_step(intent: Intent) -> str | None:
    """What to do now; `None` if there is nothing left to do. Only results of orders have a field for the intent id."""
    text = NEXT_STEPS.get(intent.state)
    if text is not None and not isinstance(intent.proposal.action, OrderTerms):
        text = text.replace("order_intent", f'order_intent(intent_id="{intent.intent_id}")')
    return None if text is None else text.format(how=how_to_approve(intent))


def waiting(intent: Intent) -> WaitingIntent:
    """An intent that a human has to decide."""
    return WaitingIntent(
        intent_id=intent.intent_id,
        summary=summary(intent.proposal),
        expires_at=time(intent.proposal.expires),
        how=how_to_approve(intent),
    )


def gated_order(intent: Intent, *, repeated: bool = False) -> GatedOrder:
    """An order as a caller of the gate sees it, under the caller's own label."""
    shown = own_order(intent) or {}
    return GatedOrder.model_validate(
        {
            "paper": True if intent.proposal.money == "paper" else None,
            **shown,
            **stand(intent),
            "intent_id": intent.intent_id,
            "intent_state": intent.state,
            "confirmed_by": confirmed_by(intent),
            "repeated": True if repeated else None,
            "next_step": NOTHING_NEW if repeated and intent.state == "ACKED" else next_step(intent),
        }
    )


def confirmed_by(intent: Intent) -> Confirmed:
    """Who has approved it so far."""
    if intent.key_id == BY_ELICITATION:
        return "dialog"
    if intent.signature:
        return "terminal"
    return "standing" if intent.caller.origin else "nobody"


def stand(intent: Intent) -> dict[str, Any]:
    """The state of an intent, in the fields of every gated result. A finished non-order has no outcome."""
    done = intent.state == "ACKED" and not isinstance(intent.proposal.action, OrderTerms)
    return {
        "outcome": None if done else OUTCOMES.get(intent.state, "not_placed"),
        "approval": waiting(intent) if intent.state == "PENDING" else None,
    }


def intent_report(intent: Intent) -> IntentReport:
    """The outcome of an intent."""
    shown = own_order(intent) if isinstance(intent.proposal.action, OrderTerms) else None
    subscription = (intent.result or {}).get("subscription_id")
    return IntentReport(
        intent_id=intent.intent_id,
        state=intent.state,
        kind=intent.proposal.action.kind,
        summary=summary(intent.proposal),
        reason=intent.reason or None,
        created_at=time(intent.created),
        changed_at=time(intent.changed_at),
        expires_at=time(intent.proposal.expires) if intent.state == "PENDING" else None,
        order=None if shown is None else ShownOrder.model_validate(shown),
        subscription_id=subscription if isinstance(subscription, str) else None,
        next_step=next_step(intent),
        paper=intent.proposal.money == "paper",
    )


def own_order(intent: Intent) -> dict[str, Any] | None:
    """The order as the service last showed it, under the caller's own label."""
    if not intent.result or not isinstance(intent.proposal.action, OrderTerms):
        return None
    return {**intent.result, "label": intent.proposal.action.label}


def refusal(decision: PolicyDecision, tool: str) -> Denied:
    """A denial as an error: the worst rule with its numbers, other objections, what to do, and a call that passes."""
    worst = decision.worst
    others = [f"{each.rule}: {each.reason}" for each in decision.against if each is not worst]
    more = [f"{len(others) - MOST_NAMED} more"] if len(others) > MOST_NAMED else []
    message = f"{worst.rule}: {worst.reason}"
    if others:
        message += f" (also {'; '.join([*others[:MOST_NAMED], *more])})"
    repaired = decision.suggestion
    what_to_do = worst.what_to_do or "Tell the user; only the user's policy can allow it."
    return Denied(
        message,
        suggestion=what_to_do
        if repaired is None or repaired == worst.repaired
        else "The call below would not be denied.",
        corrected=None if repaired is None else call(tool, repaired),
    )


def call(tool: str, order: OrderTerms) -> str:
    """A tool call that asks for `order`."""
    fields = order.model_dump(exclude={"kind", "market_type"}, exclude_none=True)
    return f"{tool}({', '.join(f'{name}={_literal(value)}' for name, value in fields.items())})"


def stopped(intent: Intent) -> HeyTradersError | None:
    """The error of an order that was definitely not placed; `None` while that is uncertain.

    A refusal by the service keeps the service's reason, stored as `CODE: text`.
    """
    if intent.state == "REJECTED":
        reason = _under_own_label(intent)
        code, _, text = reason.partition(": ")
        known = code.isupper() and bool(text)
        return error_for(code if known else "VALIDATION_ERROR", text if known else reason, status=400)
    if intent.state in {"DECLINED", "EXPIRED", "EXPIRED_DRIFT", "HALTED"}:
        reason = intent.reason or "it was not approved"
        return Denied(
            f"{reason} (intent {intent.intent_id}, {intent.state})", suggestion=next_step(intent) or "Tell the user."
        )
    return None


def _under_own_label(intent: Intent) -> str:
    """The service's message, with the caller's label in place of ours in a corrected call."""
    action = intent.proposal.action
    if not intent.label or not isinstance(action, OrderTerms):
        return intent.reason
    if action.label is not None:
        return intent.reason.replace(intent.label, action.label)
    return re.sub(rf',? ?label=(\\*"){re.escape(intent.label)}\1', "", intent.reason).replace(intent.label, "")


def time(moment: float) -> str:
    """Unix seconds as ISO 8601 UTC, to the second."""
    return iso(datetime.fromtimestamp(int(moment), UTC))


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else to_wire(value)

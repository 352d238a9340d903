"""Compares a ledger with the truth. It follows the promises of the state table, not the code behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from safety.terms.intent import Intent, IntentState
from safety.terms.proposal import OrderTerms

from .safety_truth import Booked, Truth

NOTHING_LEFT: Final[frozenset[IntentState]] = frozenset(
    {"PENDING", "APPROVED", "NOT_SENT", "DECLINED", "EXPIRED", "EXPIRED_DRIFT", "HALTED"}
)
"""States which say that no request has arrived."""

NOTHING_BOOKED: Final[frozenset[IntentState]] = frozenset({*NOTHING_LEFT, "REJECTED", "ABSENT"})
"""States which say that no order exists."""

OPEN_ENDED: Final[frozenset[IntentState]] = frozenset({"PENDING", "APPROVED", "SENT", "NOT_SENT"})
"""States in which nobody may be left for good."""


def figures(intents: Sequence[Intent], truth: Truth) -> dict[str, int]:
    """Counts of intents and orders."""
    states = Counter(intent.state for intent in intents)
    return {
        "intents": len(intents),
        "requests arrived": len(truth.arrivals),
        "orders": sum(1 for booked in truth.booked if booked.label),
        "duplicated wishes": len(duplicated(intents, truth)),
        **{f"intents {state}": count for state, count in sorted(states.items())},
    }


def duplicated(intents: Iterable[Intent], truth: Truth) -> list[str]:
    """Wishes for which more than one order exists."""
    wished = {intent.label: wish_of(intent) for intent in intents if intent.label}
    counts = Counter(wished.get(booked.label, booked.label) for booked in truth.booked if booked.label)
    return [wish for wish, count in counts.items() if count > 1]


def wish_of(intent: Intent) -> str:
    """The caller's own label, which names the wish."""
    action = intent.proposal.action
    return (action.label or "") if isinstance(action, OrderTerms) else ""


def violations(intents: Sequence[Intent], truth: Truth) -> list[str]:
    """Every broken promise, as a sentence. Intents that are still UNKNOWN break none."""
    known = {intent.label for intent in intents if intent.label}
    broken = [f"{wish} was placed more than once" for wish in duplicated(intents, truth)]
    broken += [f"{label} arrived {n} times" for label, n in truth.arrived().items() if n > 1]
    broken += [f"{label} arrived, and no intent knows it" for label in truth.arrived() if label not in known]
    exists = truth.by_label()
    arrived = truth.arrived()
    for intent in intents:
        found = exists.get(intent.label, []) if intent.label else []
        broken += [f"{intent.intent_id} ({intent.state}): {wrong}" for wrong in _wrong(intent, found)]
        if intent.state in NOTHING_LEFT and intent.label in arrived:
            broken.append(f"{intent.intent_id} ({intent.state}): its request arrived")
    return broken


def _wrong(intent: Intent, found: list[Booked]) -> list[str]:
    """A claim about the exchange that an intent's state makes and that is false."""
    if intent.state in OPEN_ENDED:
        return ["it was left in the middle"]
    if intent.state in NOTHING_BOOKED:
        return ["its order exists"] if found else []
    if intent.state == "ACKED":
        return _wrongly_acknowledged(intent, found)
    return []


def _wrongly_acknowledged(intent: Intent, found: list[Booked]) -> list[str]:
    if len(found) != 1:
        return [f"{len(found)} orders exist"]
    order, asked = found[0], intent.proposal.action
    if intent.order_id != order.order_id:
        return [f"it names order {intent.order_id}, which is not its own {order.order_id}"]
    if not isinstance(asked, OrderTerms):
        return ["it is no order"]
    booked = (order.account_id, order.symbol, order.side, order.order_type, Decimal(order.amount))
    wanted = (asked.account_id, asked.symbol, asked.side, asked.order_type, asked.amount)
    return [] if booked == wanted else [f"{booked} was booked in place of {wanted}"]

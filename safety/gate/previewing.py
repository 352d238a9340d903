"""What the policy would say to an order now, and what the limits leave. Nothing is booked and nothing is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from anyio import to_thread

from api.orders import PlaceRequest
from safety.face import Left, Preview
from safety.looking.judging import Looked
from safety.policy.remaining import Remaining, left
from safety.policy.valuation import worth
from safety.terms.decision import Outcome, finding_report
from safety.terms.facts import Facts
from safety.terms.proposal import Order

from .footing import Footing
from .wording import time

WORDS: Final[dict[Outcome, Literal["pass", "require", "deny"]]] = {
    Outcome.PASS: "pass",
    Outcome.REQUIRE: "require",
    Outcome.DENY: "deny",
}


async def preview(footing: Footing, request: PlaceRequest) -> Preview:
    """Look and decide, as if it were placed."""
    order = Order.of(request)
    looked = await footing.judge.look(order)
    facts = await to_thread.run_sync(_with_usage, footing, looked)
    decision = looked.decide(facts.usage, facts.switch)
    worst = decision.worst if decision.outcome else None
    priced = facts
    if facts.quote is None and looked.settled is None:
        priced = await footing.judge.gathering.facts(order, frozenset({"quote", "usd_rate"}), looked.channel)
    quote, value = priced.quote, decision.notional_usd or worth(order, priced).usd
    mended = decision.suggestion
    return Preview(
        decision=WORDS[decision.outcome],
        notional_usd=None if value is None else float(value),
        rule=worst.rule if worst else None,
        reason=worst.reason if worst else None,
        way_out=worst.way_out if worst else None,
        findings=[finding_report(finding) for finding in decision.against],
        suggestion=mended and mended.model_dump(mode="json", exclude={"kind", "market_type"}, exclude_none=True),
        left=[shown_limit(each) for each in left(looked.loaded.policy, facts, order)],
        quote=None if quote is None else float(quote.price),
        paper=looked.channel.money == "paper",
    )


def shown_limit(each: Remaining) -> Left:
    """One limit as a tool shows it."""
    resets = None if each.resets_at is None else time(each.resets_at)
    return Left(rule=each.rule, limit=each.limit, left=each.left, unit=each.unit, resets_at=resets)


def _with_usage(footing: Footing, looked: Looked) -> Facts:
    usage = looked.marked(footing.ledger.usage(looked.channel.money, looked.action))
    return replace(looked.facts, usage=usage, switch=footing.ledger.switch().state)

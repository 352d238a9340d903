"""What needs a human, how much a human's channel can carry, and how often a human may be asked. R28 to R30."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Final

from safety.policy.valuation import plain
from safety.terms.facts import Assurance, Facts

from .case import DAY, Case, Objection, at_most, deny, require, rule

CHANNEL_ORDER: Final[dict[Assurance, Decimal]] = {
    "none": Decimal(0),
    "elicitation": Decimal(25),
    "passphrase": Decimal(250),
    "separate": Decimal(1_000),
}
"""USD of one order of real money, by the strongest approval channel."""

CHANNEL_DAY: Final[dict[Assurance, Decimal]] = {
    "none": Decimal(0),
    "elicitation": Decimal(50),
    "passphrase": Decimal(1_000),
    "separate": Decimal(5_000),
}
"""USD of 24 hours, likewise."""

MOST_PENDING: Final = 3
MOST_PROMPTS: Final = 10
DECLINES_WITHIN: Final = 600
DECLINED_PAUSE: Final = 1_800

_RAISE: Final = "The user can raise the assurance level; `heytraders-mcp doctor` says how"


@rule("R28_APPROVAL")
def approval(case: Case) -> Objection | None:
    """Every order needs a human, but for those within what the policy lets through."""
    limits = case.limits
    if not limits.ask_a_human or (limits.automatic_up_to > 0 and case.usd <= limits.automatic_up_to):
        return None
    value = "" if case.worth.usd is None else f" of {plain(case.worth.usd)} USD"
    return require(
        f"this order{value} needs a human's approval",
        limit=plain(limits.automatic_up_to),
        observed=None if case.worth.usd is None else plain(case.worth.usd),
        unit="USD",
    )


@rule("R29_CHANNEL_CEILING", "order", "standing", "publication")
def channel(case: Case) -> Objection | None:
    """What the strongest approval channel can carry, of real money. Half of it where labels are not returned."""
    facts = case.facts
    if facts.money == "paper":
        return None
    if case.action.kind != "order":
        if facts.assurance in {"passphrase", "separate"}:
            return None
        return deny(
            "this needs a human's signature, and no passphrase has been set",
            "The user sets one with `heytraders-mcp policy sign`",
            limit="passphrase",
            observed=facts.assurance,
        )
    of_order, of_day = carried(facts)
    used = max(facts.usage.notional_24h, facts.usage.notional_day)
    for allowed, observed, window in ((of_order, case.usd, None), (of_day, used + case.usd, "24h")):
        if observed > allowed:
            smaller = case.smaller(allowed - (observed - case.usd), case.usd)
            return deny(
                f"{plain(observed)} USD{' in a day' if window else ''} is more than the {plain(allowed)} USD that the "
                f"assurance level {facts.assurance} carries",
                at_most(smaller, _RAISE),
                limit=plain(allowed),
                observed=plain(observed),
                unit="USD",
                window=window,
                resets_at=facts.now + DAY if window else None,
                repaired=smaller,
            )
    return None


def carried(facts: Facts) -> tuple[Decimal, Decimal]:
    """USD of one order and of a day that the strongest approval channel carries."""
    half = 2 if facts.labels_echoed is False else 1
    return CHANNEL_ORDER[facts.assurance] / half, CHANNEL_DAY[facts.assurance] / half


@rule("R30_STANDING", "standing")
def standing(case: Case) -> Objection | None:
    """A strategy that trades by itself always needs a human, and only so many may."""
    allowed, active = case.limits.max_standing, case.facts.usage.standing_active
    if allowed is not None and active >= allowed:
        return deny(
            f"{active} strategies trade by themselves, and {allowed} may",
            "Pause or unsubscribe one first",
            limit=str(allowed),
            observed=str(active + 1),
            unit="strategies",
        )
    if not case.limits.ask_for_standing:
        return None
    return require("a strategy in mode trade places orders without asking again, so a human has to approve it")


@rule("R28_FATIGUE", "order", "standing", "publication")
def fatigue(case: Case) -> Objection | None:
    """How often a human may be asked. Judged only where a human would be."""
    usage, now = case.facts.usage, case.facts.now
    ages = sorted(usage.declined_ages)
    soon = next((younger for younger, older in pairwise(ages) if older - younger <= DECLINES_WITHIN), None)
    if soon is not None and soon < DECLINED_PAUSE:
        return deny(
            "a human has just declined twice, so nothing is asked for half an hour",
            "Stop asking, and talk with the user",
            resets_at=now + DECLINED_PAUSE - soon,
        )
    if usage.pending >= MOST_PENDING:
        return deny(
            f"{usage.pending} questions wait for a human already, and {MOST_PENDING} may",
            "Wait until they are answered or have expired",
            limit=str(MOST_PENDING),
            observed=str(usage.pending + 1),
            unit="questions",
        )
    if usage.prompts_last_hour < MOST_PROMPTS:
        return None
    return deny(
        f"a human was asked {usage.prompts_last_hour} times in the last hour, and {MOST_PROMPTS} times is the most",
        "Wait",
        limit=str(MOST_PROMPTS),
        observed=str(usage.prompts_last_hour + 1),
        unit="questions",
        window="1h",
        resets_at=now + 3_600,
    )

"""Rules on trading over time: volume, frequency, failures, and when a human must approve.

R12 to R15, R22 to R24 and R26 to R30. The ledger counts every intent that is reserved, sent, unknown or acknowledged.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Final

from safety.policy.case import DAY, SIGN, Case, Missing, Objection, at_most, deny, plain, require, rule, seconds
from safety.terms.facts import Assurance, Facts, Similar
from safety.terms.proposal import OrderTerms

_ALIKE: Final = Decimal("0.01")
_MINUTE: Final = 60


@rule("R12_DAILY_NOTIONAL")
def daily_notional(case: Case) -> Objection | None:
    """USD of all orders over 24 hours, and since midnight UTC."""
    allowed, usage = case.limits.daily_notional, case.facts.usage
    if allowed is None:
        return None
    used = max(usage.notional_24h, usage.notional_day)
    if used + case.usd <= allowed:
        return None
    smaller = case.smaller(allowed - used, case.usd)
    return deny(
        f"{plain(used)} USD of the {plain(allowed)} USD for a day are used, and this order is worth {plain(case.usd)}",
        at_most(smaller, "Wait until the earlier orders are more than a day old"),
        limit=plain(allowed),
        observed=plain(used + case.usd),
        unit="USD",
        window="24h",
        resets_at=case.facts.now + DAY if case.usd <= allowed else None,
        repaired=smaller,
    )


@rule("R13_DAILY_COUNT")
def daily_count(case: Case) -> Objection | None:
    """Number of orders, over the same spans."""
    allowed, usage = case.limits.daily_count, case.facts.usage
    used = max(usage.count_24h, usage.count_day)
    if allowed is None or used < allowed:
        return None
    return deny(
        f"{used} orders of the {allowed} for a day are used",
        "Wait until the earlier orders are more than a day old" if allowed else SIGN,
        limit=str(allowed),
        observed=str(used + 1),
        unit="orders",
        window="24h",
        resets_at=case.facts.now + DAY if allowed else None,
    )


@rule("R14_THROTTLE", once=True)
def throttle(case: Case) -> Objection | None:
    """The pause between two orders, and the number of orders per minute."""
    ages, pause, allowed = case.facts.usage.order_ages, case.limits.seconds_between, case.limits.per_minute
    if ages and min(ages) < pause:
        return deny(
            f"the last order was {seconds(min(ages))} s ago; {pause} s have to pass between two orders",
            "Wait",
            limit=str(pause),
            observed=seconds(min(ages)),
            unit="s",
            resets_at=case.facts.now + pause - min(ages),
        )
    lately = sorted(age for age in ages if age < _MINUTE)
    if allowed is None or len(lately) < allowed:
        return None
    return deny(
        f"{len(lately)} orders in the last minute; {allowed} are allowed",
        "Wait" if allowed else SIGN,
        limit=str(allowed),
        observed=str(len(lately) + 1),
        unit="orders",
        window="1m",
        resets_at=case.facts.now + _MINUTE - lately[allowed - 1] if allowed else None,
    )


@rule("R15_DUPLICATE", once=True)
def duplicate(case: Case) -> Objection | None:
    """An order like an earlier one on the same account, symbol and side needs a human."""
    span = case.limits.duplicate_seconds
    if not span:
        return None
    earlier = next((e for e in case.facts.usage.similar if e.age < span and _alike(case.order, e)), None)
    if earlier is None:
        return None
    return require(
        f"intent {earlier.intent_id} ({earlier.state}) asked for nearly the same {seconds(earlier.age)} s ago",
        limit=str(span),
        observed=seconds(earlier.age),
        unit="s",
        resets_at=case.facts.now + span - earlier.age,
    )


def _alike(order: OrderTerms, earlier: Similar) -> bool:
    """Amount and price within 1 % of the earlier ones. A market order matches any price."""
    if abs(order.amount - earlier.amount) > _ALIKE * earlier.amount:
        return False
    if order.price is None or earlier.price is None:
        return True
    return abs(order.price - earlier.price) <= _ALIKE * earlier.price


@rule("R22_REARM")
def rearm(case: Case) -> Objection | None:
    """After a number of automatic orders in a row, the next one needs a human."""
    allowed, done = case.limits.rearm_after, case.facts.usage.automatic_in_a_row
    if allowed is None or done < allowed:
        return None
    return require(
        (
            f"{done} orders in a row were sent without a human's approval; after {allowed}, a human has to "
            "approve the next"
        ),
        limit=str(allowed),
        observed=str(done),
        unit="orders",
    )


_HALTED: Final = "Stop and tell the user; only `heytraders-mcp release` lets trading continue"


@rule("R23_FAILURES")
def failures(case: Case) -> Objection | None:
    """Consecutive failures: first a pause, then a halt."""
    limits, usage = case.limits, case.facts.usage
    failed = usage.failures_in_a_row
    if limits.halt_failures is not None and failed >= limits.halt_failures:
        return deny(
            f"{failed} orders in a row failed; after {limits.halt_failures}, all trading halts",
            _HALTED,
            limit=str(limits.halt_failures),
            observed=str(failed),
            unit="failures",
        )
    if limits.cooldown_failures is None or failed < limits.cooldown_failures:
        return None
    if usage.last_failure_age is not None and usage.last_failure_age >= limits.cooldown_seconds:
        return None
    left = limits.cooldown_seconds - (usage.last_failure_age or 0)
    return deny(
        f"{failed} orders in a row failed, so there is a pause of {limits.cooldown_seconds} s",
        "Find out why with orders_list before the next order",
        limit=str(limits.cooldown_failures),
        observed=str(failed),
        unit="failures",
        resets_at=case.facts.now + left,
    )


@rule("R24_UNRESOLVED")
def unresolved(case: Case) -> Objection | None:
    """Orders of unknown outcome: they block further orders on that account and symbol, and too many of them halt.

    If the service does not return labels, an order being sent counts too, since two could not be told apart.
    """
    limits, usage = case.limits, case.facts.usage
    if limits.halt_unresolved is not None and usage.unknown_anywhere >= limits.halt_unresolved:
        return deny(
            f"the outcome of {usage.unknown_anywhere} orders is unknown; {limits.halt_unresolved} of them halt all "
            "trading",
            _HALTED,
            limit=str(limits.halt_unresolved),
            observed=str(usage.unknown_anywhere),
            unit="orders",
        )
    if not limits.one_unresolved:
        return None
    unclear = usage.unknown_here + (0 if case.facts.labels_echoed else usage.in_flight_here)
    if not unclear:
        return None
    return deny(
        "the outcome of an earlier order on this account and symbol is not known yet",
        "Look it up with order_intent; it may exist, so never place it again",
        limit="0",
        observed=str(unclear),
        unit="orders",
    )


@rule("R26_CLOCK", "order", "standing")
def clock(case: Case) -> Objection | None:
    """This clock against the service's, and against the ledger's past."""
    allowed, skew = case.limits.clock_skew, case.facts.clock_skew
    if allowed is None:
        return None
    if case.facts.usage.clock_went_back:
        return deny("this clock is behind the ledger's last entry", "The user has to correct the computer's clock")
    if skew is None:
        raise Missing("the service's time is not known")
    if abs(skew) <= allowed:
        return None
    return deny(
        f"this clock is {seconds(abs(skew))} s off the service's; at most {allowed} s is allowed",
        "The user has to correct the computer's clock",
        limit=str(allowed),
        observed=seconds(abs(skew)),
        unit="s",
    )


@rule("R27_UPSTREAM")
def upstream(case: Case) -> Objection | None:
    """The service must be answering, and the account's data must be recent."""
    allowed = case.limits.snapshot_age
    if allowed is None:
        return None
    if not case.facts.upstream_healthy:
        return deny("the service does not answer reliably at the moment", "Try again later; meta_health says more")
    if case.account.age <= allowed:
        return None
    return deny(
        f"the account was read {seconds(case.account.age)} s ago; at most {allowed} s is allowed",
        "Try again",
        limit=str(allowed),
        observed=seconds(case.account.age),
        unit="s",
    )


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
    """Every order needs a human, except those that the policy lets through."""
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
    """Limits on real money by the strongest approval channel, halved if labels are not returned."""
    facts = case.facts
    if facts.money == "paper":
        return None
    if case.action.kind != "order":
        if facts.assurance in {"passphrase", "separate"}:
            return None
        return deny(
            "this needs a human's signature, and no passphrase has been set",
            "The user has to set one with `heytraders-mcp policy sign`",
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
                f"assurance level {facts.assurance} allows",
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
    """Largest USD per order and per day for the strongest approval channel."""
    half = 2 if facts.labels_echoed is False else 1
    return CHANNEL_ORDER[facts.assurance] / half, CHANNEL_DAY[facts.assurance] / half


@rule("R30_STANDING", "standing")
def standing(case: Case) -> Objection | None:
    """A strategy that trades by itself always needs a human, and their number is limited."""
    allowed, active = case.limits.max_standing, case.facts.usage.standing_active
    if allowed is not None and active >= allowed:
        return deny(
            f"{active} strategies trade by themselves; at most {allowed} may",
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
    """How often a human may be asked. Judged only if a human would be asked."""
    usage, now = case.facts.usage, case.facts.now
    ages = sorted(usage.declined_ages)
    soon = next((younger for younger, older in pairwise(ages) if older - younger <= DECLINES_WITHIN), None)
    if soon is not None and soon < DECLINED_PAUSE:
        return deny(
            "a human has just declined twice, so no question is asked for half an hour",
            "Stop asking, and talk to the user",
            resets_at=now + DECLINED_PAUSE - soon,
        )
    if usage.pending >= MOST_PENDING:
        return deny(
            f"{usage.pending} questions already wait for a human; at most {MOST_PENDING} may",
            "Wait until they are answered or have expired",
            limit=str(MOST_PENDING),
            observed=str(usage.pending + 1),
            unit="questions",
        )
    if usage.prompts_last_hour < MOST_PROMPTS:
        return None
    return deny(
        f"a human was asked {usage.prompts_last_hour} times in the last hour; at most {MOST_PROMPTS} times is allowed",
        "Wait",
        limit=str(MOST_PROMPTS),
        observed=str(usage.prompts_last_hour + 1),
        unit="questions",
        window="1h",
        resets_at=now + 3_600,
    )

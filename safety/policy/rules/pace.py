"""How much and how often: sums and counts of a day, pauses, likes of earlier orders, orders without a human.

R12 to R15 and R22. What the ledger counts is everything that was reserved, sent, unknown or acknowledged.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from safety.policy.valuation import plain
from safety.terms.facts import Similar
from safety.terms.proposal import Order

from .case import DAY, SIGN, Case, Objection, at_most, deny, require, rule, seconds

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
        at_most(smaller, "Wait until earlier orders are a day old"),
        limit=plain(allowed),
        observed=plain(used + case.usd),
        unit="USD",
        window="24h",
        resets_at=case.facts.now + DAY if case.usd <= allowed else None,
        repaired=smaller,
    )


@rule("R13_DAILY_COUNT")
def daily_count(case: Case) -> Objection | None:
    """Orders, over the same spans."""
    allowed, usage = case.limits.daily_count, case.facts.usage
    used = max(usage.count_24h, usage.count_day)
    if allowed is None or used < allowed:
        return None
    return deny(
        f"{used} orders of the {allowed} for a day are used",
        "Wait until earlier orders are a day old" if allowed else SIGN,
        limit=str(allowed),
        observed=str(used + 1),
        unit="orders",
        window="24h",
        resets_at=case.facts.now + DAY if allowed else None,
    )


@rule("R14_THROTTLE", once=True)
def throttle(case: Case) -> Objection | None:
    """A pause between two orders, and a number of them in a minute."""
    ages, pause, allowed = case.facts.usage.order_ages, case.limits.seconds_between, case.limits.per_minute
    if ages and min(ages) < pause:
        return deny(
            f"the last order was {seconds(min(ages))} s ago; {pause} s have to lie between two orders",
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


def _alike(order: Order, earlier: Similar) -> bool:
    """Amount and price within 1 % of the earlier ones. A market order is like any price."""
    if abs(order.amount - earlier.amount) > _ALIKE * earlier.amount:
        return False
    if order.price is None or earlier.price is None:
        return True
    return abs(order.price - earlier.price) <= _ALIKE * earlier.price


@rule("R22_REARM")
def rearm(case: Case) -> Objection | None:
    """After so many orders in a row without a human, the next one needs one."""
    allowed, done = case.limits.rearm_after, case.facts.usage.automatic_in_a_row
    if allowed is None or done < allowed:
        return None
    return require(
        f"{done} orders in a row went out without a human; after {allowed} one has to approve the next",
        limit=str(allowed),
        observed=str(done),
        unit="orders",
    )

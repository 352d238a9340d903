"""How large one order may be: base units, USD at worst, leverage. R07, R08, R09 and R11."""

from __future__ import annotations

from api.errors import show
from safety.policy.limits import Limits
from safety.policy.valuation import plain

from .case import SIGN, Case, Objection, at_most, deny, rule


@rule("R07_MAX_AMOUNT")
def amount(case: Case) -> Objection | None:
    """Base units, for each symbol; a symbol without a number is denied."""
    table, order = case.limits.max_amount, case.order
    if table is None:
        return None
    allowed = table.get(order.symbol)
    if allowed is None:
        return deny(f"the policy has no max_amount for {show(order.symbol)}", SIGN, observed=plain(order.amount))
    if order.amount <= allowed:
        return None
    return deny(
        f"amount {plain(order.amount)} is above the {plain(allowed)} allowed for {order.symbol}",
        f"Use an amount of at most {plain(allowed)}",
        limit=plain(allowed),
        observed=plain(order.amount),
        unit="base units",
        repaired=case.smaller(allowed, order.amount),
    )


@rule("R08_MAX_NOTIONAL")
def notional(case: Case) -> Objection | None:
    """USD of one order."""
    allowed = case.limits.max_notional
    if allowed is None or case.usd <= allowed:
        return None
    smaller = case.smaller(allowed, case.usd)
    return deny(
        f"the order is worth {plain(case.usd)} USD at worst, above the {plain(allowed)} USD allowed for one order",
        at_most(smaller, SIGN),
        limit=plain(allowed),
        observed=plain(case.usd),
        unit="USD",
        repaired=smaller,
    )


@rule("R09_WORST_CASE")
def valued(case: Case) -> Objection | None:
    """What cannot be valued is not placed, where any limit counts money."""
    if counts_money(case.limits) and case.worth.usd is None:
        return deny(f"{case.worth.missing}, so the order cannot be valued", "Try again once it is known")
    return None


def counts_money(limits: Limits) -> bool:
    """Whether any limit needs to know what an order is worth."""
    return any(
        limit is not None
        for limit in (
            limits.max_notional,
            limits.daily_notional,
            limits.position_usd,
            limits.position_share,
            limits.exposure_share,
        )
    ) or (limits.ask_a_human and limits.automatic_up_to > 0)


@rule("R11_LEVERAGE")
def leverage(case: Case) -> Objection | None:
    """Leverage of perpetuals. Left out, it is what the account happens to be set to, which nobody here knows."""
    allowed, order = case.limits.max_leverage, case.order
    if allowed is None or order.market_type != "perpetual":
        return None
    if order.leverage is not None and order.leverage <= allowed:
        return None
    said = "not stated, so it would be the account's own" if order.leverage is None else str(order.leverage)
    return deny(
        f"leverage is {said}; at most {allowed} is allowed",
        f"State a leverage of at most {allowed}" if allowed else SIGN,
        limit=str(allowed),
        observed="not stated" if order.leverage is None else str(order.leverage),
        repaired=order.model_copy(update={"leverage": allowed if order.leverage else 1}) if allowed else None,
    )

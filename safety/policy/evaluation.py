"""The policy's verdict on one action: pure, total, the worst finding wins, and whatever fails is a denial."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from typing import Final, Literal

from safety.terms.decision import Decision, Finding, Outcome
from safety.terms.facts import Facts, SwitchState
from safety.terms.proposal import Action, Order, Publication

from .limits import Limits
from .policy import Policy
from .remaining import Remaining, left
from .rules import FATIGUE, RULES
from .rules.case import Case, Rule
from .rules.exposure import RESTS
from .rules.publishing import judge_webhook
from .rules.size import counts_money
from .suggestion import suggested
from .valuation import EXACT, Worth, worth

__all__ = ["Need", "Remaining", "evaluate", "judge_webhook", "left", "needs"]

Need = Literal["quote", "usd_rate", "account", "clock", "texts"]
"""A fact that has to be read: the market's price, its currency's rate, the account, the service's time, known texts."""

BROKEN: Final = "R00_POLICY"


def evaluate(action: Action, policy: Policy, facts: Facts, *, again: bool = False, approved: bool = False) -> Decision:
    """Judge an action. Never raises.

    Args:
        action: What is to be done.
        policy: What the user allows.
        facts: What is known; `facts.usage` must not count the action itself.
        again: It was admitted before and is about to be sent: how often things are asked for is not judged again.
        approved: A standing approval takes the place of a human's word on this very order, and of nothing else.
    """
    try:
        with decimal.localcontext(EXACT):
            return _evaluated(action, policy, facts, again=again, approved=approved)
    except Exception as error:  # noqa: BLE001 - whatever breaks, the answer is no
        reason = f"the policy could not be applied ({type(error).__name__})"
        return Decision(Outcome.DENY, (Finding(BROKEN, Outcome.DENY, reason, way_out="Tell the user"),), "")


def _evaluated(action: Action, policy: Policy, facts: Facts, *, again: bool, approved: bool) -> Decision:
    limits = policy.limits(facts.money)
    rules = [rule for rule in RULES if not (again and rule.once)]
    found, value = judged(action, limits, facts, rules, tired=not (again or approved))
    if approved:
        found = tuple(Finding(each.rule) if each.outcome is Outcome.REQUIRE else each for each in found)
    outcome = max(finding.outcome for finding in found)
    suggestion = None
    if outcome is Outcome.DENY and isinstance(action, Order):
        suggestion = suggested(action, found, lambda order: judged(order, limits, facts, rules, tired=not again)[0])
    return Decision(outcome, found, policy.hash, value.usd, suggestion)


def judged(
    action: Action, limits: Limits, facts: Facts, rules: Sequence[Rule] = RULES, *, tired: bool = True
) -> tuple[tuple[Finding, ...], Worth]:
    """What each rule for this kind of action finds, and what the action is worth.

    Args:
        action: What is to be done.
        limits: Those that count.
        facts: What is known.
        rules: In any order.
        tired: Whether a human may have been asked too often to be asked now.
    """
    case = Case(action, limits, facts, worth(action, facts) if isinstance(action, Order) else Worth())
    found = [rule.judge(case) for rule in rules if action.kind in rule.kinds]
    if tired and max(finding.outcome for finding in found) is Outcome.REQUIRE:
        found.append(FATIGUE.judge(case))
    return tuple(found), case.worth


def needs(action: Action, limits: Limits, switch: SwitchState = "ACTIVE") -> frozenset[Need]:
    """The facts that any active limit asks for; the rest need not be read.

    Args:
        action: What is to be done.
        limits: Those that count, `policy.limits(money)`.
        switch: While it is REDUCING, the account says what an order would shrink.
    """
    found: set[Need] = set()
    if isinstance(action, Publication):
        return frozenset({"texts"} if limits.ask_to_publish else found)
    if limits.clock_skew is not None:
        found.add("clock")
    if isinstance(action, Order):
        if counts_money(limits) or limits.check_funds:
            found |= {"quote", "usd_rate"}
        if _prices(action, limits):
            found.add("quote")
        if switch == "REDUCING" or _reads_account(action, limits):
            found.add("account")
    return frozenset(found)


def _prices(order: Order, limits: Limits) -> bool:
    if limits.quote_age is not None:
        return True
    if order.price is None:
        return False
    if order.market_type == "prediction":
        return limits.collar_probability is not None
    return limits.collar is not None or limits.collar_major is not None


def _reads_account(order: Order, limits: Limits) -> bool:
    numbers = (
        limits.position_usd,
        limits.position_share,
        limits.exposure_share,
        limits.daily_loss_usd,
        limits.daily_loss_share,
        limits.drawdown_share,
        limits.snapshot_age,
    )
    rests = order.order_type in RESTS and (limits.open_orders is not None or limits.open_orders_symbol is not None)
    return rests or limits.no_self_trade or limits.check_funds or any(number is not None for number in numbers)

"""What pulls the kill switch by itself: losses, drawdown, failures, unknown outcomes, a clock that went back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from safety.terms.decision import Decision, Outcome
from safety.terms.facts import Facts

from .limits import Limits
from .policy import Policy


@dataclass(frozen=True, slots=True)
class Trip:
    """A state that the switch has to take, which only a human ends.

    Attributes:
        state: HALTED, or REDUCING where only orders that shrink a position may pass.
        rule: The rule that says so.
        reason: With the numbers.
    """

    state: Literal["HALTED", "REDUCING"]
    rule: str
    reason: str


def tripped(decision: Decision, policy: Policy, facts: Facts) -> Trip | None:
    """The trip that a decision calls for, the hardest first."""
    limits = policy.limits(facts.money)
    if limits.clock_skew is not None and facts.usage.clock_went_back:
        return Trip("HALTED", "R26_CLOCK", "this clock is behind the ledger's last entry")
    denied = {finding.rule: finding.reason for finding in decision.findings if finding.outcome is Outcome.DENY}
    for rule in _halting(limits, facts):
        if rule in denied:
            return Trip("HALTED", rule, denied[rule])
    if "R19_DRAWDOWN" in denied and _has_equity(facts) and facts.usage.high_water_equity is not None:
        return Trip("REDUCING", "R19_DRAWDOWN", denied["R19_DRAWDOWN"])
    return None


def _halting(limits: Limits, facts: Facts) -> list[str]:
    usage = facts.usage
    halting: list[str] = []
    if _has_equity(facts) and usage.day_start_equity is not None:
        halting.append("R18_DAILY_LOSS")
    if limits.halt_failures is not None and usage.failures_in_a_row >= limits.halt_failures:
        halting.append("R23_FAILURES")
    if limits.halt_unresolved is not None and usage.unknown_anywhere >= limits.halt_unresolved:
        halting.append("R24_UNRESOLVED")
    return halting


def _has_equity(facts: Facts) -> bool:
    """A denial for want of a fact is no reason to halt."""
    return facts.account is not None and facts.account.equity_usd is not None

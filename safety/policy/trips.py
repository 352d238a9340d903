"""What pulls the kill switch by itself: losses, drawdown, failures, unknown outcomes, a clock that went back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from safety.terms.decision import Outcome
from safety.terms.facts import Facts
from safety.terms.proposal import Action

from .limits import Limits
from .rules import exposure, health
from .rules.case import Case, Rule
from .valuation import Worth


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


def tripped(action: Action, limits: Limits, facts: Facts) -> Trip | None:
    """The trip that the facts call for, the hardest first. Reads five of the rules, and each only where it can halt."""
    if limits.clock_skew is not None and facts.usage.clock_went_back:
        return Trip("HALTED", "R26_CLOCK", "this clock is behind the ledger's last entry")
    case = Case(action, limits, facts, Worth())
    for rule, state in _due(limits, facts):
        found = rule.judge(case) if action.kind in rule.kinds else None
        if found is not None and found.outcome is Outcome.DENY:
            return Trip(state, found.rule, found.reason)
    return None


def _due(limits: Limits, facts: Facts) -> Iterator[tuple[Rule, Literal["HALTED", "REDUCING"]]]:
    """The rules that may trip now. A denial for want of a fact is no reason to halt."""
    usage = facts.usage
    has_equity = facts.account is not None and facts.account.equity_usd is not None
    if has_equity and usage.day_start_equity is not None:
        yield exposure.daily_loss, "HALTED"
    if limits.halt_failures is not None and usage.failures_in_a_row >= limits.halt_failures:
        yield health.failures, "HALTED"
    if limits.halt_unresolved is not None and usage.unknown_anywhere >= limits.halt_unresolved:
        yield health.unresolved, "HALTED"
    if has_equity and usage.high_water_equity is not None:
        yield exposure.drawdown, "REDUCING"

"""What a rule finds and what the policy decides. A decision can be read: rule, limit, observed value, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any

from .proposal import Order


class Outcome(IntEnum):
    """Ordered from harmless to final; the worst of all rules decides."""

    PASS = 0
    REQUIRE = 1
    """A human has to approve this very action."""
    DENY = 2
    """No approval can change it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says about one action.

    Attributes:
        rule: Its id, such as `R08_MAX_NOTIONAL`.
        outcome: PASS, REQUIRE or DENY.
        reason: One sentence with the value and the limit; empty when it passes.
        limit: What is allowed.
        observed: What was found, in the same unit.
        unit: Of both, such as `USD`.
        window: The span that a count or sum is about, such as `24h`.
        resets_at: Unix seconds when waiting alone would let it pass.
        way_out: What to do instead, as a sentence; never to repeat what may have happened.
        repaired: The order that this rule would let pass, where one is known.
    """

    rule: str
    outcome: Outcome = Outcome.PASS
    reason: str = ""
    limit: str | None = None
    observed: str | None = None
    unit: str | None = None
    window: str | None = None
    resets_at: float | None = None
    way_out: str = ""
    repaired: Order | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says about one action.

    Attributes:
        outcome: The worst of `findings`.
        findings: One for each rule, in the order of the table.
        policy_hash: Of the policy that decided, hexadecimal.
        notional_usd: What the action was valued at, where money applies and a value is known.
        suggestion: A whole order that would not be denied (checked against the same facts), where one is known.
    """

    outcome: Outcome
    findings: tuple[Finding, ...]
    policy_hash: str
    notional_usd: Decimal | None = None
    suggestion: Order | None = None

    @property
    def worst(self) -> Finding:
        """The first finding that is as bad as the whole."""
        return next(finding for finding in self.findings if finding.outcome is self.outcome)

    @property
    def against(self) -> tuple[Finding, ...]:
        """Everything that does not simply pass, worst first; of several for one and the same reason the first."""
        told: dict[str, Finding] = {}
        for finding in sorted((f for f in self.findings if f.outcome), key=lambda f: -f.outcome):
            told.setdefault(finding.reason, finding)
        return tuple(told.values())

    def report(self) -> dict[str, Any]:
        """The decision as the journal and the model read it; unknown parts are left out."""
        worst = self.worst
        parts: dict[str, Any] = {
            "decision": self.outcome.name.lower(),
            "policy_hash": self.policy_hash[:12],
            "notional_usd": None if self.notional_usd is None else format(self.notional_usd, "f"),
            "suggestion": None
            if self.suggestion is None
            else self.suggestion.model_dump(mode="json", exclude_none=True),
        }
        if self.outcome:
            parts |= finding_report(worst)
            parts["all"] = [finding_report(finding) for finding in self.against]
        return {name: value for name, value in parts.items() if value is not None}


def finding_report(finding: Finding) -> dict[str, Any]:
    """A finding as the journal and the model read it."""
    named = {
        "rule": finding.rule,
        "outcome": finding.outcome.name.lower(),
        "reason": finding.reason,
        "limit": finding.limit,
        "observed": finding.observed,
        "unit": finding.unit,
        "window": finding.window,
        "resets_at": finding.resets_at,
        "way_out": finding.way_out or None,
    }
    return {name: value for name, value in named.items() if value is not None}

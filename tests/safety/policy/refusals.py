"""The words and numbers of every refusal of the boundary table, as a committed file.

python -m tests.safety.policy.refusals
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from safety.policy.evaluation import evaluate
from safety.terms.facts import RuleResult
from safety.terms.proposal import Action, OrderTerms
from tests.safety.policy.scenarios import NOW, facts, policy
from tests.safety.policy.test_rules_at_their_limits import ROWS, Row

FILE: Final = Path(__file__).with_name("refusals.txt")


def told() -> str:
    """Every row with an objection, and its text."""
    return "\n".join(line for row in ROWS for line in _row(row)) + "\n"


def _row(row: Row) -> Iterator[str]:
    decision = evaluate(row.action, policy(**row.limits), facts(**row.facts))
    if not decision.against:
        return
    yield f"# {row.name}"
    for finding in decision.against:
        yield f"{finding.rule} {finding.outcome.name}: {finding.reason}. {finding.what_to_do}."
        numbers = _numbers(row.action, finding)
        if numbers:
            yield f"    {numbers}"
    yield f"    suggested: {_difference(row.action, decision.suggestion)}"


def _numbers(action: Action, finding: RuleResult) -> str:
    resets = None if finding.resets_at is None else f"{finding.resets_at - NOW:.3f} s"
    parts = {
        "limit": finding.limit,
        "observed": finding.observed,
        "unit": finding.unit,
        "window": finding.window,
        "resets in": resets,
        "repaired": None if finding.repaired is None else _difference(action, finding.repaired),
    }
    return ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None)


def _difference(action: Action, other: OrderTerms | None) -> str:
    if other is None:
        return "nothing"
    return " ".join(
        f"{name}={value}" for name, value in other.model_dump().items() if value != getattr(action, name, None)
    )


if __name__ == "__main__":
    FILE.write_text(told(), encoding="utf-8")

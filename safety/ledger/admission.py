"""Letting a proposal in: whether it is there already, what the policy says, and the row that books it."""

from __future__ import annotations

from collections.abc import Callable

from safety.terms.decision import Decision, Finding, Outcome
from safety.terms.facts import Usage
from safety.terms.intent import Caller
from safety.terms.proposal import Proposal
from safety.terms.states import State

from .journal import Journal
from .records import Admission
from .rows import Row, action_hash, admit_row, insert, intent_of, one_of, select
from .usage import usage_of

_HAPPENED = ("SENT", "UNKNOWN", "ABSENT", "ACKED")


def admit(
    journal: Journal,
    proposal: Proposal,
    caller: Caller,
    decide: Callable[[Usage], Decision],
    *,
    repeat_seconds: int,
    ask_first: bool,
) -> Admission:
    """Find the intent of an earlier call with the same terms, or decide and book. Denials are events only."""
    earlier = _of_origin(journal, caller.origin) if caller.origin else _earlier(journal, proposal, repeat_seconds)
    if earlier is not None:
        return Admission(intent_of(earlier), _decision_for(earlier, proposal), repeated=True)
    decision = decide(usage_of(journal, proposal.money, proposal.action))
    told = {
        "tool": caller.tool,
        "client": caller.client,
        "service": proposal.service,
        "digest": proposal.digest,
        "action": proposal.action.model_dump(mode="json", exclude_none=True),
        "decision": decision.report(),
    }
    if decision.outcome not in {Outcome.PASS, Outcome.REQUIRE}:
        journal.append("denied", proposal.service, told)
        return Admission(None, decision)
    passed = decision.outcome is Outcome.PASS
    state: State = "APPROVED" if passed and not ask_first else "PENDING"
    row = admit_row(journal, proposal, caller, state, automatic=passed)
    return Admission(insert(journal, row, told), decision)


def _of_origin(journal: Journal, origin: str) -> Row | None:
    """What one decision of a strategy has already led to, whatever became of it."""
    rows = select(journal, "origin = ?", (origin,))
    return rows[0] if rows else None


def _earlier(journal: Journal, proposal: Proposal, repeat_seconds: int) -> Row | None:
    """The intent that the same call has already led to.

    What waits for a human, or was surely not sent and still may be, is always the same intent. What went through
    without a human, or was sent, is the same for `repeat_seconds`. What was rejected is over.
    """
    terms = (proposal.money, action_hash(proposal.action))
    rows = select(
        journal,
        "money = ? AND action_hash = ? AND (state IN ('PENDING', 'NOT_SENT') OR state = 'APPROVED' AND"
        f" (automatic = 0 OR by_human = 1) OR booked > ? AND ({one_of('state', _HAPPENED)} OR state = 'APPROVED'))"
        " ORDER BY created DESC, rowid DESC LIMIT 1",
        (*terms, journal.now - repeat_seconds, *_HAPPENED),
    )
    return rows[0] if rows else None


def _decision_for(row: Row, proposal: Proposal) -> Decision:
    outcome = Outcome.PASS if row["automatic"] else Outcome.REQUIRE
    found = Finding(
        "R15_DUPLICATE",
        outcome,
        reason="" if outcome is Outcome.PASS else f"the same call is already intent {row['intent_id']}",
        way_out=f"Look at intent {row['intent_id']} with order_intent",
    )
    return Decision(outcome, (found,), proposal.policy_hash, proposal.notional_usd)

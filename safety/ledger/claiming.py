"""Books sending: exactly one claim wins, and the outcome moves the intent along the state table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safety.ledger import switch
from safety.ledger.journal import Journal
from safety.ledger.rows import (
    Row,
    action_hash,
    admit_row,
    altered,
    expire,
    get,
    get_whole,
    insert,
    intent_of,
    is_whole,
    move,
    no_such_move,
    one_of,
    select,
    sending_seconds,
)
from safety.ledger.switch import Switch
from safety.ledger.usage import usage_of
from safety.terms.facts import Decision, Finding, Outcome, SwitchState, Usage
from safety.terms.intent import Caller, Intent, State, order_label
from safety.terms.proposal import Proposal, canonical_json


@dataclass(frozen=True, slots=True)
class Admission:
    """The result of admitting a proposal.

    Attributes:
        intent: `None` if the policy denied it.
        decision: The policy's; for a repeated call, that of the earlier one.
        repeated: The intent comes from an earlier call with the same terms.
    """

    intent: Intent | None
    decision: Decision
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The final check before an intent is sent: `GO`, or the state to move to and why."""

    to: State = "SENT"
    reason: str = ""


GO: Final = Verdict()


def stop(to: State, reason: str) -> Verdict:
    """Do not send it."""
    return Verdict(to, reason)


@dataclass(frozen=True, slots=True)
class Claim:
    """The result of a claim to send.

    Attributes:
        won: The caller may send, once; otherwise it must not.
        intent: Its current state.
        reason: Why the claim was lost, in one sentence.
    """

    won: bool
    intent: Intent
    reason: str = ""


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
    """Return the intent of an earlier call with the same terms, or decide and book. A denial is only an event."""
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
        _keep_denial(journal, proposal.service, told)
        return Admission(None, decision)
    passed = decision.outcome is Outcome.PASS
    state: State = "APPROVED" if passed and not ask_first else "PENDING"
    row = admit_row(journal, proposal, caller, state, automatic=passed)
    return Admission(insert(journal, row, told), decision)


def _of_origin(journal: Journal, origin: str) -> Row | None:
    """The intent of one strategy decision, in any state."""
    rows = select(journal, "origin = ?", (origin,))
    return rows[0] if rows else None


def _earlier(journal: Journal, proposal: Proposal, repeat_seconds: int) -> Row | None:
    """The intent of an earlier call with the same terms.

    An intent that waits for a human, or was definitely not sent but still may be, always matches. One that needed no
    human, or was sent, matches for `repeat_seconds`. A rejected one never matches.
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
        what_to_do=f"Look at intent {row['intent_id']} with order_intent",
    )
    return Decision(outcome, (found,), proposal.policy_hash, proposal.notional_usd)


DENIALS_SECONDS: Final = 3_600
WHOLE_DENIALS: Final = 100
MOST_DENIALS: Final = 1_000
"""Denials of one service within `DENIALS_SECONDS`: how many are stored in full, and how many at all."""
_LEFT: Final[frozenset[State]] = frozenset({"SENT", "UNKNOWN", "ABSENT"})
"""Only a claimed intent has an outcome."""


def _keep_denial(journal: Journal, service: str, told: dict[str, Any]) -> None:
    """Store a denial: the first of an hour in full, the next in short, then one event saying that there are more."""
    kept = journal.count_since("denied", service, journal.now - DENIALS_SECONDS, most=MOST_DENIALS + 1)
    if kept < WHOLE_DENIALS:
        journal.append("denied", service, told)
    elif kept < MOST_DENIALS:
        journal.append("denied", service, {"tool": told["tool"], "digest": told["digest"]})
    elif kept == MOST_DENIALS:
        journal.append("denied", service, {"tool": told["tool"], "note": "further denials of this hour are not kept"})


def claim(
    journal: Journal, home: Path, intent_id: str, decide: Callable[[Intent, Usage, SwitchState], Verdict]
) -> Claim:
    """Move an intent to SENT if it is approved, in time, unaltered and not halted, and `decide` agrees."""
    state = switch.current(journal, home).state
    expire(journal)
    row = get(journal, intent_id)
    if row["state"] not in {"APPROVED", "NOT_SENT"}:
        return Claim(won=False, intent=intent_of(row), reason=row["reason"] or f"it is {row['state']}")
    if not is_whole(journal, row):
        switch.engage(journal, Switch("HALTED", altered(row), "the check before sending"))
        return Claim(won=False, intent=intent_of(row), reason=altered(row))
    if state == "HALTED":
        return _stopped(journal, row, Verdict("HALTED", f"halted: {switch.in_journal(journal).reason}"))
    return _decided(journal, row, decide, state)


def _decided(
    journal: Journal, row: Row, decide: Callable[[Intent, Usage, SwitchState], Verdict], state: SwitchState
) -> Claim:
    intent = intent_of(row)
    proposal = intent.proposal
    verdict = decide(intent, usage_of(journal, proposal.money, proposal.action, without=intent.intent_id), state)
    if verdict.to == row["state"]:
        return Claim(won=False, intent=intent, reason=verdict.reason)
    if verdict.to != "SENT":
        return _stopped(journal, row, verdict)
    label = row["label"] or order_label(intent.intent_id, intent.digest, journal.head()[1])
    told = {"label": label}
    sent = move(journal, row, "SENT", told, label=label, sent_at=journal.now, booked=journal.now)
    return Claim(won=True, intent=intent_of(sent))


def _stopped(journal: Journal, row: Row, verdict: Verdict) -> Claim:
    stopped = move(journal, row, verdict.to, reason=verdict.reason)
    return Claim(won=False, intent=intent_of(stopped), reason=verdict.reason)


def settle(
    journal: Journal,
    intent_id: str,
    to: State,
    *,
    result: Mapping[str, Any] | None,
    order_id: str | None,
    reason: str,
    only_from: State | None,
) -> Intent:
    """Book an outcome."""
    row = get_whole(journal, intent_id)
    if row["state"] == to or only_from not in {None, row["state"]}:
        return intent_of(row)
    if row["state"] not in _LEFT:
        raise no_such_move(row, to)
    changes: dict[str, object] = {"reason": reason}
    told: dict[str, object] = {}
    if result is not None:
        changes["result"] = canonical_json(dict(result))
        told["shown"] = dict(result)
    if order_id is not None:
        changes["order_id"] = told["order_id"] = order_id
    if to == "NOT_SENT":
        changes["deadline"] = _deadline(row)
    late = row["state"] == "ABSENT" and to == "ACKED"
    settled = intent_of(move(journal, row, to, told, **changes))
    if late:
        reason = f"intent {settled.intent_id} was given up as absent and has shown up after all"
        switch.engage(journal, Switch("HALTED", reason, "the reconciliation"))
    return settled


def _deadline(row: Row) -> float:
    """The deadline for another try: the approval's end, as for the first try."""
    until: float = row["approved_at"] + sending_seconds(row)
    return until

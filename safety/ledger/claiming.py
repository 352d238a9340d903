"""Sending, as the ledger sees it: exactly one claim wins, and what became of it moves along the table of states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from safety.terms.facts import SwitchState, Usage
from safety.terms.intent import Intent, order_label
from safety.terms.proposal import canonical_json
from safety.terms.states import State

from . import switch
from .journal import Journal
from .records import Claim, Switch, Verdict
from .rows import Row, altered, expire, get, get_whole, intent_of, is_whole, move, no_such_move, sending_seconds
from .usage import usage_of

_LEFT: Final[frozenset[State]] = frozenset({"SENT", "UNKNOWN", "ABSENT"})
"""Only what a claim has let go has an outcome."""


def claim(
    journal: Journal, home: Path, intent_id: str, decide: Callable[[Intent, Usage, SwitchState], Verdict]
) -> Claim:
    """Take an intent to SENT, if it is approved, in time, untouched, not halted, and `decide` says so."""
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
    """Until when it may be tried again: the approval's end, as before the first try."""
    until: float = row["approved_at"] + sending_seconds(row)
    return until

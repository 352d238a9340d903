"""Intents as rows. Every change of a row is an event of the journal, which repeats the row's new seal.

The seal protects what the chain of events does not: the row itself. Limits are sums over columns that no event repeats
in full (value, state, time of booking), so a row that another program has changed is found by its seal alone.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from api.errors import InvalidInput, NotFound, UserMustAct, clean
from safety.ledger.journal import Journal
from safety.terms.intent import (
    Caller,
    Intent,
    IntentState,
    home_of,
    intent_of_label,
    may_move,
    new_intent_id,
)
from safety.terms.proposal import OrderTerms, Proposal, account_of

LedgerRow = dict[str, Any]

PENDING_SECONDS: Final = 300.0
"""Time limit for a human's approval."""
SENDING_SECONDS: Final = 30.0
"""Time limit for sending an intent that needed no human."""
SIGNED_SECONDS: Final = 75.0
"""The same after a human's approval, which waits for a fresh price: a minute plus the time to detect one."""
_UNSEALED: Final = frozenset({"sweeps", "seal", "money"})
NEVER_SENT: Final[frozenset[IntentState]] = frozenset(
    {"PENDING", "APPROVED", "NOT_SENT", "DECLINED", "EXPIRED", "EXPIRED_DRIFT", "HALTED"}
)
"""States in which the service cannot have the order."""
_MAX_REASON: Final = 500
_LABELS_AT_ONCE: Final = 500
_MAX_CLIENT: Final = 100


def admit_row(
    journal: Journal, proposal: Proposal, caller: Caller, state: IntentState, *, automatic: bool
) -> LedgerRow:
    """A new row, not yet written."""
    action = proposal.action
    order = action if isinstance(action, OrderTerms) else None
    asked = state == "PENDING"
    expires = min(proposal.expires, journal.now + PENDING_SECONDS)
    return {
        "intent_id": new_intent_id(journal.now, journal.home),
        "service": proposal.service,
        "kind": action.kind,
        "account_id": account_of(action),
        "symbol": order.symbol if order else "",
        "side": order.side if order else "",
        "amount": format(order.amount, "f") if order else "",
        "price": format(order.price, "f") if order and order.price is not None else None,
        "notional": "" if proposal.notional_usd is None else format(proposal.notional_usd, "f"),
        "action_hash": proposal.action_hash,
        "proposal": proposal.canonical,
        "digest": proposal.digest,
        "tool": clean(caller.tool, _MAX_CLIENT),
        "client": clean(caller.client, _MAX_CLIENT),
        "automatic": int(automatic),
        "asked": int(asked),
        "created": journal.now,
        "origin": caller.origin,
        "state": state,
        "by_human": 0,
        "label": "",
        "booked": journal.now,
        "changed_at": journal.now,
        "deadline": expires if asked else journal.now + SENDING_SECONDS,
        "sent_at": None,
        "order_id": None,
        "result": None,
        "reason": "",
        "signature": None,
        "key_id": None,
        "approved_at": None if asked else journal.now,
        "sweeps": 0,
    }


def insert(journal: Journal, row: LedgerRow, told: Mapping[str, object]) -> LedgerRow:
    """Write a new row and its admission event. Returns the row with its seal."""
    sealed = {**row, "seal": seal(journal, row)}
    marks = ", ".join("?" * len(sealed))
    journal.db.execute(f"INSERT INTO intents ({', '.join(sealed)}) VALUES ({marks})", tuple(sealed.values()))
    journal.append("intent", row["intent_id"], {"to": row["state"], "seal": sealed["seal"], **told})
    return sealed


def move(
    journal: Journal, row: LedgerRow, to: IntentState, told: Mapping[str, object] | None = None, **changes: object
) -> LedgerRow:
    """Move an intent to another state.

    Raises:
        InvalidInput: The state table does not allow it.
    """
    if not may_move(row["state"], to):
        raise no_such_move(row, to)
    reason = str(changes.pop("reason", ""))[:_MAX_REASON]
    changes |= {"deadline": changes.get("deadline"), "state": to, "reason": reason, "changed_at": journal.now}
    return rewrite(journal, row, changes, {"from": row["state"], "to": to, "reason": reason, **(told or {})})


def no_such_move(row: LedgerRow, to: IntentState) -> InvalidInput:
    """The error for a move that the state table does not allow."""
    return InvalidInput(
        f"intent {row['intent_id']} is {row['state']} and cannot become {to}",
        suggestion="Look at it with order_intent",
        code="INTENT_STATE",
    )


def rewrite(journal: Journal, row: LedgerRow, changes: Mapping[str, object], told: Mapping[str, object]) -> LedgerRow:
    """Write the changed columns of a row, its seal and its event."""
    changed = {**row, **changes}
    written = {**changes, "seal": seal(journal, changed)}
    journal.db.execute(
        f"UPDATE intents SET {', '.join(f'{name} = ?' for name in written)} WHERE intent_id = ?",
        (*written.values(), row["intent_id"]),
    )
    journal.append("intent", row["intent_id"], {**told, "seal": written["seal"]})
    return {**changed, **written}


def seal(journal: Journal, row: Mapping[str, Any]) -> str:
    """The MAC of a row, without the count of sweeps, which is not an event, and without derived columns.

    An empty origin is left out, since rows of schema version 1 were sealed without one.
    """
    sealed = {name: value for name, value in row.items() if name not in _UNSEALED}
    if not sealed.get("origin"):
        sealed.pop("origin", None)
    return journal.seal(sealed)


def find(journal: Journal, intent_id: str) -> LedgerRow | None:
    """A row by its id, in upper or lower case."""
    found = journal.db.execute("SELECT * FROM intents WHERE intent_id = ?", (intent_id.strip().upper(),)).fetchone()
    return dict(found) if found else None


def get(journal: Journal, intent_id: str) -> LedgerRow:
    """The same.

    Raises:
        NotFound: The intent does not exist.
    """
    row = find(journal, intent_id)
    if row is None:
        raise NotFound(
            f"there is no intent {clean(intent_id, 40)!r}",
            suggestion="Use the intent_id that the call returned",
            code="INTENT_NOT_FOUND",
        )
    return row


def get_whole(journal: Journal, intent_id: str) -> LedgerRow:
    """The same, for a change. An altered row is never rewritten, since that would seal it again.

    Raises:
        NotFound: The intent does not exist.
        UserMustAct: It was altered outside the ledger.
    """
    row = get(journal, intent_id)
    if not is_whole(journal, row):
        raise _touched(row)
    return row


def _touched(row: Mapping[str, Any]) -> UserMustAct:
    return UserMustAct(
        altered(row),
        suggestion="Run heytraders-mcp audit verify and look at the exchange itself",
        code="INTENT_ALTERED",
    )


def altered(row: Mapping[str, Any]) -> str:
    """The message about an altered row."""
    return f"intent {row['intent_id']} was altered outside of the ledger"


def is_whole(journal: Journal, row: LedgerRow) -> bool:
    """Whether a row is unaltered since the ledger last wrote it."""
    event = journal.latest("intent", row["intent_id"])
    if event is None or event.body.get("seal") != row["seal"]:
        return False
    return journal.is_sound(event) and hmac.compare_digest(str(row["seal"]).encode(), seal(journal, row).encode())


def whole(journal: Journal, rows: Iterable[LedgerRow]) -> list[LedgerRow]:
    """The unaltered rows."""
    return [row for row in rows if is_whole(journal, row)]


def select(journal: Journal, where: str, arguments: Iterable[object]) -> list[LedgerRow]:
    """Rows that meet a condition."""
    return [dict(row) for row in journal.db.execute(f"SELECT * FROM intents WHERE {where}", tuple(arguments))]


def one_of(column: str, values: Collection[str]) -> str:
    """A condition with a placeholder for each value, in the collection's order."""
    return f"{column} IN ({', '.join('?' * len(values))})"


def expire(journal: Journal) -> list[LedgerRow]:
    """Expire intents that were not approved or not sent in time."""
    due = whole(journal, select(journal, "deadline IS NOT NULL AND deadline < ?", (journal.now,)))
    return [move(journal, row, "EXPIRED", reason=_lateness(row)) for row in due]


def any_due(journal: Journal) -> bool:
    """Whether `expire` has anything to do."""
    due = journal.db.execute(
        "SELECT 1 FROM intents WHERE deadline IS NOT NULL AND deadline < ? LIMIT 1", (journal.now,)
    )
    return due.fetchone() is not None


def approve(journal: Journal, intent_id: str, signature: str, key_id: str) -> tuple[LedgerRow, bool]:
    """Book a human's approval. Returns the row, and whether it waited for one."""
    expire(journal)
    row = get_whole(journal, intent_id)
    if row["state"] != "PENDING":
        return row, False
    told = {"key_id": key_id, "signature": signature}
    until = journal.now + SIGNED_SECONDS
    return move(journal, row, "APPROVED", told, **told, by_human=1, approved_at=journal.now, deadline=until), True


def settle_by_human(journal: Journal, intent_id: str, order_id: str | None, told: Mapping[str, object]) -> Intent:
    """Book a human's decision on an order of unknown outcome: which order it is, or `None` if it was never placed.

    Raises:
        InvalidInput: Its outcome is known, or the order belongs to another intent.
    """
    row = get_whole(journal, intent_id)
    if order_id is None:
        if row["state"] == "ABSENT":
            return intent_of(row)
        return intent_of(move(journal, row, "ABSENT", told, reason="a human says it was not placed"))
    taken = select(journal, "order_id = ? AND intent_id <> ?", (order_id, row["intent_id"]))
    if taken:
        raise InvalidInput(
            f"order {order_id} belongs to intent {taken[0]['intent_id']}",
            suggestion="Choose another order, or use --absent",
            code="INTENT_STATE",
        )
    told = {**told, "order_id": order_id}
    return intent_of(move(journal, row, "ACKED", told, reason="a human says which order it is", order_id=order_id))


def newest(
    journal: Journal, states: Collection[IntentState] | None, service: Collection[str] | None, limit: int
) -> list[LedgerRow]:
    """The newest rows in these states, of these services; `None` does not filter."""
    conditions = ["1"] if states is None else [one_of("state", states)]
    arguments: list[object] = [*(states or ())]
    if service is not None:
        conditions.append(one_of("service", service))
        arguments += service
    where = " AND ".join(conditions) + " ORDER BY created DESC, rowid DESC LIMIT ?"
    return select(journal, where, (*arguments, limit))


def by_label(journal: Journal, labels: Collection[str]) -> dict[str, LedgerRow]:
    """The rows with these labels, by label."""
    wanted = sorted({label for label in labels if label})
    found: dict[str, LedgerRow] = {}
    for start in range(0, len(wanted), _LABELS_AT_ONCE):
        part = wanted[start : start + _LABELS_AT_ONCE]
        found.update((row["label"], row) for row in select(journal, one_of("label", part), part))
    return found


def contradicted_by(journal: Journal, labels: Collection[str]) -> dict[str, str]:
    """Why the labels of placed orders contradict this ledger, by intent id; empty if they do not.

    A label of ours without an intent here, or with an intent that was never sent, proves that the ledger was replaced
    by an older state or a copy. Orders that it no longer knows were sent and counted.
    """
    found: dict[str, str] = {}
    for label in labels:
        intent_id = intent_of_label(label)
        row = None if intent_id is None else find(journal, intent_id)
        if intent_id is None or (row is None and home_of(intent_id) != journal.home):
            continue
        if row is None or not row["label"].startswith(label) or row["state"] in NEVER_SENT:
            known = "does not know" if row is None else f"has as {row['state']}"
            found[intent_id] = f"an order is placed under the label of intent {intent_id}, which this ledger {known}"
    return found


def sending_seconds(row: Mapping[str, Any]) -> float:
    """How long after its approval an intent may be sent."""
    return SIGNED_SECONDS if row["by_human"] else SENDING_SECONDS


def _lateness(row: LedgerRow) -> str:
    if row["state"] == "PENDING":
        return "nobody approved it in time"
    return f"it was approved, but not sent within {sending_seconds(row):g} s"


def intent_of(row: Mapping[str, Any]) -> Intent:
    """A row as an intent.

    Raises:
        UserMustAct: It was altered and cannot be read.
    """
    try:
        proposal = Proposal.read(row["proposal"])
    except (ValueError, TypeError) as error:
        raise _touched(row) from error
    return Intent(
        intent_id=row["intent_id"],
        state=row["state"],
        proposal=proposal,
        digest=row["digest"],
        caller=Caller(row["tool"], row["client"], row["origin"]),
        automatic=bool(row["automatic"]),
        label=row["label"],
        created=row["created"],
        changed_at=row["changed_at"],
        sent_at=row["sent_at"],
        order_id=row["order_id"],
        result=None if row["result"] is None else json.loads(row["result"]),
        reason=row["reason"],
        signature=row["signature"],
        key_id=row["key_id"],
        approved_at=row["approved_at"],
        sweeps=row["sweeps"],
    )


DENIALS_SECONDS: Final = 3_600
WHOLE_DENIALS: Final = 100
MOST_DENIALS: Final = 1_000
"""Denials of one service within `DENIALS_SECONDS`: how many are stored in full, and how many at all."""


def keep_denial(journal: Journal, service: str, told: dict[str, Any]) -> None:
    """Store a denial: the first of an hour in full, the next in short, then one event saying that there are more."""
    kept = journal.count_since("denied", service, journal.now - DENIALS_SECONDS, most=MOST_DENIALS + 1)
    if kept < WHOLE_DENIALS:
        journal.append("denied", service, told)
    elif kept < MOST_DENIALS:
        journal.append("denied", service, {"tool": told["tool"], "digest": told["digest"]})
    elif kept == MOST_DENIALS:
        journal.append(
            "denied", service, {"tool": told["tool"], "note": ("further denials in this hour are not recorded")}
        )

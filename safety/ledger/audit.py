"""Verifies the ledger: the chain, the rows against their last events, the triggers, and the anchor.

The checkpoint, in the home folder, records up to where the journal was verified, so that a start need not read years of
events. It is sealed with the journal's key. If it is missing or forged, everything is checked. A server checks the
whole journal soon after its start.

The anchor, in the user's state folder, records the last event at each signature, halt and order with real money. A home
that is rolled back, restored from a copy or emptied lacks that event. The anchor is stored under the journal's key and
under the folder, so deleting only one does not hide it. Anyone who can write the user's files can remove it: it detects
accidents and agents, not an intruder.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

from safety.ledger.database import altered_indexes, missing_triggers
from safety.ledger.journal import GENESIS, MOST_BREAKS, Journal, body_of, replace_file
from safety.ledger.rows import LedgerRow, one_of, seal, select
from safety.private_file import BadFile, read_bounded
from safety.terms.intent import UNDECIDED

CHECKPOINT_FILE: Final = "audit.checkpoint"
Checkpoint = tuple[int, str]
"""Number and MAC of the last event of the verified part."""


def read_checkpoint(journal: Journal, home: Path) -> Checkpoint | None:
    """The checkpoint, if it is ours and the journal still has its event unchanged."""
    try:
        seq, mac, seal = json.loads(read_bounded(home / CHECKPOINT_FILE) or "")
    except (BadFile, ValueError, TypeError):
        return None
    if not hmac.compare_digest(str(seal).encode(errors="replace"), _seal(journal, seq, mac).encode()):
        return None
    [event] = journal.events(after=seq - 1, limit=1) or [None]
    return (seq, mac) if event is not None and event.mac == mac and journal.holds(event) else None


def write_checkpoint(journal: Journal, home: Path, checkpoint: Checkpoint) -> None:
    """Store the checkpoint. If that fails, the next start only takes longer."""
    seq, mac = checkpoint
    if not seq or read_checkpoint(journal, home) == checkpoint:
        return
    replace_file(home / CHECKPOINT_FILE, [seq, mac, _seal(journal, seq, mac)])


def _seal(journal: Journal, seq: object, mac: object) -> str:
    return journal.seal({"checkpoint": seq, "mac": mac})


_OPEN: Final = (*UNDECIDED, "SENT", "UNKNOWN")
_PART: Final = 200
"""Events or intents per short transaction."""


def breaks(journal: Journal) -> list[str]:
    """The breaks, at most 20 sentences."""
    return list(islice(_found(journal), MOST_BREAKS))


def without_accepted(journal: Journal, found: list[str]) -> list[str]:
    """The breaks that a human had not seen at the last release of the switch."""
    released = journal.latest("switch", "release")
    sound = released is not None and released.seq == journal.last_release()[0]
    accepted = cast("list[str]", released.body.get("accepted", [])) if released is not None and sound else []
    return [each for each in found if each not in accepted]


def recent_breaks(journal: Journal, checkpoint: Checkpoint) -> list[str]:
    """Breaks in the events after a checkpoint, in their intents and in all open intents.

    Of older events, this only checks that none is missing.
    """
    return list(islice(_recently(journal, checkpoint), MOST_BREAKS))


def _recently(journal: Journal, checkpoint: Checkpoint) -> Iterator[str]:
    yield from journal.breaks(after=checkpoint)
    events, last = journal.db.execute("SELECT count(*), max(seq) FROM events").fetchone()
    if events != last:
        yield f"{last - events} of {last} events are missing"
    yield from _gone(journal, checkpoint[0], last)
    lately = "SELECT subject FROM events WHERE kind = 'intent' AND seq > ?"
    rows = select(journal, f"{one_of('state', _OPEN)} OR intent_id IN ({lately})", (*_OPEN, checkpoint[0]))
    yield from _altered(journal, rows)
    yield from _schema(journal)


def breaks_by_parts(
    read: Callable[[], AbstractContextManager[Journal]], pause: Callable[[], None]
) -> tuple[list[str], Checkpoint]:
    """All breaks and the last event checked, in many short transactions, so that others can write.

    Args:
        read: Starts a transaction.
        pause: Runs between two transactions.
    """
    found: list[str] = []
    reached, ended = (0, GENESIS), False
    while not ended and len(found) < MOST_BREAKS:
        with read() as journal:
            last, _ = journal.head()
            until = min(reached[0] + _PART, last)
            found += journal.breaks(after=reached, until=until)
            found += _gone(journal, reached[0], until)
            reached, ended = journal.place(until), until == last
        pause()
    row, ended = 0, False
    while not ended and len(found) < MOST_BREAKS:
        with read() as journal:
            rows = _part(journal, row)
            found += _altered(journal, rows.values())
            found += [*_schema(journal), *_file(journal)] if not rows else ()
        row, ended = max(rows, default=row), not rows
        pause()
    return found[:MOST_BREAKS], reached


def _part(journal: Journal, after: int) -> dict[int, LedgerRow]:
    """The next intents, by rowid."""
    rows = journal.db.execute(
        "SELECT rowid AS place, * FROM intents WHERE rowid > ? ORDER BY rowid LIMIT ?", (after, _PART)
    )
    part = [dict(row) for row in rows]
    return {row.pop("place"): row for row in part}


def _found(journal: Journal) -> Iterator[str]:
    yield from journal.breaks()
    yield from _rows(journal)
    yield from _schema(journal)
    yield from _file(journal)


def _schema(journal: Journal) -> Iterator[str]:
    for name in missing_triggers(journal.db):
        yield f"the trigger {name} is gone or was altered"
    for name in altered_indexes(journal.db):
        yield f"the index {name} is gone or was altered"


def _file(journal: Journal) -> Iterator[str]:
    """Differences between an index and its table; sums are read from indexes alone."""
    for (said,) in journal.db.execute("PRAGMA integrity_check(3)"):
        if said != "ok":
            yield f"the file is inconsistent: {said}"


def _gone(journal: Journal, after: int, until: int) -> Iterator[str]:
    lost = (
        "SELECT DISTINCT subject FROM events WHERE +kind = 'intent' AND seq > ? AND seq <= ?"
        " AND subject NOT IN (SELECT intent_id FROM intents)"
    )
    for (intent_id,) in journal.db.execute(lost, (after, until)):
        yield f"intent {intent_id} is gone"


def _altered(journal: Journal, rows: Iterable[LedgerRow]) -> Iterator[str]:
    for fields in rows:
        event = journal.latest("intent", fields["intent_id"])
        if event is None:
            yield f"intent {fields['intent_id']} was never admitted"
        elif not fields["seal"] == seal(journal, fields) == event.body.get("seal"):
            yield f"intent {fields['intent_id']} was altered"


def _rows(journal: Journal) -> Iterator[str]:
    """Check that every row matches its last event, and that every intent in the journal has a row."""
    last = dict(
        journal.db.execute(
            "SELECT subject, body FROM events WHERE seq IN"
            " (SELECT max(seq) FROM events WHERE kind = 'intent' GROUP BY subject)"
        ).fetchall()
    )
    for row in journal.db.execute("SELECT * FROM intents ORDER BY rowid"):
        fields: dict[str, Any] = dict(row)
        event = last.pop(fields["intent_id"], None)
        if event is None:
            yield f"intent {fields['intent_id']} was never admitted"
        elif not fields["seal"] == seal(journal, fields) == body_of(event).get("seal"):
            yield f"intent {fields['intent_id']} was altered"
    for intent_id in last:
        yield f"intent {intent_id} is gone"

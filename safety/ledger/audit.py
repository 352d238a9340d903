"""Whether journal and rows hold together: the chain, the rows against their last events, and the triggers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, Final, cast

from safety.ledger.checkpoint import Checkpoint
from safety.ledger.database import altered_indexes, missing_triggers
from safety.ledger.journal import GENESIS, MOST_BREAKS, Journal, body_of
from safety.ledger.rows import Row, one_of, seal, select
from safety.terms.intent import UNDECIDED

_LABEL_HEAD: Final = 12
_OPEN: Final = (*UNDECIDED, "SENT", "UNKNOWN")
_PART: Final = 200
"""Events or intents of one short look."""


def breaks(journal: Journal) -> list[str]:
    """What does not hold, at most 20 sentences."""
    return list(islice(_found(journal), MOST_BREAKS))


def without_accepted(journal: Journal, found: list[str]) -> list[str]:
    """The same without what a human had before them when they last released the switch."""
    released = journal.latest("switch", "release")
    sound = released is not None and released.seq == journal.last_release()[0]
    accepted = cast("list[str]", released.body.get("accepted", [])) if released is not None and sound else []
    return [each for each in found if each not in accepted]


def recent_breaks(journal: Journal, checkpoint: Checkpoint) -> list[str]:
    """What does not hold of events behind a checkpoint, of the intents that they are about and of all that are open.

    Of what is older, only that no event is missing.
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
    """What does not hold in all, and how far the events went, by many short transactions that let others write.

    Args:
        read: Begins a transaction.
        pause: Between two of them.
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


def _part(journal: Journal, after: int) -> dict[int, Row]:
    """The next intents, by rowid."""
    rows = journal.db.execute(
        "SELECT rowid AS place, * FROM intents WHERE rowid > ? ORDER BY rowid LIMIT ?", (after, _PART)
    )
    part = [dict(row) for row in rows]
    return {row.pop("place"): row for row in part}


def unanchored(journal: Journal, anchor: tuple[int, str]) -> Iterator[str]:
    """Whether the journal still has the event that was its head once."""
    seq, mac = anchor
    where = "seq = ? AND mac = ?" if seq else "? = 0 AND substr(mac, 1, 12) = ?"
    known = journal.db.execute(f"SELECT 1 FROM events WHERE {where}", (seq, mac if seq else mac[:_LABEL_HEAD]))
    if known.fetchone() is None:
        shown = f"event {seq}" if seq else "the event"
        yield f"{shown} with MAC {mac[:_LABEL_HEAD]} is gone: an older state of the ledger was put in its place"


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
    """Where an index does not hold what its table holds; sums are read from indexes alone."""
    for (said,) in journal.db.execute("PRAGMA integrity_check(3)"):
        if said != "ok":
            yield f"the file does not hold together: {said}"


def _gone(journal: Journal, after: int, until: int) -> Iterator[str]:
    lost = (
        "SELECT DISTINCT subject FROM events WHERE +kind = 'intent' AND seq > ? AND seq <= ?"
        " AND subject NOT IN (SELECT intent_id FROM intents)"
    )
    for (intent_id,) in journal.db.execute(lost, (after, until)):
        yield f"intent {intent_id} is gone"


def _altered(journal: Journal, rows: Iterable[Row]) -> Iterator[str]:
    for fields in rows:
        event = journal.latest("intent", fields["intent_id"])
        if event is None:
            yield f"intent {fields['intent_id']} was never admitted"
        elif not fields["seal"] == seal(journal, fields) == event.body.get("seal"):
            yield f"intent {fields['intent_id']} was altered"


def _rows(journal: Journal) -> Iterator[str]:
    """Every row is as its last event left it, and every intent of the journal has a row."""
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

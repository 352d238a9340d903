"""Whether journal and rows hold together: the chain, the rows against their last events, and the triggers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, cast

from .database import altered_indexes, missing_triggers
from .journal import MOST_BREAKS, Journal, body_of
from .rows import seal

_LABEL_HEAD: Final = 12


def breaks(journal: Journal) -> list[str]:
    """What does not hold, at most 20 sentences."""
    return list(islice(_found(journal), MOST_BREAKS))


def new_breaks(journal: Journal) -> list[str]:
    """The same without what a human had before them when they last released the switch."""
    released = journal.latest("switch", "release")
    sound = released is not None and released.seq == journal.last_release()[0]
    accepted = cast("list[str]", released.body.get("accepted", [])) if released is not None and sound else []
    return [found for found in breaks(journal) if found not in accepted]


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
    for name in missing_triggers(journal.db):
        yield f"the trigger {name} is gone or was altered"
    for name in altered_indexes(journal.db):
        yield f"the index {name} is gone or was altered"


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

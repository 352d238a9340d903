"""The append-only journal: the seal of each event covers the seal of the one before.

The MACs are keyed: without reading `audit.key`, a program that can write the database cannot rebuild the chain. A chain
cannot reveal that its newest events are missing. Therefore its head is also stored elsewhere: in the label of every
order sent, and wherever the user keeps the output of `heytraders-mcp audit --head`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from platformdirs import user_state_path

from api.errors import UserMustAct
from safety.exits import redacted, redacted_value
from safety.private_file import BadFile, read_bounded, read_regular
from safety.terms.proposal import canonical_json

KEY_FILE: Final = "audit.key"
KEY_BYTES: Final = 32
GENESIS: Final = "0" * 64
MOST_BREAKS: Final = 20
"""How many are listed one by one."""

_LAST: Final = 2**63 - 1
_COLUMNS: Final = "seq, at, kind, subject, body, prev, mac"


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the journal.

    Attributes:
        seq: Counts from 1 without gaps.
        at: Unix seconds.
        kind: `intent` for every state change, `denied`, `switch`, `policy`, `approver`, `equity`, `labels`, `audit`, or
            a kind chosen by a caller of `record`.
        subject: Its subject: an intent's id, a service, an account; may be "".
        body: The rest.
        prev: MAC of the event before it, hexadecimal.
        mac: HMAC-SHA256 over all of this, hexadecimal.
    """

    seq: int
    at: float
    kind: str
    subject: str
    body: Mapping[str, Any]
    prev: str
    mac: str


class Journal:
    """The journal within one transaction.

    Attributes:
        db: The transaction.
        now: Its time, Unix seconds.
    """

    def __init__(self, db: sqlite3.Connection, key: bytes, now: float) -> None:
        self.db = db
        self.now = now
        self._key = key

    @property
    def home(self) -> int:
        """Identifies this ledger in the ids of its intents: 16 bits derived from its key."""
        return int.from_bytes(hashlib.blake2b(self._key, digest_size=2).digest())

    def append(self, kind: str, subject: str, body: Mapping[str, Any]) -> Event:
        """Write the next event. Every body also records the writing process and its clock."""
        seq, prev = self.head()
        told: Mapping[str, Any] = {**body, "pid": os.getpid(), "monotonic": round(time.monotonic(), 6)}
        text = canonical_json(told)
        plain = text.replace('\\"', '"')  # without another escape, it holds every string as it is
        if "\\" in plain or redacted(plain) != plain:
            told = cast("Mapping[str, Any]", redacted_value(told))
            text = canonical_json(told)
        mac = self._mac(seq + 1, prev, self.now, kind, subject, text)
        row = (seq + 1, self.now, kind, subject, text, prev, mac)
        self.db.execute(f"INSERT INTO events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return Event(seq + 1, self.now, kind, subject, told, prev, mac)

    def head(self) -> tuple[int, str]:
        """Number and MAC of the last event."""
        row = self.db.execute("SELECT seq, mac FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        return (row[0], row[1]) if row else (0, GENESIS)

    def place(self, seq: int) -> tuple[int, str]:
        """Number and MAC of an event, or the start of the chain."""
        row = self.db.execute("SELECT seq, mac FROM events WHERE seq <= ? ORDER BY seq DESC LIMIT 1", (seq,)).fetchone()
        return (seq, row[1]) if row else (seq, GENESIS)

    def latest(self, kind: str, subject: str = "", *, until: float = math.inf) -> Event | None:
        """The last event of a kind about a subject, up to a moment in Unix seconds."""
        row = self.db.execute(
            f"SELECT {_COLUMNS} FROM events WHERE kind = ? AND subject = ? AND at <= ? ORDER BY seq DESC LIMIT 1",
            (kind, subject, until),
        ).fetchone()
        return _event(row) if row else None

    def last_release(self) -> tuple[int, float]:
        """Number and time of the last release of the switch by a human; zeros when there was none."""
        event = self.latest("switch", "release")
        return (event.seq, event.at) if event is not None and self.holds(event) else (0, 0.0)

    def is_sound(self, event: Event) -> bool:
        """Whether an event is unaltered, or a human released the switch knowing that it was altered."""
        return self.holds(event) or self._is_accepted(event)

    def events(self, *, after: int = 0, limit: int = 100, newest: bool = False) -> list[Event]:
        """Events after number `after`, oldest first: the first `limit` of them, or the last."""
        order = "DESC" if newest else "ASC"
        rows = self.db.execute(
            f"SELECT {_COLUMNS} FROM events WHERE seq > ? ORDER BY seq {order} LIMIT ?", (after, limit)
        ).fetchall()
        return [_event(row) for row in (reversed(rows) if newest else rows)]

    def count_since(self, kind: str, subject: str, moment: float, *, most: int) -> int:
        """How many events of a kind about a subject came after a moment, up to `most`."""
        newest = "SELECT at FROM events WHERE kind = ? AND subject = ? ORDER BY seq DESC LIMIT ?"
        counted = self.db.execute(f"SELECT COUNT(*) FROM ({newest}) WHERE at > ?", (kind, subject, most, moment))
        found: int = counted.fetchone()[0]
        return found

    def seal(self, fields: Mapping[str, Any]) -> str:
        """The MAC of a row, which its last event repeats."""
        return self._hmac("row\n" + _covered(dict(fields)))

    def breaks(self, *, after: tuple[int, str] = (0, GENESIS), until: int = _LAST) -> Iterator[str]:
        """The breaks of the chain.

        Args:
            after: Number and MAC of the event to start after.
            until: Number of the last event to check.
        """
        expected, before = after[0] + 1, after[1]
        chain = f"SELECT {_COLUMNS} FROM events WHERE seq > ? AND seq <= ? ORDER BY seq"
        for row in self.db.execute(chain, (after[0] or -_LAST, until)):
            seq, at, kind, subject, body, prev, mac = row
            if seq != expected:
                yield f"events {expected} to {seq - 1} are missing"
            elif prev != before:
                yield f"event {seq} does not follow on event {seq - 1}"
            if not hmac.compare_digest(str(mac).encode(), self._mac(seq, prev, at, kind, subject, body).encode()):
                yield altered(seq)
            expected, before = seq + 1, mac

    def _is_accepted(self, event: Event) -> bool:
        """Whether the last release lists its break, or there were too many to list, as after a lost key."""
        release = self.latest("switch", "release")
        if release is None or event.seq > release.seq or not self.holds(release):
            return False
        accepted: list[str] = release.body.get("accepted", [])
        return altered(event.seq) in accepted or len(accepted) >= MOST_BREAKS

    def holds(self, event: Event) -> bool:
        """Whether an event is unaltered."""
        body = self.db.execute("SELECT body FROM events WHERE seq = ?", (event.seq,)).fetchone()[0]
        mac = self._mac(event.seq, event.prev, event.at, event.kind, event.subject, body)
        return hmac.compare_digest(event.mac.encode(), mac.encode())

    def _mac(self, seq: int, prev: str, at: float, kind: str, subject: str, body: str) -> str:
        return self._hmac(_covered([seq, prev, at, kind, subject, body]))

    def _hmac(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), "sha256").hex()


def altered(seq: int) -> str:
    """The message about an event whose MAC does not match."""
    return f"event {seq} was altered"


def _covered(value: object) -> str:
    """The input of a MAC. Values that another program put into the database may have any type and are covered too."""
    return _COVERED.encode(value)


_COVERED: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=repr)


def _event(row: Any) -> Event:
    seq, at, kind, subject, body, prev, mac = row
    return Event(seq, at, kind, subject, body_of(body), prev, mac)


def body_of(text: object) -> dict[str, Any]:
    """An event's body; empty if another program has replaced it with something unreadable."""
    try:
        body = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        body = None
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}


def audit_key(home: Path) -> bytes:
    """The key of the journal. The first call creates it, even if several processes do so at once.

    Raises:
        UserMustAct: Other users can read it, or it cannot be read.
    """
    path = home / KEY_FILE
    try:
        if not path.exists():
            _make_key(path)
        found = read_regular(path)
    except (OSError, BadFile) as error:
        why = error.message if isinstance(error, BadFile) else f"cannot be read ({error.strerror})"
        raise _bad_key(path, why.removeprefix(f"{path} "), "Check its owner and permissions") from error
    key, status = found or (b"", None)
    if os.name == "posix" and status is not None and status.st_mode & 0o077:
        raise _bad_key(path, "can be read by others", f"Run: chmod 600 {path}")
    if len(key) != KEY_BYTES:
        raise _bad_key(path, "is not a key", "Restore it from a backup of the same folder")
    return key


def _make_key(path: Path) -> None:
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(scratch, path)
    except FileExistsError:
        pass
    finally:
        scratch.unlink()


def _bad_key(path: Path, what: str, what_to_do: str) -> UserMustAct:
    return UserMustAct(f"the journal's key {path} {what}", suggestion=what_to_do, code="INTERNAL_ERROR")


def replace_file(path: Path, content: list[object]) -> None:
    """Replace a small file, atomically if possible."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(content, file)
        scratch.replace(path)


@dataclass(frozen=True, slots=True)
class Anchors:
    """The anchors of one home.

    Attributes:
        home: Its folder, resolved.
        key: The key of its journal.
    """

    home: Path
    key: bytes

    def missing(self, journal: Journal) -> list[str]:
        """Why the journal is not the one whose head was stored; empty if it is, or if none was stored."""
        for path, seq, mac, _ in self._kept():
            for lost in unanchored(journal, (seq, mac)):
                return [f"{lost} (the last event is kept in {path})"]
        return []

    def keep(self, journal: Journal, approver: str | None, *, accepted: bool = False) -> None:
        """Store the head of a journal that contains every head stored before, or whose loss a human has accepted."""
        seq, mac = journal.head()
        if seq and (accepted or not self.missing(journal)):
            for path in self._paths():
                replace_file(path, [seq, mac, approver])

    def exist(self) -> bool:
        """Whether any anchor was stored."""
        return any(True for _ in self._kept())

    def other_approver(self, approver: str | None) -> Path | None:
        """The file that names an approver other than `approver`, if there is one."""
        return next((path for path, _, _, named in self._kept() if named not in {None, approver}), None)

    def _kept(self) -> Iterator[tuple[Path, int, str, str | None]]:
        for path in self._paths():
            try:
                seq, mac, approver = json.loads(read_bounded(path) or "")
            except (BadFile, ValueError, TypeError):
                continue
            if isinstance(seq, int) and isinstance(mac, str):
                yield path, seq, mac, approver if isinstance(approver, str) else None

    def _paths(self) -> list[Path]:
        names = [self.key.hex()]
        with suppress(OSError):
            status = self.home.stat()
            names.append(f"{self.home} {status.st_dev} {status.st_ino}")
        folder = user_state_path("heytraders-mcp") / "heads"
        return [folder / hashlib.blake2b(name.encode(errors="replace"), digest_size=16).hexdigest() for name in names]


_LABEL_HEAD: Final = 12


def unanchored(journal: Journal, anchor: tuple[int, str]) -> Iterator[str]:
    """Check that the journal still has the event that was once its head."""
    seq, mac = anchor
    where = "seq = ? AND mac = ?" if seq else "? = 0 AND substr(mac, 1, 12) = ?"
    known = journal.db.execute(f"SELECT 1 FROM events WHERE {where}", (seq, mac if seq else mac[:_LABEL_HEAD]))
    if known.fetchone() is None:
        shown = f"event {seq}" if seq else "the event"
        yield f"{shown} with MAC {mac[:_LABEL_HEAD]} is missing: the ledger was replaced by an older state"

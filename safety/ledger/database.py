"""The database file that all server processes of one home share: schema, durability and transactions.

A commit is on the disk when it returns (`synchronous=EXTRA`). A writer holds the lock from its first read (`BEGIN
IMMEDIATE`), so that the inputs of a decision are still true when it is booked. The journal mode is PERSIST: a commit
clears the header of the rollback journal and syncs it, which costs half the time of removing the file. WAL can lose a
commit in SQLite below 3.51.3 when two processes checkpoint at once.
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from api.errors import Unavailable, UserMustAct
from safety.terms.intent import MOVES
from safety.terms.proposal import PAPER_SERVICE

_MOUNTS: Final = Path("/proc/self/mountinfo")
_NETWORK: Final = frozenset(
    {"afs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
)


def prepare(path: Path) -> None:
    """Create folder and file before SQLite does, to set their modes; the rollback journal inherits the file's mode.

    Raises:
        UserMustAct: The folder is on another machine.
        OSError: Folder or file cannot be created.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    kind = network_kind(path.parent.resolve(), _MOUNTS.read_text() if _MOUNTS.exists() else "")
    if kind is not None:
        raise UserMustAct(
            f"{path.parent} lies on a network filesystem ({kind}), where two processes can both believe that they hold "
            "a lock",
            suggestion="Set HEYTRADERS_HOME to a folder on a disk of this machine",
            code="INTERNAL_ERROR",
        )
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def network_kind(folder: Path, mounts: str) -> str | None:
    """The type of network filesystem that holds a folder, according to `mountinfo`; `None` for a local one.

    Args:
        folder: Resolved.
        mounts: As in proc(5): the mount point is the fifth field, the type the first after a lone dash.
    """
    found: list[tuple[int, str]] = []
    for line in mounts.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split()
        if dash and len(fields) > 4 and folder.is_relative_to(_unescaped(fields[4])):
            found.append((len(fields[4]), after.split()[0]))
    _, kind = max(reversed(found), key=lambda mount: mount[0], default=(0, ""))
    return kind if kind in _NETWORK else None


def _unescaped(name: str) -> str:
    """A mount point with the octal escapes of proc(5) decoded."""
    return name.encode().decode("unicode_escape") if "\\" in name else name


FILE_NAME: Final = "safety.db"
BUSY_SECONDS: Final = 10.0
_NAP: Final = (0.001, 0.008)
"""Seconds between two tries."""
_HASTE: Final = 4.0
"""Naps shorten with each second of waiting by this factor, so that longer waiters go first."""

_TABLES: Final = (
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL,
        prev TEXT NOT NULL, mac TEXT NOT NULL)""",
    """CREATE TABLE intents (
        intent_id TEXT PRIMARY KEY, service TEXT NOT NULL, kind TEXT NOT NULL, account_id TEXT NOT NULL,
        symbol TEXT NOT NULL, side TEXT NOT NULL, amount TEXT NOT NULL, price TEXT, notional TEXT NOT NULL,
        action_hash TEXT NOT NULL, proposal TEXT NOT NULL, digest TEXT NOT NULL, tool TEXT NOT NULL,
        client TEXT NOT NULL, automatic INTEGER NOT NULL, asked INTEGER NOT NULL, created REAL NOT NULL,
        state TEXT NOT NULL, by_human INTEGER NOT NULL, label TEXT NOT NULL, booked REAL NOT NULL,
        changed_at REAL NOT NULL, deadline REAL, sent_at REAL, order_id TEXT, result TEXT, reason TEXT NOT NULL,
        signature TEXT, key_id TEXT, approved_at REAL, sweeps INTEGER NOT NULL, seal TEXT NOT NULL)""",
)
_INDEXES: Final = {
    "events_by_subject": "events (kind, subject, seq)",
    "events_by_time": "events (at)",
    "intents_by_change": "intents (money, kind, changed_at)",
    "intents_by_state": "intents (state, created)",
    "intents_by_service": "intents (service, state, created)",
    "intents_by_deadline": "intents (deadline) WHERE deadline IS NOT NULL",
    "intents_by_terms": "intents (money, action_hash, state, booked)",
    "intents_by_day": "intents (money, kind, booked, state, deadline, notional, created, intent_id)",
    "intents_by_outcome": (
        "intents (money, state, changed_at, kind, account_id, deadline, booked, symbol, notional, intent_id)"
    ),
    "intents_by_likeness": (
        "intents (money, account_id, symbol, side, booked, kind, state, deadline, amount, price, intent_id)"
    ),
    "intents_by_signature": "intents (money, kind, approved_at) WHERE signature <> ''",
    "intents_by_machine": (
        "intents (money, kind, created, state, intent_id, automatic, signature)"
        " WHERE automatic = 1 AND coalesce(signature, '') = ''"
    ),
    "intents_by_attempt": "intents (money, kind, changed_at, state, sent_at, intent_id) WHERE sent_at IS NOT NULL",
    "intents_by_question": "intents (money, created, intent_id) WHERE asked = 1",
}
"""Index name to its columns. A row has kilobytes, so the sums of a decision are read from covering indexes."""

_UNIQUE_LABELS: Final = "CREATE UNIQUE INDEX intents_by_label ON intents (label) WHERE label <> ''"
_UNIQUE_ORIGINS: Final = "CREATE UNIQUE INDEX intents_by_origin ON intents (origin) WHERE origin <> ''"
_MONEY: Final = f"CASE service WHEN '{PAPER_SERVICE}' THEN 'paper' ELSE 'real' END"
_FIXED: Final = (
    "intent_id, service, kind, account_id, symbol, side, amount, price, notional, action_hash, proposal, digest, tool,"
    " client, automatic, asked, created, origin"
)
"""Columns of an intent that never change."""

_ALLOWED: Final = " OR ".join(
    f"OLD.state = '{current}' AND NEW.state IN ({', '.join(repr(to) for to in (current, *sorted(following)))})"
    for current, following in MOVES.items()
)
TRIGGERS: Final = {
    "events_no_change": "BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are never changed'); END",
    "events_no_removal": "BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are never removed'); END",
    "events_in_order": "BEFORE INSERT ON events WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM events)"
    " BEGIN SELECT RAISE(ABORT, 'events are only appended'); END",
    "intents_no_removal": "BEFORE DELETE ON intents BEGIN SELECT RAISE(ABORT, 'intents are never removed'); END",
    "intents_fixed": f"BEFORE UPDATE OF {_FIXED} ON intents"
    " BEGIN SELECT RAISE(ABORT, 'the terms of an intent never change'); END",
    "intents_moves": f"BEFORE UPDATE OF state ON intents WHEN NOT ({_ALLOWED})"
    " BEGIN SELECT RAISE(ABORT, 'no such move'); END",
}
"""Trigger name to body. Triggers stop our own mistakes; the MAC chain reveals changes that bypass them."""


class Database:
    """One connection, used by one thread at a time.

    Args:
        path: The file.
        patience: Seconds to wait for other processes. Waits are short random naps: SQLite's own grow to 100 ms, which
            gives the longest waiters the worst chance.
    """

    def __init__(self, path: Path, *, patience: float = BUSY_SECONDS) -> None:
        self._turn = threading.RLock()
        self._path = path
        self._patience = patience
        with _explained(path):
            prepare(path)
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with _explained(path):
                _configure(self._connection)
                self._bring_up_to_date()
                self._connection.execute("PRAGMA busy_timeout=0")
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def write(self) -> Generator[sqlite3.Connection]:
        """A transaction that holds the write lock from its start; durable when the block ends.

        Raises:
            Unavailable: Other processes held the file for 10 s; nothing was changed.
            UserMustAct: The file cannot be read or written.
        """
        with self._turn, _explained(self._path):
            self._patiently("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._patiently("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Generator[sqlite3.Connection]:
        """A transaction whose reads all see one moment. Inside another one of this thread, it joins that one."""
        with self._turn, _explained(self._path):
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN")
            try:
                self._patiently("SELECT 1 FROM intents LIMIT 1")
                yield self._connection
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        with self._turn:
            self._connection.close()

    def _patiently(self, statement: str) -> None:
        """Run a statement that may have to wait for other processes: the first of a transaction, or its commit."""
        begun = time.monotonic()
        while True:
            try:
                self._connection.execute(statement).fetchall()
            except sqlite3.OperationalError as error:
                waited = time.monotonic() - begun
                if not _is_busy(error) or waited > self._patience:
                    raise
                time.sleep(random.uniform(*_NAP) / (1 + waited * _HASTE))  # noqa: S311 - not a secret
            else:
                return

    def _bring_up_to_date(self) -> None:
        """Migrate the file to this release's schema, step by step, in one transaction.

        Raises:
            UserMustAct: A newer release wrote it.
        """
        if self._version() == len(STEPS):
            return
        with self.write() as db:
            for number in range(self._version(), len(STEPS)):
                STEPS[number](db)
            db.execute(f"PRAGMA user_version={len(STEPS)}")

    def _version(self) -> int:
        version: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(STEPS):
            raise UserMustAct(
                f"{self._path} has schema version {version}; this release of heytraders-mcp knows {len(STEPS)}",
                suggestion="Upgrade heytraders-mcp, or name another folder with HEYTRADERS_HOME",
                code="LEDGER_UNUSABLE",
            )
        return version


def _first_tables(db: sqlite3.Connection) -> None:
    """Version 1: events, intents and unique labels."""
    for statement in (*_TABLES, _UNIQUE_LABELS):
        db.execute(statement)


def _money_and_origin(db: sqlite3.Connection) -> None:
    """Version 2: limits count per kind of money across services; a strategy's order has a key."""
    db.execute(f"ALTER TABLE intents ADD COLUMN money TEXT GENERATED ALWAYS AS ({_MONEY}) VIRTUAL")
    db.execute("ALTER TABLE intents ADD COLUMN origin TEXT NOT NULL DEFAULT ''")
    for kind, name in db.execute(
        "SELECT type, name FROM sqlite_master WHERE sql IS NOT NULL AND"
        " (type = 'trigger' OR type = 'index' AND name <> 'intents_by_label')"
    ).fetchall():
        db.execute(f"DROP {kind} {name}")
    for name, on in _INDEXES.items():
        db.execute(f"CREATE INDEX {name} ON {on}")
    db.execute(_UNIQUE_ORIGINS)
    for name, body in TRIGGERS.items():
        db.execute(f"CREATE TRIGGER {name} {body}")


STEPS: Final = (_first_tables, _money_and_origin)
"""Steps from one schema version to the next; `user_version` counts the steps taken."""


def altered_indexes(db: sqlite3.Connection) -> list[str]:
    """Names of indexes that are missing or changed, which would hide rows from a sum."""
    found = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'").fetchall())
    return [name for name, on in _INDEXES.items() if found.get(name) != f"CREATE INDEX {name} ON {on}"]


def missing_triggers(db: sqlite3.Connection) -> list[str]:
    """Names of triggers that are missing or altered."""
    found = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall())
    return [name for name, body in TRIGGERS.items() if found.get(name) != f"CREATE TRIGGER {name} {body}"]


def _configure(connection: sqlite3.Connection) -> None:
    connection.row_factory = sqlite3.Row
    careful = ("journal_mode=PERSIST", "journal_size_limit=1048576", "synchronous=EXTRA")
    for pragma in (*careful, "mmap_size=0", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}")
    if sys.platform == "darwin":
        connection.execute("PRAGMA fullfsync=ON")


@contextmanager
def _explained(path: Path) -> Generator[None]:
    """Turn file errors into errors that say what to do. A violated constraint is our bug and is raised unchanged."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        if _is_busy(error):
            raise Unavailable(
                "the safety ledger was busy for too long; nothing was changed",
                suggestion="If this continues, another process is using the file",
            ) from error
        raise _unusable(path, str(error)) from error
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error


def _is_busy(error: sqlite3.Error) -> bool:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _unusable(path: Path, reason: str) -> UserMustAct:
    return UserMustAct(
        f"the safety ledger {path} cannot be used ({reason}), so nothing is placed",
        suggestion=(
            "Check the folder's owner, permissions and free space; a damaged file has to be restored by the user"
        ),
        code="LEDGER_UNUSABLE",
    )

"""The engine's state: one SQLite file by default, or a PostgreSQL database given by a URL.

Work is a function of a connection, run in one transaction. `write` holds the single write lock of the database, across
all processes, from its first statement to its commit, so that data it has read is still current when it writes. This is
SQLite's own lock, or an advisory lock on PostgreSQL. `read` sees a consistent snapshot and cannot write. SQLite below
3.51.3 can corrupt a WAL database used by two processes, so a rollback journal is used there. The journal's file stays:
a commit clears its header, which costs half the time of removing the file.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from api.errors import InvalidInput, OutcomeUnknown, Unavailable, UserMustAct

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS: Final = 80
_LENGTH: Final = 26

_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """Create an identifier of a row, such as `bt_01jd3w...`: sortable and unguessable.

    It is a type prefix and a lower-case ULID: 48 bits of milliseconds and 80 random bits in 26 characters of
    Crockford's base 32. Identifiers sort by creation time, also within one millisecond of one process.
    """
    number = _next_number()
    digits = [_ALPHABET[(number >> shift) & 31] for shift in range(5 * (_LENGTH - 1), -1, -5)]
    return f"{prefix}_{''.join(digits)}"


def _next_number() -> int:
    global _last  # noqa: PLW0603 - one sequence per process is what keeps the order within a millisecond
    fresh = time.time_ns() // 1_000_000 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    with _lock:
        same_or_earlier = fresh >> _RANDOM_BITS <= _last >> _RANDOM_BITS
        _last = _last + 1 + secrets.randbits(32) if same_or_earlier else fresh
        return _last


T = TypeVar("T")
Work = Callable[[sa.Connection], T]

FILE_NAME: Final = "engine.sqlite3"
WAL_IS_SAFE_FROM: Final = (3, 51, 3)
BUSY_SECONDS: Final = 10.0
_WRITES: Final = "heytraders_writes"
_JOURNAL_BYTES: Final = 4_194_304
"""Size to which SQLite cuts its journal after a large transaction."""

_ATTEMPTS: Final = 5
"""How many times a transaction is tried when PostgreSQL rolls it back in favour of another one."""
_STATEMENT_SECONDS: Final = 120
_CONNECT_SECONDS: Final = 10
_SQLITE_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_POSTGRESQL_BUSY: Final = {"55P03"}
_POSTGRESQL_FULL: Final = "53100"
_POSTGRESQL_ROLLED_BACK: Final = {"40001", "40P01"}
_WRITE_LOCK: Final = "SELECT pg_advisory_xact_lock(1213481297, hashtext(current_schema()))"
"""The first number only distinguishes our lock from those of other programs that use the database."""


def default_url(home: Path) -> str:
    """The database URL of an engine that lives in `home`."""
    return f"sqlite:///{home / FILE_NAME}"


@dataclass(frozen=True, slots=True)
class Version:
    """The state of some tables.

    Attributes:
        own: How often this process has changed each.
        others: Differs after another process has committed anything. `None` if that is not known without reading: on
            PostgreSQL, and while this process is writing.
    """

    own: tuple[int, ...]
    others: Hashable | None


class Store:
    """An open database with all tables. Safe to share between threads, not between processes."""

    def __init__(self, engine: sa.Engine, url: str) -> None:
        reading: dict[str, Any] = {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
        self._writer = engine.execution_options(**{_WRITES: True})
        self._reader = engine if engine.dialect.name == "sqlite" else engine.execution_options(**reading)
        self._turn = threading.Lock()
        self._writing = self._writer.connect() if engine.dialect.name == "sqlite" else None
        self._changes: Counter[str] = Counter()
        self._changing: set[str] = set()
        event.listen(engine, "before_cursor_execute", self._note)
        self.url = url

    @classmethod
    def open(cls, url: str) -> Store:
        """Open the database at `url`, creating it if missing: file mode 0600, in a folder of mode 0700.

        An older database is migrated.

        Raises:
            InvalidInput: The URL names neither SQLite nor PostgreSQL.
            UserMustAct: The file or server cannot be used, or a newer release changed it; the message says why.
        """
        parsed = _parse(url)
        if parsed.get_backend_name() == "sqlite":
            _prepare_file(Path(parsed.database or ""))
        try:
            engine = _connectable(parsed)
            _migrate(engine)
        except (DBAPIError, ImportError) as error:
            raise _unusable(parsed, error) from error
        return cls(engine, url)

    def version(self, *tables: str) -> Version:
        """How often these tables have changed, to tell whether a copy of their rows is still current. No transaction.

        SQLite tells a connection that another one has committed, but not what it changed
        (https://sqlite.org/pragma.html#pragma_data_version). All writes of this object use one connection, so only
        those of others count there, and its own are counted by table.
        """
        own = tuple(self._changes[table] for table in tables)
        if self._writing is None or not self._turn.acquire(blocking=False):
            return Version(own, None)
        try:
            file: Any = self._writing.connection.driver_connection
            (others,) = file.execute("PRAGMA data_version").fetchone()
            return Version(own, (id(file), others))
        except sqlite3.Error:
            return Version(own, None)
        finally:
            self._turn.release()

    def _note(self, _connection: sa.Connection, _cursor: Any, statement: str, *_: Any) -> None:
        words = statement.split(maxsplit=3)
        if words and words[0] in {"INSERT", "DELETE"}:
            self._changing.add(words[2].partition("(")[0])
        elif words and words[0] == "UPDATE":
            self._changing.add(words[1])

    async def read(self, work: Work[T]) -> T:
        """Run `work` in a read transaction, in a thread."""
        return await anyio.to_thread.run_sync(self.read_now, work)

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a write transaction, in a thread; an exception rolls it back.

        It is retried if the database rolled it back in favour of another transaction, so it may have no side effects
        outside the database.

        Raises:
            Unavailable: Another process held the write lock for `BUSY_SECONDS`, or the connection was lost before the
                commit; nothing was changed.
            OutcomeUnknown: The connection was lost during the commit.
        """
        return await anyio.to_thread.run_sync(self.write_now, work)

    def read_now(self, work: Work[T]) -> T:
        """`read` for threads and worker processes: blocks."""
        try:
            with self._reader.begin() as connection, _released():
                return work(connection)
        except DBAPIError as error:
            raise _explained(error, committing=False) from error

    def write_now(self, work: Work[T]) -> T:
        """`write` for threads and worker processes: blocks."""
        with self._turn:
            for attempt in range(1, _ATTEMPTS + 1):
                committing = False
                self._changing.clear()
                try:
                    with self._write_transaction() as connection, _released():
                        result = work(connection)
                        committing = True
                except DBAPIError as error:
                    if _sqlstate(error) not in _POSTGRESQL_ROLLED_BACK or attempt == _ATTEMPTS:
                        raise _explained(error, committing=committing) from error
                    time.sleep(0.01 * 2**attempt)
                else:
                    self._changes.update(self._changing)
                    return result
        raise AssertionError

    @contextmanager
    def _write_transaction(self) -> Generator[sa.Connection]:
        if self._writing is None:
            with self._writer.begin() as connection:
                yield connection
        else:
            with self._writing.begin():
                yield self._writing

    def close(self) -> None:
        """Close all idle connections."""
        if self._writing is not None:
            self._writing.close()
        self._writer.dispose()


@contextmanager
def _released() -> Generator[None]:
    """Let go of results that were read only in part when an exception ended the work.

    A half-read SELECT keeps SQLite's lock after the rollback, and the exception's traceback keeps the SELECT.
    """
    try:
        yield
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)
        raise


class Copy(Generic[T]):
    """What a read found, kept in memory until one of its tables changes. Thread-safe.

    Args:
        store: The database.
        work: The read.
        tables: Everything that it reads.
    """

    def __init__(self, store: Store, work: Work[T], *tables: sa.Table) -> None:
        self._store = store
        self._work = work
        self._tables = [table.name for table in tables]
        self._found: tuple[Version, T] | None = None

    def now(self) -> T:
        """The current result; reads again only if something may have changed. Blocks."""
        version, found = self._store.version(*self._tables), self._found
        if found is None or version.others is None or version != found[0]:
            found = self._found = (version, self._store.read_now(self._work))
        return found[1]


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is not None and parsed.drivername in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed is None or parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise InvalidInput(
            "the database URL is neither SQLite nor PostgreSQL",
            suggestion="Use sqlite:////absolute/path/engine.sqlite3 or postgresql://user@host/database",
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise InvalidInput(
            "the SQLite URL names no file, and worker processes could not share a database in memory",
            suggestion="Use sqlite:////absolute/path/engine.sqlite3",
        )
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_absolute():
        raise InvalidInput(
            f"the SQLite URL names {parsed.database!r}, which file that is depends on where a program is started",
            suggestion="Use sqlite:////absolute/path/engine.sqlite3",
        )
    return parsed


def _prepare_file(path: Path) -> None:
    """Create folder and file before SQLite does, to set their modes; the journal inherits the file's mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise UserMustAct(
            f"the database file {path} cannot be used: {error.strerror}",
            suggestion="Make the folder writable, or name another one with HEYTRADERS_HOME",
            code="INTERNAL_ERROR",
        ) from error


def _connectable(url: URL) -> sa.Engine:
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS, "isolation_level": None})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    patience = {"connect_timeout": _CONNECT_SECONDS, "tcp_user_timeout": _STATEMENT_SECONDS * 1_000}
    engine = sa.create_engine(url, pool_pre_ping=True, connect_args=patience)
    event.listen(engine, "connect", _set_up_postgresql)
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    wal = sqlite3.sqlite_version_info >= WAL_IS_SAFE_FROM
    connection.execute(f"PRAGMA journal_mode={'WAL' if wal else 'PERSIST'}")
    connection.execute(f"PRAGMA journal_size_limit={_JOURNAL_BYTES}")
    connection.execute("PRAGMA synchronous=EXTRA")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA mmap_size=0")
    if sys.platform == "darwin":
        connection.execute("PRAGMA fullfsync=ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    if connection.info.get(_WRITES) is not writes:
        connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
        connection.info[_WRITES] = writes
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _set_up_postgresql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = '{_STATEMENT_SECONDS}s'")
        cursor.execute(f"SET lock_timeout = '{BUSY_SECONDS:g}s'")
    connection.commit()
    connection.cursor_factory = _binary_cursor()


@cache
def _binary_cursor() -> type:
    """Cursors with binary results: candles arrive in less than half the time of hexadecimal text."""
    import psycopg

    class BinaryCursor(psycopg.Cursor[Any]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.format = psycopg.pq.Format.BINARY

    return BinaryCursor


def _begin_postgresql(connection: sa.Connection) -> None:
    if connection.get_execution_options().get(_WRITES, False):
        connection.exec_driver_sql(_WRITE_LOCK)


def _migrate(engine: sa.Engine) -> None:
    """Migrate the schema; takes no write lock if it is up to date."""
    from engine.store.migrations import latest, migrate, recorded_version, refuse_newer

    try:
        with engine.begin() as connection:
            version = recorded_version(connection)
        refuse_newer(version)
        if version != latest():
            with engine.execution_options(**{_WRITES: True}).begin() as connection:
                migrate(connection)
    except Exception:
        # After any error the connections are closed before the caller sees it.
        engine.dispose()
        raise


def _unusable(url: URL, error: Exception) -> UserMustAct:
    if isinstance(error, ImportError):
        return UserMustAct(
            "a PostgreSQL URL needs the package psycopg, which is not installed",
            suggestion="Install heytraders-mcp[postgres]",
            code="INTERNAL_ERROR",
        )
    reason = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    return UserMustAct(
        f"the database {url.render_as_string(hide_password=True)} cannot be opened: {reason}",
        suggestion="Check that it exists, is a database and may be written",
        code="INTERNAL_ERROR",
    )


def _explained(error: DBAPIError, *, committing: bool) -> Exception:
    """The error for a busy, full or lost database; any other error is a bug and is returned unchanged."""
    if _is_full(error):
        return Unavailable(
            "the disk with the database is full; nothing was changed",
            suggestion="Free some space on it; everything continues then",
        )
    if _is_busy(error):
        return Unavailable(
            f"the database was busy for {BUSY_SECONDS:g} s; nothing was changed",
            suggestion="Try again; if this continues, another process holds the database",
        )
    if not error.connection_invalidated:
        return error
    if committing:
        return OutcomeUnknown(
            "the connection to the database was lost during a commit, so the change may or may not be stored",
            suggestion="Read the state before you repeat the call",
        )
    return Unavailable(
        "the connection to the database was lost; nothing was changed",
        suggestion="Try again; if this continues, check that the database server runs",
    )


def _is_busy(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return (getattr(error.orig, "sqlite_errorcode", 0) & 0xFF) in _SQLITE_BUSY
    return _sqlstate(error) in _POSTGRESQL_BUSY | _POSTGRESQL_ROLLED_BACK


def _is_full(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return (getattr(error.orig, "sqlite_errorcode", 0) & 0xFF) == sqlite3.SQLITE_FULL
    return _sqlstate(error) == _POSTGRESQL_FULL


def _sqlstate(error: DBAPIError) -> str | None:
    """PostgreSQL's error code; `None` on SQLite."""
    return getattr(error.orig, "sqlstate", None)

"""The engine's state: one SQLite file by default, a PostgreSQL database where a URL says so.

Work is a function of a connection, run in one transaction: `write` takes the write lock at once, so that what it read
is still true when it writes; `read` cannot write. SQLite below 3.51.3 can corrupt a WAL database that two processes
use, so it runs on a rollback journal there.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from api.errors import InvalidInput, Unavailable, UserMustAct

from .migrations import latest, migrate, recorded_version, refuse_newer

T = TypeVar("T")
Work = Callable[[sa.Connection], T]

FILE_NAME: Final = "engine.sqlite3"
WAL_IS_SAFE_FROM: Final = (3, 51, 3)
BUSY_SECONDS: Final = 10.0
_WRITES: Final = "heytraders_writes"
_SCHEMA_LOCK: Final = 0x4854


def default_url(home: Path) -> str:
    """The database URL of an engine that lives in `home`."""
    return f"sqlite:///{home / FILE_NAME}"


class Store:
    """An open database with every table in place. Safe to share between threads, not between processes."""

    def __init__(self, engine: sa.Engine, url: str) -> None:
        is_sqlite = engine.dialect.name == "sqlite"
        self._writer = engine.execution_options(**{_WRITES: True})
        self._reader = engine if is_sqlite else engine.execution_options(postgresql_readonly=True)
        self._turn = threading.Lock() if is_sqlite else nullcontext()
        self._writes = 0
        self.url = url

    @classmethod
    def open(cls, url: str) -> Store:
        """Open the database at `url`, made if it is not there: file mode 0600, in a folder of mode 0700.

        Raises:
            InvalidInput: The URL names neither SQLite nor PostgreSQL.
            UserMustAct: The file or server cannot be used; the message says why.
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

    @property
    def writes(self) -> int:
        """How many write transactions this object has committed: a cheap sign that a cache may be stale."""
        return self._writes

    async def read(self, work: Work[T]) -> T:
        """Run `work` in a read transaction, in a thread."""
        return await anyio.to_thread.run_sync(self.read_now, work)

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a write transaction, in a thread; an exception rolls it back."""
        return await anyio.to_thread.run_sync(self.write_now, work)

    def read_now(self, work: Work[T]) -> T:
        """`read` for threads and worker processes: blocks."""
        try:
            with self._reader.begin() as connection:
                return work(connection)
        except OperationalError as error:
            raise _explained(error) from error

    def write_now(self, work: Work[T]) -> T:
        """`write` for threads and worker processes: blocks."""
        try:
            with self._turn, self._writer.begin() as connection:
                result = work(connection)
        except OperationalError as error:
            raise _explained(error) from error
        self._writes += 1
        return result

    def close(self) -> None:
        """Close all idle connections."""
        self._writer.dispose()


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
    return parsed


def _prepare_file(path: Path) -> None:
    """Make folder and file before SQLite does, for their modes; the journal beside it takes the file's mode."""
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
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS, "isolation_level": None})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    wal = sqlite3.sqlite_version_info >= WAL_IS_SAFE_FROM
    connection.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
    connection.execute("PRAGMA synchronous=EXTRA")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA mmap_size=0")
    if sys.platform == "darwin":
        connection.execute("PRAGMA fullfsync=ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(engine: sa.Engine) -> None:
    """Bring the schema up to date; a database that already is takes no write lock."""
    try:
        with engine.begin() as connection:
            version = recorded_version(connection)
        refuse_newer(version)
        if version != latest():
            with engine.execution_options(**{_WRITES: True}).begin() as connection:
                migrate(connection)
    except Exception:
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


def _explained(error: OperationalError) -> Exception:
    """A busy database is worth waiting for; anything else is a fault and stays what it was."""
    if "locked" not in str(error.orig):
        return error
    return Unavailable(
        f"the database was busy for {BUSY_SECONDS:g} s; nothing was changed",
        suggestion="Try again; if it stays so, another process holds the file",
    )

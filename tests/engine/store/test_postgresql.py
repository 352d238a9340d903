"""The store on PostgreSQL: one writer at a time, messages for a busy or lost server, older databases."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from api.errors import OutcomeUnknown, Unavailable, UserMustAct
from engine.store.database import Store
from engine.store.migrations import latest, recorded_version
from tests.postgresql import schema_url

SELECT = sa.text("SELECT expires_at FROM leases WHERE name = 'counter'")
INSERT = sa.text("INSERT INTO leases (name, owner, expires_at) VALUES ('counter', 'test', 0)")
UPDATE = sa.text("UPDATE leases SET expires_at = :number WHERE name = 'counter'")


@pytest.fixture
def url(postgresql_server: str, tmp_path: Path) -> str:
    """An empty schema."""
    return schema_url(postgresql_server, tmp_path)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store with a counter at 0."""
    opened = Store.open(url)
    opened.write_now(lambda c: c.execute(INSERT))
    yield opened
    opened.close()


def _counter(connection: sa.Connection) -> float:
    return connection.execute(SELECT).scalar_one()


def _portable(table: str) -> str:
    """SQLite's statement in PostgreSQL's syntax, without references to tables created later."""
    return re.sub(r",\s*CONSTRAINT fk_\w+ FOREIGN KEY[^,]*?(?=, ?\n|\n\))", "", table).replace("BLOB", "BYTEA")


def _fail(connection: sa.Connection, sqlstate: str) -> None:
    connection.execute(sa.text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$"))


def test_no_update_is_lost_between_threads_and_stores(store: Store) -> None:
    other = Store.open(store.url)

    def add_one(connection: sa.Connection) -> None:
        connection.execute(UPDATE, {"number": _counter(connection) + 1})

    def work(on: Store) -> None:
        for _ in range(25):
            on.write_now(add_one)

    threads = [threading.Thread(target=work, args=(on,)) for on in (store, other, store, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.read_now(_counter) == 100
    other.close()


def test_a_read_sees_one_moment(store: Store) -> None:
    other = Store.open(store.url)

    def look_twice(connection: sa.Connection) -> tuple[float, float]:
        before = _counter(connection)
        other.write_now(lambda c: c.execute(UPDATE, {"number": 7}))
        return before, _counter(connection)

    assert store.read_now(look_twice) == (0, 0)
    assert store.read_now(_counter) == 7
    other.close()


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_transaction_that_was_rolled_back_for_another_runs_again(store: Store, sqlstate: str) -> None:
    tries: list[int] = []

    def work(connection: sa.Connection) -> None:
        connection.execute(UPDATE, {"number": _counter(connection) + 1})
        tries.append(1)
        if len(tries) < 3:
            _fail(connection, sqlstate)

    store.write_now(work)

    assert (len(tries), store.read_now(_counter)) == (3, 1)


@pytest.mark.parametrize("sqlstate", ["40001", "55P03"])
def test_a_database_that_stays_busy_is_reported_as_busy(store: Store, sqlstate: str) -> None:
    with pytest.raises(Unavailable, match=r"busy .* nothing was changed"):
        store.write_now(lambda c: _fail(c, sqlstate))


def test_a_lost_connection_is_told_and_the_next_call_works(store: Store) -> None:
    def cut(connection: sa.Connection) -> None:
        connection.execute(UPDATE, {"number": 5})
        connection.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(Unavailable, match="lost; nothing was changed"):
        store.write_now(cut)

    assert store.read_now(_counter) == 0


def test_a_connection_lost_during_the_commit_leaves_the_outcome_unknown(store: Store) -> None:
    cut = (
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$"
    )
    at_commit = (
        "CREATE CONSTRAINT TRIGGER cutting AFTER UPDATE ON leases DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION cut()"
    )
    for statement in (cut, at_commit):
        store.write_now(lambda c, statement=statement: c.execute(sa.text(statement)))

    with pytest.raises(OutcomeUnknown, match="during a commit"):
        store.write_now(lambda c: c.execute(UPDATE, {"number": 5}))


def test_a_database_of_the_first_release_is_brought_up_to_date(url: str) -> None:
    saved = Path(__file__).with_name("release_0_1_0.sql").read_text("utf-8")
    statements = [part.strip() for part in saved.split(";\n")]
    tables = [_portable(part) for part in statements if part.startswith("CREATE TABLE")]
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for table in tables:
            connection.execute(sa.text(table))
        assert recorded_version(connection) == 1
    engine.dispose()
    store = Store.open(url)

    assert store.read_now(recorded_version) == latest()
    store.close()


def test_a_database_of_a_newer_release_is_refused(store: Store) -> None:
    store.write_now(lambda c: c.execute(sa.text("UPDATE schema_version SET version = 999")))

    with pytest.raises(UserMustAct, match="newer release"):
        Store.open(store.url)


def test_a_server_that_does_not_answer_is_the_users_business(url: str) -> None:
    nowhere = url.replace("host=", "host=%2Fnowhere")

    with pytest.raises(UserMustAct, match="cannot be opened") as refusal:
        Store.open(nowhere)

    assert "Check that it exists" in refusal.value.suggestion

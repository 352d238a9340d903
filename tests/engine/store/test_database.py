"""The store: modes, transactions, the writers of two processes, and messages when it cannot open."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from api.errors import InvalidInput, UserMustAct
from engine.store.database import Store, Version, default_url

pytestmark = pytest.mark.usefixtures("own_tables")

COUNT = sa.text("SELECT count(*) FROM candle_series")
INSERT = sa.text(
    "INSERT INTO candle_series (exchange, base, quote, timeframe, first_time, last_time, bars, missing, revision, file,"
    " imported_at) VALUES ('binance', :base, 'USDT', '1h', 0, 0, 0, 0, 'r', 'f', 0)"
)


def _count(connection: sa.Connection) -> int:
    return connection.execute(COUNT).scalar_one()


@pytest.mark.sqlite
def test_the_file_is_private_in_a_private_folder(tmp_path: Path) -> None:
    home = tmp_path / "state"
    Store.open(default_url(home)).close()

    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "engine.sqlite3").stat().st_mode) == 0o600


async def test_what_one_store_writes_another_reads(tmp_path: Path) -> None:
    first, second = Store.open(default_url(tmp_path)), Store.open(default_url(tmp_path))
    await first.write(lambda c: c.execute(INSERT, {"base": "BTC"}))

    assert await second.read(_count) == 1
    first.close()
    second.close()


def test_an_exception_in_the_middle_of_a_read_leaves_nothing_locked(tmp_path: Path) -> None:
    """Even while the exception is kept, whose traceback holds the half-read SELECT."""
    first, second = Store.open(default_url(tmp_path)), Store.open(default_url(tmp_path))
    for base in ("BTC", "ETH", "SOL"):
        first.write_now(lambda c, base=base: c.execute(INSERT, {"base": base}))

    def fail(connection: sa.Connection) -> tuple[int, ...]:
        rows = connection.execute(sa.text("SELECT id, base FROM candle_series"))
        return tuple(int(row.base) for row in rows)

    with pytest.raises(ValueError, match="BTC") as failed:
        first.read_now(fail)
    second.write_now(lambda c: c.execute(INSERT, {"base": "XRP"}))
    assert failed.tb is not None
    assert first.read_now(_count) == 4
    first.close()
    second.close()


def test_an_exception_rolls_the_work_back(tmp_path: Path) -> None:
    store = Store.open(default_url(tmp_path))

    def fail(connection: sa.Connection) -> None:
        connection.execute(INSERT, {"base": "BTC"})
        raise LookupError

    with pytest.raises(LookupError):
        store.write_now(fail)

    before = store.version("candle_series")
    with pytest.raises(LookupError):
        store.write_now(fail)
    assert store.read_now(_count) == 0
    assert store.version("candle_series") == before
    store.close()


@pytest.mark.sqlite
def test_a_version_tells_own_writes_by_table_and_every_commit_of_others(tmp_path: Path) -> None:
    store, other = Store.open(default_url(tmp_path)), Store.open(default_url(tmp_path))
    known = store.version("candle_series"), store.version("api_keys")

    assert (store.version("candle_series"), store.version("api_keys")) == known
    store.write_now(lambda c: c.execute(INSERT, {"base": "BTC"}))
    assert store.version("candle_series") != known[0]
    assert store.version("api_keys") == known[1]

    known = store.version("candle_series"), store.version("api_keys")
    other.write_now(lambda c: c.execute(INSERT, {"base": "ETH"}))
    assert store.version("candle_series") != known[0]
    assert store.version("api_keys") != known[1]
    store.close()
    other.close()


def test_a_version_is_not_known_while_this_process_writes(tmp_path: Path) -> None:
    store = Store.open(default_url(tmp_path))
    seen: list[Version] = []

    def work(connection: sa.Connection) -> None:
        connection.execute(INSERT, {"base": "BTC"})
        seen.append(store.version("candle_series"))

    store.write_now(work)
    assert [one.others for one in seen] == [None]
    assert store.version("candle_series").own > seen[0].own
    store.close()


def test_a_read_cannot_write(tmp_path: Path) -> None:
    store = Store.open(default_url(tmp_path))

    with pytest.raises(DBAPIError, match=r"readonly|read-only"):
        store.read_now(lambda c: c.execute(INSERT, {"base": "BTC"}))

    store.write_now(lambda c: c.execute(INSERT, {"base": "BTC"}))
    assert store.read_now(_count) == 1
    store.close()


def test_reading_then_writing_is_one_step_for_many_threads_and_stores(tmp_path: Path) -> None:
    stores = [Store.open(default_url(tmp_path)) for _ in range(2)]

    def take_the_next_number(connection: sa.Connection) -> None:
        connection.execute(INSERT, {"base": str(_count(connection))})

    def work(store: Store) -> None:
        for _ in range(10):
            store.write_now(take_the_next_number)

    threads = [threading.Thread(target=work, args=(stores[i % 2],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert stores[0].read_now(_count) == 40
    for store in stores:
        store.close()


def test_a_database_outlives_a_process_that_dies_while_writing(tmp_path: Path) -> None:
    store = Store.open(default_url(tmp_path))
    store.write_now(lambda c: c.execute(INSERT, {"base": "BTC"}))
    script = (
        "import os, sys; import sqlalchemy as sa; from engine.store.database import Store\n"
        "def die(c):\n"
        "    c.execute(sa.text('DELETE FROM candle_series'))\n"
        "    os._exit(9)\n"
        "Store.open(sys.argv[1]).write_now(die)\n"
    )
    root = Path(__file__).parents[3]
    died = subprocess.run([sys.executable, "-c", script, store.url], cwd=root, check=False)

    assert died.returncode == 9
    assert store.read_now(_count) == 1
    store.close()


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://root@localhost/x", "sqlite://", "sqlite:///:memory:", "sqlite:///desk.db"]
)
def test_a_url_that_is_no_shareable_database_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="URL") as refusal:
        Store.open(url)

    assert "sqlite:////" in refusal.value.suggestion


@pytest.mark.sqlite
def test_a_file_that_is_no_database_is_the_users_business(tmp_path: Path) -> None:
    (tmp_path / "engine.sqlite3").write_text("hello " * 1000)

    with pytest.raises(UserMustAct, match="not a database"):
        Store.open(default_url(tmp_path))


@pytest.mark.sqlite
def test_a_folder_that_cannot_be_made_is_the_users_business(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UserMustAct, match="cannot be used") as refusal:
        Store.open(default_url(tmp_path / "file"))

    assert "HEYTRADERS_HOME" in refusal.value.suggestion

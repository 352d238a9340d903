"""Databases of other releases: an older one opens with all its data, a newer one is refused with a message.

`release_0_1_0.sql` is the output of release 0.1.0: three orders, a backtest and its result, a subscription, a post.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from api.errors import UserMustAct
from api.times import AcceleratedClock
from engine.engine import Engine, EngineSettings
from engine.routes import create_app
from engine.store.database import FILE_NAME, Store, default_url
from engine.store.migrations import latest, recorded_version

pytestmark = [pytest.mark.sqlite, pytest.mark.usefixtures("own_tables")]

SAVED_AT = 1_750_075_200.0
RESULT = "res_01m8g99m3wbbb42h78g2md8gsz"
SUBSCRIPTION = "sub_01m8g99mex98n5nsepgf423k7b"

Schema = Mapping[str, Mapping[str, object]]


@pytest.fixture
def old_home(tmp_path: Path) -> Path:
    """A home folder with the database of release 0.1.0."""
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.executescript(Path(__file__).with_name("release_0_1_0.sql").read_text("utf-8"))
    connection.close()
    return tmp_path


def _schema(url: str) -> Schema:
    """The structure of a database, as the database itself reports it; the order of columns does not matter."""
    engine = sa.create_engine(url)
    inspector = sa.inspect(engine)
    found = {
        table: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"]) for column in inspector.get_columns(table)
            },
            "key": inspector.get_pk_constraint(table)["constrained_columns"],
            "indexes": {
                str(index["name"]): (index["column_names"], index["unique"]) for index in inspector.get_indexes(table)
            },
            "unique": sorted(tuple(each["column_names"]) for each in inspector.get_unique_constraints(table)),
            "references": sorted(
                (tuple(each["constrained_columns"]), each["referred_table"])
                for each in inspector.get_foreign_keys(table)
            ),
        }
        for table in inspector.get_table_names()
    }
    engine.dispose()
    return found


async def test_a_database_of_the_first_release_opens_and_keeps_everything(old_home: Path) -> None:
    engine = await Engine.open(EngineSettings(old_home), AcceleratedClock(SAVED_AT))
    transport = httpx.ASGITransport(create_app(engine))
    headers = {"X-API-Key": await engine.access.local_key()}
    async with httpx.AsyncClient(transport=transport, base_url="http://engine/api/v1", headers=headers) as client:
        orders = (await client.get("/orders")).json()["data"]["orders"]
        binance = (await client.get("/accounts/paper-binance/balances")).json()["data"]["balances"]
        futures = (await client.get("/accounts/paper-binancefuturesusd/balances")).json()["data"]["positions"]
        trades = (await client.get(f"/backtest/results/{RESULT}/trades")).json()["success"]
        live = (await client.get("/live-strategies/subscriptions")).json()["data"]["subscriptions"]
        profile = (await client.get("/arena/profile")).json()["success"]
    posts = await engine.store.read(lambda c: c.execute(sa.text("SELECT title FROM arena_posts")).scalars().all())
    await engine.aclose()

    assert [(order["symbol"], order["status"], order["label"]) for order in orders] == [
        ("ETH/USDT:USDT", "FILLED", None),
        ("BTC/USDT", "OPEN", None),
        ("BTC/USDT", "FILLED", "first"),
    ]
    # 10,000 less 1,202.083883 for the fill and 1,001 held for the resting order.
    assert {row["asset"]: (str(row["free"]), str(row["used"])) for row in binance} == {
        "USDT": ("7796.916117", "1001"),
        "BTC": ("0.01", "0"),
    }
    assert [(row["symbol"], row["side"]) for row in futures] == [("ETH/USDT:USDT", "short")]
    assert [row["subscription_id"] for row in live] == [SUBSCRIPTION]
    assert (trades, profile, list(posts)) == (True, True, ["First"])


def test_a_migrated_database_has_the_schema_of_a_fresh_one(
    old_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fresh = tmp_path_factory.mktemp("fresh")
    for home in (old_home, fresh):
        store = Store.open(default_url(home))
        assert store.read_now(recorded_version) == latest()
        store.close()

    assert _schema(default_url(old_home)) == _schema(default_url(fresh))


def test_opening_a_database_again_changes_nothing(old_home: Path) -> None:
    Store.open(default_url(old_home)).close()
    before = (old_home / FILE_NAME).read_bytes()
    Store.open(default_url(old_home)).close()

    assert (old_home / FILE_NAME).read_bytes() == before


def test_a_database_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    store = Store.open(default_url(tmp_path))
    store.write_now(lambda c: c.execute(sa.text("UPDATE schema_version SET version = 999")))
    store.close()
    before = (tmp_path / FILE_NAME).read_bytes()

    with pytest.raises(UserMustAct, match=r"newer release .* schema version 999; this release knows") as refusal:
        Store.open(default_url(tmp_path))

    assert "Upgrade heytraders-mcp" in refusal.value.suggestion
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_migration_that_fails_leaves_the_old_database_as_it_was(old_home: Path) -> None:
    connection = sqlite3.connect(old_home / FILE_NAME)
    connection.executescript("CREATE VIEW schema_version AS SELECT 1 AS version")
    connection.close()
    before = (old_home / FILE_NAME).read_bytes()

    with pytest.raises(UserMustAct, match="cannot be opened"):
        Store.open(default_url(old_home))

    assert (old_home / FILE_NAME).read_bytes() == before

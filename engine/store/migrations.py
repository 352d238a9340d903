"""The schema version of the engine's database, and the numbered steps that migrate an older database.

Version 1 is the schema of release 0.1.0, which stored no version. To change the schema, change the tables in this
package, and append the migration of an existing database to `STEPS`. A new database is created directly from the
tables; a test checks that both ways give the same schema.

A step may run on a table that an earlier step created from the current declaration. So use `add_table` and
`add_column`, which do nothing if the table or column already exists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from api.errors import UserMustAct
from engine.store import accounts, backtests, candles, exchange_data, live, metadata

__all__ = ["STEPS", "Migration", "add_column", "add_table", "latest", "migrate", "recorded_version"]

_DECLARING = (accounts, backtests, candles, exchange_data, live)
"""The modules whose import fills `metadata`."""

_FIRST_RELEASE: Final = 1
_SINCE_FIRST_RELEASE: Final = "broker_orders"
"""A table that every database of version 1 has."""

version_table: Final = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, primary_key=True))


@dataclass(frozen=True, slots=True)
class Migration:
    """One change to the schema: its purpose, and the function that makes it."""

    purpose: str
    apply: Callable[[sa.Connection], None]


def add_table(table: sa.Table) -> Callable[[sa.Connection], None]:
    """A step that creates `table` with its indexes."""
    return lambda connection: table.create(connection, checkfirst=True)


def add_column(column: sa.Column[object]) -> Callable[[sa.Connection], None]:
    """A step that adds a column of a declared table; a NOT NULL column needs a `server_default`."""

    def apply(connection: sa.Connection) -> None:
        table = column.table.name
        if column.name in {existing["name"] for existing in sa.inspect(connection).get_columns(table)}:
            return
        declared = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
        connection.execute(sa.DDL(f"ALTER TABLE {table} ADD COLUMN {declared}"))

    return apply


def add_index(table: sa.Table, name: str) -> Callable[[sa.Connection], None]:
    """A step that creates a declared index."""
    (index,) = (each for each in table.indexes if each.name == name)

    def apply(connection: sa.Connection) -> None:
        connection.execute(CreateIndex(index, if_not_exists=True))

    return apply


STEPS: Final[tuple[Migration, ...]] = (
    Migration("The schema version itself", add_table(version_table)),
    Migration("Series of candles fetched from exchanges", add_table(exchange_data.fetched_series)),
    Migration("Candles fetched from exchanges", add_table(candles.CHUNKS["exchange"])),
    Migration("Lists of the markets of exchanges", add_table(exchange_data.exchange_markets)),
    Migration("When each exchange may be asked again", add_table(exchange_data.exchange_pace)),
    Migration("What sweeps found", add_table(backtests.sweeps_table)),
    Migration("Orders on the user's own exchange accounts", add_table(exchange_data.exchange_orders)),
    Migration("The length of a result's bars", add_column(backtests.results_table.c.bar_seconds)),
    Migration("The experiment that a result belongs to", add_column(backtests.results_table.c.experiment)),
    Migration("The state that a live strategy goes on from", add_column(live.subscriptions_table.c.kept)),
    Migration("The size of a signal that does not depend on equity", add_column(live.signals_table.c.amount)),
    Migration("The stop of a signal", add_column(live.signals_table.c.stop)),
    Migration("The target of a signal", add_column(live.signals_table.c.target)),
    Migration("Paper orders that only reduce", add_column(accounts.orders_table.c.reduce_only)),
    Migration("The exits that follow a paper order", add_column(accounts.orders_table.c.exits)),
    Migration("The role of an exit on a paper account", add_column(accounts.orders_table.c.role)),
    Migration("The entry of an exit on a paper account", add_column(accounts.orders_table.c.parent)),
    Migration(
        "The price at which a stop on a paper account sells or buys", add_column(accounts.orders_table.c.trigger_price)
    ),
    Migration("The distance of a trailing stop on a paper account", add_column(accounts.orders_table.c.trail)),
    Migration(
        "The best price that a trailing stop on a paper account has seen",
        add_column(accounts.orders_table.c.best_price),
    ),
    Migration("What a live strategy should hold", add_column(live.subscriptions_table.c.intended)),
    Migration("What a live strategy holds", add_column(live.subscriptions_table.c.held)),
    Migration("The size of a signal on the strategy's own account", add_column(live.signals_table.c.units)),
    Migration("The order that rested for a signal", add_column(live.signals_table.c.resting)),
    Migration("What the order of a signal was to fill", add_column(live.signals_table.c.wanted)),
    Migration("What the order of a signal filled", add_column(live.signals_table.c.filled)),
    Migration("The price at which the order of a signal was filled", add_column(live.signals_table.c.average)),
    Migration("Orders that rest for live strategies", add_table(live.resting_table)),
    Migration(
        "The stop that follows an order on an own account", add_column(exchange_data.exchange_orders.c.stop_loss)
    ),
    Migration(
        "The target that follows an order on an own account", add_column(exchange_data.exchange_orders.c.take_profit)
    ),
    Migration("Orders on own accounts that only reduce", add_column(exchange_data.exchange_orders.c.reduce_only)),
    Migration("The role of an exit on an own account", add_column(exchange_data.exchange_orders.c.role)),
    Migration("The entry of an exit on an own account", add_column(exchange_data.exchange_orders.c.parent)),
    Migration("What a strategy received from the order of a signal", add_column(live.signals_table.c.received)),
    Migration("What a strategy received from a resting order", add_column(live.resting_table.c.received)),
    Migration("The entry that carries a resting exit", add_column(live.resting_table.c.entry)),
    Migration(
        "The signals whose orders wait, without a look at all others",
        add_index(live.signals_table, "ix_live_signals_order_state"),
    ),
    Migration("The signals that an order rested for", add_index(live.signals_table, "ix_live_signals_resting")),
    Migration("The resting orders with a fill", add_index(live.resting_table, "ix_live_orders_filled")),
    Migration("The resting order of a venue's order", add_index(live.resting_table, "ix_live_orders_order_id")),
    Migration("The exits that rest on an entry", add_index(live.resting_table, "ix_live_orders_entry")),
    Migration("The rung of a grid's signal", add_column(live.signals_table.c.rung)),
)
"""The step at index 0 migrates version 1 to version 2, and so on. Append only."""


def latest() -> int:
    """The schema version of this release."""
    return _FIRST_RELEASE + len(STEPS)


def recorded_version(connection: sa.Connection) -> int:
    """The schema version of a database; 0 if it has none of our tables."""
    inspector = sa.inspect(connection)
    if inspector.has_table(version_table.name):
        return connection.execute(sa.select(version_table.c.version)).scalar_one_or_none() or 0
    return _FIRST_RELEASE if inspector.has_table(_SINCE_FIRST_RELEASE) else 0


def migrate(connection: sa.Connection) -> None:
    """Migrate the database to the latest version, in the caller's transaction.

    Raises:
        UserMustAct: A newer release has changed the database.
    """
    version = recorded_version(connection)
    refuse_newer(version)
    if version == 0:
        for statement in _creation(type(connection.dialect)):
            connection.exec_driver_sql(statement)
    for step in STEPS[max(0, version - _FIRST_RELEASE) :] if version else ():
        step.apply(connection)
    if version != latest():
        connection.execute(sa.delete(version_table))
        connection.execute(sa.insert(version_table).values(version=latest()))


@cache
def _creation(dialect: type[sa.Dialect]) -> tuple[str, ...]:
    """The statements that create every table and index, compiled once in a process."""
    written = dialect()
    tables = metadata.sorted_tables
    made: list[ExecutableDDLElement] = [CreateTable(table) for table in tables]
    made += [CreateIndex(index) for table in tables for index in sorted(table.indexes, key=lambda each: str(each.name))]
    return tuple(str(each.compile(dialect=written)) for each in made)


def refuse_newer(version: int) -> None:
    """Refuse a database that a newer release has changed, since this release could misread it.

    Raises:
        UserMustAct: `version` is above `latest()`.
    """
    if version > latest():
        raise UserMustAct(
            f"a newer release of heytraders-mcp has changed the database to schema version {version}; this release"
            f" knows versions up to {latest()}",
            suggestion="Upgrade heytraders-mcp, or name another folder with HEYTRADERS_HOME",
            code="INTERNAL_ERROR",
        )

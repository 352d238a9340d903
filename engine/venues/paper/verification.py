"""Whether an account's books add up: ledger, balances, orders and positions each tell the same story."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import sqlalchemy as sa

from engine.store.broker import balances_table, orders_table
from engine.venues.amounts import ZERO, exact, text

from .ledger import OWN_BOOKS, summed
from .records import AccountRecord, read_orders, read_positions


def verify(connection: sa.Connection, account: AccountRecord) -> list[str]:
    """Everything that does not add up: empty for sound books."""
    with exact():
        sums, unbalanced = summed(connection, account.id)
        problems = [f"posting {posting} does not sum to zero" for posting in unbalanced]
        own = {key: amount for key, amount in sums.items() if key[0] in OWN_BOOKS and amount != 0}
        table = balances_table
        rows = connection.execute(sa.select(table).where(table.c.account == account.id))
        stored = {(str(row.book), str(row.asset)): Decimal(row.amount) for row in rows}
        problems += _differences("the ledger sums to", own, "the balance is", stored)
        problems += [f"{book} {asset} is {text(a)}" for (book, asset), a in own.items() if a < 0 and book != "position"]
        problems += _differences(
            "the ledger has", _claimed(own), "orders and positions claim", _claims(connection, account)
        )
        problems += _broken_orders(connection, account)
        return problems


def _claimed(own: dict[tuple[str, str], Decimal]) -> dict[tuple[str, str], Decimal]:
    """What the ledger says that orders and positions should account for."""
    claimed = {key: amount for key, amount in own.items() if key[0] != "free"}
    tokens: defaultdict[str, Decimal] = defaultdict(Decimal)
    for (book, asset), amount in own.items():
        if book in {"free", "held"} and asset.isdecimal():
            tokens[asset] += amount
    return {**claimed, **{("tokens", asset): amount for asset, amount in tokens.items()}}


def _claims(connection: sa.Connection, account: AccountRecord) -> dict[tuple[str, str], Decimal]:
    """The same from the orders' and positions' side."""
    claims: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for order in read_orders(connection, orders_table.c.account == account.id):
        sells_asset = order.side == "sell" and order.instrument.market_type != "perpetual"
        claims["held", order.instrument.base if sells_asset else order.instrument.quote] += order.reserved
    for position in read_positions(connection, account):
        if position.instrument.market_type == "prediction":
            claims["tokens", position.instrument.base] += position.size
        else:
            claims["position", position.instrument.symbol] += position.size
            claims["margin", position.instrument.quote] += position.margin
    return {key: amount for key, amount in claims.items() if amount != 0}


def _differences(
    first: str, one: dict[tuple[str, str], Decimal], second: str, other: dict[tuple[str, str], Decimal]
) -> list[str]:
    return [
        f"{book} {asset}: {first} {text(one.get((book, asset), ZERO))}, {second} {text(other.get((book, asset), ZERO))}"
        for book, asset in sorted({*one, *other})
        if one.get((book, asset), ZERO) != other.get((book, asset), ZERO)
    ]


def _broken_orders(connection: sa.Connection, account: AccountRecord) -> list[str]:
    broken: list[str] = []
    for order in read_orders(connection, orders_table.c.account == account.id):
        complete = order.filled == order.amount
        if not 0 <= order.filled <= order.amount or complete != (order.status == "FILLED"):
            broken.append(f"{order.order_id} is {order.status} with {text(order.filled)} of {text(order.amount)}")
        if not order.is_open and order.reserved != 0:
            broken.append(f"{order.order_id} is {order.status} and still holds {text(order.reserved)}")
    return broken

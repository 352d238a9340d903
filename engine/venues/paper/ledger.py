"""The ledger: every change of a balance is a posting of rows that sum to zero in each asset.

An account owns four books: `free`, `held` (reserved by open orders), `margin` (behind perpetual positions) and
`position` (contracts, negative when short). The other side of a posting is external: `funding`, `venue` (traded
assets), `fees`, `pnl`. Rows are only added, and `verify` checks that ledger, balances, orders and positions agree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, cast, get_args

import sqlalchemy as sa

from api.errors import InvalidInput
from engine.store import new_id
from engine.store.accounts import balances_table, ledger_table, orders_table
from engine.trading_rules import ZERO, exact, text

from .records import AccountRecord, read_orders, read_positions

OwnBook = Literal["free", "held", "margin", "position"]
WorldBook = Literal["funding", "venue", "fees", "pnl"]
Book = OwnBook | WorldBook
Kind = Literal["deposit", "withdrawal", "reset", "reserve", "release", "fill", "funding", "liquidation", "payout"]

OWN_BOOKS: Final = get_args(OwnBook)
WORLD_BOOKS: Final[tuple[WorldBook, ...]] = ("funding", "venue", "fees", "pnl")
_NEVER_NEGATIVE: Final = ("free", "held", "margin")


class InsufficientFunds(InvalidInput):
    """A balance would go below zero. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Line:
    """One side of a posting."""

    book: Book
    asset: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A stored ledger line. `at` is unix milliseconds."""

    seq: int
    posting: str
    kind: Kind
    book: Book
    asset: str
    amount: Decimal
    order_id: str | None
    at: int


@dataclass(frozen=True, slots=True)
class Books:
    """The books of one account, within one transaction. `now` (unix milliseconds) dates the postings."""

    connection: sa.Connection
    account: int
    now: int

    def post(self, kind: Kind, lines: list[Line], *, order_id: str | None = None, at: int | None = None) -> None:
        """Add a posting; lines with amount 0 are omitted.

        Raises:
            InsufficientFunds: A book that must not be negative would become negative.
            ArithmeticError: The lines do not sum to zero in each asset, which is a bug in the caller.
        """
        lines = [line for line in lines if line.amount != 0]
        if not lines:
            return
        with exact():
            _check_balanced(lines)
            for (book, asset), (before, after) in self._outcome(lines).items():
                self._set(book, asset, before, after)
        posting = new_id("post")
        rows = [
            {
                "account": self.account,
                "posting": posting,
                "kind": kind,
                "book": line.book,
                "asset": line.asset,
                "amount": text(line.amount),
                "order_id": order_id,
                "at": self.now if at is None else at,
            }
            for line in lines
        ]
        self.connection.execute(sa.insert(ledger_table), rows)

    def move(self, kind: Kind, asset: str, amount: Decimal, source: Book, target: Book, order_id: str | None) -> None:
        """Post one amount from one book to another."""
        self.post(kind, [Line(source, asset, -amount), Line(target, asset, amount)], order_id=order_id)

    def amount(self, book: OwnBook, asset: str) -> Decimal:
        """The balance of an asset in a book."""
        stored = self.connection.execute(
            sa.select(balances_table.c.amount).where(self._row(book, asset))
        ).scalar_one_or_none()
        return ZERO if stored is None else Decimal(stored)

    def balances(self) -> dict[tuple[OwnBook, str], Decimal]:
        """All books that are not empty."""
        rows = self.connection.execute(
            sa.select(balances_table)
            .where(balances_table.c.account == self.account)
            .order_by(balances_table.c.asset, balances_table.c.book)
        )
        return {(cast("OwnBook", row.book), str(row.asset)): Decimal(row.amount) for row in rows}

    def _outcome(self, lines: list[Line]) -> dict[tuple[OwnBook, str], tuple[Decimal, Decimal]]:
        """The balances of the account's books before and after."""
        outcome: dict[tuple[OwnBook, str], tuple[Decimal, Decimal]] = {}
        for line in lines:
            if line.book in WORLD_BOOKS:
                continue
            key = (line.book, line.asset)
            before, after = outcome.get(key) or (self.amount(*key),) * 2
            outcome[key] = (before, after + line.amount)
        for (book, asset), (before, after) in outcome.items():
            if after < 0 and book in _NEVER_NEGATIVE:
                raise InsufficientFunds(
                    f"{text(before - after)} {asset} is needed and {text(before)} {asset} is {book}",
                    suggestion="Use a smaller amount, or cancel open orders to free what they hold",
                )
        return outcome

    def _set(self, book: OwnBook, asset: str, before: Decimal, after: Decimal) -> None:
        if after == before:
            return
        self.connection.execute(sa.delete(balances_table).where(self._row(book, asset)))
        if after != 0:
            values = {"account": self.account, "book": book, "asset": asset, "amount": text(after)}
            self.connection.execute(sa.insert(balances_table), values)

    def _row(self, book: str, asset: str) -> sa.ColumnElement[bool]:
        table = balances_table.c
        return sa.and_(table.account == self.account, table.book == book, table.asset == asset)


def rows(connection: sa.Connection, account: int, *, limit: int | None = None) -> Iterator[LedgerRow]:
    """The ledger of an account, newest last; with `limit`, its last rows."""
    newest_first = sa.select(ledger_table).where(ledger_table.c.account == account).order_by(ledger_table.c.seq.desc())
    wanted = newest_first.limit(limit).subquery()
    for row in connection.execute(sa.select(wanted).order_by(wanted.c.seq)):
        yield LedgerRow(row.seq, row.posting, row.kind, row.book, row.asset, Decimal(row.amount), row.order_id, row.at)


def summed(connection: sa.Connection, account: int) -> tuple[dict[tuple[str, str], Decimal], list[str]]:
    """The sums of an account's ledger by book and asset, and the postings that do not balance."""
    sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    postings: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    with exact():
        for row in rows(connection, account):
            sums[row.book, row.asset] += row.amount
            postings[row.posting, row.asset] += row.amount
    return dict(sums), sorted({posting for (posting, _), total in postings.items() if total != 0})


def _check_balanced(lines: list[Line]) -> None:
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        totals[line.asset] += line.amount
    if any(totals.values()):
        raise ArithmeticError(f"a posting does not balance: {lines}")


def verify(connection: sa.Connection, account: AccountRecord) -> list[str]:
    """All inconsistencies; empty if there are none."""
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
    """The ledger's totals for orders and positions."""
    claimed = {key: amount for key, amount in own.items() if key[0] != "free"}
    tokens: defaultdict[str, Decimal] = defaultdict(Decimal)
    for (book, asset), amount in own.items():
        if book in {"free", "held"} and asset.isdecimal():
            tokens[asset] += amount
    return {**claimed, **{("tokens", asset): amount for asset, amount in tokens.items()}}


def _claims(connection: sa.Connection, account: AccountRecord) -> dict[tuple[str, str], Decimal]:
    """The same totals computed from the orders and positions."""
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

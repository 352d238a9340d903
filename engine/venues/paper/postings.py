"""The ledger: every change of a balance is a posting of rows that sum to zero in each asset. With the effects of fills.

An account owns four books: `free`, `held` (reserved by open orders), `margin` (behind perpetual positions) and
`position` (contracts, negative when short). The other side of a posting is external: `funding`, `venue` (traded
assets), `fees`, `pnl`. Rows are only added, and `verify` checks that ledger, balances, orders and positions agree.

The effects of fills are pure functions that return the rows to post and the new position. Spot and prediction orders
exchange one asset for another. Perpetual orders first close an opposite position and then open one, with isolated
margin: a position can lose its margin and nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal, cast, get_args

import sqlalchemy as sa

from api.errors import InvalidInput
from api.exchanges import Exchange
from engine.store.accounts import balances_table, ledger_table, orders_table
from engine.store.database import new_id
from engine.trading_rules import MAINTENANCE, ZERO, down, exact, liquidation_value, text
from engine.venues.paper.records import AccountRecord, OrderRecord, PositionRecord, read_orders, read_positions

OwnBook = Literal["free", "held", "margin", "position"]
WorldBook = Literal["funding", "venue", "fees", "pnl"]
AnyBook = OwnBook | WorldBook
PostingKind = Literal[
    "deposit", "withdrawal", "reset", "reserve", "release", "fill", "funding", "liquidation", "payout"
]

OWN_BOOKS: Final = get_args(OwnBook)
WORLD_BOOKS: Final[tuple[WorldBook, ...]] = ("funding", "venue", "fees", "pnl")
_NEVER_NEGATIVE: Final = ("free", "held", "margin")


class InsufficientFunds(InvalidInput):
    """A balance would go below zero. Nothing was changed."""


_THIS_BALANCE: Final = sa.and_(
    balances_table.c.account == sa.bindparam("of_account"),
    balances_table.c.book == sa.bindparam("of_book"),
    balances_table.c.asset == sa.bindparam("of_asset"),
)
_BALANCE: Final = sa.select(balances_table.c.amount).where(_THIS_BALANCE)
_REMOVE_BALANCE: Final = sa.delete(balances_table).where(_THIS_BALANCE)
_CHANGE_BALANCE: Final = sa.update(balances_table).where(_THIS_BALANCE).values(amount=sa.bindparam("changed"))
_BALANCES: Final = (
    sa.select(balances_table)
    .where(balances_table.c.account == sa.bindparam("of_account"))
    .order_by(balances_table.c.asset, balances_table.c.book)
)


@dataclass(frozen=True, slots=True)
class Line:
    """One side of a posting."""

    book: AnyBook
    asset: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class StoredPosting:
    """A stored ledger line. `at` is unix milliseconds."""

    seq: int
    posting: str
    kind: PostingKind
    book: AnyBook
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

    def post(self, kind: PostingKind, lines: list[Line], *, order_id: str | None = None, at: int | None = None) -> None:
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

    def move(
        self, kind: PostingKind, asset: str, amount: Decimal, source: AnyBook, target: AnyBook, order_id: str | None
    ) -> None:
        """Post one amount from one book to another."""
        self.post(kind, [Line(source, asset, -amount), Line(target, asset, amount)], order_id=order_id)

    def amount(self, book: OwnBook, asset: str) -> Decimal:
        """The balance of an asset in a book."""
        stored = self.connection.execute(_BALANCE, self._row(book, asset)).scalar_one_or_none()
        return ZERO if stored is None else Decimal(stored)

    def balances(self) -> dict[tuple[OwnBook, str], Decimal]:
        """All books that are not empty."""
        rows = self.connection.execute(_BALANCES, {"of_account": self.account})
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
        if before != 0 and after != 0:
            self.connection.execute(_CHANGE_BALANCE, self._row(book, asset) | {"changed": text(after)})
        elif after == 0:
            self.connection.execute(_REMOVE_BALANCE, self._row(book, asset))
        else:
            values = {"account": self.account, "book": book, "asset": asset, "amount": text(after)}
            self.connection.execute(sa.insert(balances_table), values)

    def _row(self, book: str, asset: str) -> dict[str, int | str]:
        return {"of_account": self.account, "of_book": book, "of_asset": asset}


def rows(connection: sa.Connection, account: int, *, limit: int | None = None) -> Iterator[StoredPosting]:
    """The ledger of an account, newest last; with `limit`, its last rows."""
    wanted = sa.select(ledger_table).where(ledger_table.c.account == account)
    if limit is None:
        wanted = wanted.order_by(ledger_table.c.seq)
    else:
        last = wanted.order_by(ledger_table.c.seq.desc()).limit(limit).subquery()
        wanted = sa.select(last).order_by(last.c.seq)
    for row in connection.execute(wanted):
        yield StoredPosting(
            row.seq, row.posting, row.kind, row.book, row.asset, Decimal(row.amount), row.order_id, row.at
        )


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


@dataclass(frozen=True, slots=True)
class PaperFill:
    """A part of an order that trades. `fee_rate` is a fraction of the value, `at` unix seconds,
    rounded up: bars that open then or later affect the new position. `tick` is the price step.

    `margin_price` values it for margin: never above a resting order's price, which its reserve is based on.
    """

    amount: Decimal
    price: Decimal
    fee_rate: Decimal
    margin_price: Decimal
    at: int
    tick: Decimal


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of a fill on the books and the position; `opened` is the part that opened or grew one."""

    lines: list[Line]
    fee: Decimal
    opened: Decimal
    position: PositionRecord | None


def reservation(order: OrderRecord, opening: Decimal, terms: Exchange) -> tuple[str, Decimal]:
    """The asset and amount that a resting order must hold for the `opening` part of its remainder."""
    instrument = order.instrument
    if instrument.market_type != "perpetual":
        if order.side == "sell":
            return instrument.base, opening
        return instrument.quote, opening * order.limit * (1 + max(terms.taker, terms.maker))
    if opening == 0:
        return instrument.quote, ZERO
    value = opening * order.limit
    return instrument.quote, down(value / order.leverage) + value * max(terms.taker, terms.maker)


def opening_part(order: OrderRecord, position: PositionRecord | None, same_side: list[OrderRecord]) -> Decimal:
    """How much of an order's remainder would open or grow a position, after the open orders of its side."""
    if order.instrument.market_type != "perpetual":
        return order.unfilled
    closable = closable_part(position, order.direction)
    spoken_for = sum((other.unfilled - other.opening for other in same_side if not other.reduce_only), ZERO)
    return max(order.unfilled - max(closable - spoken_for, ZERO), ZERO)


def closable_part(position: PositionRecord | None, direction: int) -> Decimal:
    """How much of a position an order to buy (`direction` 1) or sell (-1) can close."""
    size = position.size if position else ZERO
    return abs(size) if size * direction < 0 else ZERO


def trade(order: OrderRecord, position: PositionRecord | None, fill: PaperFill) -> Effect:
    """The effect of `fill` on an account with `position` in the order's instrument."""
    if order.instrument.market_type == "perpetual":
        return _trade_contracts(order, position, fill)
    return _exchange_assets(order, position, fill)


def liquidation_price(position: PositionRecord) -> Decimal | None:
    """The price at which equity falls to the maintenance margin; `None` if there is none."""
    if position.instrument.market_type != "perpetual":
        return None
    price = liquidation_value(position.sign, position.cost, position.margin, MAINTENANCE) / abs(position.size)
    return down(price, Decimal("1e-12")) if price > 0 else None


def liquidate(position: PositionRecord) -> list[Line]:
    """The venue takes over the position with its margin."""
    quote, symbol = position.instrument.quote, position.instrument.symbol
    return [
        Line("margin", quote, -position.margin),
        Line("pnl", quote, position.margin),
        Line("position", symbol, -position.size),
        Line("venue", symbol, position.size),
    ]


def pay_out(position: PositionRecord, payout: int) -> list[Line]:
    """A resolved market redeems the tokens at 1 or 0 each."""
    token, quote = position.instrument.base, position.instrument.quote
    paid = position.size * payout
    return [
        Line("free", token, -position.size),
        Line("venue", token, position.size),
        Line("free", quote, paid),
        Line("venue", quote, -paid),
    ]


def _exchange_assets(order: OrderRecord, position: PositionRecord | None, fill: PaperFill) -> Effect:
    base, quote = order.instrument.base, order.instrument.quote
    received = fill.amount * order.direction
    value = received * fill.price
    fee = fill.amount * fill.price * fill.fee_rate
    lines = [
        Line("free", base, received),
        Line("venue", base, -received),
        Line("free", quote, -value - fee),
        Line("venue", quote, value),
        Line("fees", quote, fee),
    ]
    held = _tokens_after(order, position, fill) if order.instrument.market_type == "prediction" else None
    return Effect(lines, fee, fill.amount, held)


def _tokens_after(order: OrderRecord, position: PositionRecord | None, fill: PaperFill) -> PositionRecord:
    before = position or _flat(order, fill)
    if order.side == "buy":
        return replace(before, size=before.size + fill.amount, cost=before.cost + fill.amount * fill.price)
    return replace(before, size=before.size - fill.amount, cost=before.cost - _share(before.cost, fill.amount, before))


def _trade_contracts(order: OrderRecord, position: PositionRecord | None, fill: PaperFill) -> Effect:
    before = position or _flat(order, fill)
    opposite = before.size * order.direction < 0
    closing = min(fill.amount, abs(before.size)) if opposite else ZERO
    closed, lines = _close(before, closing, fill)
    opening = fill.amount - closing
    after = replace(closed, leverage=order.leverage, seen_until=fill.at) if closed.size == 0 else closed
    margin = down(opening * fill.margin_price / order.leverage)
    fee = opening * fill.price * fill.fee_rate
    quote, symbol = order.instrument.quote, order.instrument.symbol
    lines += [
        Line("free", quote, -margin - fee),
        Line("margin", quote, margin),
        Line("fees", quote, fee),
        Line("position", symbol, opening * order.direction),
        Line("venue", symbol, -opening * order.direction),
    ]
    after = replace(
        after,
        size=after.size + opening * order.direction,
        cost=after.cost + opening * fill.price,
        margin=after.margin + margin,
    )
    return Effect(lines, fill.amount * fill.price * fill.fee_rate, opening, after)


def _close(position: PositionRecord, amount: Decimal, fill: PaperFill) -> tuple[PositionRecord, list[Line]]:
    """Close `amount` of a position. The venue bears any loss beyond its share of the margin, fee included."""
    if amount == 0:
        return position, []
    cost, margin = _share(position.cost, amount, position), _share(position.margin, amount, position)
    fee = amount * fill.price * fill.fee_rate
    pnl = max(position.sign * (amount * fill.price - cost), fee - margin)
    quote, symbol = position.instrument.quote, position.instrument.symbol
    size = amount * position.sign
    lines = [
        Line("margin", quote, -margin),
        Line("free", quote, margin + pnl - fee),
        Line("pnl", quote, -pnl),
        Line("fees", quote, fee),
        Line("position", symbol, -size),
        Line("venue", symbol, size),
    ]
    after = replace(position, size=position.size - size, cost=position.cost - cost, margin=position.margin - margin)
    return after, lines


def _share(whole: Decimal, amount: Decimal, position: PositionRecord) -> Decimal:
    """The part of a position's cost or margin that belongs to `amount` of it; the exact total for the full amount."""
    size = abs(position.size)
    return whole if amount == size else down(whole * amount / size)


def _flat(order: OrderRecord, fill: PaperFill) -> PositionRecord:
    return PositionRecord(order.account, order.instrument, ZERO, ZERO, ZERO, order.leverage, fill.at)

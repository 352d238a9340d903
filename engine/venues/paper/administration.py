"""Opening, funding, resetting and closing paper accounts: only for the owner of this machine, not for agents.

Every owner has one account for each exchange from the first call on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeVar

import sqlalchemy as sa

from api.errors import InvalidInput
from api.exchanges import EXCHANGES, ExchangeId
from api.refusals import show
from api.symbols import is_asset
from api.times import Clock
from engine.store.accounts import accounts_table, positions_table
from engine.store.database import Store, new_id
from engine.trading_rules import exact, plain, text
from engine.venues.paper.postings import Books, Line, StoredPosting, rows, verify
from engine.venues.paper.records import (
    AccountRecord,
    find_account,
    insert_account,
    lock_account,
    read_accounts,
    read_positions,
)

from .trading import TradingAccount

T = TypeVar("T")

_AMOUNT: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """An account and its free cash."""

    account: AccountRecord
    free: Decimal


class Administration:
    """The accounts of one owner. Blocking: use it in a thread."""

    def __init__(
        self, store: Store, clock: Clock, owner: str, connected: Callable[[], Collection[str]] = tuple[str]
    ) -> None:
        self._store = store
        self._connected = connected
        self._clock = clock
        self._owner = owner

    def accounts(self) -> list[AccountSummary]:
        """All accounts, oldest first; the first call opens them."""

        def work(connection: sa.Connection) -> list[AccountSummary]:
            return [_summary(connection, account) for account in self._all(connection)]

        return self._write(work)

    def create(
        self, exchange: ExchangeId, account_id: str | None, name: str | None, opening: str | None
    ) -> AccountSummary:
        """Open an account; missing values are generated or copied from the exchange's first account.

        Raises:
            InvalidInput: The id or the balance is invalid.
        """
        if account_id is not None and _ID.fullmatch(account_id) is None:
            raise InvalidInput(
                f"id {show(account_id)} is not 1-64 letters, digits, - or _", suggestion="Choose another"
            )
        cash = EXCHANGES[exchange].opening_balance if opening is None else parse_amount(opening)
        title = name or f"{EXCHANGES[exchange].name} paper account"
        chosen = account_id or new_id("acc")

        def work(connection: sa.Connection) -> AccountSummary:
            self._all(connection)
            return _summary(
                connection,
                open_account(connection, self._owner, chosen, exchange, title[:100], cash, self._clock.now()),
            )

        return self._write(work)

    def fund(self, account_id: str, amount: str, asset: str | None) -> AccountSummary:
        """Deposit, or withdraw if the amount is negative.

        Raises:
            InvalidInput: The amount or asset is invalid, or the withdrawal exceeds the free balance.
            NotFound: There is no such account.
        """
        change = parse_amount(amount)
        if asset is not None and not is_asset(asset):
            raise InvalidInput(f"asset {show(asset)} is not an asset", suggestion="Write it as BTC or USDT")

        def work(connection: sa.Connection, account: AccountRecord) -> None:
            if asset not in {None, account.currency} and EXCHANGES[account.exchange].market_type != "spot":
                raise InvalidInput(
                    f"account {account_id} holds {account.currency} only", suggestion="Leave the asset out"
                )
            fund(connection, account, asset or account.currency, change, self._clock.now())

        return self._change(account_id, work)

    def reset(self, account_id: str) -> AccountSummary:
        """Reset to the opening balance, without orders and positions.

        Raises:
            NotFound: There is no such account.
        """
        return self._change(account_id, lambda connection, account: reset(connection, account, self._clock.now()))

    def close(self, account_id: str) -> AccountSummary:
        """Close the account to new orders.

        Raises:
            InvalidInput: Positions are open.
            NotFound: There is no such account.
        """
        return self._change(account_id, lambda connection, account: close(connection, account, self._clock.now()))

    def ledger(self, account_id: str, limit: int) -> list[StoredPosting]:
        """The newest rows of an account's ledger, oldest first.

        Raises:
            NotFound: There is no such account.
        """

        def work(connection: sa.Connection) -> list[StoredPosting]:
            account = find_account(read_accounts(connection, self._owner), account_id, self._connected)
            return list(rows(connection, account.id, limit=limit))

        self.accounts()
        return self._store.read_now(work)

    def verify(self, account_id: str | None = None) -> dict[str, list[str]]:
        """Inconsistencies by account; every account has an entry.

        Raises:
            NotFound: There is no such account.
        """

        def work(connection: sa.Connection) -> dict[str, list[str]]:
            known = read_accounts(connection, self._owner)
            chosen = known if account_id is None else [find_account(known, account_id, self._connected)]
            return {account.account_id: verify(connection, account) for account in chosen}

        self.accounts()
        return self._store.read_now(work)

    def _change(self, account_id: str, change: Callable[[sa.Connection, AccountRecord], None]) -> AccountSummary:
        def work(connection: sa.Connection) -> AccountSummary:
            account = find_account(self._all(connection), account_id, self._connected)
            lock_account(connection, account)
            change(connection, account)
            return _summary(connection, find_account(self._all(connection), account_id))

        return self._write(work)

    def _write(self, work: Callable[[sa.Connection], T]) -> T:
        def exactly(connection: sa.Connection) -> T:
            with exact():
                return work(connection)

        return self._store.write_now(exactly)

    def _all(self, connection: sa.Connection) -> list[AccountRecord]:
        open_defaults(connection, self._owner, self._clock.now())
        return read_accounts(connection, self._owner)


def parse_amount(written: str) -> Decimal:
    """An amount as typed on the command line; a negative one withdraws.

    Raises:
        InvalidInput: It is not a plain decimal number.
    """
    if _AMOUNT.fullmatch(written) is None:
        raise InvalidInput(f"amount {show(written)} is not a decimal number", suggestion="Write it as 1000 or 0.5")
    return plain(Decimal(written))


def _summary(connection: sa.Connection, account: AccountRecord) -> AccountSummary:
    return AccountSummary(account, Books(connection, account.id, now=0).amount("free", account.currency))


MAX_ACCOUNTS: Final = 200


def open_defaults(connection: sa.Connection, owner: str, now: float) -> None:
    """One account for each exchange, unless the owner has accounts already."""
    if read_accounts(connection, owner):
        return
    for exchange in EXCHANGES.values():
        name = f"{exchange.name} paper account"
        _open(connection, owner, f"paper-{exchange.id}", exchange.id, name, exchange.opening_balance, now)


def open_account(
    connection: sa.Connection,
    owner: str,
    account_id: str,
    exchange: ExchangeId,
    name: str,
    opening: Decimal,
    now: float,
) -> AccountRecord:
    """Open an account with `opening` of the exchange's currency.

    Raises:
        InvalidInput: The id is taken, the balance negative, or there are too many accounts.
    """
    existing = read_accounts(connection, owner)
    if any(account.account_id == account_id for account in existing):
        raise InvalidInput(f"there is already an account {show(account_id)}", suggestion="Choose another id")
    if len(existing) >= MAX_ACCOUNTS:
        raise InvalidInput(f"there are {MAX_ACCOUNTS} accounts already", suggestion="Use or reset one of them")
    if opening < 0:
        raise InvalidInput(f"balance {text(opening)} is below 0", suggestion="Give 0 or more")
    return _open(connection, owner, account_id, exchange, name, opening, now)


def _open(
    connection: sa.Connection,
    owner: str,
    account_id: str,
    exchange: ExchangeId,
    name: str,
    opening: Decimal,
    now: float,
) -> AccountRecord:
    values = {
        "owner": owner,
        "account_id": account_id,
        "exchange": exchange,
        "name": name,
        "opening": text(opening),
        "status": "active",
        "created_at": round(now * 1000),
    }
    account = insert_account(connection, values)
    fund(connection, account, account.currency, opening, now)
    return account


def fund(connection: sa.Connection, account: AccountRecord, asset: str, amount: Decimal, now: float) -> None:
    """Deposit, or withdraw if `amount` is negative.

    Raises:
        InsufficientFunds: The withdrawal exceeds the free balance.
    """
    lines = [Line("funding", asset, -amount), Line("free", asset, amount)]
    Books(connection, account.id, round(now * 1000)).post("deposit" if amount > 0 else "withdrawal", lines)


def reset(connection: sa.Connection, account: AccountRecord, now: float) -> None:
    """End all orders, drop all positions and holdings, and restart with the opening balance."""
    _end_orders(connection, account, now, "The account was reset")
    books = Books(connection, account.id, round(now * 1000))
    lines = [
        line
        for (book, asset), amount in books.balances().items()
        for line in (Line(book, asset, -amount), Line("funding", asset, amount))
    ]
    books.post("reset", lines)
    connection.execute(sa.delete(positions_table).where(positions_table.c.account == account.id))
    fund(connection, account, account.currency, account.opening, now)
    _set_status(connection, account, "active")


def close(connection: sa.Connection, account: AccountRecord, now: float) -> None:
    """End all orders and accept no more. Holdings stay on the books, and `reset` reopens the account.

    Raises:
        InvalidInput: Positions are open.
    """
    positions = read_positions(connection, account)
    if positions:
        symbols = ", ".join(p.instrument.symbol[:20] for p in positions[:5])
        raise InvalidInput(
            f"account {account.account_id} has open positions: {symbols}", suggestion="Close them, or reset the account"
        )
    _end_orders(connection, account, now, "The account was closed")
    _set_status(connection, account, "closed")


def _end_orders(connection: sa.Connection, account: AccountRecord, now: float, message: str) -> None:
    trading = TradingAccount(connection, account, now)
    with exact():
        for order in trading.open_orders():
            trading.end(order, "CANCELLED", message)


def _set_status(connection: sa.Connection, account: AccountRecord, status: str) -> None:
    connection.execute(sa.update(accounts_table).where(accounts_table.c.id == account.id).values(status=status))

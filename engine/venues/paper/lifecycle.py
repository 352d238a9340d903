"""What can happen to a paper account as a whole: it is opened, funded, reset, closed.

Every owner has one account for each exchange from the first look on.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import sqlalchemy as sa

from api.errors import InvalidInput, NotFound, closest, show
from api.exchanges import EXCHANGES, ExchangeId
from engine.store.broker import accounts_table, positions_table
from engine.venues.amounts import exact, text

from .ledger import Books, Line
from .records import AccountRecord, read_accounts, read_positions
from .trading import TradingAccount

MAX_ACCOUNTS: Final = 200


def open_defaults(connection: sa.Connection, owner: str, now: float) -> None:
    """One account for each exchange, unless the owner has accounts already."""
    if read_accounts(connection, owner):
        return
    for exchange in EXCHANGES.values():
        name = f"{exchange.name} paper account"
        open_account(connection, owner, f"paper-{exchange.id}", exchange.id, name, exchange.opening_balance, now)


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
    values = {
        "owner": owner,
        "account_id": account_id,
        "exchange": exchange,
        "name": name,
        "opening": text(opening),
        "status": "active",
        "created_at": round(now * 1000),
    }
    connection.execute(sa.insert(accounts_table).values(**values))
    account = find_account(read_accounts(connection, owner), account_id)
    fund(connection, account, account.currency, opening, now)
    return account


def find_account(accounts: Iterable[AccountRecord], account_id: str) -> AccountRecord:
    """The account of that id.

    Raises:
        NotFound: No account has that id; names the closest ids.
    """
    known = {account.account_id: account for account in accounts}
    if account_id in known:
        return known[account_id]
    near = closest(account_id, known)
    raise NotFound(
        f"there is no account {show(account_id)}",
        suggestion=f"Did you mean {' or '.join(near)}?" if near else f"Accounts: {', '.join(list(known)[:8])}",
    )


def fund(connection: sa.Connection, account: AccountRecord, asset: str, amount: Decimal, now: float) -> None:
    """Pay in, or out where `amount` is negative.

    Raises:
        InsufficientFunds: More is taken out than is free.
    """
    lines = [Line("funding", asset, -amount), Line("free", asset, amount)]
    Books(connection, account.id, round(now * 1000)).post("deposit" if amount > 0 else "withdrawal", lines)


def reset(connection: sa.Connection, account: AccountRecord, now: float) -> None:
    """End all orders, drop all positions and holdings, and start again with the opening balance."""
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
    """End all orders and take no more. Holdings stay on the books, and `reset` opens the account again.

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

"""What the owner of this machine may do to paper accounts at the command line, and no agent may."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeVar

import sqlalchemy as sa

from api.errors import InvalidInput
from api.exchanges import EXCHANGES, ExchangeId
from api.refusals import show
from api.symbols import is_asset
from engine.clock import Clock
from engine.store.database import Store
from engine.store.ids import new_id
from engine.venues.amounts import exact, plain

from .ledger import Books, LedgerRow, rows
from .lifecycle import close, find_account, fund, open_account, open_defaults, reset
from .records import AccountRecord, lock_account, read_accounts
from .verification import verify

T = TypeVar("T")

_AMOUNT: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Summary:
    """An account, and its cash that is free."""

    account: AccountRecord
    free: Decimal


class Administration:
    """The accounts of one owner. Blocking: use it in a thread."""

    def __init__(self, store: Store, clock: Clock, owner: str) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner

    def accounts(self) -> list[Summary]:
        """All accounts, oldest first; the first look opens them."""

        def work(connection: sa.Connection) -> list[Summary]:
            return [_summary(connection, account) for account in self._all(connection)]

        return self._write(work)

    def create(self, exchange: ExchangeId, account_id: str | None, name: str | None, opening: str | None) -> Summary:
        """Open an account; what is not given is made up or as the exchange's first account has it.

        Raises:
            InvalidInput: The id or the balance cannot be used.
        """
        if account_id is not None and _ID.fullmatch(account_id) is None:
            raise InvalidInput(
                f"id {show(account_id)} is not 1-64 letters, digits, - or _", suggestion="Choose another"
            )
        cash = EXCHANGES[exchange].opening_balance if opening is None else parse_amount(opening)
        title = name or f"{EXCHANGES[exchange].name} paper account"
        chosen = account_id or new_id("acc")

        def work(connection: sa.Connection) -> Summary:
            self._all(connection)
            return _summary(
                connection,
                open_account(connection, self._owner, chosen, exchange, title[:100], cash, self._clock.now()),
            )

        return self._write(work)

    def fund(self, account_id: str, amount: str, asset: str | None) -> Summary:
        """Pay in, or out where the amount is negative.

        Raises:
            InvalidInput: The amount is no number, the asset no asset, or more goes out than is free.
            NotFound: There is no such account.
        """
        change = parse_amount(amount)
        if asset is not None and not is_asset(asset):
            raise InvalidInput(f"asset {show(asset)} is no asset", suggestion="Write it as BTC or USDT")

        def work(connection: sa.Connection, account: AccountRecord) -> None:
            if asset not in {None, account.currency} and EXCHANGES[account.exchange].market_type != "spot":
                raise InvalidInput(
                    f"account {account_id} holds {account.currency} only", suggestion="Leave the asset out"
                )
            fund(connection, account, asset or account.currency, change, self._clock.now())

        return self._change(account_id, work)

    def reset(self, account_id: str) -> Summary:
        """Back to the opening balance, without orders and positions.

        Raises:
            NotFound: There is no such account.
        """
        return self._change(account_id, lambda connection, account: reset(connection, account, self._clock.now()))

    def close(self, account_id: str) -> Summary:
        """Take no more orders.

        Raises:
            InvalidInput: Positions are open.
            NotFound: There is no such account.
        """
        return self._change(account_id, lambda connection, account: close(connection, account, self._clock.now()))

    def ledger(self, account_id: str, limit: int) -> list[LedgerRow]:
        """The newest rows of an account's ledger, oldest first.

        Raises:
            NotFound: There is no such account.
        """

        def work(connection: sa.Connection) -> list[LedgerRow]:
            account = find_account(read_accounts(connection, self._owner), account_id)
            return list(rows(connection, account.id, limit=limit))

        self.accounts()
        return self._store.read_now(work)

    def verify(self, account_id: str | None = None) -> dict[str, list[str]]:
        """What does not add up, by account; every account has an entry.

        Raises:
            NotFound: There is no such account.
        """

        def work(connection: sa.Connection) -> dict[str, list[str]]:
            known = read_accounts(connection, self._owner)
            chosen = known if account_id is None else [find_account(known, account_id)]
            return {account.account_id: verify(connection, account) for account in chosen}

        self.accounts()
        return self._store.read_now(work)

    def _change(self, account_id: str, change: Callable[[sa.Connection, AccountRecord], None]) -> Summary:
        def work(connection: sa.Connection) -> Summary:
            account = find_account(self._all(connection), account_id)
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
    """An amount as a person writes it on the command line; a negative one takes out.

    Raises:
        InvalidInput: It is no plain decimal number.
    """
    if _AMOUNT.fullmatch(written) is None:
        raise InvalidInput(f"amount {show(written)} is no decimal number", suggestion="Write it as 1000 or 0.5")
    return plain(Decimal(written))


def _summary(connection: sa.Connection, account: AccountRecord) -> Summary:
    return Summary(account, Books(connection, account.id, now=0).amount("free", account.currency))

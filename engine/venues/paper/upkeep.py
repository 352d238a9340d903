"""Brings accounts up to date: finds what waits for bars, reads them, and settles in short transactions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

import sqlalchemy as sa

from api.errors import NotFound
from api.orders import CANCELLABLE
from api.symbols import Instrument
from api.timeframes import SECONDS
from engine.clock import Clock
from engine.store.broker import orders_table
from engine.store.database import Store
from engine.venues.amounts import exact

from .prices import Prices, Tape
from .records import AccountRecord, lock_account, read_orders, read_positions
from .settlement import pieces, settle
from .trading import TradingAccount

_SHORTEST_BAR: Final = min(SECONDS.values())


@dataclass(frozen=True, slots=True)
class _Due:
    """Bars of an instrument that an account has not met."""

    account: AccountRecord
    instrument: Instrument
    tape: Tape

    def parts(self) -> Iterator[tuple[_Due, range]]:
        """Itself with each run of bars that fits one transaction."""
        return ((self, bars) for bars in pieces(self.tape))


class Upkeep:
    """Settles accounts up to now. Blocking: use it in a thread."""

    def __init__(self, store: Store, prices: Prices, clock: Clock) -> None:
        self._store = store
        self._prices = prices
        self._clock = clock

    def settle(self, accounts: Sequence[AccountRecord]) -> None:
        """Let open orders and positions of `accounts` meet every bar that has closed since they last met one.

        What the feed no longer lists is left as it is.
        """
        now = self._clock.now()
        waiting = self._store.read_now(lambda connection: _waiting(connection, accounts))
        found = (self._due(account, instrument, since, now) for account, instrument, since in waiting)
        due = [one for one in found if one is not None]
        for step in zip_longest(*(one.parts() for one in due)):
            self._store.write_now(lambda connection, step=step: _settle_all(connection, now, step))

    def _due(self, account: AccountRecord, instrument: Instrument, since: int, now: float) -> _Due | None:
        if math.floor(now) - since < _SHORTEST_BAR:
            return None
        try:
            tape = self._prices.tape(instrument, since)
        except NotFound:
            return None
        return None if tape.candles is None and tape.listing.payout is None else _Due(account, instrument, tape)


def _waiting(
    connection: sa.Connection, accounts: Iterable[AccountRecord]
) -> list[tuple[AccountRecord, Instrument, int]]:
    """Account, instrument and the close of the last bar met, for everything that is open.

    Sorted by account, so that all processes lock in the same order.
    """
    by_id = {account.id: account for account in accounts}
    since: dict[tuple[int, Instrument], int] = {}
    is_open = sa.and_(orders_table.c.account.in_(by_id), orders_table.c.status.in_(CANCELLABLE))
    open_things = [
        *read_orders(connection, is_open),
        *(position for account in by_id.values() for position in read_positions(connection, account)),
    ]
    for thing in open_things:
        key = (thing.account, thing.instrument)
        since[key] = min(since.get(key, thing.seen_until), thing.seen_until)
    by_account = sorted(since.items(), key=lambda item: item[0][0])
    return [(by_id[account], instrument, moment) for (account, instrument), moment in by_account]


def _settle_all(connection: sa.Connection, now: float, step: Iterable[tuple[_Due, range] | None]) -> None:
    with exact():
        for part in step:
            if part is not None:
                due, bars = part
                lock_account(connection, due.account)
                settle(TradingAccount(connection, due.account, now), due.instrument, due.tape, bars)

"""A lease decides which process runs the live strategies when several have the database open.

A process started by a client ends with that client. A process that outlives clients, such as `heytraders-mcp run`, has
priority: it requests the lease, and the other process gives it up at its next renewal.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from engine.store.database import Store
from engine.store.live import leases_table

SECONDS: Final = 15.0
RENEWED_AFTER: Final = SECONDS / 3
_SLACK: Final = 1.0
"""Seconds by which a clock may be corrected without ending a lease."""
_HELD: Final = "live"
_ASKED: Final = "live-asked"
_STAYS: Final = "stays"
_row: Final = leases_table.c


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that runs the strategies now.

    Attributes:
        pid: Its process id on its machine.
        stays: Whether it outlives its clients.
        seen_at: When it last renewed its lease, unix seconds of the machine's clock.
    """

    pid: int
    stays: bool
    seen_at: float


def owner(connection: sa.Connection) -> Owner | None:
    """The process that runs the strategies; None if there is none."""
    row = _fresh(connection, _HELD, time.time())
    if row is None:
        return None
    claimant, expires = row
    kind, _, rest = claimant.partition(":")
    pid, _, _ = rest.partition(":")
    return Owner(int(pid) if pid.isdecimal() else 0, kind == _STAYS, expires - SECONDS)


class Lease:
    """A claim that must be renewed. A process that dies loses it after `SECONDS`.

    Args:
        store: The database that holds the claim.
        stays: Whether this process outlives its clients.
    """

    def __init__(self, store: Store, *, stays: bool = False) -> None:
        self._store = store
        self._stays = stays
        self._owner = f"{_STAYS if stays else 'client'}:{os.getpid()}:{secrets.token_hex(16)}"
        self._held_until = 0.0

    def take(self) -> bool:
        """Claim or renew; `False` while another process holds it. Writes only after a third of the lease time.

        A clock that was set back renews at once.
        """
        now = time.time()
        renewed = self._held_until - SECONDS
        if renewed <= now < renewed + RENEWED_AFTER:
            return True
        self._held_until = self._store.write_now(lambda connection: self._claim(connection, now))
        return self._held_until > 0.0

    def release(self) -> None:
        """Release the lease so that another process can start at once."""
        if self._held_until or self._stays:
            mine = _row.owner == self._owner
            self._store.write_now(lambda connection: connection.execute(sa.delete(leases_table).where(mine)))
            self._held_until = 0.0

    def _claim(self, connection: sa.Connection, now: float) -> float:
        held, asked = _fresh(connection, _HELD, now), _fresh(connection, _ASKED, now)
        if held is not None and held[0] != self._owner:
            if self._stays and (asked is None or asked[0] == self._owner):
                _write(connection, _ASKED, self._owner, now)
            return 0.0
        if asked is not None and asked[0] != self._owner and not self._stays:
            connection.execute(sa.delete(leases_table).where(_row.name == _HELD))
            return 0.0
        connection.execute(sa.delete(leases_table).where(_row.name == _ASKED, _row.owner == self._owner))
        return _write(connection, _HELD, self._owner, now)


def _fresh(connection: sa.Connection, name: str, now: float) -> tuple[str, float] | None:
    """The owner of an unexpired row of that name, and when it expires.

    A row that expires later than a new one would was written before the clock was set back, and does not count.
    """
    valid = sa.and_(_row.expires_at > now, _row.expires_at <= now + SECONDS + _SLACK)
    wanted = sa.select(_row.owner, _row.expires_at).where(_row.name == name, valid)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else (row.owner, row.expires_at)


def _write(connection: sa.Connection, name: str, claimant: str, now: float) -> float:
    expires = now + SECONDS
    connection.execute(sa.delete(leases_table).where(_row.name == name))
    connection.execute(sa.insert(leases_table).values(name=name, owner=claimant, expires_at=expires))
    return expires

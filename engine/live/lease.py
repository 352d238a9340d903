"""One process runs the live strategies, whoever else has the database open. A lease says which."""

from __future__ import annotations

import secrets
import time
from typing import Final

import sqlalchemy as sa

from engine.store.database import Store
from engine.store.live import leases_table

SECONDS: Final = 15.0
_NAME: Final = "live"


class Lease:
    """A claim that has to be renewed. A process that dies loses it after `SECONDS`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owner = secrets.token_hex(16)
        self._held_until = 0.0

    def take(self) -> bool:
        """Claim or renew; `False` while another process holds it. Writes only when a third of the time has passed."""
        now = time.time()
        if now < self._held_until - SECONDS * 2 / 3:
            return True
        self._held_until = self._store.write_now(lambda connection: self._claim(connection, now))
        return self._held_until > 0.0

    def release(self) -> None:
        """Let the next process begin at once."""
        if self._held_until:
            mine = (leases_table.c.name == _NAME) & (leases_table.c.owner == self._owner)
            self._store.write_now(lambda connection: connection.execute(sa.delete(leases_table).where(mine)))
            self._held_until = 0.0

    def _claim(self, connection: sa.Connection, now: float) -> float:
        row = connection.execute(sa.select(leases_table).where(leases_table.c.name == _NAME)).one_or_none()
        if row is not None and row.owner != self._owner and row.expires_at > now:
            return 0.0
        expires = now + SECONDS
        connection.execute(sa.delete(leases_table).where(leases_table.c.name == _NAME))
        connection.execute(sa.insert(leases_table).values(name=_NAME, owner=self._owner, expires_at=expires))
        return expires

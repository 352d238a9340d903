"""Books what venues have answered: the outcomes of one step of live strategies, in one transaction."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Final, Literal, TypeVar

import sqlalchemy as sa

from api.errors import NotNow
from api.orders import Order
from engine.store.database import Store, Work
from engine.venues.venue import Venues

from . import orders, positions, signals
from .orders import DueOrder

logger = logging.getLogger("heytraders.live")

T = TypeVar("T")
Stage = Literal["due", "open", "placed", "skipped", "refused"]
_RESTING: Final[dict[Stage, orders.LiveOrderState]] = {
    "due": "due",
    "open": "open",
    "placed": "ended",
    "skipped": "ended",
    "refused": "refused",
}
"""The state of a resting order for each state of a signal's order."""


class Bookings:
    """Collects outcomes, and writes them before anything is read that depends on them. Blocks; for one thread.

    An outcome that a crash loses is found again at the venue, under the order's key.
    """

    def __init__(self, store: Store, venues: Venues) -> None:
        self._store = store
        self._venues = venues
        self._bookings: list[tuple[DueOrder, Work[object]]] = []
        self._resting: dict[tuple[str, str], dict[str, int]] = {}

    def clear(self) -> None:
        """Forget what could not be written in an earlier run."""
        self._bookings.clear()
        self._resting.clear()

    def outcome(self, order: DueOrder, shown: Order | None, stage: Stage, lot: Decimal, followed: list[Order]) -> None:
        """Book an order as its venue shows it, together with the exits that followed its fill by themselves.

        They are stored in one transaction: an entry that has ended is not looked at again.
        """

        def work(connection: sa.Connection) -> None:
            _write(connection, order, shown, stage, lot)
            if shown is None or shown.order_id is None:
                return
            for each in followed:
                row = positions.adopt(connection, order, each, shown.order_id)
                if row.state == "open":
                    _write(connection, row, each, "placed" if orders.is_over(each) else "open", lot)

        self._bookings.append((order, work))

    def say(self, order: DueOrder, stage: Stage, message: str) -> None:
        """Record why an order is not placed. One that is already at the venue, or waits here, is unchanged."""
        self._bookings.append((order, _saying(order, stage, message)))

    def rests(self, order: DueOrder, order_id: str) -> None:
        """Match an order that rests on paper against the bars since its decision; see `Venue.count_from`."""
        self._resting.setdefault((order.agent_id, order.account_id), {})[order_id] = order.since

    def read(self, work: Work[T]) -> T:
        """Read, after everything collected is written."""
        self.write_all()
        return self._store.read_now(work)

    def write(self, work: Work[T]) -> T:
        """Write at once, in one transaction with everything collected, if that can be written."""
        self._count()
        bookings = list(self._bookings)
        if not bookings:
            return self._store.write_now(work)

        def together(connection: sa.Connection) -> T:
            for _, each in bookings:
                each(connection)
            return work(connection)

        try:
            result = self._store.write_now(together)
        except NotNow:
            raise
        except Exception:  # noqa: BLE001 - what was collected is tried without this
            self.write_all()
            return self._store.write_now(work)
        self._bookings.clear()
        return result

    def write_all(self) -> None:
        """Write everything collected. An outcome that cannot be booked stops no other.

        Raises:
            NotNow: The database takes nothing now. What was collected stays, so that no read misses it.
        """
        self._count()
        bookings = self._bookings
        if not bookings:
            return
        try:
            self._store.write_now(lambda connection: [work(connection) for _, work in bookings])
        except NotNow:
            raise
        except Exception:  # noqa: BLE001 - each is tried alone, and says what is wrong with it
            while bookings:
                self._alone(*bookings[0])
                del bookings[0]
        bookings.clear()

    def _count(self) -> None:
        resting, self._resting = self._resting, {}
        for (agent_id, account_id), since in resting.items():
            self._venues.of(agent_id, account_id).count_from(account_id, since)

    def _alone(self, order: DueOrder, work: Work[object]) -> None:
        try:
            self._store.write_now(work)
        except NotNow:
            raise
        except Exception as error:
            logger.exception("live strategies: order %s", order.key)
            why = f"INTERNAL_ERROR: the order could not be booked ({type(error).__name__})"
            self._store.write_now(_saying(order, "refused", why))


def _write(connection: sa.Connection, order: DueOrder, shown: Order | None, stage: Stage, lot: Decimal) -> None:
    note = None
    if shown is not None:
        positions.record(connection, order, shown, lot)
        if orders.is_over(shown) and shown.status != "FILLED":
            note = f"the order ended as {shown.status}" + (f": {shown.message}" if shown.message else "")
    if order.signal_id is not None:
        signals.set_order(connection, order.signal_id, stage, note)
    elif stage == "placed":
        filled = order.filled > 0 or (shown is not None and bool(shown.filled_amount))
        orders.end(connection, order, note, filled=filled)
    else:
        orders.set_state(connection, order.key, _RESTING[stage], note)


def _saying(order: DueOrder, stage: Stage, message: str) -> Work[None]:
    def work(connection: sa.Connection) -> None:
        if order.signal_id is not None:
            signals.set_order(connection, order.signal_id, stage, message)
        else:
            state = _RESTING[stage] if order.state == "due" else order.state
            orders.set_state(connection, order.key, state, message)

    return work

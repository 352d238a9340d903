"""What really happened at the hostile exchange, as opposed to its answers and listings."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

OrderStatus = Literal["OPEN", "FILLED", "CANCELLED"]

SERVICE_PREFIX: Final = "/api/v1"


@dataclass
class Arrival:
    """A POST /orders that arrived completely.

    Attributes:
        label: As sent, whether the listings show it or not.
        at: Unix seconds.
        fate: What the exchange did with it.
        row_state: State of the intent in the sender's ledger at that moment, where it was looked up.
    """

    label: str
    at: float
    fate: str
    row_state: str | None = None


@dataclass
class Booked:
    """An order that exists at the exchange.

    Attributes:
        label: As sent; "" for orders of another trader.
        booked_at: Unix seconds; so is the other time.
        visible_at: When the listings begin to show it.
    """

    order_id: str
    label: str
    account_id: str
    symbol: str
    side: str
    order_type: str
    amount: str
    price: str | None
    booked_at: float
    visible_at: float
    status: OrderStatus


@dataclass
class Truth:
    """Everything that arrived and everything that was booked, in order of time."""

    arrivals: list[Arrival] = field(default_factory=list[Arrival])
    booked: list[Booked] = field(default_factory=list[Booked])
    cancels: int = 0

    def report(self) -> dict[str, Any]:
        """As JSON can carry it."""
        return asdict(self)

    @classmethod
    def read(cls, report: dict[str, Any]) -> Truth:
        """Read back the output of `report`."""
        return cls(
            [Arrival(**arrival) for arrival in report["arrivals"]],
            [Booked(**booked) for booked in report["booked"]],
            report["cancels"],
        )

    def by_label(self) -> dict[str, list[Booked]]:
        """The orders that exist under each label."""
        found: dict[str, list[Booked]] = {}
        for booked in self.booked:
            if booked.label:
                found.setdefault(booked.label, []).append(booked)
        return found

    def arrived(self) -> dict[str, int]:
        """How often a POST arrived under each label."""
        counts: dict[str, int] = {}
        for arrival in self.arrivals:
            counts[arrival.label] = counts.get(arrival.label, 0) + 1
        return counts

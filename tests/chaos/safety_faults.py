"""The faults of the hostile exchange: which ones exist, how often they occur, and how late."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final, Literal

Fate = Literal[
    "served",
    "refused",
    "request lost",
    "reply lost",
    "booked late",
    "reply slow",
    "500 after fill",
    "500",
    "429 after fill",
    "429",
    "409 after fill",
    "garbage after fill",
    "garbage",
    "reply cut",
    "no id",
    "foreign echo",
    "refusal without code",
    "reset",
    "booked twice",
    "refused after fill",
]
"""The fate of a POST /orders. `refused` is a true, documented refusal, so the client knows the outcome. The last two
are worse than any bad connection: an exchange that doubles an order, and one that lies.
"""

BOOKS: Final[frozenset[Fate]] = frozenset(
    {
        "served",
        "reply lost",
        "booked late",
        "reply slow",
        "500 after fill",
        "429 after fill",
        "409 after fill",
        "garbage after fill",
        "reply cut",
        "no id",
        "foreign echo",
        "booked twice",
        "refused after fill",
    }
)
"""The fates after which the order exists."""

HOSTILE: Final[dict[Fate, float]] = {
    "served": 45,
    "refused": 4,
    "request lost": 5,
    "reply lost": 6,
    "booked late": 6,
    "reply slow": 4,
    "500 after fill": 5,
    "500": 4,
    "429 after fill": 3,
    "429": 3,
    "409 after fill": 2,
    "garbage after fill": 3,
    "garbage": 2,
    "reply cut": 3,
    "no id": 2,
    "foreign echo": 1,
    "refusal without code": 1,
    "reset": 1,
}

HONEST: Final[dict[Fate, float]] = {"served": 1}


@dataclass(frozen=True)
class Faults:
    """How hostile the exchange is. Times in seconds.

    Attributes:
        fates: Weight of each fate of an order.
        think: Longest time before an order is booked or answered.
        late: Longest delay before an order is booked whose request was cut off.
        late_at_least: Shortest such delay.
        slow: How long a slow reply takes; longer than the clients wait.
        lag: Longest time until the listings show a new order.
        listing_failures: Share of read calls that fail: 500, 429, garbage or a closed connection.
        echoes_labels: Whether listings and answers show the label of an order.
        names_orders: Whether orders have an id of the service's own besides the venue's.
        strangers: Orders a second by another trader on the same accounts, so that lists grow while paged.
        outages: Outages a second: for up to `outage` seconds no connection is accepted.
    """

    fates: dict[Fate, float] = field(default_factory=lambda: dict(HOSTILE))
    think: float = 0.02
    late: float = 0.25
    late_at_least: float = 0.0
    slow: float = 0.6
    lag: float = 0.3
    listing_failures: float = 0.12
    echoes_labels: bool = True
    names_orders: bool = True
    strangers: float = 1.0
    outages: float = 0.4
    outage: float = 0.08

    def draw(self, chance: random.Random) -> Fate:
        """The fate of the next order."""
        return chance.choices(list(self.fates), list(self.fates.values()))[0]


def honest(*, think: float = 0.002, names_orders: bool = True) -> Faults:
    """An exchange without faults."""
    return Faults(
        HONEST, think=think, lag=0.0, listing_failures=0.0, names_orders=names_orders, strangers=0.0, outages=0.0
    )

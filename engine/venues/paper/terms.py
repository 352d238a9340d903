"""What trading costs and requires on each paper venue.

Fees follow the venues' published entry tiers, without rebates. The engine adds what it needs to stay finite: a
slippage for orders that take, a share of a bar's volume that one account may take, a maintenance margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from api.exchanges import ExchangeId

SLIPPAGE: Final = Decimal("0.0005")
"""What an order that takes pays on top of the latest close (buying) or loses (selling), as a fraction."""

VOLUME_SHARE: Final = Decimal("0.1")
"""The fraction of a bar's volume that an account's limit orders can get."""

MAINTENANCE: Final = Decimal("0.004")
"""A perpetual position is liquidated when its equity falls to this fraction of its value. Below 1/125, so that the
highest leverage can open."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Fees as fractions of the traded value, the smallest value of an order, and what a new account starts with.

    `minimum` and `opening` are in the venue's currency.
    """

    taker: Decimal
    maker: Decimal
    minimum: Decimal
    opening: Decimal


def _terms(taker: str, maker: str, minimum: str, opening: str) -> Terms:
    return Terms(Decimal(taker), Decimal(maker), Decimal(minimum), Decimal(opening))


TERMS: Final[dict[ExchangeId, Terms]] = {
    "binance": _terms("0.001", "0.001", "5", "10000"),
    "binancefuturesusd": _terms("0.0005", "0.0002", "5", "10000"),
    "upbit": _terms("0.0005", "0.0005", "5000", "14000000"),
    "gate": _terms("0.002", "0.002", "3", "10000"),
    "gatefutures": _terms("0.0005", "0.0002", "3", "10000"),
    "hyperliquid": _terms("0.00045", "0.00015", "10", "10000"),
    "lighter": _terms("0", "0", "10", "10000"),
    "polymarket": _terms("0", "0", "1", "10000"),
}

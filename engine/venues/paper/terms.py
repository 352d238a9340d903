"""What trading costs and requires on each paper venue.

Fees follow the venues' published entry tiers, without rebates. What all venues have in
common is in `engine.trading_rules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from api.exchanges import ExchangeId


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

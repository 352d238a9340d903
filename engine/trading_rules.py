"""The rules that backtests and paper accounts share: liquidation, the smallest order, lots, and a share of the volume.

Backtests compute in floats and paper accounts in exact decimals; both call the same formulas. A size that a venue would
refuse is refused by a paper account, with the nearest valid one; a backtest rounds it down or skips it, and counts it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeVar

SLIPPAGE: Final = Decimal("0.0005")
"""What an order that takes pays on top of the latest close (buying) or loses (selling), as a fraction."""

VOLUME_SHARE: Final = Decimal("0.1")
"""The fraction of a bar's volume that one account can trade."""

MAINTENANCE: Final = Decimal("0.004")
"""A perpetual position is liquidated when its equity falls to this fraction of its value. Below 1/125, so that the
highest leverage can open."""

ROUNDING: Final = 1e-9
"""Lots by which a float amount may miss a whole number of them and still count as whole."""

Number = TypeVar("Number", float, Decimal)


def liquidation_value(side: int, cost: Number, margin: Number, maintenance: Number) -> Number:
    """The value of a position at which its equity is the maintenance margin.

    Equity is `margin + side * (value - cost)` and the maintenance margin `maintenance * value`, both at the current
    price, as on venues with isolated margin.

    Args:
        side: 1 is long, -1 short.
        cost: What the position was opened for, without its sign; per unit, the result is a price.
        margin: What was put up for it.
        maintenance: Fraction of the current value.
    """
    return (cost - side * margin) / (1 - side * maintenance)


@dataclass(frozen=True, slots=True)
class OrderRules:
    """What an exchange asks of an order in one instrument.

    Attributes:
        lot: Amounts are multiples of it, base units; 0 where any amount will do.
        minimum: An order that opens is worth at least this, quote currency.
    """

    lot: float = 0.0
    minimum: float = 0.0

    @property
    def digits(self) -> int:
        """Decimals that a multiple of the lot is rounded to, against the residue of floats."""
        return max(-math.floor(math.log10(self.lot)), 0) + 2

    def whole_lots(self, amount: float) -> float:
        """`amount` rounded down to a multiple of the lot."""
        if self.lot <= 0.0:
            return amount
        return round(math.floor(amount / self.lot + ROUNDING) * self.lot, self.digits)

    def takes(self, amount: float, price: float) -> bool:
        """Whether an order that opens this much is worth enough."""
        return amount * price >= self.minimum


ANY_ORDER: Final = OrderRules()
"""No lots and no smallest order."""

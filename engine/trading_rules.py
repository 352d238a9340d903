"""The rules shared by backtests and accounts: liquidation, smallest order, lots, volume share, rounding.

Backtests compute in floats and paper accounts in exact decimals, with the same formulas. If a venue would refuse a
size, a paper account refuses it and names the nearest valid one; a backtest rounds it down or skips it, and counts it.

Decimals stay exact: prices are multiples of a tick and amounts of a lot, so costs and fees are finite decimals. Only
divisions round (margin by leverage, average price): towards zero, at the eighth decimal.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)
from decimal import localcontext as _localcontext
from typing import TYPE_CHECKING, Final, TypeVar

from api.exchanges import EXCHANGES

if TYPE_CHECKING:
    from engine.feeds.feed import Listing

SLIPPAGE: Final = Decimal("0.0005")
"""Slippage of a taker order: added to the latest close (buying) or subtracted (selling), as a fraction."""

VOLUME_SHARE: Final = Decimal("0.1")
"""The fraction of a bar's volume that one account can trade."""

MAINTENANCE: Final = Decimal("0.004")
"""A perpetual position is liquidated when its equity falls to this fraction of its value. Below 1/125, so that the
highest leverage can open."""

ROUNDING: Final = 1e-9
"""How far, in lots, a float amount may be from a whole number of lots and still count as whole."""

Number = TypeVar("Number", float, Decimal)


def liquidation_value(side: int, cost: Number, margin: Number, maintenance: Number) -> Number:
    """The value of a position at which its equity is the maintenance margin.

    Equity is `margin + side * (value - cost)` and the maintenance margin `maintenance * value`, both at the current
    price, as on venues with isolated margin.

    Args:
        side: 1 is long, -1 short.
        cost: Entry value of the position, unsigned; if given per unit, the result is a price.
        margin: Its margin.
        maintenance: Fraction of the current value.
    """
    return (cost - side * margin) / (1 - side * maintenance)


@dataclass(frozen=True, slots=True)
class OrderRules:
    """An exchange's requirements for an order in one instrument.

    Attributes:
        lot: Amounts are multiples of it, base units; 0 if any amount is valid.
        minimum: An order that opens is worth at least this, quote currency.
    """

    lot: float = 0.0
    minimum: float = 0.0

    @property
    def digits(self) -> int:
        """Decimals to round a multiple of the lot to, which removes float residue."""
        return max(-math.floor(math.log10(self.lot)), 0) + 2

    def whole_lots(self, amount: float) -> float:
        """`amount` rounded down to a multiple of the lot."""
        if self.lot <= 0.0:
            return amount
        return round(math.floor(amount / self.lot + ROUNDING) * self.lot, self.digits)

    def takes(self, amount: float, price: float) -> bool:
        """Whether an opening order of this size reaches the minimum value."""
        return amount * price >= self.minimum


ANY_ORDER: Final = OrderRules()
"""No lots and no smallest order."""


ZERO: Final = Decimal(0)
CENT: Final = Decimal("0.00000001")
"""The smallest unit of a division's result."""

_EXACT: Final = Context(prec=120, rounding=ROUND_DOWN, traps=[InvalidOperation, DivisionByZero, Overflow])


@contextmanager
def exact() -> Generator[None]:
    """Compute with 120 digits, more than any sum or product of documented amounts, prices and fees needs."""
    with _localcontext(_EXACT):
        yield


def down(value: Decimal, step: Decimal = CENT) -> Decimal:
    """The multiple of `step` at or below `value`, in plain notation."""
    return plain((value / step).to_integral_value(rounding=ROUND_FLOOR) * step)


def up(value: Decimal, step: Decimal = CENT) -> Decimal:
    """The multiple of `step` at or above `value`, in plain notation."""
    return plain((value / step).to_integral_value(rounding=ROUND_CEILING) * step)


def nearest(value: Decimal, step: Decimal = CENT) -> Decimal:
    """The multiple of `step` nearest to `value`, half to even, in plain notation."""
    return plain((value / step).to_integral_value(rounding=ROUND_HALF_EVEN) * step)


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Whether `value` is a whole number of steps."""
    return value % step == 0


def from_float(value: float) -> Decimal:
    """A price or volume of the feed, as its shortest decimal text."""
    return Decimal(repr(float(value)))


def plain(value: Decimal) -> Decimal:
    """Without trailing zeros and without an exponent: `100`, not `1E+2`; `0`, not `-0.00`."""
    if value == 0:
        return ZERO
    normal = value.normalize(_EXACT)
    exponent = normal.as_tuple().exponent
    return normal.quantize(Decimal(1), context=_EXACT) if isinstance(exponent, int) and exponent > 0 else normal


def text(value: Decimal) -> str:
    """An amount as stored in the books and shown in messages."""
    return format(plain(value), "f")


@dataclass(frozen=True, slots=True)
class Steps:
    """The grid of an instrument: prices are multiples of `tick`, amounts of `lot`."""

    tick: Decimal
    lot: Decimal

    @classmethod
    def of(cls, listing: Listing) -> Steps:
        """Of a listing."""
        return cls(Decimal(listing.tick_size), Decimal(listing.lot_size))


@dataclass(frozen=True, slots=True)
class ListedTerms:
    """Fees and smallest order of an instrument: as listed, else from the exchange's defaults.

    Attributes:
        taker: Fee of an order that fills at once, a fraction of its value.
        maker: Fee of an order that rested, likewise.
        minimum: The smallest value of an order, quote currency; 0 if none is known in that currency.
        smallest: The smallest amount of an order, base units; 0 if only the value counts.
    """

    taker: Decimal
    maker: Decimal
    minimum: Decimal
    smallest: Decimal

    @classmethod
    def of(cls, listing: Listing) -> ListedTerms:
        """Of a listing."""
        row = EXCHANGES[listing.instrument.exchange]
        usual = row.minimum if listing.instrument.quote == row.quote else ZERO
        return cls(
            row.taker if listing.taker_fee is None else Decimal(listing.taker_fee),
            row.maker if listing.maker_fee is None else Decimal(listing.maker_fee),
            usual if listing.min_notional is None else Decimal(listing.min_notional),
            ZERO if listing.min_amount is None else Decimal(listing.min_amount),
        )

    @property
    def worst_fee(self) -> Decimal:
        """The higher of the two fees."""
        return max(self.taker, self.maker)


def affordable(free: Decimal, price: Decimal, leverage: int, fee: Decimal, lot: Decimal) -> Decimal:
    """How many base units, in whole lots, `free` money opens at `price`.

    Args:
        free: Quote currency.
        price: Quote currency per base unit.
        leverage: 1 without leverage.
        fee: A fraction of the order's value.
        lot: Base units.
    """
    return down(free / (price * (Decimal(1) / leverage + fee)), lot)

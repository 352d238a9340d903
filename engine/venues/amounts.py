"""Exact amounts and prices: nothing is ever rounded unless a function here is asked to round it.

Prices are multiples of a tick and amounts of a lot, so costs and fees are finite decimals and stay exact. Only a
division rounds (margin by leverage, an average price), and then towards zero, at the eighth decimal.
"""

from __future__ import annotations

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
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from engine.feeds.feed import Listing

ZERO: Final = Decimal(0)
CENT: Final = Decimal("0.00000001")
"""The smallest unit that a division may leave."""

_EXACT: Final = Context(prec=120, rounding=ROUND_DOWN, traps=[InvalidOperation, DivisionByZero, Overflow])


@contextmanager
def exact() -> Generator[None]:
    """Compute with 120 digits, which no sum or product of documented amounts, prices and fees can fill."""
    with _localcontext(_EXACT):
        yield


def down(value: Decimal, step: Decimal = CENT) -> Decimal:
    """The multiple of `step` at or below `value`, in plain notation."""
    return plain((value / step).to_integral_value(rounding=ROUND_FLOOR) * step)


def up(value: Decimal, step: Decimal = CENT) -> Decimal:
    """The multiple of `step` at or above `value`, in plain notation."""
    return plain((value / step).to_integral_value(rounding=ROUND_CEILING) * step)


def nearest(value: Decimal, step: Decimal = CENT) -> Decimal:
    """The multiple of `step` nearest to `value`, the even one of two, in plain notation."""
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
    """How the books store and messages show an amount."""
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

"""The rules shared by backtests and accounts: liquidation, smallest order, lots, volume share, rounding, exits.

Backtests compute in floats and paper accounts in exact decimals, with the same formulas. If a venue would refuse a
size, a paper account refuses it and names the nearest valid one; a backtest rounds it down or skips it, and counts it.

Decimals stay exact: prices are multiples of a tick and amounts of a lot, so costs and fees are finite decimals. Only
divisions round (margin by leverage, average price): towards zero, at the eighth decimal.

Exits are a stop, a target and a trailing stop; a fill of one cancels the others. Paper accounts match them against
bars. Exchanges hold them as one-cancels-other orders; if an exchange has none, the engine watches the price.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator
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

from api.errors import InvalidInput
from api.exchanges import EXCHANGES

if TYPE_CHECKING:
    from api.orders import ExitRole
    from engine.feeds.feed import InstrumentListing


SLIPPAGE: Final = Decimal("0.0005")
"""Slippage of a taker order: added to the latest close (buying) or subtracted (selling), as a fraction."""

VOLUME_SHARE: Final = Decimal("0.1")
"""The fraction of a bar's volume that one account can trade."""

MAINTENANCE: Final = Decimal("0.004")
"""A perpetual position is liquidated when its equity falls to this fraction of its value. Below 1/125, so that the
highest leverage can open."""

ROUNDING: Final = 1e-9
"""How far, in lots, a float amount may be from a whole number of lots and still count as whole."""

NumberT = TypeVar("NumberT", float, Decimal)


def liquidation_value(side: int, cost: NumberT, margin: NumberT, maintenance: NumberT) -> NumberT:
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
        minimum: An order that opens, or closes a part of a holding, is worth at least this, quote currency.
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
        """Whether an order of this size reaches the minimum value."""
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
    def of(cls, listing: InstrumentListing) -> Steps:
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
    def of(cls, listing: InstrumentListing) -> ListedTerms:
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


@dataclass(frozen=True, slots=True)
class Exits:
    """The exits that follow an entry. `Exits()` has none.

    Attributes:
        stop: Price at which a market order closes the position at a loss.
        target: Price of a limit order that closes the position at a profit.
        trail: Distance of the trailing stop behind the best price since the entry, as a fraction.
        relative: `stop` and `target` are fractions of the entry's average price, not prices.
    """

    stop: Decimal | None = None
    target: Decimal | None = None
    trail: Decimal | None = None
    relative: bool = False

    def __bool__(self) -> bool:
        """Whether there is any."""
        return not (self.stop is None and self.target is None and self.trail is None)

    def prices(self, sign: int, entry: Decimal) -> dict[ExitRole, Decimal]:
        """The price of each exit of a position that was entered at `entry`; `sign` 1 is long, -1 short."""
        found: dict[ExitRole, Decimal] = {}
        if self.stop is not None:
            found["stop_loss"] = entry * (1 - sign * self.stop) if self.relative else self.stop
        if self.target is not None:
            found["take_profit"] = entry * (1 + sign * self.target) if self.relative else self.target
        if self.trail is not None:
            found["trailing_stop"] = trailing_price(sign, entry, self.trail)
        return found

    def check(self, sign: int) -> None:
        """Refuse a stop beyond the target. `sign` 1 is long, -1 short.

        Raises:
            InvalidInput: With both prices.
        """
        if self.stop is None or self.target is None or self.relative or sign * (self.target - self.stop) > 0:
            return
        where = "below" if sign > 0 else "above"
        raise InvalidInput(
            f"the stop at {self.stop:f} must lie {where} the target at {self.target:f}",
            suggestion="Swap the two prices",
        )

    def to_text(self) -> str | None:
        """The database format; `None` without exits."""
        if not self:
            return None
        written = {name: text(value) for name, value in self._values().items() if value is not None}
        return json.dumps({**written, "relative": self.relative})

    @classmethod
    def from_text(cls, written: str | None) -> Exits | None:
        """Parse the output of `to_text`."""
        if written is None:
            return None
        fields: dict[str, object] = json.loads(written)
        relative = bool(fields.pop("relative"))
        return cls(**{name: Decimal(str(value)) for name, value in fields.items()}, relative=relative)

    def _values(self) -> dict[str, Decimal | None]:
        return {"stop": self.stop, "target": self.target, "trail": self.trail}


@dataclass(frozen=True, slots=True)
class ExitOrder:
    """An exit that is about to be sent to an own account.

    Attributes:
        label: The label of its entry, by which the gate finds the approval.
        account_id: The account.
        symbol: As in its entry.
        side: buy or sell.
        role: stop_loss or take_profit.
        price: The approved price.
        amount: Filled amount of the entry, base units.
        again: Why it was not sent, or did not fill, before; "" the first time.
    """

    label: str
    account_id: str
    symbol: str
    side: str
    role: str
    price: Decimal
    amount: Decimal
    again: str = ""


Permit = Callable[[ExitOrder], str]
"""The gate's decision on an exit: why it may not be sent now, or "" if it may; a permit is journaled. Blocks."""


def trailing_price(sign: int, best: Decimal, trail: Decimal) -> Decimal:
    """The price of a trailing stop when the best price since the entry is `best`."""
    return best * (1 - sign * trail)

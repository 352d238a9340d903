"""What an order may cost at worst, in USD. What cannot be valued has no value, and the rules then deny."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_UP, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from functools import lru_cache
from typing import Final

from api.symbols import Instrument, resolve
from safety.terms.facts import Facts
from safety.terms.proposal import Order

EXACT: Final = Context(prec=200, traps=[InvalidOperation, DivisionByZero, Overflow])
"""Wide enough for the product of any four numbers that the API takes."""

_SMALLEST_USD: Final = Decimal("1e-8")
_SMALLEST_AMOUNT: Final = Decimal("1e-18")


@dataclass(frozen=True, slots=True)
class Worth:
    """An order's value.

    Attributes:
        price: Quote currency per unit, the worst of limit price and quote.
        units: Quote currency for the whole order, without leverage.
        usd: Value in USD, leveraged, rounded up to 8 decimals.
        missing: Why there is no value; "" where there is.
    """

    price: Decimal | None = None
    units: Decimal | None = None
    usd: Decimal | None = None
    missing: str = ""


def worth(order: Order, facts: Facts) -> Worth:
    """Value an order at the worst of its limit price and the quote, times leverage.

    The API document gives `amount` in base units. Exchanges read the amount of a market order as quote currency at
    times, so there the larger of both readings counts.
    """
    if facts.quote is None or not _positive(facts.quote.price):
        return Worth(missing=f"there is no market price of {order.symbol}")
    price = facts.quote.price if order.price is None else max(order.price, facts.quote.price)
    units = EXACT.multiply(order.amount, price)
    if order.order_type == "market":
        units = max(units, order.amount)
    if facts.usd_rate is None or not _positive(facts.usd_rate):
        return Worth(price, units, missing=f"what the quote currency of {order.symbol} is worth in USD is not known")
    usd = EXACT.multiply(EXACT.multiply(units, facts.usd_rate), order.leverage or 1)
    return Worth(price, units, trimmed(usd.quantize(_SMALLEST_USD, ROUND_UP, context=EXACT)))


@lru_cache(maxsize=1024)
def instrument(order_symbol: str, exchange: str) -> Instrument:
    """Base and quote of an order's symbol.

    Raises:
        InvalidInput: It is no symbol of that exchange.
    """
    return resolve(order_symbol, exchange)  # pyright: ignore[reportArgumentType] - an Order's exchange is one


def trimmed(value: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent."""
    return Decimal(format(EXACT.normalize(value), "f"))


def plain(value: Decimal) -> str:
    """A number as people read it: no exponent, no trailing zeros, at most 18 decimals."""
    return format(EXACT.normalize(value.quantize(_SMALLEST_AMOUNT, context=EXACT)), "f")


def _positive(value: Decimal) -> bool:
    return value.is_finite() and value > 0

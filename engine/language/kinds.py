"""What is known of a value before anything runs: its type, the bounds of a number, and constants.

The element-wise operators on single numbers fold constants, and read the account bar by bar. A missing value is NaN.
Non-finite results are missing; a comparison with a missing value is false.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Base = Literal["number", "bool", "string", "ticker", "sizing", "intent"]


@dataclass(frozen=True, slots=True)
class ValueKind:
    """A base type, alone or as a series with one value per bar."""

    base: Base
    series: bool = False

    def __str__(self) -> str:
        return _NAMES[self]


NUMBER: Final = ValueKind("number")
BOOL: Final = ValueKind("bool")
STRING: Final = ValueKind("string")
TICKER: Final = ValueKind("ticker")
SIZING: Final = ValueKind("sizing")
INTENT: Final = ValueKind("intent")
SERIES: Final = ValueKind("number", series=True)
CONDITION: Final = ValueKind("bool", series=True)

_NAMES: Final = {
    NUMBER: "a number",
    BOOL: "a condition",
    STRING: "a string",
    TICKER: "a ticker",
    SIZING: "a sizing",
    INTENT: "an intent",
    SERIES: "a series of numbers",
    CONDITION: "a series of conditions",
}


class ValueRange(NamedTuple):
    """Closed bounds; infinite if unknown."""

    low: float = -math.inf
    high: float = math.inf


ANYTHING: Final = ValueRange()


def _hull(values: Sequence[float]) -> ValueRange:
    return ANYTHING if any(math.isnan(v) for v in values) else ValueRange(min(values), max(values))


def _add(a: ValueRange, b: ValueRange) -> ValueRange:
    return ValueRange(a.low + b.low, a.high + b.high)


def _subtract(a: ValueRange, b: ValueRange) -> ValueRange:
    return ValueRange(a.low - b.high, a.high - b.low)


def _product(x: float, y: float) -> float:
    return 0.0 if x == 0 or y == 0 else x * y


def _multiply(a: ValueRange, b: ValueRange) -> ValueRange:
    return _hull([_product(x, y) for x in a for y in b])


def _divide(a: ValueRange, b: ValueRange) -> ValueRange:
    if b.low <= 0 <= b.high:
        return ValueRange(0, math.inf) if a.low >= 0 and b.low >= 0 else ANYTHING
    return _hull([0.0 if math.isinf(y) else x / y for x in a for y in b])


def _absolute(a: ValueRange) -> ValueRange:
    low = 0.0 if a.low <= 0 <= a.high else min(abs(a.low), abs(a.high))
    return ValueRange(low, max(abs(a.low), abs(a.high)))


def _remainder(_a: ValueRange, b: ValueRange) -> ValueRange:
    return ValueRange(0, b.high) if b.low > 0 else ANYTHING


def _lowest(*each: ValueRange) -> ValueRange:
    return ValueRange(min(i.low for i in each), min(i.high for i in each))


def _highest(*each: ValueRange) -> ValueRange:
    return ValueRange(max(i.low for i in each), max(i.high for i in each))


def _either(*each: ValueRange) -> ValueRange:
    return ValueRange(min(i.low for i in each), max(i.high for i in each))


def _clipped(x: ValueRange, low: ValueRange, high: ValueRange) -> ValueRange:
    return _lowest(_highest(x, low), high)


def _negated(a: ValueRange) -> ValueRange:
    return ValueRange(-a.high, -a.low)


def _chosen(_condition: ValueRange, a: ValueRange, b: ValueRange) -> ValueRange:
    return _either(a, b)


RULES: Final[dict[str, Callable[..., ValueRange]]] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "%": _remainder,
    "neg": _negated,
    "abs": _absolute,
    "min": _lowest,
    "max": _highest,
    "clip": _clipped,
    "nz": _either,
    "where": _chosen,
    "ratio": _divide,
}
"""Bounds of an element-wise result from the bounds of its arguments."""


def compare(symbol: str, a: ValueRange, b: ValueRange) -> bool | None:
    """Whether `a symbol b` always (True) or never (False) holds for known values; None when it depends."""
    match symbol:
        case "<":
            return True if a.high < b.low else False if a.low >= b.high else None
        case "<=":
            return True if a.high <= b.low else False if a.low > b.high else None
        case ">":
            return compare("<", b, a)
        case ">=":
            return compare("<=", b, a)
        case _:
            apart = a.high < b.low or b.high < a.low
            same = a.low == a.high == b.low == b.high
            equal = False if apart else True if same else None
            return equal if symbol == "==" or equal is None else not equal


def narrowed(bounds: ValueRange, symbol: str, limit: float) -> ValueRange:
    """The part of `bounds` where `x symbol limit` can hold; empty when its low end exceeds its high end."""
    match symbol:
        case "<":
            return ValueRange(bounds.low, min(bounds.high, math.nextafter(limit, -math.inf)))
        case "<=":
            return ValueRange(bounds.low, min(bounds.high, limit))
        case ">":
            return ValueRange(max(bounds.low, math.nextafter(limit, math.inf)), bounds.high)
        case ">=":
            return ValueRange(max(bounds.low, limit), bounds.high)
        case "==":
            return ValueRange(max(bounds.low, limit), min(bounds.high, limit))
        case _:
            return bounds


Scalar = float | bool | str

NAN: Final = math.nan


def _finite(function: Callable[..., float]) -> Callable[..., float]:
    def guarded(*values: float) -> float:
        try:
            result = function(*values)
        except (ArithmeticError, ValueError):
            return NAN
        return result if math.isfinite(result) else NAN

    return guarded


def _missing(value: float) -> bool:
    return value != value


def _extreme(choose: Callable[[tuple[float, ...]], float]) -> Callable[..., float]:
    def extreme(*values: float) -> float:
        return NAN if any(_missing(v) for v in values) else choose(values)

    return extreme


def _clip(x: float, low: float, high: float) -> float:
    return NAN if _missing(x) or _missing(low) or _missing(high) else min(max(x, low), high)


def _sign(x: float) -> float:
    return x if _missing(x) else float((x > 0) - (x < 0))


def _sigmoid(x: float) -> float:
    return 0.5 * (1.0 + math.tanh(0.5 * x))


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    def rounded(x: float) -> float:
        return x if _missing(x) else float(function(x))

    return rounded


def _differ(a: Scalar, b: Scalar) -> bool:
    return a != b and a == a and b == b


def _xor(a: object, b: object) -> bool:
    return bool(a) is not bool(b)


def _all(*conditions: bool) -> bool:
    return all(conditions)


def _any(*conditions: bool) -> bool:
    return any(conditions)


def _where(condition: object, a: Scalar, b: Scalar) -> Scalar:
    return a if condition else b


def _nz(x: float, fallback: float) -> float:
    return fallback if _missing(x) else x


def _between(x: float, low: float, high: float) -> bool:
    return low <= x <= high


def _spread(a: float, b: float, hedge: float) -> float:
    return a - hedge * b


SCALAR: Final[dict[str, Callable[..., Scalar]]] = {
    "+": _finite(float.__add__),
    "-": _finite(float.__sub__),
    "*": _finite(float.__mul__),
    "/": _finite(float.__truediv__),
    "//": _finite(float.__floordiv__),
    "%": _finite(float.__mod__),
    "**": _finite(math.pow),
    "neg": float.__neg__,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": _differ,
    "and": _all,
    "or": _any,
    "not": operator.not_,
    "xor": _xor,
    "where": _where,
    "abs": math.fabs,
    "sign": _sign,
    "sqrt": _finite(math.sqrt),
    "log": _finite(math.log),
    "log10": _finite(math.log10),
    "exp": _finite(math.exp),
    "pow": _finite(math.pow),
    "round": _whole(round),
    "floor": _whole(math.floor),
    "ceil": _whole(math.ceil),
    "sin": _finite(math.sin),
    "cos": _finite(math.cos),
    "atan": math.atan,
    "tanh": math.tanh,
    "sigmoid": _sigmoid,
    "min": _extreme(min),
    "max": _extreme(max),
    "clip": _clip,
    "nz": _nz,
    "between": _between,
    "is_missing": _missing,
    "ratio": _finite(float.__truediv__),
    "spread": _finite(_spread),
}

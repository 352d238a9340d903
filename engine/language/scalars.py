"""The element-wise operators on single numbers, for constant folding and for code that reads the account bar by bar.

A missing value is NaN. Non-finite results are missing; a comparison with a missing value is false.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Final

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

"""The element-wise operators on whole series. `scalars` says the same of single numbers; a test compares the two."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, Final

import numpy as np

from engine.frame import Bools, Floats
from engine.language.scalars import Scalar

Operand = Scalar | Floats | Bools


def _guarded(function: Callable[..., Any]) -> Callable[..., Floats]:
    """Results that are no finite number are missing."""

    def guarded(*values: Operand) -> Floats:
        result = np.asarray(function(*values), dtype=np.float64)
        infinite = np.isinf(result)
        return np.where(infinite, np.nan, result) if infinite.any() else result

    return guarded


def _different(a: Operand, b: Operand) -> Bools:
    return (np.not_equal(a, b)) & np.equal(a, a) & np.equal(b, b)


def _all(*conditions: Operand) -> Bools:
    return reduce(np.logical_and, conditions)  # pyright: ignore[reportReturnType, reportArgumentType] - ufunc overloads


def _any(*conditions: Operand) -> Bools:
    return reduce(np.logical_or, conditions)  # pyright: ignore[reportReturnType, reportArgumentType] - ufunc overloads


def _smallest(*values: Operand) -> Floats:
    return reduce(np.minimum, values)  # pyright: ignore[reportReturnType, reportArgumentType] - ufunc overloads


def _largest(*values: Operand) -> Floats:
    return reduce(np.maximum, values)  # pyright: ignore[reportReturnType, reportArgumentType] - ufunc overloads


def _clip(x: Operand, low: Operand, high: Operand) -> Floats:
    return np.minimum(np.maximum(x, low), high)  # pyright: ignore[reportArgumentType, reportCallIssue] - operands are numeric by type check


def _nz(x: Operand, fallback: Operand) -> Floats:
    return np.where(np.equal(x, x), x, fallback)  # pyright: ignore[reportArgumentType, reportCallIssue] - operands are numeric by type check


def _between(x: Operand, low: Operand, high: Operand) -> Bools:
    return np.less_equal(low, x) & np.less_equal(x, high)


def _missing(x: Operand) -> Bools:
    return np.not_equal(x, x)


def _sigmoid(x: Floats) -> Floats:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _spread(a: Floats, b: Floats, hedge: Floats) -> Floats:
    return a - hedge * b


_divide: Final = _guarded(np.divide)

VECTOR: Final[dict[str, Callable[..., Any]]] = {
    "+": _guarded(np.add),
    "-": _guarded(np.subtract),
    "*": _guarded(np.multiply),
    "/": _divide,
    "//": _guarded(np.floor_divide),
    "%": _guarded(np.mod),
    "**": _guarded(np.power),
    "neg": np.negative,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": _different,
    "and": _all,
    "or": _any,
    "not": np.logical_not,
    "xor": np.logical_xor,
    "where": np.where,
    "abs": np.abs,
    "sign": np.sign,
    "sqrt": _guarded(np.sqrt),
    "log": _guarded(np.log),
    "log10": _guarded(np.log10),
    "exp": _guarded(np.exp),
    "pow": _guarded(np.power),
    "round": np.round,
    "floor": np.floor,
    "ceil": np.ceil,
    "sin": _guarded(np.sin),
    "cos": _guarded(np.cos),
    "atan": np.arctan,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "min": _smallest,
    "max": _largest,
    "clip": _clip,
    "nz": _nz,
    "between": _between,
    "is_missing": _missing,
    "ratio": _divide,
    "spread": _guarded(_spread),
}

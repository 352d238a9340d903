"""Runs an operator of the registry: TA-Lib where it has the function, ours where not, missing values kept apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, cast

import numpy as np
import talib

from engine.frame import Bools, Floats
from engine.language.registry import OPERATORS
from engine.language.spec import Constant, Operator

from . import composite, history, session, windows

Series = Floats | Bools
Result = Series | tuple[Series, ...]

OURS: Final[dict[str, Callable[..., Any]]] = (
    history.IMPLEMENTATIONS | windows.IMPLEMENTATIONS | composite.IMPLEMENTATIONS | session.IMPLEMENTATIONS
)


def compute(name: str, inputs: Sequence[Series], constants: tuple[Constant, ...]) -> Result:
    """The outputs of an operator: one array, or a tuple of them.

    Args:
        inputs: Arrays of one length, in the registry's order, with the columns that it reads by itself at the end.
        constants: Its constants, in the registry's order.
    """
    operator = OPERATORS[name]
    function = _function(name)
    passed = _passed(operator, constants)
    if operator.missing == "keep" or not inputs:
        return cast("Result", function(*inputs, *passed))
    series = [cast("Floats", x) for x in inputs]
    warmup = operator.warmup_bars(constants)
    if not any(np.isnan(x.sum()) for x in series):
        return _run(operator, function, series, passed, warmup)
    known = ~np.isnan(series[0])
    for x in series[1:]:
        known &= ~np.isnan(x)
    return _over_known(operator, function, series, passed, warmup, known)


@lru_cache(maxsize=512)
def _function(name: str) -> Callable[..., Any]:
    operator = OPERATORS[name]
    return OURS[name] if operator.talib is None else cast("Callable[..., Any]", getattr(talib, operator.talib))


def _passed(operator: Operator, constants: tuple[Constant, ...]) -> Sequence[Constant]:
    if not operator.passed:
        return constants
    named = dict(zip((p.name for p in operator.constants), constants, strict=True))
    return [named[each] if isinstance(each, str) else each for each in operator.passed]


def _run(
    operator: Operator, function: Callable[..., Any], series: Sequence[Floats], passed: Sequence[Constant], warmup: int
) -> Result:
    """The outputs over series without missing values."""
    length = len(series[0])
    if length <= warmup:
        return _unknown(operator, length)
    result = function(*(np.ascontiguousarray(x) for x in series), *passed)
    if isinstance(result, tuple):
        return tuple(_floats(each, warmup) for each in cast("tuple[Series, ...]", result))
    return _floats(cast("Series", result), warmup)


def _floats(x: Series, warmup: int) -> Series:
    """An output without what stands before the first bar on which all outputs of its operator are known.

    TA-Lib's whole numbers, which are zero there, become floats.
    """
    if x.dtype == np.bool_:
        x[:warmup] = False
        return x
    out = x.astype(np.float64) if x.dtype.kind == "i" or not x.flags.writeable else x
    out[:warmup] = np.nan
    return out


def _unknown(operator: Operator, length: int) -> Result:
    empty = tuple(
        np.zeros(length, dtype=np.bool_) if o.kind == "condition" else np.full(length, np.nan) for o in operator.outputs
    )
    return empty if len(empty) > 1 else next(iter(empty))


def _over_known(
    operator: Operator,
    function: Callable[..., Any],
    series: Sequence[Floats],
    passed: Sequence[Constant],
    warmup: int,
    known: Bools,
) -> Result:
    """The outputs computed over the bars where every series has a value; missing on the others."""
    length = len(known)
    places: slice | Bools = known
    if known.any():
        first = int(np.argmax(known))
        places = slice(first, None) if known[first:].all() else known
    inner = _run(operator, function, [x[places] for x in series], passed, warmup)
    outputs = inner if isinstance(inner, tuple) else (inner,)
    spread: list[Series] = []
    for each in outputs:
        out = np.zeros(length, dtype=np.bool_) if each.dtype == np.bool_ else np.full(length, np.nan)
        out[places] = each
        spread.append(out)
    return tuple(spread) if isinstance(inner, tuple) else spread[0]

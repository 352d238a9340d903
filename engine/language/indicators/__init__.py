"""The computations of the registry's operators on whole series: by TA-Lib where it has the function, else in NumPy
here. Missing values are handled separately. `language.kinds` has the element-wise operators for single numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from typing import Any, Final, cast

import numpy as np

from engine.frame import Bools, Floats
from engine.language.kinds import Scalar
from engine.language.operators import OPERATORS
from engine.language.spec import Constant, Operator

from .windows import arrays_only, steady, unmoved

with arrays_only():
    import talib

from . import averages, composite, history, windows

Operand = Scalar | Floats | Bools


def _guarded(function: Callable[..., Any]) -> Callable[..., Floats]:
    """Mark non-finite results as missing."""

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


IndicatorSeries = Floats | Bools
IndicatorResult = IndicatorSeries | tuple[IndicatorSeries, ...]

OURS: Final[dict[str, Callable[..., Any]]] = (
    averages.IMPLEMENTATIONS | history.IMPLEMENTATIONS | windows.IMPLEMENTATIONS | composite.IMPLEMENTATIONS
)

_PRICES: Final = frozenset(
    {
        "sma", "ema", "wma", "dema", "tema", "trima", "kama", "hma", "rma", "zlema", "t3", "vwma", "alma", "mama",
        "ht_trendline", "midpoint", "midprice", "sar", "bbands", "accbands", "donchian", "keltner", "ichimoku",
        "alligator", "chandelier", "avgprice", "medprice", "typprice", "wclprice", "heikin_ashi", "linearreg",
        "linearreg_intercept", "tsf", "mom", "dpo", "apo", "macd", "qstick", "elder_ray", "ao", "ac", "vwap",
        "rolling_vwap", "session_vwap", "pivot_points", "sum", "cum", "squeeze", "supertrend",
    }
)  # fmt: skip
"""Operators whose values are prices or differences of prices: they are rounded by `steady`."""

_CHOSEN: Final = frozenset({("donchian", 0), ("donchian", 2)})
"""Outputs, by their place, that are one of the prices: they are exact as they are."""

_RATIOS: Final = frozenset(
    {
        "cmo", "cmou", "trix", "er", "vhf", "fosc", "ppo", "coppock", "tsi", "stochrsi", "kst", "connors_rsi", "adx",
        "adxr", "dx", "plus_di", "minus_di", "cci", "willr", "mfi", "imi", "vortex", "stoch", "stochf", "kdj", "smi",
        "ultosc", "bop", "cvi", "massi", "rvi", "bb_width", "bb_percent", "choppiness", "cmf", "pvo", "rvol", "zscore",
        "skew", "kurtosis", "r_squared", "correlation", "zspread", "linearreg_angle", "roc", "rocp", "rocr", "rocr100",
    }
)  # fmt: skip
"""Operators whose values have no unit: they are rounded to 12 decimals."""

_NOT_PRICES: Final = frozenset({"volume", "time", "bar_number"})


def _bars_of(operator: Operator, constants: tuple[Constant, ...]) -> int:
    """Bars that a value remembers."""
    return operator.warmup_bars(constants) + operator.settling_bars(constants)


def _still(x: Floats, bars: int) -> Bools | None:
    """Where a series was 0 on each of the last `bars` bars."""
    still = unmoved(x, bars)
    return None if still is None else still & (x == 0.0)


_UNDEFINED: Final[dict[str, Callable[[Sequence[Floats], int], Bools | None]]] = {
    **dict.fromkeys(
        ("rsi", "cmo", "tsi", "rvi", "ht_dcperiod", "ht_dcphase", "ht_sine", "ht_trendmode", "vhf"),
        lambda x, bars: unmoved(x[0], bars),
    ),
    **dict.fromkeys(("adx", "adxr", "dx"), lambda x, bars: _still(_moves(x[0]) + _moves(x[1]), bars)),
    **dict.fromkeys(("plus_di", "minus_di"), lambda x, bars: _still(x[0] - x[1] + _moves(x[2]), bars)),
    **dict.fromkeys(("cvi", "massi"), lambda x, bars: _still(x[0] - x[1], bars)),
    "pvo": lambda x, bars: _still(x[0], bars),
    "cdl_doji": lambda x, bars: _still(x[1] - x[2], bars),
}
"""Where an operator of TA-Lib would compare 0 with 0: nothing moved, or nothing was traded, on any bar it remembers."""


def _moves(x: Floats) -> Floats:
    return np.abs(np.diff(x, prepend=x[:1]))


def compute(name: str, inputs: Sequence[IndicatorSeries], constants: tuple[Constant, ...]) -> IndicatorResult:
    """The outputs of an operator: one array, or a tuple of them.

    Args:
        inputs: Arrays of one length, in the registry's order, with its implicit columns at the end.
        constants: Its constants, in the registry's order.
    """
    operator = OPERATORS[name]
    function = _function(name)
    passed = _passed(operator, constants)
    if operator.missing == "keep" or not inputs:
        return _kept(operator, cast("IndicatorResult", function(*inputs, *passed)), cast("Sequence[Floats]", inputs))
    series = [cast("Floats", x) for x in inputs]
    warmups = [operator.output_warmup_bars(constants, i) for i in range(len(operator.outputs))]
    memory = _bars_of(operator, constants)
    if not any(np.isnan(x.sum()) for x in series):
        return _run(operator, function, series, passed, warmups, memory)
    known = ~np.isnan(series[0])
    for x in series[1:]:
        known &= ~np.isnan(x)
    return _over_known(operator, function, series, passed, warmups, memory, known)


def _kept(operator: Operator, result: IndicatorResult, inputs: Sequence[Floats]) -> IndicatorResult:
    base = operator.accessor_of or operator.name
    if base not in _PRICES:
        return result
    if isinstance(result, tuple):
        return tuple(_decided(base, operator, each, inputs) for each in result)
    return _decided(base, operator, result, inputs)


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
    operator: Operator,
    function: Callable[..., Any],
    series: Sequence[Floats],
    passed: Sequence[Constant],
    warmups: Sequence[int],
    memory: int,
) -> IndicatorResult:
    """The outputs over series without missing values."""
    length = len(series[0])
    if length <= min(warmups):
        return _unknown(operator, length)
    arrays = [np.ascontiguousarray(x) for x in series]
    result = function(*arrays, *passed)
    outputs = (
        cast("tuple[IndicatorSeries, ...]", result) if isinstance(result, tuple) else (cast("IndicatorSeries", result),)
    )
    if len(outputs) > 1:
        outputs = tuple(each for each, _ in zip(outputs, warmups, strict=True))
    base = operator.accessor_of or operator.name
    undefined = _UNDEFINED[base](arrays, memory) if base in _UNDEFINED else None
    finished: list[IndicatorSeries] = []
    for place, (each, warmup) in enumerate(zip(outputs, warmups, strict=True)):
        out = _floats(each, warmup)
        if (base, place) not in _CHOSEN:
            out = _decided(base, operator, out, arrays)
        if undefined is not None:
            out[undefined] = np.nan
        finished.append(out)
    return tuple(finished) if len(finished) > 1 else finished[0]


def _decided(base: str, operator: Operator, out: IndicatorSeries, arrays: Sequence[Floats]) -> IndicatorSeries:
    """An output with rounding errors removed, for the operators that have them."""
    if out.dtype == np.bool_:
        return out
    if base in _RATIOS:
        return np.round(out, 12) + 0.0
    if base not in _PRICES:
        return out
    named = ["series"] * len(operator.inputs) + list(operator.reads)
    return steady(cast("Floats", out), *(x for x, name in zip(arrays, named, strict=True) if name not in _NOT_PRICES))


def _floats(x: IndicatorSeries, warmup: int) -> IndicatorSeries:
    """An output with missing values before its first known bar. TA-Lib's integer outputs, which are zero there, become
    floats."""
    if x.dtype == np.bool_:
        x[:warmup] = False
        return x
    out = x.astype(np.float64) if x.dtype.kind == "i" or not x.flags.writeable else x
    out[:warmup] = np.nan
    return out


def _unknown(operator: Operator, length: int) -> IndicatorResult:
    empty = tuple(
        np.zeros(length, dtype=np.bool_) if o.kind == "condition" else np.full(length, np.nan) for o in operator.outputs
    )
    return empty if len(empty) > 1 else next(iter(empty))


def _over_known(
    operator: Operator,
    function: Callable[..., Any],
    series: Sequence[Floats],
    passed: Sequence[Constant],
    warmups: Sequence[int],
    memory: int,
    known: Bools,
) -> IndicatorResult:
    """The outputs computed over the bars where every series has a value; missing on the others."""
    length = len(known)
    places: slice | Bools = known
    if known.any():
        first = int(np.argmax(known))
        places = slice(first, None) if known[first:].all() else known
    inner = _run(operator, function, [x[places] for x in series], passed, warmups, memory)
    outputs = inner if isinstance(inner, tuple) else (inner,)
    spread: list[IndicatorSeries] = []
    for each in outputs:
        out = np.zeros(length, dtype=np.bool_) if each.dtype == np.bool_ else np.full(length, np.nan)
        out[places] = each
        spread.append(out)
    return tuple(spread) if isinstance(inner, tuple) else spread[0]

"""Functions of the values on one bar, and rolling statistics of one series or two."""

from __future__ import annotations

from typing import Final

from engine.language.spec import (
    CONDITION,
    MAX_PERIOD,
    PERCENT,
    SERIES,
    TRUTH,
    UNSIGNED,
    Category,
    Operator,
    Output,
    Parameter,
    bars,
    number,
    values,
)

_X: Final = values("x")
_PLAIN: Final = Output("value")


def _function(name: str, description: str, output: Output = _PLAIN, parameters: tuple[Parameter, ...] = _X) -> Operator:
    category: Category = "logic" if output.kind != "number" else "arithmetic"
    return Operator(name, category, description, parameters, (output,), missing="keep", elementwise=True)


_MANY: Final = (Parameter("x", "value"), Parameter("y", "value", variadic=True))
_ANY: Final = Output("value", kind="any")

_ELEMENTWISE: Final = (
    _function("abs", "Absolute value.", UNSIGNED),
    _function("sign", "-1, 0 or 1.", Output("value", low=-1, high=1)),
    _function("sqrt", "Square root; missing below zero.", UNSIGNED),
    _function("log", "Natural logarithm; missing at and below zero."),
    _function("log10", "Logarithm to base 10; missing at and below zero."),
    _function("exp", "e to the power of x.", UNSIGNED),
    _function("pow", "x to the power of y.", parameters=values("x", "y")),
    _function("round", "Nearest whole number, halves to even."),
    _function("floor", "Largest whole number not above x."),
    _function("ceil", "Smallest whole number not below x."),
    _function("sin", "Sine of x in radians.", Output("value", low=-1, high=1)),
    _function("cos", "Cosine of x in radians.", Output("value", low=-1, high=1)),
    _function("atan", "Arc tangent in radians.", Output("value", low=-1.5707963267948968, high=1.5707963267948968)),
    _function("tanh", "Hyperbolic tangent: squashes x into -1..1.", Output("value", low=-1, high=1)),
    _function("sigmoid", "1 / (1 + exp(-x)): squashes x into 0..1.", Output("value", low=0, high=1)),
    _function("min", "Smallest of the arguments on this bar (over time: lowest).", parameters=_MANY),
    _function("max", "Largest of the arguments on this bar (over time: highest).", parameters=_MANY),
    _function("clip", "x, but not below `low` nor above `high`.", parameters=values("x", "low", "high")),
    _function("nz", "x, or `fallback` where x is missing.", parameters=(*_X, Parameter("fallback", "value", 0.0))),
    _function(
        "where",
        "`a` where the condition holds, else `b`; the same as `a if condition else b`.",
        _ANY,
        (CONDITION, Parameter("a", "any"), Parameter("b", "any")),
    ),
    _function("between", "low <= x <= high.", TRUTH, values("x", "low", "high")),
    _function("is_missing", "Whether x has no value on this bar.", TRUTH),
    _function(
        "xor",
        "Exactly one of the two conditions holds.",
        TRUTH,
        (Parameter("a", "condition"), Parameter("b", "condition")),
    ),
)

_A: Final = Parameter("a", "series")
_B: Final = Parameter("b", "series")
_SORTED_LIMIT: Final = 1_000
_EXACT_LIMIT: Final = 2_000
"""Longest window of what is computed window by window."""
_WINDOW: Final = "period - 1"
_UNIT: Final = Output("value", low=-1, high=1)


def _rolling(
    name: str, description: str, default: int, output: Output = _PLAIN, longest: int = _EXACT_LIMIT
) -> Operator:
    parameters = (SERIES, bars(default, 2, longest))
    return Operator(name, "statistic", description, parameters, (output,), warmup=_WINDOW)


_STATISTICS: Final = (
    _rolling("sum", "Sum of the last `period` values.", 20, longest=MAX_PERIOD),
    Operator(
        "stddev",
        "statistic",
        "Population standard deviation of the last `period` values.",
        (SERIES, bars(20, 2)),
        (UNSIGNED,),
        warmup=_WINDOW,
    ),
    Operator(
        "var",
        "statistic",
        "Population variance of the last `period` values.",
        (SERIES, bars(20, 2)),
        (UNSIGNED,),
        warmup=_WINDOW,
    ),
    _rolling("avgdev", "Mean absolute deviation from the mean of the last `period` values.", 14, UNSIGNED, MAX_PERIOD),
    _rolling("linearreg", "End of the least-squares line through the last `period` values.", 14, longest=MAX_PERIOD),
    _rolling("linearreg_intercept", "Start of that line.", 14, longest=MAX_PERIOD),
    _rolling("linearreg_angle", "Angle of that line in degrees.", 14, Output("value", low=-90, high=90), MAX_PERIOD),
    _rolling(
        "slope",
        "Slope of the least-squares line through the last `period` values, per bar.",
        14,
        longest=MAX_PERIOD,
    ),
    _rolling("tsf", "That line extended one bar ahead.", 14, longest=MAX_PERIOD),
    _rolling("zscore", "(x - mean) / population standard deviation of the last `period` values.", 20),
    _rolling("skew", "Population skewness of the last `period` values.", 50),
    _rolling("kurtosis", "Population excess kurtosis of the last `period` values.", 50),
    _rolling(
        "r_squared", "Share of the variance that the least-squares line explains.", 14, Output("value", low=0, high=1)
    ),
    Operator(
        "median",
        "statistic",
        "Median of the last `period` values.",
        (SERIES, bars(20, 1, _SORTED_LIMIT)),
        warmup=_WINDOW,
    ),
    Operator(
        "percentile",
        "statistic",
        "The value that `percent` of the last `period` values do not exceed (nearest rank).",
        (SERIES, bars(30, 2, _SORTED_LIMIT), number("percent", 50.0, 0, 100)),
        warmup=_WINDOW,
        talib="PERCENTILE",
    ),
    Operator(
        "rank_pct",
        "statistic",
        "Percent of the `period` values before this one that are not above it; equal ones are not above.",
        (SERIES, bars(100, 2, _SORTED_LIMIT)),
        (PERCENT,),
        warmup="period",
    ),
    Operator(
        "correlation",
        "pair",
        "Pearson correlation of two series over `period` bars; missing while one of them does not vary.",
        (_A, _B, bars(30, 2)),
        (_UNIT,),
        warmup=_WINDOW,
    ),
    Operator(
        "beta",
        "pair",
        "Slope of a's bar returns on b's over `period` bars: cov(a, b) / var(b).",
        (_A, _B, bars(30, 2, _EXACT_LIMIT)),
        warmup="period",
    ),
    Operator(
        "hedge_ratio",
        "pair",
        "Least-squares slope of a's values on b's over `period` bars: units of b that hedge one of a.",
        (_A, _B, bars(100, 2, _EXACT_LIMIT)),
        warmup=_WINDOW,
    ),
    Operator("ratio", "pair", "a / b.", (_A, _B), elementwise=True),
    Operator(
        "spread",
        "pair",
        "a - hedge * b.",
        (_A, _B, Parameter("hedge", "value", 1.0)),
        elementwise=True,
    ),
    Operator(
        "zspread",
        "pair",
        "Z-score over `period` bars of log(a / b).",
        (_A, _B, bars(100, 2, _EXACT_LIMIT)),
        warmup=_WINDOW,
    ),
)

OPERATORS: Final = (*_ELEMENTWISE, *_STATISTICS)

"""Functions of the values on one bar: arithmetic beyond the symbols, and choices."""

from __future__ import annotations

from typing import Final

from engine.language.spec import Category, Operator, Output, Parameter

from .shapes import CONDITION, TRUTH, UNSIGNED, values

_X: Final = values("x")
_PLAIN: Final = Output("value")


def _function(name: str, description: str, output: Output = _PLAIN, parameters: tuple[Parameter, ...] = _X) -> Operator:
    category: Category = "logic" if output.kind != "number" else "arithmetic"
    return Operator(name, category, description, parameters, (output,), missing="keep", elementwise=True)


_MANY: Final = (Parameter("x", "value"), Parameter("y", "value", variadic=True))
_ANY: Final = Output("value", kind="any")

OPERATORS: Final = (
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

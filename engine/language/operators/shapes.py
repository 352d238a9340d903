"""The parameters and outputs that the tables share."""

from __future__ import annotations

from typing import Final

from engine.language.spec import MAX_PERIOD, Output, Parameter

HLC: Final = ("high", "low", "close")
OHLC: Final = ("open", "high", "low", "close")
HLCV: Final = ("high", "low", "close", "volume")

SERIES: Final = Parameter("series", "series")
CONDITION: Final = Parameter("condition", "condition")

PERCENT: Final = Output("value", low=0, high=100)
UNSIGNED: Final = Output("value", low=0)
UNIT: Final = Output("value", low=0, high=1)
TRUTH: Final = Output("value", kind="condition")


def bars(default: int | None, low: int = 1, high: int = MAX_PERIOD, name: str = "period") -> Parameter:
    """A constant number of bars."""
    return Parameter(name, "period", default, low, high)


def number(name: str, default: float | None, low: float, high: float) -> Parameter:
    """A constant."""
    return Parameter(name, "number", default, low, high)


def values(*names: str) -> tuple[Parameter, ...]:
    """Arguments that may each be a number or a series."""
    return tuple(Parameter(name, "value") for name in names)


def outputs(*names: str, low: float | None = None, high: float | None = None) -> tuple[Output, ...]:
    """Several results, all within the same interval."""
    return tuple(Output(name, low=low, high=high) for name in names)

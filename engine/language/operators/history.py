"""Looking back along a series: crossings, extremes, counts and memory."""

from __future__ import annotations

from typing import Final

from engine.language.spec import Operator, Output, Parameter

from .shapes import CONDITION, SERIES, TRUTH, UNSIGNED, bars, outputs, values

_A_B: Final = values("a", "b")
_X: Final = (Parameter("series", "any"),)

OPERATORS: Final = (
    Operator(
        "crossover",
        "crossing",
        "a was at or below b one bar ago and is above it now.",
        _A_B,
        (TRUTH,),
        warmup="1",
        missing="keep",
    ),
    Operator(
        "crossunder",
        "crossing",
        "a was at or above b one bar ago and is below it now.",
        _A_B,
        (TRUTH,),
        warmup="1",
        missing="keep",
    ),
    Operator(
        "cross", "crossing", "a crossed b in either direction on this bar.", _A_B, (TRUTH,), warmup="1", missing="keep"
    ),
    Operator(
        "rising",
        "crossing",
        "x rose on each of the last `period` bars.",
        (SERIES, bars(1)),
        (TRUTH,),
        warmup="period",
        missing="keep",
    ),
    Operator(
        "falling",
        "crossing",
        "x fell on each of the last `period` bars.",
        (SERIES, bars(1)),
        (TRUTH,),
        warmup="period",
        missing="keep",
    ),
    Operator(
        "becomes",
        "crossing",
        "The condition holds now and did not one bar ago.",
        (CONDITION,),
        (TRUTH,),
        warmup="1",
        missing="keep",
    ),
    Operator(
        "highest",
        "history",
        "Highest of the last `period` values, this bar included.",
        (SERIES, bars(20, 1)),
        warmup="period - 1",
    ),
    Operator(
        "lowest",
        "history",
        "Lowest of the last `period` values, this bar included.",
        (SERIES, bars(20, 1)),
        warmup="period - 1",
    ),
    Operator(
        "bars_since_highest",
        "history",
        "Bars since the highest of the last `period` values; 0 is this bar.",
        (SERIES, bars(20, 2)),
        (UNSIGNED,),
        warmup="period - 1",
    ),
    Operator(
        "bars_since_lowest",
        "history",
        "Bars since the lowest of the last `period` values; 0 is this bar.",
        (SERIES, bars(20, 2)),
        (UNSIGNED,),
        warmup="period - 1",
    ),
    Operator(
        "highest_since",
        "history",
        "Highest value since the condition last held, that bar included.",
        (CONDITION, SERIES),
        memory="start",
        missing="keep",
    ),
    Operator(
        "lowest_since",
        "history",
        "Lowest value since the condition last held, that bar included.",
        (CONDITION, SERIES),
        memory="start",
        missing="keep",
    ),
    Operator(
        "bars_since",
        "history",
        "Bars since the condition last held; 0 when it holds now, missing before it ever did.",
        (CONDITION,),
        (UNSIGNED,),
        memory="start",
        missing="keep",
    ),
    Operator(
        "value_when",
        "history",
        "x where the condition last held; `occurrence` 1 is the time before, and so on.",
        (CONDITION, SERIES, Parameter("occurrence", "period", 0, 0, 1_000)),
        memory="start",
        missing="keep",
    ),
    Operator(
        "count_if",
        "history",
        "On how many of the last `period` bars the condition held.",
        (CONDITION, bars(20)),
        (UNSIGNED,),
        warmup="period - 1",
        missing="keep",
    ),
    Operator(
        "any_in",
        "history",
        "The condition held on at least one of the last `period` bars.",
        (CONDITION, bars(20)),
        (TRUTH,),
        missing="keep",
    ),
    Operator(
        "all_in",
        "history",
        "The condition held on each of the last `period` bars.",
        (CONDITION, bars(20)),
        (TRUTH,),
        warmup="period - 1",
        missing="keep",
    ),
    Operator(
        "lag",
        "history",
        "The value `period` bars ago: lag(x, 1) is x[-2].",
        (*_X, Parameter("period", "period", 1, 0)),
        (Output("value", kind="any"),),
        warmup="period",
        missing="keep",
    ),
    Operator("change", "history", "x - x `period` bars ago.", (SERIES, bars(1)), warmup="period", missing="keep"),
    Operator(
        "pct_change",
        "history",
        "x / x `period` bars ago - 1, as a fraction (0.05 is 5 %).",
        (SERIES, bars(1)),
        warmup="period",
        missing="keep",
    ),
    Operator(
        "log_return", "history", "log(x / x `period` bars ago).", (SERIES, bars(1)), warmup="period", missing="keep"
    ),
    Operator(
        "cum",
        "history",
        "Sum since the first loaded bar; missing values count as nothing.",
        (SERIES,),
        memory="start",
        missing="keep",
    ),
    Operator("ffill", "history", "The last known value.", (SERIES,), memory="start", missing="keep"),
    Operator(
        "drawdown",
        "history",
        "x / its highest value of the last `period` bars - 1, a fraction <= 0.",
        (SERIES, bars(100, 2)),
        warmup="period - 1",
    ),
    Operator(
        "pivot",
        "history",
        "Last swing high and low: higher (lower) than `left` bars before and `right` bars after. "
        "Known only `right` bars later.",
        (bars(5, 1, 500, name="left"), bars(5, 1, 500, name="right")),
        outputs("high", "low"),
        ("high", "low"),
        "left + right",
        "start",
    ),
    Operator(
        "scale",
        "history",
        "Where x stands between the lowest (0) and highest (1) of the last `period` values.",
        (SERIES, bars(20, 2)),
        (Output("value", low=0, high=1),),
        warmup="period - 1",
    ),
)

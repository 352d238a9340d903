"""Operators that know the time of a bar, and operators that compare a ticker with its universe."""

from __future__ import annotations

from typing import Final

from engine.language.spec import HLC, HLCV, TRUTH, UNSIGNED, Operator, Output, Parameter, number, outputs

INTERVALS: Final = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w", "1M")

_SCORE: Final = (Parameter("series", "series"),)

OPERATORS: Final = (
    Operator(
        "every",
        "session",
        "True on the first bar of each interval of UTC time; weeks begin on Monday.",
        (Parameter("interval", "choice", "1d", choices=INTERVALS), number("offset_hours", 0.0, 0, 744)),
        (TRUTH,),
        ("time",),
        reach="1",
        missing="keep",
    ),
    Operator(
        "every_bars",
        "session",
        "True on every `period`-th bar, counted from 1970 so that the first loaded bar does not matter.",
        (Parameter("period", "period"),),
        (TRUTH,),
        ("bar_number",),
        missing="keep",
    ),
    Operator(
        "session_vwap",
        "session",
        "Volume-weighted average of the typical price since midnight UTC.",
        (),
        (UNSIGNED,),
        (*HLCV, "time"),
        memory="start",
        missing="keep",
    ),
    Operator(
        "session_high",
        "session",
        "Highest high since midnight UTC.",
        (),
        (UNSIGNED,),
        ("high", "time"),
        memory="start",
        missing="keep",
    ),
    Operator(
        "session_low",
        "session",
        "Lowest low since midnight UTC.",
        (),
        (UNSIGNED,),
        ("low", "time"),
        memory="start",
        missing="keep",
    ),
    Operator(
        "pivot_points",
        "session",
        "Classic pivot points of the UTC day before: p = (high + low + close) / 3, r1 = 2p - low, s1 = 2p - high, "
        "r2 = p + range, s2 = p - range.",
        (),
        outputs("p", "r1", "s1", "r2", "s2"),
        (*HLC, "time"),
        memory="start",
        missing="keep",
    ),
    Operator(
        "cs_rank",
        "universe",
        "Place of this ticker's value among TICKERS on this bar: 1 is the largest, ties in the order of TICKERS.",
        _SCORE,
        (Output("value", low=1),),
        missing="keep",
    ),
    Operator(
        "cs_rank_low",
        "universe",
        "Place of this ticker's value among TICKERS on this bar: 1 is the smallest, ties in the order of TICKERS.",
        _SCORE,
        (Output("value", low=1),),
        missing="keep",
    ),
    Operator(
        "cs_count", "universe", "How many of TICKERS have a value on this bar.", _SCORE, (UNSIGNED,), missing="keep"
    ),
    Operator("cs_sum", "universe", "Sum of the values of all TICKERS on this bar.", _SCORE, missing="keep"),
    Operator("cs_mean", "universe", "Mean of the values of all TICKERS on this bar.", _SCORE, missing="keep"),
    Operator(
        "cs_zscore",
        "universe",
        "(x - mean) / population standard deviation over all TICKERS on this bar.",
        _SCORE,
        missing="keep",
    ),
)

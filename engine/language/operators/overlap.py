"""Averages, bands and trailing lines that are drawn over the price."""

from __future__ import annotations

from typing import Final

from engine.language.spec import HLC, SERIES, Memory, Operator, Output, bars, number, outputs


def _average(
    name: str,
    talib: str | None,
    description: str,
    default: int = 20,
    warmup: str = "period - 1",
    memory: Memory = "window",
) -> Operator:
    low = 1 if name in {"sma", "ema", "wma", "rma", "vwma"} else 2
    return Operator(
        name, "overlap", description, (SERIES, bars(default, low)), warmup=warmup, memory=memory, talib=talib
    )


_BANDS: Final = outputs("upper", "middle", "lower")
_DEVIATIONS: Final = number("deviations", 2.0, 0, 100)

OPERATORS: Final = (
    _average("sma", None, "Simple moving average: the mean of the last `period` values."),
    _average("ema", "EMA", "Exponential moving average, weight 2/(period+1), seeded by a mean.", memory="decaying"),
    _average("wma", None, "Linearly weighted moving average: weights 1..period, newest heaviest."),
    _average("dema", "DEMA", "Double EMA: 2 ema - ema(ema).", 20, "2 * (period - 1)", "decaying"),
    _average("tema", "TEMA", "Triple EMA: 3 ema - 3 ema(ema) + ema(ema(ema)).", 20, "3 * (period - 1)", "decaying"),
    _average("trima", None, "Triangular moving average: a simple average of simple averages."),
    _average("kama", "KAMA", "Kaufman's adaptive average: fast in trends, slow in noise.", 30, "period", "decaying"),
    _average(
        "hma", None, "Hull average: wma(2 wma(n/2) - wma(n), sqrt(n)).", 20, "period - 1 + floor(sqrt(period)) - 1"
    ),
    _average("rma", "RMA", "Wilder's smoothing, weight 1/period, seeded by a mean.", 14, "period - 1", "decaying"),
    _average(
        "zlema",
        "ZLEMA",
        "Zero-lag EMA: ema of x + (x - x half a period ago).",
        20,
        "period - 1 + (period - 1) // 2",
        "decaying",
    ),
    Operator(
        "t3",
        "overlap",
        "Tillson's T3: six EMAs in a row with volume factor `factor`.",
        (SERIES, bars(5, 2), number("factor", 0.7, 0, 1)),
        warmup="6 * (period - 1)",
        memory="decaying",
        talib="T3",
    ),
    Operator(
        "vwma",
        "overlap",
        "Volume-weighted moving average: sum(x volume) / sum(volume) over the last `period` bars.",
        (SERIES, bars(20)),
        reads=("volume",),
        warmup="period - 1",
    ),
    Operator(
        "alma",
        "overlap",
        "Arnaud Legoux average: Gaussian weights centred at `offset` of the window, width period/`sigma`.",
        (SERIES, bars(9, 1, 2_000), number("offset", 0.85, 0, 1), number("sigma", 6.0, 0.1, 100)),
        warmup="period - 1",
    ),
    Operator(
        "mama",
        "overlap",
        "Ehlers' MESA adaptive average and its follower.",
        (SERIES, number("fast_limit", 0.5, 0.01, 0.99), number("slow_limit", 0.05, 0.01, 0.99)),
        outputs("line", "follower"),
        warmup="32",
        memory="decaying",
        talib="MAMA",
    ),
    Operator(
        "ht_trendline",
        "overlap",
        "Ehlers' instantaneous trend line (Hilbert transform).",
        (SERIES,),
        warmup="63",
        memory="decaying",
        talib="HT_TRENDLINE",
    ),
    _average("midpoint", "MIDPOINT", "Half-way between the highest and lowest value of the last `period` bars.", 14),
    Operator(
        "midprice",
        "overlap",
        "Half-way between the highest high and lowest low of the last `period` bars.",
        (bars(14, 2),),
        reads=("high", "low"),
        warmup="period - 1",
        talib="MIDPRICE",
    ),
    Operator(
        "sar",
        "overlap",
        "Wilder's parabolic stop and reverse.",
        (number("acceleration", 0.02, 0.0001, 10), number("maximum", 0.2, 0.0001, 10)),
        reads=("high", "low"),
        warmup="1",
        memory="start",
        talib="SAR",
    ),
    Operator(
        "supertrend",
        "overlap",
        "SuperTrend line, `multiplier` ATRs from the mid price, and its direction: 1 up, -1 down.",
        (bars(10, 2), number("multiplier", 3.0, 0.01, 100)),
        (Output("line"), Output("direction", low=-1, high=1)),
        reads=HLC,
        warmup="period",
        memory="decaying",
        talib="SUPERTREND",
    ),
    Operator(
        "bbands",
        "overlap",
        "Bollinger bands: sma +- `deviations` population standard deviations.",
        (SERIES, bars(20, 2), _DEVIATIONS),
        _BANDS,
        warmup="period - 1",
    ),
    Operator(
        "accbands",
        "overlap",
        "Headley's acceleration bands: averages of high and low widened by the bar's range.",
        (bars(20, 2),),
        _BANDS,
        reads=HLC,
        warmup="period - 1",
    ),
    Operator(
        "donchian",
        "overlap",
        "Donchian channel: highest high, lowest low and their middle over the last `period` bars.",
        (bars(20, 2),),
        _BANDS,
        reads=("high", "low"),
        warmup="period - 1",
        talib="DONCHIAN",
    ),
    Operator(
        "keltner",
        "overlap",
        "Keltner channel: EMA of the typical price +- `multiplier` ATRs.",
        (bars(20, 2), bars(10, 1, name="atr_period"), number("multiplier", 2.0, 0, 100)),
        _BANDS,
        reads=HLC,
        warmup="max(period - 1, atr_period)",
        memory="decaying",
        talib="KC",
    ),
    Operator(
        "ichimoku",
        "overlap",
        "Ichimoku: conversion and base line, and the cloud's spans as displaced onto this bar. No lagging span: it "
        "would show the future.",
        (bars(9, name="conversion"), bars(26, name="base"), bars(52, name="span")),
        (
            Output("conversion", warmup="conversion - 1"),
            Output("base", warmup="base - 1"),
            Output("span_a", warmup="max(conversion, base) + base - 2"),
            Output("span_b", warmup="span + base - 2"),
        ),
        reads=("high", "low"),
        warmup="max(max(conversion, base), span) - 1 + base - 1",
    ),
    Operator(
        "alligator",
        "overlap",
        "Williams' alligator: Wilder averages of the median price over 13, 8 and 5 bars, displaced by 8, 5 and 3.",
        (),
        (Output("jaw"), Output("teeth", warmup="12"), Output("lips", warmup="7")),
        reads=("high", "low"),
        warmup="20",
        memory="decaying",
    ),
    Operator(
        "chandelier",
        "overlap",
        "Chandelier stops: highest high - `multiplier` ATRs for longs, lowest low + `multiplier` ATRs for shorts.",
        (bars(22, 2), number("multiplier", 3.0, 0, 100)),
        outputs("long", "short"),
        reads=HLC,
        warmup="period",
        memory="decaying",
    ),
)

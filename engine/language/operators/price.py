"""Prices made of a bar's prices, and Ehlers' cycles of a series."""

from __future__ import annotations

from typing import Final

from engine.language.spec import Operator, Output

from .shapes import HLC, OHLC, SERIES, UNSIGNED, outputs

OPERATORS: Final = (
    Operator("avgprice", "price", "(open + high + low + close) / 4.", (), (UNSIGNED,), OHLC, talib="AVGPRICE"),
    Operator("medprice", "price", "(high + low) / 2.", (), (UNSIGNED,), ("high", "low"), talib="MEDPRICE"),
    Operator("typprice", "price", "(high + low + close) / 3.", (), (UNSIGNED,), HLC, talib="TYPPRICE"),
    Operator("wclprice", "price", "(high + low + 2 close) / 4.", (), (UNSIGNED,), HLC, talib="WCLPRICE"),
    Operator(
        "heikin_ashi",
        "price",
        "Heikin-Ashi candles: averaged open, high, low and close.",
        (),
        outputs("open", "high", "low", "close", low=0),
        OHLC,
        memory="decaying",
        talib="HA",
    ),
    Operator(
        "ht_dcperiod",
        "cycle",
        "Length of the dominant cycle in bars (Hilbert transform).",
        (SERIES,),
        warmup="32",
        memory="decaying",
        talib="HT_DCPERIOD",
    ),
    Operator(
        "ht_dcphase",
        "cycle",
        "Phase of the dominant cycle in degrees (Hilbert transform).",
        (SERIES,),
        warmup="63",
        memory="decaying",
        talib="HT_DCPHASE",
    ),
    Operator(
        "ht_phasor",
        "cycle",
        "In-phase and quadrature parts of the dominant cycle (Hilbert transform).",
        (SERIES,),
        outputs("inphase", "quadrature"),
        warmup="32",
        memory="decaying",
        talib="HT_PHASOR",
    ),
    Operator(
        "ht_sine",
        "cycle",
        "Sine of the dominant cycle's phase, and the same 45 degrees ahead (Hilbert transform).",
        (SERIES,),
        outputs("sine", "lead", low=-1, high=1),
        warmup="63",
        memory="decaying",
        talib="HT_SINE",
    ),
    Operator(
        "ht_trendmode",
        "cycle",
        "1 in a trend, 0 in a cycle (Hilbert transform).",
        (SERIES,),
        (Output("value", low=0, high=1),),
        warmup="63",
        memory="decaying",
        talib="HT_TRENDMODE",
    ),
)

"""Prices derived from a bar's prices, Ehlers' cycles of a series, and TA-Lib's candle patterns."""

from __future__ import annotations

from typing import Final

from engine.language.spec import HLC, OHLC, SERIES, UNSIGNED, Operator, Output, number, outputs

_PRICES: Final = (
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

_PATTERNS: Final[dict[str, tuple[str, int]]] = {
    "2crows": ("Two Crows", 12),
    "3blackcrows": ("Three Black Crows", 13),
    "3inside": ("Three Inside Up/Down", 12),
    "3linestrike": ("Three-Line Strike", 8),
    "3outside": ("Three Outside Up/Down", 3),
    "3starsinsouth": ("Three Stars In The South", 12),
    "3whitesoldiers": ("Three Advancing White Soldiers", 12),
    "abandonedbaby": ("Abandoned Baby", 12),
    "advanceblock": ("Advance Block", 12),
    "belthold": ("Belt-hold", 10),
    "breakaway": ("Breakaway", 14),
    "closingmarubozu": ("Closing Marubozu", 10),
    "concealbabyswall": ("Concealing Baby Swallow", 13),
    "counterattack": ("Counterattack", 11),
    "darkcloudcover": ("Dark Cloud Cover", 11),
    "doji": ("Doji", 10),
    "dojistar": ("Doji Star", 11),
    "dragonflydoji": ("Dragonfly Doji", 10),
    "engulfing": ("Engulfing Pattern", 2),
    "eveningdojistar": ("Evening Doji Star", 12),
    "eveningstar": ("Evening Star", 12),
    "gapsidesidewhite": ("Up/Down-gap side-by-side white lines", 7),
    "gravestonedoji": ("Gravestone Doji", 10),
    "hammer": ("Hammer", 11),
    "hangingman": ("Hanging Man", 11),
    "harami": ("Harami Pattern", 11),
    "haramicross": ("Harami Cross Pattern", 11),
    "highwave": ("High-Wave Candle", 10),
    "hikkake": ("Hikkake Pattern", 5),
    "hikkakemod": ("Modified Hikkake Pattern", 10),
    "homingpigeon": ("Homing Pigeon", 11),
    "identical3crows": ("Identical Three Crows", 12),
    "inneck": ("In-Neck Pattern", 11),
    "invertedhammer": ("Inverted Hammer", 11),
    "kicking": ("Kicking", 11),
    "kickingbylength": ("Kicking - bull/bear determined by the longer marubozu", 11),
    "ladderbottom": ("Ladder Bottom", 14),
    "longleggeddoji": ("Long Legged Doji", 10),
    "longline": ("Long Line Candle", 10),
    "marubozu": ("Marubozu", 10),
    "matchinglow": ("Matching Low", 6),
    "mathold": ("Mat Hold", 14),
    "morningdojistar": ("Morning Doji Star", 12),
    "morningstar": ("Morning Star", 12),
    "onneck": ("On-Neck Pattern", 11),
    "piercing": ("Piercing Pattern", 11),
    "rickshawman": ("Rickshaw Man", 10),
    "risefall3methods": ("Rising/Falling Three Methods", 14),
    "separatinglines": ("Separating Lines", 11),
    "shootingstar": ("Shooting Star", 11),
    "shortline": ("Short Line Candle", 10),
    "spinningtop": ("Spinning Top", 10),
    "stalledpattern": ("Stalled Pattern", 12),
    "sticksandwich": ("Stick Sandwich", 7),
    "takuri": ("Takuri (Dragonfly Doji with very long lower shadow)", 10),
    "tasukigap": ("Tasuki Gap", 7),
    "thrusting": ("Thrusting Pattern", 11),
    "tristar": ("Tristar Pattern", 12),
    "unique3river": ("Unique 3 River", 12),
    "upsidegap2crows": ("Upside Gap Two Crows", 12),
    "xsidegap3methods": ("Upside/Downside Gap Three Methods", 2),
}
"""Name: what it is called, and the bars that TA-Lib needs before it."""

_PENETRATION: Final[dict[str, float]] = {
    "abandonedbaby": 0.3,
    "darkcloudcover": 0.5,
    "eveningdojistar": 0.3,
    "eveningstar": 0.3,
    "mathold": 0.5,
    "morningdojistar": 0.3,
    "morningstar": 0.3,
}
"""How far a candle must reach into the body before it, as a fraction of that body."""


_OTHER: Final = {
    **dict.fromkeys(("engulfing", "harami", "haramicross"), "; 80 and -80 where one end of the bodies is equal"),
    **dict.fromkeys(("hikkake", "hikkakemod"), "; 200 and -200 where it is confirmed"),
}


def _pattern(name: str, title: str, warmup: int) -> Operator:
    depth = _PENETRATION.get(name)
    return Operator(
        f"cdl_{name}",
        "candle pattern",
        f"{title}: 100 bullish, -100 bearish, else 0{_OTHER.get(name, '')}.",
        () if depth is None else (number("penetration", depth, 0, 10),),
        (
            Output(
                "value",
                low=-200 if name.startswith("hikkake") else -100,
                high=200 if name.startswith("hikkake") else 100,
            ),
        ),
        OHLC,
        str(warmup),
        talib=f"CDL{name.upper()}",
    )


_CANDLES: Final = tuple(_pattern(name, *rest) for name, rest in _PATTERNS.items())

OPERATORS: Final = (*_PRICES, *_CANDLES)

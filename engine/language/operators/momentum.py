"""Oscillators and measures of trend strength."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from engine.language.spec import (
    HLC,
    HLCV,
    OHLC,
    PERCENT,
    SERIES,
    UNIT,
    UNSIGNED,
    Memory,
    Operator,
    Output,
    bars,
    number,
    outputs,
)

_SIGNED_UNIT: Final = Output("value", low=-1, high=1)
_SIGNED_PERCENT: Final = Output("value", low=-100, high=100)
_PLAIN: Final = Output("value")


def _of_series(
    name: str,
    talib: str | None,
    description: str,
    default: int,
    warmup: str = "period",
    output: Output = _PLAIN,
    memory: Memory = "window",
) -> Operator:
    low = 1 if name in {"mom", "roc", "rocp", "rocr", "rocr100", "trix"} else 2
    parameters = (SERIES, bars(default, low))
    return Operator(name, "momentum", description, parameters, (output,), (), warmup, memory, talib=talib)


def _of_bars(
    name: str,
    talib: str | None,
    description: str,
    default: int,
    warmup: str = "period",
    output: Output = _PLAIN,
    memory: Memory = "window",
    reads: tuple[str, ...] = HLC,
) -> Operator:
    return Operator(name, "momentum", description, (bars(default, 2),), (output,), reads, warmup, memory, talib=talib)


_FAST_SLOW: Final = (bars(12, 2, name="fast"), bars(26, 2, name="slow"))
_EMA_OPTION: Final = ("fast", "slow", 1)
_MACD: Final = (Output("line", warmup="max(fast, slow) - 1"), *outputs("signal", "hist"))


def _first(outputs: tuple[Output, ...], warmup: str) -> tuple[Output, ...]:
    """The outputs; the first one starts earlier than the others."""
    return (replace(outputs[0], warmup=warmup), *outputs[1:])


OPERATORS: Final = (
    _of_series(
        "rsi", "RSI", "Wilder's relative strength index, seeded by an average.", 14, "period", PERCENT, "decaying"
    ),
    _of_series(
        "cmo", "CMO", "Chande momentum oscillator with Wilder smoothing.", 14, "period", _SIGNED_PERCENT, "decaying"
    ),
    _of_series("cmou", None, "Chande momentum oscillator over plain sums.", 14, "period", _SIGNED_PERCENT),
    _of_series("mom", "MOM", "Momentum: x - x `period` bars ago.", 10),
    _of_series("roc", "ROC", "Rate of change in percent: 100 (x / x `period` bars ago - 1).", 10),
    _of_series("rocp", "ROCP", "Rate of change as a fraction: x / x `period` bars ago - 1.", 10),
    _of_series("rocr", "ROCR", "Ratio of change: x / x `period` bars ago.", 10),
    _of_series("rocr100", "ROCR100", "Ratio of change in percent: 100 x / x `period` bars ago.", 10),
    _of_series(
        "trix",
        "TRIX",
        "One-bar rate of change, in percent, of a triple EMA.",
        30,
        "3 * (period - 1) + 1",
        memory="decaying",
    ),
    _of_series("er", None, "Kaufman's efficiency ratio: net move / sum of moves.", 10, output=UNIT),
    _of_series("vhf", "VHF", "Vertical horizontal filter: range / sum of moves.", 28, output=UNSIGNED),
    _of_series(
        "fosc", "FOSC", "Forecast oscillator: percent between x and the regression forecast made one bar ago.", 5
    ),
    _of_series(
        "dpo", None, "Detrended price: x half a period ago less its average.", 20, "max(period - 1, period // 2 + 1)"
    ),
    Operator(
        "apo",
        "momentum",
        "Absolute price oscillator: ema(fast) - ema(slow).",
        (SERIES, *_FAST_SLOW),
        warmup="max(fast, slow) - 1",
        memory="decaying",
        talib="APO",
        passed=_EMA_OPTION,
    ),
    Operator(
        "ppo",
        "momentum",
        "Percentage price oscillator: 100 (ema(fast) / ema(slow) - 1).",
        (SERIES, *_FAST_SLOW),
        warmup="max(fast, slow) - 1",
        memory="decaying",
        talib="PPO",
        passed=_EMA_OPTION,
    ),
    Operator(
        "macd",
        "momentum",
        "MACD: ema(fast) - ema(slow), its EMA over `signal` bars, and the difference of the two.",
        (SERIES, *_FAST_SLOW, bars(9, 1, name="signal")),
        _MACD,
        warmup="max(fast, slow) + signal - 2",
        memory="decaying",
    ),
    Operator(
        "coppock",
        "momentum",
        "Coppock curve: wma of the sum of two rates of change.",
        (SERIES, bars(10, name="smooth"), bars(11, name="fast"), bars(14, name="slow")),
        warmup="smooth - 1 + max(fast, slow)",
    ),
    Operator(
        "tsi",
        "momentum",
        "True strength index: double-smoothed change / double-smoothed absolute change, in percent.",
        (SERIES, bars(25, 2, name="slow"), bars(13, 2, name="fast")),
        (_SIGNED_PERCENT,),
        warmup="slow + fast - 1",
        memory="decaying",
        talib="TSI",
    ),
    Operator(
        "stochrsi",
        "momentum",
        "Stochastic of the RSI: where the RSI is in its range of `k` bars, and its average over `d`.",
        (SERIES, bars(14, 2), bars(5, 1, name="k"), bars(3, 1, name="d")),
        _first(outputs("k", "d", low=0, high=100), "period + k - 1"),
        warmup="period + k + d - 2",
        memory="decaying",
    ),
    Operator(
        "kst",
        "momentum",
        "Pring's know sure thing: weighted averages of rates of change over 10 to 30 bars, and its signal.",
        (SERIES, bars(9, 1, name="signal")),
        _first(outputs("line", "signal"), "44"),
        warmup="43 + signal",
    ),
    Operator(
        "connors_rsi",
        "momentum",
        "Connors RSI: mean of rsi(x, rsi_period), the RSI of the streak and the percent rank of the return.",
        (SERIES, bars(3, 2, name="rsi_period"), bars(2, 2, name="streak"), bars(100, 2, 1_000, name="rank")),
        (PERCENT,),
        warmup="max(max(rsi_period, streak), rank + 1)",
        memory="decaying",
    ),
    Operator(
        "stc",
        "momentum",
        "Schaff trend cycle: a stochastic of a stochastic of the MACD line; the second holds while it has no range.",
        (SERIES, bars(23, 2, name="fast"), bars(50, 2, name="slow"), bars(10, 2, name="cycle")),
        (PERCENT,),
        warmup="max(fast, slow) - 1 + 2 * (cycle - 1) + 4",
        memory="decaying",
    ),
    _of_bars(
        "adx", "ADX", "Wilder's average directional index: trend strength.", 14, "2 * period - 1", PERCENT, "decaying"
    ),
    _of_bars("adxr", "ADXR", "ADX averaged with itself a period ago.", 14, "3 * period - 2", PERCENT, "decaying"),
    _of_bars("dx", "DX", "Directional movement index before averaging.", 14, "period", PERCENT, "decaying"),
    _of_bars("plus_di", "PLUS_DI", "Upward directional indicator.", 14, "period", PERCENT, "decaying"),
    _of_bars("minus_di", "MINUS_DI", "Downward directional indicator.", 14, "period", PERCENT, "decaying"),
    _of_bars(
        "plus_dm",
        "PLUS_DM",
        "Upward directional movement, Wilder-smoothed.",
        14,
        "period - 1",
        UNSIGNED,
        "decaying",
        ("high", "low"),
    ),
    _of_bars(
        "minus_dm",
        "MINUS_DM",
        "Downward directional movement, Wilder-smoothed.",
        14,
        "period - 1",
        UNSIGNED,
        "decaying",
        ("high", "low"),
    ),
    _of_bars(
        "cci",
        None,
        "Commodity channel index: distance of the typical price from its mean in mean deviations.",
        14,
        "period - 1",
    ),
    _of_bars(
        "willr",
        None,
        "Williams %R: how far the close is below the range's top.",
        14,
        "period - 1",
        Output("value", low=-100, high=0),
    ),
    _of_bars("mfi", None, "Money flow index: an RSI of price times volume.", 14, "period", PERCENT, reads=HLCV),
    _of_bars("aroonosc", None, "Aroon up less Aroon down.", 14, "period", _SIGNED_PERCENT, reads=("high", "low")),
    _of_bars(
        "imi",
        None,
        "Intraday momentum index: gains between open and close as a share of all moves.",
        14,
        "period - 1",
        PERCENT,
        reads=("open", "close"),
    ),
    _of_bars("qstick", None, "Average of close - open.", 10, "period - 1", reads=("open", "close")),
    Operator(
        "aroon",
        "momentum",
        "Aroon: percent of the period since its lowest low and since its highest high, 100 when it is this bar. "
        "Of equal values the newest counts.",
        (bars(14, 2),),
        outputs("down", "up", low=0, high=100),
        ("high", "low"),
        "period",
    ),
    Operator(
        "vortex",
        "momentum",
        "Vortex indicator: upward and downward movement over true range.",
        (bars(14, 2),),
        outputs("plus", "minus", low=0),
        HLC,
        "period",
    ),
    Operator(
        "elder_ray",
        "momentum",
        "Elder ray: high and low less the EMA of the close.",
        (bars(13, 2),),
        outputs("bull", "bear"),
        HLC,
        "period - 1",
        "decaying",
        talib="ERI",
    ),
    Operator(
        "stoch",
        "momentum",
        "Slow stochastic: place of the close in the range of `k` bars, averaged over `smooth`; then over `d`.",
        (bars(5, 1, name="k"), bars(3, 1, name="smooth"), bars(3, 1, name="d")),
        _first(outputs("k", "d", low=0, high=100), "k + smooth - 2"),
        HLC,
        "k + smooth + d - 3",
    ),
    Operator(
        "stochf",
        "momentum",
        "Fast stochastic: place of the close in the range of `k` bars, and its average over `d`.",
        (bars(5, 1, name="k"), bars(3, 1, name="d")),
        _first(outputs("k", "d", low=0, high=100), "k - 1"),
        HLC,
        "k + d - 2",
    ),
    Operator(
        "kdj",
        "momentum",
        "KDJ: a Wilder-smoothed stochastic k, its average d, and j = 3k - 2d.",
        (bars(9, 1, name="k"), bars(3, 1, name="smooth"), bars(3, 1, name="d")),
        _first(outputs("k", "d", "j"), "k + smooth - 2"),
        HLC,
        "k + smooth + d - 3",
        "decaying",
    ),
    Operator(
        "smi",
        "momentum",
        "Blau's stochastic momentum index and its signal.",
        (bars(13, 2), bars(2, 2, name="fast"), bars(25, 2, name="slow"), bars(9, 2, name="signal")),
        _first(outputs("line", "signal", low=-100, high=100), "period + fast + slow - 2"),
        HLC,
        "period + fast + slow + signal - 4",
        "decaying",
    ),
    Operator(
        "ultosc",
        "momentum",
        "Williams' ultimate oscillator over three periods.",
        (bars(7, name="fast"), bars(14, name="middle"), bars(28, name="slow")),
        (PERCENT,),
        HLC,
        "max(max(fast, middle), slow)",
    ),
    Operator(
        "ao",
        "momentum",
        "Awesome oscillator: sma(hl2, fast) - sma(hl2, slow).",
        (bars(5, 2, name="fast"), bars(34, 2, name="slow")),
        reads=("high", "low"),
        warmup="max(fast, slow) - 1",
    ),
    Operator(
        "ac",
        "momentum",
        "Accelerator oscillator: the awesome oscillator less its average.",
        (bars(5, 2, name="fast"), bars(34, 2, name="slow"), bars(5, 2, name="signal")),
        reads=("high", "low"),
        warmup="max(fast, slow) + signal - 2",
    ),
    Operator(
        "bop",
        "momentum",
        "Balance of power: (close - open) / (high - low).",
        (),
        (_SIGNED_UNIT,),
        OHLC,
    ),
    Operator(
        "wad",
        "momentum",
        "Williams' accumulation/distribution, summed from the first loaded bar.",
        (),
        reads=HLC,
        memory="start",
        talib="WAD",
    ),
    Operator(
        "fisher",
        "momentum",
        "Ehlers' Fisher transform of the median price's place in its range, and its value one bar ago.",
        (bars(9, 2),),
        _first(outputs("line", "signal"), "period - 1"),
        ("high", "low"),
        "period",
        "decaying",
    ),
    Operator(
        "squeeze",
        "momentum",
        "TTM squeeze: whether the Bollinger bands lie inside the Keltner channel, and the momentum of the break-out.",
        (bars(20, 2), number("deviations", 2.0, 0, 100), number("multiplier", 1.5, 0, 100)),
        (Output("on", kind="condition", warmup="period"), Output("momentum")),
        HLC,
        "2 * (period - 1)",
    ),
)

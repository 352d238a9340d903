"""Indicators that combine others: those that TA-Lib does not have as one function."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import talib

from engine.frame import Bools, Floats

from .history import ffill, highest, lowest, shifted
from .windows import divided, missing, rolling_sum


def _mid(high: Floats, low: Floats, period: int) -> Floats:
    return (highest(high, period) + lowest(low, period)) / 2.0


def ichimoku(high: Floats, low: Floats, conversion: int, base: int, span: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Conversion, base, and the two spans that were drawn forward onto this bar."""
    fast, slow = _mid(high, low, conversion), _mid(high, low, base)
    ahead = min(base - 1, len(high))
    return fast, slow, shifted((fast + slow) / 2.0, ahead), shifted(_mid(high, low, span), ahead)


def alligator(high: Floats, low: Floats) -> tuple[Floats, ...]:
    """Three displaced Wilder averages of the median price."""
    median = (high + low) / 2.0
    return tuple(shifted(talib.RMA(median, n), min(by, len(median))) for n, by in ((13, 8), (8, 5), (5, 3)))


def chandelier(high: Floats, low: Floats, close: Floats, period: int, multiplier: float) -> tuple[Floats, Floats]:
    """Stops some average ranges from the extreme."""
    distance = multiplier * talib.ATR(high, low, close, period)
    return highest(high, period) - distance, lowest(low, period) + distance


def kst(x: Floats, signal: int) -> tuple[Floats, Floats]:
    """Weighted sum of four smoothed rates of change."""
    parts = ((10, 10, 1.0), (15, 10, 2.0), (20, 10, 3.0), (30, 15, 4.0))
    line = sum((weight * talib.SMA(talib.ROC(x, ago), smooth) for ago, smooth, weight in parts), np.zeros(len(x)))
    return line, _sma(line, signal)


def _sma(x: Floats, period: int) -> Floats:
    return missing(len(x)) if np.isnan(x).all() else talib.SMA(x, period)


def _ema(x: Floats, period: int) -> Floats:
    if np.isnan(x).all():
        return missing(len(x))
    return x if period == 1 else talib.EMA(x, period)


def connors_rsi(x: Floats, rsi_period: int, streak: int, rank: int) -> Floats:
    """Mean of an RSI, the RSI of the streak, and the rank of the last return."""
    direction: Floats = np.sign(np.diff(x, prepend=x[:1])).astype(np.float64)
    turned = np.flatnonzero(np.diff(direction, prepend=np.nan) != 0)
    begun = turned[np.searchsorted(turned, np.arange(len(x)), side="right") - 1]
    run = direction * (np.arange(len(x)) - begun + 1).astype(np.float64)
    return (talib.RSI(x, rsi_period) + talib.RSI(run, streak) + talib.PERCENTRANK(talib.ROC(x, 1), rank)) / 3.0


def _place(x: Floats, period: int) -> Floats:
    low = lowest(x, period)
    return ffill(100.0 * divided(x - low, highest(x, period) - low))


def stc(x: Floats, fast: int, slow: int, cycle: int) -> Floats:
    """A smoothed stochastic of a smoothed stochastic of the MACD line."""
    line = talib.EMA(x, fast) - talib.EMA(x, slow)
    if len(line) <= max(fast, slow) + 2 * cycle + 1:
        return missing(len(x))
    return np.clip(_ema(_place(_ema(_place(line, cycle), 3), cycle), 3), 0.0, 100.0)


def fisher(high: Floats, low: Floats, period: int) -> tuple[Floats, Floats]:
    """Ehlers' recursion, one bar after the other."""
    median = (high + low) / 2.0
    bottom = lowest(median, period)
    places = divided(median - bottom, highest(median, period) - bottom) - 0.5
    line = missing(len(median))
    value = fish = 0.0
    for i, place in enumerate(places.tolist()[period - 1 :], period - 1):
        known = place if place == place else 0.0
        value = min(max(0.66 * known + 0.67 * value, -0.999), 0.999)
        fish = 0.5 * math.log((1.0 + value) / (1.0 - value)) + 0.5 * fish
        line[i] = fish
    return line, shifted(line, 1)


def squeeze(
    high: Floats, low: Floats, close: Floats, period: int, deviations: float, multiplier: float
) -> tuple[Bools, Floats]:
    """Bollinger inside Keltner, and the regression of the close's distance from the middle of its range."""
    mean = talib.SMA(close, period)
    true_range = talib.SMA(talib.TRANGE(high, low, close), period)
    on = deviations * talib.STDDEV(close, period, 1.0) < multiplier * true_range
    distance = close - (_mid(high, low, period) + mean) / 2.0
    return on, talib.LINEARREG(distance, period)


def choppiness(high: Floats, low: Floats, close: Floats, period: int) -> Floats:
    """Sum of ranges against the range of the sum, on a logarithmic scale."""
    ranges = talib.SUM(talib.TRANGE(high, low, close), period)
    with np.errstate(all="ignore"):
        return 100.0 * np.log10(divided(ranges, highest(high, period) - lowest(low, period))) / math.log10(period)


def ulcer_index(x: Floats, period: int) -> Floats:
    """Root mean square of the drawdown in percent."""
    depth = 100.0 * (divided(x, highest(x, period)) - 1.0)
    return np.sqrt(_window_mean(depth * depth, period))


def _window_mean(x: Floats, period: int) -> Floats:
    known = int(np.argmax(~np.isnan(x)))
    out = missing(len(x))
    out[known:] = rolling_sum(x[known:], period) / period
    return out


def parkinson(high: Floats, low: Floats, period: int) -> Floats:
    """Volatility from the range."""
    with np.errstate(all="ignore"):
        squares = np.log(divided(high, low)) ** 2
    return np.sqrt(_window_mean(squares, period) / (4.0 * math.log(2.0)))


def garman_klass(open_: Floats, high: Floats, low: Floats, close: Floats, period: int) -> Floats:
    """Volatility from the range and the body."""
    with np.errstate(all="ignore"):
        ranges, bodies = np.log(divided(high, low)), np.log(divided(close, open_))
    variances = 0.5 * ranges**2 - (2.0 * math.log(2.0) - 1.0) * bodies**2
    return np.sqrt(np.maximum(_window_mean(variances, period), 0.0))


def bb_width(x: Floats, period: int, deviations: float) -> Floats:
    """Width of the bands over their middle."""
    upper, middle, lower = talib.BBANDS(x, period, deviations, deviations)
    return divided(upper - lower, middle)


def bb_percent(x: Floats, period: int, deviations: float) -> Floats:
    """Place between the bands."""
    upper, _, lower = talib.BBANDS(x, period, deviations, deviations)
    return divided(x - lower, upper - lower)


def rolling_vwap(high: Floats, low: Floats, close: Floats, volume: Floats, period: int) -> Floats:
    """Volume-weighted typical price."""
    typical = (high + low + close) / 3.0
    return divided(rolling_sum(typical * volume, period), rolling_sum(volume, period))


def eom(high: Floats, low: Floats, volume: Floats, period: int) -> Floats:
    """Average move of the mid price per volume and range; nothing where nothing traded."""
    mid = (high + low) / 2.0
    moves = np.nan_to_num(divided((mid - shifted(mid, 1)) * (high - low), volume))
    moves[:1] = np.nan
    return _window_mean(moves, period)


def klinger(
    high: Floats, low: Floats, close: Floats, volume: Floats, fast: int, slow: int, signal: int
) -> tuple[Floats, Floats]:
    """Difference of two averages of volume signed by the typical price's direction."""
    typical = (high + low + close) / 3.0
    signed = volume * np.sign(typical - shifted(typical, 1))
    line = _ema(signed, fast) - _ema(signed, slow)
    return line, _ema(line, signal)


IMPLEMENTATIONS: Final[dict[str, Callable[..., Any]]] = {
    function.__name__: function
    for function in (
        ichimoku, alligator, chandelier, kst, connors_rsi, stc, fisher, squeeze, choppiness, ulcer_index, parkinson,
        garman_klass, bb_width, bb_percent, rolling_vwap, eom, klinger,
    )
}  # fmt: skip

"""Indicators that combine others and are not a single function in TA-Lib."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import talib

from engine.frame import Bools, Floats

from .averages import bbands, linearreg, sma, stddev, wma
from .history import bars_since_highest, bars_since_lowest, ffill, highest, lowest
from .windows import by_window, divided, missing, over_known, rank_pct, rolling_sum, shifted, steady, unmoved


def _mid(high: Floats, low: Floats, period: int) -> Floats:
    return (highest(high, period) + lowest(low, period)) / 2.0


def ichimoku(high: Floats, low: Floats, conversion: int, base: int, span: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Conversion, base, and the two spans displaced forward onto this bar."""
    fast, slow = _mid(high, low, conversion), _mid(high, low, base)
    ahead = min(base - 1, len(high))
    return fast, slow, shifted((fast + slow) / 2.0, ahead), shifted(_mid(high, low, span), ahead)


def alligator(high: Floats, low: Floats) -> tuple[Floats, ...]:
    """Three displaced Wilder averages of the median price."""
    median = (high + low) / 2.0
    return tuple(shifted(talib.RMA(median, n), min(by, len(median))) for n, by in ((13, 8), (8, 5), (5, 3)))


def chandelier(high: Floats, low: Floats, close: Floats, period: int, multiplier: float) -> tuple[Floats, Floats]:
    """Stops a multiple of the average range away from the extreme."""
    distance = multiplier * talib.ATR(high, low, close, period)
    return highest(high, period) - distance, lowest(low, period) + distance


def kst(x: Floats, signal: int) -> tuple[Floats, Floats]:
    """Weighted sum of four smoothed rates of change."""
    parts = ((10, 10, 1.0), (15, 10, 2.0), (20, 10, 3.0), (30, 15, 4.0))
    line = sum((weight * sma(talib.ROC(x, ago), smooth) for ago, smooth, weight in parts), np.zeros(len(x)))
    return line, sma(line, signal)


def _ema(x: Floats, period: int) -> Floats:
    if np.isnan(x).all():
        return missing(len(x))
    return x if period == 1 else talib.EMA(x, period)


def rsi(x: Floats, period: int) -> Floats:
    """Wilder's relative strength index; missing where no bar in its memory moved."""
    out = talib.RSI(x, period)
    still = unmoved(x, 21 * period + 20)
    if still is not None:
        out[still] = np.nan
    return out


def connors_rsi(x: Floats, rsi_period: int, streak: int, rank: int) -> Floats:
    """Mean of an RSI, the RSI of the streak, and the rank of the last return."""
    direction: Floats = np.sign(np.diff(x, prepend=x[:1])).astype(np.float64)
    turned = np.flatnonzero(np.diff(direction, prepend=np.nan) != 0)
    begun = turned[np.searchsorted(turned, np.arange(len(x)), side="right") - 1]
    run = direction * (np.arange(len(x)) - begun + 1).astype(np.float64)
    ranks = over_known(lambda known: rank_pct(known, rank), talib.ROC(x, 1))
    return (rsi(x, rsi_period) + rsi(run, streak) + ranks) / 3.0


def _place(x: Floats, period: int) -> Floats:
    low = lowest(x, period)
    return ffill(100.0 * divided(x - low, highest(x, period) - low))


def stc(x: Floats, fast: int, slow: int, cycle: int) -> Floats:
    """A smoothed stochastic of a smoothed stochastic of the MACD line; the second holds while it has no range."""
    line = steady(talib.EMA(x, fast) - talib.EMA(x, slow), x)
    if len(line) <= max(fast, slow) + 2 * cycle + 1:
        return missing(len(x))
    out = np.clip(_ema(_place(_ema(_place(line, cycle), 3), cycle), 3), 0.0, 100.0)
    out[highest(line, cycle) == lowest(line, cycle)] = np.nan
    return out


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
        line[i] = fish if place == place else math.nan
    return line, shifted(line, 1)


def squeeze(
    high: Floats, low: Floats, close: Floats, period: int, deviations: float, multiplier: float
) -> tuple[Bools, Floats]:
    """Bollinger inside Keltner, and the regression of the close's distance from the middle of its range."""
    mean = sma(close, period)
    true_range = sma(talib.TRANGE(high, low, close), period)
    on = deviations * stddev(close, period) < multiplier * true_range
    distance = close - (_mid(high, low, period) + mean) / 2.0
    return on, linearreg(distance, period)


def choppiness(high: Floats, low: Floats, close: Floats, period: int) -> Floats:
    """Sum of ranges against the range of the sum, on a logarithmic scale."""
    ranges = _sums(talib.TRANGE(high, low, close), period)
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
    upper, middle, lower = bbands(x, period, deviations)
    return divided(upper - lower, middle)


def bb_percent(x: Floats, period: int, deviations: float) -> Floats:
    """Position between the bands."""
    upper, _, lower = bbands(x, period, deviations)
    return divided(x - lower, upper - lower)


def rolling_vwap(high: Floats, low: Floats, close: Floats, volume: Floats, period: int) -> Floats:
    """Volume-weighted typical price."""
    typical = (high + low + close) / 3.0
    return divided(rolling_sum(typical * volume, period), rolling_sum(volume, period))


def eom(high: Floats, low: Floats, volume: Floats, period: int) -> Floats:
    """Average move of the mid price per volume and range; missing where nothing traded."""
    mid = (high + low) / 2.0
    moves = np.nan_to_num(divided((mid - shifted(mid, 1)) * (high - low), volume))
    moves[:1] = np.nan
    out = _window_mean(moves, period)
    out[_sums(volume, period) == 0.0] = np.nan
    return out


def klinger(
    high: Floats, low: Floats, close: Floats, volume: Floats, fast: int, slow: int, signal: int
) -> tuple[Floats, Floats]:
    """Difference of two averages of volume signed by the typical price's direction."""
    typical = (high + low + close) / 3.0
    signed = volume * np.sign(typical - shifted(typical, 1))
    line = _ema(signed, fast) - _ema(signed, slow)
    return line, _ema(line, signal)


# --- moves, ranges and flows: 0 / 0 is missing ------------------------------------------------------------------------


def _sums(x: Floats, period: int) -> Floats:
    """Sums of the last `period` values of a series whose first value may be missing."""
    begins = int(np.isnan(x[:1]).any())
    out = missing(len(x))
    out[begins:] = rolling_sum(x[begins:], period)
    return out


def _share(part: Floats, rest: Floats, period: int) -> Floats:
    """One part's sum in percent of the sum of both."""
    mine, other = _sums(part, period), _sums(rest, period)
    return 100.0 * divided(mine, mine + other)


def _steps(x: Floats) -> Floats:
    return x - shifted(x, 1)


def cmou(x: Floats, period: int) -> Floats:
    """Sum of rises minus sum of falls, over their total."""
    step = _steps(x)
    return 2.0 * _share(np.maximum(step, 0.0), np.maximum(-step, 0.0), period) - 100.0


def er(x: Floats, period: int) -> Floats:
    """Net move over the sum of moves."""
    return np.minimum(divided(np.abs(x - shifted(x, min(period, len(x)))), _sums(np.abs(_steps(x)), period)), 1.0)


def imi(open_: Floats, close: Floats, period: int) -> Floats:
    """Share of the rising bodies."""
    body = close - open_
    return _share(np.maximum(body, 0.0), np.maximum(-body, 0.0), period)


def mfi(high: Floats, low: Floats, close: Floats, volume: Floats, period: int) -> Floats:
    """Share of the flow on bars whose typical price rose."""
    typical = high + low + close
    step, flow = steady(_steps(typical), typical), typical * volume
    rises, falls = np.where(step > 0.0, flow, 0.0), np.where(step < 0.0, flow, 0.0)
    rises[:1] = falls[:1] = np.nan
    return _share(rises, falls, period)


def _true_range(high: Floats, low: Floats, close: Floats) -> tuple[Floats, Floats]:
    """The true range and its lower end."""
    before = shifted(close, 1)
    bottom = np.minimum(low, before)
    return np.maximum(high, before) - bottom, bottom


def vortex(high: Floats, low: Floats, close: Floats, period: int) -> tuple[Floats, Floats]:
    """Movements up and down over the true range."""
    ranges = _sums(_true_range(high, low, close)[0], period)
    up, down = np.abs(high - shifted(low, 1)), np.abs(low - shifted(high, 1))
    return divided(_sums(up, period), ranges), divided(_sums(down, period), ranges)


def ultosc(high: Floats, low: Floats, close: Floats, fast: int, middle: int, slow: int) -> Floats:
    """Buying pressure over true range, weighted 4, 2, 1 from the shortest period to the longest."""
    ranges, bottom = _true_range(high, low, close)
    periods = sorted((fast, middle, slow))
    shares = [divided(_sums(close - bottom, n), _sums(ranges, n)) for n in periods]
    return 100.0 * (4.0 * shares[0] + 2.0 * shares[1] + shares[2]) / 7.0


def willr(high: Floats, low: Floats, close: Floats, period: int) -> Floats:
    """Distance from the top over the range."""
    top = highest(high, period)
    return -100.0 * divided(top - close, top - lowest(low, period))


def bop(open_: Floats, high: Floats, low: Floats, close: Floats) -> Floats:
    """Body over range."""
    return divided(close - open_, high - low)


def _deviating(rows: Floats) -> Floats:
    distances = rows - rows.mean(axis=1, keepdims=True)
    varies = rows.max(axis=1) > rows.min(axis=1)
    return np.where(varies, divided(distances[:, -1], 0.015 * np.abs(distances).mean(axis=1)), np.nan)


def cci(high: Floats, low: Floats, close: Floats, period: int) -> Floats:
    """Distance of the typical price from its mean, in mean absolute deviations."""
    return by_window(_deviating, period, high + low + close)


def aroon(high: Floats, low: Floats, period: int) -> tuple[Floats, Floats]:
    """Remaining percent of the period since the lowest low and since the highest high."""
    window = period + 1
    return tuple(
        100.0 * (period - since) / period
        for since in (bars_since_lowest(low, window), bars_since_highest(high, window))
    )  # pyright: ignore[reportReturnType] - two


def aroonosc(high: Floats, low: Floats, period: int) -> Floats:
    """Aroon up minus Aroon down."""
    down, up = aroon(high, low, period)
    return up - down


def _placed(x: Floats, low: Floats, high: Floats, period: int) -> Floats:
    """Position of a value in its range, in percent."""
    bottom = lowest(low, period)
    return 100.0 * divided(x - bottom, highest(high, period) - bottom)


def _smoothed(x: Floats, period: int) -> Floats:
    return over_known(lambda known: sma(known, period), x)


def stochf(high: Floats, low: Floats, close: Floats, k: int, d: int) -> tuple[Floats, Floats]:
    """Position of the close in its range, and its average."""
    fast = _placed(close, low, high, k)
    return fast, _smoothed(fast, d)


def stoch(high: Floats, low: Floats, close: Floats, k: int, smooth: int, d: int) -> tuple[Floats, Floats]:
    """The same, smoothed first."""
    slow = _smoothed(_placed(close, low, high, k), smooth)
    return slow, _smoothed(slow, d)


def kdj(high: Floats, low: Floats, close: Floats, k: int, smooth: int, d: int) -> tuple[Floats, Floats, Floats]:
    """The same with Wilder's smoothing."""
    slow = over_known(lambda known: _rma(known, smooth), _placed(close, low, high, k))
    signal = over_known(lambda known: _rma(known, d), slow)
    return slow, signal, 3.0 * slow - 2.0 * signal


def _rma(x: Floats, period: int) -> Floats:
    return x if period == 1 else talib.RMA(x, period)


def stochrsi(x: Floats, period: int, k: int, d: int) -> tuple[Floats, Floats]:
    """Position of the RSI in its range."""
    strength = np.round(rsi(x, period), 10)
    fast = over_known(lambda known: _placed(known, known, known, k), strength)
    return fast, _smoothed(fast, d)


def smi(high: Floats, low: Floats, close: Floats, *periods: int) -> tuple[Floats, Floats]:
    """Blau's index; the line starts before its signal."""
    period, fast, slow, signal = periods
    first, (line, average) = (
        talib.SMI(high, low, close, period, fast, slow, 2)[0],
        talib.SMI(high, low, close, *periods),
    )
    still = unmoved(high - low + np.abs(np.diff(close, prepend=close[:1])), 21 * (sum(periods) - 3))
    for each in (first, line, average):
        if still is not None:
            each[still & (high == low)] = np.nan
    return (first if signal > 2 else line), average


def macd(x: Floats, fast: int, slow: int, signal: int) -> tuple[Floats, Floats, Floats]:
    """Difference of two averages, its average, and their difference; the line starts before its signal."""
    line = talib.MACD(x, fast, slow, 1)[0]
    _, average, distance = talib.MACD(x, fast, slow, signal)
    return line, average, distance


def cmf(high: Floats, low: Floats, close: Floats, volume: Floats, period: int) -> Floats:
    """Volume weighted by the close's position in the bar, over all volume; a bar without a range adds only volume."""
    ranges = high - low
    place = np.nan_to_num(divided((close - low) - (high - close), ranges))
    out = divided(_sums(place * volume, period), _sums(volume, period))
    out[_sums(np.where(ranges > 0.0, volume, 0.0), period) == 0.0] = np.nan
    return out


def marketfi(high: Floats, low: Floats, volume: Floats) -> Floats:
    """Range over volume."""
    return divided(high - low, volume)


def vwap(high: Floats, low: Floats, close: Floats, volume: Floats) -> Floats:
    """Volume-weighted typical price since the first bar."""
    typical = (high + low + close) / 3.0
    value, amount = (np.cumsum(x, dtype=np.longdouble) for x in (typical * volume, volume))
    return divided(value.astype(np.float64), amount.astype(np.float64))


def coppock(x: Floats, smooth: int, fast: int, slow: int) -> Floats:
    """Weighted average of the sum of two rates of change."""
    return wma(talib.ROC(x, fast) + talib.ROC(x, slow), smooth)


IMPLEMENTATIONS: Final[dict[str, Callable[..., Any]]] = {
    function.__name__: function
    for function in (
        ichimoku, alligator, chandelier, kst, connors_rsi, stc, fisher, squeeze, choppiness, ulcer_index, parkinson,
        garman_klass, bb_width, bb_percent, rolling_vwap, eom, klinger, rsi, cmou, er, imi, mfi, vortex, ultosc, willr,
        bop, cci, aroon, aroonosc, stochf, stoch, kdj, stochrsi, smi, macd, cmf, marketfi, vwap, coppock,
    )
}  # fmt: skip

"""Crossings, counts and memory along a series, and time-based operators: UTC intervals and sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import talib

from engine.frame import Bools, Floats, Times

from .windows import Integers, divided, last_index, missing, segmented, shifted, shifted_condition


def crossover(a: Floats, b: Floats) -> Bools:
    """a rose above b on this bar."""
    out = np.zeros(len(a), dtype=np.bool_)
    out[1:] = (a[:-1] <= b[:-1]) & (a[1:] > b[1:])
    return out


def crossunder(a: Floats, b: Floats) -> Bools:
    """a fell below b on this bar."""
    return crossover(b, a)


def cross(a: Floats, b: Floats) -> Bools:
    """Either of the two."""
    return crossover(a, b) | crossover(b, a)


def _in_a_row(condition: Bools, period: int) -> Bools:
    """The condition held on each of the last `period` bars."""
    return np.arange(len(condition)) - last_index(~condition) >= period


def rising(x: Floats, period: int) -> Bools:
    """x rose on each of the last `period` bars."""
    return _in_a_row(x > shifted(x, 1), period)


def falling(x: Floats, period: int) -> Bools:
    """x fell on each of the last `period` bars."""
    return _in_a_row(x < shifted(x, 1), period)


def becomes(condition: Bools) -> Bools:
    """The condition holds and did not one bar ago."""
    return condition & ~shifted_condition(condition, 1)


def highest(x: Floats, period: int) -> Floats:
    """Highest of the last `period` values."""
    return x if period == 1 else talib.MAX(x, period)


def lowest(x: Floats, period: int) -> Floats:
    """Lowest of the last `period` values."""
    return x if period == 1 else talib.MIN(x, period)


def bars_since_highest(x: Floats, period: int) -> Floats:
    """Bars since the highest of the last `period` values; of equal ones the newest counts.

    The best of 2, 4, 8, ... values follows from the best of its two halves. A window is covered by two of those.
    """
    best = np.arange(len(x))
    reach = 1
    while 2 * reach <= period:
        best = _newer(x, best, reach)
        reach *= 2
    best = _newer(x, best, period - reach)
    out = (np.arange(len(x)) - best).astype(np.float64)
    out[: period - 1] = np.nan
    return out


def _newer(x: Floats, best: Integers, back: int) -> Integers:
    """The better of each bar's best index and that of the bar `back` earlier; the newer one if equal."""
    if not 0 < back < len(best):
        return best
    older = best[:-back]
    out = best.copy()
    out[back:] = np.where(x[best[back:]] >= x[older], best[back:], older)
    return out


def bars_since_lowest(x: Floats, period: int) -> Floats:
    """Bars since the lowest of the last `period` values; of equal ones the newest counts."""
    return bars_since_highest(-x, period)


def highest_since(condition: Bools, x: Floats) -> Floats:
    """Highest value since the condition last held."""
    return segmented(np.fmax, x, last_index(condition))


def lowest_since(condition: Bools, x: Floats) -> Floats:
    """Lowest value since the condition last held."""
    return segmented(np.fmin, x, last_index(condition))


def bars_since(condition: Bools) -> Floats:
    """Bars since the condition last held."""
    last = last_index(condition)
    return np.where(last < 0, np.nan, np.arange(len(condition)) - last)


def value_when(condition: Bools, x: Floats, occurrence: int) -> Floats:
    """x where the condition last held, skipping `occurrence` more recent occurrences."""
    places = np.flatnonzero(condition)
    nth = np.cumsum(condition) - 1 - occurrence
    out = missing(len(x))
    known = nth >= 0
    out[known] = x[places[nth[known]]]
    return out


def count_if(condition: Bools, period: int) -> Floats:
    """The number of the last `period` bars on which the condition held."""
    total = np.cumsum(condition).astype(np.float64)
    out = missing(len(condition))
    out[period - 1 :] = total[period - 1 :]
    out[period:] -= total[:-period]
    return out


def any_in(condition: Bools, period: int) -> Bools:
    """The condition held on one of the last `period` bars."""
    last = last_index(condition)
    return (last >= 0) & (np.arange(len(condition)) - last < period)


def lag(x: Floats | Bools, period: int) -> Floats | Bools:
    """The value `period` bars ago."""
    period = min(period, len(x))
    return (
        shifted_condition(x.astype(np.bool_), period) if x.dtype == np.bool_ else shifted(x.astype(np.float64), period)
    )


def _before(x: Floats, period: int) -> Floats:
    return shifted(x, min(period, len(x)))


def change(x: Floats, period: int) -> Floats:
    """Difference from `period` bars ago."""
    return x - _before(x, period)


def pct_change(x: Floats, period: int) -> Floats:
    """Relative difference from `period` bars ago."""
    return divided(x, _before(x, period)) - 1.0


def log_return(x: Floats, period: int) -> Floats:
    """Logarithm of the ratio to `period` bars ago."""
    with np.errstate(all="ignore"):
        out = np.log(divided(x, _before(x, period)))
    out[~np.isfinite(out)] = np.nan
    return out


def cum(x: Floats) -> Floats:
    """Sum since the first bar."""
    return np.nancumsum(x, dtype=np.longdouble).astype(np.float64)


def ffill(x: Floats) -> Floats:
    """The last known value."""
    last = last_index(~np.isnan(x))
    return np.where(last < 0, np.nan, x[np.maximum(last, 0)])


def drawdown(x: Floats, period: int) -> Floats:
    """Distance from the highest value."""
    return divided(x, highest(x, period)) - 1.0


def scale(x: Floats, period: int) -> Floats:
    """Position between the lowest and the highest value."""
    low = lowest(x, period)
    return divided(x - low, highest(x, period) - low)


def pivot(high: Floats, low: Floats, left: int, right: int) -> tuple[Floats, Floats]:
    """The last swing high and low that `right` later bars have confirmed."""
    return _swing(high, left, right, np.greater, highest), _swing(low, left, right, np.less, lowest)


def _swing(
    x: Floats,
    left: int,
    right: int,
    beyond: Callable[[Floats, Floats], Bools],
    extreme: Callable[[Floats, int], Floats],
) -> Floats:
    candidate = _before(x, right)
    after = extreme(x, right)
    before = _before(extreme(x, left), right + 1)
    return ffill(np.where(beyond(candidate, after) & beyond(candidate, before), candidate, np.nan))


_DAY: Final = 86_400
_MONDAY: Final = 4 * _DAY
"""The first Monday after the epoch."""

_UNITS: Final = {"m": 60, "h": 3600, "d": _DAY, "w": 7 * _DAY}


def _intervals(time: Times, interval: str) -> tuple[Integers, Bools]:
    """The number of each bar's interval, and whether the bar opens exactly with it."""
    if interval == "1M":
        months = time.astype("datetime64[s]").astype("datetime64[M]")
        begins = months.astype("datetime64[s]").astype(np.int64)
        return months.astype(np.int64), begins == time
    seconds = int(interval[:-1]) * _UNITS[interval[-1]]
    origin = _MONDAY if interval[-1] == "w" else 0
    return (time - origin) // seconds, (time - origin) % seconds == 0


def _starts(time: Times, interval: str) -> Bools:
    """The first bar of each interval; for the first loaded interval, only if the bar opens it."""
    numbers, exact = _intervals(time, interval)
    out = exact[:].copy()
    out[1:] |= numbers[1:] != numbers[:-1]
    return out


def every(time: Times, interval: str, offset_hours: float) -> Bools:
    """True on the first bar of each interval."""
    return _starts(time - round(offset_hours * 3600), interval)


def every_bars(number: Floats, period: int) -> Bools:
    """True on every `period`-th bar since 1970."""
    return number % period == 0


def _session(time: Times) -> Integers:
    return last_index(_starts(time, "1d"))


def session_vwap(high: Floats, low: Floats, close: Floats, volume: Floats, time: Times) -> Floats:
    """Volume-weighted typical price since midnight."""
    starts = _session(time)
    known = ~np.isnan(close)
    weights = np.where(known, volume, 0.0)
    typical = np.where(known, (high + low + close) / 3.0, 0.0)
    return divided(segmented(np.add, typical * weights, starts), segmented(np.add, weights, starts))


def session_high(high: Floats, time: Times) -> Floats:
    """Highest high since midnight."""
    return segmented(np.fmax, high, _session(time))


def session_low(low: Floats, time: Times) -> Floats:
    """Lowest low since midnight."""
    return segmented(np.fmin, low, _session(time))


def pivot_points(high: Floats, low: Floats, close: Floats, time: Times) -> tuple[Floats, ...]:
    """Floor-trader pivots of the previous day, if that day is complete."""
    begins = np.flatnonzero(_starts(time, "1d"))
    if len(begins) < 2:
        return tuple(missing(len(close)) for _ in range(5))
    known = ~np.isnan(close)
    last = last_index(known)[np.append(begins[1:], len(close)) - 1]
    day_close = np.where(last >= begins, close[np.maximum(last, 0)], np.nan)
    day_high, day_low = np.fmax.reduceat(high, begins), np.fmin.reduceat(low, begins)
    middle, width = (day_high + day_low + day_close) / 3.0, day_high - day_low
    levels = (middle, 2 * middle - day_low, 2 * middle - day_high, middle + width, middle - width)
    today = np.searchsorted(begins, np.arange(len(close)), side="right") - 1
    return tuple(np.where(today >= 1, level[np.maximum(today - 1, 0)], np.nan) for level in levels)


IMPLEMENTATIONS: Final[dict[str, Callable[..., Any]]] = {
    function.__name__: function
    for function in (
        crossover, crossunder, cross, rising, falling, becomes, highest, lowest, bars_since_highest, bars_since_lowest,
        highest_since, lowest_since, bars_since, value_when, count_if, any_in, lag, change, pct_change, log_return,
        cum, ffill, drawdown, scale, pivot,
        every, every_bars, session_vwap, session_high, session_low, pivot_points,
    )
} | {"all_in": _in_a_row}  # fmt: skip

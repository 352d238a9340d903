"""Operators that know the time of a bar: intervals of UTC time, and sessions that begin at midnight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from engine.frame import Bools, Floats, Times

from .windows import Integers, divided, last_index, missing, segmented

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
    """The first bar of each interval; of the first loaded one only if the bar opens it."""
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
    """Floor-trader pivots of the day before, where that day was seen whole."""
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
    for function in (every, every_bars, session_vwap, session_high, session_low, pivot_points)
}

"""Rolling windows and scans that need no future bar, drift by nothing, and stay within memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engine.frame import Bools, Floats

Integers = NDArray[np.int64]

_BLOCK: Final = 1 << 21
"""Values that one block of windows may hold."""


def missing(length: int) -> Floats:
    """A series without a value."""
    return np.full(length, np.nan)


def by_window(function: Callable[..., Floats], period: int, *series: Floats) -> Floats:
    """`function` of every full window, given as rows; missing before the first one."""
    length = len(series[0])
    out = missing(length)
    if length < period:
        return out
    views = [sliding_window_view(x, period) for x in series]
    rows = max(1, _BLOCK // period)
    for start in range(0, length - period + 1, rows):
        stop = min(start + rows, length - period + 1)
        out[start + period - 1 : stop + period - 1] = function(*(v[start:stop] for v in views))
    return out


def rolling_sum(x: Floats, period: int) -> Floats:
    """Sums of the last `period` values by additions only: no running total that drifts, linear in the length.

    Each window is the tail of one block of `period` values and the head of the next.
    """
    length = len(x)
    out = missing(length)
    if length < period:
        return out
    blocks = np.zeros(-(-length // period) * period)
    blocks[:length] = x
    blocks = blocks.reshape(-1, period)
    heads = blocks.cumsum(axis=1).ravel()
    tails = blocks[:, ::-1].cumsum(axis=1)[:, ::-1].ravel()
    last = np.arange(period - 1, length)
    first = last - period + 1
    out[period - 1 :] = np.where(first % period == 0, heads[last], tails[first] + heads[last])
    return out


def shifted(x: Floats, bars: int) -> Floats:
    """The series `bars` ago."""
    out = missing(len(x))
    out[bars:] = x[: len(x) - bars] if bars else x
    return out


def shifted_condition(condition: Bools, bars: int) -> Bools:
    """The condition `bars` ago; false before there was one."""
    out = np.zeros(len(condition), dtype=np.bool_)
    out[bars:] = condition[: len(condition) - bars] if bars else condition
    return out


def last_index(condition: Bools) -> Integers:
    """Index of the last bar where the condition held; -1 before it ever did."""
    indices = np.where(condition, np.arange(len(condition)), -1)
    return np.maximum.accumulate(indices) if len(indices) else indices


def segmented(combine: Callable[[Floats, Floats], Floats], x: Floats, starts: Integers) -> Floats:
    """Running `combine` that begins anew at each start; `starts` holds each bar's own, -1 for none (missing).

    Doubles the reach of every value in each of log2(length) passes.
    """
    out = x.copy()
    index = np.arange(len(x))
    reach = 1
    while reach < len(x):
        inside = np.flatnonzero((index - reach >= starts) & (index >= reach))
        if not len(inside):
            break
        out[inside] = combine(out[inside], out[inside - reach])
        reach *= 2
    out[starts < 0] = np.nan
    return out


def finite(x: Floats) -> Floats:
    """`x` with every value that is no finite number missing. Works in place."""
    x[~np.isfinite(x)] = np.nan
    return x


def divided(a: Floats, b: Floats) -> Floats:
    """a / b, missing where that is no finite number."""
    with np.errstate(all="ignore"):
        return finite(np.divide(a, b))

"""Rolling windows and statistics without lookahead, without drift, and with bounded memory."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engine.frame import Bools, Floats

Integers = NDArray[np.int64]

_BLOCK: Final = 1 << 21
"""Values that one block of windows may hold."""


class _NoDataFrames(MetaPathFinder):
    """Finds neither pandas nor polars for the thread that made it."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:  # noqa: ARG002 - the protocol's
        if fullname in ("pandas", "polars") and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{fullname} is not used here", name=fullname)


@contextmanager
def arrays_only() -> Generator[None]:
    """Import TA-Lib inside, for arrays only.

    It would also load pandas and polars where they are installed, which takes five times as long as TA-Lib itself.
    """
    finder = _NoDataFrames()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


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
    """Running `combine` that restarts at each start; `starts` holds the start of each bar, -1 for none (missing).

    Each of log2(length) passes doubles the reach of every value.
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
    """`x` with every non-finite value missing. Works in place."""
    x[~np.isfinite(x)] = np.nan
    return x


def divided(a: Floats, b: Floats) -> Floats:
    """a / b, missing where it is not finite."""
    with np.errstate(all="ignore"):
        return finite(np.divide(a, b))


_DIGITS: Final = 14
_PLACES: Final = range(-309, 339)
"""Decimal places to which a number of any size may be rounded."""
_UP: Final = np.array([float(f"1e{min(max(places, 0), 308)}") for places in _PLACES])
_DOWN: Final = np.array([float(f"1e{min(max(-places, 0), 308)}") for places in _PLACES])


def steady(x: Floats, *prices: Floats) -> Floats:
    """`x`, a price or a difference of prices, with rounding error removed.

    It is rounded to the 14 significant digits of the largest of itself and `prices`. If it then differs from a price by
    no more than that, it becomes that price. Values that are equal in decimals are therefore equal numbers.
    """
    scale = np.abs(x)
    for each in prices:
        scale = np.fmax(scale, np.abs(each))
    with np.errstate(all="ignore"):
        magnitude = np.floor(np.log10(scale))
        places = (_DIGITS - 1) - np.where(np.isfinite(magnitude), magnitude, 0.0).astype(np.int64) - _PLACES.start
        up, down = _UP[places], _DOWN[places]
        out = np.rint(x * up / down) / up * down
        for each in prices:
            out = np.where(np.abs(out - each) * up <= down, each, out)
    return np.where(np.isfinite(out), out + 0.0, x)


def over_known(function: Callable[[Floats], Floats], x: Floats) -> Floats:
    """`function` of the known values only, at their bars; missing on the other bars."""
    known = ~np.isnan(x)
    out = missing(len(x))
    if known.any():
        out[known] = function(np.ascontiguousarray(x[known]))
    return out


def unmoved(x: Floats, bars: int) -> Bools | None:
    """Where a series has not changed on the last `bars` bars, or since its beginning; None if there is no such bar.

    For most series a check of a few values is enough: a stretch of this length would contain two of them.
    """
    few = x[:: max(bars // 2, 1)]
    if len(x) < 2 or not ((few[1:] == few[:-1]).any() or x[0] == x[1]):
        return None
    changed = np.zeros(len(x), dtype=np.bool_)
    changed[1:] = x[1:] != x[:-1]
    last = last_index(changed)
    return (last < 0) | (np.arange(len(x)) - last >= bars)


def _centred(rows: Floats) -> Floats:
    return rows - rows.mean(axis=1, keepdims=True)


def _standardised(rows: Floats) -> Floats:
    deviations = _centred(rows)
    with np.errstate(all="ignore"):
        return deviations / np.sqrt((deviations * deviations).mean(axis=1, keepdims=True))


def _finite(rows: Floats) -> Floats:
    return np.where(np.isfinite(rows), rows, np.nan)


def _flat(rows: Floats) -> Floats:
    """Whether each window holds a single value, so that its deviations are only rounding errors."""
    return rows.max(axis=1) == rows.min(axis=1)


def _known(rows: Floats, result: Floats) -> Floats:
    return np.where(_flat(rows), np.nan, _finite(result))


def _zscores(rows: Floats) -> Floats:
    return _known(rows, _standardised(rows)[:, -1])


def zscore(x: Floats, period: int) -> Floats:
    """Distance from the mean in standard deviations."""
    return by_window(_zscores, period, x)


def _skews(rows: Floats) -> Floats:
    return _known(rows, (_standardised(rows) ** 3).mean(axis=1))


def skew(x: Floats, period: int) -> Floats:
    """Population skewness."""
    return by_window(_skews, period, x)


def _kurtoses(rows: Floats) -> Floats:
    return _known(rows, (_standardised(rows) ** 4).mean(axis=1) - 3.0)


def kurtosis(x: Floats, period: int) -> Floats:
    """Population excess kurtosis."""
    return by_window(_kurtoses, period, x)


def _explained(rows: Floats) -> Floats:
    time = np.arange(rows.shape[1], dtype=np.float64)
    time -= time.mean()
    deviations = _centred(rows)
    with np.errstate(all="ignore"):
        shared = (deviations @ time) ** 2 / ((time @ time) * (deviations * deviations).sum(axis=1))
    return np.minimum(_known(rows, shared), 1.0)


def r_squared(x: Floats, period: int) -> Floats:
    """Share of the variance explained by a straight line."""
    return by_window(_explained, period, x)


def _medians(rows: Floats) -> Floats:
    return np.median(rows, axis=1)


def median(x: Floats, period: int) -> Floats:
    """Median."""
    return by_window(_medians, period, x)


def beta(a: Floats, b: Floats, period: int) -> Floats:
    """Slope of a's returns on b's."""
    return by_window(_slopes, period, *(divided(x, shifted(x, 1)) - 1.0 for x in (a, b)))


def hedge_ratio(a: Floats, b: Floats, period: int) -> Floats:
    """Slope of a on b."""
    return by_window(_slopes, period, a, b)


def _slopes(a: Floats, b: Floats) -> Floats:
    deviations = _centred(b)
    with np.errstate(all="ignore"):
        slopes = (_centred(a) * deviations).sum(axis=1) / (deviations * deviations).sum(axis=1)
    return _known(b, slopes)


def zspread(a: Floats, b: Floats, period: int) -> Floats:
    """Z-score of the logarithm of a ratio."""
    with np.errstate(all="ignore"):
        logarithm = np.log(divided(a, b))
    return zscore(_finite(logarithm), period)


def _deviations(rows: Floats) -> Floats:
    return rows.std(axis=1, ddof=1)


def historical_volatility(x: Floats, period: int) -> Floats:
    """Standard deviation of log returns."""
    with np.errstate(all="ignore"):
        returns = _finite(np.log(divided(x, shifted(x, 1))))
    return by_window(_deviations, period, returns)


def alma(x: Floats, period: int, offset: float, sigma: float) -> Floats:
    """Average with Gaussian weights."""
    places = np.arange(period)
    weights = np.exp(-((places - offset * (period - 1)) ** 2) / (2 * (period / sigma) ** 2))
    weights /= weights.sum()

    def averages(rows: Floats) -> Floats:
        return (rows * weights).sum(axis=1)

    return by_window(averages, period, x)


def _ranks(rows: Floats) -> Floats:
    return 100.0 * (rows[:, :-1] <= rows[:, -1:]).sum(axis=1) / (rows.shape[1] - 1.0)


def rank_pct(x: Floats, period: int) -> Floats:
    """Percent of the earlier values that are not above this one."""
    return by_window(_ranks, period + 1, x)


def _spread(rows: Floats) -> Floats:
    return np.where(_flat(rows), 0.0, np.abs(_centred(rows)).mean(axis=1))


def avgdev(x: Floats, period: int) -> Floats:
    """Mean distance from the mean."""
    return by_window(_spread, period, x)


IMPLEMENTATIONS: Final[dict[str, Callable[..., Any]]] = {
    function.__name__: function
    for function in (
        rank_pct, avgdev, zscore, skew, kurtosis, r_squared, median, beta, hedge_ratio, zspread,
        historical_volatility, alma,
    )
}  # fmt: skip

"""Window averages, deviations and regressions whose values depend on the prices and not on rounding.

There is no running total. Every window is the tail of one block of `period` values and the head of the next. The sums
are over distances from the value where the two blocks meet. A window of equal values therefore gives exactly that
value, zero deviation and zero slope, however long the series before it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

import numpy as np

from engine.frame import Floats

from .windows import divided, missing, rolling_sum


class WindowSums:
    """Sums over all full windows of the last `period` values of a series, one for each bar from `period - 1` on.

    `centre` is the reference value of each window for the distances.
    """

    def __init__(self, x: Floats, period: int) -> None:
        length = len(x)
        blocks = np.full(-(-length // period) * period, x[-1])
        blocks[:length] = x
        blocks = blocks.reshape(-1, period)
        centres = blocks[:, :1].copy()
        self.period = period
        self._heads = blocks - centres
        self._tails = blocks - np.concatenate((centres[1:], centres[-1:]))
        self._last = np.arange(period - 1, length)
        self._first = self._last - period + 1
        self._whole = self._first % period == 0
        self.centre: Floats = centres[self._last // period, 0]

    def _joined(self, heads: Floats, tails: Floats) -> Floats:
        ahead = heads.cumsum(axis=1).ravel()[self._last]
        behind = tails[:, ::-1].cumsum(axis=1)[:, ::-1].ravel()[self._first]
        return ahead + np.where(self._whole, 0.0, behind)

    @cached_property
    def total(self) -> Floats:
        """Sum of the distances."""
        return self._joined(self._heads, self._tails)

    @property
    def mean(self) -> Floats:
        """Mean of the values."""
        return self.centre + self.total / self.period

    @cached_property
    def rising(self) -> Floats:
        """Sum of the distances, the oldest times 0, the next times 1, and so on."""
        places = np.arange(self.period, dtype=np.float64)
        placed = self._joined(self._heads * places, self._tails * (places - self.period))
        begins = np.where(self._whole, 0.0, self._first % self.period - float(self.period))
        return placed - begins * self.total

    def shared(self, other: WindowSums) -> Floats:
        """Sum of the products of both series' distances from their means; 0 where one of them does not vary."""
        together = self._joined(self._heads * other._heads, self._tails * other._tails)
        return together - self.total * other.total / self.period

    @property
    def slope(self) -> Floats:
        """Slope of the least-squares line, per bar."""
        n = self.period
        return (self.rising - 0.5 * (n - 1) * self.total) / (n * (n * n - 1.0) / 12.0)


def _windowed(of: Callable[[WindowSums], Floats], x: Floats, period: int) -> Floats:
    """`of` the full windows of a series; missing before the first known value and `period - 1` bars after it."""
    known = ~np.isnan(x)
    begins = int(np.argmax(known)) if len(x) else 0
    out = missing(len(x))
    if len(x) - begins >= period and known[begins:].all():
        out[begins + period - 1 :] = of(WindowSums(x[begins:], period))
    return out


def sma(x: Floats, period: int) -> Floats:
    """Mean."""
    return x.copy() if period == 1 else _windowed(lambda w: w.mean, x, period)


def total(x: Floats, period: int) -> Floats:
    """Sum."""
    return _windowed(lambda w: w.centre * w.period + w.total, x, period)


def wma(x: Floats, period: int) -> Floats:
    """Mean with weights 1 to `period`, the newest heaviest."""
    if period == 1:
        return x.copy()
    weight = 0.5 * period * (period + 1)
    return _windowed(lambda w: w.centre + (w.rising + w.total) / weight, x, period)


def trima(x: Floats, period: int) -> Floats:
    """Mean of means."""
    half = period // 2
    first, second = (half + 1, half + 1) if period % 2 else (half, half + 1)
    return sma(sma(x, first), second)


def hma(x: Floats, period: int) -> Floats:
    """Hull's average."""
    return wma(2.0 * wma(x, period // 2) - wma(x, period), int(np.sqrt(period)))


def var(x: Floats, period: int) -> Floats:
    """Population variance."""
    return _windowed(lambda w: np.maximum(w.shared(w), 0.0) / w.period, x, period)


def stddev(x: Floats, period: int) -> Floats:
    """Population standard deviation."""
    return np.sqrt(var(x, period))


def correlation(a: Floats, b: Floats, period: int) -> Floats:
    """Pearson's correlation; missing where one of the two does not vary."""
    first, second = WindowSums(a, period), WindowSums(b, period)
    spread = np.sqrt(np.maximum(first.shared(first), 0.0)) * np.sqrt(np.maximum(second.shared(second), 0.0))
    out = missing(len(a))
    out[period - 1 :] = np.clip(divided(first.shared(second), spread), -1.0, 1.0)
    return out


def bbands(x: Floats, period: int, deviations: float) -> tuple[Floats, Floats, Floats]:
    """Bollinger's bands."""
    middle, width = sma(x, period), deviations * stddev(x, period)
    return middle + width, middle, middle - width


def accbands(high: Floats, low: Floats, close: Floats, period: int) -> tuple[Floats, Floats, Floats]:
    """Headley's bands; bars without prices above 0 are not widened."""
    total_, width = high + low, 4.0 * (high - low)
    share = np.where(total_ != 0.0, np.divide(width, total_, out=np.zeros(len(high)), where=total_ != 0.0), 0.0)
    return sma(high * (1.0 + share), period), sma(close, period), sma(low * (1.0 - share), period)


def slope(x: Floats, period: int) -> Floats:
    """Slope of the least-squares line."""
    return _windowed(lambda w: w.slope, x, period)


def linearreg_angle(x: Floats, period: int) -> Floats:
    """Its angle in degrees."""
    return np.degrees(np.arctan(slope(x, period)))


def _on_line(x: Floats, period: int, place: float) -> Floats:
    return _windowed(lambda w: w.mean + w.slope * (place - 0.5 * (period - 1)), x, period)


def linearreg(x: Floats, period: int) -> Floats:
    """End of the least-squares line."""
    return _on_line(x, period, period - 1)


def linearreg_intercept(x: Floats, period: int) -> Floats:
    """Its start."""
    return _on_line(x, period, 0)


def tsf(x: Floats, period: int) -> Floats:
    """The line one bar ahead."""
    return _on_line(x, period, period)


def dpo(x: Floats, period: int) -> Floats:
    """The value half a period ago minus the average."""
    ago = min(period // 2 + 1, len(x))
    before = missing(len(x))
    before[ago:] = x[: len(x) - ago]
    return before - sma(x, period)


def ao(high: Floats, low: Floats, fast: int, slow: int) -> Floats:
    """Difference of two averages of the middle of the bars."""
    middle = (high + low) / 2.0
    return sma(middle, fast) - sma(middle, slow)


def ac(high: Floats, low: Floats, fast: int, slow: int, signal: int) -> Floats:
    """The awesome oscillator minus its average."""
    line = ao(high, low, fast, slow)
    return line - sma(line, signal)


def vwma(x: Floats, volume: Floats, period: int) -> Floats:
    """Average weighted by volume; missing where nothing was traded."""
    return divided(rolling_sum(x * volume, period), rolling_sum(volume, period))


def qstick(open_: Floats, close: Floats, period: int) -> Floats:
    """Average body."""
    return sma(close - open_, period)


def adr(high: Floats, low: Floats, period: int) -> Floats:
    """Average range."""
    return sma(high - low, period)


IMPLEMENTATIONS: Final[dict[str, Callable[..., Any]]] = {
    function.__name__: function
    for function in (
        sma, wma, trima, hma, var, stddev, correlation, bbands, accbands, slope, linearreg_angle, linearreg,
        linearreg_intercept, tsf, dpo, ao, ac, vwma, qstick, adr,
    )
} | {"sum": total}  # fmt: skip

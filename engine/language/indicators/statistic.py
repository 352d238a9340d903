"""Rolling statistics that TA-Lib lacks, computed window by window so that large prices cost no digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from engine.frame import Floats

from .windows import by_window, divided, shifted


def _centred(rows: Floats) -> Floats:
    return rows - rows.mean(axis=1, keepdims=True)


def _standardised(rows: Floats) -> Floats:
    deviations = _centred(rows)
    with np.errstate(all="ignore"):
        return deviations / np.sqrt((deviations * deviations).mean(axis=1, keepdims=True))


def _finite(rows: Floats) -> Floats:
    return np.where(np.isfinite(rows), rows, np.nan)


def _flat(rows: Floats) -> Floats:
    """Whether each window holds one value only, whose deviations are rounding errors and nothing else."""
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
    """Share of the variance that a straight line explains."""
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


IMPLEMENTATIONS: Final[dict[str, Callable[..., Any]]] = {
    function.__name__: function
    for function in (
        zscore, skew, kurtosis, r_squared, median, beta, hedge_ratio, zspread, historical_volatility, alma,
    )
}  # fmt: skip

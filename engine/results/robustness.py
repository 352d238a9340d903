"""How much of a result may be luck after many tried variants: the deflated Sharpe ratio.

Bailey and Lopez de Prado, "The Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest Overfitting and
Non-Normality", Journal of Portfolio Management 40 (5), 2014.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist, variance
from typing import Any, Final

from engine.frame import Floats

EULER_MASCHERONI: Final = 0.577_215_664_901_532_9
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class Moments:
    """Shape of a sample of returns. `sharpe` is per period, not annualised; `kurtosis` is 3 for a normal sample."""

    size: int
    sharpe: float
    skewness: float
    kurtosis: float


def moments(returns: Floats) -> Moments | None:
    """The moments of a sample; None where the returns do not vary."""
    size = len(returns)
    if size < 2:
        return None
    mean = float(returns.mean())
    deviations = returns - mean
    squares = deviations * deviations
    variance = float(squares.mean())
    if not variance > 0.0:
        return None
    third, fourth = float((squares * deviations).mean()), float((squares * squares).mean())
    skewness, kurtosis = third / variance**1.5, fourth / variance**2
    sharpe = mean / math.sqrt(variance * size / (size - 1))
    if not all(math.isfinite(value) for value in (sharpe, skewness, kurtosis)):
        return None
    return Moments(size, sharpe, skewness, kurtosis)


def expected_maximum_sharpe(trials: int, variance: float) -> float:
    """The expected best Sharpe ratio of `trials` strategies without skill whose ratios have this variance."""
    if trials < 2:
        return 0.0
    first = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    second = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * ((1.0 - EULER_MASCHERONI) * first + EULER_MASCHERONI * second)


def probabilistic_sharpe(sample: Moments, benchmark: float) -> float | None:
    """The probability that the true Sharpe ratio per period is above `benchmark`."""
    s = sample.sharpe
    spread = 1.0 - sample.skewness * s + (sample.kurtosis - 1.0) / 4.0 * s * s
    if spread <= 0.0:
        return None
    return _NORMAL.cdf((s - benchmark) * math.sqrt(sample.size - 1) / math.sqrt(spread))


def deflated_sharpe(sample: Moments, trials: int, variance: float | None = None) -> float | None:
    """The probability that there is skill, given that this was the best of `trials` variants.

    Args:
        sample: Moments of the returns of the variant chosen.
        trials: Independent variants tried, this one included.
        variance: Of the Sharpe ratios per period over the variants. The default is the sampling variance for a strategy
            without skill, 1 / (periods - 1).
    """
    spread = 1.0 / (sample.size - 1) if variance is None else variance
    return probabilistic_sharpe(sample, expected_maximum_sharpe(trials, spread))


def robustness(metrics: Mapping[str, Any], variant: str, tried: Mapping[str, float | None]) -> dict[str, Any]:
    """The search behind a result: variants tried, the deflated Sharpe ratio, and the best ratio expected by luck alone.

    Args:
        metrics: Of the result, as stored.
        variant: The name of its strategy.
        tried: Annualised Sharpe ratio of every strategy tried on the same universe and range.
    """
    trials = len({variant, *tried})
    found: dict[str, Any] = {"variants_tried": trials}
    yearly, sharpe = metrics["periods_per_year"], metrics["sharpe_ratio"]
    shape = (metrics["skewness"], metrics["kurtosis"])
    if sharpe is None or None in shape:
        return found
    sample = Moments(metrics["bars"], sharpe / math.sqrt(yearly), *shape)
    ratios = [ratio / math.sqrt(yearly) for ratio in tried.values() if ratio is not None]
    spread = variance(ratios) if len(ratios) > 2 else 1.0 / (sample.size - 1)
    return {
        **found,
        "deflated_sharpe_ratio": deflated_sharpe(sample, trials, spread),
        "expected_max_sharpe": expected_maximum_sharpe(trials, spread) * math.sqrt(yearly),
    }

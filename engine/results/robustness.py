"""How much of a result may be the luck of having tried many variants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import variance
from typing import Any

from .deflated import Moments, deflated_sharpe, expected_maximum_sharpe


def robustness(metrics: Mapping[str, Any], variant: str, tried: Mapping[str, float | None]) -> dict[str, Any]:
    """The search behind a result: variants tried, the deflated Sharpe ratio, and what luck alone would have found.

    Args:
        metrics: Of the result, as stored.
        variant: Which strategy it is.
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

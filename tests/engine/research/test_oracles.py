"""The statistics of research beside independent libraries: arch, quantstats and skfolio.

Only this file imports them, so that one process of a test run loads them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.research.statistics import BootstrapIntervals, block_length, bootstrap_rows, overfitting, sharpe_ratios
from engine.results.metrics import measure_curve
from engine.results.robustness import (
    deflated_sharpe,
    expected_maximum_sharpe,
    moments,
    probabilistic_sharpe,
)

Floats = NDArray[np.float64]
DAY = 86_400


def dependent(seed: int, size: int, share: float) -> Floats:
    """Daily returns of which a share carries over to the next day."""
    drawn = np.random.default_rng(seed).normal(0.0005, 0.01, size)
    for day in range(1, size):
        drawn[day] += share * drawn[day - 1]
    return drawn


@pytest.mark.parametrize("share", [0.0, 0.3, -0.4])
@pytest.mark.parametrize("size", [60, 365, 1_500])
def test_the_block_length_is_that_of_arch(size: int, share: float) -> None:
    """Where dependence is strong, arch's correlations, which it divides by other norms, can keep another lag."""
    arch: Any = pytest.importorskip("arch.bootstrap")
    for seed in range(2):
        returns = dependent(seed, size, share)
        expected = float(arch.optimal_block_length(returns)["stationary"].iloc[0])

        assert block_length(returns) == pytest.approx(max(1.0, expected), rel=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_bootstrap_intervals_are_those_of_arch(share: float) -> None:
    """Both draw 4,000 histories with other random numbers; the ends of the intervals differ by a few percent."""
    arch: Any = pytest.importorskip("arch.bootstrap")
    returns = dependent(3, 400, share)
    ours = BootstrapIntervals.of(bootstrap_rows(returns, 365.0, np.random.default_rng(1), 4_000))
    bootstrap = arch.StationaryBootstrap(max(1, round(block_length(returns))), returns, seed=2)
    drawn = np.stack([history for (history,), _ in bootstrap.bootstrap(4_000)])
    whole = 100.0 * (np.prod(1.0 + drawn, axis=1) - 1.0)
    sharpe = math.sqrt(365.0) * drawn.mean(axis=1) / drawn.std(axis=1, ddof=1)

    assert ours.sharpe_ratio is not None
    for found, theirs in ((ours.return_pct, whole), (ours.sharpe_ratio, sharpe)):
        low, high = np.percentile(theirs, (2.5, 97.5))
        width = high - low
        assert found.low == pytest.approx(low, abs=0.05 * width)
        assert found.high == pytest.approx(high, abs=0.05 * width)


def test_figures_of_a_curve_are_those_of_quantstats() -> None:
    stats: Any = pytest.importorskip("quantstats.stats")
    pandas: Any = pytest.importorskip("pandas")
    for seed in range(3):
        returns = dependent(seed, 730, 0.1)
        series = pandas.Series(returns, index=pandas.date_range("2023-01-01", periods=len(returns)))
        equity: Floats = np.cumprod(1.0 + returns).astype(np.float64)
        found = measure_curve(equity, 1.0, DAY)

        assert found.sharpe_ratio == pytest.approx(float(stats.sharpe(series, periods=365)), rel=1e-9)
        assert found.sortino_ratio == pytest.approx(float(stats.sortino(series, periods=365)), rel=1e-9)
        assert found.volatility == pytest.approx(float(stats.volatility(series, periods=365)), rel=1e-9)
        assert found.max_drawdown == pytest.approx(float(stats.max_drawdown(series)), rel=1e-9)
        assert found.total_return_pct == pytest.approx(100.0 * float(stats.comp(series)), rel=1e-9)


def test_sharpe_probabilities_are_those_of_skfolio() -> None:
    measures: Any = pytest.importorskip("skfolio.measures")
    table = np.stack([dependent(seed, 500, 0.2) for seed in range(20)])
    ratios = sharpe_ratios(table)
    spread = float(ratios.var(ddof=1))
    assert expected_maximum_sharpe(20, spread) == pytest.approx(
        measures.expected_max_sharpe_ratio(20, math.sqrt(spread)), abs=1e-6
    )
    for returns in table[:5]:
        known = moments(returns)
        assert known is not None
        assert probabilistic_sharpe(known, 0.0) == pytest.approx(
            float(measures.probabilistic_sharpe_ratio(returns)), abs=1e-6
        )
        assert deflated_sharpe(known, 20, spread) == pytest.approx(
            float(measures.deflated_sharpe_ratio(returns, ratios)), abs=1e-6
        )


def test_overfitting_is_that_of_the_splits_of_skfolio() -> None:
    """Every split of skfolio's combinatorial cross-validation, ranked one by one with SciPy."""
    splitter: Any = pytest.importorskip("skfolio.model_selection")
    stats: Any = pytest.importorskip("scipy.stats")
    table = np.random.default_rng(4).normal(0.0, 0.01, (7, 32))
    lost: list[float] = []
    for train, tests in splitter.CombinatorialPurgedCV(n_folds=8, n_test_folds=4).split(table.T):
        test = np.concatenate(tests)
        inside, outside = (table[:, part].mean(axis=1) / table[:, part].std(axis=1) for part in (train, test))
        share = stats.rankdata(outside)[inside.argmax()] / (len(table) + 1)
        lost.append(1.0 if share < 0.5 else 0.5 if share == 0.5 else 0.0)

    assert overfitting(table) == (pytest.approx(np.mean(lost), abs=1e-12), len(lost))

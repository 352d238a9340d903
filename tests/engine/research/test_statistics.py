"""The statistics of a search: known values from an independent library, and laws over noise and skill."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.research.statistics import (
    BootstrapIntervals,
    WalkForwardWindows,
    bootstrap_rows,
    luck_of,
    overfitting,
    scores,
    sharpe_ratios,
    trade_reshuffle,
    walk_forward,
)
from engine.results.robustness import Moments, deflated_sharpe, expected_maximum_sharpe, moments, probabilistic_sharpe

DAYS = 365.0


def noise(seed: int, variants: int = 200, periods: int = 730) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(0.0, 0.02, (variants, periods))


def test_noise_is_overfitted_half_of_the_time_on_average() -> None:
    found = [overfitting(noise(seed, 200, 480))[0] for seed in range(8)]

    assert np.mean([value for value in found if value is not None]) == pytest.approx(0.5, abs=0.05)


def test_noise_survives_the_deflated_sharpe_ratio_in_at_most_one_search_of_twenty() -> None:
    passed = 0
    for seed in range(200):
        table = noise(seed, 200, 365)
        best = int(scores(table, "sharpe_ratio").argmax())
        deflated = deflated_sharpe(_known(table[best]), 200, float(sharpe_ratios(table).var(ddof=1)))
        passed += (deflated or 0.0) >= 0.95

    assert passed <= 10


def waves(row: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """300 returns that any language can reproduce."""
    i = np.arange(300.0)
    return 0.01 * np.sin(i * (1.3 + 0.37 * row)) + 0.006 * np.cos(i * i * (0.01 + row * 0.003)) + 0.0004 * row


def _known(returns: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Moments:
    found = moments(returns)
    assert found is not None
    return found


def test_the_sharpe_probabilities_are_those_of_skfolio() -> None:
    """skfolio 1.12.2: `probabilistic_sharpe_ratio`, `deflated_sharpe_ratio` and `expected_max_sharpe_ratio`."""
    table = np.stack([waves(row) for row in range(12)])
    spread = float(sharpe_ratios(table).var(ddof=1))
    third, seventh, tenth = (_known(table[row]) for row in (3, 7, 10))

    assert probabilistic_sharpe(third, 0.0) == pytest.approx(0.9832644862641159, abs=1e-6)
    assert deflated_sharpe(seventh, 12, spread) == pytest.approx(0.6211200408427491, abs=1e-6)
    assert deflated_sharpe(tenth, 12, spread) == pytest.approx(0.999974721562463, abs=1e-6)
    assert expected_maximum_sharpe(12, spread) == pytest.approx(0.29087977269466814, abs=1e-9)


def test_one_true_strategy_among_200_is_found_and_distinguished_from_luck() -> None:
    table = noise(3)
    table[77] += 0.02 * 0.25
    best = int(scores(table, "sharpe_ratio").argmax())
    luck = luck_of(table, best, DAYS, 200)

    assert best == 77
    assert luck.deflated_sharpe_ratio is not None
    assert luck.deflated_sharpe_ratio > 0.95
    assert luck.probability_of_backtest_overfitting is not None
    assert luck.probability_of_backtest_overfitting < 0.05


def test_a_single_variant_or_a_few_periods_have_no_probability_of_overfitting() -> None:
    assert overfitting(noise(1, 1, 500)) == (None, 0)
    assert overfitting(noise(1, 50, 12)) == (None, 0)


def test_splits_are_all_halves_of_the_blocks() -> None:
    assert overfitting(noise(1, 5, 500))[1] == math.comb(16, 8)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1_000),
    train=st.integers(20, 60),
    test=st.integers(5, 30),
    gap=st.integers(0, 10),
    anchored=st.booleans(),
)
def test_edges_in_the_gap_in_the_test_or_after_it_gain_nothing(
    seed: int, train: int, test: int, gap: int, anchored: bool
) -> None:
    table = noise(seed, 12, 160)
    windows = WalkForwardWindows(train, test, gap, anchored)
    plain = walk_forward(table, windows, "sharpe_ratio")
    for number, fold in enumerate(plain.folds):
        seen = table.copy()
        seen[seed % 12, fold.train_end :] = 0.5  # this variant knows everything from the end of training on
        assert walk_forward(seen, windows, "sharpe_ratio").folds[number].chosen == fold.chosen
        assert fold.test_start - fold.train_end == gap


def test_out_of_sample_returns_are_those_of_the_chosen_row_stitched_in_order() -> None:
    table = noise(8, 6, 100)
    walked = walk_forward(table, WalkForwardWindows(40, 20, 3), "total_return_pct")
    expected = [table[fold.chosen, fold.test_start : fold.test_end] for fold in walked.folds]

    assert [fold.test_start for fold in walked.folds] == [40, 60, 80]
    assert [fold.train_start for fold in walked.folds] == [0, 20, 40]
    np.testing.assert_array_equal(walked.returns, np.concatenate(expected))


def test_a_reshuffled_history_of_two_trades_has_the_drawdowns_of_both_orders() -> None:
    found = trade_reshuffle(np.array([-50.0, 100.0]), 100.0, np.random.default_rng(1), 2_000)

    assert set(found.tolist()) == {-0.5, -0.25}


def test_bootstrap_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(11)
    mean, size, covered, tries = 0.001, 200, 0, 300
    truth = 100.0 * ((1.0 + mean) ** size - 1.0)
    for _ in range(tries):
        sample = rng.normal(mean, 0.01, size)
        found = BootstrapIntervals.of(bootstrap_rows(sample, DAYS, rng, 300)).return_pct
        covered += found.low <= truth <= found.high

    assert covered / tries == pytest.approx(0.95, abs=0.035)

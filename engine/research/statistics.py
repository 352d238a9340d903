"""Statistics over a table of returns: how much of the best variant is luck, how it does on later data, and how certain
a figure is.

A table has one row per variant and one column per period. Everything here is a pure function of its arguments.

Walk-forward chooses on the past, trades the period that follows, and moves on. The traded periods form the
out-of-sample curve. A gap separates each training window from the test that follows. It is as long as the indicators'
warm-up plus the longest holding time, so that no trade and no indicator value belongs to both. Data in the gap, in the
test and after it cannot change the choice; the tests check this.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from engine.frame import Floats
from engine.results.robustness import deflated_sharpe, expected_maximum_sharpe, moments

if TYPE_CHECKING:
    from api.research import Objective

Table = NDArray[np.float64]

_CELLS: Final = 12_000
"""Numbers that one step over the splits holds, so that they stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Luck:
    """How much of a search's result is due to chance.

    Attributes:
        probability_of_backtest_overfitting: How often, over the splits of CSCV, the best variant of one half of the
            time is below the median of all variants in the other half; `None` with too few periods or variants.
        deflated_sharpe_ratio: Probability that the best variant's true Sharpe ratio is above zero, given the search.
        expected_max_sharpe: Expected best annualised Sharpe ratio of this many variants without skill.
        splits: Number of splits compared.
    """

    probability_of_backtest_overfitting: float | None
    deflated_sharpe_ratio: float | None
    expected_max_sharpe: float | None
    splits: int


def luck_of(table: Table, best: int, per_year: float, trials: int) -> Luck:
    """Judge the search that chose row `best` of the table, which has `per_year` columns per year, after `trials`."""
    sample = moments(table[best])
    ratios = sharpe_ratios(table)
    known = ratios[np.isfinite(ratios)]
    spread = float(known.var(ddof=1)) if len(known) > 2 else None
    pbo, splits = overfitting(table)
    if sample is None:
        return Luck(pbo, None, None, splits)
    variance = 1.0 / (sample.size - 1) if spread is None else spread
    return Luck(
        probability_of_backtest_overfitting=pbo,
        deflated_sharpe_ratio=deflated_sharpe(sample, trials, variance),
        expected_max_sharpe=expected_maximum_sharpe(trials, variance) * math.sqrt(per_year),
        splits=splits,
    )


def sharpe_ratios(table: Table) -> Floats:
    """Mean over standard deviation (n - 1) of each row; NaN where a row does not vary."""
    deviation = table.std(axis=1, ddof=1)
    return np.divide(table.mean(axis=1), deviation, out=np.full(len(table), np.nan), where=deviation > 1e-15)


def overfitting(table: Table) -> tuple[float | None, int]:
    """The probability of backtest overfitting by combinatorially symmetric cross-validation, and the splits used.

    Bailey, Borwein, Lopez de Prado and Zhu, "The Probability of Backtest Overfitting", Journal of Computational Finance
    20 (4), 2016. The time is cut into an even number of blocks, and each half of the blocks is the training set once.
    Variants are ranked by Sharpe ratio; ties share their rank, and a variant that does not vary ranks as 0.
    """
    rows, periods = table.shape
    blocks = _blocks(rows, periods)
    if rows < 2 or blocks < 4:
        return None, 0
    sums, squares, size = _block_sums(table, blocks)
    # Each split is the training set once and the test once, so the splits with the first block are enough.
    rest = combinations(range(1, blocks), blocks // 2 - 1)
    chosen = np.array([(0, *others) for others in rest], dtype=np.intp)
    lost = 0.0
    for part in _parts(len(chosen), rows):
        inside = np.zeros((len(chosen[part]), blocks))
        np.put_along_axis(inside, chosen[part], 1.0, axis=1)
        outside = 1.0 - inside
        first = _ratios(inside @ sums, inside @ squares, inside @ size)
        second = _ratios(outside @ sums, outside @ squares, outside @ size)
        lost += _losses(first, second) + _losses(second, first)
    return lost / (2 * len(chosen)), 2 * len(chosen)


def _losses(train: Table, test: Table) -> float:
    """In how many splits the best of training is below the median of the test; a tie with it counts half."""
    best = train.argmax(axis=1)
    own = np.take_along_axis(test, best[:, None], axis=1)
    below = np.count_nonzero(test < own, axis=1)
    equal = np.count_nonzero(test == own, axis=1)
    rank = (below + 0.5 * (equal + 1)) / (test.shape[1] + 1)
    return float(np.count_nonzero(rank < 0.5)) + 0.5 * float(np.count_nonzero(rank == 0.5))


def _blocks(rows: int, periods: int) -> int:
    """An even number of blocks: many splits where they are cheap, and at least four periods in each block."""
    most = 16 if rows <= 250 else 14 if rows < 1_000 else 12 if rows <= 5_000 else 10
    return min(most, periods // 4 // 2 * 2)


def _parts(count: int, rows: int) -> Iterator[slice]:
    step = max(1, _CELLS // rows)
    return (slice(start, start + step) for start in range(0, count, step))


def _block_sums(table: Table, blocks: int) -> tuple[Table, Table, Floats]:
    """Sums and sums of squares of each block, blocks by variants, and the periods of each block."""
    edges = np.arange(blocks + 1, dtype=np.int64) * table.shape[1] // blocks
    sums = np.add.reduceat(table, edges[:-1], axis=1).T
    squares = np.add.reduceat(table * table, edges[:-1], axis=1).T
    return sums, squares, np.diff(edges).astype(np.float64)


def _ratios(total: Table, squares: Table, size: Floats) -> Table:
    """Sharpe ratios from sums; a variant that did not vary has 0."""
    size = size[:, None]
    mean = total / size
    power = squares / size
    variance = mean * mean
    np.subtract(power, variance, out=variance)
    variance[variance <= 1e-12 * power] = np.inf
    return mean / np.sqrt(variance)


def scores(table: Table, objective: Objective) -> Floats:
    """The objective of each row, not annualised: only its order counts. Undefined values are minus infinity."""
    with np.errstate(all="ignore"):
        match objective:
            case "sharpe_ratio":
                found = sharpe_ratios(table)
            case "sortino_ratio":
                downside = np.sqrt((np.minimum(table, 0.0) ** 2).mean(axis=1))
                found = table.mean(axis=1) / downside
            case "total_return_pct":
                found = np.log1p(np.maximum(table, -1.0)).sum(axis=1)
            case "calmar_ratio":
                growth = np.log1p(np.maximum(table, -1.0)).sum(axis=1)
                found = growth / -depths(table)
    return np.where(np.isfinite(found), found, -np.inf)


def depths(table: Table) -> Floats:
    """The deepest fall from a peak in each row, the start included; 0 or negative."""
    curve = np.cumprod(1.0 + table, axis=1)
    peak = np.maximum(np.maximum.accumulate(curve, axis=1), 1.0)
    return np.minimum((curve / peak).min(axis=1) - 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class ConfidenceInterval:
    """A figure with its central 95 % interval: `low` and `high` are the 2.5 % and 97.5 % quantiles."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Floats) -> ConfidenceInterval:
        """The quantiles of a sample of n values: the k-th value is the quantile k / (n + 1)."""
        low, median, high = np.quantile(values, (0.025, 0.5, 0.975), method="weibull").tolist()
        return cls(low, median, high)


@dataclass(frozen=True, slots=True)
class BootstrapIntervals:
    """Intervals over many simulated histories. Return in percent, drawdown a fraction, Sharpe annualised."""

    return_pct: ConfidenceInterval
    max_drawdown: ConfidenceInterval
    sharpe_ratio: ConfidenceInterval | None

    @classmethod
    def of(cls, drawn: Table) -> BootstrapIntervals:
        """The intervals of rows of `bootstrap_rows`."""
        ratios = drawn[2][np.isfinite(drawn[2])]
        return cls(
            ConfidenceInterval.of(drawn[0]),
            ConfidenceInterval.of(drawn[1]),
            ConfidenceInterval.of(ratios) if len(ratios) else None,
        )


def bootstrap_rows(returns: Floats, per_year: float, rng: np.random.Generator, runs: int) -> Table:
    """Histories made of blocks of the real one, which keeps the order of days within a block.

    Politis and Romano, "The Stationary Bootstrap", Journal of the American Statistical Association 89, 1994: blocks
    begin anywhere, their lengths are geometric with mean `block_length`, and the end is followed by the beginning.

    Returns:
        Three rows, one column per history: return in percent, deepest drawdown, annualised Sharpe ratio (NaN:
        undefined).
    """
    size = len(returns)
    length = block_length(returns)
    begins = rng.random((runs, size)) < 1.0 / length
    begins[:, 0] = True
    starts = rng.integers(0, size, (runs, size))
    position = np.arange(size)
    last = np.maximum.accumulate(np.where(begins, position, 0), axis=1)
    drawn = returns[(np.take_along_axis(starts, last, axis=1) + position - last) % size]
    growth = 100.0 * (np.prod(1.0 + drawn, axis=1) - 1.0)
    return np.stack((growth, depths(drawn), sharpe_ratios(drawn) * math.sqrt(per_year)))


def block_length(returns: Floats) -> float:
    """The mean length of blocks that keeps the dependence of the returns, in periods: about 1 for independent ones.

    Politis and White, "Automatic Block-Length Selection for the Dependent Bootstrap", Econometric Reviews 23, 2004,
    with the correction of Patton, Politis and White, Econometric Reviews 28, 2009.
    """
    size = len(returns)
    if size < 8:
        return 1.0
    spread = returns - returns.mean()
    run = max(5, int(math.log10(size)))
    lags = min(math.ceil(math.sqrt(size)) + run, size - 1)
    covariance = np.array([spread[lag:] @ spread[: size - lag] for lag in range(lags + 1)]) / size
    if covariance[0] <= 1e-30:
        return 1.0
    small = np.abs(covariance / covariance[0]) < 2.0 * math.sqrt(math.log10(size) / size)
    starts = np.flatnonzero(np.lib.stride_tricks.sliding_window_view(small[:-1], run).all(axis=1))
    most = min(2 * max(int(starts[0]), 1), lags) if len(starts) else lags
    lag = np.arange(1, most + 1)
    weight = np.minimum(1.0, 2.0 * (1.0 - lag / most))
    slope = 2.0 * float((weight * lag * covariance[1 : most + 1]).sum())
    density = float(covariance[0] + 2.0 * (weight * covariance[1 : most + 1]).sum())
    longest = math.ceil(min(3.0 * math.sqrt(size), size / 3.0))
    if density == 0.0:
        return float(longest)
    return min(max(1.0, (slope * slope / (density * density) * size) ** (1.0 / 3.0)), float(longest))


def trade_reshuffle(profits: Floats, cash: float, rng: np.random.Generator, runs: int) -> Floats:
    """The deepest drawdown of each of `runs` histories with the same trades in another order; fractions, 0 or below."""
    order = rng.permuted(np.broadcast_to(profits, (runs, len(profits))), axis=1)
    curve = cash + np.cumsum(order, axis=1)
    peak = np.maximum(np.maximum.accumulate(curve, axis=1), cash)
    return np.minimum((curve / peak).min(axis=1) - 1.0, 0.0)


MIN_TRAIN = 8
"""Periods of a training window below which nothing can be chosen."""


@dataclass(frozen=True, slots=True)
class WalkForwardWindows:
    """Lengths in periods. `anchored`: every training window begins at the first period."""

    train: int
    test: int
    gap: int
    anchored: bool = False


@dataclass(frozen=True, slots=True)
class Fold:
    """One step: trained on [train_start, train_end), tested on [test_start, test_end), with the row chosen."""

    train_start: int
    train_end: int
    test_start: int
    test_end: int
    chosen: int


@dataclass(frozen=True, slots=True)
class WalkForward:
    """The folds, and the returns of the chosen variants, one test after the other.

    `gap_was_cut`: the gap before each test is shorter than warm-up plus longest holding time.
    """

    folds: tuple[Fold, ...]
    returns: Floats
    chosen_in_training: Floats
    gap_was_cut: bool = False


def walk_forward(table: Table, windows: WalkForwardWindows, objective: Objective) -> WalkForward:
    """Walk over a table of returns, variants by periods. Without folds if the table is too short for one."""
    folds: list[Fold] = []
    tested: list[Floats] = []
    trained: list[Floats] = []
    for start in range(windows.train, table.shape[1] - max(1, windows.test // 2) + 1, windows.test):
        end = start - windows.gap
        begin = 0 if windows.anchored else max(0, start - windows.train)
        if end - begin < MIN_TRAIN:
            continue
        found = scores(table[:, begin:end], objective)
        chosen = int(found.argmax())
        stop = min(start + windows.test, table.shape[1])
        folds.append(Fold(begin, end, start, stop, chosen))
        tested.append(table[chosen, start:stop])
        trained.append(table[chosen, begin:end])
    none = np.empty(0)
    return WalkForward(
        tuple(folds),
        np.concatenate(tested) if tested else none,
        np.concatenate(trained) if trained else none,
    )

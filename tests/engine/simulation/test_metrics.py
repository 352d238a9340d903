"""Metrics compared with empyrical-reloaded, the deflated Sharpe ratio with its paper, and the undefined cases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.frame import Floats
from engine.program import Emission, Entry, Exit, Size
from engine.results.metrics import CurveMetrics, measure_curve, measure_trades, returns_of
from engine.results.robustness import Moments, deflated_sharpe, expected_maximum_sharpe, moments, probabilistic_sharpe
from engine.simulation.kernel import simulate
from engine.simulation.settings import SimulationSettings
from tests.engine.simulation.worlds import HOUR, SPOT, World, framed, single_worlds, walk, worlds

CASH = 10_000.0
YEARLY = 8_760.0


@pytest.fixture(scope="session")
def empyrical() -> Any:
    """Its import warns about pandas, which this test does not cover."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import empyrical as module  # pyright: ignore[reportMissingTypeStubs]
    return module


def near(value: float, error: float = 1e-9) -> Any:
    """Nine digits, or `error`. A return has an error of 2e-16, which a ratio multiplies by up to 1e6 (a year of hours,
    a spread of 1e-4): of a ratio close to 0 fewer digits are known.
    """
    return pytest.approx(value, rel=1e-9, abs=error)


def curve(seed: int, size: int, spread: float, drift: float) -> Floats:
    rng = np.random.default_rng(seed)
    growth: Floats = 1.0 + np.clip(rng.standard_t(3, size) * spread + drift, -0.5, 2.0)
    return CASH * np.cumprod(growth, dtype=np.float64)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 2_000), st.sampled_from([1e-4, 3e-3, 2e-2]), st.floats(-1e-4, 1e-4))
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::FutureWarning")
def test_ratios_equal_empyricals(empyrical: Any, seed: int, size: int, spread: float, drift: float) -> None:
    equity = curve(seed, size, spread, drift)
    got = measure_curve(equity, CASH, HOUR)
    returns = np.diff(np.concatenate([[CASH], equity])) / np.concatenate([[CASH], equity[:-1]])
    # Of a ratio to losses below 1e-6 fewer than nine digits are known.
    assume(returns.min() < -1e-6)

    assert got.sharpe_ratio == near(empyrical.sharpe_ratio(returns, annualization=YEARLY))
    assert got.sortino_ratio == near(empyrical.sortino_ratio(returns, annualization=YEARLY))
    assert got.max_drawdown == near(empyrical.max_drawdown(returns), 1e-12)
    assert got.volatility == near(empyrical.annual_volatility(returns, annualization=YEARLY), 1e-12)
    if got.annual_return is not None:
        assert got.annual_return == near(empyrical.annual_return(returns, annualization=YEARLY))
        assert got.calmar_ratio == near(empyrical.calmar_ratio(returns, annualization=YEARLY))


def test_a_simulated_strategy_is_measured_as_empyrical_does(empyrical: Any) -> None:
    bars = walk(np.random.default_rng(1), 5_000, 0.01)
    rng = np.random.default_rng(2)
    program = (
        Emission(rng.random(5_000) < 0.02, (Entry(SPOT, 1, Size("weight", 0.7)),)),
        Emission(rng.random(5_000) < 0.02, (Exit(SPOT),)),
    )
    result = simulate(framed({SPOT: bars}), program, SimulationSettings())
    returns = returns_of(result.equity, CASH)

    got = measure_curve(result.equity, CASH, HOUR)

    assert got.sharpe_ratio == pytest.approx(empyrical.sharpe_ratio(returns, annualization=YEARLY), rel=1e-9)
    assert got.max_drawdown == pytest.approx(empyrical.max_drawdown(returns), rel=1e-9)
    assert got.total_return_pct == pytest.approx(100.0 * empyrical.cum_returns_final(returns), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(worlds() | single_worlds())
def test_no_metric_is_ever_infinite_or_nan(world: World) -> None:
    result = simulate(world.frame, world.program, world.settings, world.first_bar)

    figures = (
        measure_curve(result.equity, world.settings.initial_cash, HOUR)._asdict() | measure_trades(result)._asdict()
    )

    assert [name for name, value in figures.items() if value is not None and not math.isfinite(value)] == []


def test_a_curve_that_never_moves_has_no_ratios() -> None:
    got = measure_curve(np.full(100, CASH), CASH, HOUR)

    assert got == CurveMetrics(
        bars=100,
        periods_per_year=8_760.0,
        total_return_pct=0.0,
        annual_return=0.0,
        volatility=0.0,
        sharpe_ratio=None,
        sortino_ratio=None,
        calmar_ratio=None,
        max_drawdown=0.0,
        max_drawdown_bars=0,
        time_under_water=0.0,
    )


def test_a_fall_below_the_initial_cash_counts_as_a_drawdown() -> None:
    got = measure_curve(np.array([9_000.0, 9_500.0, 10_000.0, 12_000.0, 6_000.0, 6_600.0]), CASH, HOUR)

    assert got.max_drawdown == pytest.approx(-0.5)
    assert got.max_drawdown_bars == 2
    assert got.time_under_water == pytest.approx(4 / 6)


def test_losing_everything_is_a_return_of_minus_one() -> None:
    got = measure_curve(np.array([5_000.0, 0.0, 0.0]), CASH, HOUR)

    assert (got.total_return_pct, got.annual_return, got.max_drawdown) == (-100.0, -1.0, -1.0)


def test_growth_beyond_any_float_is_left_out() -> None:
    got = measure_curve(np.array([CASH, 1e12]), CASH, 60)

    assert got.annual_return is None
    assert got.calmar_ratio is None


def test_trades_are_measured_in_money_after_costs() -> None:
    prices = np.array([100.0, 100.0, 110.0, 110.0, 99.0, 99.0])
    bars = framed({SPOT: walk(np.random.default_rng(0), 6, 0.0)}).bars[SPOT]
    bars = type(bars)(prices, prices, prices, prices, bars.volume, "simulated")
    on, off = np.zeros(6, np.bool_), np.zeros(6, np.bool_)
    on[[0, 2]], off[[1, 3]] = True, True
    program = (Emission(on, (Entry(SPOT, 1, Size("amount", 10.0)),)), Emission(off, (Exit(SPOT),)))

    got = measure_trades(simulate(framed({SPOT: bars}), program, SimulationSettings(fee=0.01, slippage=0.0)))

    won, lost = 100.0 - 10.0 - 11.0, -110.0 - 11.0 - 9.9
    assert got.num_trades == 2
    assert got.win_rate == 0.5
    assert got.profit_factor == pytest.approx(won / -lost)
    assert (got.best_trade, got.worst_trade) == (pytest.approx(won), pytest.approx(lost))
    assert got.average_trade == pytest.approx((won + lost) / 2)
    assert got.expectancy == pytest.approx((won + lost) / 2 / -lost)
    assert got.best_trade_pct == pytest.approx(won / 10.0)
    assert got.total_fees == pytest.approx(41.9)
    assert got.turnover == pytest.approx(4_190.0)
    assert got.exposure == pytest.approx(2 / 6)
    assert got.max_consecutive_losses == 1


def test_without_trades_nothing_is_invented() -> None:
    frame = framed({SPOT: walk(np.random.default_rng(0), 10, 0.01)})

    got = measure_trades(simulate(frame, (), SimulationSettings()))

    assert (got.num_trades, got.win_rate, got.profit_factor, got.best_trade, got.exposure) == (0, None, None, None, 0.0)


def test_the_deflated_sharpe_ratio_reproduces_the_paper() -> None:
    # The paper's numerical example: five years of days, a Sharpe ratio of 2.5 a year, a variance over the trials of 1/2
    # a year.
    daily = Moments(size=1_250, sharpe=2.5 / math.sqrt(250), skewness=-3.0, kurtosis=10.0)
    variance = 0.5 / 250

    assert expected_maximum_sharpe(100, variance) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(daily, 100, variance) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(daily, 46, variance) == pytest.approx(0.9505, abs=5e-5)
    normal = Moments(daily.size, daily.sharpe, skewness=0.0, kurtosis=3.0)
    assert deflated_sharpe(normal, 88, variance) == pytest.approx(0.9505, abs=5e-5)


def test_more_trials_never_raise_the_deflated_sharpe_ratio() -> None:
    sample = Moments(1_000, 0.06, -0.5, 6.0)

    values = [deflated_sharpe(sample, trials) or 0.0 for trials in (1, 2, 5, 20, 100, 1_000)]

    assert values == sorted(values, reverse=True)
    assert values[0] == probabilistic_sharpe(sample, 0.0)


def test_moments_of_a_normal_sample_are_those_of_the_normal_distribution() -> None:
    got = moments(np.random.default_rng(0).normal(0.001, 0.02, 200_000))

    assert got is not None
    assert got.sharpe == pytest.approx(0.05, abs=0.01)
    assert (got.skewness, got.kurtosis) == (pytest.approx(0.0, abs=0.02), pytest.approx(3.0, abs=0.05))
    assert moments(np.zeros(10)) is None


def test_figures_a_year_go_by_the_calendar_where_bars_are_missing() -> None:
    equity = np.linspace(CASH, 1.1 * CASH, 240)
    year = 365 * 86_400

    got = measure_curve(equity, CASH, HOUR, year)

    assert got.annual_return == pytest.approx(0.1)
    assert got.periods_per_year == 240
    returns = np.diff(equity, prepend=CASH) / np.concatenate(([CASH], equity[:-1]))
    assert got.sharpe_ratio == pytest.approx(returns.mean() / returns.std(ddof=1) * np.sqrt(240))


def test_returns_that_are_all_alike_have_no_ratio() -> None:
    got = measure_curve(CASH * np.power(1.001, np.arange(1.0, 500.0)), CASH, HOUR)

    assert got.sharpe_ratio is None

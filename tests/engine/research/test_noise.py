"""Whole sweeps over noise: the recommendation when there is nothing to find, and when there is one thing.

This takes long. Run `pytest -n 0 -m slow --junit-xml=noise.xml tests/engine/research/test_noise.py`; the file contains
the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from api.symbols import Instrument
from engine.executor import Inline
from engine.frame import Bars, Frame
from engine.jobs.spec import Spec
from engine.language.script import ScriptContext
from engine.research.plan import Periods, SweepSpec
from engine.research.statistics import BootstrapIntervals, bootstrap_rows
from engine.research.sweep import Ran, judge, run_variants
from engine.research.variants import METRICS, SweepTerms
from engine.results.metrics import measure_curve
from engine.simulation.settings import SimulationSettings

DAY = 86_400
START = 1_640_995_200  # 2022-01-01
BTC = Instrument("binance", "BTC", "USDT")
RSI = """
n = param("n", 14, 4, 40)
edge = param("edge", 30, 5, 50)
emit_signal(rsi(close, n) < edge, entry(TICKER, "LONG", Weight(1)))
emit_signal(rsi(close, n) > 100 - edge, exit(TICKER))
"""
Grid = tuple[tuple[float, ...], tuple[float, ...]]
SQUARE: Grid = (tuple(float(n) for n in range(10)), tuple(float(n) for n in range(20)))


def sweep_of(grid: Grid, bars: int, seconds: int, script: str = "") -> SweepSpec:
    """A sweep over two parameters, with everything else as usual."""
    base = Spec(
        strategy_type="signal",
        script=script,
        generated=False,
        mode="isolated",
        exchange="binance",
        tickers=(BTC.ticker,),
        timeframe="1d" if seconds == DAY else "4h",
        start=START,
        end=START + bars * seconds,
        start_date="2022-01-01",
        end_date="2023-12-31",
        as_of=float(START + bars * seconds),
        initial_cash=10_000.0,
        leverage=1.0,
        trading_fee=0.0,
        slippage=0.0,
        stop_loss=None,
        take_profit=None,
    )
    return SweepSpec(
        base=base,
        names=("n", "edge"),
        values=grid,
        chosen=None,
        defaults=(grid[0][0], grid[1][0]),
        objective="sharpe_ratio",
        train_days=None,
        test_days=None,
        anchored=False,
        top=5,
        tried_before=0,
        memory_mb=0,
    )


def judged(table: NDArray[np.float64]) -> dict[str, Any]:
    """The findings of a sweep over 10 x 20 values whose variants have these daily returns and 100 trades each."""
    metrics = np.full((len(table), len(METRICS)), 100.0)
    for row in range(len(table)):
        returns: NDArray[np.float64] = table[row]
        equity: NDArray[np.float64] = np.cumprod(1.0 + returns).astype(np.float64)
        curve = measure_curve(equity, 1.0, DAY)
        for name in ("total_return_pct", "sharpe_ratio", "max_drawdown"):
            metrics[row, METRICS.index(name)] = getattr(curve, name)
    metrics[:, METRICS.index("longest_holding")] = 1.0
    days = int(table.shape[1])
    ends: NDArray[np.int64] = START + DAY * np.arange(1, days + 1, dtype=np.int64)
    periods = Periods(np.arange(days, dtype=np.int64), DAY)
    return judge(sweep_of(SQUARE, days, DAY), Ran(metrics, table, {}), ends, periods, 10)


@pytest.mark.slow
def test_of_many_sweeps_over_200_noise_strategies_nearly_all_recommend_none(
    record_property: Callable[[str, object], None],
) -> None:
    found = [judged(np.random.default_rng(seed).normal(0.0, 0.02, (200, 730))) for seed in range(200)]
    none = np.mean([each["recommended"] is None for each in found])
    overfitting = np.mean([each["probability_of_backtest_overfitting"] for each in found])
    record_property("none", (none, overfitting))

    assert none >= 0.95
    assert overfitting == pytest.approx(0.5, abs=0.05)
    assert all(each["recommendation"].startswith("None of these") for each in found if each["recommended"] is None)


@pytest.mark.slow
def test_the_one_region_with_skill_among_200_is_found_and_recommended(
    record_property: Callable[[str, object], None],
) -> None:
    """One variant has skill, and its neighbours have most of it, as with real parameters."""
    named = 0
    for seed in range(50):
        table = np.random.default_rng(1_000 + seed).normal(0.0, 0.02, (200, 730))
        true = 5 * 20 + 7
        table[true] = 0.3 * table[true] + 0.02 * 0.12
        for near in (true - 1, true + 1, true - 20, true + 20):
            table[near] = 0.8 * table[true] + 0.2 * table[near]
        found = judged(table)
        named += found["recommended"] in ({"n": 5.0, "edge": 7.0}, {"n": 5.0, "edge": 6.0}, {"n": 5.0, "edge": 8.0})
    record_property("named", named)

    assert named >= 48


@pytest.mark.slow
def test_sweeps_of_a_real_script_over_random_walks_recommend_none(
    record_property: Callable[[str, object], None],
) -> None:
    none, count = 0, 60
    lengths, edges = (6.0, 10.0, 14.0, 20.0, 28.0), (20.0, 25.0, 30.0, 35.0, 40.0)
    spec = sweep_of((lengths, edges), 2_190, 14_400, RSI)
    for seed in range(count):
        close = 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.01, 2_190)))
        opened = np.concatenate(([100.0], close[:-1]))
        time = START + 14_400 * np.arange(len(close))
        bars = Bars(
            opened, np.maximum(opened, close), np.minimum(opened, close), close, np.full(2_190, 1e9), "simulated"
        )
        frame, periods = Frame("4h", time, {BTC: bars}), Periods.of(time, 14_400)
        context = ScriptContext((BTC,), "4h")
        settings = SimulationSettings(fee=0.0, slippage=0.0)
        terms = SweepTerms(f"walk {seed}", RSI, context, ("n", "edge"), (BTC,), ("simulated",), 0, settings)
        variants = np.array(list(product(lengths, edges)))
        ran = run_variants(Inline(), terms, variants, frame, periods, lambda _: None)
        none += judge(spec, ran, time[periods.edges] + 14_400, periods, 60)["recommended"] is None
    record_property("none", none)

    assert none >= 0.95 * count


@pytest.mark.slow
def test_bootstrap_intervals_cover_the_truth_19_times_in_20(record_property: Callable[[str, object], None]) -> None:
    """The return of 365 days with a known mean in 2,000 samples, so that the coverage is known to 0.5 %."""
    rng = np.random.default_rng(7)
    mean, size, tries, covered = 0.001, 365, 2_000, 0
    truth = 100.0 * ((1.0 + mean) ** size - 1.0)
    for _ in range(tries):
        found = BootstrapIntervals.of(bootstrap_rows(rng.normal(mean, 0.01, size), 365.0, rng, 500)).return_pct
        covered += found.low <= truth <= found.high
    record_property("covered", covered / tries)

    assert covered / tries == pytest.approx(0.95, abs=0.015)

"""Fills compared with raptorbt and vectorbt, two independent engines, on the same signals.

How we match their semantics:

* raptorbt, `fill_timing="next_bar_open"`: the same decisions, fills, stop gaps, entry-bar stops. It thins out
  signals beforehand (an entry counts only after an exit signal), so both get signals thinned out that way. It worsens
  targets by slippage, which a limit order never is, and fills one that the open has jumped over at the target, where
  ours gets the better open: strategies with a target run without slippage, and on a walk without jumps. It does not
  charge the final close, so equity is compared up to the bar before. The equity it reports for shorts is not the sum
  of its own trades and its `position_sizes` are not base units, so shorts and leverage are compared trade by trade,
  per unit.
* vectorbt `from_signals` has no delay: signals are shifted by a bar and filled at `price=open`. It checks stops from
  the bar after the entry on, so it judges entries, exits, shorts and reversals, in money.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import raptorbt

from engine.frame import Bools, Frame
from engine.program import DirectionSign, Emission, Entry, Exit, Size
from engine.simulation.kernel import simulate
from engine.simulation.result import Simulation
from engine.simulation.settings import SimulationSettings
from tests.engine.simulation.worlds import PERPETUAL, cut, framed, walk

BARS = 4_000


@dataclass(frozen=True)
class Strategy:
    """Random signals with these exits and terms."""

    side: DirectionSign = 1
    stop: float | None = None
    target: float | None = None
    trail: float | None = None
    slippage: float = 0.0
    leverage: float = 1.0
    every: float = 0.03


STRATEGIES = [
    Strategy(),
    Strategy(every=0.2),
    Strategy(slippage=0.001),
    Strategy(stop=0.02),
    Strategy(stop=0.005, slippage=0.0005),
    Strategy(target=0.02),
    Strategy(stop=0.01, target=0.02),
    Strategy(stop=0.03, target=0.01, every=0.1),
    Strategy(trail=0.02),
    Strategy(trail=0.03, slippage=0.001),
    Strategy(trail=0.01, target=0.03),
    Strategy(-1),
    Strategy(-1, stop=0.02),
    Strategy(-1, stop=0.02, target=0.03),
    Strategy(-1, trail=0.02, slippage=0.001),
    Strategy(stop=0.02, leverage=5.0),
    Strategy(-1, stop=0.02, slippage=0.001, leverage=5.0),
    Strategy(-1, every=0.2),
    Strategy(-1, target=0.02),
    Strategy(-1, trail=0.03),
    Strategy(trail=0.015, every=0.1),
    Strategy(stop=0.015, every=0.2),
    Strategy(stop=0.03, leverage=3.0),
    Strategy(-1, stop=0.015, target=0.02, leverage=2.0),
]


def thinned(rng: np.random.Generator, size: int, every: float) -> tuple[Bools, Bools]:
    """Random entries and exits that alternate."""
    entries, exits = rng.random(size) < every, rng.random(size) < every
    inside = False
    for i in range(size):
        entries[i] &= not inside
        exits[i] &= inside
        inside = (inside or bool(entries[i])) and not exits[i]
    return entries, exits


def ours(frame: Frame, entries: Bools, exits: Bools, how: Strategy) -> Simulation:
    size = Size("weight", 1.0) if how.leverage == 1.0 else Size("amount", 0.5)
    entry = Entry(PERPETUAL, how.side, size, stop_loss=how.stop, take_profit=how.target, trailing_stop=how.trail)
    terms = SimulationSettings(fee=0.0005, slippage=how.slippage, leverage=how.leverage, maintenance_margin=0.0)
    return simulate(frame, (Emission(entries, (entry,)), Emission(exits, (Exit(PERPETUAL),))), terms)


def theirs(frame: Frame, entries: Bools, exits: Bools, how: Strategy) -> raptorbt.BacktestResult:
    terms = raptorbt.BacktestConfig(
        initial_capital=10_000.0, fees=0.0005, slippage=how.slippage, fill_timing="next_bar_open"
    )
    if how.stop is not None:
        terms.set_fixed_stop(how.stop)
    if how.trail is not None:
        terms.set_trailing_stop(how.trail)
    if how.target is not None:
        terms.set_fixed_target(how.target)
    b = frame.bars[PERPETUAL]
    columns = (frame.time * 1_000_000_000, b.open, b.high, b.low, b.close, b.volume)
    return raptorbt.run_single_backtest(*columns, entries, exits, direction=how.side, config=terms)


def assert_same_trades(result: Simulation, expected: raptorbt.BacktestResult, frame: Frame) -> None:
    trades = result.trades
    theirs = expected.trades()
    assert trades.entry_bar.tolist() == [t.entry_idx for t in theirs]
    assert trades.exit_bar.tolist() == [t.exit_idx for t in theirs]
    np.testing.assert_allclose(trades.entry_price, [t.entry_price for t in theirs], rtol=1e-12)
    closed = len(theirs) - (trades.reasons[-1:] == ["end_of_data"])
    np.testing.assert_allclose(trades.exit_price[:closed], [t.exit_price for t in theirs][:closed], rtol=1e-12)
    each = (trades.pnl / trades.amount)[:closed]
    scale = 1e-9 * float(frame.bars[PERPETUAL].close.max())
    np.testing.assert_allclose(each, [t.pnl / t.size for t in theirs][:closed], rtol=1e-9, atol=scale)
    names = {"Signal": {"signal"}, "StopLoss": {"stop_loss", "trailing_stop"}, "TakeProfit": {"take_profit"}}
    for reason, other in zip(trades.reasons[:closed], theirs, strict=False):
        assert reason in names.get(other.exit_reason, {"trailing_stop"})


def findings_of(frame: Frame, how: Strategy, seed: int) -> None:
    entries, exits = thinned(np.random.default_rng(seed), len(frame), how.every)
    result, expected = ours(frame, entries, exits, how), theirs(frame, entries, exits, how)

    assert len(result.trades) > 20
    assert_same_trades(result, expected, frame)
    if how.side > 0 and how.leverage == 1.0:
        np.testing.assert_allclose(result.equity[:-1], expected.equity_curve()[:-1], rtol=1e-9)


@pytest.mark.parametrize("how", STRATEGIES, ids=str)
def test_fills_on_recorded_hours_equal_raptorbts(recorded: Frame, how: Strategy) -> None:
    seed = STRATEGIES.index(how)
    start = 1_300 * seed

    findings_of(cut(recorded, start, start + BARS), how, seed)


@pytest.mark.parametrize("how", STRATEGIES, ids=str)
def test_fills_on_a_random_walk_equal_raptorbts(how: Strategy) -> None:
    seed = 100 + STRATEGIES.index(how)
    bars = walk(np.random.default_rng(seed), BARS, 0.006, jumping=0.3 if how.target is None else 0.0)

    findings_of(framed({PERPETUAL: bars}), how, seed)


def shifted(signal: Bools) -> Bools:
    return np.concatenate([[False], signal[:-1]])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("slippage", [0.0, 0.001])
def test_money_in_entries_and_exits_equals_vectorbts(recorded: Frame, side: DirectionSign, slippage: float) -> None:
    vectorbt: Any = pytest.importorskip("vectorbt")
    frame = cut(recorded, 1_000, 1_000 + BARS)
    entries, exits = thinned(np.random.default_rng(side + 1), BARS, 0.03)
    result = ours(frame, entries, exits, Strategy(side, slippage=slippage))
    bars = frame.bars[PERPETUAL]

    portfolio = vectorbt.Portfolio.from_signals(
        bars.close,
        entries=shifted(entries),
        exits=shifted(exits),
        price=bars.open,
        fees=0.0005,
        slippage=slippage,
        init_cash=10_000.0,
        direction="longonly" if side > 0 else "shortonly",
        freq="1h",
    )

    assert len(result.trades) == portfolio.trades.count()
    np.testing.assert_allclose(result.equity[:-1], portfolio.value().to_numpy()[:-1], rtol=1e-9)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_money_in_reversals_equals_vectorbts(recorded: Frame) -> None:
    vectorbt: Any = pytest.importorskip("vectorbt")
    frame = cut(recorded, 1_000, 1_000 + BARS)
    rng = np.random.default_rng(5)
    up = rng.random(BARS) < 0.02
    down = (rng.random(BARS) < 0.02) & ~up
    size = Size("amount", 0.5)
    program = (
        Emission(up, (Entry(PERPETUAL, 1, size),)),
        Emission(down, (Entry(PERPETUAL, -1, size),)),
    )
    result = simulate(frame, program, SimulationSettings(slippage=0.001, maintenance_margin=0.0))
    bars = frame.bars[PERPETUAL]

    portfolio = vectorbt.Portfolio.from_signals(
        bars.close,
        entries=shifted(up),
        short_entries=shifted(down),
        price=bars.open,
        size=0.5,
        size_type="amount",
        upon_opposite_entry="reverse",
        fees=0.0005,
        slippage=0.001,
        init_cash=10_000.0,
        freq="1h",
    )

    assert len(result.trades) == portfolio.trades.count()
    np.testing.assert_allclose(result.equity[:-1], portfolio.value().to_numpy()[:-1], rtol=1e-9)

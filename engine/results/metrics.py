"""Performance figures of an equity curve and of its trades.

Returns are per bar, of equity, the first against the initial cash. A year has 365 days because these markets never
close. Undefined figures (a ratio without a denominator, growth beyond the float range) are None, never infinite or NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.frame import Bools, Floats
from engine.simulation.result import Simulation

YEAR: Final = 365 * 86_400
"""Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveMetrics:
    """Figures of an equity curve. Fractions unless the name ends in `_pct`.

    Attributes:
        periods_per_year: Bars in a year of 365 days at the density of the data; annualises every ratio here.
        annual_return: Compound annual growth.
        volatility: Annualised standard deviation of returns (n - 1).
        sharpe_ratio: Annualised mean over standard deviation of returns, with a risk-free rate of 0.
        sortino_ratio: The same over the root mean square of the losing bars' returns, taken over all bars.
        calmar_ratio: Annual return over the depth of the deepest drawdown.
        max_drawdown: Deepest fall from a peak, the initial cash included; 0 or negative.
        max_drawdown_bars: Longest time below a peak.
        time_under_water: Share of bars below a peak.
    """

    bars: int
    periods_per_year: float
    total_return_pct: float
    annual_return: float | None
    volatility: float | None
    sharpe_ratio: float | None
    sortino_ratio: float | None
    calmar_ratio: float | None
    max_drawdown: float
    max_drawdown_bars: int
    time_under_water: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeMetrics:
    """Figures of closed trades, after fees and slippage. Money in quote currency.

    Attributes:
        win_rate: Share of trades with a profit.
        profit_factor: Money won over money lost.
        average_trade: Profit per trade.
        expectancy: Profit per trade in units of the average loss.
        best_trade_pct, worst_trade_pct: In percent of the entry value.
        exposure: Share of bars with a position at the close.
        turnover: Value of all fills.
    """

    num_trades: int
    win_rate: float | None
    profit_factor: float | None
    average_trade: float | None
    average_trade_pct: float | None
    average_win: float | None
    average_loss: float | None
    expectancy: float | None
    best_trade: float | None
    worst_trade: float | None
    best_trade_pct: float | None
    worst_trade_pct: float | None
    average_bars_held: float | None
    max_consecutive_losses: int
    exposure: float
    turnover: float
    total_fees: float
    total_slippage: float
    total_funding: float


def periods_per_year(seconds: int) -> float:
    """Bars of `seconds` in a year of 365 days."""
    return YEAR / seconds


def returns_of(equity: Floats, initial_cash: float, out: Floats | None = None) -> Floats:
    """Return of each bar, along the last axis; 0 once all money is lost. `out` is an array for the result."""
    before = np.empty_like(equity) if out is None else out
    before[..., :1] = initial_cash
    before[..., 1:] = equity[..., :-1]
    if float(before.min(initial=initial_cash)) > 0.0:
        np.divide(equity, before, out=before)
        before -= 1.0
        return before
    return np.divide(equity - before, before, out=np.zeros_like(equity), where=before > 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveRatios:
    """The figures of an equity curve that serve to compare strategies. See `CurveMetrics`."""

    total_return_pct: float
    annual_return: float | None
    volatility: float | None
    sharpe_ratio: float | None
    sortino_ratio: float | None
    calmar_ratio: float | None
    max_drawdown: float


def measure_curve(equity: Floats, initial_cash: float, seconds: int, span: int | None = None) -> CurveMetrics:
    """Figures of an equity curve of bars of `seconds`.

    Args:
        span: Seconds from the first bar's open to the last one's close. It exceeds the total length of the bars if bars
            are missing, and annual figures use it. None means that no bar is missing.
    """
    peak = _peaks(equity, initial_cash)
    under = equity < peak
    ratios = _ratios(*_spread(equity, peak, initial_cash), len(equity), _yearly(len(equity), seconds, span))
    return CurveMetrics(
        bars=len(equity),
        periods_per_year=_yearly(len(equity), seconds, span),
        total_return_pct=ratios.total_return_pct,
        annual_return=ratios.annual_return,
        volatility=ratios.volatility,
        sharpe_ratio=ratios.sharpe_ratio,
        sortino_ratio=ratios.sortino_ratio,
        calmar_ratio=ratios.calmar_ratio,
        max_drawdown=ratios.max_drawdown,
        max_drawdown_bars=_longest_run(under),
        time_under_water=float(np.count_nonzero(under)) / len(equity),
    )


def measure_curves(
    equity: NDArray[np.float64], initial_cash: float, seconds: int, span: int | None = None
) -> list[CurveRatios]:
    """Figures of many equity curves on the same bars, one row each. See `measure_curve`."""
    size, yearly = equity.shape[1], _yearly(equity.shape[1], seconds, span)
    growth, mean, shortfall, deviation, depth = _spread(equity, _peaks(equity, initial_cash), initial_cash)
    return [
        _ratios(growth[row], mean[row], shortfall[row], deviation[row], depth[row], size, yearly)
        for row in range(len(equity))
    ]


def _spread(equity: Floats, peak: Floats, cash: float) -> tuple[Any, Any, Any, Any, Any]:
    """Growth, mean return, root mean square of the losses, standard deviation and depth, along the last axis.

    `peak` is overwritten.
    """
    size = equity.shape[-1]
    depth = np.divide(equity, peak, out=peak).min(axis=-1) - 1.0
    returns = returns_of(equity, cash, out=peak)
    mean = returns.sum(axis=-1) / size
    losses = np.minimum(returns, 0.0)
    losses *= losses
    shortfall = np.sqrt(losses.sum(axis=-1) / size)
    returns -= mean[..., None]
    returns *= returns
    deviation = np.sqrt(returns.sum(axis=-1) / max(size - 1, 1))
    return equity[..., -1] / cash, mean, shortfall, deviation, depth


def _ratios(
    growth: float, mean: float, shortfall: float, deviation: float, depth: float, size: int, yearly: float
) -> CurveRatios:
    annual = _annual(float(growth), yearly / size)
    root, depth = math.sqrt(yearly), min(float(depth), 0.0)
    reward = float(mean) * root
    return CurveRatios(
        total_return_pct=100.0 * (float(growth) - 1.0),
        annual_return=annual,
        volatility=_finite(float(deviation) * root) if size > 1 else None,
        sharpe_ratio=_ratio(reward, _beyond_rounding(float(deviation), float(mean))) if size > 1 else None,
        sortino_ratio=_ratio(reward, _beyond_rounding(float(shortfall), float(mean))),
        calmar_ratio=None if annual is None else _ratio(annual, -depth),
        max_drawdown=depth,
    )


def _yearly(size: int, seconds: int, span: int | None) -> float:
    """Bars per year at the density of the data."""
    return periods_per_year(seconds) if span is None or span == size * seconds else YEAR * size / span


def _peaks(equity: Floats, cash: float) -> Floats:
    """The highest equity so far, the initial cash included, along the last axis."""
    peak = np.maximum.accumulate(equity, axis=-1)
    return np.maximum(peak, cash, out=peak)


def profit_ratios(
    count: int, wins: int, losses: int, gain: float, loss: float
) -> tuple[float | None, float | None, float | None]:
    """Win rate, profit factor, and profit per trade in units of the average loss."""
    if not count:
        return None, None, None
    average_loss = loss / losses if losses else 0.0
    return wins / count, _ratio(gain, loss), _ratio((gain - loss) / count, average_loss)


def measure_trades(simulation: Simulation) -> TradeMetrics:
    """Figures of a simulation's closed trades and of its costs."""
    trades = simulation.trades
    pnl: list[float] = trades.pnl.tolist()
    percent: list[float] = trades.pnl_pct.tolist()
    count = len(pnl)
    won, lost = [value for value in pnl if value > 0.0], [value for value in pnl if value < 0.0]
    gain, loss = math.fsum(won), -math.fsum(lost)
    wins, losses = len(won), len(lost)
    win_rate, profit_factor, expectancy = profit_ratios(count, wins, losses, gain, loss)
    totals = trades.totals
    return TradeMetrics(
        num_trades=count,
        win_rate=win_rate,
        profit_factor=profit_factor,
        average_trade=totals.pnl / count if count else None,
        average_trade_pct=math.fsum(percent) / count if count else None,
        average_win=gain / wins if wins else None,
        average_loss=loss / losses if losses else None,
        expectancy=expectancy,
        best_trade=max(pnl) if count else None,
        worst_trade=min(pnl) if count else None,
        best_trade_pct=max(percent) if count else None,
        worst_trade_pct=min(percent) if count else None,
        average_bars_held=totals.bars_held / count if count else None,
        max_consecutive_losses=_longest_losses(pnl),
        exposure=float(np.count_nonzero(simulation.gross > 0.0)) / len(simulation.gross),
        turnover=simulation.turnover,
        total_fees=totals.fees,
        total_slippage=totals.slippage,
        total_funding=simulation.funding,
    )


def _longest_losses(pnl: list[float]) -> int:
    """The longest run of losing trades."""
    longest = run = 0
    for value in pnl:
        if value < 0.0:
            run += 1
        elif run:
            longest, run = max(longest, run), 0
    return max(longest, run)


def _annual(growth: float, per_year: float) -> float | None:
    if growth <= 0.0:
        return -1.0
    try:
        return math.pow(growth, per_year) - 1.0
    except OverflowError:
        return None


def _beyond_rounding(spread: float, mean: float) -> float:
    """A standard deviation of returns; 0 where it is only the rounding error of equal returns."""
    return spread if spread > max(1e-9 * abs(mean), 1e-14) else 0.0


def _ratio(above: float, below: float) -> float | None:
    return _finite(above / below) if below > 0.0 else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _longest_run(mask: Bools) -> int:
    """The longest stretch over which `mask` holds."""
    breaks = np.flatnonzero(~mask)
    if not len(breaks):
        return len(mask)
    between = int((breaks[1:] - breaks[:-1]).max(initial=1)) - 1
    return max(between, int(breaks[0]), len(mask) - 1 - int(breaks[-1]))

"""How good a result is: figures of an equity curve and of its trades.

Returns are per bar, of equity, the first against the initial cash; a year has 365 days because these markets never
close. What cannot be told (a ratio without a denominator, a growth beyond any float) is None, never infinite or NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.frame import Bools, Floats
from engine.simulation.result import Simulation

YEAR: Final = 365 * 86_400
"""Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveMetrics:
    """Figures of an equity curve. Fractions unless the name ends in `_pct`.

    Attributes:
        periods_per_year: Bars in a year of 365 days, as densely as the data has them; annualises every ratio here.
        annual_return: Compound growth a year.
        volatility: Standard deviation of returns (n - 1) a year.
        sharpe_ratio: Mean over standard deviation of returns, a year, against a risk-free rate of 0.
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
        average_trade: Profit a trade.
        expectancy: Profit a trade in units of the average loss.
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


def periods_per_year(seconds: int) -> float:
    """Bars of `seconds` in a year of 365 days."""
    return YEAR / seconds


def returns_of(equity: Floats, initial_cash: float) -> Floats:
    """Return of each bar; 0 once there is no money left."""
    before = np.empty_like(equity)
    before[:1] = initial_cash
    before[1:] = equity[:-1]
    if float(before.min(initial=initial_cash)) > 0.0:
        np.divide(equity, before, out=before)
        before -= 1.0
        return before
    return np.divide(equity - before, before, out=np.zeros_like(equity), where=before > 0.0)


def measure_curve(equity: Floats, initial_cash: float, seconds: int, span: int | None = None) -> CurveMetrics:
    """Figures of an equity curve of bars of `seconds`.

    Args:
        span: Seconds from the first bar's open to the last one's close. It is more than the bars are long where bars
            are missing, and a year is a year of that time. Without it no bar is missing.
    """
    size = len(equity)
    yearly = periods_per_year(seconds) if span is None or span == size * seconds else YEAR * size / span
    returns = returns_of(equity, initial_cash)
    mean = float(returns.sum()) / size
    downside = np.minimum(returns, 0.0)
    downside *= downside
    shortfall = math.sqrt(float(downside.sum()) / size)
    returns -= mean
    returns *= returns
    deviation = math.sqrt(float(returns.sum()) / (size - 1)) if size > 1 else 0.0
    peak = np.maximum.accumulate(equity)
    np.maximum(peak, initial_cash, out=peak)
    under = equity < peak
    depth = min(float(np.divide(equity, peak, out=peak).min()) - 1.0, 0.0)
    annual = _annual(float(equity[-1]) / initial_cash, yearly / size)
    return CurveMetrics(
        bars=size,
        periods_per_year=yearly,
        total_return_pct=100.0 * (float(equity[-1]) / initial_cash - 1.0),
        annual_return=annual,
        volatility=_finite(deviation * math.sqrt(yearly)) if size > 1 else None,
        sharpe_ratio=_ratio(mean * math.sqrt(yearly), _beyond_rounding(deviation, mean)),
        sortino_ratio=_ratio(mean * math.sqrt(yearly), _beyond_rounding(shortfall, mean)),
        calmar_ratio=None if annual is None else _ratio(annual, -depth),
        max_drawdown=depth,
        max_drawdown_bars=_longest_run(under),
        time_under_water=float(np.count_nonzero(under)) / size,
    )


def measure_trades(simulation: Simulation) -> TradeMetrics:
    """Figures of a simulation's closed trades and of its costs."""
    trades = simulation.trades
    pnl: list[float] = trades.pnl.tolist()
    percent: list[float] = trades.pnl_pct.tolist()
    count = len(pnl)
    won, lost = [value for value in pnl if value > 0.0], [value for value in pnl if value < 0.0]
    gain, loss = math.fsum(won), -math.fsum(lost)
    wins, losses = len(won), len(lost)
    average_loss = loss / losses if losses else None
    totals = trades.totals
    return TradeMetrics(
        num_trades=count,
        win_rate=wins / count if count else None,
        profit_factor=_ratio(gain, loss),
        average_trade=totals.pnl / count if count else None,
        average_trade_pct=math.fsum(percent) / count if count else None,
        average_win=gain / wins if wins else None,
        average_loss=average_loss,
        expectancy=_ratio((gain - loss) / count, average_loss) if average_loss else None,
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
    )


def _longest_losses(pnl: list[float]) -> int:
    """The most trades in a row with a loss."""
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
    """A spread of returns; 0 where it is only the rounding error of returns that are all alike."""
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

"""Performance figures of an equity curve and of its trades.

Returns are per bar, of equity, the first against the initial cash. A year has 365 days because these markets never
close. Undefined figures (a ratio without a denominator, growth beyond the float range) are None, never infinite or NaN.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.frame import Floats
from engine.simulation.result import Simulation

YEAR: Final = 365 * 86_400
"""Seconds."""


class CurveMetrics(NamedTuple):
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

    total_return_pct: float
    annual_return: float | None
    volatility: float | None
    sharpe_ratio: float | None
    sortino_ratio: float | None
    calmar_ratio: float | None
    max_drawdown: float
    bars: int
    periods_per_year: float
    max_drawdown_bars: int
    time_under_water: float


class TradeMetrics(NamedTuple):
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


def returns_of(equity: Floats, initial_cash: float) -> Floats:
    """Return of each bar, along the last axis; 0 once all money is lost."""
    return _returns(equity, initial_cash, np.empty_like(equity), solvent=bool(equity.min(initial=initial_cash) > 0.0))


def _returns(equity: Floats, cash: float, out: Floats, *, solvent: bool) -> Floats:
    """The same into `out`; `solvent` says that no equity is 0 or less, which saves a mask."""
    if solvent:
        bars, ratios = equity.T, out.T
        ratios[0] = bars[0] / cash
        np.divide(bars[1:], bars[:-1], out=ratios[1:])
        out -= 1.0
        return out
    out[..., 0] = cash
    out[..., 1:] = equity[..., :-1]
    return np.divide(equity - out, out, out=np.zeros_like(equity), where=out > 0.0)


class CurveRatios(NamedTuple):
    """The figures of an equity curve that serve to compare strategies: the first fields of `CurveMetrics`."""

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
    size, yearly = len(equity), _yearly(len(equity), seconds, span)
    peak = np.fmax.accumulate(equity)
    if peak.item(0) < initial_cash:
        peak[: peak.searchsorted(initial_cash)] = initial_cash
    tops = (equity >= peak).nonzero()[0]
    ratios = _ratios(*_spread(equity, peak, initial_cash), size, yearly)
    return CurveMetrics(*ratios, size, yearly, _longest_gap(tops, size), float(size - len(tops)) / size)


def measure_curves(
    equity: NDArray[np.float64], initial_cash: float, seconds: int, span: int | None = None
) -> list[CurveRatios]:
    """Figures of many equity curves on the same bars, one row each. See `measure_curve`."""
    size, yearly = equity.shape[1], _yearly(equity.shape[1], seconds, span)
    peak = np.maximum.accumulate(equity, axis=1)
    np.maximum(peak, initial_cash, out=peak)
    growth, mean, shortfall, deviation, depth = _spread(equity, peak, initial_cash)
    return [
        _ratios(growth[row], mean[row], shortfall[row], deviation[row], depth[row], size, yearly)
        for row in range(len(equity))
    ]


def _spread(equity: Floats, peak: Floats, cash: float) -> tuple[Any, Any, Any, Any, Any]:
    """Growth, mean return, mean square of the losses, variance and least share of the peak, along the last axis.

    `peak` is overwritten.
    """
    size, axis = equity.shape[-1], equity.ndim - 1
    np.divide(equity, peak, out=peak)
    share: Any = np.minimum.reduce(peak, axis) if axis else peak.item(peak.argmin())
    returns = _returns(equity, cash, peak, solvent=(share > 0.0).all() if axis else share > 0.0)
    mean = np.add.reduce(returns, axis) / size
    losses = np.minimum(returns, np.zeros(returns.shape))
    losses = np.vecdot(losses, losses) / size
    np.subtract(returns.T, mean, out=returns.T)
    return equity.T[-1] / cash, mean, losses, np.vecdot(returns, returns) / max(size - 1, 1), share


def _ratios(
    growth: float, mean: float, losses: float, variance: float, share: float, size: int, yearly: float
) -> CurveRatios:
    growth, mean, root, depth = float(growth), float(mean), math.sqrt(yearly), min(float(share) - 1.0, 0.0)
    annual = _annual(growth, yearly / size)
    deviation, reward = math.sqrt(variance), mean * root
    return CurveRatios(
        100.0 * (growth - 1.0),
        annual,
        _finite(deviation * root) if size > 1 else None,
        _ratio(reward, _beyond_rounding(deviation, mean)) if size > 1 else None,
        _ratio(reward, _beyond_rounding(math.sqrt(losses), mean)),
        None if annual is None else _ratio(annual, -depth),
        depth,
    )


def _yearly(size: int, seconds: int, span: int | None) -> float:
    """Bars per year at the density of the data."""
    return periods_per_year(seconds) if span is None or span == size * seconds else YEAR * size / span


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
    trades, gross = simulation.trades, simulation.gross
    pnl, percent = trades.profits
    totals = trades.totals
    count = len(pnl)
    exposure = float(np.count_nonzero(gross > 0.0)) / len(gross)
    costs = exposure, totals.turnover, totals.fees, totals.slippage, simulation.funding
    if not count:
        return TradeMetrics(0, None, None, None, None, None, None, None, None, None, None, None, None, 0, *costs)
    won, lost = [value for value in pnl if value > 0.0], [value for value in pnl if value < 0.0]
    gain, loss, wins, losses = math.fsum(won), -math.fsum(lost), len(won), len(lost)
    win_rate, profit_factor, expectancy = profit_ratios(count, wins, losses, gain, loss)
    return TradeMetrics(
        count,
        win_rate,
        profit_factor,
        totals.pnl / count,
        math.fsum(percent) / count,
        gain / wins if wins else None,
        loss / losses if losses else None,
        expectancy,
        max(pnl),
        min(pnl),
        max(percent),
        min(percent),
        totals.bars_held / count,
        _longest_losses(pnl),
        *costs,
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
    if below > 0.0 and math.isfinite(ratio := above / below):
        return ratio
    return None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _longest_gap(tops: NDArray[np.int64], size: int) -> int:
    """The longest stretch of bars between two neighbours of `tops`, or between one of them and an end of the curve."""
    if not len(tops):
        return size
    outside = max(tops.item(0), size - 1 - tops.item(-1))
    if len(tops) == 1:
        return outside
    between = tops[1:] - tops[:-1]
    return max(between.item(between.argmax()) - 1, outside)

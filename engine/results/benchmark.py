"""The return of holding: of the whole universe, and of each ticker beside its trades."""

from __future__ import annotations

from typing import Any

import numpy as np

from api.symbols import Instrument
from engine.frame import Bars, Floats, Frame
from engine.simulation.result import Simulation
from engine.simulation.settings import SimulationSettings


def idle_bars(simulation: Simulation, lookback: int) -> int:
    """Bars of the range on which not every signal is known, because `lookback` bars must come first."""
    return max(0, min(lookback - simulation.first_bar, len(simulation.time)))


def buy_and_hold(
    frame: Frame, settings: SimulationSettings, first_bar: int, idle: int = 0
) -> tuple[Floats, dict[str, float]]:
    """The equity of holding, at each bar's close from `first_bar` on, and each ticker's return in percent.

    It buys at the first open after `first_bar` closed, like a strategy's first trade, and sells at the last close. Both
    pay slippage and fee, without leverage; a perpetual pays its funding. The first `idle` bars, which a strategy cannot
    use, are left out.
    """
    share = settings.initial_cash / len(frame.bars)
    held = {
        instrument.ticker: _held(bars, share, settings, first_bar, idle, _rates(frame, settings, instrument))
        for instrument, bars in frame.bars.items()
    }
    equity = np.sum(list(held.values()), axis=0)
    return equity, {ticker: 100.0 * (float(curve[-1]) / share - 1.0) for ticker, curve in held.items()}


def _rates(frame: Frame, settings: SimulationSettings, instrument: Instrument) -> Floats | None:
    found = settings.funding.get(instrument)
    return None if found is None else found.at_opens(frame)


def _held(
    bars: Bars, cash: float, settings: SimulationSettings, first_bar: int, idle: int, rates: Floats | None
) -> Floats:
    close = bars.close[first_bar:]
    known = np.flatnonzero(~np.isnan(bars.open[first_bar + idle + 1 :]))
    if not len(known):
        return np.full(len(close), cash)
    bought = int(known[0]) + idle + 1
    price = float(bars.open[first_bar + bought]) * (1.0 + settings.slippage)
    amount = cash / (price * (1.0 + settings.fee))
    last_known = np.maximum.accumulate(np.where(np.isnan(close), 0, np.arange(len(close))))
    curve = amount * close[last_known]
    curve[:bought] = cash
    paid = 0.0
    if rates is not None:
        opens = np.where(np.isnan(bars.open[first_bar:]), close[last_known], bars.open[first_bar:])
        charged = amount * opens * rates[first_bar:-1]
        charged[: bought + 1] = 0.0
        curve -= np.cumsum(charged)
        paid = amount * close[last_known[-1]] * rates[-1] + charged.sum()
        curve[-1] += charged.sum()
    curve[-1] *= (1.0 - settings.slippage) * (1.0 - settings.fee)
    curve[-1] -= paid
    return curve


def per_ticker(simulation: Simulation, held_pct: dict[str, float]) -> list[dict[str, Any]]:
    """One row per ticker, the most profitable first; `held_pct` is the return of holding each, percent."""
    trades = simulation.trades
    which, pnl, fees = trades.instrument, trades.pnl, trades.fees
    rows: list[dict[str, Any]] = []
    for number, (instrument, bars) in enumerate(simulation.frame.bars.items()):
        own = pnl[which == number]
        gain, loss = float(own[own > 0].sum()), -float(own[own < 0].sum())
        rows.append(
            {
                "ticker": instrument.ticker,
                "num_trades": len(own),
                "win_rate": int(np.count_nonzero(own > 0)) / len(own) if len(own) else None,
                "pnl": gain - loss,
                "contribution_pct": 100.0 * (gain - loss) / simulation.settings.initial_cash,
                "profit_factor": gain / loss if loss > 0 else None,
                "fees": float(fees[which == number].sum()),
                "buy_and_hold_pct": held_pct[instrument.ticker],
                "data_source": bars.source,
            }
        )
    return sorted(rows, key=lambda row: -row["pnl"])

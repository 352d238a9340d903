"""Each ticker's share of a result."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.simulation.result import Simulation


def per_ticker(simulation: Simulation, held_pct: dict[str, float]) -> list[dict[str, Any]]:
    """One row a ticker, the most profitable first; `held_pct` is what holding each would have returned, percent."""
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

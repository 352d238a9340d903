"""A result that three other engines agree on."""

from __future__ import annotations

from pathlib import Path

import pytest
import talib

from engine.program import Emission, Entry, Exit, Size
from engine.results.metrics import measure_trades
from engine.simulation.kernel import simulate
from engine.simulation.settings import SimulationSettings
from tests.engine.simulation.worlds import SPOT, BarByBar, recorded_hours


def test_rsi_on_recorded_bitcoin_ends_where_other_engines_do(recorded_btc_csv: Path) -> None:
    frame = recorded_hours(recorded_btc_csv, SPOT)
    rsi = talib.RSI(frame.bars[SPOT].close, 14)
    program = (
        Emission(rsi < 30.0, (Entry(SPOT, 1, Size("weight", 1.0)),)),
        Emission(rsi > 70.0, (Exit(SPOT),)),
    )
    terms = SimulationSettings(initial_cash=10_000.0, fee=0.0005, slippage=0.0)

    result = simulate(frame, program, terms)
    asked = simulate(frame, BarByBar(program), terms)

    assert len(result.trades) == 123
    assert result.final_equity == pytest.approx(5_912.403252051, rel=1e-12)
    assert set(result.trades.reasons) == {"signal"}
    assert asked.equity.tolist() == result.equity.tolist()
    assert measure_trades(result).num_trades == 123

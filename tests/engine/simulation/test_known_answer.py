"""A result that three other engines agree on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
import talib

from engine.program import Emission, Entry, Exit, Size
from engine.results.metrics import measure_trades
from engine.simulation.kernel import simulate
from engine.simulation.settings import SimulationSettings
from tests.candle_files import rsi_answer
from tests.conftest import recorded_csv
from tests.engine.simulation.worlds import SPOT, BarByBar, recorded_hours

KNOWN: Final = (123, 5_912.403252051)
"""Trades and final equity on the recorded hours by three other engines."""


def test_rsi_on_hours_of_bitcoin_ends_where_other_engines_do(btc_hours: Path) -> None:
    frame = recorded_hours(btc_hours, SPOT)
    rsi = talib.RSI(frame.bars[SPOT].close, 14)
    program = (
        Emission(rsi < 30.0, (Entry(SPOT, 1, Size("weight", 1.0)),)),
        Emission(rsi > 70.0, (Exit(SPOT),)),
    )
    terms = SimulationSettings(initial_cash=10_000.0, fee=0.0005, slippage=0.0)

    result = simulate(frame, program, terms)
    asked = simulate(frame, BarByBar(program), terms)

    trades, equity = KNOWN if btc_hours == recorded_csv() else rsi_answer(btc_hours, fee=0.0005)
    assert len(result.trades) == trades
    assert result.final_equity == pytest.approx(equity, rel=1e-11)
    assert set(result.trades.reasons) == {"signal"}
    assert asked.equity.tolist() == result.equity.tolist()
    assert measure_trades(result).num_trades == trades

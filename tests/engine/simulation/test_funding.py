"""Funding of perpetuals, computed by hand: on the value at the open, before its fills; longs pay positive rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.frame import Bars, Floats, Frame
from engine.program import DirectionSign, Emission, Entry, Exit, Size, StaticProgram
from engine.results.benchmark import buy_and_hold
from engine.results.metrics import measure_trades
from engine.simulation.kernel import simulate
from engine.simulation.result import Simulation
from engine.simulation.settings import Funding, SimulationSettings

from .worlds import HOUR, PERPETUAL

START = 1_750_032_000
"""Midnight UTC."""


def hours(opens: list[float]) -> Frame:
    """Hourly bars that open and close at the given prices, in order."""
    opened = np.array(opens)
    closed = np.append(opened[1:], opened[-1])
    high, low = np.maximum(opened, closed), np.minimum(opened, closed)
    bars = Bars(opened, high, low, closed, np.full(len(opens), 1e6), source="exchange")
    return Frame("1h", START + HOUR * np.arange(len(opens)), {PERPETUAL: bars})


def held(frame: Frame, entered: int, left: int, side: DirectionSign = 1, share: float = 1.0) -> StaticProgram:
    """Two units from the open of bar `entered` to the open of bar `left`, where `share` of them is closed."""
    buys, sells = np.zeros(len(frame), dtype=np.bool_), np.zeros(len(frame), dtype=np.bool_)
    buys[entered - 1] = True
    sells[left - 1] = True
    return (
        Emission(buys, (Entry(PERPETUAL, side, Size("amount", 2.0)),)),
        Emission(sells, (Exit(PERPETUAL, fraction=share),)),
    )


def run(frame: Frame, program: StaticProgram, rates: list[tuple[int, float]]) -> Simulation:
    """No fees or slippage, so that only prices and funding move the money."""
    due = Funding(np.array([t for t, _ in rates], dtype=np.int64), np.array([r for _, r in rates]))
    terms = SimulationSettings(initial_cash=10_000.0, fee=0.0, slippage=0.0, funding={PERPETUAL: due})
    return simulate(frame, program, terms)


@pytest.mark.parametrize(("side", "paid"), [(1, 0.44), (-1, -0.44)], ids=["a long pays", "a short is paid"])
def test_a_positive_rate_goes_from_longs_to_shorts(side: DirectionSign, paid: float) -> None:
    # Two units are held over 02:00, where the bar opens at 110: 2 * 110 * 0.002.
    frame = hours([100.0, 100.0, 110.0, 110.0, 110.0])
    result = run(frame, held(frame, 1, 4, side), [(START + 2 * HOUR, 0.002)])

    assert result.funding == pytest.approx(paid)
    # Bought at 100 and sold at 110.
    assert result.final_equity == pytest.approx(10_000 + side * 20 - paid)
    assert result.trades.pnl.tolist() == pytest.approx([side * 20 - paid])
    assert measure_trades(result).total_funding == pytest.approx(paid)


def test_a_negative_rate_goes_the_other_way() -> None:
    frame = hours([100.0] * 5)
    result = run(frame, held(frame, 1, 4), [(START + 2 * HOUR, -0.001)])

    assert result.final_equity == pytest.approx(10_000 + 0.2)


def test_only_what_is_held_when_a_rate_is_due_pays() -> None:
    # Bought at the open of 01:00, after that time's rate; sold at the open of 03:00, which still pays.
    frame = hours([100.0] * 6)
    rates = [(START + hour * HOUR, 0.001) for hour in range(1, 6)]
    result = run(frame, held(frame, 1, 3), rates)

    assert result.funding == pytest.approx(2 * 100 * 0.001 * 2)
    # The curve falls at 02:00 and at 03:00 by 0.2 each.
    assert result.equity.tolist() == pytest.approx([10_000, 10_000, 9_999.8, 9_999.6, 9_999.6, 9_999.6])


def test_rates_within_a_bar_are_charged_at_the_next_open_and_at_the_end() -> None:
    frame = hours([100.0, 100.0, 120.0])
    rates = [(START + HOUR + 600, 0.001), (START + HOUR + 1_200, 0.002), (START + 2 * HOUR + 60, 0.003)]
    forever = np.array([True, False, False])
    result = run(frame, (Emission(forever, (Entry(PERPETUAL, 1, Size("amount", 2.0)),)),), rates)

    # 2 * 120 * (0.001 + 0.002) at the open of 02:00, and 2 * 120 * 0.003 at the last close.
    assert result.funding == pytest.approx(0.72 + 0.72)
    assert result.final_equity == pytest.approx(10_000 + 40 - 1.44)


def test_a_part_that_is_closed_takes_its_share_of_the_funding_along() -> None:
    frame = hours([100.0] * 6)
    result = run(frame, held(frame, 1, 3, share=0.25), [(START + 2 * HOUR, 0.004)])

    # 0.8 is paid; a quarter of it belongs to the half unit that is closed at 03:00.
    assert result.trades.pnl.tolist() == pytest.approx([-0.2, -0.6])


def test_holding_pays_funding_too() -> None:
    frame = hours([100.0] * 4)
    terms = SimulationSettings(
        initial_cash=1_000.0,
        fee=0.0,
        slippage=0.0,
        funding={PERPETUAL: Funding(np.array([START + 2 * HOUR]), np.array([0.01]))},
    )
    equity, _ = buy_and_hold(frame, terms, 0)

    # Ten units, bought at 01:00.
    assert equity.tolist() == pytest.approx([1_000, 1_000, 990, 990])


prices = st.lists(st.floats(50.0, 200.0), min_size=6, max_size=40)


@settings(max_examples=50, deadline=None)
@given(opens=prices, rates=st.lists(st.tuples(st.integers(0, 40 * HOUR), st.floats(-0.01, 0.01)), max_size=20))
def test_law_funding_is_the_difference_to_the_same_run_without_it(
    opens: list[float], rates: list[tuple[int, float]]
) -> None:
    """With sizes independent of money, only the payments change, and trades add up to the equity."""
    frame = hours(opens)
    program = held(frame, 1, len(opens) - 1)
    funded = run(frame, program, sorted((START + at, rate) for at, rate in rates))
    plain = simulate(frame, program, replace(funded.settings, funding={}))

    assert funded.final_equity == pytest.approx(plain.final_equity - funded.funding)
    assert float(_pnl(funded).sum()) == pytest.approx(funded.final_equity - 10_000.0, abs=1e-6)
    assert funded.fills.price.tolist() == plain.fills.price.tolist()


def _pnl(result: Simulation) -> Floats:
    return result.trades.pnl

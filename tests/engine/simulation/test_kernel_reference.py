"""The kernel compared with a plain loop over bars: the same bits for any market, program and terms."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings

from engine.simulation.kernel import simulate
from engine.simulation.market import prepare
from engine.simulation.portfolio import PortfolioKernel
from engine.simulation.result import Simulation
from engine.simulation.schedule import Schedule
from tests.engine.simulation.reference import Reference
from tests.engine.simulation.worlds import BarByBar, World, plain_worlds, single_worlds, worlds

MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def reference(world: World) -> Reference:
    return Reference(world.frame, world.program, world.settings, world.first_bar).run()


def assert_same(result: Simulation, expected: Reference) -> None:
    """Every curve, trade and fill, without any tolerance."""
    assert result.equity.tolist() == expected.equity
    assert result.ended_early == expected.ended
    got = [
        (t.amount, t.entry_price, t.exit_price, t.fees, t.slippage, t.pnl, t.side, t.reason, t.tag, t.bars_held)
        for t in result.trades.rows()
    ]
    want = [
        (t.amount, t.entry, t.exit, t.fees, t.slippage, t.pnl, t.side, t.reason, t.tag, t.exit_bar - t.entry_bar)
        for t in expected.trades
    ]
    assert got == want
    assert result.trades.instrument.tolist() == [t.k for t in expected.trades]
    fills = result.fills
    columns = (fills.bar, fills.instrument, fills.direction, fills.amount, fills.price)
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == expected.fills
    assert result.cash.tolist()[:-1] == expected.cash[:-1]


@MANY
@given(single_worlds())
def test_the_fast_path_equals_the_plain_loop_bit_for_bit(world: World) -> None:
    result = simulate(world.frame, world.program, world.settings, world.first_bar)

    assert_same(result, reference(world))


@MANY
@given(plain_worlds())
def test_plain_round_trips_equal_the_plain_loop_bit_for_bit(world: World) -> None:
    result = simulate(world.frame, world.program, world.settings, world.first_bar)

    assert_same(result, reference(world))


@MANY
@given(worlds())
def test_the_general_path_equals_the_plain_loop_bit_for_bit(world: World) -> None:
    result = simulate(world.frame, world.program, world.settings, world.first_bar)

    assert_same(result, reference(world))


@settings(MANY, max_examples=50)
@given(single_worlds())
def test_both_paths_give_the_same_bits_where_both_apply(world: World) -> None:
    fast = simulate(world.frame, world.program, world.settings, world.first_bar)
    markets = prepare(world.frame, world.settings)
    schedule = Schedule(world.program, markets, world.first_bar)
    general = PortfolioKernel(world.frame, markets, schedule, world.settings, world.first_bar, None).run()

    assert np.array_equal(fast.equity, general.equity)
    assert np.array_equal(fast.cash, general.cash)
    assert np.array_equal(fast.gross, general.gross)
    assert list(fast.trades.rows()) == list(general.trades.rows())


@settings(MANY, max_examples=50)
@given(worlds())
def test_a_program_asked_bar_by_bar_trades_like_the_same_program_in_one_piece(world: World) -> None:
    whole = simulate(world.frame, world.program, world.settings, world.first_bar)
    asked = simulate(world.frame, BarByBar(world.program), world.settings, world.first_bar)

    assert np.array_equal(whole.equity, asked.equity)
    assert list(whole.trades.rows()) == list(asked.trades.rows())
    assert list(whole.fills.rows()) == list(asked.fills.rows())

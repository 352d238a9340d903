"""The account as a program sees it, bar by bar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import HealthCheck, given, settings

from engine.frame import Bools
from engine.program import AccountState, Emission, Entry, Exit, SignalIntent, Size, StaticProgram
from engine.simulation.kernel import simulate
from engine.simulation.settings import SimulationSettings
from tests.engine.simulation.worlds import PERPETUAL, BarByBar, World, framed, walk, worlds

LAW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Watching(BarByBar):
    """Keeps every account that it receives."""

    def __init__(self, program: StaticProgram) -> None:
        super().__init__(program)
        self.seen: dict[int, AccountState] = {}

    def decide(self, bar: int, account: AccountState) -> Sequence[SignalIntent]:
        self.seen[bar] = account
        return super().decide(bar, account)


class Selective(Watching):
    """Names the bars on which it may decide anything."""

    def __init__(self, program: StaticProgram) -> None:
        super().__init__(program)
        self.active: Bools = np.logical_or.reduce([e.condition for e in program])


@LAW
@given(worlds())
def test_the_account_shown_is_the_account_of_the_curves(world: World) -> None:
    program = Watching(world.program)
    result = simulate(world.frame, program, world.settings, world.first_bar)
    peaks = np.maximum(np.maximum.accumulate(result.equity), world.settings.initial_cash)

    last = len(world.frame) - 1
    for bar, account in program.seen.items():
        i = bar - world.first_bar
        assert bar == last or account.equity == result.equity[i]
        assert bar == last or account.cash == result.cash[i]
        assert account.drawdown_pct <= 0.0
        if bar < last and peaks[i] > 0.0:
            assert account.drawdown_pct == 100.0 * (result.equity[i] / peaks[i] - 1.0)


@LAW
@given(worlds())
def test_a_program_that_knows_its_bars_trades_the_same_and_sees_the_same_on_them(world: World) -> None:
    always, selective = Watching(world.program), Selective(world.program)

    one = simulate(world.frame, always, world.settings, world.first_bar)
    other = simulate(world.frame, selective, world.settings, world.first_bar)

    assert one.equity.tolist() == other.equity.tolist()
    assert list(one.trades.rows()) == list(other.trades.rows())
    assert all(selective.active[bar] for bar in selective.seen)
    for bar, account in selective.seen.items():
        assert repr(account) == repr(always.seen[bar])


def test_a_position_is_shown_with_its_entry_its_age_and_its_gain() -> None:
    frame = framed({PERPETUAL: walk(np.random.default_rng(4), 8, 0.01, jumping=0.0)})
    on, off = np.zeros(8, np.bool_), np.zeros(8, np.bool_)
    on[1], off[4] = True, True
    program = Watching((Emission(on, (Entry(PERPETUAL, -1, Size("amount", 2.0)),)), Emission(off, (Exit(PERPETUAL),))))

    simulate(frame, program, SimulationSettings(fee=0.0, slippage=0.0))

    bars = frame.bars[PERPETUAL]
    shown = [program.seen[bar].positions[PERPETUAL] for bar in range(8)]
    assert [p.side for p in shown] == [0, 0, -1, -1, -1, 0, 0, 0]
    assert [p.bars_in_position for p in shown] == [0, 0, 0, 1, 2, 0, 0, 0]
    assert shown[4].amount == 2.0
    assert shown[4].entry_price == bars.open[2]
    assert shown[4].unrealized_pnl_pct == -100.0 * (bars.close.item(4) / bars.open.item(2) - 1.0)

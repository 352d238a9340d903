"""Many programs in one batch give what each gives alone: the same trips and equity, to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from api.symbols import Instrument, resolve
from engine.executor import Inline
from engine.frame import Frame
from engine.language import ScriptContext, compile_script
from engine.program import DirectionSign, Emission, Entry, Exit, Program, SignalIntent, Size, SizeKind
from engine.research.plan import Periods
from engine.research.sweep import run_variants
from engine.research.variants import METRICS, SweepTerms, measured, period_returns
from engine.simulation.kernel import simulate, simulate_signals
from engine.simulation.settings import SimulationSettings
from engine.trading_rules import OrderRules
from tests.engine.simulation.worlds import framed, walk

SPOT = resolve("BINANCE:BTC/USDT")
PERPETUAL = resolve("BINANCEFUTURESUSD:BTC/USDT:USDT")
BARS = 120
SIZES: tuple[tuple[SizeKind, float], ...] = (
    ("weight", 1.0), ("weight", 0.3), ("weight", 3.0), ("notional", 2_500.0), ("notional", 1e6), ("amount", 7.0),
)  # fmt: skip


def program(
    instrument: Instrument, rng: np.random.Generator, size: tuple[SizeKind, float], side: DirectionSign
) -> Program:
    """An entry and one or two exits, on different bars and on the same ones."""
    often = rng.uniform(0.01, 0.5, 3)
    emissions = [Emission(rng.random(BARS) < often[0], (Entry(instrument, side, Size(*size), tag="in"),))]
    emissions += [Emission(rng.random(BARS) < often[1], (Exit(instrument, side if rng.random() < 0.5 else None),))]
    if rng.random() < 0.5:
        emissions.append(Emission(rng.random(BARS) < often[2], (Exit(instrument),)))
    order: list[int] = rng.permutation(len(emissions)).tolist()
    return tuple(emissions[i] for i in order)


RULES: tuple[dict[Instrument, OrderRules], ...] = (
    {}, {SPOT: OrderRules(0.01, 5.0)}, {SPOT: OrderRules(1.0)}, {SPOT: OrderRules(0.0, 900.0)},
)  # fmt: skip
terms = st.builds(
    SimulationSettings,
    initial_cash=st.sampled_from([1_000.0, 10_000.0]),
    fee=st.sampled_from([0.0, 0.0005, 0.02]),
    slippage=st.sampled_from([0.0, 0.001]),
    order_rules=st.sampled_from(RULES),
    max_volume_share=st.sampled_from([None, 0.1]),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), terms, st.integers(0, 20), st.booleans())
def test_programs_traded_together_trade_as_alone(
    seed: int, how: SimulationSettings, first_bar: int, volatile: bool
) -> None:
    rng = np.random.default_rng(seed)
    frame = framed({SPOT: walk(rng, BARS, 0.05 if volatile else 0.002)})
    programs = [program(SPOT, rng, SIZES[i % len(SIZES)], 1) for i in range(12)]

    trips, others = simulate_signals(frame, programs, how, first_bar)

    together: list[int] = [] if trips is None else trips.order.tolist()
    assert sorted([*together, *others]) == list(range(12))
    if trips is None:
        return
    equity = trips.equity(0, len(together))
    for column, number in enumerate(together):
        alone, count = simulate(frame, programs[number], how, first_bar), int(trips.count[column])
        assert equity[column].tolist() == alone.equity.tolist()
        assert trips.entered[:count, column].tolist() == alone.trades.entry_bar.tolist()
        assert trips.bars_held[:count, column].tolist() == alone.trades.bars_held.tolist()
        assert trips.pnl[:count, column].tolist() == alone.trades.pnl.tolist()
        assert trips.fees[:count, column].tolist() == alone.trades.fees.tolist()
    for number in others:
        alone = simulate(frame, programs[number], how, first_bar)
        assert alone.sizes.too_small + alone.sizes.unfunded + alone.sizes.volume_limited > 0


def test_shorts_and_longs_of_a_perpetual_are_told_apart_by_what_can_be_liquidated() -> None:
    rng = np.random.default_rng(4)
    frame = framed({PERPETUAL: walk(rng, BARS, 0.01)})
    programs = [program(PERPETUAL, rng, ("weight", 0.5), side) for side in (1, -1)]
    free = SimulationSettings()

    plain, levered = (simulate_signals(frame, programs, replace(free, leverage=x))[1] for x in (1.0, 2.0))

    assert (plain, levered) == ((1,), (0, 1))


WITH = Entry(SPOT, 1, Size("weight", 0.5))


@pytest.mark.parametrize(
    "intents",
    [
        (replace(WITH, stop_loss=0.05), Exit(SPOT)),
        (replace(WITH, trailing_stop=0.05), Exit(SPOT)),
        (replace(WITH, limit=90.0), Exit(SPOT)),
        (replace(WITH, pyramiding=2), Exit(SPOT)),
        (replace(WITH, size=Size("weight", np.full(BARS, 0.5))), Exit(SPOT)),
        (WITH, Exit(SPOT, fraction=0.5)),
        (WITH, Exit(SPOT, once=1)),
        (WITH, WITH, Exit(SPOT)),
    ],
)
def test_what_more_than_signals_can_close_is_left_to_a_simulation_of_its_own(intents: tuple[SignalIntent, ...]) -> None:
    rng = np.random.default_rng(4)
    frame = framed({SPOT: walk(rng, BARS, 0.01)})
    decided = tuple(Emission(rng.random(BARS) < 0.2, (intent,)) for intent in intents)

    assert simulate_signals(frame, [decided], SimulationSettings()) == (None, (0,))


SCRIPT = """
n = param("n", 5, 2, 20)
level = param("level", 40, 5, 60)
emit_signal(rsi(close, n) < level, entry(TICKER, "LONG", Weight(1){stop}))
emit_signal(rsi(close, n) > 55, exit(TICKER))
"""


@pytest.mark.parametrize(("memory", "together"), [(1 << 27, 2), (1, 2), (1, 1_000)])
@pytest.mark.parametrize("stop", ["", ", stop_loss=0.01", ", take_profit=0.1 * bars_in_position"])
def test_a_sweep_measures_each_variant_as_a_backtest_of_it_alone(
    stop: str, memory: int, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traded together or not; also when a process may hold one byte of series, and so computes them again and again."""
    monkeypatch.setattr("engine.research.sweep.TOGETHER", together)
    monkeypatch.setattr("engine.research.variants._CACHE_BYTES", memory)
    monkeypatch.setattr("engine.research.variants._LOOKED_AT", 1)
    rng = np.random.default_rng(9)
    frame, script = framed({SPOT: walk(rng, 600, 0.01)}), SCRIPT.format(stop=stop)
    values: NDArray[np.float64] = np.array([(n, level) for n in (2, 3, 7, 14) for level in (0.0, 20.0, 40.0, 55.0)])
    values[values[:, 1] == 0.0, 1] = 5.0
    context, how = ScriptContext((SPOT,), "1h"), SimulationSettings(order_rules={SPOT: OrderRules(0.001, 5.0)})
    names, periods = ("n", "level"), Periods.of(frame.time, frame.seconds)
    sweep = SweepTerms(f"as alone{stop}{memory}{together}", script, context, names, (SPOT,), ("simulated",), 0, how)

    ran = run_variants(Inline(), sweep, values, frame, periods, lambda _: None)

    assert not ran.refused
    for row, (n, level) in enumerate(values.tolist()):
        own = compile_script(script, replace(context, parameters=(("n", n), ("level", level))))
        alone = simulate(frame, own.program(frame), how)
        assert dict(zip(METRICS, ran.metrics[row].tolist(), strict=True)) == pytest.approx(
            dict(zip(METRICS, measured(alone), strict=True)), rel=1e-12, nan_ok=True
        )
        assert ran.returns[row].tolist() == period_returns(alone.equity, how.initial_cash, periods.edges).tolist()


def test_a_frame_of_several_tickers_is_left_to_simulations_of_their_own() -> None:
    rng = np.random.default_rng(4)
    frame: Frame = framed({SPOT: walk(rng, BARS, 0.01), resolve("BINANCE:ETH/USDT"): walk(rng, BARS, 0.01)})

    assert simulate_signals(frame, [program(SPOT, rng, ("weight", 0.5), 1)], SimulationSettings()) == (None, (0,))

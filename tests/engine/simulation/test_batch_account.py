"""Programs that trade a universe together, each on its own account, give what each gives alone, to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from api.symbols import Instrument, resolve
from engine.executor import Inline
from engine.frame import Bars, Frame
from engine.language import ScriptContext, compile_script
from engine.program import Emission, Entry, Exit, Program, Rebalance, SignalIntent, Size, SizeKind
from engine.research.plan import Periods
from engine.research.sweep import run_variants
from engine.research.variants import SweepTerms, measured, period_returns
from engine.simulation import kernel
from engine.simulation.kernel import simulate, simulate_accounts
from engine.simulation.settings import SimulationSettings
from engine.trading_rules import OrderRules
from tests.engine.simulation.worlds import framed, walk

TICKERS = tuple(resolve(f"BINANCE:{name}/USDT") for name in ("BTC", "ETH", "SOL"))
BARS = 90
SIZES: tuple[tuple[SizeKind, float], ...] = (
    ("weight", 0.3), ("weight", 0.9), ("notional", 2_500.0), ("notional", 1e6), ("amount", 7.0), ("risk", 0.02),
)  # fmt: skip
STOPS = ((None, None, None), (0.02, None, None), (None, 0.03, None), (None, None, 0.02), (0.03, 0.02, 0.01))


def program(rng: np.random.Generator, size: tuple[SizeKind, float], most: int | None) -> Program:
    """An entry and one or two exits of each ticker, on different bars and on the same ones."""
    emissions: list[Emission] = []
    for ticker in TICKERS:
        often = rng.uniform(0.01, 0.4, 3)
        stop, target, trail = STOPS[int(rng.integers(len(STOPS)))]
        if size[0] == "risk":
            stop = stop or 0.05
        entry = Entry(
            ticker, 1, Size(*size), stop_loss=stop, take_profit=target, trailing_stop=trail, max_positions=most
        )
        own = [Emission(rng.random(BARS) < often[0], (entry,)), Emission(rng.random(BARS) < often[1], (Exit(ticker),))]
        if rng.random() < 0.5:
            own.append(Emission(rng.random(BARS) < often[2], (Exit(ticker, 1),)))
        order: list[int] = rng.permutation(len(own)).tolist()
        emissions += [own[i] for i in order]
    return tuple(emissions)


def with_gaps(frame: Frame, rng: np.random.Generator) -> Frame:
    """The second ticker is listed later, the third has a hole."""
    missing = np.zeros((3, BARS), dtype=np.bool_)
    missing[1, : int(rng.integers(1, 40))] = True
    hole = int(rng.integers(1, BARS - 6))
    missing[2, hole : hole + int(rng.integers(1, 5))] = True
    bars: dict[Instrument, Bars] = {}
    for number, (ticker, own) in enumerate(frame.bars.items()):
        opened, high, low, close, volume = (
            np.where(missing[number], np.nan, getattr(own, c)) for c in ("open", "high", "low", "close", "volume")
        )
        bars[ticker] = Bars(opened, high, low, close, volume, own.source)
    return replace(frame, bars=bars)


terms = st.builds(
    SimulationSettings,
    initial_cash=st.sampled_from([1_000.0, 10_000.0]),
    fee=st.sampled_from([0.0, 0.0005, 0.02]),
    slippage=st.sampled_from([0.0, 0.001]),
    order_rules=st.sampled_from([{}, {TICKERS[0]: OrderRules(0.01, 5.0), TICKERS[1]: OrderRules(1.0, 900.0)}]),
    max_volume_share=st.sampled_from([None, 0.1]),
)


@pytest.mark.long
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), terms, st.integers(0, 20), st.sampled_from([None, 1, 2]), st.booleans())
def test_accounts_traded_together_trade_as_alone(
    seed: int, how: SimulationSettings, first_bar: int, most: int | None, gaps: bool
) -> None:
    rng = np.random.default_rng(seed)
    frame = framed({ticker: walk(rng, BARS, 0.01) for ticker in TICKERS})
    frame = with_gaps(frame, rng) if gaps else frame
    programs = {10 * i: program(rng, SIZES[i % len(SIZES)], most) for i in range(22)}

    runs, others = simulate_accounts(frame, programs, how, first_bar)

    assert runs is not None
    assert sorted([*runs.order.tolist(), *others]) == list(programs)
    assert gaps or not others
    for row, key in enumerate(runs.order.tolist()):
        alone, own = simulate(frame, programs[key], how, first_bar), runs.owner == row
        assert runs.equity[row].tolist() == alone.equity.tolist()
        assert runs.pnl[own].tolist() == alone.trades.pnl.tolist()
        assert runs.fees[own].tolist() == alone.trades.fees.tolist()
        assert runs.bars_held[own].tolist() == alone.trades.bars_held.tolist()
        assert runs.exposed[row] == np.count_nonzero(alone.gross > 0.0)


ENTRY = Entry(TICKERS[0], 1, Size("weight", 0.5))


@pytest.mark.parametrize(
    "intents",
    [
        (replace(ENTRY, limit=90.0), Exit(TICKERS[0])),
        (replace(ENTRY, pyramiding=2), Exit(TICKERS[0])),
        (replace(ENTRY, size=Size("weight", np.full(BARS, 0.5))), Exit(TICKERS[0])),
        (ENTRY, ENTRY, Exit(TICKERS[0])),
        (ENTRY, Exit(TICKERS[0], fraction=0.5)),
        (ENTRY, Exit(TICKERS[0], once=1)),
        (replace(ENTRY, instrument=TICKERS[1]), ENTRY),
        (replace(ENTRY, max_positions=1), replace(ENTRY, instrument=TICKERS[1], max_positions=2)),
        (Rebalance(TICKERS[0], 0.5),),
    ],
)
def test_what_does_not_fit_is_left_to_a_simulation_of_its_own(intents: tuple[SignalIntent, ...]) -> None:
    rng = np.random.default_rng(4)
    frame = framed({ticker: walk(rng, BARS, 0.01) for ticker in TICKERS})
    decided = tuple(Emission(rng.random(BARS) < 0.2, (intent,)) for intent in intents)
    programs: dict[int, Program] = dict.fromkeys(range(30), decided)

    assert simulate_accounts(frame, programs, SimulationSettings()) == (None, tuple(range(30)))
    assert simulate_accounts(frame, programs, SimulationSettings(stop_loss=0.5))[0] is None


SCRIPT = """
n = param("n", 5, 2, 20)
level = param("level", 40, 5, 60)
emit_signal(rsi(close, n) < level, entry(TICKER, "LONG", Weight(0.5), trailing_stop=0.02))
emit_signal(rsi(close, n) > 55, exit(TICKER))
"""


def test_a_sweep_over_a_universe_has_the_same_figures_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    frame = framed({ticker: walk(rng, 400, 0.01) for ticker in TICKERS})
    values: NDArray[np.float64] = np.array([(n, x) for n in (2, 3, 7, 9, 14) for x in (5.0, 20.0, 40.0, 50.0, 55.0)])
    context, how = ScriptContext(TICKERS, "1h"), SimulationSettings(order_rules={TICKERS[0]: OrderRules(0.001, 5.0)})
    names, periods = ("n", "level"), Periods.of(frame.time, frame.seconds)
    sweep = SweepTerms("universe", SCRIPT, context, names, TICKERS, ("simulated",) * 3, 0, how)

    together = run_variants(Inline(), sweep, values, frame, periods, lambda _: None)
    monkeypatch.setattr(kernel, "FEW", 1_000_000)
    single = run_variants(Inline(), replace(sweep, sweep="one by one"), values, frame, periods, lambda _: None)

    np.testing.assert_allclose(together.metrics, single.metrics, rtol=1e-12)
    assert np.array_equal(together.returns, single.returns)
    for row in (0, 7, 24):
        own = compile_script(SCRIPT, replace(context, parameters=tuple(zip(names, values[row].tolist(), strict=True))))
        alone = simulate(frame, own.program(frame), how)
        assert together.metrics[row].tolist() == pytest.approx(measured(alone), rel=1e-12, nan_ok=True)
        assert together.returns[row].tolist() == period_returns(alone.equity, how.initial_cash, periods.edges).tolist()
    assert together.column("num_trades").max() > 20

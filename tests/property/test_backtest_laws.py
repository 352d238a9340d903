"""Laws that every simulation obeys, for any market, program and terms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from api.symbols import Instrument
from engine.frame import Bars, Frame
from engine.program import (
    Emission,
    Entry,
    Exit,
    Grid,
    MoveStop,
    ParameterValue,
    Rebalance,
    SignalIntent,
    Size,
    SizeKind,
    StaticProgram,
)
from engine.simulation.kernel import simulate
from engine.simulation.result import Simulation
from engine.simulation.settings import SimulationSettings
from tests.engine.simulation.worlds import PERPETUAL, World, cut, framed, single_worlds, walk, worlds

LAW = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
TERMS = SimulationSettings(initial_cash=10_000.0)
either = single_worlds() | worlds()


def run(world: World) -> Simulation:
    return simulate(world.frame, world.program, world.settings, world.first_bar)


def scaled(value: ParameterValue | None, factor: float) -> ParameterValue | None:
    return None if value is None else value * factor


def rewritten(intent: SignalIntent, stop: int | None = None, factor: float = 1.0) -> SignalIntent:
    """The intent with its series cut off at `stop`, or with prices times `factor` and base units divided by it."""

    def part(value: ParameterValue | None) -> ParameterValue | None:
        return value[:stop] if isinstance(value, np.ndarray) else value

    def size(s: Size) -> Size:
        value = part(s.value)
        assert value is not None
        return Size(s.kind, value / factor if s.kind == "amount" else value)

    match intent:
        case Entry():
            stops = (part(intent.stop_loss), part(intent.take_profit), part(intent.trailing_stop))
            names = dict(zip(("stop_loss", "take_profit", "trailing_stop"), stops, strict=True))
            return replace(intent, size=size(intent.size), limit=scaled(part(intent.limit), factor), **names)
        case Exit():
            return replace(intent, fraction=part(intent.fraction))
        case Rebalance():
            return replace(intent, weight=part(intent.weight))
        case Grid():
            bounds = {"lower": scaled(part(intent.lower), factor), "upper": scaled(part(intent.upper), factor)}
            return replace(intent, size=size(intent.size), **bounds)
        case MoveStop():
            return replace(intent, price=scaled(part(intent.price), factor) or 0.0)


def until(program: StaticProgram, stop: int) -> StaticProgram:
    return tuple(Emission(e.condition[:stop], tuple(rewritten(i, stop) for i in e.intents)) for e in program)


@LAW
@given(either, st.data())
def test_the_past_never_depends_on_the_future(world: World, data: st.DataObject) -> None:
    assume(not world.settings.resolves_at)
    stop = data.draw(st.integers(world.first_bar + 1, len(world.frame)))
    known = World(cut(world.frame, 0, stop), until(world.program, stop), world.settings, world.first_bar)

    whole, prefix = run(world), run(known)

    before = len(prefix.equity) - 1
    assert prefix.equity[:before].tolist() == whole.equity[:before].tolist()
    assert prefix.cash[:before].tolist() == whole.cash[:before].tolist()
    settled = [t for t in prefix.trades.rows() if t.reason != "end_of_data"]
    assert settled == list(whole.trades.rows())[: len(settled)]
    opened = [f for f in prefix.fills.rows() if f.reason != "end_of_data"]
    assert opened == list(whole.fills.rows())[: len(opened)]


@LAW
@given(either)
def test_every_coin_is_accounted_for(world: World) -> None:
    result = run(world)

    cash = world.settings.initial_cash
    assert result.final_equity == pytest.approx(cash + result.trades.pnl.sum(), rel=1e-9, abs=1e-9 * cash)
    flows = -(result.fills.direction * result.fills.amount * result.fills.price).sum() - result.fees
    forgiven = result.trades.pnl.sum() - flows
    assert forgiven >= -1e-9 * (cash + result.turnover)
    if "liquidation" not in result.trades.reasons and world.settings.leverage == 1.0:
        assert forgiven == pytest.approx(0.0, abs=1e-9 * (cash + result.turnover))
    assert result.fees == pytest.approx(result.trades.fees.sum(), rel=1e-9, abs=1e-12)
    assert result.slippage == pytest.approx(result.trades.slippage.sum(), rel=1e-9, abs=1e-9)


@LAW
@given(either)
def test_fills_are_within_their_bar_once_slippage_is_taken_off(world: World) -> None:
    result = run(world)
    universe = list(world.frame.bars.values())
    latest = [_carried(bars) for bars in universe]

    for fill, at, which in zip(result.fills.rows(), result.fills.bar, result.fills.instrument, strict=True):
        bar, k = int(at), int(which)
        price, reason = fill.price - fill.direction * fill.slippage / fill.amount, fill.reason
        if reason == "resolution":
            assert price in (0.0, 1.0)
        elif reason == "end_of_data":
            assert price == pytest.approx(latest[k][bar], rel=1e-9)
        else:
            low, high = universe[k].low.item(bar), universe[k].high.item(bar)
            assert low * (1 - 1e-9) - 1e-12 <= price <= high * (1 + 1e-9) + 1e-12


def _carried(bars: Bars) -> list[float]:
    values: list[float] = []
    closes: list[float] = bars.close.tolist()
    for close in closes:
        values.append(values[-1] if close != close and values else close)
    return values


@LAW
@given(either)
def test_equity_and_free_cash_never_fall_below_zero(world: World) -> None:
    result = run(world)

    assert result.equity.min() >= 0.0
    assert result.cash.min() >= -1e-9 * world.settings.initial_cash


@LAW
@given(either)
def test_units_of_price_do_not_matter(world: World) -> None:
    assume(all(i.market_type != "prediction" for i in world.frame.bars))
    factor = 2.0**-20
    program = tuple(Emission(e.condition, tuple(rewritten(i, factor=factor) for i in e.intents)) for e in world.program)
    small = Frame(world.frame.timeframe, world.frame.time, {i: _times(b, factor) for i, b in world.frame.bars.items()})

    large, tiny = run(world), simulate(small, program, world.settings, world.first_bar)

    assert tiny.equity.tolist() == pytest.approx(large.equity.tolist(), rel=1e-9, abs=1e-9)
    assert tiny.trades.reasons == large.trades.reasons
    assert tiny.trades.exit_bar.tolist() == large.trades.exit_bar.tolist()


def _times(bars: Bars, factor: float) -> Bars:
    columns = (c * factor for c in (bars.open, bars.high, bars.low, bars.close))
    return Bars(*columns, volume=bars.volume, source=bars.source)


@LAW
@given(either, st.integers(-10_000, 10_000))
def test_the_calendar_does_not_matter(world: World, hours: int) -> None:
    assume(not world.settings.resolves_at)
    later = replace(world, frame=replace(world.frame, time=world.frame.time + 3_600 * hours))

    now, then = run(world), run(later)

    assert now.equity.tolist() == then.equity.tolist()
    assert now.trades.pnl.tolist() == then.trades.pnl.tolist()


@LAW
@given(single_worlds(("spot",)))
def test_a_perpetual_without_leverage_is_spot(world: World) -> None:
    ((spot, bars),) = world.frame.bars.items()
    instrument = Instrument("binancefuturesusd", spot.base, spot.quote)
    frame = Frame(world.frame.timeframe, world.frame.time, {instrument: bars})
    program = tuple(
        Emission(e.condition, tuple(replace(i, instrument=instrument) for i in e.intents)) for e in world.program
    )

    on_spot, on_perpetual = run(world), simulate(frame, program, world.settings, world.first_bar)

    assert on_spot.equity.tolist() == on_perpetual.equity.tolist()
    assert on_spot.trades.pnl.tolist() == on_perpetual.trades.pnl.tolist()


@LAW
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.001, 0.01]), st.sampled_from([0.0, 0.001, 0.01]), st.booleans())
def test_more_cost_never_means_more_money(seed: int, fee: float, slippage: float, short: bool) -> None:
    rng = np.random.default_rng(seed)
    frame = framed({PERPETUAL: walk(rng, 200, 0.01)})
    entry = Entry(PERPETUAL, -1 if short else 1, Size("amount", 1.0))
    program = (
        Emission(rng.random(200) < 0.1, (entry,)),
        Emission(rng.random(200) < 0.1, (Exit(PERPETUAL),)),
    )
    base = World(frame, program, replace(TERMS, fee=fee, slippage=slippage))

    cheap, dear, slipping = (
        run(replace(base, settings=replace(base.settings, **more)))
        for more in ({}, {"fee": fee + 0.002}, {"slippage": slippage + 0.002})
    )

    assert cheap.trades.exit_bar.tolist() == dear.trades.exit_bar.tolist() == slipping.trades.exit_bar.tolist()
    assert (dear.equity <= cheap.equity).all()
    assert (slipping.equity <= cheap.equity).all()


@LAW
@given(
    st.integers(0, 10_000),
    st.sampled_from([2.0, 5.0, 20.0]),
    st.sampled_from([("weight", 0.9), ("notional", 500.0), ("amount", 1.0), ("risk", 0.1)]),
)
def test_leverage_changes_no_size_and_no_gain_but_what_a_position_ties_up(
    seed: int, leverage: float, size: tuple[SizeKind, float]
) -> None:
    rng = np.random.default_rng(seed)
    frame = framed({PERPETUAL: walk(rng, 60, 0.001)})
    entry = Entry(PERPETUAL, 1, Size(*size), stop_loss=0.4)
    program = (
        Emission(rng.random(60) < 0.2, (entry,)),
        Emission(rng.random(60) < 0.2, (Exit(PERPETUAL),)),
    )
    free = replace(TERMS, fee=0.0, slippage=0.0, maintenance_margin=0.0)

    plain, geared = (run(World(frame, program, replace(free, leverage=x))) for x in (1.0, leverage))

    assert geared.trades.amount.tolist() == pytest.approx(plain.trades.amount.tolist(), rel=1e-9)
    assert geared.trades.pnl.tolist() == pytest.approx(plain.trades.pnl.tolist(), rel=1e-9, abs=1e-9)
    worth = np.zeros(len(frame))
    for trade in range(len(plain.trades)):
        held = slice(int(plain.trades.entry_bar[trade]), int(plain.trades.exit_bar[trade]))
        worth[held] = plain.trades.amount[trade] * plain.trades.entry_price[trade]
    freed = (geared.cash - plain.cash)[:-1]
    assert freed.tolist() == pytest.approx((worth * (1.0 - 1.0 / leverage))[:-1].tolist(), rel=1e-9, abs=1e-6)

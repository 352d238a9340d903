"""Random markets, programs and terms, for tests that compare or bound simulations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from hypothesis import strategies as st

from api.exchanges import MarketType
from api.symbols import Instrument
from engine.frame import Bars, Bools, Floats, Frame
from engine.program import (
    AccountState,
    DirectionSign,
    Emission,
    Entry,
    Exit,
    Grid,
    MoveStop,
    ParameterValue,
    Rebalance,
    SignalIntent,
    Size,
    StaticProgram,
)
from engine.simulation.settings import SimulationSettings

T = TypeVar("T")
HOUR = 3600
SPOT = Instrument("binance", "BTC", "USDT")
PERPETUAL = Instrument("binancefuturesusd", "BTC", "USDT")
TOKEN = Instrument("polymarket", "71321", "USDC")


@dataclass(frozen=True)
class World:
    """The inputs of a simulation."""

    frame: Frame
    program: StaticProgram
    settings: SimulationSettings
    first_bar: int = 0

    def __repr__(self) -> str:
        """Kept short: hypothesis reproduces the arrays from its own record."""
        with np.printoptions(threshold=3):
            intents = [(np.flatnonzero(e.condition).tolist()[:8], e.intents) for e in self.program]
            return f"World({len(self.frame)} bars, {intents}, {self.settings}, first_bar={self.first_bar})"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))


class BarByBar:
    """The stateful twin of a static program: it makes the same decisions, but only when asked."""

    def __init__(self, program: StaticProgram) -> None:
        self._program = program

    def decide(self, bar: int, account: AccountState) -> Sequence[SignalIntent]:  # noqa: ARG002
        """The intents whose condition holds."""
        return [fixed(i, bar) for e in self._program if e.condition[bar] for i in e.intents]


def fixed(intent: SignalIntent, bar: int) -> SignalIntent:
    """The intent with the numbers of `bar` in place of series."""

    def at(value: ParameterValue | None) -> float | None:
        return None if value is None else float(value) if isinstance(value, int | float) else float(value[bar])

    def number(value: ParameterValue) -> float:
        return float(value) if isinstance(value, int | float) else float(value[bar])

    match intent:
        case Entry():
            amount = Size(intent.size.kind, number(intent.size.value))
            exits = {"stop_loss": at(intent.stop_loss), "take_profit": at(intent.take_profit)}
            return replace(intent, size=amount, limit=at(intent.limit), trailing_stop=at(intent.trailing_stop), **exits)
        case Exit():
            return replace(intent, fraction=number(intent.fraction))
        case Rebalance():
            return replace(intent, weight=number(intent.weight))
        case Grid():
            amount = Size(intent.size.kind, number(intent.size.value))
            return replace(intent, lower=number(intent.lower), upper=number(intent.upper), size=amount)
        case MoveStop():
            return replace(intent, price=number(intent.price))


def walk(rng: np.random.Generator, size: int, spread: float, *, jumping: float = 0.3) -> Bars:
    """A random walk in cents, so that prices often tie; a share `jumping` of the bars starts with a jump."""
    jumps = rng.normal(0.0, spread, size) * (rng.random(size) < jumping)
    moves = rng.normal(0.0, spread, size)
    close = 100.0 * np.exp(np.cumsum(moves + jumps))
    opened = close / np.exp(moves)
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0.0, spread / 2, size)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0.0, spread / 2, size)))
    opened, high, low, close = (np.maximum(np.round(x, 2), 0.01) for x in (opened, high, low, close))
    return Bars(opened, high, low, close, rng.random(size) * 100.0, "simulated")


def chances(bars: Bars) -> Bars:
    """A walk squeezed into the price range of a prediction token."""

    def squeeze(prices: Floats) -> Floats:
        return np.round(np.clip(prices / 200.0, 0.0, 1.0), 2)

    return Bars(
        squeeze(bars.open), squeeze(bars.high), squeeze(bars.low), squeeze(bars.close), bars.volume, "simulated"
    )


def with_gaps(rng: np.random.Generator, bars: Bars, share: float) -> Bars:
    """The bars with a share of them missing."""
    missing = rng.random(len(bars.close)) < share
    columns = (np.where(missing, np.nan, c) for c in (bars.open, bars.high, bars.low, bars.close, bars.volume))
    return Bars(*columns, source="simulated")


def framed(bars: dict[Instrument, Bars], start: int = 1_600_000_000 - 1_600_000_000 % HOUR) -> Frame:
    """A frame of hours."""
    size = len(next(iter(bars.values())).close)
    return Frame("1h", start + HOUR * np.arange(size), bars)


def recorded_hours(path: Path, instrument: Instrument) -> Frame:
    """The recorded file, oldest bar first."""
    table = np.loadtxt(path, delimiter=",", skiprows=1, usecols=(0, 3, 4, 5, 6, 7))[::-1]
    time, opened, high, low, close, volume = (np.ascontiguousarray(column) for column in table.T)
    return Frame("1h", time.astype(np.int64), {instrument: Bars(opened, high, low, close, volume, "imported")})


def cut(frame: Frame, start: int, stop: int) -> Frame:
    """A stretch of a frame."""
    part = slice(start, stop)
    bars = {
        i: Bars(b.open[part], b.high[part], b.low[part], b.close[part], b.volume[part], b.source)
        for i, b in frame.bars.items()
    }
    return Frame(frame.timeframe, frame.time[part], bars)


def instruments(kind: MarketType, count: int) -> list[Instrument]:
    """Different instruments of one kind of market."""
    exchange: dict[MarketType, tuple[Literal["binance", "binancefuturesusd", "polymarket"], str]] = {
        "spot": ("binance", "USDT"),
        "perpetual": ("binancefuturesusd", "USDT"),
        "prediction": ("polymarket", "USDC"),
    }
    where, quote = exchange[kind]
    return [Instrument(where, f"X{i}", quote) for i in range(count)]


# A strategy costs more to make than to draw from, so those with the same bounds or options are made once.
between = lru_cache(typed=True)(st.floats)
whole = lru_cache(typed=True)(st.integers)
YES_OR_NO = st.booleans()
SEEDS = st.integers(0, 2**32 - 1)
SOME_FRACTION = st.none() | st.sampled_from([0.001, 0.01, 0.03, 0.1])
SOME_PART = st.none() | st.sampled_from([0.02, 0.3])
LENGTHS = st.integers(1, 90) | st.integers(300, 700)
SHORTER_LENGTHS = st.integers(1, 90) | st.integers(300, 500)
COSTS = st.sampled_from([0.0, 0.0005, 0.01])
SPREADS = st.sampled_from([0.002, 0.01, 0.05])


def one_of(*options: T) -> st.SearchStrategy[T]:
    """Any of these, the first most simply."""
    return _made(*options)


@lru_cache(typed=True)
def _made(*options: object) -> st.SearchStrategy[Any]:
    return st.sampled_from(options)


def _value(draw: st.DrawFn, rng: np.random.Generator, size: int, low: float, high: float) -> ParameterValue:
    """A constant, or a series with holes."""
    if draw(YES_OR_NO):
        return draw(between(low, high))
    series = rng.uniform(low, high, size)
    series[rng.random(size) < 0.1] = np.nan
    return series


def _condition(draw: st.DrawFn, rng: np.random.Generator, size: int) -> Bools:
    return rng.random(size) < draw(one_of(0.02, 0.1, 0.3, 1.0))


def _size(draw: st.DrawFn, rng: np.random.Generator, size: int, *, stopped: bool) -> Size:
    kind = draw(one_of("weight", "notional", "amount", *(["risk"] if stopped else [])))
    low, high = {"weight": (0.05, 1.5), "notional": (10.0, 20_000.0), "amount": (0.1, 200.0), "risk": (0.005, 0.2)}[
        kind
    ]
    return Size(kind, _value(draw, rng, size, low, high))  # pyright: ignore[reportArgumentType] - one of the four kinds


@st.composite
def entries(
    draw: st.DrawFn, instrument: Instrument, rng: np.random.Generator, bars: Bars, *, limits: bool = False
) -> Entry:
    """An entry with any of its parameters."""
    size = len(bars.close)
    stop = draw(SOME_FRACTION)
    side: DirectionSign = draw(one_of(1, -1)) if instrument.market_type == "perpetual" else 1
    return Entry(
        instrument,
        side,
        _size(draw, rng, size, stopped=stop is not None),
        limit=bars.close * (1.0 - side * rng.normal(0.01, 0.02, size)) if limits and draw(YES_OR_NO) else None,
        stop_loss=stop,
        take_profit=draw(SOME_FRACTION),
        trailing_stop=draw(SOME_FRACTION),
        pyramiding=draw(one_of(0, 0, 1, 3)),
        tag=draw(one_of(None, "a", "b")),
    )


@st.composite
def exits(draw: st.DrawFn, instrument: Instrument, rng: np.random.Generator, size: int) -> Exit:
    """An exit of all or part of the position."""
    sides: list[DirectionSign | None] = [None, 1, -1]
    side = draw(st.sampled_from(sides))
    fraction = draw(one_of(1.0, 0.5))
    return Exit(instrument, side, fraction if draw(YES_OR_NO) else rng.uniform(0.1, 1.2, size))


@st.composite
def grids(draw: st.DrawFn, instrument: Instrument, rng: np.random.Generator, bars: Bars) -> Grid:
    """A grid around the first price, fixed or moving with the market."""
    known = bars.close[~np.isnan(bars.close)]
    middle: ParameterValue = float(known[0]) if len(known) and draw(YES_OR_NO) else bars.close
    width = draw(one_of(0.02, 0.1, 0.3))
    return Grid(
        instrument,
        middle * (1.0 - width),
        middle * (1.0 + width),
        levels=draw(whole(2, 12)),
        size=_size(draw, rng, len(bars.close), stopped=False),
        spacing=draw(one_of("arithmetic", "geometric")),
        tag=draw(one_of(None, "g")),
    )


@st.composite
def terms(draw: st.DrawFn, kind: MarketType) -> SimulationSettings:
    """Costs, leverage and portfolio limits."""
    return SimulationSettings(
        initial_cash=draw(one_of(1_000.0, 10_000.0)),
        fee=draw(COSTS),
        slippage=draw(COSTS),
        leverage=draw(one_of(1.0, 3.0, 10.0, 40.0)) if kind == "perpetual" else 1.0,
        maintenance_margin=draw(one_of(0.0, 0.005, 0.02)),
        stop_loss=draw(SOME_PART),
        take_profit=draw(SOME_PART),
    )


@st.composite
def single_worlds(draw: st.DrawFn, kinds: Sequence[MarketType] = ("spot", "perpetual", "prediction")) -> World:
    """One instrument, market entries and exits: the input of the fast path."""
    kind = draw(st.sampled_from(kinds))
    rng = np.random.default_rng(draw(SEEDS))
    size = draw(LENGTHS)
    bars = walk(rng, size, draw(SPREADS))
    instrument = instruments(kind, 1)[0]
    if kind == "prediction":
        bars = chances(bars)
    program = [
        Emission(_condition(draw, rng, size), (draw(entries(instrument, rng, bars)),)) for _ in range(draw(whole(1, 3)))
    ]
    program += [
        Emission(_condition(draw, rng, size), (draw(exits(instrument, rng, size)),)) for _ in range(draw(whole(0, 2)))
    ]
    order: list[int] = rng.permutation(len(program)).tolist()
    first = draw(whole(0, min(20, size - 1)))
    return World(framed({instrument: bars}), tuple(program[i] for i in order), draw(terms(kind)), first)


@st.composite
def plain_worlds(draw: st.DrawFn, kinds: Sequence[MarketType] = ("spot", "perpetual", "prediction")) -> World:
    """One constant market entry without exits of its own, and exits of the whole: the shortest path."""
    world = draw(single_worlds(kinds))
    ((instrument, bars),) = world.frame.bars.items()
    rng = np.random.default_rng(draw(SEEDS))
    size = len(bars.close)
    sizes = [Size("weight", 1.0), Size("weight", 0.3), Size("notional", 500.0), Size("amount", 3.0)]
    side: DirectionSign = draw(one_of(1, 1, -1)) if instrument.market_type == "perpetual" else 1
    entry = Entry(instrument, side, draw(one_of(*sizes)), tag=draw(one_of(None, "a")))
    program = [Emission(_condition(draw, rng, size), (entry,))]
    outs = [Exit(instrument, draw(one_of(None, side))) for _ in range(draw(whole(0, 2)))]
    program += [Emission(_condition(draw, rng, size), (out,)) for out in outs]
    limits = {} if draw(YES_OR_NO) else {"stop_loss": None, "take_profit": None, "leverage": 1.0}
    return replace(world, program=tuple(program), settings=replace(world.settings, **limits))


@st.composite
def worlds(draw: st.DrawFn, kinds: Sequence[MarketType] = ("spot", "perpetual", "prediction")) -> World:
    """Several instruments, every kind of intent, missing bars, resolutions."""
    kind = draw(st.sampled_from(kinds))
    rng = np.random.default_rng(draw(SEEDS))
    size = draw(SHORTER_LENGTHS)
    universe = instruments(kind, draw(whole(1, 4)))
    gaps = draw(one_of(0.0, 0.0, 0.2))
    bars: dict[Instrument, Bars] = {}
    for instrument in universe:
        walked = walk(rng, size, draw(SPREADS))
        bars[instrument] = with_gaps(rng, chances(walked) if kind == "prediction" else walked, gaps)
    program: list[Emission] = []
    for _ in range(draw(whole(1, 5))):
        chosen = [draw(_intents(instrument, rng, bars[instrument])) for instrument in universe]
        kept = [intent for intent in chosen if draw(YES_OR_NO)] or chosen[:1]
        program.append(Emission(_condition(draw, rng, size), tuple(kept)))
    frame = framed(bars)
    settings = draw(terms(kind))
    if kind == "prediction" and draw(YES_OR_NO):
        when = int(frame.time[draw(whole(0, size - 1))]) + draw(one_of(0, 1800, HOUR))
        settings = _resolving(settings, universe[0], when)
    return World(frame, tuple(program), settings, draw(whole(0, min(20, size - 1))))


def _resolving(settings: SimulationSettings, instrument: Instrument, when: int) -> SimulationSettings:
    return SimulationSettings(
        initial_cash=settings.initial_cash,
        fee=settings.fee,
        slippage=settings.slippage,
        stop_loss=settings.stop_loss,
        take_profit=settings.take_profit,
        resolves_at={instrument: when},
    )


@st.composite
def _intents(draw: st.DrawFn, instrument: Instrument, rng: np.random.Generator, bars: Bars) -> SignalIntent:
    kind = draw(one_of("entry", "entry", "exit", "rebalance", "grid"))
    if kind == "entry":
        return draw(entries(instrument, rng, bars, limits=True))
    if kind == "exit":
        return draw(exits(instrument, rng, len(bars.close)))
    if kind == "grid":
        return draw(grids(instrument, rng, bars))
    lowest = -0.6 if instrument.market_type == "perpetual" else 0.0
    return Rebalance(instrument, _value(draw, rng, len(bars.close), lowest, 0.6), draw(one_of(None, "r")))

"""The entry point of the backtest kernel: `simulate` checks the call, picks the path and assembles the result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from api.errors import InvalidInput, NotFound
from engine.frame import Bools, Frame
from engine.program import Entry, ParameterValue, Program, Rebalance, SignalIntent, StaticProgram

from .batch import RoundTrips, SignalProgram, round_trips, signal_program
from .batch_account import AccountRuns, UniverseProgram, trade_together, universe_program
from .kept import KernelState, RestingOrders
from .market import TradedInstrument, prepare
from .portfolio import PortfolioKernel
from .result import Simulation
from .schedule import CalledProgram, Decider, EntryOrder, Schedule, intents
from .segment import SegmentKernel, takes
from .settings import SimulationSettings
from .trades import Fills

ReportShare = Callable[[float], None]

FEW: Final = 64
"""Programs times instruments below which a simulation each is faster than all bars of all programs together."""


def simulate(
    frame: Frame,
    program: Program,
    settings: SimulationSettings,
    first_bar: int = 0,
    report: ReportShare | None = None,
) -> Simulation:
    """Trade `program` over `frame`.

    Args:
        first_bar: Earlier bars only warm up the indicators. The first decision is at its close, and the curves start
            there.
        report: Called from time to time with the share of bars done, 0 to 1.

    Raises:
        NotFound: `DATA_UNAVAILABLE` when there is no bar to trade on.
        InvalidInput: A short or leverage where the market has neither; a program made for another frame.
    """
    _check(frame, settings, first_bar)
    markets = prepare(frame, settings)
    if isinstance(program, tuple) and takes(program, markets):
        _check_program(frame, program)
        return SegmentKernel(frame, markets[0], program, settings, first_bar, report).run()
    decider = _decider(frame, program, markets, first_bar)
    return PortfolioKernel(frame, markets, decider, settings, first_bar, report).run()


def simulate_signals(
    frame: Frame, programs: Sequence[Program], settings: SimulationSettings, first_bar: int = 0
) -> tuple[RoundTrips | None, tuple[int, ...]]:
    """Trade, all at once, the programs that only signals open and close, with the same bits as `simulate`.

    Returns:
        Their trades, if any, and the indices of all other programs, which need a simulation each.

    Raises:
        NotFound, InvalidInput: See `simulate`.
    """
    _check(frame, settings, first_bar)
    if len(frame.bars) != 1:
        return None, tuple(range(len(programs)))
    (market,) = prepare(frame, settings)
    found: list[SignalProgram] = []
    places: list[int] = []
    for place, program in enumerate(programs):
        if not isinstance(program, tuple):
            continue
        _check_program(frame, program)
        ready = signal_program(market, program, settings)
        if ready is not None:
            found.append(ready)
            places.append(place)
    if not found:
        return None, tuple(range(len(programs)))
    trips = round_trips(market, found, settings, first_bar)
    if not len(trips.order):
        return None, tuple(range(len(programs)))
    together = {places[int(column)] for column in trips.order}
    others = tuple(place for place in range(len(programs)) if place not in together)
    return replace(trips, order=np.array(places)[trips.order]), others


def simulate_accounts(
    frame: Frame, programs: Mapping[int, Program], settings: SimulationSettings, first_bar: int = 0
) -> tuple[AccountRuns | None, tuple[int, ...]]:
    """Trade, all at once, the programs that fit `batch_account`, with the same bits as `simulate`.

    Returns:
        What they did, if there are any, and the keys of all other programs, which need a simulation each.

    Raises:
        NotFound, InvalidInput: See `simulate`.
    """
    _check(frame, settings, first_bar)
    markets = prepare(frame, settings)
    found: dict[int, UniverseProgram] = {}
    for key, program in programs.items():
        if isinstance(program, tuple):
            _check_program(frame, program)
            ready = universe_program(markets, program, settings)
            if ready is not None:
                found[key] = ready
    if len(found) * len(markets) < FEW:
        return None, tuple(programs)
    keys = np.array(list(found))
    runs = trade_together(markets, list(found.values()), settings, first_bar)
    together = set(keys[runs.order].tolist())
    return replace(runs, order=keys[runs.order]), tuple(key for key in programs if key not in together)


def begin(frame: Frame, program: Program, settings: SimulationSettings, first_bar: int) -> PortfolioKernel:
    """A simulation that its caller runs in steps, moving money in or out between bars.

    Raises:
        NotFound, InvalidInput: See `simulate`.
    """
    _check(frame, settings, first_bar)
    markets = prepare(frame, settings)
    return PortfolioKernel(frame, markets, _decider(frame, program, markets, first_bar), settings, first_bar, None)


@dataclass(frozen=True, slots=True)
class Advance:
    """Bars traded from a stored state.

    Attributes:
        state: After the last closed bar, its decisions waiting for the next open.
        fills: Fills of those bars, and of the last close's decisions, at the open of the stand-in bar.
        shares: The requested share of each fill that closed part of a position, before rounding to lots, by fill
            number.
        entries: The entry behind each fill that a market or limit entry made, by fill number.
        rungs: The rung of each fill of a grid, by fill number.
        equity: At the close of each of those bars, the first being `first_bar`.
        resting: The orders in the market after the next bar's open.
    """

    state: KernelState
    fills: Fills
    shares: dict[int, float]
    entries: dict[int, EntryOrder]
    rungs: dict[int, int]
    equity: list[float]
    resting: tuple[RestingOrders, ...]


def advance(
    frame: Frame, program: Program, settings: SimulationSettings, first_bar: int, before: KernelState | None
) -> Advance:
    """Continue from a state, bar by bar, with the same kernel and the same bits as `simulate` over all bars.

    Args:
        frame: Its last bar takes the place of the next one: market orders fill at its open, and nothing else happens.
        first_bar: The first bar that `before` has not seen.
        before: The result of the previous call; None at the start.

    Raises:
        NotFound, InvalidInput: See `simulate`.
    """
    _check(frame, settings, first_bar)
    markets = prepare(frame, settings)
    decider = _decider(frame, program, markets, first_bar)
    kernel = PortfolioKernel(frame, markets, decider, settings, first_bar, None)
    state, fills, resting = kernel.advance(before)
    return Advance(state, fills, kernel.shares(), kernel.entries(), kernel.rungs(), kernel.equity(), resting)


def _decider(frame: Frame, program: Program, markets: Sequence[TradedInstrument], first_bar: int) -> Decider:
    if isinstance(program, tuple):
        _check_program(frame, program)
        return Schedule(program, markets, first_bar)
    return CalledProgram(program, markets, lambda intent: _check_both(frame, intent))


def _check(frame: Frame, settings: SimulationSettings, first_bar: int) -> None:
    if not frame.bars or not 0 <= first_bar < len(frame):
        raise NotFound(
            f"there is no bar to trade on: the range has {len(frame)} bars and the first {first_bar} are warm-up",
            suggestion="Ask for a longer range, or one that the data covers",
        )
    for instrument in frame.bars:
        if settings.leverage > 1.0 and instrument.market_type != "perpetual":
            raise InvalidInput(
                f"leverage is {settings.leverage:g} but {instrument.ticker} is a {instrument.market_type} market",
                suggestion="Use leverage 1, or a perpetual such as BINANCEFUTURESUSD:BTC/USDT:USDT",
            )


def _check_program(frame: Frame, program: StaticProgram) -> None:
    for condition, intent in intents(program):
        if len(condition) != len(frame):
            raise InvalidInput(
                f"a condition has {len(condition)} bars and the frame {len(frame)}",
                suggestion="Compile the script against the frame that it is to trade",
            )
        check_intent(frame, intent)
        check_fractions(intent, condition)


_MOST: Final = {"stop_loss": 0.9999, "trailing_stop": 0.9999, "take_profit": 100.0}
"""The highest fractions of the entry price, as the language has them for constants."""


def _check_both(frame: Frame, intent: SignalIntent) -> None:
    check_intent(frame, intent)
    check_fractions(intent)


def check_fractions(intent: SignalIntent, condition: Bools | None = None) -> None:
    """Refuse an entry whose stop or target is not a fraction of the entry price on a bar on which it fires.

    Raises:
        InvalidInput: It names the option, the value and the fix.
    """
    if not isinstance(intent, Entry):
        return
    if intent.stop_loss is None and intent.take_profit is None and intent.trailing_stop is None:
        return
    for name, most in _MOST.items():
        value: ParameterValue | None = getattr(intent, name)
        if value is None:
            continue
        if isinstance(value, np.ndarray):
            fired = value if condition is None else value[condition]
            highest = float(np.fmax.reduce(fired, initial=0.0))
        else:
            highest = 0.0 if math.isnan(value) else value
        if highest > most:
            raise InvalidInput(
                f"{name} of an entry in {intent.instrument.ticker} comes to {highest:g}; it is a fraction of the entry "
                f"price, at most {most:g} (0.05 is 5 %)",
                suggestion=f"Divide a distance by the price, e.g. {name}=2 * atr(14) / close; percent by 100",
            )


def check_intent(frame: Frame, intent: SignalIntent) -> None:
    """Refuse an intent for an instrument outside the frame, and a short where shorts cannot be opened.

    Raises:
        InvalidInput: It names the ticker and the fix.
    """
    instrument = intent.instrument
    if instrument not in frame.bars:
        raise InvalidInput(
            f"{instrument.ticker} is not in the universe",
            suggestion="Add it, or trade one of " + ", ".join(i.ticker for i in frame.bars),
        )
    if instrument.market_type == "perpetual":
        return
    if isinstance(intent, Entry) and intent.side < 0:
        raise InvalidInput(
            f"{instrument.ticker} is a {instrument.market_type} market and cannot be sold short",
            suggestion="Use side LONG, or a perpetual such as BINANCEFUTURESUSD:BTC/USDT:USDT",
        )
    if isinstance(intent, Rebalance) and np.any(np.less(intent.weight, 0.0)):
        raise InvalidInput(
            f"a target weight of {instrument.ticker} is negative, and a {instrument.market_type} market has no shorts",
            suggestion="Clip the weight at 0, or use a perpetual such as BINANCEFUTURESUSD:BTC/USDT:USDT",
        )

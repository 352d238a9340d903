"""Turns conditions at a close into decisions, bar by bar.

An intent becomes an order with the numbers of one bar. Decisions come from a static program's signals, sorted by bar,
or from calling a stateful program. `delayed` gives the same decisions one bar later."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from api.symbols import Instrument
from engine.frame import Bools
from engine.program import (
    AccountState,
    DirectionSign,
    Emission,
    Entry,
    Exit,
    Grid,
    MoveStop,
    ParameterValue,
    Program,
    Rebalance,
    SelectiveProgram,
    SignalIntent,
    SizeKind,
    StatefulProgram,
    StaticProgram,
)

from .market import TradedInstrument

BarNumbers = np.ndarray[tuple[int], np.dtype[np.int64]]
_FEW: Final = 64
"""So many signals are quicker to evaluate than to sort out."""


class EntryOrder(NamedTuple):
    """An entry decided on a bar: `kind` says how `value` sizes it; the other fields are also that bar's numbers.

    `units` is the amount of a limit entry that has been placed.
    """

    side: DirectionSign
    kind: SizeKind
    value: float
    limit: float | None
    stop: float | None
    target: float | None
    trail: float | None
    pyramiding: int
    tag: str | None
    most: int | None = None
    units: float | None = None


def at(value: ParameterValue, bar: int) -> float:
    """A parameter's number on `bar`."""
    return value.item(bar) if isinstance(value, np.ndarray) else value


def _at(value: ParameterValue | None, bar: int) -> float | None:
    return None if value is None else at(value, bar)


def order_at(entry: Entry, bar: int) -> EntryOrder:
    """The entry with the parameters of `bar`."""
    return EntryOrder(
        side=entry.side,
        kind=entry.size.kind,
        value=at(entry.size.value, bar),
        limit=_at(entry.limit, bar),
        stop=_at(entry.stop_loss, bar),
        target=_at(entry.take_profit, bar),
        trail=_at(entry.trailing_stop, bar),
        pyramiding=entry.pyramiding,
        tag=entry.tag,
        most=entry.max_positions,
    )


def constant_order(entry: Entry) -> EntryOrder | None:
    """The order of an entry whose parameters are the same on every bar; None where one is a series."""
    for parameter in _parameters(entry):
        if isinstance(parameter, np.ndarray):
            return None
    return order_at(entry, 0)


def _parameters(intent: SignalIntent) -> tuple[ParameterValue | None, ...]:
    match intent:
        case Entry():
            return (intent.size.value, intent.limit, intent.stop_loss, intent.take_profit, intent.trailing_stop)
        case Exit():
            return (intent.fraction,)
        case Grid():
            return (intent.size.value, intent.lower, intent.upper)
        case MoveStop():
            return (intent.price,)
        case Rebalance():
            return ()


def known(intent: SignalIntent, bar: int) -> bool:
    """Whether every parameter is a usable number on `bar`; an intent with an impossible number does not fire."""
    if isinstance(intent, Rebalance):
        return math.isfinite(at(intent.weight, bar))
    return all(p is None or 0.0 < at(p, bar) < math.inf for p in _parameters(intent))


def fires(condition: Bools, intent: SignalIntent) -> Bools:
    """The bars on which the condition holds and the intent's parameters are usable."""
    if isinstance(intent, Rebalance):
        return condition & np.isfinite(intent.weight)
    for parameter in _parameters(intent):
        if isinstance(parameter, np.ndarray):
            condition = condition & (parameter > 0.0) & (parameter < math.inf)
        elif parameter is not None and not 0.0 < parameter < math.inf:
            return np.zeros_like(condition)
    return condition


def intents(program: StaticProgram) -> Iterator[tuple[Bools, SignalIntent]]:
    """Every intent with its condition, in script order."""
    for emission in program:
        for intent in emission.intents:
            yield emission.condition, intent


@dataclass(frozen=True, slots=True)
class FiredIntent:
    """An intent that fires, with usable parameters. `k` is the instrument's index in the universe, `order` the entry's
    order if it is the same on every bar."""

    k: int
    intent: SignalIntent
    order: EntryOrder | None


class Decider(Protocol):
    """Gives the decisions at a bar's close, and the next bar that may decide anything."""

    def at(self, bar: int, account: Callable[[], AccountState]) -> Sequence[FiredIntent]:
        """The decisions of `bar` in script order."""
        ...

    def next(self, bar: int) -> int:
        """The first bar from `bar` on that may decide something; past the end if there is none."""
        ...


class Schedule:
    """The signals of a static program from `first_bar` on."""

    def __init__(self, program: StaticProgram, markets: Sequence[TradedInstrument], first_bar: int) -> None:
        places = _places(markets)
        self._decisions: list[FiredIntent] = []
        bars: list[BarNumbers] = []
        for condition, intent in intents(program):
            order = constant_order(intent) if isinstance(intent, Entry) else None
            self._decisions.append(FiredIntent(places[intent.instrument], intent, order))
            bars.append(np.flatnonzero(fires(condition, intent)[first_bar:]) + first_bar)
        if sum(map(len, bars)) > _FEW and all(market.exists is None for market in markets):
            self._drop_idle_exits(bars)
        fired = np.concatenate(bars) if bars else np.empty(0, dtype=np.int64)
        which = np.repeat(np.arange(len(bars)), [len(b) for b in bars])
        order = np.argsort(fired, kind="stable")
        self._which = which[order]
        days, starts = np.unique(fired[order], return_index=True)
        self._bars: list[int] = days.tolist()
        self._starts: list[int] = [*starts.tolist(), len(fired)]
        self._size = len(markets[0].close)

    def _drop_idle_exits(self, bars: list[BarNumbers]) -> None:
        """Drop full exits where an earlier exit closed everything and nothing could have opened since.

        The first one of an instrument stays: a position may be older than the schedule.
        """
        by_instrument: dict[int, list[int]] = {}
        for number, decision in enumerate(self._decisions):
            by_instrument.setdefault(decision.k, []).append(number)
        for numbers in by_instrument.values():
            whole = [n for n in numbers if _closes_all(self._decisions[n].intent)]
            others = [n for n in numbers if not isinstance(self._decisions[n].intent, Exit)]
            if not whole:
                continue
            exits = np.unique(np.concatenate([bars[n] for n in whole]))
            opens = np.sort(np.concatenate([bars[n] for n in others])) if others else exits[:0]
            between = np.searchsorted(opens, exits[1:], side="right") - np.searchsorted(opens, exits[:-1], side="left")
            idle = exits[1:][between <= 0]
            for n in whole:
                bars[n] = np.setdiff1d(bars[n], idle, assume_unique=True)

    def at(self, bar: int, account: Callable[[], AccountState]) -> Sequence[FiredIntent]:  # noqa: ARG002
        """The decisions of `bar` in script order."""
        index = bisect_left(self._bars, bar)
        if index == len(self._bars) or self._bars[index] != bar:
            return ()
        which: list[int] = self._which[self._starts[index] : self._starts[index + 1]].tolist()
        return [self._decisions[i] for i in which]

    def next(self, bar: int) -> int:
        """The first bar from `bar` on with a signal."""
        index = bisect_left(self._bars, bar)
        return self._bars[index] if index < len(self._bars) else self._size


def _closes_all(intent: SignalIntent) -> bool:
    return (
        isinstance(intent, Exit)
        and intent.side is None
        and intent.once is None
        and not isinstance(intent.fraction, np.ndarray)
        and intent.fraction >= 1.0
    )


class CalledProgram:
    """A stateful program, called on every bar on which it may decide anything."""

    def __init__(
        self, program: StatefulProgram, markets: Sequence[TradedInstrument], check: Callable[[SignalIntent], None]
    ) -> None:
        self._program = program
        self._places = _places(markets)
        self._check = check
        self._size = len(markets[0].close)
        self._active: list[int] | None = None
        if isinstance(program, SelectiveProgram):
            self._active = np.flatnonzero(program.active).tolist()

    def at(self, bar: int, account: Callable[[], AccountState]) -> Sequence[FiredIntent]:
        """The program's decisions, with each intent checked like those of a static program at the start."""
        if self._active is not None and self.next(bar) != bar:
            return ()
        decided = self._program.decide(bar, account())
        for intent in decided:
            self._check(intent)
        return [FiredIntent(self._places[i.instrument], i, None) for i in decided if known(i, bar)]

    def next(self, bar: int) -> int:
        """The next bar to call it on: the account that it reads may change on any bar."""
        if self._active is None:
            return bar
        index = bisect_left(self._active, bar)
        return self._active[index] if index < len(self._active) else self._size


def _places(markets: Sequence[TradedInstrument]) -> dict[Instrument, int]:
    return {market.instrument: k for k, market in enumerate(markets)}


class _Delayed:
    """A program with every decision executed one bar later."""

    def __init__(self, program: StatefulProgram) -> None:
        self._program = program
        self._before: Sequence[SignalIntent] = ()

    def decide(self, bar: int, account: AccountState) -> Sequence[SignalIntent]:
        """The program's decisions of one bar ago."""
        now, self._before = self._before, self._program.decide(bar, account)
        return now


def delayed(program: Program) -> Program:
    """The program with its decisions one bar later, with the numbers of the earlier bar."""
    if not isinstance(program, tuple):
        return _Delayed(program)
    return tuple(
        Emission(_later(emission.condition, fill=False), tuple(_intent_later(intent) for intent in emission.intents))
        for emission in program
    )


def _later(values: Any, *, fill: Any) -> Any:
    shifted = np.empty_like(values)
    shifted[:1] = fill
    shifted[1:] = values[:-1]
    return shifted


def _intent_later(intent: SignalIntent) -> SignalIntent:
    changed: dict[str, Any] = {
        name: _later(value, fill=np.nan)
        for name in intent.__dataclass_fields__
        if isinstance(value := getattr(intent, name), np.ndarray)
    }
    size = getattr(intent, "size", None)
    if size is not None and isinstance(size.value, np.ndarray):
        changed["size"] = replace(size, value=_later(size.value, fill=np.nan))
    return replace(intent, **changed) if changed else intent

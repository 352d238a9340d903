"""Runs a checked script over a frame: all conditions and numbers as arrays, or, if it reads the account, a program that
runs bar by bar. Both compute in advance everything that does not read the account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import numpy as np

from api.symbols import Instrument
from engine.frame import Bools, Floats, Frame
from engine.program import (
    AccountState,
    Emission,
    Entry,
    Exit,
    Grid,
    MoveStop,
    ParameterValue,
    PositionState,
    Program,
    Rebalance,
    SignalIntent,
    Size,
    StaticProgram,
)

from .evaluation import Evaluator, refuse_short_history
from .graph import Node
from .kinds import NAN, SCALAR
from .script import EmissionPlan, ScriptPlan
from .values import IntentPlan

ScalarValue = float
ValueOf = Callable[[Node], ParameterValue]


def target(plan: IntentPlan, own: Instrument | None) -> Instrument:
    """The instrument that an intent trades."""
    return cast("Instrument", own if plan.ticker.op == "ticker" else plan.ticker.payload)


def build_intent(plan: IntentPlan, own: Instrument | None, value_of: ValueOf) -> SignalIntent | None:
    """The intent with its numbers filled in; None if a plain number among them is missing."""
    numbers: dict[str, Any] = {
        name: value_of(node) for name, node in plan.options.items() if node is not None and name not in _WHOLE
    }
    size = None if plan.size is None else Size(plan.size.kind, value_of(plan.size.value))
    given = [*numbers.values(), *([] if size is None else [size.value])]
    if any(isinstance(number, float) and number != number for number in given):
        return None
    instrument = target(plan, own)
    match plan.kind:
        case "entry":
            side = cast("Literal[1, -1]", plan.side)
            pyramiding = _whole(plan, "pyramiding", 0)
            most = _whole(plan, "max_positions", 0) or None
            return Entry(
                instrument, side, cast("Size", size), **numbers, pyramiding=pyramiding, tag=plan.tag, max_positions=most
            )
        case "exit":
            once = plan.options.get("once")
            number = plan.place if once is not None and once.constant else None
            return Exit(instrument, plan.side, **numbers, tag=plan.tag, once=number)
        case "move_stop":
            return MoveStop(instrument, **numbers, tag=plan.tag)
        case "rebalance":
            return Rebalance(instrument, cast("Size", size).value, tag=plan.tag)
        case "grid":
            spacing = plan.options.get("spacing")
            return Grid(
                instrument,
                **numbers,
                levels=_whole(plan, "levels", 2),
                size=cast("Size", size),
                spacing=cast("Any", "arithmetic" if spacing is None else spacing.payload),
                tag=plan.tag,
            )


_WHOLE = frozenset({"pyramiding", "levels", "spacing", "once", "max_positions"})


def _whole(plan: IntentPlan, name: str, default: int) -> int:
    node = plan.options.get(name)
    return default if node is None else int(cast("float", node.payload))


_FLAT: Final = PositionState(side=0, amount=0.0, entry_price=NAN, bars_in_position=0, unrealized_pnl_pct=0.0)

_POSITION: Final[dict[str, Callable[[PositionState], float]]] = {
    "position": lambda p: p.side * p.amount,
    "position_side": lambda p: float(p.side),
    "entry_price": lambda p: p.entry_price,
    "bars_in_position": lambda p: float(p.bars_in_position),
    "unrealized_pnl_pct": lambda p: p.unrealized_pnl_pct,
    "highest_since_entry": lambda p: p.highest_since_entry,
    "lowest_since_entry": lambda p: p.lowest_since_entry,
    "bars_since_exit": lambda p: p.bars_since_exit,
    "last_trade_pnl_pct": lambda p: p.last_trade_pnl_pct,
    "trades_today": lambda p: float(p.trades_today),
}
_ACCOUNT: Final[dict[str, Callable[[AccountState], float]]] = {
    "equity": lambda a: a.equity,
    "cash": lambda a: a.cash,
    "drawdown_pct": lambda a: a.drawdown_pct,
    "open_positions": lambda a: float(sum(p.side != 0 for p in a.positions.values())),
}


@dataclass(frozen=True, slots=True)
class Run:
    """The emissions of one ticker's run, with the intents that may fire in it; `instrument` is None in cross mode."""

    instrument: Instrument | None
    emissions: tuple[tuple[EmissionPlan, tuple[IntentPlan, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Step:
    """One computation: the slot it fills, the function, and the slots that it reads."""

    slot: int
    function: Callable[..., Any]
    arguments: tuple[int, ...]


class BarProgram:
    """A program that runs bar by bar. Each distinct sub-expression is computed at most once per bar."""

    def __init__(self, runs: Sequence[Run], evaluator: Evaluator, bars: int, first_bar: int) -> None:
        self._evaluator = evaluator
        self._bars = bars
        self._slots: dict[tuple[int, Instrument | None], int] = {}
        self._values: list[Any] = []
        self._columns: list[tuple[int, memoryview]] = []
        self._readers: list[tuple[int, Callable[[AccountState], float]]] = []
        self._steps: list[_Step] = []
        self._decisions: list[tuple[int, IntentPlan, Instrument | None]] = []
        possible = np.zeros(bars, dtype=np.bool_)
        for run in runs:
            for emission, intents in run.emissions:
                possible |= self._possible(emission.condition, run.instrument)
                condition = self._slot(emission.condition, run.instrument)
                for intent in intents:
                    self._prepare(intent, run.instrument)
                    self._decisions.append((condition, intent, run.instrument))
        possible[:first_bar] = False
        self.active: Bools = possible
        self._active = possible.data
        evaluator.forget()

    def decide(self, bar: int, account: AccountState) -> Sequence[SignalIntent]:
        """The intents decided at the close of `bar`, without those whose numbers are unknown."""
        if not self._active[bar]:
            return ()
        values = self._values
        for slot, column in self._columns:
            values[slot] = column[bar]
        for slot, reader in self._readers:
            values[slot] = reader(account)
        for step in self._steps:
            values[step.slot] = step.function(*[values[a] for a in step.arguments])
        fired = [
            build_intent(intent, instrument, lambda node, i=instrument: self._value(node, i))
            for condition, intent, instrument in self._decisions
            if values[condition]
        ]
        return [intent for intent in fired if intent is not None]

    def _value(self, node: Node, instrument: Instrument | None) -> ScalarValue:
        return cast("float", self._values[self._slots[node.id, instrument if node.local else None]])

    def _prepare(self, intent: IntentPlan, instrument: Instrument | None) -> None:
        for node in intent.options.values():
            if node is not None:
                self._slot(node, instrument)
        if intent.size is not None:
            self._slot(intent.size.value, instrument)

    def _possible(self, condition: Node, instrument: Instrument | None) -> Bools:
        """The bars on which a condition can hold, judged by the parts that do not read the account."""
        if not condition.stateful:
            return self._evaluator.series(condition, instrument).astype(np.bool_)
        out = np.ones(self._bars, dtype=np.bool_)
        if condition.op == "apply" and condition.payload == "and":
            for part in condition.args:
                out &= self._possible(part, instrument)
        return out

    def _slot(self, node: Node, instrument: Instrument | None) -> int:
        """The slot of a node's value; arguments come before their users."""
        key = (node.id, instrument if node.local else None)
        if key in self._slots:
            return self._slots[key]
        if node.op == "at" and node.stateful:
            slot = self._slot(node.args[0], cast("Instrument", node.payload))
            self._slots[key] = slot
            return slot
        arguments: tuple[int, ...] = ()
        if node.stateful and node.op == "apply":
            arguments = self._arguments(node, instrument)
        slot = len(self._values)
        self._slots[key] = slot
        self._values.append(node.payload if node.op == "constant" else None)
        if node.op == "constant":
            return slot
        if not node.stateful:
            self._columns.append((slot, np.ascontiguousarray(self._evaluator.series(node, instrument)).data))
        elif node.op == "state":
            self._readers.append((slot, _reader(str(node.payload), instrument)))
        else:
            self._steps.append(_Step(slot, SCALAR[str(node.payload)], arguments))
        return slot

    def _arguments(self, node: Node, instrument: Instrument | None) -> tuple[int, ...]:
        """Slots of a node's arguments, deepest nodes first so that long chains need no deep recursion."""
        stack, order = list(node.args), list[Node]()
        seen: set[int] = set()
        while stack:
            each = stack.pop()
            known = (each.id, instrument if each.local else None) in self._slots
            if not known and each.id not in seen and each.stateful and each.op == "apply":
                seen.add(each.id)
                order.append(each)
                stack.extend(each.args)
        for each in sorted(order, key=lambda n: n.id):
            self._slot(each, instrument)
        return tuple(self._slot(a, instrument) for a in node.args)


def _reader(name: str, instrument: Instrument | None) -> Callable[[AccountState], float]:
    if name in _ACCOUNT:
        return _ACCOUNT[name]
    of_position = _POSITION[name]

    def read(account: AccountState) -> float:
        return of_position(account.positions.get(cast("Instrument", instrument), _FLAT))

    return read


def program(
    plan: ScriptPlan, frame: Frame, first_bar: int, *, stateful: bool, evaluator: Evaluator | None = None
) -> Program:
    """The program of a script on the bars of a frame.

    An `evaluator` of that frame lets plans on one graph reuse its results.
    """
    refuse_short_history(plan.nodes, plan.graph.texts, len(frame))
    own = evaluator or Evaluator(frame, plan.context.universe, first_bar)
    runs = _runs(plan)
    if stateful:
        return BarProgram(runs, own, len(frame), first_bar)
    found = _static(runs, own, first_bar)
    if evaluator is None:
        own.forget()
    return found


def _runs(plan: ScriptPlan) -> Sequence[Run]:
    """Isolated: one for each ticker, with the intents for that ticker. Cross: one with all of them."""
    if plan.context.mode == "cross":
        return [Run(None, tuple((emission, emission.intents) for emission in plan.emissions))]
    runs: list[Run] = []
    for own in plan.context.universe:
        mine = [(e, tuple(i for i in e.intents if target(i, own) == own)) for e in plan.emissions]
        runs.append(Run(own, tuple((emission, intents) for emission, intents in mine if intents)))
    return runs


def _static(runs: Sequence[Run], evaluator: Evaluator, first_bar: int) -> StaticProgram:
    emissions: list[Emission] = []
    for run in runs:
        for emission, intents in run.emissions:
            condition = _condition(emission.condition, run.instrument, evaluator, first_bar)

            def value_of(node: Node, own: Instrument | None = run.instrument) -> ParameterValue:
                return _value(node, own, evaluator)

            built = [build_intent(intent, run.instrument, value_of) for intent in intents]
            emissions.append(Emission(condition, tuple(intent for intent in built if intent is not None)))
    return tuple(emissions)


def _condition(node: Node, own: Instrument | None, evaluator: Evaluator, first_bar: int) -> Bools:
    condition = evaluator.series(node, own).astype(np.bool_)
    condition[:first_bar] = False
    return condition


def _value(node: Node, own: Instrument | None, evaluator: Evaluator) -> ParameterValue:
    constant = node.constant
    if isinstance(constant, float):
        return constant
    series: Floats = evaluator.series(node, own).astype(np.float64, copy=False)
    return series

"""Runs a checked script over a frame: all conditions and numbers as arrays, or a program that is asked bar by bar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from api.symbols import Instrument
from engine.frame import Bools, Floats, Frame
from engine.program import Emission, Program, StaticProgram, Value

from .evaluation import Evaluator, refuse_short_history
from .graph import Node
from .script import ScriptPlan
from .stateful import BarProgram, Run, build_intent, target


def program(
    plan: ScriptPlan, frame: Frame, first_bar: int, *, stateful: bool, evaluator: Evaluator | None = None
) -> Program:
    """The program of a script on the bars of a frame.

    With an `evaluator` of that frame, for plans on one graph: what it has computed is not computed again.
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

            def value_of(node: Node, own: Instrument | None = run.instrument) -> Value:
                return _value(node, own, evaluator)

            built = [build_intent(intent, run.instrument, value_of) for intent in intents]
            emissions.append(Emission(condition, tuple(intent for intent in built if intent is not None)))
    return tuple(emissions)


def _condition(node: Node, own: Instrument | None, evaluator: Evaluator, first_bar: int) -> Bools:
    condition = evaluator.series(node, own).astype(np.bool_)
    condition[:first_bar] = False
    return condition


def _value(node: Node, own: Instrument | None, evaluator: Evaluator) -> Value:
    constant = node.constant
    if isinstance(constant, float):
        return constant
    series: Floats = evaluator.series(node, own).astype(np.float64, copy=False)
    return series

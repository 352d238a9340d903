"""Intents with their parameters as of one bar: what a condition on a close turns into."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.frame import Bools
from engine.program import Entry, Exit, Grid, Intent, Rebalance, Side, SizeKind, StaticProgram, Value


@dataclass(frozen=True, slots=True)
class Order:
    """An entry decided on a bar: `kind` says how `value` sizes it, the rest are that bar's numbers too."""

    side: Side
    kind: SizeKind
    value: float
    limit: float | None
    stop: float | None
    target: float | None
    trail: float | None
    pyramiding: int
    tag: str | None


def at(value: Value, bar: int) -> float:
    """A parameter's number on `bar`."""
    return value.item(bar) if isinstance(value, np.ndarray) else value


def _at(value: Value | None, bar: int) -> float | None:
    return None if value is None else at(value, bar)


def order_at(entry: Entry, bar: int) -> Order:
    """The entry with the parameters of `bar`."""
    return Order(
        side=entry.side,
        kind=entry.size.kind,
        value=at(entry.size.value, bar),
        limit=_at(entry.limit, bar),
        stop=_at(entry.stop_loss, bar),
        target=_at(entry.take_profit, bar),
        trail=_at(entry.trailing_stop, bar),
        pyramiding=entry.pyramiding,
        tag=entry.tag,
    )


def constant_order(entry: Entry) -> Order | None:
    """The order of an entry whose parameters are the same on every bar; None where one is a series."""
    if any(isinstance(parameter, np.ndarray) for parameter in _parameters(entry)):
        return None
    return order_at(entry, 0)


def _parameters(intent: Intent) -> tuple[Value | None, ...]:
    match intent:
        case Entry():
            return (intent.size.value, intent.limit, intent.stop_loss, intent.take_profit, intent.trailing_stop)
        case Exit():
            return (intent.fraction,)
        case Grid():
            return (intent.size.value, intent.lower, intent.upper)
        case Rebalance():
            return ()


def known(intent: Intent, bar: int) -> bool:
    """Whether every parameter is a usable number on `bar`; an intent that asks for the impossible does not fire."""
    if isinstance(intent, Rebalance):
        return math.isfinite(at(intent.weight, bar))
    return all(p is None or 0.0 < at(p, bar) < math.inf for p in _parameters(intent))


def fires(condition: Bools, intent: Intent) -> Bools:
    """The bars on which the condition holds and the intent's parameters are usable."""
    if isinstance(intent, Rebalance):
        return condition & np.isfinite(intent.weight)
    for parameter in _parameters(intent):
        if isinstance(parameter, np.ndarray):
            condition = condition & (parameter > 0.0) & (parameter < math.inf)
        elif parameter is not None and not 0.0 < parameter < math.inf:
            return np.zeros_like(condition)
    return condition


def intents(program: StaticProgram) -> Iterator[tuple[Bools, Intent]]:
    """Every intent with its condition, in script order."""
    for emission in program:
        for intent in emission.intents:
            yield emission.condition, intent

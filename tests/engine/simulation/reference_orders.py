"""The records of the reference loop, and how it reads an intent on one bar."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from engine.program import Entry, Exit, Grid, MoveStop, ParameterValue, Rebalance, SignalIntent


@dataclass
class Held:
    k: int
    side: int
    amount: float
    entry: float
    opened: int
    fees: float
    slipped: float
    peak: float
    entries: int = 1
    stop: float | None = None
    target: float | None = None
    trail: float | None = None
    goal: float | None = None
    tag: str | None = None


@dataclass
class Row:
    """A closed round trip or, if `closing` is false, only a fill."""

    k: int
    side: int
    amount: float
    entry_bar: int
    exit_bar: int
    entry: float
    exit: float
    fees: float
    slippage: float
    pnl: float
    reason: str
    tag: str | None


@dataclass(eq=False)
class Order:
    """An intent with the numbers of the bar that decided it."""

    intent: SignalIntent
    k: int
    size: float = math.nan
    limit: float | None = None
    stop: float | None = None
    target: float | None = None
    trail: float | None = None
    fraction: float = math.nan
    weight: float = math.nan
    units: float = math.nan
    prices: list[float] = field(default_factory=list[float])


@dataclass
class Rung:
    slot: tuple[int, int]
    buy: float
    sell: float
    amount: float
    armed: bool
    tag: str | None


def read(intent: SignalIntent, k: int, t: int) -> Order | None:
    """The intent with its numbers of bar `t`; None where one of them is not usable."""
    order = Order(intent, k)
    numbers: list[float | None] = []
    match intent:
        case Entry():
            order.size = number(intent.size.value, t)
            order.limit, order.stop = maybe(intent.limit, t), maybe(intent.stop_loss, t)
            order.target, order.trail = maybe(intent.take_profit, t), maybe(intent.trailing_stop, t)
            numbers = [order.size, order.limit, order.stop, order.target, order.trail]
        case Exit():
            order.fraction = number(intent.fraction, t)
            numbers = [order.fraction]
        case Rebalance():
            order.weight = number(intent.weight, t)
            return order if math.isfinite(order.weight) else None
        case Grid():
            order.size = number(intent.size.value, t)
            lower, upper = number(intent.lower, t), number(intent.upper, t)
            numbers = [order.size, lower, upper]
            if not lower < upper or intent.levels < 2:
                return None
            order.prices = rungs(lower, upper, intent)
        case MoveStop():
            numbers = [number(intent.price, t)]
    return order if all(x is None or (x > 0.0 and math.isfinite(x)) for x in numbers) else None


def rungs(lower: float, upper: float, grid: Grid) -> list[float]:
    n = grid.levels - 1
    if grid.spacing == "geometric":
        return [lower * (upper / lower) ** (i / n) for i in range(n + 1)]
    return [lower + (upper - lower) * i / n for i in range(n + 1)]


def number(value: ParameterValue, t: int) -> float:
    return float(value) if isinstance(value, int | float) else float(value[t])


def maybe(value: ParameterValue | None, t: int) -> float | None:
    return None if value is None else number(value, t)

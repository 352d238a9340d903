"""What an expression of a script can stand for besides a node of the dataflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from api.exchanges import ExchangeId
from api.symbols import Instrument
from engine.language.graph import Node

Mode = Literal["isolated", "cross"]


@dataclass(frozen=True, slots=True)
class Outputs:
    """The results of an operator that has several, to be unpacked."""

    operator: str
    names: tuple[str, ...]
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class TickerList:
    """TICKERS, or tickers in brackets."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Sizing:
    """Weight, Notional, Amount or Risk of a number."""

    kind: Literal["weight", "notional", "amount", "risk"]
    value: Node


@dataclass(frozen=True, slots=True)
class IntentPlan:
    """An intent whose numbers are still nodes. `options` are its arguments by name, None where left out."""

    kind: Literal["entry", "exit", "rebalance", "grid"]
    ticker: Node
    side: Literal[1, -1] | None
    size: Sizing | None
    options: dict[str, Node | None]
    tag: str | None
    line: int


@dataclass(frozen=True, slots=True)
class ScriptParameter:
    """A number that a script declares with `param` and that can be set for a run.

    Attributes:
        default: The value without a setting.
        low, high: Inclusive range of the value.
        step: Distance between the values that a sweep tries; None where the script gives none and not all numbers
            are whole.
        value: The value of this run.
    """

    name: str
    default: float
    low: float
    high: float
    step: float | None
    value: float


Value = Node | Outputs | TickerList | Sizing | IntentPlan


@dataclass(frozen=True, slots=True)
class World:
    """What a source text is checked against. An expression has no universe: it may read any well-formed ticker.

    `parameters` are settings for numbers that a script declares with `param`.
    """

    script: bool = False
    universe: tuple[Instrument, ...] = ()
    exchange: ExchangeId | None = None
    mode: Mode = "isolated"
    parameters: tuple[tuple[str, float], ...] = ()


def described(value: Value) -> str:
    """What kind of thing a value is, for messages."""
    match value:
        case Node():
            return str(value.kind)
        case Outputs():
            return f"{len(value.nodes)} series ({', '.join(value.names)})"
        case TickerList():
            return "a list of tickers"
        case Sizing():
            return "a sizing"
        case IntentPlan():
            return "an intent"

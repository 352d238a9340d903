"""Meanings of a script's expressions other than a node of the dataflow."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from api.exchanges import ExchangeId
from api.symbols import Instrument
from engine.language.graph import Node

if TYPE_CHECKING:
    from api.backtests import MarginMode


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
    """Weight, Notional, Amount or Risk of a number. `derived` weights follow from the ticker's own series."""

    kind: Literal["weight", "notional", "amount", "risk"]
    value: Node
    derived: bool = False


@dataclass(frozen=True, slots=True)
class IntentPlan:
    """An intent whose numbers are still nodes. `options` are its arguments by name, None where left out.

    `place` is its location, unique for each intent of a script.
    """

    kind: Literal["entry", "exit", "rebalance", "grid", "move_stop"]
    ticker: Node
    side: Literal[1, -1] | None
    size: Sizing | None
    options: dict[str, Node | None]
    tag: str | None
    place: int


@dataclass(frozen=True, slots=True)
class ScriptParameter:
    """A number that a script declares with `param` and that a run can set.

    Attributes:
        default: The value without a setting.
        low, high: Inclusive range of the value.
        step: Distance between the values that a sweep tries; None if the script gives none and not all numbers are
            whole.
        value: The value of this run.
    """

    name: str
    default: float
    low: float
    high: float
    step: float | None
    value: float


ScriptValue = Node | Outputs | TickerList | Sizing | IntentPlan


@dataclass(frozen=True, slots=True)
class CheckingContext:
    """The context for checking a source text. An expression has no universe: it may read any well-formed ticker.

    `parameters` are settings for numbers that a script declares with `param`.
    """

    script: bool = False
    universe: tuple[Instrument, ...] = ()
    exchange: ExchangeId | None = None
    mode: MarginMode = "isolated"
    parameters: tuple[tuple[str, float], ...] = ()


Unit = Literal["ratio", "distance", "level"]
"""What a number is measured in: a plain ratio, a distance between prices, or a price."""

_DISTANCES: Final = frozenset(
    {"atr", "trange", "adr", "mom", "apo", "macd", "qstick", "elder_ray", "ao", "ac", "dpo", "plus_dm", "minus_dm"}
)
_LEVELS: Final = frozenset(
    {
        "midprice", "sar", "accbands", "donchian", "keltner", "ichimoku", "alligator", "chandelier", "avgprice",
        "medprice", "typprice", "wclprice", "heikin_ashi", "vwap", "rolling_vwap", "session_vwap", "session_high",
        "session_low", "pivot_points", "pivot", "supertrend",
    }
)  # fmt: skip
_LIKE_SERIES: Final = frozenset(
    {
        "sma", "ema", "wma", "dema", "tema", "trima", "kama", "hma", "rma", "zlema", "t3", "vwma", "alma", "mama",
        "ht_trendline", "midpoint", "bbands", "linearreg", "linearreg_intercept", "tsf", "median", "percentile",
        "highest", "lowest", "lag", "ffill", "value_when", "highest_since", "lowest_since",
    }
)  # fmt: skip
_APART: Final = frozenset({"change", "stddev", "avgdev", "slope"})


def unit_of(node: Node) -> Unit | None:
    """The unit of a number, if known; None for plain numbers, volumes, money and mixtures."""
    match node.op:
        case "column":
            return None if node.payload == "volume" else "level"
        case "state":
            return "level" if str(node.payload).endswith(("_price", "_since_entry")) else None
        case "pick" | "at" | "tf":
            return None if node.payload == "direction" else unit_of(node.args[0])
        case "call":
            return _of_call(str(cast("tuple[Hashable, ...]", node.payload)[0]), node)
        case "apply":
            return _of_arithmetic(str(node.payload), [unit_of(a) for a in node.args], node)
        case _:
            return None


PERCENT_CALLS: Final = frozenset({"roc", "natr"})
PERCENT_STATE: Final = frozenset({"unrealized_pnl_pct", "last_trade_pnl_pct"})


def percent_factor(node: Node) -> float | None:
    """The constant that `node` multiplies a value in percent with, 1 for the value itself; None for all else."""
    match node.op:
        case "pick" | "at" | "tf":
            return percent_factor(node.args[0])
        case "call":
            name = str(cast("tuple[Hashable, ...]", node.payload)[0])
            return 1.0 if name in PERCENT_CALLS or node.bounds == (0, 100) else None
        case "state":
            return 1.0 if node.payload in PERCENT_STATE else None
        case "apply" if node.payload in {"*", "/"}:
            left, right = node.args
            if node.payload == "*" and isinstance(left.constant, float):
                left, right = right, left
            factor, value = percent_factor(left), right.constant
            if factor is None or not isinstance(value, float) or not value:
                return None
            return factor * value if node.payload == "*" else factor / value
        case _:
            return None


def _of_call(name: str, node: Node) -> Unit | None:
    if name in _DISTANCES:
        return "distance"
    if name in _LEVELS:
        return "level"
    series = next((a for a in node.args if a.kind.base == "number"), None)
    if name in _LIKE_SERIES and series is not None:
        return unit_of(series)
    return "distance" if name in _APART and series is not None and unit_of(series) in {"level", "distance"} else None


def _of_arithmetic(name: str, units: list[Unit | None], node: Node) -> Unit | None:
    """The unit of sums, products and choices; a plain number takes the unit of the other operand."""
    prices = [unit for unit in units if unit in {"level", "distance"}]
    plain = all(unit is not None or arg.op == "constant" for unit, arg in zip(units, node.args, strict=True))
    if not prices or not plain:
        return None
    match name:
        case "-" if units == ["level", "level"]:
            return "distance"
        case "*" | "/" if len(prices) == 2:
            return "ratio" if name == "/" else None
        case "/" if units[0] is None:
            return None
        case "+" | "-" | "*" | "/" | "min" | "max" | "clip" | "nz" | "abs" | "neg":
            return "level" if "level" in prices else "distance"
        case _:
            return None


def described(value: ScriptValue) -> str:
    """The kind of a value, for messages."""
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

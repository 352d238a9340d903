"""The dataflow that a source text compiles to: every distinct sub-expression is one node, computed once.

A new node already has everything that is known without data: its kind, constant value, required bars, bounds, and
whether it reads the account.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from api.symbols import Instrument
from api.times import SECONDS, Timeframe

from .kinds import (
    ANYTHING,
    BOOL,
    CONDITION,
    NUMBER,
    RULES,
    SCALAR,
    SERIES,
    STRING,
    TICKER,
    Scalar,
    ValueKind,
    ValueRange,
    compare,
)
from .operators import OPERATORS, Operator
from .ordering import bounds_of_call, contradict, crossed, exhaust, ordered, told_apart
from .spec import Constant
from .words import COLUMNS, VARIABLES, Variable

Op = Literal["constant", "column", "time", "state", "ticker", "apply", "call", "pick", "at", "tf", "universe"]

COMPARISONS: Final = frozenset({"<", "<=", ">", ">=", "==", "!="})
_CONDITIONS: Final = COMPARISONS | {"and", "or", "not", "xor", "between", "is_missing"}


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One distinct sub-expression.

    Attributes:
        op: The computation: `apply` an element-wise operator, `call` one over time, `pick` an output of several, `at`
            another ticker, `tf` a higher timeframe, `universe` a comparison over TICKERS.
        payload: The constant, name, or other data that `op` needs.
        lookback: Bars before its first value.
        settling: Further bars until it no longer depends on the start of the history.
        local: Its value differs between tickers: it reads the ticker that the script runs for.
        stateful: It reads the account or a position.
        resampled: There is a `tf` below it.
        contexts: How many `at`, `tf` and `universe` are nested below.
        truth: For conditions, True when it always and False when it never holds.
    """

    id: int
    op: Op
    kind: ValueKind
    payload: Hashable
    args: tuple[Node, ...]
    lookback: int
    settling: int
    local: bool
    stateful: bool
    resampled: bool
    contexts: int
    bounds: ValueRange
    truth: bool | None

    @property
    def constant(self) -> Scalar | None:
        """Its value, if already known."""
        return self.payload if self.op == "constant" and isinstance(self.payload, float | bool | str) else None


class Graph:
    """Makes each distinct node once. `timeframe` is that of the bars."""

    def __init__(self, timeframe: Timeframe) -> None:
        self.timeframe: Timeframe = timeframe
        self.nodes: list[Node] = []
        self.texts: dict[int, str] = {}
        self._index: dict[tuple[object, ...], Node] = {}

    @property
    def calls(self) -> int:
        """The number of distinct computations over time."""
        return sum(1 for node in self.nodes if node.op == "call")

    def constant(self, value: Scalar | Instrument) -> Node:
        """A constant. Numbers become floats."""
        match value:
            case bool():
                return self._node("constant", BOOL, value, truth=value)
            case str():
                return self._node("constant", STRING, value)
            case Instrument():
                return self._node("constant", TICKER, value)
            case number:
                return self._node("constant", NUMBER, float(number), bounds=ValueRange(number, number))

    def column(self, name: str) -> Node:
        """A price column, or the bars' open times or numbers."""
        if name in {"time", "bar_number"}:
            return self._node("time", SERIES, name)
        return self.variable(VARIABLES[name])

    def variable(self, variable: Variable) -> Node:
        """A price column, time, state or ticker name; derived prices become their formulas."""
        if variable.name in COLUMNS:
            return self._node("column", SERIES, variable.name, bounds=variable.bounds, local=True)
        match variable.group:
            case "time":
                return self._node("time", SERIES, variable.name, bounds=variable.bounds)
            case "state":
                local = variable.name not in {"equity", "cash", "drawdown_pct", "open_positions"}
                return self._node("state", SERIES, variable.name, bounds=variable.bounds, local=local, stateful=True)
            case "context":
                return self._node("ticker", TICKER, variable.name, local=True)
            case _:
                return self._derived(variable)

    def _derived(self, variable: Variable) -> Node:
        if variable.name == "returns":
            close = self.variable(VARIABLES["close"])
            return self.apply("-", self.apply("/", close, self.lag(close, 1)), self.constant(1.0))
        operator = OPERATORS[{"hl2": "medprice", "hlc3": "typprice", "ohlc4": "avgprice"}[variable.name]]
        return self.call(operator, [self.variable(VARIABLES[name]) for name in operator.reads], ())[0]

    def apply(self, name: str, *args: Node, bounds: ValueRange = ANYTHING) -> Node:
        """An element-wise operator, folded if its arguments are constants. `bounds` are the bounds of its results."""
        constants = [arg.constant for arg in args]
        if all(value is not None for value in constants):
            return self.constant(SCALAR[name](*constants))
        kind = CONDITION if name in _CONDITIONS else SERIES
        if name == "where":
            kind = ValueKind(args[1].kind.base, series=True)
        if name in RULES:
            bounds = told_apart(name, args, RULES[name](*(a.bounds for a in args)))
        return self._node("apply", kind, name, args, bounds=bounds, truth=_truth(name, args))

    def same_ticker(self, a: Node, b: Node) -> Node:
        """Whether the run's own ticker is the named one."""
        return self._node("apply", BOOL, "same ticker", (a, b))

    def lag(self, node: Node, bars: int) -> Node:
        """The value a number of bars ago."""
        if bars == 0 or not node.kind.series:
            return node
        return self._node(
            "call", node.kind, ("lag", (bars,)), (node,), lookback=node.lookback + bars, bounds=node.bounds
        )

    def call(self, operator: Operator, args: Sequence[Node], constants: tuple[Constant, ...]) -> tuple[Node, ...]:
        """An operator over time; one node for each of its outputs."""
        base = operator.accessor_of or operator.name
        lookback = max((a.lookback for a in args), default=0) + operator.warmup_bars(constants)
        settling = max((a.settling for a in args), default=0) + operator.settling_bars(constants)
        if operator.category == "session" and operator.memory == "start":
            settling += 2 * SECONDS["1d"] // SECONDS[self.timeframe]
        whole = self._node(
            "call",
            _kind(operator, 0, args),
            (base, constants),
            args,
            lookback,
            settling,
            bounds=_of_call(operator, 0, args, constants),
            truth=crossed(base, args),
        )
        if operator.accessor_of is None and len(operator.outputs) == 1:
            return (whole,)
        own = max((a.lookback for a in args), default=0)
        return tuple(
            self._node(
                "pick",
                _kind(operator, i, args),
                output.name,
                (whole,),
                lookback=own + operator.output_warmup_bars(constants, i),
                bounds=_of_call(operator, i, args, constants),
            )
            for i, output in enumerate(operator.outputs)
        )

    def universe(self, operator: Operator, arg: Node) -> Node:
        """A comparison of the ticker with all of TICKERS on the same bar."""
        own = operator.name in {"cs_rank", "cs_rank_low", "cs_zscore"}
        bounds = _output(operator, 0)
        return self._node("universe", SERIES, operator.name, (arg,), bounds=bounds, local=own, deeper=True)

    def at(self, node: Node, instrument: Instrument) -> Node:
        """`node` for another ticker."""
        if not node.local:
            return node
        if node.op == "ticker":
            return self.constant(instrument)
        return self._node(
            "at", node.kind, instrument, (node,), bounds=node.bounds, local=False, truth=node.truth, deeper=True
        )

    def tf(self, node: Node, timeframe: Timeframe) -> Node:
        """`node` computed on closed bars of a longer `timeframe`."""
        ratio = SECONDS[timeframe] // SECONDS[self.timeframe]
        return self._node(
            "tf",
            ValueKind(node.kind.base, series=True),
            timeframe,
            (node,),
            lookback=(node.lookback + 1) * ratio - 1,
            settling=(node.settling + 2) * ratio,
            bounds=node.bounds,
            truth=node.truth,
            resampled=True,
            deeper=True,
        )

    def _node(
        self,
        op: Op,
        kind: ValueKind,
        payload: Hashable,
        args: Sequence[Node] = (),
        lookback: int | None = None,
        settling: int | None = None,
        *,
        bounds: ValueRange = ANYTHING,
        local: bool | None = None,
        stateful: bool = False,
        truth: bool | None = None,
        resampled: bool = False,
        deeper: bool = False,
    ) -> Node:
        key = (op, kind, type(payload), payload, *(a.id for a in args))
        known = self._index.get(key)
        if known is not None:
            return known
        node = Node(
            id=len(self.nodes),
            op=op,
            kind=kind,
            payload=payload,
            args=tuple(args),
            lookback=max((a.lookback for a in args), default=0) if lookback is None else lookback,
            settling=max((a.settling for a in args), default=0) if settling is None else settling,
            local=any(a.local for a in args) if local is None else local,
            stateful=stateful or any(a.stateful for a in args),
            resampled=resampled or any(a.resampled for a in args),
            contexts=max((a.contexts for a in args), default=0) + deeper,
            bounds=bounds,
            truth=truth,
        )
        self.nodes.append(node)
        self._index[key] = node
        return node


def _bounds(low: float | None, high: float | None) -> tuple[float, float]:
    return (ANYTHING.low if low is None else low, ANYTHING.high if high is None else high)


def _output(operator: Operator, index: int) -> ValueRange:
    output = operator.outputs[index]
    return ValueRange(*_bounds(output.low, output.high))


_BETWEEN: Final = frozenset(
    {
        "highest", "lowest", "lag", "sma", "ema", "wma", "rma", "median", "midpoint", "session_high", "session_low",
        "donchian",
    }
)  # fmt: skip
"""Operators whose values lie between values of their series."""


def _of_call(operator: Operator, index: int, args: Sequence[Node], constants: tuple[Constant, ...]) -> ValueRange:
    """Bounds of an output."""
    if (operator.accessor_of or operator.name) not in _BETWEEN:
        return bounds_of_call(operator.name, constants, args, _output(operator, index))
    return ValueRange(min(a.bounds.low for a in args), max(a.bounds.high for a in args))


def _kind(operator: Operator, index: int, args: Sequence[Node]) -> ValueKind:
    match operator.outputs[index].kind:
        case "number":
            return SERIES
        case "condition":
            return CONDITION
        case "any":
            return ValueKind(args[0].kind.base, series=True)


def _truth(name: str, args: Sequence[Node]) -> bool | None:
    """Whether a condition always or never holds, derived from its arguments."""
    if name in COMPARISONS:
        if args[0] is args[1]:
            return name in {"<=", ">=", "=="}
        known = compare(name, args[0].bounds, args[1].bounds)
        return known if known is not None else ordered(name, args[0], args[1])
    truths = [a.truth for a in args]
    match name:
        case "and":
            return False if False in truths or contradict(args) else True if all(truths) else None
        case "or":
            return True if True in truths or exhaust(args) else None if None in truths else False
        case "not":
            return None if truths[0] is None else not truths[0]
        case _:
            return None

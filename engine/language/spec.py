"""The registry's description of an operator: everything but the implementation, so that reading it loads no NumPy."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

_BINARY: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
}
_FUNCTIONS: Final[dict[str, Callable[..., float]]] = {"max": max, "sqrt": math.sqrt, "floor": math.floor}


@lru_cache(maxsize=512)
def _tree(formula: str) -> ast.expr:
    return ast.parse(formula, mode="eval").body


def compute(formula: str, constants: Mapping[str, float]) -> int:
    """The value of a registry formula (`max(fast, slow) + signal - 2`) for an operator's constants, in bars."""
    return int(_compute(_tree(formula), constants))


def _compute(node: ast.expr, constants: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() as number):
            return number
        case ast.Name(id=name):
            return constants[name]
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_compute(left, constants), _compute(right, constants))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _FUNCTIONS[name](*(_compute(a, constants) for a in arguments))
        case _:
            raise ValueError(f"not a warm-up formula: {ast.unparse(node)}")


Category = Literal[
    "arithmetic",
    "logic",
    "history",
    "crossing",
    "statistic",
    "pair",
    "universe",
    "session",
    "price",
    "overlap",
    "momentum",
    "volatility",
    "volume",
    "cycle",
    "candle pattern",
]
OPERATOR_CATEGORIES: Final[frozenset[Category]] = frozenset(
    {"arithmetic", "logic", "history", "crossing", "pair", "universe", "session"}
)
"""The categories that the API lists as operators; the others are indicators."""

Memory = Literal["window", "decaying", "start"]
"""What a value depends on: a fixed window of bars; ever less of the past; everything since the first loaded bar."""

Constant = float | str

MAX_PERIOD: Final = 100_000


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of an operator.

    Attributes:
        kind: `series` takes numbers over time, `value` a number or such a series, `condition` a condition,
            `any` either; `period` a whole constant number of bars or levels, `number` a constant, `choice` one of
            `choices`.
        default: `None` if the argument is required.
        low, high: Inclusive range of a constant.
    """

    name: str
    kind: Literal["series", "value", "condition", "any", "period", "number", "choice"]
    default: Constant | None = None
    low: float = 1
    high: float = MAX_PERIOD
    choices: tuple[str, ...] = ()
    variadic: bool = False

    @property
    def constant(self) -> bool:
        """Whether the argument must be known before the run."""
        return self.kind in {"period", "number", "choice"}


@dataclass(frozen=True, slots=True)
class Output:
    """One result of an operator, with the interval of its possible values.

    `warmup` is the formula for the bars before its first value; the operator's own where it is None.
    """

    name: str
    kind: Literal["number", "condition", "any"] = "number"
    low: float | None = None
    high: float | None = None
    warmup: str | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator or indicator of the language.

    Attributes:
        reads: Columns of the ticker that it reads implicitly, after the series arguments.
        warmup: Formula over the constants: bars before the first value of the output that starts last.
        reach: Formula for the earlier bars that a value uses, if it can exist without them.
        memory: See `Memory`.
        missing: `skip` computes over the known values of its series only; `keep` counts every bar.
        elementwise: Its value on a bar depends only on its arguments on that bar.
        talib: The TA-Lib function that computes it; None for NumPy code of this package.
        passed: The constants in TA-Lib's order; a number is itself. The parameters' order where empty.
        accessor_of: The operator with several outputs of which this one is `outputs[0]`.
    """

    name: str
    category: Category
    description: str
    parameters: tuple[Parameter, ...] = ()
    outputs: tuple[Output, ...] = (Output("value"),)
    reads: tuple[str, ...] = ()
    warmup: str = "0"
    memory: Memory = "window"
    missing: Literal["skip", "keep"] = "skip"
    elementwise: bool = False
    talib: str | None = None
    passed: tuple[str | float, ...] = ()
    accessor_of: str | None = None
    reach: str = "0"
    inputs: tuple[Parameter, ...] = field(init=False)
    constants: tuple[Parameter, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(p for p in self.parameters if not p.constant))
        object.__setattr__(self, "constants", tuple(p for p in self.parameters if p.constant))

    @property
    def signature(self) -> str:
        """Its signature: `rsi(series, period=14)`."""
        return f"{self.name}({', '.join(_written(p) for p in self.parameters)})"

    @property
    def defaults(self) -> dict[str, Constant]:
        """The optional arguments and their defaults."""
        return {p.name: p.default for p in self.parameters if p.default is not None}

    @property
    def source(self) -> str:
        """The library that computes it."""
        return f"TA-Lib {self.talib}" if self.talib else "NumPy"

    def warmup_bars(self, constants: Sequence[Constant]) -> int:
        """Bars before the first value, for these constants in the order of `self.constants`."""
        return compute(self.warmup, _numbers(self, constants))

    def output_warmup_bars(self, constants: Sequence[Constant], index: int) -> int:
        """Bars before the first value of one output."""
        formula = self.outputs[index].warmup or self.warmup
        return compute(formula, _numbers(self, constants))

    def settling_bars(self, constants: Sequence[Constant]) -> int:
        """Further bars to load, so that a value no longer depends on the start of the history.

        A decaying memory has then forgotten the beginning (to about 1e-9).
        """
        if self.memory == "window":
            return compute(self.reach, _numbers(self, constants))
        return min(20 * (self.warmup_bars(constants) + 1), MAX_SETTLING)


MAX_SETTLING: Final = 5_000


def _numbers(operator: Operator, constants: Sequence[Constant]) -> Mapping[str, float]:
    pairs = zip(operator.constants, constants, strict=True)
    return {p.name: value for p, value in pairs if not isinstance(value, str)}


def _written(parameter: Parameter) -> str:
    if parameter.variadic:
        return f"{parameter.name}, ..."
    match parameter.default:
        case None:
            return parameter.name
        case str() as text:
            return f'{parameter.name}="{text}"'
        case number:
            return f"{parameter.name}={number:g}"


HLC: Final = ("high", "low", "close")
OHLC: Final = ("open", "high", "low", "close")
HLCV: Final = ("high", "low", "close", "volume")

SERIES: Final = Parameter("series", "series")
CONDITION: Final = Parameter("condition", "condition")

PERCENT: Final = Output("value", low=0, high=100)
UNSIGNED: Final = Output("value", low=0)
UNIT: Final = Output("value", low=0, high=1)
TRUTH: Final = Output("value", kind="condition")


def bars(default: int | None, low: int = 1, high: int = MAX_PERIOD, name: str = "period") -> Parameter:
    """A constant number of bars."""
    return Parameter(name, "period", default, low, high)


def number(name: str, default: float | None, low: float, high: float) -> Parameter:
    """A constant."""
    return Parameter(name, "number", default, low, high)


def values(*names: str) -> tuple[Parameter, ...]:
    """Arguments that may each be a number or a series."""
    return tuple(Parameter(name, "value") for name in names)


def outputs(*names: str, low: float | None = None, high: float | None = None) -> tuple[Output, ...]:
    """Several results, all within the same interval."""
    return tuple(Output(name, low=low, high=high) for name in names)

"""Single expressions, for market evaluate, scan and rank."""

from __future__ import annotations

import ast
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, cast

from api.symbols import Instrument
from api.times import Timeframe

from .calls import Checker
from .diagnostics import Findings
from .graph import Graph, Node
from .lexer import MAX_LENGTH
from .operators import OPERATORS
from .parse import parse
from .values import CheckingContext

if TYPE_CHECKING:
    from engine.frame import Bools, Floats, Frame

ExpressionKind = Literal["any", "boolean", "numeric"]

MAX_PARTS: Final = 16
_ROUNDS: Final = 8
_NAMES: Final = {"any": "expression", "boolean": "condition", "numeric": "expression"}


@dataclass(frozen=True, slots=True)
class CheckedExpression:
    """An expression that can run.

    Attributes:
        kind: `boolean` or `numeric`, as inferred.
        lookback: Bars before its first value.
        required_bars: Bars to load so that the last value no longer depends on the start of the history.
        instruments: Other tickers that the expression reads; load them into the same frame.
        anchored: Its operators that depend on the first loaded bar, however many bars are loaded.
        doubts: Warnings about a condition, such as one that can never hold, as sentences.
    """

    source: str
    kind: Literal["boolean", "numeric"]
    timeframe: Timeframe
    lookback: int
    required_bars: int
    instruments: tuple[Instrument, ...]
    anchored: tuple[str, ...]
    doubts: tuple[str, ...]
    node: Node
    parts: Mapping[str, Node]
    texts: dict[int, str]


@dataclass(frozen=True, slots=True)
class ExpressionValue:
    """The result of an expression at the last bar of a frame.

    Attributes:
        value: None where it is missing.
        series: Its value on every bar.
        parts: The values of its top-level sub-expressions, by their text: the sides of its comparisons.
        bars_used: Available bars of the instrument.
        lookback: Bars before its first value.
    """

    value: float | bool | None
    series: Floats | Bools
    parts: Mapping[str, float | bool | None]
    bars_used: int
    lookback: int


@lru_cache(maxsize=512)
def check_expression(source: str, kind: ExpressionKind = "any", timeframe: Timeframe = "1h") -> CheckedExpression:
    """Check an expression before any data is loaded.

    Args:
        kind: The required kind: `boolean` for a scan's condition, `numeric` for a rank's expression.
        timeframe: Timeframe of the bars.

    Raises:
        DslError: It lists every error with line, column, caret and suggestion; `fixed` holds the corrected text.
    """
    found, findings = _read(source, kind, timeframe)
    if found is None:
        findings.raise_errors(_NAMES[kind], _corrected(source, findings, kind, timeframe))
        raise AssertionError("an expression without a node has an error")
    return found


def _read(source: str, kind: ExpressionKind, timeframe: Timeframe) -> tuple[CheckedExpression | None, Findings]:
    """A checked expression and what was found in it; None with an error."""
    parsed = parse(source, "expression")
    graph = Graph(timeframe)
    checker = Checker(parsed, graph, CheckingContext())
    node = None
    if parsed.statements:
        statement = parsed.statements[0]
        if not isinstance(statement, ast.Expr):
            checker.error(statement, "this is a statement", "Write one expression, e.g. `rsi(close, 14) < 30`")
        else:
            node = checker.node(statement.value)
            if node is not None:
                _refuse_kind(checker, statement.value, node, kind)
    if node is None or parsed.findings.failed:
        return None, parsed.findings
    body = parsed.statements[0]
    parts = _parts(body.value, checker) if isinstance(body, ast.Expr) else {}
    checked = CheckedExpression(
        source=source.strip(),
        kind="boolean" if node.kind.base == "bool" else "numeric",
        timeframe=timeframe,
        lookback=node.lookback,
        required_bars=node.lookback + 1 + node.settling,
        instruments=instruments_of(graph),
        anchored=_anchored(graph),
        doubts=_doubts(checker, source.strip(), node, parsed.findings),
        node=node,
        parts=parts,
        texts=graph.texts,
    )
    return checked, parsed.findings


def _doubts(checker: Checker, source: str, node: Node, findings: Findings) -> tuple[str, ...]:
    if node.kind.base != "bool":
        return ()
    from .lint import lint_condition

    lint_condition(node, source, checker.doubtful, checker.graph.texts, findings)
    return tuple(f"{found.message}. {found.suggestion}." for found in findings.sorted())


def evaluate(expression: CheckedExpression, frame: Frame, instrument: Instrument) -> ExpressionValue:
    """The value of an expression for one instrument of a frame, now and on every bar.

    Raises:
        InvalidInput: `TA_OUT_OF_RANGE` when a period is longer than the history.
        NotFound: `DATA_UNAVAILABLE` when the frame lacks a ticker that it reads.
    """
    from .evaluation import Evaluator, known_bars, refuse_short_history

    if frame.timeframe != expression.timeframe:
        raise ValueError(f"checked for {expression.timeframe} bars, run on {frame.timeframe}")
    bars = known_bars(frame, instrument)
    refuse_short_history([expression.node], expression.texts, bars)
    evaluator = Evaluator(frame)
    series = evaluator.series(expression.node, instrument)
    parts = {text: _last(evaluator.series(node, instrument)) for text, node in expression.parts.items()}
    return ExpressionValue(_last(series), series, parts, bars, expression.lookback)


def instruments_of(graph: Graph) -> tuple[Instrument, ...]:
    """The distinct tickers of a dataflow, in the order of the text."""
    named = [node.payload for node in graph.nodes if node.op == "at" and isinstance(node.payload, Instrument)]
    return tuple(dict.fromkeys(named))


def _anchored(graph: Graph) -> tuple[str, ...]:
    """Session operators restart every day, so they do not count."""
    calls = [node.payload for node in graph.nodes if node.op == "call"]
    called = [str(cast("tuple[Hashable, ...]", payload)[0]) for payload in calls]
    known = [OPERATORS[name] for name in dict.fromkeys(called) if name in OPERATORS]
    return tuple(each.name for each in known if each.memory == "start" and each.category != "session")


def _last(series: Floats | Bools) -> float | bool | None:
    value = series[-1].item()
    return None if value != value else value


def _refuse_kind(checker: Checker, expression: ast.expr, node: Node, kind: ExpressionKind) -> None:
    written = checker.parsed.source(expression)
    base = node.kind.base
    if base not in {"number", "bool"}:
        checker.error(
            expression, f"`{written}` is {node.kind}, not a number or a condition", "Write e.g. `rsi(close, 14)`"
        )
    elif kind == "boolean" and base == "number":
        example = f"{written} < 30" if written.startswith(("rsi", "mfi", "stoch")) else f"{written} > 0"
        checker.error(expression, f"`{written}` is a number; a condition is needed", f"Compare it, e.g. `{example}`")
    elif kind == "numeric" and base == "bool":
        sides = _parts(expression, checker)
        first = next(iter(sides), "close")
        checker.error(
            expression,
            f"`{written}` is a condition; a number is needed",
            f"Rank by a number such as `{first}`, or write `where({written}, 1, 0)`",
        )


def _parts(expression: ast.expr, checker: Checker) -> dict[str, Node]:
    """The operands of the outermost and, or, not, comparisons and arithmetic."""
    found: dict[str, Node] = {}
    stack = [expression]
    while stack and len(found) < MAX_PARTS:
        match stack.pop():
            case ast.BoolOp(values=values):
                stack.extend(reversed(values))
            case ast.Compare(left=left, comparators=rest):
                stack.extend(reversed([left, *rest]))
            case ast.BinOp(left=left, right=right):
                stack.extend([right, left])
            case ast.UnaryOp(operand=operand):
                stack.append(operand)
            case other:
                node = checker.node(other)
                if node is not None and node.op != "constant" and other is not expression:
                    found.setdefault(checker.parsed.source(other), node)
    return found


def _corrected(source: str, findings: Findings, kind: ExpressionKind, timeframe: Timeframe) -> str | None:
    """The source with its errors replaced, if the result passes. One correction may bring up the next error."""
    text = source
    for _ in range(_ROUNDS):
        better = findings.replaced()
        if better == text or len(better) > MAX_LENGTH["expression"]:
            return None
        text = better
        found, findings = _read(text, kind, timeframe)
        if found is not None:
            return text
    return None

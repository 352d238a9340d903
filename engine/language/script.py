"""Statements: names, loops over tickers and emit_signal, unrolled into a flat list of emissions."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from api.exchanges import ExchangeId
from api.symbols import Instrument
from api.times import Timeframe

from .calls import Checker
from .diagnostics import TextSpan, quoted
from .foreign import emissions_meant
from .graph import Graph, Node
from .intents import Intents, nodes_of
from .parse import Parsed, parse
from .values import (
    CheckingContext,
    IntentPlan,
    Outputs,
    ScriptParameter,
    ScriptValue,
    TickerList,
    described,
)
from .words import FORMS, VARIABLES

if TYPE_CHECKING:
    from api.backtests import MarginMode

_EXAMPLE: Final = 'emit_signal(condition, entry(TICKER, "LONG", Weight(0.5)))'
MAX_STATEMENTS: Final = 5_000
MAX_EMISSIONS: Final = 1_000
MAX_NODES: Final = 50_000
MAX_LOOPS: Final = 2


@dataclass(frozen=True, slots=True)
class ScriptContext:
    """The setting of a script.

    Attributes:
        universe: The tickers that it may trade.
        mode: `isolated` runs it once for each ticker, `cross` once for all.
        bars: Length of the range in bars, if known; the linter compares the warm-up with it.
        leverage: Of the run, None if unknown; the linter compares sizes and stops with it.
        parameters: Values by name for parameters that the script declares with `param`; the others keep their defaults.
    """

    universe: tuple[Instrument, ...]
    timeframe: Timeframe = "1h"
    mode: MarginMode = "isolated"
    exchange: ExchangeId | None = None
    bars: int | None = None
    leverage: float | None = None
    parameters: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class EmissionPlan:
    """One emit_signal after unrolling."""

    condition: Node
    text: str
    intents: tuple[IntentPlan, ...]
    span: TextSpan


@dataclass(slots=True)
class ScriptPlan:
    """A fully checked script. It can run if `findings` has no error."""

    context: ScriptContext
    graph: Graph
    parsed: Parsed
    emissions: list[EmissionPlan] = field(default_factory=list[EmissionPlan])
    unused: dict[str, TextSpan] = field(default_factory=dict[str, TextSpan])
    doubtful: list[tuple[TextSpan, Node]] = field(default_factory=list[tuple[TextSpan, Node]])
    parameters: tuple[ScriptParameter, ...] = ()

    @property
    def nodes(self) -> list[Node]:
        """Every node that an emission reads, conditions first."""
        conditions = [e.condition for e in self.emissions]
        return conditions + [n for e in self.emissions for plan in e.intents for n in nodes_of(plan)]


def read_script(source: str, context: ScriptContext) -> ScriptPlan:
    """Check a script; its errors are in the plan's findings."""
    parsed = parse(source, "script")
    plan = ScriptPlan(context, Graph(context.timeframe), parsed)
    reader = Reader(plan)
    if parsed.statements:
        reader.run(parsed.statements)
    plan.unused = {n: s for n, s in reader.assigned.items() if n not in reader.checker.used}
    plan.doubtful = reader.checker.doubtful
    plan.parameters = tuple(reader.checker.parameters.values())
    reader.refuse_unknown_parameters()
    if not plan.emissions and not parsed.findings.failed:
        meant = emissions_meant(parsed.statements)
        parsed.findings.error(
            TextSpan(1, 1, 2),
            "the script never calls emit_signal, so it never trades",
            f"Add `{meant[0] if meant else _EXAMPLE}`",
        )
        if meant:
            last = len(parsed.findings.lines)
            end = len(parsed.findings.lines[-1]) + 1
            parsed.findings.replace(TextSpan(last, end, end), "\n" + "\n".join(meant))
    return plan


class Reader:
    """Reads statements one after the other into a plan."""

    def __init__(self, plan: ScriptPlan) -> None:
        context = plan.context
        exchange = context.exchange or (context.universe[0].exchange if context.universe else None)
        self._plan = plan
        world = CheckingContext(
            script=True,
            universe=context.universe,
            exchange=exchange,
            mode=context.mode,
            parameters=context.parameters,
        )
        self.checker = Checker(plan.parsed, plan.graph, world)
        self.checker.form = Intents(self.checker).check
        self.assigned: dict[str, TextSpan] = {}
        self._statements = 0
        self._loops = 0
        self._full = False

    def run(self, statements: Sequence[ast.stmt]) -> None:
        """Check statements in order."""
        for statement in statements:
            self._statements += 1
            if self._full or self._too_many(statement):
                return
            match statement:
                case ast.Assign():
                    self._assign(statement)
                case ast.For():
                    self._loop(statement)
                case ast.Expr(value=ast.Call(func=ast.Name(id="emit_signal")) as call):
                    self._emit(call)
                case ast.Expr():
                    self._bare(statement)
                case _:
                    pass

    def refuse_unknown_parameters(self) -> None:
        """Report settings for parameters that the script does not declare."""
        known = self.checker.parameters
        for name, _ in self._plan.context.parameters:
            if name not in known and not self.checker.findings.failed:
                others = f"It has {', '.join(known)}" if known else "It has none"
                example = f'`{name} = param("{name}", 10, 5, 50)`'
                self.checker.findings.error(
                    TextSpan(1, 1, 2), f"the script has no parameter {quoted(name)}", f"{others}. Declare it: {example}"
                )

    def _too_many(self, statement: ast.stmt) -> bool:
        limits = (
            (self._statements, MAX_STATEMENTS, "statements"),
            (len(self._plan.emissions), MAX_EMISSIONS, "signals"),
            (len(self._plan.graph.nodes), MAX_NODES, "sub-expressions"),
        )
        for count, limit, what in limits:
            if count > limit:
                self._full = True
                message = f"more than {limit:,} {what} once the loops are unrolled"
                self.checker.error(statement, message, "Use fewer tickers in the loop, or a shorter script")
        return self._full

    def _assign(self, statement: ast.Assign) -> None:
        target = statement.targets[0]
        if len(statement.targets) > 1:
            self.checker.error(statement, "one statement names one value", "Write two lines")
            return
        value = self.checker.value(statement.value)
        match target:
            case ast.Name(id=name):
                if isinstance(value, Outputs):
                    self.checker.node(statement.value)
                    value = None
                self._bind(name, target, value)
            case ast.Tuple(elts=elements) if all(isinstance(e, ast.Name) for e in elements):
                self._unpack(statement, elements, value)
            case _:
                self.checker.error(target, "only a name can be given to a value", "Write `name = expression`")

    def _unpack(self, statement: ast.Assign, elements: Sequence[ast.expr], value: ScriptValue | None) -> None:
        nodes: Sequence[Node | None] = [None] * len(elements)
        if isinstance(value, Outputs):
            if len(value.nodes) == len(elements):
                nodes = value.nodes
            else:
                names = ", ".join(value.names)
                self.checker.error(
                    statement,
                    f"{value.operator} gives {len(value.nodes)} series, not {len(elements)}",
                    f"Write `{names} = {value.operator}(...)`",
                )
        elif value is not None:
            self.checker.error(statement.value, f"{described(value)} cannot be unpacked", "Give it one name")
        for element, node in zip(elements, nodes, strict=True):
            if isinstance(element, ast.Name):
                self._bind(element.id, element, node, unpacked=True)

    def _bind(self, name: str, where: ast.expr, value: ScriptValue | None, *, unpacked: bool = False) -> None:
        if name in VARIABLES or name in FORMS:
            self.checker.error(
                where, f"{quoted(name)} is a word of the language", f"Use another name, e.g. `my_{name}`"
            )
        elif name in self.checker.scope:
            self.checker.error(where, f"{quoted(name)} already has a value, and keeps it", "Use another name")
        else:
            self.checker.scope[name] = value
            if not name.startswith("_") and not unpacked:
                self.assigned.setdefault(name, self._plan.parsed.span(where))

    def _loop(self, statement: ast.For) -> None:
        tickers = self._tickers(statement.iter)
        if statement.orelse or not isinstance(statement.target, ast.Name):
            self.checker.error(statement, "a loop has one name and no else", "Write `for t in TICKERS:`")
            return
        if self._loops == MAX_LOOPS:
            self.checker.error(statement, f"loops are nested more than {MAX_LOOPS} deep", "Take one loop away")
            return
        self._loops += 1
        outer = dict(self.checker.scope)
        for ticker in tickers:
            self._bind(statement.target.id, statement.target, ticker)
            self.run(statement.body)
            self.checker.scope = dict(outer)
        self._loops -= 1

    def _tickers(self, where: ast.expr) -> Sequence[Node]:
        if isinstance(where, ast.List | ast.Tuple):
            found = [self.checker.ticker(element) for element in where.elts]
            return [node for node in found if node is not None]
        value = self.checker.value(where)
        if isinstance(value, TickerList):
            return value.nodes
        if value is not None:
            written = quoted(self._plan.parsed.source(where))
            self.checker.error(
                where, f"a loop runs over tickers, and {written} is {described(value)}", "Write `for t in TICKERS:`"
            )
        return []

    def _bare(self, statement: ast.Expr) -> None:
        value = self.checker.value(statement.value)
        if value is not None:
            what = described(value)
            suggestion = (
                "Hand it to `emit_signal(condition, ...)`" if isinstance(value, IntentPlan) else "Give it a name"
            )
            self.checker.error(statement, f"{what} alone does nothing", suggestion)

    def _emit(self, call: ast.Call) -> None:
        if len(call.args) != 2 or call.keywords:
            self.checker.error(call, "emit_signal takes a condition and an intent or a list of them",
                               'Write `emit_signal(oversold, entry(TICKER, "LONG", Weight(0.5)))`')  # fmt: skip
            for each in call.args[:1]:
                self.checker.condition(each)
            return
        condition = self.checker.condition(call.args[0])
        elements = call.args[1].elts if isinstance(call.args[1], ast.List | ast.Tuple) else [call.args[1]]
        intents = [self._intended(element) for element in elements]
        known = [intent for intent in intents if intent is not None]
        if condition is None or len(known) < len(intents) or not self._named(call, condition, known):
            return
        if not known:
            self.checker.error(call.args[1], "the list of intents is empty", "Add an intent")
            return
        text = self._plan.parsed.source(call.args[0])
        self._plan.emissions.append(EmissionPlan(condition, text, tuple(known), self._plan.parsed.span(call)))

    def _intended(self, where: ast.expr) -> IntentPlan | None:
        value = self.checker.value(where)
        if value is None or isinstance(value, IntentPlan):
            return value
        self.checker.error(
            where, f"{described(value)} is no intent", "Write entry(...), exit(...), rebalance(...) or grid(...)"
        )
        return None

    def _named(self, call: ast.Call, condition: Node, intents: Sequence[IntentPlan]) -> bool:
        """Whether, in cross mode, every series names its ticker."""
        if self._plan.context.mode == "isolated":
            return True
        bare = next((n for n in (condition, *(n for i in intents for n in nodes_of(i))) if n.local), None)
        if bare is None:
            return True
        leaf = bare
        while leaf.args:
            leaf = next(a for a in leaf.args if a.local)
        name = str(leaf.payload)
        self.checker.error(
            call,
            f"in cross mode every series names its ticker, and {name} does not",
            f'Write `{name}["{self._plan.context.universe[0].ticker}"]`, or loop: `for t in TICKERS:` with `{name}[t]`',
        )
        return False

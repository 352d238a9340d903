"""From a script to the program that the backtest kernel runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, cast

from api.errors import InvalidInput
from api.symbols import Instrument

from .diagnostics import Diagnostic
from .expressions import instruments_of
from .graph import Node
from .lexer import MAX_LENGTH
from .lint import lint
from .plan import in_words
from .registry import OPERATORS
from .script import ScriptContext, ScriptPlan, read_script
from .spec import MAX_SETTLING, Constant
from .values import ScriptParameter

if TYPE_CHECKING:
    from engine.frame import Frame
    from engine.program import Program


@dataclass(frozen=True)
class CompiledScript:
    """A script that can run.

    Attributes:
        instruments: The universe, and every other ticker that it reads; load all of them into one frame.
        warmup_bars: Bars to load before the range, as far as there are so many.
        lookback: Bars before its first value.
        stateful: It reads the account, so it is asked bar by bar.
        plan_text: What it does, in words.
        diagnostics: Warnings.
        parameters: What the script declares with `param`, in the order of the text, with the values of this run.
    """

    context: ScriptContext
    instruments: tuple[Instrument, ...]
    warmup_bars: int
    lookback: int
    stateful: bool
    plan_text: str
    diagnostics: tuple[Diagnostic, ...]
    plan: ScriptPlan
    parameters: tuple[ScriptParameter, ...] = ()

    @cached_property
    def tail(self) -> int | None:
        """Bars of history after which a value no longer shows where the history began, to the last bit.

        None where it always does: operators that add up from the first bar, `bar_index`, and periods so long that their
        settling is cut short.
        """
        reached, seen = list(self.plan.nodes), set[int]()
        while reached:
            node = reached.pop()
            if node.id in seen:
                continue
            seen.add(node.id)
            reached.extend(node.args)
            if _endless(node):
                return None
        return max((n.lookback + 3 * n.settling for n in self.plan.nodes), default=0) + 2

    def program(self, frame: Frame, first_bar: int = 0) -> Program:
        """The script on the bars of `frame`. Nothing fires before `first_bar`.

        Raises:
            InvalidInput: `TA_OUT_OF_RANGE` when a period is longer than the frame.
            NotFound: `DATA_UNAVAILABLE` when the frame lacks a ticker.
        """
        from .running import program

        if frame.timeframe != self.context.timeframe:
            raise ValueError(f"compiled for {self.context.timeframe} bars, run on {frame.timeframe}")
        return program(self.plan, frame, first_bar, stateful=self.stateful)


@dataclass(frozen=True, slots=True)
class ScriptReport:
    """What a check of a script found.

    Attributes:
        ok: There is no error; warnings there may be.
        diagnostics: Errors and warnings in the order of the text.
        fixed: The script with every error corrected, when each has an obvious correction and the result passes.
        compiled: The script, when it can run.
    """

    ok: bool
    diagnostics: tuple[Diagnostic, ...]
    fixed: str | None
    compiled: CompiledScript | None


def check_script(source: str, context: ScriptContext) -> ScriptReport:
    """Read a script and report every error and doubt at once.

    Raises:
        InvalidInput: The universe is empty.
    """
    plan, compiled = read(source[: MAX_LENGTH["script"] + 1], context)
    found = plan.parsed.findings
    return ScriptReport(
        ok=compiled is not None,
        diagnostics=found.sorted(),
        fixed=None if compiled is not None else _corrected(found.fixed(), source, context),
        compiled=compiled,
    )


def compile_script(source: str, context: ScriptContext) -> CompiledScript:
    """Compile a script.

    Raises:
        DslError: Names every error with line, column, caret and suggestion; `diagnostics` holds them.
        InvalidInput: The universe is empty.
    """
    plan, compiled = read(source[: MAX_LENGTH["script"] + 1], context)
    if compiled is None:
        found = plan.parsed.findings
        found.raise_errors("script", _corrected(found.fixed(), source, context))
        raise AssertionError("a script that does not compile has an error")
    return compiled


def script_parameters(source: str, context: ScriptContext) -> tuple[ScriptParameter, ...]:
    """What a script declares with `param`, in the order of the text.

    Raises:
        DslError: The script has an error.
        InvalidInput: The universe is empty.
    """
    return compile_script(source, context).parameters


@lru_cache(maxsize=64)
def read(source: str, context: ScriptContext) -> tuple[ScriptPlan, CompiledScript | None]:
    """A script's plan with its findings, and the script itself when there is no error among them."""
    if not context.universe:
        raise InvalidInput("the universe is empty", suggestion='Name at least one ticker, e.g. "BINANCE:BTC/USDT"')
    plan = read_script(source, context)
    if plan.parsed.findings.failed:
        return plan, None
    lookback = max((node.lookback for node in plan.nodes), default=0)
    warmup = max((node.lookback + node.settling for node in plan.nodes), default=0)
    lint(plan, lookback)
    instruments = tuple(dict.fromkeys((*context.universe, *instruments_of(plan.graph))))
    return plan, CompiledScript(
        context=context,
        instruments=instruments,
        warmup_bars=warmup,
        lookback=lookback,
        stateful=any(node.stateful for node in plan.nodes),
        plan_text=in_words(plan, instruments, lookback, warmup),
        diagnostics=plan.parsed.findings.sorted(),
        plan=plan,
        parameters=plan.parameters,
    )


def _endless(node: Node) -> bool:
    """Whether a node's value depends on where the history began, however long that was ago."""
    if node.op == "time":
        return node.payload == "bar_index"
    if node.op != "call":
        return False
    name, constants = cast("tuple[str, tuple[Constant, ...]]", node.payload)
    operator = OPERATORS[name]
    if operator.memory == "start":
        return operator.category != "session"
    return operator.memory == "decaying" and operator.settling_bars(constants) >= MAX_SETTLING


def _corrected(fixed: str | None, source: str, context: ScriptContext) -> str | None:
    """The script with its errors replaced, if it then passes."""
    if fixed is None or fixed == source:
        return None
    return fixed if read(fixed, context)[1] is not None else None

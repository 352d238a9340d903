"""Compiles a script to the program that the backtest kernel runs, and to its plan in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final, cast

from api.errors import InvalidInput
from api.symbols import Instrument

from .diagnostics import SourceDiagnostic, short
from .expressions import instruments_of
from .graph import Node
from .lexer import MAX_LENGTH
from .lint import lint
from .operators import OPERATORS
from .script import EmissionPlan, ScriptContext, ScriptPlan, read_script
from .spec import MAX_SETTLING, Constant
from .values import IntentPlan, ScriptParameter, Sizing

if TYPE_CHECKING:
    from engine.frame import Frame
    from engine.program import Program

_SHOWN_EMISSIONS = 20
_KEPT = 256
"""How many scripts stay compiled: live strategies ask for theirs at every bar."""


def in_words(plan: ScriptPlan, instruments: tuple[Instrument, ...], lookback: int, warmup: int) -> str:
    """The plan as a short text."""
    return "\n".join(_lines(plan, instruments, lookback, warmup))


def _lines(plan: ScriptPlan, instruments: tuple[Instrument, ...], lookback: int, warmup: int) -> Iterator[str]:
    context = plan.context
    traded = context.universe
    names = ", ".join(i.ticker for i in traded[:5]) + (f" and {len(traded) - 5} more" if len(traded) > 5 else "")
    runs = f"once for each of {len(traded)} tickers" if len(traded) > 1 else "once"
    how = runs if context.mode == "isolated" else "once for all tickers"
    yield f"Runs {how} ({names}) on {context.timeframe} bars."
    others = [i.ticker for i in instruments if i not in traded]
    if others:
        yield f"Also reads {', '.join(others)}."
    yield (
        f"First value after {lookback:,} bars; loads {warmup:,} bars before the range so that every value is settled."
    )
    if plan.parameters:
        yield f"Parameters: {', '.join(_parameter(each) for each in plan.parameters)}."
    yield _work(plan)
    if context.leverage is not None and context.leverage > 1.0:
        margin = f"{100 / context.leverage:.3g} %"
        yield f"Leverage {context.leverage:g}: a position ties up {margin} of what it is worth; sizes stay as written."
    yield "At the close of each bar, in this order; orders are filled at the next bar's open:"
    for number, emission in enumerate(plan.emissions[:_SHOWN_EMISSIONS], 1):
        yield f"{number}. {_emission(emission)}"
    if len(plan.emissions) > _SHOWN_EMISSIONS:
        yield f"... and {len(plan.emissions) - _SHOWN_EMISSIONS} more signals."


def _parameter(each: ScriptParameter) -> str:
    step = "" if each.step is None else f" in steps of {each.step:g}"
    default = "" if each.value == each.default else f", {each.default:g} by default"
    return f"{each.name} = {each.value:g} ({each.low:g} to {each.high:g}{step}{default})"


def _work(plan: ScriptPlan) -> str:
    nodes = _reachable(plan.nodes)
    calls = sum(1 for node in nodes if node.op == "call")
    stateful = any(node.stateful for node in nodes)
    pace = (
        "It reads the account, so decisions are made bar by bar."
        if stateful
        else "Nothing reads the account, so all decisions are known in one pass."
    )
    return f"{len(nodes)} distinct sub-expressions, {calls} of them indicators or other operators over time. {pace}"


def _reachable(roots: Iterable[Node]) -> list[Node]:
    found: dict[int, Node] = {}
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node.id not in found:
            found[node.id] = node
            stack.extend(node.args)
    return list(found.values())


def _emission(emission: EmissionPlan) -> str:
    intents = "; ".join(_intent(intent) for intent in emission.intents)
    return f"When {short(emission.text, 100)}: {intents}."


def _intent(plan: IntentPlan) -> str:
    ticker = "the ticker" if plan.ticker.op == "ticker" else getattr(plan.ticker.payload, "ticker", "")
    match plan.kind:
        case "entry":
            side = "LONG" if plan.side == 1 else "SHORT"
            return f"open {side} {ticker} with {_size(plan.size)}{_options(plan)}"
        case "exit":
            part = plan.options.get("fraction")
            share = "" if part is None else f" ({_number(part, percent=True)} of it)"
            side = {None: "", 1: "the LONG position in ", -1: "the SHORT position in "}[plan.side]
            once = plan.options.get("once")
            often = ", once in a position" if once is not None and once.constant else ""
            return f"close {side}{ticker}{share}{often}"
        case "move_stop":
            return f"move the stop of {ticker} to {_number(plan.options.get('price'))} if that is nearer"
        case "rebalance":
            return f"move {ticker} to {_size(plan.size)}"
        case "grid":
            levels, lower, upper = (plan.options.get(name) for name in ("levels", "lower", "upper"))
            bounds = f"from {_number(lower)} to {_number(upper)}"
            return f"rest {_number(levels)} grid orders of {_size(plan.size)} on {ticker} {bounds}"


def _options(plan: IntentPlan) -> str:
    words = {"stop_loss": "stop", "take_profit": "target", "trailing_stop": "trailing stop"}
    found = [
        f"{words[name]} {_number(node, percent=True)}" for name, node in plan.options.items() if node and name in words
    ]
    limit = plan.options.get("limit")
    if limit is not None:
        found.insert(0, f"limit {_number(limit)}")
    more = plan.options.get("pyramiding")
    if more is not None and more.constant:
        found.append(f"up to {_number(more)} further entries")
    most = plan.options.get("max_positions")
    if most is not None:
        found.append(f"while fewer than {_number(most)} tickers have a position")
    return f", {', '.join(found)}" if found else ""


def _size(size: Sizing | None) -> str:
    if size is None:
        return ""
    match size.kind:
        case "weight":
            return f"{_number(size.value, percent=True)} of equity"
        case "notional":
            return f"{_number(size.value)} of quote currency"
        case "amount":
            return f"{_number(size.value)} units"
        case "risk":
            return f"the size that loses {_number(size.value, percent=True)} of equity at the stop"


def _number(node: Node | None, *, percent: bool = False) -> str:
    value = None if node is None else node.constant
    if isinstance(value, float):
        return f"{100 * value:g} %" if percent else f"{value:g}"
    return "a computed part" if percent else "a computed number"


@dataclass(frozen=True)
class CompiledScript:
    """A script that can run.

    Attributes:
        instruments: The universe and every other ticker that the script reads; load all of them into one frame.
        warmup_bars: Bars to load before the range, if available.
        lookback: Bars before its first value.
        stateful: It reads the account, so it runs bar by bar.
        plan_text: Its plan, in words.
        diagnostics: Warnings.
        parameters: The script's `param` declarations, in the order of the text, with the values of this run.
    """

    context: ScriptContext
    instruments: tuple[Instrument, ...]
    warmup_bars: int
    lookback: int
    stateful: bool
    plan_text: str
    diagnostics: tuple[SourceDiagnostic, ...]
    plan: ScriptPlan
    parameters: tuple[ScriptParameter, ...] = ()

    @cached_property
    def tail(self) -> int | None:
        """Bars of history after which a value no longer depends on the start of the history, to the last bit.

        None where it always depends on it: operators that accumulate from the first bar, `bar_index`, and periods so
        long that their settling is cut short.
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
        """The program of the script on the bars of `frame`. Nothing fires before `first_bar`.

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
    """The result of a check of a script.

    Attributes:
        ok: There is no error; there may be warnings.
        diagnostics: Errors and warnings in the order of the text.
        fixed: The script with every error corrected, if each has an obvious correction and the result passes.
        compiled: The script, if it can run.
    """

    ok: bool
    diagnostics: tuple[SourceDiagnostic, ...]
    fixed: str | None
    compiled: CompiledScript | None


def check_script(source: str, context: ScriptContext) -> ScriptReport:
    """Read a script and report all errors and warnings at once.

    Raises:
        InvalidInput: The universe is empty.
    """
    plan, compiled = read(source[: MAX_LENGTH["script"] + 1], context)
    found = plan.parsed.findings
    return ScriptReport(
        ok=compiled is not None,
        diagnostics=found.sorted(),
        fixed=None if compiled is not None else _corrected(source, context),
        compiled=compiled,
    )


def compile_script(source: str, context: ScriptContext) -> CompiledScript:
    """Compile a script.

    Raises:
        DslError: It lists every error with line, column, caret and suggestion; `diagnostics` holds them.
        InvalidInput: The universe is empty.
    """
    plan, compiled = read(source[: MAX_LENGTH["script"] + 1], context)
    if compiled is None:
        found = plan.parsed.findings
        found.raise_errors("script", _corrected(source, context))
        raise AssertionError("a script that does not compile has an error")
    return compiled


def script_parameters(source: str, context: ScriptContext) -> tuple[ScriptParameter, ...]:
    """The `param` declarations of a script, in the order of the text.

    Raises:
        DslError: The script has an error.
        InvalidInput: The universe is empty.
    """
    return compile_script(source, context).parameters


@lru_cache(_KEPT)
def read(source: str, context: ScriptContext) -> tuple[ScriptPlan, CompiledScript | None]:
    """A script's plan with its findings, and the compiled script if there is no error."""
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
    """Whether a node's value depends on the start of the history, however long ago."""
    if node.op == "time":
        return node.payload == "bar_index"
    if node.op != "call":
        return False
    name, constants = cast("tuple[str, tuple[Constant, ...]]", node.payload)
    operator = OPERATORS[name]
    if operator.memory == "start":
        return operator.category != "session"
    return operator.memory == "decaying" and operator.settling_bars(constants) >= MAX_SETTLING


_ROUNDS: Final = 8
"""Corrections in turn: one may bring up the next error, or make it possible to read a line at all."""


def _corrected(source: str, context: ScriptContext) -> str | None:
    """The script with its errors replaced, if it then passes."""
    text = source
    for _ in range(_ROUNDS):
        plan, compiled = read(text, context)
        if compiled is not None:
            return text
        better = plan.parsed.findings.replaced()
        if better == text or len(better) > MAX_LENGTH["script"]:
            return None
        text = better
    return None

"""Finds code in a script that is allowed but probably not intended."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Final, cast

from engine.trading_rules import MAINTENANCE, liquidation_value

from .diagnostics import Findings, TextSpan, quoted, short
from .graph import COMPARISONS, Node
from .operators import OPERATORS
from .ordering import extreme_of, name_of
from .script import EmissionPlan, ScriptPlan
from .spec import Constant
from .values import PERCENT_CALLS, PERCENT_STATE, IntentPlan

_WHOLE_CALLS: Final = frozenset({"count_if", "bars_since", "bars_since_highest", "bars_since_lowest", "ht_trendmode"})
_WHOLE_APPLIED: Final = frozenset({"round", "floor", "ceil", "sign", "//", "%"})


def lint(plan: ScriptPlan, lookback: int) -> None:
    """Add the warnings of a script without errors to its findings. `lookback` is in bars."""
    findings = plan.parsed.findings
    _doubtful(plan.doubtful, plan.graph.texts, findings)
    for name, span in plan.unused.items():
        findings.warning(span, "unused-name", f"{quoted(name)} is never used", "Use it, or take the line out")
    _exits(plan, findings)
    for emission in plan.emissions:
        _emission(emission, findings)
    _leverage(plan, findings)
    bars = plan.context.bars
    if bars is not None and lookback >= bars and plan.emissions:
        findings.warning(
            plan.emissions[0].span,
            "long-warm-up",
            f"the first value needs {lookback:,} bars of history, and the range has only {bars:,}",
            "Shorten the periods or choose a longer range; without history before the range it never trades",
        )


def lint_condition(
    condition: Node, text: str, doubtful: Iterable[tuple[TextSpan, Node]], texts: Mapping[int, str], findings: Findings
) -> None:
    """Add the warnings of a single condition without errors to its findings."""
    _doubtful(doubtful, texts, findings)
    _emission(EmissionPlan(condition, text, (), TextSpan(1, 1, len(text) + 1)), findings)


def _doubtful(doubtful: Iterable[tuple[TextSpan, Node]], texts: Mapping[int, str], findings: Findings) -> None:
    """Report comparisons that always or never hold; of nested ones, only the innermost."""
    for span, node in doubtful:
        inner = any(part.truth is not None and part.op != "constant" for part in node.args)
        if inner and node.payload in {"and", "or", "not"}:
            continue
        text = quoted(texts.get(node.id, "this condition"))
        beyond = next((arg for arg in node.args if extreme_of(arg)[0] is not None), None)
        now = any(arg.op == "column" for arg in node.args)
        if beyond is not None and now and node.truth is False:
            written = texts.get(beyond.id, "the extreme")
            whole = texts.get(node.id, "")
            earlier = whole.replace(written, f"lag({written}, 1)") if written in whole else f"lag({written}, 1)"
            findings.warning(
                span,
                "never-true",
                f"{text} can never hold: {short(written)} includes this bar",
                f"Compare with the bars before: `{earlier}`",
            )
        elif node.truth is False:
            reason, cure = _range(node, texts)
            findings.warning(span, "never-true", f"{text} can never hold{reason}", cure)
        else:
            reason, cure = _range(node, texts)
            findings.warning(span, "always-true", f"{text} always holds{reason}", f"{cure}, or leave it out")


_FRACTIONS: Final = 10.0
"""A value between bounds no larger than this is a fraction or a ratio, and not in percent."""


def _range(node: Node, texts: Mapping[int, str]) -> tuple[str, str]:
    """The range that one side of a comparison with a number has, and what to write instead."""
    for subject, limit in (node.args, node.args[::-1]) if len(node.args) == 2 else ():
        value = limit.constant
        low, high = subject.bounds
        if not isinstance(value, float) or subject.constant is not None or (low == -math.inf and high == math.inf):
            continue
        written = short(texts.get(subject.id, "the value"))
        if low == -math.inf or high == math.inf:
            reason = f": {written} is never {'below' if high == math.inf else 'above'} {max(low, min(high, 0)):g}"
        else:
            reason = f": {written} is between {low:.4g} and {high:.4g}"
        if max(-low, high) <= _FRACTIONS and abs(value) >= 2 and subject.op != "time" and not _whole(subject):
            return reason, f"Write {value / 100:g} if you meant {value:g} %"
        if (low == 0 or high == 0) and value and low <= -value <= high:
            return reason, f"Write {-value:g}, which it can be"
        return reason, "Check the number"
    return "", "Check the sides of it"


def _exits(plan: ScriptPlan, findings: Findings) -> None:
    intents = [(emission, intent) for emission in plan.emissions for intent in emission.intents]
    kinds = {intent.kind for _, intent in intents}
    if "exit" in kinds and not kinds & {"entry", "rebalance", "grid"}:
        findings.warning(
            intents[0][0].span, "never-enters", "the script closes positions but opens none", "Add an entry"
        )
    for emission, intent in intents:
        target = intent.options.get("take_profit")
        value = None if target is None else target.constant
        if isinstance(value, float) and value > 1:
            findings.warning(
                emission.span,
                "scale",
                f"take_profit is {value:g}, which is {100 * value:,.0f} % of the entry price",
                f"Write {value / 100:g} if you meant {value:g} %",
            )
        if intent.kind == "entry" and not _leaves(intent, [other for _, other in intents]):
            findings.warning(
                emission.span,
                "missing-exit",
                "this entry has no stop, target or exit: it is held to the end of the data",
                "Add `stop_loss=`, `take_profit=`, or `emit_signal(..., exit(...))`",
            )


def _leaves(entry: IntentPlan, intents: list[IntentPlan]) -> bool:
    """Whether anything can close the position that an entry opens."""
    if any(entry.options.get(name) is not None for name in ("stop_loss", "take_profit", "trailing_stop")):
        return True
    return any(
        (other.kind == "exit" and other.side in {None, entry.side})
        or other.kind in {"rebalance", "move_stop"}
        or (other.kind == "entry" and other.side != entry.side)
        for other in intents
        if other.ticker is entry.ticker or "ticker" in {other.ticker.op, entry.ticker.op}
    )


def _emission(emission: EmissionPlan, findings: Findings) -> None:
    for node in _below(emission.condition):
        if node.op == "apply" and node.payload == "==" and not all(_whole(side) for side in node.args):
            findings.warning(
                emission.span,
                "exact-equality",
                f"`==` in {quoted(emission.text)} compares computed numbers, which are hardly ever exactly equal",
                "Write cross(a, b) for a crossing, or between(x, low, high)",
            )
        if node.op == "apply" and node.payload in {"min", "max"}:
            _extreme(emission, node, findings)
        if (node.op == "apply" and node.payload in COMPARISONS | {"between"}) or name_of(node) in _CROSSINGS:
            _scale(emission, node, findings)
        if node.op == "apply" and node.payload in COMPARISONS:
            _pattern(emission, node, findings)
        if node.op == "call" and _name(node) == "beta" and any(_is_return(a) for a in node.args):
            findings.warning(
                emission.span,
                "returns-of-returns",
                "beta computes the returns of its arguments; these are returns already",
                "Give it prices: `beta(close, other, 30)`; for two series of returns write `hedge_ratio(a, b, 30)`",
            )
    for intent in emission.intents:
        _repeats(emission, intent, findings)


def _leverage(plan: ScriptPlan, findings: Findings) -> None:
    """Sizes beyond the leverage, stops beyond the liquidation price, and unused leverage."""
    context = plan.context
    perpetual = context.universe[0].market_type == "perpetual"
    allowed = context.leverage if perpetual else 1.0
    largest: dict[Hashable, float] = {}
    for emission in plan.emissions:
        for intent in emission.intents:
            _size(emission, intent, allowed, findings)
            if allowed is not None and perpetual:
                _stop(emission, intent, allowed, findings)
            size = intent.size
            if size is not None:
                most = max(map(abs, size.value.bounds)) if size.kind == "weight" else math.inf
                ticker = intent.ticker.payload
                largest[ticker] = max(largest.get(ticker, 0.0), most)
    held = sum(most * (len(context.universe) if ticker == "TICKER" else 1) for ticker, most in largest.items())
    if allowed is not None and allowed > 1.0 and 0.0 < held <= 1.0:
        findings.warning(
            plan.emissions[0].span,
            "unused-leverage",
            f"leverage {allowed:g} does not make positions larger, and the sizes here come to {100 * held:g} % of "
            "equity at most: it only brings the liquidation nearer",
            f"Write Weight({allowed:g}) for {100 * allowed:g} % of equity, or run without leverage",
        )


def _size(emission: EmissionPlan, intent: IntentPlan, allowed: float | None, findings: Findings) -> None:
    """A weight or a risk that exceeds the equity times the leverage."""
    size = intent.size
    value = None if size is None else size.value.constant
    if size is None or not isinstance(value, float):
        return
    stop = intent.options.get("stop_loss")
    distance = None if stop is None else stop.constant
    if size.kind == "weight":
        written, worth, cure = (
            f"Weight({value:g})",
            abs(value),
            f"Write Weight({value / 100:g}) if you meant {value:g} %",
        )
    elif size.kind == "risk" and isinstance(distance, float):
        written, worth = f"Risk({value:g}) with stop_loss={distance:g}", value / distance
        cure = "Risk less, or move the stop further away"
    else:
        return
    if worth <= max(allowed or 1.0, 1.0) * (1.0 + 1e-9):
        return
    limit = (
        f"which needs a leverage of {worth:g} or more"
        if allowed is None
        else f"and the money pays for {100 * allowed:g} %: the position is cut to that"
    )
    findings.warning(emission.span, f"large-{size.kind}", f"{written} is {100 * worth:g} % of equity, {limit}", cure)


def _stop(emission: EmissionPlan, intent: IntentPlan, leverage: float, findings: Findings) -> None:
    """A stop that is never reached, because the position is liquidated first."""
    stop = intent.options.get("stop_loss")
    value = None if stop is None else stop.constant
    if intent.side is None or not isinstance(value, float) or (intent.side > 0 and leverage <= 1.0):
        return
    liquidated = abs(1.0 - liquidation_value(intent.side, 1.0, 1.0 / leverage, float(MAINTENANCE)))
    if value >= liquidated:
        findings.warning(
            emission.span,
            "stop-beyond-liquidation",
            f"stop_loss={value:g} is never reached: at leverage {leverage:g} the position is liquidated "
            f"{100 * liquidated:.3g} % from its entry",
            f"Choose a stop below {liquidated:.3g}, or less leverage",
        )


_FRACTION_CALLS: Final = frozenset(
    {"pct_change", "rocp", "log_return", "drawdown", "historical_volatility", "parkinson", "garman_klass", "bb_width"}
)
_HUNDREDS: Final = frozenset({"cci", "kdj", "choppiness"})
"""Operators without fixed bounds whose usual values are tens and hundreds."""

_CROSSINGS: Final = frozenset({"crossover", "crossunder", "cross"})
_FEW_VALUES: Final = {("supertrend", "direction"): (-1.0, 1.0), ("ht_trendmode", ""): (0.0, 1.0)}


def _operator_of(node: Node) -> str:
    """The operator that a value comes from, also of an earlier bar or one of its outputs."""
    while node.op in {"pick", "at", "tf"} or name_of(node) == "lag":
        node = node.args[0]
    return name_of(node)


def _name(node: Node) -> str:
    return str(cast("tuple[Constant, ...]", node.payload)[0])


def _is_return(node: Node) -> bool:
    if node.op == "call":
        return _name(node) in {"pct_change", "log_return", "roc", "rocp"}
    if node.op == "at":
        return _is_return(node.args[0])
    return node.op == "apply" and node.payload == "-" and node.args[0].op == "apply" and node.args[0].payload == "/"


def _scale(emission: EmissionPlan, node: Node, findings: Findings) -> None:
    """A threshold that does not fit the range of the compared values: `rsi(close, 14) < 0.3`."""
    first, *others = node.args
    for subject, limit in [(first, each) for each in others] + [(others[0], first)]:
        value = limit.constant
        if not isinstance(value, float) or not value:
            continue
        low, high = subject.bounds
        size = abs(value)
        name = _operator_of(subject)
        percent = (high == 100 and low in {0, -100}) or (low == -100 and high == 0) or name in _HUNDREDS
        of_percent = (subject.op == "call" and _name(subject) in PERCENT_CALLS) or (
            subject.op == "state" and subject.payload in PERCENT_STATE
        )
        what = f"{quoted(emission.text)} compares"
        if (percent and size < 1) or (of_percent and size <= 0.2):
            findings.warning(
                emission.span,
                "scale",
                f"{what} a value {'that reaches hundreds' if name == 'cci' else 'in percent'} with {value:g}",
                f"Write {100 * value:g} if you meant {100 * value:g}{'' if name == 'cci' else ' %'}",
            )
        elif size >= 1 and (_is_return(subject) or name in _FRACTION_CALLS) and not of_percent:
            findings.warning(
                emission.span,
                "scale",
                f"{what} a fraction with {value:g}, which is {100 * value:g} %",
                f"Write {value / 100:g} if you meant {value:g} %",
            )


def _pattern(emission: EmissionPlan, node: Node, findings: Findings) -> None:
    """A candle pattern, or another operator of few values, compared with a value that it never takes."""
    for subject, limit in (node.args, node.args[::-1]):
        value = limit.constant
        few = _FEW_VALUES.get((_operator_of(subject), str(subject.payload) if subject.op == "pick" else ""))
        if few is not None and isinstance(value, float) and node.payload == "==" and value not in few:
            values = " or ".join(f"{v:g}" for v in few)
            findings.warning(
                emission.span,
                "never-true",
                f"{quoted(emission.text)} compares a value that is {values} with {value:g}, which it never is",
                f"Compare with {values}",
            )
        if isinstance(value, float) and node.payload == "==" and not value.is_integer() and _counts(subject):
            half = f"`hour == {value // 1:g} and minute == {60 * (value % 1):g}`"
            findings.warning(
                emission.span,
                "never-true",
                f"{quoted(emission.text)} compares a whole number with {value:g}, which it never is",
                f"Write {half}" if subject.payload == "hour" else f"Write {value // 1:g} or {value // 1 + 1:g}",
            )
        pattern = subject.op == "call" and OPERATORS[_name(subject)].category == "candle pattern"
        if not (pattern and isinstance(value, float) and node.payload in {"==", "!="}):
            continue
        if value not in {-100.0, 0.0, 100.0}:
            findings.warning(
                emission.span,
                "never-true",
                f"a candle pattern is 100, -100 or 0, and {quoted(emission.text)} compares it with {value:g}",
                f"Write `{_name(subject)}() > 0` for a bullish one, `{_name(subject)}() < 0` for a bearish one",
            )


def _counts(node: Node) -> bool:
    """Whether a value is a part of the date, or a count."""
    return node.op == "time" or name_of(node) in _WHOLE_CALLS


def _event(node: Node) -> bool:
    """Whether a condition holds on single bars only, and not for the duration of a state."""
    if node.op in {"call", "at", "pick"}:
        inner = node.args[0] if node.op == "at" else node
        if node.op == "at":
            return _event(inner)
        return node.op == "call" and _name(node) in {
            "crossover",
            "crossunder",
            "cross",
            "becomes",
            "every",
            "every_bars",
        }
    if node.op != "apply":
        return False
    if node.payload == "and":
        return any(_event(a) for a in node.args)
    if node.payload == "or":
        return all(_event(a) for a in node.args)
    return node.payload == "==" and all(_whole(a) for a in node.args)


def _repeats(emission: EmissionPlan, intent: IntentPlan, findings: Findings) -> None:
    """A partial exit, or an added entry, that repeats on each bar while the condition holds."""
    more = intent.options.get("pyramiding")
    if intent.kind == "entry" and more is not None and more.constant and not _event(emission.condition):
        findings.warning(
            emission.span,
            "entry-on-each-bar",
            f"this entry is added to again on each bar on which {quoted(emission.text)} holds",
            'Write `becomes(condition)`, `crossover(a, b)` or `every("1d")` to add once',
        )
    fraction = intent.options.get("fraction")
    value = None if fraction is None else fraction.constant
    part = fraction is not None and (not isinstance(value, float) or value < 1)
    if intent.kind == "exit" and part and intent.options.get("once") is None and not _event(emission.condition):
        findings.warning(
            emission.span,
            "exit-on-each-bar",
            f"this exit closes a part again on each bar on which {quoted(emission.text)} holds",
            "Write `once=True` in the exit to do it once in a position",
        )


def _extreme(emission: EmissionPlan, node: Node, findings: Findings) -> None:
    """`max(close, 20)`, which looks like the highest close of 20 bars but is not."""
    prices = [a for a in node.args if a.op == "column"]
    numbers = [a.constant for a in node.args if isinstance(a.constant, float)]
    if prices and any(n >= 2 and n.is_integer() for n in numbers):
        name = "highest" if node.payload == "max" else "lowest"
        findings.warning(
            emission.span,
            "extreme-of-bar",
            f"{node.payload} compares its arguments on one bar; it does not look back",
            f"Write `{name}({prices[0].payload}, {numbers[0]:g})` for the extreme of {numbers[0]:g} bars",
        )


def _below(node: Node) -> Iterator[Node]:
    seen: set[int] = set()
    stack = [node]
    while stack:
        each = stack.pop()
        if each.id not in seen:
            seen.add(each.id)
            yield each
            stack.extend(each.args)


def _whole(node: Node) -> bool:
    """Whether a value can only be one of a few exact numbers."""
    match node.op:
        case "constant" | "time" | "state" | "ticker":
            return True
        case "apply":
            name = str(node.payload)
            return name in _WHOLE_APPLIED or (
                name in {"where", "+", "-", "*", "neg"} and all(_whole(a) for a in node.args[-2:])
            )
        case "call" | "pick":
            whole = node if node.op == "call" else node.args[0]
            name, _ = cast("tuple[str, tuple[Constant, ...]]", whole.payload)
            if name in {"lag", "value_when", "ffill"}:
                return _whole(whole.args[-1])
            return name in _WHOLE_CALLS or OPERATORS[name].category == "candle pattern" or node.payload == "direction"
        case "universe":
            return str(node.payload) in {"cs_rank", "cs_rank_low", "cs_count"}
        case _:
            return bool(node.args) and _whole(node.args[0])

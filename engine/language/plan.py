"""A compiled script in words: what will happen, when, and what it costs to know it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from api.symbols import Instrument

from .diagnostics import short
from .graph import Node
from .script import EmissionPlan, ScriptPlan
from .values import IntentPlan, ScriptParameter, Sizing

_SHOWN_EMISSIONS = 20


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

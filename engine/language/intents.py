"""Intents and sizings of a script, checked before anything runs."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, cast

from api.symbols import Instrument
from api.times import SECONDS

from .calls import Checker
from .diagnostics import quoted, short
from .graph import Node
from .operators import OPERATORS
from .values import IntentPlan, ScriptParameter, ScriptValue, Sizing, described, percent_factor, unit_of
from .words import VARIABLES

IntentKind = Literal["entry", "exit", "rebalance", "grid", "move_stop"]


@dataclass(frozen=True, slots=True)
class Option:
    """One argument of an intent. Bounds apply to a constant: `above` is excluded and `most` included."""

    name: str
    takes: Literal["ticker", "side", "size", "number", "whole", "flag", "text", "choice"]
    required: bool = False
    above: float = 0.0
    most: float = 1e15
    hint: str = ""


_TICKER: Final = Option("ticker", "ticker", required=True)
_TAG: Final = Option("tag", "text")
_FRACTION: Final = "a fraction: 0.05 is 5 %"

FORMS: Final[dict[str, tuple[Option, ...]]] = {
    "entry": (
        _TICKER,
        Option("side", "side", required=True),
        Option("size", "size", required=True),
        Option("limit", "number"),
        Option("stop_loss", "number", most=0.9999, hint=_FRACTION),
        Option("take_profit", "number", most=100, hint=_FRACTION),
        Option("trailing_stop", "number", most=0.9999, hint=_FRACTION),
        _TAG,
        Option("pyramiding", "whole", above=-1, most=10_000),
        Option("max_positions", "whole", most=10_000, hint="opens only while fewer tickers have a position"),
    ),
    "exit": (
        _TICKER,
        Option("side", "side"),
        Option("fraction", "number", most=1, hint="the part to close: 1 is all of it"),
        _TAG,
        Option("once", "flag", hint="True: once in a position"),
    ),
    "move_stop": (
        _TICKER,
        Option("price", "number", required=True, hint="the stop price from the next bar on; it never moves away"),
        _TAG,
    ),
    "rebalance": (_TICKER, Option("size", "size", required=True), _TAG),
    "grid": (
        _TICKER,
        Option("lower", "number", required=True),
        Option("upper", "number", required=True),
        Option("levels", "whole", required=True, above=1, most=500),
        Option("size", "size", required=True),
        Option("spacing", "choice"),
        _TAG,
    ),
}
SIZINGS: Final[dict[str, tuple[Literal["weight", "notional", "amount", "risk"], Option]]] = {
    "Weight": ("weight", Option("fraction", "number", most=100, hint="a fraction of equity: 0.5 is half of it")),
    "Notional": ("notional", Option("quote", "number", hint="an amount of quote currency")),
    "Amount": ("amount", Option("base", "number", hint="an amount of base units")),
    "Risk": ("risk", Option("fraction", "number", most=1, hint="the fraction of equity lost at the stop")),
}
_SIDES: Final[dict[str, Literal[1, -1]]] = {"LONG": 1, "SHORT": -1}
MAX_TAG: Final = 50
_PERCENT: Final = 0.05
"""A value in percent times more than this is still in percent: one hundredth of it is the fraction."""

_OF_ENTRY: Final = frozenset({"stop_loss", "take_profit", "trailing_stop"})
_WEIGHED: Final = {"VolTarget": ("target", "period", "most"), "Kelly": ("win_rate", "payoff", "most")}
_WEIGHED_EXAMPLE: Final = {"VolTarget": "VolTarget(0.2, period=20, most=1)", "Kelly": "Kelly(0.55, 1.5, most=0.25)"}
_LONGEST_VOLATILITY: Final = 2_000
_YEAR: Final = 365 * 86_400
_PARAM: Final = ("name", "default", "low", "high", "step")
_PARAM_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_PARAM_HINT: Final = 'Write `param("fast", 10, 5, 50, 5)`'


def signature(name: str) -> str:
    """The syntax of an intent."""
    return f"{name}({', '.join(o.name if o.required else f'{o.name}=' for o in FORMS[name])})"


class Intents:
    """Checks the calls that only scripts have, for a `Checker`."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker

    def check(self, call: ast.Call, name: str) -> ScriptValue | None:
        """An intent or a sizing, or None after reporting its errors."""
        if name in {"VolTarget", "Kelly"}:
            return self._weighed(call, name)
        if name in SIZINGS:
            return self._sizing(call, name)
        if name == "param":
            return self._parameter(call)
        if name in FORMS:
            return self._intent(call, cast("IntentKind", name))
        self._checker.error(call, f"{name} belongs on a line of its own", "Write `emit_signal(condition, entry(...))`")
        return None

    def _weighed(self, call: ast.Call, name: str) -> Sizing | None:
        """A weight derived from volatility, or from a strategy's win rate and payoff."""
        checker, names = self._checker, _WEIGHED[name]
        slots: dict[str, ast.expr] = dict(zip(names, call.args, strict=False))
        wrong = len(call.args) > len(names) or any(k.arg not in names or k.arg in slots for k in call.keywords)
        slots.update({k.arg: k.value for k in call.keywords if k.arg is not None})
        written = f"{name}({', '.join(names)})"
        required = names[: 1 if name == "VolTarget" else 2]
        if wrong or not slots.keys() >= set(required):
            checker.error(call, f"{name} takes {', '.join(names)}", f"Write `{_WEIGHED_EXAMPLE[name]}`")
            return None
        numbers = {key: checker.number(where) for key, where in slots.items()}
        if any(node is None for node in numbers.values()):
            return None
        known = {key: node for key, node in numbers.items() if node is not None}
        graph = checker.graph
        most = known.get("most", graph.constant(1.0 if name == "VolTarget" else 0.25))
        if name == "Kelly":
            loses = graph.apply("-", graph.constant(1.0), known["win_rate"])
            edge = graph.apply("-", known["win_rate"], graph.apply("/", loses, known["payoff"]))
            weight = graph.apply("clip", edge, graph.constant(0.0), most)
            return Sizing("weight", weight, derived=True)
        period = known.get("period", graph.constant(20.0)).constant
        if not isinstance(period, float) or not period.is_integer() or not 2 <= period <= _LONGEST_VOLATILITY:
            checker.error(call, f"the period of {written} is a whole number from 2 to {_LONGEST_VOLATILITY:,}",
                          f"Write `{_WEIGHED_EXAMPLE[name]}`")  # fmt: skip
            return None
        close = graph.variable(VARIABLES["close"])
        (deviation,) = graph.call(OPERATORS["historical_volatility"], [close], (int(period),))
        yearly = graph.apply("*", deviation, graph.constant(math.sqrt(_YEAR / SECONDS[graph.timeframe])))
        weight = graph.apply("min", graph.apply("/", known["target"], yearly), most)
        return Sizing("weight", weight, derived=True)

    def _parameter(self, call: ast.Call) -> Node | None:
        """The value of a number that can be set from outside; a constant of the run."""
        declared = self._declared(call)
        if declared is None:
            return None
        known = self._checker.parameters.setdefault(declared.name, declared)
        if known != declared:
            self._checker.error(
                call,
                f"the parameter {quoted(declared.name)} is declared twice with different numbers",
                "Declare it once and give it a name",
            )
            return None
        return self._checker.graph.constant(declared.value)

    def _declared(self, call: ast.Call) -> ScriptParameter | None:
        checker = self._checker
        slots: dict[str, ast.expr] = dict(zip(_PARAM, call.args, strict=False))
        twice = [k for k in call.keywords if k.arg in slots or k.arg not in _PARAM]
        slots.update({k.arg: k.value for k in call.keywords if k.arg is not None})
        if len(call.args) > len(_PARAM) or twice or not slots.keys() >= set(_PARAM[:4]):
            checker.error(call, "param takes a name, a default, a lowest and a highest value, and a step", _PARAM_HINT)
            return None
        values = {name: checker.node(where) for name, where in slots.items()}
        constants = {name: None if node is None else node.constant for name, node in values.items()}
        name = constants.pop("name")
        if not isinstance(name, str) or not _PARAM_NAME.fullmatch(name):
            checker.error(call, "a parameter's name is a text of letters, digits and _", _PARAM_HINT)
            return None
        numbers = {key: value for key, value in constants.items() if isinstance(value, float)}
        if len(numbers) < len(constants):
            checker.error(call, "the default, the range and the step of a parameter are plain numbers", _PARAM_HINT)
            return None
        default, low, high, step = (*(numbers[key] for key in _PARAM[1:4]), numbers.get("step"))
        if not low <= default <= high:
            problem = f"the lowest value {low:g} of {quoted(name)} is above the highest {high:g}"
            if low <= high:
                problem = f"the default {default:g} of {quoted(name)} is not between {low:g} and {high:g}"
            checker.error(call, problem, "The order is name, default, lowest, highest, step")
            return None
        if step is not None and step <= 0:
            checker.error(call, f"the step of {quoted(name)} is {step:g}, not above 0", _PARAM_HINT)
            return None
        if step is None and all(number.is_integer() for number in (default, low, high)):
            step = 1.0
        return self._set(call, ScriptParameter(name, default, low, high, step, default))

    def _set(self, call: ast.Call, declared: ScriptParameter) -> ScriptParameter | None:
        """The parameter with the value of this run."""
        value = dict(self._checker.world.parameters).get(declared.name, declared.default)
        if declared.low <= value <= declared.high:
            return replace(declared, value=value)
        self._checker.error(
            call,
            f"the parameter {quoted(declared.name)} is set to {value:g}, outside {declared.low:g} to {declared.high:g}",
            "Set a value within its range, or widen the range in the script",
        )
        return None

    def _sizing(self, call: ast.Call, name: str) -> Sizing | None:
        kind, option = SIZINGS[name]
        given = [*call.args, *(k.value for k in call.keywords)]
        if len(given) != 1 or any(k.arg is None for k in call.keywords):
            self._checker.error(call, f"{name} takes one number, {option.hint}", f"Write `{name}(0.5)`")
            return None
        node = self._number(given[0], option, name, negative=kind == "weight")
        return None if node is None else Sizing(kind, node)

    def _number(self, where: ast.expr, option: Option, owner: str, *, negative: bool = False) -> Node | None:
        """A number or series within the option's known bounds."""
        node = self._checker.number(where)
        if node is None:
            return None
        value = node.constant
        if not isinstance(value, float):
            return node if option.name not in _OF_ENTRY or self._is_fraction(where, node, option, owner) else None
        size = abs(value) if negative else value
        if negative and not value:
            return node
        if option.above < size <= option.most:
            return node
        rule = (
            f"above {option.above:g} and at most {option.most:,g}" if option.most < 1e15 else f"above {option.above:g}"
        )
        hint = f"; it is {option.hint}" if option.hint else ""
        fix = f"{value / 100:g}" if option.most < 1 < value < 100 else None
        written = f"Write {fix} for {value:g} %" if fix else f"Choose a number {rule}"
        self._checker.error(where, f"{owner}: {option.name} is {value:g}, not {rule}{hint}", written, fix)
        return None

    def _is_fraction(self, where: ast.expr, node: Node, option: Option, owner: str) -> bool:
        """Whether a computed stop or target can be a fraction of the entry price; reports a price or a distance."""
        unit = unit_of(node)
        factor = percent_factor(node)
        in_percent = factor is not None and abs(factor) > _PERCENT
        if unit not in {"level", "distance"} and not in_percent:
            return True
        written = self._checker.parsed.source(where)
        if in_percent:
            what, fix = "in percent", f"({written}) / 100"
        elif unit == "distance":
            what, fix = "a distance in price units", f"({written}) / close"
        elif option.name == "take_profit":
            what, fix = "a price", f"abs(({written}) / close - 1)"
        else:
            what, fix = "a price", f"abs(1 - ({written}) / close)"
        self._checker.error(
            where,
            f"{owner}: {option.name} is {what}, not a fraction of the entry price (0.05 is 5 %)",
            f"Write `{option.name}={short(fix, 200)}`",
            fix,
        )
        return False

    def _intent(self, call: ast.Call, name: IntentKind) -> IntentPlan | None:
        before = self._checker.findings.reported
        slots = self._slots(call, name)
        ticker = self._ticker(slots.get("ticker"))
        side = self._side(slots.get("side"))
        size = self._size(slots.get("size"), name)
        options: dict[str, Node | None] = {}
        tag = None
        for option in FORMS[name]:
            where = slots.get(option.name)
            if where is None or _is_none(where):
                continue
            match option.takes:
                case "number":
                    options[option.name] = self._number(where, option, name)
                case "whole":
                    options[option.name] = self._whole(where, option, name)
                case "flag":
                    options[option.name] = self._flag(where, option, name)
                case "text" | "choice":
                    text = self._text(where, option)
                    options[option.name], tag = (
                        (None, text) if option.name == "tag" else (self._spacing(where, text), tag)
                    )
                case _:
                    pass
        if ticker is None:
            return None
        if size is not None and size.derived and self._checker.world.mode == "cross":
            size = replace(size, value=self._checker.graph.at(size.value, cast("Instrument", ticker.payload)))
        plan = IntentPlan(name, ticker, side, size, options, tag, call.lineno * 100_000 + call.col_offset)
        if self._sold_short(plan) and not self._short_allowed(call, plan):
            return None
        failed = self._checker.findings.reported > before
        return plan if not failed and self._sensible(call, plan) else None

    def _slots(self, call: ast.Call, name: IntentKind) -> dict[str, ast.expr]:
        """The arguments by name."""
        options = [o.name for o in FORMS[name]]
        slots = dict(zip(options, call.args, strict=False))
        if len(call.args) > len(options):
            self._checker.error(call.args[len(options)], f"{name} takes fewer arguments", f"Write `{signature(name)}`")
        for keyword in call.keywords:
            if keyword.arg in slots or keyword.arg is None:
                self._checker.error(keyword, f"{name} is given this twice or unnamed", f"Write `{signature(name)}`")
            elif keyword.arg not in options:
                self._checker.error(
                    keyword, f"{name} has no option {quoted(keyword.arg)}", f"Write `{signature(name)}`"
                )
            else:
                slots[keyword.arg] = keyword.value
        for option in FORMS[name]:
            if option.required and option.name not in slots:
                self._checker.error(call, f"{name} needs the argument {option.name}", f"Write `{signature(name)}`")
        return slots

    def _ticker(self, where: ast.expr | None) -> Node | None:
        """TICKER, or a ticker of the universe."""
        if where is None:
            return None
        node = self._checker.ticker(where)
        universe = self._checker.world.universe
        if node is None or node.op == "ticker" or node.payload in universe:
            return node
        named = cast("Instrument", node.payload).ticker
        known = ", ".join(each.ticker for each in universe[:5])
        self._checker.error(
            where, f"{named} is not in the universe and cannot be traded", f"Add it, or trade one of {known}"
        )
        return None

    def _side(self, where: ast.expr | None) -> Literal[1, -1] | None:
        if where is None or _is_none(where):
            return None
        node = self._checker.node(where)
        if node is None:
            return None
        text = node.constant
        if isinstance(text, str) and text.upper() in _SIDES:
            return _SIDES[text.upper()]
        written = quoted(self._checker.parsed.source(where))
        guess = {"BUY": '"LONG"', "SELL": '"SHORT"'}.get(str(text).upper())
        advice = f"Write {guess}" if guess else 'Write "LONG" or "SHORT"'
        self._checker.error(where, f'side {written} is neither "LONG" nor "SHORT"', advice, guess)
        return None

    def _size(self, where: ast.expr | None, name: IntentKind) -> Sizing | None:
        if where is None:
            return None
        value = self._checker.value(where)
        if isinstance(value, Node):
            written = self._checker.parsed.source(where)
            fits = value.kind.base == "number"
            fix = f"Weight({written})" if fits else None
            self._checker.error(
                where,
                f"a size says what it is: {quoted(written)} is {value.kind}",
                "Write Weight(0.5), Notional(1000), Amount(0.1) or Risk(0.01)",
                fix,
            )
        elif value is not None and not isinstance(value, Sizing):
            self._checker.error(where, f"{described(value)} is not a size", "Write `Weight(0.5)`")
        elif value is not None and name == "rebalance" and value.kind != "weight":
            self._checker.error(where, "rebalance moves to a weight", "Write `rebalance(ticker, Weight(0.5))`")
        return value if isinstance(value, Sizing) else None

    def _whole(self, where: ast.expr, option: Option, owner: str) -> Node | None:
        node = self._number(where, option, owner)
        if node is None:
            return None
        value = node.constant
        if isinstance(value, float) and value.is_integer():
            return node
        self._checker.error(where, f"{owner}: {option.name} must be a whole constant number", "Write it as a number")
        return None

    def _flag(self, where: ast.expr, option: Option, owner: str) -> Node | None:
        node = self._checker.node(where)
        if node is None or isinstance(node.constant, bool):
            return node
        self._checker.error(where, f"{owner}: {option.name} is True or False", f"Write `{option.name}=True`")
        return None

    def _text(self, where: ast.expr, option: Option) -> str | None:
        node = self._checker.node(where)
        text = None if node is None else node.constant
        if isinstance(text, str) and len(text) <= MAX_TAG:
            return text
        if node is not None:
            self._checker.error(where, f"{option.name} is a text of up to {MAX_TAG} characters", 'Write it as "text"')
        return None

    def _spacing(self, where: ast.expr, text: str | None) -> Node | None:
        if text in {"arithmetic", "geometric"}:
            return self._checker.graph.constant(text)
        if text is not None:
            self._checker.error(where, f"spacing cannot be {quoted(text)}", 'Write "arithmetic" or "geometric"')
        return None

    def _sensible(self, call: ast.Call, plan: IntentPlan) -> bool:
        """Whether the parts of an intent are compatible."""
        size = plan.size
        if plan.kind in {"entry", "grid"} and size is not None and _at_most_zero(size.value):
            if size.derived:
                said = "the size must be above 0, and with these numbers it is 0"
                self._checker.error(call, said, "Kelly needs an edge: win_rate above 1 / (1 + payoff)")
            else:
                self._checker.error(
                    call, "the size must be above 0", 'Give the direction as the side: "LONG" or "SHORT"'
                )
            return False
        if size is not None and size.kind == "risk" and (plan.kind != "entry" or plan.options.get("stop_loss") is None):
            self._checker.error(call, "Risk needs a stop to be lost at", "Add `stop_loss=0.05` to the entry")
            return False
        if plan.kind == "grid":
            return self._ordered(call, plan.options)
        return True

    def _sold_short(self, plan: IntentPlan) -> bool:
        negative = plan.kind == "rebalance" and plan.size is not None and plan.size.value.bounds.high < 0
        return (plan.kind == "entry" and plan.side == -1) or negative

    def _short_allowed(self, call: ast.Call, plan: IntentPlan) -> bool:
        """Whether the market allows short sales; reports it otherwise."""
        mine = plan.ticker.op == "ticker"
        tickers = self._checker.world.universe if mine else (cast("Instrument", plan.ticker.payload),)
        wrong = [each for each in tickers if each.market_type != "perpetual"]
        if not wrong:
            return True
        advice = {
            "prediction": "Buy the token of the other outcome",
            "spot": "Trade the perpetual, e.g. BINANCEFUTURESUSD:BTC/USDT:USDT, or use exit to sell",
        }[wrong[0].market_type]
        self._checker.error(call, f"{wrong[0].ticker} is {wrong[0].market_type} and cannot be sold short", advice)
        return False

    def _ordered(self, call: ast.Call, options: dict[str, Node | None]) -> bool:
        lower, upper = options.get("lower"), options.get("upper")
        if lower is None or upper is None:
            return False
        low, high = lower.constant, upper.constant
        if isinstance(low, float) and isinstance(high, float) and low >= high:
            self._checker.error(call, f"the grid's lower bound {low:g} is not below its upper {high:g}", "Swap them")
            return False
        return True


def _is_none(where: ast.expr) -> bool:
    return isinstance(where, ast.Constant) and where.value is None


def _at_most_zero(node: Node) -> bool:
    return node.bounds.high <= 0


def nodes_of(plan: IntentPlan) -> Sequence[Node]:
    """Every node that an intent reads."""
    values = [node for node in plan.options.values() if node is not None]
    return values if plan.size is None else [plan.size.value, *values]

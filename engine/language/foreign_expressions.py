"""Translates expressions in the style of other tools, such as Pine Script, pandas and TA-Lib, to this language."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from typing import Final, cast

from .foreign_calls import (
    LOOKS_BACK,
    NO_ROLES,
    ROLES,
    SHORT_NAMES,
    TEMPLATES,
    filled,
    input_meant,
    method_meant,
    order_meant,
    output_meant,
    placed,
)
from .foreign_columns import CLOCK, ForeignColumns
from .foreign_words import (
    DAYS,
    FRAMES,
    FUNCTIONS,
    LISTED,
    LOOKED_BACK,
    MODULES,
    NO_IN,
    NO_METHODS,
    OPTIONS,
    ROLLED,
    SIDES,
    called,
    dotted_name,
    number,
    parsed,
    share_below,
    timeframe_meant,
    usable_period,
    whole_number,
    written,
)
from .operators import OPERATORS, Operator
from .words import COLUMNS, FORMS, VARIABLES, meant


class Translator(ForeignColumns, ast.NodeTransformer):
    """Rewrites one statement: columns, comparisons and calls."""

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """`is None`, `in [1, 2]`, days by name."""
        self.generic_visit(node)
        if len(node.ops) != 1:
            return node
        left, op, right = node.left, node.ops[0], node.comparators[0]
        crossed = self._crossing(left, op, right)
        if crossed is not None:
            return self._now(crossed, node)
        side = _held(left, right)
        if side is not None:
            negative = isinstance(op, ast.IsNot | ast.NotEq)
            held = {">": "<=", "<": ">=", "==": "!="}[side] if negative else side
            return self._now(parsed(f"position {held} 0"), node, "position is a number")
        if isinstance(right, ast.Constant) and right.value is None:
            test = called("is_missing", left)
            negative = isinstance(op, ast.IsNot | ast.NotEq)
            return self._now(ast.UnaryOp(ast.Not(), test) if negative else test, node, NO_IN)
        if isinstance(op, ast.In | ast.NotIn) and isinstance(right, ast.List | ast.Tuple | ast.Set) and right.elts:
            days = _DAY_NAMES if dotted_name(left).lower() in _WEEKDAYS else dict[str, int]()
            each: list[ast.expr] = [
                ast.Compare(left, [ast.Eq()], [number(days[_folded(v)]) if _folded(v) in days else v])
                for v in right.elts
            ]
            test = ast.BoolOp(ast.Or(), each) if len(each) > 1 else each[0]
            return self._now(ast.UnaryOp(ast.Not(), test) if isinstance(op, ast.NotIn) else test, node, NO_IN)
        sunday = {"dayofweek": 5, "DayOfWeek": 6}.get(dotted_name(left.func if isinstance(left, ast.Call) else left))
        if sunday is not None and isinstance(op, ast.Eq | ast.NotEq) and isinstance(right, ast.Constant):
            place = number((whole_number(right) + sunday) % 7)
            week = ast.Compare(ast.Name("weekday", ast.Load()), node.ops, [place])
            return self._now(week, node, "weekday is 0 on Monday, where Pine Script counts from 1 on Sunday")
        day = dotted_name(right).rpartition(".")
        if dotted_name(left).lower() in _WEEKDAYS and day[0].lower() in _WEEKDAYS and day[2].lower() in _DAY_NAMES:
            right = ast.Constant(day[2])
        if dotted_name(left).lower() in _WEEKDAYS and _folded(right) in _DAY_NAMES:
            place = number(_DAY_NAMES[_folded(right)])
            return self._now(ast.Compare(ast.Name("weekday", ast.Load()), node.ops, [place]), node)
        return node

    def _crossing(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> ast.expr | None:
        """`CrossOver(a, b) > 0` of tools where a crossing is 1 or -1."""
        call = self._notes.crossings.get(left.id) if isinstance(left, ast.Name) else left
        if not isinstance(call, ast.Call) or dotted_name(call.func) not in {"crossover", "crossunder"}:
            return None
        if not self.changed and isinstance(left, ast.Call):
            return None
        down = isinstance(op, ast.Lt) or (isinstance(op, ast.Eq) and whole_number(right) == -1)
        limit = whole_number(right) in {0, 1, -1} and (isinstance(right, ast.Constant) or whole_number(right))
        if not limit or not isinstance(op, ast.Gt | ast.Lt | ast.Eq | ast.GtE):
            return None
        if not down:
            return left
        other = "crossunder" if dotted_name(call.func) == "crossover" else "crossover"
        return ast.Call(ast.Name(other, ast.Load()), call.args, call.keywords)

    def _template(self, node: ast.Call, dotted: str) -> ast.expr | None:
        """A call whose arguments are in another order, scale or sign."""
        name = dotted if dotted in TEMPLATES else dotted.rsplit(".", 1)[-1]
        template = TEMPLATES.get(name)
        if template is None:
            return None
        arguments = [cast("ast.expr", self.visit(a)) for a in node.args if dotted_name(a) not in FRAMES]
        reads = [a for a in arguments if dotted_name(a) in {"high", "low"}]
        if dotted.startswith("ta.") and reads and dotted_name(arguments[0]) == "high" and not dotted.endswith("bars"):
            return None
        widths = arguments[2:4] if name == "BBANDS" else []
        named = [k.value for k in node.keywords if str(k.arg).lower() in {"nbdevup", "nbdevdn"}]
        if len({ast.unparse(each) for each in [*widths, *named]}) > 1:
            return None
        if name == "ta.vwap" and arguments and dotted_name(arguments[0]) != "hlc3":
            return None
        if name in {"MAX", "MIN"} and not (len(arguments) == 1 or whole_number(arguments[1]) > 1):
            return None
        if name.startswith("STOCH") and dotted_name(arguments[0]) == "high" if arguments else False:
            arguments = arguments[3:]
        keywords = {str(k.arg): cast("ast.expr", self.visit(k.value)) for k in node.keywords}
        return filled(template, arguments, keywords)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        """`self.position and ...`."""
        self.generic_visit(node)
        held = [isinstance(each, ast.Name) and each.id == "position" for each in node.values]
        if not any(held):
            return node
        values = [parsed("position != 0") if is_ else each for each, is_ in zip(node.values, held, strict=True)]
        return self._now(ast.BoolOp(node.op, values), node, "position is a number")

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        """`not self.position`."""
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Name) and node.operand.id == "position":
            return self._now(parsed("position == 0"), node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:  # noqa: C901 - one case for each form
        """Functions of other libraries, methods of tables, orders."""
        dotted = dotted_name(node.func)
        template = self._template(node, dotted)
        if template is not None:
            return self._now(template, node, NO_METHODS if "." in dotted else f"unknown function `{dotted}`")
        special = _CALLS.get(dotted.lower())
        if special is not None:
            found = special(self, node)
            if found is not None:
                return self._now(found, node)
        day = next((k.value for k in node.keywords if k.arg == "period"), None)
        length = timeframe_meant(dotted_name(day)) if day is not None and dotted in VARIABLES else None
        if length is not None:
            return self._now(called("tf", ast.Constant(length), ast.Name(dotted, ast.Load())), node)
        if isinstance(node.func, ast.Attribute) and not node.args and node.func.attr in CLOCK:
            return self._now(ast.Name(node.func.attr, ast.Load()), node, NO_METHODS)
        order = order_meant(node, dotted)
        if order is not None:
            return self._now(order, node)
        if isinstance(node.func, ast.Attribute):
            return self._method(node, node.func, dotted)
        output = parsed(output_meant(dotted) or "x") if dotted not in self._notes.names else None
        if node.args and isinstance(output, ast.Call):
            return self._now(
                called(dotted_name(output.func), *self._each(node.args)), node, f"unknown function `{dotted}`"
            )
        self.generic_visit(node)
        if dotted == "range" and len(node.args) == 1:
            size = written(node.args[0])
            return self._now(parsed(f"highest(high, {size}) - lowest(low, {size})"), node)
        if dotted in {"entry", "exit"}:
            return self._intent(node, dotted)
        if dotted in OPERATORS and not any(
            isinstance(a, ast.Subscript) and isinstance(a.slice, ast.Slice) for a in node.args
        ):
            return self._arguments(node, OPERATORS[dotted])
        return self._listed(node)

    def _each(self, given: list[ast.expr]) -> list[ast.expr]:
        return [cast("ast.expr", self.visit(each)) for each in given]

    def _intent(self, node: ast.Call, name: str) -> ast.expr:
        """An entry or exit with renamed or missing arguments."""
        arguments: list[ast.expr] = list(node.args)
        keywords = [*node.keywords]
        first = arguments[0] if arguments else None
        text = str(first.value).upper() if isinstance(first, ast.Constant) else ""
        if first is None and not any(k.arg == "ticker" for k in keywords):
            arguments = [ast.Name("TICKER", ast.Load())]
        elif text in SIDES:
            arguments = [ast.Name("TICKER", ast.Load()), ast.Constant(SIDES[text]), *arguments[1:]]
        if len(arguments) > 1 and isinstance(arguments[1], ast.Name) and arguments[1].id.upper() in SIDES:
            arguments[1] = ast.Constant(SIDES[arguments[1].id.upper()])
        for keyword in keywords:
            if str(keyword.arg).lower() in OPTIONS:
                self._reasons.append(f"{name} has no option `{keyword.arg}`")
        renamed = [ast.keyword(OPTIONS.get(str(k.arg).lower(), k.arg), k.value) for k in keywords]
        named = {k.arg for k in renamed}
        if name == "entry" and len(arguments) == 1 and "side" not in named:
            arguments.append(ast.Constant("LONG"))
        if name == "entry" and len(arguments) == 2 and "size" not in named:
            self._reasons.append("entry needs a size")
            arguments.append(parsed("Weight(0.5)"))
        made = ast.Call(node.func, arguments, renamed)
        return node if ast.dump(made) == ast.dump(node) else self._now(made, node)

    def _arguments(self, node: ast.Call, operator: Operator) -> ast.expr:
        """A call with columns or numbers in a form that the operator does not accept."""
        arguments = list(node.args)
        columns = [a for a in arguments if dotted_name(a) in COLUMNS]
        dropped = not operator.inputs and len(columns) == 1 < len(operator.reads) and operator.name != "vwap"
        if dropped and arguments[0] in columns:
            arguments = [a for a in arguments if a not in columns]
        if operator.category == "crossing" and len(operator.inputs) == 2 and len(arguments) == 1 and not node.keywords:
            arguments.append(parsed("sma(close, 20)"))
        named = {ROLES.get(str(k.arg).lower(), str(k.arg)): k.value for k in node.keywords}
        first = operator.inputs[0] if operator.inputs else None
        if node.keywords and not arguments and first is not None and first.kind == "series":
            return self._now(placed(operator, [], named), node, f"{operator.name} needs its series")
        period = any(p.kind == "period" for p in operator.constants)
        constant = [isinstance(each, ast.Constant) for each in arguments[:2]]
        if constant == [True, False] and first is not None and first.kind == "series":
            arguments[:2] = arguments[1::-1]
        for i, each in enumerate(arguments):
            if period and i >= len(operator.inputs) and operator.name not in LOOKS_BACK:
                arguments[i] = usable_period(each)
        made = ast.Call(node.func, arguments, node.keywords)
        return node if ast.dump(made) == ast.dump(node) else self._now(made, node)

    def _method(self, node: ast.Call, func: ast.Attribute, dotted: str) -> ast.expr:
        rolled = self._rolled(node, func)
        if rolled is not None:
            return self._now(rolled, node, NO_METHODS)
        root = dotted.split(".", maxsplit=1)[0]
        name = func.attr
        accessor = func.value if isinstance(func.value, ast.Attribute) and func.value.attr in {"ta", "vbt"} else None
        if name == "run" and root in MODULES and isinstance(func.value, ast.Attribute):
            name = func.value.attr
        self.generic_visit(node)
        if accessor is not None and dotted_name(accessor.value) not in FRAMES:
            node.args = [cast("ast.expr", self.visit(accessor.value)), *node.args]
        if root in MODULES or accessor is not None:
            return self._now(self._function(node, name), node, NO_METHODS)
        if not isinstance(node.func, ast.Attribute):
            return node
        series = node.func.value
        given = [*node.args, *(k.value for k in node.keywords if k.arg in {"periods", "n", "window", "other"})]
        plain = method_meant(series, name, given)
        return node if plain is None else self._now(plain, node, NO_METHODS)

    def _rolled(self, node: ast.Call, func: ast.Attribute) -> ast.expr | None:  # noqa: C901 - one case for each form
        """`x.rolling(20).mean()`, `x.ewm(span=12).mean()`, `x[-20:].max()`."""
        inner = func.value
        if isinstance(inner, ast.Subscript) and isinstance(inner.slice, ast.Slice) and func.attr in LISTED:
            return self._window(LISTED[func.attr], inner)
        if not isinstance(inner, ast.Call) or not isinstance(inner.func, ast.Attribute):
            return None
        given = [*inner.args, *(k.value for k in inner.keywords)]
        series = cast("ast.expr", self.visit(inner.func.value))
        keywords = {k.arg: k.value for k in inner.keywords}
        if "center" in keywords:
            return None
        if inner.func.attr == "rolling" and given:
            if func.attr == "corr" and node.args:
                return called("correlation", series, cast("ast.expr", self.visit(node.args[0])), given[0])
            if func.attr == "quantile" and node.args and isinstance(node.args[0], ast.Constant):
                return called("percentile", series, given[0], number(100 * float(cast("float", node.args[0].value))))
            if func.attr == "rank":
                return share_below(series, given[0])
            name = func.attr
            if name == "apply" and node.args:
                name = dotted_name(node.args[0]).rsplit(".", 1)[-1]
            counted = name == "sum" and isinstance(series, ast.Compare | ast.BoolOp)
            ours = "count_if" if counted else ROLLED.get(name)
            return called(ours, series, usable_period(given[0])) if ours else None
        if inner.func.attr == "ewm" and func.attr == "mean" and given:
            alpha = keywords.get("alpha")
            if isinstance(alpha, ast.BinOp) and isinstance(alpha.op, ast.Div):
                return called("rma", series, alpha.right)
            if "com" in keywords and isinstance(keywords["com"], ast.Constant):
                return called("rma", series, number(float(cast("float", keywords["com"].value)) + 1))
            if isinstance(alpha, ast.Constant) and isinstance(alpha.value, float):
                return called("ema", series, number(round(2 / alpha.value - 1)))
            if "halflife" in keywords and isinstance(keywords["halflife"], ast.Constant):
                kept = math.exp(-math.log(2) / float(cast("float", keywords["halflife"].value)))
                return called("ema", series, number(round(2 / (1 - kept) - 1)))
            return called("ema", series, keywords.get("span", given[0]))
        if inner.func.attr == "expanding":
            return called("cum", series) if func.attr == "sum" else None
        indicator = re.fullmatch(r"([A-Z][A-Za-z]+?)(?:Indicator|Oscillator)?", inner.func.attr)
        if indicator and dotted_name(inner.func).split(".")[0] in MODULES and func.attr in OPERATORS:
            return called(func.attr, *(cast("ast.expr", self.visit(a)) for a in given))
        return None

    def _window(self, name: str, sliced: ast.Subscript) -> ast.expr | None:
        """`highest(x, 20)` for `max(x[-20:])`."""
        bounds = cast("ast.Slice", sliced.slice)
        first, last = whole_number(bounds.lower), whole_number(bounds.upper)
        if first and last and first < last:
            back, length = (-last, last - first) if last < 0 else (first, last - first)
            made = called(name, cast("ast.expr", self.visit(sliced.value)), number(length))
            return called("lag", made, number(back)) if length > 1 else None
        for edge in (bounds.lower, bounds.upper):
            size = abs(whole_number(edge))
            if size > 1:
                return called(name, cast("ast.expr", self.visit(sliced.value)), number(size))
        return None

    def _listed(self, node: ast.Call) -> ast.expr:
        """`max(high[-20:])`; operators in capitals."""
        if not isinstance(node.func, ast.Name):
            return node
        name = node.func.id
        first = node.args[0] if node.args else None
        if name in LISTED and isinstance(first, ast.Subscript) and isinstance(first.slice, ast.Slice):
            window = self._window(LISTED[name], first)
            return node if window is None else self._now(window, node)
        if name == "at" and len(node.args) == 2:
            ticker, series = node.args if isinstance(node.args[0], ast.Constant | ast.Name) else node.args[::-1]
            return self._now(ast.Subscript(series, ticker, ast.Load()), node, "another ticker's series is in brackets")
        clear = meant(name)[0] if name not in OPERATORS and name not in FORMS else None
        if clear in OPERATORS and (name.upper() == name or name.lower() == clear):
            return self._now(self._function(node, name), node, f"unknown function `{name}`")
        return node

    def _function(self, node: ast.Call, name: str) -> ast.expr:
        """A call of this language's operator for a library function with a similar name."""
        folded = FUNCTIONS.get(name.lower(), name.lower())
        folded = folded if folded in OPERATORS else SHORT_NAMES.get(folded, folded)
        clear, _ = (folded, []) if folded in OPERATORS else meant(name)
        ours = clear or folded
        operator = OPERATORS.get(ours)
        arguments = [each for each in node.args if not _whole_table(each)]
        named = {ROLES.get(str(k.arg).lower(), str(k.arg)): k.value for k in node.keywords
                 if str(k.arg).lower() not in NO_ROLES and not _whole_table(k.value)}  # fmt: skip
        if operator is None:
            arguments += named.values()
            named = {}
        sliced = arguments[0] if arguments else None
        if name in LISTED and isinstance(sliced, ast.Subscript) and isinstance(sliced.slice, ast.Slice):
            return self._window(LISTED[name], sliced) or node
        if ours == "vwap" and arguments:
            return called(ours, *arguments)
        if operator is not None:
            sliced = arguments[0] if arguments else None
            if ours in LOOKED_BACK and isinstance(sliced, ast.Subscript) and isinstance(sliced.slice, ast.Slice):
                return self._window(ours, sliced) or node
            columns = len(operator.reads)
            if columns and len(arguments) >= columns and all(dotted_name(a) in COLUMNS for a in arguments[:columns]):
                arguments = arguments[columns:]
            lone = all(isinstance(a, ast.Constant) for a in arguments)
            if operator.inputs and operator.inputs[0].kind == "series" and lone and "series" not in named:
                column = {"highest": "high", "lowest": "low"}.get(ours, "close")
                arguments = [ast.Name(column, ast.Load()), *arguments]
            if not operator.inputs and arguments and dotted_name(arguments[0]) in COLUMNS:
                arguments = arguments[1:]
            return placed(operator, arguments, named)
        return called(ours, *arguments)

    def security(self, node: ast.Call) -> ast.expr | None:
        """Another timeframe, and perhaps another ticker."""
        given = [*node.args, *(k.value for k in node.keywords)]
        if len(given) < 3 or not isinstance(given[1], ast.Constant):
            return None
        length = timeframe_meant(str(given[1].value))
        series = cast("ast.expr", self.visit(given[2]))
        ticker = str(given[0].value) if isinstance(given[0], ast.Constant) else ""
        pair = re.fullmatch(r"(?:(\w+):)?([A-Z0-9]+?)(USDT|USDC|USD|BTC|EUR)(?:\.P)?", ticker)
        if pair:
            exchange = f"{pair[1]}:" if pair[1] else ""
            series = ast.Subscript(series, ast.Constant(f"{exchange}{pair[2]}/{pair[3]}"), ast.Load())
        return called("tf", ast.Constant(length or "4h"), series)

    def parameter(self, node: ast.Call) -> ast.expr | None:
        """A number that can be set from outside, named after the variable that it is assigned to."""
        return input_meant(node, self._target)

    def wrapped(self, node: ast.Call) -> ast.expr | None:
        """`self.I(talib.RSI, close, 14)`."""
        if not node.args:
            return None
        call = ast.Call(node.args[0], node.args[1:], [])
        return cast("ast.expr", self.visit(ast.copy_location(call, node)))

    def swapped(self, node: ast.Call) -> ast.expr | None:
        """`tf(x, "4h")`, and lengths in other words."""
        if len(node.args) != 2:
            return None
        first, second = node.args
        if isinstance(second, ast.Constant) and isinstance(second.value, str):
            first, second = second, first
        elif not isinstance(first, ast.Constant):
            return None
        length = timeframe_meant(str(first.value))
        if length is None or (first is node.args[0] and first.value in {length, length.upper()}):
            return None
        return called("tf", ast.Constant(length), cast("ast.expr", self.visit(second)))


_WEEKDAYS: Final = frozenset({"weekday", "dayofweek", "day_of_week"})
_DAY_NAMES: Final = {name: i for i, day in enumerate(DAYS) for name in (day, day[:3])}


def _folded(node: ast.expr) -> str:
    """A text in lower case; empty for anything else."""
    return node.value.lower() if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _held(left: ast.expr, right: ast.expr) -> str | None:
    """What `position` is compared with, as a sign: `position == "long"`, `position is None`."""
    if dotted_name(left) not in {"position", "self.position"} or not isinstance(right, ast.Constant):
        return None
    text = str(right.value).lower()
    return {"long": ">", "buy": ">", "short": "<", "none": "==", "flat": "==", "false": "==", "": "=="}.get(text)


def _whole_table(node: ast.expr) -> bool:
    """`df`, `self.data` or `self.datas[0]`, where an operator here takes a column."""
    inner = node.value if isinstance(node, ast.Subscript) else node
    return dotted_name(inner) in FRAMES | {"self.data", "self.datas", "self.data0"}


class History(ast.NodeTransformer):
    """`x[1]` of other tools is one bar ago: `x[-2]`."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """One place in the past."""
        self.generic_visit(node)
        place = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if (
            isinstance(place, int)
            and not isinstance(place, bool)
            and place >= 0
            and dotted_name(node.value) != "TICKERS"
        ):
            return ast.Subscript(node.value, ast.UnaryOp(ast.USub(), number(place + 1)), ast.Load())
        return node


class _Renamed(ast.NodeTransformer):
    """Names replaced by expressions."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A name that has become an expression."""
        return parsed(self._names[node.id]) if node.id in self._names else node


def without_arguments(arguments: ast.arguments, value: ast.expr) -> ast.expr:
    """The body of a function with its first argument on the close and numbers for the others."""
    names = [a.arg for a in arguments.args if a.arg not in VARIABLES and a.arg != "self"]
    given = {name: ("close" if i == 0 else "14") for i, name in enumerate(names) if name not in FRAMES}
    return cast("ast.expr", _Renamed(given).visit(value))


_CALLS: Final[dict[str, Callable[[Translator, ast.Call], ast.expr | None]]] = {
    "request.security": Translator.security,
    "security": Translator.security,
    "input": Translator.parameter,
    "input.int": Translator.parameter,
    "input.float": Translator.parameter,
    "self.i": Translator.wrapped,
    "tf": Translator.swapped,
}

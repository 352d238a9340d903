"""Checks calls and subscripts: the called operator, its arguments against the registry, and the value selected by an
index or a ticker in brackets."""

from __future__ import annotations

import ast
from typing import Final, cast, get_args

from api.errors import fold
from api.symbols import Instrument
from api.times import SECONDS, Timeframe

from .check import ExpressionChecker
from .diagnostics import TextSpan, quoted, short
from .graph import Node
from .kinds import ANYTHING, ValueRange
from .operators import OPERATORS, Operator, Parameter
from .spec import MAX_PERIOD, Constant
from .values import Outputs, ScriptValue, TickerList
from .words import FORMS, NO_COUNTERPART, VARIABLES, meant

_PERIOD_WORDS: Final = frozenset({"length", "timeperiod", "window", "n", "span", "len", "periods", "lookback", "bars"})
_MAX_CALLS: Final = {False: 100, True: 2_000}
"""Distinct operators over time in an expression, and in a script after its loops are unrolled."""


class Checker(ExpressionChecker):
    """Checks the expressions of one source text, calls and subscripts included."""

    def _call(self, call: ast.Call) -> ScriptValue | None:
        """The meaning of a call, or None after reporting its errors."""
        name = self._called(call)
        if name is None:
            for each in (*call.args, *(k.value for k in call.keywords)):
                self.value(each)
            return None
        if name == "tf":
            return self._timeframe(call)
        operator = OPERATORS.get(name)
        if operator is not None:
            return self._operator(call, operator)
        form = self.form
        if form is None:
            self.error(call, f"{name} exists only in scripts", "Write an expression of prices and indicators")
            return None
        return form(call, name)

    def _called(self, call: ast.Call) -> str | None:
        """The called name, or the name that was probably meant."""
        match call.func:
            case ast.Name(id=name):
                if name in OPERATORS or name in FORMS:
                    return name
                return self._misnamed(call.func, name)
            case ast.Attribute(attr=name) if not name.startswith("_"):
                return self._method(call.func, name)
            case _:
                self.error(call.func, "only operators can be called", "Write for example `rsi(close, 14)`")
                return None

    def _misnamed(self, where: ast.Name, name: str) -> str | None:
        if name in VARIABLES or name in self.scope:
            example = f"`{name}[-2]` is one bar ago" if name in VARIABLES else f"Write `{name}` alone"
            self.error(where, f"{quoted(name)} is a value and cannot be called", example)
            return None
        self.unknown(self.parsed.span(where), name, "function")
        clear, _ = meant(name)
        return clear if clear in OPERATORS else None

    def _method(self, where: ast.Attribute, name: str) -> str | None:
        clear, near = meant(name)
        module = isinstance(where.value, ast.Name) and where.value.id not in VARIABLES
        known = clear if clear in OPERATORS and module else None
        suggestion = f"Write `{clear}(...)`" if clear else f"Similar names: {', '.join(near)}" if near else ""
        if isinstance(where.value, ast.Name) and fold(where.value.id) in NO_COUNTERPART:
            suggestion = NO_COUNTERPART[fold(where.value.id)]
        self.error(where, "nothing has attributes or methods here", suggestion, fix=known)
        return known

    def _operator(self, call: ast.Call, operator: Operator) -> ScriptValue | None:
        bound = self._bind(call, operator)
        if bound is None:
            return None
        inputs, constants = bound
        if operator.elementwise:
            return self._elementwise(call, operator, inputs)
        graph = self.graph
        stateful = next((each for each in inputs if each.stateful), None)
        if stateful is not None:
            self.error(
                call,
                f"{operator.name} looks back over bars, but the account's past is not kept",
                "Use the value as it is",
            )
            return None
        if operator.category == "universe":
            return self._universe(call, operator, inputs[0])
        nodes = graph.call(operator, inputs, constants)
        if graph.calls > _MAX_CALLS[self.world.script]:
            limit = _MAX_CALLS[self.world.script]
            if graph.calls == limit + 1:
                self.error(call, f"more than {limit:,} different indicators", "Use fewer of them")
            return None
        if len(nodes) == 1:
            return nodes[0]
        return Outputs(operator.name, tuple(o.name for o in operator.outputs), nodes)

    def _elementwise(self, call: ast.Call, operator: Operator, inputs: list[Node]) -> Node | None:
        if operator.name == "where":
            return self.choose(call, inputs[0], inputs[1], inputs[2])
        output = operator.outputs[0]
        bounds = ValueRange(
            ANYTHING.low if output.low is None else output.low, ANYTHING.high if output.high is None else output.high
        )
        return self.graph.apply(operator.name, *inputs, bounds=bounds)

    def _universe(self, call: ast.Call, operator: Operator, series: Node) -> Node | None:
        if not self.world.script:
            self.error(call, f"{operator.name} compares the tickers of a script's universe", "Use it in a script")
        elif not series.local:
            self.error(call, f"{operator.name} needs a series that differs between tickers", "Leave the ticker out")
        else:
            return self.graph.universe(operator, series)
        return None

    def _timeframe(self, call: ast.Call) -> Node | None:
        if len(call.args) != 2 or call.keywords:
            self.error(call, "tf takes a timeframe and an expression", 'Write `tf("4h", rsi(close, 14))`')
            return None
        name, inner = self.node(call.args[0]), self.node(call.args[1])
        if name is None or inner is None:
            return None
        timeframe = self._higher(call.args[0], name)
        if timeframe is None:
            return None
        if inner.resampled or inner.stateful:
            what = "another tf" if inner.resampled else "the account"
            self.error(call.args[1], f"tf cannot be computed over {what}", "Combine the two outside")
            return None
        return self.graph.tf(inner, timeframe) if timeframe != self.graph.timeframe else inner

    def _higher(self, where: ast.expr, node: Node) -> Timeframe | None:
        """The timeframe that a text names, if it is a multiple of the run's bar length."""
        base = self.graph.timeframe
        fitting = [t for t in get_args(Timeframe) if SECONDS[t] % SECONDS[base] == 0]
        text = node.constant
        for timeframe in SECONDS:
            if isinstance(text, str) and timeframe in fitting and timeframe == text.lower():
                return timeframe
        written = quoted(self.parsed.source(where))
        self.error(
            where, f"{written} is not a timeframe that {base} bars add up to", (f"Choose from {', '.join(fitting)}")
        )
        return None

    def _bind(self, call: ast.Call, operator: Operator) -> tuple[list[Node], tuple[Constant, ...]] | None:
        """The inputs as nodes, including the columns that the operator reads implicitly, and the constants."""
        before = self.findings.reported
        values = [self.node(each) for each in call.args]
        given = list(zip(call.args, values, strict=True))
        columns = self._given_columns(given, operator)
        if columns is not None:
            inputs = len(operator.inputs)
            given = given[:inputs] + given[inputs + len(columns) :]
        slots = self._slots(call, operator, given)
        inputs = [node for p in operator.inputs for node in self._inputs(call, operator, p, slots)]
        constants = tuple(self._constant_argument(call, operator, p, slots.get(p.name)) for p in operator.constants)
        if self.findings.reported > before or any(v is None for v in values):
            return None
        reads = columns if columns is not None else [self._column(name) for name in operator.reads]
        return [*inputs, *reads], tuple(c for c in constants if c is not None)

    def _column(self, name: str) -> Node:
        return self.graph.column(name)

    def _given_columns(self, given: list[tuple[ast.expr, Node | None]], operator: Operator) -> list[Node] | None:
        """The columns that the operator reads implicitly, if the call names them all: `atr(high, low, close)`."""
        series: list[Node] = []
        for _, node in given:
            if node is None or not node.kind.series or node.kind.base != "number":
                break
            series.append(node)
        inputs = len(operator.inputs)
        if not operator.reads or operator.category == "session" or len(series) != inputs + len(operator.reads):
            return None
        return series[inputs:]

    def _slots(
        self, call: ast.Call, operator: Operator, given: list[tuple[ast.expr, Node | None]]
    ) -> dict[str, list[tuple[ast.expr, Node | None]]]:
        """The arguments by parameter."""
        slots: dict[str, list[tuple[ast.expr, Node | None]]] = {}
        parameters = list(operator.parameters)
        for i, each in enumerate(given):
            last = parameters[-1] if parameters else None
            if i < len(parameters):
                slots.setdefault(parameters[i].name, []).append(each)
            elif last is not None and last.variadic:
                slots[last.name].append(each)
            else:
                self._too_many(each[0], operator, len(given))
                break
        for keyword in call.keywords:
            self._keyword(keyword, operator, slots)
        return slots

    def _too_many(self, where: ast.expr, operator: Operator, count: int) -> None:
        hint = f"; it reads {', '.join(operator.reads)} by itself" if operator.reads else ""
        most = len(operator.parameters)
        self.error(
            where,
            f"{operator.name} takes {most} argument{'' if most == 1 else 's'}, not {count}{hint}",
            f"Write `{operator.signature}`",
        )

    def _keyword(
        self, keyword: ast.keyword, operator: Operator, slots: dict[str, list[tuple[ast.expr, Node | None]]]
    ) -> None:
        value = self.node(keyword.value)
        names = [p.name for p in operator.parameters]
        name = keyword.arg
        if name is None:
            self.error(keyword, "arguments are not unpacked with `**`", f"Write `{operator.signature}`")
        elif name in slots:
            self.error(keyword, f"{operator.name} is given {name} twice", f"Write `{operator.signature}`")
        elif name in names:
            slots[name] = [(keyword.value, value)]
        else:
            self._unknown_keyword(keyword, name, operator)

    def _unknown_keyword(self, keyword: ast.keyword, name: str, operator: Operator) -> None:
        names = [p.name for p in operator.parameters]
        periods = [p.name for p in operator.constants if p.kind == "period"]
        folded = name.casefold()
        same = next((n for n in names if n.casefold() == folded), None)
        right = same or (periods[0] if folded in _PERIOD_WORDS and len(periods) == 1 else None)
        span = self.parsed.span(keyword)
        place = TextSpan(span.line, span.column, span.column + len(name))
        suggestion = f"Write `{right}=`" if right else f"It takes {', '.join(names)}" if names else "It takes none"
        self.findings.error(place, f"{operator.name} has no argument {quoted(name)}", suggestion, fix=right)

    def _inputs(
        self,
        call: ast.Call,
        operator: Operator,
        parameter: Parameter,
        slots: dict[str, list[tuple[ast.expr, Node | None]]],
    ) -> list[Node]:
        given = slots.get(parameter.name)
        if given is None:
            if isinstance(parameter.default, float):
                return [self.graph.constant(parameter.default)]
            self._missing(call, operator, parameter)
            return []
        return [
            node for where, node in given if node is not None and self._fits(where, node, operator, parameter, call)
        ]

    def _missing(self, call: ast.Call, operator: Operator, parameter: Parameter) -> None:
        if parameter.kind == "series" and any(isinstance(a, ast.Constant) for a in call.args):
            return
        self.error(call, f"{operator.name} needs the argument {parameter.name}", f"Write `{operator.signature}`")

    def _fits(self, where: ast.expr, node: Node, operator: Operator, parameter: Parameter, call: ast.Call) -> bool:
        """Whether an argument has the kind that its parameter requires; reports it otherwise."""
        base, series = node.kind.base, node.kind.series
        wanted = {"series": "a series of numbers", "value": "a number or a series", "condition": "a condition"}
        fits = {
            "series": base == "number" and series,
            "value": base == "number",
            "condition": base == "bool",
            "any": base in {"number", "bool"},
        }[parameter.kind]
        if fits:
            return True
        written = self.parsed.source(where)
        kind = wanted.get(parameter.kind, "a number or a condition")
        message = f"{operator.name} takes {kind} as {parameter.name}; {quoted(written)} is {node.kind}"
        if parameter.kind == "series" and node.op == "constant" and call.args and where is call.args[0]:
            rest = self.parsed.source(call).partition("(")[2]
            column = {"highest": "high", "lowest": "low"}.get(operator.name, "close")
            self.error(where, message, f"Write `{operator.name}({column}, {rest}`", fix=f"{column}, {written}")
        elif base == "bool":
            self.error(where, message, f"Write `where({written}, 1, 0)` for a number")
        elif parameter.kind == "condition":
            self.error(where, message, f"Compare it, e.g. `{written} > 0`")
        else:
            self.error(where, message, f"Write `{operator.signature}`")
        return False

    def _constant_argument(
        self, call: ast.Call, operator: Operator, parameter: Parameter, given: list[tuple[ast.expr, Node | None]] | None
    ) -> Constant | None:
        if given is None:
            if parameter.default is None:
                self._missing(call, operator, parameter)
                return None
            return _typed(parameter, parameter.default)
        where, node = given[0]
        if node is None:
            return None
        value = node.constant
        if value is None or isinstance(value, bool) or isinstance(value, str) is not (parameter.kind == "choice"):
            written = quoted(self.parsed.source(where))
            self.error(
                where,
                f"{operator.name} takes a constant {_word(parameter)} as {parameter.name}; {written} is {node.kind}",
                f"Write `{operator.signature}`",
            )
            return None
        problem = _outside(parameter, value)
        if problem is None:
            return _typed(parameter, value)
        self.error(where, f"{operator.name}: {parameter.name} {problem[0]}", problem[1])
        return None

    def _subscript(self, expression: ast.Subscript) -> ScriptValue | None:
        """The meaning of a subscript."""
        value = self.value(expression.value)
        if value is None:
            self.value(expression.slice)
            return None
        if isinstance(value, TickerList):
            return self._listed(value, expression)
        if not isinstance(value, Node):
            return self.node(expression.value)
        index = self.node(expression.slice)
        if index is None:
            return None
        if index.kind.base in {"string", "ticker"}:
            return self._elsewhere(value, expression)
        return self._history(value, index, expression)

    def _listed(self, tickers: TickerList, expression: ast.Subscript) -> Node | None:
        index = self.number(expression.slice)
        if index is None:
            return None
        value = index.constant
        if (
            not isinstance(value, float)
            or not value.is_integer()
            or not -len(tickers.nodes) <= value < len(tickers.nodes)
        ):
            last = len(tickers.nodes) - 1
            self.error(expression.slice, f"TICKERS has the places 0 to {last}", "Give the place as a plain number")
            return None
        return tickers.nodes[int(value)]

    def _elsewhere(self, value: Node, expression: ast.Subscript) -> Node | None:
        ticker = self.ticker(expression.slice)
        if ticker is None or ticker.op == "ticker":
            return value if ticker is not None else None
        if not value.local:
            written = quoted(self.parsed.source(expression.value))
            self.error(expression, f"{written} is the same for every ticker", "Leave the ticker out")
            return None
        return self.graph.at(value, cast("Instrument", ticker.payload))

    def _history(self, value: Node, index: Node, expression: ast.Subscript) -> Node | None:
        place = index.constant
        written = short(self.parsed.source(expression.value))
        if not isinstance(place, float) or not place.is_integer():
            self.error(expression.slice, "an index is a whole constant number", f"`{written}[-2]` is one bar ago")
        elif place >= 0:
            back = f"[{-int(place) - 1}]"
            ago = ("the current bar", "one bar ago")[int(place)] if place < 2 else f"{int(place)} bars ago"
            self.error(expression.slice, f"a series is indexed from its end, not with {int(place)}",
                       f"`{written}{back}` is {ago}", fix=str(-int(place) - 1))  # fmt: skip
        elif -place > MAX_PERIOD:
            self.error(expression.slice, f"{int(-place):,} bars is too far back", f"At most {MAX_PERIOD:,}")
        elif not value.kind.series:
            self.error(expression, f"`{written}` is {value.kind} and has no history", "Leave the index out")
        elif value.stateful and place < -1:
            self.error(expression, f"`{written}` reads the account, whose past is not kept", "Leave the index out")
        else:
            return self.graph.lag(value, int(-place) - 1)
        return None


def _word(parameter: Parameter) -> str:
    return {"period": "whole number", "choice": "text"}.get(parameter.kind, "number")


def _typed(parameter: Parameter, value: Constant) -> Constant:
    """A period as a whole number, as the formulas and TA-Lib require."""
    return int(value) if parameter.kind == "period" and not isinstance(value, str) else value


def _outside(parameter: Parameter, value: Constant) -> tuple[str, str] | None:
    """The error of a constant, and the valid values."""
    if isinstance(value, str):
        if value in parameter.choices:
            return None
        return f"cannot be {quoted(value)}", f"Choose from {', '.join(parameter.choices)}"
    bounds = f"{parameter.low:,g} to {parameter.high:,g}"
    if parameter.kind == "period" and not float(value).is_integer():
        return f"must be a whole number, not {value:g}", f"It may be {bounds}"
    if not parameter.low <= value <= parameter.high:
        return f"cannot be {value:,g}", f"It may be {bounds}"
    return None

"""Types every expression before anything runs, and compiles it to the dataflow. It finds all errors, not the first."""

from __future__ import annotations

import ast
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from api.errors import HeyTradersError, fold
from api.symbols import Instrument, resolve

from .diagnostics import TextSpan, quoted, short
from .foreign_calls import example_of
from .graph import Graph, Node
from .operators import OPERATORS
from .parse import ARITHMETIC, COMPARISON, Parsed
from .values import CheckingContext, Outputs, ScriptParameter, ScriptValue, TickerList, described
from .words import FORMS, NO_COUNTERPART, VARIABLES, meant

MAX_CONTEXTS: Final = 8

_SIDES: Final = {"LONG": 1.0, "SHORT": -1.0, "FLAT": 0.0, "NONE": 0.0}
_NOTHING: Final = frozenset({"nan", "NaN", "null", "None", "nil", "na", "none"})


class ExpressionChecker(ABC):
    """Checks the expressions of one source text.

    Every method that takes an expression returns its meaning, or None after reporting its errors.
    """

    def __init__(self, parsed: Parsed, graph: Graph, world: CheckingContext) -> None:
        self.parsed = parsed
        self.findings = parsed.findings
        self.graph = graph
        self.world = world
        self.scope: dict[str, ScriptValue | None] = {}
        self.used: set[str] = set()
        self.doubtful: list[tuple[TextSpan, Node]] = []
        self.parameters: dict[str, ScriptParameter] = {}
        self.form: Callable[[ast.Call, str], ScriptValue | None] | None = None
        self._visitors: dict[type[ast.expr], Callable[..., ScriptValue | None]] = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.BoolOp: self._boolean,
            ast.BinOp: self._binary,
            ast.UnaryOp: self._unary,
            ast.Compare: self._compare,
            ast.IfExp: self._choice,
            ast.Subscript: self._subscript,
            ast.Call: self._call,
            ast.Attribute: self._attribute,
            ast.List: self._list,
            ast.Tuple: self._list,
        }

    def value(self, expression: ast.expr) -> ScriptValue | None:
        """The expression's meaning, of any kind."""
        value = self._visitors[type(expression)](expression)
        if isinstance(value, Node):
            return self._vetted(value, expression)
        return value

    def node(self, expression: ast.expr) -> Node | None:
        """One number, condition, string or ticker, or a series of them."""
        value = self.value(expression)
        if value is None or isinstance(value, Node):
            return value
        if isinstance(value, Outputs):
            names = ", ".join(value.names)
            source = self.parsed.source(expression)
            first = f"{value.operator}_{value.names[0]}({source.partition('(')[2]}" if source.endswith(")") else None
            self.error(
                expression,
                f"{quoted(source)} gives {described(value)}",
                f"Take one, e.g. `{first}`; in a script unpack all: `{names} = {source}`",
                first if value.names[0] in {"line", "k"} else None,
            )
        else:
            self.error(expression, f"{described(value)} cannot be used here", "Write a number or a condition")
        return None

    def number(self, expression: ast.expr) -> Node | None:
        """A number or a series of numbers."""
        return self._of("number", expression)

    def condition(self, expression: ast.expr) -> Node | None:
        """A condition or a series of conditions."""
        return self._of("bool", expression)

    def ticker(self, expression: ast.expr) -> Node | None:
        """A ticker, given as text, as a loop variable or as TICKER."""
        node = self.node(expression)
        if node is None or node.kind.base == "ticker":
            return node
        text = node.constant
        if isinstance(text, str):
            instrument = self.instrument(text, expression)
            return None if instrument is None else self.graph.constant(instrument)
        self.error(expression, f"{quoted(self.parsed.source(expression))} is {node.kind}; a ticker is needed",
                   'Write it as "BINANCE:BTC/USDT"')  # fmt: skip
        return None

    def error(
        self, where: ast.expr | ast.stmt | ast.keyword, message: str, suggestion: str = "", fix: str | None = None
    ) -> None:
        """Report an error at `where`."""
        self.findings.error(self.parsed.span(where), message, suggestion, fix=fix)

    def instrument(self, text: str, where: ast.expr) -> Instrument | None:
        """The instrument that a ticker names; from the universe, if possible."""
        for member in self.world.universe:
            if text == member.ticker:
                return member
        if text != text.upper() and "/" not in text and ":" not in text:
            message = f"{quoted(text)} is neither a ticker nor an output"
            self.error(where, message, 'Write a ticker as "BINANCE:BTC/USDT"')
            return None
        try:
            found = resolve(text, None if ":" in text else self.world.exchange)
        except HeyTradersError as error:
            self.error(where, error.message.rstrip("."), error.suggestion.rstrip("."))
            return None
        return found

    def _constant(self, expression: ast.Constant) -> Node | None:
        value = expression.value
        if isinstance(value, bool | str):
            return self.graph.constant(value)
        if isinstance(value, int | float):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isfinite(number):
                return self.graph.constant(number)
            self.error(expression, "this number is too large", "Numbers go up to about 1e308")
        elif value is None:
            self.error(expression, "there is no None", "Test for a missing value with `is_missing(x)`")
        else:
            self.error(expression, "this constant is not part of the language", "Write a number, a text, True or False")
        return None

    def _name(self, expression: ast.Name) -> ScriptValue | None:
        name = expression.id
        if name in self.scope:
            self.used.add(name)
            return self.scope[name]
        variable = VARIABLES.get(name)
        if variable is not None:
            return self._variable(expression, name)
        self._unknown_name(expression, name)
        return None

    def _variable(self, expression: ast.Name, name: str) -> ScriptValue | None:
        variable = VARIABLES[name]
        match variable.group:
            case "external":
                self.findings.error(
                    self.parsed.span(expression),
                    f"no feed here has {name}",
                    "Use prices and volume, or ask the hosted service",
                    code="DATA_UNAVAILABLE",
                )
                return None
            case "state" | "context" if not self.world.script:
                self.error(expression, f"{name} exists only in scripts", "Leave it out of an expression")
                return None
            case "context":
                return self._context(expression, name)
            case _:
                return self.graph.variable(variable)

    def _context(self, expression: ast.Name, name: str) -> ScriptValue | None:
        match name:
            case "TICKERS":
                return TickerList(tuple(self.graph.constant(each) for each in self.world.universe))
            case "TIMEFRAME":
                return self.graph.constant(self.graph.timeframe)
            case "EXCHANGE":
                return self.graph.constant(self.world.exchange or "")
            case _ if self.world.mode == "cross":
                self.error(expression, "in cross mode a script has no TICKER of its own", "Loop: `for t in TICKERS:`")
                return None
            case _:
                return self.graph.variable(VARIABLES[name])

    def _unknown_name(self, expression: ast.Name, name: str) -> None:
        if name in OPERATORS:
            operator = OPERATORS[name]
            self.error(
                expression,
                f"{name} is an operator and needs its arguments",
                f"Write `{operator.signature}`",
                example_of(operator),
            )
        elif name in FORMS:
            self.error(expression, f"{name} is called with arguments", f"Write `{name}(...)`")
        elif name in _NOTHING:
            self.error(expression, f"there is no {name}", "Test for a missing value with `is_missing(x)`")
        else:
            self.unknown(self.parsed.span(expression), name, "name")

    def unknown(self, span: TextSpan, name: str, what: str) -> None:
        """Report an unknown word, with the word that was probably meant."""
        if re.search(rf"(?m)^\s*(?:\w+\s+)*{re.escape(name)}\s*:?=(?!=)", self.findings.source):
            self.findings.error(span, f"unknown {what} {quoted(name)}", "Its line above is refused, or inside a loop")
            return
        clear, near = meant(name, self.scope)
        if clear is not None and clear in OPERATORS and what == "name":
            clear = example_of(OPERATORS[clear]) or clear
        if clear is not None:
            self.findings.error(span, f"unknown {what} {quoted(name)}", f"Did you mean `{clear}`?", fix=clear)
        elif near and fold(name) not in NO_COUNTERPART:
            self.findings.error(span, f"unknown {what} {quoted(name)}", f"Similar names: {', '.join(near)}")
        else:
            hint = NO_COUNTERPART.get(fold(name), "meta_indicators(search=) finds operators by name and purpose")
            self.findings.error(span, f"unknown {what} {quoted(name)}", hint)

    def _attribute(self, expression: ast.Attribute) -> None:
        accessor = self._accessor(expression.value, expression.attr)
        if accessor is not None:
            self.error(expression, "nothing has attributes here", f"Write `{accessor}`", fix=accessor)
            return
        plain = isinstance(expression.value, ast.Name) and not expression.attr.startswith("_")
        clear, _ = meant(expression.attr) if plain else (None, [])
        suggestion = f"Did you mean `{clear}`?" if clear else "Call an operator with the series, as in sma(close, 20)"
        if isinstance(expression.value, ast.Name) and fold(expression.value.id) in NO_COUNTERPART:
            suggestion, clear = NO_COUNTERPART[fold(expression.value.id)], None
        self.error(expression, "nothing has attributes here", suggestion, fix=clear)

    def _accessor(self, call: ast.expr, output: str) -> str | None:
        """The call of one output, for `macd(close).hist`."""
        match call:
            case ast.Call(func=ast.Name(id=name)) if f"{name}_{output}" in OPERATORS:
                return f"{name}_{output}({self.parsed.source(call).partition('(')[2]}"
            case _:
                return None

    @abstractmethod
    def _call(self, call: ast.Call) -> ScriptValue | None:
        """The meaning of a call, or None after reporting its errors."""

    @abstractmethod
    def _subscript(self, expression: ast.Subscript) -> ScriptValue | None:
        """The meaning of a subscript, or None after reporting its errors."""

    def _list(self, expression: ast.List | ast.Tuple) -> None:
        self.error(expression, "a list is allowed only in emit_signal and after `in`", "Write one value")

    def _of(self, base: str, expression: ast.expr) -> Node | None:
        node = self.node(expression)
        if node is None or node.kind.base == base:
            return node
        written = quoted(self.parsed.source(expression))
        if base == "bool" and node.kind.base == "number":
            compared = f"{self.parsed.source(expression)} > 0"
            chosen = node.op == "apply" and node.payload == "where" and all(a.op == "constant" for a in node.args[1:])
            self.error(
                expression,
                f"{written} is {node.kind}; a condition is needed",
                f"Compare it, e.g. `{short(compared)}`",
                fix=compared if chosen else None,
            )
        elif node.kind.base == "bool":
            self.error(
                expression,
                f"{written} is {node.kind}; a number is needed",
                "Write `where(condition, 1, 0)` for a number",
            )
        else:
            needed = "a number" if base == "number" else "a condition"
            self.error(expression, f"{written} is {node.kind}; {needed} is needed")
        return None

    def _binary(self, expression: ast.BinOp) -> Node | None:
        left, right = self.number(expression.left), self.number(expression.right)
        symbol = ARITHMETIC.get(type(expression.op))
        if symbol is None:
            self.error(expression, "this operator is not part of the language", "There are + - * / // % **")
        return None if left is None or right is None or symbol is None else self.graph.apply(symbol, left, right)

    def _unary(self, expression: ast.UnaryOp) -> Node | None:
        if isinstance(expression.op, ast.Not):
            node = self.condition(expression.operand)
            return None if node is None else self.graph.apply("not", node)
        node = self.number(expression.operand)
        if node is None or isinstance(expression.op, ast.UAdd):
            return node
        return self.graph.apply("neg", node)

    def _boolean(self, expression: ast.BoolOp) -> Node | None:
        nodes = [self.condition(each) for each in expression.values]
        known = [node for node in nodes if node is not None]
        if len(known) < len(nodes):
            return None
        return self.graph.apply("and" if isinstance(expression.op, ast.And) else "or", *known)

    def _choice(self, expression: ast.IfExp) -> Node | None:
        test = self.condition(expression.test)
        chosen, other = self.node(expression.body), self.node(expression.orelse)
        if test is None or chosen is None or other is None:
            return None
        return self.choose(expression, test, chosen, other)

    def choose(self, where: ast.expr, test: Node, chosen: Node, other: Node) -> Node | None:
        """`chosen if test else other`, with two numbers or two conditions."""
        bases = {chosen.kind.base, other.kind.base}
        if len(bases) > 1 or not bases <= {"number", "bool"}:
            message = f"one choice is {chosen.kind}, the other {other.kind}"
            self.error(where, message, "Make both numbers or both conditions")
            return None
        return self.graph.apply("where", test, chosen, other)

    def _vetted(self, node: Node, expression: ast.expr) -> Node | None:
        if node.op == "constant" and isinstance(node.payload, float) and math.isnan(node.payload):
            self.error(
                expression,
                f"{quoted(self.parsed.source(expression))} is not a finite number",
                "Check the division and powers in it",
            )
            return None
        if node.contexts > MAX_CONTEXTS:
            self.error(
                expression, f"tickers and timeframes are nested more than {MAX_CONTEXTS} deep", "Use fewer of them"
            )
            return None
        if isinstance(expression, ast.Compare | ast.BoolOp | ast.Call) and node.truth is not None:
            self.doubtful.append((self.parsed.span(expression), node))
        if node.op != "constant":
            self.graph.texts.setdefault(node.id, self.parsed.source(expression))
        return node

    def _compare(self, expression: ast.Compare) -> Node | None:
        """A comparison as a condition; chained ones are joined by `and`."""
        operands = [expression.left, *expression.comparators]
        nodes = [self.node(each) for each in operands]
        results = [
            self._comparison(expression, (operands[i], operands[i + 1]), op, (nodes[i], nodes[i + 1]))
            for i, op in enumerate(expression.ops)
        ]
        known = [node for node in results if node is not None]
        if len(known) < len(results):
            return None
        return known[0] if len(known) == 1 else self.graph.apply("and", *known)

    def _comparison(
        self,
        whole: ast.Compare,
        written: tuple[ast.expr, ast.expr],
        op: ast.cmpop,
        nodes: tuple[Node | None, Node | None],
    ) -> Node | None:
        symbol = COMPARISON.get(type(op))
        if symbol is None:
            self.error(whole, "`in` and `is` are not part of the language", "Compare with `==`, and join with `or`")
            return None
        left, right = nodes
        if left is None or right is None:
            return None
        left, right = self._side(left, right), self._side(right, left)
        match left.kind.base, right.kind.base:
            case "number", "number":
                return self.graph.apply(symbol, left, right)
            case ("string" | "ticker", "string" | "ticker") if symbol in {"==", "!="}:
                return self._same_text(written, symbol, left, right)
            case "bool", "bool":
                self._compared_condition(whole, written)
            case _:
                self._unlike(whole, written, left, right)
        return None

    def _side(self, node: Node, other: Node) -> Node:
        """LONG, SHORT and FLAT as numbers beside position_side."""
        text = node.constant
        read = other.args[0] if other.op == "at" else other
        if read.op == "state" and read.payload == "position_side" and isinstance(text, str):
            side = _SIDES.get(text.upper())
            return node if side is None else self.graph.constant(side)
        return node

    def _same_text(self, written: tuple[ast.expr, ast.expr], symbol: str, left: Node, right: Node) -> Node | None:
        if "ticker" in {left.kind.base, right.kind.base}:
            tickers = [self.ticker(each) for each in written]
            if tickers[0] is None or tickers[1] is None:
                return None
            left, right = tickers[0], tickers[1]
            if left.op == right.op == "constant":
                return self.graph.constant((left is right) is (symbol == "=="))
            same = self.graph.same_ticker(left, right)
            return same if symbol == "==" else self.graph.apply("not", same)
        return self.graph.apply(symbol, left, right)

    def _compared_condition(self, whole: ast.Compare, written: tuple[ast.expr, ast.expr]) -> None:
        left, right = (self.parsed.source(each) for each in written)
        plain = {"True": left, "False": f"not ({left})"}.get(right)
        fix = plain if plain is not None and len(whole.ops) == 1 and isinstance(whole.ops[0], ast.Eq) else None
        self.error(
            whole,
            "two conditions are not compared",
            f"Write `{short(fix)}`" if fix else "Join them with and, or, not, xor(a, b)",
            fix,
        )

    def _unlike(self, whole: ast.Compare, written: tuple[ast.expr, ast.expr], left: Node, right: Node) -> None:
        if left.kind.base == "bool" and right.kind.base == "number":
            text = quoted(self.parsed.source(written[0]))
            self.error(whole, f"{text} is already a condition and is not compared with a number", f"Write {text} alone")
            return
        texts = [quoted(self.parsed.source(each)) for each in written]
        message = f"{texts[0]} is {left.kind}, {texts[1]} is {right.kind}"
        self.error(whole, f"{message}; they cannot be compared", "Compare numbers with numbers")

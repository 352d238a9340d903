"""Comparisons: numbers with numbers, tickers and texts with their like, and never conditions."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from .diagnostics import quoted, short
from .graph import Node

if TYPE_CHECKING:
    from .check import Checker

_COMPARISON: Final[dict[type[ast.cmpop], str]] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_SIDES: Final = {"LONG": 1.0, "SHORT": -1.0, "FLAT": 0.0, "NONE": 0.0}


class Comparisons:
    """Checks comparisons for a `Checker`."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker

    def check(self, expression: ast.Compare) -> Node | None:
        """The condition that a comparison is, chained ones joined by and."""
        operands = [expression.left, *expression.comparators]
        nodes = [self._checker.node(each) for each in operands]
        results = [
            self._comparison(expression, (operands[i], operands[i + 1]), op, (nodes[i], nodes[i + 1]))
            for i, op in enumerate(expression.ops)
        ]
        known = [node for node in results if node is not None]
        if len(known) < len(results):
            return None
        return known[0] if len(known) == 1 else self._checker.graph.apply("and", *known)

    def _comparison(
        self,
        whole: ast.Compare,
        written: tuple[ast.expr, ast.expr],
        op: ast.cmpop,
        nodes: tuple[Node | None, Node | None],
    ) -> Node | None:
        symbol = _COMPARISON.get(type(op))
        if symbol is None:
            self._checker.error(
                whole, "`in` and `is` are not part of the language", "Compare with `==`, and join with `or`"
            )
            return None
        left, right = nodes
        if left is None or right is None:
            return None
        left, right = self._side(left, right), self._side(right, left)
        match left.kind.base, right.kind.base:
            case "number", "number":
                return self._checker.graph.apply(symbol, left, right)
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
        if other.op == "state" and other.payload == "position_side" and isinstance(text, str):
            side = _SIDES.get(text.upper())
            return node if side is None else self._checker.graph.constant(side)
        return node

    def _same_text(self, written: tuple[ast.expr, ast.expr], symbol: str, left: Node, right: Node) -> Node | None:
        if "ticker" in {left.kind.base, right.kind.base}:
            tickers = [self._checker.ticker(each) for each in written]
            if tickers[0] is None or tickers[1] is None:
                return None
            left, right = tickers[0], tickers[1]
            if left.op == right.op == "constant":
                return self._checker.graph.constant((left is right) is (symbol == "=="))
            same = self._checker.graph.same_ticker(left, right)
            return same if symbol == "==" else self._checker.graph.apply("not", same)
        return self._checker.graph.apply(symbol, left, right)

    def _compared_condition(self, whole: ast.Compare, written: tuple[ast.expr, ast.expr]) -> None:
        left, right = (self._checker.parsed.source(each) for each in written)
        plain = {"True": left, "False": f"not ({left})"}.get(right)
        fix = plain if plain is not None and len(whole.ops) == 1 and isinstance(whole.ops[0], ast.Eq) else None
        self._checker.error(
            whole,
            "two conditions are not compared",
            f"Write `{short(fix)}`" if fix else "Join them with and, or, not, xor(a, b)",
            fix,
        )

    def _unlike(self, whole: ast.Compare, written: tuple[ast.expr, ast.expr], left: Node, right: Node) -> None:
        if left.kind.base == "bool" and right.kind.base == "number":
            text = quoted(self._checker.parsed.source(written[0]))
            self._checker.error(
                whole, f"{text} is already a condition and is not compared with a number", f"Write {text} alone"
            )
            return
        texts = [quoted(self._checker.parsed.source(each)) for each in written]
        message = f"{texts[0]} is {left.kind}, {texts[1]} is {right.kind}"
        self._checker.error(whole, f"{message}; they cannot be compared", "Compare numbers with numbers")

"""What stands in square brackets: a place in a series' past, another ticker, or a place in TICKERS."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, cast

from api.symbols import Instrument

from .diagnostics import quoted, short
from .graph import Node
from .spec import MAX_PERIOD
from .values import TickerList, Value

if TYPE_CHECKING:
    from .check import Checker


class Subscripts:
    """Checks subscripts for a `Checker`."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker

    def check(self, expression: ast.Subscript) -> Value | None:
        """What a subscript stands for."""
        value = self._checker.value(expression.value)
        if value is None:
            self._checker.value(expression.slice)
            return None
        if isinstance(value, TickerList):
            return self._listed(value, expression)
        if not isinstance(value, Node):
            return self._checker.node(expression.value)
        index = self._checker.node(expression.slice)
        if index is None:
            return None
        if index.kind.base in {"string", "ticker"}:
            return self._elsewhere(value, expression)
        return self._history(value, index, expression)

    def _listed(self, tickers: TickerList, expression: ast.Subscript) -> Node | None:
        index = self._checker.number(expression.slice)
        if index is None:
            return None
        value = index.constant
        if (
            not isinstance(value, float)
            or not value.is_integer()
            or not -len(tickers.nodes) <= value < len(tickers.nodes)
        ):
            last = len(tickers.nodes) - 1
            self._checker.error(
                expression.slice, f"TICKERS has the places 0 to {last}", "Give the place as a plain number"
            )
            return None
        return tickers.nodes[int(value)]

    def _elsewhere(self, value: Node, expression: ast.Subscript) -> Node | None:
        ticker = self._checker.ticker(expression.slice)
        if ticker is None or ticker.op == "ticker":
            return value if ticker is not None else None
        if not value.local:
            written = quoted(self._checker.parsed.source(expression.value))
            self._checker.error(expression, f"{written} is the same for every ticker", "Leave the ticker out")
            return None
        return self._checker.graph.at(value, cast("Instrument", ticker.payload))

    def _history(self, value: Node, index: Node, expression: ast.Subscript) -> Node | None:
        place = index.constant
        written = short(self._checker.parsed.source(expression.value))
        if not isinstance(place, float) or not place.is_integer():
            self._checker.error(
                expression.slice, "an index is a whole constant number", f"`{written}[-2]` is one bar ago"
            )
        elif place >= 0:
            back = f"[{-int(place) - 1}]"
            ago = ("the current bar", "one bar ago")[int(place)] if place < 2 else f"{int(place)} bars ago"
            self._checker.error(expression.slice, f"a series is indexed from its end, not with {int(place)}",
                       f"`{written}{back}` is {ago}", fix=str(-int(place) - 1))  # fmt: skip
        elif -place > MAX_PERIOD:
            self._checker.error(expression.slice, f"{int(-place):,} bars is too far back", f"At most {MAX_PERIOD:,}")
        elif not value.kind.series:
            self._checker.error(expression, f"`{written}` is {value.kind} and has no history", "Leave the index out")
        elif value.stateful and place < -1:
            self._checker.error(
                expression, f"`{written}` reads the account, whose past is not kept", "Leave the index out"
            )
        else:
            return self._checker.graph.lag(value, int(-place) - 1)
        return None

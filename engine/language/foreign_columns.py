"""Translates columns, outputs and state as other tools write them, such as `df["close"]` and `self.data.high[0]`."""

from __future__ import annotations

import ast
import re
from typing import Final, cast

from .foreign_calls import TUPLES, example_of, numbered_meant, output_meant, placed
from .foreign_words import (
    FIELDS,
    FRAMES,
    HOLDING,
    NO_METHODS,
    PREVIOUS,
    STATE,
    Notes,
    dotted_name,
    number,
    parsed,
    whole_number,
)
from .operators import OPERATORS
from .words import COLUMNS, VARIABLES, meant

_LINE: Final = re.compile(r"self\.data(?:s\[\d\]|\d)?[._]?(open|high|low|close|volume)")
"""A line of backtrader: 0 is the current bar, -1 the one before. In backtesting.py, `Close[-1]` is the current bar."""
_HOLDING: Final = re.compile(r"self\.(?:Securities|Portfolio)\[[^\]]*\]\.(\w+)")
_CURRENT: Final = re.compile(r"(?:self\.)?_?(\w+)\.Current\.Value")
_OWN: Final = re.compile(r"self\.(?:p\.|params\.)?(\w+)")
CLOCK: Final = frozenset({"weekday", "hour", "minute", "day", "month", "year"})
_SHORTEST: Final = 5
"""Numbers in square brackets after an operator from here on are a period; smaller ones are bars ago."""


class ForeignColumns(ast.NodeTransformer):
    """Rewrites the columns, outputs and state of one statement. `changed` says whether it had another tool's syntax."""

    def __init__(self, notes: Notes, target: str = "length") -> None:
        self.changed = False
        self._notes = notes
        self._reasons = notes.reasons
        self._target = target

    def _now(self, node: ast.expr, old: ast.AST, reason: str = "") -> ast.expr:
        self.changed = True
        if reason:
            self._reasons.append(reason)
        return ast.fix_missing_locations(ast.copy_location(node, old))

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:  # noqa: C901 - one case for each form
        """Columns of a table, state of a strategy."""
        dotted = dotted_name(node)
        if dotted in STATE:
            return self._now(parsed(STATE[dotted]), node)
        own = _OWN.fullmatch(dotted)
        if own and (own[1] in self._notes.columns or own[1] in self._notes.names):
            return self._now(ast.Name(self._notes.columns.get(own[1], own[1]), ast.Load()), node)
        holding = _HOLDING.fullmatch(ast.unparse(node))
        if holding and holding[1] in HOLDING:
            return self._now(parsed(HOLDING[holding[1]]), node, NO_METHODS)
        current = _CURRENT.fullmatch(dotted)
        if current and (current[1] in OPERATORS or meant(current[1])[0]):
            return self._now(self._column(current[1]), node, NO_METHODS)
        self.generic_visit(node)
        operator = OPERATORS.get(f"{dotted.replace('.', '_').lower()}" if isinstance(node.value, ast.Name) else "")
        if operator is not None and example_of(operator) and dotted_name(node.value) not in self._notes.names:
            return self._now(parsed(example_of(operator) or ""), node, NO_METHODS)
        if node.attr in CLOCK and dotted_name(node.value).split(".")[0] in FRAMES | {
            "time",
            "datetime",
            "timestamp",
            "date",
        }:
            return self._now(ast.Name(node.attr, ast.Load()), node, NO_METHODS)
        if node.attr in {"previous", "prev"} and dotted_name(node.value) in VARIABLES:
            return self._now(ast.Subscript(node.value, number(-2), ast.Load()), node, NO_METHODS)
        field = FIELDS.get(node.attr.lower(), node.attr.lower())
        match node.value:
            case ast.Subscript(value=ast.Name(id=frame), slice=key) if (
                frame in FRAMES and field in COLUMNS and whole_number(key) < 0
            ):
                return self._now(ast.Subscript(ast.Name(field, ast.Load()), key, ast.Load()), node)
            case _:
                pass
        if field in COLUMNS and dotted_name(node.value).split(".")[0] in FRAMES:
            return self._now(ast.Name(field, ast.Load()), node)
        if node.attr in {"values", "array", "series", "lines"}:
            return self._now(node.value, node)
        if dotted.startswith("self.") and dotted.count(".") == 1 and node.attr not in {"data", "datas"}:
            named = numbered_meant(node.attr)
            if named or node.attr in OPERATORS:
                return self._now(named or self._column(node.attr), node, NO_METHODS)
        if isinstance(node.value, ast.Name) and output_meant(dotted):
            return self._now(parsed(output_meant(dotted) or ""), node, NO_METHODS)
        match node.value:
            case ast.Call(func=ast.Name(id=name)) as call if f"{name}_{node.attr}" in OPERATORS:
                return self._now(ast.Call(ast.Name(f"{name}_{node.attr}", ast.Load()), call.args, call.keywords), node)
            case ast.Call(func=ast.Name(id=name)) as call if f"{meant(name)[0]}_{node.attr}" in OPERATORS:
                output = OPERATORS[f"{meant(name)[0]}_{node.attr}"]
                return self._now(ast.Call(ast.Name(output.name, ast.Load()), call.args, call.keywords), node)
            case ast.Call(func=ast.Name(id=name)) as call if node.attr in {name, "real", "ma"} and name in OPERATORS:
                return self._now(call, node, NO_METHODS)
            case _:
                return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """`ema20`, `prev_close`."""
        folded = node.id.lower()
        if (
            node.id in self._notes.names
            or node.id in self._notes.columns.values()
            or node.id in OPERATORS
            or node.id in VARIABLES
        ):
            return node
        if node.id.isupper() and node.id not in VARIABLES and folded in VARIABLES:
            return self._now(ast.Name(folded, ast.Load()), node, f"unknown name `{node.id}`")
        previous = PREVIOUS.fullmatch(folded)
        if previous:
            return self._now(parsed(f"{previous['a'] or previous['b']}[-2]"), node)
        if folded in {"bid", "ask"}:
            return self._now(ast.Name("close", ast.Load()), node, "a script sees closed bars, not quotes")
        named = numbered_meant(node.id) or (parsed(output_meant(node.id) or "x") if output_meant(node.id) else None)
        return node if named is None else self._now(named, node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """Columns by name, outputs by name or place, positions."""
        key = node.slice
        line = _LINE.fullmatch(ast.unparse(node.value))
        if line and (isinstance(key, ast.Constant) or whole_number(key)) and whole_number(key) <= 0:
            return self._now(parsed(f"{line[1]}[{whole_number(key) - 1}]"), node, NO_METHODS)
        past = whole_number(key) < 0 or (isinstance(key, ast.Constant) and key.value == 0)
        if past and self._notes.counts_back and dotted_name(node.value).startswith("self."):
            series = cast("ast.expr", self.visit(node.value))
            return self._now(ast.Subscript(series, number(whole_number(key) - 1), ast.Load()), node, NO_METHODS)
        if isinstance(node.value, ast.Call) and dotted_name(node.value.func) in TUPLES:
            place = key.value if isinstance(key, ast.Constant) else None
            found = self.outputs(node.value)
            if isinstance(place, int) and found and place < len(found):
                return self._now(found[place], node, NO_METHODS)
        period = key.value if isinstance(key, ast.Constant) and isinstance(key.value, int) else 0
        bare = dotted_name(node.value)
        if period >= _SHORTEST and bare in OPERATORS and bare not in self._notes.names and OPERATORS[bare].constants:
            return self._now(placed(OPERATORS[bare], [], {"period": key}), node, "periods are in round brackets")
        self.generic_visit(node)
        text = key.value.lower() if isinstance(key, ast.Constant) and isinstance(key.value, str) else None
        if text is not None and dotted_name(node.value).split(".")[0] in FRAMES and FIELDS.get(text, text) in COLUMNS:
            return self._now(ast.Name(FIELDS.get(text, text), ast.Load()), node)
        if text is not None and dotted_name(node.value) in FRAMES:
            return self._now(self._column(str(getattr(key, "value", text))), node)
        if isinstance(node.value, ast.Attribute) and node.value.attr in {"iloc", "iat", "loc"}:
            return self._now(ast.Subscript(node.value.value, key, ast.Load()), node)
        if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name):
            return self._output(node, node.value, node.value.func.id, text)
        return node

    def _column(self, text: str) -> ast.expr:
        """A column that the script computed, or the indicator of that name."""
        known = self._notes.columns.get(text)
        if known is not None:
            return ast.Name(known, ast.Load())
        numbered = numbered_meant(text)
        if numbered is not None:
            return numbered
        if output_meant(text):
            return parsed(output_meant(text) or "")
        operator = OPERATORS.get(text.lower()) or OPERATORS.get(meant(text)[0] or "")
        example = None if operator is None else example_of(operator)
        name = re.sub(r"\W+", "_", text).lower()
        return parsed(example) if example else ast.Name(name, ast.Load()) if name.isidentifier() else parsed("close")

    def _output(self, node: ast.Subscript, call: ast.Call, name: str, text: str | None) -> ast.expr:
        operator = OPERATORS.get(name)
        if operator is None:
            return node
        key = node.slice
        if text is not None and numbered_meant(text) is not None:
            part = numbered_meant(text)
            chosen = dotted_name(part.func) if isinstance(part, ast.Call) else name
            if chosen == name or chosen.startswith(f"{name}_"):
                return self._now(ast.Call(ast.Name(chosen, ast.Load()), call.args, call.keywords), node)
            return self._now(part, node) if part is not None else node
        if len(operator.outputs) < 2:
            return node
        place = key.value if isinstance(key, ast.Constant) and isinstance(key.value, int) else None
        names = [o.name for o in operator.outputs]
        short = re.sub(rf"^(?:slow|fast|{name})|band$", "", text) if text is not None else None
        chosen = (
            text
            if text in names
            else names[0]
            if short == ""
            else short
            if short in names
            else names[place]
            if place is not None and 0 <= place < len(names)
            else None
        )
        if chosen is None:
            return node
        return self._now(ast.Call(ast.Name(f"{name}_{chosen}", ast.Load()), call.args, call.keywords), node)

    def outputs(self, node: ast.expr) -> list[ast.expr] | None:
        """The outputs of a call, one expression each, in the order of the tool it comes from."""
        if not isinstance(node, ast.Call) or dotted_name(node.func) not in TUPLES:
            return None
        whole = self.visit(ast.Call(node.func, node.args, node.keywords))
        if not isinstance(whole, ast.Call):
            return None
        made: list[ast.expr] = []
        for name in TUPLES[dotted_name(node.func)]:
            call: ast.expr = ast.Call(ast.Name(name, ast.Load()), whole.args, [])
            made.append(ast.UnaryOp(ast.USub(), call) if name == "supertrend_direction" else call)
        return made

"""Parses source text to Python's syntax tree, restricted to the closed set of forms of the language."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .diagnostics import Findings, TextSpan
from .foreign import reads_newest, translated, translated_expression
from .foreign_words import Notes, written
from .lexer import MAX_LENGTH, SourceText, TextMode, read
from .spoken import our_line, outdented

MAX_DEPTH: Final = 64
MAX_NODES: Final[dict[TextMode, int]] = {"expression": 2_000, "script": 20_000}
_MAX_SYNTAX_ERRORS: Final = 10

_EXPRESSIONS: Final = (
    ast.BoolOp,
    ast.BinOp,
    ast.UnaryOp,
    ast.IfExp,
    ast.Compare,
    ast.Call,
    ast.Constant,
    ast.Subscript,
    ast.Name,
    ast.List,
    ast.Tuple,
    ast.Attribute,
    ast.keyword,
)

ARITHMETIC: Final[dict[type[ast.operator], str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}
COMPARISON: Final[dict[type[ast.cmpop], str]] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
"""The operators of the language by their node, with the name that the dataflow gives them."""

_STATEMENTS: Final = (ast.Assign, ast.Expr, ast.For, ast.Pass)
_GRAMMAR: Final = (ast.operator, ast.boolop, ast.cmpop, ast.unaryop, ast.expr_context)
_KNOWN: Final = {*_EXPRESSIONS, *_STATEMENTS, *(form for kind in _GRAMMAR for form in kind.__subclasses__())}

_REFUSED: Final[dict[type[ast.AST], tuple[str, str]]] = {
    ast.Lambda: ("there are no functions to define", "Write the expression itself"),
    ast.FunctionDef: ("there are no functions to define", "Give an expression a name: `name = expression`"),
    ast.AsyncFunctionDef: ("there are no functions to define", "Give an expression a name: `name = expression`"),
    ast.ClassDef: ("there are no classes", "A script holds assignments, emit_signal and for-loops over tickers"),
    ast.Import: ("nothing can be imported", "All operators are available; see the operators document"),
    ast.ImportFrom: ("nothing can be imported", "All operators are available; see the operators document"),
    ast.While: ("there is no while", "A script already runs on every bar; loop over tickers with `for t in TICKERS:`"),
    ast.If: ("there is no if statement", "Put the condition into emit_signal, or write `a if condition else b`"),
    ast.ListComp: ("there are no comprehensions", "Loop with `for t in TICKERS:`"),
    ast.SetComp: ("there are no comprehensions", "Loop with `for t in TICKERS:`"),
    ast.DictComp: ("there are no comprehensions", "Loop with `for t in TICKERS:`"),
    ast.GeneratorExp: ("there are no comprehensions", "Loop with `for t in TICKERS:`"),
    ast.Starred: ("arguments are not unpacked with `*`", "Write them one by one"),
    ast.NamedExpr: ("a name is given on a line of its own", "Write `name = expression` above"),
    ast.JoinedStr: ("there are no f-strings", "Write the text as it is"),
    ast.AugAssign: ("a name is given once and never changes", "Use another name: `b = a + 1`"),
    ast.AnnAssign: ("names have no annotations", "Write `name = expression`"),
    ast.Return: ("there is nothing to return from", "Hand decisions to emit_signal"),
    ast.Slice: ("a series has no slices", "Use highest, lowest, sum or sma over a number of bars"),
    ast.Assert: ("there is no assert", "Put the condition into emit_signal"),
    ast.Delete: ("there is no del", "A name that is not used costs nothing"),
    ast.Try: ("there is no try", "A missing value makes comparisons false; see nz() and is_missing()"),
    ast.Break: ("there is no break", "A loop runs over all its tickers"),
    ast.Continue: ("there is no continue", "A loop runs over all its tickers"),
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """Statements of the closed set, and their locations. An expression is one `ast.Expr`."""

    statements: list[ast.stmt]
    text: SourceText
    lines: list[str]
    findings: Findings

    def span(self, node: ast.expr | ast.stmt | ast.keyword) -> TextSpan:
        """The location of `node`; its first line if it has several."""
        line, start = node.lineno, self._column(node.lineno, node.col_offset)
        end_line = node.end_lineno if node.end_lineno is not None else line
        if end_line == line and node.end_col_offset is not None:
            return self.text.span(line, start, self._column(line, node.end_col_offset))
        return self.text.span(line, start, len(self.lines[line - 1].rstrip()))

    def source(self, node: ast.expr) -> str:
        """The rewritten text of an expression, on one line."""
        end_line = node.end_lineno or node.lineno
        start = self._column(node.lineno, node.col_offset)
        end = self._column(end_line, node.end_col_offset or 0)
        if end_line == node.lineno:
            return self.lines[node.lineno - 1][start:end]
        inner = self.lines[node.lineno : end_line - 1]
        parts = [self.lines[node.lineno - 1][start:], *inner, self.lines[end_line - 1][:end]]
        return " ".join(part.split("#")[0].strip() for part in parts)

    def _column(self, line: int, offset: int) -> int:
        """A column in characters; `ast` counts UTF-8 bytes."""
        text = self.lines[line - 1]
        return offset if text.isascii() else len(text.encode()[:offset].decode(errors="ignore"))


def parse(source: str, mode: TextMode) -> Parsed:
    """The statements of `source`. Errors so far go to `findings`; the result is then possibly empty."""
    if "\r" in source[: MAX_LENGTH[mode] + 1]:
        source = source.replace("\r\n", "\n").replace("\r", "\n")
    findings = Findings(source if len(source) <= MAX_LENGTH[mode] else "")
    lines = source.split("\n")
    ours = lines
    if len(source) <= MAX_LENGTH[mode]:
        ours = outdented([our_line(line) for line in lines], lines)
    if len("\n".join(ours)) > MAX_LENGTH[mode]:  # the translation would be too long
        ours = lines
    rewritten = {i + 1: ours[i] for i, line in enumerate(lines) if ours[i] != line}
    if any("\n" in line for line in rewritten.values()):
        _told(rewritten, findings)
        return Parsed([], SourceText(""), [""], findings)
    text = read("\n".join(ours) if rewritten and "".join(ours).strip() else source, mode, findings)
    if not text.usable:
        _told(rewritten, findings)
        return Parsed([], text, [""], findings)
    lines = text.source.split("\n")
    parsed = Parsed([], text, lines, findings)
    statements = _statements(parsed, mode)
    nodes = _nodes(statements, parsed, mode)
    if nodes is not None:
        notes = Notes(names=_stored(nodes), counts_back=re.search(r"\bbt\.|self\.[\w.]+\[0\]", source) is not None)
        for statement in statements:
            made = _translated(statement, mode, parsed, rewritten, notes)
            parsed.statements.extend(s for s in made if _closed(s, parsed))
    _told(rewritten, findings)
    return parsed


def _stored(nodes: list[ast.AST]) -> frozenset[str]:
    """Every name that is given a value."""
    return frozenset(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))


def _told(rewritten: dict[int, str], findings: Findings) -> None:
    """Report the lines that were read in translation."""
    for line, ours in rewritten.items():
        span = TextSpan(line, 1, len(findings.lines[line - 1]) + 1)
        if ours.strip():
            choice = "?" in findings.lines[line - 1] and "?" not in ours
            problem = "`?` is not part of the language" if choice else "this line is written as in other tools"
            hint = "; a choice is written `a if condition else b`" if choice else ""
            findings.error(span, problem, f"Write `{ours.strip()}`{hint}", fix=ours)
        else:
            findings.error(span, "this line is not part of a script", "Leave it out", fix="")


def _translated(
    statement: ast.stmt, mode: TextMode, parsed: Parsed, rewritten: dict[int, str], notes: Notes
) -> list[ast.stmt]:
    """A statement in this language. One in another tool's syntax is reported with its translation, which is then
    read."""
    if isinstance(statement, ast.For):
        if isinstance(statement.iter, ast.Call) and isinstance(statement.target, ast.Name):
            loop = f"for {statement.target.id} in TICKERS:"
            line = statement.lineno
            span = TextSpan(line, 1, len(parsed.findings.lines[line - 1]) + 1)
            parsed.findings.error(
                span,
                "a loop runs over tickers; a script already runs on every bar",
                f"Write `{loop}`, or look back with `highest(close, 3)`",
                fix=None if _counts(statement) else " " * statement.col_offset + loop,
            )
            statement.iter = ast.copy_location(ast.Name("TICKERS", ast.Load()), statement.iter)
        statement.body = [
            made for each in statement.body for made in _translated(each, mode, parsed, rewritten, notes)
        ] or [ast.copy_location(ast.Pass(), statement)]
        return [statement]
    notes.reasons = []
    changed = mode == "script" and reads_newest(statement, notes)
    made = translated(statement, notes) if mode == "script" else translated_expression(statement, notes)
    if changed and made is None:
        notes.reasons.append("a name keeps its first value, and the changed value has a name of its own")
        made = [statement]
    if made is None or _unchanged(statement, made, parsed):
        return [statement]
    indent = " " * statement.col_offset if mode == "script" else ""
    ours = f"\n{indent}".join(written(each) for each in made)
    where = statement.value if isinstance(statement, ast.Expr) and mode == "expression" else statement
    last = where.end_lineno or where.lineno
    first = TextSpan(statement.lineno, 1, len(parsed.findings.lines[statement.lineno - 1]) + 1)
    whole = statement.lineno in rewritten or last > statement.lineno
    span = first if whole else parsed.span(where)
    for line in range(statement.lineno, last + 1):
        rewritten.pop(line, None)
        if line > statement.lineno:
            parsed.findings.replace(TextSpan(line, 1, len(parsed.findings.lines[line - 1]) + 1), "")
    fix = f"{indent}{ours}" if whole else ours
    if ours:
        reason = "; ".join(dict.fromkeys(notes.reasons)) or "this is written as in other tools"
        parsed.findings.error(span, reason, f"Write `{ours}`", fix=fix)
    else:
        parsed.findings.error(span, "this line does nothing in a script", "Leave it out", fix=fix.rstrip())
    return made


def _counts(loop: ast.For) -> bool:
    """Whether a loop uses its variable as a number of bars: `close[i]`."""
    name = loop.target.id if isinstance(loop.target, ast.Name) else ""
    places = (n.slice for s in loop.body for n in ast.walk(s) if isinstance(n, ast.Subscript))
    return any(isinstance(n, ast.Name) and n.id == name for place in places for n in ast.walk(place))


def _unchanged(statement: ast.stmt, made: list[ast.stmt], parsed: Parsed) -> bool:
    """Whether a translation is what the script says already."""
    last = statement.end_lineno or statement.lineno
    text = "\n".join(parsed.lines[statement.lineno - 1 : last]).strip()
    try:
        before = ast.parse(text, filename=os.devnull).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return [ast.dump(each) for each in before] == [ast.dump(each) for each in made]


def _statements(parsed: Parsed, mode: TextMode) -> list[ast.stmt]:
    """The result of Python's parser. A rejected line is reported and dropped, and the rest is parsed again.

    The parser looks up a rejected line in the file given as the text's source; that file is empty.
    """
    lines = list(parsed.lines)
    for _ in range(_MAX_SYNTAX_ERRORS):
        try:
            return ast.parse("\n".join(lines), filename=os.devnull).body
        except SyntaxError as error:
            line = min(max(error.lineno or 1, 1), len(lines))
            _report(error, line, parsed)
            if mode == "expression":
                return []
            _leave_out(lines, line, parsed.text.continued)
        except (RecursionError, MemoryError, ValueError):
            parsed.findings.error(TextSpan(1, 1, 2), "the text is nested too deeply to be read", "Give parts a name")
            return []
    return []


def _report(error: SyntaxError, line: int, parsed: Parsed) -> None:
    written = len(parsed.findings.lines)
    if line > written:
        line, error.offset = written, len(parsed.lines[written - 1]) + 1
    text = parsed.lines[line - 1]
    start = min(max((error.offset or 1) - 1, 0), len(text))
    same_line = error.end_lineno in {None, error.lineno}
    end = max(start + 1, (error.end_offset or 0) - 1) if same_line else len(text)
    message = (error.msg or "invalid syntax").strip()
    if "integer string conversion" in message:
        parsed.findings.error(
            parsed.text.span(line, start, end), "this number is too large", "Numbers go up to about 1e308"
        )
        return
    suggestion = "" if "?" in message else "Check the commas, brackets and operators around it"
    parsed.findings.error(parsed.text.span(line, start, end), f"this cannot be read: {message}", suggestion)


def _leave_out(lines: list[str], line: int, continued: set[int]) -> None:
    """Blank a statement, and for the head of a loop also its body. `line` counts from 1."""
    while line in continued:
        line -= 1
    first = lines[line - 1]
    indent = len(first) - len(first.lstrip())
    body = first.lstrip().startswith("for ")
    lines[line - 1] = " " * indent + "pass"
    for later in range(line + 1, len(lines) + 1):
        text = lines[later - 1]
        deeper = not text.strip() or len(text) - len(text.lstrip()) > indent
        if later not in continued and not (body and deeper):
            return
        lines[later - 1] = ""


def _nodes(statements: list[ast.stmt], parsed: Parsed, mode: TextMode) -> list[ast.AST] | None:
    """All nodes of the tree, found without recursion; None, with an error, if they are too many or too deep."""
    nodes: list[ast.AST] = []
    level: list[ast.AST] = list(statements)
    depth = 0
    while level:
        nodes += level
        depth += 1
        if depth > MAX_DEPTH + 2 or len(nodes) > MAX_NODES[mode]:
            where = next((n for n in level if isinstance(n, ast.expr)), None)
            span = parsed.span(where) if where is not None else TextSpan(1, 1, 2)
            rule = (
                f"nested deeper than {MAX_DEPTH} levels"
                if depth > MAX_DEPTH
                else f"larger than {MAX_NODES[mode]:,} parts"
            )
            parsed.findings.error(span, f"the {mode} is {rule}", "Give parts a name, or leave some out")
            return None
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return nodes


def _closed(statement: ast.stmt, parsed: Parsed) -> bool:
    """Whether a statement consists only of known forms; reports unknown ones."""
    good = True
    for node, place in _walk(statement):
        if type(node) in _KNOWN:
            continue
        good = False
        name = type(node).__name__
        message, suggestion = _REFUSED.get(type(node), (f"{name.lower()} is not part of the language", ""))
        parsed.findings.error(parsed.span(place), message, suggestion)
    return good


def _walk(statement: ast.stmt) -> Iterator[tuple[ast.AST, ast.expr | ast.stmt]]:
    """All nodes of a statement, each with the nearest node that has a location; none below a rejected form."""
    stack: list[tuple[ast.AST, ast.expr | ast.stmt]] = [(statement, statement)]
    while stack:
        node, place = stack.pop()
        here = node if isinstance(node, ast.expr | ast.stmt) else place
        yield node, here
        if type(node) not in _REFUSED:
            stack.extend((child, here) for child in ast.iter_child_nodes(node))

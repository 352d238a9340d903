"""Translates scripts in the style of other tools, such as Pine Script, pandas and TA-Lib, to this language.

A statement in another tool's syntax is reported with its translation, and reading continues with the translation.
Expressions within statements are translated in `foreign_expressions`.
"""

from __future__ import annotations

import ast
import re
from typing import Final, cast

from .foreign_expressions import History, Translator, without_arguments
from .foreign_words import ENTER, EXIT_WORDS, FRAMES, LEFT_OUT, LONG_WORDS, SHORT_WORDS, called, dotted_name, parsed
from .operators import OPERATORS
from .values import PERCENT_CALLS, PERCENT_STATE
from .words import VARIABLES


def translated(statement: ast.stmt, reasons: list[str]) -> list[ast.stmt] | None:  # noqa: C901 - one case for each form
    """The translated statement; an empty list if it is dropped, None if it needs no translation.

    Known reasons for the translation are added to `reasons`.
    """
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.Return(value=None):
            return []
        case ast.Expr(value=ast.Constant()):
            return []
        case ast.Expr(value=ast.Call(func=func)) if dotted_name(func).split(".")[0] in LEFT_OUT:
            if dotted_name(func).split(".")[0] != "strategy" or dotted_name(func) == "strategy":
                return []
            return _ordered(reasons, cast("ast.Call", statement.value), statement)
        case ast.Expr(value=ast.Call(func=func) as call) if dotted_name(func) not in {"emit_signal", ""}:
            return _ordered(reasons, call, statement)
        case ast.If():
            return _branched(reasons, statement, None)
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
            return _assigned(reasons, name, value, statement)
        case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
            sum_ = ast.BinOp(ast.Name(name, ast.Load()), op, value)
            return _assigned(reasons, f"{name}_2", sum_, statement)
        case ast.FunctionDef(name=name, args=arguments, body=[*_, ast.Return(value=value)]) if value is not None:
            return _assigned(reasons, name, without_arguments(arguments, value), statement)
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda(args=arguments, body=body)):
            return _assigned(reasons, name, without_arguments(arguments, body), statement)
        case ast.Assign(targets=[ast.List(elts=names)]):
            translator = Translator(reasons)
            value = cast("ast.expr", translator.visit(statement.value))
            return _located([ast.Assign([ast.Tuple(names, ast.Store())], value)], statement)
        case ast.Expr(value=ast.Call(func=ast.Name(id="emit_signal"), args=[*given], keywords=[])) if len(given) in {
            1,
            2,
        }:
            return _emitted(reasons, given, statement)
        case ast.Assign() | ast.Expr():
            return _plain(reasons, statement)
        case _:
            return None


def translated_expression(statement: ast.stmt, reasons: list[str]) -> list[ast.stmt] | None:
    """The translation of a single expression; None if it needs none."""
    return _plain(reasons, statement) if isinstance(statement, ast.Expr) else None


def _located(made: list[ast.stmt], old: ast.stmt) -> list[ast.stmt]:
    return [ast.fix_missing_locations(ast.copy_location(each, old)) for each in made]


def _emitted(reasons: list[str], given: list[ast.expr], statement: ast.stmt) -> list[ast.stmt] | None:
    """A signal without an intent, with an intent in another tool's syntax, or with swapped arguments."""
    translator = Translator(reasons)
    parts = [cast("ast.expr", translator.visit(each)) for each in given]
    changed = translator.changed
    if _is_intent(parts[0]):
        parts, changed = [parts[1] if len(parts) > 1 else parsed("close > open"), parts[0]], True
    if len(parts) == 1:
        reasons.append("emit_signal takes a condition and an intent or a list of them")
        parts, changed = [parts[0], parsed(ENTER)], True
    text = dotted_name(parts[1]).lower()
    if isinstance(parts[1], ast.Constant):
        text = str(parts[1].value).lower()
    if text in LONG_WORDS | SHORT_WORDS | EXIT_WORDS | {"exit", "entry", "close"}:
        reasons.append(f"`{text}` is no intent")
        side = "SHORT" if text in SHORT_WORDS else "LONG"
        order = "exit(TICKER)" if text in EXIT_WORDS | {"exit", "close"} else f'entry(TICKER, "{side}", Weight(0.5))'
        parts, changed = [parts[0], parsed(order)], True
    if not changed:
        return None
    call = cast("ast.expr", History().visit(called("emit_signal", *parts)))
    return _located([ast.Expr(call)], statement)


def _is_intent(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and dotted_name(node.func) in {"entry", "exit", "rebalance", "grid"}


def _plain(reasons: list[str], statement: ast.Assign | ast.Expr) -> list[ast.stmt] | None:
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    name = target.id if isinstance(target, ast.Name) else "length"
    translator = Translator(reasons, name)
    value = cast("ast.expr", translator.visit(statement.value))
    if translator.changed:
        value = cast("ast.expr", History().visit(value))
    if isinstance(statement, ast.Assign):
        column = _column(target)
        if column is not None:
            return _assigned(reasons, column, value, statement)
        if not translator.changed:
            return None
        return _located([ast.Assign(statement.targets, value)], statement)
    return _located([ast.Expr(value)], statement) if translator.changed else None


def _column(target: ast.expr | None) -> str | None:
    """The name of a new column: `df["fast"] = ...`, `self.fast = ...`."""
    match target:
        case ast.Subscript(value=ast.Name(id=frame), slice=ast.Constant(value=str() as text)) if frame in FRAMES:
            name = re.sub(r"\W+", "_", text).lower()
            return name if name.isidentifier() and name not in VARIABLES else f"my_{name}"
        case ast.Attribute(value=ast.Name(id=frame), attr=name) if frame in FRAMES:
            return name if name not in VARIABLES else f"my_{name}"
        case _:
            return None


def _assigned(reasons: list[str], name: str, value: ast.expr, old: ast.stmt) -> list[ast.stmt]:
    translator = Translator(reasons, name)
    made = ast.Assign([ast.Name(name, ast.Store())], cast("ast.expr", translator.visit(value)))
    return _located([made], old)


def _ordered(
    reasons: list[str], call: ast.Call, old: ast.stmt, condition: ast.expr | None = None
) -> list[ast.stmt] | None:
    """A trading call as a signal, with its own `when=` or else an example condition."""
    given = next((k.value for k in call.keywords if k.arg == "when"), None)
    translator = Translator(reasons)
    intent = cast("ast.expr", translator.visit(call))
    known = isinstance(intent, ast.Call) and dotted_name(intent.func) in {"entry", "exit", "rebalance", "grid"}
    if not known:
        return _located([ast.Expr(intent)], old) if translator.changed else None
    if condition is None and given is None:
        reasons.append("an intent alone does nothing")
    when = condition or given or parsed("close > open")
    return _located([ast.Expr(called("emit_signal", cast("ast.expr", translator.visit(when)), intent))], old)


def _branched(reasons: list[str], statement: ast.If, outer: ast.expr | None) -> list[ast.stmt] | None:
    """`if` with orders in it, or with one name given in both branches."""
    match statement:
        case ast.If(body=[ast.Assign(targets=[ast.Name(id=a)], value=yes)], orelse=[ast.Assign(targets=[ast.Name(id=b)], value=no)]) if a == b:  # noqa: E501  # fmt: skip
            return _assigned(reasons, a, ast.IfExp(statement.test, yes, no), statement)
        case _:
            pass
    test = statement.test if outer is None else ast.BoolOp(ast.And(), [outer, statement.test])
    made: list[ast.stmt] = []
    for inner in statement.body:
        match inner:
            case ast.Expr(value=ast.Call(func=ast.Name(id="emit_signal"), args=[condition, intent])):
                both = ast.BoolOp(ast.And(), [test, condition])
                made += _located([ast.Expr(called("emit_signal", both, intent))], statement)
            case ast.Expr(value=ast.Call() as call):
                made += _ordered(reasons, call, statement, test) or []
            case ast.If():
                made += _branched(reasons, inner, test) or []
            case _:
                pass
    against = ast.UnaryOp(ast.Not(), test)
    for inner in statement.orelse:
        match inner:
            case ast.If():
                made += _branched(reasons, inner, outer) or []
            case ast.Expr(value=ast.Call() as call):
                made += _ordered(reasons, call, statement, against) or []
            case _:
                pass
    return made or None


_DECLARED: Final = re.compile(
    r"^(\s*)(?:(?:var|varip|let|const|auto|double|float|int|bool|string|series|simple|final|export)\s+)+(?=[A-Za-z_]\w*\s*:?=[^=])"
)
_TERNARY: Final = re.compile(
    r"^(?P<start>\s*(?:\w+\s*=\s*)?)(?P<test>[^?=][^?]*?)\s*\?\s*(?P<yes>[^:?]+?)\s*:\s*(?P<no>[^:?]+?)\s*$"
)
_PERCENT: Final = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*%(?=\s*(?:[,)\]]|$))")
_COMPARED: Final = re.compile(
    r"(?:^|[(,]|\band|\bor|\bnot)\s*(?P<name>[a-z]\w*)(?:\((?:[^()]|\([^()]*\))*\))?(?:\[[^\]]*\])?"
    r"\s*(?:[<>]=?|[!=]=)\s*-?$"
)
_ARROW: Final = re.compile(r"^\s*(?:f\s*=\s*)?(\w+)\s*\([^)]*\)\s*=>\s*(.+)$")
_SPOKEN_ORDER: Final = re.compile(
    r"^\s*(?:go\s+|enter\s+|open\s+)?(?P<do>buy|sell|long|short|exit|close|enter)\b(?P<what>[^()=]*?)\s+(?:when|if|once|whenever|on)\s+(?P<when>.+?)[.:]?\s*$",
    re.IGNORECASE,
)
_SPOKEN_CONDITION: Final = re.compile(
    r"^\s*(?:if|when|whenever)\s+(?P<when>[^:]+?)\s*(?:,|:|\bthen\b)\s*(?:go\s+|enter\s+|open\s+)?(?P<do>buy|sell|long|short|exit|close)\b[^()]*\.?\s*$",
    re.IGNORECASE,
)
_OPERAND: Final = r"[A-Za-z_][\w.]*(?:\([^()]*(?:\([^()]*\)[^()]*)*\))?(?:\[[^\]]*\])?|\d+(?:\.\d+)?"
_SPOKEN: Final = (
    (re.compile(rf"({_OPERAND})\s+(?:crosses|crossed|cross|crossing)\s+(?:above|over|up|up through)\s+({_OPERAND})"), r"crossover(\1, \2)"),  # noqa: E501
    (re.compile(rf"({_OPERAND})\s+(?:crosses|crossed|cross|crossing)\s+(?:below|under|down|down through)\s+({_OPERAND})"), r"crossunder(\1, \2)"),  # noqa: E501
    (re.compile(rf"({_OPERAND})\s+(?:crosses|crossed|crossing)\s+({_OPERAND})"), r"cross(\1, \2)"),
    (re.compile(r"\s+(?:is\s+|goes\s+|rises\s+|closes\s+|drops\s+|falls\s+)?(?:greater than or equal to|at least|no less than)\s+"), " >= "),  # noqa: E501
    (re.compile(r"\s+(?:is\s+|goes\s+|rises\s+|closes\s+|drops\s+|falls\s+)?(?:less than or equal to|at most|no more than)\s+"), " <= "),  # noqa: E501
    (re.compile(r"\s+(?:is\s+|goes\s+|rises\s+|closes\s+)?(?:greater than|higher than|more than|above|over)\s+"), " > "),  # noqa: E501
    (re.compile(r"\s+(?:is\s+|goes\s+|falls\s+|drops\s+|closes\s+)?(?:less than|lower than|below|under)\s+"), " < "),
    (re.compile(r"\s+(?:is equal to|equals|is exactly)\s+"), " == "),
)  # fmt: skip
_COMMENT: Final = re.compile(r"//\s*[A-Za-z@]\w*[,.:;]?(?:\s+[A-Za-z]|\s*=|\s*$)")
_BARE: Final = re.compile(r"(?<![\w.])(rsi|adx|atr|cci|mfi|willr|stoch_k|obv|macd_line|macd_hist)(?!\s*[\w(.])")
_LONGEST_LINE: Final = 400
"""Characters. Longer lines are not searched for the words of other languages."""

_FENCE: Final = re.compile(r"^\s*(?:```|~~~)")
_TRADED: Final = {"buy": "LONG", "long": "LONG", "enter": "LONG", "short": "SHORT"}


def _spoken(text: str) -> str:
    """A condition in English that contains operators of this language."""
    if not re.search(r"[A-Za-z)\]]\s+[a-z]+\s+", text):
        return text
    out = re.sub(r"\band then\b", "and", text)
    for pattern, ours in _SPOKEN:
        out = pattern.sub(ours, out)
    if out == text:
        return text
    return _BARE.sub(
        lambda m: (
            f"{m[1]}({'close, ' if OPERATORS[m[1]].inputs else ''}14)" if OPERATORS[m[1]].constants else f"{m[1]}()"
        ),
        out,
    )


def _signalled(found: re.Match[str]) -> str:
    when = _spoken(found["when"].strip().rstrip(","))
    when = _BARE.sub(lambda m: f"{m[1]}({'close, ' if OPERATORS[m[1]].inputs else ''}14)", when)
    side = _TRADED.get(found["do"].lower())
    intent = "exit(TICKER)" if side is None else f'entry(TICKER, "{side}", Weight(0.5))'
    return f"emit_signal({when}, {intent})"


def our_line(line: str) -> str:
    """A line with the syntax of other languages replaced; unchanged if it has none."""
    stripped = line.strip()
    if not stripped or len(line) > _LONGEST_LINE or stripped.startswith("#"):
        return line
    if (
        _FENCE.match(line)
        or stripped in {"}", "};", "{", "end", "endif", "pass;"}
        or re.match(r"^import\s.+\sfrom\s", stripped)
    ):
        return ""
    if stripped.startswith("//"):
        return f"{line[: len(line) - len(line.lstrip())]}# {stripped.lstrip('/').strip()}"
    comment = _COMMENT.search(line)
    if comment and '"' not in line[comment.start() :]:
        line = line[: comment.start()].rstrip()
    line = _DECLARED.sub(r"\1", line.replace(":=", "="))
    if line.rstrip().endswith(";"):
        line = line.rstrip().rstrip(";")
    line = _PERCENT.sub(_without_percent, line)
    for pattern in (_SPOKEN_ORDER, _SPOKEN_CONDITION):
        found = pattern.match(line)
        if found:
            return _signalled(found)
    return _block(_lines_of_code(line))


def _without_percent(found: re.Match[str]) -> str:
    """`5%` as the fraction 0.05; beside a value in percent, as in `rsi(close, 14) < 30%`, as the number itself."""
    other = _COMPARED.search(found.string[: found.start()])
    name = other["name"] if other else ""
    scale = {(o.low, o.high) for o in OPERATORS[name].outputs} if name in OPERATORS else set[tuple[float, float]]()
    percent = name in PERCENT_CALLS | PERCENT_STATE or not scale.isdisjoint({(0, 100), (-100, 0), (-100, 100)})
    return f"{float(found[1]) / (1 if percent else 100):g}"


def _lines_of_code(line: str) -> str:
    arrow = _ARROW.match(line)
    if arrow:
        return f"{arrow[1]} = {arrow[2]}"
    choice = _TERNARY.match(line)
    if choice and '"' not in line:
        return f"{choice['start']}{choice['yes']} if {choice['test'].strip()} else {choice['no']}"
    return _spoken(line)


def _block(line: str) -> str:
    """`if` and `else` with the required colon."""
    code = line.rstrip()
    if re.match(r"^\s*\}?\s*else\s*\{?$", code):
        return re.sub(r"\}?\s*else\s*\{?$", "else:", code)
    code = re.sub(r"^(\s*)\}?\s*else if\b", r"\1elif", code)
    if re.match(r"^\s*(?:el)?if\b", code) and not code.endswith(":") and ":" not in code:
        return re.sub(r"\s*(?:\{|\bthen)?$", "", code) + ":"
    return code if code != line.rstrip() else line

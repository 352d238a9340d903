"""Translates scripts in the style of other tools, such as Pine Script, pandas and TA-Lib, to this language.

A statement in another tool's syntax is reported with its translation, and reading continues with the translation.
Expressions within statements are translated in `foreign_expressions`, lines that are not Python in `spoken`.
"""

from __future__ import annotations

import ast
import re
from typing import Final, cast

from .foreign_expressions import History, Translator, without_arguments
from .foreign_words import (
    ENTER,
    EXIT_WORDS,
    FRAMES,
    LEFT_OUT,
    LONG_WORDS,
    SHORT_WORDS,
    SIDES,
    Notes,
    called,
    dotted_name,
    parsed,
    whole_number,
)
from .words import FORMS, VARIABLES


def translated(statement: ast.stmt, notes: Notes) -> list[ast.stmt] | None:  # noqa: C901 - one case for each form
    """The translated statement; an empty list if it is dropped, None if it needs no translation.

    Known reasons for the translation are added to `notes`.
    """
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.Return(value=None) | ast.Return(value=ast.Name() | ast.Tuple()):
            return []
        case ast.Return(value=value) if value is not None:
            return _signalled(notes, value, statement, None) or _entered(notes, value, statement)
        case ast.ClassDef():
            return _flattened(notes, statement.body)
        case ast.FunctionDef() if statement.name in _FRAMEWORK or _does_something(statement.body):
            return _flattened(notes, statement.body)
        case ast.Expr(value=ast.Constant()):
            return []
        case ast.Expr(value=ast.Call() as call) | ast.Assign(value=ast.Call() as call) if dotted_name(
            call.func
        ).endswith("from_signals"):
            return _from_signals(call, statement)
        case ast.Expr(value=ast.Call(func=func)) if dotted_name(func).split(".")[0] in LEFT_OUT:
            if dotted_name(func).split(".")[0] != "strategy" or dotted_name(func) == "strategy":
                return []
            return _ordered(notes, cast("ast.Call", statement.value), statement)
        case ast.Expr(value=ast.Call(func=func) as call) if dotted_name(func) not in {"emit_signal", ""}:
            return _ordered(notes, call, statement)
        case ast.If():
            return _branched(notes, statement, None)
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
            return _assigned(notes, name, value, statement)
        case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
            before = notes.newest.get(name, name)
            notes.newest[name] = f"{name}_{int(before[len(name) + 1 :] or 1) + 1}"
            return _assigned(notes, notes.newest[name], ast.BinOp(ast.Name(before, ast.Load()), op, value), statement)
        case ast.FunctionDef(name=name, args=arguments, body=[*_, ast.Return(value=value)]) if value is not None:
            return _assigned(notes, name, without_arguments(arguments, value), statement)
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda(args=arguments, body=body)):
            return _assigned(notes, name, without_arguments(arguments, body), statement)
        case ast.Assign(targets=[ast.List(elts=names) | ast.Tuple(elts=names)], value=value) if outputs := Translator(
            notes
        ).outputs(value):
            pairs = zip(names, outputs, strict=False)
            made = [(n.id, v) for n, v in pairs if isinstance(n, ast.Name) and n.id != "_"]
            return [each for name, v in made for each in _assigned(notes, name, v, statement)]
        case ast.Assign(targets=[ast.Name(id="params")], value=value):
            return _parameters(notes, value, statement)
        case ast.Assign(targets=[target]) if _sets_column(statement):
            return _located_signal(notes, cast("ast.Subscript", target), statement)
        case ast.Assign(targets=[ast.List(elts=names)]):
            translator = Translator(notes)
            value = cast("ast.expr", translator.visit(statement.value))
            return _located([ast.Assign([ast.Tuple(names, ast.Store())], value)], statement)
        case ast.Expr(value=ast.Call(func=ast.Name(id="emit_signal"), args=[*given], keywords=named)) if (
            0 < len(given) + len(named) <= 4
        ):
            return _emitted(notes, [*given, *(k.value for k in named)], statement, changed=bool(named))
        case ast.Assign() | ast.Expr():
            return _plain(notes, statement)
        case _:
            return None


def _from_signals(call: ast.Call, statement: ast.stmt) -> list[ast.stmt]:
    """`from_signals(close, entries, exits)`."""
    given = [*call.args[1:3], *(k.value for k in call.keywords if k.arg in {"entries", "exits"})]
    orders = ('entry(TICKER, "LONG", Weight(0.5))', "exit(TICKER)")
    pairs = zip(given, orders, strict=False)
    return _located([ast.Expr(called("emit_signal", each, parsed(order))) for each, order in pairs], statement)


_MEANT_ORDERS: Final = re.compile(
    r"(?:my_)?(?:(?:enter|entry|entries|buy|long|go_?long|exit|exits|sell|close|cover|short)(?:_?(?:long|short|signal|signals|"
    r"condition|cond|rule|when|entry|exit))*)",
    re.IGNORECASE,
)


def emissions_meant(statements: list[ast.stmt]) -> list[str]:
    """Signals for names such as `enter_long` and `exit_condition`, in a script that never emits one."""
    made: list[str] = []
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if _MEANT_ORDERS.fullmatch(name) and not _chosen(
                value
            ):
                if not isinstance(value, ast.Compare | ast.BoolOp | ast.Call | ast.Name | ast.UnaryOp):
                    continue
                leaves = re.match(r"(?:my_)?(?:exit|sell|close|cover)", name, re.IGNORECASE)
                side = "SHORT" if "short" in name.lower() else "LONG"
                order = "exit(TICKER)" if leaves else f'entry(TICKER, "{side}", Weight(0.5))'
                made.append(f"emit_signal({name}, {order})")
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.IfExp() | ast.Call() as choice) if re.search(
                r"signal|position", name, re.IGNORECASE
            ):
                made += _chosen(choice)
            case _:
                pass
    return made


def _chosen(choice: ast.expr) -> list[str]:
    """`1 if a else -1 if b else 0`, `where(a, 1, where(b, -1, 0))`."""
    made: list[str] = []
    before = ""
    node = choice
    while True:
        if isinstance(node, ast.Call) and dotted_name(node.func) == "where" and len(node.args) == 3:
            node = ast.IfExp(*node.args)
        if not isinstance(node, ast.IfExp):
            break
        test = ast.unparse(node.test)
        place = whole_number(node.body)
        if place:
            order = 'entry(TICKER, "LONG", Weight(0.5))' if place > 0 else "exit(TICKER)"
            made.append(f"emit_signal({before}{test}, {order})")
        before += f"not ({test}) and "
        node = node.orelse
    if made and whole_number(node):
        order = 'entry(TICKER, "LONG", Weight(0.5))' if whole_number(node) > 0 else "exit(TICKER)"
        made.append(f"emit_signal({before.removesuffix(' and ')}, {order})")
    return made


def translated_expression(statement: ast.stmt, notes: Notes) -> list[ast.stmt] | None:
    """The translation of a single expression; None if it needs none."""
    return _plain(notes, statement) if isinstance(statement, ast.Expr) else None


def _located(made: list[ast.stmt], old: ast.stmt) -> list[ast.stmt]:
    return [ast.fix_missing_locations(ast.copy_location(each, old)) for each in made]


_FRAMEWORK: Final = frozenset(
    {"__init__", "init", "initialize", "next", "on_bar", "on_data", "OnData", "handle_data", "OnTick", "Initialize"}
)
"""Functions of other tools whose bodies run on each bar, or once at the start."""

_SIGNALS: Final = {1: "LONG", -1: "SHORT", 2: "LONG"}
_ORDER_COLUMNS: Final = re.compile(r"(?:enter|entry|exit|buy|sell|signal|position|long|short)(?:_\w+)?", re.IGNORECASE)


def _flattened(notes: Notes, body: list[ast.stmt]) -> list[ast.stmt] | None:
    """The statements of a class or function, one after the other."""
    made: list[ast.stmt] = []
    for inner in body:
        if isinstance(inner, ast.Pass) or (isinstance(inner, ast.Return) and isinstance(inner.value, ast.Constant)):
            continue
        found = translated(inner, notes)
        made += [inner] if found is None else found
    return made or None


def _does_something(body: list[ast.stmt]) -> bool:
    """Whether a function does more than compute one value: it trades, or gives names and columns a value."""
    gives_back = isinstance(body[-1], ast.Return) and not isinstance(body[-1].value, ast.Name | ast.Tuple | None)
    named = any(isinstance(n, ast.Assign) for n in body) and not gives_back
    return named or any(isinstance(n, ast.If) or _sets_column(n) for n in body)


def _parameters(notes: Notes, value: ast.expr, old: ast.stmt) -> list[ast.stmt] | None:
    """`params = dict(fast=10)` or `(("fast", 10),)` as one name each."""
    pairs: list[tuple[str, ast.expr]] = []
    match value:
        case ast.Call(func=ast.Name(id="dict"), keywords=keywords):
            pairs = [(str(k.arg), k.value) for k in keywords]
        case ast.Dict(keys=keys, values=values):
            pairs = [(str(k.value), v) for k, v in zip(keys, values, strict=True) if isinstance(k, ast.Constant)]
        case ast.Tuple(elts=elements):
            rows = [e.elts for e in elements if isinstance(e, ast.Tuple) and len(e.elts) == 2]
            pairs = [(str(k.value), v) for k, v in rows if isinstance(k, ast.Constant)]
        case _:
            return None
    return [made for name, each in pairs for made in _assigned(notes, name, each, old, column=name)]


def _sets_column(statement: ast.stmt) -> bool:
    """`df.loc[condition, "enter_long"] = 1`."""
    match statement:
        case ast.Assign(targets=[ast.Subscript(value=ast.Attribute(attr="loc"), slice=ast.Tuple(elts=[_, _]))]):
            return True
        case _:
            return False


def _located_signal(notes: Notes, target: ast.Subscript, statement: ast.Assign) -> list[ast.stmt] | None:
    condition, column = cast("ast.Tuple", target.slice).elts
    names = column.elts if isinstance(column, ast.List | ast.Tuple) else [column]
    name = str(names[0].value) if isinstance(names[0], ast.Constant) else ""
    values = statement.value.elts if isinstance(statement.value, ast.Tuple) else [statement.value]
    if not _ORDER_COLUMNS.fullmatch(name) or whole_number(values[0]) == 0:
        return None
    word = name.lower()
    if word in {"signal", "position", "signals"}:
        return _signalled(notes, values[0], statement, condition)
    return _ordered(notes, called(_order_word(word)), statement, condition)


def _order_word(column: str) -> str:
    """The trading call for a column or a name such as `enter_long`."""
    leaves = re.match(r"exit|sell|close|cover", column)
    return "exit_long" if leaves else "enter_short" if "short" in column else "enter_long"


def _signalled(notes: Notes, value: ast.expr, old: ast.stmt, condition: ast.expr | None) -> list[ast.stmt] | None:
    """`return "buy"`, `signal = -1`: an order in the shape of a value."""
    text = str(value.value).lower() if isinstance(value, ast.Constant) else ""
    side = _SIGNALS.get(whole_number(value))
    if text in LONG_WORDS or (side == "LONG" and text != "true"):
        return _ordered(notes, called("enter_long"), old, condition)
    if text in SHORT_WORDS:
        return _ordered(notes, called("enter_short"), old, condition)
    if text in EXIT_WORDS or text == "exit" or side == "SHORT":
        return _ordered(notes, called("exit_long"), old, condition)
    return None


def _entered(notes: Notes, value: ast.expr, old: ast.stmt) -> list[ast.stmt] | None:
    if not isinstance(value, ast.Compare | ast.BoolOp | ast.Call):
        return None
    return _ordered(notes, called("enter_long"), old, value)


def reads_newest(statement: ast.stmt, notes: Notes) -> bool:
    """Let a statement read names that were changed above by their newest names; whether it reads any."""
    if not notes.newest:
        return False
    old = [n for n in ast.walk(statement) if isinstance(n, ast.Name) and n.id in notes.newest]
    old = [n for n in old if isinstance(n.ctx, ast.Load)]
    for name in old:
        name.id = notes.newest[name.id]
    return bool(old)


def _emitted(
    notes: Notes, given: list[ast.expr], statement: ast.stmt, *, changed: bool = False
) -> list[ast.stmt] | None:
    """A signal without an intent, with an intent in another tool's syntax, or with swapped arguments."""
    translator = Translator(notes)
    parts = [cast("ast.expr", translator.visit(each)) for each in given]
    changed = changed or translator.changed
    if len(parts) > 2:
        return _several(notes, parts, statement)
    named = {name.lower() for name in notes.names}
    if (
        len(parts) == 2
        and _word(parts[0]) not in named
        and _word(parts[0]) in LONG_WORDS | SHORT_WORDS | EXIT_WORDS | {"exit", "entry", "close"}
    ):
        parts, changed = parts[::-1], True
    if _is_intent(parts[0]):
        parts, changed = [parts[1] if len(parts) > 1 else parsed("True"), parts[0]], True
    if len(parts) == 1:
        notes.reasons.append("emit_signal takes a condition and an intent or a list of them")
        parts, changed = [parts[0], parsed(ENTER)], True
    text = _word(parts[1])
    if text not in named and text in LONG_WORDS | SHORT_WORDS | EXIT_WORDS | {"exit", "entry", "close"}:
        notes.reasons.append(f"`{text}` is no intent")
        side = "SHORT" if text in SHORT_WORDS else "LONG"
        order = "exit(TICKER)" if text in EXIT_WORDS | {"exit", "close"} else f'entry(TICKER, "{side}", Weight(0.5))'
        parts, changed = [parts[0], parsed(order)], True
    if not changed:
        return None
    call = cast("ast.expr", History().visit(called("emit_signal", *parts)))
    return _located([ast.Expr(call)], statement)


def _word(node: ast.expr) -> str:
    return str(node.value).lower() if isinstance(node, ast.Constant) else dotted_name(node).lower()


def _several(notes: Notes, parts: list[ast.expr], statement: ast.stmt) -> list[ast.stmt] | None:
    """`emit_signal(condition, "LONG", 0.5)` in any order, or a signal with several intents."""
    if all(_is_intent(each) for each in parts[1:]):
        notes.reasons.append("several intents are one list")
        both = called("emit_signal", parts[0], ast.List(parts[1:], ast.Load()))
        return _located([ast.Expr(both)], statement)
    sides = [each for each in parts if _word(each).upper() in SIDES]
    sizes = [p for p in parts if (isinstance(p, ast.Constant) and isinstance(p.value, int | float)) or _is_size(p)]
    rest = [p for p in parts if p not in sides and p not in sizes and _word(p) not in {"entry", "enter", "open"}]
    if len(sides) != 1 or len(sizes) != 1 or len(rest) != 1 or _is_intent(rest[0]):
        return None
    notes.reasons.append("side and size are arguments of entry")
    size = sizes[0] if isinstance(sizes[0], ast.Call) else called("Weight", sizes[0])
    intent = called("entry", ast.Name("TICKER", ast.Load()), ast.Constant(SIDES[_word(sides[0]).upper()]), size)
    return _located([ast.Expr(called("emit_signal", rest[0], intent))], statement)


def _is_size(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and dotted_name(node.func) in {"Weight", "Notional", "Amount", "Risk"}


def _is_intent(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and dotted_name(node.func) in {"entry", "exit", "rebalance", "grid"}


def _plain(notes: Notes, statement: ast.Assign | ast.Expr) -> list[ast.stmt] | None:
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    name = target.id if isinstance(target, ast.Name) else "length"
    translator = Translator(notes, name)
    value = cast("ast.expr", translator.visit(statement.value))
    if translator.changed:
        value = cast("ast.expr", History().visit(value))
        if isinstance(target, ast.Name) and isinstance(value, ast.Name) and value.id == target.id:
            return []
    if isinstance(statement, ast.Assign):
        column = _column(target)
        if column is not None:
            own = target.attr if isinstance(target, ast.Attribute) else _word(cast("ast.Subscript", target).slice)
            return _assigned(notes, column, value, statement, column=own)
        if _is_crossing(value) and name != "length":
            notes.crossings[name] = cast("ast.Call", value)
        if not translator.changed:
            return None
        return _located([ast.Assign(statement.targets, value)], statement)
    return _located([ast.Expr(value)], statement) if translator.changed else None


def _column(target: ast.expr | None) -> str | None:
    """The name of a new column: `df["fast"] = ...`, `self.fast = ...`."""
    match target:
        case ast.Subscript(value=ast.Name(id=frame), slice=ast.Constant(value=str() as text)) if frame in FRAMES:
            name = re.sub(r"\W+", "_", text).lower()
            return name if name.isidentifier() and name not in _TAKEN else f"my_{name}"
        case ast.Attribute(value=ast.Name(id=frame), attr=name) if frame in FRAMES:
            return name if name not in _TAKEN else f"my_{name}"
        case _:
            return None


_TAKEN: Final = {*VARIABLES, *FORMS}


def _is_crossing(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and dotted_name(value.func) in {"crossover", "crossunder"}


def _assigned(notes: Notes, name: str, value: ast.expr, old: ast.stmt, *, column: str | None = None) -> list[ast.stmt]:
    """A name with a translated value. `column` is its name in the other tool, by which later lines read it."""
    translator = Translator(notes, name)
    value = cast("ast.expr", translator.visit(value))
    value = cast("ast.expr", History().visit(value)) if translator.changed else value
    if dotted_name(value) == name:
        return []
    if column is not None:
        notes.columns[column] = name
    if _is_crossing(value):
        notes.crossings[name] = cast("ast.Call", value)
    return _located([ast.Assign([ast.Name(name, ast.Store())], value)], old)


def _ordered(notes: Notes, call: ast.Call, old: ast.stmt, condition: ast.expr | None = None) -> list[ast.stmt] | None:
    """A trading call as a signal, with its own `when=` or else on every bar, as the call stands there."""
    if dotted_name(call.func) == "AddOrder" and len(call.args) >= 2:
        word = dotted_name(call.args[0]).rsplit(".", 1)[-1].lower()
        return _ordered(notes, called(_order_word("exit" if "close" in word else word.replace("sell", "short"))), old,
                        call.args[1])  # fmt: skip
    if dotted_name(call.func) == "entry" and call.args and isinstance(call.args[0], ast.Compare | ast.BoolOp):
        notes.reasons.append("the condition is the first argument of emit_signal")
        intent = ast.Call(call.func, [ast.Name("TICKER", ast.Load()), *call.args[1:]], call.keywords)
        return _ordered(notes, intent, old, call.args[0])
    given = next((k.value for k in call.keywords if k.arg == "when"), None)
    translator = Translator(notes)
    intent = cast("ast.expr", translator.visit(call))
    known = isinstance(intent, ast.Call) and dotted_name(intent.func) in {"entry", "exit", "rebalance", "grid"}
    if not known:
        return _located([ast.Expr(intent)], old) if translator.changed else None
    if condition is None and given is None:
        notes.reasons.append("an intent alone does nothing")
    when = condition or given or parsed("True")
    return _located([ast.Expr(called("emit_signal", cast("ast.expr", translator.visit(when)), intent))], old)


def _branched(notes: Notes, statement: ast.If, outer: ast.expr | None) -> list[ast.stmt] | None:
    """`if` with orders in it, or with one name given in both branches."""
    match statement:
        case ast.If(body=[ast.Assign(targets=[ast.Name(id=a)], value=yes)], orelse=[ast.Assign(targets=[ast.Name(id=b)], value=no)]) if a == b:  # noqa: E501  # fmt: skip
            return _assigned(notes, a, ast.IfExp(statement.test, yes, no), statement)
        case _:
            pass
    if any(isinstance(n, ast.Assign) and _EXIT_NAMES.search(ast.unparse(n.targets[0])) for n in statement.body):
        return None
    test = statement.test if outer is None else ast.BoolOp(ast.And(), [outer, statement.test])
    made: list[ast.stmt] = []
    for inner in statement.body:
        made += _under(notes, inner, statement, test)
    against: ast.expr = ast.UnaryOp(ast.Not(), statement.test)
    against = against if outer is None else ast.BoolOp(ast.And(), [outer, against])
    for inner in statement.orelse:
        made += _under(notes, inner, statement, against)
    return made if any(isinstance(each, ast.Expr) for each in made) else None


_EXIT_NAMES: Final = re.compile(r"stop|profit|target|\bsl\b|\btp\b", re.IGNORECASE)
"""Names whose value belongs into the entry; a translation without it would trade without a stop."""


def _under(notes: Notes, inner: ast.stmt, old: ast.stmt, test: ast.expr) -> list[ast.stmt]:
    """A statement below `if`, under its test. Names are values, which need no test."""
    match inner:
        case ast.Expr(value=ast.Call(func=ast.Name(id="emit_signal"), args=[condition, intent])):
            parts = [test, cast("ast.expr", Translator(notes).visit(condition))]
            whole = isinstance(condition, ast.Constant) and condition.value is True
            both = cast("ast.expr", Translator(notes).visit(test if whole else ast.BoolOp(ast.And(), parts)))
            return _located([ast.Expr(called("emit_signal", both, intent))], old)
        case ast.Expr(value=ast.Call(func=ast.Name(id="emit_signal"), args=[ast.Constant() as said])):
            return _signalled(notes, said, old, test) or []
        case ast.Expr(value=ast.Call() as call):
            return _ordered(notes, call, old, test) or []
        case ast.If():
            return _branched(notes, inner, test) or []
        case ast.Return(value=value) if value is not None:
            return _signalled(notes, value, old, test) or []
        case ast.Assign(targets=[target], value=value) if re.search(
            r"signal|position|action|order", ast.unparse(target), re.IGNORECASE
        ):
            return _signalled(notes, value, old, test) or []
        case ast.Assign():
            return translated(inner, notes) or [inner]
        case _:
            return []

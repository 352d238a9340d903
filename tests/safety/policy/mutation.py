"""Puts small faults into the policy, one at a time, and checks that some test notices each of them.

python -m tests.safety.policy.mutation [--only policy/conduct] [--kind comparison] [--report FILE]

Each fault runs in a separate process, forked from one that has imported everything but the safety layer. Faults in
texts are left out; the committed refusals watch those.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final, cast

ROOT: Final = Path(__file__).parents[3]
TARGETS: Final = (
    "policy/case",
    "policy/orders",
    "policy/account",
    "policy/conduct",
    "policy/publishing",
    "policy/evaluation",
    "policy/limits",
    "policy/explain",
    "terms/intent",
)
TESTS: Final = (
    "test_states",
    "test_intent_ids",
    "test_rules_at_their_limits",
    "test_refusals",
    "test_suggestions",
    "test_publishing",
    "test_webhook_addresses",
    "test_number_smuggling",
    "test_tightening",
    "test_stated_values",
)
LAWS: Final = "test_policy_laws"
ABOUT_LAWS: Final = ("policy/evaluation", "policy/limits", "policy/case")
"""Left to the tests of laws, after all quicker tests have passed."""
ORDERS: Final = 800
EVERYTHING_ELSE: Final = ("hypothesis", "pydantic", "pytest", "api.arena", "api.live", "api.orders", "api.symbols")
PATIENCE: Final = 240
"""Seconds after which a fault counts as noticed, because it caused an endless loop."""

_COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_NAMES: Final = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "ROUND_DOWN": "ROUND_UP",
    "ROUND_UP": "ROUND_DOWN",
    "ROUND_FLOOR": "ROUND_CEILING",
    "ROUND_CEILING": "ROUND_FLOOR",
}


@dataclass(frozen=True)
class Fault:
    """One change to one module."""

    module: str
    line: int
    kind: str
    what: str
    tree: ast.Module

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.kind}: {self.what}"


NONE: Final = Fault(
    "terms/intent", 0, "none", "nothing", ast.parse((ROOT / "safety" / "terms" / "intent.py").read_text())
)


def faults(module: str) -> Iterator[Fault]:
    """Every fault of a module, in line order."""
    source = ast.parse((ROOT / "safety" / f"{module}.py").read_text())
    places = [node for node in ast.walk(source) if isinstance(node, ast.expr | ast.stmt)]
    unwanted = {id(inner) for node in places for inner in _texts_and_types(node)}
    for index, node in enumerate(places):
        if id(node) in unwanted:
            continue
        for kind, what, change in _changes(node):
            changed = copy.deepcopy(source)
            target = [inner for inner in ast.walk(changed) if isinstance(inner, ast.expr | ast.stmt)][index]
            change(target)
            yield Fault(module, node.lineno, kind, what, ast.fix_missing_locations(changed))


def _texts_and_types(node: ast.expr | ast.stmt) -> Iterator[ast.AST]:
    """The inside of formatted texts, annotations and class decorators, which are not mutated."""
    skipped: list[ast.AST | None] = []
    if isinstance(node, ast.JoinedStr):
        skipped.append(node)
    elif isinstance(node, ast.AnnAssign):
        skipped.append(node.annotation)
    elif isinstance(node, ast.ClassDef):
        skipped += [*node.decorator_list, *(keyword.value for keyword in node.keywords)]
    elif isinstance(node, ast.FunctionDef):
        arguments = [*node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        skipped += [node.returns, *(argument.annotation for argument in arguments if argument is not None)]
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id[0].isupper():
        skipped.append(node)
    for inner in skipped:
        if inner is not None:
            yield from ast.walk(inner)


Change = tuple[str, str, Callable[[Any], object]]


def _changes(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Compare):
        yield from _compared(node)
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "logic", f"{_short(node)} with {type(other).__name__.lower()}", lambda n: setattr(n, "op", other)
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        swapped = _ARITHMETIC[type(node.op)]
        yield "arithmetic", f"{_short(node)} with {swapped.__name__}", lambda n: setattr(n, "op", swapped())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "logic", f"{_short(node)} without not", lambda n: setattr(n, "op", _Same())
    elif isinstance(node, ast.Name) and node.id in _NAMES and isinstance(node.ctx, ast.Load):
        yield "name", f"{node.id} becomes {_NAMES[node.id]}", lambda n: setattr(n, "id", _NAMES[n.id])
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "deny":
        yield "name", f"{_short(node.args[0])} asks a human instead", _asking
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int):
        yield from _constants(node)
    elif isinstance(node, ast.If | ast.IfExp):
        yield "branch", f"if {_short(node.test)} is always taken", lambda n: setattr(n, "test", ast.Constant(True))
        yield "branch", f"if {_short(node.test)} is never taken", lambda n: setattr(n, "test", ast.Constant(False))
    elif isinstance(node, ast.Return) and node.value is not None and not _is_falsy(node.value):
        yield "return", f"return None for {_short(node.value)}", lambda n: setattr(n, "value", ast.Constant(None))


class _Same(ast.UAdd):
    """A marker: `not x` becomes `bool(x)`, written `(x)`."""


def _compared(node: ast.Compare) -> Iterator[Change]:
    for place, operator in enumerate(node.ops):
        for other in _COMPARISONS[type(operator)]:

            def change(n: ast.Compare, place: int = place, other: type[ast.cmpop] = other) -> None:
                n.ops[place] = other()

            yield "comparison", f"{_short(node)} with {other.__name__}", change


def _constants(node: ast.Constant) -> Iterator[Change]:
    if isinstance(node.value, bool):
        yield "constant", f"{node.value} flipped", lambda n: setattr(n, "value", not n.value)
    else:
        yield "constant", f"{node.value} plus one", lambda n: setattr(n, "value", n.value + 1)


def _asking(node: ast.Call) -> None:
    node.func = ast.Name("require", ast.Load())
    node.args = node.args[:1]


def _is_falsy(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not node.value


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 90 else f"{text[:87]}..."


class _WithoutNot(ast.NodeTransformer):
    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, _Same):
            return ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
        return node


class Faulty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module with a fault."""

    def __init__(self, fault: Fault) -> None:
        self.name = f"safety.{fault.module.replace('/', '.')}"
        self.path = str(ROOT / "safety" / f"{fault.module}.py")
        tree = ast.fix_missing_locations(_WithoutNot().visit(fault.tree))
        self.code: CodeType = compile(cast("ast.Module", tree), self.path, "exec")

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Only this module."""
        del path, target
        return importlib.util.spec_from_loader(fullname, self, origin=self.path) if fullname == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        """Run it."""
        exec(self.code, module.__dict__)  # noqa: S102 - our own source, with one change


def noticed(module_at_fault: str) -> str | None:
    """The name of the first test that fails, or `None`. Runs in a process that has the fault."""
    found = _failing(TESTS)
    if found is None:
        try:
            differential = importlib.import_module("tests.safety.policy.differential")
            if differential.compare(1, ORDERS, len)[0]:
                return "oracle"
        except Exception:  # noqa: BLE001 - a fault may show in any way
            return "oracle"
    if found is None and module_at_fault in ABOUT_LAWS:
        return _failing((LAWS,))
    return found


def _failing(names: Sequence[str]) -> str | None:
    for name in names:
        try:
            module = importlib.import_module(f"tests.safety.policy.{name}")
        except Exception:  # noqa: BLE001 - a fault may show in any way
            return f"import of {name}"
        for test, function in list(vars(module).items()):
            if not test.startswith("test_") or _is_slow(function):
                continue
            for arguments in _rows(function):
                try:
                    function(**arguments)
                except Exception:  # noqa: BLE001 - a fault may show in any way
                    return test
                except BaseException as error:
                    if type(error).__name__ in {"Failed", "FlakyFailure"}:
                        return test
                    raise
    return None


def _is_slow(function: Any) -> bool:
    return any(mark.name == "slow" for mark in getattr(function, "pytestmark", []))


def _rows(function: Any) -> Iterator[dict[str, Any]]:
    """Every set of arguments of `pytest.mark.parametrize`."""
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    choices: list[list[dict[str, Any]]] = []
    for mark in marks:
        names = [n.strip() for n in mark.args[0].split(",")] if isinstance(mark.args[0], str) else list(mark.args[0])
        rows = [row if len(names) > 1 else (row,) for row in mark.args[1]]
        choices.append([dict(zip(names, row, strict=True)) for row in rows])
    for chosen in product(*choices):
        yield {name: value for row in chosen for name, value in row.items()}


def survives(fault: Fault) -> bool:
    """Whether no test notices."""
    child = os.fork()
    if child == 0:
        os._exit(_trial(fault))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _trial(fault: Fault) -> int:
    """In the child: 0 when no test noticed."""
    signal.alarm(PATIENCE)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    try:
        sys.meta_path.insert(0, Faulty(fault))
        return 1 if noticed(fault.module) else 0
    except BaseException:  # noqa: BLE001 - the parent reads the exit code alone
        return 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=TARGETS)
    parser.add_argument("--kind", action="append")
    parser.add_argument("--report", type=Path)
    asked = parser.parse_args(arguments)
    for name in EVERYTHING_ELSE:
        importlib.import_module(name)
    begun = time.perf_counter()
    if not survives(NONE):
        sys.stdout.write("the tests fail without any fault\n")
        return 2
    found = [fault for module in asked.only or TARGETS for fault in faults(module)]
    found = [fault for fault in found if not asked.kind or fault.kind in asked.kind]
    survivors: list[Fault] = []
    for fault in found:
        if survives(fault):
            survivors.append(fault)
            sys.stdout.write(f"survived  {fault}\n")
            sys.stdout.flush()
    compared = [fault for fault in survivors if fault.kind == "comparison"]
    percent = round(100 * (1 - len(survivors) / len(found)), 2)
    report = {
        "faults": len(found),
        "noticed": len(found) - len(survivors),
        "percent": percent,
        "comparisons": sum(fault.kind == "comparison" for fault in found),
        "comparisons_not_noticed": len(compared),
        "survivors": [str(fault) for fault in survivors],
        "seconds": round(time.perf_counter() - begun, 1),
    }
    text = json.dumps(report, indent=2)
    sys.stdout.write(text + "\n")
    if asked.report is not None:
        with contextlib.suppress(OSError):
            asked.report.write_text(text + "\n")
    return 0 if not compared and percent >= 95 else 1


if __name__ == "__main__":
    sys.exit(main())

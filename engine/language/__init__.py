"""The Signal DSL: expressions and scripts over candles, checked and compiled, never executed as Python.

The import loads neither NumPy nor TA-Lib; only running a script or expression does.
"""

from __future__ import annotations

from .catalogue import Catalogue, catalogue
from .compile import CompiledScript, ScriptReport, check_script, compile_script, script_parameters
from .diagnostics import DslError, SourceDiagnostic
from .expressions import CheckedExpression, ExpressionKind, ExpressionValue, check_expression, evaluate
from .script import ScriptContext
from .values import ScriptParameter

__all__ = [
    "Catalogue",
    "CheckedExpression",
    "CompiledScript",
    "DslError",
    "ExpressionKind",
    "ExpressionValue",
    "ScriptContext",
    "ScriptParameter",
    "ScriptReport",
    "SourceDiagnostic",
    "catalogue",
    "check_expression",
    "check_script",
    "compile_script",
    "evaluate",
    "script_parameters",
]

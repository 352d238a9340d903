"""The Signal DSL: expressions and scripts over candles, checked and compiled, never executed as Python.

Importing this loads neither NumPy nor TA-Lib; running something does.
"""

from __future__ import annotations

from .catalogue import Catalogue, catalogue
from .diagnostics import Diagnostic, DslError
from .expressions import CheckedExpression, ExpressionKind, ExpressionValue, check_expression, evaluate, required_bars

__all__ = [
    "Catalogue",
    "CheckedExpression",
    "Diagnostic",
    "DslError",
    "ExpressionKind",
    "ExpressionValue",
    "catalogue",
    "check_expression",
    "evaluate",
    "required_bars",
]

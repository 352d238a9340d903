"""Warm-up lengths as text, so that the documents can print the very formula that the engine computes with."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

_BINARY: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
}
_FUNCTIONS: Final[dict[str, Callable[..., float]]] = {"max": max, "sqrt": math.sqrt, "floor": math.floor}


@lru_cache(maxsize=512)
def _tree(formula: str) -> ast.expr:
    return ast.parse(formula, mode="eval").body


def compute(formula: str, constants: Mapping[str, float]) -> int:
    """The value of one of our own formulas (`max(fast, slow) + signal - 2`) for an operator's constants, in bars."""
    return int(_compute(_tree(formula), constants))


def _compute(node: ast.expr, constants: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() as number):
            return number
        case ast.Name(id=name):
            return constants[name]
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_compute(left, constants), _compute(right, constants))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _FUNCTIONS[name](*(_compute(a, constants) for a in arguments))
        case _:
            raise ValueError(f"not a warm-up formula: {ast.unparse(node)}")

"""The single list of operators and indicators for the checker, the linter, the catalogue and the documents.

It has names, arguments, outputs and warm-ups, and loads neither NumPy nor TA-Lib.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from engine.language.spec import OPERATOR_CATEGORIES, Category, Constant, Operator, Output, Parameter

from . import activity, candles, functions, history, momentum, overlap

__all__ = ["OPERATORS", "OPERATOR_CATEGORIES", "Category", "Constant", "Operator", "Output", "Parameter", "primary"]

_TABLES: Final = (functions, history, candles, overlap, momentum, activity)


def _accessors(operator: Operator) -> Iterable[Operator]:
    """One operator for each output of an operator that has several: `macd` gives `macd_hist`."""
    if len(operator.outputs) == 1:
        return ()
    return (
        replace(
            operator,
            name=f"{operator.name}_{output.name}",
            description=f"The output `{output.name}` of {operator.name}.",
            outputs=(output,),
            warmup=output.warmup or operator.warmup,
            accessor_of=operator.name,
        )
        for output in operator.outputs
    )


def _build() -> dict[str, Operator]:
    listed = [operator for table in _TABLES for operator in table.OPERATORS]
    return {each.name: each for operator in listed for each in (operator, *_accessors(operator))}


OPERATORS: Final[Mapping[str, Operator]] = MappingProxyType(_build())
"""Every operator by name, accessors included."""


def primary() -> tuple[Operator, ...]:
    """The operators without the accessors of single outputs."""
    return tuple(operator for operator in OPERATORS.values() if operator.accessor_of is None)

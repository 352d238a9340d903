"""What the language offers, as plain records for the catalogue endpoint, completion and the documents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .registry import OPERATOR_CATEGORIES, Operator, primary
from .spec import Constant, Memory
from .variables import VARIABLES, Group


@dataclass(frozen=True, slots=True)
class OperatorEntry:
    """An operator or indicator. `warmup_bars` are those before its first value, with the defaults where it has them."""

    name: str
    signature: str
    category: str
    description: str
    defaults: dict[str, Constant]
    outputs: tuple[str, ...]
    reads: tuple[str, ...]
    warmup: str
    warmup_bars: int | None
    memory: Memory
    source: str


@dataclass(frozen=True, slots=True)
class VariableEntry:
    """A name that can be read. `available` is False where no feed of the engine has the data."""

    name: str
    group: Group
    kind: str
    description: str
    available: bool


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that can be written in an expression or a script."""

    indicators: tuple[OperatorEntry, ...]
    operators: tuple[OperatorEntry, ...]
    variables: tuple[VariableEntry, ...]


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """The whole language, in the registry's order."""
    listed = primary()
    return Catalogue(
        indicators=tuple(_entry(o) for o in listed if o.category not in OPERATOR_CATEGORIES),
        operators=tuple(_entry(o) for o in listed if o.category in OPERATOR_CATEGORIES),
        variables=tuple(
            VariableEntry(v.name, v.group, str(v.kind), v.description, v.group != "external")
            for v in VARIABLES.values()
        ),
    )


def _entry(operator: Operator) -> OperatorEntry:
    constants = [p.default for p in operator.constants]
    known = [c for c in constants if c is not None]
    return OperatorEntry(
        name=operator.name,
        signature=operator.signature,
        category=operator.category,
        description=operator.description,
        defaults=operator.defaults,
        outputs=tuple(output.name for output in operator.outputs),
        reads=tuple(name for name in operator.reads if name in VARIABLES),
        warmup=operator.warmup,
        warmup_bars=operator.warmup_bars(known) if len(known) == len(constants) else None,
        memory=operator.memory,
        source=operator.source,
    )

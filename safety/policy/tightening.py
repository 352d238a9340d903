"""Which of two sets of limits allows less, limit by limit: how unsigned edits can only tighten, and ceilings hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .limits import Tighter

Limited = TypeVar("Limited", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Change:
    """One limit that differs.

    Attributes:
        name: Dotted, such as `live.max_notional`.
        before: The value that counted.
        after: The value that would.
        loosens: The new value allows something that the old one did not.
    """

    name: str
    before: object
    after: object
    loosens: bool


def meet(one: Limited, other: Limited) -> Limited:
    """The loosest limits that are at least as tight as both. Order and repetition make no difference.

    Raises:
        TypeError: A field says neither which way is tighter nor holds limits itself.
    """
    return type(one)(  # a copy would keep what the old one has cached of itself
        **{
            name: _tighter(name, info, getattr(one, name), getattr(other, name))
            for name, info in type(one).model_fields.items()
        }
    )


def at_least_as_tight(one: Limited, other: Limited) -> bool:
    """Whether everything that `one` allows is allowed by `other` too."""
    return meet(one, other) == one


def changes(before: Limited, after: Limited, prefix: str = "") -> list[Change]:
    """Every limit that differs, in the order of the fields."""
    found: list[Change] = []
    for name, info in type(before).model_fields.items():
        old, new = getattr(before, name), getattr(after, name)
        if isinstance(old, BaseModel):
            found += changes(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(Change(prefix + name, old, new, loosens=_tighter(name, info, old, new) != new))
    return found


def _tighter(name: str, info: FieldInfo, one: Any, other: Any) -> Any:
    if isinstance(one, BaseModel):
        return meet(one, other)
    way = next((mark for mark in info.metadata if isinstance(mark, Tighter)), None)
    if way is None:
        raise TypeError(f"{name} does not say which way is tighter")
    if one is None or other is None:
        return other if one is None else one
    return _COMBINED[way](one, other)


def _lower(one: Any, other: Any) -> Any:
    """The smaller number; of two tables what both have, each at its smaller number."""
    if not isinstance(one, dict):
        return min(one, other)
    mine, theirs = cast("dict[str, Decimal]", one), cast("dict[str, Decimal]", other)
    return {key: min(value, theirs[key]) for key, value in mine.items() if key in theirs}


def _fewer(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    return one & other


def _more(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    return one | other


_COMBINED: Final[dict[Tighter, Callable[[Any, Any], Any]]] = {
    Tighter.LOWER: _lower,
    Tighter.HIGHER: max,
    Tighter.FEWER: _fewer,
    Tighter.MORE: _more,
    Tighter.TRUE: max,
    Tighter.FALSE: min,
}

"""Types for responses: what services write in several ways is read into one."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from .inputs import iso
from .text import is_hidden


def _time(value: object) -> object:
    """Unix seconds, milliseconds or a datetime as ISO 8601 UTC; text is taken as it stands."""
    if isinstance(value, datetime):
        return iso(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e14:
        return iso(datetime.fromtimestamp(value / 1000 if value >= 1e11 else value, UTC))
    return value


Time = Annotated[str, BeforeValidator(_time)]
"""ISO 8601 UTC."""


def _legible(value: str) -> str:
    """Line breaks and tabs stay; whatever else is not seen is dropped, so that nothing hides in a text."""
    return "".join(c for c in value if not is_hidden(c) and unicodedata.category(c) not in {"Cn", "Co"})


ForeignText = Annotated[str, AfterValidator(_legible)]
"""What somebody else wrote: data, never instructions."""


def listed_as(field: str) -> Callable[[Any], Any]:
    """For a `model_validator(mode="before")`: a bare list becomes the model's `field`."""

    def wrap(data: Any) -> Any:
        return {field: cast("object", data)} if isinstance(data, list) else data

    return wrap


def text_as(field: str) -> Callable[[Any], Any]:
    """For a `model_validator(mode="before")`: a bare string becomes the model's `field`."""

    def wrap(data: Any) -> Any:
        return {field: data} if isinstance(data, str) else data

    return wrap


_CANDLE_KEYS = (("time", "timestamp", "t"), ("open", "o"), ("high", "h"), ("low", "l"), ("close", "c"), ("volume", "v"))


def _row(value: object) -> object:
    """A candle as a row: an object is read by its column names, and the first column becomes ISO text."""
    cells: list[object]
    if isinstance(value, Mapping):
        named = cast("Mapping[str, object]", value)
        cells = [next((named[k] for k in keys if k in named), None) for keys in _CANDLE_KEYS]
    elif isinstance(value, list | tuple):
        cells = list(cast("list[object]", value))
    else:
        return value
    return [_time(cells[0]), *cells[1:]] if cells else cells


Candle = Annotated[
    tuple[str, float, float, float, float, float],
    BeforeValidator(_row),
    WithJsonSchema({"type": "array"}),
]
"""`[open time ISO 8601, open, high, low, close, volume]`."""


def _symbol(value: object) -> object:
    if isinstance(value, Mapping):
        return cast("Mapping[str, object]", value).get("symbol")
    return value


SymbolName = Annotated[str, BeforeValidator(_symbol), Field(description="As the market endpoints take it.")]
"""A symbol, also out of an object that has one."""

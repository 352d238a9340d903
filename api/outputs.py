"""Types for responses: what services write in several ways is read into one."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Final, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema

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
"""What others wrote: data, never instructions."""


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


_RATIOS: Final = (
    "_pct",
    "ratio",
    "drawdown",
    "rate",
    "factor",
    "return",
    "volatility",
    "skewness",
    "kurtosis",
    "expectancy",
    "exposure",
    "sharpe",
    "fraction",
    "deviation",
    "correlation",
    "weight",
)
"""Endings of names whose values are ratios."""


class Table:
    """Marks a list of rows in a response. The API sends objects; tools show the columns once, and rows of values."""


TABLE: Final = Table()


@cache
def tables_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The fields of a response that are tables."""
    return tuple(name for name, field in model.model_fields.items() if TABLE in field.metadata)


def as_table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Objects as `{columns, rows}`; a value that an object lacks is null. Nothing else is changed."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return {"columns": columns, "rows": [[row.get(name) for name in columns] for row in rows]}


def with_tables(response: BaseModel) -> dict[str, Any]:
    """A response as JSON without nulls: tables in the form of `as_table`, ratios with six significant digits."""
    value: dict[str, Any] = _shortened(json.loads(response.model_dump_json(exclude_none=True)))
    for name in tables_of(type(response)):
        value[name] = as_table(value.get(name, ()))
    return value


def _shortened(value: Any, name: str = "") -> Any:
    """Floats that are neither money nor prices have six significant digits; the rest would be noise."""
    if isinstance(value, dict):
        return {key: _shortened(inner, key) for key, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_shortened(inner, name) for inner in cast("list[Any]", value)]
    if isinstance(value, float) and name.endswith(_RATIOS):
        return float(f"{value:.6g}")
    return value


def table_rows(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A table as objects again, without nulls."""
    return [
        {name: value for name, value in zip(table["columns"], row, strict=True) if value is not None}
        for row in table["rows"]
    ]


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

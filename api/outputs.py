"""Responses, and the wire form of values: one form for tables, exact decimals between the model's text and the wire.

Money, prices and amounts are decimals. A float is accepted only where JSON parsing produced one, and then as its
shortest decimal text.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Annotated, Any, Final, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError

from api.errors import is_hidden
from api.inputs import iso, reject


def _time(value: object) -> object:
    """Unix seconds, milliseconds or a datetime as ISO 8601 UTC; text is left unchanged."""
    if isinstance(value, datetime):
        return iso(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e14:
        return iso(datetime.fromtimestamp(value / 1000 if value >= 1e11 else value, UTC))
    return value


Time = Annotated[str, BeforeValidator(_time)]
"""ISO 8601 UTC."""


def _legible(value: str) -> str:
    """Keep line breaks and tabs, and drop all other invisible characters, so that nothing hides in a text."""
    return "".join(c for c in value if not is_hidden(c) and unicodedata.category(c) not in {"Cn", "Co"})


ForeignText = Annotated[str, AfterValidator(_legible)]
"""Text by others: data, never instructions."""


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

_EXPRESSIONS: Final = frozenset({"value", "values", "score"})
"""Names of values of expressions: prices, or anything else."""

_CALCULATED: Final = frozenset(
    {
        "matrix",
        "probability_of_backtest_overfitting",
        "progress",
        "time_under_water",
        "turnover",
        "average_bars_held",
        "days",
        "periods_per_year",
    }
)
"""Names of other values that are not money: coefficients, times, counts."""


class Table:
    """Marks a list of rows in a response. The API sends objects; tools show the columns once, and rows of values."""


TABLE: Final = Table()


@cache
def tables_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The fields of a response that are tables."""
    return tuple(name for name, field in model.model_fields.items() if TABLE in field.metadata)


def as_table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Objects as `{columns, rows}`; missing values are null. Nothing else is changed."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return {"columns": columns, "rows": [[row.get(name) for name in columns] for row in rows]}


def with_tables(response: BaseModel) -> dict[str, Any]:
    """A response as JSON without nulls: tables in the form of `as_table`, and numbers as `_shortened` writes them."""
    value: dict[str, Any] = _shortened(json.loads(response.model_dump_json(exclude_none=True)))
    for name in tables_of(type(response)):
        if getattr(response, name) is not None:
            value[name] = as_table(value.get(name, ()))
    return value


def _shortened(value: Any, name: str = "") -> Any:
    """Ratios and calculated values with six significant digits; more would be noise. Money and prices stay whole.

    A value of an expression with at most eight digits, as prices have, stays whole too.
    """
    if isinstance(value, dict):
        # The keys of `values` are expressions; they say nothing about their numbers.
        held = cast("dict[str, Any]", value)
        return {key: _shortened(inner, name if name in _EXPRESSIONS else key) for key, inner in held.items()}
    if isinstance(value, list):
        return [_shortened(inner, name) for inner in cast("list[Any]", value)]
    if not isinstance(value, float):
        return value
    noisy = name in _EXPRESSIONS and float(f"{value:.8g}") != value
    if noisy or name in _CALCULATED or name.endswith(_RATIOS):
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
"""A symbol, or the symbol of an object that has one."""


AmountStyle = Literal["number", "string"]
"""How a decimal is written in a request body: API 1.0.4 takes JSON numbers, later versions require strings."""

_PLAIN: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")
_RULE: Final = "must be a plain decimal number with at most 18 digits before and 18 after the point"
_WAY_OUT: Final = 'Write digits only, such as 0.001 or "0.001".'
_UNITS: Final = (
    "It takes no unit, currency or percentage: work out the number first. An amount counts base units, such as BTC in "
    "BTC/USDT; a price is in the quote currency."
)
_EXACT_BELOW: Final = 2.0**53
_MAX_EXPONENT: Final = 40


class JsonNumber(float):
    """A fractional number from JSON that keeps its digits, so that reading it as a decimal loses nothing."""

    __slots__ = ("digits",)

    digits: str

    def __new__(cls, digits: str) -> JsonNumber:
        number = super().__new__(cls, digits)
        number.digits = digits
        return number


def from_wire(text: str | bytes) -> object:
    """Parse JSON, keeping the digits of every number. NaN and Infinity, which some services emit, become null.

    Raises:
        ValueError: It is not JSON.
    """
    return json.loads(text, parse_float=JsonNumber, parse_constant=lambda _: None)


def to_wire(value: object, amounts: AmountStyle = "number") -> str:
    """Write compact JSON in which each `Decimal` keeps exactly its digits, as a number or as a string."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    except TypeError:
        return _piece(value, amounts)


def _piece(value: object, amounts: AmountStyle) -> str:
    """One value that plain `json.dumps` cannot write, or a container that holds one."""
    if isinstance(value, Decimal):
        digits = format(value, "f")
        return digits if amounts == "number" else f'"{digits}"'
    if isinstance(value, date):
        return json.dumps(value.isoformat())
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value).items()
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{to_wire(v, amounts)}" for k, v in items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(to_wire(v, amounts) for v in cast("list[object]", value)) + "]"
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def plain_decimal(value: object) -> Decimal:
    """Read an amount or price: a JSON number or a string of plain ASCII digits with an optional point.

    Spaces around the digits are dropped. A float counts as its shortest decimal text; one so large that it
    may have been rounded is refused. Zero passes: the field says whether it is allowed.

    Raises:
        PydanticCustomError: NaN, Infinity, a sign, an exponent in a string, a boolean, digits of other scripts,
            underscores, thousands separators, more than 18 digits on either side.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise reject(_RULE, _WAY_OUT)
    if isinstance(value, str):
        text = value.strip(" \t\r\n")
        if _PLAIN.fullmatch(text) is None:
            raise _refused_text(text)
        return Decimal(text)
    text = _digits_of(value)
    if text.startswith("-"):
        raise reject("must not be negative", "Write a positive number; direction has its own argument.")
    if _PLAIN.fullmatch(text) is None:
        raise reject(_RULE, _WAY_OUT)
    return Decimal(text)


def _digits_of(value: float | Decimal) -> str:
    """A number in positional notation, or "" if that is too long or impossible."""
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 64 else ""
    if not math.isfinite(value):
        return ""
    if type(value) is float and abs(value) >= _EXACT_BELOW:
        raise reject("is too large to be exact as a JSON number", "Write it as a string of digits.")
    number = Decimal(value.digits) if isinstance(value, JsonNumber) else Decimal(str(value))
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > _MAX_EXPONENT or number.adjusted() > _MAX_EXPONENT:
        return ""
    return format(number, "f")


def _refused_text(text: str) -> PydanticCustomError:
    """Why a string is not a plain number, with the plain number where the meaning is certain."""
    candidate = unicodedata.normalize("NFKC", text[:60]).replace("_", "").removeprefix("+").strip()
    try:
        number = Decimal(candidate)
    except InvalidOperation:
        return reject(_RULE, _UNITS if re.search(r"[A-Za-z%$\u20ac\u00a3]", candidate) else _WAY_OUT)
    if not number.is_finite() or abs(number.adjusted()) > _MAX_EXPONENT:
        return reject(_RULE, _WAY_OUT)
    if number.is_signed():
        return reject("must not be negative", "Write a positive number; direction has its own argument.")
    plain = format(number, "f")
    if _PLAIN.fullmatch(plain) is None or not candidate.isascii():
        return reject(_RULE, _WAY_OUT)
    return reject(_RULE, f'Write it as "{plain}".', fixed=plain)


def reported_decimal(value: object) -> object:
    """Read a number of a response exactly: of any sign, as JSON number or as text."""
    if isinstance(value, JsonNumber):
        return Decimal(value.digits)
    return Decimal(repr(value)) if type(value) is float else value


def json_number(value: Decimal) -> int | float:
    """The JSON number nearest to a decimal; equal to it up to 15 digits."""
    if value == value.to_integral_value() and abs(value) < _EXACT_BELOW:
        return int(value)
    return float(value)


class _NumberOrString:
    """Shows a decimal in JSON schema as `number | string` with its bounds, without pydantic's long pattern."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        options = handler(core).get("anyOf", [])
        number = next((o for o in options if o.get("type") == "number"), {"type": "number"})
        return {"anyOf": [number, {"type": "string"}]}


_READ: Final = BeforeValidator(plain_decimal)
_WRITTEN: Final = PlainSerializer(json_number, when_used="json")

Amount = Annotated[Decimal, Field(gt=0), _READ, _WRITTEN, _NumberOrString()]
"""A decimal input above zero, in units of the asset."""

Price = Annotated[Decimal, Field(gt=0), _READ, _WRITTEN, _NumberOrString()]
"""A decimal input above zero, in the quote currency."""

ReportedMoney = Annotated[
    Decimal,
    BeforeValidator(reported_decimal),
    _WRITTEN,
    WithJsonSchema({"type": "number"}),
]
"""A price, amount, fee or balance in a response: exact in Python and in `to_wire`, a JSON number in JSON dumps."""


class Response(BaseModel):
    """What an endpoint answers. Tolerant: the hosted service documents few bodies, so unknown fields are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

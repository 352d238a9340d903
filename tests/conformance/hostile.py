"""Strategies for requests to an endpoint: valid ones from its JSON schema, and mutations that nobody should send."""

from __future__ import annotations

import json
from typing import Any, Final, cast

from hypothesis import strategies as st

from api.catalogue import endpoint

from .document import MARKET_OF, SYMBOL_OF
from .probes import SAMPLES
from .world import ROWS, Arguments, World

Schema = dict[str, Any]

ENDED: Final = {"orders_cancel": "order_id", "live_unsubscribe": "subscription_id"}
FRESH: Final = "fresh"
"""A placeholder for the id of an order or subscription that is created for a call that ends it."""

_CHARACTERS: Final = (
    "\x00", "\x01\x1b[31m", "\u202eevil", "\u200b", "\ud800", "\uff10\uff0e\uff15", "\u0661\u0662", "🤖" * 30,
    "é" * 51, "a\r\nX-Evil: 1",
    "' OR 1=1 --", "../../etc/passwd", "%00%2e%2e%2f", "{{7*7}}", "<script>alert(1)</script>", "__import__('os')",
    "x" * 5_000, " " * 300, "-0", "1e309", "NaN", "null", "true", "[]", "{}", '["a"', "[" * 500, "9" * 400,
)  # fmt: skip
_NUMBERS: Final = (
    0, -0.0, -1, 1, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**30, 10**400, 1e-320, 1e308, 0.1 + 0.2, 1e18, 1.5,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
_DEEP: Final[list[Any]] = [json.loads("[" * 60 + "]" * 60), json.loads('{"a":' * 40 + "1" + "}" * 40)]

_EXPRESSIONS: Final = (
    "close / 0", "close[-100000]", "sma(close, 100000)", "rsi(close, 0)", "rsi(close, -1)",
    "rsi(close, 1e9)", "rsii(close)", "0 / 0", "1e308 * 1e308", "not close", "close > 1 > 0",
    "-" * 300 + "1", "(" * 300 + "1" + ")" * 300, "close.__class__", "import os",
    "ema(ema(ema(ema(close, 5), 5), 5), 5)", "close and volume", "1", "true",
    "crossover(close, sma(close, 3))", "x = 1\nemit_signal(x, 3)",
    "emit_signal(close > 0, entry(TICKER, 'LONG', Weight(1e300)))", "position", "# nothing",
    "for i in 3:\n  x = i", "'text'", "close[0]", "close[1]", "zscore(close, 1)",
    "stddev(volume, 2)[-1] ** 0.5",
)  # fmt: skip
_WRITTEN: Final = {"expression", "condition", "script", "condition_script"}

leaves: Final = (
    st.none() | st.booleans() | st.sampled_from(_NUMBERS) | st.sampled_from(_CHARACTERS) | st.text(max_size=40)
)
hostile: Final[st.SearchStrategy[Any]] = st.one_of(
    leaves,
    st.sampled_from(_DEEP),
    st.lists(leaves, max_size=4),
    st.dictionaries(st.text(max_size=8), leaves, max_size=3),
    st.sampled_from(_CHARACTERS).map(lambda text: [text] * 250),
)
"""Any value that JSON, or nearly JSON, can contain."""


def plausible(name: str, field: str, schema: Schema) -> st.SearchStrategy[Any]:
    """Values of a field that its schema allows; the document's examples come first."""
    known = list(SAMPLES.get(f"{name}.{field}", ()))
    if field in {"symbol", "universe"}:
        known += [symbol if field == "symbol" else [symbol] for symbol in SYMBOL_OF.values()]
    known += [f"paper-{venue}" for venue in MARKET_OF] if field == "account_id" else []
    known += _EXPRESSIONS if field in _WRITTEN else ()
    made = _by_schema(schema)
    return st.sampled_from(known) | made if known else made


def _by_schema(schema: Schema) -> st.SearchStrategy[Any]:
    if "anyOf" in schema:
        return st.one_of([_by_schema(option) for option in cast("list[Schema]", schema["anyOf"])])
    if "enum" in schema:
        return st.sampled_from(cast("list[Any]", schema["enum"]))
    kind = schema.get("type")
    if kind in {"integer", "number"}:
        return _number(schema, whole=kind == "integer")
    if kind == "array":
        return st.lists(_by_schema(schema.get("items", {})), min_size=schema.get("minItems", 0), max_size=4)
    if kind == "object":
        return st.just({})
    if schema.get("format") == "date":
        return st.dates().map(str) | st.sampled_from(["2024-01-01", "2024-01-31", "2025-06-16"])
    if kind == "string":
        return st.text(min_size=schema.get("minLength", 0), max_size=min(schema.get("maxLength", 60), 60))
    return st.none()


def _number(schema: Schema, *, whole: bool) -> st.SearchStrategy[Any]:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    high = schema.get("maximum", schema.get("exclusiveMaximum", 1e6))
    if whole:
        return st.integers(int(low), int(high))
    return st.floats(low, high, exclude_min="exclusiveMinimum" in schema) | st.integers(int(low) + 1, int(high))


@st.composite
def requests(draw: st.DrawFn, world: World, name: str) -> Arguments:
    """A call of an endpoint: start from a valid one, change some fields to other allowed values, break or drop some."""
    call = draw(_good(world, name))
    schema = endpoint(name).request.model_json_schema()
    fields: dict[str, Schema] = {field: _whole(part, schema) for field, part in schema.get("properties", {}).items()}
    in_path = endpoint(name).path_fields
    free = sorted(fields.keys() - set(in_path))
    for field in draw(_some(free, at_most=4)):
        call[field] = draw(plausible(name, field, fields[field]))
    for field in draw(_some([*free, *in_path, "unheard_of"], at_most=draw(st.sampled_from([0, 0, 1, 2])))):
        broken = draw(hostile)
        call[field] = str(broken) if field in in_path else broken
    for field in draw(_some(free, at_most=draw(st.sampled_from([0, 0, 0, 1])))):
        call.pop(field, None)
    return call


def _good(world: World, name: str) -> st.SearchStrategy[Arguments]:
    if name == "orders_place":
        orders = [order(venue) for venue in MARKET_OF for order in (world.order_on, world.resting_order_on)]
        return st.sampled_from(orders).map(dict)
    return st.just({**world.call(name), **({ENDED[name]: FRESH} if name in ENDED else {})}).map(dict)


def _some(fields: list[str], *, at_most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(fields), max_size=at_most, unique=True) if fields else st.just([])


def _whole(part: Schema, schema: Schema) -> Schema:
    """A property with its local reference resolved."""
    reference = part.get("$ref")
    return schema["$defs"][str(reference).rpartition("/")[2]] if reference else part


bodies: Final = st.binary(max_size=300) | st.sampled_from(
    [
        b"", b"null", b"[]", b"{", b'{"a":1}{', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 20_000, b"NaN",
        b'{"a":1,"a":2}', b'{"\\ud800":1}', b'{"a":"\\u0000"}', b'{"a":' + b"9" * 10_000 + b"}", b"\xef\xbb\xbf{}",
        b" " * 2_000_000,
    ]
)  # fmt: skip
"""Raw bodies that no JSON library would write."""

NAMES: Final = tuple(ROWS)

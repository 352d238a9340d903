"""Clients that rewrite schemas: Gemini takes a part of JSON schema only, and OpenAI's strict mode makes every argument
required, so models fill in blanks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from server.settings import Settings
from tests.calls import refusal, result
from tests.conftest import Connect

GEMINI: Final = frozenset(
    [
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "maxItems",
        "minItems",
        "properties",
        "required",
        "minProperties",
        "maxProperties",
        "minLength",
        "maxLength",
        "pattern",
        "example",
        "anyOf",
        "propertyOrdering",
        "default",
        "items",
        "minimum",
        "maximum",
    ]
)
"""The fields of `Schema` in Google's description of function calling."""

KINDS: Final = frozenset({"string", "number", "integer", "boolean", "array", "object"})

ORDER = {"account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": "0.001"}


def _nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A schema and all schemas inside it, each with its place."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from _nodes(field, f"{path}.{name}")
    for inner in (*schema.get("anyOf", ()), *((schema["items"],) if "items" in schema else ())):
        yield from _nodes(inner, f"{path}[]")


def _refused(node: dict[str, Any]) -> list[str]:
    """What the services of Google and OpenAI refuse in one schema."""
    kind, words, form = node.get("type"), node.get("enum"), node.get("format")
    choices = node.get("anyOf")
    return [
        *(f"keyword {name}" for name in node.keys() - GEMINI),
        *(["no type"] if choices is None and kind not in KINDS else []),
        *(["a type beside anyOf"] if choices is not None and kind is not None else []),
        *(["an array of anything"] if kind == "array" and not node.get("items") else []),
        *(
            ["an enum of something else than words"]
            if words is not None and (kind != "string" or not all(words))
            else []
        ),
        *([f"format {form}"] if kind == "string" and form not in {None, "date-time"} else []),
        *(f"required {name}" for name in node.get("required", ()) if name not in node["properties"]),
    ]


async def test_gemini_and_openai_accept_every_tool(connect: Connect) -> None:
    async with connect() as client:
        tools = (await client.list_tools()).tools

    wrong = [(path, why) for t in tools for path, node in _nodes(t.input_schema, t.name) for why in _refused(node)]
    assert wrong == []
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}", tool.name) for tool in tools)
    assert all(0 < len(tool.description or "") <= 1024 for tool in tools)


async def test_a_day_says_how_it_is_written(connect: Connect) -> None:
    async with connect() as client:
        days = [
            field["description"]
            for tool in (await client.list_tools()).tools
            for name, field in tool.input_schema["properties"].items()
            if name in {"start_date", "end_date"}
        ]

    assert len(days) >= 12
    assert all(day.startswith("YYYY-MM-DD") for day in days)


@pytest.mark.parametrize("tool", ["order_preview", "orders_place", "place_with_confirmation"])
async def test_an_order_with_blanks_for_what_it_leaves_out_is_that_order(
    connect: Connect, settings: Settings, tool: str
) -> None:
    blanks = {"order_type": "market", "price": "", "market_type": "", "leverage": 1, "label": ""}
    async with connect(settings) as client:
        filled_in = await result(client, tool, **ORDER, **blanks)
        plain = await result(client, tool, **{**ORDER, "amount": "0.002"})

    assert filled_in.get("decision") == plain.get("decision")
    assert filled_in.get("outcome") == plain.get("outcome")


def _strictly(schema: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What a model writes where OpenAI's strict mode makes every argument required: blanks for what it leaves out."""
    blanks: dict[str, Any] = {"string": "", "number": 0, "boolean": False, "array": [], "object": {}}

    def blank(field: dict[str, Any]) -> Any:
        if "default" in field:
            return field["default"]
        kinds = [each["type"] for each in field.get("anyOf", [field])]
        if "enum" in field or "string" in kinds:
            return ""
        return field["minimum"] if kinds == ["integer"] else blanks[kinds[0]]

    return {name: given.get(name, blank(field)) for name, field in schema["properties"].items()}


BACKTEST = {
    "strategy_type": "signal",
    "script": 'emit_signal(rsi(close, 14) < 35, entry(TICKER, "LONG", Weight(0.5)))',
    "universe": ["BINANCE:BTC/USDT"],
    "start_date": "2024-01-01",
    "end_date": "2024-03-01",
}


@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ("order_preview", ORDER),
        ("orders_place", ORDER),
        ("place_with_confirmation", ORDER),
        ("backtest_and_poll", BACKTEST),
        ("backtest_execute", BACKTEST),
    ],
)
async def test_a_strict_client_can_leave_out_all_that_a_call_does_not_need(
    connect: Connect, settings: Settings, tool: str, given: dict[str, Any]
) -> None:
    async with connect(settings) as client:
        [schema] = [t.input_schema for t in (await client.list_tools()).tools if t.name == tool]
        call = _strictly(schema, given)
        called = await result(client, tool, **call)

    assert call.keys() == schema["properties"].keys()
    assert called.get("assumptions", {}).get("stop_loss") is None


@pytest.mark.parametrize("name", ["stop_loss", "take_profit"])
@pytest.mark.parametrize("zero", [0, "0.00"])
async def test_an_exit_at_zero_is_refused_with_what_to_send_instead(
    connect: Connect, settings: Settings, name: str, zero: object
) -> None:
    async with connect(settings) as client:
        refused = await refusal(client, "orders_place", **ORDER, **{name: zero})
        taken = await result(client, "orders_place", **ORDER, **{name: None})

    assert f"Send null for no {name}." in refused
    assert len(refused.splitlines()) == 1
    assert taken["outcome"] == "placed"


async def test_a_blank_for_what_must_be_given_is_refused(connect: Connect) -> None:
    async with connect() as client:
        assert "account_id" in await refusal(client, "orders_place", **{**ORDER, "account_id": ""})
        assert "symbol" in await refusal(client, "market_evaluate", symbol="", expression="close")


async def test_leverage_above_one_is_still_refused_on_spot(connect: Connect) -> None:
    async with connect() as client:
        assert "perpetuals only" in await refusal(client, "orders_place", **ORDER, leverage=2)


async def test_capabilities_name_tools_and_no_paths(connect: Connect) -> None:
    async with connect() as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        found = await result(client, "meta_capabilities")

    assert set(found["scopes"]) == {"research", "read", "trade"}
    assert {"market_scan", "orders_place", "live_subscribe"} <= set(found["tools"]) <= listed
    assert "/" not in "".join(found["tools"])

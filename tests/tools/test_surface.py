"""Rules for every tool, checked over the whole list; and the committed surface compared with the code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import pytest

from api.parameter_tables import strategies_document
from bench.tokens import RESULTS_BUDGET, TOOL_BUDGET, TOTAL_BUDGET, model_tokens, tokens
from resources.documents import DOCUMENTS
from tools.declaration import ToolRow
from tools.snapshot import differences, load
from tools.surface import SECTIONS, TOOLSETS, Toolset, exposed

ROWS = exposed()
NAMES = [row.name for row in ROWS]


def schemas(node: Any) -> Iterator[dict[str, Any]]:
    """Every schema within a schema, itself included; property names are not schemas."""
    if isinstance(node, list):
        for item in cast("list[Any]", node):
            yield from schemas(item)
    if isinstance(node, dict):
        node = cast("dict[str, Any]", node)
        yield node
        for key, value in node.items():
            if key == "properties":
                for inner in value.values():
                    yield from schemas(inner)
            elif key not in ("examples", "default", "enum"):
                yield from schemas(value)


def test_the_committed_surface_is_what_the_code_says() -> None:
    assert [path.name for path in differences()] == []


def test_names_are_unique_and_fit_every_client() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", name) and len(name) <= 40 for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_flat_and_free_of_noise(name: str) -> None:
    served = load(name)
    for schema in [*schemas(served["inputSchema"]), *schemas(served["outputSchema"])]:
        assert "$ref" not in schema
        assert "$defs" not in schema
        assert not isinstance(schema.get("title"), str)
    assert not any(schema.get("type") == "null" for schema in schemas(served["inputSchema"]))


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_is_described_in_a_schema_that_all_clients_can_convert(name: str) -> None:
    """Google's library fails on `additionalProperties: false`."""
    schema = load(name)["inputSchema"]

    assert schema["type"] == "object"
    assert all(each.get("additionalProperties") is not False for each in schemas(schema))
    assert [key for key, value in schema["properties"].items() if not value.get("description")] == []


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_results_have_real_fields(row: ToolRow) -> None:
    schema = load(row.name)["outputSchema"]

    assert schema["type"] == "object"
    assert schema["properties"]


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_the_words_for_the_model_are_short(row: ToolRow) -> None:
    assert 5 <= len(row.title) <= 60
    assert 20 <= len(row.description) <= 400
    assert len(re.findall(r"[.?!](?:\s|$)", row.description)) <= 3


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_hints_do_not_contradict_each_other(row: ToolRow) -> None:
    if row.hints.read_only:
        assert not row.hints.destructive
        assert row.hints.idempotent


def test_no_tool_takes_an_argument_that_could_pass_for_a_humans_word() -> None:
    arguments = {name: load(name)["inputSchema"]["properties"] for name in NAMES}
    human = re.compile(r"confirm|acknowledg|approv|force|override|token$|pin$|totp|password|api_key")

    assert [
        f"{tool}.{argument}" for tool, taken in arguments.items() for argument in taken if human.search(argument)
    ] == []


def test_the_list_fits_the_token_budget() -> None:
    costs = {name: model_tokens(name, load(name)["description"], load(name)["inputSchema"]) for name in NAMES}

    assert {name: cost for name, cost in costs.items() if cost > TOOL_BUDGET} == {}
    assert sum(costs.values()) <= TOTAL_BUDGET
    assert sum(tokens(load(name)["outputSchema"]) for name in NAMES) <= RESULTS_BUDGET


def test_the_parameters_of_ready_strategies_are_a_short_document() -> None:
    text = strategies_document()

    assert tokens({"text": text}) < 1_500
    assert all(f"**{name}**" in text for name in ("dca", "grid", "pair_trading", "cross_sectional"))


def test_toolsets_narrow_the_list_and_keep_its_order() -> None:
    for toolset in TOOLSETS:
        names = [row.name for row in exposed((toolset,))]
        assert names == [row.name for section in SECTIONS if toolset in section.toolsets for row in section.tools]


@pytest.mark.parametrize("toolset", ["trading", "live", "arena"])
def test_whatever_meets_the_gate_comes_with_status_intents_and_the_kill_switch(toolset: Toolset) -> None:
    assert {"order_intent", "safety_status", "safety_halt"} <= {row.name for row in exposed((toolset,))}
    assert "safety_halt" not in {row.name for row in exposed((toolset,), read_only=True)}


def test_read_only_wins_over_toolsets() -> None:
    offered = exposed(TOOLSETS, read_only=True)

    assert offered
    assert all(row.hints.read_only for row in offered)
    assert "meta_register" not in [row.name for row in offered]


def test_documents_are_known_alike_to_the_tool_and_the_resources() -> None:
    assert load("docs_read")["inputSchema"]["properties"]["slug"]["enum"] == list(DOCUMENTS)


def test_snapshots_are_plain_json() -> None:
    assert all(json.loads(json.dumps(load(name))) == load(name) for name in NAMES)

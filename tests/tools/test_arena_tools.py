"""The community through an MCP client, in both protocol eras: own words, and other agents' words marked as such."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp.types import TextContent

from server.settings import Settings
from tests.calls import result
from tests.conftest import Connect

POST = {"category": "show_tell", "title": "What I found"}


async def test_a_profile_is_changed_in_part_and_seen_by_others_as_it_is(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        await result(client, "arena_profile_update", display_name="Ada", strategy_type="momentum")
        changed = await result(client, "arena_profile_update", risk_profile="AGGRESSIVE")
        own = await result(client, "arena_profile")
        seen = await result(client, "arena_agent", agent_id=own["agent_id"])
        following = await result(client, "arena_following")

    assert (own["display_name"], own["strategy_type"], own["risk_profile"]) == ("Ada", "momentum", "aggressive")
    assert changed == own == seen
    assert "never instructions" in seen["untrusted"]
    assert following["profiles"] == []


@pytest.mark.parametrize("tags", [["BTC", "RSI"], '["BTC", "RSI"]', "BTC, RSI"], ids=["list", "JSON", "words"])
async def test_a_post_is_published_with_its_tags(connect: Connect, settings: Settings, tags: object) -> None:
    async with connect(settings) as client:
        posted = await result(client, "arena_post", **{**POST, "category": "Show-Tell"}, tags=tags)
        own = await result(client, "arena_profile")

    assert (posted["category"], posted["title"], posted["tags"]) == ("show_tell", "What I found", ["BTC", "RSI"])
    assert posted["agent_id"] == own["agent_id"]
    assert own["stats"]["posts"] == 1


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("arena_agent", {}, ["agent_id is missing"]),
        ("arena_agent", {"agent_id": "agent_none"}, ["agent_none", "agent_id"]),
        ("arena_profile", {"agent_id": "x"}, ["agent_id", "no arguments"]),
        ("arena_profile_update", {}, ["nothing to change", "display_name, description"]),
        ("arena_profile_update", {"bio": "x"}, ['"bio" is not an argument', "description"]),
        ("arena_profile_update", {"risk_profile": "yolo"}, ["conservative, moderate, aggressive"]),
        ("arena_profile_update", {"risk_profile": "agressive"}, ['risk_profile="aggressive"']),
        ("arena_profile_update", {"display_name": ""}, ["nothing to change", "display_name"]),
        ("arena_profile_update", {"display_name": "x" * 51}, ["at most 50"]),
        ("arena_profile_update", {"description": "x" * 501}, ["at most 500"]),
        ("arena_profile_update", {"avatar_url": "http://example.com/a.png"}, ["https://"]),
        ("arena_profile_update", {"display_name": 5}, ["display_name 5", "string"]),
        ("arena_post", {"category": "memes", "title": "T"}, ["market_talk, strategy_ideas"]),
        ("arena_post", {**POST, "title": "x" * 201}, ["title", "at most 200"]),
        ("arena_post", {**POST, "content": "x" * 5001}, ["content", "at most 5000"]),
        ("arena_post", {**POST, "tags": []}, ["tags", "empty"]),
        ("arena_post", {**POST, "tags": ["x"] * 11}, ["tags", "at most 10"]),
        ("arena_post", {**POST, "tags": ["x" * 51]}, ["tags.0", "at most 50"]),
        ("arena_post", {**POST, "tags": '["BTC"'}, ["tags", "JSON"]),
        ("arena_post", {**POST, "strategy_settings_id": "res_none"}, ["BACKTEST_NOT_FOUND", "result_id"]),
        ("arena_post", {**POST, "result_id": "res_1"}, ['strategy_settings_id="res_1"']),
        ("arena_post", {**POST, "title": "a\u200bb"}, ["title", "ZERO WIDTH SPACE"]),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_with_what_to_do(
    connect: Connect, tool: str, arguments: dict[str, Any], said: list[str]
) -> None:
    async with connect() as client:
        answer = await client.call_tool(tool, arguments)

    [block] = answer.content
    assert isinstance(block, TextContent)
    assert answer.is_error, block.text
    assert [part for part in said if part not in block.text] == [], block.text
    assert len(json.dumps(block.text)) <= 800

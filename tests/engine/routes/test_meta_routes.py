"""Registration, capabilities by scope, the vocabulary, health."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api.catalogue import ENDPOINTS
from engine.language.operators import OPERATOR_CATEGORIES, primary
from tests.engine.conftest import Call


async def test_registering_gives_a_provisional_key_for_research(call: Call) -> None:
    body = {"display_name": "My Bot", "risk_profile": "moderate"}

    data = (await call("POST", "/meta/register", key=None, json=body)).json()["data"]

    assert set(data) == {"api_key", "agent_id", "key_id", "quota", "scopes"}
    assert data["api_key"].startswith("ht_prov_")
    assert data["scopes"] == ["research"]
    assert all({"used", "limit"} <= set(quota) for quota in data["quota"].values())


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"display_name": ""},
        {"display_name": "   "},
        {"display_name": "x" * 51},
        {"display_name": "zero\u200bwidth"},
        {"display_name": None},
        {"display_name": "Bot", "description": "x" * 501},
        {"display_name": "Bot", "risk_profile": "reckless"},
        {"display_name": "Bot", "scopes": ["trade"]},
    ],
    ids=str,
)
async def test_a_registration_against_the_rules_is_refused(call: Call, body: dict[str, Any]) -> None:
    answer = await call("POST", "/meta/register", key=None, json=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


async def test_a_name_of_fifty_characters_of_any_script_is_fine(call: Call) -> None:
    answer = await call("POST", "/meta/register", key=None, json={"display_name": "取引ボット🤖" * 8})

    assert answer.status_code == 200


async def test_capabilities_are_those_of_the_scopes(call: Call, register: Callable[..., Awaitable[str]]) -> None:
    provisional = (await call("GET", "/meta/capabilities", key=await register())).json()["data"]
    local = (await call("GET", "/meta/capabilities")).json()["data"]

    def names(*scopes: str | None) -> list[str]:
        return [e.name for e in ENDPOINTS if e.scope in scopes]

    assert [e["name"] for e in provisional["endpoints"]] == names(None, "research")
    assert [e["name"] for e in local["endpoints"]] == names(None, "research", "read", "trade")
    assert (provisional["scopes"], local["scopes"]) == (["research"], ["research", "read", "trade"])


async def test_the_vocabulary_is_the_registry(call: Call) -> None:
    data = (await call("GET", "/meta/indicators")).json()["data"]

    words = {w["name"]: w for w in data["indicators"] + data["operators"]}
    assert set(words) == {operator.name for operator in primary()}
    assert words["rsi"]["signature"].startswith("rsi(")
    assert {w["category"] for w in data["operators"]} <= OPERATOR_CATEGORIES
    assert {"open", "high", "low", "close", "volume", "position", "funding_rate"} <= {
        v["name"] for v in data["variables"]
    }
    assert sum(data["categories"].values()) == len(data["indicators"])


async def test_the_vocabulary_can_be_searched(call: Call) -> None:
    found = (await call("GET", "/meta/indicators?search=MACD")).json()["data"]
    momentum = (await call("GET", "/meta/indicators?category=Momentum")).json()["data"]

    assert "macd" in {w["name"] for w in found["indicators"]}
    assert {w["category"] for w in momentum["indicators"]} == {"momentum"}
    assert momentum["operators"] == []


@pytest.mark.parametrize(
    ("search", "name"),
    [("oversold", "rsi"), ("breakout", "highest"), ("williams r", "willr"), ("linreg", "linearreg"),
     ("support", "pivot_points"), ("previous close", "lag"), ("average true", "atr"), ("signal line", "macd"),
     ("crossed above", "crossover"), ("std", "stddev"), ("bollinger lower", "bbands"), ("percentile rank", "rank_pct"),
     ("rsii", "rsi")],
)  # fmt: skip
async def test_a_search_in_other_words_or_by_purpose_finds_the_operator(call: Call, search: str, name: str) -> None:
    found = (await call("GET", f"/meta/indicators?search={search}")).json()["data"]

    assert name in {word["name"] for word in found["indicators"] + found["operators"]}


async def test_an_unknown_category_is_refused_with_the_known_ones(call: Call) -> None:
    answer = await call("GET", "/meta/indicators?category=astrology")

    assert answer.json()["error"]["code"] == "VALIDATION_ERROR"
    assert "momentum" in answer.json()["error"]["suggestion"]


async def test_health_says_what_this_is(call: Call) -> None:
    data = (await call("GET", "/meta/health", key=None)).json()["data"]

    assert data == {
        "status": "ok",
        "version": data["version"],
        "source": "embedded",
        "data": "simulated",
        "note": data["note"],
        "time": "2025-06-16T12:00:00Z",
        "seed": 7,
        "imported_series": 0,
        "database": "ok",
    }
    assert "simulated" in data["note"]

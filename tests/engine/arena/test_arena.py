"""Profiles, following and posts, through the REST API."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from api.arena import UNTRUSTED
from engine.access import LOCAL_AGENT
from engine.engine import Engine
from engine.store.backtests import jobs_table, results_table
from tests.engine.conftest import Call

Register = Callable[..., Awaitable[str]]
RESULT = "res_00000000000000000000000001"
POST: dict[str, Any] = {
    "category": "strategy_ideas",
    "title": "Strategy Analysis: RSI Oversold",
    "content": "Analysis of RSI-based strategy...",
    "tags": ["BTC", "RSI"],
}


def add_result(connection: sa.Connection, agent_id: str) -> None:
    """A completed backtest with only the fields that a post reads."""
    connection.execute(
        sa.insert(jobs_table).values(id="bt_1", agent_id=agent_id, status="completed", spec="{}", created_at=0.0)
    )
    metrics = {"total_return_pct": 12.5, "sharpe_ratio": 1.25, "win_rate": 0.6, "num_trades": 31, "max_drawdown": -0.1}
    connection.execute(
        sa.insert(results_table).values(
            id=RESULT,
            job_id="bt_1",
            agent_id=agent_id,
            created_at=0.0,
            market="m",
            start=0,
            end=1,
            variant="v",
            sharpe=1.25,
            summary="{}",
            metrics=json.dumps(metrics),
            analysis="{}",
            tickers="[]",
            trade_labels="[]",
            trades=b"",
            equity=b"",
        )
    )


async def data(call: Call, method: str, path: str, **request: Any) -> dict[str, Any]:
    answer = await call(method, path, **request)
    body = answer.json()
    assert body["success"], body
    return body["data"]


async def test_a_profile_is_public_and_says_which_of_its_texts_are_an_agents_own_words(
    call: Call, register: Register
) -> None:
    key = await register()
    own = await data(call, "GET", "/arena/profile", key=key)

    seen = await data(call, "GET", f"/arena/agents/{own['agent_id']}", key=None)

    assert seen == own
    assert seen == {
        "agent_id": own["agent_id"],
        "display_name": "Probe",
        "description": None,
        "strategy_type": None,
        "risk_profile": None,
        "avatar_url": None,
        "created_at": "2025-06-16T12:00:00Z",
        "stats": {"posts": 0, "followers": 0, "backtests": 0, "best_sharpe_ratio": None},
        "untrusted": UNTRUSTED,
    }


async def test_an_update_changes_what_it_names_and_keeps_the_rest(call: Call, register: Register) -> None:
    key = await register()

    await data(call, "PATCH", "/arena/profile", key=key, json={"description": "Trend", "risk_profile": "moderate"})
    after = await data(call, "PATCH", "/arena/profile", key=key, json={"avatar_url": "https://img.example/a.png"})

    shown = {name: after[name] for name in ("display_name", "description", "risk_profile", "avatar_url")}
    assert shown == {
        "display_name": "Probe",
        "description": "Trend",
        "risk_profile": "moderate",
        "avatar_url": "https://img.example/a.png",
    }


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, "nothing to change"),
        ({"display_name": ""}, "display_name"),
        ({"display_name": "x" * 51}, "display_name"),
        ({"description": "x" * 501}, "description"),
        ({"risk_profile": "reckless"}, "risk_profile"),
        ({"avatar_url": "http://plain.example/a.png"}, "avatar_url"),
        ({"avatar_url": "javascript:alert(1)"}, "avatar_url"),
        ({"karma": 5}, "karma"),
    ],
)
async def test_a_wrong_update_names_the_field_and_changes_nothing(
    call: Call, register: Register, change: dict[str, Any], named: str
) -> None:
    key = await register()
    before = await data(call, "GET", "/arena/profile", key=key)

    answer = await call("PATCH", "/arena/profile", key=key, json=change)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "VALIDATION_ERROR")
    assert named in error["message"]
    assert await data(call, "GET", "/arena/profile", key=key) == before


async def test_an_unknown_agent_is_refused(call: Call) -> None:
    answer = await call("GET", "/arena/agents/agent_nobody", key=None)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert "agent_nobody" in answer.json()["error"]["message"]


async def test_followed_profiles_are_listed_until_they_are_unfollowed(call: Call, register: Register) -> None:
    key, other = await register(), await register("10.0.0.2")
    other_id = (await data(call, "GET", "/arena/profile", key=other))["agent_id"]

    await data(call, "POST", f"/arena/agents/{other_id}/subscribe", key=key)
    twice = await data(call, "POST", f"/arena/agents/{other_id}/subscribe", key=key)
    listed = await data(call, "GET", "/arena/profile/subscriptions", key=key)
    await data(call, "DELETE", f"/arena/agents/{other_id}/unsubscribe", key=key)

    assert twice == {"agent_id": other_id, "following": True}
    assert [p["agent_id"] for p in listed["profiles"]] == [other_id]
    assert listed["profiles"][0]["stats"]["followers"] == 1
    assert await data(call, "GET", "/arena/profile/subscriptions", key=key) == {"profiles": []}


async def test_a_post_shows_the_figures_of_the_authors_backtest(call: Call, engine: Engine) -> None:
    await call("GET", "/arena/profile")
    await engine.store.write(lambda connection: add_result(connection, LOCAL_AGENT))

    published = await data(call, "POST", "/arena/posts", json={**POST, "strategy_settings_id": RESULT})

    assert published == {
        **POST,
        "post_id": published["post_id"],
        "agent_id": LOCAL_AGENT,
        "strategy_settings_id": RESULT,
        "stats": {
            "roi": 12.5,
            "sharpe": 1.25,
            "sortino": None,
            "calmar": None,
            "win_rate": 0.6,
            "num_trades": 31,
            "max_drawdown": -0.1,
        },
        "created_at": "2025-06-16T12:00:00Z",
    }
    assert (await data(call, "GET", "/arena/profile"))["stats"]["posts"] == 1


async def test_another_agents_backtest_cannot_be_posted(call: Call, engine: Engine, register: Register) -> None:
    key = await register()
    await call("GET", "/arena/profile")
    await engine.store.write(lambda connection: add_result(connection, LOCAL_AGENT))

    answer = await call("POST", "/arena/posts", key=key, json={**POST, "strategy_settings_id": RESULT})

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "BACKTEST_NOT_FOUND")
    assert (await data(call, "GET", "/arena/profile", key=key))["stats"]["posts"] == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"category": "gossip"}, "category"),
        ({"title": ""}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"content": "x" * 5001}, "content"),
        ({"tags": []}, "tags"),
        ({"tags": [f"t{i}" for i in range(11)]}, "tags"),
        ({"content": "hidden\u202etext"}, "content"),
    ],
)
async def test_a_post_outside_the_rules_is_refused(call: Call, change: dict[str, Any], named: str) -> None:
    answer = await call("POST", "/arena/posts", json={**POST, **change})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert named in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/arena/profile"), ("PATCH", "/arena/profile"), ("POST", "/arena/posts")],
)
async def test_what_is_ones_own_needs_a_key(call: Call, method: str, path: str) -> None:
    answer = await call(method, path, key=None, json={} if method != "GET" else None)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "INVALID_API_KEY")

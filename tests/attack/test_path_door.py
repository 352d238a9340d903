"""No argument makes a request leave its route: 229 strings for ids in a path, sent through the tools.

The endpoints share the rule for ids and the code that writes them into paths. Through the tools, each endpoint takes
every fourth string, from another one on, and the long runs send every string to every endpoint. What writes the paths
takes every string for every endpoint, without the rule.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from mcp import Client, MCPError
from pydantic import SecretStr

from api.catalogue import ENDPOINTS
from api.client import address
from api.endpoint import Endpoint
from api.errors import InvalidInput
from server.app import open_server
from server.settings import Settings
from tools.snapshot import load
from tools.surface import exposed

from .paths import PATHS
from .venue import PREFIX, Venue, open_venue

ROUTED: Final[tuple[Endpoint[Any, Any], ...]] = tuple(
    each for each in ENDPOINTS if each.path_fields and each.name in {row.name for row in exposed()}
)
GIVEN: Final[dict[str, Any]] = {
    "account_id": "acc_1",
    "strategy_id": "rsi-reversion",
    "subscription_id": "sub_1",
    "order_id": "api-1",
    "result_id": "res_1",
    "backtest_id": "bt_1",
    "agent_id": "ag_1",
    "ticker": "BTC/USDT",
    "url": "https://hooks.example.com/x",
}
RESOURCES: Final = (
    "heytraders://accounts/{}",
    "heytraders://subscriptions/{}",
    "heytraders://subscriptions/{}/signals",
    "heytraders://backtests/{}/summary",
    "heytraders://backtests/{}/trades.csv",
    "heytraders://docs/{}",
)


Hosted = Callable[[], AbstractAsyncContextManager[tuple[Client, Venue]]]


def routes() -> list[re.Pattern[str]]:
    """The path of every endpoint; each id is one segment that is a valid id and not only dots."""
    one = r"(?!\.{1,2}(?:/|$))(?:[A-Za-z0-9_.-]|%3A){1,128}"
    paths = [re.escape(PREFIX + each.path) for each in ENDPOINTS]
    return [re.compile(re.sub(r"\\{\w+\\}", lambda _: one, path)) for path in paths]


@pytest.fixture
def hosted(tmp_path: Path) -> Hosted:
    """A client of a server that calls the hosted service, and that service."""

    @asynccontextmanager
    async def session() -> AsyncGenerator[tuple[Client, Venue]]:
        async with open_venue() as venue:
            settings = Settings(home=tmp_path, api_key=SecretStr("ht_live_canary_0123456789"), base_url=venue.url)
            async with open_server(settings) as server, Client(server, cache=None) as client:
                yield client, venue

    return session


def test_the_corpus_is_large_enough() -> None:
    assert len(PATHS) >= 200
    assert len(ROUTED) >= 10


def test_behind_the_rules_for_ids_any_text_becomes_one_quoted_segment() -> None:
    """The second lock: with ids that no rule has looked at, a path still has the shape of its endpoint."""
    texts = [_sendable({"": text})[""] for text in PATHS]
    for endpoint in (each for each in ENDPOINTS if each.path_fields):
        for text in texts:
            unchecked = endpoint.request.model_construct(**dict.fromkeys(endpoint.path_fields, text))
            with suppress(InvalidInput):
                url, _ = address("https://api.example", endpoint, unchecked, "string")
                parts = urlsplit(url)
                segments = parts.path.split("/")
                assert (parts.netloc, parts.fragment) == ("api.example", "")
                assert parse_qs(parts.query).keys() <= endpoint.request.model_fields.keys()
                assert len(segments) == len(endpoint.path.split("/"))
                assert [unquote(s) for s in segments] == [
                    text if name.startswith("{") else name for name in endpoint.path.split("/")
                ]


@pytest.mark.parametrize(("start", "endpoint"), list(enumerate(ROUTED)), ids=[each.name for each in ROUTED])
async def test_no_id_leads_a_request_astray(hosted: Hosted, start: int, endpoint: Endpoint[Any, Any]) -> None:
    await _assert_on_its_route(hosted, endpoint, PATHS[start % 4 :: 4])


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ROUTED, ids=[each.name for each in ROUTED])
async def test_none_of_all_ids_leads_a_request_astray(hosted: Hosted, endpoint: Endpoint[Any, Any]) -> None:
    """`pytest -m slow tests/attack/test_path_door.py`"""
    await _assert_on_its_route(hosted, endpoint, PATHS)


async def _assert_on_its_route(hosted: Hosted, endpoint: Endpoint[Any, Any], texts: Sequence[str]) -> None:
    required: list[str] = load(endpoint.name)["inputSchema"].get("required", [])
    others = {name: GIVEN[name] for name in required if name in GIVEN}
    calls = [_sendable({**others, field: text}) for field in endpoint.path_fields for text in texts]
    async with hosted() as (client, venue):
        said = [str((await client.call_tool(endpoint.name, arguments)).content) for arguments in calls]

    assert [text for text in said if "hit an internal error" in text] == []
    assert_on_their_routes(venue)


@pytest.mark.parametrize(("start", "template"), list(enumerate(RESOURCES)), ids=RESOURCES)
async def test_no_address_of_a_resource_leads_a_request_astray(hosted: Hosted, start: int, template: str) -> None:
    await _assert_on_a_route(hosted, template, PATHS[start % 4 :: 4])


@pytest.mark.slow
@pytest.mark.parametrize("template", RESOURCES)
async def test_no_address_of_all_leads_a_request_astray(hosted: Hosted, template: str) -> None:
    """`pytest -m slow tests/attack/test_path_door.py`"""
    await _assert_on_a_route(hosted, template, PATHS)


async def _assert_on_a_route(hosted: Hosted, template: str, texts: Sequence[str]) -> None:
    spelled = [form for text in texts for form in (quote(text, safe="", errors="replace"), _sendable({"": text})[""])]
    async with hosted() as (client, venue):
        for text in spelled:
            with suppress(MCPError, ValueError):
                await client.read_resource(template.format(text))

    assert_on_their_routes(venue)


def assert_on_their_routes(venue: Venue) -> None:
    """Every request received is one that the API defines, with its ids as whole segments."""
    known = routes()
    paths = [each.target.partition("?")[0] for each in venue.requests]
    assert [path for path in paths if not any(route.fullmatch(path) for route in known)] == []
    assert {each.headers["host"] for each in venue.requests} <= {venue.url.split("/")[2]}
    assert "evil" not in json.dumps([each.headers for each in venue.requests])


def _sendable(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments that survive JSON: a lone surrogate does not."""
    whole: dict[str, Any] = json.loads(json.dumps(arguments).encode("utf-8", "replace"))
    return {name: value.encode("utf-8", "replace").decode() for name, value in whole.items()}

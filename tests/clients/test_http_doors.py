"""Who gets in over HTTP: every host, origin and token against each other; and what of a request never goes upstream."""

from __future__ import annotations

from itertools import product
from typing import Any, Final, get_args

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from server.transports import HttpTransport
from tests.attack.venue import open_venue

from .conftest import Serve

INITIALIZE: Final[dict[str, Any]] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
HOSTS: Final = {
    None: True,
    "localhost:{port}": True,
    "evil.example": False,
    "127.0.0.1.evil.example:{port}": False,
    "localhost@evil.example": False,
    "0.0.0.0:{port}": False,
}
ORIGINS: Final = {
    None: True,
    "http://127.0.0.1:{port}": True,
    "https://evil.example": False,
    "null": False,
    "http://localhost.evil.example": False,
    "file://": False,
}
TOKENS: Final = {None: False, "Bearer wrong": False, "good": True, "Basic good": False, "Bearer": False}


def expected(*, host: bool, origin: bool, token: bool) -> int:
    """The token is asked for first, then the host, then the origin."""
    if not token:
        return 401
    if not host:
        return 421
    return 200 if origin else 403


@pytest.mark.parametrize("transport", get_args(HttpTransport))
async def test_only_this_machines_pages_and_holders_of_the_token_get_in(transport: HttpTransport, serve: Serve) -> None:
    wrong: list[str] = []
    with serve(transport) as served:
        port = served.url.rpartition(":")[2].partition("/")[0]
        async with httpx2.AsyncClient(timeout=60) as web:
            for (host, good_host), (origin, good_origin), (token, good_token) in product(
                HOSTS.items(), ORIGINS.items(), TOKENS.items()
            ):
                headers = {"Accept": "application/json, text/event-stream"}
                given = {"Host": host, "Origin": origin, "Authorization": token}
                headers |= {name: value.format(port=port) for name, value in given.items() if value is not None}
                if token == "good":
                    headers |= served.headers
                method = "GET" if transport == "sse" else "POST"
                async with web.stream(method, served.url, headers=headers, json=INITIALIZE) as answer:
                    wanted = expected(host=good_host, origin=good_origin, token=good_token)
                    if answer.status_code != wanted:
                        wrong.append(f"{host} {origin} {token}: {answer.status_code} and not {wanted}")

    assert wrong == []


@pytest.mark.parametrize(
    "path", ["oauth-protected-resource", "oauth-protected-resource/mcp", "oauth-authorization-server"]
)
async def test_there_is_no_oauth_metadata(path: str, serve: Serve) -> None:
    with serve("streamable-http") as served:
        origin = served.url.removesuffix("/mcp")
        async with httpx2.AsyncClient() as web:
            answer = await web.get(f"{origin}/.well-known/{path}")

    assert answer.status_code == 404


async def test_nothing_that_a_client_sends_to_get_in_goes_upstream(environment: dict[str, str], serve: Serve) -> None:
    key = "k9Zq7LwX4b2TdQ0a5f1c9e7a"
    async with open_venue() as venue:
        environment |= {"HEYTRADERS_BASE_URL": venue.url, "HEYTRADERS_API_KEY": key}
        with serve("streamable-http") as served:
            smuggled = {**served.headers, "X-API-Key": "a-key-of-the-clients-own", "X-Forwarded-For": "10.0.0.1"}
            async with (
                httpx2.AsyncClient(headers=smuggled) as web,
                Client(streamable_http_client(served.url, http_client=web)) as client,
            ):
                answer = await client.call_tool("accounts_list", {})

    assert not answer.is_error, answer.content
    [request] = venue.requests
    assert request.headers["x-api-key"] == key
    assert "authorization" not in request.headers
    token = served.headers["Authorization"].removeprefix("Bearer ")
    assert not [value for value in request.headers.values() if token in value or "clients-own" in value]

"""Access over HTTP until a signal ends it: every combination of host, origin and token; and which parts of a request
never go upstream.
"""

from __future__ import annotations

import resource
import signal
import socket
from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any, Final

import anyio
import anyio.abc
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send

from server import transports
from server.settings import Settings
from server.transports import HttpTransport
from tests.attack.venue import open_venue

from .conftest import Serve, assert_ends_in_order

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
OAUTH_METADATA: Final = ("oauth-protected-resource", "oauth-protected-resource/mcp", "oauth-authorization-server")


def expected(*, host: bool, origin: bool, token: bool) -> int:
    """The token is checked first, then the host, then the origin."""
    if not token:
        return 401
    if not host:
        return 421
    return 200 if origin else 403


@pytest.mark.parametrize(("transport", "ending"), [("sse", signal.SIGTERM), ("streamable-http", signal.SIGINT)])
async def test_only_this_machine_and_holders_of_the_token_get_in_nobody_finds_oauth_metadata_and_a_signal_ends_it(
    transport: HttpTransport, ending: signal.Signals, serve: Serve
) -> None:
    wrong: list[str] = []
    with serve(transport) as served:
        port = served.url.rpartition(":")[2].partition("/")[0]
        async with httpx2.AsyncClient(timeout=60) as web:
            metadata = [await web.get(f"{served.origin}/.well-known/{path}") for path in OAUTH_METADATA]
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
        assert_ends_in_order(served.process, ending)

    assert wrong == []
    assert [answer.status_code for answer in metadata] == [404, 404, 404]


async def test_nothing_that_a_client_sends_to_get_in_goes_upstream(settings: Settings) -> None:
    key, token = "k9Zq7LwX4b2TdQ0a5f1c9e7a", "the-token-of-this-door"
    async with open_venue() as venue:
        hosted = replace(settings, base_url=venue.url, api_key=SecretStr(key), stays=True)
        with transports.listen("127.0.0.1", 0) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
            headers = {"Authorization": f"Bearer {token}", "X-API-Key": "a-key-of-the-clients-own"}
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(transports.serve_http, hosted, "streamable-http", listener, SecretStr(token), "Ready.")
                async with (
                    httpx2.AsyncClient(headers={**headers, "X-Forwarded-For": "10.0.0.1"}, timeout=60) as web,
                    Client(streamable_http_client(url, http_client=web)) as client,
                ):
                    answer = await client.call_tool("accounts_list", {})
                    assert not answer.is_error, answer.content
                tasks.cancel_scope.cancel()

    [request] = venue.requests
    assert request.headers["x-api-key"] == key
    assert "authorization" not in request.headers
    assert not [value for value in request.headers.values() if token in value or "clients-own" in value]


@pytest.mark.long
async def test_idle_connections_keep_nobody_out_and_fill_no_log(serve: Serve) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    idle: list[socket.socket] = []
    try:
        with serve("streamable-http") as served:
            address = ("127.0.0.1", int(served.url.rpartition(":")[2].partition("/")[0]))
            for number in range(1_100):
                idle.append(socket.create_connection(address, timeout=10))
                if number % 2:
                    idle[-1].sendall(b"POST /mcp HTTP/1.1\r\nHost: 127")
            async with httpx2.AsyncClient(timeout=60) as web:
                answer = await web.post(
                    served.url,
                    json=INITIALIZE,
                    headers={"Accept": "application/json, text/event-stream", **served.headers},
                )
            served.process.terminate()
            _, log = served.process.communicate(timeout=20)
    finally:
        for each in idle:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert answer.status_code == 200
    assert len(log) < 2_000, log[:2_000]


async def test_a_request_whose_head_drips_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "HEAD_SECONDS", 0.3)

    async def nothing(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        if scope["type"] == "http":
            raise AssertionError(scope)

    async def drip(stream: anyio.abc.SocketStream) -> int:
        for sent, letter in enumerate(b"GET / HTTP/1.1\r\nX-Slow: " + b"x" * 200):
            await stream.send(bytes([letter]))
            with anyio.move_on_after(0.05):
                with suppress(anyio.EndOfStream):
                    await stream.receive()
                return sent
        return 200

    dripped = 0
    with transports.listen("127.0.0.1", 0) as listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transports.run_asgi, nothing, listener, "warning", "ready")
            async with await anyio.connect_tcp(*listener.getsockname()[:2]) as stream:
                dripped = await drip(stream)
            tasks.cancel_scope.cancel()

    assert 2 <= dripped < 20

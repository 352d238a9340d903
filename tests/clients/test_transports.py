"""One smoke test per transport with a real process, and how each of them ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from server.transports import HttpTransport
from tests.clients.conftest import Serve, Served, assert_ends_in_order
from tests.conftest import Era
from tests.server.cli.shell import run_here

EXPRESSION = {"symbol": "BTC/USDT", "expression": "close[-1] > 0"}
INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
INITIALIZED: dict[str, Any] = {"jsonrpc": "2.0", "method": "notifications/initialized"}


async def use(client: Client) -> Any:
    """What every transport must handle: the list, a call, a refusal, a document."""
    assert "market_evaluate" in [tool.name for tool in (await client.list_tools()).tools]
    refused = await client.call_tool("market_evaluate", {**EXPRESSION, "symbl": "x"})
    assert refused.is_error
    assert "docs/operators" in str((await client.list_resources()).resources)
    answered = await client.call_tool("market_evaluate", EXPRESSION)
    assert not answered.is_error
    assert answered.structured_content is not None
    return answered.structured_content["value"]


@asynccontextmanager
async def connected(transport: HttpTransport, served: Served, era: Era) -> AsyncGenerator[Client]:
    """A client configured with the server's output."""
    if transport == "sse":
        async with Client(sse_client(served.url, headers=served.headers), mode=era) as client:
            yield client
        return
    async with (
        httpx2.AsyncClient(headers=served.headers, timeout=60) as web,
        Client(streamable_http_client(served.url, http_client=web), mode=era) as client,
    ):
        yield client


@pytest.mark.long
async def test_stdio_serves_in_a_hostile_folder_and_environment(
    era: Era, environment: dict[str, str], hostile_folder: Path
) -> None:
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "heytraders_mcp"], env=environment, cwd=str(hostile_folder)
    )
    async with Client(server, mode=era) as client:
        assert await use(client) is True


@pytest.mark.long
@pytest.mark.parametrize("transport", get_args(HttpTransport))
async def test_http_serves_only_holders_of_the_printed_token(transport: HttpTransport, serve: Serve) -> None:
    with serve(transport) as served:
        for era in get_args(Era):
            async with connected(transport, served, era) as client:
                assert await use(client) is True
        async with httpx2.AsyncClient(timeout=60) as web:

            async def status(**headers: str) -> int:
                sent = {"Accept": "application/json, text/event-stream", **headers}
                async with web.stream(
                    "GET" if transport == "sse" else "POST", served.url, headers=sent, json=INITIALIZE
                ) as r:
                    return r.status_code

            assert await status() == 401
            assert await status(Authorization="Bearer wrong") == 401
            assert await status(**served.headers, Host="evil.example") == 421
            assert await status(**served.headers, Origin="https://evil.example") == 403
            assert await status(**served.headers, Origin="null") == 403
            assert await status(**served.headers) == 200


def test_a_host_other_than_this_machine_is_refused_in_one_line(environment: dict[str, str]) -> None:
    done = run_here("serve", "--transport", "sse", "--host", "0.0.0.0", env=environment)  # noqa: S104 - what must not work

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "0.0.0.0" in done.stderr  # noqa: S104


def test_no_auth_is_refused_with_a_hosted_key(environment: dict[str, str]) -> None:
    key = "ht_live_canary_0123456789"
    done = run_here("serve", "--transport", "sse", "--no-auth", env={**environment, "HEYTRADERS_API_KEY": key})

    assert done.returncode == 1
    assert "--no-auth" in done.stderr
    assert key not in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("transport", get_args(HttpTransport))
def test_http_without_a_token_ends_in_order_at_a_signal(
    transport: HttpTransport, ending: signal.Signals, serve: Serve
) -> None:
    with serve(transport, "--no-auth") as served:
        assert_ends_in_order(served.process, ending)


@pytest.mark.parametrize(
    "ending", [*(pytest.param(each, marks=pytest.mark.long) for each in (signal.SIGTERM, signal.SIGINT)), None]
)
def test_stdio_ends_in_order_and_leaves_the_database_closed(
    ending: signal.Signals | None, environment: dict[str, str], hostile_folder: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "heytraders_mcp"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=hostile_folder,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        call: dict[str, Any] = {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "tools/call",
            "params": {"name": "meta_health", "arguments": {}},
        }
        messages: list[dict[str, Any]] = [INITIALIZE, INITIALIZED, call]
        for message in messages:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            if "id" in message:
                assert "result" in json.loads(process.stdout.readline())
        if ending:
            process.send_signal(ending)
        else:
            process.stdin.close()

        assert process.wait(timeout=20) == (128 + ending if ending else 0)
        assert "Traceback" not in process.stderr.read()
    journals = Path(environment["HEYTRADERS_HOME"]).glob("*-journal")
    assert not [path for path in journals if path.read_bytes()[:8].strip(b"\0")]  # a cleared header: nothing is pending

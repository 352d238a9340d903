"""A question to the user over every transport, in both protocol eras: on paper, from the call to the filled order."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, get_args

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from server.transports import HttpTransport
from tests.clients.conftest import Serve, Served
from tests.conftest import Era
from tests.dialogs import YES, Person

ORDER: Final[dict[str, Any]] = {
    "account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy",
}  # fmt: skip


async def confirm(client: Client, person: Person, amount: str = "0.001") -> None:
    """Place an order; the person sees its terms, once."""
    placed = await client.call_tool("place_with_confirmation", {**ORDER, "amount": amount})

    assert placed.structured_content is not None, placed.content
    assert (placed.structured_content["outcome"], placed.structured_content["status"]) == ("placed", "FILLED")
    [form] = person.shown
    assert f"{amount} BTC/USDT" in form.message


@asynccontextmanager
async def connected(transport: HttpTransport, served: Served, era: Era, person: Person) -> AsyncGenerator[Client]:
    """A client with a person who answers."""
    if transport == "sse":
        wire = sse_client(served.url, headers=served.headers)
        async with Client(wire, mode=era, elicitation_callback=person) as client:
            yield client
        return
    async with (
        httpx2.AsyncClient(headers=served.headers, timeout=60) as web,
        Client(streamable_http_client(served.url, http_client=web), mode=era, elicitation_callback=person) as client,
    ):
        yield client


@pytest.mark.long
async def test_over_stdio(era: Era, environment: dict[str, str]) -> None:
    person = Person(YES)
    server = StdioServerParameters(command=sys.executable, args=["-m", "heytraders_mcp"], env=environment)
    async with Client(server, mode=era, elicitation_callback=person) as client:
        await confirm(client, person)


@pytest.mark.long
@pytest.mark.parametrize("transport", get_args(HttpTransport))
async def test_over_http(transport: HttpTransport, serve: Serve) -> None:
    with serve(transport) as served:
        for era, amount in zip(get_args(Era), ("0.001", "0.002"), strict=True):
            person = Person(YES)
            async with connected(transport, served, era, person) as client:
                await confirm(client, person, amount)

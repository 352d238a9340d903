"""Clients that rewrite schemas: OpenAI's strict mode makes every argument required, so models fill in blanks."""

from __future__ import annotations

import pytest

from server.settings import Settings
from tests.calls import refusal, result
from tests.conftest import Connect

ORDER = {"account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": "0.001"}


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

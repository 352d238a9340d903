"""Accounts and orders through an MCP client, in both protocol eras."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import SecretStr

from api.outputs import table_rows
from server.settings import Settings
from tests.calls import refusal, result
from tests.conftest import Connect

ORDER: dict[str, Any] = {
    "account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy",
    "order_type": "limit", "amount": "0.001", "price": 10_000, "label": "from the test",
}  # fmt: skip


async def test_an_order_is_placed_listed_and_cancelled(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        accounts = (await result(client, "accounts_list"))["accounts"]
        account = await result(client, "accounts_get", account_id="paper-binance")
        placed = await result(client, "orders_place", **ORDER)
        listed = await result(client, "orders_list", account_id="paper-binance")
        balances = await result(client, "accounts_balances", account_id="paper-binance")
        resting = await result(client, "accounts_open_orders", account_id="paper-binance", symbol="btc-usdt")
        cancelled = await result(client, "orders_cancel", order_id=placed["order_id"])

    assert account in accounts
    assert (placed["status"], placed["paper"], placed["label"]) == ("OPEN", True, "from the test")
    assert table_rows(listed["orders"])[0]["order_id"] == placed["order_id"]
    assert balances["balances"][0]["used"] == 10.01
    assert balances["paper"] is True
    assert resting["orders"] == balances["open_orders"] == listed["orders"]
    assert (cancelled["status"], cancelled["paper"]) == ("CANCELLED", True)


async def test_a_filled_order_says_what_priced_it(connect: Connect, settings: Settings) -> None:
    market = {name: value for name, value in ORDER.items() if name not in {"price", "order_type"}}
    async with connect(settings) as client:
        placed = await result(client, "orders_place", **market)

    assert placed["status"] == "FILLED"
    assert placed["price_source"] == "simulated"
    assert placed["average_price"] > 0
    assert "accounts_balances" in placed["suggestion"]


async def test_a_plan_rests_beside_what_was_bought_and_ends_together(connect: Connect, settings: Settings) -> None:
    market = {name: value for name, value in ORDER.items() if name not in {"price", "order_type"}}
    async with connect(settings) as client:
        price = (await result(client, "order_preview", **market))["quote"]
        plan = {"stop_loss": round(price * 0.9), "take_profit": round(price * 1.1)}
        placed = await result(client, "orders_place", **market, **plan)
        resting = table_rows((await result(client, "accounts_open_orders", account_id="paper-binance"))["orders"])
        wrong = await refusal(client, "orders_place", **market, stop_loss=round(price * 1.2))
        await result(client, "orders_cancel", order_id=resting[0]["order_id"])
        after = table_rows((await result(client, "accounts_open_orders", account_id="paper-binance"))["orders"])

    assert (placed["status"], placed["role"]) == ("FILLED", "entry")
    assert {(o["role"], o["parent"], o["amount"], o["held_by"]) for o in resting} == {
        (role, placed["order_id"], 0.001, "venue") for role in plan
    }
    below = rf"stop_loss {round(price * 1.2)} must lie below the market price of ([\d.]+): it would close"
    said = re.search(below, wrong)
    assert said is not None, wrong
    assert float(said[1]) == pytest.approx(price, rel=0.01)  # a minute may have passed since the preview
    assert after == []


async def test_a_refusal_carries_the_corrected_call(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        wrong_step = await refusal(client, "orders_place", **{**ORDER, "amount": "0.00100000001"})
        wrong_type = await refusal(client, "orders_place", **{**ORDER, "market_type": "perpetual"})
        unknown = await refusal(client, "orders_cancel", order_id="api-nothing")
        orders = await result(client, "orders_list")

    assert "The nearest valid amount is 0.001" in wrong_step
    assert "Try: orders_place(" in wrong_step
    assert "Use market_type=spot, or exchange=binancefuturesusd" in wrong_type
    assert "Try:" not in wrong_type
    assert unknown.startswith("ORDER_NOT_FOUND")
    assert orders["total"] == 0


async def test_the_hosted_service_gets_no_order_but_may_cancel(connect: Connect, settings: Settings) -> None:
    """Nothing listens at that address: an order that is sent ends as a failed connection, a denied one does not."""
    hosted = Settings(home=settings.home, api_key=SecretStr("ht_live_canary"), base_url="http://127.0.0.1:9/api/v1")
    async with connect(hosted) as client:
        placing = await refusal(client, "orders_place", **ORDER)
        cancelling = await refusal(client, "orders_cancel", order_id="api-1")

    assert placing.startswith("DENIED: R01_MODE")
    assert "heytraders-mcp policy sign" in placing
    assert not cancelling.startswith("DENIED")


@pytest.mark.parametrize(("toolset", "there"), [("trading", True), ("research", False)])
async def test_orders_belong_to_the_trading_toolset(
    connect: Connect, settings: Settings, toolset: Any, there: bool
) -> None:
    async with connect(Settings(home=settings.home, toolsets=(toolset,))) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}

    assert ({"accounts_balances", "orders_place", "orders_cancel"} <= names) is there


async def test_a_read_only_server_offers_no_orders(connect: Connect, settings: Settings) -> None:
    async with connect(Settings(home=settings.home, read_only=True)) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}

    assert "orders_list" in names
    assert names.isdisjoint({"orders_place", "orders_cancel"})

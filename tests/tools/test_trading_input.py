"""Arguments of account and order tools: accepted with one meaning, else refused with value, rule and advice.

Accepted calls are labelled paper, and refused calls change nothing.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp.types import CallToolResult, TextContent

from api.outputs import table_rows
from server.settings import Settings
from tests.conftest import Connect

Arguments = dict[str, Any]

SPOT: Arguments = {
    "account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": "0.001",
}  # fmt: skip
PERPETUAL: Arguments = {
    "account_id": "paper-binancefuturesusd", "exchange": "binancefuturesusd", "symbol": "BTC/USDT", "side": "sell",
    "amount": "0.01",
}  # fmt: skip
HYPER: Arguments = {**PERPETUAL, "account_id": "paper-hyperliquid", "exchange": "hyperliquid"}
BET: Arguments = {**SPOT, "account_id": "paper-polymarket", "exchange": "polymarket", "symbol": "1" * 20}

PLACED: dict[str, tuple[Arguments, Arguments]] = {
    "numbers as strings": (
        {**SPOT, "order_type": "limit", "price": "10000"},
        {"status": "OPEN", "price": 10_000, "amount": 0.001},
    ),
    "numbers as numbers": ({**SPOT, "amount": 0.001}, {"status": "FILLED", "amount": 0.001}),
    "other capitals": (
        {**SPOT, "side": "BUY", "order_type": "Limit", "exchange": "Binance", "price": 10_000},
        {"side": "buy", "order_type": "limit", "exchange": "binance"},
    ),
    "words for GTC": (
        {**SPOT, "order_type": "good-til-cancelled", "price": 10_000},
        {"order_type": "GTC", "status": "OPEN"},
    ),
    "a dash in the symbol": ({**SPOT, "symbol": "btc-usdt"}, {"symbol": "BTC/USDT"}),
    "a glued symbol": ({**SPOT, "symbol": "BTCUSDT"}, {"symbol": "BTC/USDT"}),
    "a prefix in place of the exchange": (
        {key: value for key, value in SPOT.items() if key != "exchange"} | {"symbol": "BINANCE:BTC/USDT"},
        {"exchange": "binance", "symbol": "BTC/USDT"},
    ),
    "null for left out": ({**SPOT, "price": None, "leverage": None, "label": None}, {"order_type": "market"}),
    "leverage as a string": ({**PERPETUAL, "leverage": "10"}, {"leverage": 10, "side": "sell"}),
    "a market type by another name": (
        {**PERPETUAL, "leverage": 10, "market_type": "swap"},
        {"market_type": "perpetual"},
    ),
}

REFUSED: dict[str, tuple[str, Arguments, list[str]]] = {
    "an argument of a tool without any": ("accounts_list", {"verbose": True}, ['"verbose"', "no arguments"]),
    "a misspelt argument": (
        "accounts_get",
        {"account": "paper-binance"},
        ['accounts_get(account_id="paper-binance")'],
    ),
    "an unknown account": ("accounts_get", {"account_id": "paper-binanse"}, ["paper-binanse", "paper-binance"]),
    "an account of no shape": ("accounts_get", {"account_id": "a/../b"}, ["must be an id"]),
    "an object for an id": ("accounts_balances", {"account_id": {"id": 1}}, ["account_id", "must be an id"]),
    "a symbol where only Polymarket takes one": (
        "accounts_balances",
        {"account_id": "paper-binance", "symbol": "BTC/USDT"},
        ["Polymarket", "Leave symbol out"],
    ),
    "no symbol where Lighter wants one": (
        "accounts_open_orders",
        {"account_id": "paper-lighter"},
        ["symbol is missing", "Lighter", "BTC/USDT"],
    ),
    "an order type that is not known": ("orders_place", {**SPOT, "order_type": "stop"}, ["market, limit, GTC, FOK"]),
    "a side that is not known": ("orders_place", {**SPOT, "side": "long"}, ['"long"', "one of buy, sell"]),
    "a limit by another name": ("orders_place", {**SPOT, "limit_price": 5}, ["limit_price", "Did you mean price?"]),
    "a price in a market order": ("orders_place", {**SPOT, "price": 5}, ["price 5", "market", "order_type limit"]),
    "a limit without a price": (
        "orders_place",
        {**SPOT, "order_type": "limit"},
        ["price is required for limit orders"],
    ),
    "an exponent": ("orders_place", {**SPOT, "amount": "1e-3"}, ["1e-3", 'amount="0.001"']),
    "a negative amount": ("orders_place", {**SPOT, "amount": -1}, ["amount -1", "negative"]),
    "an amount that is no number": ("orders_place", {**SPOT, "amount": "NaN"}, ["NaN", "decimal number"]),
    "a boolean amount": ("orders_place", {**SPOT, "amount": True}, ["amount true"]),
    "full-width digits": ("orders_place", {**SPOT, "amount": "\uff11"}, ["amount", "decimal number"]),
    "nothing": ("orders_place", {**SPOT, "amount": 0}, ["amount 0"]),
    "a step too fine": ("orders_place", {**SPOT, "amount": "0.00100000001"}, ["nearest valid amount is 0.001"]),
    "more than there is": ("orders_place", {**SPOT, "amount": 500}, ["not enough USDT", "is free"]),
    "a sale of what is not held": (
        "orders_place",
        {**SPOT, "side": "sell", "amount": 5},
        ["spot accounts cannot go short"],
    ),
    "a symbol that is not listed": ("orders_place", {**SPOT, "symbol": "BTX/USDT"}, ["BTX/USDT", "BTC/USDT"]),
    "an account of another venue": (
        "orders_place",
        {**SPOT, "exchange": "gate"},
        ["trades on binance, not on gate", "accounts_list"],
    ),
    "leverage on spot": ("orders_place", {**SPOT, "leverage": 3}, ["perpetuals only", "Leave leverage out"]),
    "leverage beyond the venue's": ("orders_place", {**PERPETUAL, "leverage": 126}, ["leverage 126", "at most 125"]),
    "a price of six significant figures on Hyperliquid": (
        "orders_place",
        {**HYPER, "order_type": "limit", "price": "134957.9"},
        ["134957.9", "5 significant figures", "134958"],
    ),
    "a market order on a bet": ("orders_place", BET, ["GTC or FOK", "FOK with an aggressive price"]),
    "cents for a probability": (
        "orders_place",
        {**BET, "order_type": "FOK", "price": 65},
        ["probability above 0 and below 1", "0.65"],
    ),
    "a label too long": ("orders_place", {**SPOT, "label": "x" * 101}, ["label", "at most 100"]),
    "an invisible character": ("orders_place", {**SPOT, "label": "a\u202eb"}, ["label", "RIGHT-TO-LEFT"]),
    "a state that is not known": ("orders_list", {"status": "done"}, ["INIT, OPEN, PART_FILLED, FILLED"]),
    "a page too long": ("orders_list", {"limit": "500"}, ["at most 200"]),
    "a page before the first": ("orders_list", {"offset": -1}, ["at least 0", "offset=0"]),
    "an unknown exchange": ("orders_list", {"exchange": "kraken"}, ["kraken", "binance, binancefuturesusd"]),
    "an unknown order": ("orders_cancel", {"order_id": "api-none"}, ["ORDER_NOT_FOUND", "orders_list"]),
    "an internal id on Lighter": (
        "orders_cancel",
        {"order_id": "api-none", "exchange": "lighter"},
        ["numeric", "exchange_order_id"],
    ),
    "an id too long for a JSON number": ("orders_cancel", {"order_id": 10**20}, ["string"]),
}


def text(answer: CallToolResult) -> str:
    """Everything that a model reads."""
    return "".join(block.text for block in answer.content if isinstance(block, TextContent))


@pytest.mark.parametrize(("order", "expected"), PLACED.values(), ids=PLACED)
async def test_an_order_with_one_clear_meaning_is_placed_on_paper(
    order: Arguments, expected: Arguments, connect: Connect
) -> None:
    async with connect() as client:
        answer = await client.call_tool("orders_place", order)
        placed = answer.structured_content
        assert placed is not None, text(answer)
        listed = (await client.call_tool("orders_list", {"account_id": order["account_id"]})).structured_content

    assert placed.items() >= expected.items()
    assert placed["paper"] is True
    assert placed["suggestion"].startswith("Paper order")
    assert json.loads(text(answer)) == placed
    assert listed is not None
    assert placed["order_id"] in [each["order_id"] for each in table_rows(listed["orders"])]
    assert all(each["paper"] for each in table_rows(listed["orders"]))


async def test_nothing_that_is_refused_changes_anything(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        before = await client.call_tool("accounts_balances", {"account_id": "paper-binance"})
        refused = [await client.call_tool(tool, arguments) for tool, arguments, _ in REFUSED.values()]
        after = await client.call_tool("accounts_balances", {"account_id": "paper-binance"})
        orders = await client.call_tool("orders_list", {})

    assert all(answer.is_error for answer in refused)
    assert before.structured_content is not None
    assert after.structured_content is not None
    assert before.structured_content["balances"] == after.structured_content["balances"]
    assert orders.structured_content is not None
    assert table_rows(orders.structured_content["orders"]) == []


@pytest.mark.parametrize(("tool", "arguments", "said"), REFUSED.values(), ids=REFUSED)
async def test_anything_else_is_one_message_with_value_rule_and_what_to_do(
    tool: str, arguments: Arguments, said: list[str], connect: Connect
) -> None:
    async with connect() as client:
        answer = await client.call_tool(tool, arguments)

    message = text(answer)
    assert answer.is_error, message
    assert answer.structured_content is None
    assert [part for part in said if part not in message] == [], message
    assert not message.startswith("INTERNAL_ERROR"), message
    assert not any(word in message for word in ("Traceback", "pydantic", 'File "')), message
    assert len(message) <= 800


async def test_every_account_says_that_it_is_paper(connect: Connect) -> None:
    async with connect() as client:
        listed = (await client.call_tool("accounts_list", {})).structured_content
        assert listed is not None
        accounts = [account["account_id"] for account in listed["accounts"]]
        balances = [await client.call_tool("accounts_balances", {"account_id": each}) for each in accounts]

    assert len({account["exchange"] for account in listed["accounts"]}) == 8
    assert all(account["paper"] is True for account in listed["accounts"])
    assert all(each.structured_content and each.structured_content["paper"] is True for each in balances)

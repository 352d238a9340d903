"""The remarks of a preview beside the policy's decision, and who is named as having confirmed an order."""

from __future__ import annotations

from typing import Any

import pytest
from mcp import Client

from server.settings import Settings
from tests.calls import result
from tests.conftest import Connect

SPOT = {"account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT"}
PERPETUAL = {"account_id": "paper-binancefuturesusd", "exchange": "binancefuturesusd", "symbol": "BTC/USDT:USDT"}


async def price(client: Client) -> float:
    """The price of bitcoin on the simulated market."""
    found: dict[str, Any] = await result(client, "order_preview", **SPOT, side="buy", amount="0.001")
    assert found["doubts"] == []
    quote: float = found["quote"]
    return quote


async def doubts(client: Client, **order: Any) -> str:
    """The only doubt about an order."""
    [only] = (await result(client, "order_preview", **order))["doubts"]
    return str(only)


@pytest.mark.parametrize("order", [{}, {"order_type": "limit", "price": 20_000}])
async def test_a_purchase_that_the_account_cannot_pay_is_doubted(
    connect: Connect, settings: Settings, order: dict[str, Any]
) -> None:
    """A paper account begins with 10,000 USDT."""
    async with connect(settings) as client:
        said = await doubts(client, **SPOT, side="buy", amount=1_000, **order)

    assert said.startswith("the purchase needs ")
    assert "and 10000 USDT is free" in said


async def test_selling_more_than_is_held_is_doubted(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        await result(client, "orders_place", **SPOT, side="buy", amount="0.01")
        said = await doubts(client, **SPOT, side="sell", amount=5)
        held = await result(client, "order_preview", **SPOT, side="sell", amount="0.01")

    assert said == "the account has 0.01 BTC to sell, and the order sells 5"
    assert held["doubts"] == []


@pytest.mark.parametrize("side", ["buy", "sell"])
async def test_a_position_that_its_margin_cannot_carry_is_doubted(
    connect: Connect, settings: Settings, side: str
) -> None:
    async with connect(settings) as client:
        quote = await price(client)
        amount = round(15_000 / quote, 3)
        said = await doubts(client, **PERPETUAL, side=side, amount=amount)
        levered = await result(client, "order_preview", **PERPETUAL, side=side, amount=amount, leverage=2)

    assert said.startswith("margin needs ")
    assert levered["doubts"] == []


@pytest.mark.parametrize(
    ("side", "factor", "through"), [("buy", 1.08, True), ("sell", 0.92, True), ("buy", 0.97, False)]
)
async def test_a_limit_that_would_fill_at_once_is_doubted(
    connect: Connect, settings: Settings, side: str, factor: float, through: bool
) -> None:
    async with connect(settings) as client:
        quote = await price(client)
        await result(client, "orders_place", **SPOT, side="buy", amount="0.01")
        order = {**SPOT, "side": side, "amount": "0.001", "order_type": "limit", "price": round(quote * factor)}
        found = (await result(client, "order_preview", **order))["doubts"]

    assert len(found) == through
    assert not through or "8.0 % through the market" in found[0]


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"amount": "0.0100001"}, "amount 0.0100001 is not a multiple of 0.000001, the step of BTC/USDT on binance"),
        ({"amount": "0.00001"}, "less than the smallest order of 5 on binance"),
        ({"amount": "0.01", "stop_loss": "20000.001"}, "stop_loss 20000.001 is not a multiple of 0.1,"),
    ],
)
async def test_terms_that_the_exchange_would_refuse_are_doubted(
    connect: Connect, settings: Settings, terms: dict[str, str], said: str
) -> None:
    async with connect(settings) as client:
        assert said in await doubts(client, **SPOT, side="buy", **terms)


@pytest.mark.parametrize("tool", ["orders_place", "place_with_confirmation"])
async def test_an_answer_says_that_nobody_confirmed(connect: Connect, settings: Settings, tool: str) -> None:
    async with connect(settings) as client:
        placed = await result(client, tool, **SPOT, side="buy", amount="0.001")

    assert (placed["outcome"], placed["confirmed_by"]) == ("placed", "nobody")

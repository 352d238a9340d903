"""Sections 4 and 5 of the API document over HTTP, on the simulated market."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from api.times import AcceleratedClock
from engine.engine import Engine
from tests.engine.conftest import Call

SPOT_EXAMPLE: dict[str, Any] = {
    "account_id": "paper-binance",
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "market",
    "amount": 0.001,
    "market_type": "spot",
}
FUTURES_EXAMPLE: dict[str, Any] = {
    "account_id": "paper-binancefuturesusd",
    "exchange": "binancefuturesusd",
    "symbol": "BTC/USDT:USDT",
    "side": "sell",
    "order_type": "limit",
    "amount": 0.01,
    "price": 100000,
    "leverage": 5,
}
LIGHTER_EXAMPLE: dict[str, Any] = {
    "account_id": "paper-lighter",
    "exchange": "lighter",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "limit",
    "amount": 0.01,
    "price": 65000,
    "market_type": "perpetual",
}


async def data(call: Call, method: str, path: str, **request: Any) -> dict[str, Any]:
    """The data of a call that must succeed."""
    answer = await call(method, path, **request)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["success"] is True
    return body["data"]


async def refused(call: Call, method: str, path: str, **request: Any) -> tuple[int, dict[str, Any]]:
    """Status and error of a call that must fail."""
    answer = await call(method, path, **request)
    body = answer.json()
    assert body["success"] is False
    return answer.status_code, body["error"]


@pytest.fixture
def token(engine: Engine) -> str:
    """A prediction token that trades between 20 and 80 cents."""
    for listing in engine.feed.listings("polymarket"):
        last = engine.feed.candles(listing.instrument, "1m", limit=1).bars.close[-1]
        if listing.payout is None and 0.2 < last < 0.6:
            return listing.instrument.base
    raise AssertionError("the simulation lists no such token")


async def test_accounts_are_listed_and_described(call: Call) -> None:
    accounts = (await data(call, "GET", "/accounts"))["accounts"]
    one = await data(call, "GET", f"/accounts/{accounts[0]['account_id']}")

    assert len(accounts) == 8
    assert one == accounts[0]
    assert one["exchange"] == "binance"
    assert one["paper"] is True


async def test_the_documented_orders_go_through(call: Call, token: str) -> None:
    prediction = {
        "account_id": "paper-polymarket", "exchange": "polymarket", "symbol": token, "side": "buy",
        "order_type": "GTC", "amount": 100, "price": 0.65, "market_type": "prediction",
    }  # fmt: skip
    for example in (SPOT_EXAMPLE, FUTURES_EXAMPLE, LIGHTER_EXAMPLE, prediction):
        order = await data(call, "POST", "/orders", json=example)

        assert order["order_id"].startswith("api-")
        assert order["exchange_order_id"]
        assert order["status"] in {"OPEN", "PART_FILLED", "FILLED"}
        assert order["paper"] is True
        assert {order[k] == v for k, v in example.items()} == {True}
        assert order["suggestion"]
        assert order["created_at"] == order["updated_at"] == "2025-06-16T12:00:00Z"


async def test_balances_have_the_documented_shape(call: Call, clock: AcceleratedClock, token: str) -> None:
    order = {"account_id": "paper-polymarket", "exchange": "polymarket", "symbol": token, "side": "buy"}
    await data(call, "POST", "/orders", json={**order, "order_type": "FOK", "amount": 50, "price": 0.9})
    clock.advance(3_600)
    full = await data(call, "GET", "/accounts/paper-polymarket/balances")
    single = await data(call, "GET", f"/accounts/paper-polymarket/balances?symbol={token}")
    tickers = (await data(call, "GET", "/market/tickers?exchange=polymarket&limit=500"))["tickers"]
    question = next(ticker["title"] for ticker in tickers if ticker["symbol"] == token)

    assert {"account_id", "total_equity_usd", "balances", "positions", "open_orders", "updated_at"} <= set(full)
    assert {"asset", "free", "used", "total"} <= set(full["balances"][0])
    assert {"symbol", "side", "size", "entry_price", "unrealized_pnl", "leverage"} <= set(full["positions"][0])
    assert full["updated_at"] == "2025-06-16T13:00:00Z"
    assert (full["positions"][0]["symbol"], full["positions"][0]["size"]) == (f"{token}/USDC", 50)
    assert full["positions"][0]["entry_price"] > 0
    assert question
    assert full["positions"][0]["title"] == single["positions"][0]["title"] == question
    assert {k: single["positions"][0][k] for k in ("size", "entry_price", "unrealized_pnl")} == {
        "size": 50, "entry_price": 0, "unrealized_pnl": 0,
    }  # fmt: skip


async def test_open_orders_need_a_symbol_on_lighter_only(call: Call) -> None:
    order = await data(call, "POST", "/orders", json=LIGHTER_EXAMPLE)
    status, error = await refused(call, "GET", "/accounts/paper-lighter/open-orders")
    found = await data(call, "GET", "/accounts/paper-lighter/open-orders?symbol=BTC/USDT")

    assert (status, error["code"]) == (400, "VALIDATION_ERROR")
    assert [o["order_id"] for o in found["orders"]] == [order["order_id"]]
    for account in ("paper-polymarket", "paper-hyperliquid"):
        assert (await data(call, "GET", f"/accounts/{account}/open-orders"))["orders"] == []


async def test_orders_are_listed_with_documented_filters_and_defaults(call: Call) -> None:
    for example in (SPOT_EXAMPLE, LIGHTER_EXAMPLE, FUTURES_EXAMPLE):
        await data(call, "POST", "/orders", json=example)
    everything = await data(call, "GET", "/orders")
    filtered = await data(
        call, "GET", "/orders?account_id=paper-lighter&symbol=BTC/USDT&status=OPEN&exchange=lighter&limit=1&offset=0"
    )

    assert (everything["total"], everything["limit"], everything["offset"]) == (3, 50, 0)
    assert [o["exchange"] for o in everything["orders"]] == ["binancefuturesusd", "lighter", "binance"]
    assert [o["exchange"] for o in filtered["orders"]] == ["lighter"]
    for query in ("limit=0", "limit=201", "offset=-1", "status=PENDING"):
        assert (await refused(call, "GET", f"/orders?{query}"))[0] == 400


async def test_orders_are_cancelled_by_internal_and_by_exchange_id(call: Call) -> None:
    spot = {**SPOT_EXAMPLE, "order_type": "limit", "price": 50000}
    by_internal = await data(call, "POST", "/orders", json=spot)
    by_exchange = await data(call, "POST", "/orders", json=LIGHTER_EXAMPLE)
    one = await data(call, "DELETE", f"/orders/{by_internal['order_id']}")
    other = await data(
        call,
        "DELETE",
        f"/orders/{by_exchange['exchange_order_id']}?account_id=paper-lighter&exchange=lighter&symbol=BTC/USDT",
    )

    assert (one["status"], other["status"]) == ("CANCELLED", "CANCELLED")
    status, error = await refused(call, "DELETE", f"/orders/{by_internal['order_id']}")
    assert (status, error["code"]) == (400, "VALIDATION_ERROR")
    status, error = await refused(call, "DELETE", "/orders/api-unknown")
    assert (status, error["code"]) == (404, "ORDER_NOT_FOUND")


async def test_what_does_not_exist_is_not_found(call: Call) -> None:
    for path in ("/accounts/nope", "/accounts/nope/balances", "/accounts/nope/open-orders", "/orders?account_id=nope"):
        status, error = await refused(call, "GET", path)
        assert (status, error["code"]) == (404, "DATA_UNAVAILABLE")
        assert "paper-binance" in error["suggestion"]


async def test_money_keeps_its_digits_on_the_wire(call: Call) -> None:
    order = await data(call, "POST", "/orders", json={**SPOT_EXAMPLE, "amount": "0.000123"})
    answer = await call("GET", "/accounts/paper-binance/balances")
    spent = Decimal(str(order["average_price"])) * Decimal("0.000123") * Decimal("1.001")

    assert f'"free":{format((10_000 - spent).normalize(), "f")}' in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/accounts"),
        ("GET", "/accounts/paper-binance"),
        ("GET", "/accounts/paper-binance/balances"),
        ("GET", "/accounts/paper-binance/open-orders"),
        ("POST", "/orders"),
        ("GET", "/orders"),
        ("DELETE", "/orders/api-1"),
    ],
)
async def test_a_key_with_the_scope_is_needed(call: Call, register: Any, method: str, path: str) -> None:
    provisional = await register()

    status, error = await refused(call, method, path, key=None)
    assert (status, error["code"]) == (401, "INVALID_API_KEY")
    status, error = await refused(call, method, path, key=provisional)
    assert (status, error["code"]) == (403, "INSUFFICIENT_PERMISSIONS")

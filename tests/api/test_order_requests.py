"""The order rules that need no market: every parameter, default and condition of the API document."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from api.errors import InvalidInput
from api.orders import CancelRequest, OrdersRequest, PlaceRequest
from api.refusals import refuse

SPOT: dict[str, Any] = {
    "account_id": "acc-123", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": 0.001,
}  # fmt: skip
PERPETUAL = {**SPOT, "exchange": "binancefuturesusd", "symbol": "BTC/USDT:USDT"}
TOKEN = "21798000000000000000123"
PREDICTION = {**SPOT, "exchange": "polymarket", "symbol": TOKEN, "order_type": "GTC", "price": 0.65, "amount": 100}


def refusal(model: type[Any], arguments: dict[str, Any]) -> InvalidInput:
    """The message for a wrong call."""
    with pytest.raises(ValidationError) as wrong:
        model.model_validate(arguments)
    return refuse("orders_place", model, wrong.value, arguments)


def test_defaults_are_the_documented_ones() -> None:
    order = PlaceRequest.model_validate(SPOT)

    assert (order.order_type, order.price, order.market_type) == ("market", None, "spot")
    assert (order.leverage, order.label, order.amount) == (None, None, Decimal("0.001"))
    assert (OrdersRequest().limit, OrdersRequest().offset) == (50, 0)


@pytest.mark.parametrize(
    ("exchange", "symbol", "market_type", "written"),
    [
        ("binance", "BTC/USDT", "spot", "BTC/USDT"),
        ("upbit", "KRW-BTC", "spot", "BTC/KRW"),
        ("gate", "btcusdt", "spot", "BTC/USDT"),
        ("binancefuturesusd", "BTC/USDT", "perpetual", "BTC/USDT:USDT"),
        ("gatefutures", "BTC/USDT:USDT", "perpetual", "BTC/USDT:USDT"),
        ("hyperliquid", "BTC/USDT", "perpetual", "BTC/USDT"),
        ("lighter", "BTC/USDT", "perpetual", "BTC/USDT"),
    ],
)
def test_the_market_type_follows_from_the_exchange_and_symbols_are_written_its_way(
    exchange: str, symbol: str, market_type: str, written: str
) -> None:
    order = PlaceRequest.model_validate({**SPOT, "exchange": exchange, "symbol": symbol})

    assert (order.market_type, order.symbol) == (market_type, written)


def test_polymarket_is_prediction_by_token_id() -> None:
    order = PlaceRequest.model_validate(PREDICTION)

    assert (order.market_type, order.symbol, order.price) == ("prediction", TOKEN, Decimal("0.65"))


@pytest.mark.parametrize("order_type", ["limit", "GTC", "FOK"])
def test_a_price_is_required_unless_the_order_is_a_market_order(order_type: str) -> None:
    assert PlaceRequest.model_validate({**SPOT, "order_type": order_type, "price": "1.5"}).price == Decimal("1.5")
    assert f"is required for {order_type} orders" in refusal(PlaceRequest, {**SPOT, "order_type": order_type}).message


@pytest.mark.parametrize(
    ("written", "meant"), [("Limit", "limit"), ("gtc", "GTC"), ("fok", "FOK"), ("FILL_OR_KILL", "FOK")]
)
def test_order_types_are_known_in_any_capitals(written: str, meant: str) -> None:
    assert PlaceRequest.model_validate({**SPOT, "order_type": written, "price": 1}).order_type == meant


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({**SPOT, "price": 100}, "has no meaning in a market order"),
        ({**SPOT, "market_type": "perpetual"}, "does not fit exchange binance, which trades spot only"),
        ({**PERPETUAL, "market_type": "spot"}, "which trades perpetual only"),
        ({**SPOT, "exchange": "hyperliquid", "market_type": "spot"}, "which trades perpetual only"),
        ({**PREDICTION, "market_type": "spot"}, "which trades prediction only"),
        ({**SPOT, "leverage": 2}, "is for perpetuals only"),
        ({**PREDICTION, "leverage": 2}, "is for perpetuals only"),
        ({**PERPETUAL, "leverage": 0}, "must be at least 1"),
        ({**PERPETUAL, "leverage": 126}, "must be at most 125"),
        ({**PERPETUAL, "leverage": 2.5}, "must be a whole number"),
        ({**SPOT, "label": "x" * 101}, "label"),
        ({**SPOT, "amount": 0}, "must be above 0"),
        ({**SPOT, "amount": -1}, "must not be negative"),
        ({**SPOT, "amount": "1e3"}, "must be a plain decimal number"),
        ({**SPOT, "amount": "NaN"}, "must be a plain decimal number"),
        ({**SPOT, "amount": float("inf")}, "must be a plain decimal number"),
        ({**SPOT, "amount": True}, "must be a plain decimal number"),
        ({**SPOT, "amount": "\uff11\uff12"}, "must be a plain decimal number"),
        ({**SPOT, "side": "hold"}, "must be one of buy, sell"),
        ({**SPOT, "order_type": "stop_loss"}, "must be one of market, limit, GTC, FOK"),
        ({**SPOT, "exchange": "kraken"}, "must be one of binance"),
        ({**SPOT, "symbol": "BTC/USDT:USDT"}, "BTC/USDT:USDT"),
        ({**SPOT, "dry_run": True}, '"dry_run" is not an argument'),
        ({k: v for k, v in SPOT.items() if k != "exchange"}, "exchange is missing"),
        ({k: v for k, v in SPOT.items() if k != "account_id"}, "account_id is missing"),
        ({**PREDICTION, "order_type": "market", "price": None}, "no true market orders"),
        ({**PREDICTION, "order_type": "limit"}, "must be GTC or FOK on Polymarket"),
        ({**PREDICTION, "price": 1}, "must be a probability above 0 and below 1"),
        ({**PREDICTION, "price": 0}, "must be above 0"),
        ({**PREDICTION, "price": None}, "is required for GTC orders"),
        ({**PREDICTION, "symbol": "will-it-rain"}, "is not a Polymarket token id"),
    ],
)  # fmt: skip
def test_a_wrong_order_is_refused_with_the_rule(arguments: dict[str, Any], words: str) -> None:
    assert words in refusal(PlaceRequest, arguments).message


def test_polymarket_names_fill_or_kill_as_the_way_to_fill_at_once() -> None:
    without_type = {k: v for k, v in PREDICTION.items() if k not in {"order_type", "price"}}
    error = refusal(PlaceRequest, without_type)

    assert "no true market orders" in error.message
    assert "FOK" in error.suggestion


def test_a_contradicting_market_type_gets_both_corrections_and_no_guess() -> None:
    error = refusal(PlaceRequest, {**PERPETUAL, "market_type": "spot"})

    assert "Use market_type=perpetual, or exchange=" in error.suggestion
    assert error.corrected is None


def test_an_exchange_is_never_guessed_but_a_prefix_names_it() -> None:
    prefixed = {**SPOT, "symbol": "UPBIT:BTC/KRW"}
    del prefixed["exchange"]

    assert PlaceRequest.model_validate(prefixed).exchange == "upbit"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"limit": 0}, "must be at least 1"),
        ({"limit": 201}, "must be at most 200"),
        ({"offset": -1}, "must be at least 0"),
        ({"status": "pending"}, "must be one of INIT, OPEN"),
        ({"exchange": "kraken"}, "must be one of"),
    ],
)
def test_a_wrong_list_is_refused_with_the_rule(arguments: dict[str, Any], words: str) -> None:
    assert words in refusal(OrdersRequest, arguments).message


def test_statuses_are_known_in_other_spellings() -> None:
    spellings = {
        "open": "OPEN",
        "canceled": "CANCELLED",
        "partially_filled": "PART_FILLED",
        "part filled": "PART_FILLED",
    }

    assert {s: OrdersRequest.model_validate({"status": s}).status for s in spellings} == spellings


def test_lighter_is_cancelled_by_a_number_which_may_come_as_one() -> None:
    named = {"account_id": "lighter-acc-789", "exchange": "lighter", "symbol": "BTC/USDT"}

    assert CancelRequest.model_validate({**named, "order_id": 1770730748798}).order_id == "1770730748798"
    error = refusal(CancelRequest, {**named, "order_id": "api-01jd3w"})
    assert "api- ids do not work there" in error.message
    assert "exchange_order_id" in error.suggestion

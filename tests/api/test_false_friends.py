"""A repair may correct the spelling of an argument. It never changes the meaning."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, strategies
from pydantic import ValidationError

from api.catalogue import ENDPOINTS
from api.errors import InvalidInput, explain, respelling
from api.inputs import Request
from api.orders import PlaceRequest
from api.refusals import refuse

SPOT: dict[str, Any] = {"account_id": "a", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy"}
LIMIT: dict[str, Any] = {**SPOT, "amount": "0.001", "order_type": "limit"}


def refused(call: dict[str, Any], model: type[Request] = PlaceRequest) -> InvalidInput:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(call)
    return refuse("orders_place", model, caught.value, call)


FALSE_FRIENDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "a sum of quote currency is no amount of coins": (SPOT, "quote_amount", "base units"),
    "nor is a sum under its venue's name": (SPOT, "quoteOrderQty", "base units"),
    "nor is a notional": (SPOT, "notional", "base units"),
    "a size may be counted in contracts": (SPOT, "size", "base units"),
    "nor is a sum in dollars": (SPOT, "amount_usd", "base units"),
    "nor is a budget": (SPOT, "budget", "base units"),
    "a contract is no coin": (SPOT, "contracts", "base units"),
    "a stop in percent is no price": (LIMIT, "stop_loss_pct", "are prices"),
    "a target in percent is no price": (LIMIT, "take_profit_percent", "are prices"),
    "a limit is a price": (SPOT, "limit", 'order_type="limit"'),
    "a stop price is no limit": (LIMIT, "stop_price", "no separate stop orders"),
    "nor is a trigger price": (LIMIT, "triggerPrice", "no separate stop orders"),
    "nor is an activation price": (LIMIT, "activation_price", "no separate stop orders"),
    "a trailing distance is no price": (LIMIT, "trailing_delta", "fixed prices"),
    "post-only is not offered": (LIMIT, "post_only", "no post-only"),
    "time in force is said by the order type": (LIMIT, "time_in_force", "order_type"),
    "an id of the client's makes no call unique": (LIMIT, "client_order_id", "does not make it unique"),
    "an average price is no limit": (LIMIT, "average_price", "The arguments are"),
    "a maximal price is no limit": (LIMIT, "max_price", "The arguments are"),
    "a maximal amount is no amount": (SPOT, "max_amount", "The arguments are"),
    "a filled amount is no amount": (SPOT, "filled_amount", "The arguments are"),
}


@pytest.mark.parametrize("amount", ["100 USDT", "$100", "10%", "0.5 BTC", "100usd", "\u20ac50"])
def test_an_amount_with_a_unit_is_not_told_to_drop_it(amount: str) -> None:
    error = refused({**SPOT, "amount": amount})

    assert "base units" in error.suggestion
    assert "Write digits only" not in error.suggestion
    assert error.corrected is None


@pytest.mark.parametrize(("call", "name", "told"), FALSE_FRIENDS.values(), ids=FALSE_FRIENDS)
def test_an_argument_of_another_meaning_is_explained_and_not_renamed(
    call: dict[str, Any], name: str, told: str
) -> None:
    error = refused({**call, name: 100})

    assert told in error.suggestion
    assert "Did you mean" not in error.suggestion
    assert error.corrected is None


@pytest.mark.parametrize(
    ("side", "told"),
    [
        ("close", "To close"),
        ("exit_long", "To close"),
        ("cover", "To close"),
        ("long", "opens a long"),
        ("SHORT", "on a"),
    ],
)
def test_a_side_that_names_a_position_is_explained_and_not_replaced(side: str, told: str) -> None:
    error = refused({**LIMIT, "price": 100, "side": side})

    assert told in error.suggestion
    assert error.corrected is None


@pytest.mark.parametrize(
    ("order_type", "told"),
    [
        ("LIMIT_MAKER", "post-only"),
        ("post only", "post-only"),
        ("IOC", "immediate-or-cancel"),
        ("stop_limit", "stop_loss"),
        ("STOP_MARKET", "stop_loss"),
        ("take_profit_market", "take_profit"),
        ("trailing_stop_market", "fixed prices"),
        ("GTD", "expire"),
    ],
)
def test_an_order_type_that_is_not_offered_becomes_no_other(order_type: str, told: str) -> None:
    error = refused({**LIMIT, "price": 100, "order_type": order_type})

    assert told in error.suggestion
    assert error.corrected is None


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [("quantity", "0.001", "amount"), ("qty", "0.001", "amount"), ("amout", "0.001", "amount")],
)
def test_another_name_with_the_same_meaning_is_renamed(name: str, value: str, meant: str) -> None:
    corrected = str(refused({**SPOT, name: value}).corrected)

    assert f'{meant}="{value}"' in corrected


@pytest.mark.parametrize(
    "call",
    [
        {**LIMIT, "price": 1, "exchange": "binancefuturesusd", "symbol": "BTC/USDT:USDT", "leverage": 200},
        {**LIMIT, "price": 1, "leverage": 3},
        {**LIMIT, "price": 1, "market_type": "perpetual"},
    ],
    ids=["more leverage than allowed", "leverage on spot", "a market that the exchange lacks"],
)
def test_risk_is_never_changed_to_make_an_order_valid(call: dict[str, Any]) -> None:
    assert refused(call).corrected is None


PAIRS = [
    ("min_trades", "max_trades"), ("start_date", "end_date"), ("size", "side"), ("stop_price", "price"),
    ("fast_period", "slow_period"), ("low", "slow"), ("quote_amount", "amount"), ("limit_maker", "limit"),
    ("take_profit", "take_loss"), ("entry_price", "exit_price"), ("unsubscribe", "subscribe"), ("not_before", "before"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "other"), PAIRS)
def test_words_of_opposite_or_narrower_meaning_are_no_respelling(written: str, other: str) -> None:
    assert respelling(written, [other]) is None
    assert respelling(other, [written]) is None


FIELDS = sorted(
    {name for endpoint in ENDPOINTS for name in endpoint.request.model_fields if re.search(r"[a-z]{4}", name)}
)


@given(strategies.sampled_from(FIELDS), strategies.data())
def test_a_name_with_two_neighbouring_letters_swapped_is_understood(name: str, data: strategies.DataObject) -> None:
    words = [(m.start(), m.end()) for m in re.finditer(r"[a-z]{4,}", name)]
    places = [i for start, end in words for i in range(start, end - 1) if name[i] != name[i + 1]]
    place = data.draw(strategies.sampled_from(places))
    swapped = name[:place] + name[place + 1] + name[place] + name[place + 2 :]

    assert respelling(swapped, [name, "another"]) in ({name} if swapped not in FIELDS else {name, None})


def test_no_argument_of_any_endpoint_is_taken_for_another_of_its_own() -> None:
    """Except for the plural of an argument, which means several of the same."""
    for endpoint in ENDPOINTS:
        names = set(endpoint.request.model_fields)
        for name in names:
            others = names - {name, f"{name}s", name.removesuffix("s")}
            assert respelling(name, others) is None, (endpoint.name, name)


def test_what_an_endpoint_explains_or_renames_is_no_argument_of_it() -> None:
    for endpoint in ENDPOINTS:
        request = endpoint.request
        assert not (set(request.synonyms) | set(request.absent)) & set(request.model_fields), endpoint.name
        assert set(request.synonyms.values()) <= set(request.model_fields), endpoint.name


def test_the_explanation_reaches_the_reader() -> None:
    assert "divide the sum by the price" in explain(refused({**SPOT, "quote_amount": 100}))

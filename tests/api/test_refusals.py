"""Messages for wrong calls: the value, the rule, what to do and, where it is certain, the corrected call."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, Literal

import pytest
from pydantic import BeforeValidator, Field, ValidationError

from api.catalogue import ENDPOINTS, endpoint
from api.endpoint import Endpoint
from api.errors import InvalidInput, explain
from api.inputs import Request, WebAddress, Whole, Words, json_object, one_of
from api.market import OhlcvRequest, RankRequest, ScanRequest, TickersRequest
from api.refusals import refuse
from api.research import CompareRequest


class Hook(Request):
    """A nested object."""

    url: WebAddress


class Call(Request):
    """A request with one field of each kind."""

    side: Annotated[Literal["buy", "sell"], one_of(("buy", "sell"), {"long": "buy"})]
    limit: Whole = Field(10, ge=1, le=100, description="Most rows.")
    tags: Words = ()
    hook: Annotated[Hook | None, BeforeValidator(json_object)] = None
    name: str | None = Field(None, max_length=5)
    pinned: float | None = 4.0


def refusal(given_: dict[str, Any], model: type[Request] = Call, tool: str = "tool") -> InvalidInput:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(given_)
    return refuse(tool, model, caught.value, given_)


def test_a_misspelt_argument_is_renamed_in_the_corrected_call() -> None:
    error = refusal({"side": "buy", "limt": 5})

    assert error.message == '"limt" is not an argument'
    assert error.suggestion == "Did you mean limit?"
    assert error.corrected == 'tool(side="buy", limit=5)'


def test_an_argument_missing_only_because_it_was_misspelt_is_reported_once() -> None:
    error = refusal({"sied": "buy"})

    assert error.message == '"sied" is not an argument'
    assert error.corrected == 'tool(side="buy")'


def test_an_argument_called_by_what_it_holds_is_named() -> None:
    post = endpoint("arena_post")
    error = refusal({"category": "show_tell", "title": "T", "result_id": "res_1"}, post.request, "arena_post")

    assert error.corrected == 'arena_post(category="show_tell", title="T", strategy_settings_id="res_1")'


def test_no_corrected_call_is_offered_that_would_be_refused_in_turn() -> None:
    order = {"account_id": "a", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": 1}
    error = refusal({**order, "limit_price": 5}, endpoint("orders_place").request, "orders_place")

    assert error.suggestion == "Did you mean price?"
    assert error.corrected is None


def test_repairs_that_come_to_light_by_repairs_are_in_the_corrected_call() -> None:
    assert refusal({"sied": "LONG", "limt": 500}).corrected == 'tool(side="LONG", limit=100)'


def test_two_names_for_one_argument_are_not_merged() -> None:
    assert refusal({"side": "buy", "limt": 5, "limits": 6}).corrected is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "https://example.com", "secret": "hunter2"},
        {"url": "https://example.com", "secret": "hunter2hunter2", "evnets": "signal"},
        {"url": "nowhere", "secret": "hunter2hunter2"},
    ],
    ids=["too short", "beside a misspelt argument", "beside a wrong one"],
)
@pytest.mark.parametrize("form", ["flat", "object", "text", "broken text", "list"])
def test_a_secret_is_repeated_in_no_refusal(wrong: dict[str, Any], form: str) -> None:
    tool, call = {
        "flat": ("live_webhook_set", {"subscription_id": "sub_1", **wrong}),
        "object": ("live_subscribe", {"strategy_id": "x", "webhook": wrong}),
        "text": ("live_subscribe", {"strategy_id": "x", "webhook": json.dumps(wrong)}),
        "broken text": ("live_subscribe", {"strategy_id": "x", "webhook": json.dumps(wrong)[:-1]}),
        "list": ("live_subscribe", {"strategy_id": "x", "webhook": [wrong]}),
    }[form]

    assert "hunter2" not in explain(refusal(call, endpoint(tool).request, tool))


def test_a_strange_argument_gets_the_list_of_arguments_and_no_guess() -> None:
    error = refusal({"side": "buy", "dry_run": True})

    assert "side, limit, tags, hook, name, pinned" in error.suggestion
    assert error.corrected is None


def test_every_wrong_field_is_named_at_once_with_value_and_rule() -> None:
    error = refusal({"side": "bye", "limit": 500, "name": "too long"})

    assert error.message == (
        'side "bye" must be one of buy, sell; limit 500 must be at most 100; '
        'name "too long" must have at most 5 characters'
    )
    assert error.corrected is None


def test_a_value_beyond_its_bound_is_corrected_to_the_bound() -> None:
    assert refusal({"side": "SELL", "limit": 500}).corrected == 'tool(side="SELL", limit=100)'


def test_a_missing_argument_is_described() -> None:
    error = refusal({"limit": 5})

    assert error.message == "side is missing"
    assert error.corrected is None


def test_a_wrong_field_of_an_object_is_named_by_its_path() -> None:
    error = refusal({"side": "buy", "hook": '{"url": "nowhere", "secrt": 1}'})

    assert error.message.startswith('hook.url "nowhere" must be a web address')
    assert "hook.secrt 1 is not known here" in error.message


def test_null_means_not_given_unless_null_is_a_value() -> None:
    call = Call.model_validate({"side": "long", "limit": None, "pinned": None, "tags": None})

    assert (call.side, call.limit, call.pinned, call.tags) == ("buy", 10, None, ())


def test_null_for_a_required_argument_is_refused() -> None:
    assert refusal({"side": None}).message == "side null must be one of buy, sell"


def test_huge_and_hostile_values_make_short_clean_messages() -> None:
    for value in (
        "x" * 10_000_000,
        "a\x1b[31m\u202e\n" * 1000,
        10**5000,
        [["x" * 1000] * 1000],
        {"k" * 1000: "v" * 1000},
    ):
        error = refusal({"side": value, "y" * 100_000: value})
        assert len(explain(error)) < 1200
        assert explain(error).isprintable()


def test_a_call_too_long_to_help_is_left_out() -> None:
    assert refusal({"side": "buy", "limit": 500, "tags": ["x" * 1000]}).corrected is None


def test_a_symbol_prefix_sets_the_exchange_and_the_dialect_is_rewritten() -> None:
    request = OhlcvRequest.model_validate({"symbol": "binancefuturesusd:btcusdt", "exchange": None})

    assert (request.symbol, request.exchange) == ("BTC/USDT:USDT", "binancefuturesusd")


def test_a_wrong_symbol_is_refused_once_with_the_resolvers_words() -> None:
    error = refusal({"symbol": "NASDAQ:AAPL"}, OhlcvRequest, "market_ohlcv")

    assert error.message == 'symbol "NASDAQ:AAPL" starts with "NASDAQ", which is not an exchange here'


@pytest.mark.parametrize("symbol", [5, 2**60, ["BTC/USDT"], True])
def test_a_symbol_is_a_string(symbol: object) -> None:
    assert "must be a string" in refusal({"symbol": symbol}, OhlcvRequest, "market_ohlcv").message


def test_a_universe_takes_json_text_dialects_and_keywords_and_drops_doubles() -> None:
    request = ScanRequest.model_validate(
        {"universe": '["btc-usdt", "BINANCE:ETHUSDT", "BTCUSDT", "TOP30"]', "condition": "close > 1"}
    )

    assert request.universe == ("BTC/USDT", "ETH/USDT", "top30")


def test_a_universe_over_two_exchanges_is_refused() -> None:
    error = refusal({"universe": ["upbit:BTC/KRW", "binance:BTC/USDT"], "expression": "close"}, RankRequest)

    assert "one exchange" in error.message


@pytest.mark.parametrize(
    "universe", [[], "", [1], [None], 5, {"a": 1}, [f"X{n}" for n in range(501)], [["BTC"]], "[" * 1000]
)
def test_an_unusable_universe_is_refused(universe: object) -> None:
    assert "universe" in refusal({"universe": universe, "condition": "close > 1"}, ScanRequest).message


def test_a_market_type_chooses_its_exchange_or_must_fit_the_one_given() -> None:
    assert TickersRequest.model_validate({"market_type": "Perp"}).exchange == "binancefuturesusd"
    error = refusal({"exchange": "upbit", "market_type": "perpetual"}, TickersRequest, "market_tickers")
    assert "market_type=spot, or exchange=" in error.suggestion
    assert error.corrected is None


HOSTILE: list[object] = [
    None, True, -1, 0, 1e308, float("nan"), 10**400, "", " ", "x" * 100_000, "\x00", "\ud83d", "[]", "{}", "[[",
    [], {}, [None], [[]], {"a": {}}, ["x"] * 10_000, "../..", "%2e%2e", "'; --", "\u202e", "9" * 5000, b"x", object(),
]  # fmt: skip


@pytest.mark.parametrize("declared", ENDPOINTS, ids=lambda e: e.name)
def test_no_argument_of_any_endpoint_can_be_filled_so_that_it_crashes(declared: Endpoint[Any, Any]) -> None:
    for name in declared.request.model_fields:
        for value in HOSTILE:
            given_ = {name: value}
            message = _refusal_or_nothing(declared, given_)
            assert len(message) < 2500


def test_a_long_list_of_wrong_items_is_refused_within_a_second() -> None:
    begun = time.process_time()
    message = refusal({"result_ids": ["bt_1", "bt_2"], "weights": ["x"] * 20_000}, CompareRequest).message

    assert time.process_time() - begun < 1.0
    assert "and 19994 more problems" in message


def _refusal_or_nothing(declared: Endpoint[Any, Any], given_: dict[str, Any]) -> str:
    try:
        declared.request.model_validate(given_)
    except ValidationError as error:
        return explain(refuse(declared.name, declared.request, error, given_))
    return ""

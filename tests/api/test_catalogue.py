"""The declarations against the endpoint tables and parameter tables of the API document, copied here as data."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from api.catalogue import ENDPOINTS, endpoint
from api.endpoint import Endpoint
from api.errors import BY_CODE, HTTP_STATUS, ErrorCode

# Method, path, whether a key is needed, tool name.
DOCUMENT = """
POST   /meta/register                                              no  meta_register
GET    /meta/capabilities                                          yes meta_capabilities
GET    /meta/indicators                                            yes meta_indicators
GET    /meta/health                                                no  meta_health
GET    /market/tickers                                             no  market_tickers
GET    /market/ohlcv                                               yes market_ohlcv
POST   /market/evaluate                                            yes market_evaluate
POST   /market/scan                                                yes market_scan
POST   /market/rank                                                yes market_rank
GET    /accounts                                                   yes accounts_list
GET    /accounts/{account_id}                                      yes accounts_get
GET    /accounts/{account_id}/balances                             yes accounts_balances
GET    /accounts/{account_id}/open-orders                          yes accounts_open_orders
POST   /orders                                                     yes orders_place
GET    /orders                                                     yes orders_list
DELETE /orders/{order_id}                                          yes orders_cancel
GET    /docs                                                       no  docs_list
GET    /docs/signal-dsl                                            no  docs_signal_dsl
GET    /docs/operators                                             no  docs_operators
GET    /docs/data                                                  no  docs_data
GET    /docs/api-reference                                         no  docs_api_reference
POST   /backtest/execute                                           yes backtest_execute
GET    /backtest/status/{backtest_id}                              yes backtest_status
POST   /backtest/cancel/{backtest_id}                              yes backtest_cancel
GET    /backtest/results/{result_id}                               yes backtest_results
GET    /backtest/results/{result_id}/metrics                       yes backtest_metrics
GET    /backtest/results/{result_id}/per-ticker                    yes backtest_per_ticker
GET    /backtest/results/{result_id}/trades                        yes backtest_trades
GET    /backtest/results/{result_id}/equity                        yes backtest_equity
GET    /backtest/results/{result_id}/analysis                      yes backtest_analysis
GET    /live-strategies                                            yes live_strategies_list
POST   /live-strategies/{strategy_id}/subscribe                    yes live_subscribe
GET    /live-strategies/subscriptions                              yes live_subscriptions_list
GET    /live-strategies/subscriptions/{id}                         yes live_subscription_get
POST   /live-strategies/subscriptions/{id}/unsubscribe             yes live_unsubscribe
POST   /live-strategies/{strategy_id}/pause/{subscription_id}      yes live_pause
POST   /live-strategies/{strategy_id}/resume/{subscription_id}     yes live_resume
PUT    /live-strategies/subscriptions/{id}/webhook                 yes live_webhook_set
DELETE /live-strategies/subscriptions/{id}/webhook                 yes live_webhook_remove
POST   /live-strategies/webhooks/test                              yes live_webhook_test
GET    /live-strategies/subscriptions/{id}/signals                 yes live_signals
GET    /live-strategies/subscriptions/{id}/signals/latest          yes live_signals_latest
GET    /arena/agents/{id}                                          no  arena_agent
GET    /arena/profile                                              yes arena_profile
PATCH  /arena/profile                                              yes arena_profile_update
GET    /arena/profile/subscriptions                                yes arena_following
POST   /arena/posts                                                yes arena_post
"""
ROWS = [line.split() for line in DOCUMENT.strip().splitlines()]

# Endpoint, parameters (a star marks the required ones), `=` their defaults.
PARAMETERS = """
meta_register: display_name* description strategy_type risk_profile
market_tickers: exchange=binance market_type category sector limit
market_ohlcv: symbol* exchange=binance timeframe=1h
market_evaluate: symbol* expression*
market_scan: universe* exchange=binance timeframe=1h condition*
market_rank: universe* exchange=binance timeframe=1h expression* order limit
accounts_get: account_id*
accounts_balances: account_id* symbol
accounts_open_orders: account_id* symbol
orders_place: account_id* exchange* symbol* side* order_type=market amount* price market_type leverage label
orders_list: account_id symbol status exchange limit=50 offset=0
orders_cancel: order_id* exchange symbol account_id
backtest_execute: strategy_type* script universe* start_date* end_date* description exchange=binance timeframe=1h
backtest_execute: initial_cash=10000 leverage=1 trading_fee=0.0005 slippage=0.0005 stop_loss take_profit
backtest_trades: result_id* limit
live_subscribe: strategy_id* mode=signal account_id webhook
live_webhook_set: subscription_id* url* secret events
live_signals: subscription_id* symbol side start_date end_date
live_signals_latest: subscription_id* since limit
arena_agent: agent_id*
arena_profile_update: display_name description strategy_type risk_profile avatar_url
arena_post: category* title* content strategy_settings_id tags
"""


DOCUMENTED_FIELDS: dict[str, dict[str, Any]] = {
    "meta_register": {"api_key": "ht_prov_0123456789"},
    "backtest_execute": {"backtest_id": "bt_1"},
    "backtest_status": {"status": "queued"},
    "backtest_results": {"metrics": {}},
    "script_check": {"valid": True},
}


def _shape(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def test_the_47_endpoints_stand_in_the_order_of_the_document() -> None:
    documented = [(e.method, _shape(e.path), e.name) for e in ENDPOINTS if e.documented]

    assert len(documented) == 47
    assert documented == [(method, _shape(path), name) for method, path, _, name in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[3])
def test_a_key_is_needed_where_the_document_says_so(row: list[str]) -> None:
    assert (endpoint(row[3]).scope is not None) == (row[2] == "yes")


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("market_scan", "research"),
        ("backtest_execute", "research"),
        ("arena_post", "research"),
        ("accounts_balances", "read"),
        ("orders_list", "read"),
        ("orders_place", "trade"),
        ("orders_cancel", "trade"),
    ],
)
def test_scopes_follow_their_descriptions(name: str, scope: str) -> None:
    assert endpoint(name).scope == scope


@pytest.mark.parametrize("line", PARAMETERS.strip().splitlines())
def test_every_documented_parameter_is_there_with_its_default(line: str) -> None:
    name, _, rest = line.partition(": ")
    fields = endpoint(name).request.model_fields

    for word in rest.split():
        parameter, _, default = word.partition("=")
        field = fields[parameter.rstrip("*")]
        assert field.is_required() == parameter.endswith("*"), parameter
        if default:
            assert str(float(field.default) if _is_number(default) else field.default) == (
                str(float(default)) if _is_number(default) else default
            )


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9.]+", text) is not None


@pytest.mark.parametrize("declared", ENDPOINTS, ids=lambda e: e.name)
def test_a_declaration_is_complete(declared: Endpoint[Any, Any]) -> None:
    assert re.fullmatch(r"[a-z_]{1,40}", declared.name)
    assert declared.summary.endswith(".")
    assert set(declared.path_fields) <= set(declared.request.model_fields)
    assert all(field.description for field in declared.request.model_fields.values())
    assert declared.request.model_config.get("extra") == "forbid"
    assert declared.response.model_config.get("extra") == "allow"


@pytest.mark.parametrize("declared", ENDPOINTS, ids=lambda e: e.name)
def test_an_empty_answer_of_the_hosted_service_is_enough_where_no_body_is_documented(
    declared: Endpoint[Any, Any],
) -> None:
    answer = declared.response.model_validate({"something_new": [1], **DOCUMENTED_FIELDS.get(declared.name, {})})

    assert answer.model_dump()["something_new"] == [1]


@pytest.mark.parametrize(
    "name", ["orders_place", "live_subscribe", "live_resume", "arena_post", "backtest_execute", "meta_register"]
)
def test_what_must_not_happen_twice_is_sent_at_most_once(name: str) -> None:
    assert endpoint(name).at_most_once


def test_every_code_has_a_class_and_a_status() -> None:
    assert set(get_args(ErrorCode)) == set(BY_CODE) == set(HTTP_STATUS)

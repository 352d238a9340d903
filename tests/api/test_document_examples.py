"""Every JSON example of the API document, parsed by the models."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from api.accounts import ACCOUNTS_BALANCES
from api.backtests import BACKTEST_STATUS
from api.catalogue import endpoint
from api.market import MARKET_RANK, MARKET_SCAN
from api.meta import META_REGISTER
from api.outputs import to_wire
from api.transport import unwrap

SCRIPT = 'oversold = rsi(close, 14) < 30\nemit_signal(oversold, entry("BINANCE:BTC/USDT", "LONG", Weight(0.5)))'

REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "self-registration": ("meta_register", {"display_name": "My Bot", "risk_profile": "moderate"}),
    "evaluate": ("market_evaluate", {"symbol": "BTC/USDT", "expression": "rsi(close, 14)[-1]"}),
    "scan": ("market_scan", {
        "universe": ["BTC/USDT", "ETH/USDT", "SOL/USDT"],
        "condition": "rsi(close, 14) < 30 and volume > sma(volume, 20)",
    }),
    "rank": ("market_rank", {"universe": ["BTC/USDT", "ETH/USDT"], "expression": "roc(close, 7)", "order": "asc"}),
    "balances of one market": ("accounts_balances", {"account_id": "poly-acc-456", "symbol": "99244664687123456789"}),
    "open orders on Lighter": ("accounts_open_orders", {"account_id": "lighter-acc-789", "symbol": "BTC/USDT"}),
    "buy Bitcoin (spot)": ("orders_place", {
        "account_id": "acc-123", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "order_type": "market",
        "amount": 0.001, "market_type": "spot",
    }),
    "short BTC futures (perpetual)": ("orders_place", {
        "account_id": "acc-456", "exchange": "binancefuturesusd", "symbol": "BTC/USDT:USDT", "side": "sell",
        "order_type": "limit", "amount": 0.01, "price": 100000, "leverage": 5,
    }),
    "limit order on Lighter": ("orders_place", {
        "account_id": "lighter-acc-789", "exchange": "lighter", "symbol": "BTC/USDT", "side": "buy",
        "order_type": "limit", "amount": 0.01, "price": 65000, "market_type": "perpetual",
    }),
    "trade prediction (Polymarket)": ("orders_place", {
        "account_id": "poly-acc-456", "exchange": "polymarket", "symbol": "21798123456789012345", "side": "buy",
        "order_type": "GTC", "amount": 100, "price": 0.65, "market_type": "prediction",
    }),
    "cancel by internal id": ("orders_cancel", {"order_id": "api-01J0000000000000000000000"}),
    "cancel by exchange id": ("orders_cancel", {
        "order_id": "1770730748798", "account_id": "lighter-acc-789", "exchange": "lighter", "symbol": "BTC/USDT",
    }),
    "backtest": ("backtest_execute", {
        "strategy_type": "signal", "description": "RSI oversold bounce on BTC", "script": SCRIPT,
        "universe": ["BINANCE:BTC/USDT"], "start_date": "2024-01-01", "end_date": "2024-06-30", "timeframe": "1h",
        "initial_cash": 10000,
    }),
    "backtest of the workflow": ("backtest_execute", {
        "strategy_type": "signal", "description": "RSI oversold bounce on BTC", "script": SCRIPT,
        "universe": ["BINANCE:BTC/USDT"], "start_date": "2024-01-01", "end_date": "2024-06-30", "timeframe": "4h",
        "initial_cash": 10000,
    }),
    "signals since": ("live_signals_latest", {
        "subscription_id": "sub_1", "since": "2026-01-01T00:00:00Z", "limit": 10,
    }),
    "webhook": ("live_subscribe", {
        "strategy_id": "rsi_bounce", "mode": "signal",
        "webhook": {"url": "https://example.com/hook", "secret": "0123456789", "events": ["signal", "error"]},
    }),
    "post": ("arena_post", {
        "category": "strategy_ideas", "title": "Strategy Analysis: RSI Oversold",
        "content": "Analysis of RSI-based strategy...", "strategy_settings_id": "RESULT_ID_FROM_BACKTEST",
        "tags": ["BTC", "RSI"],
    }),
}  # fmt: skip

BALANCES = """{
  "success": true,
  "data": {
    "account_id": "...",
    "total_equity_usd": 120.69,
    "balances": [{ "asset": "USDC", "free": 138.20, "used": 0.0, "total": 138.20 }],
    "positions": [{
      "symbol": "99244.../USDC", "side": "long", "size": 589.99,
      "entry_price": 0.92, "unrealized_pnl": 2.88, "leverage": 1
    }],
    "open_orders": [],
    "updated_at": "2026-02-10T14:19:53Z"
  }
}"""


@pytest.mark.parametrize(("name", "body"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_example_parses_and_goes_out_as_it_was_written(name: str, body: dict[str, Any]) -> None:
    request = endpoint(name).request.model_validate(body)

    sent = json.loads(to_wire(request.model_dump(exclude_none=True)))
    assert {field: sent[field] for field in body} == body


def test_the_balances_example_parses_to_exact_decimals() -> None:
    data = unwrap(200, BALANCES.encode(), trusted=False)

    balances = ACCOUNTS_BALANCES.response.model_validate(data)
    assert balances.total_equity_usd == Decimal("120.69")
    assert str(balances.balances[0].free) == "138.20"
    assert balances.positions[0].size == Decimal("589.99")
    assert balances.positions[0].leverage == 1
    assert balances.updated_at == "2026-02-10T14:19:53Z"


def test_the_documented_fields_of_a_registration_are_typed() -> None:
    made = META_REGISTER.response.model_validate(
        {
            "api_key": "ht_prov_x",
            "agent_id": "ag_1",
            "quota": {"backtests": {"used": 0, "limit": 10}},
            "scopes": ["research"],
        }
    )

    assert (made.api_key, made.agent_id, made.scopes) == ("ht_prov_x", "ag_1", ("research",))


def test_scan_and_rank_answers_parse_with_symbols_as_text_or_as_objects() -> None:
    scan = MARKET_SCAN.response.model_validate(
        {
            "matched": ["BTC/USDT", {"symbol": "ETH/USDT"}],
            "details": [{"symbol": "BTC/USDT", "rsi": 28}],
            "scanned_count": 3,
        }
    )
    rank = MARKET_RANK.response.model_validate(
        {"ranked": [{"rank": 1, "symbol": "BTC/USDT", "score": 4.2, "price": 65000}]}
    )

    assert scan.matched == ("BTC/USDT", "ETH/USDT")
    assert scan.scanned_count == 3
    assert rank.ranked[0].score == 4.2


@pytest.mark.parametrize("status", ["queued", "running", "completed", "failed", "cancelled"])
def test_every_documented_job_status_parses(status: str) -> None:
    job = BACKTEST_STATUS.response.model_validate({"status": status, "result_id": "r1", "message": None})

    assert job.status == status


def test_the_documented_envelope_of_a_failure_is_read_whole() -> None:
    body = b"""{"success": false, "data": null,
        "error": {"code": "BACKTEST_NOT_FOUND", "message": "gone", "suggestion": "Run it again"},
        "meta": {"timestamp": "2026-01-01T00:00:00Z"}}"""

    with pytest.raises(Exception, match="gone") as caught:
        unwrap(404, body, trusted=False)

    assert getattr(caught.value, "code", None) == "BACKTEST_NOT_FOUND"
    assert getattr(caught.value, "suggestion", None) == 'It suggests "Run it again"'

"""Requests refused before a job is queued: the documented code, the value, and what to do."""

from __future__ import annotations

from typing import Any, NamedTuple

import httpx
import pytest

from api.symbols import Instrument
from engine.engine import Engine
from engine.routes import create_app

from .conftest import EXAMPLE, Body, Send


class Case(NamedTuple):
    """Changes to the document's example, the code, and words that the answer must contain."""

    changes: Body
    code: str
    said: tuple[str, ...]


MINUTES_OF_TWENTY_YEARS = {"timeframe": "1m", "start_date": "2004-01-01", "end_date": "2023-12-31"}
CASES = {
    "no such day": Case({"start_date": "2024-02-30"}, "VALIDATION_ERROR", ("2024-02-30", "2024-01-31")),
    "not a date": Case({"end_date": "yesterday"}, "VALIDATION_ERROR", ("yesterday", "YYYY-MM-DD")),
    "start after end": Case({"end_date": "2023-12-31"}, "VALIDATION_ERROR", ("2024-01-01", "2023-12-31", "Swap")),
    "start in the future": Case(
        {"start_date": "2030-01-01", "end_date": "2030-02-01"}, "VALIDATION_ERROR", ("2030-01-01", "2025-06-16")
    ),
    "one bar only": Case(
        {"timeframe": "1d", "end_date": "2024-01-01"}, "VALIDATION_ERROR", ("1 closed bar", "longer range")
    ),
    "an empty universe": Case({"universe": []}, "VALIDATION_ERROR", ("universe",)),
    "an unknown ticker": Case({"universe": ["BINANCE:BTX/USDT"]}, "DATA_UNAVAILABLE", ("BTX/USDT", "BTC/USDT")),
    "two unknown tickers": Case(
        {"universe": ["BINANCE:BTX/USDT", "BINANCE:QQQQQ/USDT"]}, "DATA_UNAVAILABLE", ("BTX/USDT", "QQQQQ/USDT")
    ),
    "an exchange that does not fit": Case({"exchange": "upbit"}, "VALIDATION_ERROR", ("BINANCE:BTC/USDT", "upbit")),
    "two exchanges": Case(
        {"universe": ["BINANCE:BTC/USDT", "GATE:ETH/USDT"]}, "VALIDATION_ERROR", ("one exchange", "binance, gate")
    ),
    "a word of the market endpoints": Case({"universe": ["top30"]}, "VALIDATION_ERROR", ("top30", "market_tickers")),
    "leverage on spot": Case(
        {"leverage": 2}, "VALIDATION_ERROR", ("leverage 2", "perpetual", "Use leverage 1, or perpetual")
    ),
    "leverage beyond the range": Case({"leverage": 101}, "VALIDATION_ERROR", ("leverage 101", "100")),
    "a market type that does not fit": Case(
        {"market_type": "perpetual"}, "VALIDATION_ERROR", ("market_type", "binance", "binancefuturesusd")
    ),
    "an unknown timeframe": Case({"timeframe": "3h"}, "VALIDATION_ERROR", ('"3h"', "1m, 5m, 15m, 30m, 1h, 2h, 4h")),
    "twenty years of minutes": Case(
        MINUTES_OF_TWENTY_YEARS, "VALIDATION_ERROR", ("10,519,200 bars", "1,000,000", "694 days", "timeframe 15m")
    ),
    "no script": Case({"script": None}, "VALIDATION_ERROR", ("needs a script", "script_check")),
    "a script for a ready strategy": Case(
        {"strategy_type": "dca", "fixed_amount": 1, "interval": "daily"}, "VALIDATION_ERROR", ("writes its own script",)
    ),
    "a ready strategy without its parameters": Case(
        {"strategy_type": "dca", "script": None}, "VALIDATION_ERROR", ("fixed_amount is missing", "interval is missing")
    ),
    "a parameter of another strategy": Case(
        {"strategy_type": "grid", "script": None, "lookback": 5}, "VALIDATION_ERROR", ("lookback", "grid_count")
    ),
    "a pair of one": Case({"strategy_type": "pair_trading", "script": None}, "VALIDATION_ERROR", ("two tickers",)),
    "a short description": Case({"description": "short"}, "VALIDATION_ERROR", ("description", "10 characters")),
    "no cash": Case({"initial_cash": 0}, "VALIDATION_ERROR", ("initial_cash 0", "above 0")),
    "a fee in percent": Case({"trading_fee": 5}, "VALIDATION_ERROR", ("trading_fee 5", "below 0.1")),
    "an unknown argument": Case({"initial_cahs": 5}, "VALIDATION_ERROR", ("initial_cahs", "initial_cash")),
    "errors in the script, all of them": Case(
        {"script": 'a = rsii(close, 14) < 30\nemit_signal(a && b, entry("BINANCE:BTC/USDT", "LONG", Weight(1)))'},
        "VALIDATION_ERROR",
        ("line 1", "rsii", "rsi", "line 2", "&&", "and"),
    ),
    "a script that reads a ticker nobody lists": Case(
        {"script": 'emit_signal(close["BINANCE:FOO/USDT"] > 0, exit(TICKER))'}, "DATA_UNAVAILABLE", ("FOO/USDT",)
    ),
    "a script that reads more bars than a backtest takes": Case(
        {
            "script": "".join(
                f'emit_signal(close["BINANCE:{coin}/USDT"] > 0, exit(TICKER))\n'
                for coin in ("ETH", "SOL", "XRP", "ADA")
            ),
            "timeframe": "1m",
        },
        "VALIDATION_ERROR",
        ("each of 5 tickers", "1,000,000"),
    ),
    "a script that never trades": Case({"script": "a = close"}, "VALIDATION_ERROR", ("never calls emit_signal",)),
    "a short on spot": Case(
        {"script": 'emit_signal(close > 0, entry(TICKER, "SHORT", Weight(1)))'}, "VALIDATION_ERROR", ("SHORT", "spot")
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_wrong_calls_are_refused_at_once_with_what_to_do(case: Case, send: Send) -> None:
    body = {key: value for key, value in {**EXAMPLE, **case.changes}.items() if value is not None}

    answer = await send("POST", "/backtest/execute", body)

    error = answer.json()["error"]
    text = f"{error['message']} {error['suggestion']}"
    assert (answer.status_code, error["code"]) == (404 if case.code == "DATA_UNAVAILABLE" else 400, case.code), text
    assert [words for words in case.said if words not in text] == [], text


async def test_a_range_without_candles_is_named_with_the_range_that_has_some(send: Send, imported: Instrument) -> None:
    body = {**EXAMPLE, "universe": [imported.ticker], "script": EXAMPLE["script"].replace("BINANCE", "GATE")}

    error = (await send("POST", "/backtest/execute", body)).json()["error"]

    assert error["code"] == "DATA_UNAVAILABLE"
    assert "2018-05-15" in error["suggestion"]
    assert "2022-02-28" in error["suggestion"]


async def test_a_ticker_that_is_only_read_needs_candles_in_the_range_too(send: Send, imported: Instrument) -> None:
    script = f'emit_signal(close["{imported.ticker}"] > 0, exit("GATE:ETH/USDT"))'

    answer = await send("POST", "/backtest/execute", {**EXAMPLE, "universe": ["GATE:ETH/USDT"], "script": script})

    assert answer.status_code == 404, answer.text
    assert answer.json()["error"]["code"] == "DATA_UNAVAILABLE"


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({"end_date": "2026-01-01"}, "end_date 2026-01-01 is in the future"),
        ({"stop_loss": 0.1}, "stop_loss=0.1 means 0.1 percent"),
        ({"trading_fee": 0, "slippage": 0}, "No fees and no slippage"),
    ],
)
async def test_what_is_allowed_but_doubtful_is_said(changes: Body, warned: str, send: Send) -> None:
    data = (await send("POST", "/backtest/execute", {**EXAMPLE, **changes})).json()["data"]

    assert any(warned in warning for warning in data["warnings"])


@pytest.mark.parametrize(
    ("universe", "understood"),
    [
        ("btc-usdt", ["BINANCE:BTC/USDT"]),
        ('["BTCUSDT", "BINANCE:ETH/USDT"]', ["BINANCE:BTC/USDT", "BINANCE:ETH/USDT"]),
        (["BTC/USDT:USDT"], ["BINANCEFUTURESUSD:BTC/USDT:USDT"]),
        (["upbit:btc/krw", "UPBIT:BTC/KRW"], ["UPBIT:BTC/KRW"]),
    ],
)
async def test_tickers_in_other_dialects_are_understood_and_echoed(
    universe: Any, understood: list[str], send: Send
) -> None:
    script = 'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5), stop_loss=0.05))'

    answer = await send("POST", "/backtest/execute", {**EXAMPLE, "universe": universe, "script": script})

    assert answer.json()["data"]["universe"] == understood, answer.text


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", "/backtest/status/bt_nothing", "backtest_execute"),
        ("POST", "/backtest/cancel/bt_nothing", "backtest_execute"),
        ("GET", "/backtest/status/res_nothing", "a result_id"),
        ("GET", "/backtest/results/res_nothing", "backtest_status"),
        ("GET", "/backtest/results/bt_nothing", "a backtest_id"),
        ("GET", "/backtest/results/res_nothing/trades", "backtest_status"),
        ("GET", "/backtest/results/res_nothing/equity", "backtest_status"),
        ("GET", "/backtest/results/res_nothing/per-ticker", "backtest_status"),
        ("GET", "/backtest/results/res_nothing/metrics", "backtest_status"),
        ("GET", "/backtest/results/res_nothing/analysis", "backtest_status"),
    ],
)
async def test_unknown_ids_are_not_found(method: str, path: str, said: str, send: Send) -> None:
    answer = await send(method, path)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "BACKTEST_NOT_FOUND")
    assert said in f"{error['message']} {error['suggestion']}"


async def test_a_provisional_key_may_run_ten_backtests_an_hour(research: Engine, send: Send) -> None:
    key = (await send("POST", "/meta/register", {"display_name": "Eager"})).json()["data"]["api_key"]
    transport = httpx.ASGITransport(create_app(research))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://engine/api/v1", headers={"X-API-Key": key}
    ) as client:
        different = [{**EXAMPLE, "initial_cash": 10_000 + number} for number in range(11)]  # equal open jobs count once
        answers = [await client.post("/backtest/execute", json=body) for body in different]

    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert answers[-1].json()["error"]["code"] == "RATE_LIMITED"
    assert int(answers[-1].headers["Retry-After"]) > 0

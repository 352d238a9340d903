"""Arguments as agents write them: accepted with one clear meaning, else refused with value, rule and advice.

Each row is a call. `ACCEPTED` rows state the expected result, `REFUSED` rows the expected content of the message.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from mcp.types import CallToolResult, TextContent

from tests.conftest import Connect

Arguments = dict[str, Any]


class Case(NamedTuple):
    """A call, and its expected result."""

    tool: str
    arguments: Arguments
    expected: Any


RSI = "rsi(close, 14)[-1]"
UP = "close > open"
TWO = ["BTC/USDT", "ETH/USDT"]

ACCEPTED = {
    "other case of an enum": Case("market_tickers", {"exchange": "Binance", "limit": 1}, {"exchange": "binance"}),
    "an exchange by another name": Case("market_tickers", {"exchange": "gate.io", "limit": 1}, {"exchange": "gate"}),
    "a number as string": Case("market_tickers", {"limit": "1"}, {"exchange": "binance"}),
    "null for left out": Case("market_tickers", {"limit": None, "sector": None}, {"exchange": "binance"}),
    "a whole number as float": Case("market_tickers", {"limit": 1.0}, {"exchange": "binance"}),
    "another symbol dialect": Case("market_ohlcv", {"symbol": "btc-usdt", "limit": 1}, {"symbol": "BTC/USDT"}),
    "a glued symbol": Case("market_ohlcv", {"symbol": "ETHUSDT", "limit": 1}, {"symbol": "ETH/USDT"}),
    "an exchange prefix": Case("market_ohlcv", {"symbol": "UPBIT:BTC/KRW", "limit": 1}, {"exchange": "upbit"}),
    "a perpetual that implies its exchange": Case(
        "market_ohlcv", {"symbol": "BTC/USDT:USDT", "limit": 1}, {"exchange": "binancefuturesusd"}
    ),
    "a bar length by another name": Case(
        "market_ohlcv", {"symbol": "BTC/USDT", "timeframe": "1H", "limit": 1}, {"timeframe": "1h"}
    ),
    "unix seconds as a time": Case(
        "market_ohlcv",
        {"symbol": "BTC/USDT", "start": 1704067200, "limit": 1, "end": "1704070800"},
        {"symbol": "BTC/USDT"},
    ),
    "surrounding space": Case(
        "market_evaluate", {"symbol": " BTC/USDT ", "expression": f" {RSI}\n"}, {"symbol": "BTC/USDT"}
    ),
    "a JSON-encoded list": Case("market_scan", {"universe": json.dumps(TWO), "condition": UP}, {"scanned_count": 2}),
    "a list as words": Case("market_scan", {"universe": "BTC/USDT, ETH/USDT", "condition": UP}, {"scanned_count": 2}),
    "a symbol twice": Case("market_scan", {"universe": [*TWO, "btcusdt"], "condition": UP}, {"scanned_count": 2}),
    "an order in full": Case(
        "market_rank", {"universe": TWO, "expression": "close", "order": "ASCENDING"}, {"ranked_count": 2}
    ),
    "a document in capitals": Case("docs_read", {"slug": "API_Reference", "limit": "500"}, {"slug": "api-reference"}),
    "no arguments at all": Case("meta_capabilities", {}, {"scopes": ["research", "read", "trade"]}),
}

REFUSED = {
    "an unknown argument": Case("market_tickers", {"exchnage": "gate"}, ["exchnage", "exchange", 'exchange="gate"']),
    "an unknown argument of a tool without any": Case("meta_health", {"verbose": True}, ["verbose", "no arguments"]),
    "a missing argument": Case("market_evaluate", {"symbol": "BTC/USDT"}, ["expression is missing"]),
    "a misspelt enum": Case("market_tickers", {"exchange": "binanc"}, ['"binanc"', "one of", 'exchange="binance"']),
    "an unknown exchange": Case("market_tickers", {"exchange": "kraken"}, ['"kraken"', "binance, binancefuturesusd"]),
    "a wrong type": Case("market_tickers", {"limit": [1]}, ["limit [1]", "whole number"]),
    "a boolean as number": Case("market_tickers", {"limit": True}, ["limit true", "whole number"]),
    "above the range": Case("market_tickers", {"limit": 501}, ["limit 501", "at most 500", "limit=500"]),
    "below the range": Case("market_ohlcv", {"symbol": "BTC/USDT", "limit": 0}, ["limit 0", "at least 1", "limit=1"]),
    "a huge number": Case("market_tickers", {"limit": 10**400}, ["limit", "whole number"]),
    "an empty symbol": Case("market_ohlcv", {"symbol": ""}, ["symbol"]),
    "a symbol of two meanings": Case("market_ohlcv", {"symbol": "BTC/ETH/USDT"}, ["BTC/ETH/USDT", "pair"]),
    "an unknown symbol": Case("market_ohlcv", {"symbol": "BTX/USDT"}, ["BTX/USDT", "BTC/USDT"]),
    "a symbol against the exchange": Case(
        "market_ohlcv", {"symbol": "UPBIT:BTC/KRW", "exchange": "gate"}, ["upbit", "gate"]
    ),
    "a spot exchange for a perpetual": Case(
        "market_ohlcv", {"symbol": "BTC/USDT:USDT", "exchange": "binance"}, ["perpetual", "binancefuturesusd"]
    ),
    "a month for a minute": Case("market_ohlcv", {"symbol": "BTC/USDT", "timeframe": "1M"}, ["1M", "1m"]),
    "a time that is not valid": Case(
        "market_ohlcv", {"symbol": "BTC/USDT", "start": "yesterday"}, ["yesterday", "ISO 8601"]
    ),
    "a time of the future": Case("market_ohlcv", {"symbol": "BTC/USDT", "start": "2099-01-01"}, ["2099"]),
    "a range without a bar": Case(
        "market_ohlcv", {"symbol": "BTC/USDT", "start": "2024-01-01", "end": "2024-01-01"}, ["not before", "Move end"]
    ),
    "a symbol like no other": Case("market_ohlcv", {"symbol": "QQQQ/WWWW"}, ["QQQQ/WWWW", 'market_tickers(exchange="']),
    "a list of symbols that there is not": Case(
        "market_scan", {"universe": "top10", "condition": UP}, ["TOP10/USDT", "top30, top50, top100, trending and defi"]
    ),
    "an empty universe": Case("market_scan", {"universe": [], "condition": UP}, ["universe", "empty"]),
    "a universe of two exchanges": Case(
        "market_scan",
        {"universe": ["UPBIT:BTC/KRW", "GATE:BTC/USDT"], "condition": UP},
        ["one exchange", "gate, upbit"],
    ),
    "a list that is no JSON": Case("market_scan", {"universe": '["BTC/USDT"', "condition": UP}, ["universe", "JSON"]),
    "a universe of numbers": Case("market_scan", {"universe": [1, 2], "condition": UP}, ["universe"]),
    "a huge universe": Case("market_scan", {"universe": ["BTC/USDT"] * 100_000, "condition": UP}, ["at most 500"]),
    "an empty expression": Case("market_evaluate", {"symbol": "BTC/USDT", "expression": "  "}, ["expression"]),
    "a misspelt function": Case(
        "market_evaluate", {"symbol": "BTC/USDT", "expression": "rsj(close, 14)"}, ["rsj", "rsi"]
    ),
    "a function in capitals": Case(
        "market_evaluate", {"symbol": "BTC/USDT", "expression": "RSI(CLOSE, 14)"}, ["`RSI`", "Write rsi(close, 14)"]
    ),
    "a misspelt variable": Case(
        "market_evaluate", {"symbol": "BTC/USDT", "expression": "sma(clsoe, 3)"}, ["clsoe", "close"]
    ),
    "a wrong number of arguments": Case(
        "market_evaluate", {"symbol": "BTC/USDT", "expression": "rsi(close, 14, 3, 9)"}, ["rsi"]
    ),
    "a period that is no number": Case(
        "market_evaluate", {"symbol": "BTC/USDT", "expression": 'sma(close, "x")'}, ["sma"]
    ),
    "a period that no history holds": Case(
        "market_evaluate", {"symbol": "BTC/USDT", "expression": "sma(close, 500000)[-1]"}, ["500000", "1 to 100,000"]
    ),
    "a period longer than the history": Case(
        "market_evaluate",
        {"symbol": "BTC/USDT", "expression": "sma(close, 90000)", "timeframe": "1d"},
        ["TA_OUT_OF_RANGE", "needs 90,000 bars", "the history holds", "Use shorter periods"],
    ),
    "a number for scan": Case(
        "market_scan", {"universe": TWO, "condition": "rsi(close, 14)"}, ["is a number", "a condition is needed"]
    ),
    "a boolean for rank": Case("market_rank", {"universe": TWO, "expression": UP}, ["number"]),
    "a broken expression": Case("market_evaluate", {"symbol": "BTC/USDT", "expression": "close >"}, ["close >"]),
    "an attribute": Case("market_evaluate", {"symbol": "BTC/USDT", "expression": "close.__class__.__mro__"}, ["close"]),
    "a dunder name": Case(
        "market_evaluate", {"symbol": "BTC/USDT", "expression": "__import__('os')"}, ["`__import__`"]
    ),
    "a lambda": Case("market_evaluate", {"symbol": "BTC/USDT", "expression": "(lambda: close)()"}, ["no functions"]),
    "a power tower": Case("market_evaluate", {"symbol": "BTC/USDT", "expression": "9**9**9**9"}, ["not a finite"]),
    "ten megabytes of parentheses": Case(
        "market_evaluate", {"symbol": "BTC/USDT", "expression": "(" * 10_000_000}, ["expression", "at most"]
    ),
    "parentheses within the limit": Case(
        "market_evaluate", {"symbol": "BTC/USDT", "expression": "(" * 1999}, ["never closed", "48 brackets"]
    ),
    "a NUL": Case("market_evaluate", {"symbol": "BTC/USDT", "expression": "close\0"}, ["expression", "NUL", "out"]),
    "ten thousand indicators": Case(
        "market_scan",
        {"universe": TWO, "condition": " and ".join(["rsi(close, 14) > 1"] * 10_000)},
        ["condition", "at most"],
    ),
    "invisible characters": Case("meta_register", {"display_name": "Bot\u202e"}, ["display_name", "RIGHT-TO-LEFT"]),
    "a name too long": Case("meta_register", {"display_name": "x" * 51}, ["display_name", "at most 50"]),
    "a missing choice": Case(
        "docs_read", {}, ["slug is missing", "signal-dsl, operators, data, strategies, api-reference"]
    ),
    "a piece beyond the end": Case(
        "docs_read", {"slug": "data", "offset": 900_000}, ["900000", "beyond", "next_offset"]
    ),
    "an unknown document": Case("docs_read", {"slug": "signal"}, ["signal", "signal-dsl"]),
    "a path for a document": Case("docs_read", {"slug": "../../etc/passwd"}, ["slug", "one of"]),
}


def text(result: CallToolResult) -> str:
    """Everything that a model reads."""
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


@pytest.mark.parametrize("case", ACCEPTED.values(), ids=ACCEPTED)
async def test_one_clear_meaning_is_accepted(case: Case, connect: Connect) -> None:
    async with connect() as client:
        result = await client.call_tool(case.tool, case.arguments)

    assert not result.is_error, text(result)
    assert result.structured_content is not None
    assert result.structured_content.items() >= case.expected.items()
    assert json.loads(text(result)) == result.structured_content


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_anything_else_is_one_message_with_value_rule_and_what_to_do(case: Case, connect: Connect) -> None:
    async with connect() as client:
        result = await client.call_tool(case.tool, case.arguments)

    said = text(result)
    assert result.is_error, said
    assert result.structured_content is None
    assert [part for part in case.expected if part.lower() not in said.lower()] == [], said
    assert not said.startswith("INTERNAL_ERROR"), said
    assert not any(word in said for word in ("Traceback", "pydantic", 'File "', "ValidationError")), said
    assert len(said) <= 1500
    assert "\n" not in said.strip() or case.tool.startswith("market_")


async def test_a_corrected_call_is_accepted_unchanged(connect: Connect) -> None:
    async with connect() as client:
        refused = await client.call_tool("market_tickers", {"exchnage": "gaet", "limit": 9000})
        accepted = await client.call_tool("market_tickers", {"exchange": "gate", "limit": 500})

    assert 'market_tickers(exchange="gate", limit=500)' in text(refused)
    assert not accepted.is_error

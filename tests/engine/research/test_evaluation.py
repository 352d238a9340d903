"""Several expressions in one call, and the market at a past moment, through the REST API."""

from __future__ import annotations

import pytest

from .conftest import Door

BTC = {"symbol": "BTC/USDT", "timeframe": "4h"}


async def test_each_of_several_expressions_has_the_value_that_it_has_alone(door: Door) -> None:
    expressions = ["rsi(close, 14)", "close > ema(close, 20)", "max(close, open)", "sma(volume, 5)[-2]"]
    found = await door.data("POST", "/market/evaluate", BTC | {"expressions": expressions})
    alone = [await door.data("POST", "/market/evaluate", BTC | {"expression": each}) for each in expressions]

    assert [row["value"] for row in found["values"]] == [each["value"] for each in alone]
    assert [row["expression"] for row in found["values"]] == [each["expression"] for each in alone]
    assert [row["bars_used"] for row in found["values"]] == [each["bars_used"] for each in alone]
    assert {each["as_of"] for each in alone} == {found["as_of"]}
    assert {each["price"] for each in alone} == {found["price"]}


@pytest.mark.parametrize(
    ("as_of", "opened"),
    [
        ("2024-03-01T12:00:00Z", "2024-03-01T08:00:00Z"),
        ("2024-03-01T11:59:59Z", "2024-03-01T04:00:00Z"),
        ("2024-03-01T12:00:01Z", "2024-03-01T08:00:00Z"),
        (1_709_294_400, "2024-03-01T08:00:00Z"),
    ],
)
async def test_as_of_a_moment_only_bars_that_had_closed_exist(door: Door, as_of: str | int, opened: str) -> None:
    candles = await door.data("GET", "/market/ohlcv?symbol=BTC/USDT&timeframe=4h&end=2024-03-01T16:00:00Z&limit=9")
    expected = {candle[0]: candle[4] for candle in candles["candles"]}
    before = [candle[4] for candle in candles["candles"] if candle[0] < opened]
    found = await door.data("POST", "/market/evaluate", BTC | {"expressions": ["close", "close[-2]"], "as_of": as_of})

    assert [row["value"] for row in found["values"]] == [expected[opened], before[-1]]
    assert found["price"] == expected[opened]


async def test_what_has_too_little_history_at_the_moment_says_so_beside_what_has_enough(door: Door) -> None:
    first = (await door.data("GET", "/market/ohlcv?symbol=BTC/USDT&timeframe=1d&start=2000-01-01&limit=40"))["candles"]
    body = {"symbol": "BTC/USDT", "timeframe": "1d", "as_of": first[30][0], "expressions": ["close", "sma(close, 200)"]}
    found = await door.data("POST", "/market/evaluate", body)

    assert found["values"][0]["value"] == first[29][4]
    assert found["values"][1].get("value") is None
    assert "200" in found["values"][1]["note"]


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({}, ["expression is missing"]),
        ({"expression": "close", "expressions": ["open"]}, ["expressions", "together with expression"]),
        ({"expressions": []}, ["expressions"]),
        ({"expressions": ["close"] * 21}, ["expressions", "20"]),
        ({"expressions": ["rsj(close, 14)", "close", "smaa(close)"]}, ["rsj", "smaa"]),
        ({"expression": "close", "as_of": "2099-01-01"}, ["as_of", "in the future", "2025-06-16"]),
        ({"expression": "close", "as_of": "yesterday"}, ["as_of", "ISO"]),
    ],
)
async def test_what_cannot_be_evaluated_is_refused_with_every_reason(
    door: Door, terms: dict[str, object], said: list[str]
) -> None:
    answer = await door.send("POST", "/market/evaluate", BTC | terms)

    assert answer.status_code == 400
    for words in said:
        assert words in answer.text

"""The catalogue behind the API, the documents and completion."""

from __future__ import annotations

from engine.language import catalogue, check_expression
from engine.language.operators import OPERATORS


def test_the_language_is_large_and_every_word_says_what_it_is() -> None:
    words = catalogue()
    entries = (*words.indicators, *words.operators)

    assert len(entries) >= 120
    assert len({entry.name for entry in entries}) == len(entries)
    assert len({entry.description for entry in entries}) == len(entries)
    assert all(entry.signature.startswith(f"{entry.name}(") and entry.description for entry in entries)
    assert {v.name for v in words.variables} >= {"close", "volume", "hour", "TICKERS", "position", "funding_rate"}
    assert [v.name for v in words.variables if not v.available][:1] == ["funding_rate"]


def test_warm_ups_are_those_of_the_defaults() -> None:
    by_name = {entry.name: entry for entry in catalogue().indicators}

    assert by_name["rsi"].warmup_bars == 14
    assert by_name["macd"].warmup_bars == 33
    assert by_name["macd"].outputs == ("line", "signal", "hist")
    assert by_name["atr"].reads == ("high", "low", "close")
    assert by_name["obv"].memory == "start"
    assert by_name["rsi"].source == "TA-Lib RSI"


def test_an_output_by_name_is_the_one_that_is_unpacked() -> None:
    for operator in OPERATORS.values():
        if operator.accessor_of is not None:
            whole = OPERATORS[operator.accessor_of]
            assert operator.name == f"{whole.name}_{operator.outputs[0].name}"
            assert operator.outputs[0] in whole.outputs


def test_what_is_written_twice_is_computed_once() -> None:
    expression = check_expression("rsi(close, 14) < 30 or rsi(close, period=14) > 70 and rsi(close) != 50")

    found: set[int] = set()
    stack = [expression.node]
    while stack:
        node = stack.pop()
        stack.extend(node.args)
        if node.op == "call":
            found.add(node.id)
    assert len(found) == 1

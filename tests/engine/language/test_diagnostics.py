"""Messages for a wrong expression: where, why, and what to write instead."""

from __future__ import annotations

import pytest

from api.errors import InvalidInput, NotFound, explain
from engine.frame import Bars, Frame
from engine.language import DslError, check_expression, evaluate
from engine.language.expressions import ExpressionKind
from tests.engine.language.dsl_markets import BTC, frame_of


def _refused(source: str, kind: ExpressionKind = "any") -> DslError:
    with pytest.raises(DslError) as refused:
        check_expression(source, kind)
    return refused.value


@pytest.mark.parametrize(
    ("source", "fixed"),
    [
        ("rsii(close, 14) < 30", "rsi(close, 14) < 30"),
        ("RSI(close, 14) < 30", "rsi(close, 14) < 30"),
        ("talib.RSI(close, 14) < 30", "rsi(close, 14) < 30"),
        ("ta.crossover(close, open)", "crossover(close, open)"),
        ("Close > 5", "close > 5"),
        ("close[0] > close[1]", "close[-1] > close[-2]"),
        ("close[3] > 1", "close[-4] > 1"),
        ("close > 1 && open > 1", "close > 1 and open > 1"),
        ("close > 1 || open > 1", "close > 1 or open > 1"),
        ("!(close > 1)", "not (close > 1)"),
        ("close > 1 AND open > 1", "close > 1 and open > 1"),
        ("(close > 1) & (open > 1)", "(close > 1) and (open > 1)"),
        ("close = 30", "close == 30"),
        ("close => 30", "close >= 30"),
        ("close ≥ 30", "close >= 30"),
        ("close <> 30", "close != 30"),
        ("close ^ 2 > 9", "close ** 2 > 9"),
        ("rsi(14) < 30", "rsi(close, 14) < 30"),
        ("sma(close, length=20) > 1", "sma(close, period=20) > 1"),
        ("obv > 1", "obv() > 1"),
        ("crossover(close, open) == True", "crossover(close, open)"),
        ("macd(close, 5, 9, 3).hist > 1", "macd_hist(close, 5, 9, 3) > 1"),
        ("bollinger_upper(close) > 1", "bbands_upper(close) > 1"),
        ("rsii(close, 14) < 30 and sma(closee, 20) > 1", "rsi(close, 14) < 30 and sma(close, 20) > 1"),
    ],
)
def test_a_common_slip_is_corrected(source: str, fixed: str | None) -> None:
    error = _refused(source)

    assert error.fixed == fixed
    if fixed is not None:
        check_expression(fixed)
        assert fixed in explain(error)


@pytest.mark.parametrize(
    ("source", "message", "suggestion"),
    [
        ("macd(close) > 0", "gives 3 series", "macd_line"),
        ("rsi(close, 14) and close > 1", "a condition is needed", "Compare it"),
        ("sma(close > 1, 5)", "sma takes a series of numbers", "where(close > 1, 1, 0)"),
        ("(close > 1) + 1", "a number is needed", "where(condition, 1, 0)"),
        ("rsi(close, close)", "constant whole number", "rsi(series, period=14)"),
        ("rsi(close, 0)", "cannot be 0", "2 to 100,000"),
        ("rsi(close, 2.5)", "must be a whole number", ""),
        ("sma()", "needs the argument series", "sma(series, period=20)"),
        ("atr(high, low, 14)", "takes 1 argument, not 3", "atr(period=14)"),
        ("sma(close, 5, 6, 7)", "takes 2 arguments", ""),
        ("close ? 1 : 2", "not part of the language", "a if condition else b"),
        ("lambda: 1", "no functions to define", ""),
        ("close.shift(1) > 2", "nothing has attributes or methods", "lag"),
        ("close.__class__", "nothing has attributes", ""),
        ("9**9**9", "not a finite number", ""),
        ("1 / 0", "not a finite number", ""),
        ("'a' * 3", "a number is needed", ""),
        ("close < 'x'", "cannot be compared", ""),
        ("crossover(close, open) == 1", "already a condition", "alone"),
        ("close in [1, 2]", "`in` and `is`", "=="),
        ('tf("7h", close)', "not a timeframe", "1h, 2h, 4h"),
        ('tf("5m", close)', "not a timeframe", "1h, 2h, 4h"),
        ("close[open]", "whole constant number", "[-2]"),
        ("5[-1]", "has no history", ""),
        ('5["BINANCE:ETH/USDT"]', "the same for every ticker", ""),
        ('close["BINANCE:"] > 1', "BINANCE:", ""),
        ("position > 0", "only in scripts", ""),
        ("cs_rank(close)", "script's universe", ""),
        ("emit_signal(close > 1, 2)", "only in scripts", ""),
        ("None", "there is no None", "is_missing"),
        ("(close > 1", "never closed", ""),
        ("close > 1)", "closes nothing", ""),
        ("x = 5; y = 6", "`;` is not part", ""),
        ("", "is empty", ""),
    ],
)
def test_an_error_says_what_is_wrong_and_what_would_do(source: str, message: str, suggestion: str) -> None:
    error = _refused(source)

    assert any(message in d.message and suggestion in d.suggestion for d in error.diagnostics), str(error)


def test_every_error_is_reported_at_once_with_line_column_and_caret() -> None:
    error = _refused("rsii(close, 14) < 30\n  and sma(volumee, 0) > 1\n  and close[1] > 0")

    assert [(d.line, d.column, d.end_column) for d in error.diagnostics] == [
        (1, 1, 5),
        (2, 11, 18),
        (2, 20, 21),
        (3, 13, 14),
    ]
    assert error.diagnostics[1].excerpt == "    and sma(volumee, 0) > 1\n            ^^^^^^^"
    assert "4 errors" in error.message


def test_columns_are_those_of_the_written_text_behind_a_respelling() -> None:
    error = _refused("close>1&&opeen>1||higgh>1")

    assert [(d.column, d.end_column) for d in error.diagnostics] == [(8, 10), (10, 15), (17, 19), (19, 24)]
    assert error.fixed == "close>1 and open>1 or high>1"


def test_a_scan_needs_a_condition_and_a_rank_needs_a_number() -> None:
    scan, rank = _refused("rsi(close,14)", "boolean"), _refused("close > open", "numeric")

    assert "`rsi(close,14) < 30`" in scan.diagnostics[0].suggestion
    assert "a number is needed" in rank.message
    assert check_expression("rsi(close, 14)", "numeric").kind == "numeric"
    assert check_expression("close > open", "boolean").kind == "boolean"


@pytest.mark.parametrize("name", ["funding_rate", "mvrv", "open_interest"])
def test_data_that_no_feed_has_is_unavailable(name: str) -> None:
    error = _refused(f"{name} > 0")

    assert isinstance(error, NotFound)
    assert error.code == "DATA_UNAVAILABLE"


def test_a_period_longer_than_the_history_names_both() -> None:
    with pytest.raises(InvalidInput) as refused:
        evaluate(check_expression("rsi(close, 14) < sma(close, 500)"), frame_of(BTC, count=200), BTC)

    assert refused.value.code == "TA_OUT_OF_RANGE"
    assert refused.value.message == "`sma(close, 500)` needs 500 bars, the history holds 200"


def test_the_newest_history_that_is_long_enough_gives_a_value() -> None:
    result = evaluate(check_expression("sma(close, 200)"), frame_of(BTC, count=200), BTC)

    assert result.value is not None
    assert (result.bars_used, result.lookback) == (200, 199)


def test_an_expression_tells_its_parts() -> None:
    result = evaluate(check_expression("rsi(close, 14) < 30 and not volume > sma(volume, 20)"), frame_of(BTC), BTC)

    assert list(result.parts) == ["rsi(close, 14)", "volume", "sma(volume, 20)"]
    rsi, volume, mean = (value or 0.0 for value in result.parts.values())
    assert result.value == (rsi < 30 and not volume > mean)


def test_required_bars_let_a_decaying_average_forget_its_beginning() -> None:
    expression = check_expression("rsi(close, 14) + ema(close, 50) + atr(20)")
    frame = frame_of(BTC, count=4_000)

    long = evaluate(expression, frame, BTC).value
    short = evaluate(expression, _tail(frame, expression.required_bars), BTC).value

    assert long == pytest.approx(short, rel=1e-7)


def _tail(frame: Frame, count: int) -> Frame:
    bars = {
        i: Bars(b.open[-count:], b.high[-count:], b.low[-count:], b.close[-count:], b.volume[-count:], b.source)
        for i, b in frame.bars.items()
    }
    return Frame(frame.timeframe, frame.time[-count:], bars)

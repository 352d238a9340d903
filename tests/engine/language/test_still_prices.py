"""Prices that do not move, move by ticks, or tie: in every operator the prices decide, never a rounding error."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pytest

from engine.frame import Bars, Floats, Frame
from engine.language import check_expression, evaluate
from engine.language.operators import OPERATORS, primary
from tests.engine.language.dsl_markets import BTC, ETH, MIDNIGHT, frame_of, outputs_of
from tests.engine.language.test_operator_laws import call

COUNT: Final = 2_500
NAMES: Final = [o.name for o in primary() if not o.elementwise and o.category not in {"candle pattern", "universe"}]
LEVELS: Final = frozenset(
    {
        "sma", "ema", "wma", "dema", "tema", "trima", "kama", "hma", "rma", "zlema", "t3", "vwma", "alma", "mama",
        "ht_trendline", "midpoint", "midprice", "sar", "bbands", "accbands", "donchian", "keltner", "ichimoku",
        "alligator", "chandelier", "avgprice", "medprice", "typprice", "wclprice", "heikin_ashi", "linearreg",
        "linearreg_intercept", "tsf", "median", "percentile", "highest", "lowest", "session_vwap", "session_high",
        "session_low", "pivot_points", "vwap", "rolling_vwap", "lag", "ffill",
    }
)  # fmt: skip
"""Operators whose value follows the price: on a price that does not move it equals the price."""
DIVIDED: Final = (
    "rsi(close, 14)", "stoch_k()", "stoch_d()", "stochf_k()", "mfi(14)", "kdj_k()", "kdj_j()", "connors_rsi(close)",
    "ultosc()", "willr(14)", "er(close)", "stochrsi_k(close)", "cci(20)", "cmo(close)", "cmou(close)", "tsi(close)",
    "adx(14)", "dx(14)", "plus_di(14)", "vortex_plus(14)", "imi(14)", "bop()", "vhf(close)", "rvi(close)", "smi_line()",
    "cvi()", "massi()", "stc(close)", "fisher_line()", "bb_percent(close)", "choppiness(14)", "zscore(close)",
    "correlation(close, open)", "cmf(20)", "scale(close)",
)  # fmt: skip


def _bars(close: Floats, volume: float = 100.0) -> Bars:
    return Bars(close.copy(), close.copy(), close.copy(), close.copy(), np.full(len(close), volume), "imported")


def _frame(close: Floats, volume: float = 100.0) -> Frame:
    time = MIDNIGHT + np.arange(len(close), dtype=np.int64) * 3600
    return Frame("1h", time, {BTC: _bars(close, volume), ETH: _bars(close, volume)})


def _value(expression: str, frame: Frame) -> float | bool | None:
    return evaluate(check_expression(expression), frame, BTC).value


@pytest.mark.parametrize("price", [0.5, 0.1, 100_000.3, 3.1e-8, 1 / 3])
@pytest.mark.parametrize("name", sorted(LEVELS))
def test_a_line_on_a_price_that_does_not_move_is_the_price(name: str, price: float) -> None:
    for output in outputs_of(call(OPERATORS[name]), _frame(np.full(700, price))):
        known = output[~np.isnan(output)]
        assert set(known[-50:].tolist()) == {price}


@pytest.mark.parametrize(
    "expression", ["vwma(close, 2)", "vwma(close, 50)", "rolling_vwap(9)", "session_vwap()", "vwap()"]
)
@pytest.mark.parametrize("price", [300.0, 0.1, 1 / 3, 3.1e-8])
def test_volume_decides_nothing_on_a_price_that_does_not_move(expression: str, price: float) -> None:
    rng = np.random.default_rng(4)
    volume = np.exp(rng.normal(0.0, 6.0, 2_000)) * (rng.random(2_000) > 0.1)
    bars = replace(_bars(np.full(2_000, price)), volume=volume)
    frame = replace(_frame(bars.close), bars={BTC: bars, ETH: bars})

    (output,) = outputs_of(expression, frame)
    assert set(output[~np.isnan(output)].tolist()) == {price}


@pytest.mark.parametrize("name", NAMES)
def test_after_the_price_has_stopped_every_window_forgets_the_moves_before(name: str) -> None:
    operator = OPERATORS[name]
    if operator.memory != "window" or operator.category in {"session", "volume"}:
        return
    moved = frame_of(BTC, ETH, count=COUNT, seed=9)
    for bars in moved.bars.values():
        for column in (bars.open, bars.high, bars.low, bars.close):
            column[1_000:] = 0.1
        bars.volume[:] = 100.0

    for after, always in zip(
        outputs_of(call(operator), moved), outputs_of(call(operator), _frame(np.full(COUNT, 0.1))), strict=True
    ):
        np.testing.assert_array_equal(after[-500:], always[-500:])


@pytest.mark.parametrize("expression", DIVIDED)
def test_zero_divided_by_zero_is_missing_and_no_comparison_with_it_holds(expression: str) -> None:
    frame = _frame(np.full(COUNT, 0.5))

    assert _value(expression, frame) is None
    assert _value(f"{expression} < 1e9 or {expression} >= -1e9", frame) is False


@pytest.mark.parametrize(
    "expression",
    [
        "vwap()",
        "vwma(close, 20)",
        "rolling_vwap(20)",
        "mfi(14)",
        "cmf(20)",
        "pvo()",
        "rvol(20)",
        "eom(14)",
        "marketfi()",
    ],
)
def test_what_divides_by_volume_is_missing_where_nothing_was_traded(expression: str) -> None:
    assert _value(expression, _frame(np.full(COUNT, 0.5), volume=0.0)) is None


def test_the_rsi_of_a_straight_rise_has_no_range() -> None:
    frame = _frame(1.0 + 0.01 * np.arange(400, dtype=np.float64))

    assert _value("rsi(close, 14)", frame) == 100.0
    assert _value("stochrsi_k(close)", frame) is None


@pytest.mark.parametrize("period", [2, 3, 5, 8, 20])
def test_the_side_of_the_average_is_decided_by_whole_ticks(period: int) -> None:
    rng = np.random.default_rng(4)
    ticks = 10_000 + np.cumsum(rng.integers(-1, 2, 5_000) * (rng.random(5_000) < 0.2))
    frame = _frame(ticks / 10_000)

    side = outputs_of(f"sign(close - sma(close, {period}))", frame)[0]
    above = outputs_of(f"close > bbands_middle(close, {period})", frame)[0]
    wanted = [int(np.sign(period * ticks[t] - ticks[t - period + 1 : t + 1].sum())) for t in range(period - 1, 5_000)]

    np.testing.assert_array_equal(side[period - 1 :], wanted)
    np.testing.assert_array_equal(above[period - 1 :], np.array(wanted) > 0)


def test_a_touch_of_a_band_on_a_price_that_does_not_move_is_no_signal() -> None:
    frame = frame_of(BTC, count=1_000)
    for column in (frame.bars[BTC].open, frame.bars[BTC].high, frame.bars[BTC].low, frame.bars[BTC].close):
        column[100:] = 0.1

    for condition in (
        "close < bbands_lower(close, 20, 2)",
        "close > bbands_upper(close, 20, 2)",
        "crossover(close, sma(close, 20))",
    ):
        assert not outputs_of(condition, frame)[0][130:].any()


@pytest.mark.parametrize(
    ("prices", "expression", "wanted"),
    [
        ([1.0, 2.0], "rank_pct(close, 50)", 100.0),
        ([2.0, 1.0], "rank_pct(close, 50)", 50.0),
        ([3.0, 1.0, 2.0], "rank_pct(close, 50)", 66.0),
        ([1.0, 2.0], "bars_since_highest(close, 10)", 0.0),
        ([1.0, 2.0], "bars_since_lowest(close, 10)", 1.0),
        ([2.0, 1.0, 1.0], "bars_since_highest(close, 7)", 2.0),
        ([2.0], "bars_since_highest(close, 10)", 0.0),
        ([1.0, 2.0], "aroon_up(10)", 100.0),
    ],
)
def test_of_equal_values_one_rule_says_which_counts(prices: list[float], expression: str, wanted: float) -> None:
    assert _value(expression, _frame(np.array(prices * 100))) == wanted


@pytest.mark.parametrize(
    "expression",
    ["bars_since_highest(close, 20)", "bars_since_lowest(close, 20)", "rank_pct(close, 30)", "aroon_down(14)"],
)
def test_a_window_does_not_know_the_bars_before_it(expression: str) -> None:
    rng = np.random.default_rng(6)
    close = 100.0 + rng.integers(0, 4, 400).astype(np.float64)

    whole = outputs_of(expression, _frame(close))[0]
    for begin in (100, 137, 301):
        np.testing.assert_array_equal(outputs_of(expression, _frame(close[begin:]))[0][40:], whole[begin + 40 :])


def test_a_condition_on_one_of_the_last_bars_loads_those_bars() -> None:
    assert check_expression("any_in(close > open, 10)").required_bars >= 10


@pytest.mark.parametrize(
    ("expression", "bars"),
    [("ichimoku_conversion(9)", 8), ("ichimoku_base()", 25), ("macd_line(close)", 25), ("macd_signal(close)", 33),
     ("stoch_k(14, 3, 3)", 15), ("stoch_d(14, 3, 3)", 17), ("alligator_lips()", 7), ("kst_line(close)", 44)],
)  # fmt: skip
def test_each_output_is_known_as_early_as_it_can_be(expression: str, bars: int) -> None:
    found = outputs_of(expression, frame_of(BTC, count=200))[0]

    assert check_expression(expression).lookback == bars
    assert int(np.flatnonzero(~np.isnan(found))[0]) == bars

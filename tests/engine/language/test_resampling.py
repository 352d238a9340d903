"""Longer timeframes: built from the script's own bars, and never known before they close."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.times import SECONDS
from engine.frame import Frame, resample
from engine.language import check_expression, evaluate
from tests.engine.language.dsl_markets import BTC, ETH, MIDNIGHT, frame_of, prefix


def test_four_hours_are_seen_from_the_bar_that_closes_them() -> None:
    frame = frame_of(BTC, count=48)
    close = frame.bars[BTC].close

    seen = evaluate(check_expression('tf("4h", close)'), frame, BTC).series

    for t in range(48):
        last = (t + 1) // 4 * 4 - 1
        assert (math.isnan(seen[t]) and last < 0) or seen[t] == close[last]


def test_longer_bars_are_the_sum_of_theirs() -> None:
    frame = frame_of(BTC, count=50)
    bars = frame.bars[BTC]

    longer = resample(frame, "4h").frame

    for g, t in enumerate(range(0, 48, 4)):
        group = slice(t, t + 4)
        made = longer.bars[BTC]
        assert longer.time[g] == frame.time[t]
        assert made.open[g] == bars.open[t]
        assert made.high[g] == bars.high[group].max()
        assert made.low[g] == bars.low[group].min()
        assert made.close[g] == bars.close[t + 3]
        assert made.volume[g] == pytest.approx(bars.volume[group].sum())


def test_a_first_bar_whose_beginning_is_not_loaded_is_left_out() -> None:
    frame = frame_of(BTC, count=30, start=MIDNIGHT + 2 * 3600)

    longer = resample(frame, "4h")

    assert longer.frame.time[0] == MIDNIGHT + 4 * 3600
    assert longer.visible[:5].tolist() == [-1] * 5
    assert longer.visible[5] == 0


def test_hours_that_an_instrument_lacks_count_as_nothing() -> None:
    frame = frame_of(BTC, ETH, count=12)
    bars = frame.bars[ETH]
    for column in (bars.open, bars.high, bars.low, bars.close, bars.volume):
        column[:5] = np.nan
        column[7] = np.nan

    made = resample(frame, "4h").frame.bars[ETH]

    assert np.isnan([made.open[0], made.high[0], made.low[0], made.close[0], made.volume[0]]).all()
    assert made.open[1] == bars.open[5]
    assert made.close[1] == bars.close[6]
    assert made.volume[1] == pytest.approx(bars.volume[5] + bars.volume[6])


def test_a_gap_in_time_delays_what_it_hides_and_nothing_else() -> None:
    frame = frame_of(BTC, count=24)
    kept = np.asarray([t for t in range(24) if t != 7])
    bars = frame.bars[BTC]
    columns = (column[kept] for column in (bars.open, bars.high, bars.low, bars.close, bars.volume))
    gappy = Frame("1h", frame.time[kept], {BTC: type(bars)(*columns, source="simulated")})

    seen = evaluate(check_expression('tf("4h", close)'), gappy, BTC).series

    assert seen[6] == bars.close[3]
    assert seen[7] == bars.close[6]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1_000), st.integers(20, 299), st.integers(0, 23), st.sampled_from(["4h", "1d"]))
def test_no_longer_bar_is_seen_before_it_is_closed(seed: int, cut: int, offset: int, timeframe: str) -> None:
    frame = frame_of(BTC, count=300, seed=seed, start=MIDNIGHT + offset * 3600)
    expression = check_expression(f'tf("{timeframe}", ema(close, 3) / atr(2) + high + volume)')
    if expression.lookback >= cut:
        return

    whole, part = evaluate(expression, frame, BTC).series, evaluate(expression, prefix(frame, cut), BTC).series

    np.testing.assert_allclose(whole[:cut], part, rtol=1e-9, equal_nan=True)


def test_the_bars_to_load_are_counted_in_bars_of_the_script() -> None:
    daily = check_expression('tf("1d", sma(close, 20))')

    assert daily.lookback == 20 * 24 - 1
    assert daily.required_bars >= 20 * 24
    frame = frame_of(BTC, count=daily.required_bars + 5)
    assert evaluate(daily, frame, BTC).value is not None
    assert SECONDS["1d"] // SECONDS["1h"] == 24

"""A condition that is said never to hold holds on no bar, and one that always holds does on each bar with values.

Random conditions are built from prices, windows, bands and constants, joined at random, and evaluated on a random walk,
on prices that hardly move, and on a price that stands still.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.symbols import Instrument
from engine.frame import Bars, Bools, Frame
from engine.language.evaluation import Evaluator
from engine.language.graph import Node
from engine.language.operators import OPERATORS
from engine.language.ordering import name_of
from tests.engine.language.dsl_markets import BTC, ETH, frame_of, nodes_of, outputs_of

PRICES: Final = ("open", "high", "low", "close", "hl2", "hlc3", "close[-3]", "high[-2]", "low[-5]")
SERIES: Final = ("close", "high", "low", "hl2", "close[-2]")
WINDOWS: Final = ("highest", "lowest", "sma", "median", "midpoint", "lag", "wma", "ema", "rma", "vwma")
OTHERS: Final = (
    "bbands_upper(close, 7)", "bbands_middle(close, 7)", "bbands_lower(close, 7)", "donchian_upper(5)",
    "donchian_lower(5)", "donchian_lower(5)[-2]", "keltner_upper(9)", "keltner_lower(9)", "pivot_points_p()",
    "pivot_points_r1()", "pivot_points_s2()", "percentile(close, 9, 20)", "percentile(close, 9, 70)", "session_high()",
    "session_low()", "heikin_ashi_low()", "heikin_ashi_close()", "heikin_ashi_high()", "rsi(close, 5)", "volume",
    "zscore(close, 5)", "bb_percent(close, 6, 2)", "drawdown(close, 9)", "count_if(close > open, 4)",
    "bars_since_highest(high, 4)", "rank_pct(close, 9)", "correlation(close, volume, 6)", "atr(5)", "er(close, 5)",
)  # fmt: skip
VALUES: Final = st.one_of(
    st.sampled_from(PRICES),
    st.sampled_from(OTHERS),
    st.tuples(st.sampled_from(WINDOWS), st.sampled_from(SERIES), st.integers(2, 9)).map(
        "{0[0]}({0[1]}, {0[2]})".format
    ),
)
SCALED: Final = st.one_of(
    VALUES,
    st.tuples(VALUES, st.sampled_from((0.5, 0.99, 1, 1.01, 2))).map("{0[0]} * {0[1]}".format),
    st.tuples(VALUES, st.sampled_from(("atr(5)", "1", "0"))).map("({0[0]} + {0[1]})".format),
    st.tuples(VALUES, st.sampled_from(("atr(5)", "2", "volume"))).map("({0[0]} - {0[1]})".format),
    st.tuples(st.sampled_from(("min", "max")), VALUES, VALUES).map("{0[0]}({0[1]}, {0[2]})".format),
    st.sampled_from(("0", "1", "4", "30", "100", "-1", "2.5")),
)
COMPARED: Final = st.one_of(
    st.tuples(VALUES, st.sampled_from(("<", "<=", ">", ">=")), SCALED).map(" ".join),
    st.tuples(st.sampled_from(("crossover", "crossunder")), VALUES, VALUES).map("{0[0]}({0[1]}, {0[2]})".format),
)
CONDITIONS: Final = st.one_of(
    COMPARED, *(st.lists(COMPARED, min_size=2, max_size=4).map(w.join) for w in (" and ", " or "))
)


def _still(frame: Frame, spread: float) -> Frame:
    """The same bars with prices rounded to steps of `spread`."""
    bars: dict[Instrument, Bars] = {}
    for instrument, b in frame.bars.items():
        open_, high, low, close = (np.ceil(x / spread) * spread for x in (b.open, b.high, b.low, b.close))
        bars[instrument] = Bars(open_, high, low, close, b.volume, b.source)
    return Frame(frame.timeframe, frame.time, bars)


FRAMES: Final = tuple(
    made for frame in (frame_of(BTC, count=240, seed=5),) for made in (frame, _still(frame, 2.0), _still(frame, 900.0))
)


def _several(node: Node) -> bool:
    """Whether a call has several outputs, and so no one value."""
    name = name_of(node)
    return name in OPERATORS and len(OPERATORS[name].outputs) > 1


def _missing(node: Node, frame: Frame) -> Bools:
    """Where a value that a condition reads is missing."""
    evaluator = Evaluator(frame, (BTC, ETH))
    parts = [node]
    for part in parts:
        parts.extend(part.args)
    known = [p for p in parts if p.kind.base == "number" and p.kind.series and not _several(p)]
    absent = np.zeros(len(frame.time), dtype=np.bool_)
    for part in known:
        absent |= np.isnan(evaluator.series(part, BTC))
    return absent


@settings(max_examples=120, deadline=None)
@given(CONDITIONS)
def test_what_is_said_of_a_condition_is_true_of_random_bars(condition: str) -> None:
    (node,) = nodes_of(condition, (BTC, ETH))
    if node.truth is None:
        return

    for frame in FRAMES:
        (held,) = outputs_of(condition, frame)
        if node.truth:
            assert np.all(np.logical_or(held, _missing(node, frame))), condition
        else:
            assert not np.any(held), condition


@pytest.mark.parametrize(
    "condition", ["crossover(high, close)", "close >= highest(close, 5)", "close > lowest(low, 5)"]
)
def test_a_condition_that_can_hold_is_left_alone(condition: str) -> None:
    (node,) = nodes_of(condition, (BTC, ETH))

    assert node.truth is None

"""Our own operators compared with plain Python that goes bar by bar."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

import numpy as np
import pytest

from engine.frame import Frame
from engine.language import check_expression, evaluate
from tests.engine.language.dsl_markets import BTC, frame_of, outputs_of

NAN: Final = math.nan
Numbers = Sequence[float]
Reference = Callable[["Columns", int], float | bool]


class Columns:
    """The candles as plain lists."""

    def __init__(self, frame: Frame) -> None:
        bars = frame.bars[BTC]
        self.open, self.high, self.low, self.close, self.volume = (
            column.tolist() for column in (bars.open, bars.high, bars.low, bars.close, bars.volume)
        )
        self.time = [datetime.fromtimestamp(t, UTC) for t in frame.time.tolist()]
        self.up = [c > o for c, o in zip(self.close, self.open, strict=True)]


def _window(values: Numbers, t: int, period: int) -> Numbers | None:
    return values[t - period + 1 : t + 1] if t >= period - 1 else None


def _rolling(function: Callable[[Numbers], float], period: int) -> Reference:
    def at(c: Columns, t: int) -> float:
        window = _window(c.close, t, period)
        return NAN if window is None else function(window)

    return at


def _zscore(w: Numbers) -> float:
    spread = statistics.pstdev(w)
    return (w[-1] - statistics.fmean(w)) / spread if max(w) > min(w) else NAN


def _skew(w: Numbers) -> float:
    mean, spread = statistics.fmean(w), statistics.pstdev(w)
    return statistics.fmean([((x - mean) / spread) ** 3 for x in w])


def _kurtosis(w: Numbers) -> float:
    mean, spread = statistics.fmean(w), statistics.pstdev(w)
    return statistics.fmean([((x - mean) / spread) ** 4 for x in w]) - 3


def _r_squared(w: Numbers) -> float:
    return statistics.correlation(w, range(len(w))) ** 2


def _crossover(c: Columns, t: int) -> bool:
    return t > 0 and c.close[t - 1] <= c.open[t - 1] and c.close[t] > c.open[t]


def _rising(c: Columns, t: int) -> bool:
    return t >= 2 and c.close[t] > c.close[t - 1] > c.close[t - 2]


def _since(c: Columns, t: int) -> int | None:
    return next((k for k in range(t, -1, -1) if c.up[k]), None)


def _bars_since(c: Columns, t: int) -> float:
    place = _since(c, t)
    return NAN if place is None else t - place


def _highest_since(c: Columns, t: int) -> float:
    place = _since(c, t)
    return NAN if place is None else max(c.high[place : t + 1])


def _value_when(c: Columns, t: int) -> float:
    places = [k for k in range(t + 1) if c.up[k]]
    return c.low[places[-2]] if len(places) > 1 else NAN


def _log_returns(w: Numbers) -> Numbers:
    return [math.log(b / a) for a, b in pairwise(w)]


def _session(c: Columns, t: int) -> range:
    start = t
    while start and c.time[start - 1].date() == c.time[t].date():
        start -= 1
    return range(start, t + 1)


def _session_vwap(c: Columns, t: int) -> float:
    bars = _session(c, t)
    volume = sum(c.volume[k] for k in bars)
    return sum((c.high[k] + c.low[k] + c.close[k]) / 3 * c.volume[k] for k in bars) / volume if volume else NAN


def _swing_high(c: Columns, t: int) -> float:
    for k in range(t - 2, 2, -1):
        if c.high[k] > max(c.high[k - 3 : k]) and c.high[k] > max(c.high[k + 1 : k + 3]):
            return c.high[k]
    return NAN


def _choppiness(c: Columns, t: int) -> float:
    if t < 14:
        return NAN
    bars = range(t - 13, t + 1)
    ranges = sum(max(c.high[k], c.close[k - 1]) - min(c.low[k], c.close[k - 1]) for k in bars)
    return 100 * math.log10(ranges / (max(c.high[k] for k in bars) - min(c.low[k] for k in bars))) / math.log10(14)


def _mid(c: Columns, t: int, period: int) -> float:
    return (max(c.high[t - period + 1 : t + 1]) + min(c.low[t - period + 1 : t + 1])) / 2


def _span_a(c: Columns, t: int) -> float:
    return NAN if t < 26 - 1 + 25 else (_mid(c, t - 25, 9) + _mid(c, t - 25, 26)) / 2


def _rolling_vwap(c: Columns, t: int) -> float:
    if t < 9:
        return NAN
    bars = range(t - 9, t + 1)
    return sum((c.high[k] + c.low[k] + c.close[k]) / 3 * c.volume[k] for k in bars) / sum(c.volume[k] for k in bars)


def _ulcer(c: Columns, t: int) -> float:
    if t < 18:
        return NAN
    depths = [100 * (c.close[k] / max(c.close[k - 9 : k + 1]) - 1) for k in range(t - 9, t + 1)]
    return math.sqrt(statistics.fmean([d * d for d in depths]))


def _beta(c: Columns, t: int) -> float:
    if t < 20:
        return NAN
    a = [c.high[k] / c.high[k - 1] - 1 for k in range(t - 19, t + 1)]
    b = [c.close[k] / c.close[k - 1] - 1 for k in range(t - 19, t + 1)]
    return statistics.linear_regression(b, a).slope


def _hedge(c: Columns, t: int) -> float:
    return NAN if t < 19 else statistics.linear_regression(c.close[t - 19 : t + 1], c.high[t - 19 : t + 1]).slope


REFERENCES: Final[dict[str, Reference]] = {
    "zscore(close, 20)": _rolling(_zscore, 20),
    "skew(close, 20)": _rolling(_skew, 20),
    "kurtosis(close, 20)": _rolling(_kurtosis, 20),
    "median(close, 15)": _rolling(statistics.median, 15),
    "r_squared(close, 14)": _rolling(_r_squared, 14),
    "highest(close, 7)": _rolling(max, 7),
    "lowest(close, 7)": _rolling(min, 7),
    "sum(close, 7)": _rolling(math.fsum, 7),
    "drawdown(close, 10)": _rolling(lambda w: w[-1] / max(w) - 1, 10),
    "scale(close, 10)": _rolling(lambda w: (w[-1] - min(w)) / (max(w) - min(w)), 10),
    "historical_volatility(close, 10)": _rolling(lambda w: statistics.stdev(_log_returns(w)), 11),
    "change(close, 3)": _rolling(lambda w: w[-1] - w[0], 4),
    "pct_change(close, 3)": _rolling(lambda w: w[-1] / w[0] - 1, 4),
    "log_return(close, 3)": _rolling(lambda w: math.log(w[-1] / w[0]), 4),
    "close[-4]": _rolling(lambda w: w[0], 4),
    "returns": _rolling(lambda w: w[1] / w[0] - 1, 2),
    "hl2": lambda c, t: (c.high[t] + c.low[t]) / 2,
    "ohlc4": lambda c, t: (c.open[t] + c.high[t] + c.low[t] + c.close[t]) / 4,
    "crossover(close, open)": _crossover,
    "rising(close, 2)": _rising,
    "bars_since(close > open)": _bars_since,
    "highest_since(close > open, high)": _highest_since,
    "value_when(close > open, low, 1)": _value_when,
    "count_if(close > open, 5)": lambda c, t: float(sum(c.up[t - 4 : t + 1])) if t >= 4 else NAN,
    "any_in(close > open, 3)": lambda c, t: any(c.up[max(t - 2, 0) : t + 1]),
    "all_in(close > open, 3)": lambda c, t: t >= 2 and all(c.up[t - 2 : t + 1]),
    "becomes(close > open)": lambda c, t: c.up[t] and not (t > 0 and c.up[t - 1]),
    "cum(volume)": lambda c, t: math.fsum(c.volume[: t + 1]),
    "session_vwap()": _session_vwap,
    "session_high()": lambda c, t: max(c.high[k] for k in _session(c, t)),
    "pivot_high(3, 2)": _swing_high,
    "choppiness(14)": _choppiness,
    "ichimoku_span_a()": _span_a,
    "rolling_vwap(10)": _rolling_vwap,
    "ulcer_index(close, 10)": _ulcer,
    "beta(high, close, 20)": _beta,
    "hedge_ratio(high, close, 20)": _hedge,
    "hour": lambda c, t: float(c.time[t].hour),
    "weekday": lambda c, t: float(c.time[t].weekday()),
    "day": lambda c, t: float(c.time[t].day),
    "month": lambda c, t: float(c.time[t].month),
    "year": lambda c, t: float(c.time[t].year),
    'every("1d")': lambda c, t: c.time[t].hour == 0,
    'every("1d", offset_hours=5)': lambda c, t: c.time[t].hour == 5,
    'every("1w")': lambda c, t: c.time[t].hour == 0 and c.time[t].weekday() == 0,
    'every("1M")': lambda c, t: c.time[t].hour == 0 and c.time[t].day == 1,
    "abs(close - open) if close > open else -1": lambda c, t: abs(c.close[t] - c.open[t]) if c.up[t] else -1.0,
    "close ** 2 / (high - low) // 3 % 7": lambda c, t: c.close[t] ** 2 / (c.high[t] - c.low[t]) // 3 % 7,
    "not close > open or volume > 5 and hour < 12": lambda c, t: (
        not c.up[t] or (c.volume[t] > 5 and c.time[t].hour < 12)
    ),
    "low < close < high": lambda c, t: c.low[t] < c.close[t] < c.high[t],
    "max(open, close, hl2)": lambda c, t: max(c.open[t], c.close[t], (c.high[t] + c.low[t]) / 2),
}


@pytest.mark.parametrize("expression", REFERENCES)
def test_an_operator_equals_its_plain_python_reference(expression: str) -> None:
    frame = frame_of(BTC, count=900, seed=5)
    columns = Columns(frame)

    found = evaluate(check_expression(expression), frame, BTC).series
    wanted = [REFERENCES[expression](columns, t) for t in range(900)]

    assert found.dtype == (np.bool_ if isinstance(wanted[-1], bool) else np.float64)
    np.testing.assert_allclose(found.astype(float), np.asarray(wanted, float), rtol=1e-9, atol=1e-9, equal_nan=True)


def test_the_universe_is_ranked_bar_by_bar() -> None:
    from tests.engine.language.dsl_markets import ETH, PERP

    frame = frame_of(BTC, ETH, PERP, count=200)
    scores = {i: outputs_of("roc(close, 5)", _first(frame, i))[0] for i in frame.bars}

    ranks, means = outputs_of("cs_rank(roc(close, 5))", frame)[0], outputs_of("cs_mean(roc(close, 5))", frame)[0]

    for t in range(5, 200):
        values = [scores[i][t] for i in frame.bars]
        assert ranks[t] == 1 + sum(v > values[0] for v in values)
        assert means[t] == pytest.approx(statistics.fmean(values), abs=1e-9)


def _first(frame: Frame, instrument: object) -> Frame:
    """The frame with `instrument` first."""
    order = sorted(frame.bars, key=lambda each: each != instrument)
    return Frame(frame.timeframe, frame.time, {each: frame.bars[each] for each in order})

"""Laws for every operator of the registry: no look at the future, honest warm-ups, any price scale.

Only these reasons leave an operator out of a law. One that works bar by bar has no window; `test_elementwise_twins`
compares it with plain numbers. A value counted from the start of the history or of a session is no function of a
window and has no fixed first bar. An angle of price over bars (`linearreg_angle`) changes with the scale of the price.
An operator that keeps its value over a missing bar, such as `lag`, counts that bar. A rank in a universe counts
tickers.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from api.symbols import Instrument
from engine.frame import Bars, Floats, Frame
from engine.language.operators import OPERATORS, Operator, Parameter, primary
from tests.engine.language.dsl_markets import (
    BTC,
    ETH,
    MIDNIGHT,
    PERP,
    by_category,
    for_each,
    frame_of,
    hold,
    outputs_of,
    prefix,
    reach_of,
    scaled,
)

COUNT: Final = 320
ALL: Final = [operator.name for operator in primary()]

_PAIR: Final = {"a": "close", "b": 'close["BINANCE:ETH/USDT"]'}
_SERIES: Final = {"series": "close", "x": "returns", "hedge": "0.5", "fallback": "open", "low": "-0.01", "high": "0.01"}
_CONDITION: Final = "close > open"


def _argument(parameter: Parameter, operator: Operator) -> str:
    match parameter.kind:
        case "series" | "value":
            if operator.category == "pair":
                return {**_PAIR, "hedge": "0.5"}[parameter.name]
            return {**_SERIES, "a": "close", "b": "sma(close, 5)", "y": "hour"}[parameter.name]
        case "condition":
            return {"a": "close > open", "b": "hour > 12"}.get(parameter.name, _CONDITION)
        case "any":
            return {"b": "open"}.get(parameter.name, "close")
        case _:
            raise ValueError(parameter.kind)


def call(operator: Operator, periods: dict[str, int] | None = None) -> str:
    """A call of an operator with the given periods and default constants."""
    written: list[str] = []
    for parameter in operator.parameters:
        if parameter.constant:
            if periods and parameter.name in periods:
                written.append(f"{parameter.name}={periods[parameter.name]}")
            elif parameter.default is None:
                written.append(f"{parameter.name}=7")
        else:
            written.append(_argument(parameter, operator))
    return f"{operator.name}({', '.join(written)})"


def _has_fixed_warmup(operator: Operator) -> bool:
    """Whether its first value is independent of the data."""
    return operator.category not in {"session", "universe"} and operator.memory != "start" and not operator.elementwise


CATEGORIES: Final = by_category(ALL)


@pytest.mark.parametrize("category", CATEGORIES)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, COUNT - 1), longer=st.integers(0, 2**32 - 1))
def test_a_value_never_depends_on_later_bars(category: str, seed: int, cut: int, longer: int) -> None:
    """With small periods; `longer` draws by how much each is longer than the shortest."""
    frame = frame_of(BTC, ETH, PERP, count=COUNT, seed=seed)
    before = prefix(frame, cut)
    rng = np.random.default_rng(longer)

    def law(name: str) -> None:
        operator = OPERATORS[name]
        periods = {p.name: int(p.low) + int(rng.integers(0, 13)) for p in operator.constants if p.kind == "period"}
        source = call(operator, periods)

        for all_bars, first_bars in zip(outputs_of(source, frame), outputs_of(source, before), strict=True):
            np.testing.assert_allclose(all_bars[:cut], first_bars, rtol=1e-9, atol=1e-12, equal_nan=True)

    hold(CATEGORIES[category], law)


@for_each([name for name in ALL if _has_fixed_warmup(OPERATORS[name])])
def test_the_first_value_comes_after_the_warm_up_that_is_declared(name: str) -> None:
    operator = OPERATORS[name]
    frame = frame_of(BTC, ETH, count=COUNT)
    short = {p.name: 9 for p in operator.constants if isinstance(p.default, int) and p.default > 60}

    outputs = outputs_of(call(operator, short), frame)
    constants = [short.get(p.name, p.default if p.default is not None else 7) for p in operator.constants]
    declared = operator.warmup_bars(constants)

    numbers = [o for o, kind in zip(outputs, operator.outputs, strict=True) if kind.kind == "number"]
    for output in numbers:
        assert np.isnan(output).all() or np.flatnonzero(~np.isnan(output))[0] <= declared
    if numbers:
        assert max(np.flatnonzero(~np.isnan(output))[0] for output in numbers) == declared


@for_each([n for n in ALL if not OPERATORS[n].elementwise and n != "linearreg_angle"])
def test_prices_of_a_millionth_lose_nothing(name: str) -> None:
    operator = OPERATORS[name]
    frame = frame_of(BTC, ETH, count=COUNT)
    factor = 2.0**-27

    for plain, tiny in zip(
        outputs_of(call(operator), frame), outputs_of(call(operator), scaled(frame, factor)), strict=True
    ):
        assert any(
            np.allclose(tiny.astype(float), plain.astype(float) * factor**power, rtol=1e-7, atol=0, equal_nan=True)
            for power in (0, 1, 2, -1)
        )


@for_each(ALL)
def test_values_stay_within_the_declared_bounds(name: str) -> None:
    operator = OPERATORS[name]
    for output, declared in zip(
        outputs_of(call(operator), frame_of(BTC, ETH, count=600)), operator.outputs, strict=True
    ):
        known = output[~np.isnan(output)] if output.dtype == np.float64 else output
        assert (output.dtype == np.bool_) == (declared.kind == "condition")
        assert declared.low is None or (known >= declared.low - 1e-9).all()
        assert declared.high is None or (known <= declared.high + 1e-9).all()


@for_each(ALL)
def test_a_bar_that_is_missing_spoils_no_later_value(name: str) -> None:
    operator = OPERATORS[name]
    frame = frame_of(BTC, ETH, count=COUNT)
    for bars in frame.bars.values():
        for column in (bars.open, bars.high, bars.low, bars.close, bars.volume):
            column[150:153] = np.nan

    for output, without in zip(
        outputs_of(call(operator), frame), outputs_of(call(operator), frame_of(BTC, ETH, count=COUNT)), strict=True
    ):
        if output.dtype == np.float64:
            assert np.isnan(output[-60:]).sum() <= np.isnan(without[-60:]).sum() + 3


@for_each(ALL)
def test_constants_may_take_the_ends_of_their_ranges(name: str) -> None:
    operator = OPERATORS[name]
    frame = frame_of(BTC, ETH, count=120)
    for parameter in operator.constants:
        for end in (*parameter.choices, parameter.low, parameter.high)[: 2 + len(parameter.choices)]:
            if parameter.kind == "choice" and end not in parameter.choices:
                continue
            written = f'"{end}"' if isinstance(end, str) else f"{end:g}" if end < 1e5 else f"{end:.0f}"
            given = call(operator)[:-1].split(f", {parameter.name}=")[0].removesuffix(f"{parameter.name}=7")
            separator = "" if given.endswith(("(", ", ")) else ", "

            for output in outputs_of(f"{given}{separator}{parameter.name}={written})", frame):
                assert len(output) == 120


def _ticks(count: int, seed: int = 3) -> Frame:
    """Prices of whole cents with many ties, bars without a range, and bars without volume."""
    bars: dict[Instrument, Bars] = {}
    for number, instrument in enumerate((BTC, ETH, PERP)):
        rng = np.random.default_rng(seed + number)
        close = 1_000 + np.cumsum(rng.integers(-4, 5, count) * (rng.random(count) < 0.5))
        opened = np.concatenate(([1_000], close[:-1])) + rng.integers(-1, 2, count)
        high, low = (
            np.maximum(opened, close) + rng.integers(0, 3, count),
            np.minimum(opened, close) - rng.integers(0, 3, count),
        )
        volume = rng.integers(0, 5, count).astype(np.float64)
        bars[instrument] = Bars(opened / 100, high / 100, low / 100, close / 100, volume, "imported")
    return Frame("1h", MIDNIGHT + np.arange(count, dtype=np.int64) * 3600, bars)


def _masked(frame: Frame, kept: NDArray[np.bool_], *, out: bool) -> Frame:
    """The frame with some bars missing, or with those bars removed."""

    def part(column: Floats) -> Floats:
        return column[kept] if out else np.where(kept, column, np.nan)

    bars = {
        i: Bars(part(b.open), part(b.high), part(b.low), part(b.close), part(b.volume), b.source)
        for i, b in frame.bars.items()
    }
    return Frame(frame.timeframe, frame.time[kept] if out else frame.time, bars)


@for_each([n for n in ALL if OPERATORS[n].category != "session" and OPERATORS[n].memory != "start"])
def test_a_value_is_a_function_of_the_bars_that_are_declared(name: str) -> None:
    """Bars before warm-up and settling change only rounding, or less than a millionth where the past fades."""
    operator = OPERATORS[name]
    short = {p.name: 9 for p in operator.constants if isinstance(p.default, int) and p.default > 20}
    checked = reach_of(call(operator, short))
    frame = _ticks(checked + 300)
    tight = operator.memory == "window"

    whole = outputs_of(call(operator, short), frame)
    for begin in (24, 168):
        later = _masked(frame, np.arange(len(frame)) >= begin, out=True)
        for all_bars, last_bars in zip(whole, outputs_of(call(operator, short), later), strict=True):
            np.testing.assert_allclose(
                last_bars[checked:].astype(float), all_bars[begin + checked :].astype(float),
                rtol=1e-9 if tight else 1e-6, atol=1e-10 if tight else 1e-9,
            )  # fmt: skip


@for_each([n for n in ALL if OPERATORS[n].missing == "skip" and not OPERATORS[n].elementwise])
def test_missing_bars_count_as_if_they_had_never_been(name: str) -> None:
    kept = np.ones(500, dtype=np.bool_)
    kept[[40, 41, 200, 201, 202, 333, 470]] = False
    frame = _ticks(500)

    holes, closed = (outputs_of(call(OPERATORS[name]), _masked(frame, kept, out=out)) for out in (False, True))

    for with_holes, without in zip(holes, closed, strict=True):
        np.testing.assert_array_equal(with_holes[kept], without)
        if with_holes.dtype == np.float64:
            assert np.isnan(with_holes[~kept]).all()


STILL: Final = (0.5, 0.1, 1 / 3, 100_000.3, 3.1e-8)
ADDED_UP: Final = frozenset({"sum", "cum", "cs_sum"})
HIGHEST_BY_RULE: Final = frozenset({"rank_pct", "aroon", "supertrend"})
"""Among equal values the newest is the highest and the lowest; a direction is one of two."""


@for_each([n for n in ALL if not OPERATORS[n].elementwise])
def test_a_price_that_does_not_move_is_no_extreme_and_its_level_decides_nothing(name: str) -> None:
    operator = OPERATORS[name]
    found: list[list[float]] = []
    for price in STILL:
        flat = np.full(400, price)
        bars = {i: Bars(flat, flat, flat, flat, np.full(400, 100.0), "imported") for i in (BTC, ETH, PERP)}
        frame = Frame("1h", MIDNIGHT + np.arange(400, dtype=np.int64) * 3600, bars)
        found.append([float(output[-1]) for output in outputs_of(call(operator), frame)])

    for values, declared in zip(zip(*found, strict=True), operator.outputs, strict=True):
        same = all(np.array_equal(value, values[0], equal_nan=True) for value in values)
        assert same or values == STILL or name in ADDED_UP
        if declared.kind == "number" and None not in (declared.low, declared.high) and name not in HIGHEST_BY_RULE:
            assert values[0] not in (declared.low, declared.high)


def test_only_the_stated_reasons_leave_an_operator_out() -> None:
    windowed = [OPERATORS[name] for name in ALL if not OPERATORS[name].elementwise]
    left_out = {
        "warm-up": {o.name for o in windowed if not _has_fixed_warmup(o)},
        "window": {o.name for o in windowed if o.category == "session" or o.memory == "start"},
        "gaps": {o.name for o in windowed if o.missing != "skip"},
    }
    sessions = {"session_vwap", "session_high", "session_low", "pivot_points"}
    totals = {"sar", "wad", "obv", "ad", "adosc", "nvi", "pvi", "pvt", "vwap"}
    from_the_start = {"highest_since", "lowest_since", "bars_since", "value_when", "cum", "ffill", "pivot"}
    clocks = {"every", "every_bars"}
    universe = {"cs_rank", "cs_rank_low", "cs_count", "cs_sum", "cs_mean", "cs_zscore"}
    counts_the_bar = {
        *("crossover", "crossunder", "cross", "rising", "falling", "becomes", "count_if", "any_in", "all_in"),
        *("lag", "change", "pct_change", "log_return"),
    }

    assert left_out["window"] == sessions | totals | from_the_start | clocks
    assert left_out["warm-up"] == left_out["window"] | universe
    assert left_out["gaps"] == sessions | (from_the_start - {"pivot"}) | clocks | universe | counts_the_bar


def test_there_are_enough_operators_and_each_is_described() -> None:
    assert len(primary()) >= 190
    for operator in OPERATORS.values():
        assert operator.description.endswith(".") or operator.category == "candle pattern"
        assert operator.name.isidentifier()
        assert operator.name.islower()

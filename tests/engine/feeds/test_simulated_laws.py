"""Laws of the simulation: the same data for every window and timeframe, and only possible bars."""

from __future__ import annotations

import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.symbols import Instrument
from api.times import SECONDS, AcceleratedClock, Timeframe, is_multiple
from engine.feeds.feed import Candles
from engine.feeds.simulated import SimulatedFeed
from engine.frame import Floats

NOW = 1_772_368_245  # 2026-03-01T12:30:45Z
CLOCK = AcceleratedClock(NOW)
FEED = SimulatedFeed(CLOCK, seed=7)
BTC = Instrument("binance", "BTC", "USDT")
LISTED = [
    BTC,
    *(FEED.listings(e)[i].instrument for e in ("upbit", "gatefutures", "lighter", "polymarket") for i in (0, -1)),
]
TIMEFRAMES = list(SECONDS)

instruments = st.sampled_from(LISTED)
timeframes = st.sampled_from(TIMEFRAMES)


def _matrix(candles: Candles) -> Floats:
    bars = candles.bars
    return np.array([candles.time, bars.open, bars.high, bars.low, bars.close, bars.volume], dtype=np.float64)


@settings(max_examples=60, deadline=None)
@given(
    instrument=instruments,
    timeframe=timeframes,
    back=st.integers(0, 20_000),
    count=st.integers(1, 600),
    seed=st.integers(0, 3),
)
def test_a_bar_does_not_depend_on_the_window_nor_on_what_was_asked_before(
    instrument: Instrument, timeframe: Timeframe, back: int, count: int, seed: int
) -> None:
    history = _matrix(SimulatedFeed(CLOCK, seed).candles(instrument, timeframe, limit=back + count))
    wanted = history[:, : max(1, history.shape[1] - back)][:, -count:]
    start, end = int(wanted[0, 0]), int(wanted[0, -1]) + 1

    fresh = SimulatedFeed(AcceleratedClock(NOW + 40 * 86_400), seed, budget=0)
    assert np.array_equal(_matrix(fresh.candles(instrument, timeframe, start=start, end=end)), wanted)


@settings(max_examples=60, deadline=None)
@given(
    instrument=instruments,
    pair=st.sampled_from([(a, b) for a in TIMEFRAMES for b in TIMEFRAMES if a != b and is_multiple(b, a)]),
    back=st.integers(1, 200_000),
)
def test_shorter_bars_add_up_to_longer_ones(
    instrument: Instrument, pair: tuple[Timeframe, Timeframe], back: int
) -> None:
    short, long = pair
    first = int(FEED.candles(instrument, long, limit=back).time[0])
    longer = FEED.candles(instrument, long, start=first, limit=None, end=first + 3 * SECONDS[long])
    shorter = FEED.candles(instrument, short, start=first, end=int(longer.time[-1]) + SECONDS[long])
    rows = [getattr(shorter.bars, name).reshape(len(longer), -1) for name in ("open", "high", "low", "close", "volume")]

    assert np.array_equal(rows[0][:, 0], longer.bars.open)
    assert np.array_equal(rows[1].max(axis=1), longer.bars.high)
    assert np.array_equal(rows[2].min(axis=1), longer.bars.low)
    assert np.array_equal(rows[3][:, -1], longer.bars.close)
    np.testing.assert_allclose(rows[4].sum(axis=1), longer.bars.volume, rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(instrument=instruments, timeframe=timeframes, count=st.integers(1, 3_000), seed=st.integers(0, 2**40))
def test_every_bar_is_a_possible_one(instrument: Instrument, timeframe: Timeframe, count: int, seed: int) -> None:
    candles = SimulatedFeed(CLOCK, seed).candles(instrument, timeframe, limit=count)
    bars = candles.bars

    assert np.isfinite(_matrix(candles)).all()
    assert (bars.low > 0).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.volume >= 0).all()
    assert (np.diff(candles.time) == SECONDS[timeframe]).all()
    assert candles.time[-1] + SECONDS[timeframe] <= NOW
    if instrument.exchange == "polymarket":
        assert (bars.high < 1).all()


@pytest.mark.parametrize("instrument", LISTED[:6], ids=lambda i: i.ticker)
def test_prices_are_whole_ticks_and_volumes_whole_lots(instrument: Instrument) -> None:
    listing = FEED.listing(instrument)
    bars = FEED.candles(instrument, "1h", limit=500).bars
    for values, step in (
        (bars.close, listing.tick_size),
        (bars.high, listing.tick_size),
        (bars.volume, listing.lot_size),
    ):
        steps = values / float(step)
        np.testing.assert_allclose(steps, np.rint(steps), rtol=1e-9)


def test_a_bar_appears_when_it_is_closed() -> None:
    clock = AcceleratedClock(1_767_225_600 - 1)
    feed = SimulatedFeed(clock, seed=1)
    before = feed.candles(BTC, "1h", limit=1)
    clock.advance(1)
    after = feed.candles(BTC, "1h", limit=1)

    assert (int(before.time[0]), int(after.time[0])) == (1_767_225_600 - 7_200, 1_767_225_600 - 3_600)


def test_another_process_makes_the_same_candles() -> None:
    script = (
        "from hashlib import blake2b; from api.times import AcceleratedClock\n"
        "from engine.feeds.simulated import SimulatedFeed; from api.symbols import Instrument\n"
        f"feed = SimulatedFeed(AcceleratedClock({NOW}), 7)\n"
        "c = feed.candles(Instrument('binance', 'BTC', 'USDT'), '5m', limit=900)\n"
        "print(blake2b(c.bars.close.tobytes() + c.bars.volume.tobytes()).hexdigest())\n"
    )
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", script], cwd=root, check=True, capture_output=True, text=True)
    bars = FEED.candles(BTC, "5m", limit=900).bars

    assert run.stdout.strip() == blake2b(bars.close.tobytes() + bars.volume.tobytes()).hexdigest()


def test_arrays_cannot_be_written_to() -> None:
    candles = FEED.candles(BTC, "1h", limit=5)

    with pytest.raises(ValueError, match="read-only"):
        candles.bars.close[0] = 1.0

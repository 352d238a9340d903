"""The engine's feed: imported before simulated data, longer bars built from shorter ones, frames of many symbols."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import NotFound
from api.symbols import Instrument
from api.times import SECONDS, AcceleratedClock, Timeframe
from engine.feeds.feed import Feed
from engine.feeds.importing import remove_import
from engine.feeds.market import load_frame, open_feed, recent_frame
from engine.feeds.stored import resample
from engine.store.database import Store, default_url
from tests.candle_files import import_file

NOW = 1_772_368_245  # 2026-03-01T12:30:45Z
START = 1_704_067_200  # 2024-01-01
BTC = Instrument("binance", "BTC", "USDT")
ETH = Instrument("binance", "ETH", "USDT")
OWN = Instrument("binance", "MYCOIN", "USDT")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(default_url(tmp_path / "home"))
    yield opened
    opened.close()


@pytest.fixture
def feed(store: Store) -> Feed:
    return open_feed(store, AcceleratedClock(NOW), 7)


def _walk(count: int, seconds: int, first: int = START, skip: tuple[int, ...] = ()) -> str:
    rng = np.random.default_rng(count)
    lines = ["time,open,high,low,close,volume"]
    for i in range(count):
        low, first_price, last_price, high = sorted(rng.uniform(10, 20, 4).round(3).tolist())
        if i not in skip:
            lines.append(f"{first + i * seconds},{first_price},{high},{low},{last_price},{i + 1}")
    return "\n".join(lines)


def _import(
    store: Store,
    folder: Path,
    instrument: Instrument,
    timeframe: Timeframe,
    count: int,
    *,
    skip: tuple[int, ...] = (),
    first: int = START,
) -> None:
    path = folder / "c.csv"
    path.write_text(_walk(count, SECONDS[timeframe], first, skip))
    import_file(store, path, instrument, timeframe, allow_gaps=bool(skip))


def test_without_imports_all_is_simulated(feed: Feed) -> None:
    assert feed.candles(BTC, "1h", limit=3).bars.source == "simulated"
    assert {one.source for one in feed.listings("binance")} == {"simulated"}


def test_an_import_is_served_at_once_and_only_for_its_symbol(store: Store, feed: Feed, tmp_path: Path) -> None:
    feed.candles(BTC, "1h", limit=3)
    _import(store, tmp_path, BTC, "1h", 50)

    assert feed.candles(BTC, "1h").bars.source == "imported"
    assert len(feed.candles(BTC, "1h")) == 50
    assert feed.listing(BTC).source == "imported"
    assert feed.listing(BTC).sector == "L1"
    assert feed.candles(ETH, "1h", limit=3).bars.source == "simulated"

    remove_import(store, BTC)
    assert feed.candles(BTC, "1h", limit=3).bars.source == "simulated"


def test_an_imported_symbol_need_not_be_one_that_is_simulated(store: Store, feed: Feed, tmp_path: Path) -> None:
    _import(store, tmp_path, OWN, "1h", 10)
    listing = feed.listing(OWN)

    assert feed.listings("binance")[-1] == listing
    assert listing.rank == len(feed.listings("binance"))
    assert (listing.tick_size, listing.lot_size) == ("0.00001", "0.01")


def test_longer_bars_are_made_from_imported_ones(store: Store, feed: Feed, tmp_path: Path) -> None:
    _import(store, tmp_path, OWN, "1h", 60)
    hours, longer = feed.candles(OWN, "1h").bars, feed.candles(OWN, "4h")

    assert longer.time.tolist() == [START + i * 14_400 for i in range(15)]
    assert longer.bars.open.tolist() == hours.open[::4].tolist()
    assert longer.bars.high.tolist() == hours.high.reshape(-1, 4).max(axis=1).tolist()
    assert longer.bars.low.tolist() == hours.low.reshape(-1, 4).min(axis=1).tolist()
    assert longer.bars.close.tolist() == hours.close[3::4].tolist()
    assert longer.bars.volume.tolist() == hours.volume.reshape(-1, 4).sum(axis=1).tolist()
    assert len(feed.candles(OWN, "1d")) == 2
    assert feed.candles(OWN, "1d", limit=1).time.tolist() == [START + 86_400]


def test_shorter_bars_than_imported_are_refused_not_invented(store: Store, feed: Feed, tmp_path: Path) -> None:
    _import(store, tmp_path, BTC, "1h", 10)

    with pytest.raises(NotFound, match="imported as 1h; 5m bars cannot be made") as refusal:
        feed.candles(BTC, "5m")
    assert refusal.value.code == "DATA_UNAVAILABLE"
    assert "Use 1h or longer" in refusal.value.suggestion


def test_a_range_outside_the_import_is_refused_with_the_range_there_is(
    store: Store, feed: Feed, tmp_path: Path
) -> None:
    _import(store, tmp_path, BTC, "1h", 10)

    with pytest.raises(NotFound) as refusal:
        feed.candles(BTC, "1h", start=START + 864_000)
    assert "2024-01-01T00:00:00Z and 2024-01-01T09:00:00Z" in refusal.value.suggestion


def test_imported_bars_after_now_are_not_shown(store: Store, tmp_path: Path) -> None:
    _import(store, tmp_path, BTC, "1h", 10)
    past = open_feed(store, AcceleratedClock(START + 4 * 3_600 - 1), 7)

    assert len(past.candles(BTC, "1h")) == 3
    assert past.candles(BTC, "1h", limit=1).time.tolist() == [START + 2 * 3_600]


def test_a_longer_bar_with_a_hole_is_made_of_what_is_there_and_marked(store: Store, feed: Feed, tmp_path: Path) -> None:
    _import(store, tmp_path, OWN, "1h", 40, skip=(33,))
    hours, longer = feed.candles(OWN, "1h"), feed.candles(OWN, "4h", limit=3)

    assert [int(t - START) // 14_400 for t in longer.time] == [7, 8, 9]
    assert longer.bars.partial is not None
    assert longer.bars.partial.tolist() == [False, True, False]
    kept = [i for i, t in enumerate(hours.time) if 32 <= (t - START) // 3_600 < 36]
    assert len(kept) == 3
    assert longer.bars.high[1] == hours.bars.high[kept].max()
    assert longer.bars.volume[1] == hours.bars.volume[kept].sum()
    assert longer.bars.close[1] == hours.bars.close[kept[-1]]
    assert feed.candles(OWN, "4h", limit=1).bars.partial is None


def test_a_longer_bar_that_the_series_only_begins_or_ends_in_is_left_out(
    store: Store, feed: Feed, tmp_path: Path
) -> None:
    _import(store, tmp_path, OWN, "1h", 10, first=START + 3_600)

    assert feed.candles(OWN, "4h").time.tolist() == [START + 14_400]
    assert feed.candles(OWN, "4h", limit=9).time.tolist() == [START + 14_400]


def test_one_missing_minute_costs_no_hour_and_no_day(store: Store, feed: Feed, tmp_path: Path) -> None:
    _import(store, tmp_path, OWN, "1m", 3 * 1_440, skip=tuple(range(7, 3 * 1_440 - 1, 20)))

    assert len(feed.candles(OWN, "1h")) == 72
    assert len(feed.candles(OWN, "1d")) == 3


def test_weeks_open_on_monday(store: Store, feed: Feed, tmp_path: Path) -> None:
    monday = 1_703_980_800 + 86_400  # 2024-01-01 was a Monday
    _import(store, tmp_path, OWN, "1d", 30, first=monday - 3 * 86_400)
    imported, simulated = feed.candles(OWN, "1w"), feed.candles(BTC, "1w", limit=20)

    assert imported.time.tolist() == [monday + i * 604_800 for i in range(3)]
    assert {datetime.fromtimestamp(t, UTC).strftime("%a %H:%M") for t in simulated.time.tolist()} == {"Mon 00:00"}


def test_bars_are_made_only_from_shorter_ones_that_divide_them(store: Store, feed: Feed, tmp_path: Path) -> None:
    _import(store, tmp_path, OWN, "6h", 40)

    assert len(feed.candles(OWN, "12h")) == 20
    with pytest.raises(NotFound, match="8h bars cannot be made"):
        feed.candles(OWN, "8h")


def test_an_unknown_symbol_names_imported_ones_too(store: Store, feed: Feed, tmp_path: Path) -> None:
    _import(store, tmp_path, OWN, "1h", 10)

    with pytest.raises(NotFound) as refusal:
        feed.listing(Instrument("binance", "MYCOINS", "USDT"))
    assert "MYCOIN/USDT" in refusal.value.suggestion


def test_a_frame_has_the_range_and_the_bars_before_it(feed: Feed) -> None:
    frame = load_frame(feed, [BTC, ETH], "1h", START, START + 36_000, 5)

    assert frame.time.tolist() == [START + i * 3_600 for i in range(-5, 10)]
    assert list(frame.bars) == [BTC, ETH]
    assert np.array_equal(
        frame.bars[ETH].close, feed.candles(ETH, "1h", start=START - 18_000, end=START + 36_000).bars.close
    )


def test_instruments_of_different_times_share_the_union_with_holes(store: Store, feed: Feed, tmp_path: Path) -> None:
    _import(store, tmp_path, OWN, "1h", 6, skip=(2,))
    _import(store, tmp_path, BTC, "1h", 6, first=START + 2 * 3_600)
    frame = load_frame(feed, [OWN, BTC], "1h", START, START + 100 * 3_600)

    assert [int(t - START) // 3_600 for t in frame.time] == list(range(8))
    assert np.isnan(frame.bars[OWN].open).tolist() == [False, False, True, False, False, False, True, True]
    assert np.isnan(frame.bars[BTC].volume).tolist() == [True, True] + [False] * 6
    assert frame.bars[OWN].source == "imported"


def test_warm_up_takes_what_there_is(store: Store, feed: Feed, tmp_path: Path) -> None:
    _import(store, tmp_path, OWN, "1h", 10)

    assert len(load_frame(feed, [OWN], "1h", START + 3 * 3_600, None, 200)) == 10
    assert len(load_frame(feed, [OWN], "1h", START, None, 200)) == 10
    assert len(recent_frame(feed, [OWN, BTC], "1h", 7)) == 14


def test_a_frame_without_a_bar_in_the_range_is_refused_even_with_warm_up(
    store: Store, feed: Feed, tmp_path: Path
) -> None:
    _import(store, tmp_path, OWN, "1h", 10)

    with pytest.raises(NotFound, match="MYCOIN"):
        load_frame(feed, [BTC, OWN], "1h", START + 864_000, START + 2 * 864_000, 100)


@settings(max_examples=100, deadline=None)
@given(kept=st.sets(st.integers(0, 300), min_size=1), into=st.sampled_from(["1m", "5m", "30m", "1h", "2h"]))
def test_resampling_equals_a_plain_loop(kept: set[int], into: Timeframe) -> None:
    factor = SECONDS[into] // 60
    time = np.array(sorted(kept), dtype=np.float64) * 60
    block = np.vstack([time, np.random.default_rng(len(kept)).random((5, len(time)))])
    expected: list[list[float]] = []
    for first in range(0, 301, factor):
        part = block[:, (time >= first * 60) & (time < (first + factor) * 60)]
        if part.shape[1] and first * 60 >= 600:
            opens, high, low, close, volume = part[1:]
            row = [first * 60.0, opens[0], high.max(), low.min(), close[-1], volume.sum(), float(part.shape[1])]
            expected.append(row)

    np.testing.assert_allclose(resample(block, 60, into, 600.0).T, np.array(expected).reshape(-1, 7), rtol=1e-12)

"""Histories of each exchange within its limits: pages, newest bars, windows, holes."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.errors import NotFound
from api.symbols import Instrument
from api.times import AcceleratedClock
from engine.feeds.market import MarketFeed, open_feed
from engine.store.database import Store, default_url
from engine.venues.exchange.session import Connector

from .fake_gate import MULTIPLIER, FakeGate
from .fake_hyperliquid import FakeHyperliquid
from .fake_lighter import FakeLighter
from .fake_polymarket import YES, FakePolymarket, chance
from .fake_upbit import FakeUpbit
from .fake_venue import FakeVenue, serving, truth

pytest.importorskip("ccxt")

NOW = time.time()
HOUR = 3_600
LAST = int(NOW) // HOUR * HOUR
MAKERS: dict[Instrument, tuple[Callable[[Callable[[], float]], FakeVenue], str, float]] = {
    Instrument("gate", "BTC", "USDT"): (FakeGate, "BTC_USDT", 1.0),
    Instrument("gatefutures", "BTC", "USDT"): (FakeGate, "BTC_USDT", float(MULTIPLIER)),
    Instrument("hyperliquid", "BTC", "USDC"): (FakeHyperliquid, "BTC", 1.0),
    Instrument("upbit", "BTC", "KRW"): (FakeUpbit, "KRW-BTC", 1.0),
    Instrument("lighter", "BTC", "USDC"): (FakeLighter, "BTC", 1.0),
}


@contextmanager
def asking(fake: FakeVenue, instrument: Instrument, folder: Path) -> Generator[MarketFeed]:
    """A feed that reads from a fake."""
    store = Store.open(default_url(folder))
    with serving(fake) as url:
        connector = Connector(store, {instrument.exchange: url})
        yield open_feed(store, AcceleratedClock(NOW), 7, "exchange", connector)
        connector.close()
    store.close()


@pytest.mark.parametrize("instrument", MAKERS, ids=lambda one: one.exchange)
def test_a_history_of_several_pages_is_the_exchanges_own(instrument: Instrument, tmp_path: Path) -> None:
    """2,500 hours, each value exact to the last digit; the second request asks the exchange nothing."""
    make, name, unit = MAKERS[instrument]
    fake = make(lambda: NOW)
    with asking(fake, instrument, tmp_path) as feed:
        found = feed.candles(instrument, "1h", start=LAST - 2_500 * HOUR, end=LAST - 2 * HOUR)
        asked = len(fake.requests)
        feed.candles(instrument, "1h", start=LAST - 2_500 * HOUR, end=LAST - 2 * HOUR)

    assert found.time.tolist() == list(range(LAST - 2_500 * HOUR, LAST - 2 * HOUR, HOUR))
    assert len(fake.requests) == asked
    for i in (0, 199, 200, 1_000, 2_497):
        bars, row = found.bars, truth(name, HOUR, int(found.time[i]))
        prices = [float(column[i]) for column in (bars.open, bars.high, bars.low, bars.close)]
        assert prices == [float(text) for text in row[:4]]
        if instrument.exchange != "gatefutures":
            assert float(bars.volume[i]) == float(row[4]) * unit


def test_hyperliquid_serves_its_newest_bars_only_and_says_so(tmp_path: Path) -> None:
    """5,000 bars of each length; an earlier range is refused with the reason."""
    instrument = Instrument("hyperliquid", "BTC", "USDC")
    with asking(FakeHyperliquid(lambda: NOW), instrument, tmp_path) as feed:
        found = feed.candles(instrument, "1h", start=LAST - 9_000 * HOUR)
        with pytest.raises(NotFound, match="serves only the newest 5,000 bars of 1h"):
            feed.candles(instrument, "1h", start=LAST - 9_000 * HOUR, end=LAST - 8_000 * HOUR)

    assert 4_998 <= len(found) <= 5_000


def test_minutes_without_trades_are_missing_at_upbit_and_stay_missing(tmp_path: Path) -> None:
    """Every third minute has no trade."""
    instrument = Instrument("upbit", "BTC", "KRW")
    fake = FakeUpbit(lambda: NOW)
    fake.holes = lambda _symbol, opened: opened // 60 % 3 == 0
    last = int(NOW) // 60 * 60
    with asking(fake, instrument, tmp_path) as feed:
        found = feed.candles(instrument, "1m", start=last - 600 * 60, end=last - 300 * 60)

    assert found.time.tolist() == [t for t in range(last - 600 * 60, last - 300 * 60, 60) if t // 60 % 3]


def test_polymarket_gives_prices_in_windows_of_fifteen_days(tmp_path: Path) -> None:
    """Forty days of hours take three requests; bars are built from the prices and have no volume."""
    instrument = Instrument("polymarket", YES, "USDC")
    fake = FakePolymarket(lambda: NOW)
    with asking(fake, instrument, tmp_path) as feed:
        found = feed.candles(instrument, "1h", start=LAST - 960 * HOUR, end=LAST - 2 * HOUR)
        listing = feed.listing(instrument)

    assert fake.count("/prices-history") == 3
    assert len(found) == 958
    assert [float(found.bars.close[i]) for i in (0, 500)] == [chance(int(found.time[i])) for i in (0, 500)]
    assert not found.bars.volume.any()
    assert (listing.title, listing.tick_size) == ("Will it rain? (Yes)", "0.01")

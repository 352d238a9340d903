"""Real candles from a fake Binance: true to the last digit, fetched once, closed only, holes kept."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from api.symbols import Instrument
from engine.clock import AcceleratedClock
from engine.feeds.market import MarketFeed, open_feed
from engine.store.database import Store, default_url
from engine.venues.exchange.session import Connector

from .fake_binance import FakeBinance
from .fake_venue import serving, truth

pytest.importorskip("ccxt")

NOW = 1_772_366_415.0
BTC = Instrument("binance", "BTC", "USDT")
HOUR = 3_600


@pytest.fixture
def fake() -> FakeBinance:
    """A Binance whose clock is the engine's."""
    return FakeBinance(lambda: NOW)


@pytest.fixture
def store(tmp_path: Path) -> Generator[Store]:
    """A database of its own."""
    opened = Store.open(default_url(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def feed(fake: FakeBinance, store: Store) -> Generator[MarketFeed]:
    """A feed that asks the fake."""
    with serving(fake) as url:
        connector = Connector(store, {"binance": url, "binancefuturesusd": url})
        yield open_feed(store, AcceleratedClock(NOW), 7, "exchange", connector)
        connector.close()


def test_two_years_of_hours_take_at_most_twenty_requests_and_a_second_look_takes_none(
    feed: MarketFeed, fake: FakeBinance
) -> None:
    """Every value is the venue's own, and the store answers the second time."""
    since = int(NOW) // HOUR * HOUR - 2 * 365 * 24 * HOUR
    first = feed.candles(BTC, "1h", start=since)
    asked = fake.count("klines")
    again = feed.candles(BTC, "1h", start=since)

    assert asked <= 20
    assert fake.count("klines") == asked
    assert len(first) == len(again) == 2 * 365 * 24
    for i in (0, 1, 999, 1_000, 12_345, len(first) - 1):
        bars = first.bars
        row = tuple(float(column[i]) for column in (bars.open, bars.high, bars.low, bars.close, bars.volume))
        assert row == tuple(float(text) for text in truth("BTCUSDT", HOUR, int(first.time[i])))
    assert int(first.time[-1]) + HOUR <= NOW
    assert first.bars.source == "exchange"

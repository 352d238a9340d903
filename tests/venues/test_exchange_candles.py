"""Real candles from a fake Binance: exact to the last digit, fetched once, closed only, holes kept."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.errors import InvalidInput, NotFound, RateLimited, Unavailable, UserMustAct
from api.market import ScanRequest
from api.symbols import Instrument
from api.times import AcceleratedClock
from engine.feeds.exchange_bulk import plan, run
from engine.feeds.exchange_fetch import Fetcher
from engine.feeds.market import MarketFeed, open_feed
from engine.market.listings import instrument_of
from engine.market.research import scan
from engine.store.database import Store, default_url
from engine.store.exchange_data import all_fetched, hold_back
from engine.venues.exchange.session import Connector
from server.cli.data import data as data_verb

from .fake_binance import FakeBinance, funding
from .fake_gate import FakeGate
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
    """A separate database."""
    opened = Store.open(default_url(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def feed(fake: FakeBinance, store: Store) -> Generator[MarketFeed]:
    """A feed that reads from the fake."""
    with serving(fake) as url:
        connector = Connector(store, {"binance": url, "binancefuturesusd": url})
        yield open_feed(store, AcceleratedClock(NOW), 7, "exchange", connector)
        connector.close()


def fetcher_of(feed: MarketFeed) -> Fetcher:
    """The component that queries the exchanges for this feed."""
    assert feed.exchanges is not None
    assert feed.exchanges.fetcher is not None
    return feed.exchanges.fetcher


def test_two_years_of_hours_take_at_most_twenty_requests_and_a_second_look_takes_none(
    feed: MarketFeed, fake: FakeBinance
) -> None:
    """Every value is the venue's own, and the store answers the second request."""
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


def test_only_closed_bars_count_and_holes_stay_holes(feed: MarketFeed, fake: FakeBinance, store: Store) -> None:
    """Three hours without trades are missing and counted, and are not requested again."""
    now = int(NOW) // HOUR * HOUR
    fake.holes = lambda _symbol, opened: now - 12 * HOUR <= opened < now - 9 * HOUR
    found = feed.candles(BTC, "1h", start=now - 24 * HOUR)
    asked = fake.count("klines")
    feed.candles(BTC, "1h", start=now - 24 * HOUR)
    (series,) = store.read_now(all_fetched)

    assert len(found) == 21
    assert int(found.time[-1]) == now - HOUR
    assert series.holes == 3
    assert fake.count("klines") == asked


def test_a_fetch_that_is_cut_off_goes_on_where_it_stopped(feed: MarketFeed, fake: FakeBinance) -> None:
    """Pages that arrived before the exchange became unavailable are not fetched again, and stay readable."""
    now = int(NOW) // HOUR * HOUR
    since = now - 5_000 * HOUR
    feed.candles(BTC, "1h", start=since, end=since + 1_000 * HOUR)
    fake.read_faults.extend(["500"] * 3)
    with pytest.raises(Unavailable, match="Binance"):
        feed.candles(BTC, "1h", start=since)
    fake.requests.clear()
    stored = feed.candles(BTC, "1h", start=since, end=since + 1_000 * HOUR)
    whole = feed.candles(BTC, "1h", start=since)

    assert (len(stored), len(whole)) == (1_000, 5_000)
    assert fake.count("klines") == 4


def test_a_pause_that_the_exchange_asks_for_is_kept_by_everybody(
    feed: MarketFeed, fake: FakeBinance, store: Store
) -> None:
    """Retry-After delays the next request of every process of this home."""
    feed.listings("binance")
    fake.read_faults.append("429:1")
    began = time.monotonic()
    assert len(feed.candles(BTC, "1h", limit=5)) == 5
    assert time.monotonic() - began >= 1.0
    store.write_now(lambda c: hold_back(c, "binance", time.time() + 60))
    fake.requests.clear()
    with pytest.raises(RateLimited, match="may be asked again in"):
        feed.candles(BTC, "5m", limit=5)
    assert fake.requests == []


def test_candles_that_cannot_be_are_refused_and_not_stored(feed: MarketFeed, fake: FakeBinance, store: Store) -> None:
    """Bars off the grid of the clock are an exchange's fault, and are not stored."""
    fake.off_grid = 7
    with pytest.raises(Unavailable, match="does not open at a multiple of 1h"):
        feed.candles(BTC, "1h", limit=5)
    assert store.read_now(all_fetched) == ()


def test_what_is_stored_stays_usable_when_the_exchange_is_gone(fake: FakeBinance, store: Store) -> None:
    """Candles, listings, and a clear error for candles that were never fetched."""
    clock = AcceleratedClock(NOW)
    with serving(fake) as url:
        connector = Connector(store, {"binance": url})
        open_feed(store, clock, 7, "exchange", connector).candles(BTC, "1h", limit=50)
        connector.close()
    connector = Connector(store, {"binance": url})
    alone = open_feed(store, clock, 7, "exchange", connector)
    assert len(alone.candles(BTC, "1h", limit=50)) == 50
    assert alone.listing(BTC).tick_size == "0.01"
    with pytest.raises(Unavailable, match="cannot be reached"):
        alone.candles(BTC, "15m", limit=50)
    offline = open_feed(store, clock, 7, "exchange")
    assert len(offline.candles(BTC, "1h", limit=50)) == 50
    with pytest.raises(NotFound, match="no 15m candles of BINANCE:BTC/USDT are stored"):
        offline.candles(BTC, "15m", limit=50)
    connector.close()


def test_the_archive_brings_long_histories_and_its_checksums_are_checked(
    feed: MarketFeed, fake: FakeBinance, store: Store
) -> None:
    """Months of fifteen-minute bars come in files, in milliseconds before 2025 and microseconds since."""
    fake.archive_until = int(datetime(2025, 2, 1, tzinfo=UTC).timestamp())
    since = int(datetime(2024, 12, 1, tzinfo=UTC).timestamp())
    span = (since, fake.archive_until)
    fetcher = fetcher_of(feed)
    (job,) = plan(fetcher, [BTC], "15m", span).jobs
    summary = run(fetcher, job, lambda _done, _of: None)
    block = feed.candles(BTC, "15m", start=span[0], end=span[1])

    assert summary.error is None
    assert (summary.bars, summary.holes) == (62 * 96, 0)
    assert (fake.count("/data/"), fake.count("klines/BTCUSDT"), fake.count("/api/v3/klines")) == (4, 4, 0)
    for i in (0, 31 * 96 - 1, 31 * 96, 62 * 96 - 1):
        assert float(block.bars.close[i]) == float(truth("BTCUSDT", 900, int(block.time[i]))[3])
    (series,) = store.read_now(all_fetched)
    assert series.origin == "Binance archive"

    fake.archive_broken = True
    eth = Instrument("binance", "ETH", "USDT")
    (job,) = plan(fetcher, [eth], "15m", span).jobs
    run(fetcher, job, lambda _done, _of: None)
    assert fake.count("/api/v3/klines") == 6
    assert len(feed.candles(eth, "15m", start=span[0], end=span[1])) == 62 * 96


@pytest.mark.parametrize(
    ("faults", "archive", "api"),
    [(["429:1"], 5, 0), (["503", "429:0"], 6, 0), (["503"] * 3, 3, 6)],
    ids=["a pause is waited for", "two faults are passed over", "an archive that fails is left alone"],
)
def test_an_archive_in_trouble_costs_no_bar(
    feed: MarketFeed, fake: FakeBinance, faults: list[str], archive: int, api: int
) -> None:
    """It may ask for a pause, as the API may; where it does not answer, the API serves the same bars."""
    fake.archive_until = int(datetime(2025, 2, 1, tzinfo=UTC).timestamp())
    span = (int(datetime(2024, 12, 1, tzinfo=UTC).timestamp()), fake.archive_until)
    fetcher = fetcher_of(feed)
    (job,) = plan(fetcher, [BTC], "15m", span).jobs
    fake.requests.clear()
    fake.read_faults.extend(faults)
    began = time.monotonic()
    summary = run(fetcher, job, lambda _done, _of: None)

    assert (summary.bars, summary.holes, summary.error) == (62 * 96, 0, None)
    assert (fake.count("/data/"), fake.count("/api/v3/klines")) == (archive, api)
    assert time.monotonic() - began >= ("429:1" in faults)


def test_funding_rates_are_fetched_once(feed: MarketFeed, fake: FakeBinance) -> None:
    """Every eight hours of a month, as the venue sent them."""
    perpetual = Instrument("binancefuturesusd", "BTC", "USDT")
    now = int(NOW) // 28_800 * 28_800
    exchanges = feed.exchanges
    assert exchanges is not None
    times, rates = exchanges.funding(perpetual, now - 30 * 86_400, now)
    asked = fake.count("fundingRate")
    exchanges.funding(perpetual, now - 30 * 86_400, now)

    assert times.tolist() == list(range(now - 30 * 86_400, now, 28_800))
    assert rates.tolist() == [float(funding(at)) for at in times.tolist()]
    assert fake.count("fundingRate") == asked == 1


def test_a_scan_over_fifty_symbols_asks_once_for_each_and_not_at_all_the_second_time(
    fake: FakeBinance, feed: MarketFeed
) -> None:
    """Once stored, the second scan is quick."""
    fake.coins = tuple(f"C{i}" for i in range(50))
    fake.listed_since = int(NOW) - 600 * HOUR  # longer than a scan looks back
    request = ScanRequest(universe=("top50",), exchange="binance", timeframe="1h", condition="close > sma(close, 20)")
    first = scan(feed, request)
    asked = len(fake.requests)
    began = time.perf_counter()
    again = scan(feed, request)
    took = time.perf_counter() - began

    assert first == again
    assert (first.scanned_count, first.source) == (50, "exchange")
    assert asked <= 50 + 2
    assert len(fake.requests) == asked
    assert took < 3.0


def test_without_ccxt_the_message_says_what_to_install(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else needs it."""
    monkeypatch.setitem(sys.modules, "ccxt.async_support", None)
    connector = Connector(store, {})
    alone = open_feed(store, AcceleratedClock(NOW), 7, "exchange", connector)
    with pytest.raises(UserMustAct, match="ccxt, which is not installed") as refused:
        alone.candles(BTC, "1h", limit=5)
    assert refused.value.suggestion == "Install heytraders-mcp[exchanges]"
    connector.close()


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        ("2999-01-01", None, "--since '2999-01-01' is not before now"),
        ("2026-02-01", "2026-01-01", "--since '2026-02-01' is not before --until '2026-01-01'"),
    ],
)
def test_a_fetch_of_no_time_at_all_is_refused(tmp_path: Path, since: str, until: str | None, said: str) -> None:
    given = ["fetch", "BINANCE:BTC/USDT", "--timeframe", "1h", "--since", since, *(["--until", until] if until else [])]
    done = CliRunner().invoke(data_verb, given, env={"HEYTRADERS_HOME": str(tmp_path)})

    assert said in str(done.exception)


def test_a_symbol_that_cannot_be_fetched_stops_no_other_and_a_short_history_is_explained(tmp_path: Path) -> None:
    """Gate serves 10,000 bars back from now, and refuses a request for older ones."""
    with serving(FakeBinance()) as binance, serving(FakeGate()) as gate:
        env = {"HEYTRADERS_HOME": str(tmp_path), "HEYTRADERS_VENUE_URLS": f"binance={binance},gate={gate}"}
        symbols = ["BINANCE:NOPE/USDT", "BINANCE:BTC/USDT", "GATE:BTC/USDT"]
        fetched = CliRunner().invoke(
            data_verb, ["fetch", *symbols, "--timeframe", "1d", "--since", "2026-06-01"], env=env
        )
        long = ["fetch", "GATE:BTC/USDT", "--timeframe", "1h", "--since", "2022-01-01"]
        cut = CliRunner().invoke(data_verb, long, env=env)

    assert fetched.exit_code == 1
    assert "BINANCE:NOPE/USDT: not fetched. DATA_UNAVAILABLE: binance lists no 'NOPE/USDT'" in fetched.output
    assert re.search(r"BINANCE:BTC/USDT 1d: [\d,]+ bars stored", fetched.output)
    assert re.search(r"GATE:BTC/USDT 1d: [\d,]+ bars stored", fetched.output)
    assert "newest" not in fetched.output
    assert cut.exit_code == 0, cut.output
    assert "Gate.io serves only the newest 9,990 bars of 1h: from" in cut.output


def test_a_list_of_markets_that_does_not_exist_is_not_taken_for_a_coin(feed: MarketFeed) -> None:
    with pytest.raises(InvalidInput, match='"top20" is not one of the lists'):
        instrument_of(feed, "top20", "binance")

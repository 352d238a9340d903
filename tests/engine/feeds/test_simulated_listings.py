"""Listings: the symbols of the API document, enough others, and prediction markets that resolve."""

from __future__ import annotations

import numpy as np
import pytest

from api.errors import NotFound
from api.exchanges import EXCHANGES
from api.symbols import Instrument
from api.times import AcceleratedClock
from engine.feeds.feed import InstrumentListing
from engine.feeds.simulated import SimulatedFeed

NOW = 1_772_368_245  # 2026-03-01T12:30:45Z
FEED = SimulatedFeed(AcceleratedClock(NOW), seed=7)
DAY = 86_400


def _tokens() -> list[InstrumentListing]:
    return list(FEED.listings("polymarket"))


@pytest.mark.parametrize(
    "ticker",
    [
        "BINANCE:BTC/USDT",
        "BINANCE:ETH/USDT",
        "BINANCE:SOL/USDT",
        "UPBIT:BTC/KRW",
        "UPBIT:ETH/KRW",
        "BINANCEFUTURESUSD:BTC/USDT:USDT",
        "BINANCEFUTURESUSD:ETH/USDT:USDT",
        "GATE:BTC/USDT",
        "GATEFUTURES:BTC/USDT:USDT",
        "HYPERLIQUID:BTC/USDT",
        "LIGHTER:BTC/USDT",
    ],
)
def test_the_symbols_of_the_api_document_trade(ticker: str) -> None:
    exchange = next(e for e in EXCHANGES.values() if ticker.startswith(f"{e.prefix}:"))
    listing = next(one for one in FEED.listings(exchange.id) if one.instrument.ticker == ticker)

    assert FEED.listing(listing.instrument) == listing
    assert len(FEED.candles(listing.instrument, "1h", limit=100)) == 100


def test_there_are_hundreds_of_symbols_over_the_eight_exchanges() -> None:
    sizes = {exchange: len(FEED.listings(exchange)) for exchange in EXCHANGES}

    assert all(size >= 25 for size in sizes.values())
    assert sizes["binance"] >= 200


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_listings_are_ranked_and_distinct(exchange: str) -> None:
    listings = FEED.listings(EXCHANGES[exchange].id)  # pyright: ignore[reportArgumentType] - the keys are the ids

    assert [one.rank for one in listings] == list(range(1, len(listings) + 1))
    assert len({one.instrument.symbol for one in listings}) == len(listings)


def test_there_is_something_in_every_sector_and_category() -> None:
    listings = FEED.listings("binance")

    assert {"DeFi", "L1", "L2", "AI", "Meme", "Gaming", "Infrastructure"} <= {one.sector for one in listings}
    assert sum("top_market_cap" in one.categories for one in listings) == 50
    assert 5 < sum("trending" in one.categories for one in listings) < 60


def test_an_unknown_symbol_is_refused_with_what_is_close() -> None:
    with pytest.raises(NotFound, match="BTCC/USDT") as refusal:
        FEED.candles(Instrument("binance", "BTCC", "USDT"), "1h")

    assert refusal.value.code == "DATA_UNAVAILABLE"
    assert "BTC/USDT" in refusal.value.suggestion


def test_a_range_without_bars_is_refused_with_the_range_there_is() -> None:
    with pytest.raises(NotFound, match="2009-02-13") as refusal:
        FEED.candles(Instrument("binance", "BTC", "USDT"), "1d", start=1_234_567_890, end=1_234_999_999)

    assert "2015-01-01T00:00:00Z and 2026-02-28T00:00:00Z" in refusal.value.suggestion


def test_tokens_have_long_numbers_titles_and_a_day_of_resolution() -> None:
    for one in _tokens():
        assert one.instrument.symbol.isdigit()
        assert len(one.instrument.symbol) > 60
        assert one.title
        assert one.title.endswith((" Yes", " No"))
        assert one.resolves_at is not None
        assert one.resolves_at > NOW - 31 * DAY


def test_most_questions_are_open_and_some_are_answered() -> None:
    answered = [one for one in _tokens() if one.payout is not None]

    assert 2 <= len(answered) < len(_tokens()) / 2
    assert all(one.resolves_at is not None and one.resolves_at <= NOW for one in answered)


def test_the_two_tokens_of_a_question_add_up_to_one() -> None:
    by_title = {one.title: one.instrument for one in _tokens()}
    for title, yes in by_title.items():
        if title and title.endswith(" Yes"):
            a, b = (FEED.candles(i, "1h", limit=50).bars for i in (yes, by_title[title.removesuffix("Yes") + "No"]))

            np.testing.assert_allclose(a.close + b.close, 1.0, rtol=0, atol=1e-12)
            np.testing.assert_allclose(a.high + b.low, 1.0, rtol=0, atol=1e-12)


def test_a_token_ends_at_what_it_pays_and_then_trades_no_more() -> None:
    for one in (one for one in _tokens() if one.payout is not None):
        candles = FEED.candles(one.instrument, "1h")

        assert candles.time[-1] + 3_600 == one.resolves_at
        assert round(float(candles.bars.close[-1])) == one.payout
        assert abs(float(candles.bars.close[-1]) - (one.payout or 0)) < 0.0011


def test_the_payout_of_a_token_is_not_revealed_before() -> None:
    one = next(one for one in _tokens() if one.payout is not None)
    assert one.resolves_at is not None
    before = SimulatedFeed(AcceleratedClock(one.resolves_at - 1), seed=7).listing(one.instrument)
    at = SimulatedFeed(AcceleratedClock(one.resolves_at), seed=7).listing(one.instrument)

    assert (before.payout, at.payout) == (None, one.payout)


@pytest.mark.long
def test_prices_of_tokens_are_fair() -> None:
    """Over many worlds, tokens pay on average what they cost: at 30 % they pay in 30 % of cases."""
    question = next(one for one in _tokens() if one.payout is not None)
    costs: list[float] = []
    paid: list[int] = []
    for seed in range(300):
        feed = SimulatedFeed(AcceleratedClock(NOW), seed)
        costs.append(float(feed.candles(question.instrument, "1d", limit=20).bars.open[0]))
        paid.append(feed.listing(question.instrument).payout or 0)
    low, high = np.array(costs) < 0.5, np.array(costs) >= 0.5

    for group in (low, high):
        tolerance = 4 * 0.5 / np.sqrt(group.sum())
        assert np.mean(np.array(paid)[group]) == pytest.approx(np.mean(np.array(costs)[group]), abs=tolerance)


def test_there_are_open_questions_whenever_one_looks() -> None:
    for year in (2021, 2031, 2041):
        now = (year - 1970) * 365 * DAY
        tokens = SimulatedFeed(AcceleratedClock(now), seed=1).listings("polymarket")

        assert sum(one.payout is None for one in tokens) >= 40

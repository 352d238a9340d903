"""The simulation resembles a market: fat tails, clusters of volatility, a common factor, sane scales."""

from __future__ import annotations

import numpy as np
import pytest

from api.symbols import Instrument
from api.times import SECONDS, AcceleratedClock, Timeframe
from engine.feeds.feed import Candles
from engine.feeds.simulated import SimulatedFeed
from engine.frame import Floats

CLOCK = AcceleratedClock(1_772_368_245)
FEED = SimulatedFeed(CLOCK, seed=7)


def _coin(base: str) -> Instrument:
    return Instrument("binance", base, "USDT")


def _returns(candles: Candles) -> Floats:
    return np.diff(np.log(candles.bars.close))


def _autocorrelation(values: Floats, lag: int) -> float:
    centred = values - values.mean()
    return float((centred[lag:] * centred[:-lag]).mean() / centred.var())


def _yearly(returns: Floats, timeframe: Timeframe) -> float:
    return float(returns.std() * np.sqrt(365 * 86_400 / SECONDS[timeframe]))


@pytest.mark.parametrize("base", ["BTC", "DOGE", "GOAT"])
@pytest.mark.parametrize("timeframe", ["4h", "1h", "15m", "5m"])
def test_returns_have_fat_tails_and_cluster(base: str, timeframe: Timeframe) -> None:
    candles = FEED.candles(_coin(base), timeframe, limit=8_000)
    returns = _returns(candles)
    kurtosis = float(((returns - returns.mean()) ** 4).mean() / returns.var() ** 2)

    assert kurtosis > 4
    assert all(_autocorrelation(np.abs(returns), lag) > 0.02 for lag in (1, 2, 3))
    assert abs(_autocorrelation(returns, 1)) < 0.12
    assert np.corrcoef(candles.bars.volume[1:], np.abs(returns))[0, 1] > 0.2


@pytest.mark.parametrize(("base", "low", "high"), [("BTC", 0.3, 0.65), ("ETH", 0.4, 0.9), ("GOAT", 0.6, 1.4)])
def test_volatility_is_that_of_its_kind_on_every_timeframe(base: str, low: float, high: float) -> None:
    yearly = [
        _yearly(_returns(FEED.candles(_coin(base), tf, limit=730 * 86_400 // SECONDS[tf])), tf)
        for tf in ("1d", "1h", "5m")
    ]

    assert all(low < volatility < high for volatility in yearly)
    assert max(yearly) / min(yearly) < 1.25


@pytest.mark.parametrize("timeframe", ["1d", "1h", "5m"])
def test_coins_move_with_the_market_and_gold_does_not(timeframe: Timeframe) -> None:
    returns = {b: _returns(FEED.candles(_coin(b), timeframe, limit=1_000)) for b in ("BTC", "ETH", "SOL", "PAXG")}

    assert np.corrcoef(returns["BTC"], returns["ETH"])[0, 1] > 0.4
    assert np.corrcoef(returns["BTC"], returns["SOL"])[0, 1] > 0.35
    assert np.corrcoef(returns["ETH"], returns["PAXG"])[0, 1] < 0.35


def test_one_asset_costs_about_the_same_everywhere() -> None:
    spot = FEED.candles(_coin("BTC"), "1h", limit=500).bars.close
    perpetual = FEED.candles(Instrument("hyperliquid", "BTC", "USDC"), "1h", limit=500).bars.close
    won = FEED.candles(Instrument("upbit", "BTC", "KRW"), "1h", limit=500).bars.close

    assert np.abs(perpetual / spot - 1).max() < 0.002
    assert 1_200 < (won / spot).min() < (won / spot).max() < 1_600


def test_prices_stay_on_their_scale_for_decades() -> None:
    later = SimulatedFeed(AcceleratedClock(2_208_988_800), seed=3)  # 2040-01-01
    for base, price in (("BTC", 105_000), ("ETH", 2_600), ("PEPE", 0.0000119)):
        closes = later.candles(_coin(base), "1d").bars.close

        assert price / 300 < closes.min() < closes.max() < price * 300


def test_bitcoin_has_the_price_of_the_table_on_the_anchor_day() -> None:
    start = 20_240 * 86_400
    close = FEED.candles(_coin("BTC"), "1d", start=start, end=start + 86_400).bars.close[0]

    assert close == pytest.approx(105_000, rel=0.001)

"""The broker's view of the feed: the latest closed bar to trade against, and the bars that resting orders meet.

Both come from the finest timeframe that the feed has for an instrument. Reading may be slow and happens outside any
write transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from api.errors import NotFound
from api.symbols import Instrument
from api.times import SECONDS, Timeframe
from engine.feeds.feed import Candles, Feed, InstrumentListing
from engine.feeds.market import FundingFeed, FundingRates, MarketFeed
from engine.frame import Source
from engine.trading_rules import SLIPPAGE, VOLUME_SHARE, ListedTerms, Steps, down, from_float, up

if TYPE_CHECKING:
    from engine.venues.exchange.markets import LivePrice


@dataclass(frozen=True, slots=True)
class LatestBar:
    """The latest closed bar. `at` is its close, unix seconds; `volume` in base units."""

    instrument: Instrument
    close: Decimal
    volume: Decimal
    at: int
    source: Source

    def taker_price(self, direction: int, steps: Steps) -> Decimal:
        """The price of a taker order: the close, worsened by slippage and by rounding to a tick."""
        return taken(self.close, direction, steps, self.instrument)

    def capacity(self, steps: Steps) -> Decimal:
        """The part of the bar's volume that one account can trade."""
        return down(self.volume * VOLUME_SHARE, steps.lot)


def taken(price: Decimal, direction: int, steps: Steps, instrument: Instrument) -> Decimal:
    """The price of a taker order at `price`: worsened by slippage and by rounding to a tick."""
    if direction > 0:
        worse = up(price * (1 + SLIPPAGE), steps.tick)
        return min(worse, 1 - steps.tick) if instrument.market_type == "prediction" else worse
    return max(down(price * (1 - SLIPPAGE), steps.tick), steps.tick)


@dataclass(frozen=True, slots=True)
class SettlementBars:
    """The bars of an instrument since some time, its listing, and a perpetual's funding rates."""

    candles: Candles | None
    listing: InstrumentListing
    funding: FundingRates | None = None

    @property
    def steps(self) -> Steps:
        """Tick and lot."""
        return Steps.of(self.listing)

    @property
    def terms(self) -> ListedTerms:
        """Fees."""
        return ListedTerms.of(self.listing)


class Prices:
    """The feed as the broker sees it. Blocking: use it in a thread."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def listing(self, instrument: Instrument) -> InstrumentListing:
        """The listing of an instrument.

        Raises:
            NotFound: `DATA_UNAVAILABLE`: it is not traded there.
        """
        return self._feed.listing(instrument)

    def quote(self, instrument: Instrument) -> LatestBar:
        """The latest price: the last trade if an exchange serves the instrument, else the latest closed bar.

        Raises:
            NotFound: `DATA_UNAVAILABLE`: the feed has no bar of it.
            Unavailable: The exchange returns no price now.
        """
        candles = self._finest(instrument, start=None, limit=1)
        bars = candles.bars
        live = self._live(instrument)
        if live is not None:
            return LatestBar(instrument, live.last, from_float(bars.volume[-1]), int(live.at), "exchange")
        return LatestBar(
            instrument,
            from_float(bars.close[-1]),
            from_float(bars.volume[-1]),
            int(candles.time[-1]) + SECONDS[candles.timeframe],
            bars.source,
        )

    def _live(self, instrument: Instrument) -> LivePrice | None:
        if not isinstance(self._feed, MarketFeed):
            return None
        return self._feed.live_prices(instrument.exchange).get(instrument) or self._feed.live_price(instrument)

    def history(self, instrument: Instrument, start: int) -> SettlementBars:
        """The closed bars that opened at `start` or later; an empty result is not an error."""
        listing = self._feed.listing(instrument)
        try:
            candles = self._finest(instrument, start=start, limit=None)
        except NotFound:
            candles = None
        rates = None
        if candles is not None and instrument.market_type == "perpetual" and isinstance(self._feed, FundingFeed):
            first, last = int(candles.time[0]), int(candles.time[-1])
            rates = self._feed.funding(instrument, first - SECONDS[candles.timeframe] + 1, last + 1)
        return SettlementBars(candles, listing, rates)

    def _finest(self, instrument: Instrument, *, start: int | None, limit: int | None) -> Candles:
        missing: NotFound | None = None
        for timeframe in SECONDS:
            try:
                return self._candles(instrument, timeframe, start, limit)
            except NotFound as error:
                missing = missing or error
        raise missing or NotFound(f"no bars of {instrument.ticker}")

    def _candles(self, instrument: Instrument, timeframe: Timeframe, start: int | None, limit: int | None) -> Candles:
        return self._feed.candles(instrument, timeframe, start=start, limit=limit)

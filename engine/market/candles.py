"""Pages of candles, forwards from a start or backwards from an end; and the last day of a ticker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import numpy as np

from api.errors import InvalidInput, NotFound
from api.exchanges import ExchangeId
from api.inputs import unix
from api.market import OhlcvRequest, OhlcvResponse, Ticker
from api.symbols import Instrument
from api.times import SECONDS, Clock, Timeframe, iso8601
from engine.feeds.feed import Candles, Feed, InstrumentListing, partial_of
from engine.feeds.market import MarketFeed
from engine.frame import Bars

if TYPE_CHECKING:
    from engine.venues.exchange.markets import LivePrice

from .listings import instrument_of

DAY_BARS: Final = 24
MAX_PROBES: Final = 64


def page(feed: Feed, clock: Clock, request: OhlcvRequest) -> OhlcvResponse:
    """Answer the candles endpoint. Blocking.

    Raises:
        NotFound: `DATA_UNAVAILABLE`: the symbol is not listed, or has no closed bar in the range.
        InvalidInput: The range is empty.
    """
    instrument = instrument_of(feed, request.symbol, request.exchange)
    start = None if request.start is None else int(unix(request.start))
    end = None if request.end is None else int(unix(request.end))
    if start is not None and end is not None and start >= end:
        suggestion = "Swap the two" if start > end else "Move end on by a bar at least"
        raise InvalidInput(f"start {request.start} is not before end {request.end}", suggestion=suggestion)
    asked = _Range(feed, instrument, request.timeframe, int(clock.now()))
    if start is None:
        candles = feed.candles(instrument, request.timeframe, end=end, limit=request.limit)
    else:
        candles = asked.first(start, end, request.limit)
    first, last = int(candles.time[0]), int(candles.time[-1])
    following = last + SECONDS[request.timeframe]
    bars = candles.bars
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    times = [iso8601(t) for t in candles.time.tolist()]
    return OhlcvResponse.model_validate(
        {
            "symbol": instrument.symbol,
            "exchange": instrument.exchange,
            "timeframe": request.timeframe,
            "source": bars.source,
            "candles": list(zip(times, *(column.tolist() for column in columns), strict=True)),
            "next_start": iso8601(following) if asked.any_bar(following, end) else None,
            "previous_end": iso8601(first) if asked.any_bar(start, first) else None,
            "missing": (last - first) // SECONDS[request.timeframe] + 1 - len(times),
            "partial": []
            if bars.partial is None
            else [t for t, holed in zip(times, bars.partial, strict=True) if holed],
        }
    )


@dataclass(frozen=True, slots=True)
class _Range:
    """The bars of one instrument, read from the start of a range. Reading the last bar of a range is cheap."""

    feed: Feed
    instrument: Instrument
    timeframe: Timeframe
    now: int

    def any_bar(self, start: int | None, end: int | None) -> bool:
        """Whether there is a closed bar with `start <= open time < end`."""
        if start is not None and start >= (self.now if end is None else end):
            return False
        try:
            self.feed.candles(self.instrument, self.timeframe, start=start, end=end, limit=1)
        except NotFound:
            return False
        return True

    def first(self, start: int, end: int | None, limit: int) -> Candles:
        """The first `limit` bars from `start` on."""
        stop = self.now if end is None else min(end, self.now)
        step = SECONDS[self.timeframe]
        missing = limit
        begin = self._first_time(start, stop, missing * step)
        if begin is None:
            return self.feed.candles(self.instrument, self.timeframe, start=start, end=end)
        pages: list[Candles] = []
        while begin is not None and len(pages) < MAX_PROBES:
            upto = min(stop, begin + missing * step)
            pages.append(self.feed.candles(self.instrument, self.timeframe, start=begin, end=upto))
            missing -= len(pages[-1])
            begin = self._first_time(upto, stop, missing * step) if missing > 0 else None
        return _joined(pages)

    def _first_time(self, start: int, stop: int, width: int) -> int | None:
        """A time at or before the first bar in the range and less than `width` from it; None without a bar."""
        low, high = start, min(stop, start + width)
        while not self.any_bar(low, high):
            if high >= stop:
                return None
            low, high = high, min(stop, high + 2 * (high - start))
        while high - low > width:
            middle = (low + high) // 2
            low, high = (low, middle) if self.any_bar(low, middle) else (middle, high)
        return low


def _joined(pages: list[Candles]) -> Candles:
    if len(pages) == 1:
        return pages[0]
    columns = {
        name: np.concatenate([getattr(page.bars, name) for page in pages])
        for name in ("open", "high", "low", "close", "volume")
    }
    partial = np.concatenate([partial_of(page) for page in pages])
    bars = Bars(**columns, source=pages[0].bars.source, partial=partial if partial.any() else None)
    return replace(pages[0], time=np.concatenate([page.time for page in pages]), bars=bars)


def tickers(feed: Feed, listed: Iterable[InstrumentListing]) -> tuple[Ticker, ...]:
    """Listings with price and last-day figures: live from the exchange, else from candles. Blocking."""
    wanted = tuple(listed)
    live: dict[Instrument, LivePrice] = {}
    if isinstance(feed, MarketFeed):
        exchanges: set[ExchangeId] = {one.instrument.exchange for one in wanted}
        for exchange in exchanges:
            live.update(feed.live_prices(exchange))
    return tuple(_ticker(feed, listing, live.get(listing.instrument)) for listing in wanted)


def _ticker(feed: Feed, listing: InstrumentListing, live: LivePrice | None) -> Ticker:
    instrument = listing.instrument
    day = _last_day(feed, listing) if live is None else _live_day(live)
    return Ticker(
        symbol=instrument.symbol,
        ticker=instrument.ticker,
        exchange=instrument.exchange,
        market_type=instrument.market_type,
        rank=listing.rank,
        sector=listing.sector,
        categories=listing.categories,
        price=day.price,
        as_of=None if day.closed_at is None else iso8601(day.closed_at),
        change_24h_pct=day.change_pct,
        volume_24h=day.turnover,
        tick_size=Decimal(listing.tick_size),
        lot_size=Decimal(listing.lot_size),
        bid=None if live is None else live.bid,
        ask=None if live is None else live.ask,
        min_notional=None if listing.min_notional is None else Decimal(listing.min_notional),
        taker_fee=None if listing.taker_fee is None else Decimal(listing.taker_fee),
        title=listing.title,
        resolves_at=None if listing.resolves_at is None else iso8601(listing.resolves_at),
        source=day.source,
    )


@dataclass(frozen=True, slots=True)
class _LastDay:
    """The last 24 hours of a listing: last close and when its bar ended, change in percent, turnover in the quote
    currency. None where the candles do not show it."""

    source: str
    price: Decimal | None = None
    closed_at: int | None = None
    change_pct: float | None = None
    turnover: float | None = None


def _live_day(live: LivePrice) -> _LastDay:
    return _LastDay("exchange", live.last, int(live.at), live.change_pct, live.turnover)


def _last_day(feed: Feed, listing: InstrumentListing) -> _LastDay:
    try:
        candles = feed.candles(listing.instrument, "1h", limit=DAY_BARS + 1)
    except NotFound:
        return _from_longer_bars(feed, listing)
    bars, closed_at = candles.bars, int(candles.time[-1]) + SECONDS["1h"]
    inside = candles.time >= closed_at - DAY_BARS * SECONDS["1h"]
    before = np.flatnonzero(~inside)
    first = float(bars.close[before[-1]]) if len(before) else 0.0
    return _LastDay(
        source=bars.source,
        price=Decimal(str(float(bars.close[-1]))),
        closed_at=closed_at,
        change_pct=round(float(bars.close[-1] / first - 1) * 100, 4) if first else None,
        turnover=round(float((bars.close[inside] * bars.volume[inside]).sum()), 2),
    )


def _from_longer_bars(feed: Feed, listing: InstrumentListing) -> _LastDay:
    """From candles longer than an hour: the last close only."""
    for timeframe in SECONDS:
        if SECONDS[timeframe] <= SECONDS["1h"]:
            continue
        try:
            candles = feed.candles(listing.instrument, timeframe, limit=1)
        except NotFound:
            continue
        closed_at = int(candles.time[-1]) + SECONDS[timeframe]
        return _LastDay(candles.bars.source, Decimal(str(float(candles.bars.close[-1]))), closed_at)
    return _LastDay(listing.source)

"""The engine's market data: each instrument from one of several sources, and frames of several instruments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import numpy as np

from api.errors import HeyTradersError, NotFound
from api.exchanges import DataChoice, ExchangeId
from api.symbols import Instrument
from api.times import SECONDS, Clock, Timeframe
from engine.frame import Bars, Floats, Frame, Times
from engine.store.database import Store

from .feed import CandleReader, Candles, Feed, InstrumentListing, SourceFeed, partial_of, unknown_instrument
from .simulated import SimulatedFeed
from .stored import StoredFeed

if TYPE_CHECKING:
    from engine.store.exchange_data import TimeSpan
    from engine.venues.exchange.markets import LivePrice
    from engine.venues.exchange.session import Connector

    from .exchange import ExchangeFeed
    from .exchange_fetch import FetchProgress


_LONGEST_FUNDING: Final = 8 * 3_600 + 60
"""No exchange leaves more seconds between two funding payments; the last minute is for payments that come late."""


def open_feed(
    store: Store, clock: Clock, seed: int, data: DataChoice = "simulated", connector: Connector | None = None
) -> MarketFeed:
    """The feed for an engine with this store: imported candles first, then exchange or simulated candles.

    A worker process builds the same feed from the same store, seed and source. Without a connector it reads only the
    database, never the network. With exchange data, nothing is simulated.
    """
    imported = StoredFeed(store, clock)
    if data == "simulated":
        return MarketFeed((imported, SimulatedFeed(clock, seed)))
    from engine.venues.exchange.markets import Markets

    from .exchange import ExchangeFeed
    from .exchange_fetch import Fetcher

    markets = Markets(store, connector)
    fetcher = None if connector is None else Fetcher(store, clock, connector, markets)
    exchanges = ExchangeFeed(store, clock, fetcher, markets)
    return MarketFeed((imported, exchanges), exchanges)


@dataclass(frozen=True, slots=True)
class FundingRates:
    """Funding rates of a perpetual: when they are due, what longs pay shorts (a fraction), and which are missing.

    Attributes:
        time: Unix seconds, oldest first.
        rate: Fraction of the position's value.
        missing: Spans `since <= time < until` whose rates are not stored, or that the exchange left without a rate
            for longer than the longest time between two payments.
    """

    time: Times
    rate: Floats
    missing: tuple[tuple[int, int], ...]


@runtime_checkable
class FundingFeed(Protocol):
    """A feed that knows the funding rates of perpetuals; `MarketFeed` is one."""

    def funding(self, instrument: Instrument, start: int, end: int) -> FundingRates | None:
        """The known rates of a perpetual with `start <= time < end`; `None` if its price source has none."""
        ...


class MarketFeed:
    """Serves each instrument at every timeframe from the first source that has it. A series never mixes sources.

    Args:
        sources: The feeds in order of preference.
        exchanges: The feed among them that queries exchanges, if any.
    """

    def __init__(self, sources: tuple[SourceFeed, ...], exchanges: ExchangeFeed | None = None) -> None:
        self._sources = sources
        self.exchanges: Final = exchanges

    def refresh(self) -> None:
        """Refresh with what other processes have imported or fetched so far."""
        for feed in self._sources:
            feed.refresh()

    def listings(self, exchange: ExchangeId) -> Sequence[InstrumentListing]:
        """See `Feed`. Symbols that the last source does not list come last."""
        *preferred, last = self._sources
        base = last.listings(exchange)
        merged: dict[Instrument, InstrumentListing] = {}
        added: list[InstrumentListing] = []
        for feed in reversed(preferred):
            for one in feed.listings(exchange):
                merged[one.instrument] = one
        if not merged:
            return base
        listed = [_over(merged.pop(one.instrument, None), one) for one in base]
        added = sorted(merged.values(), key=lambda one: (one.rank, one.instrument.symbol))
        return [*listed, *(replace(one, rank=rank) for rank, one in enumerate(added, len(listed) + 1))]

    def listing(self, instrument: Instrument) -> InstrumentListing:
        """See `Feed`."""
        if self._sources[0].has(instrument) and self.exchanges is not None:
            return self._imported_listing(instrument)
        listed = self.listings(instrument.exchange)
        if (found := next((one for one in listed if one.instrument == instrument), None)) is not None:
            return found
        try:
            return self._sources[-1].listing(instrument)
        except NotFound:
            raise unknown_instrument(instrument, [one.instrument for one in listed]) from None

    def _imported_listing(self, instrument: Instrument) -> InstrumentListing:
        """As in `listings`; if the exchange cannot be reached, the imported data is enough."""
        try:
            listed = self.listings(instrument.exchange)
        except HeyTradersError:
            return self._sources[0].listing(instrument)
        return next(one for one in listed if one.instrument == instrument)

    def candles(
        self,
        instrument: Instrument,
        timeframe: Timeframe,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
    ) -> Candles:
        """See `Feed`."""
        return self._serving(instrument).candles(instrument, timeframe, start=start, end=end, limit=limit)

    def fetch(
        self, wanted: Sequence[tuple[Instrument, Timeframe, tuple[int, int]]], progress: FetchProgress | None = None
    ) -> dict[Instrument, HeyTradersError]:
        """Fetch the requested exchange data, several series at a time, before anything reads it.

        Args:
            wanted: Instrument, timeframe, and the range `since <= open time < until`.
            progress: Called with the number of series done and requested.

        Returns:
            The errors by instrument.
        """
        if self.exchanges is None:
            return {}
        return self.exchanges.fetch([w for w in wanted if self._serving(w[0]) is self.exchanges], progress)

    def fetch_funding(self, instruments: Sequence[Instrument], start: int, end: int) -> None:
        """Make sure the store has the funding rates of perpetuals, where their exchange publishes them.

        An exchange that cannot be reached leaves a gap, which `funding` reports.
        """
        fetcher = None if self.exchanges is None else self.exchanges.fetcher
        for instrument in instruments:
            if fetcher is not None and self._pays_funding(instrument):
                with suppress(HeyTradersError):
                    fetcher.ensure_funding(instrument, (start, end))

    def funding(self, instrument: Instrument, start: int, end: int) -> FundingRates | None:
        """The stored funding rates of a perpetual; `None` for spot, imported and simulated prices.

        Raises:
            HeyTradersError: The exchange returns none. Only in a process that queries exchanges.
        """
        if self.exchanges is None or not self._pays_funding(instrument):
            return None
        time, rate = self.exchanges.funding(instrument, start, end)
        unfetched = self.exchanges.funding_gaps(instrument, start, end)
        return FundingRates(time, rate, tuple(sorted({*unfetched, *_unpaid(time, start, end, unfetched)})))

    def _pays_funding(self, instrument: Instrument) -> bool:
        return instrument.market_type == "perpetual" and self._serving(instrument) is self.exchanges

    def fetch_recent(self, instruments: Sequence[Instrument], timeframe: Timeframe, bars: int) -> None:
        """`fetch` for the last closed bars. Errors appear when the candles are read."""
        if self.exchanges is not None and self.exchanges.fetcher is not None:
            until = self.exchanges.fetcher.closed(timeframe)
            since = until - bars * SECONDS[timeframe]
            self.fetch([(instrument, timeframe, (since, until)) for instrument in instruments])

    def live_prices(self, exchange: ExchangeId) -> Mapping[Instrument, LivePrice]:
        """Live prices of instruments served by an exchange; none for imported or simulated prices.

        Raises:
            HeyTradersError: The exchange returns none.
        """
        if self.exchanges is None:
            return {}
        imported = {one.instrument for one in self._sources[0].listings(exchange)}
        return {one: price for one, price in self.exchanges.live(exchange).items() if one not in imported}

    def live_price(self, instrument: Instrument) -> LivePrice | None:
        """The live price of one instrument served by an exchange, requested now; else `None`.

        Raises:
            HeyTradersError: The exchange returns none.
        """
        if self.exchanges is None or self._serving(instrument) is not self.exchanges:
            return None
        return self.exchanges.live_price(instrument)

    def _serving(self, instrument: Instrument) -> SourceFeed:
        return next((feed for feed in self._sources if feed.has(instrument)), self._sources[-1])


def _unpaid(time: Times, start: int, end: int, known: Sequence[TimeSpan]) -> list[TimeSpan]:
    """The spans without a rate that are too long to be regular, except those that overlap `known`."""
    if not len(time):
        return []
    spans = pairwise((start, *time.tolist(), end))
    long = [(since, until) for since, until in spans if until - since > _LONGEST_FUNDING]
    return [one for one in long if all(one[1] <= since or until <= one[0] for since, until in known)]


def fetch_recent(feed: Feed, instruments: Sequence[Instrument], timeframe: Timeframe, bars: int) -> None:
    """Prefetch the last `bars` closed bars of many instruments, several at a time; errors appear on reading."""
    if isinstance(feed, MarketFeed):
        feed.fetch_recent(instruments, timeframe, bars)


def _over(own: InstrumentListing | None, other: InstrumentListing) -> InstrumentListing:
    """The listing of the serving source, completed with details that only the other source has.

    For an imported series, the simulated market's steps are as much a guess as those estimated from its price.
    """
    if own is None:
        return other
    if not own.steps_known:
        return replace(other, source=own.source, steps_known=other.steps_known and other.source == "exchange")
    return replace(other, source=own.source, tick_size=own.tick_size, lot_size=own.lot_size)


def load_frame(
    feed: CandleReader,
    instruments: Sequence[Instrument],
    timeframe: Timeframe,
    start: int | None,
    end: int | None,
    warmup_bars: int = 0,
) -> Frame:
    """Bars of all instruments with `start <= open time < end`, and up to `warmup_bars` before `start`.

    The axis is the union of the instruments' times; an instrument has NaN where it has no bar.

    Raises:
        NotFound: `DATA_UNAVAILABLE` when an instrument is unknown or has no bar in the range, warmup excluded.
    """
    return _framed(
        timeframe,
        [_with_warmup(feed, instrument, timeframe, start, end, warmup_bars) for instrument in instruments],
    )


def recent_frame(
    feed: Feed, instruments: Sequence[Instrument], timeframe: Timeframe, bars: int, end: int | None = None
) -> Frame:
    """The last `bars` closed bars of each instrument with open times before `end`, framed as by `load_frame`."""
    return _framed(timeframe, [feed.candles(each, timeframe, end=end, limit=bars) for each in instruments])


def _with_warmup(
    feed: CandleReader,
    instrument: Instrument,
    timeframe: Timeframe,
    start: int | None,
    end: int | None,
    warmup_bars: int,
) -> Candles:
    wanted = feed.candles(instrument, timeframe, start=start, end=end)
    if start is None or warmup_bars <= 0:
        return wanted
    try:
        before = feed.candles(instrument, timeframe, end=start, limit=warmup_bars)
    except NotFound:
        return wanted
    columns = (np.concatenate(pair) for pair in zip(_columns(before.bars), _columns(wanted.bars), strict=True))
    time = np.concatenate((before.time, wanted.time))
    partial = None
    if before.bars.partial is not None or wanted.bars.partial is not None:
        partial = np.concatenate((partial_of(before), partial_of(wanted)))
    return Candles(instrument, timeframe, time, Bars(*columns, source=wanted.bars.source, partial=partial))


def _framed(timeframe: Timeframe, all_candles: Sequence[Candles]) -> Frame:
    axis = all_candles[0].time
    if any(not np.array_equal(candles.time, axis) for candles in all_candles[1:]):
        axis = np.unique(np.concatenate([candles.time for candles in all_candles]))
    return Frame(timeframe, axis, {candles.instrument: _on_axis(candles, axis) for candles in all_candles})


def _on_axis(candles: Candles, axis: Times) -> Bars:
    if len(candles) == len(axis):
        return candles.bars
    spread = np.full((5, len(axis)), np.nan)
    places = np.searchsorted(axis, candles.time)
    spread[:, places] = _columns(candles.bars)
    partial = None
    if candles.bars.partial is not None:
        partial = np.zeros(len(axis), dtype=np.bool_)
        partial[places] = candles.bars.partial
    return Bars(*spread, source=candles.bars.source, partial=partial)


def _columns(bars: Bars) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    return bars.open, bars.high, bars.low, bars.close, bars.volume

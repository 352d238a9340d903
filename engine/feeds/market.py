"""The market as the engine sees it: each instrument from one of several sources, and frames of several instruments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from api.errors import NotFound
from api.exchanges import DataChoice, ExchangeId
from api.symbols import Instrument
from api.timeframes import Timeframe
from engine.clock import Clock
from engine.frame import Bars, Floats, Frame, Times
from engine.store.database import Store

from .feed import Candles, Feed, Listing, SourceFeed, partial_of, unknown_instrument
from .simulated import SimulatedFeed
from .stored import StoredFeed

if TYPE_CHECKING:
    from engine.venues.exchange.session import Connector


def open_feed(
    store: Store, clock: Clock, seed: int, data: DataChoice = "simulated", connector: Connector | None = None
) -> MarketFeed:
    """The feed of an engine with this store: imported candles first, then those of exchanges or simulated ones.

    A worker process builds the same feed from the same store, seed and choice. Without a connector it reads the
    database only, never the network. Where exchanges serve, nothing is simulated.
    """
    imported = StoredFeed(store, clock)
    if data == "simulated":
        return MarketFeed((imported, SimulatedFeed(clock, seed)))
    from engine.venues.exchange.markets import Markets

    from .exchange import ExchangeFeed
    from .exchange_fetch import Fetcher

    markets = Markets(store, connector)
    fetcher = None if connector is None else Fetcher(store, clock, connector, markets)
    return MarketFeed((imported, ExchangeFeed(store, clock, fetcher, markets)))


class MarketFeed:
    """Serves each instrument from the first source that has it, at every timeframe: one series never mixes sources.

    Args:
        sources: The feeds, the preferred first.
    """

    def __init__(self, sources: tuple[SourceFeed, ...]) -> None:
        self._sources = sources

    def refresh(self) -> None:
        """See what other processes have imported or fetched so far."""
        for feed in self._sources:
            feed.refresh()

    def listings(self, exchange: ExchangeId) -> Sequence[Listing]:
        """See `Feed`. Symbols that the last source does not list come last."""
        *preferred, last = self._sources
        base = last.listings(exchange)
        merged: dict[Instrument, Listing] = {}
        added: list[Listing] = []
        for feed in reversed(preferred):
            for one in feed.listings(exchange):
                merged[one.instrument] = one
        if not merged:
            return base
        listed = [_over(merged.pop(one.instrument, None), one) for one in base]
        added = sorted(merged.values(), key=lambda one: (one.rank, one.instrument.symbol))
        return [*listed, *(replace(one, rank=rank) for rank, one in enumerate(added, len(listed) + 1))]

    def listing(self, instrument: Instrument) -> Listing:
        """See `Feed`."""
        listed = self.listings(instrument.exchange)
        if (found := next((one for one in listed if one.instrument == instrument), None)) is not None:
            return found
        try:
            return self._sources[-1].listing(instrument)
        except NotFound:
            raise unknown_instrument(instrument, [one.instrument for one in listed]) from None

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
        serving = next((feed for feed in self._sources if feed.has(instrument)), self._sources[-1])
        return serving.candles(instrument, timeframe, start=start, end=end, limit=limit)


def _over(own: Listing | None, other: Listing) -> Listing:
    """The listing of the serving source, with what only the other source knows."""
    if own is None:
        return other
    if not own.steps_known:
        return replace(other, source=own.source)
    return replace(other, source=own.source, tick_size=own.tick_size, lot_size=own.lot_size)


def load_frame(
    feed: Feed,
    instruments: Sequence[Instrument],
    timeframe: Timeframe,
    start: int | None,
    end: int | None,
    warmup_bars: int = 0,
) -> Frame:
    """Bars of all instruments with `start <= open time < end`, with up to `warmup_bars` more before `start`.

    The axis is the union of the instruments' times; an instrument has NaN where it has no bar.

    Raises:
        NotFound: `DATA_UNAVAILABLE` when an instrument is unknown or has no bar in the range itself.
    """
    return _framed(
        timeframe,
        [_with_warmup(feed, instrument, timeframe, start, end, warmup_bars) for instrument in instruments],
    )


def recent_frame(feed: Feed, instruments: Sequence[Instrument], timeframe: Timeframe, bars: int) -> Frame:
    """The last `bars` closed bars of each instrument, framed as by `load_frame`."""
    return _framed(timeframe, [feed.candles(instrument, timeframe, limit=bars) for instrument in instruments])


def _with_warmup(
    feed: Feed, instrument: Instrument, timeframe: Timeframe, start: int | None, end: int | None, warmup_bars: int
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

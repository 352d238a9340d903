"""The engine's feed: imported candles where there are any, simulated ones for the rest, never both in one series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from api.errors import NotFound
from api.exchanges import ExchangeId
from api.symbols import Instrument
from api.timeframes import Timeframe
from engine.clock import Clock
from engine.store.database import Store

from .feed import Candles, Listing
from .imported import ImportedFeed
from .refusals import unknown_instrument
from .simulated import SimulatedFeed


def open_feed(store: Store, clock: Clock, seed: int) -> MarketFeed:
    """The feed of an engine with this store: a worker process builds the same one from the same three things."""
    return MarketFeed(ImportedFeed(store, clock), SimulatedFeed(clock, seed))


class MarketFeed:
    """Serves an instrument from `imported` as soon as any timeframe of it was imported, else from `simulated`."""

    def __init__(self, imported: ImportedFeed, simulated: SimulatedFeed) -> None:
        self._imported = imported
        self._simulated = simulated

    def refresh(self) -> None:
        """See what other processes have imported so far."""
        self._imported.refresh()

    def listings(self, exchange: ExchangeId) -> Sequence[Listing]:
        """See `Feed`. Imported symbols that the simulation does not list come last."""
        simulated = self._simulated.listings(exchange)
        imported = {one.instrument: one for one in self._imported.listings(exchange)}
        if not imported:
            return simulated
        merged = [replace(one, source="imported") if imported.pop(one.instrument, None) else one for one in simulated]
        added = sorted(imported.values(), key=lambda one: one.instrument.symbol)
        return [*merged, *(replace(one, rank=rank) for rank, one in enumerate(added, len(merged) + 1))]

    def listing(self, instrument: Instrument) -> Listing:
        """See `Feed`."""
        listed = self.listings(instrument.exchange)
        if (found := next((one for one in listed if one.instrument == instrument), None)) is not None:
            return found
        try:
            return self._simulated.listing(instrument)
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
        feed = self._imported if instrument in self._imported.catalogue() else self._simulated
        return feed.candles(instrument, timeframe, start=start, end=end, limit=limit)

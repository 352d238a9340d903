"""Candles that a user imported.

Longer bars are made from the finest stored series that divides them; shorter ones do not exist.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from api.exchanges import ExchangeId
from api.symbols import Instrument
from api.timeframes import SECONDS, Timeframe
from engine.clock import Clock
from engine.frame import Bars, Source
from engine.store.candles import FIELDS, Block, Series, all_series, read_block
from engine.store.database import Store

from .feed import Candles, Kept, Listing, empty_range, lot_exponent, step, tick_exponent, too_fine, unknown_instrument

SOURCE: Final = "imported"
_BUDGET: Final = 64 * 2**20
_FRESH_SECONDS: Final = 0.5
_NO_RANK: Final = 1_000

Catalogue = dict[Instrument, dict[Timeframe, Series]]


def resample(block: Block, seconds: int, into: int) -> Block:
    """Combine bars of length `seconds` into bars of length `into`, a multiple of it.

    Only complete bars come out: a longer bar of which any shorter one is missing, at an edge or in a gap, is left out.

    Args:
        block: Bars as a (6, n) array: time, open, high, low, close, volume; times rising.
        seconds: Length of the bars given.
        into: Length of the bars wanted.
    """
    per_bar = into // seconds
    if per_bar == 1:
        return block
    slot = block[0] // into
    starts = np.flatnonzero(np.diff(slot, prepend=-1.0))
    complete = np.diff(starts, append=block.shape[1]) == per_bar
    if not complete.any():
        return np.empty((FIELDS, 0))
    ends = starts + per_bar - 1
    longer = np.empty((FIELDS, int(complete.sum())))
    longer[0] = slot[starts[complete]] * into
    longer[1] = block[1, starts[complete]]
    longer[2] = np.maximum.reduceat(block[2], starts)[complete]
    longer[3] = np.minimum.reduceat(block[3], starts)[complete]
    longer[4] = block[4, ends[complete]]
    longer[5] = np.add.reduceat(block[5], starts)[complete]
    return longer


class StoredFeed:
    """The feed of imported candles in `store`. What other processes store is seen within half a second."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._kept = Kept(_BUDGET)
        self._catalogue: Catalogue = {}
        self._seen: tuple[int, float] = (-1, 0.0)

    @property
    def source(self) -> Source:
        """See `SourceFeed`."""
        return SOURCE

    def refresh(self) -> None:
        """See what other processes have stored so far at the next read, not half a second later."""
        self._seen = (-1, 0.0)

    def has(self, instrument: Instrument) -> bool:
        """See `SourceFeed`."""
        return instrument in self.catalogue()

    def catalogue(self) -> Catalogue:
        """What is stored: series by instrument and timeframe."""
        writes, age = self._store.writes, time.monotonic()
        if self._seen[0] != writes or age - self._seen[1] > _FRESH_SECONDS:
            found: Catalogue = {}
            for series in self._store.read_now(all_series):
                found.setdefault(series.instrument, {})[series.timeframe] = series
            self._catalogue = found
            self._seen = (writes, age)
        return self._catalogue

    def listings(self, exchange: ExchangeId) -> Sequence[Listing]:
        """See `Feed`. Steps are guessed from the last price; rank and sector are not known of imported symbols."""
        return [self.listing(instrument) for instrument in self.catalogue() if instrument.exchange == exchange]

    def listing(self, instrument: Instrument) -> Listing:
        """See `Feed`."""
        finest = self._finest(self._series(instrument))
        price = float(self._read(finest, finest.timeframe, None, None, 1)[4, -1])
        return Listing(
            instrument=instrument,
            rank=_NO_RANK,
            sector=None,
            categories=(),
            tick_size=step(tick_exponent(price)),
            lot_size=step(lot_exponent(price)),
            source=SOURCE,
            steps_known=False,
        )

    def candles(
        self,
        instrument: Instrument,
        timeframe: Timeframe,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
    ) -> Candles:
        """See `Feed`. A timeframe that was imported itself is used as it is."""
        by_timeframe = self._series(instrument)
        series = by_timeframe.get(timeframe, self._finest(by_timeframe))
        seconds = SECONDS[timeframe]
        if SECONDS[series.timeframe] > seconds:
            raise too_fine(instrument, timeframe, list(by_timeframe), SOURCE)
        closed = int(self._clock.now()) // seconds * seconds
        covered = series.last_time + SECONDS[series.timeframe]
        stop = min(covered, closed if end is None else min(closed, -(-end // seconds) * seconds))
        since = None if start is None else -(-start // seconds) * seconds
        block = self._read(series, timeframe, since, stop, limit)
        if not block.shape[1]:
            first = -(-series.first_time // seconds) * seconds
            last = min(covered, closed) // seconds * seconds - seconds
            raise empty_range(instrument, timeframe, (start, end), first, last)
        times = block[0].astype(np.int64)
        times.flags.writeable = False
        return Candles(instrument, timeframe, times, Bars(*block[1:], source=SOURCE))

    def _series(self, instrument: Instrument) -> dict[Timeframe, Series]:
        catalogue = self.catalogue()
        if (found := catalogue.get(instrument)) is None:
            raise unknown_instrument(instrument, catalogue)
        return found

    @staticmethod
    def _finest(by_timeframe: dict[Timeframe, Series]) -> Series:
        return min(by_timeframe.values(), key=lambda series: SECONDS[series.timeframe])

    def _read(
        self, series: Series, timeframe: Timeframe, start: int | None, end: int | None, limit: int | None
    ) -> Block:
        key = (series.id, series.revision, timeframe, start, end, limit)
        return self._kept.get(key, lambda: self._load(series, timeframe, start, end, limit))

    def _load(
        self, series: Series, timeframe: Timeframe, start: int | None, end: int | None, limit: int | None
    ) -> Block:
        seconds, into = SECONDS[series.timeframe], SECONDS[timeframe]
        needed = None if limit is None else (limit + 1) * (into // seconds)

        def work(bars: int | None) -> Block:
            return resample(
                self._store.read_now(lambda c: read_block(c, series.id, SOURCE, start=start, end=end, limit=bars)),
                seconds,
                into,
            )

        block = work(needed)
        if limit is None:
            return np.array(block)
        if block.shape[1] < limit and needed is not None and needed < series.bars and seconds < into:
            block = work(None)
        return np.array(block[:, max(0, block.shape[1] - limit) :])

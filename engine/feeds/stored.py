"""Candles that a user imported.

Longer bars are built from the finest stored series that divides them. Shorter bars are not available.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from api.exchanges import ExchangeId
from api.symbols import Instrument
from api.times import SECONDS, Clock, Timeframe, is_multiple, next_opening, opening
from engine.frame import Bars, Source
from engine.store.candles import FIELDS, CandleBlock, Series, all_series, read_block, series_table
from engine.store.database import Store, Version

from .feed import (
    Candles,
    InstrumentListing,
    Kept,
    empty_range,
    lot_exponent,
    step,
    tick_exponent,
    too_fine,
    unknown_instrument,
)

SOURCE: Final = "imported"
_BUDGET: Final = 64 * 2**20
_FRESH_SECONDS: Final = 0.5
"""How long the catalogue is used unread while the store cannot tell whether another process has written."""
_NO_RANK: Final = 1_000

StoredSeries = dict[Instrument, dict[Timeframe, Series]]


def resample(block: CandleBlock, seconds: int, timeframe: Timeframe, since: float) -> CandleBlock:
    """Combine bars of length `seconds` into bars of `timeframe`, which is a multiple of it.

    A longer bar is built from the available shorter ones, even if some are missing. A bar that opens before `since`
    is omitted: its beginning was not read or does not exist, so its open and volume would be wrong.

    Args:
        block: Bars as a (6, n) array: time, open, high, low, close, volume; times rising.
        seconds: Length of the bars given.
        timeframe: The bars wanted.
        since: `block` holds every bar that exists from this time on, unix seconds.

    Returns:
        A (7, n) array; the last row counts the shorter bars in each longer one.
    """
    times = opening(block[0], timeframe)
    block = block[:, times >= since]
    times = times[times >= since]
    if not len(times):
        return np.empty((FIELDS + 1, 0))
    if SECONDS[timeframe] == seconds:
        return np.vstack((block, np.ones(len(times))))
    starts = np.flatnonzero(np.diff(times, prepend=-np.inf))
    counts = np.diff(starts, append=len(times))
    return np.vstack(
        (
            times[starts],
            block[1, starts],
            np.maximum.reduceat(block[2], starts),
            np.minimum.reduceat(block[3], starts),
            block[4, starts + counts - 1],
            np.add.reduceat(block[5], starts),
            counts,
        )
    )


class StoredFeed:
    """The feed of imported candles in `store`.

    Data stored by other processes appears at once, on PostgreSQL within half a second.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._kept = Kept(_BUDGET)
        self._seen: tuple[Version, float, StoredSeries] | None = None

    @property
    def source(self) -> Source:
        """See `SourceFeed`."""
        return SOURCE

    def refresh(self) -> None:
        """Make the next read see what other processes have stored, without delay."""
        self._seen = None

    def has(self, instrument: Instrument) -> bool:
        """See `SourceFeed`."""
        return instrument in self.catalogue()

    def catalogue(self) -> StoredSeries:
        """The stored series by instrument and timeframe."""
        version, now, seen = self._store.version(series_table.name), time.monotonic(), self._seen
        if seen is not None and version.own == seen[0].own:
            is_fresh = now - seen[1] <= _FRESH_SECONDS
            if is_fresh if version.others is None else version.others == seen[0].others:
                return seen[2]
        found: StoredSeries = {}
        for series in self._store.read_now(all_series):
            found.setdefault(series.instrument, {})[series.timeframe] = series
        self._seen = (version, now, found)
        return found

    def listings(self, exchange: ExchangeId) -> Sequence[InstrumentListing]:
        """See `Feed`. Steps are estimated from the last price; rank and sector of imported symbols are unknown."""
        return [self.listing(instrument) for instrument in self.catalogue() if instrument.exchange == exchange]

    def listing(self, instrument: Instrument) -> InstrumentListing:
        """See `Feed`."""
        finest = self._finest(self._series(instrument))
        price = float(self._read(finest, finest.timeframe, None, None, 1)[4, -1])
        return InstrumentListing(
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
        """See `Feed`. A timeframe that was itself imported is used unchanged."""
        by_timeframe = self._series(instrument)
        fitting: dict[Timeframe, Series] = {n: s for n, s in by_timeframe.items() if is_multiple(timeframe, n)}
        if not fitting:
            raise too_fine(instrument, timeframe, list(by_timeframe), SOURCE)
        series = fitting.get(timeframe) or self._finest(fitting)
        seconds = SECONDS[timeframe]
        closed = opening(int(self._clock.now()), timeframe)
        covered = opening(series.last_time + SECONDS[series.timeframe], timeframe)
        stop = min(covered, closed if end is None else min(closed, next_opening(end, timeframe)))
        since = None if start is None else next_opening(start, timeframe)
        block = self._read(series, timeframe, since, stop, limit)
        if not block.shape[1]:
            first = next_opening(series.first_time, timeframe)
            raise empty_range(instrument, timeframe, (start, end), first, min(covered, closed) - seconds)
        times = block[0].astype(np.int64)
        partial = block[-1] < seconds // SECONDS[series.timeframe]
        for array in (times, partial):
            array.flags.writeable = False
        bars = Bars(*block[1:FIELDS], source=SOURCE, partial=partial if partial.any() else None)
        return Candles(instrument, timeframe, times, bars)

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
    ) -> CandleBlock:
        key = (series.id, series.revision, timeframe, start, end, limit)
        return self._kept.get(key, lambda: self._load(series, timeframe, start, end, limit))

    def _load(
        self, series: Series, timeframe: Timeframe, start: int | None, end: int | None, limit: int | None
    ) -> CandleBlock:
        seconds = SECONDS[series.timeframe]
        read = None if limit is None else (limit + 1) * (SECONDS[timeframe] // seconds)
        block = self._store.read_now(
            lambda c: read_block(c, series.id, SOURCE, start=start, end=end, limit=read),
        )
        whole = read is None or block.shape[1] < read
        since = max(series.first_time, start or series.first_time) if whole else float(block[0, 0])
        longer = resample(block, seconds, timeframe, since)
        return np.array(longer if limit is None else longer[:, max(0, longer.shape[1] - limit) :])

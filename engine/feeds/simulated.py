"""Simulated candles: a pure function of seed, symbol and time, at every timeframe, from 2015 up to now.

An asset moves as one on all venues; each venue shows it in its own currency and price steps, a few hundredths of a
percent apart. Rounding keeps the order of prices, so bars of every timeframe agree with one another at every venue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from api.exchanges import ExchangeId
from api.symbols import Instrument
from api.timeframes import SECONDS, Timeframe
from engine.clock import Clock
from engine.frame import Bars

from .feed import Candles, Listing
from .refusals import empty_range, unknown_instrument
from .simulation.blocks import DEFAULT_BUDGET, Blocks
from .simulation.directory import Directory

_SOURCE: Final = "simulated"


class SimulatedFeed:
    """A feed of invented candles. Two feeds with one seed give the same candles, in any process.

    Args:
        clock: Says which bars are closed.
        seed: Another seed is another history of the same symbols.
        budget: Bytes of bars kept in memory.
    """

    def __init__(self, clock: Clock, seed: int, *, budget: int = DEFAULT_BUDGET) -> None:
        self._clock = clock
        self._blocks = Blocks(seed, budget)
        self._directory = Directory(seed)

    def listings(self, exchange: ExchangeId) -> Sequence[Listing]:
        """See `Feed`. Prediction markets: the open ones, and those resolved within the last month."""
        return self._directory.listings(exchange, int(self._clock.now()))

    def listing(self, instrument: Instrument) -> Listing:
        """See `Feed`."""
        now = int(self._clock.now())
        if (found := self._directory.listing(instrument, now)) is None:
            raise unknown_instrument(instrument, [one.instrument for one in self.listings(instrument.exchange)])
        return found

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
        now = int(self._clock.now())
        if (face := self._directory.face(instrument, now)) is None:
            raise unknown_instrument(instrument, [one.instrument for one in self.listings(instrument.exchange)])
        seconds = SECONDS[timeframe]
        oldest = face.opens_at // seconds
        newest = min(now, now if face.ends_at is None else face.ends_at) // seconds
        first = oldest if start is None else max(oldest, -(-start // seconds))
        stop = newest if end is None else min(newest, -(-end // seconds))
        if limit is not None:
            first = max(first, stop - limit)
        if first >= stop:
            raise empty_range(instrument, timeframe, (start, end), oldest * seconds, (newest - 1) * seconds)
        time = np.arange(first, stop, dtype=np.int64) * seconds
        shown = face.show(self._blocks.bars(face.days, timeframe, first, stop), time)
        for array in (shown, time):
            array.flags.writeable = False
        return Candles(instrument, timeframe, time, Bars(*shown, source=_SOURCE))

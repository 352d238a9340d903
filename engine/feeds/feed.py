"""Where candles come from: one protocol, served by imported files and by simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from api.exchanges import ExchangeId
from api.symbols import Instrument
from api.timeframes import Timeframe
from engine.frame import Bars, Source, Times


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument that can be traded, with what the tickers endpoint says of it.

    `sector` is e.g. "DeFi", "L1", "AI"; `categories` e.g. "top_market_cap", "trending"; `rank` 1 is the largest
    market capitalisation on its exchange. Tick and lot sizes are in quote and base units, as exact decimal strings.
    `title` and `resolves_at` (unix seconds) are for prediction markets; `payout` is what one token paid, 1 or 0, and
    None as long as the question is open.
    """

    instrument: Instrument
    rank: int
    sector: str | None
    categories: tuple[str, ...]
    tick_size: str
    lot_size: str
    source: Source
    title: str | None = None
    resolves_at: int | None = None
    payout: int | None = None


@dataclass(frozen=True, slots=True)
class Candles:
    """Closed bars of one instrument. `time` is the open time, unix seconds UTC, strictly rising."""

    instrument: Instrument
    timeframe: Timeframe
    time: Times
    bars: Bars

    def __len__(self) -> int:
        return len(self.time)


class Feed(Protocol):
    """A source of candles. It never invents what it was not asked to simulate, and returns closed bars only."""

    def listings(self, exchange: ExchangeId) -> Sequence[Listing]:
        """Everything tradable on `exchange`, largest first."""
        ...

    def listing(self, instrument: Instrument) -> Listing:
        """The listing of one instrument.

        Raises:
            NotFound: `DATA_UNAVAILABLE`, naming close matches.
        """
        ...

    def candles(
        self,
        instrument: Instrument,
        timeframe: Timeframe,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
    ) -> Candles:
        """Bars with `start <= open time < end` that are closed now; of those, the last `limit`.

        Blocking: call it in a thread or a worker process. The arrays are read-only and may be shared.

        Raises:
            NotFound: `DATA_UNAVAILABLE` when the instrument is unknown or has no bar in the range; it names the
                range that exists.
        """
        ...

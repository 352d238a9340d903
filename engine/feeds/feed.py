"""The protocol that every candle feed implements, and code that feeds share."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol

import numpy as np

from api.errors import NotFound
from api.exchanges import ExchangeId
from api.symbols import Instrument, similar_symbols
from api.times import SECONDS, Timeframe, iso8601
from engine.frame import Bars, Bools, Floats, Source, Times

_SIGNIFICANT_DIGITS: Final = 7


@dataclass(frozen=True, slots=True)
class InstrumentListing:
    """An instrument that can be traded, with its details from the tickers endpoint.

    `sector` is e.g. "DeFi", "L1", "AI"; `categories` e.g. "top_market_cap", "trending"; `rank` 1 is the largest
    market capitalisation on its exchange. Tick and lot sizes are in quote and base units, as exact decimal strings.
    `title` and `resolves_at` (unix seconds) are for prediction markets; `payout` is what one token paid, 1 or 0, and
    None while the question is open. `steps_known` is false if the steps were estimated from the last price. Smallest
    orders in base and quote units and fees (fractions) are decimal strings, None where the exchange gives none.
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
    steps_known: bool = True
    min_amount: str | None = None
    min_notional: str | None = None
    maker_fee: str | None = None
    taker_fee: str | None = None


@dataclass(frozen=True, slots=True)
class Candles:
    """Closed bars of one instrument. `time` is the open time, unix seconds UTC, strictly rising."""

    instrument: Instrument
    timeframe: Timeframe
    time: Times
    bars: Bars

    def __len__(self) -> int:
        return len(self.time)


def partial_of(candles: Candles) -> Bools:
    """True for each bar built from shorter bars when some of those are missing."""
    return np.zeros(len(candles), dtype=np.bool_) if candles.bars.partial is None else candles.bars.partial


class CandleReader(Protocol):
    """Reads candles."""

    def candles(
        self,
        instrument: Instrument,
        timeframe: Timeframe,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
    ) -> Candles:
        """The last `limit` closed bars with `start <= open time < end`.

        Blocking: call it in a thread or a worker process. The arrays are read-only and may be shared.

        Raises:
            NotFound: `DATA_UNAVAILABLE` when the instrument is unknown or has no bar in the range; the
                message names the available range.
        """
        ...


class Feed(CandleReader, Protocol):
    """A source of candles. It returns closed bars only, and never invents data unless it is a simulated feed."""

    def listings(self, exchange: ExchangeId) -> Sequence[InstrumentListing]:
        """Everything tradable on `exchange`, largest first."""
        ...

    def listing(self, instrument: Instrument) -> InstrumentListing:
        """The listing of one instrument.

        Raises:
            NotFound: `DATA_UNAVAILABLE`, naming close matches.
        """
        ...


class SourceFeed(Feed, Protocol):
    """A feed of one source, one of several that a `MarketFeed` chooses from."""

    @property
    def source(self) -> Source:
        """The source of its candles."""
        ...

    def has(self, instrument: Instrument) -> bool:
        """Whether this source holds candles of `instrument`, and therefore serves it at every timeframe."""
        ...

    def refresh(self) -> None:
        """Refresh with what other processes have stored so far."""
        ...


def unknown_instrument(instrument: Instrument, known: Iterable[Instrument]) -> NotFound:
    """The error for an instrument that no feed lists. It names close matches on its exchange."""
    close = similar_symbols(instrument, known)
    return NotFound(
        f"{instrument.exchange} lists no {instrument.symbol!r}",
        suggestion=f"Did you mean {' or '.join(close)}?"
        if close
        else f'market_tickers(exchange="{instrument.exchange}") lists what {instrument.exchange} trades; '
        f"own candles come in with: heytraders-mcp data import FILE --symbol {instrument.ticker}",
    )


def empty_range(
    instrument: Instrument, timeframe: Timeframe, asked: tuple[int | None, int | None], first: int, last: int
) -> NotFound:
    """The error for a range without a closed bar. `first` and `last` are the available open times."""
    since, until = (None if edge is None else iso8601(edge) for edge in asked)
    wanted = f"from {since or 'the beginning'} to {until or 'now'}"
    if last < first:
        return NotFound(
            f"{instrument.ticker} has no closed {timeframe} bar yet; its first one opens at {iso8601(first)}",
            suggestion="Choose another symbol or a shorter timeframe",
        )
    return NotFound(
        f"{instrument.ticker} has no {timeframe} bar {wanted}",
        suggestion=f"Ask for a range between {iso8601(first)} and {iso8601(last)}, the first and last bar there are, "
        f"or have more candles imported: heytraders-mcp data import FILE --symbol {instrument.ticker}",
    )


def too_fine(instrument: Instrument, timeframe: Timeframe, stored: Iterable[Timeframe], source: Source) -> NotFound:
    """The error for bars shorter than the stored ones: they are neither built from longer bars nor simulated."""
    names = sorted(stored, key=lambda name: SECONDS[name])
    return NotFound(
        f"{instrument.ticker} was {'imported' if source == 'imported' else 'fetched'} as {' and '.join(names)}; "
        f"{timeframe} bars cannot be made from that",
        suggestion=f"Use {names[0]} or longer, or import {timeframe} candles: heytraders-mcp data import FILE "
        f"--symbol {instrument.ticker}",
    )


def tick_exponent(price: float) -> int:
    """The price step, as a power of ten, that gives a price seven significant digits."""
    return math.floor(math.log10(price)) - _SIGNIFICANT_DIGITS + 1


def lot_exponent(price: float) -> int:
    """The amount step, as a power of ten, that is worth 0.1 to 1 of the quote currency; at most one coin."""
    return min(0, -math.floor(math.log10(price)) - 1)


def step(exponent: int) -> str:
    """A power of ten as an exact decimal."""
    return format(Decimal(1).scaleb(exponent), "f")


class Kept:
    """A cache of arrays that evicts the least recently used above `budget` bytes. Safe to share between threads."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._arrays: OrderedDict[Hashable, Floats] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Bytes in the cache."""
        return self._bytes

    def get(self, key: Hashable, make: Callable[[], Floats]) -> Floats:
        """The array for this key, created if missing; read-only. Two threads may both create it."""
        with self._lock:
            if (kept := self._arrays.get(key)) is not None:
                self._arrays.move_to_end(key)
                return kept
        made = make()
        made.flags.writeable = False
        with self._lock:
            if key not in self._arrays:
                self._arrays[key] = made
                self._bytes += made.nbytes
            while self._bytes > self._budget and len(self._arrays) > 1:
                self._bytes -= self._arrays.popitem(last=False)[1].nbytes
        return made

"""Candles of real exchanges: read from the store, with missing bars fetched from the exchange on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import numpy as np

from api.errors import HeyTradersError, NotFound
from api.exchanges import ExchangeId
from api.symbols import Instrument
from api.times import SECONDS, Clock, Timeframe, next_opening, opening
from engine.frame import Bars, Floats, Source, Times
from engine.store.candles import FIELDS
from engine.store.database import Store
from engine.store.exchange_data import Fetched, SeriesKind, find_fetched, gaps, read_fetched
from engine.venues.exchange.markets import ExchangeMarket, LivePrice, Markets

from .exchange_fetch import Fetcher, FetchProgress, Wanted, closed_until, page_bars, served_as, too_old
from .feed import Candles, InstrumentListing, Kept, empty_range, unknown_instrument
from .stored import resample

_BUDGET: Final = 64 * 2**20
_TOP: Final = 50
_REACHES: Final = 4
"""How many times a request for the last bars extends further back when an exchange has gaps."""


class ExchangeFeed:
    """A feed of candles that exchanges published.

    Args:
        store: The database that holds them.
        clock: Determines which bars are closed.
        fetcher: Queries the exchanges; `None` serves stored candles only and never uses the network.
        markets: The listed markets.
    """

    def __init__(self, store: Store, clock: Clock, fetcher: Fetcher | None, markets: Markets) -> None:
        self._store = store
        self._clock = clock
        self._fetcher = fetcher
        self._markets = markets
        self._kept = Kept(_BUDGET)
        self._listings: dict[
            ExchangeId, tuple[Mapping[Instrument, ExchangeMarket], Mapping[Instrument, InstrumentListing]]
        ] = {}

    @property
    def source(self) -> Source:
        """See `SourceFeed`."""
        return "exchange"

    def has(self, instrument: Instrument) -> bool:
        """See `SourceFeed`: the exchange lists it, or some of its bars are stored."""
        try:
            return instrument in self._markets.of(instrument.exchange)
        except HeyTradersError:
            return self._stored(instrument, "1h") is not None

    def refresh(self) -> None:
        """Every read goes to the store, so there is nothing to refresh."""

    def listings(self, exchange: ExchangeId) -> Sequence[InstrumentListing]:
        """See `Feed`. The largest turnover of the last day comes first."""
        return list(self._listed(exchange).values())

    def listing(self, instrument: Instrument) -> InstrumentListing:
        """See `Feed`."""
        listed = self._listed(instrument.exchange)
        if (found := listed.get(instrument)) is None:
            raise unknown_instrument(instrument, listed)
        return found

    def _listed(self, exchange: ExchangeId) -> Mapping[Instrument, InstrumentListing]:
        """The listings of an exchange, built once for each market list."""
        markets = self._markets.of(exchange)
        kept = self._listings.get(exchange)
        if kept is None or kept[0] is not markets:
            rows = enumerate(markets.values(), 1)
            kept = (markets, {market.instrument: _listing(market, rank) for rank, market in rows})
            self._listings[exchange] = kept
        return kept[1]

    def live(self, exchange: ExchangeId) -> Mapping[Instrument, LivePrice]:
        """Live prices of everything listed, with the time of each.

        Raises:
            HeyTradersError: The exchange returns none.
        """
        if self._fetcher is None:
            return {}
        prices = self._markets.prices(exchange)
        listed = self._markets.of(exchange)
        return {one: prices[market.symbol] for one, market in listed.items() if market.symbol in prices}

    def live_price(self, instrument: Instrument) -> LivePrice | None:
        """The live price of one instrument, requested now; `None` for a feed without network access.

        Raises:
            HeyTradersError: The exchange returns none.
        """
        return None if self._fetcher is None else self._markets.price(self._fetcher.market(instrument))

    @property
    def fetcher(self) -> Fetcher | None:
        """The client for the exchanges."""
        return self._fetcher

    def fetch(
        self, wanted: Sequence[tuple[Instrument, Timeframe, tuple[int, int]]], progress: FetchProgress | None = None
    ) -> dict[Instrument, HeyTradersError]:
        """Fetch missing parts of many series, several at a time; returns the errors by series."""
        if self._fetcher is None:
            return {}
        asked = [Wanted(one, served_as(one, timeframe), span) for one, timeframe, span in wanted]
        return self._fetcher.ensure_all(asked, progress)

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
        closed = closed_until(self._clock, timeframe)
        until = closed if end is None else min(closed, next_opening(end, timeframe))
        since = None if start is None else next_opening(start, timeframe)
        block = self._read(instrument, timeframe, since, until, limit)
        if not block.shape[1]:
            raise self._nothing(instrument, timeframe, (start, end))
        time = block[0].astype(np.int64)
        partial = block[-1] < SECONDS[timeframe] // SECONDS[served_as(instrument, timeframe)]
        for array in (time, partial):
            array.flags.writeable = False
        bars = Bars(*block[1:FIELDS], source="exchange", partial=partial if partial.any() else None)
        return Candles(instrument, timeframe, time, bars)

    def funding(self, instrument: Instrument, start: int, end: int) -> tuple[Times, Floats]:
        """Funding rates with `start <= time < end`: when they are due, and what longs pay shorts, as a fraction.

        Raises:
            HeyTradersError: The exchange returns none.
        """
        if self._fetcher is not None:
            self._fetcher.ensure_funding(instrument, (start, end))
        series = self._stored(instrument, "funding")
        if series is None:
            return np.empty(0, dtype=np.int64), np.empty(0)
        block = self._store.read_now(lambda c: read_fetched(c, series, start=start, end=end, limit=None))
        return block[0].astype(np.int64), block[4]

    def funding_gaps(self, instrument: Instrument, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of `start <= time < end` for which no funding rates are stored, oldest first."""
        series = self._stored(instrument, "funding")
        return gaps(() if series is None else series.covered, (start, end))

    def _read(
        self, instrument: Instrument, timeframe: Timeframe, since: int | None, until: int, limit: int | None
    ) -> Floats:
        """The requested bars, after fetching those that are missing."""
        source = served_as(instrument, timeframe)
        seconds = SECONDS[timeframe]
        floor = 0 if self._fetcher is None else self._fetcher.first_available(instrument, source)
        if limit is None or (since is not None and (until - since) // seconds <= limit):
            first = floor if since is None else since
            self._complete(instrument, source, (first, until))
            return self._bars(instrument, source, timeframe, since, until, limit)
        reach = limit
        block: Floats = np.empty((FIELDS + 1, 0))
        for _ in range(_REACHES):
            first = max(floor, until - reach * seconds, since if since is not None else floor)
            self._complete(instrument, source, (first, until))
            block = self._bars(instrument, source, timeframe, since, until, limit)
            if block.shape[1] >= limit or first <= floor or first == since:
                break
            if not block.shape[1] and reach >= page_bars(instrument, source):
                break
            reach = max(reach * 2, page_bars(instrument, source))
        return block

    def _complete(self, instrument: Instrument, timeframe: Timeframe, span: tuple[int, int]) -> None:
        if self._fetcher is None or span[0] >= span[1]:
            return
        try:
            self._fetcher.ensure(instrument, timeframe, span)
        except HeyTradersError:
            series = self._stored(instrument, timeframe)
            if series is None or gaps(series.covered, _without_last(span, timeframe)):
                raise

    def _bars(
        self,
        instrument: Instrument,
        source: Timeframe,
        timeframe: Timeframe,
        since: int | None,
        until: int,
        limit: int | None,
    ) -> Floats:
        series = self._stored(instrument, source)
        if series is None:
            return np.empty((FIELDS + 1, 0))
        key = (series.id, series.revision, timeframe, since, until, limit)
        return self._kept.get(key, lambda: self._load(series, source, timeframe, since, until, limit))

    def _load(
        self,
        series: Fetched,
        source: Timeframe,
        timeframe: Timeframe,
        since: int | None,
        until: int,
        limit: int | None,
    ) -> Floats:
        per_bar = SECONDS[timeframe] // SECONDS[source]
        needed = None if limit is None or per_bar > 1 else limit
        block = self._store.read_now(lambda c: read_fetched(c, series, start=since, end=until, limit=needed))
        begun = series.covered[0][0] if series.covered else 0
        block = resample(block, SECONDS[source], timeframe, max(begun, since or begun))
        return np.array(block if limit is None else block[:, max(0, block.shape[1] - limit) :])

    def _stored(self, instrument: Instrument, kind: SeriesKind) -> Fetched | None:
        return self._store.read_now(lambda connection: find_fetched(connection, instrument, kind))

    def _nothing(self, instrument: Instrument, timeframe: Timeframe, asked: tuple[int | None, int | None]) -> NotFound:
        series = self._stored(instrument, served_as(instrument, timeframe))
        if self._fetcher is not None:
            first = self._fetcher.first_available(instrument, timeframe)
            if asked[1] is not None and asked[1] <= first and first > 1_500_000_000:
                return too_old(instrument, timeframe, first)
        if series is None or not series.bars:
            if self._fetcher is None:
                return NotFound(
                    f"no {timeframe} candles of {instrument.ticker} are stored",
                    suggestion=f"heytraders-mcp data fetch {instrument.ticker} --timeframe {timeframe} fetches them",
                )
            return NotFound(
                f"{instrument.ticker} has no closed {timeframe} bar in that range",
                suggestion="Choose a later range: the market may have opened after it",
            )
        block = self._store.read_now(lambda c: read_fetched(c, series, start=None, end=None, limit=None))
        first, last = (opening(int(block[0, at]), timeframe) for at in (0, -1))
        return empty_range(instrument, timeframe, asked, first, last)


def _without_last(span: tuple[int, int], timeframe: Timeframe) -> tuple[int, int]:
    """A span without its newest bars, which a stored series may lack when an exchange cannot be reached."""
    return span[0], max(span[0] + 1, span[1] - 2 * SECONDS[timeframe])


def _listing(market: ExchangeMarket, rank: int) -> InstrumentListing:
    from .simulation.coins import assets

    asset = assets().get(market.instrument.base)
    return InstrumentListing(
        instrument=market.instrument,
        rank=rank,
        sector=None if asset is None else asset.sector,
        categories=("top_volume",) if rank <= _TOP else (),
        tick_size=f"{market.tick:f}",
        lot_size=f"{market.lot:f}",
        source="exchange",
        title=market.title,
        resolves_at=market.resolves_at,
        payout=market.payout,
        min_amount=_text(market.min_amount),
        min_notional=_text(market.min_cost),
        maker_fee=_text(market.maker_fee),
        taker_fee=_text(market.taker_fee),
    )


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"

"""Fetching candles and funding rates from an exchange into the store, page by page.

Every page is stored on arrival with the range it covers, so a killed fetch resumes where it stopped. Bars that the
exchange does not have stay missing. A bar counts as closed two seconds after its close.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from api.errors import HeyTradersError, NotFound, RateLimited, Unavailable
from api.exchanges import EXCHANGES
from api.symbols import Instrument
from api.times import SECONDS, Clock, Timeframe, iso8601, opening
from engine.store.candles import FIELDS, CandleBlock
from engine.store.database import Store
from engine.store.exchange_data import Fetched, SeriesKind, TimeSpan, add_fetched, find_fetched, gaps
from engine.venues.exchange.conventions import CONVENTIONS
from engine.venues.exchange.markets import ExchangeMarket, Markets
from engine.venues.exchange.session import Connector

SETTLED_SECONDS: Final = 2
"""An exchange's clock may be behind ours, so a bar counts as closed this much later."""

TOGETHER: Final = 4
"""The number of series fetched in parallel."""

PATIENCE: Final = 10.0
LONG_PATIENCE: Final = 180.0
FUNDING_SECONDS: Final = 3_600
"""Funding is paid on the hour; one request returns at most `FUNDING_PAGE` rates."""
FUNDING_PAGE: Final = 500
_LATE: Final = 180
"""Seconds after the hour during which its rate, if any, may still appear."""
EARLIEST: Final = 1_420_070_400
"""2015-01-01: no older candles are requested from any exchange."""

_LATEST_BARS: Final = 2
FetchProgress = Callable[[int, int], None]
"""Called with the bars done so far and the total requested."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A series and the requested time range."""

    instrument: Instrument
    timeframe: Timeframe
    span: TimeSpan


class Fetcher:
    """Fetches missing parts of series. Blocking; safe to share between threads."""

    def __init__(self, store: Store, clock: Clock, connector: Connector, markets: Markets) -> None:
        self._store = store
        self._clock = clock
        self._connector = connector
        self._markets = markets
        self._locks: defaultdict[tuple[Instrument, SeriesKind], threading.Lock] = defaultdict(threading.Lock)

    @property
    def markets(self) -> Markets:
        """The listed markets."""
        return self._markets

    @property
    def connector(self) -> Connector:
        """The client for the exchanges."""
        return self._connector

    def closed(self, timeframe: Timeframe) -> int:
        """The open time of the first bar that is not closed yet."""
        return closed_until(self._clock, timeframe)

    def first_available(self, instrument: Instrument, timeframe: Timeframe) -> int:
        """The open time before which the exchange serves nothing."""
        newest = CONVENTIONS[instrument.exchange].newest_only
        reach = EARLIEST if newest is None else self.closed(timeframe) - newest * SECONDS[timeframe]
        return max(EARLIEST, reach)

    def ensure(
        self,
        instrument: Instrument,
        timeframe: Timeframe,
        span: TimeSpan,
        *,
        patience: float = PATIENCE,
        progress: FetchProgress | None = None,
    ) -> None:
        """Make sure the store has every closed bar of `span` that the exchange has.

        Raises:
            NotFound: The exchange does not list the instrument.
            RateLimited: It asks for a longer pause than `patience`.
            Unavailable: It cannot be reached, or sends invalid candles. Earlier pages stay stored.
        """
        seconds = SECONDS[timeframe]
        since = max(span[0], self.first_available(instrument, timeframe)) // seconds * seconds
        until = min(span[1], self.closed(timeframe))
        if since >= until or not gaps(self._covered(instrument, timeframe), (since, until)):
            return
        market = self.market(instrument)
        with self._locks[instrument, timeframe]:
            total = (until - since) // seconds
            for gap in gaps(self._covered(instrument, timeframe), (since, until)):
                for at in self._fill(market, timeframe, self._widened(market, timeframe, gap), patience):
                    if progress is not None:
                        progress(min(total, max(0, (at - since) // seconds)), total)
            if progress is not None:
                progress(total, total)

    def ensure_all(
        self, wanted: Sequence[Wanted], progress: FetchProgress | None = None
    ) -> dict[Instrument, HeyTradersError]:
        """`ensure` for many series, several at a time; returns the errors by series."""
        failed: dict[Instrument, HeyTradersError] = {}
        done = [0]
        lock = threading.Lock()

        def one(want: Wanted) -> None:
            try:
                self.ensure(want.instrument, want.timeframe, want.span, patience=LONG_PATIENCE)
            except HeyTradersError as error:
                failed[want.instrument] = error
            with lock:
                done[0] += 1
                if progress is not None:
                    progress(done[0], len(wanted))

        missing = [want for want in wanted if self.lacks(want)]
        done[0] = len(wanted) - len(missing)
        if len(missing) == 1:
            one(missing[0])
        elif missing:
            with ThreadPoolExecutor(TOGETHER, thread_name_prefix="fetch") as pool:
                list(pool.map(one, missing))
        return failed

    def lacks(self, want: Wanted) -> bool:
        """Whether any part of it is missing from the store."""
        seconds = SECONDS[want.timeframe]
        since = max(want.span[0], self.first_available(want.instrument, want.timeframe)) // seconds * seconds
        until = min(want.span[1], self.closed(want.timeframe))
        return since < until and bool(gaps(self._covered(want.instrument, want.timeframe), (since, until)))

    def market(self, instrument: Instrument) -> ExchangeMarket:
        """The market of an instrument.

        Raises:
            NotFound: Its exchange does not list it.
        """
        listed = self._markets.of(instrument.exchange)
        if (found := listed.get(instrument)) is None:
            from .feed import unknown_instrument

            raise unknown_instrument(instrument, listed)
        return found

    def ensure_funding(self, instrument: Instrument, span: TimeSpan, *, patience: float = PATIENCE) -> None:
        """Make sure the store has a perpetual's funding rates; spot markets and some exchanges have none.

        Raises:
            HeyTradersError: As for `ensure`.
        """
        exchange = instrument.exchange
        if EXCHANGES[exchange].market_type != "perpetual" or not CONVENTIONS[exchange].tells_funding:
            return
        now = int(self._clock.now())
        hour = now // FUNDING_SECONDS * FUNDING_SECONDS
        since, until = span[0], min(span[1], hour + 1)
        if since >= until:
            return
        with self._locks[instrument, "funding"]:
            for gap in gaps(self._covered(instrument, "funding"), (since, until)):
                self._fill_funding(instrument, gap, patience)

    def _covered(self, instrument: Instrument, kind: SeriesKind) -> tuple[TimeSpan, ...]:
        series = self._store.read_now(lambda connection: find_fetched(connection, instrument, kind))
        return () if series is None else series.covered

    def _widened(self, market: ExchangeMarket, timeframe: Timeframe, gap: TimeSpan) -> TimeSpan:
        """A gap smaller than a page, extended backwards so that one request returns a full page."""
        instrument, seconds = market.instrument, SECONDS[timeframe]
        back = gap[1] - page_bars(instrument, timeframe) * seconds
        if back >= gap[0]:
            return gap
        before = (until for _, until in self._covered(instrument, timeframe) if until <= gap[0])
        floor = max((self.first_available(instrument, timeframe), *before))
        return min(gap[0], max(back, floor)), gap[1]

    def _fill(self, market: ExchangeMarket, timeframe: Timeframe, gap: TimeSpan, patience: float) -> Iterable[int]:
        """Fetch a gap from its start; yields the time up to which it is complete."""
        instrument, seconds = market.instrument, SECONDS[timeframe]
        at, until = gap
        bars = page_bars(instrument, timeframe)
        while at < until:
            stop = min(until, at + bars * seconds)
            rows = self._rows(market, timeframe, at, stop, patience)
            block = checked(rows, instrument, timeframe, at, until)
            block[5] *= float(market.contract)
            last = int(block[0, -1]) + seconds if block.shape[1] else at
            reached = last if len(rows) >= bars else max(last, stop)
            reached = min(reached, until, max(last, self.closed(timeframe) - _LATEST_BARS * seconds))
            if reached <= at:
                return
            self._keep(instrument, timeframe, block, (at, reached), EXCHANGES[instrument.exchange].name)
            at = reached
            yield at

    def _rows(
        self, market: ExchangeMarket, timeframe: Timeframe, since: int, until: int, patience: float
    ) -> list[list[Any]]:
        exchange = market.instrument.exchange
        if CONVENTIONS[exchange].price_window is not None:
            return self._ticks(market, timeframe, since, until, patience)
        count = min(page_bars(market.instrument, timeframe), (until - since) // SECONDS[timeframe])
        return self._patiently(
            exchange,
            "fetch_ohlcv",
            market.symbol,
            timeframe,
            since * 1_000,
            max(count, 1),
            markets=lambda: self._markets.raw(exchange),
            patience=patience,
        )

    def _ticks(
        self, market: ExchangeMarket, timeframe: Timeframe, since: int, until: int, patience: float
    ) -> list[list[Any]]:
        """Where an exchange has prices but no candles, bars are built from the prices, with volume 0."""
        seconds = SECONDS[timeframe]
        asked = {"market": market.symbol, "fidelity": seconds // 60, "startTs": since, "endTs": until}
        answer = self._patiently(market.instrument.exchange, "clobPublicGetPricesHistory", asked, patience=patience)
        bars: dict[int, list[Any]] = {}
        for tick in answer.get("history") or ():
            at, price = int(tick["t"]) // seconds * seconds, float(tick["p"])
            bar = bars.setdefault(at, [at * 1_000, price, price, price, price, 0.0])
            bar[2], bar[3], bar[4] = max(bar[2], price), min(bar[3], price), price
        return [bars[at] for at in sorted(bars)]

    def _patiently(self, exchange: Any, method: str, *args: Any, patience: float, **more: Any) -> Any:
        """A read that waits as long as the exchange says, up to `patience` in all."""
        give_up = time.monotonic() + patience
        while True:
            left = give_up - time.monotonic()
            try:
                return self._connector.read(exchange, method, *args, patience=max(left, 1.0), **more)
            except RateLimited as limited:
                if (limited.retry_after or math.inf) > left:
                    raise
                time.sleep(limited.retry_after or 1.0)

    def _fill_funding(self, instrument: Instrument, gap: TimeSpan, patience: float) -> None:
        market, exchange = self.market(instrument), instrument.exchange
        at, until = gap
        while at < until:
            rows = self._patiently(
                exchange,
                "fetch_funding_rate_history",
                market.symbol,
                at * 1_000,
                FUNDING_PAGE,
                markets=lambda: self._markets.raw(exchange),
                patience=patience,
            )
            found = {
                round(row["timestamp"] / 60_000) * 60: float(row["fundingRate"])
                for row in rows
                if row.get("fundingRate") is not None and row.get("timestamp")
            }
            times = sorted(t for t in found if at <= t < until)
            block = np.empty((FIELDS, len(times)))
            block[0], block[1:5], block[5] = times, [found[t] for t in times], 0.0
            reached = until if len(rows) < FUNDING_PAGE or not times else times[-1] + 1
            if reached % FUNDING_SECONDS == 1 and reached - 1 not in found and self._clock.now() < reached + _LATE:
                reached -= 1
            if reached <= at:
                return
            self._keep(instrument, "funding", block, (at, reached), EXCHANGES[exchange].name)
            at = reached

    def keep(
        self, instrument: Instrument, timeframe: Timeframe, block: CandleBlock, span: TimeSpan, origin: str
    ) -> None:
        """Store bars that came from elsewhere, such as an archive."""
        self._keep(instrument, timeframe, block, span, origin)

    def _keep(self, instrument: Instrument, kind: SeriesKind, block: CandleBlock, span: TimeSpan, origin: str) -> None:
        now = time.time()
        self._store.write_now(
            lambda connection: add_fetched(connection, instrument, kind, block, span, origin=origin, now=now)
        )

    def stored(self, instrument: Instrument, kind: SeriesKind) -> Fetched | None:
        """The stored series, if anything of it is stored."""
        return self._store.read_now(lambda connection: find_fetched(connection, instrument, kind))


def closed_until(clock: Clock, timeframe: Timeframe) -> int:
    """The open time of the first bar that is not closed yet."""
    return opening(int(clock.now() - SETTLED_SECONDS), timeframe)


def page_bars(instrument: Instrument, timeframe: Timeframe) -> int:
    """The maximum number of bars in one request."""
    row = CONVENTIONS[instrument.exchange]
    return row.page if row.price_window is None else max(1, row.price_window // SECONDS[timeframe])


def served_as(instrument: Instrument, timeframe: Timeframe) -> Timeframe:
    """The timeframe to request: the same one, or the longest that the exchange has and that divides it."""
    lacks = CONVENTIONS[instrument.exchange].lacks
    if timeframe not in lacks:
        return timeframe
    whole = SECONDS[timeframe]
    return max((t for t, s in SECONDS.items() if t not in lacks and whole % s == 0), key=lambda t: SECONDS[t])


def checked(
    rows: Sequence[Sequence[Any]], instrument: Instrument, timeframe: Timeframe, since: int, until: int
) -> CandleBlock:
    """The rows of an answer as bars with `since <= open time < until`.

    Raises:
        Unavailable: A row cannot be a bar; the message names it.
    """
    seconds = SECONDS[timeframe]
    if not rows:
        return np.empty((FIELDS, 0))
    try:
        block = np.array([[float(cell if cell is not None else 0.0) for cell in row[:FIELDS]] for row in rows]).T
    except (TypeError, ValueError):
        raise _no_candles(instrument, "it is not numbers") from None
    block[0] /= 1_000
    order = np.argsort(block[0], kind="stable")
    block = block[:, order]
    time_, opened, high, low, close, volume = block
    rules = (
        (~np.isfinite(block.sum(axis=0)), "a value is not a finite number"),
        (time_ % seconds != 0, f"it does not open at a multiple of {timeframe}"),
        (np.diff(time_, prepend=-1) <= 0, "two bars have one time"),
        (block[1:5].min(axis=0) <= 0, "a price is not above 0"),
        ((high < opened) | (high < close) | (low > opened) | (low > close), "high and low do not enclose it"),
        (volume < 0, "its volume is negative"),
    )
    for broken, why in rules:
        if broken.any():
            at = float(time_[int(np.argmax(broken))])
            raise _no_candles(instrument, f"the bar of {iso8601(at) if math.isfinite(at) else at}: {why}")
    return block[:, (time_ >= since) & (time_ < until)]


def _no_candles(instrument: Instrument, why: str) -> Unavailable:
    return Unavailable(
        f"{EXCHANGES[instrument.exchange].name} sent candles of {instrument.symbol} that cannot be used: {why}",
        suggestion="Nothing of that answer was stored; try again later",
    )


def too_old(instrument: Instrument, timeframe: Timeframe, first: int) -> NotFound:
    """The exchange serves only a limited history."""
    newest = CONVENTIONS[instrument.exchange].newest_only
    return NotFound(
        f"{EXCHANGES[instrument.exchange].name} serves only the newest {newest:,} bars of {timeframe}: from"
        f" {iso8601(first)} on",
        suggestion="Choose a later range or a longer timeframe, or import older candles (heytraders-mcp data import)",
    )

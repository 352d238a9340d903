"""Downloads long histories: the cost estimate, the fetch, and Binance's public archive as the fast source.

The archive holds a month or a day of bars in one zip file with a checksum. Bars it lacks come from the API. Times are
in milliseconds, or in microseconds in spot files since 2025; the unit is detected for each time.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from api.errors import HeyTradersError, Unavailable, explain
from api.symbols import Instrument
from api.times import SECONDS, Timeframe
from engine.store.candles import CandleBlock
from engine.store.database import Store
from engine.store.exchange_data import TimeSpan, all_fetched, gaps
from engine.venues.exchange.conventions import CONVENTIONS
from engine.venues.exchange.session import Connector

from .cells import epoch_seconds
from .exchange_fetch import LONG_PATIENCE, Fetcher, FetchProgress, checked, page_bars, served_as, too_old

_WORTH_IT: Final = 900
"""The longest bars, in seconds, for which a month takes more API requests than archive downloads."""

_SECONDS_A_PAGE: Final = 0.3


@dataclass(frozen=True, slots=True)
class Job:
    """One series to fetch. `missing` counts the bars that are not settled yet; `requests` is how many it may take."""

    instrument: Instrument
    timeframe: Timeframe
    span: TimeSpan
    missing: int
    requests: int
    limit: str | None = None
    """Why `span` begins later than requested, if the exchange does not serve the whole history."""

    @property
    def bars(self) -> int:
        """How many bars of this length there are in the whole span."""
        return max(0, self.span[1] - self.span[0]) // SECONDS[self.timeframe]

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        return self.requests * max(_SECONDS_A_PAGE, CONVENTIONS[self.instrument.exchange].interval)


@dataclass(frozen=True, slots=True)
class FetchedRange:
    """The stored range of a series after a fetch; `error` is set if the fetch ended early."""

    job: Job
    bars: int
    holes: int
    covered: tuple[TimeSpan, ...]
    error: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fetch will do: the series, and what cannot be fetched, by name, with the reason."""

    jobs: list[Job] = field(default_factory=list[Job])
    refused: dict[str, HeyTradersError] = field(default_factory=dict[str, HeyTradersError])


def plan(fetcher: Fetcher, instruments: Sequence[Instrument], timeframe: Timeframe, span: TimeSpan) -> Plan:
    """The series to fetch so that `span` is complete for every instrument. Blocking.

    An instrument that its exchange does not list, or whose exchange cannot be reached, does not stop the others.
    """
    made = Plan()
    for instrument in instruments:
        try:
            made.jobs.append(_job(fetcher, instrument, timeframe, span))
        except HeyTradersError as error:
            made.refused[f"{instrument.ticker} {timeframe}"] = error
    return made


def _job(fetcher: Fetcher, instrument: Instrument, timeframe: Timeframe, span: TimeSpan) -> Job:
    fetcher.market(instrument)
    served = served_as(instrument, timeframe)
    seconds = SECONDS[served]
    first = fetcher.first_available(instrument, served)
    since = max(span[0], first) // seconds * seconds
    until = min(span[1], fetcher.closed(served))
    stored = fetcher.stored(instrument, served)
    covered = stored.covered if stored else ()
    parts = gaps(covered, (since, until)) if since < until else []
    missing = sum((stop - start) // seconds for start, stop in parts)
    files = sum(1 for part in parts for _ in _files(instrument, served, part, fetcher.closed("1d")))
    pages = sum(-(-(stop - start) // seconds // page_bars(instrument, served)) for start, stop in parts)
    requests = min(pages, 2 * files + 4) if files else pages
    is_cut = CONVENTIONS[instrument.exchange].newest_only is not None and bool(gaps(covered, (span[0], first)))
    limit = too_old(instrument, served, first).message if is_cut else None
    return Job(instrument, served, (since, until), missing, requests, limit)


def renewals(store: Store, fetcher: Fetcher) -> Plan:
    """The series to fetch to bring every stored series up to date. Blocking."""
    made = Plan()
    for series in store.read_now(all_fetched):
        if series.kind != "funding" and series.covered:
            span = (series.covered[-1][0], fetcher.closed(series.kind))
            part = plan(fetcher, [series.instrument], series.kind, span)
            made.jobs.extend(part.jobs)
            made.refused.update(part.refused)
    return made


def run(fetcher: Fetcher, job: Job, progress: FetchProgress) -> FetchedRange:
    """Fetch one series, from the archive where that is faster. Blocking; bars that arrived stay stored on failure."""
    error: str | None = None
    try:
        _from_archive(fetcher, job, progress)
        fetcher.ensure(job.instrument, job.timeframe, job.span, patience=LONG_PATIENCE, progress=progress)
        fetcher.ensure_funding(job.instrument, job.span, patience=LONG_PATIENCE)
    except HeyTradersError as failed:
        error = explain(failed)
    stored = fetcher.stored(job.instrument, job.timeframe)
    if stored is None:
        return FetchedRange(job, 0, 0, (), error)
    return FetchedRange(job, stored.bars, stored.holes or 0, stored.covered, error)


def _from_archive(fetcher: Fetcher, job: Job, progress: FetchProgress) -> None:
    instrument, timeframe = job.instrument, job.timeframe
    archive = CONVENTIONS[instrument.exchange].archive
    if archive is None:
        return
    stored = fetcher.stored(instrument, timeframe)
    total = max(1, (job.span[1] - job.span[0]) // SECONDS[timeframe])
    for part in gaps(stored.covered if stored else (), job.span):
        for span, url in _files(instrument, timeframe, part, fetcher.closed("1d")):
            try:
                block = _read(fetcher.connector, instrument, timeframe, url, span)
            except HeyTradersError:
                return  # the archive does not answer, and the API serves the same bars
            if block is not None:
                fetcher.keep(instrument, timeframe, block, span, archive.name)
                progress((span[1] - job.span[0]) // SECONDS[timeframe], total)


def _files(instrument: Instrument, timeframe: Timeframe, part: TimeSpan, today: int) -> Iterator[tuple[TimeSpan, str]]:
    """The archive files fully inside a gap, by address: months, then the days after the last month."""
    archive = CONVENTIONS[instrument.exchange].archive
    if archive is None or SECONDS[timeframe] > _WORTH_IT:
        return
    symbol = f"{instrument.base}{instrument.quote}"
    at = datetime.fromtimestamp(part[0], UTC)
    at = at.replace(hour=0, minute=0, second=0) + (timedelta(days=1) if part[0] % 86_400 else timedelta())
    until = datetime.fromtimestamp(min(part[1], today), UTC)
    while at < until:
        month = (at.replace(day=1) + timedelta(days=32)).replace(day=1)
        is_month = at.day == 1 and month <= until
        stop = month if is_month else at + timedelta(days=1)
        if stop > until:
            return
        period, name = ("monthly", f"{at:%Y-%m}") if is_month else ("daily", f"{at:%Y-%m-%d}")
        if is_month or timeframe == "1m":
            series = f"{archive.address}/data/{archive.folder}/{period}/klines/{symbol}/{timeframe}"
            yield (int(at.timestamp()), int(stop.timestamp())), f"{series}/{symbol}-{timeframe}-{name}.zip"
        at = stop


def _read(
    connector: Connector, instrument: Instrument, timeframe: Timeframe, url: str, span: TimeSpan
) -> CandleBlock | None:
    """The bars of one file; `None` if the archive has none or the checksum does not match.

    Raises:
        HeyTradersError: The archive does not answer.
    """
    exchange = instrument.exchange
    promised = connector.download(exchange, f"{url}.CHECKSUM", LONG_PATIENCE)
    packed = None if promised is None else connector.download(exchange, url, LONG_PATIENCE)
    if promised is None or packed is None or promised.split()[:1] != [hashlib.sha256(packed).hexdigest().encode()]:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            lines = archive.read(archive.namelist()[0]).decode("ascii").splitlines()
    except (zipfile.BadZipFile, UnicodeDecodeError, IndexError):
        return None
    rows = [row[:6] for row in csv.reader(lines) if row and row[0].isdecimal()]
    seconds, _ = epoch_seconds(np.array([float(row[0]) for row in rows]))
    try:
        numbered = [[at * 1_000, *row[1:]] for at, row in zip(seconds.tolist(), rows, strict=True)]
        return checked(numbered, instrument, timeframe, *span)
    except Unavailable:
        return None

"""`heytraders-mcp data`: candles in the embedded engine, imported from files or fetched from exchanges."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast, get_args

import anyio
import anyio.to_thread
import click

from api.exchanges import ExchangeId
from api.timeframes import Timeframe
from server.backend import open_engine
from server.logs import start_log
from server.settings import Settings

from .progress import ticking

if TYPE_CHECKING:
    from api.symbols import Instrument
    from engine.engine import Engine
    from engine.feeds.exchange_bulk import Job, Summary
    from engine.feeds.exchange_fetch import Fetcher
    from engine.feeds.importing import ImportReport
    from engine.feeds.market import MarketFeed
    from engine.store.database import Store
    from engine.store.exchange_data import Fetched

Result = TypeVar("Result")


@click.group("data")
def command() -> None:
    """Import, fetch, list and remove candles."""


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--symbol", required=True, help="What the candles are of, such as BINANCE:BTC/USDT.")
@click.option("--timeframe", type=click.Choice(get_args(Timeframe)), required=True, help="Length of a bar.")
@click.option("--allow-gaps", is_flag=True, help="Accept missing bars; they stay missing.")
@click.option("--replace", is_flag=True, help="Where the file contradicts stored bars, the file wins.")
def import_(*, file: Path, symbol: str, timeframe: str, allow_gaps: bool, replace: bool) -> None:
    """Import a CSV or Parquet FILE: all of it, or nothing if a row is wrong."""
    bars = cast("Timeframe", timeframe)
    report = anyio.run(partial(import_candles, _settings(), file, symbol, bars, allow_gaps=allow_gaps, replace=replace))
    click.echo(report)


@command.command("list")
def list_() -> None:
    """List what is stored: what of, since when, until when, where it comes from, and what is missing in it."""
    from engine.clock import iso8601
    from engine.feeds.importing import list_imports

    settings = _settings()
    found = anyio.run(_with_store, settings, list_imports)
    fetched = anyio.run(_with_store, settings, _all_fetched)
    for series in fetched:
        spans = ", ".join(f"{iso8601(since)} to {iso8601(until)}" for since, until in series.covered)
        holes = f", {series.holes} missing at the exchange" if series.holes else ""
        what = "rates" if series.kind == "funding" else "bars"
        click.echo(
            f"{series.instrument.ticker:<28} {series.kind:<7} {spans}  {series.bars} {what}{holes}  {series.origin}"
        )
    for series in found:
        span = f"{iso8601(series.start)} to {iso8601(series.end)}"
        gaps = f", {series.missing} missing" if series.missing else ""
        click.echo(
            f"{series.instrument.ticker:<28} {series.timeframe:<4} {span}  {series.bars} bars{gaps}  {series.file}"
        )
    if not found and not fetched:
        rest = "comes from the exchanges when it is asked for" if settings.data == "exchange" else "is simulated"
        click.echo(f"Nothing is imported or fetched; all market data {rest}.")


@command.command("fetch")
@click.argument("symbols", nargs=-1, required=True)
@click.option("--timeframe", type=click.Choice(get_args(Timeframe)), required=True, help="Length of a bar.")
@click.option("--since", required=True, help="First day, such as 2022-01-01.")
@click.option("--until", help="Day to end before.  [default: now]")
@click.option("--exchange", type=click.Choice(get_args(ExchangeId)), default="binance", show_default=True)
def fetch(*, symbols: tuple[str, ...], timeframe: str, since: str, until: str | None, exchange: str) -> None:
    """Fetch candles of SYMBOLS from their exchanges, and funding rates of perpetuals.

    SYMBOLS are tickers such as BINANCE:BTC/USDT, or top30, top50 and top100 of --exchange. A fetch that is interrupted
    goes on where it stopped when it is called again.
    """
    span = (_day(since, "--since"), _day(until, "--until") if until else 2**40)

    def jobs(feed: MarketFeed, fetcher: Fetcher, _store: Store) -> list[Job]:
        from engine.feeds.exchange_bulk import plan
        from engine.market.listings import KEYWORDS, instrument_of

        where = cast("ExchangeId", exchange)
        instruments: list[Instrument] = []
        for symbol in symbols:
            if symbol in KEYWORDS:
                instruments += [one.instrument for one in KEYWORDS[symbol](feed.listings(where))]
            else:
                instruments.append(instrument_of(feed, symbol, None if ":" in symbol.partition("/")[0] else where))
        return plan(fetcher, list(dict.fromkeys(instruments)), cast("Timeframe", timeframe), span)

    sys.exit(0 if anyio.run(_fetched, _settings(), jobs) else 1)


@command.command("update")
def update() -> None:
    """Bring everything that was fetched up to now."""

    def jobs(_feed: MarketFeed, fetcher: Fetcher, store: Store) -> list[Job]:
        from engine.feeds.exchange_bulk import renewals

        return renewals(store, fetcher)

    sys.exit(0 if anyio.run(_fetched, _settings(), jobs) else 1)


@command.command("remove")
@click.argument("symbol")
@click.option("--timeframe", type=click.Choice(get_args(Timeframe)), help="Only this one.  [default: all]")
def remove(*, symbol: str, timeframe: str | None) -> None:
    """Remove the imported candles of SYMBOL, which is simulated from then on."""
    from api.symbols import resolve
    from engine.feeds.importing import remove_import

    instrument = resolve(symbol)
    removal = partial(remove_import, instrument=instrument, timeframe=cast("Timeframe | None", timeframe))
    gone = anyio.run(_with_store, _settings(), removal)
    click.echo(f"Removed {gone} bars of {instrument.ticker}.")


def _all_fetched(store: Store) -> tuple[Fetched, ...]:
    from engine.store.exchange_data import all_fetched

    return store.read_now(all_fetched)


def _day(text: str, option: str) -> int:
    from api.errors import InvalidInput

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{option} {text!r} is not a day", suggestion="Write it as 2022-01-01") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


async def _fetched(settings: Settings, jobs: Callable[[MarketFeed, Fetcher, Store], list[Job]]) -> bool:
    """Fetch with a bar for each series; false when one of them failed."""
    async with open_engine(replace(settings, data="exchange")) as engine:
        return await anyio.to_thread.run_sync(_fetch_all, engine, jobs)


def _fetch_all(engine: Engine, jobs: Callable[[MarketFeed, Fetcher, Store], list[Job]]) -> bool:
    from engine.feeds.exchange_bulk import run

    exchanges = engine.feed.exchanges
    fetcher = None if exchanges is None else exchanges.fetcher
    if fetcher is None:
        raise RuntimeError("an engine on exchange data has no fetcher")
    planned = jobs(engine.feed, fetcher, engine.store)
    missing, requests = sum(job.missing for job in planned), sum(job.requests for job in planned)
    seconds = sum(job.seconds for job in planned)
    click.echo(
        f"{len(planned)} series, {missing:,} bars to fetch in about {requests:,} requests, {_duration(seconds)}.",
        err=True,
    )
    healthy = True
    for job in planned:
        label = f"{job.instrument.ticker} {job.timeframe}"
        with click.progressbar(length=max(1, job.missing), label=label, file=sys.stderr) as bar:
            summary = run(fetcher, job, lambda done, _, bar=bar: bar.update(done - bar.pos))
            bar.update(bar.length - bar.pos if bar.length else 0)
        healthy = healthy and summary.error is None
        click.echo(_summed_up(summary))
    return healthy


def _duration(seconds: float) -> str:
    return f"about {seconds / 60:.0f} minutes" if seconds > 90 else f"about {max(1, round(seconds))} s"


def _summed_up(summary: Summary) -> str:
    from engine.clock import iso8601

    job = summary.job
    spans = ", ".join(f"{iso8601(since)} to {iso8601(until)}" for since, until in summary.covered) or "nothing"
    holes = f", {summary.holes} missing at the exchange" if summary.holes else ""
    trouble = f"\n    stopped early: {summary.error}" if summary.error else ""
    return f"{job.instrument.ticker} {job.timeframe}: {summary.bars:,} bars stored, {spans}{holes}.{trouble}"


async def import_candles(
    settings: Settings,
    file: Path,
    symbol: str,
    timeframe: Timeframe,
    *,
    allow_gaps: bool = False,
    replace: bool = False,
) -> str:
    """Import a file and say what came of it."""
    from api.symbols import resolve
    from engine.feeds.importing import import_file

    instrument = resolve(symbol)
    importing = partial(
        import_file, path=file, instrument=instrument, timeframe=timeframe, allow_gaps=allow_gaps, replace=replace
    )
    return _told(await ticking(_with_store(settings, importing)))


def _told(report: ImportReport) -> str:
    from engine.clock import iso8601

    counts = f"{report.added} bars added, {report.replaced} replaced, {report.unchanged} unchanged"
    span = f"{report.instrument.ticker} {report.timeframe}, {iso8601(report.start)} to {iso8601(report.end)}"
    return "\n".join((f"{span}: {counts}.", *report.notes))


async def _with_store(settings: Settings, work: Callable[[Store], Result]) -> Result:
    async with open_engine(settings) as engine:
        return await anyio.to_thread.run_sync(work, engine.store)


def _settings() -> Settings:
    settings = Settings.read(os.environ)
    start_log(settings)
    return settings

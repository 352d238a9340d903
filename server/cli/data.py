"""`heytraders-mcp data`: candles in the embedded engine, imported from files or fetched from exchanges."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args

import anyio
import anyio.to_thread
import click

from api.exchanges import DEFAULT_EXCHANGE, ExchangeId
from api.times import Timeframe
from server.backend import open_engine
from server.logs import start_log
from server.settings import Settings

if TYPE_CHECKING:
    from api.errors import HeyTradersError
    from api.symbols import Instrument
    from engine.engine import Engine
    from engine.feeds.exchange_bulk import FetchedRange, Plan
    from engine.feeds.exchange_fetch import Fetcher
    from engine.feeds.importing import ImportOptions, ImportReport, TableImport
    from engine.feeds.market import MarketFeed
    from engine.store.database import Store
    from engine.store.exchange_data import Fetched


Result = TypeVar("Result")
DecimalMark = Literal["point", "comma"]


@click.group("data")
def data() -> None:
    """Import, fetch, list and remove candles."""


@data.command("import", short_help="Import candles from files and folders.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--symbol", help="The ticker of the candles, such as BINANCE:BTC/USDT.  [default: the file's]")
@click.option("--exchange", type=click.Choice(get_args(ExchangeId)), help="The exchange of the symbols in file names.")
@click.option("--timeframe", type=click.Choice(get_args(Timeframe)), help="Length of a bar.  [default: the file's]")
@click.option("--timezone", help="Time zone of times without one, such as Europe/Berlin.  [default: UTC]")
@click.option("--columns", help="Which column is what: time=Date,volume=- or time,low,high,open,close,volume.")
@click.option("--decimal", type=click.Choice(get_args(DecimalMark)), help="The decimal mark, where it is in doubt.")
@click.option("--allow-gaps", is_flag=True, help="Accept missing bars; they stay missing.")
@click.option("--replace", is_flag=True, help="Where a file contradicts stored bars, the file wins.")
@click.option("--dry-run", is_flag=True, help="Check everything and store nothing.")
def import_(*, paths: tuple[Path, ...], symbol: str | None, allow_gaps: bool, dry_run: bool, **given: Any) -> None:
    """Import candles from files, archives and folders at PATHS: each table whole, or not at all if a row is wrong.

    Formats are recognised by content: CSV with or without a header, JSON, Feather, Parquet, .zip and .gz, as written by
    Binance, Kraken, ccxt, freqtrade, TradingView, MetaTrader, pandas, yfinance and others.
    """
    from api.errors import HeyTradersError
    from api.symbols import resolve
    from engine.feeds.files import files_in
    from engine.feeds.importing import ImportOptions

    files = [file for path in paths for file in (files_in(path) if path.is_dir() else [path])]
    instrument = None if symbol is None else resolve(symbol, given["exchange"])
    options = ImportOptions(instrument=instrument, allow_gaps=allow_gaps, dry_run=dry_run, **given)
    outcomes = anyio.run(partial(_import_all, _settings(), files, options))
    failed = [outcome for outcome in outcomes if isinstance(outcome.result, HeyTradersError)]
    if len(outcomes) == len(failed) == 1 and isinstance(failed[0].result, HeyTradersError):
        raise failed[0].result
    for outcome in outcomes:
        click.echo(_told(outcome.result, dry_run=dry_run))
    if len(outcomes) != 1:
        done = "would be imported" if dry_run else "imported"
        click.echo(f"{len(outcomes) - len(failed)} of {len(outcomes)} tables {done}, {len(failed)} refused.")
    sys.exit(1 if failed or not outcomes else 0)


@data.command("list", short_help="List stored candles.")
def list_() -> None:
    """List stored candles: their tickers, ranges, sources and gaps."""
    from api.times import iso8601
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


@data.command("fetch", short_help="Fetch candles from exchanges.")
@click.argument("symbols", nargs=-1, required=True)
@click.option("--timeframe", type=click.Choice(get_args(Timeframe)), required=True, help="Length of a bar.")
@click.option("--since", required=True, help="First day, such as 2022-01-01.")
@click.option("--until", help="Day to end before.  [default: now]")
@click.option("--exchange", type=click.Choice(get_args(ExchangeId)), default=DEFAULT_EXCHANGE, show_default=True)
def fetch(*, symbols: tuple[str, ...], timeframe: str, since: str, until: str | None, exchange: str) -> None:
    """Fetch candles of SYMBOLS from their exchanges, and funding rates of perpetuals.

    SYMBOLS are tickers such as BINANCE:BTC/USDT, or top30, top50 and top100 of --exchange. Call an interrupted
    fetch again, and it continues where it stopped.
    """
    span = _span(since, until)

    def planned(feed: MarketFeed, fetcher: Fetcher, _store: Store) -> Plan:
        from api.errors import HeyTradersError
        from engine.feeds.exchange_bulk import plan
        from engine.market.listings import KEYWORDS, instrument_of

        where = cast("ExchangeId", exchange)
        instruments: list[Instrument] = []
        refused: dict[str, HeyTradersError] = {}
        for symbol in symbols:
            try:
                if symbol in KEYWORDS:
                    instruments += [one.instrument for one in KEYWORDS[symbol](feed.listings(where))]
                else:
                    instruments.append(instrument_of(feed, symbol, None if ":" in symbol.partition("/")[0] else where))
            except HeyTradersError as error:
                refused[symbol] = error
        made = plan(fetcher, list(dict.fromkeys(instruments)), cast("Timeframe", timeframe), span)
        made.refused.update(refused)
        return made

    sys.exit(0 if anyio.run(_fetched, _settings(), planned) else 1)


@data.command("update", short_help="Bring fetched candles up to date.")
def update() -> None:
    """Bring everything that was fetched up to date."""

    def planned(_feed: MarketFeed, fetcher: Fetcher, store: Store) -> Plan:
        from engine.feeds.exchange_bulk import renewals

        return renewals(store, fetcher)

    sys.exit(0 if anyio.run(_fetched, _settings(), planned) else 1)


@data.command("remove", short_help="Remove imported candles.")
@click.argument("symbol")
@click.option("--timeframe", type=click.Choice(get_args(Timeframe)), help="Only this one.  [default: all]")
def remove(*, symbol: str, timeframe: str | None) -> None:
    """Remove the imported candles of SYMBOL. Its prices then come from HEYTRADERS_DATA."""
    from api.symbols import resolve
    from engine.feeds.importing import remove_import

    instrument = resolve(symbol)
    removal = partial(remove_import, instrument=instrument, timeframe=cast("Timeframe | None", timeframe))
    settings = _settings()
    gone = anyio.run(_with_store, settings, removal)
    rest = "come from the exchange" if settings.data == "exchange" else "are simulated"
    click.echo(f"Removed {gone} bars of {instrument.ticker}. Prices that are not imported {rest}.")


def _all_fetched(store: Store) -> tuple[Fetched, ...]:
    from engine.store.exchange_data import all_fetched

    return store.read_now(all_fetched)


def _span(since: str, until: str | None) -> tuple[int, int]:
    """The days to fetch, as unix seconds.

    Raises:
        InvalidInput: There is no time between them that has passed.
    """
    from api.errors import InvalidInput

    start, end = _day(since, "--since"), _day(until, "--until") if until else int(time.time())
    if start >= end:
        late = f"--until {until!r}" if until else "now"
        raise InvalidInput(f"--since {since!r} is not before {late}", suggestion="Choose an earlier day")
    return start, end if until else 2**40


def _day(text: str, option: str) -> int:
    from api.errors import InvalidInput

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{option} {text!r} is not a day", suggestion="Write it as 2022-01-01") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


async def _fetched(settings: Settings, plan: Callable[[MarketFeed, Fetcher, Store], Plan]) -> bool:
    """Fetch with a progress bar for each series; false if one failed."""
    async with open_engine(replace(settings, data="exchange")) as engine:
        return await anyio.to_thread.run_sync(_fetch_all, engine, plan)


def _fetch_all(engine: Engine, plan: Callable[[MarketFeed, Fetcher, Store], Plan]) -> bool:
    from api.errors import explain
    from engine.feeds.exchange_bulk import run

    exchanges = engine.feed.exchanges
    fetcher = None if exchanges is None else exchanges.fetcher
    if fetcher is None:
        raise RuntimeError("an engine on exchange data has no fetcher")
    planned = plan(engine.feed, fetcher, engine.store)
    if not planned.jobs and len(planned.refused) == 1:
        raise next(iter(planned.refused.values()))
    missing, requests = sum(job.missing for job in planned.jobs), sum(job.requests for job in planned.jobs)
    seconds = sum(job.seconds for job in planned.jobs)
    estimate = f"{missing:,} bars to fetch in about {requests:,} requests, {_duration(seconds)}"
    click.echo(f"{len(planned.jobs)} series, {estimate if requests else 'all of it is stored'}.", err=True)
    for name, error in planned.refused.items():
        click.echo(f"{name}: not fetched. {explain(error)}")
    healthy = not planned.refused
    for job in planned.jobs:
        label = f"{job.instrument.ticker} {job.timeframe}"
        with click.progressbar(length=max(1, job.bars), label=label, file=sys.stderr) as bar:
            summary = run(fetcher, job, lambda done, _, bar=bar: bar.update(done - bar.pos))
            if summary.error is None:
                bar.update(max(1, job.bars) - bar.pos)
        healthy = healthy and summary.error is None
        click.echo(_summed_up(summary))
    return healthy


def _duration(seconds: float) -> str:
    return f"about {seconds / 60:.0f} minutes" if seconds > 90 else f"about {max(1, round(seconds))} s"


def _summed_up(summary: FetchedRange) -> str:
    from api.times import iso8601

    job = summary.job
    spans = ", ".join(f"{iso8601(since)} to {iso8601(until)}" for since, until in summary.covered) or "nothing"
    holes = f", {summary.holes} missing at the exchange" if summary.holes else ""
    limit = f"\n    {job.limit}." if job.limit else ""
    trouble = f"\n    stopped early: {summary.error}" if summary.error else ""
    return f"{job.instrument.ticker} {job.timeframe}: {summary.bars:,} bars stored, {spans}{holes}.{limit}{trouble}"


async def import_candles(
    settings: Settings, file: Path, symbol: str, timeframe: Timeframe, *, allow_gaps: bool = False
) -> str:
    """Import a file and print the result."""
    from api.errors import HeyTradersError
    from api.symbols import resolve
    from engine.feeds.importing import ImportOptions

    options = ImportOptions(resolve(symbol), timeframe=timeframe, allow_gaps=allow_gaps)
    (outcome,) = await _import_all(settings, [file], options)
    if isinstance(outcome.result, HeyTradersError):
        raise outcome.result
    return _told(outcome.result)


async def _import_all(settings: Settings, files: list[Path], options: ImportOptions) -> tuple[TableImport, ...]:
    from engine.feeds.importing import import_all

    if len(files) == 1:
        return await ticking(_with_store(settings, lambda store: import_all(store, files, options)))
    with click.progressbar(length=len(files), label="Importing", file=sys.stderr) as bar:
        return await _with_store(
            settings, lambda store: import_all(store, files, options, progress=lambda: bar.update(1))
        )


def _told(result: ImportReport | HeyTradersError, *, dry_run: bool = False) -> str:
    from api.errors import HeyTradersError, explain
    from api.times import iso8601

    if isinstance(result, HeyTradersError):
        return f"Refused: {explain(result)}"
    counts = f"{result.added} bars added, {result.replaced} replaced, {result.unchanged} unchanged"
    span = f"{result.instrument.ticker} {result.timeframe}, {iso8601(result.start)} to {iso8601(result.end)}"
    origin = result.origin
    return "\n".join(
        (
            f"{span}: {counts}{' (dry run: nothing was stored)' if dry_run else ''}.",
            f"  {result.file} was read as {origin.layout}; {origin.columns}; times in {origin.times}.",
            *(f"  {note}" for note in result.notes),
        )
    )


async def _with_store(settings: Settings, work: Callable[[Store], Result]) -> Result:
    async with open_engine(settings) as engine:
        return await anyio.to_thread.run_sync(work, engine.store)


def _settings() -> Settings:
    settings = Settings.read(os.environ)
    start_log(settings)
    return settings


async def ticking(work: Awaitable[Result]) -> Result:
    """Await something, printing a dot each second if stderr is a terminal."""
    if not sys.stderr.isatty():
        return await work
    dots = 0

    async def tick() -> None:
        nonlocal dots
        while True:
            await anyio.sleep(1)
            dots += 1
            click.echo(".", nl=False, err=True)

    results: list[Result] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        results.append(await work)
        tasks.cancel_scope.cancel()
    if dots:
        click.echo(err=True)
    return results[0]

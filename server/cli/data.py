"""`heytraders-mcp data`: the user's own candles in the embedded engine, where they win over simulated ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast, get_args

import anyio
import anyio.to_thread
import click

from api.timeframes import Timeframe
from server.backend import open_engine
from server.logs import start_log
from server.settings import Settings

from .progress import ticking

if TYPE_CHECKING:
    from engine.feeds.importing import ImportReport
    from engine.store.database import Store

Result = TypeVar("Result")


@click.group("data")
def command() -> None:
    """Import, list and remove candles."""


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
    """List what is imported."""
    from engine.clock import iso8601
    from engine.feeds.importing import list_imports

    found = anyio.run(_with_store, _settings(), list_imports)
    for series in found:
        span = f"{iso8601(series.start)} to {iso8601(series.end)}"
        gaps = f", {series.missing} missing" if series.missing else ""
        click.echo(
            f"{series.instrument.ticker:<28} {series.timeframe:<4} {span}  {series.bars} bars{gaps}  {series.file}"
        )
    if not found:
        click.echo("Nothing is imported; all market data is simulated.")


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

"""Imports candles from a file, an archive or a folder. Each table is imported completely or not at all.

A file may overlap stored bars. Identical rows change nothing. New rows are added before, after or in gaps. A row that
contradicts a stored one is refused, unless `replace` lets the file win.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import sqlalchemy as sa

from api.errors import HeyTradersError, InvalidInput, NotFound, clean
from api.exchanges import ExchangeId
from api.symbols import Instrument
from api.times import SECONDS, Clock, SystemClock, Timeframe, iso8601
from engine.frame import Bools
from engine.store.candles import CandleBlock, Series, all_series, delete_series, read_block, series_table, write_block
from engine.store.database import Store, new_id

from .cells import Decimal
from .checking import TOLERANCE, Checked, check
from .files import CandleTable, symbol_in, tables_of, timeframe_in
from .tables import ReadOptions, Rows, TableOrigin, read_table


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Result of an import. Counts are bars; `start` and `end` are the file's first and last open time, unix seconds.

    `missing` counts the bars missing in gaps of the whole stored series. `notes` are sentences for the user. `origin`
    says how the table was interpreted. After a dry run, the counts are those of the import that would have run.
    """

    instrument: Instrument
    timeframe: Timeframe
    file: str
    rows: int
    added: int
    replaced: int
    unchanged: int
    missing: int
    start: int
    end: int
    notes: tuple[str, ...]
    origin: TableOrigin


@dataclass(frozen=True, slots=True)
class ImportedSeries:
    """A stored series. `start` and `end` are its first and last open time, unix seconds."""

    instrument: Instrument
    timeframe: Timeframe
    bars: int
    missing: int
    start: int
    end: int
    file: str
    imported_at: int


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Import options. A value of None is detected from the table or its name.

    Attributes:
        instrument: The instrument of the candles.
        exchange: Its exchange, when only the symbol is detected.
        timeframe: The length of a bar.
        columns: See `ReadOptions`.
        timezone: See `ReadOptions`.
        decimal: See `ReadOptions`.
        allow_gaps: Accept missing bars; they stay missing.
        replace: Rows that contradict stored ones replace them.
        dry_run: Check everything and store nothing.
    """

    instrument: Instrument | None = None
    exchange: ExchangeId | None = None
    timeframe: Timeframe | None = None
    columns: str | None = None
    timezone: str | None = None
    decimal: Decimal | None = None
    allow_gaps: bool = False
    replace: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class TableImport:
    """The outcome for one table."""

    name: str
    result: ImportReport | HeyTradersError


def import_all(
    store: Store,
    paths: Sequence[Path],
    options: ImportOptions,
    *,
    clock: Clock | None = None,
    progress: Callable[[], None] | None = None,
) -> tuple[TableImport, ...]:
    """Import files, and every table in archives; each table completely or not at all. Blocking.

    A table that does not yet connect to the stored bars is tried again after the others.

    Args:
        store: The destination.
        paths: The files.
        options: The import options.
        clock: Determines which bars are closed.
        progress: Called after each file.
    """
    now = (clock or SystemClock()).now()
    outcomes: list[TableImport] = []
    waiting: list[CandleTable] = []
    for path in paths:
        try:
            for table in tables_of(path):
                result = _import(store, table, options, now)
                if isinstance(result, _Seam):
                    waiting.append(table)
                else:
                    outcomes.append(TableImport(table.name, result))
        except HeyTradersError as error:
            outcomes.append(TableImport(clean(path.name, 120), error))
        if progress is not None:
            progress()
    while waiting:
        results = [(table, _import(store, table, options, now)) for table in waiting]
        again = [table for table, result in results if isinstance(result, _Seam)]
        is_stuck = len(again) == len(waiting)
        outcomes += [TableImport(table.name, r) for table, r in results if is_stuck or not isinstance(r, _Seam)]
        waiting = [] if is_stuck else again
    return tuple(outcomes)


class _Seam(InvalidInput):
    """Bars are missing between the table and the stored series."""


def _import(store: Store, table: CandleTable, options: ImportOptions, now: float) -> ImportReport | HeyTradersError:
    try:
        guessed = options.instrument or symbol_in(table.name, None, options.exchange)
        wanted = ReadOptions(
            columns=options.columns,
            timezone=options.timezone,
            decimal=options.decimal,
            timeframe=options.timeframe,
            base=guessed.base if guessed else None,
        )
        rows = read_table(table, wanted)
        instrument = options.instrument or symbol_in(table.name, rows.origin.symbol, options.exchange)
        if instrument is None:
            raise InvalidInput(
                f"{table.name} does not say what its candles are of",
                suggestion="Add --symbol, such as BINANCE:BTC/USDT",
            )
        timeframe = options.timeframe or (timeframe_in(table.name) if rows.block.shape[1] == 1 else None)
        checked = check(rows, instrument, timeframe, now=now, allow_gaps=options.allow_gaps)
        return _store(store, rows, checked, instrument, options, now)
    except HeyTradersError as error:
        return error


def _store(
    store: Store, rows: Rows, checked: Checked, instrument: Instrument, options: ImportOptions, now: float
) -> ImportReport:
    timeframe = checked.timeframe
    if not checked.block.shape[1]:
        raise InvalidInput(f"{rows.name} holds one bar, which is not closed yet", suggestion="Import it once it is")

    def work(connection: sa.Connection) -> ImportReport:
        stored = _find(connection, instrument, timeframe)
        before = read_block(connection, stored.id) if stored else np.empty((6, 0))
        merged = _merge(before, checked.block, instrument, replace=options.replace)
        missing = _missing(merged.block, timeframe)
        if not options.allow_gaps and missing > (stored.missing if stored else 0):
            raise _seam(before, checked.block, instrument, timeframe)
        if merged.first_change is not None and not options.dry_run:
            facts = {
                "exchange": instrument.exchange,
                "base": instrument.base,
                "quote": instrument.quote,
                "timeframe": timeframe,
                "missing": missing,
                "file": rows.name[-255:],
                "imported_at": int(now),
            }
            series_id = _describe(connection, stored, merged.block, facts)
            write_block(connection, series_id, merged.block[:, merged.first_change :])
        return _report(merged, checked, rows, instrument, missing)

    return store.read_now(work) if options.dry_run else store.write_now(work)


def list_imports(store: Store) -> tuple[ImportedSeries, ...]:
    """All imported series, by instrument and timeframe. Blocking."""
    found = sorted(store.read_now(all_series), key=lambda s: (s.instrument.ticker, SECONDS[s.timeframe]))
    return tuple(
        ImportedSeries(
            instrument=series.instrument,
            timeframe=series.timeframe,
            bars=series.bars,
            missing=series.missing,
            start=series.first_time,
            end=series.last_time,
            file=series.file,
            imported_at=series.imported_at,
        )
        for series in found
    )


def remove_import(store: Store, instrument: Instrument, timeframe: Timeframe | None = None) -> int:
    """Remove one series, or all of an instrument; returns the number of bars removed. Blocking.

    Raises:
        NotFound: `DATA_UNAVAILABLE`, naming the imported series.
    """

    def work(connection: sa.Connection) -> int:
        known = all_series(connection)
        doomed = [s for s in known if s.instrument == instrument and timeframe in {None, s.timeframe}]
        if not doomed:
            there = ", ".join(f"{s.instrument.ticker} {s.timeframe}" for s in known[:10]) or "nothing"
            raise NotFound(
                f"no {timeframe or ''} candles of {instrument.ticker} are imported".replace("  ", " "),
                suggestion=f"Imported: {there}",
            )
        delete_series(connection, [series.id for series in doomed])
        return sum(series.bars for series in doomed)

    return store.write_now(work)


@dataclass(frozen=True, slots=True)
class _Merged:
    block: CandleBlock
    first_change: int | None
    added: int
    replaced: int
    unchanged: int


def _merge(before: CandleBlock, new: CandleBlock, instrument: Instrument, *, replace: bool) -> _Merged:
    is_stored = np.isin(new[0], before[0], assume_unique=True)
    is_common = np.isin(before[0], new[0], assume_unique=True)
    old, again = before[:, is_common], new[:, is_stored]
    differs = cast("Bools", (old[1:] != again[1:]).max(axis=0, initial=False))
    if differs.any() and not replace:
        raise _conflict(old[:, differs], again[:, differs], instrument)
    block = np.concatenate((before[:, ~is_common], new), axis=1)
    block = block[:, np.argsort(block[0], kind="stable")]
    changed = np.concatenate((new[0, ~is_stored], again[0, differs]))
    replaced = int(differs.sum())
    return _Merged(
        block=block,
        first_change=int((block[0] < changed.min()).sum()) if len(changed) else None,
        added=int((~is_stored).sum()),
        replaced=replaced,
        unchanged=again.shape[1] - replaced,
    )


def _missing(block: CandleBlock, timeframe: Timeframe) -> int:
    return int((block[0, -1] - block[0, 0]) / SECONDS[timeframe]) + 1 - block.shape[1]


def _find(connection: sa.Connection, instrument: Instrument, timeframe: Timeframe) -> Series | None:
    known = all_series(connection)
    return next((s for s in known if s.instrument == instrument and s.timeframe == timeframe), None)


def _describe(connection: sa.Connection, stored: Series | None, block: CandleBlock, facts: dict[str, str | int]) -> int:
    """Write the series' row and return its id."""
    values = {
        **facts,
        "first_time": int(block[0, 0]),
        "last_time": int(block[0, -1]),
        "bars": block.shape[1],
        "revision": new_id("rev"),
    }
    if stored is None:
        return connection.execute(sa.insert(series_table).values(values).returning(series_table.c.id)).scalar_one()
    connection.execute(sa.update(series_table).where(series_table.c.id == stored.id).values(values))
    return stored.id


def _report(merged: _Merged, checked: Checked, rows: Rows, instrument: Instrument, missing: int) -> ImportReport:
    said = {
        "The file is sorted newest first; its order was reversed.": checked.newest_first,
        "The newest bar is not closed yet and was left out.": checked.left_out_open_bar,
        f"{missing} bars are missing inside the series and stay missing.": missing > 0,
        f"Highs and lows that missed the open or close by rounding noise ({checked.noise:.1g} of the price at most): "
        f"{checked.moved}, moved to it (tolerance {TOLERANCE:g}).": checked.moved > 0,
    }
    return ImportReport(
        instrument=instrument,
        timeframe=checked.timeframe,
        file=rows.name,
        rows=checked.block.shape[1],
        added=merged.added,
        replaced=merged.replaced,
        unchanged=merged.unchanged,
        missing=missing,
        start=int(checked.block[0, 0]),
        end=int(checked.block[0, -1]),
        notes=(*(sentence for sentence, holds in said.items() if holds), *rows.origin.notes),
        origin=rows.origin,
    )


def _conflict(before: CandleBlock, after: CandleBlock, instrument: Instrument) -> InvalidInput:
    names = ("open", "high", "low", "close", "volume")
    there, here = before[1:, 0], after[1:, 0]
    values = ", ".join(
        f"{n} {a!r} stored, {b!r} in the file"
        for n, a, b in zip(names, there.tolist(), here.tolist(), strict=True)
        if a != b
    )
    others = after.shape[1] - 1
    return InvalidInput(
        f"the bar of {instrument.ticker} at {iso8601(after[0, 0])} is stored with other values ({values})"
        + (f"; so are {others} more" if others else ""),
        suggestion="Import with --replace if the file is right, or remove the series first; nothing was imported",
    )


def _seam(before: CandleBlock, new: CandleBlock, instrument: Instrument, timeframe: Timeframe) -> _Seam:
    stored = f"{iso8601(before[0, 0])} to {iso8601(before[0, -1])}"
    added = f"{iso8601(new[0, 0])} to {iso8601(new[0, -1])}"
    return _Seam(
        f"{timeframe} bars of {instrument.ticker} are stored from {stored}; the file holds {added}, and bars between"
        " the two would be missing",
        suggestion="Import the bars between first, or allow gaps (--allow-gaps), which then stay empty; "
        "nothing was imported",
    )

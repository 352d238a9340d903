"""Importing candles from a file: all of it or none of it.

A file may overlap what is stored. Rows that are already there with the same values change nothing; new rows are added,
before, after or in gaps; a row that contradicts a stored one is refused unless `replace` says that the file wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import sqlalchemy as sa

from api.errors import InvalidInput, NotFound
from api.symbols import Instrument
from api.timeframes import SECONDS, Timeframe
from engine.clock import Clock, SystemClock, iso8601
from engine.frame import Bools
from engine.store.candles import Block, Series, all_series, delete_series, read_block, series_table, write_block
from engine.store.database import Store
from engine.store.ids import new_id

from .checking import Checked, check
from .parsing import read_rows


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did. Counts are bars; `start` and `end` are the file's first and last open time, unix seconds.

    `missing` is how many bars gaps leave out of the whole stored series. `notes` are sentences for the user.
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


def import_file(
    store: Store,
    path: Path,
    instrument: Instrument,
    timeframe: Timeframe,
    *,
    allow_gaps: bool = False,
    replace: bool = False,
    clock: Clock | None = None,
) -> ImportReport:
    """Read a CSV or Parquet file of candles and store it. Blocking.

    Args:
        store: Where to.
        path: The file; columns are recognised by their names, other columns are ignored.
        instrument: What the candles are of.
        timeframe: The length of a bar in the file.
        allow_gaps: Accept missing bars; they stay missing.
        replace: Rows that contradict stored ones take their place.
        clock: Says which bars are closed.

    Raises:
        InvalidInput: A row breaks a rule or contradicts a stored one; names the row. Nothing was imported.
    """
    now = (clock or SystemClock()).now()
    rows = read_rows(path, instrument)
    checked = check(rows, path, instrument, timeframe, now=now, allow_gaps=allow_gaps)
    if not checked.block.shape[1]:
        raise InvalidInput(f"{path.name} holds one bar, which is not closed yet", suggestion="Import it once it is")

    def work(connection: sa.Connection) -> ImportReport:
        stored = _find(connection, instrument, timeframe)
        before = read_block(connection, stored.id) if stored else np.empty((6, 0))
        merged = _merge(before, checked.block, instrument, replace=replace)
        missing = _missing(merged.block, timeframe)
        if not allow_gaps and missing > (stored.missing if stored else 0):
            raise _seam(before, checked.block, instrument, timeframe)
        if merged.first_change is not None:
            facts = {
                "exchange": instrument.exchange,
                "base": instrument.base,
                "quote": instrument.quote,
                "timeframe": timeframe,
                "missing": missing,
                "file": path.name[:255],
                "imported_at": int(now),
            }
            series_id = _describe(connection, stored, merged.block, facts)
            write_block(connection, series_id, merged.block[:, merged.first_change :])
        return _report(merged, checked, instrument, timeframe, path.name, missing)

    return store.write_now(work)


def list_imports(store: Store) -> tuple[ImportedSeries, ...]:
    """Everything that is imported, by instrument and timeframe. Blocking."""
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
    """Remove one series, or all of an instrument; gives how many bars went. Blocking.

    Raises:
        NotFound: `DATA_UNAVAILABLE`, naming what is imported.
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
    block: Block
    first_change: int | None
    added: int
    replaced: int
    unchanged: int


def _merge(before: Block, new: Block, instrument: Instrument, *, replace: bool) -> _Merged:
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


def _missing(block: Block, timeframe: Timeframe) -> int:
    return int((block[0, -1] - block[0, 0]) / SECONDS[timeframe]) + 1 - block.shape[1]


def _find(connection: sa.Connection, instrument: Instrument, timeframe: Timeframe) -> Series | None:
    known = all_series(connection)
    return next((s for s in known if s.instrument == instrument and s.timeframe == timeframe), None)


def _describe(connection: sa.Connection, stored: Series | None, block: Block, facts: dict[str, str | int]) -> int:
    """Write the series' row; gives its id."""
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


def _report(
    merged: _Merged, checked: Checked, instrument: Instrument, timeframe: Timeframe, file: str, missing: int
) -> ImportReport:
    said = {
        "The file is sorted newest first; it was turned round.": checked.newest_first,
        "The newest bar is not closed yet and was left out.": checked.left_out_open_bar,
        f"{missing} bars are missing inside the series and stay missing.": missing > 0,
    }
    return ImportReport(
        instrument=instrument,
        timeframe=timeframe,
        file=file,
        rows=checked.block.shape[1],
        added=merged.added,
        replaced=merged.replaced,
        unchanged=merged.unchanged,
        missing=missing,
        start=int(checked.block[0, 0]),
        end=int(checked.block[0, -1]),
        notes=tuple(sentence for sentence, holds in said.items() if holds),
    )


def _conflict(before: Block, after: Block, instrument: Instrument) -> InvalidInput:
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


def _seam(before: Block, new: Block, instrument: Instrument, timeframe: Timeframe) -> InvalidInput:
    stored = f"{iso8601(before[0, 0])} to {iso8601(before[0, -1])}"
    added = f"{iso8601(new[0, 0])} to {iso8601(new[0, -1])}"
    return InvalidInput(
        f"{timeframe} bars of {instrument.ticker} are stored from {stored}; the file holds {added}, and bars between"
        " the two would be missing",
        suggestion="Import the bars between first, or allow gaps (--allow-gaps), which then stay empty; "
        "nothing was imported",
    )

"""From a CSV or Parquet file to numbers, with the place in the file of every row kept for what is said about it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Final, TextIO

import numpy as np

from api.errors import InvalidInput, clean
from api.symbols import Instrument
from engine.frame import Times
from engine.store.candles import FIELDS, Block

from .cells import epoch_seconds, numbers_of, text_times
from .columns import FIELD_NAMES, Rows, recognise
from .parquet import read_parquet

_BATCH: Final = 20_000
_DELIMITERS: Final = ",;\t|"
_HEADER_SEARCH: Final = 10
_SHOWN: Final = 60


def read_rows(path: Path, instrument: Instrument) -> Rows:
    """Read a file by its suffix: `.parquet` or `.pq`, anything else is taken for CSV.

    Raises:
        InvalidInput: The file cannot be read, has no usable header, or a field is no number or time; names the line.
    """
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            return read_parquet(path, instrument)
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read_csv(file, path.name, instrument)
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path.name} is not UTF-8 text (byte {error.start})", suggestion="Save it as CSV in UTF-8, or as Parquet"
        ) from error
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror or error}", suggestion="Name a CSV or Parquet file that exists"
        ) from error


def _read_csv(file: TextIO, name: str, instrument: Instrument) -> Rows:
    skipped, header, delimiter = _find_header(file, name)
    layout = _Layout(name, delimiter, recognise(header, instrument, f"{name}, line {skipped + 1}"), len(header))
    blocks: list[Block] = []
    lines: list[Times] = []
    read = skipped + 1
    while batch := list(islice(file, _BATCH)):
        if (block := _plain_block(layout, batch)) is None:
            _read_carefully(layout, chain(batch, file), read, blocks, lines)
            break
        blocks.append(block)
        lines.append(np.arange(read + 1, read + len(batch) + 1))
        read += len(batch)
    if not blocks:
        raise InvalidInput(f"{name} has a header and no rows", suggestion="Name a file that holds candles")
    return Rows(np.concatenate(blocks, axis=1), np.concatenate(lines), "line")


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a CSV file keeps what. `width` is how many columns it has."""

    name: str
    delimiter: str
    positions: tuple[int, ...]
    width: int


def _plain_block(layout: _Layout, batch: list[str]) -> Block | None:
    """The fast way, for lines of bare numbers. None where anything else occurs, be it wrong or only different."""
    text = "".join(batch)
    if '"' in text or text.count(layout.delimiter) != len(batch) * (layout.width - 1):
        return None
    try:
        block = np.loadtxt(batch, delimiter=layout.delimiter, usecols=layout.positions, ndmin=2, comments=None)
    except ValueError:
        return None
    if len(block) != len(batch):
        return None
    block[:, 0] = epoch_seconds(block[:, 0])
    return np.ascontiguousarray(block.T)


def _read_carefully(layout: _Layout, source: Iterator[str], read: int, blocks: list[Block], lines: list[Times]) -> None:
    """The way that takes quotes and text times, skips empty lines, and knows which line is wrong."""
    reader = csv.reader(source, delimiter=layout.delimiter, strict=True)
    rows: list[list[str]] = []
    numbers: list[int] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
                numbers.append(read + reader.line_num)
            if len(rows) == _BATCH:
                blocks.append(_to_block(layout, rows, numbers))
                lines.append(np.array(numbers))
                rows, numbers = [], []
    except csv.Error as error:
        raise InvalidInput(
            f"line {read + reader.line_num} of {layout.name} is not CSV: {error}", suggestion="Mend the quotes"
        ) from error
    if rows:
        blocks.append(_to_block(layout, rows, numbers))
        lines.append(np.array(numbers))


def _find_header(file: TextIO, name: str) -> tuple[int, list[str], str]:
    """Skip comment lines; give how many, the names, and the delimiter that separates most of them."""
    for skipped in range(_HEADER_SEARCH):
        text = file.readline()
        if not text:
            break
        delimiter = max(_DELIMITERS, key=text.count)
        if text.lstrip().startswith("#") or delimiter not in text:
            continue
        return skipped, next(csv.reader([text], delimiter=delimiter)), delimiter
    raise InvalidInput(
        f"{name} has no header line in its first {_HEADER_SEARCH} lines",
        suggestion="The first line names the columns: time,open,high,low,close,volume",
    )


def _to_block(layout: _Layout, rows: Sequence[list[str]], lines: Sequence[int]) -> Block:
    least = max(layout.positions) + 1
    for line, row in zip(lines, rows, strict=True):
        if len(row) < least or len(row) > layout.width:
            raise InvalidInput(
                f"line {line} of {layout.name} has {len(row)} fields, the header has {layout.width}: {_quoted(row)}",
                suggestion="Complete or remove the line and import again; nothing was imported",
            )
    block = np.empty((FIELDS, len(rows)))
    for field, position in enumerate(layout.positions):
        texts = [row[position] for row in rows]
        converted = text_times(texts) if field == 0 else numbers_of(texts)
        if isinstance(converted, int):
            kind = "time" if field == 0 else "number"
            found = f"{FIELD_NAMES[field]} {_quoted(texts[converted])}"
            raise InvalidInput(
                f"line {lines[converted]} of {layout.name}: {found} is no {kind}",
                suggestion=f"{_WAY_OUT[kind]}; nothing was imported",
            )
        block[field] = converted
    return block


_WAY_OUT: Final = {
    "time": "Write times as epoch seconds (or ms, us, ns) or ISO 8601 such as 2024-01-31T12:00:00Z",
    "number": "Write numbers with a point and nothing else, such as 43221.71",
}


def _quoted(value: str | Sequence[str]) -> str:
    text = value if isinstance(value, str) else ",".join(value)
    return repr(clean(text, _SHOWN))

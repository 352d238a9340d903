"""Reads files into rows of numbers: delimited text, JSON in the usual shapes, and Arrow tables."""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyarrow ships no types.

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from io import TextIOWrapper
from itertools import chain, islice
from typing import Any, Final, cast

import numpy as np

from api.errors import InvalidInput, UserMustAct, clean
from engine.frame import Floats
from engine.frame import Times as Integers
from engine.store.candles import FIELDS

from .cells import TimeColumn, epoch_seconds, is_number, is_time
from .columns import MAX_ROWS, PlainColumns, Rows, TableColumns, TableOrigin, in_zone, one_reading
from .files import CandleTable, reading
from .layouts import FIELD_NAMES, ReadOptions, TextRows, plain_name, recognised

MAX_JSON: Final = 256 * 2**20

_BATCH: Final = 20_000
_SAMPLE: Final = 50
_PREAMBLE: Final = 10
_DELIMITERS: Final = ";\t|,"
_LISTS: Final = ("data", "result", "results", "bars", "candles", "list", "ohlc", "klines", "rows", "values")
_LISTED: Final = frozenset({"ohlc", "bars", "candles", "list", "klines", "rows"})


def read_table(table: CandleTable, options: ReadOptions) -> Rows:
    """Read a table of candles.

    Raises:
        InvalidInput: It cannot be read, its layout is unknown, or a cell is ambiguous; names the row and the fix.
        UserMustAct: It needs a package that is not installed.
    """
    with reading(table.name):
        if table.kind in {"parquet", "feather"}:
            return _read_arrow(table, options)
        if table.kind == "json":
            return _read_grid(_json_grid(table), options)
        with TextIOWrapper(table.open(), encoding=table.encoding, newline="") as text:
            return _read_grid(_text_grid(table, text), options)


def _read_grid(grid: TextRows, options: ReadOptions) -> Rows:
    layout = recognised(grid, options)
    plain = PlainColumns(grid, layout, options)
    columns = TableColumns(grid, layout, options)
    for rows, lines, raw in grid.batches:
        if columns.count or raw is None or not plain.take(raw, lines):
            columns.add(rows, lines)
    notes: list[str] = []
    blocks, places = plain.blocks, plain.lines
    if columns.count:
        block, line, notes = columns.block()
        blocks, places = [*blocks, block], [*places, line]
    block, line = np.concatenate(blocks, axis=1), np.concatenate(places)
    symbols = {grid.symbol or ""} | columns.symbols
    if len(symbols - {""}) > 1:
        shown = ", ".join(sorted(symbols - {""})[:5])
        raise InvalidInput(f"{grid.name} holds several symbols: {shown}", suggestion="Split it into a file for each")
    shapes = sorted(columns.times.units | plain.units) or list(columns.times.readings.values)[:1]
    origin = TableOrigin(
        layout=layout.name,
        columns=layout.told(grid.header),
        times=" and ".join(shapes),
        notes=(*layout.notes, *notes),
        symbol=next(iter(symbols - {""}), None),
    )
    return Rows(block, line, grid.place, grid.name, origin)


def _text_grid(table: CandleTable, text: TextIOWrapper) -> TextRows:
    head = list(islice(text, _SAMPLE))
    if head:
        head[0] = head[0].removeprefix("\ufeff")
    shown = [line for line in head if line.strip() and not line.lstrip().startswith("#")]
    delimiter = _delimiter(shown)
    source: Iterator[str] = text
    if not delimiter and shown and all(_is_data(line.split()) for line in shown):
        delimiter, head, source = "\t", [*map(_in_tabs, head)], map(_in_tabs, text)
    start = next((i for i, line in enumerate(head[:_PREAMBLE]) if _begins(line, delimiter)), None)
    if not delimiter or start is None:
        raise InvalidInput(
            f"{table.name} has no header line and no candles in its first {_PREAMBLE} lines",
            suggestion="The first line names the columns: time,open,high,low,close,volume",
        )
    first = _split(head[start], delimiter)
    symbol = None
    header: list[str] | None = None
    if not _is_data(first):
        header, start, symbol = _yfinance(head, start, delimiter) or (first, start + 1, None)
    sample = [_split(line, delimiter) for line in head[start:] if line.strip()]
    if not sample:
        raise InvalidInput(f"{table.name} has a header and no rows", suggestion="Name a file that holds candles")
    source = chain(head[start:], source)
    return TextRows(
        table.name,
        "line",
        header,
        sample,
        _text_batches(table.name, source, start, delimiter),
        delimiter,
        start,
        symbol,
    )


def _begins(line: str, delimiter: str) -> bool:
    marked = line.lstrip().startswith("#") or line.lower().startswith("sep=")
    return bool(delimiter) and not marked and line.count(delimiter) >= len(FIELD_NAMES) - 2


def _delimiter(lines: Sequence[str]) -> str:
    """The separator that splits most lines into at least five cells. A comma comes last: it may be a decimal mark."""
    for mark in _DELIMITERS:
        if sum(line.count(mark) >= len(FIELD_NAMES) - 2 for line in lines) * 2 > len(lines):
            return mark
    return ""


def _in_tabs(line: str) -> str:
    """A line of columns that blanks separate, as NumPy writes them."""
    return "\t".join(line.split()) + "\n"


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _is_data(cells: Sequence[str]) -> bool:
    """Whether a line is a row of candles rather than a header: a time, then at least four numbers."""
    if not cells or not is_time(cells[0]):
        return False
    return sum(is_number(cell) for cell in cells[1:]) >= len(FIELD_NAMES) - 2


def _yfinance(head: Sequence[str], start: int, delimiter: str) -> tuple[list[str], int, str | None] | None:
    """The yfinance header of two or three lines: names, tickers, and `Date` alone."""
    rows = [_split(line, delimiter) for line in head[start : start + 3]]
    for more in (1, 2):
        if (
            len(rows) > more
            and rows[more][:1]
            and rows[more][0].lower() in {"date", "datetime"}
            and not any(rows[more][1:])
        ):
            tickers = {cell for cell in rows[1][1:] if cell} if more == 2 else set[str]()
            return ["Date", *rows[0][1:]], start + more + 1, tickers.pop() if len(tickers) == 1 else None
    return None


def _text_batches(
    name: str, source: Iterator[str], read: int, delimiter: str
) -> Iterator[tuple[list[list[str]], list[int], list[str] | None]]:
    while batch := list(islice(source, _BATCH)):
        if not any('"' in line or not line.strip() for line in batch):
            rows = [line.rstrip("\r\n").split(delimiter) for line in batch]
            yield rows, list(range(read + 1, read + len(batch) + 1)), batch
            read += len(batch)
            continue
        reader = csv.reader(chain(batch, source), delimiter=delimiter, strict=True)
        rows, lines = list[list[str]](), list[int]()
        try:
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(read + reader.line_num)
                if len(rows) == _BATCH:
                    yield rows, lines, None
                    rows, lines = [], []
        except csv.Error as error:
            raise InvalidInput(
                f"line {read + reader.line_num} of {name} is not CSV: {error}", suggestion="Correct the quotes"
            ) from error
        if rows:
            yield rows, lines, None
        return


def _json_grid(table: CandleTable) -> TextRows:
    with table.open() as raw:
        data = raw.read(MAX_JSON + 1)
    if len(data) > MAX_JSON:
        raise InvalidInput(
            f"{table.name} holds more than {MAX_JSON // 2**20} MiB of JSON", suggestion="Split it, or convert it to CSV"
        )
    text = data.decode(table.encoding).removeprefix("\ufeff")
    try:
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            if not error.msg.startswith("Extra data"):
                raise
            document = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{table.name} is not JSON: {clean(str(error), 100)}", suggestion="Download it again"
        ) from error
    header, rows = _json_rows(table.name, document)
    if not rows:
        raise InvalidInput(f"{table.name} has no rows", suggestion="Name a file that holds candles")
    lines = list(range(1, len(rows) + 1))
    batches = ((rows[i : i + _BATCH], lines[i : i + _BATCH], None) for i in range(0, len(rows), _BATCH))
    return TextRows(table.name, "row", header, rows[:_SAMPLE], batches)


def _json_rows(name: str, document: Any) -> tuple[list[str] | None, list[list[str]]]:
    """Header and rows of the usual JSON shapes: lists, records, columns, pandas' orients, and answers of exchanges."""
    if isinstance(document, list):
        items = cast("list[Any]", document)
        if items and all(isinstance(item, dict) for item in items):
            header = [str(key) for key in items[0]]
            return header, [[_cell(name, item.get(key)) for key in header] for item in items]
        if all(isinstance(item, list) for item in items):
            return None, [[_cell(name, cell) for cell in item] for item in items]
    if isinstance(document, dict):
        found = cast("dict[str, Any]", document)
        if {"columns", "data"} <= found.keys():
            index = cast("list[Any]", found.get("index") or [""] * len(found["data"]))
            rows = [[_cell(name, c) for c in (at, *row)] for at, row in zip(index, found["data"], strict=False)]
            return ["", *map(str, found["columns"])], rows
        by_field = {plain_name(key): key for key in found}
        values = list(found.values())
        if {"c", "close"} & by_field.keys() and all(isinstance(v, list | str) for v in values):
            lists = {key: v for key, v in found.items() if isinstance(v, list)}
            return list(lists), [[_cell(name, c) for c in row] for row in zip(*lists.values(), strict=False)]
        if values and not _wraps(found) and all(isinstance(v, dict) and _is_flat(v) for v in values):
            return _nested(name, found, columns="close" in by_field)
        for key in (
            *(k for k in _LISTS if k in found),
            *sorted((k for k, v in found.items() if isinstance(v, list | dict) and v), key=lambda k: -len(found[k])),
        ):
            if found[key]:
                return _json_rows(name, found[key])
    raise InvalidInput(
        f"{name} is JSON without candles in a known shape",
        suggestion="Use a list of rows or records, or convert to CSV",
    )


def _is_flat(row: Mapping[str, Any]) -> bool:
    """Whether an object holds no lists or objects."""
    return not any(isinstance(value, list | dict) for value in row.values())


def _wraps(found: Mapping[str, Any]) -> bool:
    """Whether an answer holds another object with the list of candles: `{"data": {"pair": "...", "ohlc": [...]}}`."""
    return any(
        key in _LISTS and isinstance(inner, dict) and bool(_LISTED & inner.keys()) for key, inner in found.items()
    )


def _nested(name: str, found: Mapping[str, Mapping[str, Any]], *, columns: bool) -> tuple[list[str], list[list[str]]]:
    """Objects of objects: columns by index, as pandas writes them, or rows by time."""
    if columns:
        index = list(next(iter(found.values())))
        return ["", *found], [[at, *(_cell(name, column.get(at)) for column in found.values())] for at in index]
    header = list(next(iter(found.values())))
    return ["", *header], [[at, *(_cell(name, row.get(key)) for key in header)] for at, row in found.items()]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise InvalidInput(f"{name} has lists or objects within a row", suggestion="Write each candle as one flat row")


def _read_arrow(table: CandleTable, options: ReadOptions) -> Rows:
    """A Parquet or Feather table, read with pyarrow (an optional extra); rows are counted from 1.

    Raises:
        UserMustAct: pyarrow is not installed.
        InvalidInput: The table cannot be read, or a column is missing or of a wrong type.
    """
    try:
        import pyarrow as pa
        from pyarrow import feather, parquet
    except ImportError as error:
        raise UserMustAct(
            "Parquet and Feather files need the package pyarrow, which is not installed",
            suggestion="Install heytraders-mcp[parquet], or import CSV",
            code="INTERNAL_ERROR",
        ) from error
    kind = "Parquet" if table.kind == "parquet" else "Feather"
    try:
        with table.open() as raw:
            source = raw if raw.seekable() else io.BytesIO(raw.read())
            if table.kind == "parquet":
                file = parquet.ParquetFile(source)
                too_many, read = file.metadata.num_rows > MAX_ROWS, file.read
            else:
                found = feather.read_table(source, memory_map=False)
                too_many, read = found.num_rows > MAX_ROWS, lambda: found
            if too_many:
                raise InvalidInput(f"{table.name} has more than {MAX_ROWS:,} rows", suggestion="Split it")
            columns = read()
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(
            f"{table.name} is not a {kind} file that can be read: {clean(str(error), 100)}",
            suggestion="Write it again, or import CSV",
        ) from error
    if not columns.num_rows:
        raise InvalidInput(f"{table.name} has no rows", suggestion="Name a file that holds candles")
    names = [str(name) for name in columns.column_names]
    first = [_arrow_text(columns.column(name)[0].as_py()) for name in names]
    plain = ["" if name == "__index_level_0__" else name for name in names]
    grid = TextRows(table.name, "row", plain, [first], (), header_line=0)
    layout = recognised(grid, options)
    lines = np.arange(1, columns.num_rows + 1)
    block = np.zeros((FIELDS, columns.num_rows))
    times = ""
    for at, which in enumerate(FIELD_NAMES):
        if which not in layout.positions:
            continue
        column = columns.column(names[layout.positions[which]])
        if which == "time":
            block[0], times = _arrow_times(pa, column, table.name, options, lines)
        else:
            block[at] = _arrow_numbers(pa, column, which, table.name)
    origin = TableOrigin(f"{kind} table", layout.told(plain), times, tuple(layout.notes))
    return Rows(block, lines, "row", table.name, origin)


def _arrow_text(value: object) -> str:
    return value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)


def _arrow_times(pa: Any, column: Any, where: str, options: ReadOptions, lines: Integers) -> tuple[Floats, str]:
    kind = column.type
    place = f"row {{}} of {where}"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        seconds = _arrow_floats(pa, column.cast(pa.timestamp("us")).cast(pa.int64())) / 1e6
        if options.timezone is not None and getattr(kind, "tz", None) is None:
            seconds = in_zone(seconds, options.timezone, options.timeframe, place, lines)
        return seconds, str(kind)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        seconds, units = epoch_seconds(_arrow_floats(pa, column))
        return seconds, " and ".join(sorted(units))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        times = TimeColumn()
        texts = [text or "" for text in column.to_pylist()]
        if (wrong := times.add(texts)) is not None:
            raise InvalidInput(
                f"{place.format(wrong + 1)}: {texts[wrong]!r} is not a time",
                suggestion="Write times as epoch numbers, timestamps or ISO 8601; nothing was imported",
            )
        name, seconds = one_reading(times.readings.joined(), options.timeframe, place, lines)
        if options.timezone is not None and times.naive:
            seconds = in_zone(seconds, options.timezone, options.timeframe, place, lines)
        return seconds, name
    raise _wrong_type("time", kind, where)


def _arrow_numbers(pa: Any, column: Any, which: str, where: str) -> Floats:
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _arrow_floats(pa, column)
    raise _wrong_type(which, kind, where)


def _arrow_floats(pa: Any, column: Any) -> Floats:
    """As float64, NaN where empty."""
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _wrong_type(which: str, kind: Any, where: str) -> InvalidInput:
    return InvalidInput(
        f"{where}: column {which} is of type {kind}",
        suggestion="Times are timestamps, epoch numbers or ISO text; prices and volume are numbers",
    )

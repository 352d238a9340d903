"""Parquet tables of candles, by pyarrow, which is an extra: the rest of the engine does not need it."""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyarrow ships no types.

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from api.errors import InvalidInput, UserMustAct
from api.symbols import Instrument
from engine.frame import Floats
from engine.store.candles import FIELDS

from .cells import epoch_seconds, text_times
from .columns import FIELD_NAMES, Rows, recognise


def read_parquet(path: Path, instrument: Instrument) -> Rows:
    """Read a table; rows are counted from 1.

    Raises:
        UserMustAct: pyarrow is not installed.
        InvalidInput: Not a Parquet file, or a column is missing or of a wrong type.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise UserMustAct(
            "Parquet files need the package pyarrow, which is not installed",
            suggestion="Install heytraders-mcp[parquet], or import CSV",
            code="INTERNAL_ERROR",
        ) from error
    try:
        table = parquet.ParquetFile(path)
        positions = recognise(table.schema_arrow.names, instrument, path.name)
        names = [table.schema_arrow.names[position] for position in positions]
        columns = table.read(columns=list(dict.fromkeys(names)))
    except pa.ArrowException as error:
        raise InvalidInput(f"{path.name} is not a Parquet file that can be read: {error}") from error
    if not columns.num_rows:
        raise InvalidInput(f"{path.name} has no rows", suggestion="Name a file that holds candles")
    block = np.empty((FIELDS, columns.num_rows))
    for field, name in enumerate(names):
        column = columns.column(name)
        block[field] = _seconds(pa, column, path.name) if field == 0 else _numbers(pa, column, field, path.name)
    return Rows(block, np.arange(1, columns.num_rows + 1), "row")


def _seconds(pa: Any, column: Any, where: str) -> Floats:
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        counts = column.cast(pa.timestamp("us")).cast(pa.int64())
        return _with_nan(pa, counts) / 1e6
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return epoch_seconds(_with_nan(pa, column))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        seconds = text_times([text or "" for text in column.to_pylist()])
        if not isinstance(seconds, int):
            return seconds
        raise InvalidInput(
            f"row {seconds + 1} of {where}: {column[seconds].as_py()!r} is no time",
            suggestion="Write times as epoch numbers, timestamps or ISO 8601; nothing was imported",
        )
    raise _wrong_type("time", kind, where)


def _numbers(pa: Any, column: Any, field: int, where: str) -> Floats:
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _with_nan(pa, column)
    raise _wrong_type(FIELD_NAMES[field], kind, where)


def _with_nan(pa: Any, column: Any) -> Floats:
    """As float64, NaN where empty."""
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _wrong_type(field: str, kind: Any, where: str) -> InvalidInput:
    return InvalidInput(
        f"{where}: column {field} is of type {kind}",
        suggestion="Times are timestamps, epoch numbers or ISO text; prices and volume are numbers",
    )

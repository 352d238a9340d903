"""Stored candles: one row per series, with its bars in BLOBs of 2,048 float64 bars. Only the newest BLOB grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

import numpy as np
import sqlalchemy as sa

from api.exchanges import ExchangeId
from api.symbols import Instrument
from api.times import Timeframe
from engine.frame import Floats
from engine.store import metadata

CHUNK_BARS: Final = 2_048

CandleBlock = Floats
"""Bars as a (6, n) array: open time in unix seconds, open, high, low, close, volume."""

FIELDS: Final = 6
_STORED: Final = np.dtype("<f8")

StoredSource = Literal["imported", "exchange"]
"""The source of stored candles: a user's file, or an exchange's API."""


series_table: Final = sa.Table(
    "candle_series",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("exchange", sa.String(32), nullable=False),
    sa.Column("base", sa.String(128), nullable=False),
    sa.Column("quote", sa.String(32), nullable=False),
    sa.Column("timeframe", sa.String(4), nullable=False),
    sa.Column("first_time", sa.BigInteger, nullable=False),
    sa.Column("last_time", sa.BigInteger, nullable=False),
    sa.Column("bars", sa.BigInteger, nullable=False),
    sa.Column("missing", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.String(40), nullable=False),
    sa.Column("file", sa.String(255), nullable=False),
    sa.Column("imported_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("exchange", "base", "quote", "timeframe"),
)
"""Imported series. Series fetched from exchanges are in `exchange_data`."""


def _chunks_table(name: str, series: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        sa.Column("series_id", sa.Integer, sa.ForeignKey(f"{series}.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("first_time", sa.BigInteger, nullable=False),
        sa.Column("last_time", sa.BigInteger, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )


CHUNKS: Final[dict[StoredSource, sa.Table]] = {
    "imported": _chunks_table("candle_chunks", "candle_series"),
    "exchange": _chunks_table("fetched_chunks", "fetched_series"),
}
"""Each source has separate tables, so that an import never touches fetched data, or the other way round."""


@dataclass(frozen=True, slots=True)
class Series:
    """One imported series. `missing` counts the bars missing in gaps; `revision` changes with the bars."""

    id: int
    instrument: Instrument
    timeframe: Timeframe
    first_time: int
    last_time: int
    bars: int
    missing: int
    revision: str
    file: str
    imported_at: int


def all_series(connection: sa.Connection) -> tuple[Series, ...]:
    """Every imported series, by instrument and timeframe."""
    table = series_table.c
    rows = connection.execute(sa.select(series_table).order_by(table.exchange, table.base, table.quote, table.id))
    return tuple(
        Series(
            id=row.id,
            instrument=Instrument(cast("ExchangeId", row.exchange), row.base, row.quote),
            timeframe=cast("Timeframe", row.timeframe),
            first_time=row.first_time,
            last_time=row.last_time,
            bars=row.bars,
            missing=row.missing,
            revision=row.revision,
            file=row.file,
            imported_at=row.imported_at,
        )
        for row in rows
    )


def imported_since(connection: sa.Connection, moment: float) -> bool:
    """Whether a file was imported in this second or later."""
    wanted = sa.select(series_table.c.id).where(series_table.c.imported_at >= int(moment)).limit(1)
    return connection.execute(wanted).first() is not None


def read_block(
    connection: sa.Connection,
    series_id: int,
    source: StoredSource = "imported",
    *,
    start: int | None = None,
    end: int | None = None,
    limit: int | None = None,
) -> CandleBlock:
    """The last `limit` bars with `start <= open time < end`. Reads only the chunks that it needs."""
    chunk = CHUNKS[source].c
    wanted = sa.select(chunk.data).where(chunk.series_id == series_id).order_by(chunk.number.desc())
    if start is not None:
        wanted = wanted.where(chunk.last_time >= start)
    if end is not None:
        wanted = wanted.where(chunk.first_time < end)
    if limit is not None:
        # The first chunk may hold a single bar that counts; every other one is full.
        wanted = wanted.limit((limit + CHUNK_BARS - 2) // CHUNK_BARS + 1)
    found = [_between(_unpack(data), start, end) for (data,) in connection.execute(wanted)]
    block = np.concatenate(found[::-1], axis=1) if found else np.empty((FIELDS, 0))
    return block if limit is None else block[:, max(0, block.shape[1] - limit) :]


def write_block(
    connection: sa.Connection, series_id: int, block: CandleBlock, source: StoredSource = "imported"
) -> None:
    """Replace the bars of the series with `block`, from its first time on."""
    chunks_table = CHUNKS[source]
    chunk = chunks_table.c
    first = int(block[0, 0])
    affected = sa.and_(chunk.series_id == series_id, chunk.last_time >= first)
    newest = connection.execute(
        sa.select(chunk.number, chunk.data).where(chunk.series_id == series_id).order_by(chunk.number.desc()).limit(1)
    ).one_or_none()
    opened = connection.execute(sa.select(chunk.number, chunk.data).where(affected).order_by(chunk.number)).first()
    if opened is None and newest is not None and _unpack(newest.data).shape[1] < CHUNK_BARS:
        opened = newest
    number = 0 if newest is None else newest.number + 1
    if opened is not None:
        number = opened.number
        block = np.concatenate((_between(_unpack(opened.data), None, first), block), axis=1)
        connection.execute(sa.delete(chunks_table).where(chunk.series_id == series_id, chunk.number >= number))
    connection.execute(sa.insert(chunks_table), _packed(series_id, number, block))


def delete_series(connection: sa.Connection, series_ids: Sequence[int]) -> None:
    """Remove imported series with all their bars."""
    chunks_table = CHUNKS["imported"]
    connection.execute(sa.delete(chunks_table).where(chunks_table.c.series_id.in_(series_ids)))
    connection.execute(sa.delete(series_table).where(series_table.c.id.in_(series_ids)))


def _packed(series_id: int, number: int, block: CandleBlock) -> list[dict[str, int | bytes]]:
    parts = [block[:, i : i + CHUNK_BARS] for i in range(0, block.shape[1], CHUNK_BARS)]
    return [
        {
            "series_id": series_id,
            "number": number + i,
            "first_time": int(part[0, 0]),
            "last_time": int(part[0, -1]),
            "data": np.ascontiguousarray(part, dtype=_STORED).tobytes(),
        }
        for i, part in enumerate(parts)
    ]


def _unpack(data: bytes) -> CandleBlock:
    return np.frombuffer(data, dtype=_STORED).reshape(FIELDS, -1)


def _between(block: CandleBlock, start: int | None, end: int | None) -> CandleBlock:
    low = 0 if start is None else int(np.searchsorted(block[0], start))
    high = block.shape[1] if end is None else int(np.searchsorted(block[0], end))
    return block[:, low:high]

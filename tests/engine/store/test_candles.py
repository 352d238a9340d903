"""Chunks: what is written is read back, for any order of writes and any window."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.store.candles import CHUNK_BARS, CHUNKS, CandleBlock, all_series, delete_series, read_block, write_block
from engine.store.database import Store, default_url

INSERT = sa.text(
    "INSERT INTO candle_series (id, exchange, base, quote, timeframe, first_time, last_time, bars, missing, revision,"
    " file, imported_at) VALUES (1, 'binance', 'BTC', 'USDT', '1h', 0, 0, 0, 0, 'r', 'f', 0)"
)


def _open(folder: Path) -> Store:
    store = Store.open(default_url(folder))
    store.write_now(lambda c: c.execute(INSERT))
    return store


def _bars(first: int, count: int) -> CandleBlock:
    block = np.random.default_rng(first).random((6, count))
    block[0] = np.arange(first, first + count) * 60
    return block


def _chunk_sizes(connection: sa.Connection) -> list[int]:
    rows = connection.execute(sa.select(CHUNKS["imported"].c.data).order_by(CHUNKS["imported"].c.number))
    return [len(row.data) // 48 for row in rows]


def test_appending_rewrites_only_the_newest_chunk(tmp_path: Path) -> None:
    store = _open(tmp_path)
    whole = np.concatenate([_bars(0, 3_000), _bars(3_000, 10), _bars(3_010, 2_000)], axis=1)
    for part in (whole[:, :3_000], whole[:, 3_000:3_010], whole[:, 3_010:]):
        store.write_now(lambda c, part=part: write_block(c, 1, part))

    assert store.read_now(_chunk_sizes) == [CHUNK_BARS, CHUNK_BARS, 5_010 - 2 * CHUNK_BARS]
    assert np.array_equal(store.read_now(lambda c: read_block(c, 1)), whole)
    store.close()


def test_the_last_bars_are_read_without_touching_the_old_chunks(tmp_path: Path) -> None:
    store = _open(tmp_path)
    whole = _bars(0, 3 * CHUNK_BARS)
    store.write_now(lambda c: write_block(c, 1, whole))
    store.write_now(
        lambda c: c.execute(sa.update(CHUNKS["imported"]).where(CHUNKS["imported"].c.number == 0).values(data=b"rot"))
    )

    assert np.array_equal(store.read_now(lambda c: read_block(c, 1, limit=5)), whole[:, -5:])
    store.close()


def test_deleting_a_series_leaves_no_chunk(tmp_path: Path) -> None:
    store = _open(tmp_path)
    store.write_now(lambda c: write_block(c, 1, _bars(0, 10)))
    store.write_now(lambda c: delete_series(c, [1]))

    assert store.read_now(all_series) == ()
    assert store.read_now(_chunk_sizes) == []
    store.close()


@settings(max_examples=25, deadline=None)
@given(
    writes=st.lists(st.tuples(st.integers(0, 6_000), st.integers(1, 3_000)), min_size=1, max_size=4),
    start=st.none() | st.integers(-10, 10_000),
    end=st.none() | st.integers(-10, 10_000),
    limit=st.none() | st.integers(1, 4_000),
)
def test_a_read_equals_the_same_slice_of_a_plain_array(
    writes: list[tuple[int, int]], start: int | None, end: int | None, limit: int | None
) -> None:
    model = np.empty((6, 0))
    with TemporaryDirectory() as folder:
        store = _open(Path(folder))
        for first, count in writes:
            block = _bars(first, count)
            model = np.concatenate([model[:, model[0] < block[0, 0]], block], axis=1)
            store.write_now(lambda c, block=block: write_block(c, 1, block))
        window = {"start": None if start is None else start * 60, "end": None if end is None else end * 60}
        read = store.read_now(lambda c: read_block(c, 1, "imported", limit=limit, **window))
        store.close()
    mask = (model[0] >= (start if start is not None else -99) * 60) & (
        model[0] < (end if end is not None else 99_999) * 60
    )
    expected = model[:, mask]

    assert np.array_equal(read, expected if limit is None else expected[:, -limit:])

"""Feeds: 200 symbols x 500 hourly bars simulated and imported, a year of minute bars, file imports, and memory.

Baselines of the same run: copying and scaling the same bars as ready arrays, `json.loads` of the same bars, and NumPy's
own reading of the same CSV.
"""

from __future__ import annotations

import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from api.symbols import Instrument
from api.times import SECONDS, AcceleratedClock, Clock, Timeframe
from engine.feeds.feed import Feed
from engine.feeds.importing import ImportOptions, TableImport, import_all
from engine.feeds.market import open_feed
from engine.feeds.simulated import SimulatedFeed
from engine.store.database import Store, default_url

CLOCK: Clock = AcceleratedClock(1_772_368_245)
SYMBOLS = 200
BARS = 500
HOURS = 33_000
MINUTES = 1_000_000


def main() -> None:
    """Print every figure with its baseline."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(default_url(Path(folder)))
        _reads(SimulatedFeed(CLOCK, 7), "simulated")
        _year_of_minutes()
        _imports(store, Path(folder))
        _fill(store, Path(folder))
        _reads(open_feed(store, CLOCK, 7), "imported")
        store.close()
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def _timed(work: Callable[[], object], rounds: int = 1) -> float:
    """Median milliseconds."""
    spent: list[float] = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        spent.append((time.perf_counter() - begun) * 1_000)
    return statistics.median(spent)


def _reads(feed: Feed, source: str) -> None:
    instruments = [one.instrument for one in feed.listings("binance")][:SYMBOLS]

    def scan() -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
        return [feed.candles(instrument, "1h", limit=BARS).bars.close for instrument in instruments]

    cold = _timed(scan)
    warm = _timed(scan, 15)
    ready = [np.tile(closes, (5, 1)) for closes in scan()]
    text = [json.dumps(block.tolist()) for block in ready]
    copied = _timed(lambda: [np.rint(block * 1.0001) / 100 for block in ready], 15)
    parsed = _timed(lambda: [json.loads(block) for block in text], 3)
    print(
        f"{source}: {SYMBOLS} symbols x {BARS} bars of 1h: cold {cold:.0f} ms, warm {warm:.1f} ms"
        f" (baselines: scale ready arrays {copied:.1f} ms, json.loads {parsed:.0f} ms)"
    )


def _year_of_minutes() -> None:
    feed = SimulatedFeed(CLOCK, 7)
    bars = 525_600

    def read() -> object:
        return feed.candles(Instrument("binance", "BTC", "USDT"), "1m", limit=bars)

    cold, warm = _timed(read), _timed(read, 5)
    drawn = _timed(lambda: np.random.default_rng(7).standard_normal((5, bars)), 5)
    print(
        f"simulated: {bars:,} bars of 1m: cold {cold:.0f} ms, warm {warm:.0f} ms"
        f" (baseline: draw as many normals {drawn:.0f} ms)"
    )


def _import(store: Store, path: Path, instrument: Instrument, timeframe: Timeframe) -> tuple[TableImport, ...]:
    return import_all(store, [path], ImportOptions(instrument, timeframe=timeframe), clock=CLOCK)


def _imports(store: Store, folder: Path) -> None:
    wanted: tuple[tuple[Timeframe, int], ...] = (("1h", HOURS), ("1m", MINUTES))
    for timeframe, rows in wanted:
        path = _write(folder / f"{timeframe}.csv", rows, SECONDS[timeframe])
        instrument = Instrument("gate", "OWN", "USDT")
        spent = _timed(lambda p=path, i=instrument, t=timeframe: _import(store, p, i, t))
        again = _timed(lambda p=path, i=instrument, t=timeframe: _import(store, p, i, t))
        plain = _timed(lambda p=path: np.loadtxt(p, delimiter=",", skiprows=1))
        print(
            f"import {rows:,} rows of CSV: {spent:.0f} ms, the same again {again:.0f} ms"
            f" (baseline: np.loadtxt {plain:.0f} ms)"
        )


def _fill(store: Store, folder: Path) -> None:
    """Import a month for as many listed symbols as the scan reads."""
    path = _write(folder / "month.csv", 720, 3_600)
    instruments = [one.instrument for one in SimulatedFeed(CLOCK, 7).listings("binance")][:SYMBOLS]
    spent = _timed(lambda: [_import(store, path, instrument, "1h") for instrument in instruments])
    print(f"import {SYMBOLS} files of 720 rows: {spent:.0f} ms")


def _write(path: Path, rows: int, seconds: int) -> Path:
    times = 1_600_000_000 // seconds * seconds + np.arange(rows) * seconds
    closes = 100 + np.random.default_rng(1).normal(0, 0.01, rows).cumsum()
    block = np.column_stack([times, closes, closes + 0.5, closes - 0.5, closes + 0.1, np.full(rows, 12.5)])
    np.savetxt(
        path, block, fmt=["%d", *["%.4f"] * 5], delimiter=",", header="time,open,high,low,close,volume", comments=""
    )
    return path


if __name__ == "__main__":
    main()

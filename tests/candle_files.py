"""Files of candles for tests: importing one, where a refusal ends the test, and a random one with a known answer."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import talib

from api.errors import HeyTradersError
from api.symbols import Instrument
from api.times import Clock, Timeframe
from engine.feeds.importing import ImportOptions, ImportReport, import_all
from engine.store.database import Store


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
    """Import the one table in a file.

    Raises:
        InvalidInput: A row breaks a rule or contradicts a stored one.
    """
    options = ImportOptions(instrument, timeframe=timeframe, allow_gaps=allow_gaps, replace=replace)
    [outcome] = import_all(store, [path], options, clock=clock)
    if isinstance(outcome.result, HeyTradersError):
        raise outcome.result
    return outcome.result


HOURS: Final = 33_259
FIRST_HOUR: Final = 1_526_364_000
"""2018-05-15, 06:00 UTC, as in the recorded file."""


def write_random_hours(path: Path, seed: int = 7) -> Path:
    """A file with as many hours as the recorded one, in the same form, on a random walk."""
    rng = np.random.default_rng(seed)
    close = 8_000.0 * np.exp(np.cumsum(rng.normal(0.0, 0.008, HOURS)))
    opens = np.concatenate(([8_000.0], close[:-1])) * np.exp(rng.normal(0.0, 0.0005, HOURS))
    high = np.maximum(opens, close) * np.exp(np.abs(rng.normal(0.0, 0.002, HOURS)))
    low = np.minimum(opens, close) * np.exp(-np.abs(rng.normal(0.0, 0.002, HOURS)))
    volume = rng.uniform(1_000.0, 50_000.0, HOURS)  # a backtest trades at most a tenth of it
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["unix", "date", "symbol", "open", "high", "low", "close", "volume"])
        for hour in range(HOURS - 1, -1, -1):
            prices = (f"{column[hour]:.2f}" for column in (opens, high, low, close, volume))
            at = FIRST_HOUR + 3_600 * hour
            writer.writerow((at, datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S"), "BTC/USD", *prices))
    return path


def rsi_answer(path: Path, fee: float) -> tuple[int, float]:
    """Trades and final equity of 10,000 that buys at the open after an RSI below 30 and sells after one above 70.

    A loop over the file's rows with TA-Lib's RSI. A position that is left is sold at the last close. For the recorded
    hours three other engines found the same, see `test_known_answer`.
    """
    with path.open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["unix"]))
    opens, closes = ([float(row[name]) for row in rows] for name in ("open", "close"))
    cash, held, trades = 10_000.0, 0.0, 0
    for rsi, price in zip(talib.RSI(np.array(closes), 14)[:-1].tolist(), opens[1:], strict=True):
        if held == 0.0 and rsi < 30.0:
            cash, held, trades = 0.0, cash / (price * (1.0 + fee)), trades + 1
        elif held > 0.0 and rsi > 70.0:
            cash, held = held * price * (1.0 - fee), 0.0
    return trades, cash + held * closes[-1] * (1.0 - fee)

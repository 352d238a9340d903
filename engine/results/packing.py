"""The stored form of results: trades and equity as float64 tables, with the meaning of their codes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.frame import Floats, Times
from engine.simulation.result import Simulation
from engine.simulation.trades import AT_CLOSE, EXIT_REASONS

TRADE_COLUMNS: Final = (
    "ticker",
    "side",
    "amount",
    "entry_time",
    "exit_time",
    "entry_price",
    "exit_price",
    "fees",
    "pnl",
    "return_pct",
    "bars_held",
    "exit_reason",
    "tag",
)
_STORED: Final = np.dtype("<f8")

Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Labels:
    """The meaning of the codes, and the times of the equity curve as runs of evenly spaced bars.

    `times` holds (first close, bars) of each run, unix seconds; `step` is the length of a bar. `books` names the books
    of a portfolio, whose curves follow that of the account.
    """

    tickers: list[str]
    reasons: list[str]
    tags: list[str | None]
    times: list[list[int]]
    step: int
    books: list[str] = field(default_factory=list[str])

    def to_json(self) -> str:
        """For the row."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_json(cls, text: str) -> Labels:
        """From the row."""
        return cls(**json.loads(text))


def trade_table(simulation: Simulation) -> Table:
    """The trades in the order they were closed, one row each, in the columns of `TRADE_COLUMNS`."""
    trades, time = simulation.trades, simulation.frame.time
    reasons = trades.reasons
    codes = {reason: i for i, reason in enumerate(EXIT_REASONS)}
    tags = trades.tags
    tag_codes = {tag: i for i, tag in enumerate(dict.fromkeys(tags))}
    late = np.array([simulation.frame.seconds if reason in AT_CLOSE else 0 for reason in reasons], dtype=np.int64)
    columns = (
        trades.instrument,
        trades.side,
        trades.amount,
        time[trades.entry_bar],
        time[trades.exit_bar] + late,
        trades.entry_price,
        trades.exit_price,
        trades.fees,
        trades.pnl,
        trades.pnl_pct,
        trades.exit_bar - trades.entry_bar,
        [codes[reason] for reason in reasons],
        [tag_codes[tag] for tag in tags],
    )
    return np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])


def labels_of(simulation: Simulation) -> Labels:
    """The meaning of the codes in `trade_table`."""
    return Labels(
        tickers=[instrument.ticker for instrument in simulation.instruments],
        reasons=list(EXIT_REASONS),
        tags=list(dict.fromkeys(simulation.trades.tags)),
        times=_runs(simulation.time, simulation.frame.seconds),
        step=simulation.frame.seconds,
    )


def to_bytes(table: Table | Floats) -> bytes:
    """Little-endian float64, row by row."""
    return np.ascontiguousarray(table, dtype=_STORED).tobytes()


def read_trades(data: bytes) -> Table:
    """The table of `trade_table`."""
    return np.frombuffer(data, dtype=_STORED).reshape(-1, len(TRADE_COLUMNS))


def read_curve(data: bytes, labels: Labels) -> Floats:
    """The equity curve of the account."""
    return _curves(data, labels)[0]


def read_books(data: bytes, labels: Labels) -> Table:
    """The equity curve of each book of a portfolio, one row per book."""
    return _curves(data, labels)[1:]


def _curves(data: bytes, labels: Labels) -> Table:
    return np.frombuffer(data, dtype=_STORED).reshape(1 + len(labels.books), -1)


def trade_row(table: Table, index: int, labels: Labels) -> dict[str, Any]:
    """One trade as the API shows it; times in unix seconds."""
    values: dict[str, Any] = dict(zip(TRADE_COLUMNS, table[index].tolist(), strict=True))
    return {
        **values,
        "trade_id": index + 1,
        "ticker": labels.tickers[int(values["ticker"])],
        "side": "long" if values["side"] > 0 else "short",
        "bars_held": int(values["bars_held"]),
        "exit_reason": labels.reasons[int(values["exit_reason"])],
        "tag": labels.tags[int(values["tag"])],
    }


def closing_times(labels: Labels) -> Times:
    """The close of each bar of the equity curve, unix seconds."""
    runs = [first + labels.step * np.arange(bars, dtype=np.int64) for first, bars in labels.times]
    return np.concatenate(runs) if runs else np.empty(0, dtype=np.int64)


def _runs(time: Times, seconds: int) -> list[list[int]]:
    edges = np.flatnonzero(np.diff(time) != seconds) + 1
    return [[int(run[0]) + seconds, len(run)] for run in np.split(time, edges) if len(run)]

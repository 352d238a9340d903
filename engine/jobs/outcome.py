"""What a worker process hands back: a finished backtest as the columns that are stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result's columns. JSON as text; trades and equity as little-endian float64 tables, row by row."""

    market: str
    start: int
    end: int
    variant: str
    sharpe: float | None
    summary: str
    metrics: str
    analysis: str
    tickers: str
    trade_labels: str
    trades: bytes
    equity: bytes

    def columns(self) -> dict[str, Any]:
        """By column name."""
        return asdict(self)

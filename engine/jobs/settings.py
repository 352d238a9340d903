"""How jobs are run: how many at a time, what one of them may use, and where a worker finds its candles."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final

from api.exchanges import DataChoice

SWEEP: Final = '{"sweep"'
"""How the row of a job begins that is a sweep."""
PORTFOLIO: Final = '{"portfolio"'
"""How the row of a job begins that is a portfolio."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use: seconds from its start, and megabytes of address space where the platform can bound it."""

    seconds: float = 600.0
    memory_mb: int = 4_096


@dataclass(frozen=True, slots=True)
class JobSettings:
    """How backtests are run.

    Attributes:
        slots: Jobs run at the same time, each in a process of its own; by default one less than cores, but 2 to 8,
            so that a long job does not hold up all others.
        limits: What one job may use.
        max_bars: Most bars of a job, over all its tickers.
        executor: Where the parts of a sweep run: empty for processes of this machine, or `dask://host:port`.
    """

    slots: int = field(default_factory=lambda: min(8, max(2, (os.cpu_count() or 2) - 1)))
    limits: Limits = field(default_factory=Limits)
    max_bars: int = 6_000_000
    executor: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """Where a worker finds its candles: the database, and whether the rest is simulated, by which seed; its helpers."""

    database_url: str
    seed: int
    executor: str = ""
    data: DataChoice = "simulated"

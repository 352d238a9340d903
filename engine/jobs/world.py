"""Which world a backtest runs in. Small, as every worker process is handed one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class World:
    """Where a worker finds its candles: the database and the seed of the simulated market."""

    database_url: str
    seed: int

"""The tree of bars: days at the root, each timeframe refined from the one above, in blocks that are kept for a while.

A block always covers the same stretch of time, so a bar is the same whichever window it is asked in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from api.timeframes import SECONDS, Timeframe
from engine.feeds.keeping import Kept
from engine.frame import Floats

from .days import Days
from .refining import Chance, refine

DAY: Final = 86_400
DEFAULT_BUDGET: Final = 128 * 2**20


@dataclass(frozen=True, slots=True)
class _Level:
    """A timeframe below the day: the one it is refined from, and the days that a block of it covers."""

    parent: Timeframe
    block_days: int
    profile: tuple[float, ...] | None = None


_ROOT_DAYS: Final = 1_024
_LEVELS: Final[dict[Timeframe, _Level]] = {
    "4h": _Level("1d", 256, profile=(0.9, 0.85, 0.9, 1.4, 1.25, 0.8)),
    "1h": _Level("4h", 64),
    "15m": _Level("1h", 16),
    "5m": _Level("15m", 4),
    "1m": _Level("5m", 1),
}
"""Block lengths divide one another, so that a block is refined from part of one block of its parent."""


class Blocks:
    """Blocks of bars, made when first asked for; the least recently used go when `budget` bytes are full."""

    def __init__(self, seed: int, budget: int = DEFAULT_BUDGET) -> None:
        self._seed = seed
        self._kept = Kept(budget)

    def bars(self, days: Days, timeframe: Timeframe, first: int, stop: int) -> Floats:
        """Bars number `first` up to `stop` (open time divided by length), shape (6, stop - first). Do not write."""
        size = (_ROOT_DAYS if timeframe == "1d" else _LEVELS[timeframe].block_days) * DAY // SECONDS[timeframe]
        parts = [
            self._block(days, timeframe, number)[:, max(0, first - number * size) : stop - number * size]
            for number in range(first // size, -(-stop // size))
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _block(self, days: Days, timeframe: Timeframe, number: int) -> Floats:
        return self._kept.get((days.name, timeframe, number), lambda: self._make(days, timeframe, number))

    def _make(self, days: Days, timeframe: Timeframe, number: int) -> Floats:
        if timeframe == "1d":
            return days.bars(number * _ROOT_DAYS, _ROOT_DAYS)
        level = _LEVELS[timeframe]
        length = SECONDS[level.parent]
        count = level.block_days * DAY // length
        return refine(
            self.bars(days, level.parent, number * count, (number + 1) * count),
            number * count,
            length // SECONDS[timeframe],
            Chance(self._seed, days.name, timeframe, days.shared),
            None if level.profile is None else np.array(level.profile),
        )

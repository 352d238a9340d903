"""The tree of bars: days at the root, each timeframe refined from the one above, in blocks that are kept for a while.

A block always covers the same stretch of time, so a bar is the same whichever window it is asked in.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np

from api.timeframes import SECONDS, Timeframe
from engine.frame import Floats

from .days import Days
from .noise import Stream
from .refining import refine

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
        self._budget = budget
        self._kept: OrderedDict[tuple[str, Timeframe, int], Floats] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def bars(self, days: Days, timeframe: Timeframe, first: int, stop: int) -> Floats:
        """Bars number `first` up to `stop` (open time divided by length), shape (5, stop - first). Do not write."""
        size = (_ROOT_DAYS if timeframe == "1d" else _LEVELS[timeframe].block_days) * DAY // SECONDS[timeframe]
        parts = [
            self._block(days, timeframe, number)[:, max(0, first - number * size) : stop - number * size]
            for number in range(first // size, -(-stop // size))
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _block(self, days: Days, timeframe: Timeframe, number: int) -> Floats:
        key = (days.name, timeframe, number)
        with self._lock:
            if (kept := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return kept
        made = self._make(days, timeframe, number)
        made.flags.writeable = False
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._bytes += made.nbytes
            while self._bytes > self._budget and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return made

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
            Stream(self._seed, f"{days.name}/{timeframe}"),
            None if level.profile is None else np.array(level.profile),
        )

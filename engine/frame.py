"""Aligned candles: what the language reads and what the backtest kernel trades on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from api.symbols import Instrument
from api.timeframes import SECONDS, Timeframe

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Times = NDArray[np.int64]
Source = Literal["imported", "exchange", "simulated"]


@dataclass(frozen=True, slots=True)
class Bars:
    """Candles of one instrument, one array per column, all of the length of the frame's `time`.

    Prices are in the quote currency, volume in base units. NaN in all five columns where the instrument has no bar.
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    source: Source


@dataclass(frozen=True, slots=True)
class Frame:
    """Bars of one or more instruments on one time axis.

    Attributes:
        timeframe: The length of a bar.
        time: Open time of each bar, unix seconds UTC, strictly rising. A bar is known only at `time + seconds`.
        bars: The instruments' candles, in the order of the universe.
    """

    timeframe: Timeframe
    time: Times
    bars: Mapping[Instrument, Bars]

    @property
    def seconds(self) -> int:
        """Length of a bar."""
        return SECONDS[self.timeframe]

    def __len__(self) -> int:
        return len(self.time)

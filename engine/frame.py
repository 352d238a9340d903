"""Aligned candles for the language and the backtest kernel, and longer bars built from shorter ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from api.symbols import Instrument
from api.times import SECONDS, Timeframe, opening

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Times = NDArray[np.int64]
Source = Literal["imported", "exchange", "simulated"]
_COLUMNS: Final = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Bars:
    """Candles of one instrument, one array per column, all of the length of the frame's `time`.

    Prices are in the quote currency, volume in base units. NaN in all five columns where the instrument has no bar.
    `partial` is true where a bar was built from shorter bars and some were missing; None if no bar was built.
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    source: Source
    partial: Bools | None = None


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

    @property
    def source(self) -> Source | Literal["mixed"]:
        """Where the candles come from; `mixed` if the instruments differ. One instrument never mixes sources."""
        sources: set[Source] = {bars.source for bars in self.bars.values()}
        return sources.pop() if len(sources) == 1 else "mixed"

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """The metadata of a frame, so that its numbers can be passed as plain arrays.

    `made` marks the instruments whose bars are built from shorter ones; these have a `partial` array.
    """

    timeframe: Timeframe
    instruments: tuple[Instrument, ...]
    sources: tuple[Source, ...]
    made: tuple[bool, ...]


def packed(frame: Frame) -> tuple[FrameLayout, dict[str, NDArray[Any]]]:
    """A frame as a layout and arrays: `time`, `partial` and the candles.

    The columns of a single instrument are passed without a copy; those of several are one array,
    `candles`, instruments x 5 x bars.
    """
    every = tuple(frame.bars.values())
    layout = FrameLayout(
        frame.timeframe, tuple(frame.bars), tuple(b.source for b in every), tuple(b.partial is not None for b in every)
    )
    none = np.zeros(len(frame), dtype=np.bool_)
    arrays: dict[str, NDArray[Any]] = {
        "time": frame.time,
        "partial": np.array([none if b.partial is None else b.partial for b in every]),
    }
    if len(every) == 1:
        return layout, arrays | {name: getattr(every[0], name) for name in _COLUMNS}
    return layout, arrays | {"candles": np.array([[getattr(b, name) for name in _COLUMNS] for b in every])}


def unpacked(layout: FrameLayout, arrays: Mapping[str, NDArray[Any]]) -> Frame:
    """The frame that was packed; its arrays are views."""
    bars: dict[Instrument, Bars] = {}
    for number, instrument in enumerate(layout.instruments):
        columns = arrays["candles"][number] if "candles" in arrays else [arrays[name] for name in _COLUMNS]
        partial = arrays["partial"][number] if layout.made[number] else None
        bars[instrument] = Bars(*columns, source=layout.sources[number], partial=partial)
    return Frame(layout.timeframe, arrays["time"], bars)


@dataclass(frozen=True, slots=True)
class LongerBars:
    """Longer bars, and for each base bar the index of the last one complete at its close; -1 before the first."""

    frame: Frame
    visible: NDArray[np.int64]

    def spread(self, values: Floats | Bools) -> Floats | Bools:
        """A series of the longer bars as known at each base bar."""
        known = values[np.maximum(self.visible, 0)]
        return np.where(self.visible >= 0, known, False if values.dtype == np.bool_ else np.nan)


def resample(frame: Frame, timeframe: Timeframe) -> LongerBars:
    """Group `frame` into bars of `timeframe`, aligned to UTC.

    A first group whose beginning was not loaded is omitted: its open, high and volume would be wrong.
    """
    seconds = SECONDS[timeframe]
    opened = opening(frame.time, timeframe)
    cut = len(opened) > 0 and frame.time[0] != opened[0]
    skipped = int(np.count_nonzero(opened == opened[0])) if cut else 0
    kept = opened[skipped:]
    begins = np.flatnonzero(np.diff(kept, prepend=kept[:1] - 1)) if len(kept) else np.empty(0, dtype=np.int64)
    times = kept[begins]
    bars = {i: _grouped(b, begins, skipped) for i, b in frame.bars.items()}
    visible = np.searchsorted(times + seconds, frame.time + frame.seconds, side="right") - 1
    return LongerBars(Frame(timeframe, times, bars), visible)


def _grouped(bars: Bars, begins: NDArray[np.int64], skipped: int) -> Bars:
    """Candles of the groups that begin at these indices. An instrument's missing bars are ignored."""
    close = bars.close[skipped:]
    if not len(begins):
        empty = np.empty(0)
        return Bars(empty, empty, empty, empty, empty, bars.source)
    known = ~np.isnan(close)
    ends = np.append(begins[1:], len(close))
    counts = np.concatenate(([0], np.cumsum(known)))
    places = np.append(np.flatnonzero(known), len(close) - 1)
    some = counts[ends] > counts[begins]
    first, last = places[counts[begins]], places[np.maximum(counts[ends] - 1, 0)]
    volume = np.add.reduceat(np.where(known, bars.volume[skipped:], 0.0), begins)
    return Bars(
        open=np.where(some, bars.open[skipped:][first], np.nan),
        high=np.fmax.reduceat(bars.high[skipped:], begins),
        low=np.fmin.reduceat(bars.low[skipped:], begins),
        close=np.where(some, close[last], np.nan),
        volume=np.where(some, volume, np.nan),
        source=bars.source,
    )

"""The bars that live strategies decide on: loaded once for all subscriptions of a step that need the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from api.symbols import Instrument
from api.times import SECONDS, Timeframe
from engine.feeds.feed import Feed
from engine.feeds.market import load_frame
from engine.frame import Bars, Floats, Frame
from engine.language import CompiledScript
from engine.program import Program

_SHARED_BARS: Final = 5_000
"""The most bars of a frame that stays in memory for other subscriptions."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Bars, and the signals on them, of one step of all subscriptions: those that need the same compute it once.

    For one thread. The arrays are never changed. Scripts and frames are kept because their ids are in keys.
    """

    _closes: dict[tuple[Instrument, Timeframe], int] = field(default_factory=dict[tuple[Instrument, Timeframe], int])
    _frames: dict[object, tuple[Frame, Frame]] = field(default_factory=dict[object, tuple[Frame, Frame]])
    _programs: dict[object, tuple[CompiledScript, Frame, Program]] = field(
        default_factory=dict[object, tuple[CompiledScript, Frame, Program]]
    )

    def last_close(self, feed: Feed, instrument: Instrument, timeframe: Timeframe) -> int:
        """The close of the last bar, unix seconds."""
        key = instrument, timeframe
        if key not in self._closes:
            opened = int(feed.candles(instrument, timeframe, limit=1).time[-1])
            self._closes[key] = opened + SECONDS[timeframe]
        return self._closes[key]

    def frames(
        self, feed: Feed, instruments: tuple[Instrument, ...], timeframe: Timeframe, span: tuple[int, int, int]
    ) -> tuple[Frame, Frame]:
        """Bars, and the same with the coming bar. `span`: the first open, the end, and the bars of warm-up before."""
        key = instruments, timeframe, span
        found = self._frames.get(key)
        if found is None:
            start, until, warmup = span
            frame = load_frame(feed, instruments, timeframe, start, until, warmup_bars=warmup)
            found = frame, _with_next_bar(frame)
            if len(frame) <= _SHARED_BARS:
                self._frames[key] = found
        return found

    def program(self, script: CompiledScript, frame: Frame, first: int) -> Program:
        """The program of a script on a frame; one that reads the account is not shared."""
        key = id(script), id(frame), first
        if key in self._programs:
            return self._programs[key][2]
        program = script.program(frame, first)
        if isinstance(program, tuple) and len(frame) <= _SHARED_BARS + 1:
            self._programs[key] = script, frame, program
        return program


def _with_next_bar(frame: Frame) -> Frame:
    """The frame with a flat bar at the last close, so that the last decisions are filled."""
    bars = {instrument: _flat_next(b) for instrument, b in frame.bars.items()}
    time = np.append(frame.time, frame.time[-1] + frame.seconds)
    return Frame(frame.timeframe, time, bars)


def _flat_next(bars: Bars) -> Bars:
    def extended(column: Floats, value: float) -> Floats:
        return np.append(column, value)

    last = float(bars.close[-1])
    prices = (extended(column, last) for column in (bars.open, bars.high, bars.low, bars.close))
    return Bars(*prices, volume=extended(bars.volume, float(bars.volume[-1])), source=bars.source)

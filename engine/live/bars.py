"""The bars that live strategies decide on: loaded once for all subscriptions of a step that need the same."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from api.symbols import Instrument
from api.times import SECONDS, Timeframe
from engine.feeds.feed import Candles, Feed
from engine.feeds.market import load_frame
from engine.frame import Bars, Floats, Frame
from engine.jobs.run import order_rules
from engine.language import CompiledScript
from engine.program import Program
from engine.trading_rules import OrderRules

_SHARED_BARS: Final = 5_000
"""The most bars of a frame that stays in memory for other subscriptions."""
_ALL: Final = 1 << 62


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

    _rules: dict[Instrument, OrderRules] = field(default_factory=dict[Instrument, OrderRules])
    _read: dict[object, tuple[int, Candles]] = field(default_factory=dict[object, tuple[int, Candles]])

    def last_close(self, feed: Feed, instrument: Instrument, timeframe: Timeframe) -> int:
        """The close of the last bar, unix seconds."""
        key = instrument, timeframe
        if key not in self._closes:
            opened = int(feed.candles(instrument, timeframe, limit=1).time[-1])
            self._closes[key] = opened + SECONDS[timeframe]
        return self._closes[key]

    def order_rules(self, feed: Feed, instrument: Instrument) -> OrderRules:
        """Lots and the smallest order."""
        if instrument not in self._rules:
            self._rules[instrument] = order_rules(feed.listing(instrument))
        return self._rules[instrument]

    def frames(
        self, feed: Feed, instruments: tuple[Instrument, ...], timeframe: Timeframe, span: tuple[int, int, int]
    ) -> tuple[Frame, Frame]:
        """Bars, and the same with the coming bar. `span`: the first open, the end, and the bars of warm-up before."""
        key = instruments, timeframe, span
        found = self._frames.get(key)
        if found is None:
            start, until, warmup = span
            frame = load_frame(_KeptCandles(feed, self._read), instruments, timeframe, start, until, warmup_bars=warmup)
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


@dataclass(frozen=True, slots=True)
class _KeptCandles:
    """Candles of a feed, each range read once. Of the last bars of a range, some more are read for other requests."""

    feed: Feed
    read: dict[object, tuple[int, Candles]]

    def candles(
        self,
        instrument: Instrument,
        timeframe: Timeframe,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
    ) -> Candles:
        """See `Feed`."""
        key = instrument, timeframe, start, end
        wanted = _ALL if limit is None else limit
        asked, found = self.read.get(key, (0, None))
        if found is None or (asked < wanted and len(found) == asked):
            asked = _ALL if limit is None else 1 << (limit - 1).bit_length()
            found = self.feed.candles(
                instrument, timeframe, start=start, end=end, limit=None if limit is None else asked
            )
            if len(found) <= _SHARED_BARS:
                self.read[key] = asked, found
        return found if len(found) <= wanted else _last(found, wanted)


def _last(candles: Candles, count: int) -> Candles:
    bars = candles.bars
    columns = (column[-count:] for column in (bars.open, bars.high, bars.low, bars.close, bars.volume))
    partial = None if bars.partial is None else bars.partial[-count:]
    return replace(candles, time=candles.time[-count:], bars=Bars(*columns, source=bars.source, partial=partial))


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

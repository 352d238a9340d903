"""From candles to a frame: several instruments on one time axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from api.errors import NotFound
from api.symbols import Instrument
from api.timeframes import Timeframe
from engine.frame import Bars, Floats, Frame, Times

from .feed import Candles, Feed


def load_frame(
    feed: Feed,
    instruments: Sequence[Instrument],
    timeframe: Timeframe,
    start: int | None,
    end: int | None,
    warmup_bars: int = 0,
) -> Frame:
    """Bars of all instruments with `start <= open time < end`, with up to `warmup_bars` more before `start`.

    The axis is the union of the instruments' times; an instrument has NaN where it has no bar.

    Raises:
        NotFound: `DATA_UNAVAILABLE` when an instrument is unknown or has no bar in the range itself.
    """
    return _framed(
        timeframe,
        [_with_warmup(feed, instrument, timeframe, start, end, warmup_bars) for instrument in instruments],
    )


def recent_frame(feed: Feed, instruments: Sequence[Instrument], timeframe: Timeframe, bars: int) -> Frame:
    """The last `bars` closed bars of each instrument, framed as by `load_frame`."""
    return _framed(timeframe, [feed.candles(instrument, timeframe, limit=bars) for instrument in instruments])


def _with_warmup(
    feed: Feed, instrument: Instrument, timeframe: Timeframe, start: int | None, end: int | None, warmup_bars: int
) -> Candles:
    wanted = feed.candles(instrument, timeframe, start=start, end=end)
    if start is None or warmup_bars <= 0:
        return wanted
    try:
        before = feed.candles(instrument, timeframe, end=start, limit=warmup_bars)
    except NotFound:
        return wanted
    columns = (np.concatenate(pair) for pair in zip(_columns(before.bars), _columns(wanted.bars), strict=True))
    time = np.concatenate((before.time, wanted.time))
    return Candles(instrument, timeframe, time, Bars(*columns, source=wanted.bars.source))


def _framed(timeframe: Timeframe, all_candles: Sequence[Candles]) -> Frame:
    axis = all_candles[0].time
    if any(not np.array_equal(candles.time, axis) for candles in all_candles[1:]):
        axis = np.unique(np.concatenate([candles.time for candles in all_candles]))
    return Frame(timeframe, axis, {candles.instrument: _on_axis(candles, axis) for candles in all_candles})


def _on_axis(candles: Candles, axis: Times) -> Bars:
    if len(candles) == len(axis):
        return candles.bars
    spread = np.full((5, len(axis)), np.nan)
    spread[:, np.searchsorted(axis, candles.time)] = _columns(candles.bars)
    return Bars(*spread, source=candles.bars.source)


def _columns(bars: Bars) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    return bars.open, bars.high, bars.low, bars.close, bars.volume

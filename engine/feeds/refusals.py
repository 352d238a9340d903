"""What every feed says when it has no candles: what was asked, what exists, and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from api.errors import NotFound
from api.symbols import Instrument
from api.timeframes import SECONDS, Timeframe
from engine.clock import iso8601

_SHOWN = 5


def unknown_instrument(instrument: Instrument, known: Iterable[Instrument]) -> NotFound:
    """Nobody lists it; names close matches on its exchange."""
    symbols = {other.symbol: other for other in known if other.exchange == instrument.exchange}
    same_base = [s for s, other in symbols.items() if other.base == instrument.base.upper()]
    close = same_base or difflib.get_close_matches(instrument.symbol, symbols, n=_SHOWN, cutoff=0.6)
    return NotFound(
        f"{instrument.exchange} lists no {instrument.symbol!r}",
        suggestion=f"Did you mean {' or '.join(close[:_SHOWN])}?"
        if close
        else f'market_tickers(exchange="{instrument.exchange}") lists what {instrument.exchange} trades',
    )


def empty_range(
    instrument: Instrument, timeframe: Timeframe, asked: tuple[int | None, int | None], first: int, last: int
) -> NotFound:
    """The instrument is known, but has no closed bar in the range; `first` and `last` are the open times it has."""
    since, until = (None if edge is None else iso8601(edge) for edge in asked)
    wanted = f"from {since or 'the beginning'} to {until or 'now'}"
    if last < first:
        return NotFound(
            f"{instrument.ticker} has no closed {timeframe} bar yet; its first one opens at {iso8601(first)}",
            suggestion="Choose another symbol or a shorter timeframe",
        )
    return NotFound(
        f"{instrument.ticker} has no {timeframe} bar {wanted}",
        suggestion=f"Ask for a range between {iso8601(first)} and {iso8601(last)}, the first and last bar there are",
    )


def too_fine(instrument: Instrument, timeframe: Timeframe, imported: Iterable[Timeframe]) -> NotFound:
    """Only longer bars were imported; shorter ones cannot be made from them and are not simulated beside them."""
    names = sorted(imported, key=lambda name: SECONDS[name])
    return NotFound(
        f"{instrument.ticker} was imported as {' and '.join(names)}; {timeframe} bars cannot be made from that",
        suggestion=f"Use {names[0]} or longer, or import {timeframe} candles of {instrument.ticker}",
    )

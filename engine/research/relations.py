"""How symbols move together: correlation of returns, and cointegration of log prices."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any, Final

import numpy as np

from api.errors import InvalidInput
from api.research import CorrelationRequest, CorrelationResponse
from api.symbols import resolve
from engine.feeds.feed import Feed
from engine.feeds.market import recent_frame
from engine.frame import Floats

from .comparison import correlation

_CRITICAL: Final = (-3.33613, -6.1101, -6.823)
"""MacKinnon (2010), "Critical Values for Cointegration Tests": two series, a constant, 5 %: in powers of 1/bars."""
MIN_BARS: Final = 30
SHOWN: Final = 20


def correlate(feed: Feed, request: CorrelationRequest) -> CorrelationResponse:
    """Correlation of bar returns over the bars that all have, and each pair's cointegration. Blocking.

    Raises:
        NotFound: A symbol is unknown or has no candles.
        InvalidInput: The symbols share too few bars.
    """
    instruments = tuple(dict.fromkeys(resolve(symbol) for symbol in request.symbols))
    if len(instruments) < 2:
        raise InvalidInput("symbols name one instrument", suggestion="Name two different ones")
    instruments = tuple(feed.listing(instrument).instrument for instrument in instruments)
    frame = recent_frame(feed, instruments, request.timeframe, request.bars)
    prices = np.stack([frame.bars[instrument].close for instrument in instruments])
    prices = prices[:, np.isfinite(prices).all(axis=0)]
    if prices.shape[1] < MIN_BARS:
        raise InvalidInput(
            f"the symbols have {prices.shape[1]} bars of {request.timeframe} in common; {MIN_BARS} are needed",
            suggestion="Use a shorter timeframe, or symbols with more history",
        )
    names = [instrument.ticker for instrument in instruments]
    logs = np.log(prices)
    pairs = [
        {"pair": [names[a], names[b]], **cointegration(logs[a], logs[b])} for a, b in combinations(range(len(names)), 2)
    ]
    known = sorted(pairs, key=lambda pair: pair["adf"] if pair["adf"] is not None else math.inf)
    return CorrelationResponse(
        symbols=names, matrix=correlation(np.diff(logs, axis=1)), pairs=known[:SHOWN], bars=prices.shape[1]
    )


def cointegration(y: Floats, x: Floats) -> dict[str, Any]:
    """Engle and Granger's two steps: y on x with a constant, then a Dickey-Fuller test of what is left, one lag.

    `cointegrated` is at 5 %; `half_life_bars` is how long a deviation takes to halve.
    """
    slope, constant = np.polyfit(x, y, 1).tolist()
    rest = y - slope * x - constant
    change, before = np.diff(rest), rest[:-1]
    columns = np.stack([before[1:], change[:-1]], axis=1)
    target = change[1:]
    squares = columns.T @ columns
    inverse: Floats = np.linalg.pinv(squares)
    solved: Floats = inverse @ (columns.T @ target)
    size = len(target)
    error: Floats = target - columns @ solved
    spread = math.sqrt(max(float(error @ error) / max(size - 2, 1) * float(inverse[0, 0]), 0.0))
    pull = float(solved[0])
    adf = pull / spread if spread > 0 else None
    critical = _CRITICAL[0] + _CRITICAL[1] / size + _CRITICAL[2] / size**2
    return {
        "hedge_ratio": round(slope, 4),
        "adf": None if adf is None else round(adf, 3),
        "critical_5pct": round(critical, 3),
        "cointegrated": adf is not None and adf < critical,
        "half_life_bars": round(-math.log(2.0) / math.log1p(pull), 1) if -1.0 < pull < 0.0 else None,
    }

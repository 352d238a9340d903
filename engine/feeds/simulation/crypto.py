"""Daily bars of crypto assets: a market factor that all share, and a path of their own.

Returns are normal with a log-normal volatility that moves on scales of days to months, which gives fat tails and
clusters. Both paths are pulled back to their own average of the last years, so that prices stay on the scale that
the table of assets gives them, at whatever date they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.feeds.universe.assets import Asset
from engine.feeds.universe.venues import lot_exponent
from engine.frame import Floats

from .noise import Stream
from .refining import CLOSE, HIGH, LOW, OPEN, ROWS, VARIANCE, VOLUME, bridge_extremes

STEPS_PER_PRICE: Final = 1e9
"""Price steps in an asset's anchor price: far finer than any venue's tick."""

ANCHOR_DAY: Final = 20_240
"""2025-06-01, when an asset costs what the table says."""

PATH_START: Final = 14_336
"""Days since 1970. Paths are walked from here; the years before the first served day feed the averages."""

_AVERAGED_DAYS: Final = 2_048
_SERVED_FROM: Final = PATH_START + _AVERAGED_DAYS
_HORIZON_STEP: Final = 1_024

_MARKET_VOLATILITY: Final = 0.45
_MARKET_GROWTH: Final = 0.15
_YEAR: Final = 365.0

_SWING_SCALES: Final = (3, 12, 48)
_SWING: Final = 0.24
_SHOCK: Final = 0.25
_MEAN_SQUARE: Final = 2.0 * len(_SWING_SCALES) / 3.0 * _SWING**2 + _SHOCK**2
_VOLUME_FOLLOWS_VOLATILITY: Final = 0.9
_WEEKEND: Final = 0.75

_Moves = Callable[[int, int], tuple[Floats, Floats]]
"""Log returns, and the volatility they were drawn with, of `count` days from a first day on."""


@dataclass(frozen=True, slots=True)
class Temper:
    """How an asset moves: its share of the market's moves, and the volatility of its own a year."""

    beta: float
    volatility: float

    @property
    def total_volatility(self) -> float:
        """Market's and own together, a year."""
        return math.hypot(self.beta * _MARKET_VOLATILITY, self.volatility)


def temper(asset: Asset) -> Temper:
    """Small assets and memes swing more of their own; exchange coins less with the market; gold hardly at all."""
    if asset.sector == "RWA" and asset.base == "PAXG":
        return Temper(beta=0.05, volatility=0.12)
    own = 0.18 if asset.rank == 1 else min(0.75, 0.4 + 0.006 * asset.rank)
    beta = {"Exchange": 0.8, "Payments": 0.95, "Meme": 1.35, "AI": 1.3, "Gaming": 1.25}.get(asset.sector, 1.15)
    return Temper(beta=0.95 if asset.rank == 1 else beta, volatility=own + (0.25 if asset.sector == "Meme" else 0.0))


class MarketFactor:
    """The path that all crypto assets share."""

    def __init__(self, seed: int) -> None:
        self._stream = Stream(seed, "market")
        self._path = _Path(self.moves)

    def moves(self, first_day: int, count: int) -> tuple[Floats, Floats]:
        """Log returns by day, and the volatility they were drawn with."""
        return _moves(self._stream, _MARKET_VOLATILITY, first_day, count)

    def logs(self, until_day: int) -> Floats:
        """Log level at the close of each day from the first served day on."""
        levels = self._path.logs(until_day)
        return levels + _MARKET_GROWTH / _YEAR * np.arange(len(levels))


class CryptoDays:
    """Daily bars of one asset in US dollars."""

    def __init__(self, seed: int, asset: Asset, market: MarketFactor) -> None:
        self.name = f"asset/{asset.base}"
        self._asset = asset
        self._market = market
        self._temper = temper(asset)
        self.shared = self._temper.beta * _MARKET_VOLATILITY / self._temper.total_volatility
        self._stream = Stream(seed, self.name)
        self._path = _Path(self._own_moves)
        self._closes = np.empty(0)

    def bars(self, first_day: int, count: int) -> Floats:
        """See `Days`. `first_day` is not before the first served day."""
        closes = self._log_steps(first_day + count)
        at = first_day - _SERVED_FROM
        logs = np.empty((4, count))
        logs[CLOSE] = closes[at : at + count]
        logs[OPEN] = closes[max(0, at - 1) : at + count - 1] if at else np.append(closes[:1], closes[: count - 1])
        _, market = self._market.moves(first_day, count)
        _, own = self._own_moves(first_day, count)
        volatility = np.sqrt((self._temper.beta * market) ** 2 + own**2)
        up, down = Stream(self._stream.seed, f"{self.name}/wick").uniforms(first_day, count)
        logs[HIGH], logs[LOW] = bridge_extremes(logs[OPEN], logs[CLOSE], volatility**2, up, down)
        bars = np.empty((ROWS, count))
        bars[:VOLUME] = np.maximum(np.rint(np.exp(logs)), 1.0)
        bars[VARIANCE] = (volatility * bars[OPEN]) ** 2
        bars[VOLUME] = self._volume(first_day, bars[CLOSE], volatility)
        return bars

    def _own_moves(self, first_day: int, count: int) -> tuple[Floats, Floats]:
        return _moves(self._stream, self._temper.volatility, first_day, count)

    def _log_steps(self, until_day: int) -> Floats:
        """Log of the price in steps at each day's close, from the first served day on, at least up to `until_day`."""
        if len(self._closes) < until_day - _SERVED_FROM:
            until = max(until_day, ANCHOR_DAY + 1)
            own, market = self._path.logs(until), self._market.logs(until)
            logs = self._temper.beta * market[: len(own)] + own[: len(market)]
            self._closes = logs - logs[ANCHOR_DAY - _SERVED_FROM] + np.log(STEPS_PER_PRICE)
        return self._closes

    def _volume(self, first_day: int, closes: Floats, volatility: Floats) -> Floats:
        typical = self._temper.total_volatility / np.sqrt(_YEAR)
        chance, _ = Stream(self._stream.seed, f"{self.name}/volume").normals(first_day, len(closes))
        days = np.arange(first_day, first_day + len(closes))
        weekday = np.where((days + 3) % 7 >= 5, _WEEKEND, 1.0)
        turnover = self._asset.daily_turnover / 100.0 * weekday * np.exp(0.25 * chance)
        turnover *= (volatility / typical) ** _VOLUME_FOLLOWS_VOLATILITY
        price = closes * (self._asset.price / STEPS_PER_PRICE)
        return np.maximum(np.rint(turnover / price * 10.0 ** -lot_exponent(self._asset.price)), 1.0)


class _Path:
    """A random walk seen from its own average of the years before: kept, and walked further when asked."""

    def __init__(self, moves: _Moves) -> None:
        self._moves = moves
        self._logs = np.empty(0)

    def logs(self, until_day: int) -> Floats:
        """Levels from the first served day on; whole steps of the horizon, so that a later request changes none."""
        if len(self._logs) < until_day - _SERVED_FROM:
            steps = -(-(until_day - PATH_START) // _HORIZON_STEP)
            walk = np.cumsum(self._moves(PATH_START, steps * _HORIZON_STEP)[0])
            total = np.cumsum(walk)
            self._logs = walk[_AVERAGED_DAYS:] - (total[_AVERAGED_DAYS:] - total[:-_AVERAGED_DAYS]) / _AVERAGED_DAYS
        return self._logs


def _moves(stream: Stream, yearly: float, first_day: int, count: int) -> tuple[Floats, Floats]:
    chance, shock = stream.normals(first_day, count)
    swings = stream.swings(first_day, count, _SWING_SCALES)
    volatility = yearly / np.sqrt(_YEAR) * np.exp(_SWING * swings + _SHOCK * shock - _MEAN_SQUARE)
    return volatility * chance, volatility

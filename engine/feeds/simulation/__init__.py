"""Generates simulated candles: counter-based noise, and the refinement of daily bars into shorter ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from api.times import SECONDS, Timeframe
from engine.feeds.feed import Kept
from engine.frame import Floats

RandomWords = NDArray[np.uint64]

_GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
_TO_UNIT: Final = 2.0**-32
_LOW_HALF: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)


@dataclass(frozen=True)
class Stream:
    """An endless stream of random draws, determined by seed and name. `first` may be any whole number >= 0."""

    seed: int
    name: str

    def uniforms(self, first: int, count: int) -> tuple[Floats, Floats]:
        """Two independent arrays of `count` numbers, uniform strictly between 0 and 1."""
        words = self._words(first, count)
        return _to_unit(words >> _HALF), _to_unit(words & _LOW_HALF)

    def normals(self, first: int, count: int) -> tuple[Floats, Floats]:
        """Two independent arrays of `count` standard normal numbers (Box-Muller)."""
        radius, angle = self.uniforms(first, count)
        radius = np.sqrt(-2.0 * np.log(radius))
        angle *= 2.0 * np.pi
        return radius * np.cos(angle), radius * np.sin(angle)

    def swings(self, first: int, count: int, scales: tuple[int, ...]) -> Floats:
        """A slowly changing series: for each scale, normals that many draws apart, joined linearly, then summed."""
        total = np.zeros(count)
        for scale in scales:
            low = first // scale
            knots, _ = Stream(self.seed, f"{self.name}/{scale}").normals(low, (first + count - 1) // scale - low + 2)
            at, into = np.divmod(np.arange(first - low * scale, first - low * scale + count), scale)
            weight = into / scale
            total += knots[at] * (1.0 - weight) + knots[at + 1] * weight
        return total

    @cached_property
    def _key(self) -> np.uint64:
        digest = blake2b(f"{self.seed}/{self.name}".encode(), digest_size=8).digest()
        return np.uint64(int.from_bytes(digest))

    def _words(self, first: int, count: int) -> RandomWords:
        words = np.arange(first + 1, first + count + 1, dtype=np.uint64)
        words *= _GAMMA
        words += self._key
        for shift, factor in _MIX:
            words ^= words >> np.uint64(shift)
            words *= np.uint64(factor)
        return words


def _to_unit(words: RandomWords) -> Floats:
    return (words.astype(np.float64) + 0.5) * _TO_UNIT


OPEN, HIGH, LOW, CLOSE, VOLUME, VARIANCE = range(6)
ROWS: Final = 6

BURSTINESS: Final = 0.5
VOLUME_NOISE: Final = 0.3
CALM_VOLUME: Final = 0.5
"""A child's volume is proportional to its range plus this part of the mean range."""


@dataclass(frozen=True)
class Chance:
    """Draws of one asset at one timeframe. `shared` (0 to 1) is its correlation with the path common to all assets."""

    seed: int
    name: str
    timeframe: Timeframe
    shared: float

    def own(self, purpose: str) -> Stream:
        """A stream specific to the asset."""
        return Stream(self.seed, f"{self.name}/{self.timeframe}/{purpose}")

    def path(self, first: int, count: int) -> tuple[Floats, Floats]:
        """Two arrays of standard normal numbers, each with correlation `shared` to the path common to all assets."""
        own = self.own("path").normals(first, count)
        if not self.shared:
            return own
        market = _market_path(self.seed, self.timeframe, first, count)
        rest = math.sqrt(1.0 - self.shared**2)
        return self.shared * market[0] + rest * own[0], self.shared * market[1] + rest * own[1]


@lru_cache(maxsize=64)
def _market_path(seed: int, timeframe: Timeframe, first: int, count: int) -> tuple[Floats, Floats]:
    return Stream(seed, f"market/{timeframe}/path").normals(first, count)


def refine(parents: Floats, first_parent: int, children: int, chance: Chance, profile: Floats | None = None) -> Floats:
    """Split each parent into `children` bars.

    Args:
        parents: Bars of shape (6, n).
        first_parent: Number of the first parent on the time axis; draws depend on it and on nothing before it.
        children: Bars per parent.
        chance: The source of the draws.
        profile: The children's typical share of the variance, shape (children,); equal by default.

    Returns:
        Bars of shape (6, n * children).
    """
    count = parents.shape[1]
    shape = (count, children)
    drawn = (first_parent * children, count * children)
    burst, step = (z.reshape(shape) for z in chance.path(*drawn))
    up, down = (u.reshape(shape) for u in chance.own("wick").uniforms(*drawn))
    noise = chance.own("volume").uniforms(*drawn)[0].reshape(shape)

    share = np.exp(BURSTINESS * burst)
    if profile is not None:
        share *= profile
    share /= share.sum(axis=1, keepdims=True)
    refined = np.empty((ROWS, count, children))
    refined[VARIANCE] = share * parents[VARIANCE][:, None]
    _draw_path(refined, parents, share, step)
    refined[HIGH], refined[LOW] = bridge_extremes(refined[OPEN], refined[CLOSE], refined[VARIANCE], up, down)
    _stretch(refined, parents)
    ranges = refined[HIGH] - refined[LOW]
    weights = ranges + (CALM_VOLUME * ranges.mean(axis=1, keepdims=True) + 1.0)
    weights *= np.exp(VOLUME_NOISE * math.sqrt(12.0) * (noise - 0.5))
    refined[VOLUME] = _split_volume(parents[VOLUME], weights)
    return refined.reshape(ROWS, count * children)


def bridge_extremes(start: Floats, end: Floats, variance: Floats, up: Floats, down: Floats) -> tuple[Floats, Floats]:
    """Highest and lowest point of Brownian paths from `start` to `end`, at the quantiles `up` and `down`."""
    squared = (end - start) ** 2
    middle = start + end
    high = (middle + np.sqrt(squared - 2.0 * variance * np.log(up))) / 2.0
    low = (middle - np.sqrt(squared - 2.0 * variance * np.log(down))) / 2.0
    return high, low


def _draw_path(refined: Floats, parents: Floats, share: Floats, step: Floats) -> None:
    opens, closes = parents[OPEN][:, None], parents[CLOSE][:, None]
    elapsed = np.cumsum(share, axis=1)
    walk = np.cumsum(np.sqrt(refined[VARIANCE]) * step, axis=1)
    path = opens + (closes - opens) * elapsed + walk - walk[:, -1:] * elapsed
    path[:, -1] = parents[CLOSE]
    refined[CLOSE] = path
    refined[OPEN, :, 0] = parents[OPEN]
    refined[OPEN, :, 1:] = path[:, :-1]


def _stretch(refined: Floats, parents: Floats) -> None:
    body_high = np.maximum(parents[OPEN], parents[CLOSE])
    body_low = np.minimum(parents[OPEN], parents[CLOSE])
    rise = _ratio(parents[HIGH] - body_high, refined[HIGH].max(axis=1) - body_high)[:, None]
    fall = _ratio(body_low - parents[LOW], body_low - refined[LOW].min(axis=1))[:, None]
    prices = refined[:VOLUME]
    inside = np.clip(prices, body_low[:, None], body_high[:, None])
    beyond = prices - inside
    beyond *= np.where(beyond > 0.0, rise, fall)
    np.rint(inside + beyond, out=prices)


def _ratio(wanted: Floats, drawn: Floats) -> Floats:
    return np.divide(wanted, drawn, out=np.zeros_like(wanted), where=drawn > 0.0)


def _split_volume(volume: Floats, weights: Floats) -> Floats:
    """Whole lots by weight: the running total is rounded, so that the parts sum to the parent."""
    total = np.cumsum(weights, axis=1)
    total *= (volume / total[:, -1])[:, None]
    total[:, -1] = volume
    return np.diff(np.rint(total), axis=1, prepend=0.0)


class Days(Protocol):
    """Daily bars of one asset or token; every shorter bar is refined from them."""

    @property
    def name(self) -> str:
        """Names the asset or token; all its randomness derives from this and the seed."""
        ...

    @property
    def shared(self) -> float:
        """Correlation of its moves within the day with those of the market, 0 to 1."""
        ...

    def bars(self, first_day: int, count: int) -> Floats:
        """Bars of shape (6, count) from `first_day` (days since 1970) on: open, high, low, close in whole price
        steps, volume in whole lots, variance in squared steps. Zero where there is no bar."""
        ...


DAY: Final = 86_400
DEFAULT_BUDGET: Final = 128 * 2**20


@dataclass(frozen=True, slots=True)
class _Level:
    """A timeframe below one day: the timeframe it is refined from, and the days that one block covers."""

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
    """A cache of bar blocks, built on first use; evicts the least recently used above `budget` bytes."""

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

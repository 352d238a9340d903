"""Splitting a bar into shorter ones that add up to it: same first open, last close, extremes and volume, exactly.

Bars are (6, n) arrays of floats: open, high, low, close in whole price steps, volume in whole lots, and the variance
of the walk that the bar was drawn from, in squared steps. Inside a parent runs a Brownian bridge whose variance is
shared out among the children at random, unequally, so that bursts of activity appear on every scale; a child's
extremes follow the law of the extremes of a bridge. The path is then stretched above and below the parent's body
until its extremes are the parent's: the stretch keeps the order of prices, leaves open and close where they are, and
meets high and low exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from api.timeframes import Timeframe
from engine.frame import Floats

from .noise import Stream

OPEN, HIGH, LOW, CLOSE, VOLUME, VARIANCE = range(6)
ROWS: Final = 6

BURSTINESS: Final = 0.5
VOLUME_NOISE: Final = 0.3
CALM_VOLUME: Final = 0.5
"""A child trades in proportion to its range, plus this part of the mean range."""


@dataclass(frozen=True)
class Chance:
    """Draws of one asset at one timeframe. Its path takes part in the path that all share, by `shared` (0 to 1)."""

    seed: int
    name: str
    timeframe: Timeframe
    shared: float

    def own(self, purpose: str) -> Stream:
        """A stream of the asset's own."""
        return Stream(self.seed, f"{self.name}/{self.timeframe}/{purpose}")

    def path(self, first: int, count: int) -> tuple[Floats, Floats]:
        """Two rows of standard normal numbers, each correlated by `shared` with those of all other assets."""
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
        chance: Where the draws come from.
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
    """Highest and lowest point of Brownian paths from `start` to `end`, at the ranks `up` and `down` of their laws."""
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
    """Whole lots by weight: the running total is rounded, so that the parts add up to the parent."""
    total = np.cumsum(weights, axis=1)
    total *= (volume / total[:, -1])[:, None]
    total[:, -1] = volume
    return np.diff(np.rint(total), axis=1, prepend=0.0)

"""Splitting a bar into shorter ones that add up to it: same first open, last close, extremes and volume, exactly.

Bars are (5, n) arrays of whole numbers held as floats: open, high, low, close in price steps, volume in lots. Inside a
parent runs a Brownian bridge whose variance is shared out among the children at random, unequally, so that bursts of
activity appear on every scale; a child's extremes follow the law of the extremes of a bridge. The path is then
stretched above and below the parent's body until its extremes are the parent's: the stretch keeps the order of
prices, leaves open and close where they are, and meets high and low exactly.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from engine.frame import Floats

from .noise import Stream

OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)

RANGE_TO_VARIANCE: Final = 4.0 * np.log(2.0)
"""The mean squared range of a Brownian path is this many times its variance (Parkinson, 1980)."""

BURSTINESS: Final = 0.5
VOLUME_NOISE: Final = 0.3
VOLUME_FOLLOWS_VARIANCE: Final = 0.7


def refine(parents: Floats, first_parent: int, children: int, stream: Stream, profile: Floats | None = None) -> Floats:
    """Split each parent into `children` bars.

    Args:
        parents: Bars of shape (5, n).
        first_parent: Number of the first parent on the time axis; draws depend on it and on nothing before it.
        children: Bars per parent.
        stream: Where the chance comes from.
        profile: The children's typical share of the variance, shape (children,); equal by default.

    Returns:
        Bars of shape (5, n * children).
    """
    count = parents.shape[1]
    shape = (count, children)
    drawn = (first_parent * children, count * children)
    burst, step = (z.reshape(shape) for z in Stream(stream.seed, f"{stream.name}/path").normals(*drawn))
    up, down = (u.reshape(shape) for u in Stream(stream.seed, f"{stream.name}/wick").uniforms(*drawn))
    noise, _ = Stream(stream.seed, f"{stream.name}/volume").uniforms(*drawn)

    share = np.exp(BURSTINESS * burst)
    if profile is not None:
        share *= profile
    share /= share.sum(axis=1, keepdims=True)
    refined = np.empty((5, count, children))
    _draw_path(refined, parents, share, step, up, down)
    _stretch(refined, parents)
    weights = share**VOLUME_FOLLOWS_VARIANCE * np.exp(VOLUME_NOISE * 3.4 * (noise.reshape(shape) - 0.5))
    refined[VOLUME] = _split_volume(parents[VOLUME], weights)
    return refined.reshape(5, count * children)


def bridge_extremes(start: Floats, end: Floats, variance: Floats, up: Floats, down: Floats) -> tuple[Floats, Floats]:
    """Highest and lowest point of Brownian paths from `start` to `end`, at the ranks `up` and `down` of their laws."""
    squared = (end - start) ** 2
    middle = start + end
    high = (middle + np.sqrt(squared - 2.0 * variance * np.log(up))) / 2.0
    low = (middle - np.sqrt(squared - 2.0 * variance * np.log(down))) / 2.0
    return high, low


def _draw_path(refined: Floats, parents: Floats, share: Floats, step: Floats, up: Floats, down: Floats) -> None:
    opens, closes = parents[OPEN][:, None], parents[CLOSE][:, None]
    variance = share * ((parents[HIGH] - parents[LOW]) ** 2 / RANGE_TO_VARIANCE)[:, None]
    elapsed = np.cumsum(share, axis=1)
    walk = np.cumsum(np.sqrt(variance) * step, axis=1)
    path = opens + (closes - opens) * elapsed + walk - walk[:, -1:] * elapsed
    path[:, -1] = parents[CLOSE]
    refined[CLOSE] = path
    refined[OPEN, :, 0] = parents[OPEN]
    refined[OPEN, :, 1:] = path[:, :-1]
    refined[HIGH], refined[LOW] = bridge_extremes(refined[OPEN], refined[CLOSE], variance, up, down)


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

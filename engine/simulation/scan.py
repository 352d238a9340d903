"""Looking ahead for the next bar on which something happens by itself, many bars at a time.

What is found is only where to look next: the fill is worked out from that bar alone.
"""

from __future__ import annotations

import numpy as np

from engine.frame import Bools, Floats

from .account import Position
from .costs import Costs
from .market import Market

FIRST_CHUNK = 256
LARGEST_CHUNK = 65_536


def guarded(position: Position, costs: Costs) -> bool:
    """Whether the position can close by itself."""
    return (
        position.stop is not None
        or position.target is not None
        or position.trail is not None
        or position.price_target is not None
        or costs.can_liquidate(position.side)
    )


def see(position: Position, market: Market, bar: int) -> None:
    """Bring the peak of a trailed position up to the bar before `bar`."""
    if position.trail is None or position.seen >= bar - 1:
        return
    passed = slice(position.seen + 1, bar)
    if position.side > 0:
        position.peak = float(np.fmax(position.peak, np.fmax.reduce(market.high[passed])))
    else:
        position.peak = float(np.fmin(position.peak, np.fmin.reduce(market.low[passed])))
    position.seen = bar - 1


def first_touch(position: Position, market: Market, start: int, stop: int) -> int:
    """The first bar in [start, stop) on which the position closes by itself, else `stop`.

    The position's peak must be known up to the bar before `start` (`see`).
    """
    low, high = market.low[start:stop], market.high[start:stop]
    level: float | Floats = position.fixed_guard(market.costs)[0]
    if position.trail is not None:
        level = _trailing_levels(position, position.trail, level, high if position.side > 0 else low)
    goal = position.goal()
    if position.side > 0:
        return first_true((low <= level) | (high >= goal), start)
    return first_true((high >= level) | (low <= goal), start)


def first_true(mask: Bools, start: int) -> int:
    """The first bar on which `mask`, which begins on bar `start`, holds; else the bar after its end."""
    if not len(mask):
        return start
    index = int(mask.argmax())
    return start + (index if mask[index] else len(mask))


def _trailing_levels(position: Position, trail: float, level: float, best: Floats) -> Floats:
    """The exit price of each bar: the trail follows the best price of the bars before, never its own."""
    follow = np.fmax if position.side > 0 else np.fmin
    before = np.empty(len(best))
    before[0] = position.peak
    before[1:] = best[:-1]
    follow.accumulate(before, out=before)
    before *= 1.0 - position.side * trail
    return follow(before, level)

"""Longer bars from shorter ones, aligned to the epoch in UTC."""

from __future__ import annotations

import numpy as np

from engine.store.candles import FIELDS, Block


def resample(block: Block, seconds: int, into: int) -> Block:
    """Combine bars of length `seconds` into bars of length `into`, a multiple of it.

    Only complete bars come out: a longer bar of which any shorter one is missing, at an edge or in a gap, is left out.

    Args:
        block: Bars as a (6, n) array: time, open, high, low, close, volume; times rising.
        seconds: Length of the bars given.
        into: Length of the bars wanted.
    """
    per_bar = into // seconds
    if per_bar == 1:
        return block
    slot = block[0] // into
    starts = np.flatnonzero(np.diff(slot, prepend=-1.0))
    complete = np.diff(starts, append=block.shape[1]) == per_bar
    if not complete.any():
        return np.empty((FIELDS, 0))
    ends = starts + per_bar - 1
    longer = np.empty((FIELDS, int(complete.sum())))
    longer[0] = slot[starts[complete]] * into
    longer[1] = block[1, starts[complete]]
    longer[2] = np.maximum.reduceat(block[2], starts)[complete]
    longer[3] = np.minimum.reduceat(block[3], starts)[complete]
    longer[4] = block[4, ends[complete]]
    longer[5] = np.add.reduceat(block[5], starts)[complete]
    return longer

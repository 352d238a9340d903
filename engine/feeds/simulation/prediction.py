"""Daily bars of prediction tokens: the chance of a hidden random walk to end above zero, given where it is.

Such a price is a martingale, stays between 0 and 1, and is 0 or 1 when no day is left. The walk moves more on some
days than on others, so that news comes in bursts.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from engine.feeds.universe.predictions import Question
from engine.frame import Floats

from .noise import Stream
from .refining import CLOSE, HIGH, LOW, OPEN, ROWS, VARIANCE, VOLUME, bridge_extremes

STEPS: Final = 1_000_000
"""Price steps between 0 and 1."""

LOT_EXPONENT: Final = -2
_FLOOR: Final = 1_000
"""The lowest price in steps, a venue's tick; the highest is as far below 1."""

_PRIOR: Final = 0.8
_NEWS: Final = 0.5


class PredictionDays:
    """Daily bars of the token that pays 1 if the answer is yes. The other token is its mirror image."""

    shared = 0.0

    def __init__(self, seed: int, question: Question) -> None:
        self.name = f"question/{question.key}"
        self._question = question
        self._stream = Stream(seed, self.name)

    @property
    def payout(self) -> int:
        """What the token pays in the end, 1 or 0. Known to nobody before the question is resolved."""
        return int(self._life()[CLOSE, -1] > STEPS / 2)

    @property
    def daily_turnover(self) -> float:
        """Typical turnover in USDC a day."""
        chance, _ = Stream(self._stream.seed, f"{self.name}/size").normals(0, 1)
        return float(60_000.0 * np.exp(1.2 * chance[0]))

    def bars(self, first_day: int, count: int) -> Floats:
        """See `Days`."""
        bars = np.zeros((ROWS, count))
        first = max(first_day, self._question.opened_day)
        stop = min(first_day + count, self._question.resolved_day)
        if first < stop:
            opened = self._question.opened_day
            bars[:, first - first_day : stop - first_day] = self._life()[:, first - opened : stop - opened]
        return bars

    def _life(self) -> Floats:
        """All bars from the first day to the last."""
        count = self._question.resolved_day - self._question.opened_day
        chance, news = self._stream.normals(self._question.opened_day, count)
        variance = np.exp(2.0 * _NEWS * news)
        remaining = np.append(variance[::-1].cumsum()[::-1], 0.0)
        start = _PRIOR * Stream(self._stream.seed, f"{self.name}/prior").normals(0, 1)[0][0] * math.sqrt(remaining[0])
        walk = np.concatenate(([start], start + np.cumsum(np.sqrt(variance) * chance)))
        chances = _normal_cdf(walk / np.sqrt(np.maximum(remaining, 1e-12)))
        bars = np.empty((ROWS, count))
        bars[OPEN], bars[CLOSE] = chances[:-1], chances[1:]
        up, down = Stream(self._stream.seed, f"{self.name}/wick").uniforms(self._question.opened_day, count)
        spread = chances[:-1] * (1.0 - chances[:-1]) * variance / remaining[:-1]
        bars[HIGH], bars[LOW] = bridge_extremes(bars[OPEN], bars[CLOSE], spread, up, down)
        bars[:VOLUME] = np.clip(np.rint(bars[:VOLUME] * STEPS), _FLOOR, STEPS - _FLOOR)
        bars[VARIANCE] = spread * STEPS**2
        bars[VOLUME] = np.rint(self.daily_turnover * np.exp(_NEWS * news) * 10.0**-LOT_EXPONENT)
        return bars


def _normal_cdf(values: Floats) -> Floats:
    return np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in values.tolist()])

"""The prediction markets that the simulation lists, and the daily bars of their tokens.

The questions come up again every month, quarter or year. Each is opened two periods before the one it asks about ends
and resolves at 00:00 UTC on the day after. Which questions exist therefore depends on the day, and there are open ones
on every day. A token's price is the chance of a hidden random walk to end above zero, given where it is: a martingale
that stays between 0 and 1, and is 0 or 1 when no day is left. The walk moves more on some days than on others, so that
news comes in bursts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Literal

import numpy as np

from api.symbols import Instrument
from engine.frame import Floats

from .refinement import CLOSE, HIGH, LOW, OPEN, ROWS, VARIANCE, VOLUME, Stream, bridge_extremes

Outcome = Literal["Yes", "No"]
OUTCOMES: Final[tuple[Outcome, Outcome]] = ("Yes", "No")

MONTHS_OF: Final = {"month": 1, "quarter": 3, "year": 12}
FIRST_YEAR: Final = 2018
_EPOCH: Final = date(1970, 1, 1)

_TOPICS: Final = (
    ("year", "Economics", "Will the US economy enter a recession in {period}?"),
    ("quarter", "Economics", "Will the Federal Reserve cut interest rates in {period}?"),
    ("quarter", "Economics", "Will the European Central Bank cut interest rates in {period}?"),
    ("month", "Economics", "Will US inflation for {period} come in above 3%?"),
    ("month", "Economics", "Will the US unemployment rate rise in {period}?"),
    ("month", "Crypto", "Will spot Bitcoin funds see net inflows in {period}?"),
    ("quarter", "Crypto", "Will a new spot crypto ETF be approved in the US in {period}?"),
    ("quarter", "Crypto", "Will Ethereum activate a network upgrade in {period}?"),
    ("quarter", "Crypto", "Will a bridge or protocol exploit exceed $100M in {period}?"),
    ("year", "Crypto", "Will a G20 country add Bitcoin to its reserves in {period}?"),
    ("month", "AI", "Will a new model take first place on the chat leaderboard in {period}?"),
    ("quarter", "AI", "Will an open-weights model lead the coding leaderboard in {period}?"),
    ("year", "AI", "Will a major government pass a law on frontier AI in {period}?"),
    ("quarter", "Politics", "Will the US federal government shut down in {period}?"),
    ("year", "Politics", "Will a G7 country hold a snap election in {period}?"),
    ("year", "Science", "Will a crewed spacecraft travel beyond low Earth orbit in {period}?"),
    ("month", "Science", "Will {period} be the hottest such month on record?"),
    ("year", "Sports", "Will the men's marathon world record fall in {period}?"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A yes/no question. Days count from 1970: traded from `opened_day`, resolved at the start of `resolved_day`."""

    key: str
    title: str
    sector: str
    opened_day: int
    resolved_day: int

    def token(self, outcome: Outcome) -> Instrument:
        """The token that pays 1 if the answer is `outcome`."""
        digest = blake2b(f"{self.key}/{outcome}".encode(), digest_size=32).digest()
        return Instrument("polymarket", str(int.from_bytes(digest)), "USDC")


@lru_cache(maxsize=8)
def questions_opened_by(day: int) -> tuple[Question, ...]:
    """Every question opened on `day` or before, oldest first, the resolved ones included."""
    until = (_EPOCH + timedelta(days=day)).year + 3
    found = [q for topic in range(len(_TOPICS)) for q in _series(topic, until) if q.opened_day <= day]
    return tuple(sorted(found, key=lambda q: (q.resolved_day, q.key)))


def _series(topic: int, until_year: int) -> Iterator[Question]:
    length, sector, wording = _TOPICS[topic]
    months = MONTHS_OF[length]
    for first in range(FIRST_YEAR * 12, until_year * 12, months):
        name = _period_name(first, months)
        yield Question(
            key=f"{topic}/{name}",
            title=wording.format(period=name),
            sector=sector,
            opened_day=_day(first - months),
            resolved_day=_day(first + months),
        )


def _period_name(month: int, months: int) -> str:
    year, index = divmod(month, 12)
    if months == 12:
        return str(year)
    if months == 3:
        return f"Q{index // 3 + 1} {year}"
    return datetime(year, index + 1, 1, tzinfo=UTC).strftime("%B %Y")


def _day(month: int) -> int:
    year, index = divmod(month, 12)
    return (date(year, index + 1, 1) - _EPOCH).days


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

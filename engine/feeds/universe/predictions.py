"""The prediction markets that the simulation lists: questions that come up again every month, quarter or year.

Each question is opened two periods before the one it asks about ends and resolves at 00:00 UTC on the day after.
Which questions exist therefore depends on the day, and there are open ones on every day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Literal

from api.symbols import Instrument

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

"""The simulated venues: their assets, start dates and quoting; and the prediction markets.

A venue quotes an asset in its currency and steps, with its share of the volume. Questions recur every month, quarter or
year. Each opens two periods before the end of the period it asks about and resolves at 00:00 UTC on the day after. The
set of questions therefore depends on the day, and some are open on every day. A token's price is the probability that a
hidden random walk ends above zero, given its current level: a martingale between 0 and 1 that is 0 or 1 when no day is
left. The walk moves more on some days than on others, so that news comes in bursts.

`VENUES` says how much of the market each exchange has in the simulation, which is nothing that traders of the real one
need. No field has a default, and the import fails if an exchange of coins lacks a row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Final, Literal, Protocol

import numpy as np

from api.exchanges import EXCHANGES, USUAL_EXCHANGE, ExchangeId
from api.symbols import Instrument
from engine.feeds.feed import lot_exponent, step, tick_exponent
from engine.feeds.simulation import CLOSE, DAY, HIGH, LOW, OPEN, ROWS, VARIANCE, VOLUME, Days, Stream, bridge_extremes
from engine.feeds.simulation.coins import STEPS_PER_PRICE, Asset, CryptoDays, assets
from engine.frame import Floats, Times

QuestionAnswer = Literal["Yes", "No"]
_PREDICTIONS: Final = USUAL_EXCHANGE["prediction"]
OUTCOMES: Final[tuple[QuestionAnswer, QuestionAnswer]] = ("Yes", "No")

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

    def token(self, outcome: QuestionAnswer) -> Instrument:
        """The token that pays 1 if the answer is `outcome`."""
        digest = blake2b(f"{self.key}/{outcome}".encode(), digest_size=32).digest()
        return Instrument(_PREDICTIONS, str(int.from_bytes(digest)), EXCHANGES[_PREDICTIONS].quote)


@lru_cache(maxsize=8)
def questions_opened_by(day: int) -> tuple[Question, ...]:
    """Every question opened on or before `day`, oldest first, including resolved ones."""
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
        """The token's payout, 1 or 0. Not revealed before the question is resolved."""
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


TOP_MARKET_CAP: Final = 50
WON_PER_DOLLAR: Final = 1_380.0
"""The mean of the simulated exchange rate."""

FIRST_DAY: Final = 16_436
"""2015-01-01 in days since 1970: no bar is older."""


@dataclass(frozen=True, slots=True)
class SimulatedVenue:
    """The part of the asset table that a venue lists (`depth` from the top, every `stride`-th below the top 20).

    `share` is the venue's volume in hundredths of an asset's turnover; an integer, so that volumes stay exact.
    """

    exchange: ExchangeId
    depth: int
    stride: int
    share: int

    @property
    def in_won(self) -> bool:
        """Whether prices are in Korean won."""
        return EXCHANGES[self.exchange].quote == "KRW"


@dataclass(frozen=True, slots=True)
class SimulatedMarket:
    """An asset at a venue. Tick and lot are powers of ten, given by their exponents."""

    instrument: Instrument
    asset: Asset
    venue: SimulatedVenue
    rank: int
    tick_exponent: int
    lot_exponent: int
    listed_day: int

    @property
    def tick_size(self) -> str:
        """The price step as an exact decimal."""
        return step(self.tick_exponent)

    @property
    def lot_size(self) -> str:
        """The amount step as an exact decimal."""
        return step(self.lot_exponent)


VENUES: Final[tuple[SimulatedVenue, ...]] = (
    SimulatedVenue("binance", depth=220, stride=1, share=30),
    SimulatedVenue("binancefuturesusd", depth=160, stride=1, share=45),
    SimulatedVenue("upbit", depth=150, stride=2, share=6),
    SimulatedVenue("gate", depth=220, stride=2, share=5),
    SimulatedVenue("gatefutures", depth=120, stride=2, share=6),
    SimulatedVenue("hyperliquid", depth=120, stride=2, share=7),
    SimulatedVenue("lighter", depth=50, stride=3, share=1),
)
if wrong := {e.id for e in EXCHANGES.values() if e.market_type != "prediction"} ^ {v.exchange for v in VENUES}:
    raise TypeError(f"exchanges without a simulated venue, or venues without an exchange: {', '.join(sorted(wrong))}")


@cache
def markets() -> dict[Instrument, SimulatedMarket]:
    """Every crypto market, venue by venue, largest first."""
    return {market.instrument: market for venue in VENUES for market in _markets_of(venue)}


def _markets_of(venue: SimulatedVenue) -> Iterator[SimulatedMarket]:
    listed = [a for a in assets().values() if a.rank <= 20 or (a.rank <= venue.depth and a.rank % venue.stride == 0)]
    quote = EXCHANGES[venue.exchange].quote
    for rank, asset in enumerate(listed, 1):
        price = asset.price * (WON_PER_DOLLAR if venue.in_won else 1.0)
        yield SimulatedMarket(
            instrument=Instrument(venue.exchange, asset.base, quote),
            asset=asset,
            venue=venue,
            rank=rank,
            tick_exponent=tick_exponent(price),
            lot_exponent=lot_exponent(asset.price),
            listed_day=_listed_day(asset),
        )


def _listed_day(asset: Asset) -> int:
    """The three largest trade from the first day, the next 30 start before 2019, and all by the end of 2022."""
    if asset.rank <= 3:
        return FIRST_DAY
    chance = int.from_bytes(blake2b(asset.base.encode(), digest_size=4).digest()) / 2**32
    years = 1 + 3 * chance if asset.rank <= 33 else 3 + 5 * chance
    return FIRST_DAY + int(years * 365)


TOKEN_TICK_EXPONENT: Final = -3

_BASIS: Final = 1.5e-4
_BASIS_DAYS: Final = (6,)
_WON_SWING: Final = 0.015
_WON_DAYS: Final = (40, 400)
_YES_LOTS: Final = 5
_NO_LOTS: Final = 3


class View(Protocol):
    """How one instrument presents the bars of `days`. It trades from `opens_at` to `ends_at`, unix seconds."""

    @property
    def days(self) -> Days:
        """The source of the bars."""
        ...

    @property
    def opens_at(self) -> int:
        """Open time of the first bar."""
        ...

    @property
    def ends_at(self) -> int | None:
        """No bar opens at or after this."""
        ...

    def show(self, bars: Floats, time: Times) -> Floats:
        """Turn steps and lots, shape (6, n), into shape (5, n): prices in the quote currency, volume in base units."""
        ...


class CoinView:
    """An asset at a venue. Its price differs from the asset's by a factor that changes at midnight UTC."""

    ends_at = None

    def __init__(self, seed: int, market: SimulatedMarket, days: CryptoDays) -> None:
        self.days = days
        self.opens_at = market.listed_day * DAY
        self._market = market
        self._basis = Stream(seed, f"basis/{market.instrument.ticker}")
        self._won = Stream(seed, "won")

    def show(self, bars: Floats, time: Times) -> Floats:
        """See `View`."""
        day = time // DAY
        first = int(day[0])
        price_of_step = self._price_of_step(first, int(day[-1]) - first + 1)[day - first]
        tick, lot = self._market.tick_exponent, self._market.lot_exponent
        shown = np.empty((ROWS - 1, len(time)))
        ticks = np.maximum(np.rint(bars[:VOLUME] * (price_of_step * 10.0**-tick)), 1.0)
        shown[:VOLUME] = ticks / 10.0**-tick if tick < 0 else ticks * 10.0**tick
        shown[VOLUME] = bars[VOLUME] * self._market.venue.share / 10.0**-lot
        return shown

    def _price_of_step(self, first_day: int, count: int) -> Floats:
        price = self._market.asset.price / STEPS_PER_PRICE
        factor = price * np.exp(_BASIS * self._basis.swings(first_day, count, _BASIS_DAYS))
        if self._market.venue.in_won:
            factor *= WON_PER_DOLLAR * np.exp(_WON_SWING * self._won.swings(first_day, count, _WON_DAYS))
        return factor


class TokenView:
    """One of the two tokens of a question. The prices of both add up to 1 at every open and close."""

    def __init__(self, question: Question, outcome: QuestionAnswer, days: PredictionDays) -> None:
        self.days = days
        self.opens_at = question.opened_day * DAY
        self.ends_at = question.resolved_day * DAY
        self._is_no = outcome == "No"

    def show(self, bars: Floats, time: Times) -> Floats:
        """See `View`."""
        scale = 10.0**-TOKEN_TICK_EXPONENT
        ticks = np.clip(np.rint(bars[:VOLUME] * (scale / STEPS)), 1.0, scale - 1.0)
        if self._is_no:
            ticks = scale - ticks[[OPEN, LOW, HIGH, CLOSE]]
        shown = np.empty((ROWS - 1, len(time)))
        shown[:VOLUME] = ticks / scale
        shown[VOLUME] = bars[VOLUME] * (_NO_LOTS if self._is_no else _YES_LOTS) / 10.0**-LOT_EXPONENT
        return shown

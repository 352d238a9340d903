"""Which venue trades which asset, since when, and how it shows it: its currency, its steps, its share of the volume."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Final, Protocol

import numpy as np

from api.exchanges import EXCHANGES, ExchangeId
from api.symbols import Instrument
from engine.feeds.feed import lot_exponent, step, tick_exponent
from engine.frame import Floats, Times

from .coins import STEPS_PER_PRICE, Asset, CryptoDays, assets
from .questions import LOT_EXPONENT, STEPS, Outcome, PredictionDays, Question
from .refinement import CLOSE, DAY, HIGH, LOW, OPEN, ROWS, VOLUME, Days, Stream

TOP_MARKET_CAP: Final = 50
WON_PER_DOLLAR: Final = 1_380.0
"""The level that the simulated exchange rate swings around."""

FIRST_DAY: Final = 16_436
"""2015-01-01 in days since 1970: no bar is older."""


@dataclass(frozen=True, slots=True)
class Venue:
    """How much of the table of assets a venue lists (`depth` from the top, every `stride`-th below the top 20).

    `share` is the venue's volume in hundredths of an asset's turnover; whole, so that volumes stay exact.
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
class Market:
    """An asset at a venue. Tick and lot are powers of ten, given by their exponents."""

    instrument: Instrument
    asset: Asset
    venue: Venue
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


VENUES: Final[tuple[Venue, ...]] = (
    Venue("binance", depth=220, stride=1, share=30),
    Venue("binancefuturesusd", depth=160, stride=1, share=45),
    Venue("upbit", depth=150, stride=2, share=6),
    Venue("gate", depth=220, stride=2, share=5),
    Venue("gatefutures", depth=120, stride=2, share=6),
    Venue("hyperliquid", depth=120, stride=2, share=7),
    Venue("lighter", depth=50, stride=3, share=1),
)


@cache
def markets() -> dict[Instrument, Market]:
    """Every crypto market, venue by venue, largest first."""
    return {market.instrument: market for venue in VENUES for market in _markets_of(venue)}


def _markets_of(venue: Venue) -> Iterator[Market]:
    listed = [a for a in assets().values() if a.rank <= 20 or (a.rank <= venue.depth and a.rank % venue.stride == 0)]
    quote = EXCHANGES[venue.exchange].quote
    for rank, asset in enumerate(listed, 1):
        price = asset.price * (WON_PER_DOLLAR if venue.in_won else 1.0)
        yield Market(
            instrument=Instrument(venue.exchange, asset.base, quote),
            asset=asset,
            venue=venue,
            rank=rank,
            tick_exponent=tick_exponent(price),
            lot_exponent=lot_exponent(asset.price),
            listed_day=_listed_day(asset),
        )


def _listed_day(asset: Asset) -> int:
    """The three largest trade since the first day, the next 30 before 2019, all by the end of 2022."""
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
    """How one instrument shows the bars of `days`. It trades from `opens_at` to `ends_at`, unix seconds."""

    @property
    def days(self) -> Days:
        """Where the bars come from."""
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

    def __init__(self, seed: int, market: Market, days: CryptoDays) -> None:
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

    def __init__(self, question: Question, outcome: Outcome, days: PredictionDays) -> None:
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

"""Which venue trades which asset, with what share of the volume, in what steps, and since when."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from hashlib import blake2b
from typing import Final

from api.exchanges import EXCHANGES, ExchangeId
from api.symbols import Instrument

from .assets import Asset, assets

TOP_MARKET_CAP: Final = 50
WON_PER_DOLLAR: Final = 1_380.0
"""The level that the simulated exchange rate swings around."""

FIRST_DAY: Final = 16_436
"""2015-01-01 in days since 1970: no bar is older."""

_SIGNIFICANT_DIGITS: Final = 7


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


def tick_exponent(price: float) -> int:
    """The price step that gives a price seven significant digits."""
    return math.floor(math.log10(price)) - _SIGNIFICANT_DIGITS + 1


def lot_exponent(price: float) -> int:
    """The amount step that is worth a tenth of the quote currency to one, never more than one coin."""
    return min(0, -math.floor(math.log10(price)) - 1)


def step(exponent: int) -> str:
    """A power of ten as an exact decimal."""
    return format(Decimal(1).scaleb(exponent), "f")


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

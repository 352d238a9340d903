"""How a venue shows an asset or a token: its currency, its price steps, its share of the volume, and since when."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from engine.feeds.universe.predictions import Outcome, Question
from engine.feeds.universe.venues import WON_PER_DOLLAR, Market
from engine.frame import Floats, Times

from .blocks import DAY
from .crypto import STEPS_PER_PRICE, CryptoDays
from .days import Days
from .noise import Stream
from .prediction import LOT_EXPONENT, STEPS, PredictionDays
from .refining import CLOSE, HIGH, LOW, OPEN, ROWS, VOLUME

TOKEN_TICK_EXPONENT: Final = -3

_BASIS: Final = 1.5e-4
_BASIS_DAYS: Final = (6,)
_WON_SWING: Final = 0.015
_WON_DAYS: Final = (40, 400)
_YES_LOTS: Final = 5
_NO_LOTS: Final = 3


class Face(Protocol):
    """One instrument's view of the bars of `days`. It trades from `opens_at` to `ends_at`, unix seconds."""

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


class CryptoFace:
    """An asset at a venue. Its price differs from the asset's by a factor that changes at midnight UTC."""

    ends_at = None

    def __init__(self, seed: int, market: Market, days: CryptoDays) -> None:
        self.days = days
        self.opens_at = market.listed_day * DAY
        self._market = market
        self._basis = Stream(seed, f"basis/{market.instrument.ticker}")
        self._won = Stream(seed, "won")

    def show(self, bars: Floats, time: Times) -> Floats:
        """See `Face`."""
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


class TokenFace:
    """One of the two tokens of a question. The prices of both add up to 1 at every open and close."""

    def __init__(self, question: Question, outcome: Outcome, days: PredictionDays) -> None:
        self.days = days
        self.opens_at = question.opened_day * DAY
        self.ends_at = question.resolved_day * DAY
        self._is_no = outcome == "No"

    def show(self, bars: Floats, time: Times) -> Floats:
        """See `Face`."""
        scale = 10.0**-TOKEN_TICK_EXPONENT
        ticks = np.clip(np.rint(bars[:VOLUME] * (scale / STEPS)), 1.0, scale - 1.0)
        if self._is_no:
            ticks = scale - ticks[[OPEN, LOW, HIGH, CLOSE]]
        shown = np.empty((ROWS - 1, len(time)))
        shown[:VOLUME] = ticks / scale
        shown[VOLUME] = bars[VOLUME] * (_NO_LOTS if self._is_no else _YES_LOTS) / 10.0**-LOT_EXPONENT
        return shown

"""What the simulation lists at a moment, and the face of each instrument."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from api.exchanges import ExchangeId
from api.symbols import Instrument
from engine.feeds.feed import Listing
from engine.feeds.universe.predictions import OUTCOMES, Outcome, Question, questions_opened_by
from engine.feeds.universe.venues import TOP_MARKET_CAP, Market, markets, step

from .blocks import DAY
from .crypto import CryptoDays, MarketFactor
from .faces import TOKEN_TICK_EXPONENT, CryptoFace, Face, TokenFace
from .noise import Stream
from .prediction import LOT_EXPONENT, PredictionDays

_WEEK: Final = 7 * DAY
_TRENDING_SHARE: Final = 0.12
_STILL_LISTED_DAYS: Final = 30


class Directory:
    """Instruments of one simulated world. Which questions are asked and what is trending depends on the time."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._market = MarketFactor(seed)
        self._assets: dict[str, CryptoDays] = {}
        self._faces: dict[Instrument, Face] = {}
        self._listings = lru_cache(maxsize=32)(self._listings_of)

    def listings(self, exchange: ExchangeId, now: int) -> tuple[Listing, ...]:
        """Everything tradable on `exchange` at `now`, and questions resolved within a month; largest first."""
        return self._listings(exchange, now // DAY)

    def listing(self, instrument: Instrument, now: int) -> Listing | None:
        """One listing, long resolved questions included; None for what is not listed, or not yet."""
        if (market := markets().get(instrument)) is not None:
            return self._crypto(market, now // _WEEK) if market.listed_day * DAY <= now else None
        if (asked := _tokens(now // DAY).get(instrument)) is None:
            return None
        listed = (one for one in self.listings(instrument.exchange, now) if one.instrument == instrument)
        return next(listed, None) or self._token(*asked, rank=len(_tokens(now // DAY)), today=now // DAY)

    def face(self, instrument: Instrument, now: int) -> Face | None:
        """What an instrument's bars are shown through; None for what is not listed, or not yet."""
        if (face := self._faces.get(instrument)) is None:
            face = self._made_face(instrument, now)
        if face is None or face.opens_at > now:
            return None
        self._faces[instrument] = face
        return face

    def _made_face(self, instrument: Instrument, now: int) -> Face | None:
        if (market := markets().get(instrument)) is not None:
            name = market.asset.base
            if name not in self._assets:
                self._assets[name] = CryptoDays(self._seed, market.asset, self._market)
            return CryptoFace(self._seed, market, self._assets[name])
        if (asked := _tokens(now // DAY).get(instrument)) is not None:
            question, outcome = asked
            return TokenFace(question, outcome, PredictionDays(self._seed, question))
        return None

    def _listings_of(self, exchange: ExchangeId, day: int) -> tuple[Listing, ...]:
        if exchange != "polymarket":
            week = day * DAY // _WEEK
            found = [m for m in markets().values() if m.venue.exchange == exchange and m.listed_day <= day]
            return tuple(self._crypto(market, week) for market in found)
        shown = [q for q in questions_opened_by(day) if q.resolved_day > day - _STILL_LISTED_DAYS]
        shown.sort(key=lambda q: -PredictionDays(self._seed, q).daily_turnover)
        asked: list[tuple[Question, Outcome]] = [(question, outcome) for question in shown for outcome in OUTCOMES]
        return tuple(self._token(q, outcome, rank=rank, today=day) for rank, (q, outcome) in enumerate(asked, 1))

    def _crypto(self, market: Market, week: int) -> Listing:
        return Listing(
            instrument=market.instrument,
            rank=market.rank,
            sector=market.asset.sector,
            categories=self._categories(market.rank, f"asset/{market.asset.base}", week),
            tick_size=market.tick_size,
            lot_size=market.lot_size,
            source="simulated",
        )

    def _token(self, question: Question, outcome: Outcome, *, rank: int, today: int) -> Listing:
        is_resolved = question.resolved_day <= today
        pays_yes = PredictionDays(self._seed, question).payout if is_resolved else None
        return Listing(
            instrument=question.token(outcome),
            rank=rank,
            sector=question.sector,
            categories=self._categories(rank, f"question/{question.key}", today // 7),
            tick_size=step(TOKEN_TICK_EXPONENT),
            lot_size=step(LOT_EXPONENT),
            source="simulated",
            title=f"{question.title} {outcome}",
            resolves_at=question.resolved_day * DAY,
            payout=pays_yes if pays_yes is None or outcome == "Yes" else 1 - pays_yes,
        )

    def _categories(self, rank: int, name: str, week: int) -> tuple[str, ...]:
        chance, _ = Stream(self._seed, f"trending/{name}").uniforms(week, 1)
        top = ("top_market_cap",) if rank <= TOP_MARKET_CAP else ()
        return (*top, "trending") if chance[0] < _TRENDING_SHARE else top


@lru_cache(maxsize=8)
def _tokens(day: int) -> dict[Instrument, tuple[Question, Outcome]]:
    return {q.token(outcome): (q, outcome) for q in questions_opened_by(day) for outcome in OUTCOMES}

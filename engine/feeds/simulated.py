"""Simulated candles: a pure function of seed, symbol and time, at every timeframe, from 2015 up to now.

An asset follows one path on all venues. Each venue quotes it in its own currency and price steps, a few hundredths of
a percent apart. Rounding preserves the order of prices, so bars of all timeframes are consistent at every venue.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from api.exchanges import EXCHANGES, ExchangeId
from api.symbols import Instrument
from api.times import SECONDS, Clock, Timeframe, next_opening, opening
from engine.frame import Bars, Floats

from .feed import Candles, InstrumentListing, empty_range, step, unknown_instrument
from .simulation import CLOSE, DAY, DEFAULT_BUDGET, HIGH, LOW, OPEN, ROWS, VOLUME, Blocks, Stream
from .simulation.coins import CryptoDays, MarketFactor
from .simulation.venues import (
    LOT_EXPONENT,
    OUTCOMES,
    TOKEN_TICK_EXPONENT,
    TOP_MARKET_CAP,
    CoinView,
    PredictionDays,
    Question,
    QuestionAnswer,
    SimulatedMarket,
    TokenView,
    View,
    markets,
    questions_opened_by,
)

_WEEK: Final = 7 * DAY
_TRENDING_SHARE: Final = 0.12
_STILL_LISTED_DAYS: Final = 30
_MARKETS_KEPT: Final = 4_096
_MADE_OF: Final[dict[Timeframe, Timeframe]] = {
    "30m": "15m",
    "2h": "1h",
    "6h": "1h",
    "8h": "4h",
    "12h": "4h",
    "1w": "1d",
}
"""Timeframes outside the refinement tree, and the bars that they are built from."""


class SimulatedFeed:
    """A feed of invented candles. Two feeds with one seed give the same candles, in any process.

    Args:
        clock: Determines which bars are closed.
        seed: A different seed gives a different history of the same symbols.
        budget: Bytes of bars kept in memory.
    """

    def __init__(self, clock: Clock, seed: int, *, budget: int = DEFAULT_BUDGET) -> None:
        self.source: Final = "simulated"
        self._clock = clock
        self._blocks, self._directory = _history(seed, budget)
        self._single: dict[tuple[Instrument, Timeframe], Candles] = {}

    def has(self, instrument: Instrument) -> bool:
        """See `SourceFeed`."""
        return self._directory.view(instrument, int(self._clock.now())) is not None

    def refresh(self) -> None:
        """See `SourceFeed`. Nothing is stored."""

    def listings(self, exchange: ExchangeId) -> Sequence[InstrumentListing]:
        """See `Feed`. Prediction markets: the open ones, and those resolved within the last month."""
        return self._directory.listings(exchange, int(self._clock.now()))

    def listing(self, instrument: Instrument) -> InstrumentListing:
        """See `Feed`."""
        now = int(self._clock.now())
        if (found := self._directory.listing(instrument, now)) is None:
            raise unknown_instrument(instrument, [one.instrument for one in self.listings(instrument.exchange)])
        return found

    def candles(
        self,
        instrument: Instrument,
        timeframe: Timeframe,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
    ) -> Candles:
        """See `Feed`."""
        now = int(self._clock.now())
        if (view := self._directory.view(instrument, now)) is None:
            raise unknown_instrument(instrument, [one.instrument for one in self.listings(instrument.exchange)])
        seconds = SECONDS[timeframe]
        oldest = next_opening(view.opens_at, timeframe)
        newest = opening(min(now, now if view.ends_at is None else view.ends_at), timeframe)
        first = oldest if start is None else max(oldest, next_opening(start, timeframe))
        stop = newest if end is None else min(newest, next_opening(end, timeframe))
        if limit is not None:
            first = max(first, stop - limit * seconds)
        if first >= stop:
            raise empty_range(instrument, timeframe, (start, end), oldest, newest - seconds)
        kept = self._single.get((instrument, timeframe)) if stop - first == seconds else None
        if kept is not None and kept.time[0] == first:
            return kept
        time = np.arange(first, stop, seconds, dtype=np.int64)
        shown = self._shown(view, timeframe, first, stop)
        for array in (shown, time):
            array.flags.writeable = False
        found = Candles(instrument, timeframe, time, Bars(*shown, source=self.source))
        if stop - first == seconds:
            self._keep(found)
        return found

    def _keep(self, bar: Candles) -> None:
        """Keep the bar last read of each market: orders ask for the newest one again and again."""
        if len(self._single) >= _MARKETS_KEPT:
            self._single.clear()
        self._single[bar.instrument, bar.timeframe] = bar

    def _shown(self, view: View, timeframe: Timeframe, first: int, stop: int) -> Floats:
        """Bars from `first` up to `stop`, unix seconds; timeframes without refinement are built from shorter bars."""
        drawn = _MADE_OF.get(timeframe, timeframe)
        seconds = SECONDS[drawn]
        time = np.arange(first, stop, seconds, dtype=np.int64)
        shown = view.show(self._blocks.bars(view.days, drawn, first // seconds, stop // seconds), time)
        if drawn == timeframe:
            return shown
        grouped = shown.reshape(ROWS - 1, -1, SECONDS[timeframe] // seconds)
        return np.stack(
            (
                grouped[OPEN, :, 0],
                grouped[HIGH].max(axis=1),
                grouped[LOW].min(axis=1),
                grouped[CLOSE, :, -1],
                grouped[VOLUME].sum(axis=1),
            )
        )


@lru_cache(maxsize=4)
def _history(seed: int, budget: int) -> tuple[Blocks, Directory]:
    """What was computed of a seed's history so far. It is the same for all feeds of a process, so they share it."""
    return Blocks(seed, budget), Directory(seed)


class Directory:
    """Instruments of one simulated world. The open questions and the trending symbols depend on the time."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._market = MarketFactor(seed)
        self._assets: dict[str, CryptoDays] = {}
        self._views: dict[Instrument, View] = {}
        self._listings = lru_cache(maxsize=32)(self._listings_of)
        self._crypto = lru_cache(maxsize=4_096)(self._crypto_of)

    def listings(self, exchange: ExchangeId, now: int) -> tuple[InstrumentListing, ...]:
        """Everything tradable on `exchange` at `now`, and questions resolved within a month; largest first."""
        return self._listings(exchange, now // DAY)

    def listing(self, instrument: Instrument, now: int) -> InstrumentListing | None:
        """One listing, including long resolved questions; None if not listed, or not yet."""
        if (market := markets().get(instrument)) is not None:
            return self._crypto(market, now // _WEEK) if market.listed_day * DAY <= now else None
        if (asked := _tokens(now // DAY).get(instrument)) is None:
            return None
        listed = (one for one in self.listings(instrument.exchange, now) if one.instrument == instrument)
        return next(listed, None) or self._token(*asked, rank=len(_tokens(now // DAY)), today=now // DAY)

    def view(self, instrument: Instrument, now: int) -> View | None:
        """The view that renders an instrument's bars; None if not listed, or not yet."""
        if (view := self._views.get(instrument)) is None:
            view = self._made_view(instrument, now)
        if view is None or view.opens_at > now:
            return None
        self._views[instrument] = view
        return view

    def _made_view(self, instrument: Instrument, now: int) -> View | None:
        if (market := markets().get(instrument)) is not None:
            name = market.asset.base
            if name not in self._assets:
                self._assets[name] = CryptoDays(self._seed, market.asset, self._market)
            return CoinView(self._seed, market, self._assets[name])
        if (asked := _tokens(now // DAY).get(instrument)) is not None:
            question, outcome = asked
            return TokenView(question, outcome, PredictionDays(self._seed, question))
        return None

    def _listings_of(self, exchange: ExchangeId, day: int) -> tuple[InstrumentListing, ...]:
        if EXCHANGES[exchange].market_type != "prediction":
            week = day * DAY // _WEEK
            found = [m for m in markets().values() if m.venue.exchange == exchange and m.listed_day <= day]
            return tuple(self._crypto(market, week) for market in found)
        shown = [q for q in questions_opened_by(day) if q.resolved_day > day - _STILL_LISTED_DAYS]
        shown.sort(key=lambda q: -PredictionDays(self._seed, q).daily_turnover)
        asked: list[tuple[Question, QuestionAnswer]] = [
            (question, outcome) for question in shown for outcome in OUTCOMES
        ]
        return tuple(self._token(q, outcome, rank=rank, today=day) for rank, (q, outcome) in enumerate(asked, 1))

    def _crypto_of(self, market: SimulatedMarket, week: int) -> InstrumentListing:
        return InstrumentListing(
            instrument=market.instrument,
            rank=market.rank,
            sector=market.asset.sector,
            categories=self._categories(market.rank, f"asset/{market.asset.base}", week),
            tick_size=market.tick_size,
            lot_size=market.lot_size,
            source="simulated",
        )

    def _token(self, question: Question, outcome: QuestionAnswer, *, rank: int, today: int) -> InstrumentListing:
        is_resolved = question.resolved_day <= today
        pays_yes = PredictionDays(self._seed, question).payout if is_resolved else None
        return InstrumentListing(
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
def _tokens(day: int) -> dict[Instrument, tuple[Question, QuestionAnswer]]:
    return {q.token(outcome): (q, outcome) for q in questions_opened_by(day) for outcome in OUTCOMES}

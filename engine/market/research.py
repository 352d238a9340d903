"""Expressions over one symbol or many: evaluate, scan and rank. Blocking; run it in a thread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from api.errors import HeyTradersError, InvalidInput, ended
from api.exchanges import ExchangeId
from api.inputs import UNIVERSE_KEYWORDS, unix
from api.market import (
    Evaluated,
    EvaluateRequest,
    EvaluateResponse,
    Failure,
    Ranked,
    RankRequest,
    RankResponse,
    ScanDetail,
    ScanRequest,
    ScanResponse,
)
from api.symbols import Instrument
from api.times import SECONDS, Timeframe, iso8601
from engine.feeds.feed import Feed
from engine.language import CheckedExpression, DslError, ExpressionValue, check_expression, evaluate

from .listings import expand, instrument_of

USUAL_BARS: Final = 500
MAX_BARS_IN_ALL: Final = 5_000_000
MAX_DETAILS: Final = 40
"""The limit of additional rows, so that the answer for a large universe fits into a model's context."""
CellValue = bool | float | None
_WORDS: Final = " and ".join((", ".join(UNIVERSE_KEYWORDS[:-1]), UNIVERSE_KEYWORDS[-1]))
MAX_NAMED: Final = 10
_LAST_IS_PARTIAL: Final = (
    "the last bar was made of fewer shorter bars than it should be, so its high, low, close and volume may change."
)
_NO_SCORE: Final = "the expression has no value on the last bar"


@dataclass(frozen=True, slots=True)
class Observation:
    """The value of an expression on an instrument's last closed bar. `closed_at` is in unix seconds.

    `last_is_partial` and `partial_bars` describe bars built from shorter ones with some missing: whether the last bar
    is such a bar, and how many of the earlier bars behind the value are.
    """

    instrument: Instrument
    result: ExpressionValue
    price: float | None
    closed_at: int
    source: str
    last_is_partial: bool = False
    partial_bars: int = 0

    @property
    def value(self) -> CellValue:
        """The value; None if it is missing or infinite."""
        return _finite(self.result.value)


@dataclass(slots=True)
class Survey:
    """The results for a universe: observations in the order of the universe, and errors for the rest."""

    observations: list[Observation] = field(default_factory=list[Observation])
    failures: dict[str, HeyTradersError] = field(default_factory=dict[str, HeyTradersError])

    @property
    def newest(self) -> int | None:
        """When the newest bar closed, unix seconds."""
        return max((seen.closed_at for seen in self.observations), default=None)

    @property
    def as_of(self) -> str | None:
        """The same as the API shows it."""
        return None if self.newest is None else iso8601(self.newest)

    def lag(self, seen: Observation) -> str | None:
        """When the last bar of `seen` closed, if not at the same time as the newest."""
        return None if seen.closed_at == self.newest else iso8601(seen.closed_at)

    @property
    def source(self) -> str | None:
        """The source of the candles; `mixed` if from both."""
        sources = {seen.source for seen in self.observations}
        return "mixed" if len(sources) > 1 else next(iter(sources), None)

    @property
    def note(self) -> str | None:
        """The symbols whose last bar is built from too few shorter bars."""
        thin = [seen.instrument.symbol for seen in self.observations if seen.last_is_partial]
        if not thin:
            return None
        more = f" and {len(thin) - MAX_NAMED} more" if len(thin) > MAX_NAMED else ""
        return f"{', '.join(thin[:MAX_NAMED])}{more}: {_LAST_IS_PARTIAL}"

    @property
    def failed(self) -> tuple[Failure, ...]:
        """The failures as the API shows them."""
        return tuple(Failure(symbol=symbol, error=_reason(error)) for symbol, error in self.failures.items())


def evaluate_symbol(feed: Feed, now: float, request: EvaluateRequest) -> EvaluateResponse:
    """Answer the evaluate endpoint: each of several expressions has the value that it would have alone.

    Raises:
        InvalidInput: An expression is wrong (every wrong one is listed), the only one needs more history than there is
            (`TA_OUT_OF_RANGE`), or the moment lies in the future.
        NotFound: `DATA_UNAVAILABLE`: the symbol is not listed, or has no candle by the moment.
    """
    end = None if request.as_of is None else _end(request.as_of, request.timeframe, now)
    expressions = _checked(request)
    instrument = instrument_of(feed, request.symbol, request.exchange)
    rows: list[tuple[CheckedExpression, Observation | HeyTradersError]] = []
    for expression in expressions:
        try:
            rows.append((expression, observe(feed, expression, instrument, end)))
        except HeyTradersError as error:
            rows.append((expression, error))
    expression, first = next((row for row in rows if isinstance(row[1], Observation)), rows[0])
    if isinstance(first, HeyTradersError):
        raise first
    common = {
        "symbol": first.instrument.symbol,
        "exchange": first.instrument.exchange,
        "timeframe": request.timeframe,
        "price": first.price,
        "as_of": iso8601(first.closed_at),
        "source": first.source,
    }
    if request.expressions is not None:
        return EvaluateResponse.model_validate({**common, "values": [_evaluated(*row, first) for row in rows]})
    return EvaluateResponse.model_validate(
        {
            **common,
            "expression": expression.source,
            "value": first.value,
            "bars_used": first.result.bars_used,
            "note": _note(expression, first),
        }
    )


def _checked(request: EvaluateRequest) -> list[CheckedExpression]:
    """The requested expressions.

    Raises:
        DslError: The error of the only wrong expression.
        InvalidInput: Lists the errors if several are wrong.
    """
    found: list[CheckedExpression] = []
    wrong: list[DslError] = []
    for source in request.expressions or (request.expression or "",):
        try:
            found.append(check_expression(source, "any", request.timeframe))
        except DslError as error:
            wrong.append(error)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        suggestions = dict.fromkeys(ended(error.suggestion) for error in wrong if error.suggestion)
        raise InvalidInput(
            "\n".join(error.message for error in wrong), suggestion=" ".join(suggestions), code=wrong[0].code
        )
    return found


def _end(as_of: str, timeframe: Timeframe, now: float) -> int:
    """The open time before which a bar has closed by `as_of`."""
    moment = unix(as_of)
    if moment > now:
        raise InvalidInput(
            f"as_of {as_of} is in the future; now is {iso8601(now)}",
            suggestion="Choose a moment that has passed, or leave as_of out",
        )
    return int(moment) - SECONDS[timeframe] + 1


def _evaluated(expression: CheckedExpression, seen: Observation | HeyTradersError, first: Observation) -> Evaluated:
    if isinstance(seen, HeyTradersError):
        return Evaluated(expression=expression.source, value=None, bars_used=None, as_of=None, note=_reason(seen))
    return Evaluated(
        expression=expression.source,
        value=seen.value,
        bars_used=seen.result.bars_used,
        as_of=None if seen.closed_at == first.closed_at else iso8601(seen.closed_at),
        note=_note(expression, seen),
    )


def scan(feed: Feed, request: ScanRequest) -> ScanResponse:
    """Answer the scan endpoint.

    Raises:
        InvalidInput: The condition or the universe is wrong.
        HeyTradersError: Every symbol failed; the code is the first one's.
    """
    expression = check_expression(request.condition, "boolean", request.timeframe)
    survey = _survey(feed, expression, request.universe, request.exchange)
    by_match = sorted(survey.observations, key=lambda seen: seen.value is not True)
    return ScanResponse(
        matched=tuple(seen.instrument.symbol for seen in by_match if seen.value is True),
        details=tuple(_detail(seen, survey.lag(seen)) for seen in by_match[:MAX_DETAILS]),
        details_omitted=max(len(by_match) - MAX_DETAILS, 0),
        scanned_count=len(survey.observations),
        failed=survey.failed[:MAX_DETAILS],
        failed_count=len(survey.failed),
        exchange=request.exchange,
        timeframe=request.timeframe,
        as_of=survey.as_of,
        source=survey.source,
        note=" ".join((*expression.doubts, survey.note or "")).strip() or None,
    )


def rank(feed: Feed, request: RankRequest) -> RankResponse:
    """Answer the rank endpoint. Equal scores keep the order of the universe.

    Raises:
        InvalidInput: The expression or the universe is wrong.
        HeyTradersError: Every symbol failed; the code is the first one's.
    """
    expression = check_expression(request.expression, "numeric", request.timeframe)
    survey = _survey(feed, expression, request.universe, request.exchange)
    scored = [(seen.value, seen) for seen in survey.observations if seen.value is not None]
    scored.sort(key=lambda pair: pair[0], reverse=request.order == "desc")
    missing = [seen.instrument.symbol for seen in survey.observations if seen.value is None]
    unscored = tuple(Failure(symbol=symbol, error=_NO_SCORE) for symbol in missing)
    return RankResponse(
        ranked=tuple(
            Ranked(rank=place, symbol=seen.instrument.symbol, score=score, price=seen.price, as_of=survey.lag(seen))
            for place, (score, seen) in enumerate(scored[: request.limit], 1)
        ),
        ranked_count=len(scored),
        failed=(*survey.failed, *unscored)[:MAX_DETAILS],
        failed_count=len(survey.failed) + len(unscored),
        exchange=request.exchange,
        timeframe=request.timeframe,
        as_of=survey.as_of,
        source=survey.source,
        note=" ".join((*expression.doubts, survey.note or "")).strip() or None,
    )


def observe(feed: Feed, expression: CheckedExpression, instrument: Instrument, end: int | None = None) -> Observation:
    """Evaluate an expression on an instrument's latest bars, limited to open times before `end` if given.

    Raises:
        HeyTradersError: There are no candles, or too few.
    """
    from engine.feeds.market import recent_frame

    others = [other for other in expression.instruments if other != instrument]
    frame = recent_frame(feed, [instrument, *others], expression.timeframe, _bars_to_load(expression), end)
    result = evaluate(expression, frame, instrument)
    partial = frame.bars[instrument].partial
    before = 0 if partial is None else int(partial[-min(expression.required_bars, len(partial)) : -1].sum())
    return Observation(
        instrument=instrument,
        result=result,
        price=_finite(frame.bars[instrument].close[-1].item()),
        closed_at=int(frame.time[-1]) + SECONDS[expression.timeframe],
        source=frame.source,
        last_is_partial=partial is not None and bool(partial[-1]),
        partial_bars=before,
    )


def _survey(feed: Feed, expression: CheckedExpression, universe: Sequence[str], exchange: ExchangeId) -> Survey:
    instruments, unlisted = expand(feed, universe, exchange)
    bars = len(instruments) * _bars_to_load(expression)
    from engine.feeds.market import fetch_recent

    if bars > MAX_BARS_IN_ALL:
        raise InvalidInput(
            f"{len(instruments)} symbols with {_bars_to_load(expression):,} bars each are more than the "
            f"{MAX_BARS_IN_ALL:,} bars of one call",
            suggestion="Shorten the periods, or split the universe",
        )
    fetch_recent(feed, [*instruments, *expression.instruments], expression.timeframe, _bars_to_load(expression))
    survey = Survey(failures=dict(unlisted))
    for instrument in instruments:
        try:
            survey.observations.append(observe(feed, expression, instrument))
        except HeyTradersError as error:
            survey.failures[instrument.symbol] = error
    if survey.failures and not survey.observations:
        raise _all_failed(survey.failures)
    return survey


def _all_failed(failures: dict[str, HeyTradersError]) -> HeyTradersError:
    symbol, first = next(iter(failures.items()))
    count = "the only symbol" if len(failures) == 1 else f"all {len(failures)} symbols"
    suggestion = first.suggestion
    if first.code == "DATA_UNAVAILABLE":
        suggestion = f"{ended(suggestion)} {_WORDS} stand for the symbols of a whole list"
    return type(first)(f"{count} failed; {symbol}: {first.message}", suggestion=suggestion, code=first.code)


def _bars_to_load(expression: CheckedExpression) -> int:
    return max(USUAL_BARS, expression.required_bars)


def _detail(seen: Observation, as_of: str | None) -> ScanDetail:
    return ScanDetail(
        symbol=seen.instrument.symbol,
        matched=seen.value is True,
        price=seen.price,
        values={text: _finite(value) for text, value in seen.result.parts.items()},
        as_of=as_of,
        error=None,
    )


def _note(expression: CheckedExpression, seen: Observation) -> str | None:
    notes: list[str] = []
    if seen.value is None:
        notes.append("The expression has no finite value on this bar.")
    elif seen.result.bars_used < expression.required_bars:
        notes.append(
            f"Only {seen.result.bars_used:,} of the {expression.required_bars:,} bars exist after which "
            "the value no longer depends on where the history begins."
        )
    elif expression.anchored:
        notes.append(
            f"{', '.join(expression.anchored)}: counted from the first of the {seen.result.bars_used:,} bars loaded; "
            "compare its values with one another only."
        )
    if seen.last_is_partial:
        notes.append(f"{_LAST_IS_PARTIAL[0].upper()}{_LAST_IS_PARTIAL[1:]}")
    if seen.partial_bars:
        them = "1 bar" if seen.partial_bars == 1 else f"{seen.partial_bars:,} bars"
        notes.append(f"Before the last bar, {them} of those that count had too few shorter bars.")
    notes += expression.doubts
    return " ".join(notes) or None


def _finite(value: CellValue) -> CellValue:
    return value if value is not None and math.isfinite(value) else None


def _reason(error: HeyTradersError) -> str:
    suggestion = f". {error.suggestion}" if error.suggestion else ""
    return f"{error.code}: {error.message}{suggestion}"

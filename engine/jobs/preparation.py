"""Turns a request into a spec: every invalid request is refused here, at once, before a job is queued.

Scripts are checked here and compiled again in the worker, which therefore imports this module. The models of requests
and answers are imported where they are used: a worker needs none of them, and they take a fifth of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from api.errors import HeyTradersError, InvalidInput, NotFound
from api.symbols import Instrument, resolve
from api.times import SECONDS, Timeframe
from engine.feeds.feed import Feed
from engine.feeds.market import MarketFeed
from engine.language.compile import CompiledScript, check_script, compile_script
from engine.language.script import ScriptContext

from .spec import PORTFOLIO, SWEEP, Spec, base_of

if TYPE_CHECKING:
    from api.backtest_results import ScriptCheckResponse
    from api.backtests import ExecuteRequest, ScriptCheckRequest
    from engine.strategies import WrittenStrategy

DAY: Final = 86_400
MIN_BARS: Final = 2
FETCHING: Final = "fetching candles"


@dataclass(frozen=True, slots=True)
class TradedRange:
    """Bars to trade on: `start <= open time < end`, unix seconds."""

    start: int
    end: int
    warnings: tuple[str, ...] = ()


def prepare(feed: Feed, now: float, request: ExecuteRequest, max_bars: int) -> Spec:
    """Check a request against markets, data and dates. Blocking.

    Raises:
        DslError: The script has errors; the message lists all of them.
        InvalidInput: A range without bars or with too many, a universe that cannot share one account.
        NotFound: `DATA_UNAVAILABLE`: a ticker that is not listed, or without candles in the range.
    """
    instruments = listed(feed, request.universe)
    _one_currency(instruments)
    span = bounded(request, now, len(instruments), max_bars)
    with_candles(feed, instruments, request.timeframe, span)
    written = write_script(request, instruments)
    spec = Spec(
        strategy_type=request.strategy_type,
        script=written.script,
        generated=request.strategy_type != "signal",
        mode=written.mode,
        exchange=request.exchange,
        tickers=tuple(instrument.ticker for instrument in instruments),
        timeframe=request.timeframe,
        start=span.start,
        end=span.end,
        start_date=request.start_date.isoformat(),
        end_date=request.end_date.isoformat(),
        as_of=now,
        initial_cash=float(request.initial_cash),
        leverage=float(request.leverage),
        trading_fee=float(request.trading_fee),
        slippage=float(request.slippage),
        stop_loss=None if request.stop_loss is None else float(request.stop_loss),
        take_profit=None if request.take_profit is None else float(request.take_profit),
        description=request.description,
        experiment=request.experiment,
        max_volume_share=float(request.max_volume_share) if request.max_volume_share else None,
        parameters={} if request.parameters is None else request.parameters.model_dump(),
        warnings=(*span.warnings, *written.warnings, *_doubts(request), *_dearer(feed, request, instruments)),
    )
    spec = replace(spec, warnings=(*spec.warnings, *remarks(spec)))
    _readable(feed, request, spec, span, max_bars)
    return spec


def _readable(feed: Feed, request: ExecuteRequest, spec: Spec, span: TradedRange, max_bars: int) -> None:
    """Refuse a script that reads a ticker without candles in the range, or more bars than one backtest allows."""
    universe, instruments = spec.instruments, compiled(spec).instruments
    bars = (span.end - span.start) // SECONDS[request.timeframe]
    if bars * len(instruments) > max_bars:
        raise _too_many(request, bars, len(instruments), max_bars)
    others = listed(feed, [i.ticker for i in instruments if i not in universe])
    with_candles(feed, others, request.timeframe, span)


def collect(feed: MarketFeed, text: str, look: Callable[[float, str], None]) -> None:
    """Store every candle that the spec in `text` reads, because worker processes never use the network. Blocking.

    Raises:
        HeyTradersError: An exchange cannot provide some of them.
    """
    if feed.exchanges is None:
        return
    spec = base_of(text)
    instruments, warmup = _read_by(text)
    span = (spec.start - warmup * SECONDS[spec.timeframe], spec.end)
    wanted: list[tuple[Instrument, Timeframe, tuple[int, int]]] = [(each, spec.timeframe, span) for each in instruments]
    failed = feed.fetch(wanted, lambda done, count: look(done / count, FETCHING))
    _raise_together(list(failed.values()))
    feed.fetch_funding(spec.instruments, spec.start, spec.end)


def _read_by(text: str) -> tuple[tuple[Instrument, ...], int]:
    """The instruments that a job reads, and the number of bars before its range."""
    if text.startswith(SWEEP):
        from engine.research.plan import SweepSpec, reach

        return reach(SweepSpec.from_json(text))
    if text.startswith(PORTFOLIO):
        from engine.research.portfolio import PortfolioSpec

        scripts = [compiled(book) for book in PortfolioSpec.from_json(text).books]
    else:
        scripts = [compiled(Spec.from_json(text))]
    found = dict.fromkeys(instrument for script in scripts for instrument in script.instruments)
    return tuple(found), max(script.warmup_bars for script in scripts)


def listed(feed: Feed, universe: Sequence[str]) -> tuple[Instrument, ...]:
    """The listed instruments of a universe, each once.

    Raises:
        NotFound: `DATA_UNAVAILABLE`, it names every unlisted ticker and the closest listed ones.
    """
    found: dict[Instrument, None] = {}
    wrong: list[HeyTradersError] = []
    for ticker in universe:
        try:
            found[feed.listing(resolve(ticker)).instrument] = None
        except HeyTradersError as error:
            wrong.append(error)
    _raise_together(wrong)
    return tuple(found)


def bounded(request: ExecuteRequest, now: float, tickers: int, max_bars: int) -> TradedRange:
    """The closed bars between the two days, both included.

    Raises:
        InvalidInput: The range begins in the future, or has fewer than two bars or more than `max_bars` over all
            tickers.
    """
    seconds = SECONDS[request.timeframe]
    start, asked_end = _midnight(request.start_date), _midnight(request.end_date) + DAY
    if start >= now:
        raise InvalidInput(
            f"start_date {request.start_date} is in the future; now is {_iso(now)}",
            suggestion="Choose days that have passed",
        )
    end = min(asked_end, int(now))
    bars = (end - start) // seconds
    if bars < MIN_BARS:
        raise InvalidInput(
            f"{request.start_date} to {request.end_date} holds {bars} closed bars of {request.timeframe}; "
            "a decision and its fill need two",
            suggestion="Choose a longer range or a shorter timeframe",
        )
    if bars * tickers > max_bars:
        raise _too_many(request, bars, tickers, max_bars)
    clipped = asked_end > now and _midnight(request.end_date) > now
    warnings = (f"end_date {request.end_date} is in the future: ran up to the last closed bar.",) if clipped else ()
    return TradedRange(start, end, warnings)


def with_candles(feed: Feed, instruments: Sequence[Instrument], timeframe: Timeframe, span: TradedRange) -> None:
    """Refuse a universe in which any ticker has no candle in the range.

    Raises:
        NotFound: `DATA_UNAVAILABLE`, with the range that exists.
    """
    wrong: list[HeyTradersError] = []
    for instrument in instruments:
        try:
            feed.candles(instrument, timeframe, start=span.start, end=span.end, limit=1)
        except HeyTradersError as error:
            wrong.append(error)
    _raise_together(wrong)


def _raise_together(wrong: Sequence[HeyTradersError]) -> None:
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        raise NotFound(
            "; ".join(error.message for error in wrong),
            suggestion=" ".join(
                dict.fromkeys(error.suggestion.rstrip(".") + "." for error in wrong if error.suggestion)
            ),
        )


def _one_currency(instruments: Sequence[Instrument]) -> None:
    quotes = sorted({instrument.quote for instrument in instruments})
    if len(quotes) > 1:
        raise InvalidInput(
            f"universe is quoted in {' and '.join(quotes)}; one account holds one currency",
            suggestion="Run one backtest for each quote currency",
        )


def _too_many(request: ExecuteRequest, bars: int, tickers: int, max_bars: int) -> InvalidInput:
    """Names the longest allowed range at this timeframe, and the first timeframe that allows the whole range."""
    asked = f"{request.start_date} to {request.end_date} at {request.timeframe}"
    each = f" for each of {tickers} tickers" if tickers > 1 else ""
    days = max_bars // tickers * SECONDS[request.timeframe] // DAY
    latest = request.end_date - timedelta(days=max(days - 1, 0))
    span = bars * SECONDS[request.timeframe]
    fitting = [t for t, seconds in SECONDS.items() if span // seconds * tickers <= max_bars]
    ways = [f"start at {latest} or later ({days} days)"] if days > 0 else ["name fewer tickers"]
    if fitting:
        ways.append(f"use timeframe {fitting[0]}")
    return InvalidInput(
        f"{asked} is {bars:,} bars{each}; one backtest takes at most {max_bars:,}",
        suggestion=f"{' or '.join(ways).capitalize()}",
    )


def _doubts(request: ExecuteRequest) -> list[str]:
    """Warnings about settings that are allowed but probably not intended."""
    found: list[str] = []
    for name in ("stop_loss", "take_profit"):
        value: float | None = getattr(request, name)
        if value is not None and value < 1:
            found.append(f"{name}={value:g} means {value:g} percent; write {100 * value:g} if you meant a fraction.")
    if request.trading_fee == 0 and request.slippage == 0:
        found.append("No fees and no slippage: real trading costs more.")
    return found


def _dearer(feed: Feed, request: ExecuteRequest, instruments: Sequence[Instrument]) -> list[str]:
    """One line for each fee that the exchange states higher than the backtest charges."""
    said: dict[str, Instrument] = {}
    for instrument in instruments:
        fee = feed.listing(instrument).taker_fee
        if fee is not None and float(fee) > float(request.trading_fee):
            said.setdefault(fee, instrument)
    return [
        f"{instrument.ticker} charges a fee of {float(fee):g} to an order that fills at once, and this backtest "
        f"{float(request.trading_fee):g}: set trading_fee={float(fee):g}."
        for fee, instrument in said.items()
    ]


def _midnight(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def compiled(spec: Spec) -> CompiledScript:
    """The script of a spec.

    Raises:
        DslError: It lists every error.
    """
    return compile_script(spec.script, context_of(spec))


def remarks(spec: Spec) -> tuple[str, ...]:
    """The linter's warnings on a script that the caller wrote.

    Raises:
        DslError: The script has errors; it lists all of them.
    """
    found = compiled(spec).diagnostics
    if spec.generated:
        return ()
    return tuple(f"Line {each.line}: {each.message}. {each.suggestion}".rstrip() for each in found)


def check(request: ScriptCheckRequest) -> ScriptCheckResponse:
    """Every finding on a script, and its plan."""
    from api.backtest_results import Diagnostic, ScriptCheckResponse

    context = ScriptContext(
        universe=tuple(dict.fromkeys(resolve(ticker) for ticker in request.universe)),
        timeframe=request.timeframe,
        mode=request.mode,
        exchange=request.exchange,
        leverage=None if request.leverage is None else float(request.leverage),
        bars=_bars(request.start_date, request.end_date, SECONDS[request.timeframe]),
    )
    report = check_script(request.script, context)
    script = report.compiled
    found = sorted(report.diagnostics, key=lambda each: each.severity != "error")
    return ScriptCheckResponse.model_validate(
        {
            "valid": report.ok,
            "diagnostics": [Diagnostic.model_validate(asdict(each)) for each in found],
            "plan": script.plan_text.splitlines() if script else [],
            "tickers": [instrument.ticker for instrument in script.instruments] if script else [],
            "warmup_bars": script.lookback if script else None,
            "reads_position": script.stateful if script else None,
            "fixed_script": report.fixed,
        }
    )


def context_of(spec: Spec) -> ScriptContext:
    """The setting that the script of a spec runs in."""
    return ScriptContext(
        universe=spec.instruments,
        timeframe=spec.timeframe,
        mode=spec.mode,
        exchange=spec.exchange,
        bars=spec.bars,
        leverage=spec.leverage,
    )


def _bars(start: date | None, end: date | None, seconds: int) -> int | None:
    return None if start is None or end is None else max(0, (end - start).days + 1) * 86_400 // seconds


def write_script(request: ExecuteRequest, instruments: Sequence[Instrument]) -> WrittenStrategy:
    """The script of a request: its own, or one written from its parameters.

    Raises:
        InvalidInput: The parameters do not fit the universe.
    """
    from api.strategies import CrossSectionalParameters, DcaParameters, GridParameters, PairParameters
    from engine.strategies import Setting, WrittenStrategy
    from engine.strategies.cross_sectional import write_cross_sectional
    from engine.strategies.pair_trading import write_pair_trading
    from engine.strategies.scaling_in import write_dca, write_grid

    setting = Setting(
        instruments=tuple(instruments),
        seconds=SECONDS[request.timeframe],
        days=(request.end_date - request.start_date).days + 1,
        cash=float(request.initial_cash),
        fee=float(request.trading_fee),
        leverage=float(request.leverage),
    )
    match request.parameters:
        case DcaParameters() as parameters:
            return write_dca(parameters, setting)
        case GridParameters() as parameters:
            return write_grid(parameters, setting)
        case PairParameters() as parameters:
            return write_pair_trading(parameters, setting)
        case CrossSectionalParameters() as parameters:
            return write_cross_sectional(parameters, request.script or "", setting)
        case _:
            return WrittenStrategy(request.script or "", request.mode)

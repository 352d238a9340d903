"""One backtest from its spec to its stored form: load, compile, trade, measure, question the result.

A job's worker process loads the candles and runs the rest as one task of the executor: in itself or on a cluster.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import numpy as np

from api.symbols import Instrument
from api.times import AcceleratedClock, iso8601
from engine.executor import Array, P, Task, executor_for, tell
from engine.feeds.feed import Feed, InstrumentListing
from engine.feeds.market import FundingRates, MarketFeed, load_frame, open_feed
from engine.frame import Frame, FrameLayout, packed, unpacked
from engine.results.analysis import analyse, gather
from engine.results.benchmark import buy_and_hold, idle_bars, per_ticker
from engine.results.findings import ResultFacts, judge
from engine.results.metrics import (
    CurveMetrics,
    TradeMetrics,
    measure_curve,
    measure_trades,
    returns_of,
)
from engine.results.packing import TRADE_COLUMNS, Labels, Table, labels_of, to_bytes, trade_row, trade_table
from engine.results.robustness import moments
from engine.simulation.kernel import simulate
from engine.simulation.result import Simulation
from engine.simulation.schedule import delayed
from engine.simulation.settings import Funding, SimulationSettings
from engine.store.database import Store
from engine.trading_rules import ListedTerms, OrderRules

from .preparation import compiled
from .spec import CandleOrigin, ResultColumns, Spec

ReportRun = Callable[[float, int], None]
"""The share done, and the index of the stage in `STAGES`."""

SHOWN_TRADES: Final = 3
MAX_DELAYED_STATEFUL: Final = 50_000
"""Bars above which a program that is asked bar by bar is not run a second time."""

_DELAYED_FROM, _MEASURED_FROM = 0.47, 0.8
"""Shares of the task done when the delayed run and the measuring begin."""
_LOADING, _READING, _TRADING, _MEASURING, _DELAYING = range(1, 6)
_HOLD: Final = ("total_return_pct", "max_drawdown", "sharpe_ratio")


class _AsOf(AcceleratedClock):
    """A clock set to the time of the current job."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self.time = 0.0

    def now(self) -> float:
        """Unix seconds."""
        return self.time


@cache
def _opened(world: CandleOrigin) -> tuple[_AsOf, MarketFeed]:
    """The worker's feed, opened once so that its cache serves later jobs."""
    clock = _AsOf()
    return clock, open_feed(Store.open(world.database_url), clock, world.seed, world.data)


def open_feed_at(world: CandleOrigin, as_of: float) -> MarketFeed:
    """The worker's feed as of a given time."""
    clock, feed = _opened(world)
    clock.time = as_of
    feed.refresh()
    return feed


def loaded_frame(feed: Feed, spec: Spec, instruments: Sequence[Instrument], warmup_bars: int) -> tuple[Frame, int]:
    """The candles of the range and of the warm-up before it, and the first bar to trade on."""
    frame = load_frame(feed, instruments, spec.timeframe, spec.start, spec.end, warmup_bars)
    return frame, int(np.searchsorted(frame.time, spec.start))


def run_backtest(world: CandleOrigin, text: str, report: ReportRun) -> ResultColumns:
    """Run the spec in `text`.

    Raises:
        HeyTradersError: There is no bar to trade on, or the script cannot run on these bars.
    """
    spec = Spec.from_json(text)
    feed = open_feed_at(world, spec.as_of)
    report(0.02, _READING)
    script = compiled(spec)
    report(0.05, _LOADING)
    frame, first_bar = loaded_frame(feed, spec, script.instruments, script.warmup_bars)
    layout, arrays = packed(frame)
    spec = replace(spec, warnings=(*spec.warnings, *unfunded(spec, feed)))
    task = BacktestTask(spec, layout, first_bar, settings_of(spec, feed))
    report(0.25, _TRADING)
    return run_alone(world, arrays, run_task, task, lambda done: report(0.25 + 0.75 * done, _stage(done)))


def run_alone(
    world: CandleOrigin,
    arrays: Mapping[str, Array],
    run: Task[P, ResultColumns],
    task: P,
    tell_done: Callable[[float], None],
) -> ResultColumns:
    """Run one task with its arrays on the chosen executor."""
    executor = executor_for(0, world.executor, tell_done)
    try:
        for name, array in arrays.items():
            executor.share(name, array)
        [(_, outcome)] = executor.map(run, [task])
    finally:
        executor.close()
    return outcome


@dataclass(frozen=True, slots=True)
class BacktestTask:
    """A backtest with its candles: everything a worker needs, so that it never reads the database."""

    spec: Spec
    layout: FrameLayout
    first_bar: int
    settings: SimulationSettings


def run_task(shared: Mapping[str, Array], task: BacktestTask) -> ResultColumns:
    """Compile, trade, trade again one bar later, and measure."""
    spec, first_bar, settings = task.spec, task.first_bar, task.settings
    loaded = unpacked(task.layout, shared)
    script = compiled(spec)
    frame = replace(loaded, bars={instrument: loaded.bars[instrument] for instrument in spec.instruments})
    program = script.program(loaded, first_bar)
    simulation = simulate(frame, program, settings, first_bar, lambda done: tell(_DELAYED_FROM * done))
    tell(_DELAYED_FROM)
    later = None
    if not script.stateful or len(frame) <= MAX_DELAYED_STATEFUL:
        later = simulate(frame, delayed(script.program(loaded, first_bar)), settings, first_bar)
    tell(_MEASURED_FROM)
    return outcome_of(spec, simulation, later, script.warmup_bars, script.lookback)


def _stage(done: float) -> int:
    return _TRADING if done < _DELAYED_FROM else _DELAYING if done < _MEASURED_FROM else _MEASURING


def settings_of(spec: Spec, feed: Feed) -> SimulationSettings:
    """The terms of a spec as settings of the simulation."""
    resolving = {i: feed.listing(i).resolves_at for i in spec.instruments if i.market_type == "prediction"}
    return SimulationSettings(
        initial_cash=spec.initial_cash,
        fee=spec.trading_fee,
        slippage=spec.slippage,
        leverage=spec.leverage,
        stop_loss=None if spec.stop_loss is None else spec.stop_loss / 100,
        take_profit=None if spec.take_profit is None else spec.take_profit / 100,
        order_rules={instrument: order_rules(feed.listing(instrument)) for instrument in spec.instruments},
        max_volume_share=spec.max_volume_share,
        resolves_at={instrument: at for instrument, at in resolving.items() if at is not None},
        funding=funding_rates(feed, spec.instruments, spec.start, spec.end),
    )


def funding_rates(feed: Feed, instruments: Iterable[Instrument], start: int, end: int) -> dict[Instrument, Funding]:
    """The rates of perpetuals with `start <= time < end`, unix seconds, if an exchange provided any."""
    found: dict[Instrument, Funding] = {}
    for instrument in instruments:
        known = feed.funding(instrument, start, end) if isinstance(feed, MarketFeed) else None
        if known is not None and len(known.time):
            found[instrument] = Funding(known.time, known.rate)
    return found


def _known_funding(spec: Spec, feed: Feed, instrument: Instrument) -> FundingRates | None:
    return feed.funding(instrument, spec.start, spec.end) if isinstance(feed, MarketFeed) else None


def unfunded(spec: Spec, feed: Feed) -> list[str]:
    """Warnings about perpetuals without funding for all or part of the range."""
    told: list[str] = []
    for instrument in spec.instruments:
        if instrument.market_type != "perpetual":
            continue
        known = _known_funding(spec, feed, instrument)
        if known is None:
            told.append(f"{instrument.ticker}: its prices come without funding rates, so no funding is charged.")
        elif known.missing:
            spans = [f"{iso8601(float(since))} to {iso8601(float(until))}" for since, until in known.missing]
            more = f", and {len(spans) - 3} more times" if len(spans) > 3 else ""
            told.append(
                f"{instrument.ticker}: funding rates are missing from {', from '.join(spans[:3])}{more}; nothing is"
                " charged for them."
            )
        elif not len(known.time):
            told.append(f"{instrument.ticker}: its exchange gives no funding rates for this range; none is charged.")
    return told


_FUNDED: Final = "at the exchange's rates, on the value at the first open at or after each funding time"
_NOT_FUNDED: Final = "none: the prices come without funding rates"


def order_rules(listing: InstrumentListing) -> OrderRules:
    """The lot and the smallest order of an instrument, as for paper accounts.

    A lot that was only guessed from the price (imported data) is not applied.
    """
    return OrderRules(
        lot=float(listing.lot_size) if listing.steps_known else 0.0,
        minimum=float(ListedTerms.of(listing).minimum),
    )


def outcome_of(
    spec: Spec,
    simulation: Simulation,
    later: Simulation | None,
    warmup_bars: int,
    lookback: int,
    more: Mapping[str, Any] | None = None,
) -> ResultColumns:
    """The stored form of a simulation: metrics, findings and sentences. `more` goes into the summary."""
    cash, seconds = spec.initial_cash, simulation.frame.seconds
    span = simulation.span
    curve, traded = measure_curve(simulation.equity, cash, seconds, span), measure_trades(simulation)
    idle = idle_bars(simulation, lookback)
    hold_equity, hold_by_ticker = buy_and_hold(simulation.frame, simulation.settings, simulation.first_bar, idle)
    hold = measure_curve(hold_equity, cash, seconds, span)
    delayed_pct = None if later is None else 100.0 * (later.final_equity / cash - 1.0)
    facts = gather(simulation, curve, traded, hold, delayed_pct)
    table, labels = trade_table(simulation), labels_of(simulation)
    held = {name: getattr(hold, name) for name in _HOLD}
    summary = {
        "strategy_type": spec.strategy_type,
        "description": spec.description,
        "universe": spec.tickers,
        "timeframe": spec.timeframe,
        "start_date": spec.start_date,
        "end_date": spec.end_date,
        "buy_and_hold": held,
        "assumptions": _assumptions(spec, simulation, facts, warmup_bars, curve.periods_per_year),
        **_extremes(table, labels),
        "warnings": _warnings(spec, simulation, facts, idle),
        "script": spec.script,
        "script_generated": spec.generated,
        **(more or {}),
    }
    return ResultColumns(
        market=spec.market,
        start=spec.start,
        end=spec.end,
        variant=spec.variant,
        sharpe=curve.sharpe_ratio,
        bar_seconds=seconds,
        experiment=spec.experiment,
        summary=_json(summary),
        metrics=_json(_metrics(simulation, curve, traded, facts, held)),
        analysis=_json(analyse(facts)),
        tickers=_json(per_ticker(simulation, hold_by_ticker)),
        trade_labels=labels.to_json(),
        trades=to_bytes(table),
        equity=to_bytes(simulation.equity),
    )


def _extremes(table: Table, labels: Labels) -> dict[str, Any]:
    """The best trades, and the worst of the rest."""
    ranked = np.argsort(-table[:, TRADE_COLUMNS.index("pnl")], kind="stable").tolist()
    best, worst = ranked[:SHOWN_TRADES], ranked[SHOWN_TRADES:][: -SHOWN_TRADES - 1 : -1]
    return {
        "best_trades": [trade_row(table, i, labels) for i in best],
        "worst_trades": [trade_row(table, i, labels) for i in worst],
    }


def _warnings(spec: Spec, simulation: Simulation, facts: ResultFacts, idle: int) -> list[str]:
    doubts = (finding.message for finding in judge(facts) if finding.severity != "info")
    return [*spec.warnings, *_undecided(simulation, idle), *_gaps(spec, simulation), *doubts]


def _undecided(simulation: Simulation, idle: int) -> list[str]:
    """Bars of the range for which the indicators had too little history."""
    if not idle:
        return []
    bars, before = len(simulation.time), simulation.first_bar
    return [
        f"The first {idle:,} of {bars:,} bars could not decide every signal: the script needs {idle + before:,} bars "
        f"of history and the data has {before:,} before the range. Buy-and-hold also begins after them. Start later, "
        "or load earlier data."
    ]


def _assumptions(
    spec: Spec, simulation: Simulation, facts: ResultFacts, warmup_bars: int, yearly: float
) -> dict[str, Any]:
    time, seconds = simulation.time, simulation.frame.seconds
    instrument = simulation.instruments[0]
    return {
        "exchange": spec.exchange,
        "market_type": instrument.market_type,
        "timeframe": spec.timeframe,
        "mode": spec.mode,
        "start": iso8601(float(time[0])),
        "end": iso8601(float(time[-1]) + seconds),
        "bars": len(time),
        "warmup_bars": min(warmup_bars, simulation.first_bar),
        "initial_cash": spec.initial_cash,
        "quote_currency": instrument.quote,
        "leverage": spec.leverage,
        "trading_fee": spec.trading_fee,
        "slippage": spec.slippage,
        "stop_loss": spec.stop_loss,
        "take_profit": spec.take_profit,
        "maintenance_margin": simulation.settings.maintenance_margin if instrument.market_type == "perpetual" else None,
        "max_volume_share": spec.max_volume_share,
        "smallest_order": simulation.settings.order_rules[instrument].minimum,
        "funding": _funding_rule(simulation),
        "fill_timing": "decided at a bar's close, filled at the next bar's open",
        "periods_per_year": yearly,
        "data_source": facts.data_source,
        "parameters": spec.parameters if spec.generated else None,
    }


def _funding_rule(simulation: Simulation) -> str | None:
    if all(instrument.market_type != "perpetual" for instrument in simulation.instruments):
        return None
    return _FUNDED if simulation.settings.funding else _NOT_FUNDED


def _metrics(
    simulation: Simulation, curve: CurveMetrics, traded: TradeMetrics, facts: ResultFacts, held: dict[str, Any]
) -> dict[str, Any]:
    shape = moments(returns_of(simulation.equity, simulation.settings.initial_cash))
    longs = int(np.count_nonzero(simulation.trades.side > 0))
    return {
        **curve._asdict(),
        **traded._asdict(),
        "final_equity": simulation.final_equity,
        "long_trades": longs,
        "short_trades": traded.num_trades - longs,
        "liquidations": facts.liquidations,
        "openings_cut": facts.cut,
        "openings_skipped": facts.unfunded + facts.too_small,
        "volume_limited": facts.volume_limited,
        "skewness": shape and shape.skewness,
        "kurtosis": shape and shape.kurtosis,
        "buy_and_hold": held,
    }


def _gaps(spec: Spec, simulation: Simulation) -> list[str]:
    """Warnings about data missing in the requested range."""
    seconds, time = simulation.frame.seconds, simulation.time
    found: list[str] = []
    if int(time[0]) > spec.start + seconds:
        found.append(f"Candles begin at {iso8601(float(time[0]))}, after the start asked for.")
    if int(time[-1]) < spec.end - 2 * seconds:
        found.append(f"Candles end at {iso8601(float(time[-1]) + seconds)}, before the end asked for.")
    spanned = simulation.span // seconds
    if len(time) < spanned:
        found.append(
            f"The data has gaps: {spanned - len(time):,} of {spanned:,} bars are missing for every ticker. Indicators "
            "count the bars that are there; figures a year go by the calendar."
        )
    for instrument, bars in simulation.frame.bars.items():
        made = 0 if bars.partial is None else int(np.count_nonzero(bars.partial[simulation.first_bar :]))
        if made:
            found.append(
                f"{instrument.ticker}: {made:,} of {len(time):,} bars were made of fewer shorter bars than they should "
                "hold, because the data has gaps."
            )
        missing = int(np.count_nonzero(np.isnan(bars.close[simulation.first_bar :])))
        if missing:
            found.append(f"{instrument.ticker} has no candle on {missing} of {len(time)} bars.")
    return found


def _json(value: Any) -> str:
    """JSON for a column; a NaN would be a bug and raises."""
    return json.dumps(value, allow_nan=False)

"""A strategy that resumes from stored state decides as a backtest of the same bars does, to the last bit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, count

import numpy as np
import pytest

from api.times import SECONDS, AcceleratedClock, Timeframe
from engine.engine import Engine
from engine.feeds.market import load_frame, open_feed
from engine.jobs.run import order_rules
from engine.language import ScriptContext, compile_script
from engine.live.decisions import LiveDecision, decide
from engine.live.deployment import Deployment
from engine.simulation.kernel import simulate
from engine.simulation.settings import SimulationSettings

MINUTE = 60
HOUR = 3_600
BARS = 240
CONDITIONS = (
    "close < bbands_lower(close, 20, 2)",
    "crossover(ema(close, 5), ema(close, 13))",
    "rsi(close, 7) < 35",
    "bar_index % 37 == 3",
    'tf("15m", close > sma(close, 4)) and returns > 0',
)
EXITS = ("rsi(close, 7) > 60", "bars_in_position >= 9", "unrealized_pnl_pct < -0.2")
SIZES = ("Weight(0.3)", "Notional(200)", "Amount(0.001)")
OPTIONS = (
    "",
    ", stop_loss=0.002",
    ", stop_loss=0.002, take_profit=0.003",
    ", trailing_stop=0.002",
    ", limit=close * 0.999",
    ", limit=close * 1.001, stop_loss=0.003",
    ", pyramiding=2",
)


def written(seed: int) -> str:
    """A random strategy on one-minute bars."""
    draw = random.Random(seed)
    if seed % 7 == 0:
        return (
            "emit_signal(bar_index % 120 == 0, grid(TICKER, lower=close * 0.99, upper=close * 1.01, levels=9, "
            "size=Notional(300)))\n"
        )
    if seed % 7 == 1:
        every, weight = draw.randint(5, 30), draw.uniform(0, 0.4)
        return f"emit_signal(bar_index % {every} == 0, rebalance(TICKER, Weight({weight})))\n"
    entry = f'entry(TICKER, "LONG", {draw.choice(SIZES)}{draw.choice(OPTIONS)})'
    fraction = draw.choice((", fraction=0.5", ""))
    return (
        f"emit_signal({draw.choice(CONDITIONS)}, {entry})\nemit_signal({draw.choice(EXITS)}, exit(TICKER{fraction}))\n"
    )


def deployment(
    script: str, stop_loss: float | None = None, take_profit: float | None = None, timeframe: Timeframe = "1m"
) -> Deployment:
    return Deployment(
        strategy_id="own",
        name="own",
        description="",
        exchange="binance",
        tickers=("BINANCE:BTC/USDT", "BINANCE:ETH/USDT"),
        timeframe=timeframe,
        script=script,
        slippage=0.0005,
        stop_loss=stop_loss,
        take_profit=take_profit,
    )


def streamed(
    engine: Engine, deployed: Deployment, start: int, bars: int, looks: Iterator[int]
) -> dict[str, LiveDecision]:
    """Decisions made bar by bar, with gaps; each look gets only what the previous look stored."""
    found: dict[str, LiveDecision] = {}
    seconds = SECONDS[deployed.timeframe]
    cursor, kept, bar = start, None, 0
    while bar < bars:
        bar = min(bar + next(looks), bars)
        feed = open_feed(engine.store, AcceleratedClock(start + bar * seconds + 1.0), engine.settings.seed)
        outlook = decide(feed, deployed, start, cursor, kept)
        assert outlook.seen_until == start + bar * seconds
        cursor, kept = outlook.seen_until, outlook.kept
        for decision in outlook.decisions:
            found.setdefault(decision.key, decision)
        if outlook.ended is not None:
            break
    return found


def backtested(
    engine: Engine, deployed: Deployment, start: int, bars: int
) -> list[tuple[int, str, int, float, str, float]]:
    """The fills of a backtest of the same bars: time, ticker, direction, amount, reason, price."""
    end = start + bars * SECONDS[deployed.timeframe]
    feed = open_feed(engine.store, AcceleratedClock(end + 1.0), engine.settings.seed)
    context = ScriptContext(deployed.instruments, deployed.timeframe, deployed.mode, deployed.exchange)
    script = compile_script(deployed.script, context)
    frame = load_frame(feed, script.instruments, deployed.timeframe, start, None, script.warmup_bars)
    first = int(np.searchsorted(frame.time, start))
    settings = SimulationSettings(
        initial_cash=deployed.initial_cash,
        fee=deployed.fee,
        slippage=deployed.slippage,
        stop_loss=deployed.stop_loss,
        take_profit=deployed.take_profit,
        order_rules={i: order_rules(feed.listing(i)) for i in deployed.instruments},
        max_volume_share=deployed.max_volume_share,
    )
    fills = simulate(frame, script.program(frame, first), settings, first).fills
    return [
        (int(frame.time[bar]), fill.instrument.ticker, fill.direction, fill.amount, fill.reason, fill.price)
        for fill, bar in zip(fills.rows(), fills.bar.tolist(), strict=True)
        if fill.reason != "end_of_data"
    ]


def told(decision: LiveDecision) -> tuple[int, str, int, str]:
    opened, rest = decision.key.split(":", 1)
    ticker, direction, reason, _ = rest.rsplit(":", 3)
    return int(opened), ticker, int(direction), reason


def agree(engine: Engine, clock: AcceleratedClock, seed: int) -> int:
    """Compare both ways; returns the number of fills."""
    start = int(clock.now() // MINUTE) * MINUTE - 2 * BARS * MINUTE
    stop, target = (0.002, 0.004) if seed % 5 == 0 else (None, None)
    deployed = deployment(written(seed), stop, target)

    draw = random.Random(seed)
    looks = (draw.choice((1, 1, 2, 5, 40)) for _ in count())
    return compare(engine, deployed, start, BARS, looks)


def compare(engine: Engine, deployed: Deployment, start: int, bars: int, looks: Iterator[int]) -> int:
    found = streamed(engine, deployed, start, bars, looks)

    last = start + bars * SECONDS[deployed.timeframe]
    expected = backtested(engine, deployed, start, bars)
    made = sorted((told(d), d.units) for d in found.values() if told(d)[0] < last)
    meant = sorted(((opened, ticker, way, reason), amount) for opened, ticker, way, amount, reason, _ in expected)
    assert [decision for decision, _ in made] == [fill for fill, _ in meant]
    assert [units for _, units in made] == pytest.approx([amount for _, amount in meant], rel=1e-3)
    return len(expected)


@pytest.mark.long
async def test_random_strategies_decide_live_what_their_backtests_trade(
    engine: Engine, clock: AcceleratedClock
) -> None:
    """Two strategies of each kind; two hundred in the test below."""
    fills = [agree(engine, clock, seed) for seed in range(14)]

    assert sum(made > 3 for made in fills) > 8


@pytest.mark.slow
async def test_two_hundred_random_strategies_decide_live_what_their_backtests_trade(
    engine: Engine, clock: AcceleratedClock
) -> None:
    fills = [agree(engine, clock, seed) for seed in range(20, 220)]

    assert sum(made > 3 for made in fills) > 120


OLD = (
    'emit_signal(crossover(ema(close, 5), ema(close, 13)), entry(TICKER, "LONG", Weight(0.3), trailing_stop=0.02))\n'
    "emit_signal(rsi(close, 7) > 65, exit(TICKER))\n",
    'emit_signal(close < bbands_lower(close, 20, 2) and trades_today < 2, entry(TICKER, "LONG", Notional(500)))\n'
    "emit_signal(bars_in_position > 6 or close < highest_since_entry * 0.98, exit(TICKER, fraction=0.5))\n"
    "emit_signal(bars_in_position > 12, exit(TICKER))\n",
    'emit_signal(bars_since_exit > 5 or close > sma(close, 50), entry(TICKER, "LONG", Weight(0.2), stop_loss=0.01))\n'
    'emit_signal(tf("4h", close < sma(close, 6)), exit(TICKER, fraction=0.3, once=True))\n'
    "emit_signal(close > entry_price * 1.01, move_stop(TICKER, entry_price))\n",
    'emit_signal(cum(returns) > 0.01 and close > sma(close, 5), entry(TICKER, "LONG", Weight(0.2)))\n'
    "emit_signal(close < sma(close, 5), exit(TICKER))\n",
)


@pytest.mark.parametrize("script", OLD)
async def test_an_old_subscription_reads_a_tail_of_the_history_and_decides_the_same(
    engine: Engine, clock: AcceleratedClock, script: str
) -> None:
    start = int(clock.now() // HOUR) * HOUR - 1_500 * HOUR

    fills = compare(engine, deployment(script, timeframe="1h"), start, 1_100, chain((1_050,), (1 + i for i in count())))

    assert fills > 20


async def test_a_state_that_cannot_be_read_is_computed_again(engine: Engine, clock: AcceleratedClock) -> None:
    start = int(clock.now() // MINUTE) * MINUTE - BARS * MINUTE
    deployed = deployment(written(3))

    fresh = decide(engine.feed, deployed, start, start)
    damaged = decide(engine.feed, deployed, start, start, f"{start + 10 * MINUTE} {{}}")

    assert damaged == fresh
    assert fresh.kept is not None


async def test_a_portfolio_stop_ends_the_strategy_and_sells_what_it_holds(
    engine: Engine, clock: AcceleratedClock
) -> None:
    start = int(clock.now() // MINUTE) * MINUTE - BARS * MINUTE
    always = deployment('emit_signal(bar_index == 0, entry(TICKER, "LONG", Weight(0.45)))\n')
    deployed = replace(always, stop_loss=0.001, take_profit=0.001)

    outlook = decide(engine.feed, deployed, start, start)

    assert outlook.ended in {"portfolio_stop", "portfolio_target"}
    assert {d.instrument.ticker for d in outlook.decisions if d.reason == outlook.ended} == set(deployed.tickers)

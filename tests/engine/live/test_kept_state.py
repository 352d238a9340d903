"""A strategy that goes on from its kept state decides what a backtest of the same bars decides, to the last bit."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from engine.clock import AcceleratedClock
from engine.engine import Engine
from engine.feeds.market import load_frame, open_feed
from engine.language import ScriptContext, compile_script
from engine.live.decisions import Decision, decide
from engine.live.deployment import Deployment
from engine.simulation.kernel import simulate
from engine.simulation.settings import SimulationSettings

MINUTE = 60
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


def deployment(script: str, stop_loss: float | None = None, take_profit: float | None = None) -> Deployment:
    return Deployment(
        strategy_id="own",
        name="own",
        description="",
        exchange="binance",
        tickers=("BINANCE:BTC/USDT", "BINANCE:ETH/USDT"),
        timeframe="1m",
        script=script,
        slippage=0.0005,
        stop_loss=stop_loss,
        take_profit=take_profit,
    )


def streamed(engine: Engine, deployed: Deployment, start: int, draw: random.Random) -> dict[str, Decision]:
    """Decisions found bar by bar, with gaps; each look is handed only what was stored after the one before."""
    found: dict[str, Decision] = {}
    cursor, kept, bar = start, None, 0
    while bar < BARS:
        bar = min(bar + draw.choice((1, 1, 2, 5, 40)), BARS)
        feed = open_feed(engine.store, AcceleratedClock(start + bar * MINUTE + 1.0), engine.settings.seed)
        outlook = decide(feed, deployed, start, cursor, kept)
        assert outlook.seen_until == start + bar * MINUTE
        cursor, kept = outlook.seen_until, outlook.kept
        for decision in outlook.decisions:
            found.setdefault(decision.key, decision)
        if outlook.ended is not None:
            break
    return found


def backtested(engine: Engine, deployed: Deployment, start: int) -> list[tuple[int, str, int, float, str]]:
    """The fills of a backtest of the same bars: time, ticker, direction, amount, reason."""
    feed = open_feed(engine.store, AcceleratedClock(start + BARS * MINUTE + 1.0), engine.settings.seed)
    context = ScriptContext(deployed.instruments, deployed.timeframe, deployed.mode, deployed.exchange)
    script = compile_script(deployed.script, context)
    frame = load_frame(feed, script.instruments, "1m", start, None, script.warmup_bars)
    first = int(np.searchsorted(frame.time, start))
    settings = SimulationSettings(
        initial_cash=deployed.initial_cash,
        fee=deployed.fee,
        slippage=deployed.slippage,
        stop_loss=deployed.stop_loss,
        take_profit=deployed.take_profit,
    )
    fills = simulate(frame, script.program(frame, first), settings, first).fills
    return [
        (int(frame.time[bar]), fill.instrument.ticker, fill.direction, fill.amount, fill.reason)
        for fill, bar in zip(fills.rows(), fills.bar.tolist(), strict=True)
        if fill.reason != "end_of_data"
    ]


def told(decision: Decision) -> tuple[int, str, int, str]:
    opened, rest = decision.key.split(":", 1)
    ticker, direction, reason, _ = rest.rsplit(":", 3)
    return int(opened), ticker, int(direction), reason


def agree(engine: Engine, clock: AcceleratedClock, seed: int) -> int:
    """Compare both ways; how many fills there were."""
    start = int(clock.now() // MINUTE) * MINUTE - 2 * BARS * MINUTE
    limits = (0.002, 0.004) if seed % 5 == 0 else ()
    deployed = deployment(written(seed), *limits)

    found = streamed(engine, deployed, start, random.Random(seed))

    last = start + BARS * MINUTE
    expected = backtested(engine, deployed, start)
    assert sorted(told(d) for d in found.values() if told(d)[0] < last) == sorted(
        (opened, ticker, direction, reason) for opened, ticker, direction, _, reason in expected
    )
    return len(expected)


async def test_twenty_random_strategies_decide_live_what_their_backtests_trade(
    engine: Engine, clock: AcceleratedClock
) -> None:
    fills = [agree(engine, clock, seed) for seed in range(20)]

    assert sum(count > 3 for count in fills) > 12


@pytest.mark.slow
async def test_two_hundred_random_strategies_decide_live_what_their_backtests_trade(
    engine: Engine, clock: AcceleratedClock
) -> None:
    fills = [agree(engine, clock, seed) for seed in range(20, 220)]

    assert sum(count > 3 for count in fills) > 120


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

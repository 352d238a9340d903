"""The cost of a closed bar with 100 live subscriptions, beside compiling and running their scripts alone.

`python -m bench.live`: one strategy in mode signal, 100 times, over 10 bars. `python -m bench.live --ages 1 30 90`: one
bar of one subscription on minute bars of three symbols, at these ages in days.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from api.live import SubscribeRequest
from api.times import AcceleratedClock
from engine.access import Caller, Profile
from engine.engine import Engine, EngineSettings
from engine.live import LiveSettings
from engine.live.decisions import decide
from engine.live.deployment import Deployment, catalogue
from engine.live.subscriptions import MAX_ACTIVE

COUNT: Final = 100
BARS: Final = 10
HOUR: Final = 3_600
STRATEGY: Final = "macd-momentum"
START: Final = 1_750_075_200.0


AGED: Final = """crossed = crossover(ema(close, 12), ema(close, 26))
emit_signal(crossed, entry(TICKER, "LONG", Weight(0.3), stop_loss=0.02))
emit_signal(crossunder(ema(close, 12), ema(close, 26)), exit(TICKER))
"""


async def ages(days: Sequence[int]) -> None:
    """Print milliseconds per closed minute of one subscription on three symbols, by its age in days."""
    with tempfile.TemporaryDirectory() as home:
        clock = AcceleratedClock(START)
        engine = await Engine.open(EngineSettings(Path(home), live=LiveSettings(in_background=False)), clock)
        try:
            for age in days:
                spent = await anyio.to_thread.run_sync(_aged, engine, clock, age)
                print(f"{age:3} days old, a closed minute      {spent:7.1f} ms")
        finally:
            await engine.aclose()


def _aged(engine: Engine, clock: AcceleratedClock, days: int) -> float:
    deployment = replace(catalogue()[0], timeframe="1m", script=AGED)
    begin = int(clock.now()) // 60 * 60 - days * 86_400
    kept = decide(engine.feed, deployment, begin, begin).kept
    spent: list[float] = []
    for _ in range(BARS):
        clock.advance(60)
        started = time.perf_counter()
        kept = decide(engine.feed, deployment, begin, int(clock.now()) // 60 * 60 - 60, kept).kept
        spent.append((time.perf_counter() - started) * 1_000)
    return statistics.median(spent[1:])


async def main() -> None:
    """Print milliseconds per closed bar for all subscriptions, and for the decisions alone."""
    with tempfile.TemporaryDirectory() as home:
        clock = AcceleratedClock(START)
        engine = await Engine.open(EngineSettings(Path(home), live=LiveSettings(in_background=False)), clock)
        try:
            callers = [await _agent(engine, number) for number in range(COUNT // MAX_ACTIVE)]
            ticks, alone = await anyio.to_thread.run_sync(_measure, engine, clock, callers)
        finally:
            await engine.aclose()
    print(f"{COUNT} subscriptions, a closed bar   {ticks:7.1f} ms   {ticks / COUNT:5.2f} ms each")
    print(f"their decisions alone            {alone:7.1f} ms   ratio {ticks / alone:.2f}")


async def _agent(engine: Engine, number: int) -> Caller:
    address = f"agent {number}"
    return (await engine.access.register(Profile(address), address)).caller(address)


def _measure(engine: Engine, clock: AcceleratedClock, callers: Sequence[Caller]) -> tuple[float, float]:
    for caller in callers:
        for _ in range(MAX_ACTIVE):
            engine.live.subscribe(caller, SubscribeRequest.model_validate({"strategy_id": STRATEGY}))
    deployment = next(d for d in catalogue() if d.strategy_id == STRATEGY)
    begin = int(START // HOUR) * HOUR
    ticks: list[float] = []
    alone: list[float] = []
    for bar in range(BARS):
        clock.advance(HOUR)
        ticks.append(_milliseconds(engine.live.runner.tick))
        alone.append(_milliseconds(partial(_decide, engine, deployment, begin, begin + bar * HOUR)))
    return statistics.median(ticks[1:]), statistics.median(alone[1:])


def _decide(engine: Engine, deployment: Deployment, begin: int, cursor: int) -> None:
    for _ in range(COUNT):
        decide(engine.feed, deployment, begin, cursor)


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1_000


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[2:]] if sys.argv[1:2] == ["--ages"] else []
    anyio.run(ages, given) if given else anyio.run(main)

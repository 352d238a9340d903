"""What a closed bar costs with 100 live subscriptions, beside compiling and running their scripts alone.

`python -m bench.live`: a strategy in mode signal, 100 times, over 10 bars.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from api.live import SubscribeRequest
from engine.access import Caller, Profile
from engine.clock import AcceleratedClock
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
    anyio.run(main)

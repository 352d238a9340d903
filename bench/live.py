"""The cost of a closed bar with 100 live subscriptions, beside compiling and running their scripts alone.

`python -m bench.live`: one strategy, 100 times, over 10 bars, in both modes. `python -m bench.live --ages 1 30 90`: one
bar of one subscription in mode trade on minute bars of three symbols, from the candles to its orders on a paper
account, at these ages in days. Its limit orders move every other minute.
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
import sqlalchemy as sa

from api.live import SubscribeRequest
from api.times import AcceleratedClock
from engine.access import ALL_SCOPES, LOCAL_AGENT, Caller, Profile
from engine.engine import Engine, EngineSettings
from engine.feeds.market import open_feed
from engine.live import LiveSettings
from engine.live.decisions import decide
from engine.live.deployment import Deployment, catalogue
from engine.live.subscriptions import MAX_ACTIVE
from engine.store.accounts import orders_table
from engine.store.live import subscriptions_table

COUNT: Final = 100
BARS: Final = 10
HOUR: Final = 3_600
MINUTES: Final = 40
STRATEGY: Final = "macd-momentum"
START: Final = 1_750_075_200.0
_STATE: Final = sa.select(subscriptions_table.c.cursor, subscriptions_table.c.kept)
_ORDERS: Final = sa.select(sa.func.count()).select_from(orders_table)

AGED: Final = """crossed = crossover(ema(close, 12), ema(close, 26))
emit_signal(crossed, entry(TICKER, "LONG", Weight(0.2), stop_loss=0.02))
emit_signal(crossunder(ema(close, 12), ema(close, 26)), exit(TICKER))
emit_signal(minute % 2 == 0, entry(TICKER, "LONG", Notional(50), limit=close * 0.999, pyramiding=5))
"""


async def ages(days: Sequence[int]) -> None:
    """Print milliseconds per closed minute of one subscription on three symbols, by its age in days."""
    for age in days:
        with tempfile.TemporaryDirectory() as home:
            clock = AcceleratedClock(START)
            engine = await Engine.open(EngineSettings(Path(home), live=LiveSettings(in_background=False)), clock)
            try:
                await engine.access.local_key()
                decision, whole, orders = await anyio.to_thread.run_sync(_aged, engine, clock, age)
            finally:
                await engine.aclose()
        print(
            f"{age:3} days old, a closed minute: whole bar {whole:6.1f} ms with {orders:.1f} orders a bar; "
            f"its decision alone {decision:5.1f} ms"
        )


def _aged(engine: Engine, clock: AcceleratedClock, days: int) -> tuple[float, float, float]:
    """The median milliseconds of a decision and of a whole bar in mode trade, and the orders placed a bar."""
    deployment = replace(catalogue()[0], timeframe="1m", script=AGED)
    now = int(clock.now()) // 60 * 60
    begin = now - days * 86_400
    _subscribe(engine, Caller("bench", LOCAL_AGENT, scopes=frozenset(ALL_SCOPES)), "trade")
    history = open_feed(engine.store, clock, engine.settings.seed)
    kept = decide(history, deployment, begin, begin).kept
    values = {"deployment": deployment.to_json(), "started_at": begin, "cursor": now, "kept": kept, "held": "{}"}
    engine.store.write_now(lambda connection: connection.execute(sa.update(subscriptions_table).values(**values)))
    alone: list[float] = []
    whole: list[float] = []
    for _ in range(MINUTES):
        clock.advance(60)
        before = engine.store.read_now(lambda connection: connection.execute(_STATE).one())
        alone.append(_milliseconds(partial(decide, engine.feed, deployment, begin, before.cursor, before.kept)))
        whole.append(_milliseconds(engine.live.runner.tick))
    orders = engine.store.read_now(lambda connection: connection.execute(_ORDERS).scalar_one())
    return statistics.median(alone[1:]), statistics.median(whole[1:]), orders / MINUTES


async def main() -> None:
    """Print milliseconds per closed bar for all subscriptions in each mode, and for the decisions alone."""
    for mode in ("signal", "trade"):
        with tempfile.TemporaryDirectory() as home:
            clock = AcceleratedClock(START)
            engine = await Engine.open(EngineSettings(Path(home), live=LiveSettings(in_background=False)), clock)
            try:
                callers = [await _agent(engine, number) for number in range(COUNT // MAX_ACTIVE)]
                ticks, alone = await anyio.to_thread.run_sync(_measure, engine, clock, callers, mode)
            finally:
                await engine.aclose()
        print(f"{COUNT} subscriptions in mode {mode}, a closed bar {ticks:7.1f} ms   {ticks / COUNT:5.2f} ms each")
        print(f"their decisions alone {alone:7.1f} ms   ratio {ticks / alone:.2f}")


async def _agent(engine: Engine, number: int) -> Caller:
    address = f"agent {number}"
    made = await engine.access.register(Profile(address), address)
    return replace(made.caller(address), scopes=frozenset(ALL_SCOPES))


def _subscribe(engine: Engine, caller: Caller, mode: str, number: int = 0) -> None:
    """Each subscription has a webhook of its own, or else an account: it would be found as a duplicate."""
    hook = {"url": f"https://example.com/{number}", "events": ["error"]}
    account = {"account_id": "paper-binance"} if mode == "trade" else {}
    body = {"strategy_id": STRATEGY, "mode": "signal", "webhook": hook}
    made = engine.live.subscribe(caller, SubscribeRequest.model_validate(body))
    one = subscriptions_table.c.id == made.subscription_id
    change = sa.update(subscriptions_table).where(one).values(mode=mode, **account)
    engine.store.write_now(lambda connection: connection.execute(change))


def _measure(engine: Engine, clock: AcceleratedClock, callers: Sequence[Caller], mode: str) -> tuple[float, float]:
    for caller in callers:
        for number in range(MAX_ACTIVE):
            _subscribe(engine, caller, mode, number)
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

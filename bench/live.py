"""The cost of a closed bar with 100 live subscriptions, beside compiling and running their scripts alone.

`python -m bench.live`: one strategy 100 times in both modes, 100 different scripts in mode signal, and 100 scripts
that each move three limit orders at every bar. `python -m bench.live --ages 1 30 90`: one bar of one
subscription in mode trade on minute bars of three symbols, from the candles to its orders on a paper account, at these
ages in days. Its limit orders move every other minute. `python -m bench.live --month`: the CPU of a closed bar of 20
subscriptions, half of them in mode trade, on each fifth day of a month of bars of 15 minutes.

CPU is that of the thread that runs the strategies; the rest of the time is mostly the disk.
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
from engine.access import ALL_SCOPES, LOCAL_AGENT, AgentProfile, ApiCaller
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
BARS_WITH_ORDERS: Final = 3
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

DIFFERENT: Final = """emit_signal(crossover(ema(close, {n}), ema(close, 2 * {n})), entry(TICKER, "LONG", Weight(0.2)))
emit_signal(crossunder(ema(close, {n}), ema(close, 2 * {n})), exit(TICKER))
"""

ORDERING: Final = """buys = rsi(close, {n}) > 0
emit_signal(buys, entry(TICKER, "LONG", Notional(20), limit=close * 0.9, pyramiding=9))
"""


async def ages(days: Sequence[int]) -> None:
    """Print milliseconds per closed minute of one subscription on three symbols, by its age in days."""
    for age in days:
        with tempfile.TemporaryDirectory() as home:
            clock = AcceleratedClock(START)
            engine = await Engine.open(EngineSettings(Path(home), live=LiveSettings(in_background=False)), clock)
            try:
                await engine.access.local_key()
                decision, (whole, busy), orders = await anyio.to_thread.run_sync(_aged, engine, clock, age)
            finally:
                await engine.aclose()
        print(
            f"{age:3} days old, a closed minute: whole bar {whole:6.1f} ms (CPU {busy:5.1f}) with {orders:.1f} orders a"
            f" bar; its decision alone {decision:5.1f} ms"
        )


def _aged(engine: Engine, clock: AcceleratedClock, days: int) -> tuple[float, tuple[float, float], float]:
    """The median milliseconds of a decision, of a whole bar in mode trade and its CPU, and the orders placed a bar."""
    deployment = replace(catalogue()[0], timeframe="1m", script=AGED)
    now = int(clock.now()) // 60 * 60
    begin = now - days * 86_400
    _subscribe(engine, ApiCaller("bench", LOCAL_AGENT, scopes=frozenset(ALL_SCOPES)), "trade")
    history = open_feed(engine.store, clock, engine.settings.seed)
    kept = decide(history, deployment, begin, begin).kept
    values = {"deployment": deployment.to_json(), "started_at": begin, "cursor": now, "kept": kept, "held": "{}"}
    engine.store.write_now(lambda connection: connection.execute(sa.update(subscriptions_table).values(**values)))
    alone: list[float] = []
    whole: list[tuple[float, float]] = []
    for _ in range(MINUTES):
        clock.advance(60)
        before = engine.store.read_now(lambda connection: connection.execute(_STATE).one())
        alone.append(_milliseconds(partial(decide, engine.feed, deployment, begin, before.cursor, before.kept))[0])
        whole.append(_milliseconds(engine.live.runner.tick))
    orders = engine.store.read_now(lambda connection: connection.execute(_ORDERS).scalar_one())
    return statistics.median(alone[1:]), _medians(whole[1:]), orders / MINUTES


async def month() -> None:
    """Print the CPU milliseconds of a closed bar, and the database's size, on each fifth day of a month."""
    with tempfile.TemporaryDirectory() as home:
        clock = AcceleratedClock(START)
        engine = await Engine.open(EngineSettings(Path(home), live=LiveSettings(in_background=False)), clock)
        try:
            await engine.access.local_key()
            caller = ApiCaller("bench", LOCAL_AGENT, scopes=frozenset(ALL_SCOPES))
            for number in range(MAX_ACTIVE):
                _subscribe(engine, caller, "trade" if number % 2 else "signal", number)
            deployment = replace(catalogue()[0], timeframe="15m", script=AGED, tickers=("BINANCE:BTC/USDT",))
            values = {"deployment": deployment.to_json(), "cursor": int(START) // 900 * 900}
            engine.store.write_now(lambda c: c.execute(sa.update(subscriptions_table).values(**values)))
            for day in range(1, 31):
                taken = await anyio.to_thread.run_sync(_day, engine, clock)
                if day == 1 or day % 5 == 0:
                    wall, busy = _medians(taken)
                    each = f"{wall / MAX_ACTIVE:5.2f} ms (CPU {busy / MAX_ACTIVE:5.2f}) a closed bar"
                    print(f"day {day:2}: {each}, database {_size(Path(home)) / 2**20:5.1f} MB")
        finally:
            await engine.aclose()


def _day(engine: Engine, clock: AcceleratedClock) -> list[tuple[float, float]]:
    taken: list[tuple[float, float]] = []
    for _ in range(96):
        clock.advance(900)
        taken.append(_milliseconds(engine.live.runner.tick))
    return taken


def _size(home: Path) -> int:
    return sum(file.stat().st_size for file in home.glob("engine.sqlite3*"))


CASES: Final[dict[str, tuple[str, str | None]]] = {
    "one strategy, mode signal": ("signal", None),
    "one strategy, mode trade": ("trade", None),
    "different scripts, mode signal": ("signal", DIFFERENT),
    "three orders each, mode trade": ("trade", ORDERING),
}
"""Mode and script of each case; `{n}` is the number of the subscription, and None is the strategy of the catalogue."""


async def main() -> None:
    """Print milliseconds per closed bar for all subscriptions of each case, and for the decisions of one strategy."""
    for name, (mode, script) in CASES.items():
        with tempfile.TemporaryDirectory() as home:
            clock = AcceleratedClock(START)
            engine = await Engine.open(EngineSettings(Path(home), live=LiveSettings(in_background=False)), clock)
            try:
                callers = [await _agent(engine, number) for number in range(COUNT // MAX_ACTIVE)]
                (wall, busy), alone = await anyio.to_thread.run_sync(_measure, engine, clock, callers, mode, script)
            finally:
                await engine.aclose()
        print(f"{COUNT} subscriptions, {name:37} a closed bar {wall:7.1f} ms (CPU {busy:7.1f})", end="")
        print(f"   {wall / COUNT:5.2f} ms each" if script else f"   decisions one by one {alone:7.1f} ms")


async def _agent(engine: Engine, number: int) -> ApiCaller:
    address = f"agent {number}"
    made = await engine.access.register(AgentProfile(address), address)
    return replace(made.caller(address), scopes=frozenset(ALL_SCOPES))


def _subscribe(engine: Engine, caller: ApiCaller, mode: str, number: int = 0) -> None:
    """Each subscription has a webhook of its own, or else an account: it would be found as a duplicate."""
    hook = {"url": f"https://example.com/{number}", "events": ["error"]}
    account = {"account_id": "paper-binance"} if mode == "trade" else {}
    body = {"strategy_id": STRATEGY, "mode": "signal", "webhook": hook}
    made = engine.live.subscribe(caller, SubscribeRequest.model_validate(body))
    one = subscriptions_table.c.id == made.subscription_id
    change = sa.update(subscriptions_table).where(one).values(mode=mode, **account)
    engine.store.write_now(lambda connection: connection.execute(change))


def _measure(
    engine: Engine, clock: AcceleratedClock, callers: Sequence[ApiCaller], mode: str, script: str | None
) -> tuple[tuple[float, float], float]:
    for caller in callers:
        for number in range(MAX_ACTIVE):
            _subscribe(engine, caller, mode, number)
    deployment = next(d for d in catalogue() if d.strategy_id == STRATEGY)
    if script is not None:
        engine.store.write_now(lambda connection: _give_scripts(connection, deployment, script))
    begin = int(START // HOUR) * HOUR
    ticks: list[tuple[float, float]] = []
    alone: list[float] = []
    for bar in range(BARS_WITH_ORDERS if script == ORDERING else BARS):
        clock.advance(HOUR)
        ticks.append(_milliseconds(engine.live.runner.tick))
        if script is None:
            alone.append(_milliseconds(partial(_decide, engine, deployment, begin, begin + bar * HOUR))[0])
    return _medians(ticks[1:]), statistics.median(alone[1:] or [0.0])


def _give_scripts(connection: sa.Connection, deployment: Deployment, script: str) -> None:
    """Give each subscription a script of its own."""
    ids = connection.execute(sa.select(subscriptions_table.c.id).order_by(subscriptions_table.c.id)).scalars().all()
    for number, one in enumerate(ids):
        own = replace(deployment, script=script.replace("{n}", str(12 + number)))
        change = sa.update(subscriptions_table).where(subscriptions_table.c.id == one)
        connection.execute(change.values(deployment=own.to_json()))


def _decide(engine: Engine, deployment: Deployment, begin: int, cursor: int) -> None:
    for _ in range(COUNT):
        decide(engine.feed, deployment, begin, cursor)


def _milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall time and CPU time of this thread."""
    began, busy = time.perf_counter(), time.thread_time()
    work()
    return (time.perf_counter() - began) * 1_000, (time.thread_time() - busy) * 1_000


def _medians(taken: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(wall for wall, _ in taken), statistics.median(busy for _, busy in taken)


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[2:]] if sys.argv[1:2] == ["--ages"] else []
    if sys.argv[1:] == ["--month"]:
        anyio.run(month)
    else:
        anyio.run(ages, given) if given else anyio.run(main)

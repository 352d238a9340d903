"""A simulated month of twenty live strategies, with killed processes, hand-overs and feed outages.

`python -m tests.chaos.live_month --days 30 --speed 2880` runs it whole: strategies on paper and simulated bars, two
processes on one home folder, one of which runs the strategies at a time. At the end the clock stops and all bars are
seen. Then every signal is compared with a replay of the whole month, every order with the signal that asked for it, the
holdings of the strategies with those of the account, and the ledger with itself. It prints one line of figures a day.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast

import anyio
import sqlalchemy as sa

from api.errors import Unavailable
from api.live import SubscribeRequest
from api.times import SECONDS, AcceleratedClock, Timeframe
from engine.access import ALL_SCOPES, LOCAL_AGENT, ApiCaller
from engine.engine import Engine, EngineSettings
from engine.live import LiveSettings, lease, signals, subscriptions
from engine.live.decisions import decide
from engine.live.deployment import Deployment, catalogue
from engine.live.runner import Runner
from engine.store.accounts import balances_table, orders_table
from engine.store.live import resting_table, signals_table, subscriptions_table
from engine.venues.paper.postings import verify
from engine.venues.paper.records import read_accounts

START: Final = 1_750_075_200
"""2025-06-16, 12:00 UTC."""
DAY: Final = 86_400
HOUR: Final = 3_600
POLL: Final = 0.02
LEASE: Final = 0.6
"""Seconds of a lease: as many bars long as a real one."""
OUTAGE: Final = "no-feed"
TICKS: Final = "ticks.csv"
SYMBOLS: Final = ("BINANCE:BTC/USDT", "BINANCE:ETH/USDT", "BINANCE:SOL/USDT")
RULES: Final = (
    'emit_signal(crossover(ema(close, 5), ema(close, 13)), entry(TICKER, "LONG", {size}{exits}))\n'
    "emit_signal(crossunder(ema(close, 5), ema(close, 13)), exit(TICKER))\n",
    'emit_signal(rsi(close, 7) < 35, entry(TICKER, "LONG", {size}, limit=close * 0.998))\n'
    "emit_signal(rsi(close, 7) > 60, exit(TICKER))\n",
    "emit_signal(bar_index % 96 == 0, grid(TICKER, lower=close * 0.98, upper=close * 1.02, levels=5, "
    "size=Notional(300)))\n",
)
EXITS: Final = ("", ", stop_loss=0.01", ", stop_loss=0.01, take_profit=0.02", ", trailing_stop=0.01")


def deployments(count: int) -> Iterator[tuple[str, Deployment]]:
    """Modes and strategies: half of them trade, on bars of an hour; some of the others are on bars of 15 minutes."""
    draw = random.Random(1)
    for number in range(count):
        mode = "trade" if number % 2 == 0 else "signal"
        timeframe: Timeframe = "15m" if number % 5 == 1 else "1h"
        size = draw.choice(("Weight(0.02)", "Notional(150)", "Amount(0.002)"))
        script = RULES[number % 3].format(size=size, exits=draw.choice(EXITS))
        tickers = SYMBOLS[number % 3 :][:1] if number % 3 == 2 else SYMBOLS[:2]
        yield mode, replace(catalogue()[0], timeframe=timeframe, script=script, tickers=tickers, fee=0.001)


def clock_of(began: float, speed: float) -> AcceleratedClock:
    """The clock of every process of a run that began at `began`, unix seconds of the machine."""
    return AcceleratedClock(START + 1 + (time.time() - began) * speed, speed)


def work(home: Path, began: float, speed: float, *, stays: bool) -> None:
    """Run strategies in this process until SIGTERM, and record the time of each step that closed bars."""
    lease.SECONDS, lease.RENEWED_AFTER = LEASE, LEASE / 3  # pyright: ignore[reportConstantRedefinition, reportAttributeAccessIssue]
    clock = clock_of(began, speed)
    _cut_the_feed(home)
    _record_steps(home, clock)
    signal.signal(signal.SIGTERM, _leave)

    async def main() -> None:
        live = LiveSettings(poll_seconds=POLL, stays=stays)
        engine = await Engine.open(EngineSettings(home, live=live), clock)
        engine.live.runner.start()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await engine.aclose()

    anyio.run(main)


def _leave(_number: int, _frame: object) -> None:
    sys.exit(0)


def _cut_the_feed(home: Path) -> None:
    from engine.feeds.market import MarketFeed

    served = MarketFeed.candles

    def candles(feed: MarketFeed, *of: Any, **what: Any) -> Any:
        if (home / OUTAGE).exists():
            raise Unavailable("the feed is down")
        return served(feed, *of, **what)

    MarketFeed.candles = candles  # pyright: ignore[reportAttributeAccessIssue]


def _record_steps(home: Path, clock: AcceleratedClock) -> None:
    evaluate, step = Runner._evaluate, Runner.tick  # pyright: ignore[reportPrivateUsage]
    closed: list[int] = []

    def evaluated(runner: Runner, running: subscriptions.Running, *of: Any) -> Any:
        result = evaluate(runner, running, *of)
        if result is not None:
            closed.append((result.outlook.seen_until - running.cursor) // SECONDS[running.deployment.timeframe])
        return result

    def timed(runner: Runner) -> None:
        closed.clear()
        began, busy = time.perf_counter(), time.thread_time()
        step(runner)
        if closed:
            spent, used = (time.perf_counter() - began) * 1_000, (time.thread_time() - busy) * 1_000
            memory = _memory()
            with (home / TICKS).open("a") as file:
                file.write(f"{clock.now():.0f},{len(closed)},{sum(closed)},{spent:.2f},{used:.2f},{memory}\n")

    Runner._evaluate, Runner.tick = evaluated, timed  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]


def _memory() -> int:
    """Resident memory of this process in KiB, now where the system tells it, else at most."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@dataclass
class Month:
    """A run: its processes, what was done to them, and what was found wrong."""

    home: Path
    days: float
    speed: float
    draw: random.Random
    began: float = field(default_factory=time.time)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list["subprocess.Popen[bytes]"])
    events: Counter[str] = field(default_factory=Counter[str])

    def spawn(self) -> None:
        """Start a process; every second one outlives its clients and takes over."""
        stays = "--stays" if sum(self.events.values()) % 2 else "--no-stays"
        words = ("--worker", str(self.home), "--began", repr(self.began), "--speed", repr(self.speed), stays)
        self.processes.append(subprocess.Popen([sys.executable, "-m", "tests.chaos.live_month", *words]))

    def stop(self, sent: signal.Signals) -> None:
        """End the process that was started first."""
        process = self.processes.pop(0)
        process.send_signal(sent)
        process.wait(120)

    @property
    def passed(self) -> float:
        """Simulated seconds."""
        return (time.time() - self.began) * self.speed

    def disturb(self) -> None:
        """Kill, hand over, or cut the feed, at random moments; all is well at the end."""
        self.spawn()
        while self.passed < self.days * DAY:
            time.sleep(self.draw.uniform(4, 14) * HOUR / self.speed)
            what = self.draw.choice(("kill", "hand-over", "outage", "pause"))
            self.events[what] += 1
            if what == "outage":
                (self.home / OUTAGE).touch()
                time.sleep(self.draw.uniform(1, 5) * HOUR / self.speed)
                (self.home / OUTAGE).unlink()
            else:
                if what != "pause":
                    self.spawn()
                    time.sleep(self.draw.uniform(0, 2))
                self.stop(signal.SIGKILL if what == "kill" else signal.SIGTERM)
                if what == "pause":
                    time.sleep(self.draw.uniform(0, 3) * HOUR / self.speed)
                    self.spawn()

    def finish(self, engine: Engine) -> None:
        """Let the last process see all bars, then end it."""
        deadline = time.time() + 120
        row = subscriptions_table.c
        end = START + self.days * DAY
        behind = sa.select(row.id).where(row.status == "active", row.cursor < end - HOUR)
        while engine.store.read_now(lambda c: c.execute(behind).all()) and time.time() < deadline:
            time.sleep(0.1)
        while self.processes:
            self.stop(signal.SIGTERM)


def deploy(engine: Engine, count: int) -> None:
    """Subscribe to the strategies."""
    caller = ApiCaller("test", LOCAL_AGENT, scopes=frozenset(ALL_SCOPES))
    for number, (mode, deployment) in enumerate(deployments(count)):
        hook = {"url": f"https://example.com/{number}", "events": ["error"]}
        body = {"strategy_id": "rsi-reversion", "mode": "signal", "webhook": hook}
        made = engine.live.subscribe(caller, SubscribeRequest.model_validate(body))
        account = "paper-binance" if mode == "trade" else None
        values = {"deployment": deployment.to_json(), "mode": mode, "account_id": account, "held": "{}"}
        values |= {"started_at": START, "cursor": START}
        one = subscriptions_table.c.id == made.subscription_id
        engine.store.write_now(
            lambda c, v=values, w=one: c.execute(sa.update(subscriptions_table).where(w).values(**v))
        )


def faults(engine: Engine) -> list[str]:
    """Everything that is wrong at the end of a run."""
    found: list[str] = []
    every = engine.store.read_now(lambda c: subscriptions.of_agent(c, LOCAL_AGENT))
    for running in every:
        found += _wrong_signals(engine, running)
    found += [f"{v.name}: {v.problem}" for v in engine.live.verify(LOCAL_AGENT, None) if v.problem]
    return found + engine.store.read_now(_wrong_orders) + engine.store.read_now(_wrong_books)


def _wrong_signals(engine: Engine, running: subscriptions.Running) -> list[str]:
    if running.status != "active":
        return [f"{running.id} is {running.status}: {running.message}"]
    outlook = decide(engine.feed, running.deployment, running.started_at, running.started_at, until=running.cursor)
    due = {signals.signal_id(running, decision): decision.key for decision in outlook.decisions}
    mine = sa.select(signals_table.c.id).where(signals_table.c.subscription_id == running.id)
    stored = set(engine.store.read_now(lambda c: c.execute(mine).scalars().all()))
    lost = [f"{running.id} lost the signal {key}" for name, key in due.items() if name not in stored]
    return lost + [f"{running.id} has an invented signal {name}" for name in stored - due.keys()]


def _wrong_orders(connection: sa.Connection) -> list[str]:
    """Orders that no signal asked for, and strategies that count other holdings than their account has."""
    asked = Counter(
        order_id
        for table in (signals_table, resting_table)
        for order_id in connection.execute(sa.select(table.c.order_id).where(table.c.order_id.is_not(None))).scalars()
    )
    found = [
        f"nobody knows the order {order.order_id}: {order.side} {order.filled} {order.base}"
        for order in connection.execute(sa.select(orders_table)).all()
        if asked[order.order_id] == 0 and Decimal(order.filled) > 0
    ]
    counted: dict[str, Decimal] = defaultdict(Decimal)
    for held in connection.execute(sa.select(subscriptions_table.c.held)).scalars():
        for symbol, amount in cast("dict[str, str]", json.loads(held or "{}")).items():
            counted[symbol.partition("/")[0]] += Decimal(amount)
    owned: dict[str, Decimal] = defaultdict(Decimal)
    coins = balances_table.c.asset.in_([symbol[8:11] for symbol in SYMBOLS])
    for row in connection.execute(sa.select(balances_table).where(coins)).all():
        owned[row.asset] += Decimal(row.amount)
    assets = sorted({*counted, *owned})
    return found + [
        f"the strategies count {counted[a]} {a}, and the account has {owned[a]}"
        for a in assets
        if counted[a] != owned[a]
    ]


def _wrong_books(connection: sa.Connection) -> list[str]:
    accounts = read_accounts(connection, LOCAL_AGENT)
    return [problem for account in accounts for problem in verify(connection, account)]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def report(month: Month, engine: Engine) -> None:
    """Print bars, milliseconds a bar and memory of each day, and the counts of the run.

    CPU is that of the thread that runs the strategies: unlike the time, other work on the machine does not change it.
    """
    rows = [line.split(",") for line in (month.home / TICKS).read_text().splitlines()]
    by_day: dict[int, list[list[str]]] = defaultdict(list)
    for row in rows:
        by_day[(int(row[0]) - START) // DAY].append(row)
    for day, steps in sorted(by_day.items()):
        alone = [(float(ms) / int(n), float(cpu) / int(n)) for _, n, bars, ms, cpu, _ in steps if int(bars) == int(n)]
        memory = max(int(step[-1]) for step in steps) / 1024
        bars = sum(int(step[2]) for step in steps)
        spent, used = (statistics.median(column) for column in zip(*alone, strict=True)) if alone else (0.0, 0.0)
        cost = f"{spent:6.1f} ms a bar (CPU {used:5.1f})" if alone else "no bar in time"
        _say(f"day {day + 1:2}: {bars:5} bars, {cost}, {memory:5.0f} MB at most")

    def count(table: sa.Table, *where: sa.ColumnElement[bool]) -> Callable[[sa.Connection], int]:
        wanted = sa.select(sa.func.count()).select_from(table).where(*where)
        return lambda connection: connection.execute(wanted).scalar_one()

    total = engine.store.read_now(count(signals_table))
    orders = engine.store.read_now(count(orders_table))
    filled = engine.store.read_now(count(orders_table, orders_table.c.status == "FILLED"))
    outcomes = sa.select(signals_table.c.order_state, sa.func.count()).group_by(signals_table.c.order_state)
    states = {row[0]: row[1] for row in engine.store.read_now(lambda c: c.execute(outcomes).all())}
    bars = sum(int(row[2]) for row in rows)
    _say(f"{bars} bars, {total} signals {states}, {orders} orders of which {filled} filled, {dict(month.events)}")


def run(days: float, speed: float, seed: int, count: int = 20) -> list[str]:
    """A whole run; returns what was wrong."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        month = Month(Path(folder), days, speed, random.Random(seed))

        async def main() -> list[str]:
            settings = EngineSettings(month.home, live=LiveSettings(in_background=False))
            engine = await Engine.open(settings, AcceleratedClock(START + 1.0))
            await engine.access.local_key()
            await anyio.to_thread.run_sync(deploy, engine, count)
            await engine.aclose()
            month.began = time.time()
            engine = await Engine.open(settings, clock_of(month.began, speed))
            try:
                await anyio.to_thread.run_sync(month.disturb)
                await anyio.to_thread.run_sync(month.finish, engine)
                await engine.aclose()
                engine = await Engine.open(settings, AcceleratedClock(START + month.passed + HOUR))
                await anyio.sleep(2 * LEASE)
                await anyio.to_thread.run_sync(engine.live.runner.tick)
                report(month, engine)
                return await anyio.to_thread.run_sync(faults, engine)
            finally:
                for process in month.processes:
                    process.kill()
                await engine.aclose()

        return anyio.run(main)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--speed", type=float, default=2_880)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worker", type=Path)
    parser.add_argument("--began", type=float)
    parser.add_argument("--stays", action=argparse.BooleanOptionalAction)
    given = parser.parse_args()
    if given.worker is not None:
        work(given.worker, given.began, given.speed, stays=bool(given.stays))
    else:
        wrong = run(given.days, given.speed, given.seed)
        _say("\n".join(wrong) or "nothing was wrong")
        sys.exit(1 if wrong else 0)

"""No fill is lost when a process is killed at any of its writes, nor when old data is deleted."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from api.orders import Order
from api.times import AcceleratedClock
from engine.engine import Engine
from engine.live.runner import Runner
from engine.store.database import Store, Work
from engine.store.live import leases_table, resting_table
from engine.venues.paper.accounts import PaperAccounts
from tests.engine.conftest import NOON, Call
from tests.engine.live.conftest import LIVE
from tests.engine.live.test_faults import problems
from tests.engine.live.test_live_routes import HOUR, data
from tests.engine.live.test_resting_orders import FLAT, Bar, deploy

T = TypeVar("T")
BACK: Bar = (92, 100, 92, 100)
GRID = (
    "emit_signal(bar_index == 0, grid(TICKER, lower=close * 0.9, upper=close * 1.1, levels=5, size=Notional(1900)))\n"
)
"""Buys 20 at 95, and sells them at 100."""
STOPPED = 'emit_signal(bar_index % 4 == 0, entry(TICKER, "LONG", Amount(10), limit=close * 0.98, stop_loss=0.05))\n'
"""Buys 10 at 98. The stop at 93.1 sells with a slippage of 0.05 %: at 93.0 in whole steps of the price."""
TRAILED = (
    'emit_signal(bar_index % 5 == 0, entry(TICKER, "LONG", Amount(10), limit=close * 0.98, trailing_stop=0.05))\n'
    "emit_signal(bar_index % 5 == 3, exit(TICKER))\n"
)
"""Buys 10 at 98 and moves the stop up. The signal of the fourth bar sells at 104, less a slippage of 0.05 %."""


class Killed(BaseException):
    """The process has died."""


@contextmanager
def killed_at(write: int) -> Generator[list[int]]:
    """The process dies at a write, counted from 0. Yields a list that holds the number of the write if it has died."""
    made, died = itertools.count(), list[int]()
    written = Store.write_now

    def counted(store: Store, work: Work[T]) -> T:
        if next(made) == write:
            died.append(write)
            raise Killed
        return written(store, work)

    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        patch.setattr(Store, "write_now", counted)
        yield died


async def restart(engine: Engine) -> None:
    """Another process takes over; the lease of the first has run out."""
    old = engine.live.runner
    parts = (old._store, old._clock, old._feed, old._trader._venues, old._trader._door)  # pyright: ignore[reportPrivateUsage]
    engine.live.runner = Runner(*parts, LIVE)
    await engine.store.write(lambda connection: connection.execute(sa.delete(leases_table)))
    await asyncio.to_thread(engine.live.runner.tick)


@pytest.mark.parametrize(
    ("script", "cycle", "away", "fills"),
    [
        (GRID, [(100, 100, 94, 96), (96, 101, 96, 100), FLAT], 0, [("buy", 20, 95), ("sell", 20, 100)]),
        (STOPPED, [(100, 100, 97, 97), (97, 97, 90, 92), BACK, FLAT], 0, [("buy", 10, 98), ("sell", 10, 93)]),
        (
            TRAILED,
            [(100, 100, 97, 100), (100, 104, 100, 104), (104, 104, 104, 104), (104, 104, 100, 100), FLAT],
            1,
            [("buy", 10, 98), ("sell", 10, 103.9)],
        ),
    ],
    ids=["grid", "stop", "trailing stop"],
)
async def test_a_process_killed_at_any_write_of_a_bar_loses_no_fill(
    call: Call,
    engine: Engine,
    clock: AcceleratedClock,
    tmp_path: Path,
    script: str,
    cycle: list[Bar],
    away: int,
    fills: list[tuple[str, float, float]],
) -> None:
    """In each cycle, two bars close at once, and the process dies at its next write in turn.

    The next process comes `away` bars later.
    """
    live = await deploy(call, engine, clock, tmp_path, script, [FLAT, *cycle * 30])
    await live.hours(1)

    kills = 0
    died = True
    while died:
        clock.advance(2 * HOUR)
        with killed_at(kills) as died:
            await asyncio.to_thread(engine.live.runner.tick)
        clock.advance(away * HOUR)
        await restart(engine)
        await live.hours(len(cycle) - 2 - away)
        kills += 1
        report = (await live.shown())["report"]
        assert report["outcomes"] == {"filled": 2 * kills}, kills
        assert [position["held"] for position in report["positions"]] in ([], [0.0]), kills

    assert await live.fills() == fills * kills
    assert problems(engine) == []
    assert kills > 5


async def test_an_order_with_a_fill_is_kept_for_more_than_a_month(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    """Five weeks pass between the purchase and the sale."""
    bars: list[Bar] = [FLAT, (100, 100, 94, 96), *[(96, 96, 96, 96)] * 840, (96, 101, 96, 100), FLAT]
    live = await deploy(call, engine, clock, tmp_path, GRID, bars)
    await live.hours(2)

    clock.advance(840 * HOUR)
    await asyncio.to_thread(engine.live.runner.tick)
    await live.hours(1)

    known = sa.select(resting_table.c.side, resting_table.c.filled).where(resting_table.c.filled > "0")
    rows = engine.store.read_now(lambda connection: connection.execute(known.order_by(resting_table.c.side)).all())
    assert [(side, float(filled)) for side, filled in rows] == [("buy", 20), ("sell", 20)]
    assert (await live.shown())["report"]["outcomes"] == {"filled": 2}


async def test_a_stop_that_fills_while_it_is_moved_sells_once(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account holds another 10, which a second stop would sell."""
    script = 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Amount(10), limit=close * 0.98, trailing_stop=0.05))\n'
    rising: list[Bar] = [FLAT, (100, 100, 97, 100), (100, 104, 100, 104)]
    live = await deploy(call, engine, clock, tmp_path, script, [*rising, (104, 104, 90, 92), *[(92, 92, 92, 92)] * 40])
    await live.hours(2)
    order = {"account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy"}
    await data(call, "POST", "/orders", json=order | {"order_type": "market", "amount": "10"})
    moved = PaperAccounts.set_exits

    def move(books: PaperAccounts, *exits: Any) -> list[Order]:
        """The bar with the low of 90 passes before the venue has read the request."""
        clock.advance(HOUR if clock.now() < NOON + 4 * HOUR else 0)
        return moved(books, *exits)

    monkeypatch.setattr(PaperAccounts, "set_exits", move)
    await live.hours(3)

    assert sorted(fill[:2] for fill in await live.fills()) == [("buy", 10), ("buy", 10), ("sell", 10)]
    assert [each["held"] for each in (await live.shown())["report"]["positions"]] in ([], [0.0])
    assert problems(engine) == []

"""Two processes on one home: both place orders at once, and they share one stream of signals."""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from api.live import SignalsRequest, SubscribeRequest
from api.orders import PlaceRequest
from api.times import AcceleratedClock, iso8601
from engine.access import ALL_SCOPES, LOCAL_AGENT, ApiCaller
from engine.engine import Engine, EngineSettings
from engine.live import LiveSettings
from engine.live.decisions import decide
from engine.live.deployment import catalogue
from engine.store.accounts import orders_table
from engine.venues.paper.postings import verify
from engine.venues.paper.records import read_accounts

NOON = 1_750_075_200.0
HOUR = 3_600
SPEED = 3_600.0
ORDERS = 500
STRATEGY = "macd-momentum"
CALLER = ApiCaller("test", LOCAL_AGENT, scopes=frozenset(ALL_SCOPES))


async def opened(home: Path, began: float) -> Engine:
    """An engine on a clock that both processes share: an hour of the market takes a second."""
    clock = AcceleratedClock(NOON + (time.time() - began) * SPEED, SPEED)
    return await Engine.open(EngineSettings(home, live=LiveSettings(poll_seconds=0.05)), clock)


def order(number: int) -> PlaceRequest:
    """Small buys and sells by turns."""
    return PlaceRequest.model_validate(
        {
            "account_id": "paper-binance",
            "exchange": "binance",
            "symbol": "ETH/USDT",
            "side": "sell" if number % 2 else "buy",
            "amount": "0.01",
        }
    )


def place_orders(home: Path, began: float) -> None:
    """The main function of one process. Any error, including a lock timeout, ends it with a non-zero code."""

    async def run() -> None:
        engine = await opened(home, began)
        try:
            for number in range(ORDERS):
                placed = engine.venues.paper(LOCAL_AGENT).place(order(number))
                if placed.status != "FILLED":
                    raise AssertionError(placed)
        finally:
            await engine.aclose()

    asyncio.run(run())


@pytest.mark.slow
async def test_a_thousand_orders_from_two_processes_leave_sound_books_and_one_stream_of_signals(tmp_path: Path) -> None:
    home, began = tmp_path / "home", time.time()
    first = await opened(home, began)
    await first.access.local_key()
    subscribed = await asyncio.to_thread(
        first.live.subscribe, CALLER, SubscribeRequest.model_validate({"strategy_id": STRATEGY})
    )
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=place_orders, args=(home, began)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        await asyncio.to_thread(process.join, 240)
    await asyncio.to_thread(first.live.runner.tick)

    assert subscribed.subscription_id is not None
    request = SignalsRequest.model_validate({"subscription_id": subscribed.subscription_id, "limit": 200})
    stored = (await asyncio.to_thread(first.live.signals, CALLER, request)).signals
    shown = await asyncio.to_thread(first.live.subscription, CALLER, subscribed.subscription_id)
    problems = await first.store.read(lambda c: [p for a in read_accounts(c, LOCAL_AGENT) for p in verify(c, a)])
    count = await first.store.read(lambda c: c.execute(sa.select(sa.func.count()).select_from(orders_table)).scalar())
    start = int(NOON // HOUR) * HOUR
    deployment = next(d for d in catalogue() if d.strategy_id == STRATEGY)
    expected = (await asyncio.to_thread(decide, first.feed, deployment, start, start)).decisions
    await first.aclose()

    assert [process.exitcode for process in processes] == [0, 0]
    assert (count, problems) == (2 * ORDERS, [])
    until = str(shown.last_bar_at)
    wanted = sorted((iso8601(d.bar_time), d.instrument.symbol) for d in expected if iso8601(d.bar_time) <= until)
    assert sorted((str(s.bar_time), str(s.symbol)) for s in stored if str(s.bar_time) <= until) == wanted
    assert len({s.signal_id for s in stored}) == len(stored)
    assert sqlite3.connect(home / "engine.sqlite3").execute("PRAGMA integrity_check").fetchone() == ("ok",)

"""Live strategies survive a full disk, a lost network, and clocks that jump or change to summer time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from api.errors import HeyTradersError, Unavailable
from api.symbols import Instrument
from api.times import AcceleratedClock, iso8601
from engine.access import LOCAL_AGENT
from engine.engine import Engine
from engine.feeds.feed import Candles
from engine.feeds.market import MarketFeed
from engine.live.decisions import decide
from engine.live.deployment import Deployment
from engine.live.lease import Lease
from engine.store.live import subscriptions_table
from engine.venues.paper.postings import verify
from engine.venues.paper.records import read_accounts
from tests.engine.conftest import NOON, Call
from tests.engine.live.conftest import Receiver
from tests.engine.live.test_live_routes import HOUR, data, pass_hours, signals, subscribe

TRADE = {"mode": "trade", "account_id": "paper-binance"}


@contextmanager
def full_disk(engine: Engine) -> Generator[None, None, None]:
    """SQLite finds no room for another page, and says so at the first change of a transaction."""

    def refuse(connection: sa.Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")) and "filler" not in statement:
            connection.exec_driver_sql("PRAGMA max_page_count=1")
            connection.exec_driver_sql("INSERT INTO filler VALUES (zeroblob(1000000))")

    def unlimited(connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000000")

    if engine.store.url.startswith("postgresql"):
        pytest.skip("the limit on pages is of SQLite")
    engine.store.write_now(lambda c: c.exec_driver_sql("CREATE TABLE IF NOT EXISTS filler (data BLOB)"))
    event.listen(sa.Engine, "before_cursor_execute", refuse)
    yield
    event.remove(sa.Engine, "before_cursor_execute", refuse)
    engine.store.write_now(unlimited)


async def tick(engine: Engine) -> None:
    """A step of the runner, which the background thread repeats after an error."""
    with suppress(HeyTradersError):
        await asyncio.to_thread(engine.live.runner.tick)


async def decided(engine: Engine, subscription_id: str) -> list[tuple[str, str, str]]:
    """Time, symbol and side of every signal of closed bars, from a replay of the whole subscription."""
    table = subscriptions_table.c
    row = engine.store.read_now(lambda c: c.execute(sa.select(subscriptions_table).where(table.id == subscription_id)))
    one = row.one()
    outlook = await asyncio.to_thread(
        decide, engine.feed, Deployment.from_json(one.deployment), one.started_at, one.started_at
    )
    sides = {1: "buy", -1: "sell"}
    return sorted((iso8601(d.bar_time), d.instrument.symbol, sides[d.direction]) for d in outlook.decisions)


async def stored(call: Call, made: dict[str, Any]) -> list[tuple[str, str, str]]:
    return sorted((s["bar_time"], s["symbol"], s["side"]) for s in await signals(call, made))


def problems(engine: Engine) -> list[str]:
    """Complaints of the books' verification."""
    accounts = engine.store.read_now(lambda connection: read_accounts(connection, LOCAL_AGENT))
    return [p for account in accounts for p in engine.store.read_now(lambda c, a=account: verify(c, a))]


async def shown(call: Call, made: dict[str, Any]) -> dict[str, Any]:
    return await data(call, "GET", f"/live-strategies/subscriptions/{made['subscription_id']}")


async def test_on_a_full_disk_a_subscription_says_so_and_goes_on_when_there_is_room(
    call: Call, engine: Engine, clock: AcceleratedClock
) -> None:
    made = await subscribe(call, **TRADE)
    other = await subscribe(call)
    await pass_hours(engine, clock, 9)

    with full_disk(engine):
        for _ in range(12):
            clock.advance(HOUR)
            await tick(engine)
        full = [await shown(call, one) for one in (made, other)]
    await pass_hours(engine, clock, 13)

    for one in full:
        assert (one["status"], one["last_bar_at"]) == ("active", "2025-06-16T21:00:00Z")
        assert "the disk with the database is full; nothing was changed" in one["message"]
        assert one["waits_for"].startswith("The bar that closed at 2025-06-16T22:00:00Z, 11 hours ago.")
    for one in (made, other):
        after = await shown(call, one)
        assert (after["status"], after["last_bar_at"], after.get("message")) == ("active", "2025-06-17T22:00:00Z", None)
        assert await stored(call, one) == await decided(engine, one["subscription_id"])
    assert len(await stored(call, made)) > 3
    assert problems(engine) == []
    placed = [s["order_id"] for s in await signals(call, made) if s["order_id"]]
    listed = (await data(call, "GET", "/orders", params={"limit": 200}))["orders"]
    assert sorted(placed) == sorted(o["order_id"] for o in listed)


class Network:
    """The connection to the exchanges; `lost` names those that cannot be reached."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lost: set[str] = set()
        candles = MarketFeed.candles

        def reached(feed: MarketFeed, instrument: Instrument, *of: Any, **what: Any) -> Candles:
            if instrument.exchange in self.lost:
                raise Unavailable(f"{instrument.exchange} cannot be reached")
            return candles(feed, instrument, *of, **what)

        monkeypatch.setattr(MarketFeed, "candles", reached)


@pytest.mark.long
async def test_a_lost_network_stops_no_subscription_and_loses_no_signal(
    call: Call, engine: Engine, clock: AcceleratedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(monkeypatch)
    spot = await subscribe(call, **TRADE)
    body = {"mode": "trade", "account_id": "paper-binancefuturesusd"}
    perpetual = await data(call, "POST", "/live-strategies/ema-trend-long-short/subscribe", json=body)
    await pass_hours(engine, clock, 20)

    network.lost = {"binance"}
    await pass_hours(engine, clock, 15)
    away, beside = await shown(call, spot), await shown(call, perpetual)
    network.lost = set()
    await pass_hours(engine, clock, 40)
    back = await shown(call, spot)

    assert (away["status"], away["last_bar_at"]) == ("active", "2025-06-17T08:00:00Z")
    assert away["message"] == "It waits, and continues by itself: binance cannot be reached"
    assert "14 hours ago." in away["waits_for"]
    assert (beside["status"], beside["last_bar_at"]) == ("active", "2025-06-17T23:00:00Z")
    assert (back["status"], back.get("message"), back["last_bar_at"]) == ("active", None, "2025-06-19T15:00:00Z")
    for one in (spot, perpetual):
        assert await stored(call, one) == await decided(engine, one["subscription_id"])
    assert len(await stored(call, spot)) > 2
    assert problems(engine) == []


@pytest.mark.long
async def test_one_subscription_that_cannot_be_stored_does_not_stop_another(
    call: Call, engine: Engine, clock: AcceleratedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.live import runner, subscriptions

    broken, sound = await subscribe(call, **TRADE), await subscribe(call)
    kept = subscriptions.set_seen

    def refuse(connection: sa.Connection, subscription_id: str, *seen: Any) -> None:
        if subscription_id == broken["subscription_id"]:
            raise RuntimeError("no")
        kept(connection, subscription_id, *seen)

    monkeypatch.setattr(runner.subscriptions, "set_seen", refuse)
    await pass_hours(engine, clock, 60)

    assert (await shown(call, broken))["message"] == "It waits, and continues by itself: INTERNAL_ERROR (RuntimeError)"
    assert await stored(call, broken) == []
    assert await stored(call, sound) == await decided(engine, sound["subscription_id"])
    monkeypatch.setattr(runner.subscriptions, "set_seen", kept)
    await pass_hours(engine, clock, 1)
    assert await stored(call, broken) == await decided(engine, broken["subscription_id"])


async def test_a_clock_that_jumps_repeats_no_bar_and_skips_none(
    call: Call, engine: Engine, clock: AcceleratedClock
) -> None:
    made = await subscribe(call, **TRADE)
    await pass_hours(engine, clock, 9)
    clock.advance(7.5 * HOUR)
    await pass_hours(engine, clock, 1)
    ahead = await shown(call, made)
    clock.advance(-5 * HOUR)
    await pass_hours(engine, clock, 3)
    behind = await shown(call, made)
    await pass_hours(engine, clock, 13)

    assert ahead["last_bar_at"] == behind["last_bar_at"] == "2025-06-17T05:00:00Z"
    assert "The clock shows 2025-06-17T03:30:00Z, which is before the last bar that it has seen." in behind["waits_for"]
    assert (await shown(call, made))["last_bar_at"] == "2025-06-17T16:00:00Z"
    found = await stored(call, made)
    assert found == await decided(engine, made["subscription_id"])
    assert len(found) > 2
    assert problems(engine) == []


async def test_a_dead_process_is_followed_soon_even_if_the_clock_was_set_back(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [2_000_000_000.0]
    monkeypatch.setattr("engine.live.lease.time.time", lambda: moment[0])
    dead, next_one = Lease(engine.store), Lease(engine.store)
    assert dead.take()

    moment[0] -= 86_400
    held_at_once = next_one.take()
    still_there = dead.take()

    assert held_at_once
    assert not still_there


async def test_a_process_keeps_its_lease_when_the_clock_is_set_back(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [2_000_000_000.0]
    monkeypatch.setattr("engine.live.lease.time.time", lambda: moment[0])
    first, second = Lease(engine.store), Lease(engine.store)
    assert first.take()

    moment[0] -= 86_400
    assert first.take()
    assert not second.take()
    moment[0] += 16
    assert second.take()
    assert not first.take()


async def change(engine: Engine, made: dict[str, Any], **terms: Any) -> None:
    """Change the terms of a deployed strategy."""
    one = subscriptions_table.c.id == made["subscription_id"]

    def work(connection: sa.Connection) -> None:
        deployment = json.loads(connection.execute(sa.select(subscriptions_table.c.deployment).where(one)).scalar_one())
        connection.execute(sa.update(subscriptions_table).where(one).values(deployment=json.dumps(deployment | terms)))

    await engine.store.write(work)


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/New_York", datetime(2025, 11, 1, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 3, 7, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, tzinfo=UTC)),
    ],
    indirect=["zone"],
)
@pytest.mark.usefixtures("zone")
async def test_bars_are_of_utc_when_the_machine_changes_to_or_from_summer_time(
    call: Call, engine: Engine, clock: AcceleratedClock, day: datetime
) -> None:
    """Three days, with hourly looks around the change. The bar of 9:00 UTC buys, that of 14:00 UTC sells, once a day.

    The daily bars close at midnight UTC, and each of them buys.
    """
    clock.advance(day.timestamp() - NOON + 1)
    hourly, daily = await subscribe(call), await subscribe(call, webhook={"url": "https://example.com/daily"})
    script = (
        'emit_signal(hour == 9 and trades_today == 0, entry(TICKER, "LONG", Notional(100)))\n'
        "emit_signal(hour == 14, exit(TICKER))\n"
    )
    bitcoin = {"tickers": ["BINANCE:BTC/USDT"]}
    await change(engine, hourly, script=script, **bitcoin)
    each = 'emit_signal(close > 0, entry(TICKER, "LONG", Notional(100), pyramiding=9))\n'
    await change(engine, daily, script=each, timeframe="1d", **bitcoin)
    await pass_hours(engine, clock, 12, every=3)
    await pass_hours(engine, clock, 24)
    await pass_hours(engine, clock, 36, every=3)

    days = [day + timedelta(days=n) for n in range(4)]
    times = [(each + timedelta(hours=at), side) for each in days[:3] for at, side in ((10, "buy"), (15, "sell"))]
    assert [(s[0], s[2]) for s in await stored(call, hourly)] == [(iso8601(t.timestamp()), side) for t, side in times]
    assert [(s[0], s[2]) for s in await stored(call, daily)] == [(iso8601(d.timestamp()), "buy") for d in days[1:]]


async def test_the_end_of_a_strategy_is_delivered_with_its_reason(
    call: Call, engine: Engine, clock: AcceleratedClock, receiver: Receiver
) -> None:
    """Half of everything is in two coins that move; a loss or gain of 0.01 % of the whole ends it."""
    made = await subscribe(call, webhook={"url": receiver.url, "events": ["strategy_stopped"]}, **TRADE)
    script = 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Weight(0.25)))\n'
    await change(engine, made, script=script, stop_loss=0.0001, take_profit=0.0001)

    await pass_hours(engine, clock, 30)
    await asyncio.to_thread(engine.live.runner.send)

    after = await shown(call, made)
    events = [json.loads(body) for _, body in receiver.received]
    assert after["status"] == "stopped"
    assert [(e["event"], e["data"]["message"]) for e in events] == [("strategy_stopped", after["message"])]
    assert "was reached; everything it held is sold" in after["message"]
    assert all(p["held"] == 0 for p in after["report"]["positions"])

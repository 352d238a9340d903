"""Limit entries that the market fills before the backtest does, and entries of one position, computed by hand.

The paper account fills on minute bars, and the strategy decides on hourly bars that do not show every low of them. Fees
are 0.1 %.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from api.times import AcceleratedClock
from engine.engine import Engine
from tests.candle_files import import_file
from tests.engine.conftest import NOON, Call
from tests.engine.live.test_faults import problems
from tests.engine.live.test_live_routes import HOUR, data
from tests.engine.live.test_resting_orders import BITCOIN, FLAT, Bar, Deployed, deploy

Order = tuple[str, str, str, float, float | None]


async def with_lows(live: Deployed, folder: Path, hours: int, lows: Mapping[int, float]) -> None:
    """Minute bars at 100, with a low in the middle of some hours. Hours count from the subscription's first bar."""
    with (folder / "minutes.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["time", "open", "high", "low", "close", "volume"])
        for minute in range(-60, hours * 60):
            low = lows.get(minute // 60, 100) if minute % 60 == 30 else 100
            rows.writerow([int(NOON) + minute * 60, 100, 100, low, 100, 1_000_000])
    await asyncio.to_thread(import_file, live.engine.store, folder / "minutes.csv", BITCOIN, "1m")


LIMIT = 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Amount(10), limit=98))\n'
MOVED = 'emit_signal(bar_index < 3, entry(TICKER, "LONG", Amount(10), limit=close * 0.98 - bar_index))\n'
LADDER = (
    'emit_signal(bar_index == 0, entry(TICKER, "LONG", Amount(10), limit=98, pyramiding=9))\n'
    'emit_signal(bar_index == 0, entry(TICKER, "LONG", Amount(20), limit=96, pyramiding=9))\n'
)
DROPPED = "emit_signal(bar_index == 4, exit(TICKER))\n"
BOUGHT: Order = ("buy", "limit", "FILLED", 10.0, 98.0)


@pytest.mark.parametrize(
    ("script", "bars", "made", "held"),
    [
        (LIMIT, {}, [BOUGHT], 10.0),
        (LIMIT + DROPPED, {}, [BOUGHT, ("sell", "market", "FILLED", 10.0, 99.9)], 0.0),
        (LIMIT, {4: (100, 100, 97, 99)}, [BOUGHT], 10.0),
        (MOVED, {}, [BOUGHT], 10.0),
        (LADDER, {}, [BOUGHT, ("buy", "limit", "OPEN", 20.0, 96.0)], 10.0),
        (
            LADDER + 'emit_signal(bar_index == 4, entry(TICKER, "LONG", Amount(5), limit=96, pyramiding=9))\n',
            {3: (100, 100, 95, 99)},
            [BOUGHT, ("buy", "limit", "FILLED", 20.0, 96.0), ("buy", "limit", "OPEN", 5.0, 96.0)],
            30.0,
        ),
    ],
    ids=["kept", "sold when dropped", "filled later", "moved", "ladder", "ladder filled"],
)
async def test_an_entry_that_fills_before_its_backtest_is_made_once(
    call: Call,
    engine: Engine,
    clock: AcceleratedClock,
    tmp_path: Path,
    script: str,
    bars: dict[int, Bar],
    made: list[Order],
    held: float,
) -> None:
    """In hour 1, a minute falls to 97 that the hourly bar does not show."""
    hours = [bars.get(hour, FLAT) for hour in range(50)]
    live = await deploy(call, engine, clock, tmp_path, script, hours)
    await with_lows(live, tmp_path, 12, {1: 97, **{hour: bar[2] for hour, bar in bars.items()}})

    await live.hours(8)

    assert sorted(await live.orders()) == sorted(made)
    report = (await live.shown())["report"]
    assert sum(each["held"] for each in report["positions"]) == held
    assert problems(engine) == []


async def test_an_early_fill_is_listed_until_the_backtest_makes_it(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    live = await deploy(call, engine, clock, tmp_path, LIMIT, [*[FLAT] * 4, (100, 100, 97, 99), *[FLAT] * 40])
    await with_lows(live, tmp_path, 12, {1: 97, 4: 97})

    await live.hours(3)
    waiting = (await live.shown())["report"]
    await live.hours(2)
    filled = (await live.shown())["report"]

    said = "the market filled it before the backtest did"
    assert [(o["where"], o["price"], o["message"]) for o in waiting["orders"]] == [("filled", 98.0, f"{said}, at 98")]
    assert waiting["positions"] == [{"symbol": "BTC/USDT", "backtest": 0.0, "held": 10.0}]
    assert (filled["outcomes"], filled["orders"]) == ({"filled": 1}, [])
    assert [(f["actual_price"], f["message"]) for f in filled["fills"]] == [(98.0, said)]


async def test_the_orders_of_a_ladder_stay_in_the_market_and_each_fill_is_its_own(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    """Hour 2 reaches the first limit. Hour 4 opens below the other two, which fill at 90, the first one first."""
    script = LADDER + 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Amount(40), limit=94, pyramiding=9))\n'
    bars: list[Bar] = [FLAT, FLAT, (100, 100, 97, 100), FLAT, (90, 90, 90, 90)]
    live = await deploy(call, engine, clock, tmp_path, script, [*bars, *[(90, 90, 90, 90)] * 40])

    await live.hours(8)

    low: list[Order] = [("buy", "limit", "FILLED", 20.0, 90.0), ("buy", "limit", "FILLED", 40.0, 90.0)]
    assert sorted(await live.orders()) == [BOUGHT, *low]
    listed = (await data(call, "GET", "/orders", params={"limit": 200}))["orders"]
    amounts = {order["order_id"]: float(order["amount"]) for order in listed}
    signals: list[dict[str, Any]] = (await data(call, "GET", f"{live.path}/signals"))["signals"]
    assert [amounts[signal["order_id"]] for signal in reversed(signals)] == [10.0, 20.0, 40.0]
    assert (await live.shown())["report"]["outcomes"] == {"filled": 3}


async def test_a_limit_that_was_never_placed_is_not_bought_at_the_market(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    """No process runs while bar 1 decides the entry and bar 3 fills it; one runs as soon as that bar has closed."""
    script = 'emit_signal(bar_index == 1, entry(TICKER, "LONG", Amount(10), limit=98))\n'
    live = await deploy(call, engine, clock, tmp_path, script, [FLAT, FLAT, FLAT, (100, 100, 97, 99), *[FLAT] * 40])
    await live.hours(1)

    clock.advance(2 * HOUR)
    await live.hours(2)

    assert await live.orders() == []
    assert (await live.shown())["report"]["outcomes"] == {"missed": 1}

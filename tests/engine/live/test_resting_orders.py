"""Paper orders of deployed strategies, computed by hand: they rest where the backtest places them.

Fees are 0.1 % and slippage 0.05 %, as on the paper account.
"""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.symbols import Instrument
from api.times import AcceleratedClock
from engine.access import LOCAL_AGENT
from engine.engine import Engine
from engine.live import booking
from engine.live.deployment import Deployment, find_strategy
from engine.store.live import subscriptions_table
from tests.candle_files import import_file
from tests.engine.conftest import NOON, Call
from tests.engine.live.test_live_routes import HOUR, data

BITCOIN = Instrument("binance", "BTC", "USDT")
Bar = tuple[float, float, float, float]
"""Open, high, low, close."""

FLAT: Bar = (100, 100, 100, 100)
BEFORE = 10


class Deployed:
    """A strategy on hourly bars written by the test, traded on a paper account."""

    def __init__(self, call: Call, engine: Engine, clock: AcceleratedClock, subscription_id: str) -> None:
        self.call, self.engine, self.clock = call, engine, clock
        self.path = f"/live-strategies/subscriptions/{subscription_id}"

    async def hours(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.advance(HOUR)
            await asyncio.to_thread(self.engine.live.runner.tick)

    async def orders(self) -> list[tuple[str, str, str, float, float | None]]:
        """Side, type, status, amount, and the fill price or else the limit; oldest first."""
        listed = (await data(self.call, "GET", "/orders", params={"limit": 200}))["orders"]
        return [
            (o["side"], o["order_type"], o["status"], float(o["amount"]), o["average_price"] or o["price"])
            for o in reversed(listed)
        ]

    async def fills(self) -> list[tuple[str, float, float | None]]:
        """Side, amount and average price of the filled orders, in the order of placing."""
        return [(side, amount, price) for side, _, status, amount, price in await self.orders() if status == "FILLED"]

    async def resting(self) -> list[tuple[str, str, float, float, str]]:
        """Side, reason, price, amount and place of the strategy's resting orders, the lowest price first."""
        listed = (await self.shown())["report"]["orders"]
        found = [(o["side"], o["reason"], o["price"], o["amount"], o["where"]) for o in listed]
        return sorted(found, key=lambda order: order[2])

    async def shown(self) -> dict[str, Any]:
        return await data(self.call, "GET", self.path)


async def deploy(
    call: Call,
    engine: Engine,
    clock: AcceleratedClock,
    folder: Path,
    script: str,
    bars: Sequence[Bar],
    instrument: Instrument = BITCOIN,
    **terms: Any,
) -> Deployed:
    """Subscribe to a script on one symbol. Its price is 100 so far; `bars` follow from the next bar on."""
    with (folder / "hours.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["time", "open", "high", "low", "close", "volume"])
        for hour, bar in enumerate((*[(100, 101, 99, 100)] * BEFORE, *bars), -BEFORE):
            rows.writerow([int(NOON) + hour * HOUR, *bar, 1_000_000])
    await asyncio.to_thread(import_file, engine.store, folder / "hours.csv", instrument, "1h")
    body = {"mode": "trade", "account_id": f"paper-{instrument.exchange}"}
    ready = "rsi-reversion" if instrument.market_type == "spot" else "ema-trend-long-short"
    made = await data(call, "POST", f"/live-strategies/{ready}/subscribe", json=body)

    def put_in(connection: sa.Connection) -> None:
        column = subscriptions_table.c.deployment
        deployment = json.loads(connection.execute(sa.select(column)).scalar_one())
        deployment |= {"script": script, "tickers": [instrument.ticker], "fee": 0.001, "slippage": 0.0005, **terms}
        connection.execute(sa.update(subscriptions_table).values(deployment=json.dumps(deployment)))

    await engine.store.write(put_in)
    return Deployed(call, engine, clock, made["subscription_id"])


async def test_a_limit_entry_rests_once_and_fills_at_its_limit(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    script = 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Notional(980), limit=close * 0.98))\n'
    bars = (FLAT, FLAT, (100, 100, 97, 99), *[FLAT] * 40)
    live = await deploy(call, engine, clock, tmp_path, script, bars)

    await live.hours(2)
    resting = await live.orders()
    await live.hours(2)

    assert resting == [("buy", "limit", "OPEN", 10.0, 98.0)]
    assert await live.orders() == [("buy", "limit", "FILLED", 10.0, 98.0)]
    report = (await live.shown())["report"]
    assert report["outcomes"] == {"filled": 1}
    assert report["fills"][0]["expected_price"] == report["fills"][0]["actual_price"] == 98.0
    assert report["positions"] == [{"symbol": "BTC/USDT", "backtest": 10.0, "held": 10.0}]


async def test_a_grid_buys_and_sells_at_its_rungs(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    script = (
        "emit_signal(bar_index == 0, grid(TICKER, lower=close * 0.9, upper=close * 1.1, levels=5, "
        "size=Notional(1900)))\n"
    )
    bars = (FLAT, FLAT, (100, 100, 94, 96), (96, 101, 96, 100), *[FLAT] * 40)
    live = await deploy(call, engine, clock, tmp_path, script, bars)

    await live.hours(1)
    laid = await live.orders()
    await live.hours(2)
    bought = await live.orders()
    await live.hours(1)

    assert laid == [
        ("buy", "limit", "OPEN", pytest.approx(1900 / 90, rel=1e-5), 90.0),
        ("buy", "limit", "OPEN", 20, 95),
    ]
    assert bought[1] == ("buy", "limit", "FILLED", 20, 95)
    assert ("sell", "limit", "OPEN", 20, 100) in bought
    ended = await live.orders()
    assert ("sell", "limit", "FILLED", 20, 100) in ended
    assert [o for o in ended if o[2] == "OPEN" and o[4] == 95] == [("buy", "limit", "OPEN", 20, 95)]
    assert not [o for o in ended if o[1] == "market"]


async def test_every_purchase_of_a_dca_is_made(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    """Prices of imported bars have a tick of 0.1, so 100.05 rounds up."""
    script = 'emit_signal(bar_index < 5, entry(TICKER, "LONG", Notional(1000.5), pyramiding=9))\n'
    live = await deploy(call, engine, clock, tmp_path, script, [FLAT] * 50)

    await live.hours(8)

    assert await live.orders() == [("buy", "market", "FILLED", 10.0, 100.1)] * 5


async def test_an_atr_trailing_stop_follows_the_high_and_sells(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    """The range of each bar is 2, so the ATR is 2 and the trail 4 % of 100. From 100.05 the stop is 96.048, on the
    tick 96.0; from a high of 110 it is 105.6.

    The last bar goes through it. Slippage and the tick of 0.1 make 105.5 of it.
    """
    script = 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Notional(1000.5), trailing_stop=2 * atr(3) / close))\n'
    bars = ((100, 101, 99, 100), (100, 110, 100, 109), (109, 109, 108, 108), (108, 108, 105, 105.2), *[FLAT] * 40)
    live = await deploy(call, engine, clock, tmp_path, script, bars)

    await live.hours(1)
    first = (await live.shown())["report"]["orders"]
    await live.hours(1)
    followed = (await live.shown())["report"]["orders"]
    await live.hours(2)

    assert [(o["side"], o["reason"], o["amount"]) for o in first] == [("sell", "trailing_stop", 10.0)]
    assert (first[0]["price"], followed[0]["price"]) == (96.0, 105.6)
    filled = [(side, amount, price) for side, _, status, amount, price in await live.orders() if status == "FILLED"]
    assert filled == [("buy", 10.0, 100.1), ("sell", 10.0, 105.5)]
    report = (await live.shown())["report"]
    assert (report["fills"][0]["reason"], report["orders"], report["positions"]) == ("trailing_stop", [], [])


async def test_one_stop_rests_for_a_position_of_several_entries(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    """Both entries are made at 100.05, so the stop is at 95.0475; the tick of 0.1 makes 95 of it.

    The third bar goes to 94. Slippage makes 94.95 of the stop, and the tick 94.9.
    """
    script = 'emit_signal(bar_index < 2, entry(TICKER, "LONG", Notional(1000.5), stop_loss=0.05, pyramiding=5))\n'
    bars = (FLAT, FLAT, (100, 100, 94, 94.5), *[(94.5, 94.5, 94.5, 94.5)] * 40)
    live = await deploy(call, engine, clock, tmp_path, script, bars)

    await live.hours(1)
    after_one = await live.resting()
    await live.hours(1)
    after_two = await live.resting()
    await live.hours(2)

    assert after_one == [("sell", "stop_loss", 95.0, 10.0, "venue")]
    assert after_two == [("sell", "stop_loss", 95.0, 20.0, "venue")]
    assert await live.fills() == [("buy", 10.0, 100.1), ("buy", 10.0, 100.1), ("sell", 20.0, 94.9)]
    report = (await live.shown())["report"]
    assert (report["outcomes"], report["orders"], report["positions"]) == ({"filled": 3}, [], [])


async def test_a_resting_entry_carries_its_stop_which_fills_while_no_process_runs(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    """The limit is 98 and the stop 5 % below it, 93.1. Slippage and the tick make 93.0 of it.

    The entry fills in the third bar and its stop in the fourth. The strategy looks again only after both.
    """
    script = 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Notional(980), limit=98, stop_loss=0.05))\n'
    bars = (FLAT, FLAT, (100, 100, 97, 99), (99, 99, 92, 93), *[(93, 93, 93, 93)] * 40)
    live = await deploy(call, engine, clock, tmp_path, script, bars)

    await live.hours(1)
    clock.advance(4 * HOUR)
    await live.hours(1)

    assert await live.fills() == [("buy", 10.0, 98.0), ("sell", 10.0, 93.0)]
    shown = await live.shown()
    report = shown["report"]
    assert (report["outcomes"], report["orders"], report["positions"]) == ({"filled": 2}, [], [])
    assert [(f["reason"], f["actual_price"]) for f in report["fills"]] == [("stop_loss", 93.0), ("entry", 98.0)]


async def test_a_stop_and_a_target_rest_together_and_the_one_that_fills_ends_the_other(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    """Bought at 100.05: stop at 95.0475, target at 110.055, on the tick 95 and 110.1."""
    script = 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Notional(1000.5), stop_loss=0.05, take_profit=0.1))\n'
    bars = (FLAT, FLAT, (100, 111, 99, 110), *[(110, 110, 110, 110)] * 40)
    live = await deploy(call, engine, clock, tmp_path, script, bars)

    await live.hours(1)
    resting = await live.resting()
    await live.hours(3)

    assert resting == [("sell", "stop_loss", 95.0, 10.0, "venue"), ("sell", "take_profit", 110.1, 10.0, "venue")]
    assert await live.fills() == [("buy", 10.0, 100.1), ("sell", 10.0, 110.1)]
    assert (await live.shown())["report"]["orders"] == []


async def test_the_stop_of_a_short_rests_above_it_and_its_target_below(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    """Sold at 99.95, which the tick makes 99.9. The stop 5 % above is 104.9475, on the tick 105.

    The third bar goes to 106: slippage makes 105.0525 of the stop, and the tick 105.1.
    """
    script = 'emit_signal(bar_index == 0, entry(TICKER, "SHORT", Notional(999.5), stop_loss=0.05, take_profit=0.1))\n'
    bars = (FLAT, FLAT, (100, 106, 100, 104), *[(104, 104, 104, 104)] * 40)
    perpetual = Instrument("binancefuturesusd", "BTC", "USDT")
    live = await deploy(call, engine, clock, tmp_path, script, bars, perpetual)

    await live.hours(1)
    resting = await live.resting()
    await live.hours(3)

    assert resting == [("buy", "take_profit", 89.9, 10.0, "venue"), ("buy", "stop_loss", 105.0, 10.0, "venue")]
    assert await live.fills() == [("sell", 10.0, 99.9), ("buy", 10.0, 105.1)]
    report = (await live.shown())["report"]
    assert (report["outcomes"], report["orders"], report["positions"]) == ({"filled": 2}, [], [])


async def test_a_stop_shrinks_with_the_part_that_the_script_sells(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    """Half is sold at 99.95, which the tick makes 99.9; the stop stays at 95 for the other half."""
    script = (
        'emit_signal(bar_index == 0, entry(TICKER, "LONG", Notional(1000.5), stop_loss=0.05))\n'
        "emit_signal(bar_index == 1, exit(TICKER, fraction=0.5))\n"
    )
    live = await deploy(call, engine, clock, tmp_path, script, [FLAT] * 50)

    await live.hours(3)

    assert await live.fills() == [("buy", 10.0, 100.1), ("sell", 5.0, 99.9)]
    assert await live.resting() == [("sell", "stop_loss", 95.0, 5.0, "venue")]


async def test_a_portfolio_stop_sells_everything_and_ends_the_subscription(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    """90 of 100 are in the market; at 93 the loss of about 6.4 % exceeds the stop of 5 %."""
    script = 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Weight(0.9), take_profit=0.5))\n'
    bars = (FLAT, FLAT, (100, 100, 93, 93), (93, 93, 93, 93), *[(93, 93, 93, 93)] * 40)
    live = await deploy(call, engine, clock, tmp_path, script, bars, stop_loss=0.05)

    await live.hours(2)
    before = [(side, order_type, status) for side, order_type, status, *_ in await live.orders()]
    await live.hours(4)

    assert before == [("buy", "market", "FILLED"), ("sell", "limit", "OPEN")]
    orders = await live.orders()
    assert [(o[0], o[1], o[2]) for o in orders] == [
        ("buy", "market", "FILLED"),
        ("sell", "limit", "CANCELLED"),
        ("sell", "market", "FILLED"),
    ]
    assert orders[0][3] == orders[2][3]
    shown = await live.shown()
    assert shown["status"] == "stopped"
    assert (
        shown["message"]
        == "Ended: the portfolio's stop loss was reached; everything it held is sold. Its resting orders are cancelled."
    )


@pytest.mark.parametrize(
    ("weight", "bar", "words"),
    [
        (5, (100, 100, 80, 82), "the exchange liquidated its position"),
        (10, (50, 50, 50, 50), "the strategy's account is empty"),
    ],
    ids=["liquidation", "empty account"],
)
async def test_a_liquidation_and_an_empty_account_end_the_subscription_with_the_reason(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path, weight: int, bar: Bar, words: str
) -> None:
    """With ten times leverage, a fall of 10 % takes the margin. A later bar would buy again."""
    entry = f'entry(TICKER, "LONG", Weight({weight}), pyramiding=5)'
    script = f"emit_signal(bar_index == 0 or bar_index == 4, {entry})\n"
    low: Bar = (bar[3], bar[3], bar[3], bar[3])
    perpetual = Instrument("binancefuturesusd", "BTC", "USDT")
    bars = (FLAT, FLAT, bar, *[low] * 40)
    live = await deploy(call, engine, clock, tmp_path, script, bars, perpetual, leverage=10.0)

    await live.hours(8)

    shown = await live.shown()
    assert (shown["status"], shown["report"]["positions"]) == ("stopped", [])
    assert words in shown["message"]
    assert [(fill["side"], fill["reason"]) for fill in shown["report"]["fills"]] == [
        ("sell", "liquidation"),
        ("buy", "entry"),
    ]
    assert [(side, status) for side, _, status, *_ in await live.orders()] == [("buy", "FILLED"), ("sell", "FILLED")]


async def test_a_pause_takes_resting_orders_out_of_the_market_and_a_resumed_strategy_puts_them_back(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    script = 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Notional(900), limit=close * 0.9))\n'
    live = await deploy(call, engine, clock, tmp_path, script, [FLAT] * 50)
    await live.hours(1)

    switch = f"/live-strategies/rsi-reversion/{{}}/{live.path.rpartition('/')[2]}"
    await data(call, "POST", switch.format("pause"))
    await live.hours(1)
    paused = await live.orders()
    await data(call, "POST", switch.format("resume"))
    await live.hours(1)

    assert paused == [("buy", "limit", "CANCELLED", 10.0, 90)]
    assert (await live.orders())[1:] == [("buy", "limit", "OPEN", 10.0, 90)]


async def test_after_a_gap_an_exit_is_made_an_entry_is_not_and_the_difference_is_reported(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    """Bought in hour 1. While no process runs, hour 3 sells and hour 5 buys again. One runs in hour 11."""
    script = (
        'emit_signal(bar_index in (0, 4), entry(TICKER, "LONG", Notional(1001)))\n'
        "emit_signal(bar_index == 2, exit(TICKER))\n"
    ).replace("bar_index in (0, 4)", "bar_index == 0 or bar_index == 4")
    live = await deploy(call, engine, clock, tmp_path, script, [FLAT] * 50)
    await live.hours(1)

    clock.advance(9 * HOUR)
    await live.hours(1)

    orders = [(side, status, amount) for side, _, status, amount, _ in await live.orders()]
    shown = await live.shown()
    assert orders == [("buy", "FILLED", pytest.approx(10.0, abs=0.01)), ("sell", "FILLED", orders[0][2])]
    assert shown["report"]["outcomes"] == {"filled": 2, "missed": 1}
    said = [fill.get("message") for fill in shown["report"]["fills"]]
    assert said[1:] == ["made 8 hours after its bar: the strategy did not run when that closed", None]
    assert [p["held"] for p in shown["report"]["positions"]] == [0.0]
    assert "It holds 0 BTC/USDT where its backtest holds 10." in shown["waits_for"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"leverage": 2.5}, "whole numbers only"),
        (
            {"script": 'emit_signal(close > 0, entry(TICKER, "LONG", Notional(4)))\n'},
            "worth 4, and the smallest order on Binance is 5 USDT",
        ),
        (
            {
                "script": "emit_signal(close > 0, grid(TICKER, lower=close * 0.9, upper=close * 1.1, levels=5, "
                "size=Notional(3)))\n"
            },
            "worth 3, and the smallest order on Binance is 5 USDT",
        ),
        ({"script": 'emit_signal(close > 0, entry(TICKER, "SHORT", Weight(0.1)))\n'}, "cannot be sold short"),
    ],
)
async def test_what_cannot_be_had_is_refused_before_anything_starts(
    call: Call, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], words: str
) -> None:
    def changed(connection: sa.Connection, agent_id: str, strategy_id: str) -> Deployment:
        return replace(find_strategy(connection, agent_id, strategy_id), **change)

    monkeypatch.setattr("engine.live.live.find_strategy", changed)
    body = {"mode": "trade", "account_id": "paper-binance"}

    answer = (await call("POST", "/live-strategies/rsi-reversion/subscribe", json=body)).json()

    assert words in answer["error"]["message"]
    assert (await data(call, "GET", "/live-strategies/subscriptions"))["subscriptions"] == []


async def test_ended_subscriptions_are_counted_and_shown_when_asked_for(call: Call) -> None:
    made = await data(call, "POST", "/live-strategies/rsi-reversion/subscribe", json={})
    await data(call, "POST", f"/live-strategies/subscriptions/{made['subscription_id']}/unsubscribe")

    hidden = await data(call, "GET", "/live-strategies/subscriptions")
    all_of_them = await data(call, "GET", "/live-strategies/subscriptions", params={"ended": "true"})

    assert (hidden["subscriptions"], hidden["hidden"]) == ([], 1)
    assert [s["status"] for s in all_of_them["subscriptions"]] == ["unsubscribed"]


async def test_verify_finds_a_kept_state_equal_to_its_replay_and_names_the_first_difference(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    """Of 10,000, the purchase takes 1,001 and its fee 1.001."""
    script = 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Notional(1001)))\n'
    live = await deploy(call, engine, clock, tmp_path, script, [FLAT] * 50)
    await live.hours(3)

    sound = await asyncio.to_thread(engine.live.verify, LOCAL_AGENT, None)

    def damage(connection: sa.Connection) -> None:
        kept = connection.execute(sa.select(subscriptions_table.c.kept)).scalar_one()
        seen, _, state = kept.partition(" ")
        changed = json.dumps(json.loads(state) | {"balance": 1.0})
        connection.execute(sa.update(subscriptions_table).values(kept=f"{seen} {changed}"))

    await engine.store.write(damage)
    damaged = await asyncio.to_thread(engine.live.verify, LOCAL_AGENT, live.path.rpartition("/")[2])

    assert [(v.traded, v.problem) for v in sound] == [(True, None)]
    assert str(damaged[0].problem).startswith("balance is 1.0, and the replay has 8997.999")


async def test_orders_that_a_kill_left_unbooked_are_found_again_and_placed_once(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,001 buy 10.004997 at 100.05; the tick makes 100.1 of it. The process ends before it books an answer."""

    class Killed(BaseException):
        pass

    def end(*_: object) -> None:
        raise Killed

    script = (
        'emit_signal(bar_index == 0, entry(TICKER, "LONG", Notional(1001)))\n'
        'emit_signal(bar_index == 0, entry(TICKER, "LONG", Notional(900), limit=close * 0.9, pyramiding=3))\n'
    )
    live = await deploy(call, engine, clock, tmp_path, script, [FLAT] * 50)
    with monkeypatch.context() as killed:
        killed.setattr(booking.positions, "record", end)
        with pytest.raises(Killed):
            await live.hours()
        placed = await live.orders()
        with pytest.raises(Killed):
            await asyncio.to_thread(engine.live.runner.tick)
    await asyncio.to_thread(engine.live.runner.tick)

    assert placed == [("buy", "market", "FILLED", 10.004997, 100.1)]
    assert (await live.orders())[0] == placed[0]
    assert [(side, kind, status) for side, kind, status, *_ in await live.orders()] == [
        ("buy", "market", "FILLED"),
        ("buy", "limit", "OPEN"),
    ]
    assert [order[:3] for order in await live.resting()] == [("buy", "entry", 90.0)]
    assert (await live.shown())["report"]["positions"][0]["held"] == 10.004997


async def test_what_is_old_is_deleted_and_fills_are_kept(
    call: Call, engine: Engine, clock: AcceleratedClock, tmp_path: Path
) -> None:
    script = (
        'emit_signal(bar_index == 0, entry(TICKER, "LONG", Notional(1001)))\n'
        'emit_signal(bar_index == 1, entry(TICKER, "LONG", Notional(900), limit=close * 0.9, pyramiding=3))\n'
        "emit_signal(bar_index == 2, exit(TICKER))\n"
    )
    live = await deploy(call, engine, clock, tmp_path, script, [FLAT] * (24 * 40))
    await live.hours(5)
    before = [status for _, _, status, *_ in await live.orders()]
    subscription = live.path.rpartition("/")[2]
    await data(call, "POST", f"/live-strategies/subscriptions/{subscription}/unsubscribe")

    await data(call, "POST", "/live-strategies/rsi-reversion/subscribe", json={})
    clock.advance(31 * 24 * HOUR)
    await asyncio.to_thread(engine.live.runner.tick)
    month = [status for _, _, status, *_ in await live.orders()]
    clock.advance(70 * 24 * HOUR)
    await asyncio.to_thread(engine.live.runner.tick)

    assert (before, month) == (["FILLED", "CANCELLED", "FILLED"], ["FILLED", "FILLED"])
    listed = await data(call, "GET", "/live-strategies/subscriptions", params={"ended": "true"})
    assert subscription not in [s["subscription_id"] for s in listed["subscriptions"]]

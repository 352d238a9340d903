"""Subscriptions, signals and orders through the REST API, on a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api.times import AcceleratedClock, iso8601
from engine.engine import Engine, EngineSettings
from engine.live.decisions import decide
from engine.live.deployment import Deployment, catalogue
from tests.engine.conftest import NOON, Call
from tests.engine.live.conftest import LIVE, Receiver

Register = Callable[..., Awaitable[str]]
STRATEGY = "macd-momentum"
HOUR = 3600
SIDES = {1: "buy", -1: "sell"}


def catalogue_entry() -> Deployment:
    return next(d for d in catalogue() if d.strategy_id == STRATEGY)


async def data(call: Call, method: str, path: str, **request: Any) -> dict[str, Any]:
    body = (await call(method, path, **request)).json()
    assert body["success"], body
    return body["data"]


async def subscribe(call: Call, **body: Any) -> dict[str, Any]:
    return await data(call, "POST", f"/live-strategies/{STRATEGY}/subscribe", json=body)


async def pass_hours(engine: Engine, clock: AcceleratedClock, hours: int, every: int = 1) -> None:
    """Let time pass, with a look at the bars after each hour, or after every so many."""
    for _ in range(hours // every):
        clock.advance(every * HOUR)
        await asyncio.to_thread(engine.live.runner.tick)


async def signals(call: Call, subscription: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    path = f"/live-strategies/subscriptions/{subscription['subscription_id']}/signals"
    return (await data(call, "GET", path, params={"limit": 200, **query}))["signals"]


async def test_the_catalogue_is_offered_with_its_rules(call: Call) -> None:
    listed = (await data(call, "GET", "/live-strategies"))["strategies"]

    assert [(s["strategy_id"], s["source"]) for s in listed] == [(d.strategy_id, "catalogue") for d in catalogue()]
    assert all(s["description"] and s["universe"] and s["timeframe"] for s in listed)
    assert [s["script"] for s in listed] == [d.script for d in catalogue()]


async def test_a_subscription_starts_active_and_says_when_it_first_decides(call: Call) -> None:
    made = await subscribe(call)

    shown = await data(call, "GET", f"/live-strategies/subscriptions/{made['subscription_id']}")
    assert shown == {**made, "deliveries": []}
    assert made == {
        "subscription_id": made["subscription_id"],
        "strategy_id": STRATEGY,
        "strategy_name": "MACD momentum",
        "mode": "signal",
        "status": "active",
        "account_id": None,
        "paper": True,
        "webhook": None,
        "created_at": "2025-06-16T12:00:00Z",
        "last_bar_at": None,
        "last_signal_at": None,
        "signal_count": 0,
        "message": "Its first decision comes when the bar closes at 2025-06-16T13:00:00Z.",
        "runner": "No process runs it now, so it decides nothing. It continues when a server opens this home folder "
        "again; `heytraders-mcp run` runs it without a client.",
        "waits_for": "The bar that closes at 2025-06-16T13:00:00Z. Mode signal places no orders.",
        "report": None,
        "deliveries": None,
    }


async def test_signals_are_stored_once_however_often_they_are_read(
    call: Call, engine: Engine, clock: AcceleratedClock
) -> None:
    made = await subscribe(call)

    await pass_hours(engine, clock, 27)
    once = await signals(call, made)
    await asyncio.to_thread(engine.live.runner.tick)
    await asyncio.to_thread(engine.live.runner.tick)

    assert await signals(call, made) == once
    assert len(once) > 3
    assert len({s["signal_id"] for s in once}) == len(once)
    assert [s["created_at"] for s in once] == sorted((s["created_at"] for s in once), reverse=True)
    assert all(s["bar_time"] == s["created_at"] for s in once)


async def test_a_restart_loses_no_signal_and_repeats_none(call: Call, engine: Engine, clock: AcceleratedClock) -> None:
    made = await subscribe(call)

    await pass_hours(engine, clock, 20, every=5)
    before = await signals(call, made)
    await asyncio.to_thread(engine.live.close)
    clock.advance(25 * HOUR)
    reopened = await Engine.open(EngineSettings(engine.settings.home, live=LIVE), clock)
    await asyncio.to_thread(reopened.live.runner.tick)
    await pass_hours(reopened, clock, 15)
    await reopened.aclose()

    after = await signals(call, made)
    start = int(NOON // HOUR) * HOUR
    expected = decide(engine.feed, catalogue_entry(), start, start).decisions
    stored = sorted((s["bar_time"], s["symbol"], s["side"]) for s in after)
    assert stored == sorted((iso8601(d.bar_time), d.instrument.symbol, SIDES[d.direction]) for d in expected)
    assert 0 < len(before) < len(after)
    assert after[-len(before) :] == before


async def test_only_one_of_two_engines_runs_the_strategies(call: Call, engine: Engine, clock: AcceleratedClock) -> None:
    made = await subscribe(call)
    second = await Engine.open(EngineSettings(engine.settings.home, live=LIVE), clock)

    await pass_hours(engine, clock, 1)
    before = await data(call, "GET", f"/live-strategies/subscriptions/{made['subscription_id']}")
    await pass_hours(second, clock, 30)
    while_first_lives = await data(call, "GET", f"/live-strategies/subscriptions/{made['subscription_id']}")
    await asyncio.to_thread(engine.live.close)
    await pass_hours(second, clock, 1)
    after = await data(call, "GET", f"/live-strategies/subscriptions/{made['subscription_id']}")
    await second.aclose()

    assert before["last_bar_at"] == while_first_lives["last_bar_at"] == "2025-06-16T13:00:00Z"
    assert after["last_bar_at"] == "2025-06-17T20:00:00Z"


async def test_filters_and_pages_cut_the_same_history(call: Call, engine: Engine, clock: AcceleratedClock) -> None:
    made = await subscribe(call)
    await pass_hours(engine, clock, 72, every=18)
    everything = await signals(call, made)
    path = f"/live-strategies/subscriptions/{made['subscription_id']}/signals"

    first = await data(call, "GET", path, params={"limit": 2})
    second = await data(call, "GET", path, params={"limit": 200, "cursor": first["next_cursor"]})
    day = await signals(call, made, start_date="2025-06-17", end_date="2025-06-17")

    assert first["signals"] + second["signals"] == everything
    assert second["next_cursor"] is None
    assert day == [s for s in everything if s["bar_time"].startswith("2025-06-17")]
    assert await signals(call, made, side="sell") == [s for s in everything if s["side"] == "sell"]
    assert await signals(call, made, symbol="eth-usdt") == [s for s in everything if s["symbol"] == "ETH/USDT"]


async def test_polling_with_next_since_sees_each_signal_once(
    call: Call, engine: Engine, clock: AcceleratedClock
) -> None:
    made = await subscribe(call)
    path = f"/live-strategies/subscriptions/{made['subscription_id']}/signals/latest"
    since = "2025-06-16T12:00:00Z"
    polled: list[str] = []

    for _ in range(4):
        await pass_hours(engine, clock, 12, every=6)
        more = True
        while more and len(polled) < 50:
            answer = await data(call, "GET", path, params={"since": since, "limit": 1})
            more = [s["signal_id"] for s in answer["signals"]]
            polled += more
            since = answer["next_since"]

    assert len(polled) > 3
    assert polled == [s["signal_id"] for s in reversed(await signals(call, made))]


async def test_a_paused_subscription_passes_bars_over(call: Call, engine: Engine, clock: AcceleratedClock) -> None:
    made = await subscribe(call)
    one = f"/live-strategies/{STRATEGY}"

    paused = await data(call, "POST", f"{one}/pause/{made['subscription_id']}")
    await pass_hours(engine, clock, 48, every=12)
    while_paused = await signals(call, made)
    resumed = await data(call, "POST", f"{one}/resume/{made['subscription_id']}")
    await pass_hours(engine, clock, 48, every=12)

    assert (paused["status"], resumed["status"], while_paused) == ("paused", "active", [])
    assert min(s["bar_time"] for s in await signals(call, made)) >= "2025-06-18T12:00:00Z"


async def test_an_ended_subscription_stays_ended(call: Call, engine: Engine, clock: AcceleratedClock) -> None:
    made = await subscribe(call)
    one = f"/live-strategies/subscriptions/{made['subscription_id']}"

    ended = await data(call, "POST", f"{one}/unsubscribe")
    again = await data(call, "POST", f"{one}/unsubscribe")
    refused = await call("POST", f"/live-strategies/{STRATEGY}/resume/{made['subscription_id']}")
    await pass_hours(engine, clock, 48)

    assert ended["status"] == again["status"] == "unsubscribed"
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert await signals(call, made) == []


async def test_trade_mode_places_its_orders_on_the_account_and_closes_only_its_own(
    call: Call, engine: Engine, clock: AcceleratedClock
) -> None:
    accounts = (await data(call, "GET", "/accounts"))["accounts"]
    account = next(a["account_id"] for a in accounts if a["exchange"] == "binance")
    order = {"account_id": account, "exchange": "binance", "symbol": "ETH/USDT", "side": "buy", "amount": 0.5}
    await data(call, "POST", "/orders", json=order)
    made = await subscribe(call, mode="trade", account_id=account)

    await pass_hours(engine, clock, 27)

    stored = await signals(call, made)
    orders = (await data(call, "GET", "/orders", params={"account_id": account, "limit": 200}))["orders"]
    own = {o["order_id"]: o for o in orders if o["label"] == f"live:{made['subscription_id']}"}
    assert {s["order_id"] for s in stored if s["order_id"]} == set(own)
    assert len(own) > 3
    assert all(o["paper"] and o["status"] == "FILLED" for o in own.values())
    assert all(own[s["order_id"]]["side"] == s["side"] for s in stored if s["order_id"])
    bought = sum(o["filled_amount"] * (1 if o["side"] == "buy" else -1) for o in own.values() if "ETH" in o["symbol"])
    held = (await data(call, "GET", f"/accounts/{account}/balances"))["balances"]
    assert next(b["total"] for b in held if b["asset"] == "ETH") == pytest.approx(0.5 + bought)
    assert bought >= -1e-12


async def test_an_entry_takes_what_the_free_money_pays_for(call: Call, engine: Engine, clock: AcceleratedClock) -> None:
    account = "paper-binance"
    order = {"account_id": account, "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": 0.08}
    await data(call, "POST", "/orders", json=order)
    await subscribe(call, mode="trade", account_id=account)

    await pass_hours(engine, clock, 27)

    orders = (await data(call, "GET", "/orders", params={"account_id": account, "limit": 200}))["orders"]
    entries = [o for o in orders if (o["label"] or "").startswith("live:") and o["side"] == "buy"]
    free = next(
        b["free"]
        for b in (await data(call, "GET", f"/accounts/{account}/balances"))["balances"]
        if b["asset"] == "USDT"
    )
    assert len(entries) > 0
    assert all(o["status"] == "FILLED" for o in entries)
    assert min(o["filled_amount"] * o["average_price"] for o in entries) < 2_900
    assert free >= 0


async def test_a_signal_found_too_late_is_stored_but_not_traded(
    call: Call, engine: Engine, clock: AcceleratedClock
) -> None:
    accounts = (await data(call, "GET", "/accounts"))["accounts"]
    account = next(a["account_id"] for a in accounts if a["exchange"] == "binance")
    made = await subscribe(call, mode="trade", account_id=account)

    clock.advance(72 * HOUR)
    await asyncio.to_thread(engine.live.runner.tick)

    stored = await signals(call, made)
    late = [s for s in stored if s["bar_time"] < "2025-06-19T10:00:00Z"]
    assert len(late) > 3
    assert all(s["order_id"] is None for s in late)
    assert all("never made late" in s["order_message"] for s in late if s["action"] == "entry")
    assert all("nothing is held" in s["order_message"] for s in late if s["action"] == "exit")


@pytest.mark.parametrize(
    ("strategy", "body", "status", "code", "named"),
    [
        ("macd-momentun", {}, 404, "STRATEGY_NOT_FOUND", "macd-momentum"),
        (STRATEGY, {"mode": "trade"}, 400, "VALIDATION_ERROR", "account_id"),
        (STRATEGY, {"mode": "trade", "account_id": "nobody"}, 404, "DATA_UNAVAILABLE", "nobody"),
        (STRATEGY, {"mode": "auto"}, 400, "VALIDATION_ERROR", "mode"),
        (STRATEGY, {"webhook": {"url": "https://10.0.0.1/x"}}, 400, "VALIDATION_ERROR", "not public"),
        (
            STRATEGY,
            {"webhook": {"url": "https://hook.example/x", "events": ["fills"]}},
            400,
            "VALIDATION_ERROR",
            "events",
        ),
    ],
)
async def test_a_wrong_subscription_is_refused(
    call: Call, strategy: str, body: dict[str, Any], status: int, code: str, named: str
) -> None:
    answer = await call("POST", f"/live-strategies/{strategy}/subscribe", json=body)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code), error
    assert named in error["message"] + error["suggestion"]
    assert (await data(call, "GET", "/live-strategies/subscriptions"))["subscriptions"] == []


async def test_an_account_of_another_exchange_cannot_trade_the_strategy(call: Call) -> None:
    accounts = (await data(call, "GET", "/accounts"))["accounts"]
    account = next(a["account_id"] for a in accounts if a["exchange"] == "upbit")

    answer = await call("POST", f"/live-strategies/{STRATEGY}/subscribe", json={"mode": "trade", "account_id": account})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert "upbit" in answer.json()["error"]["message"]


async def test_trading_needs_the_scope_trade(call: Call, register: Register) -> None:
    answer = await call(
        "POST",
        f"/live-strategies/{STRATEGY}/subscribe",
        key=await register(),
        json={"mode": "trade", "account_id": "paper-binance"},
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "INSUFFICIENT_PERMISSIONS")


async def test_another_agents_subscription_is_not_found(call: Call, register: Register) -> None:
    made = await subscribe(call)
    key = await register()
    one = f"/live-strategies/subscriptions/{made['subscription_id']}"

    answers = [
        await call(method, path, key=key)
        for method, path in [
            ("GET", one),
            ("POST", f"{one}/unsubscribe"),
            ("GET", f"{one}/signals"),
            ("GET", f"{one}/signals/latest"),
            ("DELETE", f"{one}/webhook"),
            ("POST", f"/live-strategies/{STRATEGY}/pause/{made['subscription_id']}"),
        ]
    ]

    assert {(a.status_code, a.json()["error"]["code"]) for a in answers} == {(404, "SUBSCRIPTION_NOT_FOUND")}


async def test_the_strategy_of_a_switch_must_be_the_subscriptions(call: Call) -> None:
    made = await subscribe(call)

    answer = await call("POST", f"/live-strategies/rsi-reversion/pause/{made['subscription_id']}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert STRATEGY in answer.json()["error"]["message"]


async def test_subscriptions_are_bounded(call: Call, receiver: Receiver) -> None:
    for number in range(20):
        await subscribe(call, webhook={"url": f"{receiver.url}/{number}"})

    answer = await call("POST", f"/live-strategies/{STRATEGY}/subscribe", json={})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert "at most 20 are allowed" in answer.json()["error"]["message"]


async def test_the_same_deployment_again_finds_the_first(call: Call) -> None:
    first = await subscribe(call, mode="trade", account_id="paper-binance")
    again = await subscribe(call, mode="trade", account_id="paper-binance")

    assert again["subscription_id"] == first["subscription_id"]
    assert "no second one was made" in again["message"]
    assert len((await data(call, "GET", "/live-strategies/subscriptions"))["subscriptions"]) == 1

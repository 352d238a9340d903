"""Quotas: how many calls in which time, and when the next one is allowed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from api.errors import RateLimited
from api.times import AcceleratedClock
from engine.engine import Engine
from tests.engine.conftest import Call

Register = Callable[..., Awaitable[str]]


async def test_three_hundred_requests_a_minute_and_the_next_waits(
    call: Call, register: Register, clock: AcceleratedClock
) -> None:
    key = await register()
    for _ in range(299):
        await call("GET", "/meta/health", key=key)
    clock.advance(30)
    last = await call("GET", "/meta/capabilities", key=key)
    refused = await call("GET", "/meta/capabilities", key=key)
    clock.advance(int(refused.headers["Retry-After"]))
    again = await call("GET", "/meta/capabilities", key=key)

    assert (last.status_code, refused.status_code, again.status_code) == (200, 429, 200)
    assert refused.json()["error"]["code"] == "RATE_LIMITED"
    assert refused.headers["Retry-After"] == "30"


async def test_one_keys_requests_do_not_count_against_another(engine: Engine, register: Register) -> None:
    spent, fresh = await register(), await register()
    for _ in range(300):
        await engine.access.admit(spent, None, "10.0.0.1")

    with pytest.raises(RateLimited):
        await engine.access.admit(spent, None, "10.0.0.1")
    assert (await engine.access.admit(fresh, None, "10.0.0.1")).agent_id is not None


async def test_guessing_keys_is_limited_by_address(engine: Engine) -> None:
    for _ in range(300):
        await engine.access.admit("guess", None, "10.0.0.9")

    with pytest.raises(RateLimited):
        await engine.access.admit("guess", None, "10.0.0.9")


async def test_five_registrations_an_hour_from_one_address(call: Call, clock: AcceleratedClock) -> None:
    async def attempt(address: str = "10.0.0.1") -> int:
        sent = await call("POST", "/meta/register", key=None, address=address, json={"display_name": "Bot"})
        return sent.status_code

    first = [await attempt() for _ in range(5)]
    clock.advance(1_800)
    sixth, elsewhere = await attempt(), await attempt("10.0.0.2")
    clock.advance(1_800)
    later = await attempt()

    assert first == [200] * 5
    assert (sixth, elsewhere, later) == (429, 200, 200)


async def test_a_provisional_agent_gets_ten_backtests_an_hour_and_thirty_a_day(
    engine: Engine, register: Register, clock: AcceleratedClock
) -> None:
    caller = await engine.access.admit(await register(), "research", "10.0.0.1")

    async def spend() -> float | None:
        try:
            await engine.store.write(lambda connection: engine.access.spend_backtest(connection, caller))
        except RateLimited as refused:
            return refused.retry_after
        return None

    spent: list[float | None] = []
    for _ in range(3):
        spent += [await spend() for _ in range(11)]
        clock.advance(3_600)

    assert spent == ([None] * 10 + [3_600.0]) * 3
    assert await spend() == 86_400.0 - 3 * 3_600.0
    clock.advance(86_400 - 3 * 3_600)
    assert await spend() is None


async def test_a_backtest_that_is_refused_is_not_counted(engine: Engine, register: Register) -> None:
    caller = await engine.access.admit(await register(), "research", "10.0.0.1")

    def fail(connection: object) -> None:
        engine.access.spend_backtest(connection, caller)  # pyright: ignore[reportArgumentType] - the store's own
        raise ValueError("the job could not be stored")

    with pytest.raises(ValueError, match="could not be stored"):
        await engine.store.write(fail)

    used = {a.name: a.used for a in await engine.access.allowances(caller)}
    assert used["backtests"] == 0


async def test_registering_tells_the_quota_and_capabilities_what_is_left_of_it(call: Call, engine: Engine) -> None:
    made = (await call("POST", "/meta/register", key=None, json={"display_name": "Bot"})).json()["data"]
    caller = await engine.access.admit(made["api_key"], "research", "10.0.0.1")
    await engine.store.write(lambda connection: engine.access.spend_backtest(connection, caller))
    left = (await call("GET", "/meta/capabilities", key=made["api_key"])).json()["data"]["quota"]

    assert made["quota"]["backtests"] == {"used": 0, "limit": 10, "period": "hour"}
    assert made["quota"]["backtests_daily"] == {"used": 0, "limit": 30, "period": "day"}
    assert made["quota"]["api_calls"]["limit"] == 300
    assert left["backtests"]["used"] == left["backtests_daily"]["used"] == 1
    assert left["api_calls"]["used"] == 2

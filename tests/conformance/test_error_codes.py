"""Every documented error code, triggered through the API by its real cause."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from api.errors import BY_CODE, CODES, HTTP_STATUS, ErrorCode, HeyTradersError, explain
from api.times import AcceleratedClock
from api.transport import unwrap
from engine.engine import Engine, EngineSettings
from engine.live import LiveSettings

from .conftest import NOON
from .document import ERROR_CODES
from .world import STRATEGY, Arguments, World

DAY: Final = 86_400
Wrong = tuple[str, Arguments, str]
"""Endpoint, arguments and key of a refused call."""


class _BrokenFeed:
    """A part of the engine that fails with a secret in its message."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"{name}: the password is hunter2")


@pytest.fixture
async def fresh(tmp_path: Path) -> AsyncIterator[World]:
    """An engine for one test, which may move its clock."""
    settings = EngineSettings(tmp_path / "home", live=LiveSettings(in_background=False))
    engine = await Engine.open(settings, AcceleratedClock(NOON))
    yield World(engine, await engine.access.local_key())
    await engine.aclose()


async def registered(world: World) -> str:
    """The provisional key of a new agent."""
    return str((await world.data("meta_register", {"display_name": "Probe"}))["api_key"])


async def yesterdays_key(world: World) -> Wrong:
    key = await registered(world)
    assert isinstance(world.engine.clock, AcceleratedClock)
    world.engine.clock.advance(DAY)
    return "meta_capabilities", {}, key


async def research_key_that_trades(world: World) -> Wrong:
    return "orders_place", world.order_on("binance"), await registered(world)


async def once_too_often(world: World) -> Wrong:
    key = await registered(world)
    for _ in range(300):
        await world.data("market_tickers", {"limit": 1}, key=key)
    return "market_tickers", {"limit": 1}, key


async def broken_part(world: World) -> Wrong:
    world.engine = replace(world.engine, feed=_BrokenFeed())
    return "market_ohlcv", {"symbol": "BTC/USDT"}, "local"


PLAINLY: Final[list[tuple[ErrorCode, str, Arguments, str]]] = [
    ("VALIDATION_ERROR", "market_tickers", {"limit": 501}, "local"),
    ("BACKTEST_NOT_FOUND", "backtest_status", {"backtest_id": "bt_none"}, "local"),
    ("BACKTEST_NOT_FOUND", "backtest_trades", {"result_id": "res_none"}, "local"),
    ("STRATEGY_NOT_FOUND", "live_subscribe", {"strategy_id": "astrology"}, "local"),
    ("SUBSCRIPTION_NOT_FOUND", "live_pause", {"strategy_id": STRATEGY, "subscription_id": "sub_none"}, "local"),
    ("ORDER_NOT_FOUND", "orders_cancel", {"order_id": "api-none"}, "local"),
    ("INVALID_API_KEY", "meta_capabilities", {}, "ht_prov_made-up"),
    ("DATA_UNAVAILABLE", "market_ohlcv", {"symbol": "NOSUCHCOIN/USDT"}, "local"),
    ("DATA_UNAVAILABLE", "market_ohlcv", {"symbol": "BTC/USDT", "start": "2001-01-01", "end": "2001-02-01"}, "local"),
]
"""Code, endpoint, arguments and key of calls that are wrong in themselves."""

BY_DEED: Final[dict[ErrorCode, Callable[[World], Awaitable[Wrong]]]] = {
    "EXPIRED_API_KEY": yesterdays_key,
    "INSUFFICIENT_PERMISSIONS": research_key_that_trades,
    "RATE_LIMITED": once_too_often,
    "INTERNAL_ERROR": broken_part,
}
"""Codes that need an earlier event, and how to cause it."""


def test_every_documented_code_is_provoked() -> None:
    assert len(ERROR_CODES) == 11
    assert {*(code for code, *_ in PLAINLY), *BY_DEED} == set(ERROR_CODES)
    assert set(ERROR_CODES) <= CODES


@pytest.mark.parametrize(("code", "name", "arguments", "key"), PLAINLY, ids=str)
async def test_a_wrong_call_has_its_code(
    world: World, code: ErrorCode, name: str, arguments: Arguments, key: str
) -> None:
    assert_refused(await world.send(name, arguments, key=key), code)


@pytest.mark.parametrize("code", BY_DEED)
async def test_what_happened_before_has_its_code(fresh: World, code: ErrorCode) -> None:
    whole = fresh.engine
    name, arguments, key = await BY_DEED[code](fresh)
    answer = await fresh.send(name, arguments, key=key)
    fresh.engine = whole

    assert_refused(answer, code)


def assert_refused(answer: httpx.Response, code: ErrorCode) -> None:
    """Check the code, its status and advice, that nothing internal shows, and the client's class of error."""
    body = answer.json()
    assert (body["success"], body["data"], body["error"]["code"]) == (False, None, code)
    assert answer.status_code == HTTP_STATUS[code]
    assert body["error"]["message"]
    assert body["error"]["suggestion"]
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text
    assert ("Retry-After" in answer.headers) == (code == "RATE_LIMITED")

    with pytest.raises(HeyTradersError) as raised:
        unwrap(answer.status_code, answer.content, trusted=True)
    assert type(raised.value) is BY_CODE[code]
    assert explain(raised.value).startswith(f"{code}: ")

"""What a client sees when our code breaks, and what the log says."""

from __future__ import annotations

import logging
from typing import Any, cast

import anyio
import pytest
from mcp import Client
from mcp.types import TextContent

from safety.exits import know
from server.app import create_server
from server.backend import Backend
from server.logs import Redacting
from server.settings import Settings
from tests.conftest import Connect, Era

KEY = "ht_live_canary_0123456789"


class Broken:
    """A backend that fails for an unforeseen reason."""

    source = "embedded"

    async def client(self, *, runs_jobs: bool = False) -> Any:  # noqa: ARG002 - the name is the base class's
        """Fail."""
        raise RuntimeError(f"connection with {KEY} at /home/user/secret failed")

    engine_client = client
    safety = client


async def test_a_crash_reaches_the_client_as_one_sentence_and_the_log_in_full(
    era: Era, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    server = create_server(settings, cast("Backend", Broken()))
    async with Client(server, mode=era) as client:
        result = await client.call_tool("market_tickers", {})

    [said] = [block.text for block in result.content if isinstance(block, TextContent)]
    assert result.is_error
    assert said.startswith("INTERNAL_ERROR: market_tickers")
    assert not any(word in said for word in (KEY, "secret", "RuntimeError", "Traceback"))
    assert "RuntimeError" in caplog.text


def test_the_log_never_holds_a_key_not_even_in_a_traceback() -> None:
    know(KEY)
    formatter = Redacting()
    with pytest.raises(ValueError, match="canary") as failed:
        int(KEY)
    cause = (failed.type, failed.value, failed.tb)
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "sent %s", (KEY,), cause)

    line = formatter.format(record)
    assert KEY not in line
    assert line.count("[redacted]") == 2


async def test_calls_that_come_together_are_all_answered(connect: Connect) -> None:
    answered: list[bool | None] = []
    async with connect() as client, anyio.create_task_group() as tasks:

        async def ask(number: int) -> None:
            result = await client.call_tool("market_ohlcv", {"symbol": "BTC/USDT", "limit": number})
            answered.append(result.is_error)

        for number in range(1, 51):
            tasks.start_soon(ask, number)

    assert answered == [False] * 50


async def test_deeply_nested_arguments_are_refused_like_any_other(connect: Connect) -> None:
    nested: list[Any] = []
    for _ in range(150):
        nested = [nested]
    async with connect() as client:
        result = await client.call_tool("market_scan", {"universe": nested, "condition": "close > open"})

    assert result.is_error
    assert "INTERNAL_ERROR" not in str(result.content)

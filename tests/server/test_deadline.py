"""Every tool answers by its deadline, however slow the service is: hanging, or dripping byte by byte."""

from __future__ import annotations

import time
from typing import Any, Final

import anyio
import pytest
from mcp import Client
from mcp.types import TextContent

from safety.gate import halting, judging
from server import calls
from server.settings import Settings
from tests.api.conftest import FakeService
from tests.conftest import Connect
from tests.safety.conftest import Hosted, hosted, service
from tools.snapshot import load
from tools.surface import exposed

__all__ = ["hosted", "service"]

DEADLINE: Final = 2.0
SLACK: Final = 25.0
"""For a busy machine. Without the deadline the calls would take 45 to 120 s."""
ARGUMENTS: Final[dict[str, Any]] = {
    "account_id": "acc_1",
    "agent_id": "agent_1",
    "amount": "0.001",
    "backtest_id": "bt_1",
    "category": "market_talk",
    "condition": "close > 1",
    "display_name": "name",
    "end_date": "2024-02-01",
    "exchange": "binance",
    "expression": "close",
    "grid": {"fast": [5, 10]},
    "intent_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "order_id": "ord_1",
    "result_id": "res_1",
    "result_ids": ["res_1", "res_2"],
    "script": 'fast = param(5, 5, 10)\nemit_signal(close > sma(close, fast), entry(TICKER, "LONG", Weight(1)))',
    "side": "buy",
    "slug": "signal-dsl",
    "start_date": "2024-01-01",
    "strategy_id": "strategy_1",
    "strategy_type": "signal",
    "subscription_id": "sub_1",
    "symbol": "BTC/USDT",
    "symbols": ["BTC/USDT", "ETH/USDT"],
    "title": "A title",
    "universe": ["BINANCE:BTC/USDT"],
    "url": "https://example.com/hook",
}


def arguments(tool: str) -> dict[str, Any]:
    """The surroundings of a tool, without long waits."""
    schema = load(tool)["inputSchema"]
    taken = {name: ARGUMENTS[name] for name in schema.get("required", ())}
    if tool == "market_evaluate":
        taken["expression"] = ARGUMENTS["expression"]
    if tool in {"backtest_and_poll", "backtest_sweep"}:
        names = ("script", "universe", "start_date", "end_date", "strategy_type", "grid")
        taken = {name: ARGUMENTS[name] for name in names if name in schema["properties"]}
    return {**taken, "wait_seconds": 1} if "wait_seconds" in schema["properties"] else taken


async def _timed(client: Client, tool: str, took: dict[str, float], said: dict[str, str]) -> None:
    began = time.monotonic()
    result = await client.call_tool(tool, arguments(tool))
    took[tool] = time.monotonic() - began
    said[tool] = "".join(block.text for block in result.content if isinstance(block, TextContent))


@pytest.mark.long
@pytest.mark.parametrize("era", ["auto"])
@pytest.mark.parametrize("manner", ["hang", "drip"])
async def test_all_tools_answer_by_the_deadline_of_a_slow_service(
    hosted: Hosted, service: FakeService, monkeypatch: pytest.MonkeyPatch, manner: str
) -> None:
    monkeypatch.setattr(calls, "DEADLINE_SECONDS", DEADLINE)
    monkeypatch.setattr(calls, "AFTER_WAITING", 0.5)
    monkeypatch.setattr(judging, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(halting, "CLEAN_UP_SECONDS", 0.5)
    begun = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"success": true, '
    service.replies.append(begun if manner == "hang" else begun + b" " * 90_000)
    service.hang, service.drip = True, manner == "drip"
    took: dict[str, float] = {}
    said: dict[str, str] = {}
    async with hosted() as client:
        await client.call_tool("script_check", arguments("script_check"))  # opens the engine, which takes its time
        async with anyio.create_task_group() as tasks:
            for row in exposed():
                tasks.start_soon(_timed, client, row.name, took, said)
        monkeypatch.setattr(calls, "DEADLINE_SECONDS", 45.0)
        halted = await client.call_tool("safety_halt", {})

    assert set(took) == {row.name for row in exposed()}
    assert {tool: round(seconds, 1) for tool, seconds in took.items() if seconds > DEADLINE + 0.5 + SLACK} == {}
    assert "did not finish within 2 s" in said["market_evaluate"]
    assert "Nothing was changed" in said["market_evaluate"]
    assert "it may have taken effect" in said["live_pause"]
    assert halted.structured_content is not None
    assert halted.structured_content["switch"] == "HALTED"


async def test_the_deadlines_fit_into_one_another(connect: Connect, settings: Settings) -> None:
    """Reading and sending together finish before the tool's deadline, which is below a client's usual minute."""
    from api import transport

    async with connect(settings) as client:
        assert await client.list_tools()
    assert judging.LOOK_SECONDS + transport.ONCE_SECONDS <= calls.DEADLINE_SECONDS == 45
    assert calls.DEADLINE_SECONDS + calls.AFTER_WAITING < 60

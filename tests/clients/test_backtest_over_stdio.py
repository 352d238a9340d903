"""A backtest through a real stdio server: its worker processes must not touch the server's pipes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

JOB = {
    "strategy_type": "signal",
    "script": 'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(1), take_profit=0.02, stop_loss=0.02))',
    "universe": ["BINANCE:BTC/USDT"],
    "start_date": "2024-01-01",
    "end_date": "2024-06-30",
}


@pytest.mark.long
async def test_workers_start_in_a_hostile_folder_and_leave_the_wire_alone(
    environment: dict[str, str], hostile_folder: Path
) -> None:
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "heytraders_mcp"], env=environment, cwd=str(hostile_folder)
    )
    async with Client(server) as client:
        result = await client.call_tool("backtest_and_poll", JOB)
        tools = (await client.list_tools()).tools

    assert not result.is_error, result.content
    assert (result.structured_content or {})["status"] == "completed"
    assert tools

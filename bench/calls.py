"""Calls: a warm evaluate and a warm scan through MCP in memory, the first call on a cold engine, and memory.

Baselines of the same run: a call of a bare SDK tool, the same numbers computed by TA-Lib on ready arrays, and the
import of the engine's libraries in a fresh process.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import talib  # pyright: ignore[reportMissingTypeStubs] - an untyped library
from mcp import Client
from mcp.server.mcpserver import MCPServer

from api.outputs import table_rows
from server.app import open_server
from server.settings import Settings

EVALUATE = {"symbol": "BTC/USDT", "expression": "rsi(close, 14)[-1]"}
CONDITION = "rsi(close, 14) < 45 and volume > sma(volume, 20)"

COLD = """
import asyncio, resource, sys, time
from pathlib import Path
from mcp import Client
from server.app import open_server
from server.settings import Settings
async def main():
    async with open_server(Settings(home=Path(sys.argv[1]))) as server, Client(server) as client:
        begun = time.perf_counter()
        result = await client.call_tool("market_evaluate", {"symbol": "BTC/USDT", "expression": "rsi(close, 14)[-1]"})
        assert not result.is_error, result.content
        print((time.perf_counter() - begun) * 1000, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
asyncio.run(main())
"""
LIBRARIES = """
import time
begun = time.perf_counter()
import httpx, numpy, sqlalchemy, talib
print((time.perf_counter() - begun) * 1000)
"""


async def timed(call: Callable[[], Awaitable[Any]], rounds: int) -> float:
    """Median milliseconds of a call that has been made twice before."""
    for _ in range(2):
        await call()
    taken: list[float] = []
    for _ in range(rounds):
        begun = time.perf_counter()
        result = await call()
        taken.append((time.perf_counter() - begun) * 1000)
        if result.is_error:
            raise RuntimeError(str(result.content))
    return statistics.median(taken)


async def bare_call() -> float:
    """The SDK's own cost for one call in memory."""
    server = MCPServer("bare")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    async with Client(server) as client:
        return await timed(lambda: client.call_tool("add", {"a": 1, "b": 2}), 50)


async def warm(home: Path) -> tuple[float, float, int]:
    """Milliseconds of an evaluate and of a scan, and how many symbols the scan saw."""
    async with open_server(Settings(home=home)) as server, Client(server) as client:
        listed = await client.call_tool("market_tickers", {"limit": 500})
        result: dict[str, Any] = listed.structured_content or {}
        rows: list[dict[str, Any]] = table_rows(result["tickers"])[:200]
        symbols: list[str] = [row["symbol"] for row in rows]
        scan: dict[str, Any] = {"universe": symbols, "condition": CONDITION}
        evaluate_ms = await timed(lambda: client.call_tool("market_evaluate", EVALUATE), 50)
        scan_ms = await timed(lambda: client.call_tool("market_scan", scan), 10)
    return evaluate_ms, scan_ms, len(symbols)


def numpy_scan(symbols: int, bars: int = 500) -> float:
    """Milliseconds for the same condition on ready arrays, one TA-Lib call per symbol and indicator."""
    generator = np.random.default_rng(7)
    closes, volumes = generator.random((symbols, bars)) + 100, generator.random((symbols, bars))
    begun = time.perf_counter()
    for close, volume in zip(closes, volumes, strict=True):
        rising = bool(volume[-1] > talib.SMA(volume, 20)[-1])  # pyright: ignore[reportUnknownArgumentType]
        _ = rising and talib.RSI(close, 14)[-1] < 45  # pyright: ignore[reportUnknownVariableType]
    return (time.perf_counter() - begun) * 1000


def fresh(program: str, *arguments: str) -> list[float]:
    """The figures that a program prints in a separate process."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def main() -> int:
    """Print every figure beside its baseline and target; exit code 1 if a target is missed."""
    with tempfile.TemporaryDirectory() as home:
        firsts = [fresh(COLD, str(Path(home, str(n)))) for n in range(3)]
        libraries = statistics.median(fresh(LIBRARIES)[0] for _ in range(3))
        evaluate_ms, scan_ms, symbols = asyncio.run(warm(Path(home, "warm")))
        bare_ms = asyncio.run(bare_call())
    first_ms, memory = (statistics.median(column) for column in zip(*firsts, strict=True))
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    arrays_ms = numpy_scan(symbols)
    lines = (
        f"warm market_evaluate     {evaluate_ms:8.1f} ms   target  15; a call of the bare SDK {bare_ms:.1f} ms",
        f"warm scan, {symbols} symbols   {scan_ms:8.1f} ms   target 150; TA-Lib on ready arrays {arrays_ms:.1f} ms",
        f"first call, cold engine  {first_ms:8.0f} ms   target 2000; importing its libraries {libraries:.0f} ms",
        f"memory after one call    {memory:8.0f} MB   after the scans {own:.0f} MB",
    )
    print("\n".join(lines))
    return 1 if evaluate_ms > 15 or scan_ms > 150 or first_ms > 2000 else 0


if __name__ == "__main__":
    sys.exit(main())

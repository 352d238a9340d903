"""A backtest end to end, as an agent sees it: over stdio, from a newly started server and from a warm one.

The job is RSI(14) below 30 / above 70, all in, with a year of hourly and a year of minute bars. Each figure is printed
beside two others from the same run: a bare round trip (`meta_health`), and the same backtest in this process, without
server and worker.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

from api.backtests import ExecuteRequest
from api.times import SystemClock
from engine.feeds.market import open_feed
from engine.jobs.preparation import prepare
from engine.jobs.run import run_backtest
from engine.jobs.spec import CandleOrigin
from engine.store.database import Store, default_url

SCRIPT = """
r = rsi(close, 14)
emit_signal(r < 30, entry(TICKER, "LONG", Weight(1)))
emit_signal(r > 70, exit(TICKER))
"""
YEAR: dict[str, Any] = {
    "strategy_type": "signal",
    "script": SCRIPT,
    "universe": ["BINANCE:BTC/USDT"],
    "start_date": "2023-01-01",
    "end_date": "2023-12-31",
}
JOBS = {"8,760 bars": {**YEAR, "timeframe": "1h"}, "525,600 bars": {**YEAR, "timeframe": "1m"}}
TARGETS_MS = {"8,760 bars": 250, "525,600 bars": 1_200}
STATEFUL = {
    **JOBS["525,600 bars"],
    "script": """
emit_signal(bars_in_position > 3, exit(TICKER))
emit_signal(cash > 0, entry(TICKER, "LONG", Weight(1)))
""",
    "wait_seconds": 1,
}
WARM_RUNS = 15


def server(home: Path) -> StdioServerParameters:
    """The server as a client starts it."""
    return StdioServerParameters(
        command=sys.executable, args=["-m", "heytraders_mcp"], env={"HEYTRADERS_HOME": str(home)}
    )


async def call(client: Client, tool: str, arguments: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """One call: milliseconds and its result."""
    began = time.perf_counter()
    result = await client.call_tool(tool, arguments)
    took = 1000 * (time.perf_counter() - began)
    if result.is_error or result.structured_content is None:
        raise RuntimeError(str(result.content))
    return took, result.structured_content


def variant(body: dict[str, Any], number: int) -> dict[str, Any]:
    """The job with another threshold, so that only data can be reused."""
    return {**body, "script": body["script"].replace("30", f"{30 - number / 100}")}


def in_process(home: Path, body: dict[str, Any]) -> float:
    """The same backtest here, warm: milliseconds, median of five."""
    store = Store.open(default_url(home))
    feed, now = open_feed(store, SystemClock(), 7), SystemClock().now()
    world, took = CandleOrigin(store.url, 7), list[float]()
    for number in range(6):
        began = time.perf_counter()
        spec = prepare(feed, now, ExecuteRequest.model_validate(variant(body, number)), 10**8)
        run_backtest(world, spec.to_json(), lambda _done, _stage: None)
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took[1:])


async def cold(home: Path, body: dict[str, Any]) -> float:
    """From starting the server to the verdict, milliseconds."""
    began = time.perf_counter()
    async with Client(server(home)) as client:
        await call(client, "backtest_and_poll", body)
        return 1000 * (time.perf_counter() - began)


async def warm(client: Client, body: dict[str, Any]) -> tuple[float, float]:
    """Median and slowest of the runs after the first, milliseconds."""
    took = [(await call(client, "backtest_and_poll", variant(body, n)))[0] for n in range(WARM_RUNS + 1)][1:]
    return statistics.median(took), max(took)


async def cancelling(client: Client) -> float:
    """From the request to cancel a running job to the confirmation, milliseconds."""
    _, handle = await call(client, "backtest_and_poll", STATEFUL)
    took, answer = await call(client, "backtest_cancel", {"backtest_id": handle["backtest_id"]})
    if (handle["status"], answer["status"]) != ("running", "cancelled"):
        raise RuntimeError(f"{handle['status']} became {answer['status']}")
    return took


async def main() -> int:
    """Print the figures; returns 1 if a target is missed."""
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        for name, body in JOBS.items():
            print(f"{name:<13} cold start to verdict {await cold(Path(folder) / name, body):>8.0f} ms")
        home = Path(folder) / "warm"
        async with Client(server(home)) as client:
            trips = [(await call(client, "meta_health", {}))[0] for _ in range(20)]
            print(f"{'round trip':<13} meta_health p50       {statistics.median(trips):>8.1f} ms")
            for name, body in JOBS.items():
                middle, slowest = await warm(client, body)
                bare = in_process(home, body)
                missed = missed or middle > TARGETS_MS[name]
                print(
                    f"{name:<13} warm p50              {middle:>8.0f} ms   slowest {slowest:.0f} ms   "
                    f"in process {bare:.0f} ms   target {TARGETS_MS[name]} ms"
                )
            print(f"{'cancel':<13} a running job         {await cancelling(client):>8.0f} ms   target 1000 ms")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(anyio.run(main))

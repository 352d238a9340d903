"""What the safety layer adds to an order: the same paper order straight to the engine, through the gate, and through
the gate with every limit active, so that the market, the account and the clock are read for each.

Baseline of the same run: the order without the gate.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from api.orders import ORDERS_PLACE, PlaceRequest
from server.backend import Backend, open_backend
from server.settings import Settings

Way = Callable[[Backend], Awaitable[Callable[[], Awaitable[Any]]]]

ROUNDS = 50
TARGET_MS = 100.0
ORDER = PlaceRequest.model_validate(
    {"account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": "0.0001"}
)
LIMITS = """[paper]
symbols = ["BTC/USDT"]
max_amount = { "BTC/USDT" = "1" }
max_notional = "1000"
collar = "0.5"
quote_age = 3600
max_leverage = 1
daily_notional = "1000000"
daily_count = 100000
per_minute = 100000
open_orders = 1000
position_usd = "1000000"
exposure_share = "10"
daily_loss_share = "10"
drawdown_share = "10"
no_self_trade = true
cooldown_failures = 10
halt_failures = 20
one_unresolved = true
halt_unresolved = 10
check_funds = true
clock_skew = 3600
snapshot_age = 3600
"""


async def direct(backend: Backend) -> Callable[[], Awaitable[Any]]:
    """The order as the engine takes it."""
    client = await backend.client()
    return lambda: client.call(ORDERS_PLACE, ORDER)


async def gated(backend: Backend) -> Callable[[], Awaitable[Any]]:
    """The order through the gate."""
    gate = await backend.safety()
    return lambda: gate.place(ORDER, "bench", "")


async def measure(home: Path, way: Way) -> float:
    """Milliseconds of one order, the median of many."""
    async with open_backend(Settings(home=home)) as backend:
        place = await way(backend)
        taken: list[float] = []
        for _ in range(ROUNDS + 2):
            begun = time.perf_counter()
            await place()
            taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken[2:])


def main() -> int:
    """Print each figure beside the baseline; fail when the gate adds more than its budget."""
    with tempfile.TemporaryDirectory() as scratch:
        strict = Path(scratch, "limited")
        strict.mkdir(mode=0o700)
        (strict / "policy.toml").write_text(LIMITS, encoding="utf-8")
        plain = asyncio.run(measure(Path(scratch, "direct"), direct))
        paper = asyncio.run(measure(Path(scratch, "paper"), gated))
        limited = asyncio.run(measure(strict, gated))
    print(f"order without the gate     {plain:8.1f} ms")
    print(f"through the gate, paper    {paper:8.1f} ms   added {paper - plain:.1f} ms")
    print(f"with every limit active    {limited:8.1f} ms   added {limited - plain:.1f} ms, budget {TARGET_MS:.0f} ms")
    return 0 if limited - plain <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())

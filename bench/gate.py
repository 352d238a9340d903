"""The time that the safety layer adds to an order. The same paper order goes straight to the engine, through the gate,
and through the gate with every limit active, which reads the market, the account and the clock for each order.

Baseline of the same run: the order without the gate.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.orders import ORDERS_PLACE, PlaceRequest
from server.backend import Backend, open_backend
from server.settings import Settings

Way = Callable[[Backend], Awaitable[Callable[[], Awaitable[Any]]]]

ROUNDS = 5
ORDERS = 20
WARM = 2
DIRECT, PAPER, LIMITED = "order without the gate", "through the gate, paper", "with every limit active"
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
    """The order straight to the engine."""
    client = await backend.client()
    return lambda: client.call(ORDERS_PLACE, ORDER)


async def gated(backend: Backend) -> Callable[[], Awaitable[Any]]:
    """The order through the gate."""
    gate = await backend.safety()
    return lambda: gate.orders.place(ORDER, "bench", "")


@dataclass(frozen=True, slots=True)
class Taken:
    """Milliseconds of one order, the median of a round: wall time and CPU time of this process."""

    wall: float
    busy: float


async def measure(home: Path, way: Way) -> Taken:
    """One round."""
    async with open_backend(Settings(home=home)) as backend:
        place = await way(backend)
        wall: list[float] = []
        busy: list[float] = []
        for _ in range(ORDERS + WARM):
            begun, begun_busy = time.perf_counter(), time.process_time()
            await place()
            wall.append((time.perf_counter() - begun) * 1000)
            busy.append((time.process_time() - begun_busy) * 1000)
    return Taken(statistics.median(wall[WARM:]), statistics.median(busy[WARM:]))


def rounds() -> dict[str, list[Taken]]:
    """Run every path in every round, in turn and each time in a new home, so that other load affects all equally.

    Returns:
        The rounds by path.
    """
    ways: dict[str, tuple[Way, str]] = {DIRECT: (direct, ""), PAPER: (gated, ""), LIMITED: (gated, LIMITS)}
    found: dict[str, list[Taken]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (way, policy) in ways.items():
            with tempfile.TemporaryDirectory() as scratch:
                home = Path(scratch, "home")
                home.mkdir(mode=0o700)
                if policy:
                    (home / "policy.toml").write_text(policy, encoding="utf-8")
                found[name].append(asyncio.run(measure(home, way)))
    return found


def added(with_gate: list[Taken], without: list[Taken]) -> list[float]:
    """Milliseconds that the gate adds in each round, compared with the order without it in the same round."""
    return [gate.wall - bare.wall for gate, bare in zip(with_gate, without, strict=True)]


def main() -> int:
    """Print each figure beside the baseline; fail if the gate exceeds its budget in every round.

    Load of other programs can only add time, so the best round is the best estimate of the gate's own cost.
    """
    found = rounds()
    bare = found[DIRECT]
    print(f"median and least of {ROUNDS} rounds of {ORDERS} orders, ms; budget {TARGET_MS:.0f} ms added")
    for name, taken in found.items():
        wall, busy = [each.wall for each in taken], [each.busy for each in taken]
        extra = added(taken, bare)
        ratio = statistics.median(wall) / statistics.median(each.wall for each in bare)
        print(
            f"{name:<24} wall {statistics.median(wall):7.1f} {min(wall):7.1f}   CPU {statistics.median(busy):7.1f}"
            f" {min(busy):7.1f}   added {statistics.median(extra):7.1f} {min(extra):7.1f}   {ratio:5.1f} x bare"
        )
    least = min(added(found[LIMITED], bare))
    print(f"{'within' if least <= TARGET_MS else 'over'} the budget: {least / TARGET_MS:.0%} of it in the best round")
    return 0 if least <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())

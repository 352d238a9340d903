"""Paper orders: a round trip through MCP in memory and over stdio, and the balances of an account with many positions.

Baselines of the same run: a call of a bare SDK tool, one durable commit of one row to the same kind of database, and
the balances of an account without positions.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from mcp import Client, StdioServerParameters

from api.outputs import table_rows
from engine.store.accounts import accounts_table
from engine.store.database import Store, default_url
from server.app import open_server
from server.settings import Settings

from .calls import bare_call, timed

ORDER = {"account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": "0.0001"}
FUTURES = {"account_id": "paper-binancefuturesusd", "exchange": "binancefuturesusd"}
POSITIONS = 100
ROUNDS = 50


async def order_in_memory(home: Path) -> float:
    """Milliseconds of `orders_place`, filled."""
    async with open_server(Settings(home=home)) as server, Client(server) as client:
        return await timed(lambda: client.call_tool("orders_place", ORDER), ROUNDS)


async def order_over_stdio(home: Path) -> float:
    """The same through a server process."""
    environment = {**os.environ, "HEYTRADERS_HOME": str(home)}
    server = StdioServerParameters(command=sys.executable, args=["-m", "heytraders_mcp"], env=environment)
    async with Client(server) as client:
        return await timed(lambda: client.call_tool("orders_place", ORDER), ROUNDS)


async def balances(home: Path) -> tuple[float, float, int]:
    """Milliseconds of `accounts_balances` with many positions and with none, and the number of positions."""
    async with open_server(Settings(home=home)) as server, Client(server) as client:
        listed = await client.call_tool("market_tickers", {"exchange": FUTURES["exchange"], "limit": POSITIONS})
        result: dict[str, Any] = listed.structured_content or {}
        tickers: list[dict[str, Any]] = table_rows(result["tickers"])
        for ticker in tickers:
            lot = float(ticker["lot_size"])
            amount = (int(6 / ticker["price"] / lot) + 1) * lot
            order = {**FUTURES, "symbol": ticker["symbol"], "side": "buy", "amount": f"{amount:.8f}"}
            placed = await client.call_tool("orders_place", order)
            if placed.is_error:
                raise RuntimeError(str(placed.content))
        many = await timed(_ask(client, FUTURES["account_id"]), 20)
        none = await timed(_ask(client, "paper-gatefutures"), 20)
        return many, none, len(tickers)


def durable_commit(home: Path) -> float:
    """Milliseconds of one row in one write transaction."""
    store = Store.open(default_url(home))
    taken: list[float] = []
    for number in range(ROUNDS):
        row = {"owner": "bench", "account_id": str(number), "exchange": "gate", "name": "", "opening": "0"}
        begun = time.perf_counter()
        store.write_now(
            lambda c, row=row: c.execute(sa.insert(accounts_table).values(**row, status="active", created_at=0))
        )
        taken.append((time.perf_counter() - begun) * 1000)
    store.close()
    return statistics.median(taken)


def _ask(client: Client, account_id: str) -> Callable[[], Awaitable[Any]]:
    return lambda: client.call_tool("accounts_balances", {"account_id": account_id})


def main() -> int:
    """Print every figure beside its baseline."""
    with tempfile.TemporaryDirectory() as home:
        in_memory = asyncio.run(order_in_memory(Path(home, "memory")))
        over_stdio = asyncio.run(order_over_stdio(Path(home, "stdio")))
        many, none, positions = asyncio.run(balances(Path(home, "positions")))
        commit = durable_commit(Path(home, "commit"))
        bare = asyncio.run(bare_call())
    lines = (
        f"order round trip, memory {in_memory:8.1f} ms   bare SDK call {bare:.1f} ms, durable commit {commit:.1f} ms",
        f"order round trip, stdio  {over_stdio:8.1f} ms",
        f"balances, {positions} positions  {many:8.1f} ms   without positions {none:.1f} ms",
    )
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())

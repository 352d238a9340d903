"""An engine with at least one object of every kind, and one valid call of every endpoint of the document."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import count
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx

from api.catalogue import endpoint
from engine.engine import Engine
from engine.routes import create_app
from tests.idle import ended_job

from .document import ENDPOINTS, SYMBOL_OF, EndpointRow

Arguments = dict[str, Any]

ROWS: Final[Mapping[str, EndpointRow]] = {row.name: row for row in ENDPOINTS}
STRATEGY: Final = "macd-momentum"
LONGEST: Final = 20_000
"""Maximum characters of a query or of a path segment; the HTTP library of these tests sends no longer ones."""

DEAF: Final = "https://127.0.0.1:1/hook"
"""A webhook target where nothing listens; the engine of these tests may reach this machine."""

SCRIPT: Final = "emit_signal(rsi(close, 14) < 45, entry(TICKER, 'LONG', Weight(0.5)))\n" + (
    "emit_signal(rsi(close, 14) > 55, exit(TICKER))"
)


class World:
    """An open engine and the ids of its objects. `local` is the key with every scope."""

    def __init__(self, engine: Engine, local: str) -> None:
        self.engine = engine
        self.local = local
        self.token = ""
        self.ids: dict[str, str] = {}
        self._addresses = count(1)

    async def send(
        self, name: str, arguments: Arguments, *, key: str | None = "local", address: str | None = None
    ) -> httpx.Response:
        """Send a call in the document's form: path, then query or JSON body. Path arguments are required."""
        row, left = ROWS[name], dict(arguments)
        fields = iter(endpoint(name).path_fields)
        path = re.sub(r"\{\w+\}", lambda _: _quoted(left.pop(next(fields))), row.path)
        shown = self.local if key == "local" else key
        headers = {} if shown is None else {"X-API-Key": shown}
        if row.method in {"POST", "PUT", "PATCH"}:
            return await self.http(row.method, path, headers=headers, content=json.dumps(left), address=address)
        query = urlencode(left, doseq=True, errors="surrogatepass")[:LONGEST]
        return await self.http(row.method, f"{path}?{query}" if query else path, headers=headers, address=address)

    async def http(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str],
        content: str | bytes | None = None,
        address: str | None = None,
    ) -> httpx.Response:
        """Send any request. By default each call has a different address, so that none exceeds its quota."""
        number = next(self._addresses)
        caller = address or f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        transport = httpx.ASGITransport(create_app(self.engine), client=(caller, 4_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://engine/api/v1") as client:
            return await client.request(method, path, headers=headers, content=content)

    async def data(self, name: str, arguments: Arguments, *, key: str | None = "local") -> dict[str, Any]:
        """The data of a call that must succeed."""
        answer = await self.send(name, arguments, key=key)
        assert answer.status_code == 200, f"{name} {arguments}: {answer.text}"
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def refusal(self, name: str, arguments: Arguments, *, key: str | None = "local") -> tuple[str, str]:
        """Code and message of a call that must be refused."""
        answer = await self.send(name, arguments, key=key)
        body = answer.json()
        assert body["success"] is False, f"{name} {arguments} was accepted: {answer.text}"
        return body["error"]["code"], body["error"]["message"]

    async def finished(self, arguments: Arguments) -> dict[str, Any]:
        """Execute a backtest and wait for its final status."""
        return await self.ended((await self.data("backtest_execute", arguments))["backtest_id"])

    async def ended(self, job: str) -> dict[str, Any]:
        """The final status of a backtest."""
        return await ended_job(lambda: self.data("backtest_status", {"backtest_id": job}))

    async def settle(self) -> None:
        """Create objects of every kind: a finished backtest, a subscription, coins, positions, resting orders."""
        self.token = self._live_token()
        status = await self.finished(self.call("backtest_execute"))
        assert status["status"] == "completed", status
        self.ids.update(backtest_id=status["backtest_id"], result_id=status["result_id"])
        made = await self.data("live_subscribe", {"strategy_id": STRATEGY})
        self.ids.update(strategy_id=STRATEGY, subscription_id=made["subscription_id"])
        profile = await self.data("arena_profile", {})
        self.ids.update(agent_id=profile["agent_id"])
        await self.data("orders_place", {**self.call("orders_place"), "amount": 0.02})
        await self.data("orders_place", self.order_on("polymarket"))

    def _live_token(self) -> str:
        """A prediction token with a price far from 0 and 1."""
        for listing in self.engine.feed.listings("polymarket"):
            last = self.engine.feed.candles(listing.instrument, "1m", limit=1).bars.close[-1]
            if listing.payout is None and 0.3 < last < 0.6:
                return listing.instrument.base
        raise AssertionError("the simulation lists no such token")

    def symbol(self, exchange: str) -> str:
        """A market of an exchange, in the document's notation."""
        return self.token if exchange == "polymarket" else SYMBOL_OF[exchange]

    def order_on(self, exchange: str) -> Arguments:
        """An order that fills at once."""
        order: Arguments = {"account_id": f"paper-{exchange}", "exchange": exchange, "symbol": self.symbol(exchange)}
        if exchange == "polymarket":
            return {**order, "side": "buy", "order_type": "FOK", "amount": 20, "price": 0.9}
        return {**order, "side": "buy", "amount": 0.001}

    def resting_order_on(self, exchange: str) -> Arguments:
        """A resting order far below the market."""
        price = {"upbit": 50_000_000, "polymarket": 0.05}.get(exchange, 20_000)
        kind = "GTC" if exchange == "polymarket" else "limit"
        return {**self.order_on(exchange), "order_type": kind, "price": price}

    def call(self, name: str) -> Arguments:
        """A valid call of an endpoint with only the required arguments."""
        fields = endpoint(name).path_fields
        from_path = {f: self.ids[f] for f in fields if f in self.ids}
        account = {"account_id": "paper-binance"} if "account_id" in fields else {}
        strategy = {"strategy_id": STRATEGY} if "strategy_id" in fields else {}
        return {**account, **from_path, **strategy, **_BODIES.get(name, {})}

    async def ready(self, name: str) -> Arguments:
        """A valid call, with a new order or subscription to end where the endpoint ends one."""
        call = self.call(name)
        if name == "orders_cancel":
            call["order_id"] = (await self.data("orders_place", self.resting_order_on("binance")))["order_id"]
        if name == "live_unsubscribe":
            made = await self.data("live_subscribe", self.call("live_subscribe"))
            call["subscription_id"] = made["subscription_id"]
        return call

    async def tidy(self, name: str, answer: dict[str, Any]) -> None:
        """End the subscription that a call created, since an agent may have only a few."""
        if name == "live_subscribe":
            await self.data("live_unsubscribe", {"subscription_id": answer["subscription_id"]})


def _quoted(part: object) -> str:
    return quote(str(part), safe="", errors="surrogatepass")[:LONGEST]


_BODIES: Final[dict[str, Arguments]] = {
    # Not the strategy of the existing subscription: deploying it again would return that subscription.
    "live_subscribe": {"strategy_id": "rsi-reversion"},
    "meta_register": {"display_name": "My Bot"},
    "market_ohlcv": {"symbol": "BTC/USDT"},
    "market_evaluate": {"symbol": "BTC/USDT", "expression": "rsi(close, 14)[-1]"},
    "market_scan": {"universe": ["BTC/USDT", "ETH/USDT", "SOL/USDT"], "condition": "rsi(close, 14) < 60"},
    "market_rank": {"universe": ["BTC/USDT", "ETH/USDT", "SOL/USDT"], "expression": "roc(close, 7)"},
    "orders_place": {
        "account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": 0.001,
    },
    "backtest_execute": {
        "strategy_type": "signal", "script": SCRIPT, "universe": ["BINANCE:BTC/USDT"],
        "start_date": "2024-01-01", "end_date": "2024-01-14",
    },
    "live_webhook_set": {"url": DEAF},
    "live_webhook_test": {"url": DEAF},
    "arena_profile_update": {"description": "Trend and carry"},
    "arena_post": {"category": "strategy_ideas", "title": "RSI oversold"},
}  # fmt: skip

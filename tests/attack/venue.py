"""An honest hosted service over a real socket: it records every request and can put any words into its texts."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import parse_qs, urlsplit

from tests.api.conftest import FakeService, Recorded, response
from tests.chaos.safety_http import Fields, candles, moment

ACCOUNT: Final = "acc_1"
SYMBOL: Final = "BTC/USDT"
PRICE: Final = 100.0
PREFIX: Final = "/api/v1"
REGISTERED_KEY: Final = "q7Zk1VvR9mXw3LtBn5Yc8HdJ"
CALM: Final = "an ordinary text"


class Venue(FakeService):
    """The service.

    Attributes:
        words: Content of every free text in an answer.
        refuses: Answer everything but health with an error that says `words`.
        claims: Fields that every answer has besides its own.
        orders: What was booked.
    """

    def __init__(self) -> None:
        super().__init__()
        self.words = CALM
        self.refuses = False
        self.claims: Fields = {}
        self.orders: list[Fields] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            asked = await _read(reader)
            self.requests.append(asked)
            status, body = self._answer(asked)
            writer.write(response(status, json.dumps(body).encode(), Content_Type="application/json"))
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        self.serving.discard(task)

    @property
    def changes(self) -> list[str]:
        """Every request received that has an effect: orders, deployments, deliveries, publications."""
        harmless = ("/market/", "/backtest/", "/meta/")
        heard = [(each.method, each.target.removeprefix(PREFIX)) for each in self.requests]
        return [f"{method} {path}" for method, path in heard if method != "GET" and not path.startswith(harmless)]

    @property
    def sent_orders(self) -> list[Fields]:
        """The body of each POST /orders."""
        return [
            json.loads(each.body)
            for each in self.requests
            if (each.method, each.target.removeprefix(PREFIX)) == ("POST", "/orders")
        ]

    def _answer(self, asked: Recorded) -> tuple[int, Fields]:
        parts = urlsplit(asked.target)
        path = parts.path.removeprefix(PREFIX)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        meta = {"timestamp": moment(time.time())}
        if self.refuses and path != "/meta/health":
            error = {"code": "VALIDATION_ERROR", "message": self.words, "suggestion": self.words}
            return 400, {"success": False, "data": None, "error": error, "meta": meta}
        fields: Fields = json.loads(asked.body) if asked.body else {}
        data = self._data(asked.method, path.strip("/").split("/"), query, fields)
        if data is None:
            error = {"code": "DATA_UNAVAILABLE", "message": self.words, "suggestion": ""}
            return 404, {"success": False, "data": None, "error": error, "meta": meta}
        return 200, {"success": True, "data": {**data, **self.claims}, "error": None, "meta": meta}

    def _data(self, method: str, path: list[str], query: dict[str, str], fields: Fields) -> Fields | None:
        section, *rest = path
        match section:
            case "meta":
                return self._meta(rest)
            case "market":
                return self._market(rest, query)
            case "accounts":
                return self._account(rest)
            case "orders":
                return self._order(method, rest, fields)
            case "live-strategies":
                return self._live(rest, fields)
            case "docs" | "arena" | "backtest":
                named = {"slug": path[-1], "post_id": "p1", "backtest_id": "bt_1", "status": "failed"}
                return {**named, **dict.fromkeys(("content", "title", "body", "display_name", "message"), self.words)}
            case _:
                return None

    def _meta(self, rest: list[str]) -> Fields | None:
        answers: dict[str, Fields] = {
            "health": {"status": "ok", "note": self.words},
            "capabilities": {"agent_id": "ag_1", "scopes": ["research", "read", "trade"], "endpoints": []},
            "register": {"api_key": REGISTERED_KEY, "agent_id": "ag_2", "scopes": ["research"]},
        }
        return answers.get(rest[0])

    def _market(self, rest: list[str], query: dict[str, str]) -> Fields:
        if rest == ["ohlcv"]:
            return {**candles(query), "note": self.words}
        ticker = {"symbol": SYMBOL, "exchange": "binance", "name": self.words}
        return {"tickers": [ticker], "results": [], "value": 1.0, "note": self.words}

    def _account(self, rest: list[str]) -> Fields | None:
        account = {"account_id": ACCOUNT, "exchange": "binance", "market_type": "spot", "name": self.words}
        match rest:
            case []:
                return {"accounts": [account]}
            case [account_id, "balances"] if account_id == ACCOUNT:
                asset = {"asset": "USDT", "free": 10_000.0, "used": 0.0, "total": 10_000.0}
                return {
                    **account,
                    "total_equity_usd": 10_000.0,
                    "balances": [asset],
                    "positions": [],
                    "open_orders": [],
                    "updated_at": moment(time.time()),
                }
            case [account_id, "open-orders"] if account_id == ACCOUNT:
                return {"account_id": ACCOUNT, "orders": []}
            case [account_id] if account_id == ACCOUNT:
                return account
            case _:
                return None

    def _order(self, method: str, rest: list[str], fields: Fields) -> Fields | None:
        if method == "POST":
            order = {
                **fields,
                "order_id": f"api-{len(self.orders) + 1}",
                "status": "FILLED",
                "created_at": moment(time.time()),
            }
            self.orders.append({**order, "filled_amount": fields.get("amount"), "message": self.words})
            return self.orders[-1]
        if method == "GET":
            return {"orders": list(reversed(self.orders)), "total": len(self.orders), "note": self.words}
        return {"order_id": rest[0], "status": "CANCELLED", "message": self.words} if rest else None

    def _live(self, rest: list[str], fields: Fields) -> Fields:
        subscription = {
            "subscription_id": "sub_1",
            "strategy_id": "rsi-reversion",
            "strategy_name": self.words,
            "mode": "trade",
            "account_id": ACCOUNT,
            "status": "paused",
        }
        match rest:
            case []:
                return {"strategies": [{"strategy_id": "rsi-reversion", "name": self.words, "description": self.words}]}
            case ["subscriptions"]:
                return {"subscriptions": [subscription]}
            case [*_, "signals"] | [*_, "latest"]:
                return {"signals": [{"symbol": SYMBOL, "side": "buy", "reason": self.words}]}
            case [*_, "webhook"] | [*_, "test"]:
                return {"url": fields.get("url"), "status": "ok", "message": self.words}
            case _:
                return {**subscription, **{k: v for k, v in fields.items() if k == "mode"}}


async def _read(reader: asyncio.StreamReader) -> Recorded:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *rest = head.split("\r\n")
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in rest if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, target, _ = first.split(" ")
    return Recorded(method, target, headers, body)


@asynccontextmanager
async def open_venue() -> AsyncGenerator[Venue]:
    """The service on loopback, for the duration of a test."""
    venue = Venue()
    server = await asyncio.start_server(venue.serve, "127.0.0.1", 0)
    venue.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{PREFIX}"
    try:
        yield venue
    finally:
        server.close()
        await venue.end()
        await server.wait_closed()

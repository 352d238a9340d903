"""A hosted service that loses, delays and garbles messages, over real sockets and in its own process.

`python -m tests.chaos.safety_exchange FAULTS SEED [HOME]` prints its port and serves until its standard input ends. The
true state is at `/_truth`, which the faults do not affect.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from .safety_faults import BOOKS, Fate, Faults
from .safety_http import GARBAGE, PRICE, Asked, Fields, Reply, candles, failure, http, moment, read_request, success
from .safety_truth import SERVICE_PREFIX, Arrival, Booked, Truth
from .safety_wishes import ACCOUNTS, SYMBOLS

PAGE: Final = 200
OPEN_TYPES: Final = ("limit", "GTC")


class Exchange:
    """The service. `look_up` returns what the sender's ledger says about a label while its POST is being read."""

    def __init__(self, faults: Faults, seed: int, look_up: Callable[[str], str | None] | None = None) -> None:
        self.faults = faults
        self.truth = Truth()
        self._chance = random.Random(seed)
        self._look_up = look_up
        self._calm = False
        self._later: set[asyncio.Task[None]] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            asked = await read_request(reader)
            reply = await self._answer(asked, writer)
            if reply is not None:
                writer.write(http(*reply))
                await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> Reply | None:
        if asked.path == "/_truth":
            return 200, json.dumps(self.truth.report()).encode()
        if asked.path == "/_calm":
            self._calm = True
            return 200, b"{}"
        path = asked.path.removeprefix(SERVICE_PREFIX)
        if (asked.method, path) == ("POST", "/orders"):
            return await self._order(json.loads(asked.body), writer)
        if not self._calm and self._chance.random() < self.faults.listing_failures:
            return self._chance.choice([failure(500, "INTERNAL_ERROR"), failure(429, "RATE_LIMITED"), GARBAGE, None])
        return self._read(asked, path)

    def _read(self, asked: Asked, path: str) -> Reply:
        match [asked.method, *path.strip("/").split("/")]:
            case ["GET", "orders"]:
                return success(self._page(asked.query))
            case ["DELETE", "orders", order_id]:
                return self._cancel(order_id)
            case ["GET", "accounts", account_id, "open-orders"]:
                shown = [o for o in self._shown({"account_id": account_id, **asked.query}) if o["status"] == "OPEN"]
                return success({"account_id": account_id, "orders": shown})
            case ["GET", "accounts", account_id, "balances"]:
                return success(self._balances(account_id))
            case ["GET", "market", "ohlcv"]:
                return success(candles(asked.query))
            case ["GET", "live-strategies", "subscriptions"]:
                return success({"subscriptions": []})
            case _:
                return failure(404, "DATA_UNAVAILABLE")

    async def _order(self, order: Fields, writer: asyncio.StreamWriter) -> Reply | None:
        label = str(order.get("label") or "")
        fate: Fate = "served" if self._calm else self.faults.draw(self._chance)
        row_state = self._look_up(label) if self._look_up is not None else None
        self.truth.arrivals.append(Arrival(label, time.time(), fate, row_state))
        if fate == "booked late":
            self._soon(self._book_late(order))
            return None
        await asyncio.sleep(self._chance.uniform(0, self.faults.think))
        booked = self._book(order) if fate in BOOKS else None
        if fate == "booked twice":
            self._book(order)
        if fate == "reply slow":
            await asyncio.sleep(self.faults.slow)
        if fate in {"reset", "reply cut"}:
            return self._break_off(fate, booked, writer)
        return self._reply(fate, booked)

    def _reply(self, fate: Fate, booked: Booked | None) -> Reply | None:
        if booked is not None and fate in {"served", "reply slow", "booked twice"}:
            return success(self._row(booked))
        if fate in {"no id", "foreign echo"} and booked is not None:
            wrong = {"order_id": None, "exchange_order_id": None} if fate == "no id" else {"amount": 123.0}
            return success({**self._row(booked), **wrong})
        replies: dict[str, Reply] = {
            "refused": failure(400, "VALIDATION_ERROR"),
            "500": failure(500, "INTERNAL_ERROR"),
            "429": failure(429, "RATE_LIMITED"),
            "409": failure(409, "CONFLICT"),
            "garbage": GARBAGE,
            "refusal without code": (200, json.dumps({"success": False, "data": None, "error": None}).encode()),
        }
        return replies.get(fate.removesuffix(" after fill"))

    def _break_off(self, fate: Fate, booked: Booked | None, writer: asyncio.StreamWriter) -> None:
        """End the connection with half an answer or with a reset."""
        if fate == "reply cut" and booked is not None:
            whole = http(*success(self._row(booked)))
            writer.write(whole[: len(whole) - self._chance.randrange(1, 60)])
        else:
            writer.transport.abort()

    async def _book_late(self, order: Fields) -> None:
        await asyncio.sleep(self._chance.uniform(self.faults.late_at_least, self.faults.late))
        self._book(order)

    def _book(self, order: Fields, label: str | None = None) -> Booked:
        now = time.time()
        rests = order.get("order_type") in OPEN_TYPES and self._chance.random() < 0.5
        booked = Booked(
            order_id=f"api-{len(self.truth.booked) + 1:06d}",
            label=str(order.get("label") or "") if label is None else label,
            account_id=order["account_id"],
            symbol=order["symbol"],
            side=order["side"],
            order_type=order.get("order_type", "market"),
            amount=str(order["amount"]),
            price=None if order.get("price") is None else str(order["price"]),
            booked_at=now,
            visible_at=now + self._chance.uniform(0, self.faults.lag),
            status="OPEN" if rests else "FILLED",
        )
        self.truth.booked.append(booked)
        return booked

    def _cancel(self, order_id: str) -> Reply:
        self.truth.cancels += 1
        for booked in self.truth.booked:
            if order_id in {booked.order_id, venue_id(booked)} and booked.status == "OPEN":
                booked.status = "CANCELLED"
                return success(self._row(booked))
        return failure(404, "ORDER_NOT_FOUND")

    def _page(self, query: dict[str, str]) -> Fields:
        """Newest first, as in the API document: 1 to 200 rows from `offset`."""
        rows = self._shown(query)
        limit, offset = min(int(query.get("limit", "50")), PAGE), int(query.get("offset", "0"))
        return {"orders": rows[offset : offset + limit], "total": len(rows), "limit": limit, "offset": offset}

    def _shown(self, query: dict[str, str]) -> list[Fields]:
        now = time.time()
        wanted = {name: query[name] for name in ("account_id", "symbol", "status") if name in query}
        visible = (booked for booked in reversed(self.truth.booked) if booked.visible_at <= now)
        return [self._row(b) for b in visible if all(getattr(b, name) == value for name, value in wanted.items())]

    def _row(self, booked: Booked) -> Fields:
        amount, filled = float(booked.amount), booked.status == "FILLED"
        row: Fields = {
            "order_id": booked.order_id if self.faults.names_orders else None,
            "exchange_order_id": venue_id(booked),
            "account_id": booked.account_id,
            "exchange": "binance",
            "market_type": "spot",
            "symbol": booked.symbol,
            "side": booked.side,
            "order_type": booked.order_type,
            "status": booked.status,
            "amount": amount,
            "filled_amount": amount if filled else 0,
            "remaining_amount": 0 if booked.status != "OPEN" else amount,
            "price": None if booked.price is None else float(booked.price),
            "average_price": PRICE if filled else None,
            "created_at": moment(booked.booked_at),
        }
        return {**row, "label": booked.label or None} if self.faults.echoes_labels else row

    def _balances(self, account_id: str) -> Fields:
        asset = {"asset": "USDT", "free": 1e6, "used": 0.0, "total": 1e6}
        shown = [row for row in self._shown({"account_id": account_id}) if row["status"] == "OPEN"]
        known: Fields = {"account_id": account_id, "total_equity_usd": 1e6, "balances": [asset], "positions": []}
        return {**known, "open_orders": shown, "updated_at": moment(time.time())}

    def _soon(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def strangers(self) -> None:
        """Place orders of another trader on the same accounts."""
        while self.faults.strangers:
            await asyncio.sleep(self._chance.expovariate(self.faults.strangers))
            account, symbol = self._chance.choice(ACCOUNTS), self._chance.choice(SYMBOLS)
            order = {"account_id": account, "symbol": symbol, "side": "buy", "order_type": "limit"}
            self._book({**order, "amount": "7.7", "price": "90"}, label="")

    async def listen(self, announce: Callable[[int], None]) -> None:
        """Serve indefinitely, with outages in between."""
        server = await asyncio.start_server(self.connected, "127.0.0.1", 0, backlog=512)
        port: int = server.sockets[0].getsockname()[1]
        announce(port)
        while True:
            await asyncio.sleep(self._chance.expovariate(self.faults.outages or 1e-6))
            if self._calm:
                continue
            server.close()
            await asyncio.sleep(self._chance.uniform(0, self.faults.outage))
            server = await asyncio.start_server(self.connected, "127.0.0.1", port, backlog=512)


def venue_id(booked: Booked) -> str:
    """The venue's id of an order."""
    return booked.order_id.removeprefix("api-")


async def serve(faults: Faults, seed: int, home: Path | None) -> None:
    """Serve until standard input ends."""
    exchange = Exchange(faults, seed, None if home is None else row_state_of(home))
    loop = asyncio.get_running_loop()
    ended = loop.run_in_executor(None, sys.stdin.buffer.read)
    working = [
        asyncio.ensure_future(exchange.listen(lambda port: print(port, flush=True))),  # noqa: T201 - the parent reads it
        asyncio.ensure_future(exchange.strangers()),
    ]
    await ended
    for task in working:
        task.cancel()


def row_state_of(home: Path) -> Callable[[str], str | None]:
    """The state in the ledger of `home` of the intent with a label, read through a separate connection."""
    import sqlite3

    def look_up(label: str) -> str | None:
        connection = sqlite3.connect(home / "safety.db", timeout=10)
        try:
            row = connection.execute("SELECT state FROM intents WHERE label = ?", (label,)).fetchone()
        finally:
            connection.close()
        return None if row is None else str(row[0])

    return look_up


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    asyncio.run(serve(Faults(**given), int(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None))

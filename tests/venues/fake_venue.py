"""A fake exchange on loopback: true candles, an order book, and faults on the wire. Each venue adds its dialect.

A candle is a pure function of symbol, length and time, as decimal text, so that a test can compare the client's copy to
the last digit.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, get_args
from urllib.parse import parse_qs, urlsplit

Fault = Literal[
    "refused", "reset before", "hang before", "429 before", "503 before", "rejected", "stale clock", "internal before",
    "reset after", "hang after", "502 after", "unknown after", "internal after", "truncated after", "empty after",
    "half after",
]  # fmt: skip
"""Faults of a request that changes something. `before`: it changed nothing; `after`: it did."""

AFTER: frozenset[str] = frozenset(fault for fault in get_args(Fault) if fault.endswith(" after"))
HANG_SECONDS = 1.0

Row = tuple[str, str, str, str, str]


@lru_cache(maxsize=50_000)
def truth(symbol: str, seconds: int, opened: int) -> Row:
    """Open, high, low, close and volume of a bar, as an exchange writes them."""
    step = opened // seconds
    seed = sum(map(ord, symbol))

    def cents(at: int) -> int:
        return round((30_000 + seed + 4_000 * math.sin(at / 97) + 300 * math.sin(at / 7 + seed)) * 100)

    first, last = cents(step), cents(step + 1)
    spread = (step * 7919 + seed) % 5_000
    volume = (step * 104_729 + seed) % 1_000_000 + 1
    high, low = max(first, last) + spread, min(first, last) - spread
    prices = f"{first / 100:.2f}", f"{high / 100:.2f}", f"{low / 100:.2f}", f"{last / 100:.2f}"
    return *prices, f"{volume / 10_000:.5f}"


@dataclass(frozen=True)
class Request:
    """A request from a client."""

    method: str
    path: str
    query: dict[str, str]
    body: str
    headers: dict[str, str]

    @property
    def form(self) -> dict[str, str]:
        """The body of a form, or the query if there is none."""
        return {k: v[-1] for k, v in parse_qs(self.body).items()} if self.body else self.query

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body or "{}")


@dataclass
class FakeOrder:
    """An order on the book. Amounts and prices are decimals in the venue's own units."""

    id: str
    client_id: str
    symbol: str
    side: str
    kind: str
    amount: Decimal
    price: Decimal | None
    filled: Decimal = Decimal(0)
    status: str = "open"
    at: float = field(default_factory=time.time)
    ended_as: str = ""

    @property
    def fill_price(self) -> Decimal:
        """The fill price."""
        return self.price or Decimal("30000.00")


Answer = tuple[int, Any]


class FakeVenue:
    """The part that the dialects share.

    Attributes:
        faults: Each request that places an order takes one from the left.
        read_faults: Each other request takes one: a status, `reset`, `hang` or `429:SECONDS`.
        holes: Says which bars do not exist.
        last: The price now, if the test sets it; limit orders that cross it then fill at once.
        pairs: Orders of which a fill or a cancellation of one cancels the other, by id, both ways.
        position: Base units of an open position in bitcoin, long from 29,000. `profit` is its unrealised profit.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self.requests: list[Request] = []
        self.faults: deque[Fault] = deque()
        self.read_faults: deque[str] = deque()
        self.holes: Callable[[str, int], bool] = lambda _symbol, _opened: False
        self.listed_since = 0
        self.off_grid = 0
        self.orders: dict[str, FakeOrder] = {}
        self.cash: dict[str, Decimal] = {"USDT": Decimal(10_000), "BTC": Decimal(1), "KRW": Decimal(10_000_000)}
        self.may_withdraw = False
        self.last: Decimal | None = None
        self.position, self.profit = Decimal(0), Decimal(0)
        self.pairs: dict[str, str] = {}
        self.lock = threading.RLock()
        self._next = 1000

    # To be implemented by a dialect.

    def answer(self, request: Request) -> Answer:
        """The venue's answer to a request."""
        raise NotImplementedError

    def places(self, request: Request) -> bool:
        """Whether a request places an order."""
        raise NotImplementedError

    def rejection(self, fault: Fault) -> Answer:
        """The venue's message for `rejected`, `stale clock`, `internal before`, `unknown after`, `internal after`."""
        raise NotImplementedError

    # Shared by the dialects.

    def bars(self, symbol: str, seconds: int, since: int, until: int, limit: int) -> list[tuple[int, Row]]:
        """The first `limit` bars with `since <= open time < until`, the open one included."""
        found: list[tuple[int, Row]] = []
        at = max(-(-since // seconds) * seconds, -(-self.listed_since // seconds) * seconds)
        end = min(until, self.now())
        while at < end and len(found) < limit:
            if not self.holes(symbol, at):
                found.append((at + self.off_grid, truth(symbol, seconds, at)))
            at += seconds
        return found

    def place(
        self, client_id: str, symbol: str, side: str, kind: str, amount: Decimal, price: Decimal | None
    ) -> FakeOrder:
        """Put an order on the book; a market order is filled at once."""
        with self.lock:
            self._next += 1
            order = FakeOrder(str(self._next), client_id, symbol, side, kind, amount, price)
            if kind == "market" or (kind == "limit" and self._crosses(side, price)):
                order.status, order.filled = "filled", amount
            self.orders[order.id] = order
            return order

    def _crosses(self, side: str, price: Decimal | None) -> bool:
        if self.last is None or price is None:
            return False
        return price >= self.last if side.lower() == "buy" else price <= self.last

    def link(self, first: FakeOrder, second: FakeOrder) -> None:
        """Make a pair of two orders."""
        self.pairs[first.id], self.pairs[second.id] = second.id, first.id

    def fill(self, order: FakeOrder) -> None:
        """Fill a resting order, and cancel the other one of its pair."""
        order.status, order.filled = "filled", order.amount
        self.end_pair(order)

    def end(self, order: FakeOrder, state: str, filled: str = "0") -> None:
        """End an order before it has filled, in the venue's own word; the other one of its pair stays."""
        order.status, order.filled, order.ended_as = "canceled", Decimal(filled), state

    def end_pair(self, order: FakeOrder) -> None:
        """Cancel the other order of a pair."""
        if order.id in self.pairs:
            self.orders[self.pairs[order.id]].status = "canceled"

    def by_client_id(self, client_id: str) -> FakeOrder | None:
        """The newest order with that id."""
        with self.lock:
            return next((o for o in reversed(self.orders.values()) if o.client_id == client_id), None)

    def count(self, path: str) -> int:
        """The number of requests to a path."""
        return sum(1 for request in self.requests if path in request.path)


@contextmanager
def serving(venue: FakeVenue) -> Generator[str]:
    """Serve a venue; yields its base URL."""

    class Handler(_Handler):
        fake = venue

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients that disconnect are not worth a log line."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    fake: FakeVenue
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    """Head and body go out together. A body in a packet of its own waits 40 ms until the head is acknowledged."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer."""
        self._serve()

    do_POST = do_DELETE = do_PUT = do_GET  # noqa: N815 - the base class's names

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            self.command,
            parts.path,
            {k: v[-1] for k, v in parse_qs(parts.query).items()},
            self.rfile.read(length).decode() if length else "",
            dict(self.headers.items()),
        )
        fake = self.fake
        with fake.lock:
            fake.requests.append(request)
            placing = fake.places(request)
            fault = fake.faults.popleft() if placing and fake.faults else None
            trouble = fake.read_faults.popleft() if not placing and fake.read_faults else None
        if trouble is not None:
            self._trouble(trouble)
        elif fault is None:
            self._send(*fake.answer(request))
        else:
            self._fail(fault, request)

    def _trouble(self, trouble: str) -> None:
        status, _, wait = trouble.partition(":")
        if status == "reset":
            self._reset()
        elif status == "hang":
            time.sleep(HANG_SECONDS)
            self._reset()
        elif status != "ok":
            self._send(int(status), {"code": -1, "msg": "trouble"}, {"Retry-After": wait} if wait else {})

    def _fail(self, fault: Fault, request: Request) -> None:
        """Apply the fault, after placing the order or without placing it."""
        fake = self.fake
        answer: Answer = fake.answer(request) if fault in AFTER else (200, {})
        text = json.dumps(answer[1]).encode()
        half = text[: len(text) // 2]
        ways: dict[str, Callable[[], None]] = {
            "truncated after": lambda: self._send_raw(answer[0], half, len(text)),
            "empty after": lambda: self._send_raw(200, b"", 0),
            "half after": lambda: self._send_raw(200, half, len(half)),
            "502 after": lambda: self._send_raw(502, b"<html>bad gateway</html>", 24, "text/html"),
            "429 before": lambda: self._send(429, {"code": -1003, "msg": "Too many requests", "label": "TOO_MANY"}),
            "503 before": lambda: self._send_raw(503, b"Service Unavailable", 19, "text/plain"),
        }
        if fault.startswith("hang"):
            time.sleep(HANG_SECONDS)
        if fault.startswith(("hang", "reset", "refused")):
            self._reset()
        elif fault in ways:
            ways[fault]()
        else:
            self._send(*fake.rejection(fault))

    def _send(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        kind = "application/octet-stream" if isinstance(answer, bytes) else "application/json"
        self._send_raw(status, text, len(text), kind, headers)

    def _send_raw(
        self,
        status: int,
        body: bytes,
        length: int,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if length != len(body):
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

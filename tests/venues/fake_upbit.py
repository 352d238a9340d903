"""Upbit: 200 candles a request, no candles for minutes without trades, and its own price steps in won."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from .fake_venue import Answer, FakeOrder, FakeVenue, Fault, Request, truth

PAGE = 200
WON = Decimal(1_400)
"""Won per dollar."""


class FakeUpbit(FakeVenue):
    """Two markets, KRW-BTC and KRW-USDT. Orders trade the first."""

    def places(self, request: Request) -> bool:
        """Whether a request places an order."""
        return request.method == "POST" and request.path == "/v1/orders"

    def rejection(self, fault: Fault) -> Answer:
        """Names as documented."""
        answers: dict[str, Answer] = {
            "rejected": (400, {"error": {"name": "insufficient_funds_bid", "message": "not enough KRW"}}),
            "stale clock": (401, {"error": {"name": "jwt_verification", "message": "Failed to verify Jwt token."}}),
            "internal before": (500, {"error": {"name": "server_error", "message": "internal"}}),
            "unknown after": (504, {"error": {"name": "timeout", "message": "timeout"}}),
            "internal after": (500, {"error": {"name": "server_error", "message": "internal"}}),
        }
        return answers[fault]

    def answer(self, request: Request) -> Answer:
        """Route by path."""
        path = request.path.removeprefix("/v1/")
        if path.startswith("candles/"):
            return self._candles(path.split("/"), request)
        if path == "market/all":
            names = {"KRW-BTC": "Bitcoin", "KRW-USDT": "Tether"}
            return 200, [{"market": m, "korean_name": "-", "english_name": name} for m, name in names.items()]
        if path in {"ticker", "ticker/all"}:
            tickers = [self._ticker("KRW-BTC", self.price()), self._ticker("KRW-USDT", WON)]
            wanted = request.query.get("markets", "KRW-BTC,KRW-USDT").split(",")
            return 200, [one for one in tickers if one["market"] in wanted]
        if path == "accounts":
            return 200, [{"currency": c, "balance": f"{a}", "locked": "0"} for c, a in self.cash.items()]
        if path in {"order", "orders", "orders/open", "orders/closed"}:
            return self._order(path, request)
        return 404, {"error": {"name": "not_found", "message": path}}

    def _ticker(self, market: str, last: Decimal) -> dict[str, Any]:
        at = int(self.now() * 1_000)
        return {
            "market": market, "trade_price": float(last), "opening_price": 1, "high_price": 1, "low_price": 1,
            "prev_closing_price": 1, "change": "RISE", "change_price": 1, "change_rate": 0.01, "timestamp": at,
            "signed_change_price": 1, "signed_change_rate": 0.01, "trade_volume": 1, "acc_trade_price": 1,
            "acc_trade_price_24h": 3e9, "acc_trade_volume": 1, "acc_trade_volume_24h": 100, "trade_timestamp": at,
        }  # fmt: skip

    def price(self) -> Decimal:
        """The last price, in won."""
        return self.last or Decimal(truth("KRW-BTC", 60, int(self.now()) // 60 * 60)[3])

    def _candles(self, path: list[str], request: Request) -> Answer:
        seconds = 86_400 if path[1] == "days" else 60 * int(path[2])
        count = int(request.query.get("count", 1))
        if count > PAGE:
            return 400, {"error": {"name": "invalid_count", "message": "count"}}
        to = request.query.get("to")
        until = int(self.now()) + 1
        if to is not None:
            moment = datetime.fromisoformat(to)
            until = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        found = self.bars("KRW-BTC", seconds, until - 4 * count * seconds, until, 10 * count)[-count:]
        return 200, [self._candle(t, row) for t, row in reversed(found)]

    def _candle(self, opened: int, row: tuple[str, ...]) -> dict[str, Any]:
        first, high, low, last, volume = map(float, row)
        at = datetime.fromtimestamp(opened, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return {
            "market": "KRW-BTC", "candle_date_time_utc": at, "opening_price": first, "high_price": high,
            "low_price": low, "trade_price": last, "timestamp": opened * 1_000, "candle_acc_trade_volume": volume,
        }  # fmt: skip

    def _order(self, path: str, request: Request) -> Answer:
        if path == "orders" and request.method == "POST":
            body = request.json if request.body.startswith("{") else request.form
            side = "buy" if body["side"] == "bid" else "sell"
            price = None if body["ord_type"] == "market" else Decimal(str(body["price"]))
            kind, amount = str(body["ord_type"]), Decimal(str(body["volume"]))
            order = self.place(str(body["identifier"]), "KRW-BTC", side, kind, amount, price)
            return 201, self._told(order)
        if path.startswith("orders"):
            is_open = path != "orders/closed"
            return 200, [self._told(o) for o in self.orders.values() if (o.status == "open") == is_open]
        found = self.orders.get(request.query.get("uuid", "")) or self.by_client_id(request.query.get("identifier", ""))
        if found is None:
            return 404, {"error": {"name": "order_not_found", "message": "not found"}}
        if request.method == "DELETE":
            found.status = "canceled"
        return 200, self._told(found)

    def _told(self, order: FakeOrder) -> dict[str, Any]:
        state = {"open": "wait", "filled": "done", "canceled": "cancel"}[order.status]
        at = datetime.fromtimestamp(int(order.at), UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
        return {
            "uuid": order.id, "identifier": order.client_id, "market": "KRW-BTC", "state": state,
            "side": "bid" if order.side == "buy" else "ask", "price": f"{order.price or 0}",
            "ord_type": order.kind, "volume": f"{order.amount}",
            "remaining_volume": f"{order.amount - order.filled}", "executed_volume": f"{order.filled}",
            "created_at": at, "paid_fee": "0", "reserved_fee": "0", "remaining_fee": "0", "locked": "0",
            "trades_count": 0, "trades": [],
        }  # fmt: skip

"""Gate, spot and USDT perpetuals: perpetual amounts are contracts, and client order ids are soon forgotten."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from .fake_venue import Answer, FakeOrder, FakeVenue, Fault, Request, truth

_SECONDS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "4h": 14_400, "1d": 86_400}
MULTIPLIER = Decimal("0.0001")


class FakeGate(FakeVenue):
    """Both markets under one host, as Gate has them."""

    fee, least_amount, least_value = "0.2", "0.00001", "3"
    """The terms of its spot pair: fee in percent, smallest amount, smallest value."""
    is_unified = False
    """Whether spot and perpetuals share one account."""
    forgets_ids = False
    """Whether our id no longer finds an order, as happens soon after the order ends."""

    def places(self, request: Request) -> bool:
        """Whether a request places an order."""
        return request.method == "POST" and request.path.endswith("/orders")

    def rejection(self, fault: Fault) -> Answer:
        """Labels as documented."""
        answers: dict[str, Answer] = {
            "rejected": (400, {"label": "BALANCE_NOT_ENOUGH", "message": "Not enough balance"}),
            "stale clock": (403, {"label": "REQUEST_EXPIRED", "message": "gap between request Timestamp and server"}),
            "internal before": (500, {"label": "INTERNAL", "message": "internal server error"}),
            "unknown after": (504, {"label": "SERVER_ERROR", "message": "timeout"}),
            "internal after": (500, {"label": "INTERNAL", "message": "internal server error"}),
        }
        return answers[fault]

    def answer(self, request: Request) -> Answer:
        """Route by path."""
        path = request.path.removeprefix("/api/v4")
        routes: dict[str, Callable[[Request], Answer]] = {
            "/spot/currency_pairs": self._pairs,
            "/margin/currency_pairs": self._none,
            "/futures/usdt/contracts": self._contracts,
            "/spot/tickers": self._tickers,
            "/futures/usdt/tickers": self._tickers,
            "/spot/candlesticks": self._candles,
            "/futures/usdt/candlesticks": self._candles,
            "/spot/accounts": self._accounts,
            "/futures/usdt/accounts": self._futures_account,
            "/account/detail": self._detail,
            "/unified/accounts": self._unified_account,
            "/futures/usdt/positions": self._positions,
            "/spot/open_orders": self._open_spot,
        }
        if path.endswith("/leverage"):
            return 200, {"contract": "BTC_USDT", "leverage": request.query["leverage"], "size": 0, "mode": "single"}
        if path in routes:
            return routes[path](request)
        for prefix in ("/spot/orders", "/futures/usdt/orders"):
            if path.startswith(prefix):
                return self._orders(path.removeprefix(prefix).strip("/"), request, is_futures="futures" in prefix)
        return 404, {"label": "NOT_FOUND", "message": path}

    def _none(self, _: Request) -> Answer:
        return 200, []

    def _pairs(self, _: Request) -> Answer:
        pair = {"id": "BTC_USDT", "base": "BTC", "quote": "USDT", "fee": self.fee}
        least = {"min_base_amount": self.least_amount, "min_quote_amount": self.least_value}
        rules = {**least, "amount_precision": 6, "precision": 1, "trade_status": "tradable"}
        return 200, [{**pair, **rules, "sell_start": 0, "buy_start": 0}]

    def _contracts(self, _: Request) -> Answer:
        contract = {
            "name": "BTC_USDT", "type": "direct", "quanto_multiplier": f"{MULTIPLIER}", "order_price_round": "0.1",
            "order_size_min": 1, "order_size_max": 1_000_000, "leverage_max": "100", "leverage_min": "1",
            "maker_fee_rate": "-0.0001", "taker_fee_rate": "0.0005", "in_delisting": False, "mark_price": "30000",
            "funding_interval": 28_800, "order_price_deviate": "0.5",
        }  # fmt: skip
        return 200, [contract]

    def _price(self) -> Decimal:
        return self.last or Decimal(truth("BTC_USDT", 60, int(self.now()) // 60 * 60)[3])

    def _tickers(self, _: Request) -> Answer:
        last = f"{self._price()}"
        ticker = {
            "currency_pair": "BTC_USDT", "contract": "BTC_USDT", "last": last, "lowest_ask": last, "highest_bid": last,
            "change_percentage": "1.5", "base_volume": "100", "quote_volume": "3000000", "volume_24h_settle": "3000000",
            "high_24h": last, "low_24h": last, "volume_24h": "100", "volume_24h_base": "100",
            "volume_24h_quote": "3000000", "mark_price": last, "index_price": last, "funding_rate": "0.0001",
        }  # fmt: skip
        return 200, [ticker]

    def _candles(self, request: Request) -> Answer:
        query, is_futures = request.query, "futures" in request.path
        seconds = _SECONDS[query["interval"]]
        if "from" in query and "limit" in query:
            return 400, {"label": "INVALID_PARAM_VALUE", "message": "from and limit exclude each other"}
        until = int(query.get("to", self.now()))
        since = int(query["from"]) if "from" in query else until - int(query.get("limit", 100)) * seconds
        if since < self.now() - 10_000 * seconds:
            message = "Candlestick too long ago. Maximum 10000 points recently are allowed"
            return 400, {"label": "INVALID_PARAM_VALUE", "message": message}
        found = self.bars("BTC_USDT", seconds, since, until + 1, 1_999 if is_futures else 1_000)
        if is_futures:
            return 200, [{"t": t, "o": o, "h": h, "l": low, "c": c, "v": 1, "sum": v} for t, (o, h, low, c, v) in found]
        return 200, [[f"{t}", "0", c, h, low, o, v, "true"] for t, (o, h, low, c, v) in found]

    def _accounts(self, _: Request) -> Answer:
        return 200, [{"currency": c, "available": f"{a}", "locked": "0"} for c, a in self.cash.items()]

    def _futures_account(self, _: Request) -> Answer:
        return 200, {"currency": "USDT", "total": "10000", "available": "10000", "position_margin": "0"}

    def _detail(self, _: Request) -> Answer:
        return 200, {"user_id": 7, "ip_whitelist": [], "key": {"mode": 2 if self.is_unified else 1}, "tier": 0}

    def _unified_account(self, _: Request) -> Answer:
        """A futures account of 500 and a profit of `profit` beside the cash of each currency."""
        rows = {
            c: {"available": f"{a}", "freeze": "0", "borrowed": "0", "total_liab": "0"} | {"equity": f"{a}"}
            for c, a in self.cash.items()
        }
        rows["USDT"]["equity"] = f"{self.cash['USDT'] + 500 + self.profit}"
        return 200, {"user_id": 7, "locked": False, "balances": rows, "unified_account_total_equity": "0"}

    def _positions(self, _: Request) -> Answer:
        if not self.position:
            return 200, []
        row = {
            "contract": "BTC_USDT", "size": int(self.position / MULTIPLIER), "leverage": "1", "entry_price": "29000",
            "mark_price": f"{self._price()}", "unrealised_pnl": f"{self.profit}", "value": "60", "mode": "single",
            "liq_price": "1000", "margin": "30", "user": 7, "leverage_max": "100", "cross_leverage_limit": "0",
        }  # fmt: skip
        return 200, [row]

    def _open_spot(self, _: Request) -> Answer:
        found = [self._spot(o) for o in self.orders.values() if o.status == "open"]
        return 200, [{"currency_pair": "BTC_USDT", "total": len(found), "orders": found}]

    def _orders(self, name: str, request: Request, *, is_futures: bool) -> Answer:
        tell = self._future if is_futures else self._spot
        if request.method == "POST":
            return 201, tell(self._put(request.json, is_futures=is_futures))
        if not name:
            wanted = request.query.get("status", "open")
            states = {"open": {"open"}, "finished": {"filled", "canceled"}}[wanted]
            return 200, [tell(o) for o in reversed(self.orders.values()) if o.status in states]
        by_id = None if self.forgets_ids else self.by_client_id(name)
        order = self.orders.get(name) or by_id
        if order is None:
            return 404, {"label": "ORDER_NOT_FOUND", "message": "Order not found"}
        if request.method == "DELETE":
            if order.status != "open":
                return 400, {"label": "ORDER_CLOSED", "message": "Order closed"}
            order.status = "canceled"
        return 200, tell(order)

    def _put(self, body: dict[str, Any], *, is_futures: bool) -> FakeOrder:
        text = str(body["text"])
        if not text.startswith("t-") or len(text) > 28:
            raise ValueError(text)
        if not is_futures:
            kind = str(body["type"])
            price = Decimal(body["price"]) if kind == "limit" else None
            return self.place(text, "BTC_USDT", str(body["side"]), kind, Decimal(body["amount"]), price)
        size, price = int(body["size"]), Decimal(body["price"])
        kind = "market" if price == 0 else "limit"
        side = "buy" if size > 0 else "sell"
        return self.place(text, "BTC_USDT", side, kind, Decimal(abs(size)), None if price == 0 else price)

    def _spot(self, order: FakeOrder) -> dict[str, Any]:
        status = {"open": "open", "filled": "closed", "canceled": "cancelled"}[order.status]
        return {
            "id": order.id, "text": order.client_id, "currency_pair": "BTC_USDT", "status": status, "type": order.kind,
            "account": "spot", "side": order.side, "amount": f"{order.amount}", "price": f"{order.price or 0}",
            "time_in_force": "gtc", "left": f"{order.amount - order.filled}", "fee": "0", "fee_currency": "BTC",
            "filled_total": f"{order.filled * order.fill_price}", "create_time": f"{int(order.at)}",
            "update_time": f"{int(order.at)}", "create_time_ms": f"{int(order.at * 1000)}",
            "update_time_ms": f"{int(order.at * 1000)}", "avg_deal_price": f"{order.fill_price}",
        }  # fmt: skip

    def _future(self, order: FakeOrder) -> dict[str, Any]:
        sign = 1 if order.side == "buy" else -1
        finish = order.ended_as or {"open": None, "filled": "filled", "canceled": "cancelled"}[order.status]
        return {
            "id": int(order.id), "text": order.client_id, "contract": "BTC_USDT", "size": sign * int(order.amount),
            "left": sign * int(order.amount - order.filled), "price": f"{order.price or 0}", "tif": "gtc",
            "fill_price": f"{order.fill_price if order.filled else 0}", "create_time": order.at, "user": 1,
            "status": "open" if order.status == "open" else "finished", "finish_as": finish, "is_reduce_only": False,
        }  # fmt: skip

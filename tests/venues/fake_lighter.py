"""Lighter: candles in windows, signed transactions whose answer shows no order, and lists to find orders in."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from .fake_venue import Answer, FakeOrder, FakeVenue, Fault, Request, truth

_SECONDS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "4h": 14_400, "1d": 86_400}
PAGE = 500
CREATE_ORDER, CANCEL_ORDER, UPDATE_LEVERAGE = 14, 15, 20


class FakeLighter(FakeVenue):
    """One perpetual, BTC."""

    leverages: list[Decimal]
    """The leverage values set, in order."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.cash = {"USDC": Decimal(10_000)}
        self.leverages = []
        self.position, self.profit = Decimal("0.02"), Decimal(10)

    def places(self, request: Request) -> bool:
        """Whether a request sends a signed order."""
        return request.path.endswith("/sendTx") and int(request.form["tx_type"]) == CREATE_ORDER

    def rejection(self, fault: Fault) -> Answer:
        """Codes as its documents list them."""
        return {
            "rejected": (400, {"code": 21739, "message": "not enough margin to create the order"}),
            "stale clock": (400, {"code": 21711, "message": "invalid expiry"}),
            "internal before": (500, {"code": 20500, "message": "internal server error"}),
            "unknown after": (504, {"code": 20504, "message": "timeout"}),
            "internal after": (500, {"code": 20500, "message": "internal server error"}),
        }[fault]

    def answer(self, request: Request) -> Answer:
        """Route by path."""
        path = request.path.rsplit("/", 1)[-1]
        if path == "orderBookDetails":
            return 200, {"code": 200, "order_book_details": [self._market()], "spot_order_book_details": []}
        if path == "candles":
            return 200, {"code": 200, "r": request.query["resolution"], "c": self._candles(request.query)}
        if path == "account":
            return 200, {"code": 200, "total": 1, "accounts": [self._account(request.query["value"])]}
        if path == "sendTx":
            return self._transaction(int(request.form["tx_type"]), json.loads(request.form["tx_info"]))
        if path in {"accountActiveOrders", "accountInactiveOrders"}:
            if "Authorization" not in request.headers:
                return 400, {"code": 20013, "message": "invalid auth"}
            is_active = path == "accountActiveOrders"
            found = [o for o in reversed(self.orders.values()) if (o.status == "open") == is_active]
            return 200, {"code": 200, "orders": [self._told(order) for order in found[:100]]}
        return 404, {"code": 404, "message": path}

    def _transaction(self, kind: int, signed: dict[str, Any]) -> Answer:
        if kind == CREATE_ORDER:
            client_id = str(signed["ClientOrderIndex"])
            if any(o.client_id == client_id and o.status == "open" for o in self.orders.values()):
                return 400, {"code": 21728, "message": "client order index already exists"}
            amount, price = Decimal(signed["BaseAmount"]).scaleb(-5), Decimal(signed["Price"]).scaleb(-1)
            self.place(client_id, "BTC", "sell" if signed["IsAsk"] else "buy", "limit", amount, price)
        elif kind == CANCEL_ORDER:
            order = self.orders.get(str(signed["Index"]))
            if order is None or order.status != "open":
                return 400, {"code": 21600, "message": "given order is not an active limit order"}
            order.status = "canceled"
        elif kind == UPDATE_LEVERAGE:
            self.leverages.append(Decimal(10_000) / signed["InitialMarginFraction"])
        else:
            return 400, {"code": 21505, "message": "unsupported tx type"}
        return 200, {"code": 200, "message": "{}", "tx_hash": "ab12", "predicted_execution_time_ms": 1}

    def _account(self, index: str) -> dict[str, Any]:
        resting = sum(1 for order in self.orders.values() if order.status == "open")
        position = {
            "market_id": 1, "symbol": "BTC", "initial_margin_fraction": "5.00", "open_order_count": resting,
            "pending_order_count": 0, "position_tied_order_count": 0, "sign": 1, "position": f"{self.position:.5f}",
            "avg_entry_price": "30000.0", "position_value": "610.000000", "unrealized_pnl": f"{self.profit:.6f}",
            "realized_pnl": "0.000000", "liquidation_price": "20000", "margin_mode": 0, "allocated_margin": "0.000000",
        }  # fmt: skip
        cash = f"{self.cash['USDC']:.6f}"
        return {
            "code": 0, "account_type": 0, "index": int(index), "available_balance": cash, "collateral": cash,
            "positions": [position], "assets": [], "shares": [], "status": 1, "total_asset_value": cash,
        }  # fmt: skip

    def _told(self, order: FakeOrder) -> dict[str, Any]:
        status = {"open": "open", "filled": "filled", "canceled": "canceled"}[order.status]
        return {
            "order_index": int(order.id), "client_order_index": int(order.client_id), "order_id": order.id,
            "client_order_id": order.client_id, "market_index": 1, "initial_base_amount": f"{order.amount:.5f}",
            "price": f"{order.price:.1f}", "remaining_base_amount": f"{order.amount - order.filled:.5f}",
            "is_ask": order.side == "sell", "filled_base_amount": f"{order.filled:.5f}", "filled_quote_amount": "0",
            "type": "limit", "time_in_force": "good-till-time", "reduce_only": False, "trigger_price": "0.0",
            "status": status, "timestamp": int(order.at), "created_at": int(order.at), "updated_at": int(order.at),
        }  # fmt: skip

    def _market(self) -> dict[str, Any]:
        last = float(self.last or truth("BTC", 60, int(self.now()) // 60 * 60)[3])
        return {
            "symbol": "BTC", "market_id": 1, "market_type": "perp", "status": "active", "taker_fee": "0.0000",
            "maker_fee": "0.0000", "liquidation_fee": "1.0", "min_base_amount": "0.00020", "min_quote_amount": "10.0",
            "supported_size_decimals": 5, "supported_price_decimals": 1, "supported_quote_decimals": 6,
            "size_decimals": 5, "price_decimals": 1, "quote_multiplier": 1, "default_initial_margin_fraction": 500,
            "min_initial_margin_fraction": 200, "maintenance_margin_fraction": 120, "closeout_margin_fraction": 80,
            "last_trade_price": last, "daily_trades_count": 1, "daily_base_token_volume": 100.0,
            "daily_quote_token_volume": 3_000_000.0, "daily_price_low": last, "daily_price_high": last,
            "daily_price_change": 0.5, "open_interest": 1.0, "daily_chart": {}, "order_quote_limit": "",
        }  # fmt: skip

    def _candles(self, query: dict[str, str]) -> list[dict[str, Any]]:
        seconds = _SECONDS[query["resolution"]]
        since, until = int(query["start_timestamp"]) // 1_000, int(query["end_timestamp"]) // 1_000
        return [
            {"t": t * 1_000} | {name: float(text) for name, text in zip("ohlcv", row, strict=True)}
            for t, row in self.bars("BTC", seconds, since, until, PAGE)
        ]

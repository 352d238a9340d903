"""Lighter, as far as it is read: its markets, candles in windows, and an account."""

from __future__ import annotations

from typing import Any

from .fake_venue import Answer, FakeVenue, Fault, Request, truth

_SECONDS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "4h": 14_400, "1d": 86_400}
PAGE = 500


class FakeLighter(FakeVenue):
    """One perpetual, BTC."""

    def places(self, request: Request) -> bool:
        """Whether a request sends a signed transaction."""
        return request.path.endswith("/sendTx")

    def rejection(self, fault: Fault) -> Answer:
        """Not used: orders are not sent to it."""
        raise NotImplementedError(fault)

    def answer(self, request: Request) -> Answer:
        """Route by path."""
        path = request.path.rsplit("/", 1)[-1]
        if path == "orderBookDetails":
            return 200, {"code": 200, "order_book_details": [self._market()], "spot_order_book_details": []}
        if path == "candles":
            return 200, {"code": 200, "r": request.query["resolution"], "c": self._candles(request.query)}
        return 404, {"code": 404, "message": path}

    def _market(self) -> dict[str, Any]:
        last = float(truth("BTC", 60, int(self.now()) // 60 * 60)[3])
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

"""Polymarket: open markets, price history in windows of 15 days, order books, and signed orders.

An order's id is the hash of the signed data (EIP-712), computed here field by field.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, cast

from .fake_venue import Answer, FakeOrder, FakeVenue, Fault, Request, truth

WINDOW = 15 * 86_400
YES, NO = (
    "71321045679252212594626385532706912750332728571942532289631379312455583992563",
    "52114319501245915516055106046884209969926127482827954674443846427813813222426",
)


class FakePolymarket(FakeVenue):
    """One question with two tokens. A price every minute, below 1."""

    page_size = 2
    shows_ended = True
    """Whether an ended order can still be read by its id."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.cash = {"USDC": Decimal(10_000)}

    def places(self, request: Request) -> bool:
        """Whether a request places an order."""
        return request.method == "POST" and request.path == "/order"

    def rejection(self, fault: Fault) -> Answer:
        """Messages as its documents list them."""
        return {
            "rejected": (400, {"error": "not enough balance / allowance"}),
            "stale clock": (400, {"error": "invalid signature"}),
            "internal before": (500, {"error": "error inserting the order"}),
            "unknown after": (504, {"error": "timeout"}),
            "internal after": (500, {"error": "error inserting the order"}),
        }[fault]

    def answer(self, request: Request) -> Answer:
        """Route by path."""
        if request.path == "/markets":
            return 200, [] if int(request.query.get("offset", 0)) else [self._market()]
        if request.path == "/prices-history":
            return self._history(request.query)
        if request.path == "/book":
            book: dict[str, Any] = {
                "bids": [{"price": "0.41", "size": "10"}],
                "asks": [{"price": "0.43", "size": "10"}],
            }
            return 200, book | {"timestamp": str(int(self.now() * 1_000)), "last_trade_price": f"{self.last or '0.42'}"}
        if request.path == "/positions":
            return 200, [position(request.query["user"])]
        if request.path == "/auth/derive-api-key":
            return 200, {"apiKey": "the-key", "secret": "c2VjcmV0LWNhbmFyeQ==", "passphrase": "canary-phrase"}
        if "POLY_API_KEY" not in {name.upper() for name in request.headers}:
            return 401, {"error": "Unauthorized/Invalid api key"}
        return self._private(request)

    def _private(self, request: Request) -> Answer:
        if request.path == "/balance-allowance":
            return 200, {"balance": f"{self.cash['USDC'] * 1_000_000:.0f}", "allowances": {}}
        if request.path.startswith("/data/order/"):
            order = self.orders.get(request.path.rpartition("/")[2])
            if order is None or (order.status != "open" and not self.shows_ended):
                return 404, {"error": "order not found"}
            return 200, self._told(order)
        if request.path in {"/data/orders", "/data/trades"}:
            return 200, self._page(request)
        if request.path == "/order" and request.method == "POST":
            return self._place(request.json)
        if request.path == "/order" and request.method == "DELETE":
            wanted = request.json["orderID"]
            found = self.orders.get(wanted)
            if found is None or found.status != "open":
                return 200, {"canceled": [], "not_canceled": {wanted: "order can't be found - already canceled"}}
            found.status = "canceled"
            return 200, {"canceled": [wanted], "not_canceled": {}}
        return 404, {"error": request.path}

    def _page(self, request: Request) -> dict[str, Any]:
        """The rows of a page, newest first."""
        is_orders = request.path == "/data/orders"
        rows = [o for o in reversed(self.orders.values()) if (o.status == "open") == is_orders]
        if not is_orders:
            rows = [o for o in rows if o.filled]
        first = int(request.query.get("next_cursor", 0))
        told = [self._told(o) if is_orders else self._trade(o) for o in rows[first : first + self.page_size]]
        return {
            "data": told,
            "next_cursor": str(first + self.page_size) if len(rows) > first + self.page_size else "LTE=",
        }

    def _place(self, body: dict[str, Any]) -> Answer:
        signed = body["order"]
        order_id = order_hash(signed)
        if order_id in self.orders:
            return 400, {"error": "order is invalid. Duplicated."}
        give, take = Decimal(signed["makerAmount"]), Decimal(signed["takerAmount"])
        cash, size = (give, take) if signed["side"] == "BUY" else (take, give)
        side, amount = str(signed["side"]).lower(), size.scaleb(-6)
        order = FakeOrder(order_id, str(signed["salt"]), signed["tokenId"], side, "limit", amount, cash / size)
        if body["orderType"] == "FOK":
            order.status, order.filled = "filled", order.amount
        with self.lock:
            self.orders[order_id] = order
        status = "live" if order.status == "open" else "matched"
        return 200, {"success": True, "errorMsg": "", "orderID": order_id, "status": status, "takingAmount": ""}

    def _told(self, order: FakeOrder) -> dict[str, Any]:
        return {
            "id": order.id, "status": {"open": "LIVE", "filled": "MATCHED", "canceled": "CANCELED"}[order.status],
            "asset_id": order.symbol, "side": order.side.upper(), "original_size": f"{order.amount}",
            "size_matched": f"{order.filled}", "price": f"{order.price}", "created_at": int(order.at),
            "outcome": "Yes", "owner": "the-key", "order_type": "GTC", "associate_trades": [], "market": "0x1",
        }  # fmt: skip

    def _trade(self, order: FakeOrder) -> dict[str, Any]:
        return {
            "id": f"trade-{order.id[:8]}", "taker_order_id": order.id, "asset_id": order.symbol, "maker_orders": [],
            "size": f"{order.filled}", "price": f"{order.price}", "status": "CONFIRMED", "side": order.side.upper(),
        }  # fmt: skip

    def _market(self) -> dict[str, Any]:
        return {
            "id": "1", "question": "Will it rain?", "conditionId": "0x1", "slug": "rain", "volume24hr": 1_000,
            "endDate": "2027-01-01T00:00:00Z", "clobTokenIds": json.dumps([YES, NO]), "closed": False, "active": True,
            "outcomes": json.dumps(["Yes", "No"]), "outcomePrices": json.dumps(["0.42", "0.58"]), "negRisk": False,
            "orderPriceMinTickSize": 0.01, "orderMinSize": 5, "bestBid": 0.41, "bestAsk": 0.43,
        }  # fmt: skip

    def _history(self, query: dict[str, str]) -> Answer:
        since, until = int(query["startTs"]), int(query["endTs"])
        if until - since > WINDOW:
            return 400, {"error": "invalid filters: 'startTs' and 'endTs' interval is too long"}
        step = 60 * int(query["fidelity"])
        times = range(-(-since // step) * step, min(until, int(self.now())), step)
        return 200, {"history": [{"t": t + 5, "p": chance(t)} for t in times]}


def chance(at: int) -> float:
    """The price at a time."""
    return round(float(truth("rain", 60, at)[3]) / 100_000, 3)


def position(wallet: str) -> dict[str, Any]:
    """A wallet's holding of the first token."""
    return {
        "proxyWallet": wallet, "asset": YES, "conditionId": "0x1", "size": 50.25, "avgPrice": 0.4, "curPrice": 0.42,
        "initialValue": 20.1, "currentValue": 21.105, "cashPnl": 1.005, "realizedPnl": 0, "title": "Will it rain?",
        "outcome": "Yes", "outcomeIndex": 0, "slug": "rain", "negativeRisk": False, "endDate": "2027-01-01",
    }  # fmt: skip


def order_hash(signed: dict[str, Any]) -> str:
    """The id of a signed order: the hash of its fields under the exchange's contract on Polygon."""

    def word(value: object) -> bytes:
        text = str(value)
        number = int(text, 16) if text.startswith("0x") else int(text)
        return number.to_bytes(32, "big")

    numbers = {**signed, "side": 0 if signed["side"] == "BUY" else 1}
    fields = b"".join(word(numbers[name]) for name in _FIELDS)
    contract = "0xE111180000d2663C0091e4f400237545B87B996B"
    domain = keccak(_DOMAIN) + keccak(b"Polymarket CTF Exchange") + keccak(b"2") + word(137) + word(contract)
    return "0x" + keccak(b"\x19\x01" + keccak(domain) + keccak(keccak(_ORDER) + fields)).hex()


def keccak(data: bytes) -> bytes:
    """Keccak-256."""
    from ccxt.static_dependencies import keccak as library

    return bytes(cast("Any", library).SHA3(data))


_FIELDS = (
    "salt", "maker", "signer", "tokenId", "makerAmount", "takerAmount", "side", "signatureType", "timestamp",
    "metadata", "builder",
)  # fmt: skip
_ORDER = (
    b"Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,uint256 takerAmount,"
    b"uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,bytes32 builder)"
)
_DOMAIN = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"

"""Hyperliquid: everything is a POST, refusals come with status 200, and only the newest 5,000 candles are served."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .fake_venue import Answer, FakeOrder, FakeVenue, Fault, Request, truth

_SECONDS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "4h": 14_400, "1d": 86_400}
NEWEST = 5_000


class FakeHyperliquid(FakeVenue):
    """One perpetual, BTC, in steps of 0.00001."""

    actions: list[str]
    role: dict[str, Any]
    """What it says about the address of the private key: by default, that it is an API wallet of the account."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.actions = []
        self.role = {"role": "agent", "data": {"user": "0x" + "11" * 20}}

    def places(self, request: Request) -> bool:
        """Whether a request places an order."""
        return request.path == "/exchange" and request.json["action"]["type"] == "order"

    def rejection(self, fault: Fault) -> Answer:
        """Refusals in the words of its documents."""
        refused = {"statuses": [{"error": "Insufficient margin to place order. asset=0"}]}
        answers: dict[str, Answer] = {
            "rejected": (200, {"status": "ok", "response": {"type": "order", "data": refused}}),
            "stale clock": (200, {"status": "err", "response": "Invalid nonce: 1"}),
            "internal before": (500, {"error": "internal"}),
            "unknown after": (504, {"error": "timeout"}),
            "internal after": (500, {"error": "internal"}),
        }
        return answers[fault]

    def answer(self, request: Request) -> Answer:
        """Route by the type of request or action."""
        if request.path == "/exchange":
            return 200, self._act(request.json["action"])
        asked = request.json
        kind = str(asked["type"])
        if kind == "candleSnapshot":
            return 200, self._candles(asked["req"])
        if kind == "orderStatus":
            return 200, self._status(asked["oid"])
        if kind in {"openOrders", "frontendOpenOrders"}:
            return 200, [self._told(order) for order in self.orders.values() if order.status == "open"]
        last = f"{self.last or self.price()}"
        ctx = {
            "markPx": last, "midPx": last, "oraclePx": last, "prevDayPx": last, "dayNtlVlm": "3000000", "funding": "0",
            "openInterest": "1", "premium": "0", "impactPxs": [last, last], "dayBaseVlm": "100",
        }  # fmt: skip
        universe = {"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}], "collateralToken": 0}
        worth = f"{10_000 + self.profit}"
        summary = {"accountValue": worth, "totalMarginUsed": "0.0", "totalNtlPos": "0.0", "totalRawUsd": "10000.0"}
        answers: dict[str, Any] = {
            "perpDexs": [None],
            "meta": universe,
            "metaAndAssetCtxs": [universe, [ctx]],
            "spotMeta": {"tokens": [{"name": "USDC", "index": 0, "szDecimals": 8}], "universe": []},
            "clearinghouseState": {
                "marginSummary": summary, "crossMarginSummary": summary, "withdrawable": "10000.0",
                "assetPositions": self._positions(), "time": int(self.now() * 1_000),
            },
            "l2Book": {"coin": "BTC", "time": int(self.now() * 1_000), "levels": [[], []]},
            "fundingHistory": [],
            "historicalOrders": [self._status(order.id)["order"] for order in reversed(self.orders.values())],
            "userAbstraction": "default",
            "userRole": self.role,
        }  # fmt: skip
        return (200, answers[kind]) if kind in answers else (422, {"error": f"no question {kind}"})

    def _positions(self) -> list[dict[str, Any]]:
        if not self.position:
            return []
        held = {
            "coin": "BTC", "szi": f"{self.position}", "entryPx": "29000.0", "leverage": {"type": "cross", "value": 1},
            "liquidationPx": "1000.0", "marginUsed": "30.0", "maxLeverage": 40, "positionValue": "60.0",
            "returnOnEquity": "0.0", "unrealizedPnl": f"{self.profit}",
        }  # fmt: skip
        return [{"position": held, "type": "oneWay"}]

    def price(self) -> Decimal:
        """The mark price, with five significant figures."""
        return Decimal(truth("BTC", 60, int(self.now()) // 60 * 60)[3]).quantize(Decimal(1))

    def _candles(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        seconds = _SECONDS[asked["interval"]]
        newest = int(self.now()) // seconds * seconds
        since = max(int(asked["startTime"]) // 1_000, newest - NEWEST * seconds)
        until = int(asked["endTime"]) // 1_000 + 1
        return [
            {"t": t * 1_000, "T": (t + seconds) * 1_000 - 1, "s": "BTC", "i": asked["interval"], "n": 1}
            | dict(zip("ohlcv", row, strict=True))
            for t, row in self.bars("BTC", seconds, since, until, NEWEST)
        ]

    def _status(self, wanted: Any) -> dict[str, Any]:
        order = self.by_client_id(str(wanted)) or self.orders.get(str(wanted))
        if order is None:
            return {"status": "unknownOid"}
        cancelled = "siblingFilledCanceled" if order.id in self.pairs else "canceled"
        state = {"open": "open", "filled": "filled", "canceled": cancelled}[order.status]
        told = {"order": self._told(order), "status": order.ended_as or state, "statusTimestamp": int(order.at * 1_000)}
        return {"status": "order", "order": told}

    def _told(self, order: FakeOrder) -> dict[str, Any]:
        left = order.amount - order.filled
        if order.kind in {"sl", "tp"}:
            rises = (order.kind == "tp") == (order.side == "sell")
            name = "Take Profit Market" if order.kind == "tp" else "Stop Market"
            condition = f"Price {'above' if rises else 'below'} {order.price}"
            waits = {
                "isTrigger": True,
                "isPositionTpsl": True,
                "triggerPx": f"{order.price}",
                "triggerCondition": condition,
            }
            return {**self._plain(order, left), **waits, "orderType": name, "reduceOnly": True, "tif": None}
        return self._plain(order, left)

    def _plain(self, order: FakeOrder, left: Decimal) -> dict[str, Any]:
        return {
            "coin": "BTC", "side": "B" if order.side == "buy" else "A", "limitPx": f"{order.price}", "sz": f"{left}",
            "oid": int(order.id), "timestamp": int(order.at * 1_000), "origSz": f"{order.amount}", "tif": "Gtc",
            "cloid": order.client_id, "orderType": "Limit", "reduceOnly": False, "triggerCondition": "N/A",
        }  # fmt: skip

    def _act(self, action: dict[str, Any]) -> dict[str, Any]:
        kind = str(action["type"])
        self.actions.append(kind)
        statuses: list[Any] = []
        if kind == "order":
            placed: list[FakeOrder] = []
            for one in action["orders"]:
                side = "buy" if one["b"] else "sell"
                trigger = one["t"].get("trigger")
                if trigger is None:
                    order = self.place(str(one["c"]), "BTC", side, "limit", Decimal(one["s"]), Decimal(one["p"]))
                elif self.refuse_exits or self._is_reached(side, trigger):
                    statuses.append({"error": "Invalid TP/SL price. asset=0"})
                    continue
                else:
                    at = Decimal(trigger["triggerPx"])
                    order = self.place(str(one["c"]), "BTC", side, trigger["tpsl"], Decimal(one["s"]), at)
                placed.append(order)
                told = {"oid": int(order.id), "cloid": order.client_id}
                filled = {"totalSz": f"{order.amount}", "avgPx": f"{order.fill_price}", **told}
                statuses.append({"resting": told} if order.status == "open" else {"filled": filled})
            if action["grouping"] == "positionTpsl" and len(placed) == 2:
                self.link(placed[0], placed[1])
        elif kind in {"cancel", "cancelByCloid"}:
            for one in action["cancels"]:
                found = self.orders.get(str(one.get("o"))) or self.by_client_id(str(one.get("cloid")))
                if found is not None:
                    found.status = "canceled"
                    self.pairs.pop(self.pairs.pop(found.id, ""), None)
                statuses.append("success" if found else {"error": "Order was never placed"})
        return {"status": "ok", "response": {"type": kind, "data": {"statuses": statuses}}}

    refuse_exits = False

    def _is_reached(self, side: str, trigger: dict[str, Any]) -> bool:
        """Whether a stop or a target at that price would trigger at once."""
        last, at = self.last or self.price(), Decimal(trigger["triggerPx"])
        falls = (side == "sell") == (trigger["tpsl"] == "sl")
        return last <= at if falls else last >= at

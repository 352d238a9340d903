"""Polymarket, as far as it is read: open markets, price history in windows of 15 days, and order books."""

from __future__ import annotations

import json
from typing import Any

from .fake_venue import Answer, FakeVenue, Fault, Request, truth

WINDOW = 15 * 86_400
YES, NO = (
    "71321045679252212594626385532706912750332728571942532289631379312455583992563",
    "52114319501245915516055106046884209969926127482827954674443846427813813222426",
)


class FakePolymarket(FakeVenue):
    """One question with two tokens. A price every minute, below 1."""

    def places(self, request: Request) -> bool:
        """Whether a request places an order."""
        return request.method == "POST" and request.path == "/order"

    def rejection(self, fault: Fault) -> Answer:
        """Not used: orders are not sent to it."""
        raise NotImplementedError(fault)

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
            return 200, book | {"timestamp": str(int(self.now() * 1_000)), "last_trade_price": "0.42"}
        return 404, {"error": request.path}

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

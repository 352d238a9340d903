"""An account on a fake exchange with exits, and restarts of the process that keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from api.accounts import OpenOrdersRequest
from api.orders import Order, OrdersRequest, PlaceRequest
from engine.store.database import Store, default_url
from engine.trading_rules import ExitOrder
from engine.venues.exchange.accounts import ExchangeAccounts
from engine.venues.exchange.markets import Markets
from engine.venues.exchange.plans import Plans
from engine.venues.exchange.session import Connector, Keys
from engine.venues.exchange.views import OwnAccount

from .fake_binance import FakeBinance
from .fake_venue import FakeOrder, FakeVenue
from .test_own_accounts import CREDENTIALS, SECRETS

NEVER = 1e6
"""Seconds between looks, long enough that none happens in a test."""


@dataclass
class Gate:
    """A gate that lets orders through, or says why not."""

    why: str = ""
    seen: list[ExitOrder] = field(default_factory=list[ExitOrder])

    def permit(self, order: ExitOrder) -> str:
        self.seen.append(order)
        return self.why


class Setup:
    """An account on the fake, its exits, and restarts of the process that keeps them."""

    def __init__(self, home: Path, url: str, fake: FakeVenue, exchange: Any, symbol: str) -> None:
        self.home, self.url, self.fake, self.exchange, self.symbol = home, url, fake, exchange, symbol
        self.kind = "market" if exchange in {"binance", "binancefuturesusd", "gatefutures"} else "limit"
        self.gate = Gate()
        self.open()

    def open(self) -> None:
        """Start a process."""
        self.store, self.turns = Store.open(default_url(self.home)), Store.open(default_url(self.home))
        self.connector = Connector(self.turns, {self.exchange: self.url})
        secrets = CREDENTIALS.get(self.exchange, SECRETS)
        own = OwnAccount("main", self.exchange, "", testnet=False, keys=lambda: Keys(secrets))
        markets = Markets(self.store, self.connector)
        self.accounts = ExchangeAccounts(self.store, self.connector, markets, lambda: [own], real_prices=True)
        self.plans: Plans = self.accounts.keep_plans(self.gate.permit, NEVER)

    def close(self) -> None:
        """End it."""
        self.plans.close()
        self.connector.close()
        self.turns.close()
        self.store.close()

    def restart(self) -> None:
        """A new process continues the old one's work."""
        self.close()
        self.open()

    def place(self, label: str, **terms: object) -> Order:
        """Buy 0.002 at the market or above it, with a stop at 28,000 and a target at 33,000."""
        given = {"account_id": "main", "exchange": self.exchange, "symbol": self.symbol, "side": "buy", "label": label}
        plan = {"amount": "0.002", "stop_loss": 28_000, "take_profit": 33_000, "order_type": self.kind}
        if self.kind == "limit":
            plan["price"] = 30_000
        return self.accounts.place(PlaceRequest.model_validate({**given, **plan, **terms}))

    def at(self, price: float) -> None:
        """Move the market and check the exits."""
        self.fake.last = Decimal(str(price))
        self.plans.look()

    def exits(self, entry: Order) -> dict[str, Order]:
        """By role."""
        return {str(o.role): o for o in self.accounts.orders(OrdersRequest()).orders if o.parent == entry.order_id}

    def states(self, entry: Order) -> list[str]:
        """The states of all exits, replaced ones included."""
        return sorted(str(o.status) for o in self.accounts.exits("main", str(entry.order_id)))

    def sent(self) -> list[FakeOrder]:
        """The venue's orders other than the entries, oldest first; a trigger order counts once."""
        apart = self.fake.algos if isinstance(self.fake, FakeBinance) else {}
        found = [one for one in (*self.fake.orders.values(), *apart.values()) if one.side.lower() == "sell"]
        return sorted(found, key=lambda order: int(order.id))

    def resting(self) -> set[tuple[str | None, str | None, Decimal | None, str | None]]:
        """The exits among the open orders: role, holder, amount and entry."""
        shown = self.accounts.open_orders(OpenOrdersRequest(account_id="main")).orders
        return {(str(o.role), o.held_by, o.amount, o.parent) for o in shown if o.parent is not None}


AT_VENUE = ("binance", "binancefuturesusd", "hyperliquid")
"""One exchange of each form: an order list, trigger orders one by one, and a group in one action."""
ENDED_AS = [("binance", "EXPIRED"), ("binancefuturesusd", "REJECTED"), ("hyperliquid", "iocCancelRejected")]
"""What each exchange calls a stop that triggered and found nobody within its bound, or too little margin."""


def on(*names: str) -> Any:
    """These exchanges only."""
    return pytest.mark.parametrize("setup", names, indirect=True)


on_spot = on("binance")

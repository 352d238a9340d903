"""Exits on own accounts: this engine watches the price and sends one exit once, whatever happens in between."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from api.accounts import OpenOrdersRequest
from api.errors import HeyTradersError, InvalidInput
from api.orders import CancelRequest, ListRequest, Order, PlaceRequest
from engine.store.database import Store, default_url
from engine.trading_rules import ExitOrder, Exits
from engine.venues.exchange import plans as plans_module
from engine.venues.exchange import session
from engine.venues.exchange.accounts import ExchangeAccounts
from engine.venues.exchange.markets import Markets
from engine.venues.exchange.plans import Plans
from engine.venues.exchange.session import Connector, Keys
from engine.venues.exchange.views import OwnAccount

from .fake_binance import FakeBinance
from .fake_venue import FakeOrder, Fault, serving

pytest.importorskip("ccxt")

NEVER = 1e6
"""Seconds between looks, long enough that none happens in a test."""


class Moving(FakeBinance):
    """Binance at a price that the test sets."""

    last = Decimal(30_000)

    def price(self, symbol: str) -> Decimal:
        del symbol
        return self.last


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

    def __init__(self, home: Path, url: str, fake: Moving, exchange: Any, symbol: str) -> None:
        self.home, self.url, self.fake, self.exchange, self.symbol = home, url, fake, exchange, symbol
        self.gate = Gate()
        self.open()

    def open(self) -> None:
        """Start a process."""
        self.store, self.turns = Store.open(default_url(self.home)), Store.open(default_url(self.home))
        self.connector = Connector(self.turns, {self.exchange: self.url})
        own = OwnAccount(
            "main", self.exchange, "", testnet=False, keys=lambda: Keys(("a-key-of-main", "a-secret-0123"))
        )
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
        """Buy 0.002 at the market, with a stop at 28,000 and a target at 33,000."""
        given = {"account_id": "main", "exchange": self.exchange, "symbol": self.symbol, "side": "buy", "label": label}
        plan = {"amount": "0.002", "stop_loss": 28_000, "take_profit": 33_000}
        return self.accounts.place(PlaceRequest.model_validate({**given, **plan, **terms}))

    def at(self, price: int) -> None:
        """Move the market and check the exits."""
        self.fake.last = Decimal(price)
        self.plans.look()

    def exits(self, entry: Order) -> dict[str, Order]:
        """By role."""
        return {str(o.role): o for o in self.accounts.orders(ListRequest()).orders if o.parent == entry.order_id}

    def sent(self) -> list[FakeOrder]:
        """The venue's orders other than the entries."""
        return [order for order in self.fake.orders.values() if order.side.lower() == "sell"]


def at_once(*_: object) -> float:
    """No rate limit delays a request."""
    return 0.0


@pytest.fixture(params=["binance", "binancefuturesusd"])
def setup(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Setup]:
    """A spot and a futures account."""
    monkeypatch.setattr(session, "take_turn", at_once)
    monkeypatch.setattr("engine.venues.exchange.accounts._LOOK_SECONDS", 0.01)
    fake = Moving()
    with serving(fake) as url:
        made = Setup(tmp_path, url, fake, request.param, "BTC/USDT" if request.param == "binance" else "BTC/USDT:USDT")
        yield made
        made.close()


on_futures = pytest.mark.parametrize("setup", ["binancefuturesusd"], indirect=True)
on_spot = pytest.mark.parametrize("setup", ["binance"], indirect=True)


@on_futures
def test_exits_wait_here_for_their_price_and_are_shown_beside_their_entry(setup: Setup) -> None:
    entry = setup.place("first")
    resting = setup.accounts.open_orders(OpenOrdersRequest(account_id="main")).orders
    setup.at(30_500)

    assert (entry.status, entry.role, entry.stop_loss) == ("FILLED", "entry", Decimal(28_000))
    assert {(o.role, o.side, o.status, o.amount, o.held_by, o.parent, o.label) for o in resting} == {
        (role, "sell", "OPEN", Decimal("0.002"), "engine", entry.order_id, None)
        for role in ("stop_loss", "take_profit")
    }
    assert setup.sent() == []


@on_spot
def test_exits_rest_as_a_pair_where_the_exchange_takes_pairs(setup: Setup) -> None:
    entry = setup.place("first")
    for _ in range(3):
        setup.at(30_500)
    resting = setup.accounts.open_orders(OpenOrdersRequest(account_id="main")).orders
    [form] = [request.form for request in setup.fake.requests if request.path.endswith("/oco")]

    assert {(o.role, o.held_by, o.amount, o.parent) for o in resting} == {
        (role, "venue", Decimal("0.002"), entry.order_id) for role in ("stop_loss", "take_profit")
    }
    terms = ("side", "quantity", "aboveType", "abovePrice", "belowType", "belowStopPrice")
    assert [form[name] for name in terms] == ["SELL", "0.002", "LIMIT_MAKER", "33000", "STOP_LOSS", "28000"]
    assert [asked.role for asked in setup.gate.seen] == ["stop_loss", "take_profit"]

    setup.fake.fill(next(order for order in setup.sent() if order.price == 33_000))
    setup.at(33_100)
    assert {name: o.status for name, o in setup.exits(entry).items()} == {
        "stop_loss": "CANCELLED", "take_profit": "FILLED",
    }  # fmt: skip
    assert len(setup.sent()) == 2


@on_spot
def test_a_pair_is_cancelled_together_at_the_exchange(setup: Setup) -> None:
    entry = setup.place("first")
    setup.at(30_500)
    setup.accounts.cancel(CancelRequest(order_id=str(setup.exits(entry)["take_profit"].order_id)))
    setup.at(30_500)

    assert {order.status for order in setup.sent()} == {"canceled"}
    assert {o.status for o in setup.exits(entry).values()} == {"CANCELLED"}


@on_spot
def test_a_pair_that_the_exchange_refuses_is_held_here(setup: Setup) -> None:
    setup.fake.refuse_pairs = True
    entry = setup.place("first")
    setup.at(30_500)
    assert {o.held_by for o in setup.exits(entry).values()} == {"engine"}

    setup.at(27_500)
    assert [(sold.kind, sold.amount) for sold in setup.sent()] == [("market", Decimal("0.002"))]


@on_spot
def test_a_stop_that_moves_takes_the_pair_back_first(setup: Setup) -> None:
    entry = setup.place("first")
    setup.at(30_500)
    moved = Exits(stop=Decimal(29_000), target=Decimal(33_000))
    setup.accounts.set_exits("main", str(entry.order_id), moved)
    setup.at(30_500)

    resting = [order for order in setup.sent() if order.status == "open"]
    assert sorted(order.price or 0 for order in resting) == [Decimal(29_000), Decimal(33_000)]
    assert len(setup.sent()) == 4


@pytest.mark.parametrize(("price", "role"), [(27_900, "stop_loss"), (33_000, "take_profit")])
def test_the_exit_whose_price_is_reached_goes_out_once_and_ends_the_other(setup: Setup, price: int, role: str) -> None:
    entry = setup.place("first")
    for _ in range(3):
        setup.at(price)

    [sold] = setup.sent()
    assert (sold.kind, sold.amount, sold.status) == ("market", Decimal("0.002"), "filled")
    other = "take_profit" if role == "stop_loss" else "stop_loss"
    assert {name: o.status for name, o in setup.exits(entry).items()} == {role: "FILLED", other: "CANCELLED"}
    assert [(asked.label, asked.role, asked.amount) for asked in setup.gate.seen] == [("first", role, Decimal("0.002"))]
    placed = [request.form for request in setup.fake.requests if request.method == "POST"][-1]
    assert placed.get("reduceOnly") == (None if setup.exchange == "binance" else "true")


def test_a_partly_filled_entry_protects_what_is_filled_and_its_rest_ends_with_the_exit(setup: Setup) -> None:
    entry = setup.place("resting", order_type="limit", price=29_000)
    assert setup.exits(entry) == {}

    book = setup.fake.by_client_id(next(iter(setup.fake.orders.values())).client_id)
    assert book is not None
    book.filled = Decimal("0.0012")
    setup.at(28_900)
    assert {o.amount for o in setup.exits(entry).values()} == {Decimal("0.0012")}

    setup.at(27_000)
    [sold] = setup.sent()
    assert (sold.amount, book.status) == (Decimal("0.0012"), "canceled")


def test_exits_are_cancelled_together_and_with_an_unfilled_entry_none_come(setup: Setup) -> None:
    entry = setup.place("first")
    setup.accounts.cancel(CancelRequest(order_id=str(setup.exits(entry)["stop_loss"].order_id)))
    waits = setup.place("resting", order_type="limit", price=29_000)
    setup.accounts.cancel(CancelRequest(order_id=str(waits.order_id)))
    setup.at(20_000)

    assert {o.status for o in setup.exits(entry).values()} == {"CANCELLED"}
    assert (setup.exits(waits), setup.sent()) == ({}, [])


def test_what_the_gate_stops_stays_and_says_why(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans_module, "_AGAIN_SECONDS", 0.0)
    entry = setup.place("first")
    setup.gate.why = "the kill switch is HALTED"
    setup.at(27_000)
    assert setup.sent() == []
    assert setup.exits(entry)["stop_loss"].message == "the kill switch is HALTED"

    setup.gate.why = ""
    setup.at(27_000)
    assert len(setup.sent()) == 1


def test_exits_on_the_wrong_side_of_the_live_price_are_refused_before_anything_is_sent(setup: Setup) -> None:
    with pytest.raises(InvalidInput, match="stop_loss 30100 must lie below the market price of 30000"):
        setup.place("wrong", stop_loss=30_100)

    assert setup.fake.orders == {}


def test_a_moved_stop_is_the_one_that_counts(setup: Setup) -> None:
    entry = setup.place("first")
    moved = setup.accounts.set_exits("main", str(entry.order_id), Exits(stop=Decimal(29_500)))
    assert [(o.role, o.stop_loss) for o in moved] == [("stop_loss", Decimal(29_500))]

    setup.at(29_400)
    assert len(setup.sent()) == 1


def test_a_kill_between_entry_and_exits_leaves_nothing_unprotected(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the entry and the process are both lost. The next process finds the fill and protects it."""
    setup.fake.faults.append("reset after")
    monkeypatch.setattr("engine.venues.exchange.accounts._LOOKS", 0)
    with pytest.raises(HeyTradersError):
        setup.place("lost")
    setup.restart()
    setup.at(30_000)

    assert sorted(str(o.role) for o in setup.accounts.open_orders(OpenOrdersRequest(account_id="main")).orders) == [
        "stop_loss", "take_profit",
    ]  # fmt: skip


class Killed(BaseException):
    """The process is gone."""


FAULTS: Sequence[Fault] = ("reset before", "reset after", "503 before", "502 after", "truncated after", "empty after")


@pytest.mark.parametrize("setup", ["binance"], indirect=True)
def test_chaos_kills_and_faults_sell_each_position_exactly_once(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before and after any request and any write, with faults on the wire: one exit per plan, and none lost."""
    monkeypatch.setattr(plans_module, "_LOST_SECONDS", 0.0)
    monkeypatch.setattr(plans_module, "_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr("engine.venues.exchange.accounts._LOOK_SECONDS", 0.0)
    dice = random.Random(20_261_128)
    for number in range(12):
        setup.fake.last = Decimal(30_000)
        entry = setup.place(f"plan {number}")
        setup.fake.last, before = Decimal(dice.choice([27_000, 34_000, 30_000])), len(setup.sent())
        for _ in range(dice.randrange(4)):
            if dice.random() < 0.5:
                setup.fake.faults.append(dice.choice(FAULTS))
            _die_somewhere(setup, dice)
        setup.fake.faults.clear()
        for _ in range(3):
            setup.plans.look()
        mine = setup.sent()[before:]
        if len(mine) == 2:
            assert {order.kind for order in mine} == {"limit", "stop_loss"}
            setup.fake.fill(dice.choice(mine))
            setup.plans.look()

        statuses = sorted(str(o.status) for o in setup.exits(entry).values())
        assert statuses == ["CANCELLED", "FILLED"]
        assert sum(order.filled for order in mine) == Decimal("0.002")


def _die_somewhere(setup: Setup, dice: random.Random) -> None:
    """Look once, and die before or after one of the next requests or writes."""
    left, before = dice.randrange(1, 8), dice.random() < 0.5

    def deadly(work: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and before:
                raise Killed
            done = work(*args, **more)
            if left == 0:
                raise Killed
            return done

        return step

    setup.connector.write = deadly(setup.connector.write)
    setup.store.write_now = deadly(setup.store.write_now)
    try:
        setup.plans.look()
    except Killed:
        pass
    finally:
        setup.restart()

"""Paper accounts and connected exchange accounts implement the same venue port: the same calls, the same answers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from api.accounts import BalancesRequest, OpenOrdersRequest
from api.errors import InvalidInput, NotFound
from api.orders import CancelRequest, OrdersRequest, PlaceRequest
from api.symbols import Instrument
from api.times import AcceleratedClock
from engine.access import LOCAL_AGENT
from engine.store.database import Store, default_url
from engine.venues.exchange.accounts import ExchangeAccounts
from engine.venues.exchange.markets import Markets
from engine.venues.exchange.session import Connector, Keys
from engine.venues.exchange.views import OwnAccount
from engine.venues.paper.accounts import PaperAccounts
from engine.venues.venue import Venue, Venues
from tests.engine.venues.paper.conftest import OWNER, START, a_market

from .fake_binance import FakeBinance
from .fake_venue import serving

BTC = Instrument("binance", "BTC", "USDT")
LOT = Decimal("0.00001")


@dataclass(frozen=True)
class Case:
    """A venue, one of its accounts, and the terms of an order that rests there."""

    venue: Venue
    account_id: str
    amount: str
    price: str

    def order(self, **terms: object) -> PlaceRequest:
        """The resting order."""
        given = {"account_id": self.account_id, "exchange": "binance", "symbol": "BTC/USDT", "side": "buy"}
        return PlaceRequest.model_validate(
            {**given, "order_type": "limit", "amount": self.amount, "price": self.price, **terms}
        )


@contextmanager
def paper(home: Path) -> Generator[Case]:
    """Paper accounts on hand-written bars: bitcoin at 100,000."""
    clock, store = AcceleratedClock(START), Store.open(default_url(home))
    yield Case(PaperAccounts(store, a_market(clock), clock, OWNER), "paper-binance", "0.01", "90000")
    store.close()


@contextmanager
def exchange(home: Path) -> Generator[Case]:
    """An account on a server that speaks Binance's protocol."""
    pytest.importorskip("ccxt")
    store = Store.open(default_url(home))
    with serving(FakeBinance()) as url:
        connector = Connector(store, {"binance": url})
        keys = Keys(("canary-key-0123456789", "canary-secret-abcdef0123456789"))
        own = OwnAccount("main", "binance", "", testnet=False, keys=lambda: keys)
        accounts = ExchangeAccounts(store, connector, Markets(store, connector), lambda: [own], real_prices=True)
        yield Case(accounts, "main", "0.0015", "20000.1")
        connector.close()
    store.close()


Opened = Callable[[Path], AbstractContextManager[Case]]


@pytest.fixture(params=[paper, exchange])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Case]:
    """Each venue in turn."""
    opened: Opened = request.param
    with opened(tmp_path) as ready:
        yield ready


def test_an_account_is_found_by_its_id_and_by_no_other(case: Case) -> None:
    shown = case.venue.account(case.account_id)

    assert shown in case.venue.accounts()
    assert (shown.account_id, shown.exchange, shown.currency) == (case.account_id, "binance", "USDT")
    for ask in (case.venue.account, case.venue.positions, case.venue.equity):
        with pytest.raises(NotFound):
            ask("elsewhere")


def test_an_order_rests_is_found_listed_and_cancelled_exactly_as_it_was_placed(case: Case) -> None:
    venue, wanted = case.venue, (Decimal(case.amount), Decimal(case.price), "mine")
    placed = venue.place(case.order(label="mine"))
    order_id = str(placed.order_id)
    resting = venue.open_orders(OpenOrdersRequest(account_id=case.account_id, symbol="BTC/USDT")).orders
    listed = venue.orders(OrdersRequest(account_id=case.account_id)).orders
    found = venue.find(case.account_id, order_id)

    assert found is not None
    for order in (placed, *resting, *listed, found):
        assert (order.amount, order.price, order.label) == wanted
        assert (order.order_id, order.status, order.filled_amount) == (order_id, "OPEN", 0)
    assert [len(resting), len(listed)] == [1, 1]

    cancelled = venue.cancel(CancelRequest(order_id=order_id))
    assert (cancelled.order_id, cancelled.status) == (order_id, "CANCELLED")
    assert venue.open_orders(OpenOrdersRequest(account_id=case.account_id)).orders == []
    assert [order.status for order in venue.orders(OrdersRequest(status="CANCELLED")).orders] == ["CANCELLED"]
    with pytest.raises(InvalidInput):
        venue.cancel(CancelRequest(order_id=order_id))


def test_an_order_is_placed_once_under_its_client_id_and_found_by_it(case: Case) -> None:
    first = case.venue.place(case.order(), "api-signal-1")
    again = case.venue.place(case.order(), "api-signal-1")
    found = case.venue.find(case.account_id, "api-signal-1")

    assert first.order_id == again.order_id == (None if found is None else found.order_id)
    assert len(case.venue.orders(OrdersRequest()).orders) == 1
    assert case.venue.find(case.account_id, "api-signal-2") is None


def test_what_a_venue_cannot_take_leaves_no_order(case: Case) -> None:
    for terms, error in (
        ({"amount": "0.0000001"}, InvalidInput),
        ({"exchange": "gate"}, InvalidInput),
        ({"symbol": "NOTHING/USDT"}, NotFound),
        ({"account_id": "elsewhere"}, NotFound),
    ):
        with pytest.raises(error):
            case.venue.place(case.order(**terms))
    with pytest.raises(NotFound) as unknown:
        case.venue.cancel(CancelRequest(order_id="api-unknown"))

    assert unknown.value.code == "ORDER_NOT_FOUND"
    assert case.venue.orders(OrdersRequest()).orders == []


def test_money_is_exact_and_what_it_buys_is_whole_lots(case: Case) -> None:
    """A new account holds 10,000 USDT and nothing else."""
    held = case.venue.balances(BalancesRequest(account_id=case.account_id))
    cash = next(row for row in held.balances if row.asset == "USDT")
    affordable, price = case.venue.affordable(case.account_id, BTC, 1), case.venue.price(BTC)

    assert (cash.free, cash.used, cash.total) == (Decimal(10_000), 0, Decimal(10_000))
    assert case.venue.positions(case.account_id) == held.positions == []
    assert affordable % LOT == 0
    assert Decimal("0.99") < affordable * price / Decimal(10_000) < 1


def test_an_account_or_an_order_leads_to_the_venue_that_has_it(tmp_path: Path) -> None:
    with paper(tmp_path / "paper") as simulated, exchange(tmp_path / "own") as own:
        assert isinstance(own.venue, ExchangeAccounts)
        venues = Venues(lambda _: simulated.venue, own.venue, lambda: {own.account_id})
        sent = str(own.venue.place(own.order()).order_id)
        kept = str(simulated.venue.place(simulated.order()).order_id)

        assert venues.of(LOCAL_AGENT, own.account_id) is own.venue
        assert venues.of(LOCAL_AGENT, None, sent) is own.venue
        assert venues.of(LOCAL_AGENT, simulated.account_id) is simulated.venue
        assert venues.of(LOCAL_AGENT, None, kept) is simulated.venue
        assert venues.of("agent_registered", own.account_id) is simulated.venue
        assert venues.of("agent_registered", None, sent) is simulated.venue

"""Orders on the user's own accounts: sent once, classified by proof, and found again after any fault on the wire."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest

from api.accounts import BalancesRequest, OpenOrdersRequest
from api.errors import HeyTradersError, InvalidInput, OutcomeUnknown, Unavailable
from api.exchanges import ExchangeId
from api.orders import CancelRequest, OrdersRequest, PlacedOrder, PlaceRequest
from api.symbols import Instrument
from engine.store.database import Store, default_url
from engine.venues.exchange import session
from engine.venues.exchange.accounts import ExchangeAccounts
from engine.venues.exchange.markets import Markets
from engine.venues.exchange.session import Connector, Keys
from engine.venues.exchange.views import OwnAccount

from . import fake_venue
from .fake_binance import FakeBinance
from .fake_gate import FakeGate
from .fake_hyperliquid import FakeHyperliquid
from .fake_lighter import FakeLighter
from .fake_polymarket import YES, FakePolymarket
from .fake_upbit import FakeUpbit
from .fake_venue import AFTER, Answer, FakeVenue, Fault, Request, serving

pytest.importorskip("ccxt")

SECRETS = ("canary-key-0123456789", "canary-secret-abcdef0123456789")
CERTAIN: frozenset[str] = frozenset({"rejected", "stale clock"})


@dataclass
class Setup:
    """An account on a fake."""

    fake: FakeVenue
    accounts: ExchangeAccounts
    exchange: ExchangeId
    symbol: str
    amount: str
    price: str

    def order(self, label: str, **terms: object) -> PlaceRequest:
        """A resting limit order."""
        given = {"account_id": "main", "exchange": self.exchange, "symbol": self.symbol, "side": "buy"}
        kind = "GTC" if self.exchange == "polymarket" else "limit"
        rest = {"order_type": kind, "amount": self.amount, "price": self.price, "label": label}
        return PlaceRequest.model_validate({**given, **rest, **terms})


WALLET = ("0x" + "11" * 20, "0x" + "c0ffee" + "22" * 29)
LIGHTER_KEY = ("7", "5", "c0ffee" + "ab" * 37)
CREDENTIALS = {"hyperliquid": WALLET, "lighter": LIGHTER_KEY, "polymarket": (WALLET[0], "2", WALLET[1])}
"""Secrets of the venues that use something other than key and secret."""
VENUES: dict[str, tuple[Callable[[], FakeVenue], ExchangeId, str, str]] = {
    "binance": (FakeBinance, "binance", "BTC/USDT", "20000.1"),
    "binancefuturesusd": (FakeBinance, "binancefuturesusd", "BTC/USDT:USDT", "20000.1"),
    "gate": (FakeGate, "gate", "BTC/USDT", "20000.1"),
    "gatefutures": (FakeGate, "gatefutures", "BTC/USDT:USDT", "20000.1"),
    "hyperliquid": (FakeHyperliquid, "hyperliquid", "BTC/USDT", "20000"),
    "upbit": (FakeUpbit, "upbit", "BTC/KRW", "20001000"),
    "lighter": (FakeLighter, "lighter", "BTC/USDT", "20000.1"),
    "polymarket": (FakePolymarket, "polymarket", YES, "0.41"),
}


def at_once(*_: object) -> float:
    """No rate limit delays a request."""
    return 0.0


@pytest.fixture
def venue(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Setup]:
    """The venue that a test is parametrized with, and an account there."""
    make, exchange, symbol, price = VENUES[request.param]
    monkeypatch.setattr(session, "WRITE_SECONDS", 5.0)
    monkeypatch.setattr(session, "take_turn", at_once)
    monkeypatch.setattr("engine.venues.exchange.accounts._LOOK_SECONDS", 0.01)
    monkeypatch.setattr(fake_venue, "HANG_SECONDS", 0.1)
    fake = make()
    store = Store.open(default_url(tmp_path))
    with serving(fake) as url:
        connector = Connector(store, {exchange: url})
        own = OwnAccount("main", exchange, "", testnet=False, keys=lambda: Keys(CREDENTIALS.get(exchange, SECRETS)))
        accounts = ExchangeAccounts(store, connector, Markets(store, connector), lambda: [own], real_prices=True)
        yield Setup(fake, accounts, exchange, symbol, "12.5" if exchange == "polymarket" else "0.0015", price)
        connector.close()
    store.close()


every_venue = pytest.mark.parametrize("venue", list(VENUES), indirect=True)


TESTNETS = {
    "binance": "testnet.binance.vision",
    "binancefuturesusd": "demo-fapi.binance.com",
    "gatefutures": "api-testnet.gateapi.io",
    "hyperliquid": "api.hyperliquid-testnet.xyz",
    "lighter": "testnet.zklighter.elliot.ai",
}
"""Hosts that the venues' documents name."""


@pytest.mark.parametrize("exchange", TESTNETS)
def test_an_account_on_a_testnet_calls_the_testnet_alone(
    exchange: ExchangeId, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    given = Connector.url_of

    def noted(connector: Connector, venue: ExchangeId, url: str) -> str:
        asked.append(urlsplit(url).hostname or "")
        return given(connector, venue, url)

    monkeypatch.setattr(Connector, "url_of", noted)
    monkeypatch.setattr(session, "take_turn", at_once)
    make = VENUES[exchange][0]
    keys = Keys(CREDENTIALS.get(exchange, SECRETS), testnet=True)
    own = OwnAccount("main", exchange, "", testnet=True, keys=lambda: keys)
    store = Store.open(default_url(tmp_path))
    with serving(make()) as url:
        connector = Connector(store, {exchange: url})
        markets = Markets(store, connector)
        markets.prices(exchange)
        asked.clear()
        accounts = ExchangeAccounts(store, connector, markets, lambda: [own], real_prices=True)
        balances = accounts.balances(BalancesRequest(account_id="main"))
        connector.close()
    store.close()

    assert not balances.paper
    assert set(asked) == {TESTNETS[exchange]}


@every_venue
async def test_an_order_is_placed_listed_and_cancelled_under_its_label(venue: Setup) -> None:
    """The order shown is the order sent, to the last digit. An order that gets no answer is not sent again."""
    placed = venue.accounts.place(venue.order("first"))
    listed = venue.accounts.orders(OrdersRequest())
    resting = venue.accounts.open_orders(OpenOrdersRequest(account_id="main"))
    cancelled = venue.accounts.cancel(CancelRequest.model_validate({"order_id": placed.order_id}))

    assert (placed.status, placed.amount, placed.price) == ("OPEN", Decimal(venue.amount), Decimal(venue.price))
    assert (placed.label, placed.paper) == ("first", False)
    assert [one.average_price for one in (placed, *listed.orders, *resting.orders, cancelled)] == [None] * 4
    assert [one.label for one in listed.orders] == [one.label for one in resting.orders] == ["first"]
    assert (cancelled.status, cancelled.order_id) == ("CANCELLED", placed.order_id)
    assert venue.accounts.open_orders(OpenOrdersRequest(account_id="main")).orders == []
    venue.fake.faults.append("503 before")
    with pytest.raises(OutcomeUnknown):
        venue.accounts.place(venue.order("second"))
    assert sum(1 for request in venue.fake.requests if venue.fake.places(request)) == 2


@every_venue
async def test_balances_have_the_apis_shape(venue: Setup) -> None:
    """Cash in exact decimals, and no paper."""
    shown = venue.accounts.balances(BalancesRequest(account_id="main"))

    asset = "USDC" if venue.exchange in {"hyperliquid", "lighter", "polymarket"} else "USDT"
    dollars = next(row for row in shown.balances if row.asset == asset)
    assert (dollars.total, dollars.free + dollars.used) == (Decimal(10_000), Decimal(10_000))
    assert shown.paper is False


def worth(venue: Setup) -> Decimal | None:
    """The account's equity in dollars, as the balances show it."""
    return venue.accounts.balances(BalancesRequest(account_id="main")).total_equity_usd


@pytest.mark.parametrize("venue", ["binancefuturesusd", "gatefutures", "hyperliquid", "lighter"], indirect=True)
async def test_the_profit_of_an_open_position_counts_once(venue: Setup) -> None:
    """Binance and Hyperliquid include it in the balance they show, Gate and Lighter do not."""
    venue.fake.position, venue.fake.profit = Decimal("0.002"), Decimal(250)
    venue.fake.cash = {asset: amount for asset, amount in venue.fake.cash.items() if asset.startswith("USD")}

    assert worth(venue) == Decimal(10_250)
    assert venue.accounts.equity("main") == Decimal(10_250)


@pytest.mark.parametrize("venue", ["gate", "gatefutures"], indirect=True)
async def test_gates_unified_account_is_worth_its_equity(venue: Setup) -> None:
    """10,000 of cash, a futures account of 500 and a loss of 100 there."""
    assert isinstance(venue.fake, FakeGate)
    venue.fake.is_unified, venue.fake.profit = True, Decimal(-100)
    venue.fake.position = Decimal("0.002")
    venue.fake.cash = {"USDT": Decimal(10_000), "POINT": Decimal(7)}
    shown = venue.accounts.balances(BalancesRequest(account_id="main"))
    (dollars,) = (row for row in shown.balances if row.asset == "USDT")

    assert (dollars.free, dollars.total, shown.total_equity_usd) == (10_000, 10_400, 10_400)


@pytest.mark.parametrize("venue", ["gate", "hyperliquid"], indirect=True)
async def test_no_account_is_taken_for_an_ordinary_one_because_a_request_failed(
    venue: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first question is which kind of account it is. Without an answer there is no balance, and later there is."""
    venue.accounts.price(Instrument(venue.exchange, "BTC", "USDT"))
    monkeypatch.setattr(session, "TRIES", 1)
    venue.fake.read_faults.append("503")
    with pytest.raises(Unavailable, match="which kind of account"):
        venue.accounts.equity("main")

    assert venue.accounts.equity("main") is not None


@pytest.mark.parametrize(
    ("venue", "cash", "price", "expected"),
    [
        ("binance", {"USDT": 100, "BTC": 2, "AIRDROP": 7_000_000}, 30_000, 60_100),
        ("gate", {"USDT": 100, "KRW": 5_000_000}, 30_000, 100),
        ("upbit", {"KRW": 1_400_000, "BTC": "0.5"}, 42_000_000, 16_000),
        ("upbit", {"USDT": 10, "BTC": "0.5"}, 42_000_000, 15_010),
    ],
    indirect=["venue"],
)
async def test_each_asset_is_worth_what_it_trades_for_and_an_untraded_one_nothing(
    venue: Setup, cash: dict[str, Any], price: int, expected: int
) -> None:
    """On Upbit at 1,400 won per dollar: won directly, bitcoin through won."""
    venue.fake.cash = {asset: Decimal(amount) for asset, amount in cash.items()}
    venue.fake.last = Decimal(price)

    assert worth(venue) == Decimal(expected)


@pytest.mark.parametrize(
    "venue",
    ["binance", *(pytest.param(name, marks=pytest.mark.slow) for name in VENUES if name != "binance")],
    indirect=True,
)
async def test_whatever_happens_on_the_wire_there_is_one_request_and_no_false_state(venue: Setup) -> None:
    """All kinds of fault: an existing order is shown, a refusal is certain, and anything else stays open."""
    for fault in get_args(Fault):
        await _try(venue, fault)


async def _try(venue: Setup, fault: Fault) -> None:
    fake, label = venue.fake, f"with {fault}"
    before = sum(1 for request in fake.requests if fake.places(request))
    fake.faults.append(fault)
    outcome: PlacedOrder | HeyTradersError
    try:
        outcome = venue.accounts.place(venue.order(label))
    except HeyTradersError as error:
        outcome = error
    sent = sum(1 for request in fake.requests if fake.places(request)) - before
    listed = [one.label for one in venue.accounts.orders(OrdersRequest()).orders]

    assert sent == 1, fault
    if fault in AFTER:
        assert isinstance(outcome, PlacedOrder), (fault, outcome)
        assert label in listed
    elif fault in CERTAIN:
        assert isinstance(outcome, InvalidInput), (fault, outcome)
        assert label not in listed
    else:
        assert isinstance(outcome, OutcomeUnknown), (fault, outcome)
        assert label not in listed
    try:
        again = venue.accounts.place(venue.order(label))
    except HeyTradersError as error:
        again = error
    assert sum(1 for request in fake.requests if fake.places(request)) - before == 1, fault
    assert isinstance(again, PlacedOrder) == (fault in AFTER)


@pytest.mark.parametrize("venue", ["hyperliquid"], indirect=True)
async def test_hyperliquid_gets_one_action_an_order_and_pays_no_builder(venue: Setup) -> None:
    """By default, ccxt would approve a builder's fee and name a referrer before the first order."""
    assert isinstance(venue.fake, FakeHyperliquid)
    venue.accounts.place(venue.order("first"))
    venue.accounts.place(venue.order("second"))

    assert venue.fake.actions == ["order", "order"]
    assert not [request for request in venue.fake.requests if "builder" in request.body]


@pytest.mark.parametrize("venue", ["gate"], indirect=True)
async def test_an_order_is_found_in_the_lists_where_the_exchange_has_forgotten_our_id(venue: Setup) -> None:
    """Gate knows our id for a minute after an order has ended; its lists keep it."""
    assert isinstance(venue.fake, FakeGate)
    venue.fake.forgets_ids = True
    venue.fake.faults.append("reset after")
    placed = venue.accounts.place(venue.order("forgotten"))

    assert (placed.label, placed.status) == ("forgotten", "OPEN")


@pytest.mark.parametrize("venue", ["binance"], indirect=True)
@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, -2015, "does not accept this key for this request (HTTP 401, -2015: no)"),
        (401, -1, "does not accept this key for this request (HTTP 401, -1: no)"),
        (400, -1021, "this machine's clock is wrong (HTTP 400, -1021: no)"),
        (451, 0, "does not serve the country"),
    ],
)
async def test_an_account_that_cannot_be_read_says_what_is_wrong(
    venue: Setup, monkeypatch: pytest.MonkeyPatch, status: int, code: int, said: str
) -> None:
    """A wrong key, a wrong clock, and a country that the exchange does not serve."""
    venue.accounts.price(Instrument("binance", "BTC", "USDT"))

    def refuse(_: Request) -> Answer:
        return status, {"code": code, "msg": "no"}

    monkeypatch.setattr(venue.fake, "answer", refuse)
    with pytest.raises(HeyTradersError) as refused:
        venue.accounts.equity("main")

    assert said in refused.value.message


@pytest.mark.parametrize("venue", ["binance"], indirect=True)
async def test_a_refused_connection_proves_that_nothing_was_sent(venue: Setup, tmp_path: Path) -> None:
    """Nothing listens: the only case that is certain."""
    venue.accounts.balances(BalancesRequest(account_id="main"))
    resting = venue.accounts.place(venue.order("before"))
    store = Store.open(default_url(tmp_path))
    connector = Connector(store, {"binance": "http://127.0.0.1:9"})
    own = OwnAccount("main", "binance", "", testnet=False, keys=lambda: Keys(SECRETS))
    alone = ExchangeAccounts(store, connector, Markets(store, connector), lambda: [own], real_prices=True)
    with pytest.raises(Unavailable, match="nothing was sent to Binance: it cannot be reached"):
        alone.place(venue.order("after"))
    with pytest.raises(Unavailable, match=r"nothing was sent to Binance, so order \w+ was not cancelled") as kept:
        alone.cancel(CancelRequest(order_id=resting.order_id or "", account_id="main"))
    connector.close()
    store.close()

    assert kept.value.code == "VALIDATION_ERROR"


@pytest.mark.parametrize("venue", ["binance"], indirect=True)
@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"price": "20000.123"}, "Use 20000.12 or 20000.13"),
        ({"amount": "0.001501"[:9] + "5"}, "nothing is rounded"),
        ({"amount": "0.0001"}, "below the smallest order of Binance, 5"),
        ({"exchange": "gate"}, "is on binance, not gate"),
    ],
)
async def test_what_the_exchange_cannot_take_is_refused_before_anything_is_sent(
    venue: Setup, terms: dict[str, object], said: str
) -> None:
    """Steps and minimums are the exchange's own, and nothing is rounded."""
    with pytest.raises(InvalidInput) as refused:
        venue.accounts.place(venue.order("wrong", **terms))
    assert said in f"{refused.value.message} {refused.value.suggestion}"
    assert not any(venue.fake.places(request) for request in venue.fake.requests)


@pytest.mark.parametrize("venue", ["binance"], indirect=True)
async def test_no_key_leaves_through_logs_errors_or_fields(venue: Setup, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG, with refusals and broken lines."""
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    for fault in ("rejected", "reset before", "truncated after", "hang after"):
        venue.fake.faults.append(fault)
        try:
            told.append(repr(venue.accounts.place(venue.order(f"canary {fault}"))))
        except HeyTradersError as error:
            told += [str(error), repr(error.__cause__), repr(error.__context__)]
    told += [record.getMessage() for record in caplog.records]
    assert not [text for text in told if "canary-" in text or "signature=" in text]


NAMED_THERE = {
    "binance": "htm01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "binancefuturesusd": "htm01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "upbit": "htm01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "gate": "t-01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "gatefutures": "t-01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "hyperliquid": "0x01563e3ab5d3d6764c61efb99302bd5b",
}
"""Order ids of the ULID in the examples of github.com/ulid/spec. Its 16 bytes are known from other implementations."""


@every_venue
def test_a_copy_of_a_home_sees_at_the_exchange_what_the_original_sent(venue: Setup, tmp_path: Path) -> None:
    """The order id names the intent where it has room for one, and the time of the intent fits that of the order."""
    intent = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    venue.accounts.place(venue.order(f"htm1:{intent}:{'0' * 16}:{'0' * 12}"))
    venue.accounts.place(venue.order("a label of a person"))
    first, second = venue.fake.orders.values()
    first.at = second.at = 1_469_922_850.259
    asked = OrdersRequest(account_id="main", symbol=venue.symbol)

    copy = Store.open(default_url(tmp_path / "copy"))
    connector = venue.accounts._connector  # pyright: ignore[reportPrivateUsage] - the same exchange
    connected = venue.accounts._connected  # pyright: ignore[reportPrivateUsage] - with the same keys
    accounts = ExchangeAccounts(copy, connector, Markets(copy, connector), connected, real_prices=True)
    strange = accounts.orders(asked).orders
    first.at += 2 * 86_400
    too_late = accounts.orders(asked).orders
    first.at -= 2 * 86_400
    first.status, first.filled = "filled", first.amount
    filled = accounts.orders(asked).orders
    own = venue.accounts.orders(asked).orders
    copy.close()

    named = NAMED_THERE.get(venue.exchange)
    assert [one.label for one in strange] == ([] if named is None else [f"htm1:{intent}"])
    assert [one.status for one in filled] == ([] if named is None else ["FILLED"])
    assert too_late == []
    assert len(own) == 2
    assert named is None or first.client_id == named

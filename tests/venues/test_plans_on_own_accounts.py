"""Exits on own accounts: they rest at the exchange where it has a form for them, elsewhere this engine watches the
price. Each is sent once, whatever happens in between.

The long run of kills and faults at each form, with its figures:

    HEYTRADERS_TEST_PLANS=200 uv run --group dev pytest -n 0 -m slow -s tests/venues/test_plans_on_own_accounts.py
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from api.accounts import OpenOrdersRequest
from api.errors import HeyTradersError, InvalidInput
from api.orders import CancelRequest
from engine.trading_rules import Exits
from engine.venues.exchange import plans as plans_module

from .fake_binance import FakeBinance
from .fake_hyperliquid import FakeHyperliquid
from .fake_polymarket import YES
from .fake_venue import Fault
from .own_exits import AT_VENUE, ENDED_AS, Setup, on, on_spot
from .test_own_accounts import CREDENTIALS

pytest.importorskip("ccxt")


@on("gatefutures")
def test_exits_wait_here_for_their_price_where_they_cannot_rest_at_the_exchange(setup: Setup) -> None:
    entry = setup.place("first")
    resting = setup.accounts.open_orders(OpenOrdersRequest(account_id="main")).orders
    setup.at(30_500)

    assert (entry.status, entry.role, entry.stop_loss) == ("FILLED", "entry", Decimal(28_000))
    assert {(o.role, o.side, o.status, o.amount, o.held_by, o.parent, o.label) for o in resting} == {
        (role, "sell", "OPEN", Decimal("0.002"), "engine", entry.order_id, None)
        for role in ("stop_loss", "take_profit")
    }
    assert {o.message for o in resting} == {
        "Gate Futures has trigger orders that cannot be found by our id: this engine watches the price"
    }
    assert setup.sent() == []


def test_exits_rest_at_the_exchange_and_a_fill_of_one_cancels_the_other(setup: Setup) -> None:
    entry = setup.place("first")
    for _ in range(3):
        setup.at(30_500)

    amount = Decimal("0.002")
    assert setup.resting() == {(role, "venue", amount, entry.order_id) for role in ("stop_loss", "take_profit")}
    assert [asked.role for asked in setup.gate.seen] == ["stop_loss", "take_profit"]
    assert len(setup.sent()) == 2

    setup.fake.fill(next(order for order in setup.sent() if order.price == 33_000))
    setup.at(33_100)
    assert {order.status for order in setup.sent()} == {"filled", "canceled"}
    assert {name: o.status for name, o in setup.exits(entry).items()} == {
        "stop_loss": "CANCELLED", "take_profit": "FILLED",
    }  # fmt: skip
    assert setup.exits(entry)["take_profit"].average_price in {Decimal(33_000), None}
    assert len(setup.sent()) == 2


@pytest.mark.parametrize(("role", "price"), [("stop_loss", 28_000), ("take_profit", 33_000)])
def test_an_exit_alone_rests_too(setup: Setup, role: str, price: int) -> None:
    entry = setup.place("first", **{"stop_loss": None, "take_profit": None, role: price})
    setup.at(30_500)

    assert setup.resting() == {(role, "venue", Decimal("0.002"), entry.order_id)}
    [rests] = setup.sent()
    setup.fake.fill(rests)
    setup.at(price)
    assert (setup.exits(entry)[role].status, len(setup.sent())) == ("FILLED", 1)


def test_exits_that_rest_at_the_exchange_are_looked_at_every_few_seconds(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans_module, "_RESTING_SECONDS", 3_600.0)
    entry = setup.place("first")
    for _ in range(3):
        setup.at(30_500)
    asked = len(setup.fake.requests)
    for _ in range(5):
        setup.at(30_500)
    assert len(setup.fake.requests) == asked

    setup.accounts.set_exits("main", str(entry.order_id), Exits(stop=Decimal(29_000)))
    setup.at(30_500)
    assert [order.price for order in setup.sent() if order.status == "open"] == [Decimal(29_000)]


@on_spot
def test_a_pair_on_binance_is_one_order_list(setup: Setup) -> None:
    """The fields of Binance's `POST /api/v3/orderList/oco`."""
    setup.place("first")
    setup.at(30_500)
    [form] = [request.form for request in setup.fake.requests if request.path.endswith("/oco")]

    terms = ("side", "quantity", "aboveType", "abovePrice", "belowType", "belowStopPrice")
    assert [form[name] for name in terms] == ["SELL", "0.002", "LIMIT_MAKER", "33000", "STOP_LOSS", "28000"]


@on_spot
def test_a_stop_alone_on_binance_is_a_stop_loss_order(setup: Setup) -> None:
    """The fields of Binance's `POST /api/v3/order` for a STOP_LOSS."""
    setup.place("first", take_profit=None)
    setup.at(30_500)
    form = [request.form for request in setup.fake.requests if request.method == "POST"][-1]

    assert [form[name] for name in ("type", "side", "quantity", "stopPrice")] == ["STOP_LOSS", "SELL", "0.002", "28000"]
    assert form["newClientOrderId"].startswith("htm")
    assert not {"price", "timeInForce", "reduceOnly"} & set(form)


@on("binancefuturesusd")
def test_exits_on_binance_futures_are_conditional_orders_that_only_reduce(setup: Setup) -> None:
    """The fields of Binance's `POST /fapi/v1/algoOrder`, where conditional orders are since December 2025."""
    setup.place("first")
    setup.at(30_500)
    forms = [request.form for request in setup.fake.requests if request.path == "/fapi/v1/algoOrder" and request.body]

    terms = ("algoType", "symbol", "side", "type", "quantity", "triggerPrice", "reduceOnly")
    assert [[form[name] for name in terms] for form in forms] == [
        ["CONDITIONAL", "BTCUSDT", "SELL", "STOP_MARKET", "0.002", "28000", "true"],
        ["CONDITIONAL", "BTCUSDT", "SELL", "TAKE_PROFIT_MARKET", "0.002", "33000", "true"],
    ]
    assert all(form["clientAlgoId"].startswith("htm") and "newClientOrderId" not in form for form in forms)


@on("hyperliquid")
def test_exits_on_hyperliquid_are_one_signed_action_that_belongs_to_the_position(setup: Setup) -> None:
    """The fields of Hyperliquid's order action, the target first or last; signed as its own SDK signs it."""
    signing: Any = pytest.importorskip("hyperliquid.utils.signing")
    eth_account: Any = pytest.importorskip("eth_account")
    assert isinstance(setup.fake, FakeHyperliquid)
    setup.place("first")
    setup.at(30_500)
    body = [request.json for request in setup.fake.requests if setup.fake.places(request)][-1]
    action = body["action"]

    assert setup.fake.actions == ["order", "order"]
    assert (action["grouping"], sorted(action)) == ("positionTpsl", ["grouping", "orders", "type"])
    assert [{name: one[name] for name in "abpsrt"} for one in action["orders"]] == [
        {"a": 0, "b": False, "p": bound, "s": "0.002", "r": True, "t": {"trigger": trigger}}
        for bound, trigger in (
            ("26600", {"isMarket": True, "triggerPx": "28000", "tpsl": "sl"}),
            ("31350", {"isMarket": True, "triggerPx": "33000", "tpsl": "tp"}),
        )
    ]
    wallet = eth_account.Account.from_key(CREDENTIALS["hyperliquid"][1])
    oracle = signing.sign_l1_action(wallet, action, None, body["nonce"], None, True)
    assert {n: int(str(body["signature"][n]), 0) for n in "rsv"} == {n: int(str(oracle[n]), 0) for n in "rsv"}


@on("gate")
def test_an_exit_on_gate_is_a_market_order_to_sell(setup: Setup) -> None:
    """The fields of Gate's `POST /spot/orders`."""
    [body] = exits_sent(setup, stop=28_000)

    terms = ("currency_pair", "type", "side", "amount", "time_in_force")
    assert [body[name] for name in terms] == ["BTC_USDT", "market", "sell", "0.002", "ioc"]
    assert re.fullmatch(r"t-[0-9a-f]{26}", body["text"])
    assert "price" not in body


@on("gatefutures")
def test_an_exit_on_gate_futures_is_a_market_order_that_only_reduces(setup: Setup) -> None:
    """The fields of Gate's `POST /futures/usdt/orders`: contracts, negative to sell, price 0 for the market."""
    [body] = exits_sent(setup, stop=28_000)

    assert [body[name] for name in ("contract", "price", "tif", "reduce_only")] == ["BTC_USDT", "0", "ioc", True]
    assert int(body["size"]) == -20
    assert re.fullmatch(r"t-[0-9a-f]{26}", body["text"])


@on("upbit")
def test_an_exit_on_upbit_is_a_market_order_of_a_volume(setup: Setup) -> None:
    """The fields of Upbit's `POST /v1/orders` for selling at the market: a volume and no price."""
    prices = {"price": 30_000_000, "take_profit": 33_000_000}
    [body] = exits_sent(setup, stop=28_000_000, last=30_000_000, **prices)

    assert [body[name] for name in ("market", "side", "ord_type", "volume")] == ["KRW-BTC", "ask", "market", "0.002"]
    assert re.fullmatch(r"htm[0-9a-f]{32}", body["identifier"])
    assert "price" not in body


@on("lighter")
def test_an_exit_on_lighter_is_a_signed_limit_order_that_only_reduces(setup: Setup) -> None:
    """The fields of Lighter's create-order transaction: 0.002 in steps of 0.00001, 5 % below 27,900 in steps of 0.1."""
    [body] = exits_sent(setup, stop=28_000)

    terms = ("MarketIndex", "IsAsk", "BaseAmount", "Price", "ReduceOnly", "Type", "TriggerPrice")
    assert [body[name] for name in terms] == [1, 1, 200, 265_050, 1, 0, 0]
    assert 0 < body["ClientOrderIndex"] < 2**48


@on("polymarket")
def test_an_exit_on_polymarket_is_a_signed_order_to_sell_all_or_nothing(setup: Setup) -> None:
    """The fields of Polymarket's `POST /order`: 12.5 shares for at least 0.28, 5 % below 0.2986 in steps of 0.01."""
    terms = {"amount": "12.5", "order_type": "FOK", "price": "0.43", "take_profit": "0.60"}
    [body] = exits_sent(setup, stop=0.30, last=0.42, **terms)
    order = body["order"]

    assert (body["orderType"], order["side"], order["tokenId"]) == ("FOK", "SELL", YES)
    assert (order["makerAmount"], order["takerAmount"]) == ("12500000", "3500000")


HELD_HERE: dict[str, dict[str, Any]] = {
    "gate": {},
    "gatefutures": {},
    "upbit": {"price": 30_000_000, "stop_loss": 28_000_000, "take_profit": 33_000_000},
    "lighter": {},
    "polymarket": {"amount": "12.5", "order_type": "FOK", "price": "0.43", "stop_loss": "0.30", "take_profit": "0.60"},
}
"""The exchanges at which exits cannot rest, with an entry that fills at once."""


@on(*HELD_HERE)
def test_exits_that_this_engine_holds_are_shown_and_cancelled_together(setup: Setup) -> None:
    """After the cancellation, neither price sends anything."""
    terms = HELD_HERE[setup.exchange]
    last = Decimal(str(terms.get("price", 30_000)))
    setup.fake.last = Decimal("0.42") if setup.exchange == "polymarket" else last
    entry = setup.place("first", **terms)
    setup.at(float(setup.fake.last))
    shown = setup.accounts.open_orders(OpenOrdersRequest(account_id="main")).orders
    setup.accounts.cancel(CancelRequest(order_id=str(setup.exits(entry)["stop_loss"].order_id)))
    for price in (last / 2, last * 2):
        setup.at(float(price))

    assert entry.status == "FILLED"
    assert {(o.role, o.held_by, o.amount) for o in shown} == {
        (role, "engine", entry.amount) for role in ("stop_loss", "take_profit")
    }
    assert all(str(o.message).endswith("this engine watches the price") for o in shown)
    assert {o.status for o in setup.exits(entry).values()} == {"CANCELLED"}
    assert sum(1 for request in setup.fake.requests if setup.fake.places(request)) == 1


def exits_sent(setup: Setup, stop: float, last: float = 30_000, **terms: object) -> list[Any]:
    """Fill an entry, let the price fall below its stop, and return the bodies of the orders that were then sent."""
    setup.fake.last = Decimal(str(last))
    entry = setup.place("first", stop_loss=str(stop), **terms)
    setup.at(last)
    before = len(setup.fake.requests)
    assert {o.held_by for o in setup.exits(entry).values()} == {"engine"}
    for _ in range(3):
        setup.at(stop - last / 300)
    for _ in range(3):
        setup.at(last * 2)
    assert {role: o.status for role, o in setup.exits(entry).items()} == {
        "stop_loss": "FILLED", "take_profit": "CANCELLED",
    }  # fmt: skip
    assert setup.resting() == set()
    placed = [request for request in setup.fake.requests[before:] if setup.fake.places(request)]
    return [json.loads(r.form["tx_info"]) if r.path.endswith("sendTx") else r.json for r in placed]


def test_exits_at_the_exchange_are_cancelled_together(setup: Setup) -> None:
    entry = setup.place("first")
    setup.at(30_500)
    setup.accounts.cancel(CancelRequest(order_id=str(setup.exits(entry)["take_profit"].order_id)))
    setup.at(30_500)

    assert {order.status for order in setup.sent()} == {"canceled"}
    assert {o.status for o in setup.exits(entry).values()} == {"CANCELLED"}


def test_exits_that_the_exchange_refuses_are_held_here(setup: Setup) -> None:
    assert isinstance(setup.fake, FakeBinance | FakeHyperliquid)
    setup.fake.refuse_exits = True
    entry = setup.place("first")
    setup.at(30_500)
    assert {o.held_by for o in setup.exits(entry).values()} == {"engine"}

    setup.at(27_500)
    assert [(sold.kind, sold.amount) for sold in setup.sent()] == [(setup.kind, Decimal("0.002"))]


def test_an_exit_between_two_price_steps_is_held_here_and_not_rounded(setup: Setup) -> None:
    entry = setup.place("first", take_profit=None)
    setup.accounts.set_exits("main", str(entry.order_id), Exits(stop=Decimal("0.0612345"), relative=True))
    setup.at(30_500)

    assert setup.sent() == []
    assert {role for role, holder, _, _ in setup.resting() if holder == "engine"} == {"stop_loss"}


def test_exits_at_the_exchange_are_taken_up_by_the_next_process(setup: Setup) -> None:
    entry = setup.place("first")
    setup.at(30_500)
    setup.restart()
    setup.at(30_500)
    assert len(setup.sent()) == 2

    setup.fake.fill(next(order for order in setup.sent() if order.price == 28_000))
    setup.restart()
    setup.at(27_900)
    setup.at(27_900)
    assert {name: o.status for name, o in setup.exits(entry).items()} == {
        "stop_loss": "FILLED", "take_profit": "CANCELLED",
    }  # fmt: skip
    assert len(setup.sent()) == 2


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
    assert (sold.kind, sold.amount, sold.status) == (setup.kind, Decimal("0.002"), "filled")
    other = "take_profit" if role == "stop_loss" else "stop_loss"
    assert {name: o.status for name, o in setup.exits(entry).items()} == {role: "FILLED", other: "CANCELLED"}
    assert [(asked.label, asked.role, asked.amount) for asked in setup.gate.seen] == [("first", role, Decimal("0.002"))]
    placed = [request for request in setup.fake.requests if setup.fake.places(request)][-1]
    if isinstance(setup.fake, FakeHyperliquid):
        assert [one["r"] for one in placed.json["action"]["orders"]] == [True]
    else:
        assert placed.form.get("reduceOnly") == (None if setup.exchange == "binance" else "true")


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


@on("binance", "binancefuturesusd")
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


PLANS = int(os.environ.get("HEYTRADERS_TEST_PLANS", "40"))


@pytest.mark.parametrize(
    ("setup", "plans"),
    [
        *(pytest.param(name, 4, marks=pytest.mark.long) for name in AT_VENUE),
        *(pytest.param(name, PLANS, marks=pytest.mark.slow) for name in (*AT_VENUE, "gatefutures")),
    ],
    indirect=["setup"],
)
def test_chaos_kills_and_faults_sell_each_position_exactly_once(
    setup: Setup, plans: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before and after any request and any write, with faults on the wire: one exit per plan, and none lost."""
    monkeypatch.setattr(plans_module, "_LOST_SECONDS", 0.0)
    monkeypatch.setattr(plans_module, "_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr("engine.venues.exchange.accounts._LOOK_SECONDS", 0.0)
    dice, rested, watched, kills = random.Random(20_261_128), 0, 0, 0
    for number in range(plans):
        setup.fake.last = Decimal(30_000)
        before = {order.id for order in setup.sent()}
        entry = setup.place(f"plan {number}")
        setup.fake.last = Decimal(dice.choice([27_000, 34_000, 30_000]))
        for _ in range(dice.randrange(4)):
            if dice.random() < 0.5:
                setup.fake.faults.append(dice.choice(FAULTS))
            kills += _die_somewhere(setup, dice)
        setup.fake.faults.clear()
        for _ in range(3):
            setup.plans.look()
        mine = [order for order in setup.sent() if order.id not in before]
        if mine and all(order.status == "open" for order in mine):
            assert sorted(order.price or 0 for order in mine) == [28_000, 33_000]
            rested += 1
            chosen = dice.choice(mine)
            if dice.random() < 0.5:
                setup.fake.fill(chosen)
            else:
                setup.fake.last = Decimal(26_000)
                setup.fake.end(min(mine, key=lambda order: order.price or 0), MISSES[setup.exchange], "0.0007")
                for _ in range(dice.randrange(4)):
                    kills += _die_somewhere(setup, dice)
            for _ in range(4):
                setup.plans.look()
            mine = [order for order in setup.sent() if order.id not in before]
        else:
            watched += 1

        if setup.states(entry) == ["OPEN", "OPEN"]:
            setup.at(27_000)
            setup.plans.look()
            mine = [order for order in setup.sent() if order.id not in before]
        assert set(setup.states(entry)) == {"CANCELLED", "FILLED"}
        assert setup.states(entry).count("FILLED") == 1
        assert sum(order.filled for order in mine) == Decimal("0.002") / SCALE.get(setup.exchange, 1)
        assert not [order for order in setup.sent() if order.status == "open"]
    print(  # noqa: T201 - the figures of a long run
        f"{setup.exchange}: {plans} plans, {kills} kills, {rested} rested at the exchange, {watched} sent from here"
    )


MISSES = {**dict(ENDED_AS), "binancefuturesusd": "EXPIRED"}


SCALE = {"gatefutures": Decimal("0.0001")}
"""Base units in a contract."""


def _die_somewhere(setup: Setup, dice: random.Random) -> bool:
    """Look once, and die before or after one of the next requests or writes, if there are as many; whether it died."""
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
        return True
    finally:
        setup.restart()
    return False

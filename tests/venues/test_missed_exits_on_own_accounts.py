"""Exits that their exchange ends before they fill: each is replaced at its price or sent at once, and told."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from api.orders import OrdersRequest
from engine.venues.exchange import plans as plans_module

from .fake_hyperliquid import FakeHyperliquid
from .fake_venue import FakeOrder, FakeVenue
from .own_exits import ENDED_AS, Setup, on, on_spot

pytest.importorskip("ccxt")


@pytest.mark.parametrize(("setup", "state"), ENDED_AS, indirect=["setup"])
def test_a_stop_that_the_market_jumps_over_is_sent_again_at_the_market(setup: Setup, state: str) -> None:
    entry = setup.place("first")
    setup.at(30_500)
    stop, target = sorted(setup.sent(), key=lambda order: order.price or 0)
    setup.fake.last = Decimal(26_000)
    setup.fake.end(stop, state)
    for _ in range(4):
        setup.at(26_000)

    sold = [order for order in setup.sent() if order.status == "filled"]
    assert [(one.kind, one.amount) for one in sold] == [(setup.kind, Decimal("0.002"))]
    assert (target.status, len(setup.sent())) == ("canceled", 3)
    ended = [o for o in setup.accounts.orders(OrdersRequest()).orders if o.role == "stop_loss" and not o.filled_amount]
    assert [o.message for o in ended] == [
        f"0 of 0.002 filled, then {NAMES[setup.exchange]} ended it: {SAID.get(state, state)}"
    ]
    assert setup.gate.seen[-1].again == ended[0].message
    assert {o.status for o in setup.exits(entry).values()} <= {"FILLED", "CANCELLED"}


SAID = {"REJECTED": "conditional REJECTED"}
NAMES = {"binance": "Binance", "binancefuturesusd": "Binance USD-M", "hyperliquid": "Hyperliquid"}


@on("binance", "binancefuturesusd")
def test_a_stop_that_fills_in_part_is_sent_again_for_the_rest(setup: Setup) -> None:
    setup.place("first", take_profit=None)
    setup.at(30_500)
    [stop] = setup.sent()
    setup.fake.last = Decimal(27_000)
    setup.fake.end(stop, "EXPIRED", filled="0.0012")
    for _ in range(3):
        setup.at(27_000)

    assert [order.filled for order in setup.sent()] == [Decimal("0.0012"), Decimal("0.0008")]


@on("binancefuturesusd")
def test_an_exit_that_the_exchange_ends_rests_again_if_the_price_is_not_there(setup: Setup) -> None:
    setup.place("first")
    setup.at(30_500)
    setup.fake.end(min(setup.sent(), key=lambda order: order.price or 0), "REJECTED")
    setup.restart()
    for _ in range(3):
        setup.at(30_500)

    assert [order.price for order in setup.sent() if order.status == "open"].count(Decimal(28_000)) == 1
    assert {(role, holder) for role, holder, _, _ in setup.resting()} == {
        ("stop_loss", "venue"), ("take_profit", "venue"),
    }  # fmt: skip


@on("hyperliquid")
def test_an_exit_that_its_owner_cancels_there_or_that_has_nothing_to_close_is_not_sent_again(setup: Setup) -> None:
    for state in ("canceled", "reduceOnlyCanceled", "scheduledCancel", "liquidatedCanceled"):
        setup.at(30_000)
        entry = setup.place(state, take_profit=None)
        setup.at(30_500)
        setup.fake.end(setup.sent()[-1], state)
        for _ in range(3):
            setup.at(26_000)
        assert setup.states(entry) == ["CANCELLED"]

    assert len(setup.sent()) == 4


@on("hyperliquid")
def test_an_exit_that_the_price_leaves_behind_is_cancelled_and_sent_again(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its limit is 5 % below the price at which it was sent, and the price falls further before it fills."""
    monkeypatch.setattr("engine.venues.exchange.exits._BEHIND_SECONDS", 0.0)
    assert isinstance(setup.fake, FakeHyperliquid)
    setup.fake.refuse_exits = True
    setup.place("first", take_profit=None)
    setup.at(30_500)
    with monkeypatch.context() as nobody:
        nobody.setattr(FakeVenue, "_crosses", nobody_there)
        setup.at(27_000)
    for _ in range(4):
        setup.at(25_000)

    assert [(order.price, order.status) for order in setup.sent()] == [(25_650, "canceled"), (23_750, "filled")]


def nobody_there(*_: object) -> bool:
    """No order finds another side."""
    return False


@on("gatefutures")
def test_a_market_order_that_fills_in_part_is_sent_again_for_the_rest(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.place("first", take_profit=None)
    place = FakeVenue.place

    def thin(fake: FakeVenue, *terms: Any) -> FakeOrder:
        order = place(fake, *terms)
        fake.end(order, "ioc", filled="15")
        return order

    with monkeypatch.context() as market:
        market.setattr(FakeVenue, "place", thin)
        setup.at(27_000)
    for _ in range(2):
        setup.at(27_000)

    assert [int(order.filled) for order in setup.sent()] == [15, 5]


@on("binancefuturesusd")
def test_a_stop_that_rests_although_the_price_has_passed_it_is_reported(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(plans_module, "_PASSED_SECONDS", 0.0)
    entry = setup.place("first")
    setup.at(30_500)
    setup.at(27_000)
    setup.at(27_000)

    why = "the price passed 28000 and Binance USD-M has not filled it: look there, and close it"
    assert setup.exits(entry)["stop_loss"].message == why
    assert why in caplog.text
    assert len(setup.sent()) == 2


@on_spot
def test_a_target_that_fills_in_part_leaves_a_stop_for_the_rest(setup: Setup) -> None:
    """Binance ends the stop of a pair with the first fill of the target."""
    setup.place("first")
    setup.at(30_500)
    stop, target = sorted(setup.sent(), key=lambda order: order.price or 0)
    stop.status, stop.ended_as, target.filled = "canceled", "EXPIRED", Decimal("0.0005")
    setup.at(32_900)
    for _ in range(4):
        setup.at(27_500)

    assert (target.status, target.filled) == ("canceled", Decimal("0.0005"))
    assert [(order.kind, order.filled) for order in setup.sent()[2:]] == [("market", Decimal("0.0015"))]

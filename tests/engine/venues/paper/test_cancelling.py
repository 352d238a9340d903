"""Cancelling by every kind of id and from every state."""

from __future__ import annotations

from typing import Any

import pytest

from api.errors import InvalidInput, NotFound
from api.orders import CancelRequest

from .conftest import BTC, OWNER, TOKEN, Bench, Refused

REST: dict[str, Any] = {"order_type": "limit", "price": 90_000}


async def test_a_resting_order_is_cancelled_and_frees_what_it_held(desk: Bench) -> None:
    order = await desk.place("binance", "BTC/USDT", "buy", "0.01", **REST)
    cancelled = await desk.cancel(order.order_id)

    assert (cancelled.status, cancelled.filled_amount, cancelled.remaining_amount) == ("CANCELLED", 0, 0)
    assert await desk.cash("binance") == ("10000", "0")


async def test_what_has_been_filled_stays_filled(desk: Bench) -> None:
    order = await desk.place("binance", "BTC/USDT", "buy", "0.02", **REST)
    desk.market.tick({BTC: (90_000, 90_000, 89_000, 90_000, 0.1)})
    cancelled = await desk.cancel(order.order_id)

    assert (cancelled.status, str(cancelled.filled_amount)) == ("CANCELLED", "0.01")
    # 0.01 at 90,000 and a fee of 0.90.
    assert await desk.cash("binance") == ("9099.1", "0")


async def test_an_order_that_time_has_filled_cannot_be_cancelled_any_more(
    desk: Bench, changes_nothing: Refused
) -> None:
    order = await desk.place("binance", "BTC/USDT", "buy", "0.01", **REST)
    desk.market.tick({BTC: (90_000, 90_000, 89_000, 90_000, 1_000)})
    error = await changes_nothing(lambda: desk.cancel(order.order_id))

    assert isinstance(error, InvalidInput)
    assert "is FILLED; only INIT, OPEN, PART_FILLED" in error.message


async def test_a_cancelled_order_is_not_cancelled_again(desk: Bench, changes_nothing: Refused) -> None:
    order = await desk.place("binance", "BTC/USDT", "buy", "0.01", **REST)
    await desk.cancel(order.order_id)

    assert "is CANCELLED" in (await changes_nothing(lambda: desk.cancel(order.order_id))).message


@pytest.mark.parametrize("complete", [True, False])
async def test_the_venues_id_works_with_and_without_the_rest(desk: Bench, complete: bool) -> None:
    order = await desk.place("gate", "BTC/USDT", "buy", "0.01", **REST)
    named = {"exchange": "gate", "symbol": "btc-usdt", "account_id": "paper-gate"} if complete else {}

    assert (await desk.cancel(order.exchange_order_id, **named)).status == "CANCELLED"


async def test_no_two_orders_share_an_id_on_any_venue(desk: Bench) -> None:
    placed = [await desk.place(venue, "BTC/USDT", "buy", "0.01", **REST) for venue in ("gate", "binance", "lighter")]
    ids = [str(order.exchange_order_id) for order in placed]

    assert len(set(ids)) == 3
    assert all(len(one) == 13 and one.isdecimal() for one in ids)


async def test_lighter_takes_its_numeric_id_only(desk: Bench, changes_nothing: Refused) -> None:
    order = await desk.place("lighter", "BTC/USDT", "buy", "0.01", **REST)
    error = await changes_nothing(lambda: desk.cancel(order.order_id))

    assert str(order.exchange_order_id).isdecimal()
    assert "does not work on Lighter" in error.message
    assert str(order.exchange_order_id) in str(error.corrected)
    assert f'order_id="{order.exchange_order_id}"' in str(order.suggestion)
    assert (await desk.cancel(order.exchange_order_id)).status == "CANCELLED"


async def test_polymarket_takes_the_id_that_placing_returned(desk: Bench) -> None:
    order = await desk.place("polymarket", TOKEN, "buy", 100, order_type="GTC", price="0.5")

    assert f'order_id="{order.exchange_order_id}"' in str(order.suggestion)
    assert (await desk.cancel(order.exchange_order_id)).status == "CANCELLED"
    assert await desk.cash("polymarket") == ("10000", "0")


async def test_an_unknown_order_is_not_found_and_the_message_says_what_one_from_elsewhere_needs(
    desk: Bench, changes_nothing: Refused
) -> None:
    error = await changes_nothing(lambda: desk.cancel("1770730748798", exchange="gate"))

    assert isinstance(error, NotFound)
    assert error.code == "ORDER_NOT_FOUND"
    assert error.suggestion.endswith("also needs symbol, account_id")


@pytest.mark.parametrize(
    "wrong", [{"exchange": "gate"}, {"symbol": "ETH/USDT", "exchange": "binance"}, {"account_id": "paper-gate"}]
)
async def test_what_is_said_of_the_order_must_be_true(
    desk: Bench, changes_nothing: Refused, wrong: dict[str, str]
) -> None:
    order = await desk.place("binance", "BTC/USDT", "buy", "0.01", **REST)

    assert (await changes_nothing(lambda: desk.cancel(order.order_id, **wrong))).code == "ORDER_NOT_FOUND"


async def test_the_order_of_another_agent_cannot_be_cancelled(desk: Bench) -> None:
    order = await desk.place("binance", "BTC/USDT", "buy", "0.01", **REST)
    with pytest.raises(NotFound):
        desk.accounts_of(f"{OWNER}_2").cancel(CancelRequest(order_id=str(order.order_id)))

    assert (await desk.order(order.order_id)).status == "OPEN"

"""Spot accounts: market, limit, GTC and FOK orders, with fees and slippage computed by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest
from anyio.to_thread import run_sync

from api.errors import InvalidInput, NotFound
from api.orders import PlaceRequest

from .conftest import BTC, BTC_GATE, BTC_LIGHTER, ETH, Bench, Refused, flat


async def test_a_market_order_fills_at_the_latest_close_with_slippage_and_fee(desk: Bench) -> None:
    order = await desk.place("binance", "BTC/USDT", "buy", "0.01", label="first")

    # 100,000 plus 5 basis points is 100,050; 0.01 of it costs 1,000.50 and a fee of 0.1 %.
    assert (order.status, order.filled_amount, order.average_price) == ("FILLED", Decimal("0.01"), Decimal(100_050))
    assert (order.fee, order.fee_currency, order.label, order.paper) == (Decimal("1.0005"), "USDT", "first", True)
    assert order.order_id is not None
    assert order.order_id.startswith("api-")
    assert await desk.cash("binance") == ("8998.4995", "0")
    assert [(b.asset, b.total) for b in (await desk.balances("binance")).balances[1:]] == [("BTC", Decimal("0.01"))]


async def test_selling_gets_the_close_less_slippage_and_fee(desk: Bench) -> None:
    await desk.place("binance", "BTC/USDT", "buy", "0.01")
    order = await desk.place("binance", "BTC/USDT", "sell", "0.01")

    # 99,950 for 0.01 is 999.50, less 0.9995; no base currency is left to list.
    assert order.average_price == Decimal(99_950)
    assert await desk.cash("binance") == ("9997", "0")
    assert [b.asset for b in (await desk.balances("binance")).balances] == ["USDT"]


@pytest.mark.parametrize("order_type", ["limit", "GTC"])
async def test_a_resting_order_holds_its_funds_and_fills_where_its_price_is_reached(
    desk: Bench, order_type: str
) -> None:
    order = await desk.place("binance", "BTC/USDT", "buy", "0.01", order_type=order_type, price=99_000)

    # 990 and the fee of 0.99 are reserved.
    assert order.status == "OPEN"
    assert await desk.cash("binance") == ("9009.01", "990.99")

    desk.market.tick({BTC: (100_000, 100_000, 99_500, 99_500, 1_000)})
    assert (await desk.order(order.order_id)).status == "OPEN"

    desk.market.tick({BTC: (99_500, 99_500, 97_000, 98_000, 1_000)})
    filled = await desk.order(order.order_id)
    assert (filled.status, filled.average_price, filled.fee) == ("FILLED", Decimal(99_000), Decimal("0.99"))
    assert await desk.cash("binance") == ("9009.01", "0")


async def test_a_bar_that_opens_beyond_the_price_fills_at_its_open(desk: Bench) -> None:
    order = await desk.place("binance", "BTC/USDT", "buy", "0.01", order_type="limit", price=99_000)
    desk.market.tick({BTC: (98_000, 98_500, 97_000, 98_000, 1_000)})

    assert (await desk.order(order.order_id)).average_price == Decimal(98_000)
    # 990.99 was held; 980 and a fee of 0.98 were needed.
    assert await desk.cash("binance") == ("9019.02", "0")


async def test_an_order_meets_only_bars_that_open_after_it(desk: Bench) -> None:
    desk.clock.advance(30)
    order = await desk.place("binance", "BTC/USDT", "buy", "0.01", order_type="limit", price=99_000)
    desk.market.tick({BTC: (100_000, 100_000, 90_000, 100_000, 1_000)})

    assert (await desk.order(order.order_id)).status == "OPEN"


async def test_a_bar_that_one_order_may_meet_can_be_too_early_for_another(desk: Bench) -> None:
    first = await desk.place("binance", "BTC/USDT", "buy", "0.01", order_type="limit", price=95_000)
    desk.clock.advance(30)
    second = await desk.place("binance", "BTC/USDT", "buy", "0.01", order_type="limit", price=95_000)
    desk.market.tick({BTC: (100_000, 100_000, 94_000, 100_000, 1_000)})

    assert [(await desk.order(o.order_id)).status for o in (first, second)] == ["FILLED", "OPEN"]


async def test_a_bar_gives_a_tenth_of_its_volume_to_all_orders_in_the_order_of_placing(desk: Bench) -> None:
    first = await desk.place("binance", "BTC/USDT", "buy", "0.02", order_type="limit", price=99_000)
    second = await desk.place("binance", "BTC/USDT", "buy", "0.02", order_type="limit", price=99_500)
    dip = (99_000.0, 99_000.0, 98_000.0, 100_000.0, 0.3)

    desk.market.tick({BTC: dip})
    assert [
        (o.status, o.filled_amount) for o in (await desk.order(first.order_id), await desk.order(second.order_id))
    ] == [
        ("FILLED", Decimal("0.02")),
        ("PART_FILLED", Decimal("0.01")),
    ]
    assert (await desk.order(second.order_id)).remaining_amount == Decimal("0.01")

    desk.market.tick({BTC: dip})
    assert (await desk.order(second.order_id)).status == "FILLED"


async def test_the_same_time_passed_at_once_or_in_steps_ends_the_same(desk: Bench) -> None:
    """Settling is lazy; how often a reader looks must not matter."""
    bars = [(100_000.0, 100_100.0, 99_000.0 - i * 50, 99_500.0, 0.05) for i in range(10)]
    order = await desk.place("binance", "BTC/USDT", "buy", "0.03", order_type="limit", price=98_900)
    for bar in bars:
        desk.market.tick({BTC: bar})
        await desk.orders()
    watched = await desk.order(order.order_id)

    unwatched_desk = Bench(desk.home.with_name("other"), desk.market, desk.clock)
    desk.clock.advance(-600)
    again = await unwatched_desk.place("binance", "BTC/USDT", "buy", "0.03", order_type="limit", price=98_900)
    desk.clock.advance(600)
    unwatched = await unwatched_desk.order(again.order_id)
    unwatched_desk.store.close()

    same = ("status", "filled_amount", "average_price", "fee", "updated_at")
    assert [getattr(watched, name) for name in same] == [getattr(unwatched, name) for name in same]
    assert watched.filled_amount == Decimal("0.03")


async def test_everything_that_waits_is_settled_by_one_look(desk: Bench) -> None:
    rest = {"order_type": "limit", "price": 90_000}
    early = await desk.place("binance", "ETH/USDT", "buy", "0.1", order_type="limit", price=1_900)
    for _ in range(5):
        desk.market.tick()
    placed = [early, *[await desk.place(a, "BTC/USDT", "buy", "0.01", **rest) for a in ("binance", "gate", "lighter")]]
    dip = (90_000, 90_000, 90_000, 90_000, 1_000)
    desk.market.tick({BTC: dip, BTC_GATE: dip, BTC_LIGHTER: dip, ETH: (1_900, 1_900, 1_900, 1_900, 1_000)})

    assert {o.order_id: o.status for o in await desk.orders()} == {o.order_id: "FILLED" for o in placed}


async def test_an_order_that_waited_for_days_fills_in_the_very_bar(desk: Bench) -> None:
    """More bars than one transaction takes, with no reads in between."""
    order = await desk.place("binance", "BTC/USDT", "buy", "0.01", order_type="limit", price=90_000)
    for minute in range(4_500):
        desk.market.tick({BTC: (90_000, 90_000, 90_000, 90_000, 0.05) if minute in {4_100, 4_300} else flat(100_000)})
    filled = await desk.order(order.order_id)

    # Half in each dip; the second closes 4,301 minutes after noon.
    assert (filled.status, filled.updated_at) == ("FILLED", "2025-06-19T11:41:00Z")


async def test_a_limit_that_the_market_has_reached_takes_what_the_last_bar_gives_and_rests_with_the_rest(
    desk: Bench,
) -> None:
    desk.market.tick({BTC: flat(100_000, volume=0.1)})
    order = await desk.place("binance", "BTC/USDT", "buy", "0.05", order_type="limit", price=101_000)

    assert (order.status, order.filled_amount, order.average_price) == (
        "PART_FILLED",
        Decimal("0.01"),
        Decimal(100_050),
    )
    # 0.01 at 100,050 and its fee are spent; 0.04 at 101,000 with a fee are held.
    assert await desk.cash("binance") == ("4954.4595", "4044.04")


@pytest.mark.parametrize(("limit", "paid"), [("100060", 100_050), ("100010", 100_010), ("100000", 100_000)])
async def test_a_limit_that_the_market_has_reached_is_taken_at_once_and_slips_to_its_limit_at_most(
    desk: Bench, limit: str, paid: int
) -> None:
    order = await desk.place("binance", "BTC/USDT", "buy", "0.01", order_type="limit", price=float(limit))

    assert (order.status, order.average_price) == ("FILLED", Decimal(paid))


async def test_fill_or_kill_is_whole_and_at_once_or_nothing(desk: Bench) -> None:
    taken = await desk.place("binance", "BTC/USDT", "buy", "0.01", order_type="FOK", price=100_100)
    missed = await desk.place("binance", "BTC/USDT", "buy", "0.01", order_type="FOK", price=100_049.9)
    desk.market.tick({BTC: flat(100_000, volume=0.05)})
    too_large = await desk.place("binance", "BTC/USDT", "buy", "0.01", order_type="FOK", price=100_100)

    assert (taken.status, taken.average_price) == ("FILLED", Decimal(100_050))
    assert (missed.status, missed.filled_amount, missed.remaining_amount) == ("CANCELLED", 0, 0)
    assert "100050 is asked" in str(missed.message)
    assert too_large.status == "CANCELLED"
    assert "0.005 can be filled" in str(too_large.message)
    assert (await desk.cash("binance"))[1] == "0"


async def test_won_accounts_trade_in_won(desk: Bench) -> None:
    order = await desk.place("upbit", "KRW-BTC", "buy", "0.01")

    # 140,070,000 a coin, 5 basis points fee.
    assert (order.symbol, order.average_price) == ("BTC/KRW", Decimal(140_070_000))
    assert await desk.cash("upbit") == ("12598599.65", "0")


async def test_selling_what_is_not_there_is_refused(desk: Bench, changes_nothing: Refused) -> None:
    await desk.place("binance", "BTC/USDT", "buy", "0.01")
    await desk.place("binance", "BTC/USDT", "sell", "0.004", order_type="limit", price=120_000)
    error = await changes_nothing(lambda: desk.place("binance", "BTC/USDT", "sell", "0.007"))

    assert isinstance(error, InvalidInput)
    assert "0.006 BTC free, and 0.004 in open orders" in error.message
    assert "cannot go short" in error.message
    assert "Sell at most 0.006" in error.suggestion


async def test_spending_more_than_there_is_is_refused_with_what_would_do(desk: Bench, changes_nothing: Refused) -> None:
    error = await changes_nothing(lambda: desk.place("binance", "BTC/USDT", "buy", "0.1"))

    assert "10015.005 USDT is needed and 10000 USDT is free" in error.message
    assert "0.09985" in error.suggestion
    assert (await desk.place("binance", "BTC/USDT", "buy", "0.09985")).status == "FILLED"


@pytest.mark.parametrize(
    ("fields", "words", "nearest"),
    [
        ({"amount": "0.0100049"}, "lot size 0.00001", "0.01"),
        ({"amount": "0.01", "order_type": "limit", "price": "99000.17"}, "tick size 0.1", "99000.2"),
        ({"amount": "999999999999999999.999999"}, "lot size 0.00001", "999999999999999999.99999"),
    ],
)
async def test_a_wrong_step_is_refused_with_the_nearest_valid_value(
    desk: Bench, changes_nothing: Refused, fields: dict[str, str], words: str, nearest: str
) -> None:
    amount = fields["amount"]
    more = {name: value for name, value in fields.items() if name != "amount"}
    error = await changes_nothing(lambda: desk.place("binance", "BTC/USDT", "buy", amount, **more))

    assert words in error.message
    assert error.suggestion.endswith(f" is {nearest}")
    assert f'"{nearest}"' in str(error.corrected)


async def test_two_wrong_steps_are_corrected_at_once(desk: Bench, changes_nothing: Refused) -> None:
    wrong = {"order_type": "limit", "price": "99000.17"}
    error = await changes_nothing(lambda: desk.place("binance", "BTC/USDT", "buy", "0.010001", **wrong))

    assert error.suggestion == "The nearest valid amount is 0.01, the nearest valid price is 99000.2"
    assert 'amount="0.01", price="99000.2"' in str(error.corrected)


async def test_a_step_whose_nearest_value_is_too_small_an_order_offers_no_call_that_fails(
    desk: Bench, changes_nothing: Refused
) -> None:
    error = await changes_nothing(lambda: desk.place("binance", "BTC/USDT", "buy", "0.000001"))

    assert error.suggestion == "The nearest valid amount is 0.00001; an order is worth at least 5 USDT"
    assert error.corrected is None


async def test_an_order_below_the_smallest_value_is_refused_unless_it_sells_all(
    desk: Bench, changes_nothing: Refused
) -> None:
    error = await changes_nothing(lambda: desk.place("binance", "BTC/USDT", "buy", "0.00004"))
    assert "less than the smallest order of 5 USDT" in error.message
    assert error.suggestion.endswith("0.00005")

    await desk.place("binance", "BTC/USDT", "buy", "0.00005")
    desk.market.tick({BTC: flat(50_000)})
    assert (await desk.place("binance", "BTC/USDT", "sell", "0.00005")).status == "FILLED"


async def test_unknown_accounts_symbols_and_the_wrong_venue_are_refused(desk: Bench, changes_nothing: Refused) -> None:
    unlisted = await changes_nothing(lambda: desk.place("binance", "DOGE/USDT", "buy", 100))
    assert isinstance(unlisted, NotFound)

    request = PlaceRequest(
        account_id="nobody", exchange="binance", symbol="BTC/USDT", side="buy", amount=Decimal("0.01")
    )
    unknown = await changes_nothing(lambda: run_sync(desk.broker.place, request))
    assert isinstance(unknown, NotFound)
    assert "paper-binance" in unknown.suggestion

    crossed = request.model_copy(update={"account_id": "paper-gate"})
    wrong = await changes_nothing(lambda: run_sync(desk.broker.place, crossed))
    assert "trades on gate, not on binance" in wrong.message


async def test_an_order_against_an_old_candle_says_so(desk: Bench) -> None:
    fresh = await desk.place("binance", "BTC/USDT", "buy", "0.01")
    desk.clock.advance(3 * 86_400)
    stale = await desk.place("binance", "BTC/USDT", "buy", "0.01")

    assert "latest candle closed" not in str(fresh.suggestion)
    assert "latest candle closed at 2025-06-16T12:00:00Z" in str(stale.suggestion)
    assert (stale.price_time, stale.price_source) == ("2025-06-16T12:00:00Z", "simulated")


async def test_placing_with_an_id_is_done_once(desk: Bench) -> None:
    request = PlaceRequest(
        account_id="paper-binance", exchange="binance", symbol="BTC/USDT", side="buy", amount=Decimal("0.01")
    )
    first = desk.broker.place(request, "api-signal-1")
    again = desk.broker.place(request, "api-signal-1")

    assert (first.order_id, again.order_id) == ("api-signal-1", "api-signal-1")
    assert len(await desk.orders()) == 1

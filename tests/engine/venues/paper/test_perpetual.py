"""Perpetual accounts: leverage, isolated margin, netting and liquidation, computed by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from api.accounts import Position

from .conftest import BTC_HYPER, BTC_PERP, START, Bench, Refused, flat

PERP = "binancefuturesusd"
SYMBOL = "BTC/USDT:USDT"


async def position(desk: Bench, account: str = PERP) -> Position | None:
    """The account's only position."""
    found = (await desk.balances(account)).positions
    return found[0] if found else None


async def test_a_short_posts_isolated_margin_and_is_valued_at_the_latest_close(desk: Bench) -> None:
    order = await desk.place(PERP, SYMBOL, "sell", "0.01", leverage=5)

    # 99,950 after slippage: a value of 999.50, a fifth of it as margin, a fee of 5 basis points.
    assert (order.status, order.average_price, order.fee) == ("FILLED", Decimal(99_950), Decimal("0.49975"))
    assert await desk.cash(PERP) == ("9799.60025", "199.9")

    desk.market.tick({BTC_PERP: flat(98_000)})
    held = await position(desk)
    assert held is not None
    assert (held.symbol, held.side, held.size, held.leverage) == (SYMBOL, "short", Decimal("0.01"), 5)
    assert (held.entry_price, held.mark_price, held.margin) == (Decimal(99_950), Decimal(98_000), Decimal("199.9"))
    assert held.unrealized_pnl == Decimal("19.5")
    assert (await desk.balances(PERP)).total_equity_usd == Decimal("10019.00025")


async def test_a_short_limit_above_the_market_rests_with_margin_held(desk: Bench) -> None:
    order = await desk.place(PERP, SYMBOL, "sell", "0.01", order_type="limit", price=101_000, leverage=5)

    # A value of 1,010: 202 margin and 0.505 for the fee.
    assert (order.status, order.leverage) == ("OPEN", 5)
    assert await desk.cash(PERP) == ("9797.495", "202.505")

    desk.market.tick({BTC_PERP: (100_000, 101_000, 100_000, 101_000, 1_000)})
    assert (await desk.order(order.order_id)).fee == Decimal("0.202")
    assert await desk.cash(PERP) == ("9797.798", "202")


async def test_without_leverage_a_position_is_fully_paid_and_a_long_can_never_be_liquidated(desk: Bench) -> None:
    await desk.place(PERP, SYMBOL, "buy", "0.01")
    desk.market.tick({BTC_PERP: (100_000, 100_000, 0.1, 10, 1_000)})

    held = await position(desk)
    assert held is not None
    assert (held.leverage, held.liquidation_price, held.margin) == (1, None, Decimal("1000.5"))


async def test_orders_net_against_the_position_and_realise_their_share(desk: Bench) -> None:
    await desk.place(PERP, SYMBOL, "buy", "0.03", leverage=10)
    # A value of 3,001.50 at 100,050, margin 300.15, fee 1.50075.
    assert await desk.cash(PERP) == ("9698.34925", "300.15")

    desk.market.tick({BTC_PERP: flat(110_000)})
    await desk.place(PERP, SYMBOL, "sell", "0.01")
    # A third closes at 109,945: 98.95 gained, 100.05 margin back, 0.549725 fee.
    assert await desk.cash(PERP) == ("9896.799525", "200.1")

    flipped = await desk.place(PERP, SYMBOL, "sell", "0.05")
    held = await position(desk)
    assert flipped.leverage == 10
    assert held is not None
    assert (held.side, held.size, held.entry_price) == ("short", Decimal("0.03"), Decimal(109_945))
    # 197.90 gained on 0.02, 200.10 back, 329.835 margin for 0.03, fee 2.748625 on 0.05.
    assert await desk.cash(PERP) == ("9962.2159", "329.835")


async def test_a_closing_order_needs_no_money_of_its_own(desk: Bench) -> None:
    await desk.place(PERP, SYMBOL, "buy", "0.099", leverage=1)
    assert Decimal((await desk.cash(PERP))[0]) < 100

    resting = await desk.place(PERP, SYMBOL, "sell", "0.099", order_type="limit", price=101_000)
    assert resting.status == "OPEN"
    desk.market.tick({BTC_PERP: (100_000, 102_000, 100_000, 102_000, 10_000)})
    assert await position(desk) is None
    # 94.05 gained less 4.952475 and 1.9998 in fees.
    assert await desk.cash(PERP) == ("10087.097725", "0")


async def test_a_position_can_be_promised_to_closing_orders_once(desk: Bench) -> None:
    await desk.place(PERP, SYMBOL, "buy", "0.01", leverage=5)
    await desk.place(PERP, SYMBOL, "sell", "0.01", order_type="limit", price=101_000)
    assert (await desk.cash(PERP))[1] == "200.1"

    await desk.place(PERP, SYMBOL, "sell", "0.01", order_type="limit", price=102_000)
    # The second would open a short of 1,020: 204 margin and 0.51 for the fee.
    assert (await desk.cash(PERP))[1] == "404.61"


async def test_a_part_that_closes_leaves_what_is_held_for_the_part_that_opens(desk: Bench) -> None:
    await desk.place(PERP, SYMBOL, "buy", "0.04", leverage=5)
    order = await desk.place(PERP, SYMBOL, "sell", "0.05", order_type="limit", price=101_000)
    # 4,002 of value bought: 800.40 margin; 0.01 would open: 202 margin and 0.505 fee.
    assert (await desk.cash(PERP))[1] == "1002.905"

    desk.market.tick({BTC_PERP: (100_000, 101_000, 100_000, 101_000, 0.1)})
    assert (await desk.order(order.order_id)).filled_amount == Decimal("0.01")
    # A quarter of the margin was released; the position stays.
    assert (await desk.cash(PERP))[1] == "802.805"


async def test_an_order_whose_position_is_gone_and_cannot_be_paid_for_is_rejected_at_its_price(desk: Bench) -> None:
    await desk.place(PERP, SYMBOL, "buy", "0.099", leverage=1)
    resting = await desk.place(PERP, SYMBOL, "sell", "0.099", order_type="limit", price=101_000)
    await desk.place(PERP, SYMBOL, "sell", "0.099")
    await desk.place(PERP, SYMBOL, "buy", "0.09", order_type="limit", price=90_000)
    desk.market.tick({BTC_PERP: (100_000, 101_500, 100_000, 101_500, 10_000)})

    ended = await desk.order(resting.order_id)
    assert (ended.status, ended.filled_amount) == ("REJECTED", 0)
    assert "No margin" in str(ended.message)


@pytest.mark.parametrize(("high", "survives"), [(119_462.1, True), (119_462.2, False)])
async def test_a_short_is_liquidated_where_equity_meets_the_maintenance_margin(
    desk: Bench, high: float, survives: bool
) -> None:
    await desk.place(PERP, SYMBOL, "sell", "0.01", leverage=5)
    resting = await desk.place(PERP, SYMBOL, "buy", "0.01", order_type="limit", price=90_000)
    desk.market.tick({BTC_PERP: (100_000, high, 100_000, 100_000, 1_000)})

    # (999.50 + 199.90) / (0.01 * 1.004) = 119,462.15
    held, last = await position(desk), (await desk.orders(limit=1))[0]
    assert (held is not None) is survives
    if not survives:
        assert (last.label, last.side, last.status, last.filled_amount) == (
            "liquidation",
            "buy",
            "FILLED",
            Decimal("0.01"),
        )
        assert "isolated margin of 199.9 was lost" in str(last.message)
        assert (await desk.order(resting.order_id)).status == "CANCELLED"
        assert await desk.cash(PERP) == ("9799.60025", "0")


async def test_a_long_at_the_highest_leverage_opens_and_is_liquidated_close_below(desk: Bench) -> None:
    await desk.place(PERP, SYMBOL, "buy", "0.01", leverage=125)
    held = await position(desk)
    assert held is not None
    # (1,000.50 - 8.004) / (0.01 * 0.996) = 99,648.19277108
    assert held.liquidation_price == Decimal("99648.19277108")

    desk.market.tick({BTC_PERP: (100_000, 100_000, 99_640, 100_000, 1_000)})
    assert await position(desk) is None
    # 10,000 less 8.004 margin and 0.50025 fee.
    assert await desk.cash(PERP) == ("9991.49575", "0")


async def test_a_gap_costs_no_more_than_the_margin(desk: Bench) -> None:
    await desk.place(PERP, SYMBOL, "buy", "0.01", leverage=50)
    desk.market.tick({BTC_PERP: flat(50_000)})

    # 20.01 margin and 0.50025 fee are lost; the account does not bear the other 480 of the loss.
    assert await desk.cash(PERP) == ("9979.48975", "0")


async def test_what_opens_within_a_bar_is_held_against_its_close(desk: Bench) -> None:
    await desk.place(PERP, SYMBOL, "buy", "0.01", order_type="limit", price=95_000, leverage=20)
    desk.market.tick({BTC_PERP: (100_000, 100_000, 80_000, 85_000, 1_000)})

    assert await position(desk) is None
    assert [o.label for o in await desk.orders()] == ["liquidation", None]


async def test_one_instrument_has_one_leverage_at_a_time(desk: Bench, changes_nothing: Refused) -> None:
    await desk.place(PERP, SYMBOL, "buy", "0.01", leverage=5)
    error = await changes_nothing(lambda: desk.place(PERP, SYMBOL, "buy", "0.01", leverage=10))

    assert "leverage 10 differs from the 5" in error.message
    assert "leverage=5" in str(error.corrected)


async def test_margin_that_is_not_there_is_refused(desk: Bench, changes_nothing: Refused) -> None:
    error = await changes_nothing(lambda: desk.place(PERP, SYMBOL, "buy", "1", leverage=5))
    assert "not enough USDT" in error.message

    more: dict[str, Any] = {"order_type": "limit", "price": 90_000, "leverage": 5}
    error = await changes_nothing(lambda: desk.place(PERP, SYMBOL, "buy", "1", **more))
    assert "not enough USDT" in error.message


async def test_hyperliquid_trades_its_contract_under_the_plain_pair(desk: Bench) -> None:
    order = await desk.place("hyperliquid", "BTC/USDT", "buy", "0.01", leverage=2)
    desk.market.tick({BTC_HYPER: flat(101_000)})
    held = await position(desk, "hyperliquid")

    assert (order.symbol, order.market_type, order.fee_currency) == ("BTC/USDT", "perpetual", "USDC")
    assert held is not None
    assert (held.symbol, held.unrealized_pnl) == ("BTC/USDT", Decimal("9.5"))


@pytest.mark.parametrize(("side", "paid"), [("buy", "20.2"), ("sell", "-20.2")], ids=["a long pays", "a short is paid"])
async def test_funding_is_charged_on_the_value_at_the_open_of_each_funding_time(
    desk: Bench, side: str, paid: str
) -> None:
    await desk.place("binancefuturesusd", "BTC/USDT:USDT", side, "0.1", leverage=5)
    before = Decimal((await desk.cash("binancefuturesusd"))[0])
    opened = START + 120
    desk.market.rates[BTC_PERP] = [(opened, 0.002), (START + 100_000, 0.5)]

    desk.market.tick({BTC_PERP: flat(101_000)})
    assert Decimal((await desk.cash("binancefuturesusd"))[0]) == before
    desk.market.tick({BTC_PERP: flat(101_000)})
    desk.market.tick({BTC_PERP: flat(101_000)})

    # 0.1 at 101,000 is 10,100; 0.2 % of it is 20.2, once.
    assert before - Decimal((await desk.cash("binancefuturesusd"))[0]) == Decimal(paid)


async def test_funding_takes_margin_where_no_free_money_is_left(desk: Bench) -> None:
    await desk.place("binancefuturesusd", "BTC/USDT:USDT", "buy", "0.09", leverage=1)
    free, _ = await desk.cash("binancefuturesusd")
    margin = (await desk.balances("binancefuturesusd")).positions[0].margin
    desk.market.rates[BTC_PERP] = [(START + 60, 0.2)]
    desk.market.tick()
    desk.market.tick()

    # 20 % of 9,000 is 1,800: all of the free money, and the rest of the margin.
    after = (await desk.balances("binancefuturesusd")).positions[0].margin
    assert margin is not None
    assert (await desk.cash("binancefuturesusd"))[0] == "0"
    assert after == margin - (Decimal(1_800) - Decimal(free))

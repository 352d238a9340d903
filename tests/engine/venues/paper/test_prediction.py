"""Prediction accounts: tokens at probability prices, and their payout once the question is resolved."""

from __future__ import annotations

from decimal import Decimal

import pytest

from api.errors import NotFound

from .conftest import RAIN, TOKEN, Bench, Refused, flat


async def test_tokens_are_bought_with_fill_or_kill_and_shown_as_a_position(desk: Bench) -> None:
    order = await desk.place("polymarket", TOKEN, "buy", 100, order_type="FOK", price="0.65", market_type="prediction")

    # 60 cents plus slippage rounds up to the next cent.
    assert (order.status, order.average_price, order.symbol) == ("FILLED", Decimal("0.61"), TOKEN)
    assert str(order.exchange_order_id).startswith("0x")
    desk.market.tick({RAIN: flat(0.7)})
    shown = await desk.balances("polymarket")
    assert [(b.asset, b.total) for b in shown.balances] == [("USDC", Decimal(9_939))]
    held = shown.positions[0]
    assert (held.symbol, held.side, held.size, held.leverage) == (f"{TOKEN}/USDC", "long", 100, 1)
    assert (held.entry_price, held.unrealized_pnl) == (Decimal("0.61"), Decimal(9))
    assert shown.total_equity_usd == Decimal(10_009)


async def test_one_market_alone_is_asked_for_by_token_and_shows_its_size_only(desk: Bench) -> None:
    await desk.place("polymarket", TOKEN, "buy", "12.5", order_type="FOK", price="0.65")
    held = (await desk.balances("polymarket", TOKEN)).positions
    by_pair = (await desk.balances("polymarket", f"{TOKEN}/USDC")).positions

    assert by_pair == held
    assert len(held) == 1
    assert (held[0].symbol, held[0].size) == (f"{TOKEN}/USDC", Decimal("12.5"))
    assert (held[0].entry_price, held[0].unrealized_pnl, held[0].mark_price) == (0, 0, None)


async def test_a_market_without_a_position_has_size_zero(desk: Bench) -> None:
    assert [p.size for p in (await desk.balances("polymarket", TOKEN)).positions] == [0]


async def test_a_single_market_is_a_question_for_polymarket_only(desk: Bench, changes_nothing: Refused) -> None:
    error = await changes_nothing(lambda: desk.balances("binance", "BTC/USDT"))
    assert "symbol is for Polymarket accounts" in error.message

    unknown = await changes_nothing(lambda: desk.balances("polymarket", "123456789012345"))
    assert isinstance(unknown, NotFound)


async def test_a_resting_order_holds_dollars_or_tokens(desk: Bench) -> None:
    await desk.place("polymarket", TOKEN, "buy", 100, order_type="GTC", price="0.65")
    buying = await desk.place("polymarket", TOKEN, "buy", 100, order_type="GTC", price="0.55")
    selling = await desk.place("polymarket", TOKEN, "sell", 40, order_type="GTC", price="0.80")

    assert (buying.status, selling.status) == ("OPEN", "OPEN")
    assert await desk.cash("polymarket") == ("9884", "55")
    desk.market.tick({RAIN: (0.6, 0.85, 0.6, 0.8, 100_000)})
    # 40 tokens at 80 cents.
    assert await desk.cash("polymarket") == ("9916", "55")
    assert (await desk.balances("polymarket")).positions[0].size == 60


async def test_a_bet_of_fewer_than_five_tokens_cannot_rest(desk: Bench, changes_nothing: Refused) -> None:
    error = await changes_nothing(lambda: desk.place("polymarket", TOKEN, "buy", "2.5", order_type="GTC", price="0.55"))

    assert "2.5 is below 5 tokens" in error.message
    assert "FOK" in error.suggestion


async def test_there_is_no_short_selling_of_tokens(desk: Bench, changes_nothing: Refused) -> None:
    error = await changes_nothing(lambda: desk.place("polymarket", TOKEN, "sell", 1, order_type="FOK", price="0.5"))

    assert "0 tokens free" in error.message
    assert "cannot go short" in error.message


@pytest.mark.parametrize(("payout", "cash"), [(1, "10039"), (0, "9939")])
async def test_the_answer_pays_the_tokens_and_ends_the_orders(desk: Bench, payout: int, cash: str) -> None:
    await desk.place("polymarket", TOKEN, "buy", 100, order_type="FOK", price="0.65")
    resting = await desk.place("polymarket", TOKEN, "sell", 100, order_type="GTC", price="0.99")
    desk.market.tick()
    desk.market.resolve(RAIN, payout)

    assert await desk.cash("polymarket") == (cash, "0")
    assert (await desk.balances("polymarket")).positions == []
    ended = await desk.order(resting.order_id)
    assert (ended.status, ended.message) == ("CANCELLED", f"The market resolved: the token pays {payout}")


async def test_an_answered_market_takes_no_orders(desk: Bench, changes_nothing: Refused) -> None:
    desk.market.resolve(RAIN, 1)
    error = await changes_nothing(lambda: desk.place("polymarket", TOKEN, "buy", 9, order_type="FOK", price="0.65"))

    assert "has resolved" in error.message


async def test_slippage_never_reaches_certainty(desk: Bench) -> None:
    desk.market.tick({RAIN: flat(0.99)})
    bought = await desk.place("polymarket", TOKEN, "buy", 10, order_type="FOK", price="0.99")
    desk.market.tick({RAIN: flat(0.01)})
    sold = await desk.place("polymarket", TOKEN, "sell", 10, order_type="FOK", price="0.01")

    assert (bought.average_price, sold.average_price) == (Decimal("0.99"), Decimal("0.01"))


async def test_a_price_off_the_grid_is_corrected_within_zero_and_one(desk: Bench, changes_nothing: Refused) -> None:
    error = await changes_nothing(lambda: desk.place("polymarket", TOKEN, "buy", 9, order_type="GTC", price="0.999"))

    assert error.suggestion == "The nearest valid price is 0.99"

"""Orders with a stop and a target on paper accounts: fills, fees and cancellations, computed by hand."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from anyio.to_thread import run_sync
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import InvalidInput
from api.orders import CANCELLABLE, Order
from api.times import AcceleratedClock
from engine.trading_rules import Exits

from .conftest import BTC, BTC_HYPER, BTC_PERP, RAIN, START, Bar, Bench, Refused, a_market

SPOT = ("binance", "BTC/USDT", "buy")
PERP = ("binancefuturesusd", "BTC/USDT:USDT")


async def exits(desk: Bench, entry: Order, status: str = "OPEN") -> dict[str, Order]:
    """The exits of an entry by role."""
    found = [o for o in await desk.orders(limit=200) if o.parent == entry.order_id and o.status == status]
    return {str(o.role): o for o in found}


async def test_a_filled_entry_leaves_a_stop_and_a_target_that_hold_what_was_bought(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.01", stop_loss=95_000, take_profit=110_000)
    resting = await exits(desk, entry)

    assert (entry.status, entry.role, entry.stop_loss, entry.take_profit) == ("FILLED", "entry", 95_000, 110_000)
    stop, target = resting["stop_loss"], resting["take_profit"]
    assert (stop.side, stop.order_type, stop.stop_loss, stop.price, stop.amount) == (
        "sell", "market", Decimal(95_000), None, Decimal("0.01"),
    )  # fmt: skip
    assert (target.side, target.order_type, target.price, target.amount) == (
        "sell", "limit", Decimal(110_000), Decimal("0.01"),
    )  # fmt: skip
    assert {(o.held_by, o.reduce_only) for o in resting.values()} == {("venue", True)}
    held = (await desk.balances("binance")).balances[1]
    assert (held.asset, held.free, held.used) == ("BTC", 0, Decimal("0.01"))


async def test_the_stop_sells_where_it_is_reached_with_slippage_and_ends_the_target(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.01", stop_loss=95_000, take_profit=110_000)
    desk.market.tick({BTC: (100_000, 100_000, 94_000, 96_000, 1_000)})

    # 95,000 less 5 basis points is 94,952.5; a hundredth of it is 949.525, less the fee of 0.949525.
    # Before: 10,000 - 1,000.5 - 1.0005 = 8,998.4995.
    sold = (await exits(desk, entry, "FILLED"))["stop_loss"]
    assert (sold.average_price, sold.fee) == (Decimal("94952.5"), Decimal("0.949525"))
    assert (await exits(desk, entry, "CANCELLED"))["take_profit"].message == "The other exit was filled"
    assert await desk.cash("binance") == ("9947.074975", "0")


async def test_the_target_sells_at_its_own_price_as_a_limit_order_and_ends_the_stop(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.01", stop_loss=95_000, take_profit=110_000)
    desk.market.tick({BTC: (100_000, 112_000, 99_000, 101_000, 1_000)})

    # 8,998.4995 + 1,100 - 1.1.
    assert (await exits(desk, entry, "FILLED"))["take_profit"].average_price == Decimal(110_000)
    assert list(await exits(desk, entry, "CANCELLED")) == ["stop_loss"]
    assert await desk.cash("binance") == ("10097.3995", "0")


async def test_a_bar_that_holds_both_prices_stops(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.01", stop_loss=95_000, take_profit=110_000)
    desk.market.tick({BTC: (100_000, 120_000, 90_000, 100_000, 1_000)})

    assert list(await exits(desk, entry, "FILLED")) == ["stop_loss"]


async def test_a_gap_beyond_the_stop_sells_at_the_open(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.01", stop_loss=95_000)
    desk.market.tick({BTC: (90_000, 96_000, 89_000, 96_000, 1_000)})

    assert (await exits(desk, entry, "FILLED"))["stop_loss"].average_price == Decimal(89_955)


async def test_a_resting_entry_has_no_exits_until_it_fills_and_its_stop_may_be_hit_on_the_same_bar(desk: Bench) -> None:
    order = {"order_type": "limit", "price": 99_000, "stop_loss": 97_000, "take_profit": 103_000}
    safe = await desk.place(*SPOT, "0.01", **order)
    assert await exits(desk, safe) == {}

    desk.market.tick({BTC: (100_000, 104_000, 98_000, 99_500, 1_000)})
    # It came down to 99,000; the earlier price of 104,000 says nothing about later.
    assert sorted(await exits(desk, safe)) == ["stop_loss", "take_profit"]

    hit = await desk.place(*SPOT, "0.01", **order)
    desk.market.tick({BTC: (100_000, 100_000, 96_000, 99_500, 1_000)})
    # 97,000 less 5 basis points.
    assert (await exits(desk, hit, "FILLED"))["stop_loss"].average_price == Decimal("96951.5")


async def test_a_close_beyond_the_target_on_the_bar_of_the_fill_reaches_it(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.01", order_type="limit", price=99_000, take_profit=103_000)
    desk.market.tick({BTC: (100_000, 104_000, 98_000, 103_500, 1_000)})

    assert (await exits(desk, entry, "FILLED"))["take_profit"].average_price == Decimal(103_000)


async def test_a_partly_filled_entry_protects_what_is_filled_and_the_exits_grow_with_it(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.03", order_type="limit", price=99_000, stop_loss=95_000, take_profit=110_000)
    thin = (99_000.0, 99_500.0, 98_500.0, 99_400.0, 0.1)  # a tenth of 0.1 fills: 0.01

    desk.market.tick({BTC: thin})
    assert [o.amount for o in (await exits(desk, entry)).values()] == [Decimal("0.01")] * 2

    desk.market.tick({BTC: thin})
    assert [o.amount for o in (await exits(desk, entry)).values()] == [Decimal("0.02")] * 2

    cancelled = await desk.cancel(entry.order_id)
    assert (cancelled.status, cancelled.filled_amount) == ("CANCELLED", Decimal("0.02"))
    assert [o.amount for o in (await exits(desk, entry)).values()] == [Decimal("0.02")] * 2


async def test_an_exit_that_fills_ends_what_is_left_of_its_entry(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.03", order_type="limit", price=99_000, stop_loss=95_000, take_profit=110_000)
    desk.market.tick({BTC: (99_000, 99_500, 98_500, 99_400, 0.1)})
    desk.market.tick({BTC: (109_000, 111_000, 108_000, 109_000, 1_000)})

    assert (await exits(desk, entry, "FILLED"))["take_profit"].filled_amount == Decimal("0.01")
    over = await desk.order(entry.order_id)
    assert (over.status, over.message) == ("CANCELLED", "One of its exits was filled")


async def test_a_target_that_fills_in_part_leaves_the_stop_for_the_rest(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.03", stop_loss=95_000, take_profit=110_000)
    desk.market.tick({BTC: (109_000, 111_000, 108_000, 109_000, 0.1)})

    assert (await exits(desk, entry))["stop_loss"].amount == Decimal("0.02")
    assert (await exits(desk, entry, "PART_FILLED"))["take_profit"].filled_amount == Decimal("0.01")

    desk.market.tick({BTC: (96_000, 96_000, 94_000, 94_500, 1_000)})
    assert (await exits(desk, entry, "FILLED"))["stop_loss"].filled_amount == Decimal("0.02")
    assert [b.asset for b in (await desk.balances("binance")).balances] == ["USDT"]


async def test_exits_are_cancelled_together(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.01", stop_loss=95_000, take_profit=110_000)
    with pytest.raises(InvalidInput) as refused:
        await desk.cancel(entry.order_id)
    stop = (await exits(desk, entry))["stop_loss"]
    assert "cancels them together" in refused.value.suggestion

    await desk.cancel(stop.order_id)

    assert sorted(await exits(desk, entry, "CANCELLED")) == ["stop_loss", "take_profit"]
    assert (await desk.balances("binance")).balances[1].free == Decimal("0.01")


async def test_cancelling_an_entry_that_has_not_filled_cancels_the_plan(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.01", order_type="limit", price=99_000, stop_loss=95_000)
    await desk.cancel(entry.order_id)
    desk.market.tick({BTC: (99_000, 99_000, 94_000, 94_500, 1_000)})

    assert [o for o in await desk.orders() if o.status in CANCELLABLE or o.parent] == []


async def test_a_short_is_bought_back_by_exits_on_its_other_sides(desk: Bench) -> None:
    entry = await desk.place(*PERP, "sell", "0.1", leverage=5, stop_loss=104_000, take_profit=90_000)
    resting = await exits(desk, entry)
    assert {o.side for o in resting.values()} == {"buy"}

    desk.market.tick({BTC_PERP: (100_000, 105_000, 99_000, 104_500, 1_000)})

    # Sold at 99,950, bought at 104,052: a loss of 410.2, and 5 basis points on 9,995 and 10,405.2.
    assert (await exits(desk, entry, "FILLED"))["stop_loss"].average_price == Decimal(104_052)
    assert (await desk.balances("binancefuturesusd")).positions == []
    assert await desk.cash("binancefuturesusd") == ("9579.5999", "0")


async def test_closing_a_perpetual_by_hand_ends_its_exits_and_a_part_shrinks_them(desk: Bench) -> None:
    entry = await desk.place(*PERP, "buy", "0.1", leverage=5, stop_loss=90_000, take_profit=120_000)
    await desk.place(*PERP, "sell", "0.04", reduce_only=True)
    assert [o.amount for o in (await exits(desk, entry)).values()] == [Decimal("0.06")] * 2

    await desk.place(*PERP, "sell", "0.06")
    assert sorted(await exits(desk, entry, "CANCELLED")) == ["stop_loss", "take_profit"]


async def test_two_plans_of_one_market_never_close_more_than_there_is(desk: Bench) -> None:
    first = await desk.place(*PERP, "buy", "0.1", leverage=5, stop_loss=90_000)
    second = await desk.place(*PERP, "buy", "0.1", stop_loss=95_000)
    await desk.place(*PERP, "sell", "0.15")

    assert await exits(desk, first) == {}
    assert (await exits(desk, second))["stop_loss"].amount == Decimal("0.05")


async def test_reduce_only_sells_what_exits_hold_on_a_spot_account(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.03", stop_loss=95_000, take_profit=110_000)
    with pytest.raises(InvalidInput, match="less than the amount") as refused:
        await desk.place("binance", "BTC/USDT", "sell", "0.01")
    assert "reduce_only" in refused.value.suggestion

    await desk.place("binance", "BTC/USDT", "sell", "0.01", reduce_only=True)

    assert [o.amount for o in (await exits(desk, entry)).values()] == [Decimal("0.02")] * 2


async def test_reduce_only_never_opens_or_flips_a_position(desk: Bench, changes_nothing: Refused) -> None:
    error = await changes_nothing(lambda: desk.place(*PERP, "sell", "0.1", reduce_only=True))
    assert "there is no long position" in error.message

    await desk.place(*PERP, "buy", "0.1", leverage=5)
    error = await changes_nothing(lambda: desk.place(*PERP, "sell", "0.2", reduce_only=True))
    assert "0.2 is more than the long position of 0.1" in error.message
    assert error.corrected is not None
    assert 'amount="0.1"' in error.corrected

    resting = await desk.place(*PERP, "sell", "0.1", reduce_only=True, order_type="limit", price=101_000)
    await desk.place(*PERP, "sell", "0.07")
    desk.market.tick({BTC_PERP: (100_000, 102_000, 100_000, 100_000, 1_000)})

    assert (await desk.order(resting.order_id)).filled_amount == Decimal("0.03")
    assert (await desk.balances("binancefuturesusd")).positions == []


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"stop_loss": 100_500}, "stop_loss 100500 must lie below the market price of 100000"),
        ({"take_profit": 99_000}, "take_profit 99000 must lie above the market price of 100000"),
        ({"stop_loss": "95000.05"}, "stop_loss 95000.05 is not a multiple of the tick size 0.1"),
        (
            {"order_type": "limit", "price": 101_000, "stop_loss": 100_500},
            "stop_loss 100500 must lie below the market price of 100000",
        ),
    ],
    ids=["a stop above", "a target below", "off the grid", "a stop between the market and a limit through it"],
)
async def test_exits_on_the_wrong_side_are_refused_with_both_prices(
    desk: Bench, changes_nothing: Refused, more: dict[str, object], told: str
) -> None:
    error = await changes_nothing(lambda: desk.place(*SPOT, "0.01", **more))

    assert told in error.message


@pytest.mark.parametrize("more", [{"stop_loss": "0.05"}, {"take_profit": "0.33"}, {"stop_loss": "0.02"}])
async def test_a_fraction_for_an_exit_is_not_rounded_to_a_price(
    desk: Bench, changes_nothing: Refused, more: dict[str, object]
) -> None:
    error = await changes_nothing(lambda: desk.place(*SPOT, "0.01", **more))

    assert "is a price, not a fraction; the market is at 100050" in f"{error.suggestion}"
    assert error.corrected is None


async def test_an_exit_has_no_more_figures_than_its_exchange_takes(desk: Bench, changes_nothing: Refused) -> None:
    desk.market.listed[BTC_HYPER] = replace(desk.market.listed[BTC_HYPER], tick_size="0.01")
    error = await changes_nothing(
        lambda: desk.place("hyperliquid", BTC_HYPER.symbol, "buy", "0.01", stop_loss="80000.12")
    )

    assert "stop_loss 80000.12 has more than 5 significant figures" in error.message


async def test_tokens_of_a_prediction_market_have_exits_too(desk: Bench) -> None:
    entry = await desk.place(
        "polymarket", RAIN.base, "buy", 100, order_type="FOK", price="0.65", stop_loss="0.5", take_profit="0.9"
    )
    desk.market.tick({RAIN: (0.6, 0.6, 0.45, 0.48, 100_000)})

    # 0.5 less 5 basis points, down to the tick.
    assert (await exits(desk, entry, "FILLED"))["stop_loss"].average_price == Decimal("0.49")


async def test_a_trailing_stop_follows_the_best_price_of_the_bars_before(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.01")
    await run_sync(desk.broker.set_exits, "paper-binance", str(entry.order_id), Exits(trail=Decimal("0.05")))

    desk.market.tick({BTC: (100_000, 110_000, 99_000, 108_000, 1_000)})
    assert (await exits(desk, entry))["trailing_stop"].stop_loss == Decimal(104_500)

    # Within a bar the new high may have come after the low, so it does not count on this bar.
    desk.market.tick({BTC: (108_000, 120_000, 105_000, 106_000, 1_000)})
    assert (await exits(desk, entry))["trailing_stop"].stop_loss == Decimal(114_000)

    desk.market.tick({BTC: (106_000, 106_000, 105_000, 105_500, 1_000)})
    # The open at 106,000 is already below the stop at 114,000.
    assert (await exits(desk, entry, "FILLED"))["trailing_stop"].average_price == Decimal(105_947)


async def test_exits_that_are_replaced_protect_the_same_amount_and_meet_no_bar_twice(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.02", stop_loss=95_000)
    desk.market.tick({BTC: (100_000, 100_000, 96_000, 99_000, 1_000)})
    moved = Exits(stop=Decimal(97_000), target=Decimal(105_000))
    resting = await run_sync(desk.broker.set_exits, "paper-binance", str(entry.order_id), moved)

    assert sorted((o.role, o.amount) for o in resting) == [
        ("stop_loss", Decimal("0.02")), ("take_profit", Decimal("0.02")),
    ]  # fmt: skip
    # The low of 96,000 was before the stop moved to 97,000.
    assert sorted(await exits(desk, entry)) == ["stop_loss", "take_profit"]

    assert await run_sync(desk.broker.set_exits, "paper-binance", str(entry.order_id), Exits()) == []
    assert (await desk.balances("binance")).balances[1].free == Decimal("0.02")


async def test_relative_exits_count_from_the_average_price_of_the_entry(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.01")
    fractions = Exits(stop=Decimal("0.1"), target=Decimal("0.2"), relative=True)
    resting = await run_sync(desk.broker.set_exits, "paper-binance", str(entry.order_id), fractions)

    # Of 100,050.
    assert {o.role: o.stop_loss or o.price for o in resting} == {
        "stop_loss": Decimal(90_045), "take_profit": Decimal(120_060),
    }  # fmt: skip


async def test_a_restart_in_between_loses_and_doubles_nothing(desk: Bench) -> None:
    entry = await desk.place(*SPOT, "0.02", order_type="limit", price=99_000, stop_loss=95_000, take_profit=110_000)
    desk.store.close()
    desk.reopen()
    desk.market.tick({BTC: (99_000, 99_500, 98_500, 99_400, 1_000)})
    desk.store.close()
    desk.reopen()

    assert sorted(await exits(desk, entry)) == ["stop_loss", "take_profit"]


moves = st.lists(
    st.tuples(st.integers(-90, 90), st.integers(0, 60), st.integers(0, 60), st.integers(-60, 60), st.integers(0, 40)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=15, deadline=None)
@given(
    steps=moves,
    is_perpetual=st.booleans(),
    is_short=st.booleans(),
    limit=st.integers(-30, 0),
    looks=st.booleans(),
)
def test_law_one_exit_at_most_fills_and_what_rests_is_what_was_filled(
    steps: list[tuple[int, int, int, int, int]], is_perpetual: bool, is_short: bool, limit: int, looks: bool
) -> None:
    """For any bars, exits sell at most what the entry bought, rest for exactly the remainder, and the books add up."""

    async def run() -> None:
        clock = AcceleratedClock(START)
        market = a_market(clock)
        with tempfile.TemporaryDirectory() as folder:
            desk = Bench(Path(folder), market, clock)
            instrument = BTC_PERP if is_perpetual else BTC
            account, symbol = PERP if is_perpetual else SPOT[:2]
            sign = -1 if is_short and is_perpetual else 1
            entry = await desk.place(
                account,
                symbol,
                "buy" if sign > 0 else "sell",
                "0.03",
                order_type="limit",
                price=100_000 + sign * limit * 100,
                stop_loss=100_000 - sign * 5_000,
                take_profit=100_000 + sign * 5_000,
            )
            last = 100_000.0
            for jump, up, down, drift, volume in steps:
                opened = last + jump * 50
                close = opened + drift * 50
                bar: Bar = (
                    opened, max(opened, close) + up * 50, min(opened, close) - down * 50, close, volume / 100,
                )  # fmt: skip
                market.tick({instrument: bar})
                last = close
                if looks:
                    await desk.orders()
            await _check(desk, entry, account)
            assert desk.problems() == []
            desk.store.close()

    asyncio.run(run())


async def _check(desk: Bench, entry: Order, account: str) -> None:
    now = await desk.order(entry.order_id)
    exits_now = [o for o in await desk.orders(limit=200) if o.parent == entry.order_id]
    sold = sum((o.filled_amount or Decimal(0) for o in exits_now), Decimal(0))
    filled = now.filled_amount or Decimal(0)
    assert sum(o.status == "FILLED" for o in exits_now) <= 1
    assert sold <= filled
    resting = [o for o in exits_now if o.status in CANCELLABLE]
    if filled > sold and not any(o.message and "liquidated" in o.message for o in exits_now):
        assert {o.remaining_amount for o in resting} == {filled - sold}
        assert sorted(str(o.role) for o in resting) == ["stop_loss", "take_profit"]
    else:
        assert resting == []
    if account == "binance":
        holdings = {b.asset: b.total for b in (await desk.balances(account)).balances}
        assert holdings.get("BTC", Decimal(0)) == filled - sold

"""One example that can be checked by hand for each trading rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from api.errors import InvalidInput, NotFound
from api.symbols import Instrument
from engine.frame import Bars
from engine.program import DirectionSign, Emission, Entry, Exit, Grid, Rebalance, SignalIntent, Size
from engine.simulation.kernel import simulate
from engine.simulation.result import Simulation
from engine.simulation.settings import SimulationSettings
from engine.simulation.trades import RoundTrip
from tests.engine.simulation.worlds import HOUR, PERPETUAL, SPOT, TOKEN, framed

FREE = SimulationSettings(initial_cash=1_000.0, fee=0.0, slippage=0.0)
ALL_IN = Size("weight", 1.0)
ONE = Size("amount", 1.0)

Candle = tuple[float, float, float, float]


def flat(price: float) -> Candle:
    return (price, price, price, price)


def bars(candles: Sequence[Candle]) -> Bars:
    opened, high, low, close = (np.array(column) for column in zip(*candles, strict=True))
    return Bars(opened, high, low, close, np.ones(len(candles)), "simulated")


def run(
    candles: Sequence[Candle],
    decided: Mapping[int, Sequence[SignalIntent]],
    terms: SimulationSettings = FREE,
    instrument: Instrument = SPOT,
    others: Mapping[Instrument, Sequence[Candle]] | None = None,
    first_bar: int = 0,
) -> Simulation:
    """Simulate intents decided on the given bars."""
    universe = {instrument: bars(candles)} | {i: bars(c) for i, c in (others or {}).items()}
    program: list[Emission] = []
    for bar, intents in decided.items():
        condition = np.zeros(len(candles), np.bool_)
        condition[bar] = True
        program.append(Emission(condition, tuple(intents)))
    return simulate(framed(universe), tuple(program), terms, first_bar)


def only(result: Simulation) -> RoundTrip:
    (trade,) = result.trades.rows()
    return trade


def test_a_signal_is_filled_at_the_next_open_worsened_by_slippage_plus_fee() -> None:
    terms = replace(FREE, fee=0.01, slippage=0.1)
    result = run(
        [flat(90), (100, 120, 95, 110), flat(120), flat(130)], {0: [Entry(SPOT, 1, ONE)], 1: [Exit(SPOT)]}, terms
    )

    trade = only(result)

    assert (trade.entry_price, trade.exit_price) == (pytest.approx(110.0), pytest.approx(108.0))
    assert trade.fees == pytest.approx(1.1 + 1.08)
    assert trade.slippage == pytest.approx(10.0 + 12.0)
    assert trade.pnl == pytest.approx(108.0 - 110.0 - 2.18)
    assert result.equity.tolist() == pytest.approx([1_000.0, 1_000 - 1.1, 995.82, 995.82])


def test_all_in_leaves_room_for_the_fee() -> None:
    result = run([flat(100)] * 3, {0: [Entry(SPOT, 1, ALL_IN)]}, replace(FREE, fee=0.25))

    assert only(result).amount == pytest.approx(1_000.0 / (100.0 * 1.25))
    assert result.cash[1] == 0.0


def test_a_decision_on_the_last_bar_never_trades() -> None:
    assert len(run([flat(100)] * 3, {2: [Entry(SPOT, 1, ONE)]}).fills) == 0


def test_what_is_still_open_at_the_end_is_closed_at_the_last_close() -> None:
    result = run([flat(100), flat(100), (100, 130, 90, 120)], {0: [Entry(SPOT, 1, ONE)]}, replace(FREE, fee=0.01))

    trade = only(result)

    assert (trade.reason, trade.exit_price) == ("end_of_data", 120.0)
    assert trade.exit_time == int(result.time[-1]) + HOUR
    assert result.final.positions[SPOT].amount == 1.0
    assert result.final_equity == pytest.approx(1_000.0 + trade.pnl)


def test_bars_before_the_first_only_warm_up() -> None:
    result = run([flat(100)] * 6, {0: [Entry(SPOT, 1, ONE)], 3: [Entry(SPOT, 1, ONE)]}, first_bar=3)

    assert len(result.equity) == 3
    assert result.trades.entry_bar.tolist() == [4]


def test_when_one_bar_holds_stop_and_target_the_stop_comes_first() -> None:
    entry = Entry(SPOT, 1, ONE, stop_loss=0.1, take_profit=0.1)

    trade = only(run([flat(100), flat(100), (100, 120, 80, 100), flat(100)], {0: [entry]}))

    assert (trade.reason, trade.exit_price) == ("stop_loss", 90.0)


def test_a_stop_that_is_jumped_over_fills_at_the_open() -> None:
    entry = Entry(SPOT, 1, ONE, stop_loss=0.1)

    trade = only(run([flat(100), flat(100), flat(70), flat(100)], {0: [entry]}, replace(FREE, slippage=0.1)))

    assert (trade.reason, trade.exit_price) == ("stop_loss", pytest.approx(63.0))


def test_a_target_that_is_jumped_over_fills_at_the_better_open_and_never_slips() -> None:
    entry = Entry(SPOT, 1, ONE, take_profit=0.1)

    jumped = only(run([flat(100), flat(100), flat(150), flat(100)], {0: [entry]}))
    touched = only(run([flat(100), flat(100), (100, 150, 90, 95)], {0: [entry]}, replace(FREE, slippage=0.01)))

    assert (jumped.reason, jumped.exit_price) == ("take_profit", 150.0)
    assert touched.exit_price == pytest.approx(101.0 * 1.1)


def test_a_market_entry_can_be_stopped_on_its_own_bar() -> None:
    trade = only(run([flat(100), (100, 105, 85, 100), flat(100)], {0: [Entry(SPOT, 1, ONE, stop_loss=0.1)]}))

    assert (trade.reason, trade.bars_held) == ("stop_loss", 0)


def test_a_trailing_stop_follows_the_highs_of_earlier_bars_only() -> None:
    candles = [flat(100), flat(100), (100, 150, 100, 148), (148, 200, 140, 180), (180, 185, 170, 175)]

    trade = only(run(candles, {0: [Entry(SPOT, 1, ONE, trailing_stop=0.1)]}))

    assert (trade.reason, trade.exit_price) == ("trailing_stop", pytest.approx(180.0))
    assert trade.bars_held == 3


def test_a_short_mirrors_a_long() -> None:
    candles = [flat(100), flat(100), (100, 104, 85, 90), flat(90)]
    entry = Entry(PERPETUAL, -1, ONE, stop_loss=0.05, take_profit=0.1)

    trade = only(run(candles, {0: [entry]}, instrument=PERPETUAL))

    assert (trade.reason, trade.exit_price, trade.pnl) == ("take_profit", 90.0, 10.0)


def test_a_limit_order_waits_for_its_price_and_never_fills_beyond_it() -> None:
    candles = [flat(100), (100, 101, 96, 97), (97, 98, 94, 96), flat(96)]

    waited = run(candles, {0: [Entry(SPOT, 1, ONE, limit=95.0)]}, replace(FREE, slippage=0.1))
    jumped = run([flat(100), flat(90), flat(90)], {0: [Entry(SPOT, 1, ONE, limit=95.0)]})

    assert (waited.trades.entry_bar.tolist(), waited.trades.entry_price.tolist()) == ([2], [95.0])
    assert jumped.trades.entry_price.tolist() == [90.0]


@pytest.mark.parametrize(("slippage", "paid"), [(0.0, 90.0), (0.05, 94.5), (0.1, 95.0)])
def test_a_limit_order_beyond_the_market_is_taken_at_once_with_slippage_and_never_beyond_its_limit(
    slippage: float, paid: float
) -> None:
    """The open of 90 reaches the limit of 95: 90 * 1.05 = 94.5, and 90 * 1.1 = 99 is beyond it."""
    candles = [flat(100), flat(90), flat(90)]
    mirrored = [flat(100), flat(110), flat(110)]
    terms = replace(FREE, slippage=slippage)

    long = run(candles, {0: [Entry(SPOT, 1, ONE, limit=95.0)]}, terms)
    short = run(mirrored, {0: [Entry(PERPETUAL, -1, ONE, limit=105.0)]}, terms, PERPETUAL)

    assert long.trades.entry_price.tolist() == pytest.approx([paid])
    assert short.trades.entry_price.tolist() == pytest.approx([max(110 * (1 - slippage), 105.0)])


def test_a_limit_order_that_has_rested_fills_at_an_open_beyond_it_without_slippage() -> None:
    candles = [flat(100), flat(100), flat(90), flat(90)]

    rested = run(candles, {0: [Entry(SPOT, 1, ONE, limit=95.0)]}, replace(FREE, slippage=0.05))

    assert (rested.trades.entry_bar.tolist(), rested.trades.entry_price.tolist()) == ([2], [90.0])


def test_a_limit_order_is_sized_at_its_limit_by_the_equity_at_the_open_at_which_it_is_placed() -> None:
    """19 of 95 is a fifth of 95. A tenth of 1,000 at 100 is one; later losses of the other holding do not change it."""
    jumped = run([flat(100), flat(90), flat(90)], {0: [Entry(SPOT, 1, Size("notional", 19.0), limit=95.0)]})
    other = replace(SPOT, base="ETH")
    decided = {0: [Entry(other, 1, Size("amount", 5.0))], 1: [Entry(SPOT, 1, Size("weight", 0.1), limit=100.0)]}
    rested = run(
        [flat(110), flat(110), flat(110), flat(100), flat(100)],
        decided,
        others={other: [flat(100), flat(100), flat(100), flat(20), flat(20)]},
    )

    assert jumped.trades.amount.tolist() == pytest.approx([0.2])
    assert [t.amount for t in rested.trades.rows() if t.instrument == SPOT] == pytest.approx([1.0])


def test_on_the_bar_of_a_limit_fill_only_later_prices_count() -> None:
    entry = Entry(SPOT, 1, ONE, limit=95.0, take_profit=0.05, stop_loss=0.05)

    high_before = only(run([flat(100), (100, 110, 94, 96), flat(96)], {0: [entry]}))
    close_after = only(run([flat(100), (100, 110, 94, 105), flat(96)], {0: [entry]}))
    low_after = only(run([flat(100), (100, 110, 80, 105), flat(96)], {0: [entry]}))

    assert high_before.reason == "end_of_data"
    assert (close_after.reason, close_after.exit_price) == ("take_profit", pytest.approx(99.75))
    assert (low_after.reason, low_after.exit_price) == ("stop_loss", pytest.approx(90.25))


@pytest.mark.parametrize("side", [1, -1])
def test_on_the_bar_of_a_limit_fill_a_trailing_stop_does_not_follow_a_close_that_came_after_the_worst_price(
    side: DirectionSign,
) -> None:
    """Filled at 95 on the way to 94, and closed at 99. The price passed five percent below 99 before 99 was seen."""
    mirrored = side < 0
    candles = [flat(100), (99.0, 99.0, 94.0, 99.0), (99.0, 99.0, 94.0, 94.0), flat(94)]
    if mirrored:
        candles = [(200 - o, 200 - low, 200 - high, 200 - c) for o, high, low, c in candles]
    entry = Entry(PERPETUAL, side, ONE, limit=105.0 if mirrored else 95.0, trailing_stop=0.04)

    trade = only(run(candles, {0: [entry]}, instrument=PERPETUAL))

    assert (trade.reason, trade.bars_held) == ("trailing_stop", 1)
    assert trade.exit_price == pytest.approx(101.0 * 1.04 if mirrored else 99.0 * 0.96)


def test_a_resting_limit_is_replaced_by_the_next_entry_and_dropped_by_an_exit() -> None:
    candles = [flat(100), flat(100), flat(100), (100, 100, 80, 90), flat(90)]

    replaced = run(candles, {0: [Entry(SPOT, 1, ONE, limit=95.0)], 1: [Entry(SPOT, 1, ONE, limit=85.0)]})
    dropped = run(candles, {0: [Entry(SPOT, 1, ONE, limit=95.0)], 1: [Exit(SPOT)]})

    assert replaced.trades.entry_price.tolist() == [85.0]
    assert len(dropped.fills) == 0


def test_no_second_entry_without_pyramiding() -> None:
    again = {bar: [Entry(SPOT, 1, ONE)] for bar in range(3)}
    twice = {bar: [Entry(SPOT, 1, ONE, pyramiding=1)] for bar in range(4)}

    assert only(run([flat(100)] * 6, again)).amount == 1.0
    assert only(run([flat(100), flat(100), flat(120), flat(120), flat(120), flat(120)], twice)).amount == 2.0


def test_pyramiding_averages_the_entry() -> None:
    twice = {bar: [Entry(SPOT, 1, ONE, pyramiding=1)] for bar in range(2)}

    trade = only(run([flat(100), flat(100), flat(120), flat(120)], twice))

    assert (trade.entry_price, trade.pnl) == (pytest.approx(110.0), pytest.approx(20.0))


def test_an_opposite_entry_reverses() -> None:
    decided = {0: [Entry(PERPETUAL, 1, ONE)], 1: [Entry(PERPETUAL, -1, ONE)]}

    result = run([flat(100), flat(100), flat(110), flat(90)], decided, instrument=PERPETUAL)

    assert [(t.side, t.reason, t.pnl) for t in result.trades.rows()] == [(1, "signal", 10.0), (-1, "end_of_data", 20.0)]


def test_of_two_directions_on_one_bar_the_first_counts() -> None:
    for first in (1, -1):
        decided = {0: [Entry(PERPETUAL, first, ONE), Entry(PERPETUAL, -first, ONE)]}

        assert only(run([flat(100)] * 3 + [flat(107)], decided, instrument=PERPETUAL)).pnl == 7.0 * first


def test_an_exit_and_an_entry_of_an_open_position_on_one_bar_only_exit() -> None:
    again = [Exit(SPOT), Entry(SPOT, 1, ONE)]

    result = run([flat(100), flat(100), flat(104), flat(109), flat(120)], {0: [Entry(SPOT, 1, ONE)], 1: again})

    assert (only(result).reason, only(result).exit_price) == ("signal", 104.0)


def test_what_an_exit_frees_pays_for_an_entry_of_the_same_bar_that_was_decided_before_it() -> None:
    other = Instrument("binance", "ETH", "USDT")
    decided = {0: [Entry(SPOT, 1, ALL_IN)], 2: [Entry(other, 1, ALL_IN), Exit(SPOT)]}

    result = run([flat(100)] * 3 + [flat(125)] * 2, decided, others={other: [flat(50)] * 5})

    # 1,000 buy 10 at 100, which are sold at 125; 1,250 buy 25 at 50
    assert [(t.amount, t.exit_price) for t in result.trades.rows()] == [(10.0, 125.0), (25.0, 50.0)]


def test_a_partial_exit_is_a_round_trip_of_its_own() -> None:
    decided = {0: [Entry(SPOT, 1, Size("amount", 4.0))], 1: [Exit(SPOT, fraction=0.25)], 2: [Exit(SPOT)]}

    result = run([flat(100), flat(100), flat(110), flat(120)], decided, replace(FREE, fee=0.01))

    assert [(t.amount, t.exit_price) for t in result.trades.rows()] == [(1.0, 110.0), (3.0, 120.0)]
    assert result.trades.fees.tolist() == pytest.approx([1.0 + 1.1, 3.0 + 3.6])


def test_an_exit_of_the_other_side_does_nothing() -> None:
    result = run([flat(100)] * 4, {0: [Entry(PERPETUAL, 1, ONE)], 1: [Exit(PERPETUAL, -1)]}, instrument=PERPETUAL)

    assert only(result).reason == "end_of_data"


def test_risk_sizing_loses_the_fraction_at_the_stop() -> None:
    entry = Entry(SPOT, 1, Size("risk", 0.02), stop_loss=0.1)

    trade = only(run([flat(100), flat(100), (100, 100, 80, 85)], {0: [entry]}))

    assert trade.reason == "stop_loss"
    assert trade.pnl == pytest.approx(-20.0)


@pytest.mark.parametrize(("size", "amount"), [(Size("notional", 250.0), 2.5), (Size("weight", 0.3), 3.0), (ONE, 1.0)])
def test_sizes_are_stated_in_money_share_or_units(size: Size, amount: float) -> None:
    assert only(run([flat(100)] * 3, {0: [Entry(SPOT, 1, size)]})).amount == pytest.approx(amount)


def test_a_parameter_that_is_unknown_on_the_bar_keeps_the_entry_from_firing() -> None:
    unknown = np.array([np.nan, 0.1, 0.1, 0.1])
    decided = {0: [Entry(SPOT, 1, ONE, stop_loss=unknown)], 1: [Entry(SPOT, 1, ONE, stop_loss=unknown)]}

    assert run([flat(100)] * 4, decided).trades.entry_bar.tolist() == [2]


def test_orders_that_cash_cannot_cover_share_it() -> None:
    other = Instrument("binance", "ETH", "USDT")
    both = [Entry(SPOT, 1, ALL_IN), Entry(other, 1, ALL_IN)]

    result = run([flat(100)] * 3, {0: both}, others={other: [flat(50)] * 3})

    assert result.trades.amount.tolist() == pytest.approx([5.0, 10.0])
    assert result.cash[1] == 0.0


def test_rebalancing_sells_first_and_buys_with_the_proceeds() -> None:
    other = Instrument("binance", "ETH", "USDT")
    decided = {
        0: [Rebalance(SPOT, 1.0), Rebalance(other, 0.0)],
        1: [Rebalance(other, 0.75), Rebalance(SPOT, 0.25)],
    }

    result = run([flat(100)] * 4, decided, others={other: [flat(50)] * 4})

    assert [(f.instrument, f.direction, f.amount) for f in result.fills.rows()][:3] == [
        (SPOT, 1, 10.0),
        (SPOT, -1, 7.5),
        (other, 1, 15.0),
    ]
    assert result.trades.reasons == ["rebalance", "end_of_data", "end_of_data"]


def test_a_rebalance_through_zero_turns_the_position() -> None:
    decided = {0: [Rebalance(PERPETUAL, 0.5)], 1: [Rebalance(PERPETUAL, -0.5)]}

    result = run([flat(100)] * 4, decided, instrument=PERPETUAL)

    assert [(t.side, t.amount, t.reason) for t in result.trades.rows()] == [
        (1, 5.0, "rebalance"),
        (-1, 5.0, "end_of_data"),
    ]


def test_a_grid_buys_each_rung_below_and_sells_one_rung_higher() -> None:
    grid = Grid(SPOT, lower=80.0, upper=120.0, levels=5, size=ONE)
    candles = [flat(105), flat(105), (105, 105, 89, 92), (92, 101, 92, 101), flat(101), flat(101)]

    result = run(candles, {0: [grid]})

    assert [(t.entry_price, t.exit_price, t.reason) for t in result.trades.rows()] == [
        (90.0, 100.0, "grid"),
        (100.0, 101.0, "end_of_data"),
    ]


def test_a_rung_is_not_bought_and_sold_by_a_high_that_may_have_come_first() -> None:
    grid = Grid(SPOT, lower=90.0, upper=100.0, levels=2, size=ONE)

    result = run([flat(95), flat(95), (95, 105, 88, 95), (95, 101, 95, 100)], {0: [grid]})

    assert [(t.entry_time, t.exit_time) for t in result.trades.rows()] == [(int(result.time[2]), int(result.time[3]))]


def test_an_exit_ends_a_grid_and_sells_what_it_holds() -> None:
    grid = Grid(SPOT, lower=80.0, upper=120.0, levels=5, size=ONE)
    candles = [flat(105), flat(105), flat(85), flat(84), flat(70), flat(70)]

    result = run(candles, {0: [grid], 2: [Exit(SPOT)]})

    assert {t.reason for t in result.trades.rows()} == {"signal"}
    assert result.trades.exit_price.tolist() == [84.0, 84.0]


@pytest.mark.parametrize(("side", "price"), [(1, 90.0 / 0.99), (-1, 110.0 / 1.01)])
def test_an_isolated_position_is_liquidated_where_its_equity_is_the_maintenance_margin(side: int, price: float) -> None:
    terms = replace(FREE, leverage=10.0, maintenance_margin=0.01)
    entry = Entry(PERPETUAL, 1 if side > 0 else -1, Size("weight", 5.0))

    trade = only(run([flat(100), flat(100), (100, 115, 85, 100), flat(100)], {0: [entry]}, terms, PERPETUAL))

    assert (trade.reason, trade.exit_price) == ("liquidation", pytest.approx(price))
    assert trade.amount == pytest.approx(50.0)
    assert 500.0 + trade.pnl == pytest.approx(0.01 * 50.0 * price)


def test_a_jump_past_liquidation_takes_the_margin_and_no_more() -> None:
    terms = replace(FREE, leverage=10.0, maintenance_margin=0.01)

    result = run(
        [flat(100), flat(100), flat(20), flat(20)], {0: [Entry(PERPETUAL, 1, Size("weight", 5.0))]}, terms, PERPETUAL
    )

    assert only(result).reason == "liquidation"
    assert result.final_equity == pytest.approx(500.0)


def test_a_portfolio_stop_closes_at_the_next_open_and_ends_trading() -> None:
    decided = {bar: [Entry(SPOT, 1, ALL_IN)] for bar in range(6)}
    candles = [flat(100), flat(100), (100, 100, 75, 85), (84, 90, 80, 85), flat(200), flat(200), flat(200)]

    result = run(candles, decided, replace(FREE, stop_loss=0.1))

    assert (only(result).reason, only(result).exit_price, result.ended_early) == (
        "portfolio_stop",
        84.0,
        "portfolio_stop",
    )
    assert result.equity.tolist() == [1_000.0, 1_000.0, 850.0, 840.0, 840.0, 840.0, 840.0]


def test_a_portfolio_target_does_the_same_with_a_gain() -> None:
    result = run(
        [flat(100), flat(100), flat(130), flat(120), flat(50)],
        {0: [Entry(SPOT, 1, ALL_IN)]},
        replace(FREE, take_profit=0.2),
    )

    assert (only(result).reason, only(result).exit_price, result.ended_early) == (
        "portfolio_target",
        120.0,
        "portfolio_target",
    )


@pytest.mark.parametrize(("close", "payout"), [(0.93, 1.0), (0.08, 0.0)])
def test_a_prediction_token_pays_out_at_its_resolution_without_costs(close: float, payout: float) -> None:
    candles = [flat(0.5), flat(0.5), (0.5, close, 0.05, close), flat(close), flat(close)]
    terms = replace(FREE, fee=0.01)
    when = int(framed({TOKEN: bars(candles)}).time[3])

    result = run(
        candles,
        {0: [Entry(TOKEN, 1, ONE)], 3: [Entry(TOKEN, 1, ONE)]},
        replace(terms, resolves_at={TOKEN: when}),
        TOKEN,
    )

    trade = only(result)
    assert (trade.reason, trade.exit_price, trade.fees) == ("resolution", payout, pytest.approx(0.005))
    assert result.equity[2] == result.equity[-1] == pytest.approx(1_000.0 - 0.505 + payout)


def test_buying_both_outcomes_for_one_is_neutral_before_costs() -> None:
    other = Instrument("polymarket", "99", "USDC")
    candles = [flat(0.4), flat(0.4), flat(0.7), flat(0.9)]
    terms = replace(FREE, resolves_at=dict.fromkeys((TOKEN, other), 2_000_000_000))
    both = [Entry(TOKEN, 1, ONE), Entry(other, 1, ONE)]

    result = run(candles, {0: both}, terms, TOKEN, {other: [flat(1.0 - c[3]) for c in candles]})

    assert result.equity.tolist() == pytest.approx([1_000.0] * 4)


def test_a_prediction_price_never_slips_above_one() -> None:
    result = run([flat(0.99)] * 3, {0: [Entry(TOKEN, 1, ONE)]}, replace(FREE, slippage=0.05), TOKEN)

    assert only(result).entry_price == 1.0


def test_an_order_waits_over_missing_bars_and_the_last_price_is_carried() -> None:
    other = Instrument("binance", "ETH", "USDT")
    gap: Candle = (np.nan, np.nan, np.nan, np.nan)

    result = run([flat(100)] * 5, {0: [Entry(other, 1, ONE)]}, others={other: [flat(50), gap, flat(60), gap, gap]})

    assert result.trades.entry_bar.tolist() == [2]
    assert only(result).exit_price == 60.0
    assert result.equity.tolist() == [1_000.0] * 5


@pytest.mark.parametrize(
    "intent", [Entry(SPOT, -1, ONE), Rebalance(SPOT, -0.1), Rebalance(SPOT, np.array([0.1, -0.1, 0.1]))]
)
def test_spot_cannot_be_sold_short(intent: SignalIntent) -> None:
    with pytest.raises(InvalidInput, match="BINANCE:BTC/USDT") as refused:
        run([flat(100)] * 3, {0: [intent]})

    assert "perpetual" in refused.value.suggestion


def test_spot_takes_no_leverage() -> None:
    with pytest.raises(InvalidInput, match="leverage is 3"):
        run([flat(100)] * 3, {}, replace(FREE, leverage=3.0))


def test_an_intent_outside_the_universe_is_refused_with_what_there_is() -> None:
    with pytest.raises(InvalidInput) as refused:
        run([flat(100)] * 3, {0: [Entry(PERPETUAL, 1, ONE)]})

    assert "BINANCE:BTC/USDT" in refused.value.suggestion


def test_a_range_that_is_all_warm_up_is_refused() -> None:
    with pytest.raises(NotFound, match="no bar to trade on"):
        run([flat(100)] * 3, {}, first_bar=3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial_cash": 0.0},
        {"fee": -0.1},
        {"slippage": 1.0},
        {"leverage": 0.5},
        {"leverage": 100.0, "maintenance_margin": 0.02},
        {"stop_loss": 1.5},
        {"take_profit": float("nan")},
    ],
)
def test_impossible_terms_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        replace(FREE, **wrong)  # pyright: ignore[reportArgumentType] - every key is a float field


def test_progress_ends_at_one() -> None:
    seen: list[float] = []
    frame = framed({SPOT: bars([flat(100)] * 50)})

    simulate(frame, (Emission(np.arange(50) % 7 == 0, (Rebalance(SPOT, 0.5),)),), FREE, report=seen.append)

    assert seen == sorted(seen)
    assert seen[-1] == 1.0

"""The limits of an exchange on an opening in a backtest: whole lots, the smallest order, a share of the volume."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from api.errors import InvalidInput
from api.symbols import Instrument, resolve
from engine.feeds.feed import InstrumentListing
from engine.frame import Bars, Frame
from engine.jobs.run import order_rules
from engine.language import ScriptContext, compile_script
from engine.program import Emission, Entry, Exit, SignalIntent, Size
from engine.simulation.kernel import simulate
from engine.simulation.result import Simulation
from engine.simulation.settings import SimulationSettings
from engine.trading_rules import OrderRules, liquidation_value

SPOT = resolve("BINANCE:BTC/USDT")
OTHER = resolve("BINANCE:ETH/USDT")
PERPETUAL = resolve("BINANCEFUTURESUSD:BTC/USDT:USDT")
FREE = SimulationSettings(initial_cash=1_000.0, fee=0.0, slippage=0.0)


def run(
    decided: dict[int, SignalIntent], terms: SimulationSettings, volume: float = 1e9, *instruments: Instrument
) -> Simulation:
    """Six bars at 100; each intent is decided on the close of its bar."""
    price, traded = np.full(6, 100.0), np.full(6, volume)
    bars = Bars(price, price, price, price, traded, "imported")
    frame = Frame("1h", np.arange(6) * 3_600, dict.fromkeys(instruments or (SPOT,), bars))
    program = tuple(Emission(np.arange(6) == bar, (intent,)) for bar, intent in decided.items())
    return simulate(frame, program, terms)


def long(kind: str, value: float, instrument: Instrument = SPOT) -> Entry:
    return Entry(instrument, 1, Size(kind, value))  # pyright: ignore[reportArgumentType] - a kind of the vocabulary


def test_an_opening_is_rounded_down_to_whole_lots() -> None:
    terms = replace(FREE, order_rules={SPOT: OrderRules(lot=0.01)})

    result = run({0: long("notional", 777.7)}, terms)

    assert result.trades.amount.tolist() == [7.77]


def test_an_opening_below_the_smallest_order_is_skipped_and_counted() -> None:
    terms = replace(FREE, order_rules={SPOT: OrderRules(minimum=5.0)})

    result = run({0: long("notional", 4.99), 2: long("notional", 5.0)}, terms)

    assert result.trades.amount.tolist() == [0.05]
    assert (result.sizes.too_small, result.sizes.unfunded, result.sizes.cut) == (1, 0, 0)


@pytest.mark.parametrize(("fraction", "sold"), [(0.49, [0.1]), (0.5, [0.05, 0.05])])
def test_a_part_below_the_smallest_order_is_not_sold_and_the_last_sale_closes_everything(
    fraction: float, sold: list[float]
) -> None:
    """0.1 is worth 10: 49 % of it are 4.90, half of it is 5."""
    terms = replace(FREE, order_rules={SPOT: OrderRules(minimum=5.0)})

    result = run({0: long("amount", 0.1), 2: Exit(SPOT, fraction=fraction), 3: Exit(SPOT)}, terms)

    assert result.trades.amount.tolist() == pytest.approx(sold)
    assert result.sizes.parts_kept == (1 if fraction < 0.5 else 0)


def test_a_part_of_a_perpetual_may_be_below_the_smallest_order() -> None:
    terms = replace(FREE, order_rules={PERPETUAL: OrderRules(minimum=5.0)})
    decided: dict[int, SignalIntent] = {0: long("amount", 0.1, PERPETUAL), 2: Exit(PERPETUAL, fraction=0.25)}

    result = run(decided, terms, 1e9, PERPETUAL)

    assert result.trades.amount.tolist() == pytest.approx([0.025, 0.075])
    assert result.sizes.parts_kept == 0


def test_an_opening_takes_a_share_of_the_volume_of_its_bar() -> None:
    result = run({0: long("amount", 3.0)}, replace(FREE, max_volume_share=0.1), 20.0)

    assert result.trades.amount.tolist() == [2.0]
    assert result.sizes.volume_limited == 1


def test_data_without_volume_limits_nothing() -> None:
    result = run({0: long("amount", 3.0)}, replace(FREE, max_volume_share=0.1), 0.0)

    assert result.trades.amount.tolist() == [3.0]


def test_more_than_the_money_pays_for_is_cut_and_counted() -> None:
    result = run({0: long("amount", 1_000.0)}, FREE)

    assert result.trades.amount.tolist() == [10.0]
    assert result.sizes.cut == 1


def test_the_whole_equity_less_its_fee_does_not_count_as_cut() -> None:
    assert run({0: long("weight", 1.0)}, replace(FREE, fee=0.001)).sizes.cut == 0


def test_an_entry_without_free_money_is_counted_as_skipped() -> None:
    result = run({0: long("weight", 1.0), 1: long("weight", 1.0, OTHER)}, FREE, 1e9, SPOT, OTHER)

    assert result.sizes.unfunded == 1
    assert len(result.trades.amount) == 1


def test_a_part_is_closed_in_whole_lots() -> None:
    terms = replace(FREE, order_rules={SPOT: OrderRules(lot=1.0)})

    result = run({0: long("amount", 5.0), 2: Exit(SPOT, fraction=0.5)}, terms)

    assert result.trades.amount.tolist() == [2.0, 3.0]


@pytest.mark.parametrize("side", [1, -1])
def test_equity_at_the_liquidation_value_is_the_maintenance_margin(side: int) -> None:
    cost, margin, maintenance = Decimal(1_000), Decimal(100), Decimal("0.004")

    value = liquidation_value(side, cost, margin, maintenance)

    assert abs(margin + side * (value - cost) - maintenance * value) < Decimal("1e-20")
    assert float(value) == pytest.approx(liquidation_value(side, 1_000.0, 100.0, 0.004))


SEESAW_WEIGHT = 0.3 / (math.sqrt(2) * math.log(1.01) * math.sqrt(365 * 24))
"""0.3 over the volatility a year of hourly prices that go from 100 to 101 and back: log returns of +a and -a deviate by
a * sqrt(2) (n - 1). It is 0.2278."""


@pytest.mark.parametrize("leverage", [1.0, 3.0])
@pytest.mark.parametrize(
    ("sizing", "worth"),
    [
        ("Weight(0.5)", 500.0),
        ("Weight(1)", 1_000.0),
        ("Notional(600)", 600.0),
        ("Amount(4)", 400.0),
        ("Risk(0.02), stop_loss=0.1", 200.0),
        ("VolTarget(0.3, period=2)", 1_000.0 * SEESAW_WEIGHT),
        ("Kelly(0.4, 2)", 100.0),
    ],
)
def test_a_size_says_what_the_position_is_worth_at_any_leverage(sizing: str, worth: float, leverage: float) -> None:
    result = levered(f'emit_signal(bar_index == 5, entry(TICKER, "LONG", {sizing}))', leverage)

    (trade,) = result.trades.rows()
    assert trade.amount * trade.entry_price == pytest.approx(worth)
    assert result.gross[6] == pytest.approx(trade.amount * 101.0)
    assert result.cash[6] == pytest.approx(1_000.0 - worth / leverage)


@pytest.mark.parametrize(("leverage", "worth", "cut"), [(1.0, 1_000.0, 1), (3.0, 3_000.0, 0), (2.0, 2_000.0, 1)])
def test_three_times_the_equity_needs_a_leverage_of_three(leverage: float, worth: float, cut: int) -> None:
    result = levered('emit_signal(bar_index == 5, entry(TICKER, "LONG", Weight(3)))', leverage)

    (trade,) = result.trades.rows()
    assert trade.amount * trade.entry_price == pytest.approx(worth)
    assert result.sizes.cut == cut


@pytest.mark.parametrize("leverage", [1.0, 3.0])
def test_risk_loses_its_part_of_equity_at_the_stop_at_any_leverage(leverage: float) -> None:
    fall = [100.0, 101.0] * 3 + [100.0, 80.0]

    result = levered('emit_signal(bar_index == 5, entry(TICKER, "LONG", Risk(0.02), stop_loss=0.1))', leverage, fall)

    (trade,) = result.trades.rows()
    assert (trade.reason, trade.pnl) == ("stop_loss", pytest.approx(-20.0))


@pytest.mark.parametrize("leverage", [1.0, 3.0])
def test_a_rebalance_moves_to_its_weight_at_any_leverage(leverage: float) -> None:
    result = levered("emit_signal(bar_index == 5, rebalance(TICKER, Weight(-0.4)))", leverage)

    (trade,) = result.trades.rows()
    assert (trade.side, trade.amount * trade.entry_price) == (-1, pytest.approx(400.0))


def test_leverage_on_spot_is_refused_with_the_value_and_what_to_do() -> None:
    with pytest.raises(InvalidInput, match=r"leverage is 3 but BINANCE:BTC/USDT is a spot market") as refused:
        run({0: long("weight", 1.0)}, replace(FREE, leverage=3.0))

    assert "Use leverage 1" in refused.value.suggestion


def levered(script: str, leverage: float, prices: list[float] | None = None) -> Simulation:
    """A script on hours that open at 100 and close at 101, then open at 101 and close at 100, and so on."""
    close = np.array(prices or [101.0, 100.0] * 5)
    opened = np.concatenate(([100.0], close[:-1]))
    bars = Bars(
        opened, np.maximum(opened, close), np.minimum(opened, close), close, np.full(len(close), 1e9), "imported"
    )
    frame = Frame("1h", np.arange(len(close)) * 3_600, {PERPETUAL: bars})
    program = compile_script(script, ScriptContext((PERPETUAL,))).program(frame)
    return simulate(frame, program, replace(FREE, leverage=leverage))


def test_a_backtest_takes_the_smallest_order_that_the_exchange_lists() -> None:
    """20 dollars where Binance lists 20 for the pair, 5 by default, none in another currency."""
    usual = InstrumentListing(Instrument("binance", "BTC", "USDT"), 1, None, (), "0.01", "0.00001", "exchange")
    pair = replace(usual, instrument=Instrument("binance", "ETH", "BTC"))

    assert order_rules(replace(usual, min_notional="20")).minimum == 20.0
    assert order_rules(usual).minimum == 5.0
    assert order_rules(pair).minimum == 0.0
    assert order_rules(replace(pair, min_notional="0.0001")).minimum == 0.0001

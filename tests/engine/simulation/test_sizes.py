"""What an exchange takes of an opening in a backtest: whole lots, its smallest order, a share of the volume."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from api.symbols import Instrument, resolve
from engine.frame import Bars, Frame
from engine.program import Emission, Entry, Exit, Intent, Size
from engine.simulation.kernel import simulate
from engine.simulation.result import Simulation
from engine.simulation.settings import SimulationSettings
from engine.trading_rules import OrderRules, liquidation_value

SPOT = resolve("BINANCE:BTC/USDT")
OTHER = resolve("BINANCE:ETH/USDT")
FREE = SimulationSettings(initial_cash=1_000.0, fee=0.0, slippage=0.0)


def run(
    decided: dict[int, Intent], terms: SimulationSettings, volume: float = 1e9, *instruments: Instrument
) -> Simulation:
    """Six bars at 100, each intent decided on the close of its bar."""
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

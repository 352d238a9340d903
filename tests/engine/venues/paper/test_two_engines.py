"""Backtests and paper accounts are two engines with one set of rules: the same orders on the same bars fill alike."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from api.errors import InvalidInput
from api.orders import Order
from api.symbols import Instrument
from api.times import AcceleratedClock
from engine.frame import Bars, Frame
from engine.program import DirectionSign, Emission, Entry, Size
from engine.simulation.kernel import simulate
from engine.simulation.result import Simulation
from engine.simulation.settings import SimulationSettings
from engine.trading_rules import Exits, OrderRules

from .conftest import BTC, BTC_PERP, START, Bar, Bench, a_market, flat

TERMS = SimulationSettings(initial_cash=10_000.0, fee=0.0, slippage=0.0005)
TICK = 0.1
LOT = Decimal("0.00001")


@dataclass(frozen=True)
class Plan:
    """An entry and its exits, as fractions of the entry's price. `limit` is a price; without one it is a market order.

    Bars follow the one that closes at 100,000, where the order is placed.
    """

    side: DirectionSign
    limit: int | None
    leverage: int | None
    stop: float | None
    target: float | None
    bars: list[Bar]
    amount: str = "0.01"

    @property
    def instrument(self) -> Instrument:
        """Perpetuals have leverage, spot has none."""
        return BTC if self.leverage is None else BTC_PERP


@dataclass(frozen=True)
class Fill:
    """An engine's result for an entry, or for the exit that closed it. `bar` counts from 1."""

    bar: int
    amount: float
    price: float
    reason: str


def backtested(plan: Plan, terms: SimulationSettings = TERMS) -> Simulation:
    """Run the plan in a simulation on minute bars."""
    columns = np.array([flat(100_000.0), *plan.bars]).T
    time: NDArray[np.int64] = np.arange(len(plan.bars) + 1, dtype=np.int64) * 60 + START - 60
    frame = Frame("1m", time, {plan.instrument: Bars(*columns, source="imported")})
    entry = Entry(
        plan.instrument, plan.side, Size("amount", float(plan.amount)), limit=plan.limit, stop_loss=plan.stop,
        take_profit=plan.target,
    )  # fmt: skip
    decided = np.arange(len(time)) == 0
    return simulate(frame, (Emission(decided, (entry,)),), replace(terms, leverage=float(plan.leverage or 1)))


def fills_of_the_backtest(plan: Plan) -> list[Fill]:
    trades = list(backtested(plan).trades.rows())
    if not trades:
        return []
    (trade,) = trades
    entered = Fill((trade.entry_time - START) // 60 + 1, trade.amount, trade.entry_price, "entry")
    left = Fill((trade.exit_time - START) // 60 + 1, trade.amount, trade.exit_price, trade.reason)
    return [entered] if trade.reason == "end_of_data" else [entered, left]


async def fills_on_paper(home: Path, plan: Plan, look_every: int) -> list[Fill]:
    """Run the plan on a paper account that is read every so many bars."""
    clock = AcceleratedClock(START)
    desk = Bench(home, a_market(clock), clock)
    terms: dict[str, object] = {} if plan.leverage is None else {"leverage": plan.leverage}
    if plan.limit is not None:
        terms |= {"order_type": "limit", "price": plan.limit}
    side = "buy" if plan.side > 0 else "sell"
    account = plan.instrument.exchange
    entry = await desk.place(account, plan.instrument.symbol, side, plan.amount, **terms)
    exits = Exits(stop=_exact(plan.stop), target=_exact(plan.target), relative=True)
    if exits:
        desk.broker.set_exits(f"paper-{account}", str(entry.order_id), exits)
    for minute, bar in enumerate(plan.bars):
        desk.market.tick({plan.instrument: bar})
        if minute % look_every == 0:
            await desk.orders()
    orders = await desk.orders(limit=200)
    assert desk.problems() == []
    desk.store.close()
    filled = [order for order in orders[::-1] if order.status == "FILLED"]
    return [_fill_of(order, at_once=plan.limit is None and order.order_id == entry.order_id) for order in filled]


def _fill_of(order: Order, *, at_once: bool) -> Fill:
    """A bar's fills carry its close. A market order fills at once, which is the open of the next bar."""
    at = datetime.fromisoformat(str(order.updated_at)).timestamp()
    bar = int(at - START) // 60 + (1 if at_once else 0)
    reason = "liquidation" if order.label == "liquidation" else str(order.role or "entry")
    return Fill(bar, float(order.filled_amount or 0), float(order.average_price or 0), reason)


def _exact(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def steps_of(low: int, high: int) -> st.SearchStrategy[float]:
    """Multiples of 200: after 5 basis points of slippage they still lie on the tick."""
    return st.integers(low // 200, high // 200).map(lambda n: n * 200.0)


@st.composite
def moves(draw: st.DrawFn, opened: float | None = None) -> Bar:
    first = draw(steps_of(84_000, 116_000)) if opened is None else opened
    last = draw(steps_of(84_000, 116_000))
    high, low = max(first, last, draw(steps_of(84_000, 116_000))), min(first, last, draw(steps_of(84_000, 116_000)))
    return (first, high, low, last, 1_000_000.0)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    leverage = draw(st.sampled_from([None, 1, 5, 20]))
    side: DirectionSign = 1 if leverage is None else draw(st.sampled_from([1, -1]))
    below, above = (95_000, 97_000, 98_000, 99_000), (101_000, 102_000, 103_000, 105_000)
    limit = draw(st.sampled_from([None, *(below if side > 0 else above)]))
    stop = draw(st.sampled_from([None, 0.02, 0.05, 0.13]))
    target = draw(st.sampled_from([None, 0.02, 0.05, 0.13]))
    first = draw(moves(opened=100_000.0))
    return Plan(side, limit, leverage, stop, target, [first, *draw(st.lists(moves(), max_size=6))])


WIDE = (100_000.0, 116_000.0, 84_000.0, 100_000.0, 1_000_000.0)


FALLS = (100_000.0, 100_000.0, 87_200.0, 87_200.0, 1_000_000.0)
FALLS_LITTLE = (100_000.0, 100_000.0, 99_000.0, 99_000.0, 1_000_000.0)
GAPS_UP_AND_FALLS = (102_200.0, 102_200.0, 84_000.0, 84_000.0, 1_000_000.0)


@settings(max_examples=15, deadline=None)
@given(plans(), st.integers(1, 4))
@example(Plan(1, None, 20, 0.02, None, [WIDE]), 1)
@example(Plan(1, 98_000, 20, None, None, [WIDE]), 1)
@example(Plan(-1, 102_000, 20, 0.02, 0.02, [WIDE]), 1)
@example(Plan(1, 95_000, 20, None, 0.02, [(100_000.0, 100_000.0, 84_000.0, 97_000.0, 1_000_000.0)]), 1)
@example(Plan(1, None, None, 0.13, 0.02, [FALLS, GAPS_UP_AND_FALLS]), 1)
@example(Plan(1, None, 20, 0.04, 0.02, [FALLS_LITTLE, GAPS_UP_AND_FALLS]), 1)
def test_the_same_orders_fill_alike_in_a_backtest_and_on_paper(plan: Plan, look_every: int) -> None:
    """The same bars, amounts and reasons, and prices equal to the tick.

    Liquidations happen on the same bar but not at one price: a backtest counts the slippage of the market order, while
    on paper, as at an exchange, the whole margin is lost.
    """
    expected = fills_of_the_backtest(plan)
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(fills_on_paper(Path(folder), plan, look_every))

    assert [(f.bar, f.amount, f.reason) for f in found] == [(f.bar, f.amount, f.reason) for f in expected]
    for on_paper, in_backtest in zip(found, expected, strict=True):
        if in_backtest.reason != "liquidation":
            assert on_paper.price == pytest.approx(in_backtest.price, abs=1.01 * TICK)


def on_paper(plan: Plan) -> list[Fill]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(fills_on_paper(Path(folder), plan, 1))


@pytest.mark.parametrize("engine", [fills_of_the_backtest, on_paper])
class TestByHand:
    """The expected result of both engines, by hand. A market buy at 100,000 pays 5 basis points more: 100,050."""

    def test_a_stop_that_is_nearer_than_liquidation_comes_first(self, engine: Callable[[Plan], list[Fill]]) -> None:
        # The margin at 20x is 5,002.5, so liquidation is at (100,050 - 5,002.5) / 0.996 = 95,429.2. The stop is at
        # 98,049 and sells 5 basis points lower, at 97,999.9755.
        entered, left = engine(Plan(1, None, 20, 0.02, None, [WIDE]))

        assert (entered.bar, entered.amount, entered.reason) == (1, 0.01, "entry")
        assert entered.price == pytest.approx(100_050)
        assert (left.bar, left.amount, left.reason) == (1, 0.01, "stop_loss")
        assert left.price == pytest.approx(97_999.9755, abs=TICK)

    def test_a_stop_beyond_the_liquidation_price_comes_too_late(self, engine: Callable[[Plan], list[Fill]]) -> None:
        _, left = engine(Plan(1, None, 20, 0.13, None, [flat(100_000.0), WIDE]))

        assert (left.bar, left.reason) == (2, "liquidation")

    @pytest.mark.parametrize(("low", "liquidated"), [(93_474.0, False), (93_473.0, True)])
    def test_what_a_limit_order_opens_can_be_liquidated_on_its_own_bar(
        self, engine: Callable[[Plan], list[Fill]], low: float, liquidated: bool
    ) -> None:
        # Bought at 98,000 with a margin of 4,900: (98,000 - 4,900) / 0.996 = 93,473.896.
        fills = engine(Plan(1, 98_000, 20, None, None, [(100_000.0, 100_000.0, low, 99_000.0, 1e6)]))

        assert [fill.reason for fill in fills] == ["entry", *(["liquidation"] if liquidated else [])]
        assert fills[0] == Fill(1, 0.01, 98_000.0, "entry")

    def test_a_gap_beyond_the_stop_fills_at_the_open(self, engine: Callable[[Plan], list[Fill]]) -> None:
        # 90,000 less 5 basis points.
        _, left = engine(Plan(1, None, None, 0.05, None, [flat(100_000.0), flat(90_000.0)]))

        assert (left.bar, left.amount, left.reason) == (2, 0.01, "stop_loss")
        assert left.price == pytest.approx(89_955.0)

    def test_a_gap_beyond_the_target_fills_at_the_open_before_the_stop_further_down(
        self, engine: Callable[[Plan], list[Fill]]
    ) -> None:
        # The target is 2 % above 100,050: 102,051. The bar opens at 102,200, beyond it, and falls below the stop later.
        _, left = engine(Plan(1, None, None, 0.13, 0.02, [FALLS, GAPS_UP_AND_FALLS]))

        assert left == Fill(2, 0.01, 102_200.0, "take_profit")

    def test_a_bar_that_liquidates_what_it_filled_reaches_no_target(self, engine: Callable[[Plan], list[Fill]]) -> None:
        # Bought at 95,000 with a margin of 4,750: (95,000 - 4,750) / 0.996 = 90,612.4, and the low is 84,000.
        # The close of 97,000 is above the target of 96,900, but it comes after the low.
        bar = (100_000.0, 100_000.0, 84_000.0, 97_000.0, 1_000_000.0)
        fills = engine(Plan(1, 95_000, 20, None, 0.02, [bar]))

        assert [fill.reason for fill in fills] == ["entry", "liquidation"]


async def test_a_limit_order_gets_a_tenth_of_the_volume_of_its_bar(tmp_path: Path) -> None:
    """0.01 of 0.03 fills. A backtest drops the rest; on paper it waits for a bar that reaches it."""
    touching: Bar = (100_000.0, 100_000.0, 98_600.0, 99_800.0, 0.1)
    plan = Plan(1, 99_000, None, None, None, [touching, flat(99_800.0)], amount="0.03")
    clock = AcceleratedClock(START)
    desk = Bench(tmp_path, a_market(clock), clock)
    order = await desk.place("binance", "BTC/USDT", "buy", "0.03", order_type="limit", price=99_000)
    for bar in plan.bars:
        desk.market.tick({BTC: bar})
    filled = (await desk.order(order.order_id)).filled_amount
    desk.store.close()

    assert backtested(plan, replace(TERMS, max_volume_share=0.1)).trades.amount.tolist() == pytest.approx([0.01])
    assert filled == Decimal("0.01")


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(1, 4_999_999), min_size=1, max_size=8))
@example([123_456, 4_999, 5_000, 5_001])
def test_what_a_backtest_buys_is_what_a_paper_account_takes(amounts: list[int]) -> None:
    """Lots of 0.00001 and at least 5 USDT: a backtest rounds down or skips, a paper account refuses anything else."""
    terms = replace(TERMS, order_rules={BTC: OrderRules(lot=0.00001, minimum=5.0)})

    async def taken(home: Path) -> list[tuple[bool, bool]]:
        clock = AcceleratedClock(START)
        desk = Bench(home, a_market(clock), clock)

        async def takes(amount: Decimal) -> bool:
            try:
                order = await desk.place("binance", "BTC/USDT", "buy", amount)
            except InvalidInput:
                return False
            await desk.place("binance", "BTC/USDT", "sell", order.amount)
            return True

        found = [(await takes(amount), await takes(amount.quantize(LOT, ROUND_DOWN) or LOT)) for amount in given_in_btc]
        desk.store.close()
        return found

    given_in_btc = [Decimal(amount).scaleb(-8) for amount in amounts]
    plans = [Plan(1, None, None, None, None, [flat(100_000.0)], amount=f"{amount:f}") for amount in given_in_btc]
    bought = [backtested(plan, terms).trades.amount.tolist() for plan in plans]
    with tempfile.TemporaryDirectory() as folder:
        whole_and_rounded = asyncio.run(taken(Path(folder)))

    for amount, trade, (whole, rounded) in zip(given_in_btc, bought, whole_and_rounded, strict=True):
        assert trade == pytest.approx([float(amount.quantize(LOT, ROUND_DOWN))] if rounded else [])
        assert whole == (rounded and amount % LOT == 0)

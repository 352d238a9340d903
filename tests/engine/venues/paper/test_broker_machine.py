"""Random orders, cancellations, price moves, answers and restarts; after every step the books must add up.

The oracle is independent of the broker: from the orders that the API shows and the cost of their fills, it computes
what each account must hold, and compares.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from api.accounts import BalancesResponse
from api.errors import InvalidInput
from api.orders import CANCELLABLE
from api.symbols import Instrument
from api.times import AcceleratedClock
from engine.store.accounts import orders_table
from engine.venues.paper.records import OrderRecord, read_accounts, read_orders

from .conftest import BTC, BTC_LIGHTER, BTC_PERP, OWNER, RAIN, START, Bar, Bench, a_market

T = TypeVar("T")

ACCOUNTS: Final = {"binance": BTC, "binancefuturesusd": BTC_PERP, "lighter": BTC_LIGHTER, "polymarket": RAIN}
LOTS: Final = {BTC: "0.00001", BTC_PERP: "0.001", BTC_LIGHTER: "0.00001", RAIN: "0.01"}
TICKS: Final = {BTC: "0.1", BTC_PERP: "0.1", BTC_LIGHTER: "0.1", RAIN: "0.01"}
OPENING: Final = Decimal(10_000)
LOST: Final = Decimal("0.004")
"""The venue's share of a liquidated position's value: the remaining maintenance margin."""

percents = st.integers(-15, 15)


class Brokers(RuleBasedStateMachine):
    """Two brokers on one database, as in two processes, and one market."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = AcceleratedClock(START)
        self.market = a_market(self.clock)
        self.desks = [Bench(Path(self.folder.name), self.market, self.clock) for _ in range(2)]
        self.seen: dict[str, OrderRecord] = {}
        self.answered = False

    def teardown(self) -> None:
        assert self.desks[0].problems() == []
        for desk in self.desks:
            desk.store.close()
        self.runner.close()
        self.folder.cleanup()

    def run(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Let the broker do it or refuse it. A refusal is an answer; any other error is a fault."""
        try:
            return self.runner.run(work)
        except InvalidInput:
            return None

    @initialize()
    def open_accounts(self) -> None:
        self.desks[0].broker.accounts()

    @rule(
        desk=st.integers(0, 1),
        account=st.sampled_from(sorted(ACCOUNTS)),
        side=st.sampled_from(["buy", "sell"]),
        order_type=st.sampled_from(["market", "limit", "GTC", "FOK"]),
        value=st.integers(1, 12_000),
        distance=percents,
        leverage=st.sampled_from([None, None, 1, 3, 20, 125]),
    )
    def place(
        self, desk: int, account: str, side: str, order_type: str, value: int, distance: int, leverage: int | None
    ) -> None:
        instrument = ACCOUNTS[account]
        last = Decimal(str(self.market.bars[instrument][-1][3]))
        price = _on_grid(last * (100 + distance) / 100, TICKS[instrument])
        fields: dict[str, Any] = {"order_type": order_type}
        if instrument is RAIN:
            fields["order_type"] = "FOK" if order_type in {"market", "FOK"} else "GTC"
            price = min(max(price, Decimal("0.01")), Decimal("0.99"))
        elif instrument.market_type == "perpetual":
            fields["leverage"] = leverage
        if fields["order_type"] != "market":
            fields["price"] = price
        amount = max(_on_grid(Decimal(value) / last, LOTS[instrument]), Decimal(LOTS[instrument]))
        self.run(self.desks[desk].place(account, instrument.symbol, side, amount, **fields))

    @rule(desk=st.integers(0, 1), which=st.integers(0, 40), by_venue=st.booleans())
    def cancel(self, desk: int, which: int, by_venue: bool) -> None:
        orders = sorted(self.seen.values(), key=lambda order: order.seq)
        if not orders:
            return
        order = orders[which % len(orders)]
        more = {"exchange": order.instrument.exchange} if by_venue else {}
        order_id = order.exchange_order_id if by_venue else order.order_id
        self.run(self.desks[desk].cancel(order_id, **more))

    @rule(
        moves=st.fixed_dictionaries({name: st.tuples(percents, percents, percents) for name in sorted(ACCOUNTS)}),
        volume=st.sampled_from([0.0, 0.01, 0.5, 100.0, 1e6]),
        look=st.booleans(),
    )
    def pass_a_minute(self, moves: dict[str, tuple[int, int, int]], volume: float, look: bool) -> None:
        self.market.tick({ACCOUNTS[name]: self._bar(ACCOUNTS[name], move, volume) for name, move in moves.items()})
        if look:
            self.run(self.desks[0].orders())

    @rule(desk=st.integers(0, 1))
    def restart(self, desk: int) -> None:
        self.desks[desk].store.close()
        self.desks[desk].reopen()

    @rule(payout=st.integers(0, 1), really=st.integers(0, 9))
    def answer(self, payout: int, really: int) -> None:
        if really == 0 and not self.answered:
            self.answered = True
            self.market.tick()
            self.market.resolve(RAIN, payout)

    @invariant()
    def books_add_up(self) -> None:
        desk = self.desks[1]
        shown = {name: self.run(desk.balances(name)) for name in ACCOUNTS}
        assert desk.problems(ACCOUNTS) == []
        orders = desk.store.read_now(lambda c: list(read_orders(c, orders_table.c.seq > 0)))
        self._states_follow(orders)
        accounts = desk.store.read_now(lambda connection: read_accounts(connection, OWNER))
        for account in accounts:
            balances = shown.get(account.exchange)
            if balances is None:
                continue
            assert all(b.free >= 0 and b.used >= 0 and b.total == b.free + b.used for b in balances.balances)
            mine = [order for order in orders if order.account == account.id]
            with localcontext(prec=80):
                self._check_cash(balances, mine, ACCOUNTS[account.exchange])
                base = sum((o.filled * o.direction for o in mine), Decimal(0))
                if account.exchange == "binance":
                    assert sum((b.total for b in balances.balances if b.asset == "BTC"), Decimal(0)) == base
                elif not self.answered or account.exchange != "polymarket":
                    signed = [p.size if p.side == "long" else -p.size for p in balances.positions]
                    assert sum(signed, Decimal(0)) == base

    def _states_follow(self, orders: list[OrderRecord]) -> None:
        """No order overfills, shrinks, becomes active again, or holds money after its end."""
        for order in orders:
            before = self.seen.get(order.order_id, order)
            assert 0 <= before.filled <= order.filled <= order.amount
            assert before.status in CANCELLABLE or before == order
            assert order.status in CANCELLABLE or order.reserved == 0
            assert (order.status == "FILLED") == (order.filled == order.amount)
            self.seen[order.order_id] = order

    def _check_cash(self, shown: BalancesResponse, orders: list[OrderRecord], instrument: Instrument) -> None:
        """Opening balance less fees and trading costs, plus the part of the purchases that is held in cash."""
        cash = OPENING - sum((order.fee + order.cost * order.direction for order in orders), Decimal(0))
        payout = self.market.listed[instrument].payout
        if instrument is RAIN and payout is not None:
            cash += payout * sum((order.filled * order.direction for order in orders), Decimal(0))
        if instrument.market_type == "perpetual":
            for held in shown.positions:
                cash += held.entry_price * held.size * (1 if held.side == "long" else -1)
            cash -= sum((LOST * order.cost for order in orders if order.label == "liquidation"), Decimal(0))
        assert abs(shown.balances[0].total - cash) < Decimal("0.000001")

    def _bar(self, instrument: Instrument, move: tuple[int, int, int], volume: float) -> Bar:
        last = self.market.bars[instrument][-1][3]
        prices = [last, *(_bounded(last * (100 + percent) / 100, instrument) for percent in move)]
        return (prices[0], max(prices), min(prices), prices[-1], volume)


def _on_grid(value: Decimal, step: str) -> Decimal:
    return (value / Decimal(step)).to_integral_value() * Decimal(step)


def _bounded(price: float, instrument: Instrument) -> float:
    if instrument is RAIN:
        return min(max(round(price, 2), 0.01), 0.99)
    return max(round(price, 1), 1_000.0)


def _run(examples: int, steps: int) -> None:
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(Brokers, settings=chosen)


@pytest.mark.long
def test_random_trading_keeps_the_books() -> None:
    _run(examples=5, steps=25)


@pytest.mark.slow
def test_a_thousand_runs_of_fifty_steps_keep_the_books() -> None:
    _run(examples=1_000, steps=50)

"""Many programs on one instrument at once, where only signals close a position: no Python code per trade.

When signals alone open and close, the bars of every round trip do not depend on the money. The signals give them first.
The money is then computed trip by trip, in one step for all programs. The arithmetic of a step matches `SegmentKernel`
operation by operation, so each program gets the same bits as in a separate simulation. Programs that do not fit run in
a separate simulation.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.frame import Bools, Floats
from engine.program import Entry, Exit, StaticProgram
from engine.trading_rules import ANY_ORDER, ROUNDING, OrderRules

from .account import DUST
from .market import TradedInstrument
from .schedule import EntryOrder, constant_order, fires, intents
from .settings import SimulationSettings

Table = NDArray[np.float64]
BarNumbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SignalProgram:
    """One market entry with the same parameters on every bar, and the bars on which signals open and close it."""

    order: EntryOrder
    enter: Bools
    leave: Bools


def signal_program(
    market: TradedInstrument, program: StaticProgram, settings: SimulationSettings
) -> SignalProgram | None:
    """The program in this form; None if a price, a limit or another entry can also change the position."""
    if market.exists is not None or market.resolution is not None or market.funding is not None:
        return None
    if settings.stop_loss is not None or settings.take_profit is not None:
        return None
    opening: tuple[EntryOrder, Bools] | None = None
    leave: Bools | None = None
    for condition, intent in intents(program):
        if isinstance(intent, Entry) and opening is None and intent.limit is None and not intent.pyramiding:
            order = constant_order(intent)
            if order is None or not (order.stop is None and order.target is None and order.trail is None):
                return None
            opening = order, fires(condition, intent)
        elif isinstance(intent, Exit) and intent.once is None and _is_whole(intent):
            leave = condition if leave is None else leave | condition
        else:
            return None
    if opening is None or market.costs.can_liquidate(opening[0].side):
        return None
    order, enter = opening
    for _, intent in intents(program):
        if isinstance(intent, Exit) and intent.side not in (None, order.side):
            return None
    return SignalProgram(order, enter, np.zeros_like(enter) if leave is None else leave)


def _is_whole(intent: Exit) -> bool:
    return not isinstance(intent.fraction, np.ndarray) and intent.fraction >= 1.0


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """The trades of the programs: one row per trip, one column per program, programs with the most trips first.

    Beyond a program's `count` all numbers are 0, and `entered` and `left` are the end of the frame.

    Attributes:
        order: Which program each column is.
        entered, left: Bars of the fills. A trip still open at the end leaves at the end of the frame.
        bars_held: Bars from the entry to the closing fill.
        invested, after: Balance while a trip was open, and after it.
        units: Signed amount held.
        pnl, fees: Money, as in `Trades`.
        open_end: Whether the program's last trip was closed by the end of the data.
        unfit: Programs with an entry that filled nothing; they are not among the columns.
    """

    order: BarNumbers
    count: BarNumbers
    entered: BarNumbers
    left: BarNumbers
    bars_held: BarNumbers
    invested: Table
    after: Table
    units: Table
    pnl: Table
    fees: Table
    open_end: Bools
    unfit: tuple[int, ...]
    first_bar: int
    cash: float
    close: Floats

    def equity(self, start: int, stop: int) -> Table:
        """The equity at each bar's close from the first bar on, of the columns from `start` to `stop`: one row each."""
        trips, size = int(self.count[start:stop].max(initial=0)), len(self.close)
        columns = slice(start, stop)
        shape = stop - start, 2 * trips + 1
        begins = np.empty((shape[0], shape[1] + 1), dtype=np.int64)
        begins[:, 0], begins[:, -1] = self.first_bar, size
        begins[:, 1:-1:2], begins[:, 2:-1:2] = self.entered[:trips, columns].T, self.left[:trips, columns].T
        lengths = np.diff(begins, axis=1).ravel()
        balance, units = np.empty(shape), np.zeros(shape)
        balance[:, 0] = self.cash
        balance[:, 1::2], balance[:, 2::2] = self.invested[:trips, columns].T, self.after[:trips, columns].T
        units[:, 1::2] = self.units[:trips, columns].T
        bars = size - self.first_bar
        equity = np.repeat(units.ravel(), lengths).reshape(shape[0], bars)
        equity *= self.close[self.first_bar :]
        equity += np.repeat(balance.ravel(), lengths).reshape(shape[0], bars)
        for row in np.flatnonzero(self.open_end[columns]).tolist():
            equity[row, -1] = self.after[int(self.count[start + row]) - 1, start + row]
        return equity


def round_trips(
    market: TradedInstrument, programs: Sequence[SignalProgram], settings: SimulationSettings, first_bar: int
) -> RoundTrips:
    """Trade every program from its first signal to the end of the frame."""
    size, last = len(market.close), len(market.close) - 1
    found = [_events(each, first_bar, last) for each in programs]
    counts = np.array([(len(events) + 1) // 2 for events in found], dtype=np.int64)
    order = np.argsort(-counts, kind="stable")
    most, numbers = int(counts.max(initial=0)), [int(number) for number in order]
    bars = np.full((len(programs), 2 * most), last, dtype=np.int64)
    for row, number in enumerate(numbers):
        bars[row, : len(found[number])] = found[number]
    count = counts[order]
    open_end = np.array([len(found[number]) % 2 for number in numbers], dtype=np.bool_)
    signals = bars.T
    entered, left = np.ascontiguousarray(signals[::2]) + 1, np.ascontiguousarray(signals[1::2]) + 1
    money = _Money(market, [programs[number].order for number in numbers], settings)
    for trip in range(most):
        active = int(np.searchsorted(-count, -trip, side="left"))
        ends = open_end[:active] & (count[:active] == trip + 1)
        money.step(entered[trip, :active], left[trip, :active], ends)
    fit = ~money.unfit
    held = np.minimum(left, last) - entered
    beyond = np.arange(most)[:, None] >= count
    held[beyond] = 0
    entered[beyond] = size
    return RoundTrips(
        order=order[fit],
        count=count[fit],
        entered=entered[:, fit],
        left=left[:, fit],
        bars_held=held[:, fit],
        invested=money.table("invested")[:, fit],
        after=money.table("after")[:, fit],
        units=money.table("units")[:, fit],
        pnl=money.table("pnl")[:, fit],
        fees=money.table("fees")[:, fit],
        open_end=open_end[fit],
        unfit=tuple(order[~fit].tolist()),
        first_bar=first_bar,
        cash=settings.initial_cash,
        close=market.close,
    )


def _events(program: SignalProgram, first_bar: int, last: int) -> BarNumbers | list[int]:
    """The bars of the signals that act: entry, exit, entry and so on. Decisions of the last bar do not fill."""
    enter, leave = program.enter[first_bar:last], program.leave[first_bar:last]
    events = np.flatnonzero(enter | leave)
    if not len(events):
        return events
    opens = enter[events]
    if (opens & leave[events]).any():
        return _events_in_turn(enter, leave, first_bar)
    acts = np.empty(len(events), dtype=np.bool_)
    acts[0] = opens[0]
    np.not_equal(opens[1:], opens[:-1], out=acts[1:])
    return events[acts] + first_bar


def _events_in_turn(enter: Bools, leave: Bools, first_bar: int) -> list[int]:
    """The same where one bar may signal both: it opens a position when flat and closes an open one."""
    kinds: tuple[list[int], list[int]] = np.flatnonzero(enter).tolist(), np.flatnonzero(leave).tolist()
    found: list[int] = []
    bar = 0
    while True:
        signals = kinds[len(found) % 2]
        place = bisect_left(signals, bar)
        if place == len(signals):
            return found
        found.append(signals[place] + first_bar)
        bar = signals[place] + 1


class _Money:
    """The balances of all programs, one trip at a time. Operations and their order match `SimulatedAccount`."""

    def __init__(self, market: TradedInstrument, orders: Sequence[EntryOrder], settings: SimulationSettings) -> None:
        self._market = market
        self._balance = np.full(len(orders), settings.initial_cash)
        self._dust = DUST * settings.initial_cash
        self._values = np.array([order.value for order in orders])
        self._sides = np.array([float(order.side) for order in orders])
        kinds = [order.kind for order in orders]
        self._weighted = np.array([kind == "weight" for kind in kinds])
        self._notional = np.array([kind == "notional" for kind in kinds])
        self._kinds = set(kinds)
        self._long = np.array([order.side > 0 for order in orders])
        self.unfit = np.zeros(len(orders), dtype=np.bool_)
        self._rows: dict[str, list[Floats]] = {name: [] for name in ("invested", "after", "units", "pnl", "fees")}

    def table(self, name: str) -> Table:
        """The recorded trips, one row each."""
        rows = self._rows[name]
        found = np.zeros((len(rows), len(self._balance)))
        for row, values in zip(found, rows, strict=True):
            row[: len(values)] = values
        return found

    def step(self, entered: BarNumbers, left: BarNumbers, ends: Bools) -> None:
        """One trip of the first programs: in at the open of `entered`, out at that of `left` or at the last close."""
        market, costs, active = self._market, self._market.costs, len(entered)
        side, balance = self._sides[:active], self._balance[:active]
        opened = market.open[entered]
        closed = market.open[np.minimum(left, len(market.open) - 1)]
        closed[ends] = market.close[-1]
        price = self._paid(opened, self._long[:active])
        amount = self._amount(active, price)
        cost = amount * (price * (costs.inverse_leverage + costs.fee))
        dear = (cost > balance) & (cost > 0.0)
        if dear.any():
            amount = amount * np.where(dear, np.maximum(balance / np.where(dear, cost, 1.0), 0.0), 1.0)
        amount = self._fitted(amount, price, entered)
        got = self._paid(closed, ~self._long[:active])
        value, back = amount * price, amount * got
        self.unfit[:active] |= ~(value >= self._dust) | (value == np.inf)
        fee, exit_fee = value * costs.fee, back * costs.fee
        invested = balance - (side * value + fee)
        free = invested + (side * value - value * costs.inverse_leverage)
        invested -= np.minimum(free, 0.0)
        after = invested + (side * back - exit_fee)
        rows = self._rows
        rows["invested"].append(invested)
        rows["after"].append(after)
        rows["units"].append(side * amount)
        rows["pnl"].append(side * amount * (got - price) - fee - exit_fee)
        rows["fees"].append(fee + exit_fee)
        self._balance[:active] = after

    def _paid(self, reference: Floats, buys: Bools) -> Floats:
        """The price of a market order, worsened by slippage."""
        costs = self._market.costs
        up = np.minimum(reference * costs.up, costs.cap)
        return up if buys.all() else np.where(buys, up, reference * costs.down)

    def _amount(self, active: int, price: Floats) -> Floats:
        """Requested base units; 0 where unknown. See `amount_for`."""
        values, balance = self._values[:active], self._balance[:active]
        told = (price > 0.0) & (balance > 0.0)
        over = np.where(told, price, 1.0)
        if self._kinds == {"weight"}:
            return np.where(told, balance * values / over, 0.0)
        by_money = np.where(self._weighted[:active], balance * values / over, values / over)
        by_money[~told] = 0.0
        return np.where(self._weighted[:active] | self._notional[:active], by_money, values)

    def _fitted(self, amount: Floats, price: Floats, bars: BarNumbers) -> Floats:
        """The amount of an opening that the exchange fills. See `Ledger.fitted`."""
        market = self._market
        if market.most is None and market.rules is ANY_ORDER:
            return amount
        rules = market.rules
        worth = amount * price
        asked = (worth >= self._dust) & (worth < np.inf)
        fits = amount if market.most is None else np.minimum(amount, market.most[bars])
        if rules.lot > 0.0:
            fits = _whole_lots(rules, fits)
        takes = (fits > 0.0) & (fits * price >= rules.minimum)
        return np.where(asked, np.where(takes, fits, 0.0), amount)


def _whole_lots(rules: OrderRules, amounts: Floats) -> Floats:
    """`OrderRules.whole_lots` of many amounts. Above 2**52 units of the last digit NumPy rounds differently."""
    digits = rules.digits
    lots = np.floor(amounts / rules.lot + ROUNDING) * rules.lot
    if float(lots.max(initial=0.0)) * 10.0**digits < 2.0**52:
        return np.round(lots, digits)
    return np.array([rules.whole_lots(each) for each in amounts.tolist()])

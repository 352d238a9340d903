"""Many programs at once, each trading a whole universe on one account of its own: no Python code per trade.

The programs walk through the bars together. What happens on a bar is one step for all programs and instruments. The
order of the additions matches `SimulatedAccount`, instrument by instrument, so each program gets the same bits as in a
separate simulation. One market entry per instrument fits, with its stop, target and trailing stop, and exits of the
whole position. Positions are long and without leverage. Other programs run in a separate simulation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.frame import Bools, Floats
from engine.program import Entry, Exit, StaticProgram
from engine.trading_rules import ANY_ORDER, ROUNDING

from .account import DUST
from .market import TradedInstrument
from .schedule import EntryOrder, constant_order, fires, intents
from .settings import SimulationSettings

Table = NDArray[np.float64]
Indices = NDArray[np.int64]

_CHUNK_CELLS = 4_000_000
"""Bars times instruments times programs whose signals are laid out at once."""


@dataclass(frozen=True, slots=True)
class UniverseProgram:
    """The signals of a program: for each instrument its entry, and the bars of its entries and exits.

    An instrument without an entry has None in `orders` and empty signals. `most` is the highest number of positions.
    """

    orders: tuple[EntryOrder | None, ...]
    enter: tuple[Bools | None, ...]
    leave: tuple[Bools | None, ...]
    most: int | None


def universe_program(
    markets: Sequence[TradedInstrument], program: StaticProgram, settings: SimulationSettings
) -> UniverseProgram | None:
    """The program in this form; None if it does not fit."""
    if settings.stop_loss is not None or settings.take_profit is not None or settings.leverage != 1.0:
        return None
    if any(market.resolution is not None or market.funding is not None for market in markets):
        return None
    places = {market.instrument: k for k, market in enumerate(markets)}
    orders: list[EntryOrder | None] = [None] * len(markets)
    enter: list[Bools | None] = [None] * len(markets)
    leave: list[Bools | None] = [None] * len(markets)
    entered = left = -1
    for condition, intent in intents(program):
        k = places[intent.instrument]
        if isinstance(intent, Entry) and k > entered and intent.side > 0:
            order, entered = constant_order(intent), k
            if order is None or order.limit is not None or order.pyramiding:
                return None
            orders[k], enter[k] = order, fires(condition, intent)
        elif isinstance(intent, Exit) and k >= left and _closes_a_long(intent):
            known, left = leave[k], k
            leave[k] = condition if known is None else known | condition
        else:
            return None
    limits = {order.most for order in orders if order is not None}
    if len(limits) != 1:
        return None
    return UniverseProgram(tuple(orders), tuple(enter), tuple(leave), limits.pop())


def _closes_a_long(intent: Exit) -> bool:
    whole = not isinstance(intent.fraction, np.ndarray) and intent.fraction >= 1.0
    return whole and intent.once is None and intent.side in (None, 1)


@dataclass(frozen=True, slots=True)
class AccountRuns:
    """What the programs did, one row per program.

    Attributes:
        order: Which program each row is.
        equity: At each bar's close from the first bar on.
        exposed: Bars with a position at the close.
        owner, pnl, fees, bars_held: The trades: the row of each, money, and bars from the entry to the closing fill, in
            the order they were closed.
        unfit: Programs whose orders had to wait for a missing bar; they have no row.
    """

    order: Indices
    equity: Table
    exposed: Indices
    owner: Indices
    pnl: Floats
    fees: Floats
    bars_held: Indices
    unfit: tuple[int, ...]


def trade_together(
    markets: Sequence[TradedInstrument],
    programs: Sequence[UniverseProgram],
    settings: SimulationSettings,
    first_bar: int,
) -> AccountRuns:
    """Trade every program from the first bar to the end of the frame."""
    accounts = _Accounts(markets, programs, settings, first_bar)
    for bar, enter, leave in _signals(markets, programs, first_bar):
        accounts.trade(bar)
        accounts.decide(bar, enter, leave)
    return accounts.finish()


def _signals(
    markets: Sequence[TradedInstrument], programs: Sequence[UniverseProgram], first_bar: int
) -> Iterator[tuple[int, Bools, Bools]]:
    """Each bar with its entry and exit signals, instruments by programs."""
    size, shape = len(markets[0].close), (len(markets), len(programs))
    step = max(1, _CHUNK_CELLS // (shape[0] * shape[1]))
    for start in range(first_bar, size, step):
        stop = min(start + step, size)
        silent = np.zeros(stop - start, dtype=np.bool_)
        laid = np.empty((2, stop - start, *shape), dtype=np.bool_)
        for k in range(shape[0]):
            for which, masks in enumerate(([p.enter[k] for p in programs], [p.leave[k] for p in programs])):
                laid[which, :, k] = np.array([silent if m is None else m[start:stop] for m in masks]).T
        for k, market in enumerate(markets):
            if market.exists is not None:
                laid[:, ~market.exists[start:stop], k] = False
        for bar in range(start, stop):
            yield bar, laid[0, bar - start], laid[1, bar - start]


class _Accounts:
    """The accounts of all programs. Tables are instruments by programs; `k` and `v` index them."""

    def __init__(
        self,
        markets: Sequence[TradedInstrument],
        programs: Sequence[UniverseProgram],
        settings: SimulationSettings,
        first_bar: int,
    ) -> None:
        self._markets, self._first, self._size = markets, first_bar, len(markets[0].close)
        count = len(programs)
        shape = len(markets), count
        self._cash, self._dust = settings.initial_cash, DUST * settings.initial_cash
        self._balance = np.full(count, settings.initial_cash)
        self._units, self._entry, self._paid = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._opened = np.zeros(shape, dtype=np.int64)
        self._held = np.zeros(shape, dtype=np.bool_)
        none: Indices = np.empty(0, dtype=np.int64)
        self._closing, self._opening = (none, none), (none, none)
        self._unfit = np.zeros(count, dtype=np.bool_)
        self._trades: list[tuple[Indices, Floats, Floats, Indices]] = []
        self._equity = np.empty((self._size - first_bar, count))
        self._exposed = np.zeros(count, dtype=np.int64)

        costs = [market.costs for market in markets]
        self._fee, self._up = np.array([c.fee for c in costs]), np.array([c.up for c in costs])
        self._down, self._cap = np.array([c.down for c in costs]), np.array([c.cap for c in costs])
        self._per_worth = np.array([c.inverse_leverage + c.fee for c in costs])
        self._marks = np.stack([market.mark for market in markets], axis=1)
        self._exists = None
        opens = [market.open for market in markets]
        if any(market.exists is not None for market in markets):
            there = [np.ones(self._size, dtype=np.bool_) if m.exists is None else m.exists for m in markets]
            self._exists = np.stack(there, axis=1)
            before = [np.concatenate(([0.0], market.mark[:-1])) for market in markets]
            opens = [np.where(has, own, last) for has, own, last in zip(there, opens, before, strict=True)]
        self._opens = np.stack(opens, axis=1)

        rules = [market.rules for market in markets]
        self._any_size = all(r is ANY_ORDER for r in rules) and all(market.most is None for market in markets)
        self._lot, self._minimum = np.array([r.lot for r in rules]), np.array([r.minimum for r in rules])
        self._scale = np.array([10.0**r.digits if r.lot > 0.0 else 1.0 for r in rules])
        self._limits = None
        if any(market.most is not None for market in markets):
            unlimited = np.full(self._size, math.inf)
            self._limits = np.stack([unlimited if m.most is None else m.most for m in markets], axis=1)

        self._kind = np.array([[_KINDS.get(o.kind, 0) if o else 0 for o in p.orders] for p in programs]).T
        self._value = self._of_orders(programs, "value", 0.0)
        self._stop = self._of_orders(programs, "stop", math.nan)
        self._target = self._of_orders(programs, "target", math.nan)
        self._trail = self._of_orders(programs, "trail", math.nan)
        self._trailed = bool(np.isfinite(self._trail).any())
        self._guarded = self._trailed or bool(np.isfinite(self._stop).any() or np.isfinite(self._target).any())
        self._level, self._goal = np.full(shape, -math.inf), np.full(shape, math.inf)
        self._fixed, self._peak = np.full(shape, -math.inf), np.full(shape, -math.inf)
        if self._guarded:
            self._lows = np.stack([market.low for market in markets], axis=1)
            self._highs = np.stack([market.high for market in markets], axis=1)
        most = [p.most for p in programs]
        self._most = None if set(most) == {None} else np.array([math.inf if m is None else m for m in most])

    @staticmethod
    def _of_orders(programs: Sequence[UniverseProgram], name: str, missing: float) -> Table:
        """One number of the entries; `missing` where there is none."""
        rows = [[None if o is None else getattr(o, name) for o in program.orders] for program in programs]
        return np.array([[missing if value is None else value for value in row] for row in rows]).T

    def decide(self, bar: int, enter: Bools, leave: Bools) -> None:
        """The decisions at the close of `bar`, and the equity there."""
        values = self._units * self._marks[bar][:, None]
        self._equity[bar - self._first] = self._total(self._balance, values)
        if bar < self._size - 1:
            self._exposed += values.any(axis=0)
        self._closing = np.nonzero(leave & self._held)
        opening = enter & ~self._held
        if self._most is not None:
            held = self._held.sum(axis=0)
            opening &= np.cumsum(opening, axis=0) + held <= self._most
        self._opening = np.nonzero(opening)

    @staticmethod
    def _total(balance: Floats, values: Table) -> Floats:
        """The balance and the values of the positions, added instrument by instrument."""
        whole = np.empty((len(values) + 1, values.shape[1]))
        whole[0], whole[1:] = balance, values
        return np.add.accumulate(whole, axis=0, out=whole)[-1]

    def trade(self, bar: int) -> None:
        """The fills of `bar`: exits and entries at its open, then the exits that its prices reach."""
        if self._exists is not None and not self._exists[bar].all():
            for k, v in (self._closing, self._opening):
                self._unfit[v[~self._exists[bar][k]]] = True
        opens = self._opens[bar]
        k, v = self._opening
        u = np.unique(v)
        worth = self._total(self._balance[u], self._units[:, u] * opens[:, None]) if len(v) else self._balance[:0]
        if len(self._closing[0]):
            out, whose = self._closing
            self._close(out, whose, opens[out], bar, slips=None)
        if len(v):
            self._open(k, v, worth[np.searchsorted(u, v)], bar)
        if self._guarded:
            self._close_by_price(bar)

    def _close(self, k: Indices, v: Indices, reference: Floats, bar: int, *, slips: Bools | None) -> None:
        """Close whole positions, in the order of the instruments; where not `slips`, at the reference itself."""
        price = reference * self._down[k]
        if slips is not None:
            price = np.where(slips, price, reference)
        units, fees = self._units[k, v], self._paid[k, v]
        value = units * price
        fee = value * self._fee[k]
        np.add.at(self._balance, v, value - fee)
        pnl = units * (price - self._entry[k, v]) - fees - fee
        self._trades.append((v, pnl, fees + fee, bar - self._opened[k, v]))
        self._units[k, v], self._held[k, v] = 0.0, False
        self._level[k, v], self._goal[k, v] = -math.inf, math.inf
        self._fixed[k, v] = self._peak[k, v] = -math.inf

    def _open(self, k: Indices, v: Indices, worth: Floats, bar: int) -> None:
        """Open positions, all of a program scaled by one factor if its money is short."""
        price = np.minimum(self._opens[bar][k] * self._up[k], self._cap[k])
        amount = self._amounts(k, v, worth, price)
        cost = np.zeros(len(self._balance))
        np.add.at(cost, v, amount * (price * self._per_worth[k]))
        short = (cost > self._balance) & (cost > 0.0)
        factor = np.where(short, np.maximum(self._balance / np.where(short, cost, 1.0), 0.0), 1.0)
        amount = self._fitted(k, amount * factor[v], price, bar)
        value = amount * price
        made = (value >= self._dust) & (value < math.inf)
        k, v, price, amount, value = k[made], v[made], price[made], amount[made], value[made]
        fee = value * self._fee[k]
        np.subtract.at(self._balance, v, value + fee)
        u = self._opening[1]
        self._balance[u] = np.maximum(self._balance[u], 0.0)
        self._units[k, v], self._entry[k, v], self._paid[k, v] = amount, price, fee
        self._opened[k, v], self._held[k, v] = bar, True
        if self._guarded:
            self._guard(k, v, price)

    def _guard(self, k: Indices, v: Indices, price: Floats) -> None:
        """The stop, the target and the start of the trail of new positions."""
        stop, target = self._stop[k, v], self._target[k, v]
        self._fixed[k, v] = np.where(np.isnan(stop), -math.inf, price * (1.0 - stop))
        self._goal[k, v] = np.where(np.isnan(target), math.inf, price * (1.0 + target))
        trail = self._trail[k, v]
        self._peak[k, v] = np.where(np.isnan(trail), -math.inf, price)
        self._level[k, v] = np.fmax(self._fixed[k, v], price * (1.0 - trail))

    def _amounts(self, k: Indices, v: Indices, worth: Floats, price: Floats) -> Floats:
        """Requested base units; 0 where unknown. See `amount_for`."""
        kind, value = self._kind[k, v], self._value[k, v]
        told = (price > 0.0) & (worth > 0.0)
        over = np.where(told, price, 1.0)
        found = np.where(kind == _KINDS["notional"], value / over, worth * value / over)
        risky = kind == _KINDS["risk"]
        if risky.any():
            stop = self._stop[k, v]
            known = told & (stop > 0.0)
            found[risky] = np.where(known, worth * value / np.where(known, price * stop, 1.0), 0.0)[risky]
        found[~told] = 0.0
        return np.where(kind == _KINDS["amount"], value, found)

    def _fitted(self, k: Indices, amount: Floats, price: Floats, bar: int) -> Floats:
        """The amounts that the exchange fills. See `Ledger.fitted`."""
        if self._any_size:
            return amount
        worth = amount * price
        asked = (worth >= self._dust) & (worth < math.inf)
        fits = amount if self._limits is None else np.fmin(amount, self._limits[bar][k])
        fits = self._whole_lots(k, fits)
        takes = (fits > 0.0) & (fits * price >= self._minimum[k])
        return np.where(asked, np.where(takes, fits, 0.0), amount)

    def _whole_lots(self, k: Indices, amounts: Floats) -> Floats:
        """`OrderRules.whole_lots` of many amounts. Above 2**52 units of the last digit NumPy rounds differently."""
        lot, scale = self._lot[k], self._scale[k]
        lots = np.floor(amounts / np.where(lot > 0.0, lot, 1.0) + ROUNDING) * lot
        digits = lots * scale
        if float(digits.max(initial=0.0)) < 2.0**52:
            return np.where(lot > 0.0, np.rint(digits) / scale, amounts)
        wanted: list[tuple[int, float]] = list(zip(k.tolist(), amounts.tolist(), strict=True))
        return np.array([self._markets[each].rules.whole_lots(amount) for each, amount in wanted])

    def _close_by_price(self, bar: int) -> None:
        """Close the positions whose stop or target the bar's prices reach; then the trails follow."""
        low, high = self._lows[bar][:, None], self._highs[bar][:, None]
        k, v = np.nonzero((low <= self._level) | (high >= self._goal))
        if len(k):
            opened, level, goal = self._opens[bar][k], self._level[k, v], self._goal[k, v]
            gapped = (opened <= level) | (opened >= goal)
            stopped = (opened <= level) | (~gapped & (self._lows[bar][k] <= level))
            reference = np.where(gapped, opened, np.where(stopped, level, goal))
            self._close(k, v, reference, bar, slips=stopped)
        if self._trailed:
            np.fmax(self._peak, np.where(np.isfinite(self._peak), high, -math.inf), out=self._peak)
            np.fmax(self._fixed, self._peak * (1.0 - self._trail), out=self._level)

    def finish(self) -> AccountRuns:
        """Close everything at the last price."""
        last = self._size - 1
        k, v = np.nonzero(self._held)
        self._close(k, v, self._marks[last][k], last, slips=None)
        self._equity[-1] = self._balance
        owner, pnl, fees, bars_held = (np.concatenate(column) for column in zip(*self._trades, strict=True))
        order = np.flatnonzero(~self._unfit)
        place = np.cumsum(~self._unfit) - 1
        own = ~self._unfit[owner]
        return AccountRuns(
            order=order,
            equity=np.ascontiguousarray(self._equity[:, order].T),
            exposed=self._exposed[order],
            owner=place[owner[own]],
            pnl=pnl[own],
            fees=fees[own],
            bars_held=bars_held[own],
            unfit=tuple(np.flatnonzero(self._unfit).tolist()),
        )


_KINDS = {"weight": 0, "notional": 1, "amount": 2, "risk": 3}

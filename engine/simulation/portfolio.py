"""The general path: several instruments on one account, rebalances, limits, grids, and programs that read the account.

It visits only the bars on which something can happen: a signal, a waiting order, or a trigger price of a position or
resting order. Between two visits holdings are constant, and the curves are filled in slices.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from engine.frame import Frame
from engine.program import AccountState

from .account import FLAT, OpenPosition, SimulatedAccount, account_state, with_memory
from .bar import Session
from .kept import DAY, KernelState, RestingOrders, resting_orders, shape
from .market import TradedInstrument
from .pending import PendingOrders
from .result import EndedEarly, Simulation
from .rules import MoneyBounds
from .schedule import Decider, EntryOrder
from .settings import SimulationSettings
from .trades import Fills
from .trigger_scan import TriggerScan, see


class PortfolioKernel:
    """One run over a universe."""

    def __init__(
        self,
        frame: Frame,
        markets: Sequence[TradedInstrument],
        decider: Decider,
        settings: SimulationSettings,
        first_bar: int,
        report: Callable[[float], None] | None,
    ) -> None:
        self._frame, self._markets, self._settings, self._first = frame, markets, settings, first_bar
        self._decider = decider
        self._account = SimulatedAccount(settings.initial_cash, markets)
        self._book = PendingOrders(markets)
        self._session = Session(markets, self._account, self._book)
        self._limits = MoneyBounds.of(settings)
        self._triggers = TriggerScan(markets, self._account, self._book, len(frame))
        self._report = report
        self._ending: EndedEarly | None = None
        self._size = len(frame)
        self._bar = first_bar
        self._equity, self._cash, self._gross = (np.empty(self._size - first_bar) for _ in range(3))
        self._flat = {m.instrument: FLAT for m in markets}
        self._peak, self._peaked = settings.initial_cash, first_bar
        rates = [market.funding[:-1] != 0.0 for market in markets if market.funding is not None]
        self._due: list[int] = np.logical_or.reduce(rates).nonzero()[0].tolist() if rates else []
        self._traded = 0

    def run(self) -> Simulation:
        """From the first bar to the last."""
        return self.finish()

    def run_to(self, stop: int) -> None:
        """From the current bar to the bar before `stop`."""
        while self._bar < stop:
            self._visit(self._bar)
            self._bar = self._fill(self._bar, min(self._next(self._bar), stop))
            if self._report is not None:
                self._report(self._bar / self._size)

    def finish(self) -> Simulation:
        """From the current bar to the last one, where everything is closed."""
        self.run_to(self._size)
        return self._finish()

    def worth(self, bar: int) -> float:
        """Cash and positions, valued at the close before `bar`, where the run has stopped."""
        return self._account.equity(self._marks(bar - 1))

    def free(self) -> float:
        """Free cash."""
        return self._account.free()

    def move_money(self, bar: int, amount: float) -> None:
        """Add money before `bar`, or withdraw it if negative. The drawdown that scripts read does not change.

        No more than the free cash can be withdrawn.
        """
        before = self.worth(bar)
        self._peak_to(bar)
        self._account.balance += amount
        if before > 0.0:
            self._peak *= (before + amount) / before

    def advance(self, before: KernelState | None) -> tuple[KernelState, Fills, tuple[RestingOrders, ...]]:
        """Trade all bars but the last, which takes the place of the next one.

        Args:
            before: The state to continue from; None at the start.

        Returns:
            The state after the last closed bar; the fills, including those of that bar's decisions at the open of the
            stand-in; and the orders that rest after that open.
        """
        if before is not None:
            self._restore(before)
        coming = self._size - 1
        bar = self._first
        while bar < coming:
            self._visit(bar)
            bar = self._fill(bar, min(self._next(bar), coming))
        kept = self._kept(coming - 1)
        rests: tuple[RestingOrders, ...] = ()
        if self._account.order and self._funded(coming) == coming:
            self._account.fund(coming, self._session.opens(coming))
        if self._ending is not None:
            self._session.close_all(coming, self._ending)
        else:
            self._session.fill_waiting(coming)
            for slot in self._account.order:
                see(self._account.positions[slot], self._markets[slot[0]], coming)
            rests = tuple(resting_orders(self._markets, self._account, self._book, self._marks(coming)))
        return kept, self._account.records(self._frame)[1], rests

    def shares(self) -> dict[int, float]:
        """The requested share of each fill that closed part of a position, by fill number."""
        return self._account.shares

    def entries(self) -> dict[int, EntryOrder]:
        """The entry behind each fill that a market or limit entry made, by fill number."""
        return self._account.entries

    def rungs(self) -> dict[int, int]:
        """The rung of each fill of a grid, by fill number."""
        return self._account.rungs

    def equity(self) -> list[float]:
        """At the close of each bar that was traded."""
        closes: list[float] = self._equity.tolist()
        return closes

    def _kept(self, bar: int) -> KernelState:
        book, seen = self._book, self._equity[self._peaked - self._first : bar + 1 - self._first]
        for slot in self._account.order:
            see(self._account.positions[slot], self._markets[slot[0]], bar + 1)
        for k in self._account.opened:
            prices = (self._markets[k].high, self._markets[k].low)
            with_memory(FLAT, self._account, k, bar, bar, prices)
        recent = bar - DAY // self._frame.seconds - 1
        return KernelState(
            shape=shape(),
            bars=self._traded + bar + 1 - self._first,
            balance=self._account.balance,
            equity=float(self._equity[bar - self._first]),
            peak=max(self._peak, float(seen.max())) if len(seen) else self._peak,
            ending=self._ending,
            positions=tuple(self._moved(self._account.positions[slot], -bar) for slot in self._account.order),
            waiting=tuple(book.waiting),
            resting={k: list(orders) for k, orders in book.resting.items()},
            new=tuple(sorted(book.new & book.resting.keys())),
            cells={k: [replace(cell) for cell in cells] for k, cells in book.cells.items()},
            grids=dict(book.grids),
            numbers=list(book.numbers),
            opened={k: [b - bar for b in bars if b >= recent] for k, bars in self._account.opened.items()},
            closed={k: (b - bar, pnl) for k, (b, pnl) in self._account.closed.items()},
            funding=self._account.funding,
        )

    def _restore(self, before: KernelState) -> None:
        account, book = self._account, self._book
        self._traded, self._peak, self._ending = before.bars, before.peak, before.ending
        account.balance, account.funding = before.balance, before.funding
        account.order = [position.slot for position in before.positions]
        last = self._first - 1
        account.positions = {p.slot: self._moved(p, last) for p in before.positions}
        account.opened = {k: [b + last for b in bars] for k, bars in before.opened.items()}
        account.closed = {k: (b + last, pnl) for k, (b, pnl) in before.closed.items()}
        book.waiting = list(before.waiting)
        book.resting = {k: list(orders) for k, orders in before.resting.items()}
        book.new = set(before.new)
        book.cells = {k: [replace(cell) for cell in cells] for k, cells in before.cells.items()}
        book.grids = dict(before.grids)
        book.numbers = list(before.numbers)

    @staticmethod
    def _moved(position: OpenPosition, bars: int) -> OpenPosition:
        """A copy with bars counted from another origin, and without any look-ahead results."""
        return replace(
            position,
            opened=position.opened + bars,
            seen=position.seen + bars,
            measured=position.measured + bars,
            done=set(position.done),
            clear=-1,
            reach=256,
        )

    def _visit(self, bar: int) -> None:
        if self._account.order and self._funded(bar) == bar:
            self._account.fund(bar, self._session.opens(bar))
        if self._ending is not None:
            self._session.close_all(bar, self._ending)
            return
        self._session.trade(bar)
        if self._limits.active and bar < self._size - 1:
            reached = self._limits.reached(self._account.equity(self._marks(bar)))
            if reached is not None:
                self._end(reached)
                return

        self._book.decide(self._decider.at(bar, lambda: self._account_at(bar)), bar, self._account)

    def _account_at(self, bar: int) -> AccountState:
        """The account at the close of `bar`; brings the peak of equity up to the bar before."""
        self._peak_to(bar)
        state = account_state(self._account, self._flat.copy(), self._marks(bar), bar, self._peak)
        midnight = int(self._frame.time[bar]) // 86_400 * 86_400
        day = int(np.searchsorted(self._frame.time, midnight))
        for k in self._account.opened:
            market = self._markets[k]
            known = state.positions[market.instrument]
            state.positions[market.instrument] = with_memory(
                known, self._account, k, bar, day, (market.high, market.low)
            )
        return state

    def _peak_to(self, bar: int) -> None:
        """Bring the peak of equity up to the bar before."""
        start, stop = self._peaked - self._first, bar - self._first
        if stop - start == 1:
            self._peak = max(self._peak, self._equity.item(start))
        elif stop > start:
            self._peak = max(self._peak, float(self._equity[start:stop].max()))
        self._peaked = bar

    def _marks(self, bar: int) -> list[float]:
        return [m.mark.item(bar) for m in self._markets]

    def _end(self, reason: EndedEarly) -> None:
        self._ending = reason
        for k in range(len(self._markets)):
            self._book.drop(k)

    def _next(self, bar: int) -> int:
        """The first bar after `bar` on which something can happen."""
        if self._ending is not None:
            return bar + 1 if self._account.order else self._size
        if self._book.waiting or self._book.new or bar + 1 == self._size:
            return bar + 1
        funded = self._funded(bar + 1) if self._account.order else self._size
        return min(self._decider.next(bar + 1), self._triggers.next(bar + 1), funded)

    def _funded(self, bar: int) -> int:
        """The first bar from `bar` on at whose open funding is due."""
        index = bisect_left(self._due, bar)
        return self._due[index] if index < len(self._due) else self._size

    def _fill(self, bar: int, stop: int) -> int:
        """Fill the curves from `bar` to before `stop`, or until a portfolio limit is reached; returns the next bar."""
        stop = min(stop, self._size)
        if stop == bar + 1:
            self._fill_one(bar)
            return stop
        span = slice(bar - self._first, stop - self._first)
        equity, gross = self._equity[span], self._gross[span]
        equity[:] = self._account.balance
        gross[:] = 0.0
        for slot in self._account.order:
            value = self._account.positions[slot].signed * self._markets[slot[0]].mark[bar:stop]
            equity += value
            gross += np.abs(value)
        self._cash[span] = self._account.free()
        if not self._limits.active or self._ending is not None:
            return stop
        breached = self._limits.first_of(equity[1 : self._size - 1 - bar], bar + 1)
        if breached is None:
            return stop
        self._end(breached[1])
        return breached[0] + 1

    def _fill_one(self, bar: int) -> None:
        """The same for a single bar whose limits are already checked."""
        index = bar - self._first
        equity, gross = self._account.balance, 0.0
        for slot in self._account.order:
            value = self._account.positions[slot].signed * self._markets[slot[0]].mark.item(bar)
            equity += value
            gross += abs(value)
        self._equity[index], self._gross[index] = equity, gross
        self._cash[index] = self._account.free()

    def _finish(self) -> Simulation:
        last = self._size - 1
        final = self._account_at(last)
        self._account.fund(self._size, self._marks(last))
        self._session.close_at_end(last)
        self._equity[-1] = self._account.balance
        self._cash[-1], self._gross[-1] = self._account.balance, 0.0
        trades, fills = self._account.records(self._frame)
        return Simulation(
            frame=self._frame,
            settings=self._settings,
            first_bar=self._first,
            equity=self._equity,
            cash=self._cash,
            gross=self._gross,
            trades=trades,
            fills=fills,
            final=final,
            ended_early=self._ending,
            sizes=self._account.sizes,
            funding=self._account.funding,
        )

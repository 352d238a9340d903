"""Orders between decision and fill: those for the next open, resting limits, and grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.program import DirectionSign, Entry, Exit, Grid, Rebalance, SizeKind

from .account import SimulatedAccount
from .market import TradedInstrument
from .rules import amount_for
from .schedule import EntryOrder, FiredIntent, at, order_at


@dataclass(frozen=True, slots=True)
class PendingClose:
    """Close a fraction of the position in an instrument."""

    k: int
    side: DirectionSign | None
    fraction: float


@dataclass(frozen=True, slots=True)
class PendingEntry:
    """A market entry."""

    k: int
    order: EntryOrder


@dataclass(frozen=True, slots=True)
class TargetWeight:
    """Trade the difference to a target weight of equity."""

    k: int
    weight: float
    tag: str | None


@dataclass(frozen=True, slots=True)
class PlaceGrid:
    """Place a grid; `key` tells whether a later one is the same."""

    k: int
    prices: tuple[float, ...]
    kind: SizeKind
    value: float
    tag: str | None

    @property
    def key(self) -> tuple[object, ...]:
        """The identity of a grid."""
        return (self.prices, self.kind, self.value)


PendingOrder = PendingClose | PendingEntry | TargetWeight | PlaceGrid


@dataclass(slots=True)
class Cell:
    """A rung of a grid: buys at `buy`, sells at `sell`. `armed` while the buy order rests below the market.

    `number` is its index among the account's slots; no two grids of an instrument share one.
    """

    number: int
    buy: float
    sell: float
    amount: float
    armed: bool
    tag: str | None


class PendingOrders:
    """All unfilled orders, by instrument. `new` holds the instruments whose limit entries have not met an open yet."""

    def __init__(self, markets: Sequence[TradedInstrument]) -> None:
        self.waiting: list[PendingOrder] = []
        self.resting: dict[int, list[EntryOrder]] = {}
        self.new: set[int] = set()
        self.cells: dict[int, list[Cell]] = {}
        self.grids: dict[int, PlaceGrid] = {}
        self.numbers = [0] * len(markets)
        self._markets = markets
        self._complete = all(m.exists is None and m.resolution is None for m in markets)

    def decide(self, decisions: Sequence[FiredIntent], bar: int, account: SimulatedAccount) -> None:
        """Turn the decisions at the close of `bar` into orders.

        All decisions are judged against the positions at that close. The first entry or rebalance of an instrument on a
        bar decides: later ones in the other direction, or of the other kind, are ignored. An intent replaces the
        instrument's resting entries.
        """
        entries: dict[int, list[EntryOrder]] = {}
        rebalanced: set[int] = set()
        for decision in decisions:
            k, intent = decision.k, decision.intent
            if not self._complete and not self._trades(k, bar):
                continue
            if isinstance(intent, Exit):
                self._leave(k, intent, bar, account, fresh=k in entries)
            elif isinstance(intent, Entry):
                if k not in rebalanced:
                    self._enter(k, decision.order or order_at(intent, bar), account, entries)
            elif isinstance(intent, Rebalance):
                if k not in rebalanced and not entries.get(k):
                    rebalanced.add(k)
                    self._weigh(k, intent, bar, account)
            elif isinstance(intent, Grid):
                self._lay(k, intent, bar)
            else:
                position = account.positions.get((k, -1))
                if position is not None:
                    position.move_stop(at(intent.price, bar))

    def _trades(self, k: int, bar: int) -> bool:
        """Whether the bar has a close and the market still trades."""
        market = self._markets[k]
        return market.has(bar) and (market.resolution is None or bar < market.resolution)

    def _weigh(self, k: int, intent: Rebalance, bar: int, account: SimulatedAccount) -> None:
        self.resting.pop(k, None)
        weight = at(intent.weight, bar)
        if weight != 0.0 or (k, -1) in account.positions:
            self.waiting.append(TargetWeight(k, weight, intent.tag))

    def _enter(
        self, k: int, order: EntryOrder, account: SimulatedAccount, entries: dict[int, list[EntryOrder]]
    ) -> None:
        fired = entries.get(k, ())
        if fired and fired[0].side != order.side:
            return
        position = account.positions.get((k, -1))
        have = len(fired) + (position.entries if position is not None and position.side == order.side else 0)
        if have > 0 and have > order.pyramiding:
            return
        if position is None and order.most is not None and len(self._taken(account) - {k}) >= order.most:
            return
        if not fired:
            self.resting.pop(k, None)
        entries.setdefault(k, []).append(order)
        if order.limit is None:
            self.waiting.append(PendingEntry(k, order))
        else:
            self.resting.setdefault(k, []).append(order)
            self.new.add(k)

    def place(self, k: int, equity: float) -> None:
        """Size an instrument's new limit entries by the equity at the open at which they are placed."""
        self.new.discard(k)
        self.resting[k] = [
            order._replace(units=amount_for(order.kind, order.value, equity, order.limit or 0.0, order.stop))
            for order in self.resting[k]
        ]

    def _taken(self, account: SimulatedAccount) -> set[int]:
        """The instruments that have a position or an order to open one."""
        waiting = {w.k for w in self.waiting if isinstance(w, PendingEntry)}
        return {k for k, cell in account.positions if cell < 0} | waiting | set(self.resting)

    def _leave(self, k: int, intent: Exit, bar: int, account: SimulatedAccount, *, fresh: bool) -> None:
        fraction = at(intent.fraction, bar)
        position = account.positions.get((k, -1))
        if intent.once is not None and position is not None:
            if intent.once in position.done:
                return
            position.done.add(intent.once)
        resting = self.resting.get(k)
        if resting and not fresh and intent.side in (None, resting[0].side):
            del self.resting[k]
        if k in self.grids and fraction >= 1.0 and intent.side in (None, 1):
            self.drop_grid(k)
        if (k, -1) in account.positions or self.numbers[k]:
            self.waiting.append(PendingClose(k, intent.side, fraction))

    def _lay(self, k: int, grid: Grid, bar: int) -> None:
        prices = _rungs(at(grid.lower, bar), at(grid.upper, bar), grid)
        place = PlaceGrid(k, prices, grid.size.kind, at(grid.size.value, bar), grid.tag)
        known = self.grids.get(k)
        if len(prices) > 1 and (known is None or known.key != place.key):
            self.grids[k] = place
            self.cells.pop(k, None)
            self.waiting = [w for w in self.waiting if not (isinstance(w, PlaceGrid) and w.k == k)]
            self.waiting.append(place)

    def rest(self, place: PlaceGrid, amounts: Sequence[float], price: float) -> None:
        """Put a grid's orders into the market at `price`: rungs below it are armed."""
        first = self.numbers[place.k]
        self.numbers[place.k] += len(amounts)
        self.cells[place.k] = [
            Cell(first + i, place.prices[i], place.prices[i + 1], amount, place.prices[i] < price, place.tag)
            for i, amount in enumerate(amounts)
        ]

    def drop_grid(self, k: int) -> None:
        """Take the resting orders of a grid out of the market."""
        self.grids.pop(k, None)
        self.cells.pop(k, None)
        self.waiting = [w for w in self.waiting if not (isinstance(w, PlaceGrid) and w.k == k)]

    def drop(self, k: int) -> None:
        """Forget every order for an instrument."""
        self.drop_grid(k)
        self.resting.pop(k, None)
        self.waiting = [w for w in self.waiting if w.k != k]

    def due(self, bar: int) -> list[PendingOrder]:
        """Remove and return the orders whose instrument trades on `bar`."""
        if self._complete:
            due, self.waiting = self.waiting, []
            return due
        due = [w for w in self.waiting if self._markets[w.k].has(bar)]
        self.waiting = [w for w in self.waiting if not self._markets[w.k].has(bar)]
        return due


def _rungs(lower: float, upper: float, grid: Grid) -> tuple[float, ...]:
    """The grid's prices, lowest first; empty if the bounds are reversed."""
    if not lower < upper or grid.levels < 2:
        return ()
    steps = grid.levels - 1
    if grid.spacing == "geometric":
        return tuple(lower * (upper / lower) ** (i / steps) for i in range(grid.levels))
    return tuple(lower + (upper - lower) * i / steps for i in range(grid.levels))

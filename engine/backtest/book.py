"""Orders between their decision and their fill: those for the next open, resting limits, and grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.symbols import Instrument

from .ledger import Ledger
from .market import Market
from .plan import Order, at, known, order_at
from .program import Entry, Exit, Grid, Intent, Rebalance, Side, SizeKind


@dataclass(frozen=True, slots=True)
class Close:
    """Close a fraction of what is held of an instrument."""

    k: int
    side: Side | None
    fraction: float


@dataclass(frozen=True, slots=True)
class Open:
    """A market entry."""

    k: int
    order: Order


@dataclass(frozen=True, slots=True)
class Target:
    """Trade the difference to a weight of equity."""

    k: int
    weight: float
    tag: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Lay out a grid; `key` tells whether a later one is the same."""

    k: int
    prices: tuple[float, ...]
    kind: SizeKind
    value: float
    tag: str | None

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two grids the same."""
        return (self.prices, self.kind, self.value)


Waiting = Close | Open | Target | Place


@dataclass(slots=True)
class Cell:
    """A rung of a grid: buys at `buy`, sells at `sell`. `armed` while the buy order rests below the market.

    `number` is its place among the ledger's slots; no two grids of an instrument share one.
    """

    number: int
    buy: float
    sell: float
    amount: float
    armed: bool
    tag: str | None


class Book:
    """All orders that are not filled yet, by instrument."""

    def __init__(self, markets: Sequence[Market]) -> None:
        self.waiting: list[Waiting] = []
        self.resting: dict[int, list[Order]] = {}
        self.cells: dict[int, list[Cell]] = {}
        self._grids: dict[int, tuple[object, ...]] = {}
        self._numbers = [0] * len(markets)
        self._markets = markets
        self._places: dict[Instrument, int] = {m.instrument: k for k, m in enumerate(markets)}

    def decide(self, intents: Sequence[Intent], bar: int, ledger: Ledger) -> None:
        """Turn the intents decided at the close of `bar` into orders.

        Every one is judged against the positions at that close. On one bar the first entry or rebalance of an
        instrument decides: later ones in the other direction, or of the other kind, are not followed. An intent takes
        the place of the instrument's resting entries.
        """
        entries: dict[int, list[Order]] = {}
        rebalanced: set[int] = set()
        for intent in intents:
            k = self._places[intent.instrument]
            market = self._markets[k]
            resolved = market.resolution is not None and bar >= market.resolution
            if resolved or not market.has(bar) or not known(intent, bar):
                continue
            match intent:
                case Entry():
                    if k not in rebalanced:
                        self._enter(k, order_at(intent, bar), ledger, entries.setdefault(k, []))
                case Exit():
                    self._leave(k, intent, bar, fresh=bool(entries.get(k)))
                case Rebalance():
                    if k not in rebalanced and not entries.get(k):
                        rebalanced.add(k)
                        self.resting.pop(k, None)
                        self.waiting.append(Target(k, at(intent.weight, bar), intent.tag))
                case Grid():
                    self._lay(k, intent, bar)

    def _enter(self, k: int, order: Order, ledger: Ledger, entries: list[Order]) -> None:
        if entries and entries[0].side != order.side:
            return
        position = ledger.positions.get((k, -1))
        have = len(entries) + (position.entries if position is not None and position.side == order.side else 0)
        if have > 0 and have > order.pyramiding:
            return
        if not entries:
            self.resting.pop(k, None)
        entries.append(order)
        if order.limit is None:
            self.waiting.append(Open(k, order))
        else:
            self.resting.setdefault(k, []).append(order)

    def _leave(self, k: int, intent: Exit, bar: int, *, fresh: bool) -> None:
        fraction = at(intent.fraction, bar)
        resting = self.resting.get(k)
        if resting and not fresh and intent.side in (None, resting[0].side):
            del self.resting[k]
        if fraction >= 1.0 and intent.side in (None, 1):
            self.drop_grid(k)
        self.waiting.append(Close(k, intent.side, fraction))

    def _lay(self, k: int, grid: Grid, bar: int) -> None:
        prices = _rungs(at(grid.lower, bar), at(grid.upper, bar), grid)
        place = Place(k, prices, grid.size.kind, at(grid.size.value, bar), grid.tag)
        if len(prices) > 1 and self._grids.get(k) != place.key:
            self._grids[k] = place.key
            self.cells.pop(k, None)
            self.waiting = [w for w in self.waiting if not (isinstance(w, Place) and w.k == k)]
            self.waiting.append(place)

    def rest(self, place: Place, amounts: Sequence[float], price: float) -> None:
        """Put a grid's orders into the market at `price`: rungs below it are armed."""
        first = self._numbers[place.k]
        self._numbers[place.k] += len(amounts)
        self.cells[place.k] = [
            Cell(first + i, place.prices[i], place.prices[i + 1], amount, place.prices[i] < price, place.tag)
            for i, amount in enumerate(amounts)
        ]

    def drop_grid(self, k: int) -> None:
        """Take the resting orders of a grid out of the market."""
        self._grids.pop(k, None)
        self.cells.pop(k, None)
        self.waiting = [w for w in self.waiting if not (isinstance(w, Place) and w.k == k)]

    def drop(self, k: int) -> None:
        """Forget every order for an instrument."""
        self.drop_grid(k)
        self.resting.pop(k, None)
        self.waiting = [w for w in self.waiting if w.k != k]

    def due(self, bar: int) -> list[Waiting]:
        """The orders whose instrument trades on `bar`; they wait no longer."""
        due = [w for w in self.waiting if self._markets[w.k].has(bar)]
        self.waiting = [w for w in self.waiting if not self._markets[w.k].has(bar)]
        return due


def _rungs(lower: float, upper: float, grid: Grid) -> tuple[float, ...]:
    """The grid's prices, lowest first; none where the bounds are the wrong way round."""
    if not lower < upper or grid.levels < 2:
        return ()
    steps = grid.levels - 1
    if grid.spacing == "geometric":
        return tuple(lower * (upper / lower) ** (i / steps) for i in range(grid.levels))
    return tuple(lower + (upper - lower) * i / steps for i in range(grid.levels))

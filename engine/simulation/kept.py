"""The stored state of a simulation between two bars, and the orders in the market between them.

The state holds everything that the next bar depends on: money, positions, waiting and resting orders, grids, and the
peak of equity. It holds no fills or trades. It counts bars from its last one, so it fits any frame.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, Final, cast

from pydantic import TypeAdapter, ValidationError

from engine.program import DirectionSign

from .account import OpenPosition, SimulatedAccount
from .market import Costs, TradedInstrument
from .pending import Cell, PendingClose, PendingEntry, PendingOrders, PlaceGrid, TargetWeight
from .result import EndedEarly
from .rules import amount_for, limit_fill
from .schedule import EntryOrder
from .trades import ExitReason

VERSION: Final = 2
DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class KernelState:
    """The account of a simulation after the close of a bar.

    Attributes:
        shape: Name of the stored layout; a state with another layout is ignored.
        bars: Bars traded so far.
        equity: At that close.
        peak: The highest equity so far.
        positions: Their `opened` and `seen` count from that bar: 0 is the bar, -1 the one before.
        waiting: Market orders for the next open.
        resting, new, cells, grids, numbers: See `PendingOrders`.
        opened, closed: See `SimulatedAccount`; bars counted as above, entries of the last day only.
        funding: Paid on perpetual positions so far, money; negative if received.
    """

    shape: str
    bars: int
    balance: float
    equity: float
    peak: float
    ending: EndedEarly | None
    positions: tuple[OpenPosition, ...]
    waiting: tuple[PendingClose | PendingEntry | TargetWeight | PlaceGrid, ...]
    resting: dict[int, list[EntryOrder]]
    new: tuple[int, ...]
    cells: dict[int, list[Cell]]
    grids: dict[int, PlaceGrid]
    numbers: list[int]
    opened: dict[int, list[int]]
    closed: dict[int, tuple[int, float]]
    funding: float = 0.0

    def to_json(self) -> str:
        """For storage: floats keep every bit."""
        return json.dumps(asdict(self), default=sorted)

    @classmethod
    def from_json(cls, text: str) -> KernelState | None:
        """The stored state; None if another version wrote it and it must be recomputed."""
        try:
            state = _adapter().validate_python(json.loads(text))
        except (ValueError, ValidationError):
            return None
        return state if state.shape == shape() else None


def difference(kept: KernelState, replayed: KernelState) -> str | None:
    """The first field in which two states differ, with both values; None where they are equal to the last bit."""
    return _difference("", json.loads(kept.to_json()), json.loads(replayed.to_json()))


def _difference(name: str, kept: object, replayed: object) -> str | None:
    if isinstance(kept, dict) and isinstance(replayed, dict):
        mine, other = cast("dict[str, object]", kept), cast("dict[str, object]", replayed)
        names = sorted(mine.keys() | other.keys())
        pairs = [(f"{name}.{key}".lstrip("."), mine.get(key), other.get(key)) for key in names]
    elif (
        isinstance(kept, list)
        and isinstance(replayed, list)
        and len(cast("list[object]", kept)) == len(cast("list[object]", replayed))
    ):
        both = zip(cast("list[object]", kept), cast("list[object]", replayed), strict=True)
        pairs = [(f"{name}[{i}]", one, other) for i, (one, other) in enumerate(both)]
    else:
        return None if kept == replayed else f"{name} is {kept!r}, and the replay has {replayed!r}"
    found = (_difference(*pair) for pair in pairs)
    return next((told for told in found if told is not None), None)


@cache
def _adapter() -> TypeAdapter[KernelState]:
    return TypeAdapter(KernelState)


@cache
def shape() -> str:
    """All stored fields, so that a new field is never read from an old state."""
    kinds: tuple[type[Any], ...] = (OpenPosition, EntryOrder, Cell, PendingClose, PendingEntry, TargetWeight, PlaceGrid)
    parts = [f"{kind.__name__}({','.join(kind.__annotations__)})" for kind in kinds]
    return f"{VERSION}:{';'.join(parts)}"


@dataclass(frozen=True, slots=True)
class RestingEntry:
    """A limit order in the market that opens or adds to a position.

    Attributes:
        k: The instrument's place in the universe.
        cell: The rung of a grid, or -1 for an entry of the script.
        amount: Base units, whole lots.
        price: Its limit.
        stop, target: Exit prices of the position that it opens; None without one.
        fixed: Whether the amount does not depend on equity.
    """

    k: int
    cell: int
    side: DirectionSign
    amount: float
    price: float
    stop: float | None
    target: float | None
    fixed: bool


@dataclass(frozen=True, slots=True)
class RestingExits:
    """The exit prices of an open position for the next bar. When one is reached, the other is cancelled.

    Attributes:
        k, cell: See `RestingEntry`.
        side: Of the position.
        amount: Of the position, base units.
        stop: A stop order at the market; None where only a liquidation is nearer or there is no stop.
        reason: Name of the stop.
        target: A limit order; None without a target.
    """

    k: int
    cell: int
    side: DirectionSign
    amount: float
    stop: float | None
    reason: ExitReason
    target: float | None


RestingOrders = RestingEntry | RestingExits


def resting_orders(
    markets: Sequence[TradedInstrument], account: SimulatedAccount, book: PendingOrders, prices: Sequence[float]
) -> Iterator[RestingOrders]:
    """The orders in the market after a bar's open: exits of positions, rungs of grids, limit entries.

    Entries that the exchange would reject, or that the remaining money cannot pay for, are left out.

    Args:
        prices: Of each instrument at that open. They value the equity from which sizes are computed.
    """
    equity = account.equity(prices)
    for slot in account.order:
        position, costs = account.positions[slot], markets[slot[0]].costs
        level, reason = position.guard(costs)
        goal = position.goal()
        yield RestingExits(
            slot[0],
            slot[1],
            position.side,
            position.amount,
            level if reason != "liquidation" and 0.0 < level < math.inf else None,
            reason,
            goal if 0.0 < goal < math.inf else None,
        )
    for k in sorted(book.cells):
        for cell in book.cells[k]:
            if cell.armed:
                yield from _affordable(
                    markets[k],
                    account,
                    RestingEntry(k, cell.number, 1, cell.amount, cell.buy, None, cell.sell, fixed=True),
                    prices[k],
                )
    for k in sorted(book.resting):
        for order in book.resting[k]:
            price, costs = order.limit or 0.0, markets[k].costs
            expected = limit_fill(costs, order.side, price, prices[k]) if k in book.new else price
            amount = order.units
            if amount is None:
                amount = amount_for(order.kind, order.value, equity, price, order.stop)
            stop, target = _exits_of(order, expected, costs)
            fixed = order.kind in ("notional", "amount")
            yield from _affordable(
                markets[k],
                account,
                RestingEntry(k, -1, order.side, amount, price, stop, target, fixed=fixed),
                prices[k],
            )


def _affordable(
    market: TradedInstrument, account: SimulatedAccount, entry: RestingEntry, last: float
) -> Iterator[RestingEntry]:
    price = entry.price if entry.side > 0 else max(entry.price, last)
    cost = entry.amount * market.costs.unit_cost(price)
    free = account.free()
    amount = entry.amount * min(max(free / cost, 0.0), 1.0) if cost > 0.0 else 0.0
    amount = market.rules.whole_lots(amount)
    if amount * entry.price >= account.dust and market.rules.takes(amount, entry.price):
        yield replace(entry, amount=amount)


def _exits_of(order: EntryOrder, price: float, costs: Costs) -> tuple[float | None, float | None]:
    """Stop and target of the position that a limit order opens at `price` from flat."""
    fractions = [f for f in (order.stop, order.trail) if f is not None]
    stop = price * (1.0 - order.side * min(fractions)) if fractions else None
    if stop is not None and order.side * stop < order.side * costs.liquidation_price(order.side, price):
        stop = None
    return stop, None if order.target is None else price * (1.0 + order.side * order.target)

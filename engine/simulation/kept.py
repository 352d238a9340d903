"""The state of a simulation between two bars, as it is stored.

What is kept is everything that the next bar depends on: money, positions, waiting and resting orders, grids, and the
peak of equity. Fills and trades are not kept. A state counts bars from its own last one, so that it fits any frame.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from .account import Position
from .pending import Cell, Close, Open, Place, Target
from .result import EndedEarly
from .schedule import Order

VERSION: Final = 1
DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class KernelState:
    """The account of a simulation after the close of a bar.

    Attributes:
        shape: Names the layout of what is kept; a state of another layout is not used.
        bars: Bars traded so far.
        equity: At that close.
        peak: The highest equity so far.
        positions: Their `opened` and `seen` count from that bar: 0 is the bar, -1 the one before.
        waiting: Market orders for the next open.
        resting, cells, grids, numbers: See `Book`.
        opened, closed: See `Ledger`; bars counted as above, entries of the last day only.
    """

    shape: str
    bars: int
    balance: float
    equity: float
    peak: float
    ending: EndedEarly | None
    positions: tuple[Position, ...]
    waiting: tuple[Close | Open | Target | Place, ...]
    resting: dict[int, list[Order]]
    cells: dict[int, list[Cell]]
    grids: dict[int, Place]
    numbers: list[int]
    opened: dict[int, list[int]]
    closed: dict[int, tuple[int, float]]

    def to_json(self) -> str:
        """For storage: floats keep every bit."""
        return json.dumps(asdict(self), default=sorted)

    @classmethod
    def from_json(cls, text: str) -> KernelState | None:
        """What was stored; None where it was made by another version and has to be computed again."""
        try:
            state = _adapter().validate_python(json.loads(text))
        except (ValueError, ValidationError):
            return None
        return state if state.shape == shape() else None


@cache
def _adapter() -> TypeAdapter[KernelState]:
    return TypeAdapter(KernelState)


@cache
def shape() -> str:
    """The fields of all that is kept, so that a new field is never read from an old state."""
    kinds: tuple[type[Any], ...] = (Position, Order, Cell, Close, Open, Target, Place)
    parts = [f"{kind.__name__}({','.join(f.name for f in fields(kind))})" for kind in kinds]
    return f"{VERSION}:{';'.join(parts)}"

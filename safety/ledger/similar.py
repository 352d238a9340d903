"""Earlier orders like one, as rows that are read only where somebody looks at them.

A rule looks at the youngest few, while a busy hour has thousands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, overload

from safety.terms.facts import Similar


class SimilarRows(Sequence[Similar]):
    """What a transaction found, youngest first; it does not change. Equal to any sequence of the same.

    Args:
        rows: Of intent_id, state, amount, price, and Unix seconds of the booking.
        now: Unix seconds.
    """

    __slots__ = ("_now", "_rows")

    def __init__(self, rows: Iterable[Any], now: float) -> None:
        self._rows = tuple(rows)
        self._now = now

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Similar: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Similar]: ...
    def __getitem__(self, place: int | slice) -> Similar | Sequence[Similar]:
        if isinstance(place, slice):
            return SimilarRows(self._rows[place], self._now)
        intent_id, state, amount, price, booked = self._rows[place]
        return Similar(
            intent_id, state, Decimal(amount), Decimal(price) if price else None, max(0.0, self._now - booked)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - any sequence may be asked

    def __hash__(self) -> int:
        return hash(tuple(self))

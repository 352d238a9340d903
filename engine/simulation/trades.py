"""Closed round trips and single executions, stored by column and turned into rows only on request."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from api.symbols import Instrument
from engine.frame import Floats, Frame
from engine.program import DirectionSign

ExitReason = Literal[
    "signal",
    "stop_loss",
    "take_profit",
    "trailing_stop",
    "liquidation",
    "portfolio_stop",
    "portfolio_target",
    "end_of_data",
    "resolution",
    "rebalance",
    "grid",
]
FillReason = Literal["entry"] | ExitReason

EXIT_REASONS: Final[tuple[ExitReason, ...]] = get_args(ExitReason)
FILL_REASONS: Final[tuple[FillReason, ...]] = ("entry", *EXIT_REASONS)
CODE: Final[dict[str, float]] = {reason: float(i) for i, reason in enumerate(FILL_REASONS)}
AT_CLOSE: Final = frozenset({"end_of_data", "resolution"})

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A closed round trip. Money in quote currency; `fees` and `slippage` are both legs' and already in `pnl`.

    `pnl_pct` is percent of the entry value. Times are unix seconds: of a fill's bar, or its end for fills at the close.
    A position closed in parts yields one trade per part, each at the average entry price.
    """

    instrument: Instrument
    side: DirectionSign
    amount: float
    entry_time: int
    entry_price: float
    exit_time: int
    exit_price: float
    fees: float
    slippage: float
    pnl: float
    pnl_pct: float
    reason: ExitReason
    bars_held: int
    tag: str | None


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution: `direction` 1 is a buy, -1 a sell. `slippage` is its cost in money."""

    instrument: Instrument
    time: int
    direction: DirectionSign
    amount: float
    price: float
    fee: float
    slippage: float
    reason: FillReason


class Totals(NamedTuple):
    """Sums over all trades: money, and bars from entry to exit. `turnover` is the value of both legs."""

    fees: float
    slippage: float
    pnl: float
    bars_held: float
    turnover: float


class Trades:
    """Closed round trips by column, in the order they were closed. Bars index the frame, from its first bar."""

    WIDTH: Final = 12

    def __init__(self, numbers: list[float], tags: tuple[str | None, ...], frame: Frame) -> None:
        self._numbers = numbers
        self._tags = tags
        self._frame = frame

    @classmethod
    def together(
        cls, parts: Sequence[Trades], places: Sequence[Sequence[int]], tags: Sequence[str], frame: Frame
    ) -> Trades:
        """The trades of several simulations on one axis, in the order they were closed; each part's tag is its own.

        Args:
            places: For each part, the indices of its instruments in `frame`.
            tags: Of each part.
        """
        tables: list[Floats] = []
        for number, part in enumerate(parts):
            table = part._table.copy()  # noqa: SLF001 - of the same class
            table[:, 0] = np.array(places[number], dtype=np.float64)[part.instrument]
            table[:, 11] = number
            tables.append(table)
        whole = np.concatenate(tables)
        return cls(whole[np.argsort(whole[:, 4], kind="stable")].ravel().tolist(), tuple(tags), frame)

    def __len__(self) -> int:
        return len(self._numbers) // self.WIDTH

    @cached_property
    def _table(self) -> Floats:
        return np.array(self._numbers, dtype=np.float64).reshape(-1, self.WIDTH)

    def _ints(self, column: int) -> Ints:
        return self._table[:, column].astype(np.int64)

    @property
    def instrument(self) -> Ints:
        """Position of the instrument in the universe."""
        return self._ints(0)

    @property
    def side(self) -> Floats:
        """1 long, -1 short."""
        return self._table[:, 1]

    @property
    def amount(self) -> Floats:
        """Base units."""
        return self._table[:, 2]

    @property
    def entry_bar(self) -> Ints:
        """Bar of the first entry fill."""
        return self._ints(3)

    @property
    def exit_bar(self) -> Ints:
        """Bar of the closing fill."""
        return self._ints(4)

    @property
    def entry_price(self) -> Floats:
        """Average price paid."""
        return self._table[:, 5]

    @property
    def exit_price(self) -> Floats:
        """Price of the closing fill."""
        return self._table[:, 6]

    @property
    def fees(self) -> Floats:
        """Of both legs."""
        return self._table[:, 7]

    @property
    def slippage(self) -> Floats:
        """Of both legs, money."""
        return self._table[:, 8]

    @property
    def pnl(self) -> Floats:
        """Profit after all costs, money."""
        return self._table[:, 9]

    @property
    def bars_held(self) -> Floats:
        """Bars from the first entry fill to the closing fill."""
        return self._table[:, 4] - self._table[:, 3]

    @property
    def totals(self) -> Totals:
        """Sums over all of them."""
        numbers, width, total = self._numbers, self.WIDTH, math.fsum
        prices = zip(numbers[2::width], numbers[5::width], numbers[6::width], strict=True)
        return Totals(
            total(numbers[7::width]),
            total(numbers[8::width]),
            total(numbers[9::width]),
            sum(numbers[4::width]) - sum(numbers[3::width]),
            total([amount * (entry + left) for amount, entry, left in prices]),
        )

    @property
    def profits(self) -> tuple[list[float], list[float]]:
        """`pnl` and `pnl_pct` as lists."""
        numbers, width = self._numbers, self.WIDTH
        pnl = numbers[9::width]
        paid = zip(pnl, numbers[2::width], numbers[5::width], strict=True)
        return pnl, [100.0 * p / value if (value := amount * entry) > 0.0 else 0.0 for p, amount, entry in paid]

    @property
    def pnl_pct(self) -> Floats:
        """Profit in percent of the entry value."""
        value = self.amount * self.entry_price
        return np.divide(100.0 * self.pnl, value, out=np.zeros(len(self)), where=value > 0.0)

    @property
    def reasons(self) -> list[ExitReason]:
        """Why each was closed."""
        return [EXIT_REASONS[code - 1] for code in self._ints(10).tolist()]

    @property
    def tags(self) -> list[str | None]:
        """The tag of each one's entry."""
        return [self._tags[code] for code in self._ints(11).tolist()]

    def row(self, index: int) -> RoundTrip:
        """One trade; negative indices count from the end."""
        code, side, amount, entered, left, entry, price, fees, slippage, pnl, why, tag = self._table[index].tolist()
        reason = EXIT_REASONS[int(why) - 1]
        times = self._frame.time
        return RoundTrip(
            instrument=tuple(self._frame.bars)[int(code)],
            side=1 if side > 0 else -1,
            amount=amount,
            entry_time=int(times[int(entered)]),
            entry_price=entry,
            exit_time=int(times[int(left)]) + (self._frame.seconds if reason in AT_CLOSE else 0),
            exit_price=price,
            fees=fees,
            slippage=slippage,
            pnl=pnl,
            pnl_pct=_percent(pnl, amount, entry),
            reason=reason,
            bars_held=int(left) - int(entered),
            tag=self._tags[int(tag)],
        )

    def rows(self, start: int = 0, stop: int | None = None) -> Iterator[RoundTrip]:
        """Trades `start` to `stop`, created on demand."""
        return (self.row(i) for i in range(*slice(start, stop).indices(len(self))))


def _percent(pnl: float, amount: float, entry: float) -> float:
    value = amount * entry
    return 100.0 * pnl / value if value > 0.0 else 0.0


class Fills:
    """Executions by column, in the order they happened."""

    WIDTH: Final = 8

    def __init__(self, rows: list[float], frame: Frame) -> None:
        self._rows = rows
        self._frame = frame

    @classmethod
    def together(cls, parts: Sequence[Fills], places: Sequence[Sequence[int]], frame: Frame) -> Fills:
        """The fills of several simulations on one axis, in the order they happened; `places` as for trades."""
        tables: list[Floats] = []
        for number, part in enumerate(parts):
            table = part._table.copy()  # noqa: SLF001 - of the same class
            table[:, 1] = np.array(places[number], dtype=np.float64)[part.instrument]
            tables.append(table)
        whole = np.concatenate(tables)
        return cls(whole[np.argsort(whole[:, 0], kind="stable")].ravel().tolist(), frame)

    @cached_property
    def _table(self) -> Floats:
        return np.array(self._rows, dtype=np.float64).reshape(-1, self.WIDTH)

    def __len__(self) -> int:
        return len(self._rows) // self.WIDTH

    @property
    def bar(self) -> Ints:
        """Bar of the frame in which it happened."""
        return self._table[:, 0].astype(np.int64)

    @property
    def instrument(self) -> Ints:
        """Position of the instrument in the universe."""
        return self._table[:, 1].astype(np.int64)

    @property
    def direction(self) -> Floats:
        """1 buy, -1 sell."""
        return self._table[:, 2]

    @property
    def amount(self) -> Floats:
        """Base units."""
        return self._table[:, 3]

    @property
    def price(self) -> Floats:
        """After slippage."""
        return self._table[:, 4]

    @property
    def fee(self) -> Floats:
        """Money."""
        return self._table[:, 5]

    @property
    def slippage(self) -> Floats:
        """Money."""
        return self._table[:, 6]

    @property
    def reasons(self) -> list[FillReason]:
        """`entry`, or why the position was closed or changed."""
        return [FILL_REASONS[code] for code in self._table[:, 7].astype(np.int64).tolist()]

    def rows(self, start: int = 0, stop: int | None = None) -> Iterator[Fill]:
        """Fills `start` to `stop`, created on demand."""
        instruments = tuple(self._frame.bars)
        for i in range(*slice(start, stop).indices(len(self))):
            bar, code, direction, amount, price, fee, slippage, why = self._table[i].tolist()
            reason = FILL_REASONS[int(why)]
            late = self._frame.seconds if reason in AT_CLOSE else 0
            yield Fill(
                instrument=instruments[int(code)],
                time=int(self._frame.time[int(bar)]) + late,
                direction=1 if direction > 0 else -1,
                amount=amount,
                price=price,
                fee=fee,
                slippage=slippage,
                reason=reason,
            )

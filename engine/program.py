"""The compiled form of a script: the only thing that the language passes to the backtest kernel.

A `Program` is *static* if no condition or parameter reads the account or a position: everything is an array known
before the first fill. Otherwise it is *stateful*: the kernel calls it bar by bar and shows it the account.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from api.symbols import Instrument
from engine.frame import Bools, Floats

DirectionSign = Literal[1, -1]
"""1 is long, -1 is short."""

ParameterValue = float | Floats
"""A constant, or one number per bar (NaN: unknown on that bar, so the intent does not fire)."""


SizeKind = Literal["weight", "notional", "amount", "risk"]


@dataclass(frozen=True, slots=True)
class Size:
    """How much: a `weight` of equity at the fill, a `notional` in quote, an `amount` in base units, or the `risk`
    (fraction of equity lost at the stop; needs a stop loss)."""

    kind: SizeKind
    value: ParameterValue


@dataclass(frozen=True, slots=True)
class Entry:
    """Open a position unless one in that direction is open (reverse first if opposite); percentages are fractions.

    `limit` places a limit order at that price until the next signal replaces it; otherwise the entry is a market order.
    `pyramiding` is how many further entries may be added while in position. With `max_positions`, a position opens only
    while fewer tickers than that have one or are about to.
    """

    instrument: Instrument
    side: DirectionSign
    size: Size
    limit: ParameterValue | None = None
    stop_loss: ParameterValue | None = None
    take_profit: ParameterValue | None = None
    trailing_stop: ParameterValue | None = None
    pyramiding: int = 0
    tag: str | None = None
    max_positions: int | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """Close `fraction` of the position; with a side, only if it is on that side.

    `once` names an exit that acts only once per position, however often its condition holds.
    """

    instrument: Instrument
    side: DirectionSign | None = None
    fraction: ParameterValue = 1.0
    tag: str | None = None
    once: int | None = None


@dataclass(frozen=True, slots=True)
class MoveStop:
    """Move the stop of the position to `price` from the next bar on, if that is tighter; never loosen it."""

    instrument: Instrument
    price: ParameterValue
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Rebalance:
    """Buy or sell the difference to a target weight of equity (negative is short)."""

    instrument: Instrument
    weight: ParameterValue
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """Rest limit orders at `levels` prices between `lower` and `upper`: buy below, sell one level above each fill.

    The bounds are read on the bar of the emission; a later emission for the instrument replaces the resting orders.
    """

    instrument: Instrument
    lower: ParameterValue
    upper: ParameterValue
    levels: int
    size: Size
    spacing: Literal["arithmetic", "geometric"] = "arithmetic"
    tag: str | None = None


SignalIntent = Entry | Exit | Rebalance | Grid | MoveStop


@dataclass(frozen=True, slots=True)
class Emission:
    """One `emit_signal`: on every bar where `condition` holds, the intents are decided at that bar's close."""

    condition: Bools
    intents: tuple[SignalIntent, ...]


@dataclass(frozen=True, slots=True)
class PositionState:
    """A position as a script sees it at a bar's close. `side` is 0 when flat, prices are then NaN.

    Attributes:
        highest_since_entry, lowest_since_entry: Extremes of the bars since the position was opened, its own included.
        bars_since_exit: Bars since the ticker's last position was closed; NaN before there was one.
        last_trade_pnl_pct: Profit of that position's last trade in percent of its entry value; NaN before.
        trades_today: Positions of the ticker opened on the UTC day of the bar.
    """

    side: Literal[1, 0, -1]
    amount: float
    entry_price: float
    bars_in_position: int
    unrealized_pnl_pct: float
    highest_since_entry: float = field(default=math.nan, compare=False)
    lowest_since_entry: float = field(default=math.nan, compare=False)
    bars_since_exit: float = field(default=math.nan, compare=False)
    last_trade_pnl_pct: float = field(default=math.nan, compare=False)
    trades_today: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class AccountState:
    """The account as a script may see it at a bar's close. Money in quote currency; `drawdown_pct` in percent, <= 0."""

    equity: float
    cash: float
    drawdown_pct: float
    positions: dict[Instrument, PositionState]


class StatefulProgram(Protocol):
    """A program whose decisions read the account: called once per bar, in order, and never about the future."""

    def decide(self, bar: int, account: AccountState) -> Sequence[SignalIntent]:
        """The intents decided at the close of `bar`, in script order, with every `ParameterValue` a plain float."""
        ...


@runtime_checkable
class SelectiveProgram(StatefulProgram, Protocol):
    """A stateful program that knows in advance on which bars it can decide anything: it is called only on those."""

    @property
    def active(self) -> Bools:
        """One value per bar."""
        ...


StaticProgram = tuple[Emission, ...]
Program = StaticProgram | StatefulProgram

"""The rules that all paths of the kernel share: when an exit closes a position, how much to buy, and the equity at
which everything closes and trading ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from engine.frame import Floats
from engine.program import DirectionSign, SizeKind

from .account import OpenPosition
from .market import Costs
from .result import EndedEarly
from .settings import SimulationSettings
from .trades import ExitReason

Closing = tuple[float, ExitReason]
"""Reference price (before slippage) and reason."""


def closing(position: OpenPosition, costs: Costs, opened: float, high: float, low: float) -> Closing | None:
    """How a position that is open from the bar's start closes within the bar, if it does.

    A gap beyond a price fills at the open. If the bar contains both the stop and the target, the stop fills first.
    """
    side = position.side
    level, reason = position.guard(costs)
    goal = position.goal()
    if side * opened <= side * level:
        ruined = side * opened <= side * costs.liquidation_price(side, position.entry)
        return opened, "liquidation" if ruined else reason
    if side * opened >= side * goal:
        return opened, _profit(position)
    worst, best = (low, high) if side > 0 else (high, low)
    if side * worst <= side * level:
        return level, reason
    if side * best >= side * goal:
        return goal, _profit(position)
    return None


def closing_after_touch(
    position: OpenPosition, costs: Costs, touched: float, worst: float, close: float
) -> Closing | None:
    """How a position that a limit order opened or added to at `touched`, inside the bar, closes within it, if it does.

    Only prices after the fill count. The price came down (up, for a short) to the limit, so the bar's `worst` price
    came later. Of the better prices, only the close is certain to have come later.
    """
    side = position.side
    level, reason = position.guard(costs)
    if side * worst <= side * level:
        return (level if side * level <= side * touched else touched), reason
    goal = position.goal()
    if side * touched >= side * goal:
        return touched, _profit(position)
    if side * close >= side * goal:
        return goal, _profit(position)
    return None


def closing_price(position: OpenPosition, costs: Costs, reference: float, reason: ExitReason) -> float:
    """The fill price: targets are limit orders and keep their price, all others slip."""
    if reason in ("take_profit", "grid", "resolution"):
        return reference
    return costs.exit_price(position.side, reference)


def limit_fill(costs: Costs, side: DirectionSign, limit: float, opened: float) -> float:
    """The price of a limit order that is placed at an open: it is taken at once if the open satisfies it, with
    slippage, but never beyond its limit."""
    if side * opened >= side * limit:
        return limit
    slipped = costs.entry_price(side, opened)
    return min(slipped, limit) if side > 0 else max(slipped, limit)


def amount_for(kind: SizeKind, value: float, equity: float, price: float, stop: float | None) -> float:
    """Base units for a size of `value` at `price`; 0 where unknown.

    Leverage plays no part: the size sets the position's value, leverage only its margin.
    """
    if kind == "amount":
        return value
    if price <= 0.0 or equity <= 0.0:
        return 0.0
    if kind == "notional":
        return value / price
    if kind == "weight":
        return equity * value / price
    return equity * value / (price * stop) if stop else 0.0


def _profit(position: OpenPosition) -> ExitReason:
    return "grid" if position.price_target is not None else "take_profit"


@dataclass(frozen=True, slots=True)
class MoneyBounds:
    """`floor` and `ceiling` in money; infinitely far when not set."""

    floor: float
    ceiling: float
    active: bool

    @classmethod
    def of(cls, settings: SimulationSettings) -> MoneyBounds:
        """The limits of a simulation."""
        stop, target = settings.stop_loss, settings.take_profit
        if stop is None and target is None:
            return NO_LIMITS
        return cls(
            floor=-math.inf if stop is None else settings.initial_cash * (1.0 - stop),
            ceiling=math.inf if target is None else settings.initial_cash * (1.0 + target),
            active=True,
        )

    def reached(self, equity: float) -> EndedEarly | None:
        """The limit that `equity` has reached."""
        if equity <= self.floor:
            return "portfolio_stop"
        return "portfolio_target" if equity >= self.ceiling else None

    def first(self, balance: float, amount: float, close: Floats, start: int) -> tuple[int, EndedEarly] | None:
        """The first bar, counting from `start`, on whose close `balance + amount * close` reaches a limit."""
        if not self.active:
            return None
        return self.first_of(balance + amount * close, start)

    def first_of(self, equity: Floats, start: int) -> tuple[int, EndedEarly] | None:
        """The same, of an equity curve that begins on bar `start`."""
        if not len(equity):
            return None
        outside = (equity <= self.floor) | (equity >= self.ceiling)
        index = int(outside.argmax())
        if not outside[index]:
            return None
        return start + index, "portfolio_stop" if equity[index] <= self.floor else "portfolio_target"


NO_LIMITS: Final = MoneyBounds(-math.inf, math.inf, active=False)

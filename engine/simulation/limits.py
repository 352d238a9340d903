"""Portfolio limits: the equity at which everything is closed and trading ends, looked at on bar closes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.frame import Floats

from .result import EndedEarly
from .settings import SimulationSettings


@dataclass(frozen=True, slots=True)
class Limits:
    """`floor` and `ceiling` in money; infinitely far where not set."""

    floor: float
    ceiling: float
    active: bool

    @classmethod
    def of(cls, settings: SimulationSettings) -> Limits:
        """The limits of a simulation."""
        stop, target = settings.stop_loss, settings.take_profit
        return cls(
            floor=-math.inf if stop is None else settings.initial_cash * (1.0 - stop),
            ceiling=math.inf if target is None else settings.initial_cash * (1.0 + target),
            active=stop is not None or target is not None,
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

"""What a simulated price is made from: something that gives daily bars in price steps and lots."""

from __future__ import annotations

from typing import Protocol

from engine.frame import Floats


class Days(Protocol):
    """Daily bars of one asset or token; every shorter bar is refined from them."""

    @property
    def name(self) -> str:
        """Names the asset or token; all its chance derives from this and the seed."""
        ...

    @property
    def shared(self) -> float:
        """Correlation of its moves within the day with those of the market, 0 to 1."""
        ...

    def bars(self, first_day: int, count: int) -> Floats:
        """Bars of shape (6, count) from `first_day` (days since 1970) on: open, high, low, close in whole price
        steps, volume in whole lots, variance in squared steps. Zero where there is no bar."""
        ...

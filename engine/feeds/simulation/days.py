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

    def bars(self, first_day: int, count: int) -> Floats:
        """Bars of shape (5, count) from `first_day` (days since 1970) on: open, high, low, close in whole price
        steps, volume in whole lots. Zero where there is no bar."""
        ...

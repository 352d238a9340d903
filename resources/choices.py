"""Completion of what is known without asking anyone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, get_args

from api.exchanges import ExchangeId
from api.timeframes import Timeframe

from .opening import Complete, OpenClient


def one_of(words: Iterable[str]) -> Complete:
    """Completes a closed set of words, in any capitals."""
    known = tuple(words)

    async def complete(_open_client: OpenClient, typed: str) -> list[str]:
        return [word for word in known if word.startswith(typed.strip().lower())]

    return complete


COMPLETES: Final[dict[str, Complete]] = {
    "exchange": one_of(get_args(ExchangeId)),
    "timeframe": one_of(get_args(Timeframe)),
    "mode": one_of(("signal", "trade")),
}

"""The types of the language: what every expression is known to be before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Base = Literal["number", "bool", "string", "ticker", "sizing", "intent"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A base type, alone or as a series with one value a bar."""

    base: Base
    series: bool = False

    def __str__(self) -> str:
        return _NAMES[self]


NUMBER: Final = Kind("number")
BOOL: Final = Kind("bool")
STRING: Final = Kind("string")
TICKER: Final = Kind("ticker")
SIZING: Final = Kind("sizing")
INTENT: Final = Kind("intent")
SERIES: Final = Kind("number", series=True)
CONDITION: Final = Kind("bool", series=True)

_NAMES: Final = {
    NUMBER: "a number",
    BOOL: "a condition",
    STRING: "a string",
    TICKER: "a ticker",
    SIZING: "a sizing",
    INTENT: "an intent",
    SERIES: "a series of numbers",
    CONDITION: "a series of conditions",
}

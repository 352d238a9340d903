"""Shared parts of the ready strategies' script writers: their input, their output, and the formatting of values."""

from __future__ import annotations

from dataclasses import dataclass

from api.backtests import MarginMode
from api.errors import InvalidInput
from api.symbols import Instrument, resolve


@dataclass(frozen=True, slots=True)
class WrittenStrategy:
    """A script, how it runs, and notes for the reader of the result."""

    script: str
    mode: MarginMode
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """The input of a strategy's writer besides its parameters.

    `seconds` is the length of a bar, `days` the length of the range, `cash` in quote currency.
    """

    instruments: tuple[Instrument, ...]
    seconds: int
    days: int
    cash: float
    fee: float
    leverage: float

    @property
    def shorts(self) -> bool:
        """Whether the market can be sold short."""
        return self.instruments[0].market_type == "perpetual"

    def named(self, parameter: str, ticker: str | None, default: int) -> Instrument:
        """The instrument of the universe that a parameter names; the universe's `default`-th when it names none.

        Raises:
            InvalidInput: It is not in the universe.
        """
        if ticker is None:
            return self.instruments[default]
        wanted = resolve(ticker, self.instruments[0].exchange)
        if wanted not in self.instruments:
            raise InvalidInput(
                f"{parameter} {wanted.ticker} is not in the universe",
                suggestion=f"Add it, or name one of {', '.join(i.ticker for i in self.instruments)}",
            )
        return wanted


def number(value: float) -> str:
    """A number in script form: plain digits, only the significant ones."""
    text = f"{value:.10f}".rstrip("0").rstrip(".")
    return text if float(text) != 0 or value == 0 else f"{value:.10e}"


def one_line(expression: str) -> str:
    """A condition from a parameter, which may have been written on several lines."""
    return " ".join(expression.split())

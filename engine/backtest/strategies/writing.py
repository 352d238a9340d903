"""Ready strategies become scripts: what runs is always a script, and the result shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.backtests import ExecuteRequest, Mode
from api.errors import InvalidInput
from api.strategies import CrossSectionalParameters, DcaParameters, GridParameters, PairParameters
from api.symbols import Instrument, resolve
from api.timeframes import SECONDS


@dataclass(frozen=True, slots=True)
class Written:
    """A script, how it runs, and what a reader of the result should know about it."""

    script: str
    mode: Mode
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """What a strategy's writer may know besides its parameters.

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


def write_script(request: ExecuteRequest, instruments: Sequence[Instrument]) -> Written:
    """The script of a request: its own, or one written from its parameters.

    Raises:
        InvalidInput: The parameters do not fit the universe.
    """
    from .cross_sectional import write_cross_sectional
    from .dca import write_dca
    from .grid import write_grid
    from .pair_trading import write_pair_trading

    setting = Setting(
        instruments=tuple(instruments),
        seconds=SECONDS[request.timeframe],
        days=(request.end_date - request.start_date).days + 1,
        cash=float(request.initial_cash),
        fee=float(request.trading_fee),
        leverage=float(request.leverage),
    )
    match request.parameters:
        case DcaParameters() as parameters:
            return write_dca(parameters, setting)
        case GridParameters() as parameters:
            return write_grid(parameters, setting)
        case PairParameters() as parameters:
            return write_pair_trading(parameters, setting)
        case CrossSectionalParameters() as parameters:
            return write_cross_sectional(parameters, request.script or "", setting)
        case _:
            return Written(request.script or "", request.mode)


def number(value: float) -> str:
    """A number as a script writes it: plain digits, as many as matter."""
    text = f"{value:.10f}".rstrip("0").rstrip(".")
    return text if float(text) != 0 or value == 0 else f"{value:.10e}"


def one_line(expression: str) -> str:
    """A condition from a parameter, which may have been written on several lines."""
    return " ".join(expression.split())

"""Turns ready strategies into scripts: the engine always runs a script, and the result shows it."""

from __future__ import annotations

from collections.abc import Sequence

from api.backtests import ExecuteRequest
from api.strategies import CrossSectionalParameters, DcaParameters, GridParameters, PairParameters
from api.symbols import Instrument
from api.times import SECONDS

from .cross_sectional import write_cross_sectional
from .pair_trading import write_pair_trading
from .scaling_in import write_dca, write_grid
from .setting import Setting, Written


def write_script(request: ExecuteRequest, instruments: Sequence[Instrument]) -> Written:
    """The script of a request: its own, or one written from its parameters.

    Raises:
        InvalidInput: The parameters do not fit the universe.
    """
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

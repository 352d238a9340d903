"""The result of a simulation: trades, fills, and the account bar by bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from api.symbols import Instrument
from engine.frame import Floats, Frame, Times
from engine.program import AccountState

from .settings import SimulationSettings
from .trades import Fills, Trades

EndedEarly = Literal["portfolio_stop", "portfolio_target"]


@dataclass(slots=True)
class SizeCounts:
    """Orders that were not filled as requested.

    Attributes:
        cut: Filled with less than 99 % of the request, because free cash did not cover more.
        unfunded: Skipped, because there was no free cash, or too little for the smallest order.
        too_small: Skipped, because the request is below the exchange's lot or smallest order.
        volume_limited: Limited to the share of the bar's volume that one account can trade.
        parts_kept: Exits from a part of a position that were not made, because the part is below the exchange's lot or
            smallest order.
    """

    cut: int = 0
    unfunded: int = 0
    too_small: int = 0
    volume_limited: int = 0
    parts_kept: int = 0


class Simulation(NamedTuple):
    """A finished simulation of the bars from `first_bar` to the frame's end.

    Attributes:
        equity: Money in cash and positions at each bar's close, float64[len(frame) - first_bar]. The last value is
            after all open positions were closed.
        cash: Money not tied up as margin or in holdings, at each bar's close.
        gross: Value of all positions, longs and shorts added, at each bar's close.
        final: The account before the positions still open were closed.
        ended_early: The portfolio limit that ended trading.
        sizes: How many openings were cut, skipped or limited.
        funding: Net funding paid on perpetual positions, money. Part of each trade's profit.
    """

    frame: Frame
    settings: SimulationSettings
    first_bar: int
    equity: Floats
    cash: Floats
    gross: Floats
    trades: Trades
    fills: Fills
    final: AccountState
    ended_early: EndedEarly | None
    sizes: SizeCounts
    funding: float = 0.0

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The universe, in order."""
        return tuple(self.frame.bars)

    @property
    def time(self) -> Times:
        """Open time of each bar of the curves."""
        return self.frame.time[self.first_bar :]

    @property
    def span(self) -> int:
        """Seconds from the first bar's open to the last one's close, missing bars included."""
        return int(self.time[-1] - self.time[0]) + self.frame.seconds

    @property
    def final_equity(self) -> float:
        """Money at the end, with everything closed."""
        return float(self.equity[-1])

    @property
    def fees(self) -> float:
        """Fees of all fills; each fill belongs to a closed trade."""
        return self.trades.totals.fees

    @property
    def slippage(self) -> float:
        """Slippage of all fills, money."""
        return self.trades.totals.slippage

    @property
    def turnover(self) -> float:
        """Value of all fills."""
        return self.trades.totals.turnover

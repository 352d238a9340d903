"""The terms of one simulation: money, costs, margin and portfolio limits, checked once and never changed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from api.errors import InvalidInput
from api.symbols import Instrument
from engine.frame import Floats, Frame, Times
from engine.trading_rules import MAINTENANCE, OrderRules


@dataclass(frozen=True, slots=True)
class Funding:
    """The funding rates of a perpetual.

    Attributes:
        time: When each is due, unix seconds, oldest first.
        rate: The payment from longs to shorts as a fraction of the position's value; negative if shorts pay.
    """

    time: Times
    rate: Floats

    def at_opens(self, frame: Frame) -> Floats:
        """The rate due at the open of each bar, and finally at the close of the last one: float64[len(frame) + 1].

        A rate is charged at the first open at or after its time, on the positions before that open's fills.
        """
        due = np.zeros(len(frame) + 1)
        if len(frame):
            first, last = int(frame.time[0]), int(frame.time[-1]) + frame.seconds
            inside = (self.time > first) & (self.time < last)
            np.add.at(due, np.searchsorted(frame.time, self.time[inside]), self.rate[inside])
        return due


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationSettings:
    """Terms of a simulation; every rate is a fraction (0.05 is 5 %).

    Attributes:
        initial_cash: Money at the start, quote currency.
        fee: Charged on the value of every fill.
        slippage: Worsens the price of market and stop fills; limit, target and grid fills keep their price.
        leverage: Position value per unit of margin. It never changes a size. It sets how much equity a position ties
            up, and so the largest holdings and the liquidation price. 1 for spot and prediction markets.
        maintenance_margin: An isolated position is liquidated when its equity falls to this share of its value: a long
            at `entry * (1 - 1/leverage) / (1 - maintenance_margin)`. A long without leverage never is.
        stop_loss, take_profit: Portfolio limits on equity against `initial_cash`, checked on bar closes. When one is
            reached, everything closes at the next open and trading ends.
        fill_timing: Decided at the close, filled at the next bar's open. This is the only option.
        resolves_at: Unix seconds at which a prediction token pays 0 or 1.
        order_rules: Lot and smallest order of each instrument; without them any size is filled.
        max_volume_share: The fraction of its bar's volume that a fill may open; None ignores volume. Closing is never
            limited.
        funding: The funding rates by perpetual; without them nothing is charged.
    """

    initial_cash: float = 10_000.0
    fee: float = 0.0005
    slippage: float = 0.0005
    leverage: float = 1.0
    maintenance_margin: float = float(MAINTENANCE)
    stop_loss: float | None = None
    take_profit: float | None = None
    fill_timing: Literal["next_open"] = "next_open"
    resolves_at: Mapping[Instrument, int] = field(default_factory=dict[Instrument, int])
    order_rules: Mapping[Instrument, OrderRules] = field(default_factory=dict[Instrument, OrderRules])
    max_volume_share: float | None = None
    funding: Mapping[Instrument, Funding] = field(default_factory=dict[Instrument, Funding])

    def __post_init__(self) -> None:
        _within("initial_cash", self.initial_cash, 0.0, math.inf, "more than 0", "Pass e.g. 10000")
        _within("fee", self.fee, -math.ulp(0.0), 1.0, "at least 0 and below 1", "5 basis points are 0.0005")
        _within("slippage", self.slippage, -math.ulp(0.0), 1.0, "at least 0 and below 1", "5 basis points are 0.0005")
        _within("leverage", self.leverage, math.nextafter(1.0, 0.0), 1000.0, "at least 1", "Use 1 for spot")
        _within(
            "maintenance_margin",
            self.maintenance_margin,
            -math.ulp(0.0),
            1.0 / self.leverage,
            f"at least 0 and below 1/leverage = {1.0 / self.leverage:g}",
            "Lower the leverage",
        )
        if self.max_volume_share is not None:
            _within(
                "max_volume_share",
                self.max_volume_share,
                0.0,
                math.nextafter(1.0, 2.0),
                "above 0 and at most 1",
                "Pass e.g. 0.1",
            )
        if self.stop_loss is not None:
            _within("stop_loss", self.stop_loss, 0.0, 1.0, "between 0 and 1", "0.2 stops at a loss of 20 %")
        if self.take_profit is not None:
            _within("take_profit", self.take_profit, 0.0, math.inf, "more than 0", "0.5 stops at a gain of 50 %")


def _within(name: str, value: float, above: float, below: float, rule: str, advice: str) -> None:
    if not above < value < below:
        raise InvalidInput(f"{name} is {value:g}; it must be {rule}", suggestion=advice)

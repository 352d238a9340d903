"""What a fill costs and when margin runs out, for one instrument under one set of terms."""

from __future__ import annotations

import math
from dataclasses import dataclass

from api.symbols import Instrument
from engine.program import Side
from engine.trading_rules import liquidation_value

from .settings import SimulationSettings


@dataclass(frozen=True, slots=True)
class Costs:
    """Prices after slippage, money needed per unit, and the liquidation price.

    `up` and `down` multiply the reference price of a market buy and sell; `cap` is the highest price there is (1 for
    prediction tokens). `margined` is true where a loss may exceed what was put up: perpetuals.
    """

    fee: float
    up: float
    down: float
    inverse_leverage: float
    leverage: float
    maintenance: float
    margined: bool
    cap: float

    @classmethod
    def of(cls, instrument: Instrument, settings: SimulationSettings) -> Costs:
        """The costs of trading `instrument`."""
        return cls(
            fee=settings.fee,
            up=1.0 + settings.slippage,
            down=1.0 - settings.slippage,
            inverse_leverage=1.0 / settings.leverage,
            leverage=settings.leverage,
            maintenance=settings.maintenance_margin,
            margined=instrument.market_type == "perpetual",
            cap=1.0 if instrument.market_type == "prediction" else math.inf,
        )

    def entry_price(self, side: Side, reference: float) -> float:
        """What a market order that opens on `side` pays at `reference`."""
        return min(reference * self.up, self.cap) if side > 0 else reference * self.down

    def exit_price(self, side: Side, reference: float) -> float:
        """What a market or stop order that closes a position on `side` gets at `reference`."""
        return reference * self.down if side > 0 else min(reference * self.up, self.cap)

    def unit_cost(self, price: float) -> float:
        """Margin plus fee of one unit opened at `price`."""
        return price * (self.inverse_leverage + self.fee)

    def can_liquidate(self, side: Side) -> bool:
        """Whether a position on `side` can lose more than was put up for it."""
        return self.margined and (self.leverage > 1.0 or side < 0)

    def liquidation_price(self, side: Side, entry: float) -> float:
        """Where equity has fallen to the maintenance margin; infinitely far where that cannot happen."""
        if not self.can_liquidate(side):
            return -math.inf if side > 0 else math.inf
        return liquidation_value(side, entry, entry * self.inverse_leverage, self.maintenance)

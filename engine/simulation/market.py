"""One instrument as the kernel trades it: cost of a fill, liquidation price, gaps, carried prices, and the resolution
of prediction tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from api.exchanges import MarketType
from api.symbols import Instrument
from engine.frame import Bars, Bools, Floats, Frame
from engine.program import DirectionSign
from engine.trading_rules import ANY_ORDER, OrderRules, liquidation_value

from .settings import SimulationSettings


@dataclass(frozen=True, slots=True)
class Costs:
    """Prices after slippage, money needed per unit, and the liquidation price.

    `up` and `down` multiply the reference price of a market buy and sell; `cap` is the highest price there is (1 for
    prediction tokens). `margined` is true where a loss may exceed the margin: perpetuals.
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
        s = settings
        return _costs(instrument.market_type, s.fee, s.slippage, s.leverage, s.maintenance_margin)

    def entry_price(self, side: DirectionSign, reference: float) -> float:
        """The price that a market order opening on `side` pays at `reference`."""
        return min(reference * self.up, self.cap) if side > 0 else reference * self.down

    def exit_price(self, side: DirectionSign, reference: float) -> float:
        """The price that a market or stop order closing a position on `side` gets at `reference`."""
        return reference * self.down if side > 0 else min(reference * self.up, self.cap)

    def factors(self, side: DirectionSign) -> tuple[float, float]:
        """What a reference price is multiplied by when a market order opens a position on `side`, and when one closes
        it. The result is at most `cap`."""
        return (self.up, self.down) if side > 0 else (self.down, self.up)

    def unit_cost(self, price: float) -> float:
        """Margin plus fee of one unit opened at `price`."""
        return price * (self.inverse_leverage + self.fee)

    def can_liquidate(self, side: DirectionSign) -> bool:
        """Whether a position on `side` can lose more than its margin."""
        return self.margined and (self.leverage > 1.0 or side < 0)

    def liquidation_price(self, side: DirectionSign, entry: float) -> float:
        """The price at which equity equals the maintenance margin; infinitely far where that cannot happen."""
        if not self.can_liquidate(side):
            return -math.inf if side > 0 else math.inf
        return liquidation_value(side, entry, entry * self.inverse_leverage, self.maintenance)


@lru_cache(maxsize=64)
def _costs(market_type: MarketType, fee: float, slippage: float, leverage: float, maintenance: float) -> Costs:
    return Costs(
        fee=fee,
        up=1.0 + slippage,
        down=1.0 - slippage,
        inverse_leverage=1.0 / leverage,
        leverage=leverage,
        maintenance=maintenance,
        margined=market_type == "perpetual",
        cap=1.0 if market_type == "prediction" else math.inf,
    )


class TradedInstrument(NamedTuple):
    """One instrument as the kernel trades it.

    `mark` is the close, carried over bars that are missing (0 before the first, when no position is possible). `exists`
    is None where no bar is missing. `resolution` is the bar at whose close a prediction token pays out; its close is
    the payout and no bar exists after it. `most` is the largest amount that a fill may open on each bar, base units;
    None without a volume limit or without volume data. `funding` is the rate due at the open of each bar and at the
    last close (`Funding.at_opens`); None where nothing is charged.
    """

    instrument: Instrument
    costs: Costs
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    mark: Floats
    exists: Bools | None
    resolution: int | None
    rules: OrderRules
    most: Floats | None
    funding: Floats | None

    def has(self, bar: int) -> bool:
        """Whether it can be traded on `bar`."""
        return self.exists is None or bool(self.exists[bar])


def prepare(frame: Frame, settings: SimulationSettings) -> tuple[TradedInstrument, ...]:
    """The frame's instruments in order."""
    return tuple(_prepare(frame, instrument, bars, settings) for instrument, bars in frame.bars.items())


def _prepare(frame: Frame, instrument: Instrument, bars: Bars, settings: SimulationSettings) -> TradedInstrument:
    costs = Costs.of(instrument, settings)
    close = bars.close
    missing = np.isnan(close)
    resolution = _resolution_bar(frame, missing, settings.resolves_at.get(instrument))
    if resolution is not None:
        close = close.copy()
        close[resolution] = 1.0 if close[resolution] >= 0.5 else 0.0
        missing[resolution + 1 :] = True
    gaps, rates = np.count_nonzero(missing) > 0, settings.funding.get(instrument)
    return TradedInstrument(
        instrument,
        costs,
        bars.open,
        bars.high,
        bars.low,
        close,
        _carried(close, missing) if gaps else close,
        ~missing if gaps else None,
        resolution,
        settings.order_rules.get(instrument, ANY_ORDER),
        _most(bars.volume, settings.max_volume_share),
        None if rates is None else rates.at_opens(frame),
    )


def _most(volume: Floats, share: float | None) -> Floats | None:
    """The largest opening on each bar; None without a limit."""
    if share is None or not np.any(volume > 0.0):
        return None
    return volume * share


def _resolution_bar(frame: Frame, missing: Bools, resolves_at: int | None) -> int | None:
    """The last bar that opened before the resolution, if the frame reaches that far."""
    if resolves_at is None or not len(frame) or resolves_at > int(frame.time[-1]) + frame.seconds:
        return None
    traded = np.flatnonzero(~missing[: int(np.searchsorted(frame.time, resolves_at))])
    return int(traded[-1]) if len(traded) else None


def _carried(close: Floats, missing: Bools) -> Floats:
    latest = np.where(missing, -1, np.arange(len(close)))
    np.maximum.accumulate(latest, out=latest)
    return np.where(latest < 0, 0.0, close[np.maximum(latest, 0)])

"""The eight exchanges of the API document, and what each of them trades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

ExchangeId = Literal[
    "binance", "binancefuturesusd", "upbit", "gate", "gatefutures", "hyperliquid", "lighter", "polymarket"
]
MarketType = Literal["spot", "perpetual", "prediction"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One venue: its only market type, and the currency its symbols are quoted and settled in by default."""

    id: ExchangeId
    name: str
    market_type: MarketType
    quote: str

    @property
    def prefix(self) -> str:
        """How a ticker names it: `BINANCE` in `BINANCE:BTC/USDT`."""
        return self.id.upper()


EXCHANGES: Final[dict[ExchangeId, Exchange]] = {
    e.id: e
    for e in (
        Exchange("binance", "Binance", "spot", "USDT"),
        Exchange("binancefuturesusd", "Binance USD-M", "perpetual", "USDT"),
        Exchange("upbit", "Upbit", "spot", "KRW"),
        Exchange("gate", "Gate.io", "spot", "USDT"),
        Exchange("gatefutures", "Gate Futures", "perpetual", "USDT"),
        Exchange("hyperliquid", "Hyperliquid", "perpetual", "USDC"),
        Exchange("lighter", "Lighter", "perpetual", "USDC"),
        Exchange("polymarket", "Polymarket", "prediction", "USDC"),
    )
}

"""The eight exchanges of the API document, and what each of them trades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

ExchangeId = Literal[
    "binance", "binancefuturesusd", "upbit", "gate", "gatefutures", "hyperliquid", "lighter", "polymarket"
]
MarketType = Literal["spot", "perpetual", "prediction"]
DataChoice = Literal["simulated", "exchange"]
"""Where the embedded engine's market data comes from, apart from what the user imported."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One venue: its only market type, and the currency its symbols are quoted and settled in by default.

    `written_quote` is set where symbols are written as a plain pair with that quote, although the money is `quote`:
    Hyperliquid and Lighter settle in USDC, yet the API writes their symbols `BTC/USDT`.
    """

    id: ExchangeId
    name: str
    market_type: MarketType
    quote: str
    written_quote: str | None = None

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
        Exchange("hyperliquid", "Hyperliquid", "perpetual", "USDC", written_quote="USDT"),
        Exchange("lighter", "Lighter", "perpetual", "USDC", written_quote="USDT"),
        Exchange("polymarket", "Polymarket", "prediction", "USDC"),
    )
}

EXCHANGE_ALIASES: Final[dict[str, ExchangeId]] = {
    "binancespot": "binance",
    "binanceusdm": "binancefuturesusd",
    "binancefutures": "binancefuturesusd",
    "binanceperp": "binancefuturesusd",
    "gateio": "gate",
    "gateiofutures": "gatefutures",
    "gatefuture": "gatefutures",
}
"""Other spellings with one clear meaning, folded to lower-case letters and digits."""

MARKET_TYPE_ALIASES: Final[dict[str, MarketType]] = {
    "perp": "perpetual",
    "perps": "perpetual",
    "swap": "perpetual",
    "futures": "perpetual",
}
"""Other words for a market type, folded likewise."""

PERPETUAL_TWIN: Final[dict[ExchangeId, ExchangeId]] = {"binance": "binancefuturesusd", "gate": "gatefutures"}
"""Where the perpetuals of a spot exchange are traded."""

"""One resolver for every way that people and models write a symbol."""

from __future__ import annotations

from dataclasses import dataclass

from .exchanges import EXCHANGES, ExchangeId, MarketType


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is traded, and where. For prediction markets `base` is the token id.

    `symbol` is what orders and market endpoints take, `ticker` what scripts and universes take.
    """

    exchange: ExchangeId
    base: str
    quote: str

    @property
    def market_type(self) -> MarketType:
        """Fixed by the exchange: none of the eight trades more than one kind."""
        return EXCHANGES[self.exchange].market_type

    @property
    def symbol(self) -> str:
        """`BTC/USDT` for spot, `BTC/USDT:USDT` for perpetuals, the bare token id for prediction markets."""
        match self.market_type:
            case "spot":
                return f"{self.base}/{self.quote}"
            case "perpetual":
                return f"{self.base}/{self.quote}:{self.quote}"
            case "prediction":
                return self.base

    @property
    def ticker(self) -> str:
        """`EXCHANGE:SYMBOL`, as in `BINANCE:BTC/USDT`."""
        return f"{EXCHANGES[self.exchange].prefix}:{self.symbol}"

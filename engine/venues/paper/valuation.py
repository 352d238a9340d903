"""What an account holds, and what it is worth in US dollars.

USDT and USDC count as one dollar. A Korean won is worth (BTC/USDT on Binance) / (BTC/KRW on Upbit), both at the
latest close. Anything without a price leaves the total unsaid rather than wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from api.accounts import Balance, BalancesResponse
from api.errors import NotFound, RateLimited, Unavailable
from api.symbols import Instrument
from engine.clock import iso8601
from engine.venues.amounts import ZERO, down, exact, nearest, plain

from .ledger import OwnBook
from .prices import Prices, Quote
from .records import AccountRecord, OrderRecord, PositionRecord
from .views import order_view, position_view

_DOLLARS: Final = frozenset({"USDT", "USDC", "USD"})
_BITCOIN_IN_DOLLARS: Final = Instrument("binance", "BTC", "USDT")
_BITCOIN_IN_WON: Final = Instrument("upbit", "BTC", "KRW")


@dataclass(frozen=True, slots=True)
class Holdings:
    """An account's books, positions and open orders, read in one transaction."""

    account: AccountRecord
    balances: Mapping[tuple[OwnBook, str], Decimal]
    positions: tuple[PositionRecord, ...]
    orders: tuple[OrderRecord, ...]

    def used(self, asset: str) -> Decimal:
        """What open orders and margin tie up."""
        return self.balances.get(("held", asset), ZERO) + self.balances.get(("margin", asset), ZERO)

    def free(self, asset: str) -> Decimal:
        """What is available."""
        return self.balances.get(("free", asset), ZERO)

    @property
    def assets(self) -> list[str]:
        """The currency, then what else is held; prediction tokens and contracts are positions, not assets."""
        positions = {p.instrument.base for p in self.positions if p.instrument.market_type == "prediction"}
        held = {asset for book, asset in self.balances if book != "position"} - positions
        return [self.account.currency, *sorted(held - {self.account.currency})]


def balances_view(holdings: Holdings, prices: Prices, now: float) -> BalancesResponse:
    """The documented answer of the balances endpoint."""
    with exact():
        quotes = {p.instrument: quote_or_none(prices, p.instrument) for p in holdings.positions}
        return BalancesResponse(
            account_id=holdings.account.account_id,
            total_equity_usd=_equity(holdings, quotes, prices),
            balances=[_balance(holdings, asset) for asset in holdings.assets],
            positions=[position_view(p, quotes[p.instrument]) for p in holdings.positions],
            open_orders=[order_view(order, holdings.account) for order in holdings.orders],
            updated_at=iso8601(now),
            paper=True,
        )


def equity(holdings: Holdings, prices: Prices) -> Decimal | None:
    """What the account is worth in its own currency; `None` while something in it has no price."""
    quotes = {p.instrument: quote_or_none(prices, p.instrument) for p in holdings.positions}
    dollars = _equity(holdings, quotes, prices)
    rate = _dollars(holdings.account.currency, holdings.account, prices)
    return None if dollars is None or not rate else down(dollars / rate)


def quote_or_none(prices: Prices, instrument: Instrument) -> Quote | None:
    """The latest price, where the feed has one now."""
    try:
        return prices.quote(instrument)
    except (NotFound, Unavailable, RateLimited):
        return None


def _balance(holdings: Holdings, asset: str) -> Balance:
    free, used = holdings.free(asset), holdings.used(asset)
    return Balance(asset=asset, free=plain(free), used=plain(used), total=plain(free + used))


def _equity(holdings: Holdings, quotes: Mapping[Instrument, Quote | None], prices: Prices) -> Decimal | None:
    worth = ZERO
    for asset in holdings.assets:
        dollars = _dollars(asset, holdings.account, prices)
        if dollars is None:
            return None
        worth += (holdings.free(asset) + holdings.used(asset)) * dollars
    for position in holdings.positions:
        quote, dollars = quotes[position.instrument], _dollars(position.instrument.quote, holdings.account, prices)
        if quote is None or dollars is None:
            return None
        is_contract = position.instrument.market_type == "perpetual"
        worth += dollars * (position.unrealized_pnl(quote.close) if is_contract else position.size * quote.close)
    return nearest(worth)


def _dollars(asset: str, account: AccountRecord, prices: Prices) -> Decimal | None:
    """What one unit of an asset is worth: a currency, or something that the account's exchange trades for one."""
    if asset in _DOLLARS:
        return Decimal(1)
    if asset == "KRW":
        dollars, won = quote_or_none(prices, _BITCOIN_IN_DOLLARS), quote_or_none(prices, _BITCOIN_IN_WON)
        return None if dollars is None or won is None else dollars.close / won.close
    quote = quote_or_none(prices, Instrument(account.exchange, asset, account.currency))
    currency = _dollars(account.currency, account, prices)
    return None if quote is None or currency is None else quote.close * currency

"""Paper accounts, orders and positions in the API's models, and the value of an account in US dollars.

USDT and USDC count as one dollar. A Korean won is worth (BTC/USDT on Binance) / (BTC/KRW on Upbit), both at the latest
close. If any asset has no price, the total is omitted rather than wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from api.accounts import Account, Balance, BalancesResponse, Position
from api.errors import NotFound, RateLimited, Unavailable
from api.exchanges import EXCHANGES
from api.orders import Order, PlacedOrder
from api.symbols import BITCOIN_IN_DOLLARS, BITCOIN_IN_WON, Instrument
from api.times import iso8601
from engine.trading_rules import CENT, ZERO, Exits, down, exact, nearest, plain
from engine.venues.paper.postings import OwnBook, liquidation_price
from engine.venues.paper.records import AccountRecord, OrderRecord, PositionRecord

from .prices import LatestBar, Prices

_STALE_SECONDS: Final = 2 * 86_400


def account_view(account: AccountRecord) -> Account:
    """An account."""
    return Account(
        account_id=account.account_id,
        name=account.name,
        exchange=account.exchange,
        market_type=EXCHANGES[account.exchange].market_type,
        currency=account.currency,
        status=account.status,
        paper=True,
        created_at=iso8601(account.created_at / 1000),
    )


def order_view(order: OrderRecord, account: AccountRecord) -> Order:
    """An order."""
    instrument = order.instrument
    return Order(
        order_id=order.order_id,
        exchange_order_id=order.exchange_order_id,
        account_id=account.account_id,
        exchange=instrument.exchange,
        symbol=instrument.symbol,
        market_type=instrument.market_type,
        side=order.side,
        order_type=order.order_type,
        status=order.status,
        amount=order.amount,
        filled_amount=plain(order.filled),
        remaining_amount=plain(order.unfilled) if order.is_open else ZERO,
        price=order.price,
        average_price=order.average_price,
        fee=plain(order.fee),
        fee_currency=instrument.quote,
        leverage=order.leverage if instrument.market_type == "perpetual" else None,
        label=order.label,
        **_plan(order),
        message=order.message,
        created_at=iso8601(order.created_at / 1000),
        updated_at=iso8601(order.updated_at / 1000),
        paper=True,
    )


def _plan(order: OrderRecord) -> dict[str, Any]:
    """The exit fields of an order. A paper account is its own venue: exits fill whether or not a process runs."""
    if order.role is not None:
        stop = None if order.trigger is None else plain(order.trigger)
        return {
            "role": order.role,
            "parent": order.parent,
            "stop_loss": stop,
            "reduce_only": True,
            "held_by": "venue" if order.is_open else None,
        }
    exits = order.exits or Exits()
    prices = {} if exits.relative else {"stop_loss": exits.stop, "take_profit": exits.target}
    return {"role": "entry" if exits else None, "reduce_only": order.reduce_only or None, **prices}


def placed_view(order: OrderRecord, account: AccountRecord, quote: LatestBar) -> PlacedOrder:
    """A new order, with the source of its price and the next steps."""
    fields = order_view(order, account).model_dump()
    return PlacedOrder(
        **fields,
        suggestion=_next_step(order, account) + _staleness(order, quote),
        price_source=quote.source,
        price_time=iso8601(quote.at),
    )


def position_view(position: PositionRecord, quote: LatestBar | None) -> Position:
    """A position valued at the latest close; without one, its profit counts as 0 and it has no mark price."""
    instrument = position.instrument
    perpetual = instrument.market_type == "perpetual"
    liquidation = liquidation_price(position)
    return Position(
        symbol=instrument.symbol if perpetual else f"{instrument.base}/{instrument.quote}",
        side="long" if position.size > 0 else "short",
        size=abs(position.size),
        entry_price=position.entry_price,
        unrealized_pnl=ZERO if quote is None else plain(position.unrealized_pnl(quote.close)),
        leverage=Decimal(position.leverage),
        mark_price=None if quote is None else quote.close,
        liquidation_price=None if liquidation is None else down(liquidation, CENT),
        margin=plain(position.margin) if perpetual else None,
    )


def _next_step(order: OrderRecord, account: AccountRecord) -> str:
    balances = f'accounts_balances(account_id="{account.account_id}")'
    if order.exits and order.filled:
        shown = f'accounts_open_orders(account_id="{account.account_id}")'
        more = "" if order.status == "FILLED" else " for what is filled"
        return f"Paper order; its exits rest{more}, held by this engine: {shown}. One that fills cancels the other."
    if order.status == "FILLED":
        return f"Paper order, filled; {balances} shows the result."
    if order.is_open:
        by_venue = EXCHANGES[order.instrument.exchange].cancels_by_own_id
        order_id = order.exchange_order_id if by_venue else order.order_id
        follow = f'orders_list(account_id="{account.account_id}")'
        return f'Paper order, resting; follow it with {follow}, or orders_cancel(order_id="{order_id}").'
    return "Paper order, not filled and not resting; place it again with a price that the market reaches."


def _staleness(order: OrderRecord, quote: LatestBar) -> str:
    """A warning for imported candles that ended long ago, since the order trades against the last of them."""
    if order.created_at / 1000 - quote.at < _STALE_SECONDS:
        return ""
    return f" Its market's latest candle closed at {iso8601(quote.at)}; nothing more fills until newer candles come."


_DOLLARS: Final = frozenset({"USDT", "USDC", "USD"})


@dataclass(frozen=True, slots=True)
class Holdings:
    """An account's books, positions and open orders, read in one transaction."""

    account: AccountRecord
    balances: Mapping[tuple[OwnBook, str], Decimal]
    positions: tuple[PositionRecord, ...]
    orders: tuple[OrderRecord, ...]

    def used(self, asset: str) -> Decimal:
        """The amount tied up by open orders and margin."""
        return self.balances.get(("held", asset), ZERO) + self.balances.get(("margin", asset), ZERO)

    def free(self, asset: str) -> Decimal:
        """The available amount."""
        return self.balances.get(("free", asset), ZERO)

    @property
    def assets(self) -> list[str]:
        """The currency, then other holdings; prediction tokens and contracts are positions, not assets."""
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
    """The value of the account in its own currency; `None` while any asset in it has no price."""
    quotes = {p.instrument: quote_or_none(prices, p.instrument) for p in holdings.positions}
    dollars = _equity(holdings, quotes, prices)
    rate = _dollars(holdings.account.currency, holdings.account, prices)
    return None if dollars is None or not rate else down(dollars / rate)


def quote_or_none(prices: Prices, instrument: Instrument) -> LatestBar | None:
    """The latest price, if the feed has one now."""
    try:
        return prices.quote(instrument)
    except (NotFound, Unavailable, RateLimited):
        return None


def _balance(holdings: Holdings, asset: str) -> Balance:
    free, used = holdings.free(asset), holdings.used(asset)
    return Balance(asset=asset, free=plain(free), used=plain(used), total=plain(free + used))


def _equity(holdings: Holdings, quotes: Mapping[Instrument, LatestBar | None], prices: Prices) -> Decimal | None:
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
    """The value of one unit of an asset: a currency, or an asset that the account's exchange trades for one."""
    if asset in _DOLLARS:
        return Decimal(1)
    if asset == "KRW":
        dollars, won = quote_or_none(prices, BITCOIN_IN_DOLLARS), quote_or_none(prices, BITCOIN_IN_WON)
        return None if dollars is None or won is None else dollars.close / won.close
    quote = quote_or_none(prices, Instrument(account.exchange, asset, account.currency))
    currency = _dollars(account.currency, account, prices)
    return None if quote is None or currency is None else quote.close * currency

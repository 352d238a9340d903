"""The broker's records as the API shows them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from api.accounts import Account, Position
from api.exchanges import EXCHANGES
from api.orders import Order, PlacedOrder
from engine.clock import iso8601
from engine.venues.amounts import CENT, ZERO, down, plain
from engine.venues.exits import Exits

from .fills import liquidation_price
from .prices import Quote
from .records import AccountRecord, OrderRecord, PositionRecord

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
    """What an order has to do with exits, which the engine holds on paper accounts."""
    if order.role is not None:
        stop = None if order.trigger is None else plain(order.trigger)
        return {
            "role": order.role,
            "parent": order.parent,
            "stop_loss": stop,
            "reduce_only": True,
            "held_by": "engine" if order.is_open else None,
        }
    exits = order.exits or Exits()
    prices = {} if exits.relative else {"stop_loss": exits.stop, "take_profit": exits.target}
    return {"role": "entry" if exits else None, "reduce_only": order.reduce_only or None, **prices}


def placed_view(order: OrderRecord, account: AccountRecord, quote: Quote) -> PlacedOrder:
    """A new order, with what priced it and what to do next."""
    fields = order_view(order, account).model_dump()
    return PlacedOrder(
        **fields,
        suggestion=_next_step(order, account) + _staleness(order, quote),
        price_source=quote.source,
        price_time=iso8601(quote.at),
    )


def position_view(position: PositionRecord, quote: Quote | None) -> Position:
    """A position, valued at the latest close; without one its gain counts as 0 and it has no mark price."""
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


def _staleness(order: OrderRecord, quote: Quote) -> str:
    """Imported candles may have ended long ago; whoever trades against the last of them should know."""
    if order.created_at / 1000 - quote.at < _STALE_SECONDS:
        return ""
    return f" Its market's latest candle closed at {iso8601(quote.at)}; nothing more fills until newer candles come."

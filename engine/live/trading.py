"""From a signal to an order, through the door that the engine was handed.

An entry that the script sizes by `Notional` or `Amount` has that size; any other is worth the strategy's weight of the
account's equity. Either is what the free money pays for if that is less. An exit closes the same share of what this
subscription holds that the strategy closes of its own position, and never anything else in the account.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from api.errors import HeyTradersError, InvalidInput, NotNow
from api.exchanges import EXCHANGES
from api.orders import OrderType, PlaceRequest
from engine.feeds.feed import Feed
from engine.store.database import Store
from engine.trading_rules import ZERO, Steps, down, from_float, up
from engine.venues.venue import Venue, Venues

from .door import DoorAnswer, OrderDoor, StrategyOrder
from .signals import DueOrder, OrderState, order_ids

_AGGRESSIVE: Final = Decimal("0.05")
_LEAST_GRACE: Final = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a signal's order."""

    state: OrderState
    order_id: str | None = None
    message: str | None = None


def execute(store: Store, feed: Feed, venues: Venues, door: OrderDoor, due: DueOrder, now: float) -> Outcome:
    """Place the order of a signal, or say why not. Blocking.

    An order that an interrupted owner has placed is found again. Otherwise an entry older than one bar is not made: the
    market has moved on while no engine ran. An exit is made however late it is found.
    """
    try:
        found = door.find(due.agent_id, due.account_id, due.order_id)
        return (
            _settled(found) if found else _place(store, feed, venues.of(due.agent_id, due.account_id), door, due, now)
        )
    except NotNow as error:
        return Outcome("due", message=f"{error.code}: {error.message}")
    except HeyTradersError as error:
        return Outcome("refused", message=f"{error.code}: {error.message}")


def _place(store: Store, feed: Feed, venue: Venue, door: OrderDoor, due: DueOrder, now: float) -> Outcome:
    if due.closes == 0 and now - due.bar_time > max(due.seconds, _LEAST_GRACE):
        return Outcome("skipped", message="entry found too late to trade: no engine ran when its bar closed")
    amount = _amount(store, feed, venue, due)
    if amount <= 0:
        return Outcome("skipped", message=_nothing(due))
    asked = StrategyOrder(due.order_id, due.agent_id, due.subscription_id, _order(feed, venue, due, amount))
    return _settled(door.place(asked))


def _settled(answer: DoorAnswer) -> Outcome:
    """What is not over stays due, and is looked for under the same key."""
    placed = answer.order
    if answer.answered == "placed" and placed is not None:
        is_filled = placed.status == "FILLED"
        return Outcome("placed", placed.order_id, None if is_filled else f"the order is {placed.status}")
    return Outcome("refused" if answer.answered == "refused" else "due", message=answer.reason)


def _amount(store: Store, feed: Feed, venue: Venue, due: DueOrder) -> Decimal:
    steps = Steps.of(feed.listing(due.instrument))
    if due.closes > 0:
        held = abs(_held(store, venue, due))
        return held if due.closes >= 1.0 else down(held * from_float(due.closes), steps.lot)
    equity = venue.equity(due.account_id)
    if equity is None:
        raise InvalidInput("the account's equity is unknown: something it holds has no price")
    if due.amount is not None:
        wanted = down(from_float(due.amount), steps.lot)
    else:
        wanted = down(equity * from_float(due.weight) / venue.price(due.instrument), steps.lot)
    return min(wanted, venue.affordable(due.account_id, due.instrument, _leverage(due) or 1))


def _leverage(due: DueOrder) -> int | None:
    """Whole numbers only, as orders take them; `None` without leverage."""
    return max(int(due.leverage), 1) if due.instrument.market_type == "perpetual" else None


def _held(store: Store, venue: Venue, due: DueOrder) -> Decimal:
    """Base units that this subscription's own orders have bought and not sold; negative when short."""
    ids = store.read_now(lambda connection: order_ids(connection, due.subscription_id, due.instrument))
    orders = (venue.find(due.account_id, order_id) for order_id in ids)
    filled = ((order.side, order.filled_amount or ZERO) for order in orders if order is not None)
    net = sum((amount if side == "buy" else -amount for side, amount in filled), ZERO)
    closing_long = due.side == "sell"
    return net if (net > 0) == closing_long else ZERO


def _order(feed: Feed, venue: Venue, due: DueOrder, amount: Decimal) -> PlaceRequest:
    exchange = EXCHANGES[due.instrument.exchange]
    order_type: OrderType = "market"
    price: Decimal | None = None
    if exchange.market_type == "prediction":
        order_type, price = "FOK", _aggressive_price(feed, venue, due)
    return PlaceRequest(
        account_id=due.account_id,
        exchange=exchange.id,
        symbol=due.instrument.symbol,
        side=due.side,
        order_type=order_type,
        amount=amount,
        price=price,
        leverage=_leverage(due),
        label=f"live:{due.subscription_id}",
    )


def _aggressive_price(feed: Feed, venue: Venue, due: DueOrder) -> Decimal:
    """Prediction markets have no market orders: a limit well beyond the last price fills at once or not at all."""
    tick = Steps.of(feed.listing(due.instrument)).tick
    last = venue.price(due.instrument)
    if due.side == "buy":
        return min(up(last * (1 + _AGGRESSIVE), tick), 1 - tick)
    return max(down(last * (1 - _AGGRESSIVE), tick), tick)


def _nothing(due: DueOrder) -> str:
    if due.closes > 0:
        return "no order was needed: nothing is held"
    return "no order: what the account can spend on it is below one lot"

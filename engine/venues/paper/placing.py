"""Turns an order request into an accepted order: validation and the first match.

A refusal changes nothing and names a valid value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from api.errors import InvalidInput
from api.exchanges import Exchange
from api.orders import PlaceRequest, wrong_side
from api.refusals import call_text
from api.symbols import Instrument
from engine.feeds.feed import Listing
from engine.trading_rules import (
    ZERO,
    Exits,
    ListedTerms,
    Steps,
    affordable,
    down,
    is_multiple,
    nearest,
    plain,
    text,
    up,
)
from engine.venues.paper.ledger import Fill, InsufficientFunds, closable_part
from engine.venues.paper.records import AccountRecord, OrderRecord, PositionRecord

from .prices import Quote
from .trading import TradingAccount, new_order_id

_LARGEST: Final = Decimal("999999999999999999.999999999999999999")


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request with its market data. Built outside the transaction."""

    request: PlaceRequest
    instrument: Instrument
    listing: Listing
    quote: Quote

    @property
    def steps(self) -> Steps:
        """Tick and lot."""
        return Steps.of(self.listing)

    @property
    def terms(self) -> ListedTerms:
        """Fees and the smallest order."""
        return ListedTerms.of(self.listing)

    @property
    def exits(self) -> Exits:
        """The exits that follow once it fills."""
        return Exits(stop=self.request.stop_loss, target=self.request.take_profit)

    @property
    def taker_price(self) -> Decimal:
        """The price that the order would get immediately."""
        return self.quote.taker_price(self.direction, self.steps)

    @property
    def direction(self) -> int:
        """1 buys, -1 sells."""
        return 1 if self.request.side == "buy" else -1


def check_ticket(ticket: Ticket, account: AccountRecord) -> None:
    """Refuse an order that no account of this venue could trade.

    Raises:
        InvalidInput: The account is closed or on another venue, the market has resolved, or a step is wrong.
    """
    request, exchange = ticket.request, account.exchange
    if account.status != "active":
        raise InvalidInput(f"account {account.account_id} is closed", suggestion="accounts_list names the open ones")
    if request.exchange != exchange:
        raise InvalidInput(
            f"account {account.account_id} trades on {exchange}, not on {request.exchange}",
            suggestion=f"Use an account of {request.exchange} from accounts_list, or a symbol of {exchange}",
        )
    if ticket.listing.payout is not None:
        raise InvalidInput(
            f"the market {ticket.instrument.symbol} has resolved", suggestion="market_tickers lists open markets"
        )
    _check_steps(ticket, ticket.terms.minimum)
    _check_price_digits(ticket, account.terms)
    _check_exits(ticket)
    _check_resting_size(ticket, account.terms)


def place(trading: TradingAccount, ticket: Ticket, order_id: str | None = None) -> OrderRecord:
    """Accept an order and match it: market and FOK immediately, limit and GTC as far as the latest bar allows.

    What is taken at once slips; a limit that the market has reached is never exceeded.

    Raises:
        InvalidInput: Too small, insufficient funds, an impossible short, or a different leverage.
    """
    position = trading.position(ticket.instrument)
    _check_reduces(ticket, position)
    _check_holdings(trading, ticket)
    _check_minimum(trading, ticket, position)
    leverage = _leverage(trading, ticket, position)
    order = _new_order(trading, ticket, leverage, order_id)
    try:
        return _match(trading, ticket, trading.accept(order))
    except InsufficientFunds as error:
        raise _insufficient(trading, ticket, leverage, error) from None


def _match(trading: TradingAccount, ticket: Ticket, order: OrderRecord) -> OrderRecord:
    price, capacity = ticket.taker_price, ticket.quote.capacity(ticket.steps)
    fee, at, tick = ticket.terms.taker, order.seen_until, ticket.steps.tick
    if order.order_type == "market":
        return trading.fill(order, Fill(order.amount, price, fee, price, at, tick))
    if order.order_type == "FOK":
        reaches = (order.limit - price) * order.direction >= 0
        if reaches and capacity >= order.amount:
            return trading.fill(order, Fill(order.amount, price, fee, price, at, tick))
        reason = f"{text(price)} is asked" if not reaches else f"{text(capacity)} can be filled at once"
        return trading.end(order, "CANCELLED", f"Not filled whole at once: {reason}")
    at_once = ZERO
    if (order.limit - ticket.quote.close) * order.direction >= 0:
        at_once = min(order.amount, capacity)
        price = min(price, order.limit) if order.direction > 0 else max(price, order.limit)
    if at_once:
        order = trading.fill(order, Fill(at_once, price, fee, price, at, tick))
    return trading.rest(order) if order.is_open else order


def _new_order(trading: TradingAccount, ticket: Ticket, leverage: int, order_id: str | None) -> OrderRecord:
    request, now = ticket.request, trading.now
    return OrderRecord(
        order_id=order_id or new_order_id(),
        account=trading.account.id,
        instrument=ticket.instrument,
        side=request.side,
        order_type=request.order_type,
        amount=plain(request.amount),
        price=None if request.price is None else plain(request.price),
        leverage=leverage,
        label=request.label,
        created_at=round(now * 1000),
        updated_at=round(now * 1000),
        seen_until=math.ceil(now),
        reduce_only=bool(request.reduce_only),
        exits=ticket.exits or None,
    )


def _check_steps(ticket: Ticket, least: Decimal) -> None:
    """Amount and price must lie on the grid. The suggestion corrects both, unless the order would then be too small."""
    request, steps = ticket.request, ticket.steps
    is_token = ticket.instrument.market_type == "prediction"
    grid = {"amount": (request.amount, steps.lot, "lot", _LARGEST)}
    prices = {"price": request.price, "stop_loss": request.stop_loss, "take_profit": request.take_profit}
    for name, price in prices.items():
        if price is not None:
            grid[name] = (price, steps.tick, "tick", 1 - steps.tick if is_token else _LARGEST)
    wrong = {name: rule for name, rule in grid.items() if not is_multiple(*rule[:2])}
    if not wrong:
        return
    valid = {name: _on_grid(value, step, largest) for name, (value, step, _, largest) in wrong.items()}
    worth = valid.get("amount", request.amount) * valid.get("price", request.price or ticket.taker_price)
    problems = [
        f"{name} {text(v)} is not a multiple of the {what} size {text(s)}" for name, (v, s, what, _) in wrong.items()
    ]
    fraction = next((n for n, (v, *_) in wrong.items() if n in prices and 100 * v < ticket.taker_price), None)
    if fraction is not None:
        raise InvalidInput(
            f"{' and '.join(problems)} of {ticket.instrument.symbol}",
            suggestion=f"{fraction} is a price, not a fraction; the market is at {text(ticket.taker_price)}",
        )
    nearby = [f"nearest valid {name} is {text(value)}" for name, value in valid.items()]
    too_small = "" if worth >= least else f"; an order is worth at least {text(least)} {ticket.instrument.quote}"
    raise InvalidInput(
        f"{' and '.join(problems)} of {ticket.instrument.symbol}",
        suggestion=f"The {', the '.join(nearby)}{too_small}",
        corrected=None if too_small else _corrected(ticket, **valid),
    )


def _check_price_digits(ticket: Ticket, exchange: Exchange) -> None:
    """Some exchanges limit the significant figures of a price; a whole number is always valid."""
    request, most = ticket.request, exchange.price_digits
    prices = {"price": request.price, "stop_loss": request.stop_loss, "take_profit": request.take_profit}
    for name, price in prices.items():
        if price is None or most is None or price == price.to_integral_value():
            continue
        written = price.normalize()
        if len(written.as_tuple().digits) <= most:
            continue
        step = Decimal(1).scaleb(min(0, written.adjusted() - most + 1))
        valid = plain(nearest(price, step))
        raise InvalidInput(
            f"{name} {text(price)} has more than {most} significant figures, and {exchange.name} takes no more",
            suggestion=f"The nearest valid {name} is {text(valid)}",
            corrected=_corrected(ticket, **{name: valid}),
        )


def _check_exits(ticket: Ticket) -> None:
    """Refuse exits that would immediately close the new position, at the better of its limit and the market."""
    request, market = ticket.request, ticket.quote.close
    better = min if ticket.direction > 0 else max
    at_limit = request.price is not None and better(request.price, market) == request.price
    wrong = wrong_side(request, request.price if at_limit else market, "the limit" if at_limit else "the market price")
    if wrong is not None:
        value = request.stop_loss if wrong.field == "stop_loss" else request.take_profit
        raise InvalidInput(f"{wrong.field} {text(value or ZERO)} {wrong.rule}", suggestion=wrong.suggestion)


def _check_reduces(ticket: Ticket, position: PositionRecord | None) -> None:
    """A reduce-only order of a perpetual closes at most the open position."""
    if not ticket.request.reduce_only or ticket.instrument.market_type != "perpetual":
        return
    closable = closable_part(position, ticket.direction)
    if ticket.request.amount <= closable:
        return
    held = "long" if ticket.direction < 0 else "short"
    symbol = ticket.instrument.symbol
    if closable == 0:
        raise InvalidInput(
            f"there is no {held} position in {symbol} that a reduce-only {ticket.request.side} could reduce",
            suggestion="accounts_balances shows the positions; leave reduce_only out to open one",
        )
    raise InvalidInput(
        f"amount {text(ticket.request.amount)} is more than the {held} position of {text(closable)} in {symbol}, and a"
        " reduce-only order never flips it",
        suggestion=f"Use an amount of at most {text(closable)}",
        corrected=_corrected(ticket, amount=closable),
    )


def _check_resting_size(ticket: Ticket, exchange: Exchange) -> None:
    """A resting order has a minimum amount where the exchange sets minimums in tokens."""
    least = exchange.smallest_resting
    if least is None or ticket.request.order_type == "FOK" or ticket.request.amount >= least:
        return
    raise InvalidInput(
        f"amount {text(ticket.request.amount)} is below {text(least)} tokens, the smallest order that can rest on "
        f"{exchange.name}",
        suggestion=f"Order at least {text(least)} tokens, or use FOK, which fills at once and does not rest",
    )


def _on_grid(value: Decimal, step: Decimal, largest: Decimal) -> Decimal:
    """The nearest multiple of `step` that the API accepts: above 0, and at most `largest`."""
    return max(min(nearest(value, step), down(largest, step)), step)


def _check_holdings(trading: TradingAccount, ticket: Ticket) -> None:
    """Spot and prediction accounts can sell only their free balance."""
    request, base = ticket.request, ticket.instrument.base
    if request.side == "buy" or ticket.instrument.market_type == "perpetual":
        return
    free, held = trading.books.amount("free", base), trading.books.amount("held", base)
    if free >= request.amount:
        return
    in_exits = trading.held_by_exits(ticket.instrument)
    if request.reduce_only and free + in_exits >= request.amount:
        trading.release(ticket.instrument, request.amount - free)
        return
    unit = "tokens" if ticket.instrument.market_type == "prediction" else base
    in_orders = f", and {text(held)} in open orders" if held else ""
    largest = free + in_exits if request.reduce_only else free
    sell = f"Sell at most {text(largest)}" if largest else "Buy before selling; shorts need a perpetual account"
    if in_exits and not request.reduce_only:
        sell = f"Set reduce_only to sell what exits hold too, {text(free + in_exits)} in all; the exits shrink with it"
    raise InvalidInput(
        f"the account has {text(free)} {unit} free{in_orders}, less than the amount {text(request.amount)}; "
        f"{ticket.instrument.market_type} accounts cannot go short",
        suggestion=sell,
    )


def _check_minimum(trading: TradingAccount, ticket: Ticket, position: PositionRecord | None) -> None:
    """Every order has a minimum value, but a holding may always be closed."""
    request, least = ticket.request, ticket.terms.minimum
    price = request.price or ticket.taker_price
    is_enough = request.amount * price >= least and request.amount >= ticket.terms.smallest
    if is_enough or _closes(trading, ticket, position):
        return
    if request.amount * price >= least:
        smallest = ticket.terms.smallest
        raise InvalidInput(
            f"amount {text(request.amount)} is below the smallest of {ticket.instrument.symbol} on {request.exchange}, "
            f"{text(smallest)}",
            suggestion=f"The smallest amount is {text(smallest)}",
            corrected=_corrected(ticket, amount=smallest),
        )
    needed = max(up(least / price, ticket.steps.lot), ticket.terms.smallest)
    raise InvalidInput(
        f"the order is worth {text(request.amount * price)} {ticket.instrument.quote}, less than the smallest order "
        f"of {text(least)} {ticket.instrument.quote} on {request.exchange}",
        suggestion=f"The smallest amount at this price is {text(needed)}",
        corrected=_corrected(ticket, amount=needed),
    )


def _closes(trading: TradingAccount, ticket: Ticket, position: PositionRecord | None) -> bool:
    if ticket.instrument.market_type == "perpetual":
        size = position.size if position else ZERO
        return size * ticket.direction < 0 and ticket.request.amount <= abs(size)
    return ticket.request.side == "sell" and ticket.request.amount == trading.books.amount(
        "free", ticket.instrument.base
    )


def _leverage(trading: TradingAccount, ticket: Ticket, position: PositionRecord | None) -> int:
    """The leverage of an order: one per instrument, for as long as a position or an order is open in it."""
    if ticket.instrument.market_type != "perpetual":
        return 1
    wanted = ticket.request.leverage
    orders = trading.open_orders(ticket.instrument)
    current = position.leverage if position else orders[0].leverage if orders else None
    if current is None or wanted in (None, current):
        return current or wanted or 1
    raise InvalidInput(
        f"leverage {wanted} differs from the {current} of the open position or orders in {ticket.instrument.symbol}",
        suggestion=f"Use leverage={current} or leave it out; another one needs the position and orders closed first",
        corrected=_corrected(ticket, leverage=current),
    )


def _insufficient(
    trading: TradingAccount, ticket: Ticket, leverage: int, error: InsufficientFunds
) -> InsufficientFunds:
    """The error that names the largest amount that the free funds can pay for."""
    quote = ticket.instrument.quote
    free = trading.books.amount("free", quote)
    price = max(ticket.request.price or ZERO, ticket.taker_price)
    largest = affordable(free, price, leverage, ticket.terms.worst_fee, ticket.steps.lot)
    return InsufficientFunds(
        f"not enough {quote} in account {trading.account.account_id}: {error.message}",
        suggestion=f"About {text(largest)} {ticket.instrument.base[:12]} can be paid for with {text(free)} {quote}"
        if largest
        else f"Free {quote} first: cancel open orders or close positions",
    )


def _corrected(ticket: Ticket, **better: Decimal | int) -> str | None:
    given = ticket.request.model_dump(exclude_none=True, exclude={"market_type"})
    fixed = {**given, **better}
    return call_text("orders_place", {k: text(v) if isinstance(v, Decimal) else v for k, v in fixed.items()})

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
from engine.feeds.feed import InstrumentListing
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
from engine.venues.paper.postings import InsufficientFunds, PaperFill, closable_part
from engine.venues.paper.records import AccountRecord, OrderRecord, PositionRecord

from .prices import LatestBar
from .trading import TradingAccount, new_order_id

_LARGEST: Final = Decimal("999999999999999999.999999999999999999")


@dataclass(frozen=True, slots=True)
class PricedRequest:
    """A request with its market data. Built outside the transaction."""

    request: PlaceRequest
    instrument: Instrument
    listing: InstrumentListing
    quote: LatestBar

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


def check_priced(priced: PricedRequest, account: AccountRecord) -> None:
    """Refuse an order that no account of this venue could trade.

    Raises:
        InvalidInput: The account is closed or on another venue, the market has resolved, or a step is wrong.
    """
    request, exchange = priced.request, account.exchange
    if account.status != "active":
        raise InvalidInput(f"account {account.account_id} is closed", suggestion="accounts_list names the open ones")
    if request.exchange != exchange:
        raise InvalidInput(
            f"account {account.account_id} trades on {exchange}, not on {request.exchange}",
            suggestion=f"Use an account of {request.exchange} from accounts_list, or a symbol of {exchange}",
        )
    if priced.listing.payout is not None:
        raise InvalidInput(
            f"the market {priced.instrument.symbol} has resolved", suggestion="market_tickers lists open markets"
        )
    _check_steps(priced, priced.terms.minimum)
    _check_price_digits(priced, account.terms)
    _check_exits(priced)
    _check_resting_size(priced, account.terms)


def place(trading: TradingAccount, priced: PricedRequest, order_id: str | None = None) -> OrderRecord:
    """Accept an order and match it: market and FOK immediately, limit and GTC as far as the latest bar allows.

    What is taken at once slips; a limit that the market has reached is never exceeded.

    Raises:
        InvalidInput: Too small, insufficient funds, an impossible short, or a different leverage.
    """
    position = trading.position(priced.instrument)
    _check_reduces(priced, position)
    _check_holdings(trading, priced)
    _check_minimum(trading, priced, position)
    leverage = _leverage(trading, priced, position)
    order = _new_order(trading, priced, leverage, order_id)
    try:
        return _match(trading, priced, trading.accept(order))
    except InsufficientFunds as error:
        raise _insufficient(trading, priced, leverage, error) from None


def _match(trading: TradingAccount, priced: PricedRequest, order: OrderRecord) -> OrderRecord:
    price, capacity = priced.taker_price, priced.quote.capacity(priced.steps)
    fee, at, tick = priced.terms.taker, order.seen_until, priced.steps.tick
    if order.order_type == "market":
        return trading.fill(order, PaperFill(order.amount, price, fee, price, at, tick))
    if order.order_type == "FOK":
        reaches = (order.limit - price) * order.direction >= 0
        if reaches and capacity >= order.amount:
            return trading.fill(order, PaperFill(order.amount, price, fee, price, at, tick))
        reason = f"{text(price)} is asked" if not reaches else f"{text(capacity)} can be filled at once"
        return trading.end(order, "CANCELLED", f"Not filled whole at once: {reason}")
    at_once = ZERO
    if (order.limit - priced.quote.close) * order.direction >= 0:
        at_once = min(order.amount, capacity)
        price = min(price, order.limit) if order.direction > 0 else max(price, order.limit)
    if at_once:
        order = trading.fill(order, PaperFill(at_once, price, fee, price, at, tick))
    return trading.rest(order) if order.is_open else order


def _new_order(trading: TradingAccount, priced: PricedRequest, leverage: int, order_id: str | None) -> OrderRecord:
    request, now = priced.request, trading.now
    return OrderRecord(
        order_id=order_id or new_order_id(),
        account=trading.account.id,
        instrument=priced.instrument,
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
        exits=priced.exits or None,
    )


def _check_steps(priced: PricedRequest, least: Decimal) -> None:
    """Amount and price must lie on the grid. The suggestion corrects both, unless the order would then be too small."""
    request, steps = priced.request, priced.steps
    is_token = priced.instrument.market_type == "prediction"
    grid = {"amount": (request.amount, steps.lot, "lot", _LARGEST)}
    prices = {"price": request.price, "stop_loss": request.stop_loss, "take_profit": request.take_profit}
    for name, price in prices.items():
        if price is not None:
            grid[name] = (price, steps.tick, "tick", 1 - steps.tick if is_token else _LARGEST)
    wrong = {name: rule for name, rule in grid.items() if not is_multiple(*rule[:2])}
    if not wrong:
        return
    valid = {name: _on_grid(value, step, largest) for name, (value, step, _, largest) in wrong.items()}
    worth = valid.get("amount", request.amount) * valid.get("price", request.price or priced.taker_price)
    problems = [
        f"{name} {text(v)} is not a multiple of the {what} size {text(s)}" for name, (v, s, what, _) in wrong.items()
    ]
    fraction = next((n for n, (v, *_) in wrong.items() if n in prices and 100 * v < priced.taker_price), None)
    if fraction is not None:
        raise InvalidInput(
            f"{' and '.join(problems)} of {priced.instrument.symbol}",
            suggestion=f"{fraction} is a price, not a fraction; the market is at {text(priced.taker_price)}",
        )
    nearby = [f"nearest valid {name} is {text(value)}" for name, value in valid.items()]
    too_small = "" if worth >= least else f"; an order is worth at least {text(least)} {priced.instrument.quote}"
    raise InvalidInput(
        f"{' and '.join(problems)} of {priced.instrument.symbol}",
        suggestion=f"The {', the '.join(nearby)}{too_small}",
        corrected=None if too_small else _corrected(priced, **valid),
    )


def _check_price_digits(priced: PricedRequest, exchange: Exchange) -> None:
    """Some exchanges limit the significant figures of a price; a whole number is always valid."""
    request, most = priced.request, exchange.price_digits
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
            corrected=_corrected(priced, **{name: valid}),
        )


def _check_exits(priced: PricedRequest) -> None:
    """Refuse exits that would immediately close the new position, at the better of its limit and the market."""
    request, market = priced.request, priced.quote.close
    better = min if priced.direction > 0 else max
    at_limit = request.price is not None and better(request.price, market) == request.price
    wrong = wrong_side(request, request.price if at_limit else market, "the limit" if at_limit else "the market price")
    if wrong is not None:
        value = request.stop_loss if wrong.field == "stop_loss" else request.take_profit
        raise InvalidInput(f"{wrong.field} {text(value or ZERO)} {wrong.rule}", suggestion=wrong.suggestion)


def _check_reduces(priced: PricedRequest, position: PositionRecord | None) -> None:
    """A reduce-only order of a perpetual closes at most the open position."""
    if not priced.request.reduce_only or priced.instrument.market_type != "perpetual":
        return
    closable = closable_part(position, priced.direction)
    if priced.request.amount <= closable:
        return
    held = "long" if priced.direction < 0 else "short"
    symbol = priced.instrument.symbol
    if closable == 0:
        raise InvalidInput(
            f"there is no {held} position in {symbol} that a reduce-only {priced.request.side} could reduce",
            suggestion="accounts_balances shows the positions; leave reduce_only out to open one",
        )
    raise InvalidInput(
        f"amount {text(priced.request.amount)} is more than the {held} position of {text(closable)} in {symbol}, and a"
        " reduce-only order never flips it",
        suggestion=f"Use an amount of at most {text(closable)}",
        corrected=_corrected(priced, amount=closable),
    )


def _check_resting_size(priced: PricedRequest, exchange: Exchange) -> None:
    """A resting order has a minimum amount where the exchange sets minimums in tokens."""
    least = exchange.smallest_resting
    if least is None or priced.request.order_type == "FOK" or priced.request.amount >= least:
        return
    raise InvalidInput(
        f"amount {text(priced.request.amount)} is below {text(least)} tokens, the smallest order that can rest on "
        f"{exchange.name}",
        suggestion=f"Order at least {text(least)} tokens, or use FOK, which fills at once and does not rest",
    )


def _on_grid(value: Decimal, step: Decimal, largest: Decimal) -> Decimal:
    """The nearest multiple of `step` that the API accepts: above 0, and at most `largest`."""
    return max(min(nearest(value, step), down(largest, step)), step)


def _check_holdings(trading: TradingAccount, priced: PricedRequest) -> None:
    """Spot and prediction accounts can sell only their free balance."""
    request, base = priced.request, priced.instrument.base
    if request.side == "buy" or priced.instrument.market_type == "perpetual":
        return
    free, held = trading.books.amount("free", base), trading.books.amount("held", base)
    if free >= request.amount:
        return
    in_exits = trading.held_by_exits(priced.instrument)
    if request.reduce_only and free + in_exits >= request.amount:
        trading.release(priced.instrument, request.amount - free)
        return
    unit = "tokens" if priced.instrument.market_type == "prediction" else base
    in_orders = f", and {text(held)} in open orders" if held else ""
    largest = free + in_exits if request.reduce_only else free
    sell = f"Sell at most {text(largest)}" if largest else "Buy before selling; shorts need a perpetual account"
    if in_exits and not request.reduce_only:
        sell = f"Set reduce_only to sell what exits hold too, {text(free + in_exits)} in all; the exits shrink with it"
    raise InvalidInput(
        f"the account has {text(free)} {unit} free{in_orders}, less than the amount {text(request.amount)}; "
        f"{priced.instrument.market_type} accounts cannot go short",
        suggestion=sell,
    )


def _check_minimum(trading: TradingAccount, priced: PricedRequest, position: PositionRecord | None) -> None:
    """Every order has a minimum value, but a holding may always be closed."""
    request, least = priced.request, priced.terms.minimum
    price = request.price or priced.taker_price
    is_enough = request.amount * price >= least and request.amount >= priced.terms.smallest
    if is_enough or _closes(trading, priced, position):
        return
    if request.amount * price >= least:
        smallest = priced.terms.smallest
        raise InvalidInput(
            f"amount {text(request.amount)} is below the smallest of {priced.instrument.symbol} on {request.exchange}, "
            f"{text(smallest)}",
            suggestion=f"The smallest amount is {text(smallest)}",
            corrected=_corrected(priced, amount=smallest),
        )
    needed = max(up(least / price, priced.steps.lot), priced.terms.smallest)
    raise InvalidInput(
        f"the order is worth {text(request.amount * price)} {priced.instrument.quote}, less than the smallest order "
        f"of {text(least)} {priced.instrument.quote} on {request.exchange}",
        suggestion=f"The smallest amount at this price is {text(needed)}",
        corrected=_corrected(priced, amount=needed),
    )


def _closes(trading: TradingAccount, priced: PricedRequest, position: PositionRecord | None) -> bool:
    if priced.instrument.market_type == "perpetual":
        size = position.size if position else ZERO
        return size * priced.direction < 0 and priced.request.amount <= abs(size)
    return priced.request.side == "sell" and priced.request.amount == trading.books.amount(
        "free", priced.instrument.base
    )


def _leverage(trading: TradingAccount, priced: PricedRequest, position: PositionRecord | None) -> int:
    """The leverage of an order: one per instrument, for as long as a position or an order is open in it."""
    if priced.instrument.market_type != "perpetual":
        return 1
    wanted = priced.request.leverage
    orders = trading.open_orders(priced.instrument)
    current = position.leverage if position else orders[0].leverage if orders else None
    if current is None or wanted in (None, current):
        return current or wanted or 1
    raise InvalidInput(
        f"leverage {wanted} differs from the {current} of the open position or orders in {priced.instrument.symbol}",
        suggestion=f"Use leverage={current} or leave it out; another one needs the position and orders closed first",
        corrected=_corrected(priced, leverage=current),
    )


def _insufficient(
    trading: TradingAccount, priced: PricedRequest, leverage: int, error: InsufficientFunds
) -> InsufficientFunds:
    """The error that names the largest amount that the free funds can pay for."""
    quote = priced.instrument.quote
    free = trading.books.amount("free", quote)
    price = max(priced.request.price or ZERO, priced.taker_price)
    largest = affordable(free, price, leverage, priced.terms.worst_fee, priced.steps.lot)
    return InsufficientFunds(
        f"not enough {quote} in account {trading.account.account_id}: {error.message}",
        suggestion=f"About {text(largest)} {priced.instrument.base[:12]} can be paid for with {text(free)} {quote}"
        if largest
        else f"Free {quote} first: cancel open orders or close positions",
    )


def _corrected(priced: PricedRequest, **better: Decimal | int) -> str | None:
    given = priced.request.model_dump(exclude_none=True, exclude={"market_type"})
    fixed = {**given, **better}
    return call_text("orders_place", {k: text(v) if isinstance(v, Decimal) else v for k, v in fixed.items()})

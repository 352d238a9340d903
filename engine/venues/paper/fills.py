"""The funds that orders need and the effects of fills, as pure functions that return ledger lines and the new position.

Spot and prediction orders exchange one asset for another. Perpetual orders first close an opposite position and then
open one, with isolated margin: a position can lose its margin and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from api.exchanges import Exchange
from engine.trading_rules import MAINTENANCE, ZERO, down, liquidation_value

from .ledger import Line
from .records import OrderRecord, PositionRecord


@dataclass(frozen=True, slots=True)
class Fill:
    """A part of an order that trades. `fee_rate` is a fraction of the value, `at` unix seconds,
    rounded up: bars that open then or later affect the new position. `tick` is the price step.

    `margin_price` values it for margin: never above a resting order's price, which its reserve is based on.
    """

    amount: Decimal
    price: Decimal
    fee_rate: Decimal
    margin_price: Decimal
    at: int
    tick: Decimal


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of a fill on the books and the position; `opened` is the part that opened or grew one."""

    lines: list[Line]
    fee: Decimal
    opened: Decimal
    position: PositionRecord | None


def reservation(order: OrderRecord, opening: Decimal, terms: Exchange) -> tuple[str, Decimal]:
    """The asset and amount that a resting order must hold for the `opening` part of its remainder."""
    instrument = order.instrument
    if instrument.market_type != "perpetual":
        if order.side == "sell":
            return instrument.base, opening
        return instrument.quote, opening * order.limit * (1 + max(terms.taker, terms.maker))
    if opening == 0:
        return instrument.quote, ZERO
    value = opening * order.limit
    return instrument.quote, down(value / order.leverage) + value * max(terms.taker, terms.maker)


def opening_part(order: OrderRecord, position: PositionRecord | None, same_side: list[OrderRecord]) -> Decimal:
    """How much of an order's remainder would open or grow a position, after the open orders of its side."""
    if order.instrument.market_type != "perpetual":
        return order.unfilled
    closable = closable_part(position, order.direction)
    spoken_for = sum((other.unfilled - other.opening for other in same_side if not other.reduce_only), ZERO)
    return max(order.unfilled - max(closable - spoken_for, ZERO), ZERO)


def closable_part(position: PositionRecord | None, direction: int) -> Decimal:
    """How much of a position an order to buy (`direction` 1) or sell (-1) can close."""
    size = position.size if position else ZERO
    return abs(size) if size * direction < 0 else ZERO


def trade(order: OrderRecord, position: PositionRecord | None, fill: Fill) -> Effect:
    """The effect of `fill` on an account with `position` in the order's instrument."""
    if order.instrument.market_type == "perpetual":
        return _trade_contracts(order, position, fill)
    return _exchange_assets(order, position, fill)


def liquidation_price(position: PositionRecord) -> Decimal | None:
    """The price at which equity falls to the maintenance margin; `None` if there is none."""
    if position.instrument.market_type != "perpetual":
        return None
    price = liquidation_value(position.sign, position.cost, position.margin, MAINTENANCE) / abs(position.size)
    return down(price, Decimal("1e-12")) if price > 0 else None


def liquidate(position: PositionRecord) -> list[Line]:
    """The venue takes over the position with its margin."""
    quote, symbol = position.instrument.quote, position.instrument.symbol
    return [
        Line("margin", quote, -position.margin),
        Line("pnl", quote, position.margin),
        Line("position", symbol, -position.size),
        Line("venue", symbol, position.size),
    ]


def pay_out(position: PositionRecord, payout: int) -> list[Line]:
    """A resolved market redeems the tokens at 1 or 0 each."""
    token, quote = position.instrument.base, position.instrument.quote
    paid = position.size * payout
    return [
        Line("free", token, -position.size),
        Line("venue", token, position.size),
        Line("free", quote, paid),
        Line("venue", quote, -paid),
    ]


def _exchange_assets(order: OrderRecord, position: PositionRecord | None, fill: Fill) -> Effect:
    base, quote = order.instrument.base, order.instrument.quote
    received = fill.amount * order.direction
    value = received * fill.price
    fee = fill.amount * fill.price * fill.fee_rate
    lines = [
        Line("free", base, received),
        Line("venue", base, -received),
        Line("free", quote, -value - fee),
        Line("venue", quote, value),
        Line("fees", quote, fee),
    ]
    held = _tokens_after(order, position, fill) if order.instrument.market_type == "prediction" else None
    return Effect(lines, fee, fill.amount, held)


def _tokens_after(order: OrderRecord, position: PositionRecord | None, fill: Fill) -> PositionRecord:
    before = position or _flat(order, fill)
    if order.side == "buy":
        return replace(before, size=before.size + fill.amount, cost=before.cost + fill.amount * fill.price)
    return replace(before, size=before.size - fill.amount, cost=before.cost - _share(before.cost, fill.amount, before))


def _trade_contracts(order: OrderRecord, position: PositionRecord | None, fill: Fill) -> Effect:
    before = position or _flat(order, fill)
    opposite = before.size * order.direction < 0
    closing = min(fill.amount, abs(before.size)) if opposite else ZERO
    closed, lines = _close(before, closing, fill)
    opening = fill.amount - closing
    after = replace(closed, leverage=order.leverage, seen_until=fill.at) if closed.size == 0 else closed
    margin = down(opening * fill.margin_price / order.leverage)
    fee = opening * fill.price * fill.fee_rate
    quote, symbol = order.instrument.quote, order.instrument.symbol
    lines += [
        Line("free", quote, -margin - fee),
        Line("margin", quote, margin),
        Line("fees", quote, fee),
        Line("position", symbol, opening * order.direction),
        Line("venue", symbol, -opening * order.direction),
    ]
    after = replace(
        after,
        size=after.size + opening * order.direction,
        cost=after.cost + opening * fill.price,
        margin=after.margin + margin,
    )
    return Effect(lines, fill.amount * fill.price * fill.fee_rate, opening, after)


def _close(position: PositionRecord, amount: Decimal, fill: Fill) -> tuple[PositionRecord, list[Line]]:
    """Close `amount` of a position. The venue bears any loss beyond its share of the margin, fee included."""
    if amount == 0:
        return position, []
    cost, margin = _share(position.cost, amount, position), _share(position.margin, amount, position)
    fee = amount * fill.price * fill.fee_rate
    pnl = max(position.sign * (amount * fill.price - cost), fee - margin)
    quote, symbol = position.instrument.quote, position.instrument.symbol
    size = amount * position.sign
    lines = [
        Line("margin", quote, -margin),
        Line("free", quote, margin + pnl - fee),
        Line("pnl", quote, -pnl),
        Line("fees", quote, fee),
        Line("position", symbol, -size),
        Line("venue", symbol, size),
    ]
    after = replace(position, size=position.size - size, cost=position.cost - cost, margin=position.margin - margin)
    return after, lines


def _share(whole: Decimal, amount: Decimal, position: PositionRecord) -> Decimal:
    """The part of a position's cost or margin that belongs to `amount` of it; the exact total for the full amount."""
    size = abs(position.size)
    return whole if amount == size else down(whole * amount / size)


def _flat(order: OrderRecord, fill: Fill) -> PositionRecord:
    return PositionRecord(order.account, order.instrument, ZERO, ZERO, ZERO, order.leverage, fill.at)

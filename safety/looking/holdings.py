"""Reads a service's account snapshot as the rules want it: exact, by symbol, in USD where it can be valued.

What cannot be valued has no value, and the rules then deny. Spot accounts list assets and no positions: the order's own
asset is valued at the order's quote, cash is no position, and all the rest is worth what is left of the equity, so that
no further price is needed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from api.accounts import BalancesResponse, Position
from api.errors import HeyTradersError
from api.orders import Order as ShownOrder
from api.symbols import resolve
from safety.terms.facts import AccountFacts, Quote, Resting
from safety.terms.proposal import Order

DOLLARS: Final = frozenset({"USD", "USDT", "USDC"})
"""Count as one USD each."""

FIAT: Final = frozenset({"KRW"})
"""Cash as well, at the order's own rate. Bitcoin is none, even where it is what an order is paid in."""

OTHER: Final = "(other holdings)"
"""In place of a symbol: everything in a spot account but its cash and the order's asset."""

ZERO: Final = Decimal(0)


def account_facts(
    order: Order, shown: BalancesResponse, age: float, quote: Quote | None, usd_rate: Decimal | None
) -> AccountFacts:
    """The snapshot for rules about `order`.

    Args:
        order: What is about to be done on the account.
        shown: As the service showed it.
        age: Seconds since it was asked for.
        quote: Of the order's symbol.
        usd_rate: USD per unit of the order's quote currency.
    """
    positions: dict[str, Decimal] = {}
    values: dict[str, Decimal] = {}
    for position in shown.positions:
        symbol = _symbol(order, position.symbol)
        positions[symbol] = positions.get(symbol, ZERO) + _signed(position)
        price = quote.price if quote is not None and symbol == order.symbol else _mark(position)
        if price is not None and usd_rate is not None:
            values[symbol] = values.get(symbol, ZERO) + abs(position.size) * price * usd_rate
    if order.market_type == "spot":
        _add_spot(order, shown, quote, usd_rate, positions, values)
    return AccountFacts(
        age=age,
        equity_usd=shown.total_equity_usd,
        free={balance.asset: balance.free for balance in shown.balances},
        positions=positions,
        position_usd=values,
        open_orders=tuple(_resting(order, each) for each in shown.open_orders),
    )


def _add_spot(
    order: Order,
    shown: BalancesResponse,
    quote: Quote | None,
    usd_rate: Decimal | None,
    positions: dict[str, Decimal],
    values: dict[str, Decimal],
) -> None:
    traded = resolve(order.symbol, order.exchange)
    held = sum((each.total for each in shown.balances if each.asset == traded.base), ZERO)
    rates = dict.fromkeys(DOLLARS, Decimal(1))
    if usd_rate is not None and traded.quote in FIAT:
        rates[traded.quote] = usd_rate
    cash = sum((each.total * rates[each.asset] for each in shown.balances if each.asset in rates), ZERO)
    positions[order.symbol] = held
    if quote is None or usd_rate is None or shown.total_equity_usd is None:
        return
    values[order.symbol] = held * quote.price * usd_rate
    values[OTHER] = max(ZERO, shown.total_equity_usd - cash - values[order.symbol])


def _symbol(order: Order, written: str) -> str:
    """A symbol as orders write it, in whatever dialect the service does; one that nobody can read stays as it is."""
    try:
        return resolve(written, order.exchange).symbol
    except HeyTradersError:
        return written


def _signed(position: Position) -> Decimal:
    return -abs(position.size) if position.side == "short" else position.size


def _mark(position: Position) -> Decimal | None:
    """The market's price as far as the position tells: what the hosted service says of it is entry and profit."""
    if position.mark_price is not None:
        return position.mark_price
    if not position.size or position.entry_price <= 0:
        return None
    price = position.entry_price + position.unrealized_pnl / _signed(position)
    return price if price > 0 else None


def _resting(order: Order, shown: ShownOrder) -> Resting:
    remaining = shown.remaining_amount if shown.remaining_amount is not None else shown.amount
    return Resting(
        symbol=_symbol(order, shown.symbol or ""),
        side=shown.side or "",
        price=shown.price,
        remaining=remaining if remaining is not None else ZERO,
    )

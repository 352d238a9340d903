"""Where a price may lie: near the market, and never across an own resting order. R10 and R21."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from api.errors import HeyTradersError
from safety.policy.valuation import instrument, plain
from safety.terms.facts import Resting
from safety.terms.proposal import Order

from .case import Case, Missing, Objection, deny, rounded, rule, seconds

MAJORS: Final = frozenset({"ADA", "AVAX", "BNB", "BTC", "DOGE", "ETH", "LINK", "SOL", "TRX", "XRP"})
"""The ten large assets that have the narrower collar."""

_MINUTE: Final = 60
_FRESH_SECONDS: Final = 10
_FADED_SECONDS: Final = 150
_LEAST_SHARE: Final = Decimal("0.25")


@rule("R10_COLLAR")
def collar(case: Case) -> Objection | None:
    """Distance of a limit price from a fresh market price. The older that price, the narrower the collar."""
    order, quote, old = case.order, case.facts.quote, case.limits.quote_age
    reach = None if order.price is None else _reach(case)
    if reach is None and old is None:
        return None
    if quote is None or case.worth.price is None:
        raise Missing(case.worth.missing)
    if old is not None and abs(quote.age) > old:
        return deny(
            f"the market price is {seconds(quote.age)} s old, and counts for {old} s",
            "Try again at the start of the next minute, when there is a new price",
            limit=str(old),
            observed=seconds(quote.age),
            unit="s",
            resets_at=case.facts.now + _MINUTE - quote.age if old < quote.age < _MINUTE else None,
        )
    if reach is None or order.price is None:
        return None
    distance = reach if order.market_type == "prediction" else reach * quote.price
    return _beyond(order, order.price, quote.price, distance * (1 if old is None else _share(quote.age)))


def _share(age: float) -> Decimal:
    """How much of the collar is left: all of it for 10 s, then less with each second, and a quarter in the end.

    What the market did since the price was read is not known, and grows with the price's age.
    """
    if age <= _FRESH_SECONDS:
        return Decimal(1)
    return max(_LEAST_SHARE, (_FADED_SECONDS - Decimal(str(age))) / (_FADED_SECONDS - _FRESH_SECONDS))


def _reach(case: Case) -> Decimal | None:
    """How far a price may lie from the market: as a share of it, on prediction markets as a difference."""
    limits, order = case.limits, case.order
    if order.market_type == "prediction":
        return limits.collar_probability
    shares = [limits.collar]
    if instrument(order.symbol, order.exchange).base in MAJORS:
        shares.append(limits.collar_major)
    return min((share for share in shares if share is not None), default=None)


def _beyond(order: Order, price: Decimal, market: Decimal, reach: Decimal) -> Objection | None:
    if abs(price - market) <= reach:
        return None
    lowest, highest = rounded(market - reach, ROUND_CEILING), rounded(market + reach, ROUND_FLOOR)
    return deny(
        f"price {plain(price)} is too far from the market price {plain(market)}",
        f"Use a price from {plain(lowest)} to {plain(highest)}",
        limit=f"{plain(lowest)} to {plain(highest)}",
        observed=plain(price),
        unit="quote currency",
        repaired=order.model_copy(update={"price": min(max(price, lowest), highest)}),
    )


@rule("R21_SELF_TRADE")
def self_trade(case: Case) -> Objection | None:
    """An own resting order on the other side that this one would meet."""
    if not case.limits.no_self_trade:
        return None
    order = case.order
    met = next((resting for resting in case.account.open_orders if _meets(order, resting)), None)
    if met is None:
        return None
    at = "without a price" if met.price is None else f"at {plain(met.price)}"
    return deny(
        f"an own {met.side} order of {order.symbol} rests {at}, and this order would trade with it",
        "Cancel that order first, or use a price that does not meet it",
        observed=at,
    )


def _meets(order: Order, resting: Resting) -> bool:
    """Whether both would trade with each other.

    A stop is in no order book until its price is reached, and a plan's target lies away from the market, where no
    market order gets to.
    """
    if resting.side == order.side or not same_symbol(order, resting.symbol):
        return False
    if resting.is_exit and (resting.role != "take_profit" or order.price is None):
        return False
    if order.price is None or resting.price is None:
        return True
    return order.price >= resting.price if order.side == "buy" else order.price <= resting.price


def same_symbol(order: Order, symbol: str) -> bool:
    """Whether an account's symbol is the order's, however the service writes it."""
    try:
        return instrument(symbol, order.exchange) == instrument(order.symbol, order.exchange)
    except HeyTradersError:
        return False

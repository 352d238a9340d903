"""Rules on a single order: what may be traded, its size and its price. R01 to R11 and R21."""

from __future__ import annotations

from collections.abc import Collection
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_UP, Decimal
from typing import Final

from pydantic import ValidationError

from api.errors import HeyTradersError, show
from api.exchanges import EXCHANGES
from api.live import SubscribeRequest, SwitchRequest
from safety.policy.case import SIGN, Case, Missing, Objection, at_most, deny, instrument, plain, rounded, rule, seconds
from safety.policy.limits import Limits
from safety.terms.facts import RestingOrder
from safety.terms.proposal import DeploymentTerms, OrderTerms, PublicationTerms


@rule("R01_MODE", "order", "standing")
def mode(case: Case) -> Objection | None:
    """Whether orders are placed at all."""
    if case.limits.trading:
        return None
    return deny("trading is off here", "Only the user can switch it on, with `heytraders-mcp policy sign`")


@rule("R02_ACCOUNT_ALLOW", "order", "standing")
def accounts(case: Case) -> Objection | None:
    """Accounts by id."""
    allowed = case.limits.accounts
    if allowed is None or isinstance(case.action, PublicationTerms) or case.action.account_id in allowed:
        return None
    return deny(
        f"account {show(case.action.account_id or 'unknown')} is not among the accounts that the policy allows",
        SIGN,
        limit=_listed(allowed),
        observed=case.action.account_id or "unknown",
    )


@rule("R03_VENUE_ALLOW")
def venues(case: Case) -> Objection | None:
    """Market types and exchanges. They are taken from the account, not from the caller."""
    order, account = case.order, case.facts.account
    for what, value, own in (
        ("exchange", order.exchange, account and account.exchange),
        ("market type", order.market_type, account and account.market_type),
    ):
        if own and own.casefold() != value:
            return deny(
                f"account {show(order.account_id)} is a {show(own)} account, and the order names the {what} {value}",
                f"Use an account of {order.exchange}, or the account's own {what}",
                limit=own,
                observed=value,
            )
    for what, value, allowed in (
        ("market type", order.market_type, case.limits.market_types),
        ("exchange", order.exchange, case.limits.exchanges),
    ):
        if allowed is not None and value not in allowed:
            return deny(f"{what} {value} is not allowed", SIGN, limit=_listed(allowed), observed=value)
    return None


@rule("R04_SYMBOL_ALLOW")
def symbols(case: Case) -> Objection | None:
    """Allowed symbols, by exact match, and forbidden symbols, which override them."""
    symbol, allowed = case.order.symbol, case.limits.symbols
    if symbol in case.limits.forbidden_symbols:
        return deny(f"symbol {show(symbol)} is forbidden", SIGN, observed=symbol)
    if allowed is None or symbol in allowed:
        return None
    return deny(f"symbol {show(symbol)} is not allowed", SIGN, limit=_listed(allowed), observed=symbol)


@rule("R05_ORDER_TYPE")
def order_types(case: Case) -> Objection | None:
    """Order types. A market order can be suggested as a limit order at the edge of the collar."""
    order, allowed = case.order, case.limits.order_types
    if allowed is None or order.order_type in allowed:
        return None
    return deny(
        f"order_type {order.order_type} is not allowed",
        f"Use one of {_listed(allowed)}" if allowed else SIGN,
        limit=_listed(allowed),
        observed=order.order_type,
        repaired=_as_limit(case, allowed),
    )


@rule("R06_SANITY", "order", "standing", "publication")
def sanity(case: Case) -> Objection | None:
    """The order must be accepted by the API's request model, in canonical notation."""
    try:
        sane = _unchanged(case.order) if isinstance(case.action, OrderTerms) else _is_complete(case.action)
    except (ValidationError, HeyTradersError) as error:
        return deny(f"these terms are not valid ({_first(error)})", "Correct the call")
    if sane:
        return None
    return deny("these terms are not in the form that the exchange accepts", "Correct the call")


def _unchanged(order: OrderTerms) -> bool:
    written = instrument(order.symbol, order.exchange).symbol
    kind_of_market = EXCHANGES[order.exchange].market_type
    request = order.own_request
    return (
        all(getattr(request, name) == value for name, value in order if name != "kind")
        and order.symbol == written
        and order.market_type == kind_of_market
    )


def _is_complete(action: DeploymentTerms | PublicationTerms | OrderTerms) -> bool:
    if not isinstance(action, DeploymentTerms):
        return True
    if action.action == "resume":
        SwitchRequest.model_validate(
            {"strategy_id": action.strategy_id, "subscription_id": action.subscription_id or ""}
        )
        return True
    SubscribeRequest.model_validate(
        {"strategy_id": action.strategy_id, "mode": "trade", "account_id": action.account_id}
    )
    return action.subscription_id is None


def _as_limit(case: Case, allowed: Collection[str]) -> OrderTerms | None:
    """The same order as a limit order, as far from the market as the policy allows."""
    order, quote = case.order, case.facts.quote
    kind = next((kind for kind in ("limit", "GTC", "FOK") if kind in allowed), None)
    if kind is None or order.order_type != "market" or quote is None:
        return None
    reach = min(limit for limit in (case.limits.collar, case.limits.collar_major, _REACH) if limit is not None)
    price = quote.price * (1 + reach if order.side == "buy" else 1 - reach)
    price = rounded(price, ROUND_DOWN if order.side == "buy" else ROUND_UP)
    return order.model_copy(update={"order_type": kind, "price": price})


_REACH: Final = Decimal("0.01")


def _listed(allowed: Collection[str]) -> str:
    return ", ".join(sorted(allowed)) or "none"


def _first(error: ValidationError | HeyTradersError) -> str:
    if isinstance(error, HeyTradersError):
        return error.message
    found = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(map(str, found["loc"])) or found.get("ctx", {}).get("field", "")
    return f"{field} {found['msg']}".strip()


@rule("R07_MAX_AMOUNT")
def amount(case: Case) -> Objection | None:
    """Base units per symbol; a symbol without a number is denied."""
    table, order = case.limits.max_amount, case.order
    if table is None:
        return None
    allowed = table.get(order.symbol)
    if allowed is None:
        return deny(f"the policy has no max_amount for {show(order.symbol)}", SIGN, observed=plain(order.amount))
    if order.amount <= allowed:
        return None
    return deny(
        f"amount {plain(order.amount)} is above the {plain(allowed)} allowed for {order.symbol}",
        f"Use an amount of at most {plain(allowed)}",
        limit=plain(allowed),
        observed=plain(order.amount),
        unit="base units",
        repaired=case.smaller(allowed, order.amount),
    )


@rule("R08_MAX_NOTIONAL")
def notional(case: Case) -> Objection | None:
    """USD of one order."""
    allowed = case.limits.max_notional
    if allowed is None or case.usd <= allowed:
        return None
    smaller = case.smaller(allowed, case.usd)
    return deny(
        f"the order is worth {plain(case.usd)} USD at worst, above the {plain(allowed)} USD allowed for one order",
        at_most(smaller, SIGN),
        limit=plain(allowed),
        observed=plain(case.usd),
        unit="USD",
        repaired=smaller,
    )


@rule("R09_WORST_CASE")
def valued(case: Case) -> Objection | None:
    """An order that cannot be valued is denied if any limit counts money."""
    if counts_money(case.limits) and case.worth.usd is None:
        return deny(f"{case.worth.missing}, so the order cannot be valued", "Try again once it is known")
    return None


def counts_money(limits: Limits) -> bool:
    """Whether any limit needs the value of an order."""
    return any(
        limit is not None
        for limit in (
            limits.max_notional,
            limits.daily_notional,
            limits.position_usd,
            limits.position_share,
            limits.exposure_share,
        )
    ) or (limits.ask_a_human and limits.automatic_up_to > 0)


@rule("R11_LEVERAGE")
def leverage(case: Case) -> Objection | None:
    """Leverage of perpetuals. If left out, the account's own setting applies, which is not known here."""
    allowed, order = case.limits.max_leverage, case.order
    if allowed is None or order.market_type != "perpetual":
        return None
    if order.leverage is not None and order.leverage <= allowed:
        return None
    said = "not stated, so it would be the account's own" if order.leverage is None else str(order.leverage)
    return deny(
        f"leverage is {said}; at most {allowed} is allowed",
        f"State a leverage of at most {allowed}" if allowed else SIGN,
        limit=str(allowed),
        observed="not stated" if order.leverage is None else str(order.leverage),
        repaired=order.model_copy(update={"leverage": allowed if order.leverage else 1}) if allowed else None,
    )


MAJORS: Final = frozenset({"ADA", "AVAX", "BNB", "BTC", "DOGE", "ETH", "LINK", "SOL", "TRX", "XRP"})
"""The ten large assets with the narrower collar."""

_MINUTE: Final = 60
_FRESH_SECONDS: Final = 10
_FADED_SECONDS: Final = 150
_LEAST_SHARE: Final = Decimal("0.25")


@rule("R10_COLLAR")
def collar(case: Case) -> Objection | None:
    """Distance of a limit price from a recent market price. The older that price, the narrower the collar."""
    order, quote, old = case.order, case.facts.quote, case.limits.quote_age
    reach = None if order.price is None else _reach(case)
    if reach is None and old is None:
        return None
    if quote is None or case.worth.price is None:
        raise Missing(case.worth.missing)
    if old is not None and abs(quote.age) > old:
        return deny(
            f"the market price is {seconds(quote.age)} s old; it is valid for {old} s",
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
    """The remaining share of the collar: all of it for 10 s, then less each second, down to a quarter.

    The market may have moved since the price was read, and by more the older the price is.
    """
    if age <= _FRESH_SECONDS:
        return Decimal(1)
    return max(_LEAST_SHARE, (_FADED_SECONDS - Decimal(str(age))) / (_FADED_SECONDS - _FRESH_SECONDS))


def _reach(case: Case) -> Decimal | None:
    """Maximum distance of a price from the market: a share of it, or a difference on prediction markets."""
    limits, order = case.limits, case.order
    if order.market_type == "prediction":
        return limits.collar_probability
    shares = [limits.collar]
    if instrument(order.symbol, order.exchange).base in MAJORS:
        shares.append(limits.collar_major)
    return min((share for share in shares if share is not None), default=None)


def _beyond(order: OrderTerms, price: Decimal, market: Decimal, reach: Decimal) -> Objection | None:
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
    """An own resting order on the other side that this order would trade with."""
    if not case.limits.no_self_trade:
        return None
    order = case.order
    met = next((resting for resting in case.account.open_orders if _meets(order, resting)), None)
    if met is None:
        return None
    at = "without a price" if met.price is None else f"at {plain(met.price)}"
    return deny(
        f"the account has a {met.side} order of {order.symbol} {at}, and this order would trade against it",
        "Cancel that order first, or use a price that does not cross it",
        observed=at,
    )


def _meets(order: OrderTerms, resting: RestingOrder) -> bool:
    """Whether both would trade with each other.

    A stop is not in the order book until its price is reached. A plan's target lies away from the market, out of reach
    of a market order.
    """
    if resting.is_exit and (resting.role != "take_profit" or order.price is None):
        return False
    if resting.side == order.side or not same_symbol(order, resting.symbol):
        return False
    if order.price is None or resting.price is None:
        return True
    return order.price >= resting.price if order.side == "buy" else order.price <= resting.price


def same_symbol(order: OrderTerms, symbol: str) -> bool:
    """Whether an account's symbol is the order's, in any notation of the service."""
    try:
        return instrument(symbol, order.exchange) == instrument(order.symbol, order.exchange)
    except HeyTradersError:
        return False

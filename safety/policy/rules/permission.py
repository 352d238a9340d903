"""What may be traded at all: mode, accounts, venues, symbols, order types, and orders that make sense. R01 to R06."""

from __future__ import annotations

from collections.abc import Collection
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Final

from pydantic import ValidationError

from api.errors import HeyTradersError, show
from api.exchanges import EXCHANGES
from api.live import SubscribeRequest, SwitchRequest
from safety.policy.valuation import instrument
from safety.terms.proposal import Order, Publication, Standing

from .case import SIGN, Case, Objection, deny, rounded, rule


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
    if allowed is None or isinstance(case.action, Publication) or case.action.account_id in allowed:
        return None
    return deny(
        f"account {show(case.action.account_id or 'unknown')} is not among the accounts that the policy allows",
        SIGN,
        limit=_listed(allowed),
        observed=case.action.account_id or "unknown",
    )


@rule("R03_VENUE_ALLOW")
def venues(case: Case) -> Objection | None:
    """Kinds of market, and exchanges. Which of them an account trades on is the account's to say, not the caller's."""
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
    """Exact symbols, and symbols that are forbidden whatever else is allowed."""
    symbol, allowed = case.order.symbol, case.limits.symbols
    if symbol in case.limits.forbidden_symbols:
        return deny(f"symbol {show(symbol)} is forbidden", SIGN, observed=symbol)
    if allowed is None or symbol in allowed:
        return None
    return deny(f"symbol {show(symbol)} is not allowed", SIGN, limit=_listed(allowed), observed=symbol)


@rule("R05_ORDER_TYPE")
def order_types(case: Case) -> Objection | None:
    """Order types. A market order can become a limit order at the edge of what the collar allows."""
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
    """An order is exactly what the API's own request model would accept, written as it would write it."""
    try:
        sane = _unchanged(case.order) if isinstance(case.action, Order) else _is_complete(case.action)
    except (ValidationError, HeyTradersError) as error:
        return deny(f"these terms are not valid ({_first(error)})", "Correct the call")
    if sane:
        return None
    return deny("these terms are not written as the exchange takes them", "Correct the call")


def _unchanged(order: Order) -> bool:
    written = instrument(order.symbol, order.exchange).symbol
    kind_of_market = EXCHANGES[order.exchange].market_type
    return (
        Order.model_validate(order.own_request.model_dump()) == order
        and order.symbol == written
        and order.market_type == kind_of_market
    )


def _is_complete(action: Standing | Publication | Order) -> bool:
    if not isinstance(action, Standing):
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


def _as_limit(case: Case, allowed: Collection[str]) -> Order | None:
    """The same order as a limit order, as far from the market as a human has allowed."""
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

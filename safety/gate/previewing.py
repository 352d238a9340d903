"""What the policy would say to an order now, what the limits leave, and whether the account could carry it out.

Nothing is booked and nothing is sent. The doubts are words beside the decision and never a part of it.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final, Literal

from anyio import to_thread

from api.accounts import ACCOUNTS_BALANCES, Balance, BalancesRequest, BalancesResponse
from api.errors import HeyTradersError
from api.orders import PlaceRequest
from safety.face import Left, Preview
from safety.looking.judging import Looked
from safety.policy.remaining import Remaining, left
from safety.policy.valuation import worth
from safety.terms.decision import Outcome, finding_report
from safety.terms.facts import Facts
from safety.terms.proposal import Order

from .footing import Footing
from .wording import time

WORDS: Final[dict[Outcome, Literal["pass", "require", "deny"]]] = {
    Outcome.PASS: "pass",
    Outcome.REQUIRE: "require",
    Outcome.DENY: "deny",
}


async def preview(footing: Footing, request: PlaceRequest) -> Preview:
    """Look and decide, as if it were placed."""
    order = Order.of(request)
    looked = await footing.judge.look(order)
    facts = await to_thread.run_sync(_with_usage, footing, looked)
    decision = looked.decide(facts.usage, facts.switch)
    worst = decision.worst if decision.outcome else None
    priced = facts
    if facts.quote is None and looked.settled is None:
        priced = await footing.judge.gathering.facts(order, frozenset({"quote", "usd_rate"}), looked.channel)
    quote, value = priced.quote, decision.notional_usd or worth(order, priced).usd
    mended = decision.suggestion
    return Preview(
        decision=WORDS[decision.outcome],
        notional_usd=None if value is None else float(value),
        rule=worst.rule if worst else None,
        reason=worst.reason if worst else None,
        way_out=worst.way_out if worst else None,
        findings=[finding_report(finding) for finding in decision.against],
        suggestion=mended and mended.model_dump(mode="json", exclude={"kind", "market_type"}, exclude_none=True),
        left=[shown_limit(each) for each in left(looked.loaded.policy, facts, order)],
        quote=None if quote is None else float(quote.price),
        doubts=doubts(request, await _held(footing, request), None if quote is None else quote.price),
        paper=looked.channel.money == "paper",
    )


async def _held(footing: Footing, request: PlaceRequest) -> BalancesResponse | None:
    """What the account holds; `None` where it does not say so now."""
    try:
        return await footing.client.call(ACCOUNTS_BALANCES, BalancesRequest(account_id=request.account_id))
    except HeyTradersError:
        return None


def doubts(order: PlaceRequest, held: BalancesResponse | None, quote: Decimal | None) -> list[str]:
    """What speaks against an order that the policy may well allow, in full sentences.

    Args:
        order: As it would be placed.
        held: What its account holds; `None` where that is not known.
        quote: Latest price, quote currency per unit; `None` where it is not known.
    """
    funds = ["the account does not say now what it holds"] if held is None else _funds(order, held, quote)
    return [*funds, *_crossing(order, quote)]


def _funds(order: PlaceRequest, held: BalancesResponse, quote: Decimal | None) -> list[str]:
    price = order.price or quote
    base, _, rest = order.symbol.partition("/")
    currency = rest.partition(":")[0]
    if order.exchange == "polymarket":
        base, currency = order.symbol.partition("/")[0], "USDC"
    position = _position(held, base)
    if order.market_type == "perpetual":
        opening = order.amount - (abs(position) if _reduces(order, position) else 0)
        if price is None or opening <= 0:
            return []
        return _short_of(opening * price / (order.leverage or 1), currency, held, "margin")
    if order.side == "buy":
        return [] if price is None else _short_of(order.amount * price, currency, held, "the purchase")
    free = position if order.market_type == "prediction" else _free(held, base)
    if order.amount <= free:
        return []
    return [f"the account has {free:f} {base[:20]} to sell, and the order sells {order.amount:f}"]


def _short_of(needed: Decimal, currency: str, held: BalancesResponse, what: str) -> list[str]:
    free = _free(held, currency)
    if needed <= free:
        return []
    return [f"{what} needs {needed:.8f} {currency} before fees, and {free:f} {currency} is free"]


def _crossing(order: PlaceRequest, quote: Decimal | None) -> list[str]:
    if order.price is None or quote is None or order.order_type == "FOK":
        return []
    through = order.price - quote if order.side == "buy" else quote - order.price
    if through < 0:
        return []
    share = 100 * through / quote
    return [
        f"the limit of {order.price:f} is {share:.1f} % through the market at {quote:f}: it would fill at once, as a"
        " market order does"
    ]


def _position(held: BalancesResponse, base: str) -> Decimal:
    """Signed units of the position in `base`; 0 without one."""
    sizes = (p.size if p.side != "short" else -p.size for p in held.positions if p.symbol.partition("/")[0] == base)
    return sum(sizes, Decimal(0))


def _reduces(order: PlaceRequest, position: Decimal) -> bool:
    return position < 0 if order.side == "buy" else position > 0


def _free(held: BalancesResponse, asset: str) -> Decimal:
    row: Balance | None = next((each for each in held.balances if each.asset == asset), None)
    return Decimal(0) if row is None else row.free


def shown_limit(each: Remaining) -> Left:
    """One limit as a tool shows it."""
    resets = None if each.resets_at is None else time(each.resets_at)
    return Left(rule=each.rule, limit=each.limit, left=each.left, unit=each.unit, resets_at=resets)


def _with_usage(footing: Footing, looked: Looked) -> Facts:
    usage = looked.marked(footing.ledger.usage(looked.channel.money, looked.action))
    return replace(looked.facts, usage=usage, switch=footing.ledger.switch().state)

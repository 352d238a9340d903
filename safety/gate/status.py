"""Reports the state of the safety layer, for tools and for the two resources. Makes no requests to the service."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

from anyio import to_thread

from api.accounts import ACCOUNTS_BALANCES, Balance, BalancesRequest, BalancesResponse
from api.errors import HeyTradersError, NotFound, show
from api.exchanges import EXCHANGES
from api.market import MARKET_TICKERS, Ticker, TickersRequest
from api.orders import Order as ShownOrder
from api.orders import PlaceRequest, wrong_side
from api.symbols import resolve
from safety.face import IntentReport, Left, Preview, SafetyStatus
from safety.gate.halting import ANY_ORDER
from safety.gate.judging import Assessment
from safety.gate.orders import refreshed, refuse_what_the_exchange_does_not_take, refuse_where_there_are_no_plans
from safety.gate.wording import intent_report, time, waiting
from safety.ledger.journal import Event
from safety.ledger.switch import Switch
from safety.policy.case import worth
from safety.policy.evaluation import Policy
from safety.policy.explain import Remaining, explained_markdown, left
from safety.policy.limits import Limits
from safety.terms.facts import Facts, Outcome, finding_report
from safety.terms.intent import LABEL_PREFIX, IntentState
from safety.terms.proposal import Money, OrderTerms

if TYPE_CHECKING:
    from safety.gate import GateContext


UNRESOLVED: Final[frozenset[IntentState]] = frozenset({"SENT", "UNKNOWN", "ABSENT"})
MAX_BODY: Final = 300
"""Maximum characters of an event's body in the journal resource."""


def _status(context: GateContext) -> SafetyStatus:
    ledger = context.ledger
    ledger.expire_due()
    loaded, _, assured = context.judge.in_force()
    switch = ledger.switch()
    money = shown_money(context, loaded.policy)
    usage = ledger.usage(money, ANY_ORDER)
    facts = Facts(context.now(), money, switch.state, assured.level, usage=usage)
    limits = loaded.policy.limits(money)
    pending = ledger.intents(states={"PENDING"}, service=context.services)
    unresolved = ledger.intents(states=UNRESOLVED, service=context.services)
    return SafetyStatus(
        mode=_mode(money, limits),
        switch=switch.state,
        switch_reason=switch.reason or None,
        assurance=assured.level,
        assurance_reason=f"{assured.reason} {assured.raised_by and f'To raise it: {assured.raised_by}'}".strip(),
        policy=loaded.origin,
        limits=[shown_limit(each) for each in left(loaded.policy, facts)],
        pending=[waiting(intent) for intent in pending],
        unresolved=[intent.intent_id for intent in unresolved],
        warnings=list(loaded.warnings),
        next_step=_next_step(switch, limits, bool(pending), bool(unresolved)),
    )


def shown_money(context: GateContext, policy: Policy) -> Money:
    """The kind of money whose limits are shown: real if any real account may trade here."""
    own = context.channels.common.money
    return "real" if own == "paper" and context.channels.connected() and policy.limits("real").trading else own


def _mode(money: Money, limits: Limits) -> Literal["paper", "live", "off"]:
    if not limits.trading:
        return "off"
    return "paper" if money == "paper" else "live"


def _next_step(switch: Switch, limits: Limits, pending: bool, unresolved: bool) -> str | None:  # noqa: FBT001
    if switch.state != "ACTIVE":
        return "Tell the user why it was stopped; only `heytraders-mcp release` ends it."
    if unresolved:
        return "Look at the unresolved intents with order_intent; never repeat them."
    if pending:
        return "Ask the user to run `heytraders-mcp approve`."
    return None if limits.trading else "Only the user can switch trading on, with `heytraders-mcp policy sign`."


def _relabelled(order: ShownOrder, actions: dict[str, object]) -> ShownOrder:
    action = actions.get(order.label or "")
    return order.model_copy(update={"label": action.label}) if isinstance(action, OrderTerms) else order


def _line(event: Event) -> str:
    body = json.dumps(dict(event.body), ensure_ascii=True, separators=(",", ":"), default=str)
    shown = body if len(body) <= MAX_BODY else f"{body[:MAX_BODY]}…"
    return f"* {event.seq} {time(event.at)} **{event.kind}** {event.subject} `{shown.replace('`', chr(39))}`"


WORDS: Final[dict[Outcome, Literal["pass", "require", "deny"]]] = {
    Outcome.PASS: "pass",
    Outcome.REQUIRE: "require",
    Outcome.DENY: "deny",
}


@dataclass(frozen=True, slots=True)
class Reports:
    """Reports for tools and for the two resources.

    Attributes:
        context: The gate's context.
    """

    context: GateContext

    async def preview(self, request: PlaceRequest) -> Preview:
        """Judge the order as if it were placed."""
        order = OrderTerms.of(request)
        refuse_where_there_are_no_plans(self.context, order)
        assessment = await self.context.judge.assess(order)
        await refuse_what_the_exchange_does_not_take(self.context, assessment)
        facts = await to_thread.run_sync(_with_usage, self.context, assessment)
        decision = assessment.decide(facts.usage, facts.switch)
        worst = decision.worst if decision.outcome else None
        priced = facts
        if facts.quote is None and assessment.settled is None:
            priced = await self.context.judge.gathering.facts(
                order, frozenset({"quote", "usd_rate"}), assessment.channel
            )
        quote, value = priced.quote, decision.notional_usd or worth(order, priced).usd
        repaired = decision.suggestion
        return Preview(
            decision=WORDS[decision.outcome],
            notional_usd=None if value is None else float(value),
            rule=worst.rule if worst else None,
            reason=worst.reason if worst else None,
            what_to_do=worst.what_to_do if worst else None,
            findings=[finding_report(finding) for finding in decision.against],
            suggestion=repaired
            and repaired.model_dump(mode="json", exclude={"kind", "market_type"}, exclude_none=True),
            left=[shown_limit(each) for each in left(assessment.loaded.policy, facts, order)],
            quote=None if quote is None else float(quote.price),
            doubts=[
                *unknowns(order, priced, value),
                *doubts(request, await _held(self.context, request), None if quote is None else quote.price),
                *steps(request, await _listed(self.context, request), None if quote is None else quote.price),
            ],
            paper=assessment.channel.money == "paper",
        )

    async def status(self) -> SafetyStatus:
        """Mode, limits and what is left of each, pending and unknown intents, the switch, the assurance level."""
        return await to_thread.run_sync(_status, self.context)

    async def intent(self, intent_id: str) -> IntentReport:
        """The outcome of an intent, with the current state of its order.

        Raises:
            NotFound: There is no such intent here. The text is the same for another home's intent and for one that
                never existed.
        """
        await to_thread.run_sync(self.context.ledger.expire_due)
        intent = await to_thread.run_sync(self.context.ledger.intent, intent_id)
        if intent is None or intent.proposal.service not in self.context.services:
            raise NotFound(
                f"there is no intent {show(intent_id)} here",
                suggestion="Copy intent_id from the call that returned it, or from safety_status.",
                code="INTENT_NOT_FOUND",
            )
        return intent_report(await refreshed(self.context, intent))

    async def policy_text(self) -> str:
        """The policy in force as markdown."""
        loaded, _, assured = await to_thread.run_sync(self.context.judge.in_force)
        money = shown_money(self.context, loaded.policy)
        lines = [
            "# Safety policy",
            "",
            f"In force: {loaded.origin}.",
            *(f"Warning: {warning}." for warning in loaded.warnings),
            f"Assurance: {assured}",
            "",
            f"## Limits for {'paper accounts' if money == 'paper' else 'real money'}",
            "",
            explained_markdown(loaded.policy, money),
            "",
            "Only the user changes it, with `heytraders-mcp policy sign`. Editing policy.toml alone only tightens it.",
        ]
        return "\n".join(lines) + "\n"

    async def journal_text(self, limit: int) -> str:
        """The newest events as markdown, newest first."""
        events = await to_thread.run_sync(lambda: self.context.ledger.events(limit=limit, newest=True))
        lines = ["# Safety journal", "", *(_line(event) for event in reversed(events))]
        return "\n".join(lines if events else [*lines, "Nothing has happened yet."]) + "\n"

    async def own_labels(self, orders: list[ShownOrder]) -> list[ShownOrder]:
        """The same orders with the caller's labels in place of ours."""
        ours = {order.label for order in orders if order.label and order.label.startswith(f"{LABEL_PREFIX}:")}
        if not ours:
            return orders
        known = await to_thread.run_sync(self.context.ledger.by_label, ours)
        return [
            _relabelled(order, {label: intent.proposal.action for label, intent in known.items()}) for order in orders
        ]


async def _held(context: GateContext, request: PlaceRequest) -> BalancesResponse | None:
    """The account's balances; `None` if they cannot be read now."""
    try:
        return await context.client.call(ACCOUNTS_BALANCES, BalancesRequest(account_id=request.account_id))
    except HeyTradersError:
        return None


async def _listed(context: GateContext, request: PlaceRequest) -> Ticker | None:
    """The market of an order, if its steps are known and can be read now; the hosted service shows none."""
    if not context.channels.steps_listed:
        return None
    instrument = resolve(request.symbol, request.exchange)
    terms = {"exchange": request.exchange, "search": instrument.base, "limit": 500}
    try:
        answer = await context.client.call(MARKET_TICKERS, TickersRequest.model_validate(terms))
    except HeyTradersError:
        return None
    return next((each for each in answer.tickers if each.symbol == instrument.symbol), None)


def steps(order: PlaceRequest, listed: Ticker | None, quote: Decimal | None) -> list[str]:
    """The terms that its exchange does not take: off its steps, or below its smallest order.

    Args:
        order: The order to check.
        listed: Its market; `None` if not known.
        quote: Latest price, quote currency per unit; `None` if not known.
    """
    if listed is None:
        return []
    tick, price = listed.tick_size, order.price or quote
    least = EXCHANGES[order.exchange].minimum if listed.min_notional is None else listed.min_notional
    values = {"price": order.price, "stop_loss": order.stop_loss, "take_profit": order.take_profit}
    off = [(name, value, tick) for name, value in values.items() if value is not None and tick]
    found = [
        f"{name} {value:f} is not a multiple of {step:f}, the step of {order.symbol} on {order.exchange}"
        for name, value, step in [("amount", order.amount, listed.lot_size), *off]
        if step and value % step
    ]
    if price is not None and order.amount * price < least:
        worth = (order.amount * price).normalize()
        found.append(f"the order is worth {worth:f}, less than the smallest order of {least:f} on {order.exchange}")
    return found


def unknowns(order: OrderTerms, facts: Facts, value: Decimal | None) -> list[str]:
    """What of a preview could not be computed, and what follows.

    Args:
        order: The order to check.
        facts: What was read, with the price if there is one.
        value: What the order is worth, USD; `None` if not known.
    """
    if facts.quote is None:
        return [
            f"there is no price of {order.symbol} now, so quote is missing: how far a limit price is from the market"
            " and what a market order costs are not known, and a limit that needs either denies the order"
        ]
    if value is None and facts.usd_rate is None:
        currency = resolve(order.symbol, order.exchange).quote
        return [f"there is no rate from {currency} to USD now, so notional_usd is missing, and a limit in USD denies"]
    return []


def doubts(order: PlaceRequest, held: BalancesResponse | None, quote: Decimal | None) -> list[str]:
    """Doubts about an order that the policy may still allow, in full sentences.

    Args:
        order: The order to check.
        held: The balances of its account; `None` if not known.
        quote: Latest price, quote currency per unit; `None` if not known.
    """
    funds = ["the account does not say now what it holds"] if held is None else _funds(order, held, quote)
    return [*funds, *_crossing(order, quote), *_exits(order, quote)]


def _funds(order: PlaceRequest, held: BalancesResponse, quote: Decimal | None) -> list[str]:
    price = order.price or quote
    base, _, rest = order.symbol.partition("/")
    currency = rest.partition(":")[0]
    if EXCHANGES[order.exchange].market_type == "prediction":
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
    return [f"{what} needs {round(needed, 8).normalize():f} {currency} before fees, and {free:f} {currency} is free"]


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


def _exits(order: PlaceRequest, quote: Decimal | None) -> list[str]:
    """Exits on the wrong side of the market, which placing would refuse."""
    wrong = wrong_side(order, quote, "the market price") if order.price is None else None
    return [] if wrong is None else [f"{wrong.field} {getattr(order, wrong.field):f} {wrong.rule}"]


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


def _with_usage(context: GateContext, assessment: Assessment) -> Facts:
    usage = assessment.marked(context.ledger.usage(assessment.channel.money, assessment.action))
    return replace(assessment.facts, usage=usage, switch=context.ledger.switch().state)

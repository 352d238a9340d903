"""How things stand between the agent and the money, for tools and for the two resources. Asks the service nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Final, Literal

from anyio import to_thread

from api.errors import NotFound
from api.orders import Order as ShownOrder
from api.text import show
from safety.face import IntentReport, SafetyStatus
from safety.ledger import Event, Switch
from safety.policy.explain import explained_markdown
from safety.policy.limits import Limits
from safety.policy.policy import Policy
from safety.policy.remaining import left
from safety.terms.channel import Money
from safety.terms.facts import Facts
from safety.terms.intent import LABEL_PREFIX
from safety.terms.proposal import Order
from safety.terms.states import State

from .following import looked_at
from .footing import Footing
from .previewing import shown_limit
from .wording import intent_report, time, waiting

UNRESOLVED: Final[frozenset[State]] = frozenset({"SENT", "UNKNOWN", "ABSENT"})
MAX_BODY: Final = 300
"""Characters of an event's body in the journal resource."""

ANY_ORDER: Final = Order(
    account_id="-",
    exchange="binance",
    market_type="spot",
    symbol="-",
    side="buy",
    order_type="market",
    amount=Decimal(1),
)
"""For usage that is the same for all orders."""


async def status(footing: Footing) -> SafetyStatus:
    """Mode, limits and what is left of them, what waits, what is not known, the switch, the assurance level."""
    return await to_thread.run_sync(_status, footing)


def _status(footing: Footing) -> SafetyStatus:
    ledger = footing.ledger
    ledger.expire_due()
    loaded, _, assured = footing.judge.standing()
    switch = ledger.switch()
    money = shown_money(footing, loaded.policy)
    usage = ledger.usage(money, ANY_ORDER)
    facts = Facts(footing.now(), money, switch.state, assured.level, usage=usage)
    limits = loaded.policy.limits(money)
    pending = ledger.intents(states={"PENDING"}, service=footing.services)
    unresolved = ledger.intents(states=UNRESOLVED, service=footing.services)
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


def shown_money(footing: Footing, policy: Policy) -> Money:
    """The kind of money whose limits people look at: real where any real account may trade here."""
    own = footing.channels.common.money
    return "real" if own == "paper" and footing.channels.connected() and policy.limits("real").trading else own


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


async def report(footing: Footing, intent_id: str) -> IntentReport:
    """What became of an intent, with its order as the service shows it now.

    Raises:
        NotFound: There is no such intent here. A foreign one and one that never was are told in the same words.
    """
    await to_thread.run_sync(footing.ledger.expire_due)
    intent = await to_thread.run_sync(footing.ledger.intent, intent_id)
    if intent is None or intent.proposal.service not in footing.services:
        raise NotFound(
            f"there is no intent {show(intent_id)} here",
            suggestion="Copy intent_id from the call that returned it, or from safety_status.",
            code="INTENT_NOT_FOUND",
        )
    return intent_report(await looked_at(footing, intent))


async def own_labels(footing: Footing, orders: list[ShownOrder]) -> list[ShownOrder]:
    """The same orders with the caller's labels in place of ours."""
    ours = {order.label for order in orders if order.label and order.label.startswith(f"{LABEL_PREFIX}:")}
    if not ours:
        return orders
    known = await to_thread.run_sync(footing.ledger.by_label, ours)
    return [_relabelled(order, {label: intent.proposal.action for label, intent in known.items()}) for order in orders]


def _relabelled(order: ShownOrder, actions: dict[str, object]) -> ShownOrder:
    action = actions.get(order.label or "")
    return order.model_copy(update={"label": action.label}) if isinstance(action, Order) else order


async def policy_text(footing: Footing) -> str:
    """The policy in force as markdown."""
    loaded, _, assured = await to_thread.run_sync(footing.judge.standing)
    money = shown_money(footing, loaded.policy)
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
        "Only the user changes it, with `heytraders-mcp policy sign`. Editing policy.toml alone can only tighten it.",
    ]
    return "\n".join(lines) + "\n"


async def journal_text(footing: Footing, limit: int) -> str:
    """The newest events as markdown, newest first."""
    events = await to_thread.run_sync(lambda: footing.ledger.events(limit=limit, newest=True))
    lines = ["# Safety journal", "", *(_line(event) for event in reversed(events))]
    return "\n".join(lines if events else [*lines, "Nothing has happened yet."]) + "\n"


def _line(event: Event) -> str:
    body = json.dumps(dict(event.body), ensure_ascii=True, separators=(",", ":"), default=str)
    shown = body if len(body) <= MAX_BODY else f"{body[:MAX_BODY]}…"
    return f"* {event.seq} {time(event.at)} **{event.kind}** {event.subject} `{shown.replace('`', chr(39))}`"

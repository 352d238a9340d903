"""Applies the policy in force to an action: read the facts first, then decide with the ledger's numbers.

Reading facts is slow and waits for the service. Deciding is pure and quick, so it can run inside a transaction of the
ledger: once when an action is admitted, and again when its only attempt is claimed. An exit is judged by the entry that
was approved with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from api.errors import Unavailable, clean, show
from safety.gate.gathering import Gathering
from safety.human.in_force import Approver, AssuranceLevel, Loaded, assurance_of, covers, load, signed_by, trusted
from safety.policy import account, orders
from safety.policy.evaluation import Need, Trip, evaluate, findings_of, needs, tripped
from safety.policy.limits import Limits
from safety.terms.facts import Facts, Outcome, PolicyDecision, SwitchState, Usage
from safety.terms.intent import GO, Intent, IntentState, Verdict, stop
from safety.terms.proposal import Action, Channel, Channels, OrderTerms, account_of

if TYPE_CHECKING:
    from safety.ledger import Ledger
    from safety.ledger.switch import Switch

FACTLESS: Final = (orders.mode, orders.accounts, orders.venues, orders.symbols, orders.sanity)
"""Rules that need no facts. Their denials come before any request to the service."""

MOST_STANDING: Final = 1000
"""How many placed intents are searched for a strategy's deployment, newest first."""

MAX_MOVER: Final = 80
"""Maximum characters of who moved the switch."""
LOOK_SECONDS: Final = 14.0
"""Time limit for reading facts: a tool has 45 s, and the one request that sends an order may take 30 s."""
_SHOWN: Final[frozenset[Need]] = frozenset({"quote", "usd_rate"})
"""The facts behind the value of an order that a human sees."""

MAX_DRIFT: Final = Decimal("0.005")
"""How far the market may move between a human's question and the sending of a market order, as a fraction."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """All inputs of a decision about one action except the ledger's.

    Attributes:
        action: The action in question.
        channel: The channel of its account.
        loaded: The policy in force.
        facts: The gathered facts.
        approver: The key whose signatures count.
        assured: The strongest approval channel there is, and why.
        settled: A denial that no fact can change, so no facts were read.
        standing: The order comes from a strategy, whose standing approval replaces a human's approval of each order.
    """

    action: Action
    channel: Channel
    loaded: Loaded
    facts: Facts
    approver: Approver | None
    assured: AssuranceLevel
    settled: PolicyDecision | None = None
    standing: bool = False

    @property
    def limits(self) -> Limits:
        """The limits for the action's kind of money."""
        return self.loaded.policy.limits(self.channel.money)

    def decide(self, usage: Usage, switch: SwitchState, *, again: bool = False) -> PolicyDecision:
        """Apply the policy. Never raises.

        Args:
            usage: The ledger's numbers, read in the transaction that acts on the decision.
            switch: The kill switch.
            again: The action was admitted before and is about to be sent.
        """
        if self.settled is not None:
            return self.settled
        seen = self.facts if usage.at is None else self.facts.later(usage.at)
        facts = replace(seen, usage=self.marked(usage), switch=switch)
        return evaluate(self.action, self.loaded.policy, facts, again=again, approved=self.standing)

    def marked(self, usage: Usage) -> Usage:
        """The usage with this snapshot's equity if it is the first of the day or the highest."""
        equity = self.facts.account.equity_usd if self.facts.account else None
        if equity is None:
            return usage
        start = equity if usage.day_start_equity is None else usage.day_start_equity
        highest = equity if usage.high_water_equity is None else max(usage.high_water_equity, equity)
        return replace(usage, day_start_equity=start, high_water_equity=highest)

    def trip(self, usage: Usage) -> Trip | None:
        """The reason to engage the kill switch; `None` if there is none."""
        if self.settled is not None:
            return None
        return tripped(self.action, self.limits, replace(self.facts, usage=self.marked(usage)))

    def verdict(self, intent: Intent, usage: Usage, switch: SwitchState) -> Verdict:
        """Whether an admitted intent may be sent now."""
        decision = self.decide(usage, switch, again=True)
        if decision.outcome is Outcome.DENY and intent.signature and self._only_waits_for_a_price(decision):
            return stop(intent.state, f"it waits for a fresh price: {decision.worst.reason}")
        if decision.outcome is Outcome.DENY:
            state = "HALTED" if switch != "ACTIVE" else "DECLINED"
            return stop(state, f"{decision.worst.rule}: {decision.worst.reason}")
        if not intent.automatic and self._drifted(intent):
            return stop("EXPIRED_DRIFT", "the market has moved since the approval was requested; preview it again")
        if not covers(intent, decision, self.approver, self.limits):
            return stop(
                "DECLINED", (f"{decision.worst.rule}: a human's approval is needed, and the one given does not suffice")
            )
        return GO

    def _only_waits_for_a_price(self, decision: PolicyDecision) -> bool:
        """Whether the only objection is a stale price. The intent then waits until its deadline."""
        quote, old = self.facts.quote, self.limits.quote_age
        denied = [each.rule for each in decision.findings if each.outcome is Outcome.DENY]
        return denied == ["R10_COLLAR"] and quote is not None and old is not None and quote.age > old

    def _drifted(self, intent: Intent) -> bool:
        """Whether the market has moved too far since the approval.

        Limit orders have their own price, which the collar checks.
        """
        then, now = intent.proposal.quote, self.facts.quote
        if not isinstance(self.action, OrderTerms) or self.action.price is not None or then is None:
            return False
        return now is None or abs(now.price - then) > MAX_DRIFT * then


@dataclass(frozen=True, slots=True)
class Judge:
    """Reads facts and applies the policy in force.

    Attributes:
        home: Folder of the policy.
        ledger: The ledger of this home.
        gathering: Reads the facts.
        channels: Say whose money an account holds.
        key_in_environment: Whether the API key is in the environment, for the assurance level.
        started_by_client: Whether a client started this process, also for the assurance level.
    """

    home: Path
    ledger: Ledger
    gathering: Gathering
    channels: Channels
    key_in_environment: bool = False
    started_by_client: bool = False

    async def assess(
        self, action: Action, *, can_elicit: bool = False, subscription_id: str = "", priced: bool = False
    ) -> Assessment:
        """Gather the facts for the limits and for the question to a human.

        Args:
            action: The action in question.
            can_elicit: Whether the calling client can show a question.
            subscription_id: The deployed strategy that places the order; "" for other callers.
            priced: A human was shown a market price, to be compared with the current one.

        Raises:
            HeyTradersError: The service refuses a request for a reason that can be fixed.
        """
        with anyio.move_on_after(LOOK_SECONDS):
            return await self._assess(action, can_elicit=can_elicit, subscription_id=subscription_id, priced=priced)
        raise Unavailable(
            f"the service did not say within {LOOK_SECONDS:g} s what the limits need to know, so nothing was sent",
            suggestion="Try again later; meta_health says how the service is.",
        )

    async def _assess(self, action: Action, *, can_elicit: bool, subscription_id: str, priced: bool) -> Assessment:
        channel = await self.channels.of(action)
        (loaded, approver, assured), switch, echoed = await to_thread.run_sync(
            partial(self._moment, channel, can_elicit=can_elicit)
        )
        gathering = self.gathering
        limits = loaded.policy.limits(channel.money)
        moved = "" if switch.state == "ACTIVE" else f"{clean(switch.by, MAX_MOVER)}, because {show(switch.reason)}"
        bare = Facts(
            gathering.now(), channel.money, switch.state, assured.level, labels_echoed=echoed, switch_moved=moved
        )
        rules = (*FACTLESS, account.switch) if switch.state == "HALTED" else FACTLESS
        found, _ = findings_of(action, limits, bare, rules, tired=False)
        if any(finding.outcome is Outcome.DENY for finding in found):
            settled = PolicyDecision(Outcome.DENY, found, loaded.policy.hash)
            return Assessment(action, channel, loaded, bare, approver, assured, settled)
        wanted = needs(action, limits, switch.state)
        shown = _SHOWN if priced or can_elicit or limits.ask_a_human else frozenset[Need]()
        read = wanted | shown
        facts = await gathering.facts(action, read, channel) if read else bare
        if facts.quote is None and "quote" not in wanted and "account" not in wanted:
            facts = replace(facts, upstream_healthy=True)  # no fact that the limits need is missing
        facts = replace(facts, switch=switch.state, switch_moved=moved, assurance=assured.level, labels_echoed=echoed)
        standing = bool(subscription_id) and await to_thread.run_sync(
            self._has_standing_approval, action, channel, subscription_id, approver, limits
        )
        return Assessment(action, channel, loaded, facts, approver, assured, standing=standing)

    def _moment(
        self, channel: Channel, *, can_elicit: bool
    ) -> tuple[tuple[Loaded, Approver | None, AssuranceLevel], Switch, bool | None]:
        """Policy, approver, switch and whether labels come back, read from the ledger at one moment."""
        with self.ledger.moment():
            echoed = channel.labels_echoed
            if echoed is None:
                echoed = self.ledger.labels_echoed(channel.service)
            return self.in_force(can_elicit=can_elicit), self.ledger.switch(), echoed

    def _has_standing_approval(
        self, action: Action, channel: Channel, subscription_id: str, approver: Approver | None, limits: Limits
    ) -> bool:
        """Whether the last deployment or resumption of a subscription has a valid approval for this account."""
        placed = self.ledger.intents(states={"ACKED"}, service=(channel.service,), limit=MOST_STANDING)
        own = (each for each in placed if each.order_id == subscription_id and each.proposal.action.kind == "standing")
        intent = next(own, None)
        if intent is None or not isinstance(action, OrderTerms) or intent.proposal.money != channel.money:
            return False
        if account_of(intent.proposal.action) != action.account_id:
            return False
        span = limits.standing_seconds
        if span is not None and self.gathering.now() - (intent.sent_at or 0.0) > span:
            return False
        return signed_by(intent, approver) or (intent.automatic and not limits.ask_for_standing)

    def in_force(self, *, can_elicit: bool = False) -> tuple[Loaded, Approver | None, AssuranceLevel]:
        """The policy in force, the approver and the assurance level. Reads files and the ledger."""
        loaded, approver = load(self.home, self.ledger), trusted(self.home, self.ledger)
        assured = assurance_of(
            loaded,
            approver,
            can_elicit=can_elicit,
            key_in_environment=self.key_in_environment,
            started_by_client=self.started_by_client,
        )
        return loaded, approver, assured


EXIT: Final = "exit_sent"
"""Event kind: an exit of an approved order was sent. The subject is the order's intent."""

_PLACED: Final[frozenset[IntentState]] = frozenset({"ACKED", "SENT", "UNKNOWN", "ABSENT"})

_STRATEGY_ORDERS: Final = 1_000
"""How many placed orders are searched for those of a strategy, newest first."""


@dataclass(frozen=True, slots=True)
class SentExit:
    """An exit that is about to be sent: `role` is stop_loss or take_profit, `price` is its trigger.

    `again` says why an earlier one did not fill, for the journal.
    """

    account_id: str
    symbol: str
    side: str
    role: str
    price: Decimal
    amount: Decimal
    again: str = ""


def _opened_by_strategy(ledger: Ledger, intent: Intent, entry: OrderTerms) -> Decimal:
    """How much the newest orders of a deployment like this entry may have opened: one exit covers them together."""
    placed = ledger.intents(states=_PLACED, limit=_STRATEGY_ORDERS)
    like = (
        each.proposal.action
        for each in placed
        if (each.caller.tool, each.caller.client) == (intent.caller.tool, intent.caller.client)
    )
    same = (entry.account_id, entry.symbol, entry.side)
    return sum(
        (o.amount for o in like if isinstance(o, OrderTerms) and (o.account_id, o.symbol, o.side) == same), Decimal(0)
    )


def permit_exit(ledger: Ledger, label: str, order: SentExit) -> str:
    """Check whether an exit may be sent: it must match an exit of an order that passed this gate, as approved.

    Limits on entries do not apply, since an exit only closes an admitted position. A halt does apply: while the switch
    is HALTED, nothing is sent. Each exit is written to the journal first. A deployed strategy may move its own exits,
    and one exit may cover all that its orders opened. Blocking.

    Args:
        ledger: The ledger of this home.
        label: The label of the entry.
        order: The exit.

    Returns:
        The objection; "" if it may be sent.
    """
    intent = ledger.by_label({label}).get(label)
    entry = None if intent is None else intent.proposal.action
    if intent is None or not isinstance(entry, OrderTerms) or intent.state not in _PLACED:
        return "no order that passed the gate has this exit"
    if intent.digest != intent.proposal.digest:
        return "the approved order was changed in the ledger"
    approved = entry.stop_loss if order.role == "stop_loss" else entry.take_profit
    if intent.caller.origin:
        approved = order.price
    most = _opened_by_strategy(ledger, intent, entry) if intent.caller.origin else entry.amount
    same_place = (entry.account_id, entry.symbol) == (order.account_id, order.symbol)
    if not same_place or entry.side == order.side or approved != order.price or order.amount > most:
        return f"{order.side} {order.amount:f} {order.symbol} at {order.price:f} is not the exit that was approved"
    switch = ledger.switch()
    if switch.state == "HALTED":
        return f"the kill switch is HALTED ({switch.reason}); only `heytraders-mcp release` ends it"
    terms = {"role": order.role, "price": str(order.price), "amount": str(order.amount)}
    ledger.record(EXIT, subject=intent.intent_id, **terms, **({"again": order.again} if order.again else {}))
    return ""

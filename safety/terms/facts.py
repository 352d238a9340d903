"""Defines the facts for the rules, the findings of the rules, and the decision of the policy.

Facts are gathered before the rules run. A fact that could not be read is `None`, and the rules that need it deny. A
decision names the deciding rule, the limit, the observed value and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import IntEnum
from typing import Any, Literal

from safety.terms.proposal import Money, OrderTerms

SwitchState = Literal["ACTIVE", "REDUCING", "HALTED"]

Assurance = Literal["none", "elicitation", "passphrase", "separate"]
"""The strongest available approval channel.

None, the client's dialog, an approval signed with a passphrase, or that plus a server under another user or host than
the agent's.
"""


@dataclass(frozen=True, slots=True)
class Quote:
    """The market's latest price, quote currency per unit, and how old it is in seconds.

    `title` is the question of a prediction market, as the exchange words it.
    """

    price: Decimal
    age: float
    source: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """An open order of the account. `role` and `parent` are set for an exit of a plan, and `None` otherwise."""

    symbol: str
    side: str
    price: Decimal | None
    remaining: Decimal
    role: str | None = None
    parent: str | None = None

    @property
    def is_exit(self) -> bool:
        """Whether it can only close a position that an approved order opened."""
        return self.role is not None


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """A snapshot of the account.

    Attributes:
        age: Seconds since it was read.
        equity_usd: Total equity.
        free: Available units by asset.
        positions: Signed size by symbol, base units or tokens; spot holdings count by their asset's symbol.
        position_usd: Absolute value by symbol.
        open_orders: Resting orders.
        exchange: The account's venue; `None` if not known.
        market_type: The market type of that venue; `None` if not known.
    """

    age: float
    equity_usd: Decimal | None = None
    free: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    positions: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    position_usd: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    open_orders: tuple[RestingOrder, ...] = ()
    exchange: str | None = None
    market_type: str | None = None


@dataclass(frozen=True, slots=True)
class Similar:
    """An earlier intent on the same account, symbol and side that may still have effect."""

    intent_id: str
    state: str
    amount: Decimal
    price: Decimal | None
    age: float


@dataclass(frozen=True, slots=True)
class Usage:
    """The ledger's numbers at the moment of the decision, read in the transaction that books it.

    Sums and counts cover all intents with this kind of money that are reserved, sent, unknown or acknowledged. Intents
    that were definitely not placed (denied, declined, expired, rejected) do not count.

    Attributes:
        notional_24h: USD over the last 24 hours.
        notional_day: USD since midnight UTC.
        count_24h: Orders over the last 24 hours.
        count_day: Orders since midnight UTC.
        order_ages: Seconds since each order of the last minute was admitted, youngest first.
        similar: Earlier intents on this account, symbol and side, youngest first, of the last hour.
        reserved_symbol_usd: Admitted but not yet visible on the account, this account and symbol.
        reserved_usd: The same for all symbols of the account.
        unknown_here: Intents with unknown outcome on this account and symbol.
        unknown_anywhere: Intents with unknown outcome.
        in_flight_here: Intents being sent on this account and symbol.
        failures_in_a_row: Rejections and errors since the last acknowledged order.
        last_failure_age: Seconds.
        automatic_in_a_row: Orders that passed without a human since a human last approved one.
        pending: Intents that wait for a human.
        prompts_last_hour: Questions put to a human.
        declined_ages: Seconds since each of a human's refusals of the last hour, youngest first.
        day_start_equity: USD, the account's first snapshot of the UTC day.
        high_water_equity: USD, the account's highest snapshot.
        standing_active: Strategies that trade by themselves under an approval of ours.
        clock_went_back: The last event of the ledger lies in the future.
        at: When the ledger was read, Unix seconds; `None` if it was not.
    """

    notional_24h: Decimal = Decimal(0)
    notional_day: Decimal = Decimal(0)
    count_24h: int = 0
    count_day: int = 0
    order_ages: tuple[float, ...] = ()
    similar: Sequence[Similar] = ()
    reserved_symbol_usd: Decimal = Decimal(0)
    reserved_usd: Decimal = Decimal(0)
    unknown_here: int = 0
    unknown_anywhere: int = 0
    in_flight_here: int = 0
    failures_in_a_row: int = 0
    last_failure_age: float | None = None
    automatic_in_a_row: int = 0
    pending: int = 0
    prompts_last_hour: int = 0
    declined_ages: tuple[float, ...] = ()
    day_start_equity: Decimal | None = None
    high_water_equity: Decimal | None = None
    standing_active: int = 0
    clock_went_back: bool = False
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts that the rules may use.

    Attributes:
        now: Unix seconds.
        money: Simulated or real.
        switch: State of the kill switch.
        switch_moved: Who moved it and why, for display; empty while it is ACTIVE.
        assurance: The strongest approval channel.
        quote: The quote of the order's symbol.
        usd_rate: USD per unit of the order's quote currency.
        account: The order's account.
        usage: The ledger's numbers.
        clock_skew: Seconds between this clock and the service's.
        upstream_healthy: Whether the service answered lately.
        labels_echoed: Whether the service is known to return labels; `None` before it was seen.
        known_texts: Account ids, order ids and balances that a publication must not contain.
    """

    now: float
    money: Money
    switch: SwitchState = "ACTIVE"
    assurance: Assurance = "none"
    quote: Quote | None = None
    usd_rate: Decimal | None = None
    account: AccountFacts | None = None
    usage: Usage = Usage()
    clock_skew: float | None = None
    upstream_healthy: bool = True
    labels_echoed: bool | None = None
    known_texts: tuple[str, ...] = ()
    switch_moved: str = ""

    def later(self, now: float) -> Facts:
        """The same facts at a later moment, with market and account data aged accordingly."""
        late = max(0.0, now - self.now)
        quote, account = self.quote, self.account
        return replace(
            self,
            now=self.now + late,
            quote=quote and replace(quote, age=quote.age + late),
            account=account and replace(account, age=account.age + late),
        )


class Outcome(IntEnum):
    """Ordered from harmless to final; the worst of all rules decides."""

    PASS = 0
    REQUIRE = 1
    """A human has to approve this very action."""
    DENY = 2
    """No approval can change it."""


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The result of one rule for one action.

    Attributes:
        rule: Its id, such as `R08_MAX_NOTIONAL`.
        outcome: PASS, REQUIRE or DENY.
        reason: One sentence with the value and the limit; empty when it passes.
        limit: The allowed value.
        observed: The observed value, in the same unit.
        unit: Unit of both values, such as `USD`.
        window: The time span of a count or sum, such as `24h`.
        resets_at: Unix seconds when waiting alone would let it pass.
        what_to_do: What to do instead, as a sentence; never to repeat an action that may have happened.
        repaired: The order that this rule would let pass, if known.
    """

    rule: str
    outcome: Outcome = Outcome.PASS
    reason: str = ""
    limit: str | None = None
    observed: str | None = None
    unit: str | None = None
    window: str | None = None
    resets_at: float | None = None
    what_to_do: str = ""
    repaired: OrderTerms | None = None


@dataclass(frozen=True, slots=True)
class PolicyDecision:
    """The policy's decision on one action.

    Attributes:
        outcome: The worst of `findings`.
        findings: One for each rule, in the order of the table.
        policy_hash: Hash of the policy that decided, hexadecimal.
        notional_usd: The action's value, if money applies and the value is known.
        suggestion: A complete order that would not be denied (checked against the same facts), if known.
    """

    outcome: Outcome
    findings: tuple[RuleResult, ...]
    policy_hash: str
    notional_usd: Decimal | None = None
    suggestion: OrderTerms | None = None

    @property
    def worst(self) -> RuleResult:
        """The first finding with the decision's outcome."""
        return next(finding for finding in self.findings if finding.outcome is self.outcome)

    @property
    def against(self) -> tuple[RuleResult, ...]:
        """All findings that do not pass, worst first; of several with the same reason, only the first."""
        told: dict[str, RuleResult] = {}
        for finding in sorted((f for f in self.findings if f.outcome), key=lambda f: -f.outcome):
            told.setdefault(finding.reason, finding)
        return tuple(told.values())

    def report(self) -> dict[str, Any]:
        """The decision for the journal and the model, without unknown parts."""
        worst = self.worst
        parts: dict[str, Any] = {
            "decision": self.outcome.name.lower(),
            "policy_hash": self.policy_hash[:12],
            "notional_usd": None if self.notional_usd is None else format(self.notional_usd, "f"),
            "suggestion": None
            if self.suggestion is None
            else self.suggestion.model_dump(mode="json", exclude_none=True),
        }
        if self.outcome:
            parts |= finding_report(worst)
            parts["all"] = [finding_report(finding) for finding in self.against]
        return {name: value for name, value in parts.items() if value is not None}


def finding_report(finding: RuleResult) -> dict[str, Any]:
    """A finding for the journal and the model."""
    named = {
        "rule": finding.rule,
        "outcome": finding.outcome.name.lower(),
        "reason": finding.reason,
        "limit": finding.limit,
        "observed": finding.observed,
        "unit": finding.unit,
        "window": finding.window,
        "resets_at": finding.resets_at,
        "what_to_do": finding.what_to_do or None,
    }
    return {name: value for name, value in named.items() if value is not None}

"""The user's policy, and its judgement of one action. Pure and total: the worst finding wins, any failure is a denial.

The numbers in `LIVE` suit a small private account; a human may change them with a signature. No policy, signed or not,
can exceed `CEILINGS`.
"""

from __future__ import annotations

import decimal
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from safety.policy import account, conduct, orders, publishing
from safety.policy.account import RESTS
from safety.policy.case import EXACT, Case, OrderValue, Rule, worth
from safety.policy.limits import Limits, Tighter, Usd, meet
from safety.policy.orders import counts_money
from safety.terms.facts import Facts, Outcome, PolicyDecision, RuleResult, SwitchState
from safety.terms.proposal import Action, Money, OrderTerms, PublicationTerms, canonical_json

PAPER: Final = Limits()
"""Simulated money: no limits, until the user chooses to rehearse with some."""

LIVE: Final = Limits(
    trading=False,
    accounts=frozenset(),
    market_types=frozenset({"spot"}),
    symbols=frozenset(),
    order_types=frozenset({"limit", "GTC", "FOK"}),
    max_amount={},
    max_notional=Decimal(50),
    collar=Decimal("0.02"),
    collar_major=Decimal("0.01"),
    collar_probability=Decimal("0.05"),
    quote_age=75,
    max_leverage=1,
    daily_notional=Decimal(200),
    daily_count=20,
    seconds_between=5,
    per_minute=5,
    duplicate_seconds=120,
    repeat_seconds=120,
    open_orders=10,
    open_orders_symbol=3,
    position_usd=Decimal(200),
    position_share=Decimal("0.10"),
    exposure_share=Decimal("0.25"),
    daily_loss_usd=Decimal(50),
    daily_loss_share=Decimal("0.05"),
    drawdown_share=Decimal("0.15"),
    no_self_trade=True,
    rearm_after=5,
    cooldown_failures=3,
    halt_failures=6,
    one_unresolved=True,
    halt_unresolved=3,
    check_funds=True,
    clock_skew=5,
    snapshot_age=15,
    ask_a_human=True,
    automatic_up_to=Decimal(0),
    elicitation_up_to=Decimal(0),
    ask_for_standing=True,
    max_standing=1,
    standing_seconds=7 * 86_400,
    webhook_hosts=frozenset(),
    public_webhooks=True,
    ask_to_publish=True,
)
"""Real money before the first signature: nothing trades. Fields that a signed policy leaves out keep these values."""


CEILINGS: Final = Limits(
    max_notional=Decimal(1_000),
    collar=Decimal("0.10"),
    collar_major=Decimal("0.10"),
    collar_probability=Decimal("0.20"),
    quote_age=90,
    max_leverage=3,
    daily_notional=Decimal(5_000),
    daily_count=1_000,
    per_minute=60,
    open_orders=200,
    open_orders_symbol=200,
    daily_loss_share=Decimal("0.50"),
    drawdown_share=Decimal("0.75"),
    rearm_after=100,
    cooldown_seconds=0,
    halt_failures=20,
    one_unresolved=True,
    halt_unresolved=10,
    clock_skew=30,
    snapshot_age=60,
    ask_a_human=True,
    automatic_up_to=Decimal(250),
    elicitation_up_to=Decimal(25),
    ask_for_standing=True,
    max_standing=5,
    standing_seconds=30 * 86_400,
    public_webhooks=True,
    ask_to_publish=True,
)
"""Maximum values for real money, whatever is signed. `None` leaves a limit to the signer."""


class Policy(BaseModel):
    """What the user allows.

    Attributes:
        paper: For simulated money.
        live: For real money. Loosening anything here counts only once a human has signed it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    paper: Limits = PAPER
    live: Limits = LIVE
    typed_amount_above: Annotated[Usd, Tighter.LOWER] = Field(
        default=Decimal(100), description="USD of an order above which the approver types the amount."
    )
    separate_user: Annotated[bool, Tighter.FALSE] = Field(
        default=False, description="The signer declares that the server runs under another user or host than the agent."
    )

    def limits(self, money: Money) -> Limits:
        """The limits for one kind of money; for real money they are capped by `CEILINGS`."""
        return self.paper if money == "paper" else self.below_ceilings

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy without values cached from the old fields."""
        copied = super().model_copy(update=update, deep=deep)
        for computed in ("below_ceilings", "hash"):
            vars(copied).pop(computed, None)
        return copied

    @cached_property
    def below_ceilings(self) -> Limits:
        """The limits for real money, capped by `CEILINGS`."""
        return meet(self.live, CEILINGS)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the canonical form, hexadecimal."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return hashlib.sha256(canonical_json(_plain(fields)).encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, frozenset):
        return sorted(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return value


Need = Literal["quote", "usd_rate", "account", "clock", "texts"]
"""A fact to read: the market's price, its currency's rate, the account, the service's time, known texts."""

RULES: Final[tuple[Rule, ...]] = (
    orders.mode,
    orders.accounts,
    orders.venues,
    orders.symbols,
    orders.order_types,
    orders.sanity,
    orders.amount,
    orders.notional,
    orders.valued,
    orders.collar,
    orders.leverage,
    conduct.daily_notional,
    conduct.daily_count,
    conduct.throttle,
    conduct.duplicate,
    account.open_orders,
    account.position,
    account.daily_loss,
    account.drawdown,
    account.switch,
    orders.self_trade,
    conduct.rearm,
    conduct.failures,
    conduct.unresolved,
    account.funds,
    conduct.clock,
    conduct.upstream,
    conduct.approval,
    conduct.channel,
    conduct.standing,
    publishing.webhook,
    publishing.publish,
)
"""The table of rules. The worst finding decides; the order is for reading only. R33 has no row: cancelling, pausing and
unsubscribing are never checked."""

FATIGUE: Final = conduct.fatigue
"""Judged last, and only if the other rules require a human."""

BROKEN: Final = "R00_POLICY"


def evaluate(
    action: Action, policy: Policy, facts: Facts, *, again: bool = False, approved: bool = False
) -> PolicyDecision:
    """Judge an action. Never raises.

    Args:
        action: The action in question.
        policy: The user's policy.
        facts: The known facts; `facts.usage` must not count the action itself.
        again: It was admitted before and is about to be sent, so frequency is not judged again.
        approved: A standing approval replaces a human's approval of this order, and nothing else.
    """
    try:
        with decimal.localcontext(EXACT):
            return _evaluated(action, policy, facts, again=again, approved=approved)
    except Exception as error:  # noqa: BLE001 - whatever breaks, the answer is no
        reason = f"the policy could not be applied ({type(error).__name__})"
        return PolicyDecision(Outcome.DENY, (RuleResult(BROKEN, Outcome.DENY, reason, what_to_do="Tell the user"),), "")


def _evaluated(action: Action, policy: Policy, facts: Facts, *, again: bool, approved: bool) -> PolicyDecision:
    limits = policy.limits(facts.money)
    rules = [rule for rule in RULES if not (again and rule.once)]
    found, value = findings_of(action, limits, facts, rules, tired=not (again or approved))
    if approved:
        found = tuple(RuleResult(each.rule) if each.outcome is Outcome.REQUIRE else each for each in found)
    outcome = max(finding.outcome for finding in found)
    suggestion = None
    if outcome is Outcome.DENY and isinstance(action, OrderTerms):
        suggestion = suggested(
            action, found, lambda order: findings_of(order, limits, facts, rules, tired=not again)[0]
        )
    return PolicyDecision(outcome, found, policy.hash, value.usd, suggestion)


def findings_of(
    action: Action, limits: Limits, facts: Facts, rules: Sequence[Rule] = RULES, *, tired: bool = True
) -> tuple[tuple[RuleResult, ...], OrderValue]:
    """The finding of each rule for this kind of action, and the action's value.

    Args:
        action: The action in question.
        limits: Those that count.
        facts: The known facts.
        rules: In any order.
        tired: Also judge whether a human has been asked too often.
    """
    case = Case(action, limits, facts, worth(action, facts) if isinstance(action, OrderTerms) else OrderValue())
    found = [rule.judge(case) for rule in rules if action.kind in rule.kinds]
    if tired and max(finding.outcome for finding in found) is Outcome.REQUIRE:
        found.append(FATIGUE.judge(case))
    return tuple(found), case.worth


def needs(action: Action, limits: Limits, switch: SwitchState = "ACTIVE") -> frozenset[Need]:
    """The facts that the active limits need; others need not be read.

    Args:
        action: The action in question.
        limits: Those that count, `policy.limits(money)`.
        switch: While it is REDUCING, the account is needed to tell whether an order reduces a position.
    """
    found: set[Need] = set()
    if isinstance(action, PublicationTerms):
        return frozenset({"texts"} if limits.ask_to_publish else found)
    if limits.clock_skew is not None:
        found.add("clock")
    if isinstance(action, OrderTerms):
        if counts_money(limits) or limits.check_funds:
            found |= {"quote", "usd_rate"}
        if _prices(action, limits):
            found.add("quote")
        if switch == "REDUCING" or _reads_account(action, limits):
            found.add("account")
    return frozenset(found)


def _prices(order: OrderTerms, limits: Limits) -> bool:
    if limits.quote_age is not None:
        return True
    if order.price is None:
        return False
    if order.market_type == "prediction":
        return limits.collar_probability is not None
    return limits.collar is not None or limits.collar_major is not None


def _reads_account(order: OrderTerms, limits: Limits) -> bool:
    numbers = (
        limits.position_usd,
        limits.position_share,
        limits.exposure_share,
        limits.daily_loss_usd,
        limits.daily_loss_share,
        limits.drawdown_share,
        limits.snapshot_age,
    )
    rests = order.order_type in RESTS and (limits.open_orders is not None or limits.open_orders_symbol is not None)
    return rests or limits.no_self_trade or limits.check_funds or any(number is not None for number in numbers)


_ROUNDS: Final = 12


def suggested(
    order: OrderTerms, found: Sequence[RuleResult], judge: Callable[[OrderTerms], Sequence[RuleResult]]
) -> OrderTerms | None:
    """The order with every denial repaired, or `None` if that is impossible.

    Args:
        order: The denied order.
        found: Its findings.
        judge: The findings for another order under the same limits and facts.
    """
    for _ in range(_ROUNDS):
        denied = [finding for finding in found if finding.outcome is Outcome.DENY]
        if not denied:
            return order
        repaired = [finding.repaired for finding in denied if finding.repaired is not None]
        if len(repaired) < len(denied) or order in repaired:
            return None
        kept = order.amount
        order = max(repaired, key=lambda proposal: (proposal.amount == kept, -proposal.amount))
        found = judge(order)
    return None


@dataclass(frozen=True, slots=True)
class Trip:
    """A switch state to engage, which only a human can end.

    Attributes:
        state: HALTED, or REDUCING if orders that reduce a position may still pass.
        rule: The rule that trips.
        reason: With the numbers.
    """

    state: Literal["HALTED", "REDUCING"]
    rule: str
    reason: str


def tripped(action: Action, limits: Limits, facts: Facts) -> Trip | None:
    """The strictest trip that the facts require. Applies five of the rules, each only if its limits can halt."""
    if limits.clock_skew is not None and facts.usage.clock_went_back:
        return Trip("HALTED", "R26_CLOCK", "this clock is behind the ledger's last entry")
    case = Case(action, limits, facts, OrderValue())
    for rule, state in _due(limits, facts):
        found = rule.judge(case) if action.kind in rule.kinds else None
        if found is not None and found.outcome is Outcome.DENY:
            return Trip(state, found.rule, found.reason)
    return None


def _due(limits: Limits, facts: Facts) -> Iterator[tuple[Rule, Literal["HALTED", "REDUCING"]]]:
    """The rules that may trip now. A denial for a missing fact is no reason to halt."""
    usage = facts.usage
    has_equity = facts.account is not None and facts.account.equity_usd is not None
    if has_equity and usage.day_start_equity is not None:
        yield account.daily_loss, "HALTED"
    if limits.halt_failures is not None and usage.failures_in_a_row >= limits.halt_failures:
        yield conduct.failures, "HALTED"
    if limits.halt_unresolved is not None and usage.unknown_anywhere >= limits.halt_unresolved:
        yield conduct.unresolved, "HALTED"
    if has_equity and usage.high_water_equity is not None:
        yield account.drawdown, "REDUCING"

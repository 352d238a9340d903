"""Laws for every order, policy and set of facts."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import InvalidInput
from safety.policy.case import Case, Missing, OrderValue, Rule
from safety.policy.evaluation import CEILINGS, LIVE, PAPER, RULES, Policy, evaluate, findings_of, needs
from safety.policy.limits import Limits, meet
from safety.terms.facts import Facts, Outcome
from safety.terms.proposal import OrderTerms
from tests.safety.policy.differential import Dice, case, random_limits
from tests.safety.policy.scenarios import BUY, DEPLOYMENT, KNOWN, POST, against, at_least_as_tight, facts, paper, policy

SEEDS: Final = st.integers(0, 10**9)
MANY: Final = settings(max_examples=200, deadline=None)


def limits(seed: int) -> Limits:
    """Random limits."""
    return random_limits(Dice(seed))


@MANY
@given(SEEDS, SEEDS)
def test_tightening_never_allows_what_was_forbidden(seed: int, other: int) -> None:
    asked = case(seed)
    tighter = meet(asked.policy, Policy(paper=limits(other), live=limits(other + 1)))

    before = evaluate(asked.order, asked.policy, asked.facts).outcome
    after = evaluate(asked.order, tighter, asked.facts).outcome

    assert after >= before


@MANY
@given(SEEDS, st.randoms())
def test_the_order_of_the_rules_makes_no_difference(seed: int, shuffled: random.Random) -> None:
    asked = case(seed)
    rules = list(RULES)
    shuffled.shuffle(rules)

    straight, _ = findings_of(asked.order, asked.policy.limits(asked.facts.money), asked.facts)
    mixed, _ = findings_of(asked.order, asked.policy.limits(asked.facts.money), asked.facts, rules)

    assert sorted(straight, key=lambda finding: finding.rule) == sorted(mixed, key=lambda finding: finding.rule)


@MANY
@given(SEEDS)
def test_a_suggestion_is_never_denied_and_differs_from_what_was_asked(seed: int) -> None:
    asked = case(seed)
    suggestion = evaluate(asked.order, asked.policy, asked.facts).suggestion

    if suggestion is not None:
        assert suggestion != asked.order
        assert evaluate(suggestion, asked.policy, asked.facts).outcome < Outcome.DENY
        assert suggestion.symbol == asked.order.symbol
        assert suggestion.side == asked.order.side
        assert suggestion.amount <= asked.order.amount


@MANY
@given(SEEDS)
def test_deciding_twice_gives_the_same_decision(seed: int) -> None:
    asked = case(seed)

    assert evaluate(asked.order, asked.policy, asked.facts) == evaluate(asked.order, asked.policy, asked.facts)


@MANY
@given(SEEDS)
def test_what_needs_does_not_name_changes_no_outcome(seed: int) -> None:
    asked = case(seed)
    named = needs(asked.order, asked.policy.limits(asked.facts.money), asked.facts.switch)
    poorer = replace(
        asked.facts,
        quote=asked.facts.quote if "quote" in named else None,
        usd_rate=asked.facts.usd_rate if "usd_rate" in named else None,
        account=asked.facts.account if "account" in named else None,
        clock_skew=asked.facts.clock_skew if "clock" in named else None,
    )

    full = evaluate(asked.order, asked.policy, asked.facts)
    bare = evaluate(asked.order, asked.policy, poorer)

    assert [f.outcome for f in full.findings] == [f.outcome for f in bare.findings]


@MANY
@given(SEEDS)
def test_without_a_fact_that_is_needed_nothing_passes(seed: int) -> None:
    asked = case(seed)
    named = needs(asked.order, asked.policy.limits(asked.facts.money), asked.facts.switch)
    for need, field in (("quote", "quote"), ("usd_rate", "usd_rate"), ("account", "account"), ("clock", "clock_skew")):
        if need in named:
            missing = replace(asked.facts, **{field: None})
            assert evaluate(asked.order, asked.policy, missing).outcome is Outcome.DENY or _only_shrinks(
                asked.order, missing
            )


def _only_shrinks(order: OrderTerms, known: Facts) -> bool:
    """A price or rate may be missing if the only limits that count money allow orders that shrink a position."""
    return known.account is not None and order.symbol in known.account.positions


class Poison:
    """Raises an error on any use."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __bool__(self) -> bool:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # pyright: ignore[reportAssignmentType] - nothing about it works


@pytest.mark.parametrize("field", [field.name for field in fields(Facts)])
@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_a_fact_that_breaks_a_rule_denies_or_was_not_needed(field: str, seed: int) -> None:
    asked = case(seed)

    before = evaluate(asked.order, asked.policy, asked.facts).outcome
    after = evaluate(asked.order, asked.policy, replace(asked.facts, **{field: Poison()})).outcome

    assert after >= before


@pytest.mark.parametrize(
    "error", [RuntimeError("x"), RecursionError(), ArithmeticError(), KeyError("x"), MemoryError()]
)
def test_an_exception_inside_a_rule_is_a_denial(error: Exception) -> None:
    def broken(_: Case) -> None:
        raise error

    finding = Rule("R99_BROKEN", broken, frozenset({"order"}), once=False).judge(Case(BUY, LIVE, KNOWN, OrderValue()))

    assert finding.outcome is Outcome.DENY
    assert type(error).__name__ in finding.reason


def test_a_symbol_that_is_none_denies_with_its_own_words() -> None:
    def unreadable(_: Case) -> None:
        raise InvalidInput("no such symbol", suggestion="Use another")

    finding = Rule("R99_BROKEN", unreadable, frozenset({"order"}), once=False).judge(
        Case(BUY, LIVE, KNOWN, OrderValue())
    )

    assert (finding.outcome, finding.reason, finding.what_to_do) == (Outcome.DENY, "no such symbol", "Use another")


def test_a_case_without_a_fact_says_which_is_missing() -> None:
    empty = Case(DEPLOYMENT, LIVE, replace(KNOWN, account=None), OrderValue(missing="no price"))

    with pytest.raises(TypeError):
        _ = empty.order
    with pytest.raises(Missing, match="account"):
        _ = empty.account
    for name in ("usd", "price", "units", "usd_rate"):
        with pytest.raises(Missing, match="no price"):
            getattr(empty, name)


def test_a_policy_that_cannot_be_applied_denies() -> None:
    broken = Policy.model_construct(live="nothing")  # pyright: ignore[reportArgumentType] - that is the point

    decision = evaluate(BUY, broken, KNOWN)

    assert decision.outcome is Outcome.DENY
    assert decision.worst.rule == "R00_POLICY"
    assert decision.report()["decision"] == "deny"


@pytest.mark.parametrize("action", [BUY, DEPLOYMENT, POST])
def test_nothing_is_real_before_anybody_has_signed(action: Any) -> None:
    worst = evaluate(action, Policy(), facts(assurance="none")).outcome

    assert worst is Outcome.DENY


@pytest.mark.parametrize("action", [BUY, DEPLOYMENT, POST])
def test_on_paper_nothing_objects_and_nothing_is_read(action: Any) -> None:
    bare = Facts(now=0.0, money="paper")

    assert evaluate(action, Policy(), bare).outcome is Outcome.PASS
    assert needs(action, PAPER) == frozenset()


@pytest.mark.parametrize("action", [BUY, DEPLOYMENT, POST])
def test_on_paper_the_kill_switch_objects(action: Any) -> None:
    assert against(action, Policy(), Facts(now=0.0, money="paper", switch="HALTED")) == {"R20": "DENY"}


def test_on_paper_a_policy_can_rehearse_the_question() -> None:
    bare = Facts(now=0.0, money="paper")

    assert against(BUY, paper(ask_a_human=True), bare) == {"R28": "REQUIRE"}
    assert against(DEPLOYMENT, paper(ask_for_standing=True), bare) == {"R30": "REQUIRE"}
    assert against(POST, paper(ask_to_publish=True), bare) == {"R32": "REQUIRE"}


def test_an_unknown_kind_of_money_is_real_money() -> None:
    known = replace(KNOWN, money="elsewhere")  # pyright: ignore[reportArgumentType] - that is the point

    assert evaluate(BUY, Policy(), known).outcome is Outcome.DENY


@given(SEEDS)
@MANY
def test_no_signed_policy_gets_past_the_ceilings(seed: int) -> None:
    signed = Policy(live=limits(seed))

    assert at_least_as_tight(signed.limits("real"), CEILINGS)


def test_being_sent_is_not_being_asked_for_again() -> None:
    known = facts(order_ages=(0.5,), pending=3, prompts_last_hour=10)
    strict = policy(automatic_up_to=Decimal(0))

    assert set(against(BUY, strict, known)) == {"R14", "R28"}
    assert set(against(BUY, strict, known, again=True)) == {"R28"}


def test_a_decision_reads_as_a_report() -> None:
    report = evaluate(BUY, policy(max_notional=Decimal(12)), facts()).report()

    assert report == {
        "decision": "deny",
        "policy_hash": policy(max_notional=Decimal(12)).hash[:12],
        "notional_usd": "30",
        "suggestion": {**BUY.model_dump(mode="json", exclude_none=True), "amount": "0.0002"},
        "rule": "R08_MAX_NOTIONAL",
        "outcome": "deny",
        "reason": "the order is worth 30 USD at worst, above the 12 USD allowed for one order",
        "limit": "12",
        "observed": "30",
        "unit": "USD",
        "what_to_do": "Use an amount of at most 0.0002",
        "all": [
            {
                "rule": "R08_MAX_NOTIONAL",
                "outcome": "deny",
                "reason": "the order is worth 30 USD at worst, above the 12 USD allowed for one order",
                "limit": "12",
                "observed": "30",
                "unit": "USD",
                "what_to_do": "Use an amount of at most 0.0002",
            }
        ],
    }

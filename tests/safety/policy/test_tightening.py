"""Limits that are combined, compared and listed: the loosest that both allow, and nothing looser."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from safety.policy.evaluation import CEILINGS, LIVE, PAPER, Policy
from safety.policy.limits import Change, Limits, Tighter, changes, meet
from tests.safety.policy.differential import Dice, random_limits
from tests.safety.policy.scenarios import BUY, KNOWN, against, at_least_as_tight

D = Decimal
SEEDS: Final = st.integers(0, 10**9)


def limits(seed: int) -> Limits:
    """Random limits."""
    return random_limits(Dice(seed))


@settings(deadline=None)
@given(SEEDS, SEEDS, SEEDS)
def test_meeting_is_a_meet(one: int, two: int, three: int) -> None:
    a, b, c = limits(one), limits(two), limits(three)

    assert meet(a, a) == a
    assert meet(a, b) == meet(b, a)
    assert meet(a, meet(b, c)) == meet(meet(a, b), c)
    assert at_least_as_tight(meet(a, b), a)
    assert at_least_as_tight(meet(a, b), b)


@settings(deadline=None)
@given(SEEDS, SEEDS)
def test_both_tighter_than_the_other_means_equal(one: int, two: int) -> None:
    a, b = limits(one), limits(two)

    assert (at_least_as_tight(a, b) and at_least_as_tight(b, a)) == (a == b)
    assert at_least_as_tight(a, b) == (not any(change.loosens for change in changes(b, a)))


@pytest.mark.parametrize(
    ("name", "tight", "loose"),
    [
        ("trading", False, True),
        ("accounts", frozenset({"a"}), frozenset({"a", "b"})),
        ("accounts", frozenset[str](), None),
        ("forbidden_symbols", frozenset({"A/B", "C/D"}), frozenset({"A/B"})),
        ("max_amount", {"A/B": D(1)}, {"A/B": D(2), "C/D": D(1)}),
        ("max_amount", {}, None),
        ("max_notional", D(10), D("10.01")),
        ("max_notional", D(10), None),
        ("seconds_between", 6, 5),
        ("per_minute", 0, 1),
        ("no_self_trade", True, False),
        ("ask_a_human", True, False),
        ("automatic_up_to", D(0), D(1)),
    ],
)
def test_each_way_of_being_tighter(name: str, tight: Any, loose: Any) -> None:
    tighter, looser = Limits.model_validate({name: tight}), Limits.model_validate({name: loose})

    assert meet(tighter, looser) == tighter
    assert at_least_as_tight(tighter, looser)
    assert not at_least_as_tight(looser, tighter)
    assert changes(looser, tighter) == [Change(name, loose, tight, loosens=False)]
    assert changes(tighter, looser) == [Change(name, tight, loose, loosens=True)]


def test_sets_of_which_neither_holds_the_other_meet_in_what_they_share() -> None:
    one, other = Limits(accounts=frozenset({"a", "b"})), Limits(accounts=frozenset({"b", "c"}))

    assert meet(one, other).accounts == frozenset({"b"})
    assert changes(one, other)[0].loosens


def test_amounts_meet_symbol_by_symbol() -> None:
    one = Limits(max_amount={"A/B": D(1), "C/D": D(5)})
    other = Limits(max_amount={"A/B": D(2), "C/D": D(4), "E/F": D(1)})

    assert meet(one, other).max_amount == {"A/B": D(1), "C/D": D(4)}


def test_policies_meet_in_both_tables_and_beside_them() -> None:
    one = Policy(paper=Limits(max_notional=D(5)), typed_amount_above=D(50), separate_user=True)
    other = Policy(live=Limits(max_notional=D(7)), typed_amount_above=D(70))
    both = meet(one, other)

    assert both.paper.max_notional == 5
    assert both.live.max_notional == 7
    assert both.live.trading is False
    assert both.typed_amount_above == 50
    assert both.separate_user is False


def test_changes_of_a_policy_are_named_with_their_table() -> None:
    before, after = Policy(), Policy(live=LIVE.model_copy(update={"trading": True}), paper=Limits(max_leverage=2))

    assert changes(before, after) == [
        Change("paper.max_leverage", None, 2, loosens=False),
        Change("live.trading", before=False, after=True, loosens=True),
    ]
    assert changes(before, before) == []


@pytest.mark.parametrize("name", Limits.model_fields)
def test_every_limit_says_which_way_is_tighter_and_which_rule_reads_it(name: str) -> None:
    field = Limits.model_fields[name]

    assert [mark for mark in field.metadata if isinstance(mark, Tighter)]
    assert (field.description or "").startswith(("R0", "R1", "R2", "R3"))


def test_a_field_that_does_not_say_which_way_is_tighter_cannot_be_met() -> None:
    class Unmarked(BaseModel):
        marked: Annotated[int, Tighter.LOWER] = 1
        unmarked: int = 1

    with pytest.raises(TypeError, match="unmarked"):
        meet(Unmarked(), Unmarked(unmarked=2))


def test_real_money_starts_below_the_ceilings_and_paper_without_limits() -> None:
    assert at_least_as_tight(LIVE, CEILINGS)
    assert Limits() == PAPER
    assert Policy().limits("paper") == PAPER
    assert Policy().limits("real") == LIVE


def test_the_ceilings_of_the_rule_table() -> None:
    assert (CEILINGS.max_notional, CEILINGS.daily_notional, CEILINGS.max_leverage) == (1_000, 5_000, 3)
    assert (CEILINGS.elicitation_up_to, CEILINGS.ask_a_human, CEILINGS.ask_for_standing) == (25, True, True)


def test_a_copied_policy_is_evaluated_again() -> None:
    one = Policy()
    known = (one.hash, one.limits("real"))
    other = one.model_copy(update={"live": Limits(max_notional=D(1))})

    assert (other.hash, other.limits("real")) != known
    assert other.limits("real").max_notional == 1
    assert (one.hash, one.limits("real")) == known
    assert set(against(BUY, other, KNOWN)) >= {"R08"}


def test_the_hash_tells_policies_apart_and_equal_ones_together() -> None:
    different = {
        Policy().hash,
        Policy(typed_amount_above=D(99)).hash,
        Policy(separate_user=True).hash,
        Policy(paper=Limits(max_notional=D(1))).hash,
        Policy(live=Limits(max_notional=D(1))).hash,
        Policy(live=Limits(accounts=frozenset({"a"}))).hash,
    }

    assert len(different) == 6
    assert Policy(typed_amount_above=D("100.0")).hash == Policy().hash

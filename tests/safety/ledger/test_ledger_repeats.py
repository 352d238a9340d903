"""The same call twice: which intent the second call gets."""

from __future__ import annotations

from typing import Any

import pytest

from safety.ledger import Ledger, rows
from safety.terms.facts import Outcome
from safety.terms.intent import Admission, IntentState
from safety.terms.proposal import Action

from .books import CALLER, Clock, deployment, go, order, post, proposal, says


def ask(
    ledger: Ledger, clock: Clock, action: Action, outcome: Outcome = Outcome.REQUIRE, *, repeat_seconds: int = 120
) -> Admission:
    """One call."""
    return ledger.admit(proposal(clock.now, action), CALLER, says(outcome), repeat_seconds=repeat_seconds)


@pytest.mark.parametrize("action", [order(), deployment(), post()], ids=lambda action: action.kind)
def test_what_waits_for_a_human_is_asked_for_once(ledger: Ledger, clock: Clock, action: Action) -> None:
    first = ask(ledger, clock, action)
    clock.forward(299)
    again = ask(ledger, clock, action, Outcome.DENY, repeat_seconds=0)

    assert (first.repeated, again.repeated) == (False, True)
    assert again.intent == first.intent
    assert again.decision.outcome is Outcome.REQUIRE
    assert again.decision.worst.rule == "R15_DUPLICATE"
    assert again.intent is not None
    assert again.decision.worst.reason == f"the same call is already intent {again.intent.intent_id}"
    assert len(ledger.intents()) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"amount": "2"}, {"side": "sell"}, {"symbol": "ETH/USDT"}, {"account_id": "acc_2"}, {"label": "mine"},
        {"price": 11}, {"order_type": "GTC"}, {"leverage": 2}, {"exchange": "upbit"},
    ],
    ids=lambda other: next(iter(other)),
)  # fmt: skip
def test_any_other_term_makes_another_intent(ledger: Ledger, clock: Clock, other: dict[str, Any]) -> None:
    ask(ledger, clock, order())
    second = ask(ledger, clock, order(**other))

    assert not second.repeated
    assert len(ledger.intents()) == 2


def test_the_same_amount_written_otherwise_is_the_same(ledger: Ledger, clock: Clock) -> None:
    ask(ledger, clock, order("1.50"))

    assert ask(ledger, clock, order("1.5")).repeated


def test_another_service_is_another_intent(ledger: Ledger, clock: Clock) -> None:
    ask(ledger, clock, order())
    offered = proposal(clock.now, order(), service="embedded")

    assert not ledger.admit(offered, CALLER, says(Outcome.REQUIRE), repeat_seconds=120).repeated


@pytest.mark.parametrize(("later", "repeated"), [(0.0, True), (119.9, True), (120.0, False)])
@pytest.mark.parametrize("outcome", ["SENT", "ACKED", "UNKNOWN", "ABSENT"])
def test_what_was_sent_is_the_same_for_a_while(
    ledger: Ledger, clock: Clock, outcome: IntentState, later: float, repeated: bool
) -> None:
    intent = ask(ledger, clock, order(), Outcome.PASS).intent
    assert intent is not None
    ledger.claim(intent.intent_id, go)
    before: dict[IntentState, tuple[IntentState, ...]] = {"SENT": (), "ABSENT": ("UNKNOWN", "ABSENT")}
    for step in before.get(outcome, (outcome,)):
        ledger.settle(intent.intent_id, step)
    clock.forward(later)
    again = ask(ledger, clock, order(), Outcome.PASS)

    assert again.repeated is repeated
    assert again.decision.outcome is Outcome.PASS
    assert again.intent is not None
    assert (again.intent.intent_id == intent.intent_id) is repeated


def test_what_was_rejected_or_declined_can_be_asked_for_again(ledger: Ledger, clock: Clock) -> None:
    rejected = ask(ledger, clock, order(), Outcome.PASS).intent
    assert rejected is not None
    ledger.claim(rejected.intent_id, go)
    ledger.settle(rejected.intent_id, "REJECTED")
    declined = ask(ledger, clock, order())
    assert not declined.repeated
    assert declined.intent is not None
    ledger.decline(declined.intent.intent_id, "no", by_human=True)

    assert not ask(ledger, clock, order()).repeated


def test_without_a_span_two_equal_orders_that_pass_are_two(ledger: Ledger, clock: Clock) -> None:
    first = ask(ledger, clock, order(), Outcome.PASS, repeat_seconds=0)
    second = ask(ledger, clock, order(), Outcome.PASS, repeat_seconds=0)

    assert (first.repeated, second.repeated) == (False, False)
    assert len(ledger.intents(states=["APPROVED"])) == 2


def test_of_several_equal_ones_the_newest_is_meant(ledger: Ledger, clock: Clock) -> None:
    ask(ledger, clock, order(), Outcome.PASS, repeat_seconds=0)
    clock.forward(1)
    newest = ask(ledger, clock, order(), Outcome.PASS, repeat_seconds=0)
    clock.forward(1)
    again = ask(ledger, clock, order(), Outcome.PASS)

    assert again.intent == newest.intent
    assert again.decision.worst.reason == ""


def test_with_a_span_two_equal_orders_at_once_are_one(ledger: Ledger, clock: Clock) -> None:
    ask(ledger, clock, order(), Outcome.PASS)

    assert ask(ledger, clock, order(), Outcome.PASS).repeated


def test_what_did_not_leave_is_the_same_while_it_may_still_be_sent(ledger: Ledger, clock: Clock) -> None:
    intent = ask(ledger, clock, order(), Outcome.PASS, repeat_seconds=0).intent
    assert intent is not None
    ledger.claim(intent.intent_id, go)
    ledger.settle(intent.intent_id, "NOT_SENT")
    assert ask(ledger, clock, order(), Outcome.PASS, repeat_seconds=0).repeated
    clock.forward(30.5)

    assert not ask(ledger, clock, order(), Outcome.PASS, repeat_seconds=0).repeated


def test_what_a_human_approved_is_the_same_until_it_is_sent(ledger: Ledger, clock: Clock) -> None:
    intent = ask(ledger, clock, order(), repeat_seconds=0).intent
    assert intent is not None
    ledger.approve(intent.intent_id, signature="ab", key_id="k1")

    assert ask(ledger, clock, order(), repeat_seconds=0).repeated


def test_what_expired_is_over(ledger: Ledger, clock: Clock) -> None:
    ask(ledger, clock, order())
    clock.forward(300.5)

    assert not ask(ledger, clock, order()).repeated


def test_denials_of_an_hour_are_kept_whole_then_in_short_then_not(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "WHOLE_DENIALS", 3)
    monkeypatch.setattr(rows, "MOST_DENIALS", 5)

    def deny(count: int) -> None:
        for number in range(count):
            offered = proposal(clock.now, order(str(number + 1)))
            assert ledger.admit(offered, CALLER, says(Outcome.DENY), repeat_seconds=0).intent is None

    deny(20)
    first = ledger.events(limit=1_000)
    clock.now += 3_601
    deny(1)

    assert len(first) == 6
    assert ["decision" in event.body for event in first] == [True] * 3 + [False] * 3
    assert first[-1].body["note"] == "further denials in this hour are not recorded"
    assert "decision" in ledger.events(limit=1_000)[-1].body

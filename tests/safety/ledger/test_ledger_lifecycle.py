"""The lifecycle of an intent in the ledger: admitted, approved, claimed once, settled, or ended."""

from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from api.errors import HeyTradersError, InvalidInput, NotFound, UserMustAct
from safety.ledger import Ledger
from safety.terms.facts import Outcome, PolicyDecision, SwitchState, Usage
from safety.terms.intent import Claim, Intent, IntentState, Verdict, stop
from safety.terms.proposal import Action

from .books import CALLER, Clock, admitted, approved, deployment, go, order, post, proposal, says, sent


def test_what_passes_is_approved_at_once_and_marked_automatic(ledger: Ledger, clock: Clock) -> None:
    offered = proposal(clock.now)
    admission = ledger.admit(offered, CALLER, says(Outcome.PASS), repeat_seconds=120)

    intent = admission.intent
    assert intent is not None
    assert (intent.state, intent.automatic, intent.proposal) == ("APPROVED", True, offered)
    assert (intent.digest, intent.caller, intent.label) == (offered.digest, CALLER, "")
    assert (intent.created, intent.approved_at, intent.signature) == (clock.now, clock.now, None)
    assert ledger.intent(intent.intent_id) == intent


def test_what_needs_a_human_waits(ledger: Ledger, clock: Clock) -> None:
    intent = admitted(ledger, clock, outcome=Outcome.REQUIRE)

    assert (intent.state, intent.automatic, intent.approved_at) == ("PENDING", False, None)
    assert not ledger.claim(intent.intent_id, go).won


def test_what_passes_waits_too_where_a_human_is_to_be_asked_first(ledger: Ledger, clock: Clock) -> None:
    intent = admitted(ledger, clock, ask_first=True)

    assert (intent.state, intent.automatic) == ("PENDING", True)


def test_what_is_denied_leaves_an_event_and_no_intent(ledger: Ledger, clock: Clock) -> None:
    admission = ledger.admit(proposal(clock.now), CALLER, says(Outcome.DENY), repeat_seconds=120)

    assert admission.intent is None
    assert ledger.intents() == []
    [event] = ledger.events()
    assert (event.kind, event.body["decision"]["decision"], event.body["tool"]) == ("denied", "deny", "orders_place")


def test_a_policy_that_raises_books_nothing(ledger: Ledger, clock: Clock) -> None:
    def broken(_usage: Usage, _switch: SwitchState) -> PolicyDecision:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger.admit(proposal(clock.now), CALLER, broken, repeat_seconds=0)

    assert ledger.events() == []
    assert admitted(ledger, clock).state == "APPROVED"


def test_an_approval_keeps_signature_key_and_time(ledger: Ledger, clock: Clock) -> None:
    waiting = admitted(ledger, clock, outcome=Outcome.REQUIRE)
    clock.forward(300)
    intent = ledger.approve(waiting.intent_id.lower(), signature="ab" * 64, key_id="k1")

    assert (intent.state, intent.signature, intent.key_id) == ("APPROVED", "ab" * 64, "k1")
    assert (intent.approved_at, intent.automatic) == (clock.now, False)


def test_after_300_seconds_there_is_nothing_left_to_approve(ledger: Ledger, clock: Clock) -> None:
    waiting = admitted(ledger, clock, outcome=Outcome.REQUIRE)
    clock.forward(300.001)
    with pytest.raises(InvalidInput, match="is EXPIRED and does not wait"):
        ledger.approve(waiting.intent_id, signature="ab" * 64, key_id="k1")

    expired = ledger.intent(waiting.intent_id)
    assert expired is not None
    assert (expired.state, expired.reason) == ("EXPIRED", "nobody approved it in time")


def test_a_proposal_that_ends_sooner_expires_sooner_and_one_that_ends_later_does_not(
    ledger: Ledger, clock: Clock
) -> None:
    soon = proposal(clock.now, order("2")).model_copy(update={"expires": clock.now + 60})
    late = proposal(clock.now, order("3")).model_copy(update={"expires": clock.now + 9_999})
    for offered in (soon, late):
        ledger.admit(offered, CALLER, says(Outcome.REQUIRE), repeat_seconds=0)
    clock.forward(60)
    assert ledger.expire_due() == []
    clock.forward(0.5)
    assert [intent.proposal for intent in ledger.expire_due()] == [soon]
    clock.forward(239.5)
    assert ledger.expire_due() == []
    clock.forward(0.5)
    assert [intent.proposal for intent in ledger.expire_due()] == [late]


@pytest.mark.parametrize(("seconds", "won"), [(75.0, True), (75.001, False)])
def test_an_approved_intent_is_sent_within_75_seconds_or_never(
    ledger: Ledger, clock: Clock, seconds: float, won: bool
) -> None:
    intent = approved(ledger, clock)
    clock.forward(seconds)
    claim = ledger.claim(intent.intent_id, go)

    assert (claim.won, claim.intent.state) == (won, "SENT" if won else "EXPIRED")
    assert won or claim.reason == "it was approved, but not sent within 75 s"


def test_a_claim_books_label_and_time_before_anything_leaves(ledger: Ledger, clock: Clock) -> None:
    intent = approved(ledger, clock)
    before = ledger.head()[1]
    clock.forward(7)
    claimed = ledger.claim(intent.intent_id, go).intent

    assert claimed.label == f"htm1:{intent.intent_id}:{intent.digest[:16]}:{before[:12]}"
    assert len(claimed.label) == 61
    assert (claimed.state, claimed.sent_at, claimed.changed_at) == ("SENT", clock.now, clock.now)
    assert ledger.intent(intent.intent_id) == claimed
    assert ledger.by_label([claimed.label, "", "htm1:nobody"]) == {claimed.label: claimed}


def test_a_second_claim_loses(ledger: Ledger, clock: Clock) -> None:
    intent = sent(ledger, clock)

    assert ledger.claim(intent.intent_id, go) == Claim(won=False, intent=intent, reason="it is SENT")


def test_of_many_claims_at_once_one_wins(home: Path, clock: Clock, ledger: Ledger) -> None:
    intent = approved(ledger, clock)
    start = threading.Barrier(8)

    def race(_: int) -> bool:
        own = Ledger.open(home, now=clock)
        try:
            start.wait()
            return own.claim(intent.intent_id, go).won
        finally:
            own.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(race, range(8))) == 1


def test_one_ledger_serves_many_threads(ledger: Ledger, clock: Clock) -> None:
    def one(number: int) -> Intent:
        return admitted(ledger, clock, order(str(number + 1)))

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(one, range(40)))

    assert {intent.intent_id for intent in made} == {intent.intent_id for intent in ledger.intents()}
    assert ledger.usage("real", order()).count_24h == 40
    assert ledger.verify() == []


@pytest.mark.parametrize("to", ["DECLINED", "EXPIRED", "EXPIRED_DRIFT", "HALTED"])
def test_the_last_word_can_stop_it(ledger: Ledger, clock: Clock, to: IntentState) -> None:
    intent = approved(ledger, clock)
    claim = ledger.claim(intent.intent_id, lambda _intent, _usage, _switch: stop(to, "the market moved"))

    assert (claim.won, claim.reason) == (False, "the market moved")
    assert (claim.intent.state, claim.intent.reason, claim.intent.label) == (to, "the market moved", "")
    assert not ledger.claim(intent.intent_id, go).won


def test_the_last_word_may_let_it_wait(ledger: Ledger, clock: Clock) -> None:
    intent = approved(ledger, clock)
    claim = ledger.claim(intent.intent_id, lambda _intent, _usage, _switch: stop("APPROVED", "no fresh price yet"))

    assert (claim.won, claim.intent, claim.reason) == (False, intent, "no fresh price yet")
    assert ledger.claim(intent.intent_id, go).won


@pytest.mark.parametrize("to", ["ACKED", "UNKNOWN", "PENDING"])
def test_the_last_word_cannot_pretend_that_it_was_sent(ledger: Ledger, clock: Clock, to: IntentState) -> None:
    intent = approved(ledger, clock)
    with pytest.raises(InvalidInput, match="cannot become"):
        ledger.claim(intent.intent_id, lambda _intent, _usage, _switch: stop(to, ""))

    assert ledger.intent(intent.intent_id) == intent


def test_a_last_word_that_raises_changes_nothing(ledger: Ledger, clock: Clock) -> None:
    def broken(_intent: Intent, _usage: Usage, _switch: SwitchState) -> Verdict:
        raise ZeroDivisionError

    intent = approved(ledger, clock)
    with pytest.raises(ZeroDivisionError):
        ledger.claim(intent.intent_id, broken)

    assert ledger.intent(intent.intent_id) == intent
    assert ledger.claim(intent.intent_id, go).won


def test_the_last_word_sees_the_usage_without_the_intent_itself(ledger: Ledger, clock: Clock) -> None:
    seen: list[Usage] = []

    def look(_intent: Intent, usage: Usage, switch: SwitchState) -> Verdict:
        assert switch == "ACTIVE"
        seen.append(usage)
        return go(_intent, usage, switch)

    admitted(ledger, clock, order("5"), usd=Decimal(50))
    ledger.claim(approved(ledger, clock).intent_id, look)

    [usage] = seen
    assert (usage.notional_24h, usage.count_24h, usage.reserved_usd) == (50, 1, 50)
    assert (len(usage.order_ages), len(usage.similar), usage.pending, usage.prompts_last_hour) == (1, 1, 0, 0)


def test_what_was_certainly_not_sent_may_be_sent_again_under_the_same_label(ledger: Ledger, clock: Clock) -> None:
    intent = sent(ledger, clock)
    back = ledger.settle(intent.intent_id, "NOT_SENT", reason="no connection")
    assert (back.state, back.reason) == ("NOT_SENT", "no connection")

    clock.forward(30)
    again = ledger.claim(intent.intent_id, go)
    assert again.won
    assert (again.intent.label, again.intent.sent_at) == (intent.label, clock.now)


def test_not_for_longer_than_its_approval_lasts(ledger: Ledger, clock: Clock) -> None:
    intent = sent(ledger, clock)
    clock.forward(20)
    ledger.settle(intent.intent_id, "NOT_SENT")
    clock.forward(10.5)

    assert [late.intent_id for late in ledger.expire_due()] == [intent.intent_id]
    assert ledger.claim(intent.intent_id, go).intent.state == "EXPIRED"


MOVES: dict[IntentState, set[IntentState]] = {
    "SENT": {"ACKED", "REJECTED", "UNKNOWN", "NOT_SENT"},
    "UNKNOWN": {"ACKED", "ABSENT"},
    "ABSENT": {"ACKED"},
    "ACKED": set(),
    "REJECTED": set(),
    "DECLINED": set(),
}
"""The transitions that may be settled, taken from the picture in the documentation of the states."""
OUTCOMES: tuple[IntentState, ...] = (
    "ACKED",
    "REJECTED",
    "UNKNOWN",
    "NOT_SENT",
    "ABSENT",
    "SENT",
    "APPROVED",
    "DECLINED",
)


def brought_to(ledger: Ledger, clock: Clock, state: IntentState) -> Intent:
    """An intent in a state."""
    if state == "DECLINED":
        return ledger.decline(admitted(ledger, clock).intent_id, "no", by_human=True)
    intent = sent(ledger, clock)
    steps: dict[IntentState, tuple[IntentState, ...]] = {"SENT": (), "ABSENT": ("UNKNOWN", "ABSENT")}
    for step in steps.get(state, (state,)):
        intent = ledger.settle(intent.intent_id, step)
    return intent


@pytest.mark.parametrize("state", MOVES)
@pytest.mark.parametrize("to", OUTCOMES)
def test_only_what_the_table_has_can_be_settled(
    ledger: Ledger, clock: Clock, state: IntentState, to: IntentState
) -> None:
    intent = brought_to(ledger, clock, state)
    if to in MOVES[state]:
        assert ledger.settle(intent.intent_id, to, reason="seen").state == to
    elif to == state:
        assert ledger.settle(intent.intent_id, to, reason="seen") == intent
    else:
        with pytest.raises(InvalidInput, match=f"is {state} and cannot become {to}"):
            ledger.settle(intent.intent_id, to)
        assert ledger.intent(intent.intent_id) == intent


@pytest.mark.parametrize("to", ["APPROVED", "SENT", "NOT_SENT", "ACKED", "DECLINED", "EXPIRED"])
@pytest.mark.parametrize("outcome", [Outcome.REQUIRE, Outcome.PASS])
def test_what_no_claim_has_let_go_has_no_outcome(
    ledger: Ledger, clock: Clock, to: IntentState, outcome: Outcome
) -> None:
    intent = admitted(ledger, clock, outcome=outcome)
    if intent.state != to:
        with pytest.raises(InvalidInput, match=f"cannot become {to}"):
            ledger.settle(intent.intent_id, to)

    assert ledger.intent(intent.intent_id) == intent


def test_an_outcome_brings_order_and_id(ledger: Ledger, clock: Clock) -> None:
    intent = sent(ledger, clock)
    clock.forward(1)
    settled = ledger.settle(intent.intent_id, "ACKED", result={"status": "OPEN", "left": Decimal("0.5")}, order_id="o1")

    assert (settled.order_id, settled.result, settled.changed_at) == (
        "o1",
        {"status": "OPEN", "left": "0.5"},
        clock.now,
    )


def test_what_the_service_shows_later_is_kept_without_a_move(ledger: Ledger, clock: Clock) -> None:
    intent = ledger.settle(sent(ledger, clock).intent_id, "ACKED", order_id="o1", result={"status": "OPEN"})
    clock.forward(5)
    seen = ledger.observe(intent.intent_id, {"status": "FILLED"})
    head = ledger.head()

    assert (seen.result, seen.state, seen.changed_at, seen.order_id) == (
        {"status": "FILLED"}, "ACKED", intent.changed_at, "o1",
    )  # fmt: skip
    assert ledger.observe(intent.intent_id, {"status": "FILLED"}) == seen
    assert ledger.head() == head


def test_complete_looks_are_counted(ledger: Ledger, clock: Clock) -> None:
    intent = ledger.settle(sent(ledger, clock).intent_id, "UNKNOWN")

    assert [ledger.swept(intent.intent_id) for _ in range(3)] == [1, 2, 3]
    found = ledger.intent(intent.intent_id)
    assert found is not None
    assert found.sweeps == 3
    assert ledger.verify() == []


@pytest.mark.parametrize("by_human", [True, False])
def test_what_is_declined_is_over(ledger: Ledger, clock: Clock, by_human: bool) -> None:
    intent = ledger.decline(admitted(ledger, clock, outcome=Outcome.REQUIRE).intent_id, "too dear", by_human=by_human)

    assert (intent.state, intent.reason) == ("DECLINED", "too dear")
    assert ledger.events(newest=True, limit=1)[0].body["by_human"] is by_human
    with pytest.raises(InvalidInput):
        ledger.approve(intent.intent_id, signature="ab" * 64, key_id="k1")


def test_what_is_being_sent_cannot_be_declined(ledger: Ledger, clock: Clock) -> None:
    with pytest.raises(InvalidInput, match="is SENT and cannot become DECLINED"):
        ledger.decline(sent(ledger, clock).intent_id, "no", by_human=True)


@pytest.mark.parametrize("unknown", ["", "01J", "'; DROP TABLE intents; --", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "🎲" * 500])
def test_an_id_that_nobody_has_is_not_found(ledger: Ledger, unknown: str) -> None:
    assert ledger.intent(unknown) is None
    with pytest.raises(NotFound, match="there is no intent"):
        ledger.claim(unknown, go)
    with pytest.raises(NotFound):
        ledger.approve(unknown, signature="", key_id="k1")


def test_intents_are_listed_newest_first_by_state_and_service(ledger: Ledger, clock: Clock) -> None:
    first = admitted(ledger, clock, outcome=Outcome.REQUIRE)
    clock.forward(1)
    second = admitted(ledger, clock, order("2"))
    third = admitted(ledger, clock, order("3"), service="embedded")

    assert [intent.intent_id for intent in ledger.intents()] == [third.intent_id, second.intent_id, first.intent_id]
    assert ledger.intents(states=["PENDING"]) == [first]
    assert ledger.intents(states={"PENDING", "APPROVED"}, service=("embedded",)) == [third]
    assert ledger.intents(limit=1) == [third]
    assert ledger.intents(states=()) == []


@pytest.mark.parametrize("action", [order(), deployment(), post('{"title":"é"}')], ids=lambda action: action.kind)
def test_every_kind_of_action_comes_back_as_it_went_in(
    home: Path, clock: Clock, ledger: Ledger, action: Action
) -> None:
    intent = admitted(ledger, clock, action)
    other = Ledger.open(home, now=clock)
    found = other.intent(intent.intent_id)
    other.close()

    assert found == intent
    assert found is not None
    assert found.proposal.action == action
    assert found.digest == found.proposal.digest


def test_every_digit_of_an_amount_is_kept(ledger: Ledger, clock: Clock) -> None:
    digits = "123456789012345678.123456789012345678"
    intent = admitted(ledger, clock, order(digits))
    found = ledger.intent(intent.intent_id)

    assert found is not None
    assert isinstance(found.proposal.action, type(order()))
    assert str(found.proposal.action.amount) == digits
    assert order(digits) != order(digits[:-1] + "9")
    assert proposal(0, order(digits)).canonical[:-50] != proposal(0, order(digits[:-1] + "9")).canonical[:-50]


def test_the_files_are_for_their_owner_alone(home: Path, ledger: Ledger, clock: Clock) -> None:
    admitted(ledger, clock)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}

    assert modes == {"safety.db": 0o600, "safety.db-journal": 0o600, "audit.key": 0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.usefixtures("ledger")
def test_a_key_that_others_can_read_is_refused(home: Path) -> None:
    (home / "audit.key").chmod(0o640)
    with pytest.raises(UserMustAct, match="can be read by others"):
        Ledger.open(home)


def test_a_file_that_is_no_database_stops_everything_in_words(home: Path) -> None:
    home.mkdir()
    (home / "safety.db").write_bytes(b"what is this" * 1000)
    with pytest.raises(UserMustAct, match="cannot be used") as refused:
        Ledger.open(home)

    assert "nothing is placed" in refused.value.message
    assert isinstance(refused.value, HeyTradersError)

"""`settle`: with the passphrase, a human decides an outcome that no look-up can find; the journal records who did."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from api.errors import InvalidInput, NotAuthorised
from safety.human.in_force import order_words, question_words, settle_words
from safety.human.signing import SigningKey, enrol
from safety.ledger import Ledger
from safety.terms.intent import Intent
from tests.safety.ledger.books import CALLER, Clock, Outcome, go, order, proposal, says


def unknown(ledger: Ledger, clock: Clock, amount: str = "1") -> Intent:
    """An order whose outcome is unknown."""
    offered = proposal(clock.now, order(amount))
    admitted = ledger.admit(offered, CALLER, says(Outcome.PASS), repeat_seconds=0).intent
    assert admitted is not None
    assert ledger.claim(admitted.intent_id, go).won
    return ledger.settle(admitted.intent_id, "UNKNOWN", reason="the line broke")


def settled(ledger: Ledger, key: SigningKey, intent: Intent, order_id: str | None) -> Intent:
    if ledger.approver() is None:
        ledger.pin_approver(key.approver.public_key)
    return ledger.settle_by_human(intent.intent_id, order_id, signature=key.sign(settle_words(intent, order_id)))


def test_an_order_that_a_human_names_is_acknowledged_and_the_journal_says_who_did(tmp_path: Path) -> None:
    clock, key = Clock(), enrol(tmp_path, "four unrelated words", cost=16)
    with closing(Ledger.open(tmp_path, now=clock)) as ledger:
        intent = unknown(ledger, clock)
        done = settled(ledger, key, intent, "o-7")
        event = ledger.latest("intent", intent.intent_id)
        breaks = ledger.verify()

    assert (done.state, done.order_id) == ("ACKED", "o-7")
    assert event is not None
    assert (event.body["by"], event.body["over"]) == (key.key_id, settle_words(intent, "o-7"))
    assert key.approver.verify(event.body["over"], event.body["signature"])
    assert breaks == []


def test_what_was_never_placed_frees_its_symbol_and_still_counts_for_a_day(tmp_path: Path) -> None:
    clock, key = Clock(), enrol(tmp_path, "four unrelated words", cost=16)
    with closing(Ledger.open(tmp_path, now=clock)) as ledger:
        intent = unknown(ledger, clock)
        assert ledger.usage("real", order()).unknown_here == 1
        done = settled(ledger, key, intent, None)
        usage = ledger.usage("real", order())

    assert done.state == "ABSENT"
    assert (usage.unknown_here, usage.unknown_anywhere, usage.notional_24h) == (0, 0, Decimal(10))


def test_an_order_is_only_ever_one_intents(tmp_path: Path) -> None:
    clock, key = Clock(), enrol(tmp_path, "four unrelated words", cost=16)
    with closing(Ledger.open(tmp_path, now=clock)) as ledger:
        first, second = unknown(ledger, clock), unknown(ledger, clock, "2")
        settled(ledger, key, first, "o-7")
        with pytest.raises(InvalidInput, match=f"belongs to intent {first.intent_id}"):
            settled(ledger, key, second, "o-7")


def test_what_is_known_cannot_be_settled(tmp_path: Path) -> None:
    clock, key = Clock(), enrol(tmp_path, "four unrelated words", cost=16)
    with closing(Ledger.open(tmp_path, now=clock)) as ledger:
        done = settled(ledger, key, unknown(ledger, clock), "o-7")
        with pytest.raises(InvalidInput, match="cannot become"):
            settled(ledger, key, done, None)


def test_a_signature_of_another_text_or_by_another_key_settles_nothing(tmp_path: Path) -> None:
    clock, key = Clock(), enrol(tmp_path, "four unrelated words", cost=16)
    (tmp_path / "other").mkdir()
    other = enrol(tmp_path / "other", "four other long words", cost=16)
    with closing(Ledger.open(tmp_path, now=clock)) as ledger:
        first, second = unknown(ledger, clock), unknown(ledger, clock, "2")
        absent = settle_words(first, None)
        with pytest.raises(NotAuthorised):
            ledger.settle_by_human(first.intent_id, None, signature=key.sign(absent))  # nobody is enrolled yet
        ledger.pin_approver(key.approver.public_key)
        for intent_id, order_id, signature in (
            (second.intent_id, None, key.sign(absent)),
            (first.intent_id, "o-7", key.sign(absent)),
            (first.intent_id, None, other.sign(absent)),
            (first.intent_id, None, key.sign(order_words(first))),
            (first.intent_id, None, "00"),
            (first.intent_id, None, ""),
        ):
            with pytest.raises(NotAuthorised):
                ledger.settle_by_human(intent_id, order_id, signature=signature)
        left = [intent.state for intent in ledger.intents()]
        with pytest.raises(NotAuthorised):
            ledger.allow_questions(signature=other.sign(question_words(ledger.head()[1])))
        old = key.sign(question_words(ledger.head()[1]))
        ledger.allow_questions(signature=old)
        with pytest.raises(NotAuthorised):
            ledger.allow_questions(signature=old)

    assert left == ["UNKNOWN", "UNKNOWN"]

"""The kill switch: anyone can pull it in any way; only a signature recorded in the journal releases it."""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.errors import Unavailable, UserMustAct
from safety.ledger import Ledger
from safety.ledger.database import FILE_NAME, Database
from safety.ledger.journal import audit_key
from safety.ledger.switch import Switch
from safety.terms.facts import Outcome, SwitchState, Usage
from safety.terms.intent import GO, Intent, Verdict

from .books import Clock, admitted, approved, go, order, sent


def release(ledger: Ledger) -> Switch:
    """Does what a human does."""
    return ledger.release(signature="ab" * 64, key_id="k1", over="release at noon")


def test_it_is_active_until_it_is_moved(ledger: Ledger) -> None:
    assert ledger.switch() == Switch("ACTIVE")


def test_a_halt_stops_what_waits_and_what_is_approved_and_not_what_was_sent(ledger: Ledger, clock: Clock) -> None:
    waiting = admitted(ledger, clock, order("1"), Outcome.REQUIRE)
    ready = approved(ledger, clock, order("2"))
    back = ledger.settle(sent(ledger, clock, order("3")).intent_id, "NOT_SENT")
    gone = sent(ledger, clock, order("4"))
    switch = ledger.halt("the market is mad", "safety_halt")

    assert switch == ledger.switch() == Switch("HALTED", "the market is mad", "safety_halt", clock.now)
    states = {intent.intent_id: (intent.state, intent.reason) for intent in ledger.intents()}
    stopped = ("HALTED", "halted: the market is mad")
    assert states == {
        waiting.intent_id: stopped, ready.intent_id: stopped, back.intent_id: stopped, gone.intent_id: ("SENT", ""),
    }  # fmt: skip
    assert ledger.settle(gone.intent_id, "ACKED").state == "ACKED"


def test_nothing_is_claimed_while_halted_and_the_last_word_is_not_even_asked(
    home: Path, ledger: Ledger, clock: Clock
) -> None:
    intent = approved(ledger, clock)
    (home / "HALT").touch()

    def never(_intent: Intent, _usage: Usage, _switch: SwitchState) -> Verdict:
        raise AssertionError

    claim = ledger.claim(intent.intent_id, never)
    assert (claim.won, claim.intent.state) == (False, "HALTED")
    assert "HALT was created" in claim.reason


def test_nor_is_what_was_admitted_after_the_halt(ledger: Ledger, clock: Clock) -> None:
    ledger.halt("stop", "safety_halt")
    intent = approved(ledger, clock)
    claim = ledger.claim(intent.intent_id, go)

    assert (claim.won, claim.intent.state, claim.reason) == (False, "HALTED", "halted: stop")


def test_a_human_ends_it_and_what_was_stopped_stays_stopped(home: Path, ledger: Ledger, clock: Clock) -> None:
    intent = approved(ledger, clock)
    ledger.halt("stop", "safety_halt")
    assert (home / "HALT").read_text() == "stop\n"
    clock.forward(9)
    switch = release(ledger)

    assert switch == ledger.switch() == Switch("ACTIVE", "", "k1", clock.now)
    assert not (home / "HALT").exists()
    assert not ledger.claim(intent.intent_id, go).won
    assert ledger.claim(approved(ledger, clock).intent_id, go).won


def test_the_file_alone_halts_and_removing_it_alone_does_not_release(home: Path, ledger: Ledger) -> None:
    (home / "HALT").write_text("fire in the building\x1b[2J\n")
    seen = ledger.switch()
    (home / "HALT").unlink()

    assert (seen.state, seen.reason, seen.by) == ("HALTED", "fire in the building[2J", "the file HALT")
    assert ledger.switch().state == "HALTED"
    assert release(ledger).state == ledger.switch().state == "ACTIVE"


@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link"])
def test_anything_of_that_name_halts(home: Path, ledger: Ledger, kind: str) -> None:
    path = home / "HALT"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(home / "nowhere")

    assert ledger.switch().state == "HALTED"


def test_the_file_says_why_it_was_made(tmp_path: Path) -> None:
    from safety.ledger import switch

    for number in range(200):
        home = tmp_path / str(number)
        home.mkdir()
        with ThreadPoolExecutor(1) as halting:
            made = halting.submit(switch.write_file, home, "fills look odd")
            while (seen := switch.read_file(home)) is None:
                pass

        assert seen.reason == "fills look odd"
        assert made.result()
        assert [path.name for path in home.iterdir()] == ["HALT"]


def test_what_cannot_be_removed_keeps_it_halted(home: Path, ledger: Ledger) -> None:
    (home / "HALT").mkdir()
    with pytest.raises(UserMustAct, match="so everything stays halted"):
        release(ledger)

    assert ledger.switch().state == "HALTED"


def test_a_folder_that_cannot_be_looked_into_counts_as_halted(tmp_path: Path) -> None:
    from safety.ledger import switch

    (tmp_path / "file").touch()
    found = switch.read_file(tmp_path / "file" / "deeper")

    assert found is not None
    assert found.state == "HALTED"
    assert "cannot be checked" in found.reason


def test_halting_works_while_another_process_holds_the_ledger(home: Path, ledger: Ledger, clock: Clock) -> None:
    hurried = Ledger(home, Database(home / FILE_NAME, patience=0.05), audit_key(home), clock)
    holder = sqlite3.connect(home / FILE_NAME, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        switch = hurried.halt("now", "safety_halt")
        with pytest.raises(Unavailable, match="nothing was changed"):
            hurried.expire_due()
    finally:
        holder.execute("ROLLBACK")
        holder.close()
        hurried.close()

    assert (switch.state, switch.reason) == ("HALTED", "now")
    assert not ledger.claim(approved(ledger, clock).intent_id, go).won


def test_a_second_halt_keeps_the_first_reason(ledger: Ledger) -> None:
    first = ledger.halt("one", "safety_halt")
    head = ledger.head()

    assert ledger.halt("two", "another caller") == first
    assert ledger.halt("less", "the policy", state="REDUCING") == first
    assert ledger.head() == head


def test_reducing_lets_the_last_word_decide_and_can_become_a_halt(home: Path, ledger: Ledger, clock: Clock) -> None:
    switch = ledger.halt("a drawdown of 15 %", "the policy", state="REDUCING")
    assert switch.state == ledger.switch().state == "REDUCING"
    assert not (home / "HALT").exists()
    told: list[SwitchState] = []

    def look(_intent: Intent, _usage: Usage, state: SwitchState) -> Verdict:
        told.append(state)
        return GO

    assert ledger.claim(approved(ledger, clock).intent_id, look).won
    assert told == ["REDUCING"]
    assert ledger.halt("worse", "the policy").state == "HALTED"


def test_an_order_that_was_given_up_and_shows_up_halts(ledger: Ledger, clock: Clock) -> None:
    intent = sent(ledger, clock)
    ledger.settle(intent.intent_id, "UNKNOWN")
    ledger.settle(intent.intent_id, "ABSENT")
    assert ledger.switch().state == "ACTIVE"
    ledger.settle(intent.intent_id, "ACKED", order_id="o1")

    assert ledger.switch().state == "HALTED"
    assert "appeared after all" in ledger.switch().reason


def test_every_process_sees_it_at_once(home: Path, ledger: Ledger, clock: Clock) -> None:
    other = Ledger.open(home, now=clock)
    intent = approved(ledger, clock)
    other.halt("stop", "heytraders-mcp halt")
    seen, claim = ledger.switch(), ledger.claim(intent.intent_id, go)
    other.close()

    assert seen.state == "HALTED"
    assert not claim.won


def test_a_release_is_kept_with_what_was_signed(ledger: Ledger) -> None:
    ledger.halt("stop", "safety_halt")
    release(ledger)
    [event] = ledger.events(newest=True, limit=1)

    assert (event.kind, event.subject, event.body["over"], event.body["by"]) == (
        "switch", "release", "release at noon", "k1",
    )  # fmt: skip

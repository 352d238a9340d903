"""Opening checks only new entries: which changes of the journal it detects, and which need a full check."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from safety.ledger import Ledger

from .books import Clock, admitted, approved, go, order, raw, sent

FILE = "audit.checkpoint"


@pytest.fixture
def old(home: Path, ledger: Ledger, clock: Clock) -> Path:
    """The home of a ledger that passed a full check once, with one order before it and two after."""
    ledger.settle(sent(ledger, clock, order("1")).intent_id, "ACKED", order_id="o1")
    approved(ledger, clock, order("2"))
    assert ledger.check() == []
    ledger.settle(sent(ledger, clock, order("3")).intent_id, "ACKED", order_id="o3")
    approved(ledger, clock, order("4"))
    ledger.close()
    return home


@contextmanager
def reopened(home: Path, *, recent: bool = True) -> Generator[Ledger]:
    """The ledger as a server opens it."""
    ledger = Ledger.open(home, now=Clock(), recent=recent)
    try:
        yield ledger
    finally:
        ledger.close()


def test_a_whole_journal_is_whole_to_every_look(old: Path) -> None:
    with reopened(old) as ledger:
        assert ledger.switch().state == "ACTIVE"
        assert ledger.check() == ledger.verify() == []


@pytest.mark.parametrize(
    ("change", "at_open"),
    [
        ("UPDATE events SET body = body || ' ' WHERE seq = 10", True),
        ("UPDATE events SET prev = mac WHERE seq = 9", True),
        ("DELETE FROM events WHERE seq = 2", True),
        ("DELETE FROM events WHERE seq = 9", True),
        ("UPDATE intents SET notional = '1' WHERE amount = '4'", True),
        ("UPDATE intents SET state = 'APPROVED' WHERE amount = '3'", True),
        ("UPDATE intents SET deadline = deadline + 9 WHERE amount = '2'", True),
        ("UPDATE intents SET state = 'APPROVED' WHERE amount = '1'", True),
        ("DELETE FROM intents WHERE amount = '3'", True),
        ("UPDATE events SET body = body || ' ' WHERE seq = 2", False),
        ("UPDATE events SET at = at - 1 WHERE seq = 1", False),
        ("UPDATE intents SET notional = '1' WHERE amount = '1'", False),
        ("UPDATE intents SET state = 'REJECTED' WHERE amount = '1'", False),
        ("DELETE FROM intents WHERE amount = '1'", False),
    ],
)
def test_what_is_new_or_open_shows_at_the_open_and_what_is_old_and_over_at_the_next_whole_look(
    old: Path, change: str, at_open: bool
) -> None:
    raw(old, change)
    with reopened(old) as ledger:
        assert (ledger.switch().state == "HALTED") is at_open
        assert ledger.check() == ledger.verify() != []
        assert ledger.switch().state == "HALTED"


def test_a_look_that_is_not_told_to_be_short_is_whole(old: Path) -> None:
    raw(old, "UPDATE events SET body = body || ' ' WHERE seq = 2")
    with reopened(old, recent=False) as ledger:
        assert ledger.switch().state == "HALTED"


@pytest.mark.parametrize("text", ["", "[]", "{}", '[9, "00", "\\ud800"]', '[5, "{mac}", "00"]', '["5", null, 1]', None])
def test_without_a_checkpoint_of_our_own_everything_is_looked_through(old: Path, text: str | None) -> None:
    raw(old, "UPDATE events SET body = body || ' ' WHERE seq = 2")
    if text is None:
        (old / FILE).unlink()
    else:
        [[mac]] = raw(old, "SELECT mac FROM events WHERE seq = 5")
        (old / FILE).write_text(text.replace("{mac}", mac), encoding="utf-8")
    with reopened(old) as ledger:
        assert ledger.switch().state == "HALTED"


def test_a_checkpoint_whose_event_was_altered_or_is_gone_is_none(old: Path) -> None:
    raw(old, "UPDATE events SET body = body || ' ' WHERE seq IN (2, 5)")
    with reopened(old) as ledger:
        assert ledger.verify()[0] == "event 2 was altered"
        assert "event 2 " in ledger.switch().reason


def test_the_checkpoint_of_another_home_is_none(old: Path, tmp_path: Path) -> None:
    with reopened(tmp_path / "other") as other:
        for number in range(6):
            other.record("note", number=number)
        assert other.check() == []
    raw(old, "UPDATE events SET body = body || ' ' WHERE seq = 2")
    (old / FILE).write_bytes((tmp_path / "other" / FILE).read_bytes())
    with reopened(old) as ledger:
        assert ledger.switch().state == "HALTED"


def test_nothing_broken_is_ever_sealed(old: Path) -> None:
    before = (old / FILE).read_bytes()
    raw(old, "UPDATE events SET body = body || ' ' WHERE seq = 9")
    with reopened(old) as ledger:
        assert ledger.check()
        ledger.release(signature="ab", key_id="k1", over="release")
        assert ledger.check()
        assert ledger.switch().state == "ACTIVE"

    assert (old / FILE).read_bytes() == before
    assert (old / FILE).stat().st_mode & 0o077 == 0


def test_what_is_old_and_over_and_was_made_sendable_again_is_not_sent(old: Path) -> None:
    with reopened(old) as ledger:
        [done] = [each for each in ledger.intents() if each.order_id == "o1"]
        raw(old, "UPDATE intents SET state = 'APPROVED', deadline = deadline + 99 WHERE order_id = 'o1'")
        assert not ledger.claim(done.intent_id, go).won
        assert ledger.switch().state == "HALTED"


def test_a_check_of_many_parts_sees_each_of_them(home: Path, ledger: Ledger, clock: Clock) -> None:
    first = admitted(ledger, clock, order("1"))
    for number in range(450):
        ledger.record("note", number=number)
    assert ledger.check() == []
    for seq in (1, 200, 201, 400, 451):
        raw(home, f"UPDATE events SET at = at + 1 WHERE seq = {seq}")
        assert f"event {seq} was altered" in ledger.check()
        raw(home, f"UPDATE events SET at = at - 1 WHERE seq = {seq}")
    assert ledger.check() == []
    raw(home, f"DELETE FROM intents WHERE intent_id = '{first.intent_id}'")
    assert ledger.check() == [f"intent {first.intent_id} is gone"]
    raw(home, "DELETE FROM events WHERE seq = 200")
    assert "event 201 does not follow on event 200" in ledger.check()

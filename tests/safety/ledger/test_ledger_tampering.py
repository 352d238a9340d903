"""Changes behind the ledger's back: every change is detected, and none makes the ledger send."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from api.errors import UserMustAct
from safety.ledger import Ledger
from safety.ledger.switch import SignedPolicy
from safety.terms.facts import Outcome

from .books import CALLER, Clock, admitted, approved, deployment, go, order, post, proposal, raw, says, sent

EVENT_COLUMNS = ("at", "kind", "subject", "body", "prev", "mac")
INTENT_COLUMNS = (
    "service", "kind", "account_id", "symbol", "side", "amount", "price", "notional", "action_hash", "proposal",
    "digest", "tool", "client", "automatic", "asked", "created", "state", "by_human", "label", "booked", "changed_at",
    "deadline", "sent_at", "order_id", "result", "reason", "signature", "key_id", "approved_at", "seal",
    "origin",
)  # fmt: skip
STORED = ", ".join(("intent_id", "sweeps", *INTENT_COLUMNS))

LEAF_OF_AN_INDEX = b"\x0a"
"""First byte of its pages (sqlite.org/fileformat2.html, 1.6)."""


@pytest.fixture
def whole(home: Path, ledger: Ledger, clock: Clock) -> Path:
    """The home of a closed ledger that contains every kind of event."""
    ledger.pin_approver("aa" * 32)
    ledger.store_policy(SignedPolicy(1, "[live]\n", "0a" * 32, "ab" * 64, "k1", clock.now))
    ledger.settle(sent(ledger, clock).intent_id, "ACKED", order_id="o1", result={"status": "OPEN"})
    approved(ledger, clock, order("2"))
    ledger.admit(proposal(clock.now, order("3")), CALLER, says(Outcome.DENY), repeat_seconds=0)
    admitted(ledger, clock, deployment(), Outcome.REQUIRE)
    admitted(ledger, clock, post(), Outcome.REQUIRE)
    ledger.record("note", subject="test", text="done")
    assert ledger.verify() == []
    ledger.close()
    return home


def breaks(home: Path) -> list[str]:
    """The findings of a new process. It also halts."""
    opened = Ledger.open(home, now=Clock())
    try:
        found = opened.verify()
        assert (opened.switch().state == "HALTED") is bool(found)
    finally:
        opened.close()
    return found


def numbers(home: Path) -> range:
    """Of the events."""
    [[count]] = raw(home, "SELECT max(seq) FROM events")
    return range(1, count + 1)


def restored(home: Path, change: Callable[[], object]) -> list[str]:
    """The findings after a change, which is then undone."""
    kept = home.with_name("kept")
    shutil.copytree(home, kept)
    try:
        change()
        return breaks(home)
    finally:
        shutil.rmtree(home)
        kept.rename(home)


def test_a_whole_ledger_has_no_breaks(whole: Path) -> None:
    assert breaks(whole) == []
    assert raw(whole, "SELECT 1") == [(1,)]
    assert breaks(whole) == []


@pytest.mark.parametrize("column", EVENT_COLUMNS)
def test_every_change_of_an_event_shows(whole: Path, column: str) -> None:
    new = f"{column} + 1" if column == "at" else f"{column} || ' '"
    for seq in numbers(whole):
        found = restored(whole, lambda seq=seq: raw(whole, f"UPDATE events SET {column} = {new} WHERE seq = {seq}"))
        assert f"event {seq} was altered" in found


@pytest.mark.parametrize("column", INTENT_COLUMNS)
def test_every_change_of_an_intent_shows(whole: Path, column: str) -> None:
    """The columns take the intents in turn: each intent's row has one seal over all its columns."""
    intents = raw(whole, "SELECT intent_id FROM intents ORDER BY rowid")
    [intent_id] = intents[INTENT_COLUMNS.index(column) % len(intents)]
    change = (
        f"UPDATE intents SET {column} = CASE typeof({column}) WHEN 'text' THEN {column} || ' ' WHEN 'null' THEN 1"
        f" ELSE {column} + 1 END WHERE intent_id = '{intent_id}'"
    )
    assert restored(whole, lambda: raw(whole, change)) == [f"intent {intent_id} was altered"]


@pytest.mark.parametrize("value", ["x'00ff'", "7", "''", "'[]'", "'{'"])
def test_a_malformed_event_is_reported_and_does_no_harm(whole: Path, value: str) -> None:
    for column in ("body", "subject", "mac", "prev"):
        change = f"UPDATE events SET {column} = {value} WHERE seq = 3"
        found = restored(whole, lambda change=change: raw(whole, change))
        assert found[0].startswith("event 3 ")


def test_an_intent_that_cannot_be_read_is_said_to_be_altered(home: Path, ledger: Ledger, clock: Clock) -> None:
    intent = approved(ledger, clock)
    raw(home, "UPDATE intents SET proposal = '{}'")
    with pytest.raises(UserMustAct, match="was altered outside of the ledger"):
        ledger.intent(intent.intent_id)
    with pytest.raises(UserMustAct, match="was altered outside of the ledger"):
        ledger.claim(intent.intent_id, go)


def test_every_column_is_in_the_tables_above(whole: Path) -> None:
    events = [name for _, name, *_ in raw(whole, "PRAGMA table_info(events)")]
    intents = [name for _, name, *_ in raw(whole, "PRAGMA table_info(intents)")]

    assert events == ["seq", *EVENT_COLUMNS]
    assert sorted(intents) == sorted(["intent_id", "sweeps", *INTENT_COLUMNS])


def test_every_missing_event_but_the_last_shows(whole: Path) -> None:
    for seq in numbers(whole)[:-1]:
        found = restored(whole, lambda seq=seq: raw(whole, f"DELETE FROM events WHERE seq = {seq}"))
        assert f"events {seq} to {seq} are missing" in found


def test_a_missing_event_does_not_hide_when_the_others_are_renumbered(whole: Path) -> None:
    for seq in numbers(whole)[:-1]:
        statements = (f"DELETE FROM events WHERE seq = {seq}", f"UPDATE events SET seq = seq - 1 WHERE seq > {seq}")
        assert restored(whole, lambda statements=statements: raw(whole, *statements))


def test_every_exchange_of_neighbours_shows(whole: Path) -> None:
    for seq in numbers(whole)[:-1]:
        statements = (
            f"UPDATE events SET seq = -1 WHERE seq = {seq}",
            f"UPDATE events SET seq = {seq} WHERE seq = {seq + 1}",
            f"UPDATE events SET seq = {seq + 1} WHERE seq = -1",
        )
        found = restored(whole, lambda statements=statements: raw(whole, *statements))
        assert f"event {seq} was altered" in found


def test_every_repetition_and_every_invention_shows(whole: Path) -> None:
    last = numbers(whole)[-1]
    for seq in numbers(whole):
        again = (
            f"INSERT INTO events SELECT {last + 1}, at, kind, subject, body, prev, mac FROM events WHERE seq = {seq}"
        )
        assert restored(whole, lambda again=again: raw(whole, again))
    invented = "INSERT INTO events SELECT seq + 1, at, 'switch', 'release', body, mac, mac FROM events ORDER BY seq"
    assert restored(whole, lambda: raw(whole, f"{invented} DESC LIMIT 1"))


def test_every_missing_and_every_invented_intent_shows(whole: Path) -> None:
    ids = [intent_id for [intent_id] in raw(whole, "SELECT intent_id FROM intents")]
    for intent_id in ids:
        gone = restored(whole, lambda one=intent_id: raw(whole, f"DELETE FROM intents WHERE intent_id = '{one}'"))
        assert gone == [f"intent {intent_id} is gone"]
    columns = ", ".join(INTENT_COLUMNS).replace("label", "''", 1)
    copy = f"INSERT INTO intents SELECT '7' || substr(intent_id, 2), {columns}, 0 FROM intents LIMIT 1"
    named = copy.replace("INTO intents", f"INTO intents (intent_id, {', '.join(INTENT_COLUMNS)}, sweeps)")
    [found] = restored(whole, lambda: raw(whole, named))
    assert "was never admitted" in found


def test_an_older_row_put_back_shows(whole: Path, clock: Clock) -> None:
    [before] = raw(whole, f"SELECT {STORED} FROM intents WHERE state = 'APPROVED'")
    opened = Ledger.open(whole, now=clock)
    assert opened.claim(before[0], go).won
    opened.close()
    marks = ", ".join("?" * len(before))
    raw(whole, f"INSERT OR REPLACE INTO intents ({STORED}) VALUES ({marks})", arguments=before)

    assert breaks(whole) == [f"intent {before[0]} was altered"]


def test_an_older_row_put_back_is_not_sent_again(home: Path, ledger: Ledger, clock: Clock) -> None:
    intent = approved(ledger, clock)
    [before] = raw(home, f"SELECT {STORED} FROM intents")
    assert ledger.claim(intent.intent_id, go).won
    raw(home, f"INSERT OR REPLACE INTO intents ({STORED}) VALUES ({', '.join('?' * len(before))})", arguments=before)
    claim = ledger.claim(intent.intent_id, go)

    assert (claim.won, claim.intent.state) == (False, "APPROVED")
    assert ledger.switch().state == "HALTED"


@pytest.mark.parametrize("change", ["signature", "state"])
def test_what_was_altered_is_not_written_again(home: Path, ledger: Ledger, clock: Clock, change: str) -> None:
    intent = sent(ledger, clock)
    raw(home, f"UPDATE intents SET {change} = 'UNKNOWN'")
    with pytest.raises(UserMustAct, match="was altered outside of the ledger"):
        ledger.settle(intent.intent_id, "ACKED")
    with pytest.raises(UserMustAct, match="was altered outside of the ledger"):
        ledger.observe(intent.intent_id, {"status": "FILLED"})

    assert len(ledger.verify()) == 1


def test_a_forged_release_does_not_release(home: Path, ledger: Ledger, clock: Clock) -> None:
    ledger.halt("stop", "safety_halt")
    (home / "HALT").unlink()
    forged = '{"state": "ACTIVE", "reason": "", "by": "me"}'
    raw(home, f"INSERT INTO events SELECT seq + 1, at, kind, 'release', '{forged}', mac, mac FROM events")

    assert ledger.switch().state == "HALTED"
    assert not ledger.claim(approved(ledger, clock).intent_id, go).won


def test_a_forged_approver_is_not_believed(home: Path, ledger: Ledger) -> None:
    ledger.pin_approver("aa" * 32)
    forged = '{"public_key": "' + "bb" * 32 + '", "signature": ""}'
    raw(home, f"INSERT INTO events SELECT seq + 1, at, kind, subject, '{forged}', mac, mac FROM events")

    with pytest.raises(UserMustAct, match="no approval can be believed"):
        ledger.approver()


def test_a_release_excuses_only_what_had_been_altered_before_it(home: Path, ledger: Ledger) -> None:
    ledger.pin_approver("aa" * 32)
    ledger.halt("stop", "a test")
    ledger.release(signature="ab", key_id="k1", over="release")
    raw(home, "UPDATE events SET body = replace(body, 'aaaa', 'bbbb') WHERE kind = 'approver'")
    with pytest.raises(UserMustAct, match="no approval can be believed"):
        ledger.approver()

    ledger.halt("the journal was altered", "a test")
    ledger.release(signature="ab", key_id="k1", over="release")

    assert ledger.approver() == "bb" * 32


def test_a_missing_end_shows_beside_the_head_that_was_kept_elsewhere(whole: Path, clock: Clock) -> None:
    opened = Ledger.open(whole, now=clock)
    older = opened.head()
    opened.record("note", text="one more")
    anchor = opened.head()
    opened.close()
    raw(whole, f"DELETE FROM events WHERE seq > {older[0]}")
    opened = Ledger.open(whole, now=clock)

    assert opened.verify() == []
    assert opened.verify(anchor=older) == []
    [found] = opened.verify(anchor=anchor)
    assert "the ledger was replaced by an older state" in found
    opened.close()


def test_an_older_file_put_back_shows_beside_the_label_of_a_later_order(whole: Path, clock: Clock) -> None:
    older = (whole / "safety.db").read_bytes()
    opened = Ledger.open(whole, now=clock)
    label = sent(opened, clock, order("7")).label
    assert opened.verify(anchor=(0, label.rpartition(":")[2])) == []
    opened.close()
    (whole / "safety.db").write_bytes(older)
    opened = Ledger.open(whole, now=clock)

    assert opened.verify() == []
    assert opened.by_label([label]) == {}
    assert len(opened.verify(anchor=(0, label.rpartition(":")[2]))) == 1
    opened.close()


def test_a_dropped_or_altered_trigger_shows(whole: Path) -> None:
    from safety.ledger.database import TRIGGERS

    for name in TRIGGERS:

        def drop(name: str = name) -> None:
            connection = sqlite3.connect(whole / "safety.db", isolation_level=None)
            connection.execute(f"DROP TRIGGER {name}")
            connection.close()

        assert restored(whole, drop) == [f"the trigger {name} is gone or was altered"]


def test_an_index_that_hides_rows_from_the_sums_shows(whole: Path) -> None:
    def narrow() -> None:
        connection = sqlite3.connect(whole / "safety.db", isolation_level=None)
        connection.execute("DROP INDEX intents_by_change")
        connection.execute("CREATE INDEX intents_by_change ON intents (service, kind, changed_at) WHERE kind = ''")
        connection.close()

    assert restored(whole, narrow) == ["the index intents_by_change is gone or was altered"]


def test_a_sum_altered_in_an_index_alone_shows(whole: Path) -> None:
    [[size]] = raw(whole, "PRAGMA page_size")
    [[notional]] = raw(whole, "SELECT notional FROM intents WHERE state = 'ACKED'")
    file = whole / "safety.db"
    pages = [file.read_bytes()[at : at + size] for at in range(0, file.stat().st_size, size)]
    told, other = notional.encode(), b"9" * len(notional)
    altered = [page.replace(told, other) if page[:1] == LEAF_OF_AN_INDEX else page for page in pages]

    assert altered != pages
    file.write_bytes(b"".join(altered))
    assert any("is inconsistent" in said for said in breaks(whole))


def test_a_chain_rebuilt_with_another_key_shows(whole: Path) -> None:
    (whole / "audit.key").write_bytes(b"k" * 32)

    assert "event 1 was altered" in breaks(whole)


def test_a_lost_key_halts_and_only_a_human_goes_on(whole: Path, clock: Clock) -> None:
    (whole / "audit.key").unlink()
    opened = Ledger.open(whole, now=clock)
    assert opened.switch().state == "HALTED"
    assert "is inconsistent" in opened.switch().reason
    opened.release(signature="ab", key_id="k1", over="release")
    opened.close()
    opened = Ledger.open(whole, now=clock)

    assert opened.switch().state == "ACTIVE"
    assert opened.verify()
    raw(whole, "UPDATE events SET at = at + 1 WHERE kind = 'switch' AND subject = 'release'")
    opened.close()
    opened = Ledger.open(whole, now=clock)
    assert opened.switch().state == "HALTED"
    opened.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE intents SET state = 'APPROVED', signature = 'ab', key_id = 'k1', deadline = deadline + 999"
        " WHERE state = 'PENDING'",
        "UPDATE intents SET deadline = deadline + 9999 WHERE state = 'APPROVED'",
        "UPDATE intents SET automatic = 1 WHERE state = 'APPROVED'",
        "UPDATE intents SET state = 'APPROVED', approved_at = 1800014400, deadline = 1800014460 WHERE state = 'ACKED'",
    ],
    ids=["approved", "prolonged", "made automatic", "sent again"],
)
def test_what_was_forged_while_a_server_runs_is_not_sent_and_halts(
    home: Path, ledger: Ledger, clock: Clock, change: str
) -> None:
    admitted(ledger, clock, order("1"), Outcome.REQUIRE)
    ledger.settle(sent(ledger, clock, order("2")).intent_id, "ACKED")
    approved(ledger, clock, order("3"))
    before = {intent.intent_id: intent for intent in ledger.intents()}
    raw(home, change)
    [forged] = [intent for intent in ledger.intents() if intent != before[intent.intent_id]] or [
        next(intent for intent in ledger.intents() if intent.state == "APPROVED")
    ]
    claim = ledger.claim(forged.intent_id, go)

    assert not claim.won
    assert "was altered outside of the ledger" in claim.reason
    assert ledger.switch().state == "HALTED"


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("UPDATE events SET body = '{}'", "events are never changed"),
        ("DELETE FROM events", "events are never removed"),
        ("INSERT INTO events VALUES (99, 0, 'a', '', '{}', '', '')", "events are only appended"),
        ("INSERT OR REPLACE INTO events VALUES (1, 0, 'a', '', '{}', '', '')", "events are only appended"),
        ("DELETE FROM intents", "intents are never removed"),
        ("UPDATE intents SET proposal = ''", "the terms of an intent never change"),
        ("UPDATE intents SET notional = '0'", "the terms of an intent never change"),
        ("UPDATE intents SET state = 'APPROVED' WHERE state = 'ACKED'", "no such move"),
        ("UPDATE intents SET state = 'SENT' WHERE state = 'PENDING'", "no such move"),
    ],
)
def test_mistakes_of_our_own_are_stopped_by_the_database(whole: Path, statement: str, refusal: str) -> None:
    connection = sqlite3.connect(whole / "safety.db", isolation_level=None)
    try:
        with pytest.raises(sqlite3.IntegrityError, match=refusal):
            connection.execute(statement)
    finally:
        connection.close()

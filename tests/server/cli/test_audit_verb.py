"""`heytraders-mcp audit`: the journal for people and for other programs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from safety.ledger import Ledger
from safety.terms.facts import Outcome
from tests.safety.ledger.books import CALLER, Clock, approved, order, proposal, raw, says, sent
from tests.server.cli.shell import Done, run_here

Audit = Callable[..., Done]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a short history: an approved order, a denied one, a sent one, a halt."""
    clock = Clock(time.time() - 60)
    ledger = Ledger.open(tmp_path / "home", now=clock)
    approved(ledger, clock)
    ledger.admit(proposal(clock.now, order("2")), CALLER, says(Outcome.DENY), repeat_seconds=0)
    sent(ledger, clock, order("3"))
    ledger.halt("lunch\x1b[2J", "safety_halt", state="REDUCING")
    ledger.close()
    return tmp_path / "home"


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """Run the verb."""

    def verb(*arguments: str) -> Done:
        return run_here("audit", *arguments, env={"HEYTRADERS_HOME": str(tmp_path / "home")}, folder=tmp_path)

    return verb


@pytest.mark.usefixtures("home")
def test_a_whole_journal_is_said_to_hold_with_its_head(audit: Audit) -> None:
    head = audit("--head").stdout.strip()
    done = audit("verify", "--anchor", head)

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"6 events are consistent. Head: {head}\n"
    assert "Only --anchor" in audit("verify").stdout


def test_what_was_altered_is_named_and_halts(home: Path, audit: Audit) -> None:
    raw(home, "UPDATE events SET body = '{}' WHERE seq = 2")
    done = audit("verify")

    assert done.returncode == 1
    assert "event 2 was altered\n" in done.stdout
    assert "Halted." in done.stderr
    assert (home / "HALT").exists()


def test_a_missing_end_shows_beside_an_anchor_and_halts(home: Path, audit: Audit) -> None:
    head = audit("--head").stdout.strip()
    raw(home, "DELETE FROM events WHERE seq = 6")

    assert audit("verify").returncode == 0
    done = audit("verify", "--anchor", head)
    assert done.returncode == 1
    assert "the ledger was replaced by an older state" in done.stdout
    assert (home / "HALT").exists()


def test_a_label_at_the_exchange_is_an_anchor_too(home: Path, audit: Audit) -> None:
    ledger = Ledger.open(home)
    [label] = [intent.label for intent in ledger.intents(states=["SENT"])]
    ledger.close()

    assert audit("verify", "--label", label).returncode == 0
    assert audit("verify", "--label", f"{label[:-12]}{'0' * 12}").returncode == 1


@pytest.mark.usefixtures("home")
def test_the_export_has_every_event_as_json(audit: Audit, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in audit("export").stdout.splitlines()]
    audit("export", "journal.jsonl", "--after", "4")

    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [later["prev"] for later in lines[1:]] == [earlier["mac"] for earlier in lines[:-1]]
    written = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert written == lines[4:]


@pytest.mark.usefixtures("home")
def test_the_tail_is_one_plain_line_an_event(audit: Audit) -> None:
    lines = audit("tail").stdout.splitlines()

    assert len(lines) == 6
    assert "PENDING -> APPROVED" in lines[1]
    assert "denied" in lines[2]
    assert "APPROVED -> SENT" in lines[4]
    assert lines[5].endswith("engage REDUCING by safety_halt: lunch[2J")
    assert audit("tail", "-n", "1").stdout.splitlines() == lines[5:]


def test_without_a_ledger_it_says_so_and_creates_none(audit: Audit, tmp_path: Path) -> None:
    done = audit("verify")

    assert done.returncode == 1
    assert "nothing is recorded" in done.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "arguments", [("--anchor", "6"), ("--anchor", "0:ab"), ("--label", "mine")], ids=lambda arguments: arguments[-1]
)
def test_what_is_no_anchor_is_refused_with_what_to_do(audit: Audit, arguments: tuple[str, ...]) -> None:
    done = audit("verify", *arguments)

    assert done.returncode == 1
    assert arguments[-1] in done.stderr
    assert "Give" in done.stderr


def test_alone_it_says_what_can_be_asked(audit: Audit) -> None:
    done = audit()

    assert done.returncode == 2
    assert "verify, export or tail" in done.stderr

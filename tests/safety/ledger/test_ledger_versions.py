"""A ledger of an earlier release opens with all its data; one of a later release is refused with a message."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from api.errors import UserMustAct
from safety.ledger import Ledger
from safety.terms.proposal import Proposal
from tests.safety.ledger.books import Clock, order, proposal

pytestmark = pytest.mark.usefixtures("own_tables")

DUMP: Final = Path(__file__).with_name("home_of_0_1_0.sql")
"""The contents written by release 0.1.0: a placed order, one being sent, one halted while it waited, and a denial."""

PLACED: Final = "01JXT21Q00CS43BFMMMPS89PNR"
SENT: Final = "01JXT21QZ8A77HQCWB2C1JYKPC"
HALTED: Final = "01JXT21RYGVNJD3SW32Q1CCSJS"


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A home of release 0.1.0."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    first, _, script = DUMP.read_text(encoding="utf-8").partition("\n")
    key = home / "audit.key"
    key.touch(mode=0o600)
    key.write_bytes(bytes.fromhex(first.rpartition(" ")[2]))
    connection = sqlite3.connect(home / "safety.db")
    connection.executescript(script)
    connection.close()
    return home


def test_a_home_of_0_1_0_opens_and_keeps_every_intent_and_event(earlier: Path) -> None:
    ledger = Ledger.open(earlier, now=Clock(1_750_000_010.0))
    try:
        states = {each.intent_id: each.state for each in ledger.intents()}
        money = {each.intent_id: each.proposal.money for each in ledger.intents()}
        breaks, switch = ledger.verify(), ledger.switch()
        labels = ledger.labels_echoed("https://api.example.com/api/v1")
    finally:
        ledger.close()

    assert states == {PLACED: "ACKED", SENT: "SENT", HALTED: "HALTED"}
    assert money == {PLACED: "real", SENT: "paper", HALTED: "real"}
    assert (breaks, switch.state, labels) == ([], "HALTED", True)


def test_what_0_1_0_booked_still_counts_and_its_digests_still_hold(earlier: Path) -> None:
    ledger = Ledger.open(earlier, now=Clock(1_750_000_010.0))
    try:
        real, paper = ledger.usage("real", order()), ledger.usage("paper", order())
        digests = [each.digest == each.proposal.digest for each in ledger.intents()]
    finally:
        ledger.close()

    assert (real.count_24h, real.notional_24h) == (1, Decimal(10))
    assert (paper.count_24h, paper.notional_24h) == (1, Decimal(20))
    assert real.high_water_equity == Decimal(1000)
    assert digests == [True, True, True]


def test_a_ledger_of_a_later_release_is_refused_in_words(earlier: Path) -> None:
    connection = sqlite3.connect(earlier / "safety.db")
    connection.execute("PRAGMA user_version=99")
    connection.close()

    with pytest.raises(UserMustAct, match="schema version 99") as refused:
        Ledger.open(earlier)

    assert "Upgrade" in refused.value.suggestion


def test_a_proposal_of_a_version_nobody_knows_is_not_read() -> None:
    written = proposal(0.0).canonical.replace('"v":2', '"v":3')

    with pytest.raises(ValueError, match="not a proposal of this version"):
        Proposal.read(written)

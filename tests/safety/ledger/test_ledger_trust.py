"""The keys that the ledger trusts, and the journal with several readers and writers."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.errors import Denied
from safety.exits import know
from safety.ledger import Ledger
from safety.ledger.switch import SignedPolicy

from .books import Clock, admitted


def public(key: Ed25519PrivateKey) -> str:
    """A public key as the ledger stores it."""
    return key.public_key().public_bytes_raw().hex()


def policy(version: int, toml: str = "[live]\n") -> SignedPolicy:
    """A signed policy."""
    return SignedPolicy(version, toml, "0a" * 32, "ab" * 64, "k1", 1_800_000_000.5)


def test_the_first_key_is_pinned_as_it_is(ledger: Ledger) -> None:
    assert ledger.approver() is None
    ledger.pin_approver("aa" * 32)
    assert ledger.approver() == "aa" * 32
    head = ledger.head()
    ledger.pin_approver("aa" * 32)

    assert ledger.head() == head


def test_another_key_never_takes_the_place_of_the_first(ledger: Ledger) -> None:
    first, second = (public(Ed25519PrivateKey.generate()) for _ in range(2))
    ledger.pin_approver(first)
    head = ledger.head()
    with pytest.raises(Denied, match="another approver is enrolled already"):
        ledger.pin_approver(second)

    assert ledger.approver() == first
    assert ledger.head() == head


def test_the_policy_that_was_signed_last_comes_back_as_it_was(home: Path, clock: Clock, ledger: Ledger) -> None:
    assert ledger.signed_policy() is None
    ledger.store_policy(policy(1))
    ledger.store_policy(policy(3, "[live]\ntrading = true\n# é\n"))
    other = Ledger.open(home, now=clock)
    found = other.signed_policy()
    other.close()

    assert found == policy(3, "[live]\ntrading = true\n# é\n")


@pytest.mark.parametrize("version", [0, 2, 3])
def test_an_older_policy_does_not_come_back(ledger: Ledger, version: int) -> None:
    ledger.store_policy(policy(3))
    with pytest.raises(Denied, match="is not newer than version 3"):
        ledger.store_policy(policy(version))

    assert ledger.signed_policy() == policy(3)


def test_whether_a_service_returns_labels_is_remembered_for_each(ledger: Ledger) -> None:
    assert ledger.labels_echoed("one") is None
    ledger.note_labels("one", True)
    ledger.note_labels("two", False)
    head = ledger.head()
    ledger.note_labels("one", True)
    assert ledger.head() == head
    ledger.note_labels("one", False)

    assert (ledger.labels_echoed("one"), ledger.labels_echoed("two"), ledger.labels_echoed("three")) == (
        False, False, None,
    )  # fmt: skip


def test_others_write_events_of_their_own_kinds_and_of_no_other(ledger: Ledger, clock: Clock) -> None:
    ledger.record("sweep", subject="embedded", orders=3, spent=Decimal("1.50"))
    for kind in ("intent", "denied", "switch", "policy", "approver", "equity", "labels", "audit"):
        with pytest.raises(ValueError, match=kind):
            ledger.record(kind, state="ACTIVE")

    [event] = ledger.events()
    assert (event.seq, event.at, event.kind, event.subject) == (1, clock.now, "sweep", "embedded")
    assert (event.body["orders"], event.body["spent"], set(event.body)) == (
        3, "1.5", {"orders", "spent", "pid", "monotonic"},
    )  # fmt: skip
    assert ledger.latest("sweep", "embedded") == event


def test_events_are_read_in_pages_from_both_ends(ledger: Ledger) -> None:
    for number in range(7):
        ledger.record("note", number=number)

    assert [event.seq for event in ledger.events(limit=3)] == [1, 2, 3]
    assert [event.seq for event in ledger.events(after=3, limit=3)] == [4, 5, 6]
    assert [event.seq for event in ledger.events(after=6)] == [7]
    assert [event.seq for event in ledger.events(limit=3, newest=True)] == [5, 6, 7]
    assert [event.seq for event in ledger.events(after=6, limit=3, newest=True)] == [7]
    assert ledger.events(after=7) == []


def test_each_event_follows_on_the_one_before(ledger: Ledger, clock: Clock) -> None:
    assert ledger.head() == (0, "0" * 64)
    admitted(ledger, clock)
    ledger.record("note")
    first, second = ledger.events()

    assert (first.prev, second.prev) == ("0" * 64, first.mac)
    assert ledger.head() == (2, second.mac)


def test_two_homes_have_different_chains(tmp_path: Path, clock: Clock) -> None:
    macs: set[str] = set()
    for name in ("one", "two"):
        ledger = Ledger.open(tmp_path / name, now=clock)
        ledger.record("note")
        macs.add(ledger.head()[1])
        ledger.close()

    assert len(macs) == 2


@pytest.mark.parametrize(
    "before", ["ht_secret_canary_", 'quo"ted-', "back\\slash-", 'both\\"-', "uml\u00e4ut-", "per%cent-"], ids=repr
)
def test_a_known_secret_never_gets_into_the_journal(home: Path, ledger: Ledger, before: str) -> None:
    secret = f"{before}9f8e7d6c5b4a"
    know(secret)
    ledger.record("note", said=f"the key is {secret}, says the page")
    ledger.record("note", said=f'the page says "{secret}"', then=[{secret: 1}])
    ledger.record("note", said=f"C:\\keys\\{secret}", then=json.dumps({"key": secret}))

    assert b"9f8e7d6c5b4a" not in (home / "safety.db").read_bytes()
    assert ledger.verify() == []

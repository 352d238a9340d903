"""A home that is rolled back, copied or emptied after sending real money halts before it sends again, and says why."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from api.errors import Denied
from safety.ledger import Ledger

from .books import PAPER_SERVICE, Clock, admitted, approved, go, sent

WHAT_IS_KEPT = ("safety.db", "audit.key")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's state folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def _closed(ledger: Ledger, home: Path, to: Path) -> None:
    """Copy the home, as a disk snapshot would."""
    ledger.close()
    shutil.copytree(home, to)


def _roll_back(home: Path, snapshot: Path) -> Path:
    """Put the old files into the same folder, without removing it."""
    for file in home.iterdir():
        file.unlink()
    for file in snapshot.iterdir():
        shutil.copy2(file, home)
    return home


def _replace(home: Path, snapshot: Path) -> Path:
    """Put another folder in its place, as a restore does."""
    shutil.rmtree(home)
    shutil.copytree(snapshot, home)
    return home


def _copy(_home: Path, snapshot: Path) -> Path:
    """Use the copy where it is, beside the first."""
    return snapshot


def _empty(home: Path, _snapshot: Path) -> Path:
    """Delete the ledger and its key, and keep the folder."""
    for name in WHAT_IS_KEPT:
        (home / name).unlink()
    return home


@pytest.mark.parametrize("attack", [_roll_back, _replace, _copy, _empty])
def test_an_older_state_halts_at_the_start_and_sends_nothing(
    home: Path, clock: Clock, tmp_path: Path, attack: Callable[[Path, Path], Path]
) -> None:
    ledger = Ledger.open(home, now=clock)
    intent = approved(ledger, clock)
    _closed(ledger, home, tmp_path / "snapshot")
    ledger = Ledger.open(home, now=clock)
    assert ledger.claim(intent.intent_id, go).won
    ledger.close()

    attacked = Ledger.open(attack(home, tmp_path / "snapshot"), now=clock)
    again = attacked.intent(intent.intent_id)
    claims = [] if again is None else [attacked.claim(intent.intent_id, go)]
    fresh = attacked.claim(admitted(attacked, clock).intent_id, go)
    switch = attacked.switch()
    attacked.close()

    assert sum(claim.won for claim in [*claims, fresh]) == 0
    assert switch.state == "HALTED"
    assert "the ledger was replaced by an older state" in switch.reason
    assert str(tmp_path / "state") in switch.reason


def test_a_state_that_is_swapped_while_the_server_runs_is_met_at_the_claim(
    home: Path, clock: Clock, tmp_path: Path
) -> None:
    ledger = Ledger.open(home, now=clock)
    intent = approved(ledger, clock)
    _closed(ledger, home, tmp_path / "snapshot")
    copy = Ledger.open(tmp_path / "snapshot", now=clock)
    ledger = Ledger.open(home, now=clock)
    assert ledger.claim(intent.intent_id, go).won

    claim = copy.claim(intent.intent_id, go)
    assert (claim.won, copy.switch().state, ledger.switch().state) == (False, "HALTED", "ACTIVE")
    assert ledger.claim(approved(ledger, clock).intent_id, go).won
    copy.close()
    ledger.close()


def test_a_human_accepts_a_restored_backup_once(home: Path, clock: Clock, tmp_path: Path) -> None:
    ledger = Ledger.open(home, now=clock)
    ledger.pin_approver("aa" * 32)
    _closed(ledger, home, tmp_path / "snapshot")
    ledger = Ledger.open(home, now=clock)
    sent(ledger, clock)
    ledger.close()

    restored = Ledger.open(_replace(home, tmp_path / "snapshot"), now=clock)
    assert restored.switch().state == "HALTED"
    restored.release(signature="ab" * 64, key_id="k1", over="text")
    restored.close()
    again = Ledger.open(home, now=clock)
    assert again.switch().state == "ACTIVE"
    assert again.claim(admitted(again, clock).intent_id, go).won
    again.close()


def test_a_new_passphrase_in_an_emptied_home_cannot_release_it(home: Path, clock: Clock) -> None:
    ledger = Ledger.open(home, now=clock)
    ledger.pin_approver("aa" * 32)
    sent(ledger, clock)
    ledger.close()

    emptied = Ledger.open(_empty(home, home), now=clock)
    emptied.pin_approver("bb" * 32)
    with pytest.raises(Denied, match="another passphrase was in use for this folder") as refused:
        emptied.release(signature="ab" * 64, key_id="k2", over="text")
    assert emptied.switch().state == "HALTED"
    emptied.close()
    assert "remove" in refused.value.suggestion


def test_simulated_money_keeps_nothing_outside(home: Path, clock: Clock, state: Path) -> None:
    ledger = Ledger.open(home, now=clock)
    sent(ledger, clock, service=PAPER_SERVICE)
    ledger.halt("enough", "a test")
    ledger.close()

    assert not state.exists()


def test_a_state_folder_that_cannot_be_written_stops_nothing(
    home: Path, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    ledger = Ledger.open(home, now=clock)
    assert sent(ledger, clock).state == "SENT"
    ledger.close()

"""The signing key opens only with its passphrase, and withstands many guesses."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from api.errors import HeyTradersError, InvalidInput, NotAuthorised, RateLimited
from safety.human.in_force import trusted
from safety.human.signing import (
    APPROVER_FILE,
    ATTEMPTS_FILE,
    MIN_PASSPHRASE,
    REST_SECONDS,
    NotEnrolled,
    SigningKey,
    WrongPassphrase,
    change_passphrase,
    enrol,
    public,
    unlock,
)
from safety.ledger import Ledger
from safety.private_file import BadFile
from tests.safety.approval.conftest import CHEAP, PASSPHRASE


def tried(home: Path, passphrase: str, now: float) -> str:
    """The result of one attempt."""
    try:
        unlock(home, passphrase, now=now)
    except HeyTradersError as error:
        return error.code
    return "open"


def test_the_passphrase_opens_the_very_key_that_was_enrolled(home: Path, key: SigningKey) -> None:
    opened = unlock(home, PASSPHRASE)

    assert opened.approver == key.approver == public(home)
    assert key.approver.verify("text", opened.sign("text"))


def test_a_signature_is_for_one_text_and_one_key(key: SigningKey, tmp_path: Path) -> None:
    other = enrol(tmp_path / "other", PASSPHRASE, cost=CHEAP)
    signature = key.sign("text")

    assert not key.approver.verify("text ", signature)
    assert not other.approver.verify("text", signature)
    assert not key.approver.verify("text", signature[:-2])
    assert not key.approver.verify("text", "")
    assert not key.approver.verify("text", "no hexadecimal")


def test_the_key_is_sealed_in_a_file_that_only_its_owner_can_read(home: Path, key: SigningKey) -> None:
    file = home / APPROVER_FILE

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert key.private.private_bytes_raw().hex() not in file.read_text()
    assert PASSPHRASE not in file.read_text()
    assert key.private.private_bytes_raw().hex() not in repr(key)


def test_composed_and_decomposed_letters_are_the_same_passphrase(home: Path) -> None:
    enrol(home, "f\u00fcnf lange W\u00f6rter", cost=CHEAP)

    assert unlock(home, "fu\u0308nf lange Wo\u0308rter")


@pytest.mark.parametrize("passphrase", ["", "short", "a" * 40, "x" * (MIN_PASSPHRASE - 1), "ababababababab"])
def test_what_is_guessed_soon_is_no_passphrase(home: Path, passphrase: str) -> None:
    with pytest.raises(InvalidInput, match="12 characters"):
        enrol(home, passphrase, cost=CHEAP)
    assert public(home) is None


def test_twelve_characters_of_which_six_differ_are_enough(home: Path) -> None:
    enrol(home, "abcdefabcdef", cost=CHEAP)

    assert unlock(home, "abcdefabcdef")


def test_a_second_enrolment_is_refused(home: Path, key: SigningKey) -> None:
    with pytest.raises(NotAuthorised, match="already set"):
        enrol(home, "another long passphrase", cost=CHEAP)
    assert public(home) == key.approver


def test_without_an_enrolment_nothing_opens(home: Path) -> None:
    with pytest.raises(NotEnrolled, match="no passphrase"):
        unlock(home, PASSPHRASE)


@pytest.mark.usefixtures("key")
def test_after_five_wrong_ones_the_right_one_waits_too(home: Path) -> None:
    said = [tried(home, "wrong passphrase", 1000.0 + second) for second in range(6)]

    assert said == ["WRONG_PASSPHRASE"] * 5 + ["RATE_LIMITED"]
    assert tried(home, PASSPHRASE, 1004.0 + REST_SECONDS - 1) == "RATE_LIMITED"
    assert tried(home, PASSPHRASE, 1004.0 + REST_SECONDS) == "open"


@pytest.mark.usefixtures("key")
def test_a_clock_that_was_set_does_not_end_the_rest(home: Path) -> None:
    for _ in range(5):
        tried(home, "wrong passphrase", 10_000.0)

    assert tried(home, PASSPHRASE, 10_000.0 - 60) == "RATE_LIMITED"


@pytest.mark.usefixtures("key")
def test_each_next_five_begin_another_rest(home: Path) -> None:
    for now in (0.0, 10_000.0):
        assert [tried(home, "wrong passphrase", now) for _ in range(6)] == ["WRONG_PASSPHRASE"] * 5 + ["RATE_LIMITED"]


@pytest.mark.usefixtures("key")
def test_the_right_one_ends_the_count(home: Path) -> None:
    for _ in range(3):
        assert [tried(home, "wrong passphrase", 5.0) for _ in range(4)] == ["WRONG_PASSPHRASE"] * 4
        assert tried(home, PASSPHRASE, 5.0) == "open"


@pytest.mark.usefixtures("key")
def test_guesses_at_the_same_moment_are_all_counted(home: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        said = list(pool.map(partial(tried, home, "wrong passphrase"), [5.0] * 48))

    assert said.count("WRONG_PASSPHRASE") == 5
    assert said.count("RATE_LIMITED") == 43


@pytest.mark.usefixtures("key")
def test_the_refusal_says_how_long_to_wait(home: Path) -> None:
    for _ in range(5):
        tried(home, "wrong passphrase", 100.0)

    with pytest.raises(RateLimited) as refused:
        unlock(home, PASSPHRASE, now=160.0)
    assert refused.value.retry_after == REST_SECONDS - 60


@pytest.mark.usefixtures("key")
def test_a_wrong_one_is_told_how_many_tries_are_left(home: Path) -> None:
    ways: list[str] = []
    for _ in range(5):
        with pytest.raises(WrongPassphrase) as wrong:
            unlock(home, "wrong passphrase", now=1.0)
        ways.append(wrong.value.suggestion)

    assert [way[:6] for way in ways] == ["4 more", "3 more", "2 more", "1 more", "Passph"]


def test_another_passphrase_opens_the_same_key(home: Path, key: SigningKey) -> None:
    change_passphrase(home, PASSPHRASE, "quite another passphrase", cost=CHEAP)

    assert unlock(home, "quite another passphrase").approver == key.approver
    with pytest.raises(WrongPassphrase):
        unlock(home, PASSPHRASE)


def changed(home: Path, change: dict[str, Any]) -> None:
    """Alter fields of the file."""
    file = home / APPROVER_FILE
    fields: dict[str, Any] = json.loads(file.read_text())
    file.write_text(json.dumps({**fields, **change}))


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"public_key": "00"},
        {"public_key": 7},
        {"sealed": "zz"},
        {"nonce": ""},
        {"kdf": {}},
        {"kdf": {"name": "none"}},
        {"kdf": {"name": "scrypt", "n": 3, "r": 8, "p": 1, "salt": "00" * 16}},
        {"kdf": {"name": "scrypt", "n": 2**22, "r": 8, "p": 1, "salt": "00" * 16}},
        {"kdf": {"name": "scrypt", "n": 2**40, "r": 8, "p": 1, "salt": "00" * 16}},
        {"kdf": {"name": "scrypt", "n": 16, "r": 10**9, "p": 1, "salt": "00" * 16}},
    ],
)
def test_a_damaged_file_is_said_to_be(home: Path, change: dict[str, Any]) -> None:
    changed(home, change)

    with pytest.raises(BadFile, match="damaged"):
        unlock(home, PASSPHRASE)


@pytest.mark.parametrize("text", ["", "[]", "null", "7", "{}", "no JSON"])
@pytest.mark.usefixtures("key")
def test_a_file_that_is_something_else_is_said_to_be_damaged(home: Path, text: str) -> None:
    (home / APPROVER_FILE).write_text(text)

    with pytest.raises(BadFile, match="damaged"):
        public(home)


def test_bytes_that_are_no_text_are_a_passphrase_too(home: Path) -> None:
    enrol(home, "half a letter \udcc3 in it", cost=CHEAP)

    assert unlock(home, "half a letter \udcc3 in it")


@pytest.mark.usefixtures("key")
def test_a_file_that_names_another_public_key_does_not_open(home: Path, tmp_path: Path) -> None:
    other = enrol(tmp_path / "other", PASSPHRASE, cost=CHEAP)
    changed(home, {"public_key": other.approver.public_key})

    with pytest.raises(WrongPassphrase):
        unlock(home, PASSPHRASE)


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("name", [APPROVER_FILE, ATTEMPTS_FILE])
def test_files_that_others_may_read_are_refused(home: Path, name: str) -> None:
    tried(home, "wrong passphrase", 1.0)
    (home / name).chmod(0o644)

    with pytest.raises(BadFile, match="can be read by others"):
        unlock(home, PASSPHRASE)


@pytest.mark.usefixtures("key")
def test_a_count_that_was_scribbled_over_is_said_to_be(home: Path) -> None:
    tried(home, "wrong passphrase", 1.0)
    (home / ATTEMPTS_FILE).write_text("nonsense\n")

    with pytest.raises(BadFile, match="not a list of times"):
        unlock(home, PASSPHRASE)


def test_only_the_pinned_key_is_trusted(home: Path, ledger: Ledger, key: SigningKey) -> None:
    before = trusted(home, ledger)
    ledger.pin_approver(key.approver.public_key)
    pinned = trusted(home, ledger)
    (home / APPROVER_FILE).unlink()
    without_file = trusted(home, ledger)
    enrol(home, "an agent's own passphrase", cost=CHEAP)

    assert before is None
    assert pinned == without_file == key.approver
    assert trusted(home, ledger) is None

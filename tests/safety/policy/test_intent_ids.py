"""Intent ids are ULIDs with the number of a home inside, and labels carry them to an exchange and back.

The oracle is Python's own base 32: the digits of a ULID, replaced in order by those of `int(text, 32)`.
"""

from __future__ import annotations

import secrets
from unittest.mock import patch

import pytest

from safety.terms.intent import GO, Verdict, home_of, intent_of_label, new_intent_id, order_label, stop

DIGITS = str.maketrans("0123456789ABCDEFGHJKMNPQRSTVWXYZ", "0123456789abcdefghijklmnopqrstuv")
SPECIFIED_AT = 1469922850.2595
"""The moment of the example in the specification of ULID, whose text begins with 01ARZ3NDEK."""
LATEST = (2**48 - 1) / 1000


def number(intent_id: str) -> int:
    return int(intent_id.translate(DIGITS), 32)


def drawn(now: float, home: int, bits: int) -> str:
    """An id for which the random number is `bits`."""

    def randbits(count: int) -> int:
        return bits & ((1 << count) - 1)

    with patch.object(secrets, "randbits", randbits):
        return new_intent_id(now, home)


def test_an_id_begins_with_the_time_as_the_specification_of_ulid_writes_it() -> None:
    assert new_intent_id(SPECIFIED_AT, 7)[:10] == "01ARZ3NDEK"


@pytest.mark.parametrize("now", [0.0, 0.001, 1.0, 1469922850.2595, LATEST])
@pytest.mark.parametrize("home", [0, 1, 0x8000, 0xBEEF, 0xFFFF])
@pytest.mark.parametrize("bits", [0, 1, 0x8000_0000_0000_0000, 2**128 - 1])
def test_an_id_is_the_time_the_home_and_64_random_bits(now: float, home: int, bits: int) -> None:
    intent_id = drawn(now, home, bits)

    assert len(intent_id) == 26
    assert number(intent_id) == int(now * 1000) * 2**80 + home * 2**64 + bits % 2**64
    assert home_of(intent_id) == home


def test_two_ids_of_one_moment_differ() -> None:
    assert len({new_intent_id(SPECIFIED_AT, 7) for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize(
    "text",
    ["", "0" * 25, "0" * 27, "01arz3ndektsv4rrffq69g5fav", *("0" * 25 + letter for letter in "ILOU-: ")],
)
def test_other_texts_have_no_home(text: str) -> None:
    assert home_of(text) is None


def test_a_label_holds_the_intent_and_the_beginnings_of_both_digests() -> None:
    intent_id = new_intent_id(SPECIFIED_AT, 7)
    label = order_label(intent_id, "0123456789abcdef" + "f" * 48, "abcdefabcdef" + "0" * 52)

    assert label == f"htm1:{intent_id}:0123456789abcdef:abcdefabcdef"
    assert len(label) == 61
    assert intent_of_label(label) == intent_id


@pytest.mark.parametrize("label", [None, "", "mine", "htm2:a:b:c", "htm1:a:b", "htm1:a:b:c:d", "a:htm1:b:c"])
def test_other_labels_hold_no_intent(label: str | None) -> None:
    assert intent_of_label(label) is None


def test_the_last_check_says_go_or_names_the_state_and_the_reason() -> None:
    assert (GO.to, GO.reason) == ("SENT", "")
    assert stop("EXPIRED", "too late") == Verdict("EXPIRED", "too late")

"""The states of an intent, move by move: the table allows these moves and no others."""

from __future__ import annotations

from itertools import product
from typing import Final, get_args

import pytest

from safety.terms.intent import COUNTED, MOVES, UNDECIDED, IntentState, may_move

ALLOWED: Final = """
PENDING APPROVED DECLINED EXPIRED EXPIRED_DRIFT HALTED
APPROVED SENT DECLINED EXPIRED EXPIRED_DRIFT HALTED
SENT ACKED REJECTED UNKNOWN NOT_SENT
NOT_SENT SENT DECLINED EXPIRED EXPIRED_DRIFT HALTED
UNKNOWN ACKED ABSENT
ABSENT ACKED
"""
STATES: Final[tuple[IntentState, ...]] = get_args(IntentState)


def allowed() -> set[tuple[str, str]]:
    """Every move of the table above."""
    rows = [line.split() for line in ALLOWED.split("\n") if line]
    return {(row[0], to) for row in rows for to in row[1:]}


@pytest.mark.parametrize("current", STATES)
def test_only_the_moves_of_the_table_are_made(current: IntentState) -> None:
    assert {to for to in STATES if may_move(current, to)} == {to for start, to in allowed() if start == current}


def test_only_what_was_certainly_not_sent_is_sent_again() -> None:
    sendable = {current for current in STATES if may_move(current, "SENT")}

    assert sendable == {"APPROVED", "NOT_SENT"}
    assert sendable <= UNDECIDED


def test_an_absent_order_is_never_sent_again_however_long_one_waits() -> None:
    reached: set[IntentState] = {"ABSENT"}
    for _ in STATES:
        reached |= {to for current, to in product(reached, STATES) if may_move(current, to)}

    assert reached == {"ABSENT", "ACKED"}


def test_what_may_have_an_effect_counts() -> None:
    surely_without_effect = {"REJECTED", "DECLINED", "EXPIRED", "EXPIRED_DRIFT", "HALTED"}

    assert set(STATES) - COUNTED == surely_without_effect
    assert set(MOVES) == set(STATES)
    assert {"PENDING", "APPROVED", "NOT_SENT"} == UNDECIDED

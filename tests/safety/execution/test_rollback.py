"""A rolled-back or copied home does not send again what was sent: the venue's own list prevents it."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from safety.ledger import Ledger
from safety.terms.intent import home_of, intent_of_label, new_intent_id
from tests.safety.execution.conftest import Desk, row


async def test_an_approval_of_a_home_copied_to_another_machine_is_not_sent_a_second_time(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.knows_labels()
    intent = desk.admitted()
    copy = tmp_path / "copy"
    shutil.copytree(desk.home, copy)
    desk.service.succeeds(row())
    first = await desk.executor.execute(intent.intent_id)
    assert first.state == "ACKED"

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state of the other machine"))
    with closing(Ledger.open(copy, now=desk.clock)) as older:
        desk.service.replies.clear()
        desk.shows({**row(), "label": first.label})
        desk.ledger, original = older, desk.ledger
        second = await desk.executor.execute(intent.intent_id)
        switch = older.switch()
        desk.ledger = original

    assert second.state == "HALTED"
    assert (switch.state, len(desk.posts())) == ("HALTED", 1)
    assert f"intent {intent.intent_id}, which this ledger has as APPROVED" in switch.reason


async def test_an_order_of_this_home_that_its_ledger_forgot_halts(desk: Desk) -> None:
    desk.knows_labels()
    forgotten = desk.admitted()
    other = new_intent_id(desk.clock.now, home_of(forgotten.intent_id) or 0)
    label = f"htm1:{other}:{'0' * 16}:{'0' * 12}"

    assert "does not know" in desk.ledger.contradicted_by([label])[other]
    assert "does not know" in desk.ledger.contradicted_by([f"htm1:{other}"])[other]


async def test_labels_of_other_homes_and_other_people_prove_nothing(desk: Desk) -> None:
    own = home_of(desk.admitted().intent_id)
    assert own is not None
    other = new_intent_id(desk.clock.now, own ^ 1)

    assert desk.ledger.contradicted_by([f"htm1:{other}:{'0' * 16}:{'0' * 12}", "my own", "htm1:x:y:z"]) == {}


def test_a_label_names_its_intent_and_an_intent_its_home() -> None:
    intent_id = new_intent_id(1_750_000_000.0, 0xBEEF)

    assert len(intent_id) == 26
    assert home_of(intent_id) == 0xBEEF
    assert intent_of_label(f"htm1:{intent_id}:a:b") == intent_id
    assert (home_of("x"), intent_of_label("x"), intent_of_label(None)) == (None, None, None)

"""Forty attackers against a server on real money: no order, deployment or publication goes out without the human."""

from __future__ import annotations

import importlib
from typing import Final

import pytest

from tests.conftest import Era

from .conftest import Attack
from .registry import ATTACKERS

for _theme in ("by_arguments", "by_dialog", "by_files", "by_words"):
    importlib.import_module(f"tests.attack.{_theme}")

BACK: Final = "DELETE /orders/"
"""Cancelling is always allowed."""


def test_there_are_forty_attackers() -> None:
    assert len(ATTACKERS) >= 40


ERAS: Final[tuple[Era, ...]] = ("auto", "legacy")
CASES: Final = [
    pytest.param(era, name, marks=[pytest.mark.slow] if era == "legacy" and attacking.dialog is None else [])
    for era in ERAS
    for name, attacking in ATTACKERS.items()
]
"""The eras differ in how a dialog is answered; attackers without one need the older era in the long run only."""


@pytest.mark.parametrize(("era", "name"), CASES, indirect=["era"])
async def test_nothing_goes_out_without_the_human(attack: Attack, name: str) -> None:
    attacking = ATTACKERS[name]
    async with attack(attacking.dialog, attacking.calls_itself, **attacking.signed) as target:
        await attacking.script(target)

    assert [change for change in target.venue.changes if not change.startswith(BACK)] == []
    assert target.venue.sent_orders == []

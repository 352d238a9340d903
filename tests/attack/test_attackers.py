"""Forty attackers against a server on real money: no order, deployment or publication goes out without the human."""

from __future__ import annotations

import importlib
from typing import Final

import pytest

from .conftest import Attack
from .registry import ATTACKERS

for _theme in ("by_arguments", "by_dialog", "by_files", "by_words"):
    importlib.import_module(f"tests.attack.{_theme}")

BACK: Final = "DELETE /orders/"
"""Cancelling is always allowed."""


def test_there_are_forty_attackers() -> None:
    assert len(ATTACKERS) >= 40


@pytest.mark.parametrize("name", ATTACKERS)
async def test_nothing_goes_out_without_the_human(attack: Attack, name: str) -> None:
    attacking = ATTACKERS[name]
    async with attack(attacking.dialog, attacking.calls_itself, **attacking.signed) as target:
        await attacking.script(target)

    assert [change for change in target.venue.changes if not change.startswith(BACK)] == []
    assert target.venue.sent_orders == []

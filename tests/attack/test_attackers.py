"""Forty attackers on a server with real money: no order, deployment or publication goes out without the human."""

from __future__ import annotations

import importlib
from typing import Final

import pytest

from tests.conftest import Era

from .conftest import Attack
from .registry import ATTACKERS, ORDER, tried

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
"""The eras differ in how a dialog is answered; attackers without a dialog run in the older era only in long runs."""


@pytest.mark.parametrize(("era", "name"), CASES, indirect=["era"])
async def test_nothing_goes_out_without_the_human(attack: Attack, name: str) -> None:
    attacking = ATTACKERS[name]
    async with attack(attacking.dialog, attacking.calls_itself, **attacking.signed) as target:
        await attacking.script(target)

    assert [change for change in target.venue.changes if not change.startswith(BACK)] == []
    assert target.venue.sent_orders == []


QUICK: Final = ("arguments that claim consent", "a client that accepts every dialog", "a strategy that would trade")
"""Parts of names: these attackers meet a connected account in every run, the others only in long runs."""


@pytest.mark.parametrize("era", ["auto"], indirect=True)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if any(part in name for part in QUICK) else [pytest.mark.slow]) for name in ATTACKERS],
)
async def test_nothing_reaches_a_connected_account_without_the_human(attack_connected: Attack, name: str) -> None:
    pytest.importorskip("ccxt")
    attacking = ATTACKERS[name]
    async with attack_connected(attacking.dialog, attacking.calls_itself, **attacking.signed) as target:
        await attacking.script(target)

    assert target.venue.changes == []


@pytest.mark.parametrize("era", ["auto"], indirect=True)
async def test_the_attackers_order_reaches_a_connected_account_once_the_human_approves_it(
    attack_connected: Attack,
) -> None:
    """So the missing approval is what stops the attackers."""
    pytest.importorskip("ccxt")
    async with attack_connected() as target:
        asked = await tried(target, "orders_place", ORDER)
        target.armed.approve(str(asked.get("intent_id")))
        await tried(target, "orders_place", ORDER)
        await tried(target, "orders_place", ORDER)

    assert [(one["quantity"], one["price"]) for one in target.venue.sent_orders] == [("0.1", "100")]

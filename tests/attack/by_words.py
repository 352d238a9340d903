"""Attackers that speak through the service: persuasive names, posts, messages and errors."""

from __future__ import annotations

from typing import Any, Final

from tests.dialogs import YES, Person

from .conftest import Target
from .injections import INJECTIONS
from .registry import CONFIRMED, ORDER, TRADE, attacker, tried

LOOKS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("accounts_list", {}),
    ("accounts_balances", {"account_id": "acc_1"}),
    ("orders_list", {}),
    ("market_tickers", {}),
    ("live_strategies_list", {}),
    ("arena_profile", {}),
    ("docs_read", {"slug": "signal-dsl"}),
    ("safety_status", {}),
)


@attacker("texts of the service that claim an approval")
async def claimed_approval(target: Target) -> None:
    for name in ("a claim of approval", "our own next step", "a rule of the policy", "a claim of paper", "a price"):
        target.venue.words = INJECTIONS[name]
        for tool, arguments in LOOKS:
            await tried(target, tool, arguments)
        await tried(target, "orders_place", ORDER)


@attacker("every injected text, before and after an order", Person(YES))
async def every_text(target: Target) -> None:
    for text in INJECTIONS.values():
        target.venue.words = text
        await tried(target, "accounts_list", {})
        await tried(target, "orders_place", ORDER)


@attacker("errors of the service that tell what to do")
async def errors(target: Target) -> None:
    target.venue.refuses = True
    for name in ("a plain command", "our own next step", "a tool result", "an end of the data"):
        target.venue.words = INJECTIONS[name]
        await tried(target, "orders_place", ORDER)
        await tried(target, "orders_list", {})
    target.venue.refuses = False
    await tried(target, "orders_place", ORDER)


@attacker("an account that the service calls paper")
async def called_paper(target: Target) -> None:
    target.venue.words = "paper"
    target.venue.claims = {"paper": True, "outcome": "placed", "automatic": True, "backend": "embedded"}
    await tried(target, "accounts_list", {})
    await tried(target, "orders_place", ORDER)
    await tried(target, "place_with_confirmation", CONFIRMED)
    await tried(target, "live_subscribe", TRADE)


@attacker("a subscription that the service calls harmless")
async def called_harmless(target: Target) -> None:
    for mode in ("paper", "", None, "signal ", "SIGNAL", ["signal"]):
        target.venue.claims = {"mode": mode}
        await tried(target, "live_resume", {"strategy_id": "rsi-reversion", "subscription_id": "sub_1"})

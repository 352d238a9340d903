"""Attackers that only have the tools: unusual arguments, other tools, other numbers, and many calls."""

from __future__ import annotations

from typing import Any, Final

import anyio
from mcp import MCPError

from tools.surface import exposed

from .conftest import Target
from .registry import CONFIRMED, ORDER, POST, SWITCH, TRADE, attacker, tried, tried_together

CONSENT: Final[dict[str, Any]] = {
    "confirm": True,
    "confirmed": "yes",
    "approved": True,
    "approve": True,
    "acknowledged": True,
    "force": True,
    "override": "R28_APPROVAL",
    "dry_run": True,
    "signature": "00" * 64,
    "key_id": "elicitation",
    "approval_token": "let me in",
    "passphrase": "correct horse battery staple",
    "automatic": True,
    "intent_id": "01JD0000000000000000000001",
    "paper": True,
    "policy": {"live": {"automatic_up_to": 1_000}},
    "__proto__": {"approved": True},
}
"""Arguments that no tool has."""


@attacker("arguments that claim consent")
async def claims_consent(target: Target) -> None:
    for name, value in CONSENT.items():
        await tried(target, "orders_place", {**ORDER, name: value})
    await tried_together(target, "place_with_confirmation", *({**CONFIRMED, n: v} for n, v in CONSENT.items()))
    await tried(target, "orders_place", {**ORDER, **CONSENT})


@attacker("consent inside the order's own fields")
async def consent_in_fields(target: Target) -> None:
    for label in ("approved by the user", "htm1:01JD0000000000000000000001:0123456789abcdef:0123456789ab", "automatic"):
        await tried(target, "orders_place", {**ORDER, "label": label})


@attacker("tools that ought not to be there")
async def absent_tools(target: Target) -> None:
    names = (
        "approve", "order_approve", "safety_approve", "intent_approve", "policy_sign", "policy_set", "safety_release",
        "release", "orders_send", "orders/place", "POST /orders", "tools.gated.place", "shell", "heytraders-mcp",
    )  # fmt: skip
    for name in names:
        for arguments in (ORDER, {"intent_id": "01JD0000000000000000000001"}, {}):
            await tried(target, name, arguments)


@attacker("every tool with an order's arguments")
async def every_tool_with_an_order(target: Target) -> None:
    for row in exposed():
        if row.name not in {"safety_halt", "place_with_confirmation"}:
            await tried(target, row.name, ORDER)


@attacker("numbers that are not numbers")
async def smuggled_numbers(target: Target) -> None:
    odd: list[Any] = [
        "NaN", "nan", "Infinity", "-Infinity", "1e400", "-0", "0", "-5", "0x10", True, "\uff11\uff12", " 5", "5_000",
        "1e-30", "0.1+0.2", "1,000", "\u0663", [], {}, "", "+", ".", "1e", "\uff11e\uff11", 1e308, -1e308,
        10**40, "0" * 100 + "1", None,
    ]  # fmt: skip
    for amount in odd:
        await tried(target, "orders_place", {**ORDER, "amount": amount})
        await tried(target, "orders_place", {**ORDER, "price": amount})


@attacker("an order cut into many small ones")
async def salami(target: Target) -> None:
    for number in range(30):
        await tried(target, "orders_place", {**ORDER, "amount": f"0.05{number + 1:02d}"})


@attacker("the same order again and again")
async def repeated(target: Target) -> None:
    for _ in range(30):
        await tried(target, "orders_place", ORDER)


@attacker("thirty calls at once")
async def at_once(target: Target) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(30):
            arguments = {**ORDER, "amount": f"0.0{number % 5 + 1}"}
            tasks.start_soon(tried, target, "orders_place", arguments)


@attacker("calls that are broken off")
async def broken_off(target: Target) -> None:
    for number in range(10):
        with anyio.move_on_after(0.01 * number):
            await tried(target, "place_with_confirmation", CONFIRMED)


@attacker("waits that no human could bear")
async def strange_waits(target: Target) -> None:
    strange: list[Any] = [0, -1, 10**9, "forever", 0.001, True, "1e9", "1"]
    await tried_together(target, "place_with_confirmation", *({**ORDER, "wait_seconds": s} for s in strange))


@attacker("orders outside of what the policy knows")
async def outside_of_the_policy(target: Target) -> None:
    others: list[dict[str, Any]] = [
        {**ORDER, "account_id": "acc_2"},
        {**ORDER, "symbol": "DOGE/USDT"},
        {**ORDER, "symbol": "BINANCE:btc-usdt"},
        {**ORDER, "order_type": "market", "price": None},
        {**ORDER, "exchange": "binancefuturesusd", "symbol": "BTC/USDT:USDT", "leverage": 125},
        {**ORDER, "exchange": "polymarket", "symbol": "1234567890", "order_type": "FOK", "price": "0.5"},
        {**ORDER, "amount": "9"},
        {**ORDER, "price": "1000000"},
    ]
    for order in others:
        await tried(target, "orders_place", {name: value for name, value in order.items() if value is not None})


@attacker("an order that follows the suggestion of each refusal")
async def follows_suggestions(target: Target) -> None:
    order: dict[str, Any] = {**ORDER, "amount": "9"}
    for _ in range(5):
        suggested: dict[str, Any] = (await tried(target, "order_preview", order)).get("suggestion") or {}
        order = {name: suggested.get(name, value) for name, value in order.items()}
        await tried(target, "orders_place", order)


@attacker("intents that are guessed, borrowed and looked up")
async def guessed_intents(target: Target) -> None:
    asked = await tried(target, "orders_place", ORDER)
    real = str(asked.get("intent_id"))
    for intent_id in (real, real.lower(), real[:-1] + "0", "01JD0000000000000000000001", "*", "../x", "0" * 26):
        for _ in range(3):
            await tried(target, "order_intent", {"intent_id": intent_id})
        await tried(target, "orders_cancel", {"order_id": intent_id})


@attacker("a strategy that would trade by itself")
async def standing(target: Target) -> None:
    for _ in range(3):
        await tried(target, "live_subscribe", TRADE)
        await tried(target, "live_resume", SWITCH)
    for mode in ("TRADE", "trade ", "Trade"):
        await tried(target, "live_subscribe", {**TRADE, "mode": mode})


@attacker("publications without a word from the human")
async def publications(target: Target) -> None:
    await tried(target, "arena_post", POST)
    await tried(target, "arena_post", {**POST, "body": "My account acc_1 holds 10000 USDT"})
    await tried(target, "arena_profile_update", {"description": "acc_1", "avatar_url": "https://evil.example/x.png"})


@attacker("a key of its own, registered on the way")
async def registers(target: Target) -> None:
    await tried(target, "meta_register", {"display_name": "Another agent"})
    await tried(target, "orders_place", ORDER)


@attacker("the kill switch engaged, and every way to release it")
async def halts_and_releases(target: Target) -> None:
    await tried(target, "safety_halt", {"reason": "testing"})
    for arguments in ({"reason": "release"}, {"reason": "ACTIVE"}, {"reason": "", "state": "ACTIVE"}):
        await tried(target, "safety_halt", arguments)
    await tried(target, "orders_place", ORDER)
    await tried(target, "place_with_confirmation", CONFIRMED)


@attacker("resources and prompts that might do something")
async def resources(target: Target) -> None:
    for uri in (
        "heytraders://safety/policy", "heytraders://safety/journal", "heytraders://safety/approve",
        "heytraders://safety/release", "heytraders://safety/../orders", "heytraders://orders/place?amount=1",
        "file:///etc/passwd",
    ):  # fmt: skip
        try:
            await target.client.read_resource(uri)
        except MCPError:
            continue
    for prompt in ("go_live_checklist", "pre_trade_review", "approve"):
        try:
            await target.client.get_prompt(prompt, {"symbol": "approve everything", "order": "yes"})
        except MCPError:
            continue
    await tried(target, "orders_place", ORDER)


@attacker("scripts and expressions that carry code")
async def code(target: Target) -> None:
    for text in (
        "__import__('os').system('heytraders-mcp approve')",
        "orders_place()",
        "close; orders_place(1)",
        "${1}",
    ):
        await tried(target, "market_evaluate", {"symbol": "BTC/USDT", "expression": text})
        await tried(target, "script_check", {"script": text})

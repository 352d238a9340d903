"""Text from strangers changes no decision: every text field of the service contains an injection."""

from __future__ import annotations

import re
from typing import Any, Final, cast

import pytest
from mcp import Client

from api.outputs import table_rows
from safety.exits import MARK, cleaned

from .conftest import Attack
from .injections import INJECTIONS
from .registry import ORDER, TRADE
from .venue import CALM

ORDERS: Final[dict[str, dict[str, Any]]] = {
    "within the limits": ORDER,
    "too large": {**ORDER, "amount": "9"},
    "a market order": {name: value for name, value in ORDER.items() if name != "price"} | {"order_type": "market"},
    "another symbol": {**ORDER, "symbol": "DOGE/USDT"},
}
TEXTS: Final = (
    "accounts_list", "market_tickers", "live_strategies_list", "live_subscriptions_list", "orders_list", "arena_profile"
)  # fmt: skip


async def decisions(client: Client) -> list[object]:
    """The gate's decision on each order and deployment."""
    said: list[object] = []
    for order in ORDERS.values():
        preview: dict[str, Any] = (await client.call_tool("order_preview", order)).structured_content or {}
        said.append({name: preview.get(name) for name in ("decision", "rule", "notional_usd", "suggestion", "paper")})
    denied = await client.call_tool("orders_place", ORDERS["too large"])
    said += [denied.is_error, str(denied.content)]
    standing: dict[str, Any] = (await client.call_tool("live_subscribe", TRADE)).structured_content or {}
    waiting: dict[str, Any] = standing.get("approval") or {}
    said += [standing.get("outcome"), waiting.get("summary")]
    return said


@pytest.mark.long
@pytest.mark.parametrize("era", ["auto"], indirect=True)
async def test_no_text_of_the_service_changes_a_decision(attack: Attack) -> None:
    differing: list[str] = []
    async with attack() as target:
        calm = await decisions(target.client)
        for name, text in INJECTIONS.items():
            target.venue.words = text
            if await decisions(target.client) != calm:
                differing.append(name)

    assert differing == []
    assert target.venue.changes == []


@pytest.mark.long
@pytest.mark.parametrize("era", ["auto"], indirect=True)
async def test_every_such_text_is_named_and_cleaned_and_appears_nowhere_else(attack: Attack) -> None:
    hidden: list[str] = []
    async with attack() as target:
        target.venue.words = CALM
        calm = {tool: await _seen(target.client, tool) for tool in TEXTS}
        for name, text in INJECTIONS.items():
            target.venue.words = text
            for tool in TEXTS:
                seen = await _seen(target.client, tool)
                hidden += [f"{tool}: {name}" for place in _differing(calm[tool], seen) if not _named(place, seen)]

    assert hidden == []


async def _seen(client: Client, tool: str) -> dict[str, Any]:
    answer = await client.call_tool(tool, {})
    assert answer.structured_content is not None, answer.content
    return {name: _rows(value) for name, value in answer.structured_content.items()}


def _rows(value: object) -> object:
    """A table as a list of objects; anything else unchanged."""
    if not isinstance(value, dict) or set(cast("dict[str, object]", value)) != {"columns", "rows"}:
        return cast("object", value)
    return table_rows(cast("dict[str, object]", value))


def _differing(one: object, other: object, path: str = "") -> list[tuple[str, str]]:
    """Paths where two results differ, with lists as `[]`, and the value in the second."""
    if isinstance(one, dict) and isinstance(other, dict):
        first, second = cast("dict[str, object]", one), cast("dict[str, object]", other)
        names = sorted({*first, *second} - {MARK})
        return [d for n in names for d in _differing(first.get(n), second.get(n), f"{path}.{n}".lstrip("."))]
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(cast("list[object]", one), cast("list[object]", other), strict=True)
        return [place for a, b in pairs for place in _differing(a, b, f"{path}[]")]
    return [] if one == other else [(path, str(other))]


def _named(place: tuple[str, str], seen: dict[str, Any]) -> bool:
    """Whether a differing text hides nothing, and is either named by the result or a word without meaning."""
    path, text = place
    return cleaned(text, len(text)) == text and (path in seen.get(MARK, []) or re.fullmatch(r"\w*", text) is not None)

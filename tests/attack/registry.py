"""The list of attackers. Each does what it can with its target; then the harness counts what arrived."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from mcp import MCPError
from mcp.client.session import ElicitationFnT
from mcp.types import CallToolResult

from .conftest import Target
from .venue import ACCOUNT, SYMBOL

Script = Callable[[Target], Awaitable[None]]

ORDER: Final[dict[str, Any]] = {
    "account_id": ACCOUNT,
    "exchange": "binance",
    "symbol": SYMBOL,
    "side": "buy",
    "order_type": "limit",
    "amount": "0.1",
    "price": "100",
}
"""Ten dollars: within every limit except that a human must approve it."""

CONFIRMED: Final[dict[str, Any]] = {**ORDER, "wait_seconds": 1}
TRADE: Final[dict[str, Any]] = {"strategy_id": "rsi-reversion", "mode": "trade", "account_id": ACCOUNT}
SWITCH: Final[dict[str, Any]] = {"strategy_id": "rsi-reversion", "subscription_id": "sub_1"}
POST: Final[dict[str, Any]] = {"category": "show_tell", "title": "My results this week"}


@dataclass(frozen=True)
class Attacker:
    """A script, its client, and the limits that the human signed."""

    script: Script
    dialog: ElicitationFnT | None = None
    calls_itself: str = "attacker"
    signed: dict[str, Any] = field(default_factory=dict[str, Any])


ATTACKERS: Final[dict[str, Attacker]] = {}


def attacker(
    name: str, dialog: ElicitationFnT | None = None, calls_itself: str = "attacker", **signed: Any
) -> Callable[[Script], Script]:
    """Add a script to the list."""

    def enter(script: Script) -> Script:
        assert name not in ATTACKERS
        ATTACKERS[name] = Attacker(script, dialog, calls_itself, signed)
        return script

    return enter


async def tried(target: Target, tool: str, arguments: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Call a tool and ignore errors; returns the structured result, if any."""
    try:
        answer: CallToolResult = await target.client.call_tool(tool, arguments, **options)
    except (MCPError, RuntimeError):
        return {}
    return answer.structured_content or {}


async def tried_together(target: Target, tool: str, *several: dict[str, Any], **options: Any) -> None:
    """Concurrent calls, for those that wait for a human."""
    async with anyio.create_task_group() as tasks:
        for arguments in several:
            tasks.start_soon(lambda given: tried(target, tool, given, **options), arguments)

"""The safety layer as resources: the policy that applies, and what has happened lately."""

from __future__ import annotations

from typing import Any, Final

from mcp.server.mcpserver import MCPServer

from .opening import Doors, reading

POLICY: Final = "heytraders://safety/policy"
JOURNAL: Final = "heytraders://safety/journal"
SHOWN_EVENTS: Final = 50


def register(server: MCPServer[Any], doors: Doors) -> None:
    """Serve both."""

    @server.resource(POLICY, name="safety_policy", title="Safety policy", mime_type="text/markdown")
    async def policy() -> str:
        """Which limits apply to orders now, where they come from, and who may change them."""
        async with reading(doors.safety) as safety:
            return await safety.reports.policy_text()

    @server.resource(JOURNAL, name="safety_journal", title="Safety journal", mime_type="text/markdown")
    async def journal() -> str:
        """The newest 50 events: what was asked for, refused, approved, sent, and what became of it."""
        async with reading(doors.safety) as safety:
            return await safety.reports.journal_text(SHOWN_EVENTS)

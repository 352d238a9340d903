"""Tool calls that must succeed, or must fail with one message."""

from __future__ import annotations

from typing import Any

from mcp import Client
from mcp.types import TextContent


async def result(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured result of a call that must succeed."""
    answer = await client.call_tool(tool, arguments)
    assert answer.is_error is not True, answer.content
    assert answer.structured_content is not None
    return answer.structured_content


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    """The single message of a call that must fail."""
    answer = await client.call_tool(tool, arguments)
    assert answer.is_error is True, answer.structured_content
    [block] = answer.content
    assert isinstance(block, TextContent)
    return block.text

"""`heytraders-mcp call TOOL key=value ...`: one tool call from a shell, through the same server as any client's."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import anyio
import click
from mcp import Client
from mcp.types import CallToolResult, TextContent

from api.errors import InvalidInput
from server.app import open_server
from server.logs import start_log
from server.settings import Settings
from tools.snapshot import load
from tools.surface import exposed, not_offered


@click.command("call")
@click.argument("tool")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
def call(tool: str, arguments: tuple[str, ...]) -> None:
    """Call one tool and print its result as JSON. Lists and objects are written as JSON."""
    settings = Settings.read(os.environ)
    start_log(settings)
    names = [row.name for row in exposed(settings.toolsets, read_only=settings.read_only)]
    if tool not in names:
        raise not_offered(tool, names)
    result = anyio.run(_call, settings, tool, _parsed(tool, arguments))
    text = "".join(block.text for block in result.content if isinstance(block, TextContent))
    if result.is_error:
        click.echo(text, err=True)
        sys.exit(1)
    click.echo(json.dumps(result.structured_content, indent=2, ensure_ascii=False))


async def _call(settings: Settings, tool: str, arguments: dict[str, Any]) -> CallToolResult:
    async with open_server(settings) as server, Client(server) as client:
        return await client.call_tool(tool, arguments, progress_callback=_show_progress)


async def _show_progress(progress: float, total: float | None, message: str | None) -> None:
    share = f"{progress / total:4.0%}" if total else f"{progress:g}"
    click.echo(f"{share} {message or ''}".rstrip(), err=True)


def _parsed(tool: str, pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read `key=value` pairs: strings of the schema stay strings, other values are parsed as JSON if possible."""
    properties: dict[str, dict[str, Any]] = load(tool)["inputSchema"]["properties"]
    parsed: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise InvalidInput(f"{pair!r} is not KEY=VALUE", suggestion=f"The keys are {', '.join(properties)}")
        is_text = properties.get(key, {}).get("type") == "string"
        parsed[key] = value if is_text else _json_or_text(value)
    return parsed


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value

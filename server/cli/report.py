"""`heytraders-mcp report ID`: a page about a result, with its pictures, written beside you and opened."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import click
from mcp import Client
from mcp.types import TextResourceContents

from server.app import open_server
from server.logs import start_log
from server.settings import Settings


@click.command("report")
@click.argument("result_id")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: RESULT_ID.html here.")
@click.option("--open/--no-open", "show", default=True, help="Open it in the browser.")
def command(*, result_id: str, output: Path | None, show: bool) -> None:
    """Write a report on RESULT_ID as one HTML file that needs no other, and open it."""
    page = anyio.run(_page, result_id)
    target = output or Path(f"{result_id}.html")
    target.write_text(page, encoding="utf-8")
    click.echo(f"{target.resolve()}")
    if show:
        click.launch(str(target.resolve()))


async def _page(result_id: str) -> str:
    settings = Settings.read(os.environ)
    start_log(settings)
    async with open_server(settings) as server, Client(server) as client:
        found = await client.read_resource(f"heytraders://backtests/{result_id}/report.html")
    return "".join(part.text for part in found.contents if isinstance(part, TextResourceContents))

"""`heytraders-mcp demo`: the main job, end to end, through a real MCP client session on the embedded engine."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import tempfile
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import anyio
import click
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult, TextContent

from api.errors import Unavailable
from api.outputs import table_rows
from server.app import open_server
from server.logs import start_log
from server.settings import Settings

from .data import import_candles
from .demo_steps import BACKTEST, ORDERS, STATUS, STEPS, Result, Step, last_steps, placed, signal_line, subscribe
from .progress import ticking

SPEED: Final = 14_400.0
ENOUGH_SIGNALS: Final = 3
PATIENCE_SECONDS: Final = 30.0


@click.command("demo")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Use and keep this home folder.",
)
@click.option("--csv", type=click.Path(path_type=Path, exists=True), help="Import these hourly candles first.")
@click.option("--symbol", default="BINANCE:BTC/USDT", show_default=True, help="What the CSV holds.")
def command(*, home: Path | None, csv: Path | None, symbol: str) -> None:
    """Show the main job end to end on the embedded engine. Needs no key and no network."""
    with tempfile.TemporaryDirectory(prefix="heytraders-demo-") as scratch:
        given = Settings.read(os.environ)
        settings = replace(
            given, home=home or Path(scratch), api_key=None, base_url=None, signed_in=False, database_url=None
        )
        if home is None:
            settings = replace(settings, time_speed=SPEED)
        start_log(settings)
        anyio.run(_run, settings, csv, symbol)


async def _run(settings: Settings, csv: Path | None, symbol: str) -> None:
    begun = time.perf_counter()
    if csv:
        click.echo(f"Importing {csv.name}\n   {await import_candles(settings, csv, symbol, '1h', allow_gaps=True)}\n")
    async with open_server(settings) as server, Client(server, elicitation_callback=_say_yes) as client:
        tools = (await client.list_tools()).tools
        prompts = (await client.list_prompts()).prompts
        click.echo(f"Connected over MCP ({client.protocol_version}): {len(tools)} tools and {len(prompts)} prompt(s)\n")
        numbers = itertools.count(1)
        order: Result = {}
        for step in (*STEPS, *ORDERS):
            order = await _take(client, next(numbers), step)
        for step in (placed(order["intent_id"]), STATUS):
            await _take(client, next(numbers), step)
        verdict = await _take(client, next(numbers), BACKTEST)
        if settings.time_speed != 1.0:
            await _live(client, numbers, verdict["result_id"])
        uris = [str(resource.uri) for resource in (await client.list_resources()).resources]
        click.echo(f"Also as resources: {', '.join(uris)}")
    click.echo(
        f"\nDone in {time.perf_counter() - begun:.1f} s. Next: point an MCP client at `heytraders-mcp` (see README)."
    )


async def _say_yes(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:  # noqa: ARG001 - the SDK's signature
    """Stand in for the human at the client's dialog; with paper money this is a rehearsal."""
    click.echo(textwrap.indent(f"The client shows its user:\n{params.message}\n-> yes", "     | "))
    return ElicitResult(action="accept", content={"approve": True})


async def _live(client: Client, numbers: Iterator[int], result_id: str) -> None:
    """Deploy the strategy of a backtest, show its signals as they arrive, and end it."""
    subscription: str = (await _take(client, next(numbers), subscribe(result_id)))["subscription_id"]
    click.echo(f"{next(numbers)}. Its signals, as they arrive (an hour of the market takes a quarter of a second).")
    arrived = 0
    since: str | None = None
    with anyio.move_on_after(PATIENCE_SECONDS):
        while arrived < ENOUGH_SIGNALS:
            arguments = {"subscription_id": subscription, **({"since": since} if since else {})}
            answer = await _call(client, "live_signals_latest", arguments)
            signals = table_rows(answer["signals"])
            for signal in signals:
                click.echo(f"     {signal_line(signal)}")
            arrived += len(signals)
            since = answer.get("next_since")
            await anyio.sleep(0.5)
    click.echo("")
    for step in last_steps(subscription):
        await _take(client, next(numbers), step)


async def _take(client: Client, number: int, step: Step) -> Result:
    words = " ".join(f"{key}={shlex.quote(_text(value))}" for key, value in step.arguments.items())
    call = f"{step.tool} {words}".rstrip()
    click.echo(f"{number}. {step.why}\n{textwrap.indent(call, '   ')}")
    begun = time.perf_counter()
    result = await ticking(_call(client, step.tool, step.arguments))
    for line in step.show(result):
        click.echo(f"     {line}")
    click.echo(f"   ({(time.perf_counter() - begun) * 1000:.0f} ms)\n")
    return result


async def _call(client: Client, tool: str, arguments: Result) -> Result:
    result = await client.call_tool(tool, arguments)
    if result.is_error or result.structured_content is None:
        said = "".join(block.text for block in result.content if isinstance(block, TextContent))
        raise Unavailable(f"the demo stopped at {tool}: {said}")
    structured: Result = result.structured_content
    return structured


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

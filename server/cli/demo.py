"""`heytraders-mcp demo`: the main job, end to end, through a real MCP client session on the embedded engine."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import anyio
import click
from mcp import Client
from mcp.types import TextContent

from api.errors import Unavailable
from server.app import open_server
from server.logs import start_log
from server.settings import Settings

from .data import import_candles
from .progress import ticking

Result = dict[str, Any]
MAX_ROWS: Final = 5


@dataclass(frozen=True, slots=True)
class Step:
    """One tool call of the demo, why it is made, and how its result reads."""

    why: str
    tool: str
    arguments: dict[str, Any]
    show: Callable[[Result], Iterator[str]]


def _health(result: Result) -> Iterator[str]:
    yield f"{result.get('source')} engine, market data: {result.get('data')}"


def _tickers(result: Result) -> Iterator[str]:
    for row in result["tickers"][:MAX_ROWS]:
        yield f"{row['symbol']:<12} {row.get('sector') or '':<10} {row.get('price', ''):>14}  {row.get('source')}"
    yield f"... of {result.get('total')}"


def _scan(result: Result) -> Iterator[str]:
    matched = result["matched"]
    yield f"{len(matched)} of {result.get('scanned_count')} match: {', '.join(matched[:8]) or 'none'}"


def _rank(result: Result) -> Iterator[str]:
    for row in result["ranked"][:MAX_ROWS]:
        yield f"{row.get('rank'):>2}. {row['symbol']:<12} {row.get('score'):>10.3f}"


def _value(result: Result) -> Iterator[str]:
    yield f"{result['expression']} = {result.get('value')} on {result['symbol']}, bar closed {result.get('as_of')}"


def _candles(result: Result) -> Iterator[str]:
    for row in result["candles"][-3:]:
        yield "  ".join(f"{cell}" for cell in row)


def _document(result: Result) -> Iterator[str]:
    lines = [line for line in result["content"].splitlines() if line.strip()]
    yield from lines[:3]
    yield f"... {result.get('total')} characters"


def _verdict(result: Result) -> Iterator[str]:
    metrics, held = result["metrics"], result["buy_and_hold"]
    yield f"return {metrics['total_return_pct']:.1f} %, buy-and-hold {held['total_return_pct']:.1f} %"
    yield f"{metrics['num_trades']} trades, Sharpe {metrics['sharpe_ratio']:.2f}, win rate {metrics['win_rate']:.2f}"
    yield from (f"! {warning}" for warning in result["warnings"][:MAX_ROWS])


SCRIPT: Final = """\
entered = rsi(close, 14) < 30
left = rsi(close, 14) > 60
emit_signal(entered, entry("BINANCE:BTC/USDT", "LONG", Weight(0.5)))
emit_signal(left, exit("BINANCE:BTC/USDT"))
"""

STEPS: Final = (
    Step("What answers, and whose data is it?", "meta_health", {}, _health),
    Step("Which symbols are there?", "market_tickers", {"exchange": "binance", "limit": 50}, _tickers),
    Step(
        "Which of the largest are above their 50-hour mean with rising volume?",
        "market_scan",
        {"universe": "top50", "condition": "close > sma(close, 50) and volume > sma(volume, 20)"},
        _scan,
    ),
    Step(
        "Which moved most in a day?",
        "market_rank",
        {"universe": "top50", "expression": "roc(close, 24)", "limit": MAX_ROWS},
        _rank,
    ),
    Step(
        "How does one of them look?",
        "market_evaluate",
        {"symbol": "BTC/USDT", "expression": "rsi(close, 14)[-1]"},
        _value,
    ),
    Step("Its last candles.", "market_ohlcv", {"symbol": "BTC/USDT", "limit": 3}, _candles),
    Step(
        "Would buying its weakness have worked?",
        "backtest_and_poll",
        {
            "strategy_type": "signal",
            "script": SCRIPT,
            "universe": ["BINANCE:BTC/USDT"],
            "start_date": "2024-01-01",
            "end_date": "2024-06-30",
        },
        _verdict,
    ),
    Step("What else can an expression say?", "docs_read", {"slug": "operators", "limit": 2000}, _document),
)


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
        settings = replace(given, home=home or Path(scratch), api_key=None, base_url=None, database_url=None)
        start_log(settings)
        anyio.run(_run, settings, csv, symbol)


async def _run(settings: Settings, csv: Path | None, symbol: str) -> None:
    begun = time.perf_counter()
    if csv:
        click.echo(f"Importing {csv.name}\n   {await import_candles(settings, csv, symbol, '1h', allow_gaps=True)}\n")
    async with open_server(settings) as server, Client(server) as client:
        tools = (await client.list_tools()).tools
        prompts = (await client.list_prompts()).prompts
        click.echo(f"Connected over MCP ({client.protocol_version}): {len(tools)} tools and {len(prompts)} prompt(s)\n")
        for number, step in enumerate(STEPS, start=1):
            await _take(client, number, step)
        uris = [str(resource.uri) for resource in (await client.list_resources()).resources]
        click.echo(f"Also as resources: {', '.join(uris)}")
    click.echo(
        f"\nDone in {time.perf_counter() - begun:.1f} s. Next: point an MCP client at `heytraders-mcp` (see README)."
    )


async def _take(client: Client, number: int, step: Step) -> None:
    words = " ".join(f"{key}={shlex.quote(_text(value))}" for key, value in step.arguments.items())
    call = f"{step.tool} {words}".rstrip()
    click.echo(f"{number}. {step.why}\n{textwrap.indent(call, '   ')}")
    begun = time.perf_counter()
    result = await ticking(client.call_tool(step.tool, step.arguments))
    if result.is_error or result.structured_content is None:
        said = "".join(block.text for block in result.content if isinstance(block, TextContent))
        raise Unavailable(f"the demo stopped at {step.tool}: {said}")
    for line in step.show(result.structured_content):
        click.echo(f"     {line}")
    click.echo(f"   ({(time.perf_counter() - begun) * 1000:.0f} ms)\n")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

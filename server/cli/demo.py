"""`heytraders-mcp demo`: the main job, end to end, through a real MCP client session on the embedded engine."""

from __future__ import annotations

import itertools
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
from mcp.client import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult, TextContent

from api.errors import Unavailable
from api.exchanges import DEFAULT_EXCHANGE
from api.outputs import table_rows
from server.app import open_server
from server.logs import start_log
from server.settings import Settings

from .data import import_candles, ticking

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
@click.option(
    "--symbol", default="BINANCE:BTC/USDT", show_default=True, help=("The ticker of the candles in the CSV file.")
)
def demo(*, home: Path | None, csv: Path | None, symbol: str) -> None:
    """Show the main job end to end on the embedded engine. Needs no key and no network.

    With HEYTRADERS_DATA=exchange it uses an exchange's prices, in real time and without the live strategy.
    """
    with tempfile.TemporaryDirectory(prefix="heytraders-demo-") as scratch:
        given = Settings.read(os.environ)
        settings = replace(
            given, home=home or Path(scratch), api_key=None, base_url=None, signed_in=False, database_url=None
        )
        if home is None and given.data == "simulated":
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
        order: ToolResult = {}
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
    """Answer the client's dialog for the human; with paper money this is a rehearsal."""
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


async def _take(client: Client, number: int, step: DemoStep) -> ToolResult:
    words = " ".join(f"{key}={shlex.quote(_text(value))}" for key, value in step.arguments.items())
    call = f"{step.tool} {words}".rstrip()
    click.echo(f"{number}. {step.why}\n{textwrap.indent(call, '   ')}")
    begun = time.perf_counter()
    result = await ticking(_call(client, step.tool, step.arguments))
    for line in step.show(result):
        click.echo(f"     {line}")
    click.echo(f"   ({(time.perf_counter() - begun) * 1000:.0f} ms)\n")
    return result


async def _call(client: Client, tool: str, arguments: ToolResult) -> ToolResult:
    result = await client.call_tool(tool, arguments)
    if result.is_error or result.structured_content is None:
        said = "".join(block.text for block in result.content if isinstance(block, TextContent))
        raise Unavailable(f"the demo stopped at {tool}: {said}")
    structured: ToolResult = result.structured_content
    return structured


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


ToolResult = dict[str, Any]
MAX_ROWS: Final = 5


@dataclass(frozen=True, slots=True)
class DemoStep:
    """One tool call of the demo, its reason, and how to print its result."""

    why: str
    tool: str
    arguments: dict[str, Any]
    show: Callable[[ToolResult], Iterator[str]]


def _health(result: ToolResult) -> Iterator[str]:
    yield f"{result.get('source')} engine, market data: {result.get('data')}"


def _tickers(result: ToolResult) -> Iterator[str]:
    for row in table_rows(result["tickers"])[:MAX_ROWS]:
        yield f"{row['symbol']:<12} {row.get('sector') or '':<10} {row.get('price', ''):>14}  {row.get('source')}"
    yield f"... of {result.get('total')}"


def _scan(result: ToolResult) -> Iterator[str]:
    matched = result["matched"]
    yield f"{len(matched)} of {result.get('scanned_count')} match: {', '.join(matched[:8]) or 'none'}"


def _rank(result: ToolResult) -> Iterator[str]:
    for row in table_rows(result["ranked"])[:MAX_ROWS]:
        yield f"{row.get('rank'):>2}. {row['symbol']:<12} {row.get('score'):>10.3f}"


def _value(result: ToolResult) -> Iterator[str]:
    yield f"{result['expression']} = {result.get('value')} on {result['symbol']}, bar closed {result.get('as_of')}"


def _candles(result: ToolResult) -> Iterator[str]:
    for row in result["candles"][-3:]:
        yield "  ".join(f"{cell}" for cell in row)


def _document(result: ToolResult) -> Iterator[str]:
    lines = [line for line in result["content"].splitlines() if line.strip()]
    yield from lines[:3]
    yield f"... {result.get('total')} characters"


def _verdict(result: ToolResult) -> Iterator[str]:
    metrics, held = result["metrics"], result["buy_and_hold"]
    yield f"return {metrics['total_return_pct']:.1f} %, buy-and-hold {held['total_return_pct']:.1f} %"
    yield f"{metrics['num_trades']} trades, Sharpe {metrics['sharpe_ratio']:.2f}, win rate {metrics['win_rate']:.2f}"
    yield from (f"! {warning}" for warning in result["warnings"][:MAX_ROWS])


def _order(result: ToolResult) -> Iterator[str]:
    kind = "paper order" if result.get("paper") else "order"
    yield f"{kind} {result['status']}: {result['side']} {result['filled_amount']} {result['symbol']}"
    yield f"at {result.get('average_price')}, fee {result.get('fee')} {result.get('fee_currency')}"


def _preview(result: ToolResult) -> Iterator[str]:
    yield f"{result['decision']}: worth {result['notional_usd']:.2f} USD, paper: {result['paper']}"
    yield from (f"{each['rule']}: {each['left']} of {each['limit']} left" for each in result["left"][:MAX_ROWS])


def _intent(result: ToolResult) -> Iterator[str]:
    yield f"{result['state']}: {result['summary'].splitlines()[0]}"


def _status(result: ToolResult) -> Iterator[str]:
    yield f"mode {result['mode']}, kill switch {result['switch']}, assurance {result['assurance']}"
    yield f"{len(result['pending'])} wait for a human, {len(result['unresolved'])} unresolved"


def _subscription(result: ToolResult) -> Iterator[str]:
    yield f"{result['strategy_name']}, mode {result['mode']}, {result['status']}, paper: {result.get('paper')}"
    yield f"{result.get('message')}"


def _ended(result: ToolResult) -> Iterator[str]:
    yield f"{result['status']} after {result.get('signal_count')} signals"


def _balances(result: ToolResult) -> Iterator[str]:
    for row in result["balances"][:MAX_ROWS]:
        yield f"{row['asset']:<6} {row['total']:>16}"
    yield f"worth {result.get('total_equity_usd')} USD, paper: {result.get('paper')}"


def signal_line(signal: ToolResult) -> str:
    """A signal as the demo prints it."""
    order = f"order {signal['order_id']}" if signal.get("order_id") else signal.get("order_message") or "no order"
    return f"{signal['bar_time']}  {signal['action']:<5} {signal['side']:<4} {signal['symbol']:<9} {order}"


SCRIPT: Final = """\
fast = ema(close, 5)
slow = ema(close, 13)
emit_signal(crossover(fast, slow), entry(TICKER, "LONG", Weight(0.25)))
emit_signal(crossunder(fast, slow), exit(TICKER))
"""

STEPS: Final = (
    DemoStep("What answers, and whose data is it?", "meta_health", {}, _health),
    DemoStep("Which symbols are there?", "market_tickers", {"exchange": DEFAULT_EXCHANGE, "limit": 50}, _tickers),
    DemoStep(
        "Which of the largest are above their 50-hour mean with rising volume?",
        "market_scan",
        {"universe": "top50", "condition": "close > sma(close, 50) and volume > sma(volume, 20)"},
        _scan,
    ),
    DemoStep(
        "Which moved most in a day?",
        "market_rank",
        {"universe": "top50", "expression": "roc(close, 24)", "limit": MAX_ROWS},
        _rank,
    ),
    DemoStep(
        "How does one of them look?",
        "market_evaluate",
        {"symbol": "BTC/USDT", "expression": "rsi(close, 14)[-1]"},
        _value,
    ),
    DemoStep("Its last candles.", "market_ohlcv", {"symbol": "BTC/USDT", "limit": 3}, _candles),
    DemoStep("What else can an expression say?", "docs_read", {"slug": "operators", "limit": 2000}, _document),
)

ACCOUNT: Final = f"paper-{DEFAULT_EXCHANGE}"

_BUY: Final = {
    "account_id": ACCOUNT,
    "exchange": DEFAULT_EXCHANGE,
    "symbol": "BTC/USDT",
    "side": "buy",
    "amount": "0.01",
}

ORDERS: Final = (
    DemoStep("What would the limits say to a small order on a paper account?", "order_preview", _BUY, _preview),
    DemoStep("Place it, if the human says yes.", "place_with_confirmation", _BUY, _order),
)


def placed(intent_id: str) -> DemoStep:
    """The step that looks up the order by its intent."""
    return DemoStep("What became of it?", "order_intent", {"intent_id": intent_id}, _intent)


STATUS: Final = DemoStep(
    "What do the limits leave, and does anything wait for the human?", "safety_status", {}, _status
)

BACKTEST: Final = DemoStep(
    "Would following short swings have worked?",
    "backtest_and_poll",
    {
        "strategy_type": "signal",
        "script": SCRIPT,
        "universe": ["BINANCE:BTC/USDT", "BINANCE:ETH/USDT", "BINANCE:SOL/USDT"],
        "start_date": "2024-01-01",
        "end_date": "2024-06-30",
    },
    _verdict,
)


def subscribe(result_id: str) -> DemoStep:
    """The step that deploys the strategy of the backtest."""
    return DemoStep(
        "Let that strategy trade the account by itself; time runs fast here.",
        "live_subscribe",
        {"strategy_id": result_id, "mode": "trade", "account_id": ACCOUNT},
        _subscription,
    )


def last_steps(subscription_id: str) -> tuple[DemoStep, ...]:
    """The last steps of the demo, after signals have arrived."""
    return (
        DemoStep("End it.", "live_unsubscribe", {"subscription_id": subscription_id}, _ended),
        DemoStep("What is in the account now?", "accounts_balances", {"account_id": ACCOUNT}, _balances),
    )

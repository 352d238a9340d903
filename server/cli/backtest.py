"""`heytraders-mcp backtest ...` and `market ...`: research from a shell, through the same tools as any client's."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, get_args

import anyio
import click
from mcp import Client
from mcp.types import CallToolResult, TextContent, TextResourceContents

from api.errors import InvalidInput
from api.outputs import table_rows
from api.research import Part
from api.times import Timeframe
from server.app import open_server
from server.logs import start_log
from server.settings import Settings

_BAR = 30


@click.group("backtest")
def backtest() -> None:
    """Sweep, list, compare and examine backtests."""


@backtest.command("sweep")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--universe", default="BINANCE:BTC/USDT", show_default=True, help="Tickers, separated by commas.")
@click.option("--start", "start_date", required=True, help="First day, YYYY-MM-DD.")
@click.option("--end", "end_date", required=True, help="Last day, included.")
@click.option("--timeframe", default="1h", show_default=True)
@click.option("--objective", default="sharpe_ratio", show_default=True)
@click.option("--random", "sample", type=int, help="Run a random sample of this many variants.")
@click.option("--train-days", type=int, help="Walk-forward: days to choose on.")
@click.option("--test-days", type=int, help="Walk-forward: days to trade on what was chosen.")
@click.option("--anchored", is_flag=True, help="Walk-forward: always choose on everything from the first day on.")
@click.option("--top", default=10, show_default=True, help="Rows to show.")
def sweep(
    *,
    file: Path,
    universe: str,
    start_date: str,
    end_date: str,
    timeframe: str,
    objective: str,
    sample: int | None,
    train_days: int | None,
    test_days: int | None,
    anchored: bool,
    top: int,
) -> None:
    """Run every variant of the script in FILE over the ranges of its param(...) values, and judge the search."""
    terms: dict[str, Any] = {
        "script": file.read_text(encoding="utf-8"),
        "universe": universe.split(","),
        "start_date": start_date,
        "end_date": end_date,
        "timeframe": timeframe,
        "objective": objective,
        "top": top,
    }
    if sample is not None:
        terms |= {"search": "random", "max_variants": sample}
    days = {"train_days": train_days, "test_days": test_days}
    given = {name: value for name, value in days.items() if value is not None}
    if given or anchored:
        terms["walk_forward"] = {**given, "anchored": anchored}
    found = _called("backtest_sweep", terms)
    if found["status"] != "completed":
        click.echo(f"{found['status']}: {found.get('message', '')}", err=True)
        sys.exit(1)
    table(found["columns"], found["rows"])
    click.echo(f"\n{found['variants']} variants. Probability of overfitting "
               f"{_cell(found.get('probability_of_backtest_overfitting'))}, deflated Sharpe ratio "
               f"{_cell(found.get('deflated_sharpe_ratio'))}, shape {found.get('shape', 'unknown')}.")  # fmt: skip
    for name in ("in_sample", "out_of_sample"):
        if found.get(name):
            click.echo(f"{name}: " + ", ".join(f"{key} {_cell(value)}" for key, value in found[name].items()))
    click.echo(found["recommendation"])
    for warning in found.get("warnings", []):
        click.echo(f"! {warning}")


@backtest.command("list")
@click.option("--search", help="Words of script, tickers or description.")
@click.option("--tag", help="A #tag in the description.")
@click.option("--state", type=click.Choice(("any", "open", "completed", "failed", "cancelled")), default="any")
@click.option("--limit", default=20, show_default=True)
def listing(*, search: str | None, tag: str | None, state: str, limit: int) -> None:
    """List backtests and sweeps, the newest first."""
    found = _called("backtest_list", {"search": search, "tag": tag, "state": state, "limit": limit})
    names = ["id", "state", "result_id", "created_at", "timeframe", "total_return_pct", "sharpe_ratio", "description"]
    table(names, [[job.get(name) for name in names] for job in table_rows(found["jobs"])])


@backtest.command("compare")
@click.argument("result_ids", nargs=-1, required=True)
@click.option("--weights", help="Shares of one account, separated by commas: adds the portfolio.")
def compare(*, result_ids: tuple[str, ...], weights: str | None) -> None:
    """Show results in one table."""
    shares = None if weights is None else [float(each) for each in weights.split(",")]
    found = _called("backtest_compare", {"result_ids": list(result_ids), "weights": shares})
    table(found["columns"], found["rows"])
    click.echo("\nCorrelation of daily returns")
    _matrix(found["correlation"])
    click.echo("\n" + "\n".join(f"{name}: {leader}" for name, leader in found["leaders"].items()))


@backtest.command("portfolio")
@click.argument("result_ids", nargs=-1, required=True)
@click.option("--weights", help="Shares of the account, separated by commas; default: equal.")
@click.option("--rebalance", type=click.Choice(("never", "weekly", "monthly", "quarterly")), default="never")
@click.option("--cash", "initial_cash", type=float, default=10_000.0, show_default=True)
def portfolio(*, result_ids: tuple[str, ...], weights: str | None, **terms: Any) -> None:
    """Trade the strategies of several results on one account, each with a book of its own."""
    shares = None if weights is None else [float(each) for each in weights.split(",")]
    found = _called("backtest_portfolio", {"result_ids": list(result_ids), "weights": shares, **terms})
    if found["status"] != "completed":
        click.echo(f"{found['status']}: {found.get('message', '')}", err=True)
        sys.exit(1)
    table(found["columns"], found["rows"])
    click.echo("\nCorrelation of the books' daily returns")
    _matrix(found["correlation"])
    click.echo(f"\n{found['rebalancing']} Money moved {found['transfers']} times. Result {found['result_id']}.")
    for warning in found.get("warnings", []):
        click.echo(f"! {warning}")


@backtest.command("report")
@click.argument("result_id")
@click.option("--parts", default="months,drawdowns,monte_carlo", show_default=True, help="Separated by commas; or all.")
@click.option("--ticker", help="To compare with; default: the first traded.")
def parts_of(*, result_id: str, parts: str, ticker: str | None) -> None:
    """Show parts of a report: months, weekdays, regimes, rolling, drawdowns, excursions, benchmark, monte_carlo."""
    wanted = list(get_args(Part)) if parts == "all" else parts.split(",")
    found = _called("backtest_report", {"result_id": result_id, "parts": wanted, "ticker": ticker})
    for name in wanted:
        click.echo(f"\n{name}")
        _shown(found.get(name))


@backtest.command("trades")
@click.argument("result_id")
@click.option("--start", "start_date", help="First day of entry.")
@click.option("--end", "end_date", help="Last day of entry.")
@click.option("--ticker")
@click.option("--side", type=click.Choice(("long", "short")))
@click.option("--sort", type=click.Choice(("exit", "entry", "best", "worst", "longest")), default="exit")
@click.option("--limit", default=50, show_default=True)
def trades(*, result_id: str, **terms: Any) -> None:
    """List the trades of a result."""
    found = _called("backtest_trades", {"result_id": result_id, **terms})
    listed = found["trades"]
    names = ["trade_id", "ticker", "side", "entry_time", "exit_time", "entry_price", "exit_price", "pnl", "exit_reason"]
    places = [listed["columns"].index(name) for name in names if name in listed["columns"]]
    table([listed["columns"][i] for i in places], [[row[i] for i in places] for row in listed["rows"]])
    click.echo(f"\n{found['total']} trades in all.")


@click.group("market")
def market() -> None:
    """Evaluate expressions on a symbol; correlate symbols."""


@market.command("evaluate")
@click.argument("symbol")
@click.argument("expressions", nargs=-1, required=True)
@click.option("--timeframe", default="1h", show_default=True)
@click.option("--as-of", "as_of", help="Only bars closed by then: a day or an ISO time, UTC.")
def evaluate(*, symbol: str, expressions: tuple[str, ...], timeframe: str, as_of: str | None) -> None:
    """Evaluate one or several EXPRESSIONS of the Signal DSL on SYMBOL."""
    terms = {"symbol": symbol, "expressions": list(expressions), "timeframe": timeframe, "as_of": as_of}
    found = _called("market_evaluate", terms)
    table(found["values"]["columns"], found["values"]["rows"])
    click.echo(f"\n{found['symbol']} on {found['exchange']}, {found['timeframe']}: {_cell(found.get('price'))} "
               f"at {found['as_of']}, {found['source']} candles.")  # fmt: skip


@market.command("correlation")
@click.argument("symbols", nargs=-1, required=True)
@click.option("--timeframe", default="1d", show_default=True)
@click.option("--bars", default=365, show_default=True)
def correlation(*, symbols: tuple[str, ...], timeframe: str, bars: int) -> None:
    """Show the correlation of symbols, and which pairs are cointegrated."""
    found = _called("market_correlation", {"symbols": list(symbols), "timeframe": timeframe, "bars": bars})
    table(["", *found["symbols"]], [[s, *row] for s, row in zip(found["symbols"], found["matrix"], strict=True)])
    click.echo("")
    names = ["pair", "hedge_ratio", "adf", "critical_5pct", "cointegrated", "half_life_bars"]
    table(names, [[" ".join(p["pair"]), *(p.get(name) for name in names[1:])] for p in found["pairs"]])


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows in columns, numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(name), *(len(row[i]) for row in cells), 0) for i, name in enumerate(columns)]
    click.echo("  ".join(name.ljust(width) for name, width in zip(columns, widths, strict=True)).rstrip())
    for row, cell in zip(rows, cells, strict=True):
        padded = [
            text.rjust(width) if isinstance(value, int | float) else text.ljust(width)
            for value, text, width in zip(row, cell, widths, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def _matrix(rows: Sequence[Sequence[Any]]) -> None:
    """Print a matrix whose rows and columns are numbered."""
    table(["", *(f"{n}" for n in range(1, len(rows) + 1))], [[f"{n}", *row] for n, row in enumerate(rows, 1)])


def _shown(part: Any) -> None:
    """Print one part of a report: rows, a table by name, or one name and value per line."""
    if isinstance(part, list):
        rows = cast("list[dict[str, Any]]", part)
        table(list(rows[0]) if rows else [], [list(row.values()) for row in rows])
        return
    named = cast("dict[str, Any]", part or {})
    tables = {name: cast("dict[str, Any]", value) for name, value in named.items() if isinstance(value, dict)}
    lists = {name: cast("list[Any]", value) for name, value in named.items() if isinstance(value, list)}
    plain = [[name, value] for name, value in named.items() if name not in tables and name not in lists]
    for name, value in plain:
        click.echo(f"{name}: {_cell(value)}")
    if len({tuple(value) for value in tables.values()}) == 1 and _is_flat(next(iter(tables.values()))):
        columns = list(next(iter(tables.values())))
        table(["", *columns], [[name, *value.values()] for name, value in tables.items()])
    else:
        for name, value in tables.items():
            click.echo(f"{name}:")
            _shown(value)
    for name, value in lists.items():
        cells = [
            " ".join(map(_cell, cast("list[Any]", each))) if isinstance(each, list) else _cell(each) for each in value
        ]
        click.echo(f"{name}: " + "  ".join(cells))


def _is_flat(value: dict[str, Any]) -> bool:
    return not any(isinstance(each, dict | list) for each in value.values())


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def _called(tool: str, terms: dict[str, Any]) -> dict[str, Any]:
    """Call one tool; a sweep is followed to its end. A refusal ends the program with the tool's message.

    Raises:
        ClickException: The tool refused. It is raised outside the task groups, which would wrap it.
    """
    result = anyio.run(_call, tool, {name: value for name, value in terms.items() if value is not None})
    if result.is_error:
        raise click.ClickException("".join(part.text for part in result.content if isinstance(part, TextContent)))
    found: dict[str, Any] = result.structured_content or {}
    return found


async def _call(tool: str, terms: dict[str, Any]) -> CallToolResult:
    settings = Settings.read(os.environ)
    start_log(settings)
    async with open_server(settings) as server, Client(server) as client:
        result = await client.call_tool(tool, terms, progress_callback=_show)
        while job := _under_way(result):
            result = await client.call_tool(tool, job, progress_callback=_show)
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
    return result


def _under_way(result: CallToolResult) -> dict[str, Any] | None:
    """The fields that identify a running job."""
    found: dict[str, Any] = result.structured_content or {}
    named = {name: found[name] for name in ("sweep_id", "backtest_id") if found.get(name)}
    return named if found.get("status") in ("queued", "running") else None


async def _show(progress: float, total: float | None, message: str | None) -> None:
    """Redraw the progress bar if standard error is a terminal."""
    if sys.stderr.isatty():
        filled = int(_BAR * progress / (total or 100.0))
        click.echo(f"\r[{'#' * filled}{'.' * (_BAR - filled)}] {message or ''}\x1b[K", nl=False, err=True)


@click.group("script")
def script() -> None:
    """Check scripts."""


def _read(file: Path) -> str:
    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(
            f"{file} is not UTF-8: byte {content[error.start]:#04x} in line {line}",
            suggestion="Save it as UTF-8",
        ) from None


@script.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--universe", default="BINANCE:BTC/USDT", show_default=True, help="Tickers, separated by commas.")
@click.option("--timeframe", type=click.Choice(get_args(Timeframe)), default="1h", show_default=True)
@click.option("--mode", type=click.Choice(("isolated", "cross")), default="isolated", show_default=True)
@click.option("--leverage", type=float, help="Of the run, for perpetuals.")
def check(*, file: Path, universe: str, timeframe: str, mode: str, leverage: float | None) -> None:
    """List everything that is wrong or doubtful in FILE (- for standard input), and say what the script would do.

    Exit code 0 when it can run, warnings or not; 1 when it cannot.
    """
    from pydantic import ValidationError

    from api.backtests import ScriptCheckRequest
    from api.refusals import refuse
    from engine.jobs.preparation import check as checked

    source = _read(file)
    given = {"script": source, "universe": universe, "timeframe": timeframe, "mode": mode, "leverage": leverage}
    try:
        request = ScriptCheckRequest.model_validate(given)
    except ValidationError as error:
        raise refuse("script_check", ScriptCheckRequest, error, given) from None
    report = checked(request)
    for found in report.diagnostics:
        click.echo(f"{file}:{found.line}:{found.column}: {found.severity}: {found.message}")
        click.echo(found.excerpt)
        if found.suggestion:
            click.echo(f"  {found.suggestion}")
    if not report.valid:
        sys.exit(1)
    click.echo("\n".join(report.plan))


@click.command("report")
@click.argument("result_id")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: RESULT_ID.html here.")
@click.option("--open/--no-open", "show", default=True, help="Open it in the browser.")
def report(*, result_id: str, output: Path | None, show: bool) -> None:
    """Write a report on RESULT_ID as one self-contained HTML file, and open it."""
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

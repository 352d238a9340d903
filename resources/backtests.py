"""Backtest results as resources: data too long for a tool's answer, complete and in the best format for it."""

from __future__ import annotations

import base64
import csv
import io
import json
from typing import TYPE_CHECKING, Any, Final

from mcp.server.mcpserver import MCPServer

from .opening import Backends, OpenClient, ask, offered, reading

if TYPE_CHECKING:
    from api.backtest_results import Trade
    from api.client import Client

TEMPLATES: Final = {
    part: f"heytraders://backtests/{{result_id}}/{part}"
    for part in ("summary", "trades.csv", "trades.json", "equity", "script", "chart.png", "chart.svg", "report.html")
}
MAX_POINTS: Final = 5_000
MAX_CHARACTERS: Final = 100_000
"""Size limit of a resource; a client shows only a part of a longer one, or nothing."""
_TRADES_PAGE: Final = 1_000
_POINTS_PAGE: Final = 10_000


def register(server: MCPServer[Any], backends: Backends) -> None:
    """Register the templates."""

    @server.resource(TEMPLATES["summary"], name="backtest_summary", title="Verdict", mime_type="application/json")
    async def summary(result_id: str) -> str:
        """Key metrics, assumptions, warnings and the analysis of a backtest."""
        async with reading(backends.client) as client:
            return await _summary(client, result_id)

    @server.resource(TEMPLATES["trades.csv"], name="backtest_trades_csv", title="Trades", mime_type="text/csv")
    async def trades_csv(result_id: str) -> str:
        """The trades of a backtest as CSV; the last line says where to go on if there are too many for one answer."""
        async with reading(backends.client) as client:
            text = _as_csv([trade.model_dump(mode="json") for trade in await _trades(client, result_id)])
        return _first_lines(text, result_id)

    @server.resource(
        TEMPLATES["trades.json"], name="backtest_trades_json", title="Trades", mime_type="application/json"
    )
    async def trades_json(result_id: str) -> str:
        """The trades of a backtest as columns and rows; `next_offset` for backtest_trades if there are too many."""
        async with reading(backends.client) as client:
            return _as_columns([trade.model_dump(mode="json") for trade in await _trades(client, result_id)])

    @server.resource(TEMPLATES["equity"], name="backtest_equity", title="Equity curve", mime_type="text/csv")
    async def equity(result_id: str) -> str:
        """The equity curve of a backtest as CSV: every bar, or some 5,000 at equal distances and the last."""
        async with reading(backends.client) as client:
            return _as_csv(await _points(client, result_id))

    @server.resource(TEMPLATES["script"], name="backtest_script", title="Script", mime_type="text/plain")
    async def script(result_id: str) -> str:
        """The Signal DSL script that a backtest ran."""
        async with reading(backends.client) as client:
            return await _script(client, result_id)

    @server.resource(TEMPLATES["chart.png"], name="backtest_chart_png", title="Chart", mime_type="image/png")
    async def chart_png(result_id: str) -> bytes:
        """Equity with drawdown beside holding; for a sweep_id, its heat map."""
        async with reading(backends.client) as client:
            return base64.b64decode(await _drawn(client, result_id, "png"))

    @server.resource(TEMPLATES["chart.svg"], name="backtest_chart_svg", title="Chart", mime_type="image/svg+xml")
    async def chart_svg(result_id: str) -> str:
        """The same as SVG."""
        async with reading(backends.client) as client:
            return await _drawn(client, result_id, "svg")

    @server.resource(TEMPLATES["report.html"], name="backtest_report_html", title="Report", mime_type="text/html")
    async def report_html(result_id: str) -> str:
        """A page about a backtest with its pictures; it needs no other file."""
        async with reading(backends.client) as client:
            return await _drawn(client, result_id, "html")


async def _drawn(client: Client, result_id: str, form: str) -> str:
    """A picture or a page, as the engine renders it.

    Raises:
        UserMustAct: Pictures cannot be rendered here.
    """
    from api.errors import UserMustAct
    from api.research import BACKTEST_CHART, ChartRequest

    picture = await client.call(BACKTEST_CHART, ask(ChartRequest, {"result_id": result_id, "format": form}))
    if picture.data is None:
        raise UserMustAct(f"{picture.alt} {picture.sparkline}", suggestion=picture.how or "")
    return picture.data


async def complete_result(open_client: OpenClient, typed: str) -> list[str]:
    """The caller's newest results whose id begins with this text."""
    return await offered(open_client, _result_ids, typed)


async def _result_ids(client: Client) -> list[str]:
    from api.backtests import BACKTEST_RECENT, RecentRequest

    found = await client.call(BACKTEST_RECENT, RecentRequest.model_validate({"limit": 100}))
    return [each.result_id for each in found.results]


async def _summary(client: Client, result_id: str) -> str:
    from api.backtests import BACKTEST_ANALYSIS, BACKTEST_RESULTS, ResultRequest

    request = ask(ResultRequest, {"result_id": result_id})
    found = await client.call(BACKTEST_RESULTS, request)
    read = await client.call(BACKTEST_ANALYSIS, request)
    return json.dumps({**found.model_dump(mode="json", exclude_none=True), "analysis": read.analysis}, indent=1)


async def _trades(client: Client, result_id: str) -> list[Trade]:
    from api.backtests import BACKTEST_TRADES, TradesRequest

    gathered: list[Trade] = []
    offset: int | None = 0
    while offset is not None:
        page = await client.call(
            BACKTEST_TRADES,
            ask(TradesRequest, {"result_id": result_id, "limit": _TRADES_PAGE, "offset": offset}),
        )
        gathered += page.trades
        offset = page.next_offset
    return gathered


async def _points(client: Client, result_id: str) -> list[dict[str, Any]]:
    from api.backtests import BACKTEST_EQUITY, EquityRequest

    terms: dict[str, Any] = {"result_id": result_id, "limit": _POINTS_PAGE, "resolution": "full"}
    gathered: list[dict[str, Any]] = []
    offset: int | None = 0
    while offset is not None:
        page = await client.call(BACKTEST_EQUITY, ask(EquityRequest, {**terms, "offset": offset}))
        gathered += [point.model_dump(mode="json") for point in page.points]
        offset = page.next_offset
    step = -(-len(gathered) // MAX_POINTS)
    return gathered if step <= 1 else [*gathered[:-1:step], gathered[-1]]


async def _script(client: Client, result_id: str) -> str:
    from api.backtests import BACKTEST_RESULTS, ResultRequest

    return (await client.call(BACKTEST_RESULTS, ask(ResultRequest, {"result_id": result_id}))).script or ""


def _first_lines(text: str, result_id: str) -> str:
    """As many lines as fit, and a last line that says how to read the rest."""
    if len(text) <= MAX_CHARACTERS:
        return text
    kept = text[: text.rindex("\n", 0, MAX_CHARACTERS) + 1]
    shown, total = kept.count("\n") - 1, text.count("\n") - 1
    following = f'backtest_trades(result_id="{result_id}", offset={shown})'
    return f"{kept}# {total - shown} of {total} trades follow: {following}\n"


def _as_columns(trades: list[dict[str, Any]]) -> str:
    """As many rows as fit; `next_offset` is null when these are all."""
    from api.outputs import as_table

    table = as_table(trades)
    rows = [json.dumps(row, separators=(",", ":")) for row in table["rows"]]
    length = fit = 0
    while fit < len(rows) and length < MAX_CHARACTERS:
        length += len(rows[fit]) + 1
        fit += 1
    following = fit if fit < len(rows) else None
    shown = {"columns": table["columns"], "rows": table["rows"][:fit], "total": len(rows), "next_offset": following}
    return json.dumps(shown, separators=(",", ":"))


def _as_csv(rows: list[dict[str, Any]]) -> str:
    """Rows with a header; nothing for no rows."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()

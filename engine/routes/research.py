"""Research endpoints beyond API 1.0.4: sweeps, lists, comparison, reports, pictures."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, Final

import anyio.to_thread
import sqlalchemy as sa

from api.errors import InvalidInput, before_any_effect
from api.research import (
    BACKTEST_CHART,
    BACKTEST_COMPARE,
    BACKTEST_LIST,
    BACKTEST_PORTFOLIO,
    BACKTEST_REPORT,
    BACKTEST_SWEEP,
    BACKTEST_SWEEP_STATUS,
    MARKET_CORRELATION,
    ChartRequest,
    CompareRequest,
    CompareResponse,
    CorrelationRequest,
    CorrelationResponse,
    ListedJob,
    Picture,
    PortfolioRequest,
    PortfolioStarted,
    ReportRequest,
    ReportResponse,
    RunsRequest,
    RunsResponse,
    SweepIdRequest,
    SweepRequest,
    SweepResponse,
    SweepStarted,
)
from api.times import iso8601
from engine import charts
from engine.access import ApiCaller
from engine.charts import Chart
from engine.charts.drawing import compared_chart, report_html, result_chart, sweep_chart
from engine.engine import Engine
from engine.executor import pool_size
from engine.jobs.preparation import prepare
from engine.jobs.spec import base_of
from engine.research import comparison
from engine.research.comparison import Stored, correlate
from engine.research.plan import SweepSpec, plan_sweep
from engine.research.portfolio import PortfolioSpec, plan_portfolio
from engine.research.report import report as reported
from engine.results.reading import spec_text
from engine.store import backtests as rows

from .backtest import job_of
from .binding import Route, route

_STATES: Final = ("queued", "running", "completed", "failed", "cancelled")
_LOOKED_AT: Final = 500
"""Newest jobs that a search reads."""


async def sweep(engine: Engine, caller: ApiCaller, request: SweepRequest) -> SweepStarted:
    """Validate everything, estimate the cost, then queue the job."""
    now = engine.clock.now()
    agent = caller.identified

    def plan() -> SweepSpec:
        base = prepare(engine.feed, now, request, engine.settings.jobs.max_bars)
        before = engine.store.read_now(lambda c: rows.tried(c, base.search(agent)))
        return plan_sweep(request, base, before, pool_size())

    def spend(connection: sa.Connection) -> None:
        engine.access.spend_backtest(connection, caller)

    await anyio.to_thread.run_sync(engine.jobs.warm)
    with before_any_effect("the sweep was not started"):
        spec = await anyio.to_thread.run_sync(plan)
    text = await anyio.to_thread.run_sync(spec.to_json)
    job = await anyio.to_thread.run_sync(engine.jobs.submit, agent, text, spend, "sw")
    return SweepStarted.model_validate(
        {
            "sweep_id": job.id,
            "status": job.status,
            "variants": len(spec.grid),
            "memory_mb": spec.memory_mb,
            "warnings": [*job.remarks, *spec.base.warnings],
        }
    )


async def portfolio(engine: Engine, caller: ApiCaller, request: PortfolioRequest) -> PortfolioStarted:
    """Several strategies, identified by their results, on one account. Each runs again on a separate book."""
    now = engine.clock.now()
    agent = caller.identified

    def plan() -> PortfolioSpec:
        texts = engine.store.read_now(lambda c: [spec_text(c, each, agent) for each in request.result_ids])
        specs = [base_of(text) for text in texts]
        return plan_portfolio(request, specs, now, engine.settings.jobs.max_bars)

    def spend(connection: sa.Connection) -> None:
        engine.access.spend_backtest(connection, caller)

    with before_any_effect("the portfolio was not started"):
        spec = await anyio.to_thread.run_sync(plan)
    job = await anyio.to_thread.run_sync(engine.jobs.submit, agent, spec.to_json(), spend)
    return PortfolioStarted.model_validate(
        {
            "backtest_id": job.id,
            "status": job.status,
            "books": list(spec.names),
            "warnings": [*job.remarks, *spec.account.warnings],
        }
    )


async def sweep_status(engine: Engine, caller: ApiCaller, request: SweepIdRequest) -> SweepResponse:
    """The progress of the sweep, or its results."""

    def work(connection: sa.Connection) -> tuple[rows.JobRow, str | None]:
        job = job_of(connection, request.sweep_id, caller.identified, "sweep_id")
        return job, rows.find_sweep(connection, job.id)

    job, found = await engine.store.read(work)
    if job.status in rows.OPEN_STATES:
        engine.jobs.attend()
    return SweepResponse.model_validate(
        {
            "sweep_id": job.id,
            "status": job.status,
            "progress": job.progress,
            "message": job.message,
            **({} if found is None else shown(json.loads(found))),
        }
    )


async def listed(engine: Engine, caller: ApiCaller, request: RunsRequest) -> RunsResponse:
    """The caller's newest backtests and sweeps."""
    states = {"any": _STATES, "open": rows.OPEN_STATES}.get(request.state, (request.state,))
    found = await engine.store.read(lambda c: rows.recent_jobs(c, caller.identified, states, _LOOKED_AT))
    return await anyio.to_thread.run_sync(_matching, found, request)


def _matching(found: Sequence[Any], request: RunsRequest) -> RunsResponse:
    words = (request.search or "").casefold().split()
    tag = f"#{request.tag.lstrip('#').casefold()}" if request.tag else None
    jobs: list[ListedJob] = []
    for row in found:
        base = base_of(row.spec)
        description = base.description or ""
        text = f"{row.id} {description} {base.script} {' '.join(base.tickers)}".casefold()
        if not all(word in text for word in words) or (tag and tag not in description.casefold().split()):
            continue
        metrics: dict[str, Any] = json.loads(row.metrics) if row.metrics else {}
        jobs.append(
            ListedJob(
                id=row.id,
                state=row.status,
                result_id=row.result_id,
                progress=row.progress if row.status in rows.OPEN_STATES else None,
                created_at=iso8601(row.created_at),
                description=description or None,
                universe=list(base.tickers),
                timeframe=base.timeframe,
                total_return_pct=metrics.get("total_return_pct"),
                sharpe_ratio=metrics.get("sharpe_ratio"),
                message=row.message,
            )
        )
    return RunsResponse(jobs=jobs[: request.limit], total=len(jobs))


async def compare(engine: Engine, caller: ApiCaller, request: CompareRequest) -> CompareResponse:
    """Results side by side, and as one portfolio."""
    results = await engine.store.read(lambda c: [Stored.read(c, i, caller.identified) for i in request.result_ids])
    made = await anyio.to_thread.run_sync(comparison.compare, results, request)
    if not request.chart:
        return made
    return made.model_copy(update={"picture": await anyio.to_thread.run_sync(_pictured, compared_chart(results))})


async def report(engine: Engine, caller: ApiCaller, request: ReportRequest) -> ReportResponse:
    """Selected parts of a full report."""
    result = await engine.store.read(lambda c: Stored.read(c, request.result_id, caller.identified))
    made = await anyio.to_thread.run_sync(reported, engine.feed, engine.settings.jobs.executor, result, request)
    if not request.chart:
        return made
    picture = await anyio.to_thread.run_sync(lambda: _pictured(result_chart(engine.feed, result, "equity")))
    return made.model_copy(update={"picture": picture})


async def chart(engine: Engine, caller: ApiCaller, request: ChartRequest) -> Picture:
    """A picture of a result or a sweep; a line of text if pictures cannot be rendered."""
    if request.result_id.startswith("sw_"):

        def find(connection: sa.Connection) -> str | None:
            return rows.find_sweep(connection, job_of(connection, request.result_id, caller.identified, "sweep_id").id)

        found = await engine.store.read(find)
        if found is None:
            raise InvalidInput("the sweep has not completed", suggestion="Wait for it with backtest_sweep")
        kind = "heatmap" if request.kind == "equity" else request.kind
        return await anyio.to_thread.run_sync(
            lambda: _pictured(sweep_chart(json.loads(found), kind), request.format, request.theme)
        )
    result = await engine.store.read(lambda c: Stored.read(c, request.result_id, caller.identified))

    def draw() -> Picture:
        if request.format == "html" and charts.available():
            page = report_html(engine.feed, result)
            return Picture(alt=f"Report on {request.result_id}", format="html", data=page)
        return _pictured(result_chart(engine.feed, result, request.kind), request.format, request.theme)

    return await anyio.to_thread.run_sync(draw)


def _pictured(drawn: Chart, form: str = "png", theme: charts.Theme = "light") -> Picture:
    line = charts.sparkline(drawn.values)
    if not charts.available():
        return Picture(alt=drawn.alt, sparkline=line, how=charts.HOW)
    data = charts.svg(drawn, theme) if form == "svg" else base64.b64encode(charts.png(drawn, theme)).decode()
    return Picture(alt=drawn.alt, format="svg" if form == "svg" else "png", data=data)


async def correlation(engine: Engine, _caller: ApiCaller, request: CorrelationRequest) -> CorrelationResponse:
    """How symbols move together."""
    return await anyio.to_thread.run_sync(correlate, engine.feed, request)


def shown(found: dict[str, object]) -> dict[str, object]:
    """The part of the findings for the answer; the rest is for pictures."""
    return {name: value for name, value in found.items() if name in SweepResponse.model_fields}


ROUTES: Final[tuple[Route, ...]] = (
    route(BACKTEST_SWEEP, sweep),
    route(BACKTEST_SWEEP_STATUS, sweep_status),
    route(BACKTEST_LIST, listed),
    route(BACKTEST_COMPARE, compare),
    route(BACKTEST_PORTFOLIO, portfolio),
    route(BACKTEST_REPORT, report),
    route(BACKTEST_CHART, chart),
    route(MARKET_CORRELATION, correlation),
)

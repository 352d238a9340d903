"""The backtest section: queue, follow and cancel jobs, read results, check scripts."""

from __future__ import annotations

from typing import Final

import anyio.to_thread
import sqlalchemy as sa

from api.backtest_results import (
    AnalysisResponse,
    CancelResponse,
    EquityResponse,
    ExecuteResponse,
    MetricsResponse,
    PerTickerResponse,
    RecentResponse,
    ResultsResponse,
    ScriptCheckResponse,
    StatusResponse,
    TradesResponse,
)
from api.backtests import (
    BACKTEST_ANALYSIS,
    BACKTEST_CANCEL,
    BACKTEST_EQUITY,
    BACKTEST_EXECUTE,
    BACKTEST_METRICS,
    BACKTEST_PER_TICKER,
    BACKTEST_RECENT,
    BACKTEST_RESULTS,
    BACKTEST_STATUS,
    BACKTEST_TRADES,
    SCRIPT_CHECK,
    BacktestRequest,
    EquityRequest,
    ExecuteRequest,
    PageRequest,
    RecentRequest,
    ResultRequest,
    ScriptCheckRequest,
    TradesRequest,
)
from api.errors import NotFound, before_any_effect
from api.refusals import show
from api.times import iso8601
from engine.access import ApiCaller
from engine.engine import Engine
from engine.jobs.preparation import check, prepare
from engine.results import reading
from engine.store import backtests as rows

from .binding import Route, route


async def execute(engine: Engine, caller: ApiCaller, request: ExecuteRequest) -> ExecuteResponse:
    """Check everything, then queue the job."""
    now = engine.clock.now()
    with before_any_effect("the backtest was not started"):
        spec = await anyio.to_thread.run_sync(prepare, engine.feed, now, request, engine.settings.jobs.max_bars)

    def spend(connection: sa.Connection) -> None:
        engine.access.spend_backtest(connection, caller)

    job = await anyio.to_thread.run_sync(engine.jobs.submit, caller.identified, spec.to_json(), spend)
    return ExecuteResponse.model_validate(
        {
            "backtest_id": job.id,
            "status": job.status,
            "universe": list(spec.tickers),
            "bars": spec.bars,
            "warnings": [*job.remarks, *spec.warnings],
            "created_at": iso8601(job.created_at),
        }
    )


async def status(engine: Engine, caller: ApiCaller, request: BacktestRequest) -> StatusResponse:
    """How far the job is."""

    def work(connection: sa.Connection) -> tuple[rows.JobRow, int | None]:
        job = job_of(connection, request.backtest_id, caller.identified)
        return job, rows.jobs_before(connection, job.id) if job.status == "queued" else None

    job, before = await engine.store.read(work)
    if job.status in rows.OPEN_STATES:
        engine.jobs.attend()
    return StatusResponse.model_validate(
        {
            "backtest_id": job.id,
            "status": job.status,
            "progress": job.progress,
            "result_id": job.result_id,
            "message": job.message,
            "queue_position": before,
            "created_at": iso8601(job.created_at),
            "started_at": _at(job.started_at),
            "finished_at": _at(job.finished_at),
        }
    )


async def cancel(engine: Engine, caller: ApiCaller, request: BacktestRequest) -> CancelResponse:
    """End the job; a job that has ended stays as it is."""
    await engine.store.read(lambda c: job_of(c, request.backtest_id, caller.identified))
    cancelled = await anyio.to_thread.run_sync(engine.jobs.cancel, request.backtest_id)
    job = await engine.store.read(lambda c: job_of(c, request.backtest_id, caller.identified))
    return CancelResponse.model_validate(
        {
            "backtest_id": job.id,
            "status": job.status,
            "message": "cancelled" if cancelled else f"it had already ended: {job.status}",
        }
    )


async def results(engine: Engine, caller: ApiCaller, request: ResultRequest) -> ResultsResponse:
    """The verdict."""
    return await engine.store.read(lambda c: reading.results(c, request.result_id, caller.identified))


async def metrics(engine: Engine, caller: ApiCaller, request: ResultRequest) -> MetricsResponse:
    """Every metric."""
    return await engine.store.read(lambda c: reading.metrics(c, request.result_id, caller.identified))


async def per_ticker(engine: Engine, caller: ApiCaller, request: PageRequest) -> PerTickerResponse:
    """Each ticker's share."""
    return await engine.store.read(lambda c: reading.per_ticker(c, request, caller.identified))


async def trades(engine: Engine, caller: ApiCaller, request: TradesRequest) -> TradesResponse:
    """A page of trades."""
    return await engine.store.read(lambda c: reading.trades(c, request, caller.identified))


async def equity(engine: Engine, caller: ApiCaller, request: EquityRequest) -> EquityResponse:
    """The equity curve."""
    return await engine.store.read(lambda c: reading.equity(c, request, caller.identified))


async def analysis(engine: Engine, caller: ApiCaller, request: ResultRequest) -> AnalysisResponse:
    """The reading of a result."""
    return await engine.store.read(lambda c: reading.analysis(c, request.result_id, caller.identified))


async def recent(engine: Engine, caller: ApiCaller, request: RecentRequest) -> RecentResponse:
    """The caller's newest results."""
    return await engine.store.read(lambda c: reading.recent(c, request.limit, caller.identified))


async def script_check(engine: Engine, _caller: ApiCaller, request: ScriptCheckRequest) -> ScriptCheckResponse:
    """Every remark on a script, and what it would do."""
    await anyio.to_thread.run_sync(engine.jobs.warm)
    return await anyio.to_thread.run_sync(check, request)


def job_of(connection: sa.Connection, job_id: str, agent_id: str, named: str = "backtest_id") -> rows.JobRow:
    """A job of the caller.

    Raises:
        NotFound: The result does not exist; `named` is the argument that named it.
    """
    job = rows.find_job(connection, job_id, agent_id)
    if job is None:
        what = "a result_id" if job_id.startswith("res_") else "no backtest of yours"
        raise NotFound(
            f"{named} {show(job_id)} is {what}",
            suggestion=f"Take {named} from {'backtest_execute' if named == 'backtest_id' else 'backtest_sweep'}",
            code="BACKTEST_NOT_FOUND",
        )
    return job


def _at(seconds: float | None) -> str | None:
    return None if seconds is None else iso8601(seconds)


ROUTES: Final[tuple[Route, ...]] = (
    route(BACKTEST_EXECUTE, execute),
    route(BACKTEST_STATUS, status),
    route(BACKTEST_CANCEL, cancel),
    route(BACKTEST_RESULTS, results),
    route(BACKTEST_METRICS, metrics),
    route(BACKTEST_PER_TICKER, per_ticker),
    route(BACKTEST_TRADES, trades),
    route(BACKTEST_EQUITY, equity),
    route(BACKTEST_ANALYSIS, analysis),
    route(BACKTEST_RECENT, recent),
    route(SCRIPT_CHECK, script_check),
)

"""Research beside API 1.0.4: sweeps, lists, comparison, reports, pictures."""

from __future__ import annotations

import json
import os
from typing import Final

import anyio.to_thread
import sqlalchemy as sa

from api.research import (
    BACKTEST_SWEEP,
    BACKTEST_SWEEP_STATUS,
    SweepIdRequest,
    SweepRequest,
    SweepResponse,
    SweepStarted,
)
from engine.access import Caller
from engine.engine import Engine
from engine.jobs.preparation import prepare
from engine.research.plan import SweepSpec, plan_sweep
from engine.store import backtests as rows

from .backtest import job_of
from .binding import Route, route


async def sweep(engine: Engine, caller: Caller, request: SweepRequest) -> SweepStarted:
    """Check everything, say what it takes, then queue the job."""
    now = engine.clock.now()
    agent = caller.identified

    def plan() -> SweepSpec:
        base = prepare(engine.feed, now, request, engine.settings.jobs.max_bars)
        before = engine.store.read_now(lambda c: rows.tried(c, agent, base.market, base.start, base.end))
        return plan_sweep(request, base, len(before), min(8, os.cpu_count() or 1))

    def spend(connection: sa.Connection) -> None:
        engine.access.spend_backtest(connection, caller)

    spec = await anyio.to_thread.run_sync(plan)
    text = await anyio.to_thread.run_sync(spec.to_json)
    job_id = await anyio.to_thread.run_sync(engine.jobs.submit, agent, text, spend, "sw")
    return SweepStarted(
        sweep_id=job_id,
        status="queued",
        variants=len(spec.grid),
        memory_mb=spec.memory_mb,
        warnings=list(spec.base.warnings),
    )


async def sweep_status(engine: Engine, caller: Caller, request: SweepIdRequest) -> SweepResponse:
    """How far the sweep is, or what it found."""

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


def shown(found: dict[str, object]) -> dict[str, object]:
    """What of the findings is an answer; the rest is for pictures."""
    return {name: value for name, value in found.items() if name in SweepResponse.model_fields}


ROUTES: Final[tuple[Route, ...]] = (
    route(BACKTEST_SWEEP, sweep),
    route(BACKTEST_SWEEP_STATUS, sweep_status),
)

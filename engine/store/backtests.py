"""Backtest jobs and results as rows. Times are unix seconds; arrays are little-endian float64 BLOBs."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from engine.store import metadata

OPEN_STATES: Final = ("queued", "running")

jobs_table: Final = sa.Table(
    "backtest_jobs",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("agent_id", sa.String(40), nullable=False, index=True),
    sa.Column("status", sa.String(12), nullable=False, index=True),
    sa.Column("progress", sa.Float, nullable=False, default=0.0),
    sa.Column("message", sa.Text),
    sa.Column("result_id", sa.String(40)),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("started_at", sa.Float),
    sa.Column("finished_at", sa.Float),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("owner", sa.String(120)),
    sa.Column("heartbeat", sa.Float, nullable=False, default=0.0),
)

results_table: Final = sa.Table(
    "backtest_results",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("job_id", sa.String(40), sa.ForeignKey("backtest_jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("agent_id", sa.String(40), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("market", sa.String(64), nullable=False),
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("end", sa.BigInteger, nullable=False),
    sa.Column("variant", sa.String(64), nullable=False),
    sa.Column("sharpe", sa.Float),
    sa.Column("bar_seconds", sa.Integer),
    sa.Column("experiment", sa.String(60)),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("metrics", sa.Text, nullable=False),
    sa.Column("analysis", sa.Text, nullable=False),
    sa.Column("tickers", sa.Text, nullable=False),
    sa.Column("trade_labels", sa.Text, nullable=False),
    sa.Column("trades", sa.LargeBinary, nullable=False),
    sa.Column("equity", sa.LargeBinary, nullable=False),
    sa.Index(None, "agent_id", "market"),
)


sweeps_table: Final = sa.Table(
    "backtest_sweeps",
    metadata,
    sa.Column("job_id", sa.String(40), sa.ForeignKey("backtest_jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("agent_id", sa.String(40), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("market", sa.String(64), nullable=False),
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("end", sa.BigInteger, nullable=False),
    sa.Column("bar_seconds", sa.Integer),
    sa.Column("experiment", sa.String(60)),
    sa.Column("found", sa.Text, nullable=False),
    sa.Column("tried", sa.Text, nullable=False),
    sa.Index(None, "agent_id", "market"),
)


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as stored, but for what it is to run."""

    id: str
    agent_id: str
    status: str
    progress: float
    message: str | None
    result_id: str | None
    created_at: float
    started_at: float | None
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that was just started, with what it is to run."""

    id: str
    agent_id: str
    spec: str
    attempts: int


_JOB: Final = [jobs_table.c[name] for name in JobRow.__dataclass_fields__]
_is_open: Final = jobs_table.c.status.in_(OPEN_STATES)


def insert_job(connection: sa.Connection, *, job_id: str, agent_id: str, spec: str, now: float, owner: str) -> None:
    """Queue a job for the process `owner`."""
    connection.execute(
        sa.insert(jobs_table).values(
            id=job_id, agent_id=agent_id, status="queued", spec=spec, created_at=now, owner=owner, heartbeat=_wall()
        )
    )


def find_job(connection: sa.Connection, job_id: str, agent_id: str) -> JobRow | None:
    """A job of this agent."""
    row = connection.execute(
        sa.select(*_JOB).where(jobs_table.c.id == job_id, jobs_table.c.agent_id == agent_id)
    ).one_or_none()
    return None if row is None else JobRow(*row)


def open_jobs(connection: sa.Connection, agent_id: str) -> list[tuple[JobRow, str]]:
    """The agent's open jobs with what they run, oldest first."""
    wanted = sa.select(*_JOB, jobs_table.c.spec).where(jobs_table.c.agent_id == agent_id, _is_open)
    found = connection.execute(wanted.order_by(jobs_table.c.created_at, jobs_table.c.id)).all()
    return [(JobRow(*row[: len(_JOB)]), row.spec) for row in found]


def job_spec(connection: sa.Connection, job_id: str) -> str:
    """What a job that exists is to run."""
    return connection.execute(sa.select(jobs_table.c.spec).where(jobs_table.c.id == job_id)).scalar_one()


def jobs_before(connection: sa.Connection, job_id: str) -> int:
    """How many queued jobs will start before this one."""
    wanted = sa.select(sa.func.count()).where(jobs_table.c.status == "queued", jobs_table.c.id < job_id)
    return connection.execute(wanted).scalar_one()


def start_job(connection: sa.Connection, job_id: str, owner: str, now: float) -> Claimed | None:
    """Move a queued job of `owner` to running; `None` when it was cancelled or taken in the meantime."""
    mine = sa.and_(jobs_table.c.id == job_id, jobs_table.c.owner == owner, jobs_table.c.status == "queued")
    row = connection.execute(
        sa.select(jobs_table.c.agent_id, jobs_table.c.spec, jobs_table.c.attempts).where(mine)
    ).one_or_none()
    if row is None:
        return None
    connection.execute(
        sa.update(jobs_table)
        .where(mine)
        .values(status="running", started_at=now, attempts=row.attempts + 1, heartbeat=_wall(), message=None)
    )
    return Claimed(job_id, row.agent_id, row.spec, row.attempts + 1)


def beat(connection: sa.Connection, owner: str, progress: dict[str, tuple[float, str]]) -> None:
    """Record that `owner` is alive, and the progress of its running jobs: the fraction done and the stage."""
    mine = sa.and_(jobs_table.c.owner == owner, _is_open)
    connection.execute(sa.update(jobs_table).where(mine).values(heartbeat=_wall()))
    for job_id, (done, message) in progress.items():
        connection.execute(
            sa.update(jobs_table).where(mine, jobs_table.c.id == job_id).values(progress=done, message=message)
        )


def still_running(connection: sa.Connection, job_id: str, owner: str) -> bool:
    """Whether the job was neither cancelled nor taken over."""
    row = jobs_table.c
    wanted = sa.select(row.id).where(row.id == job_id, row.owner == owner, row.status == "running")
    return connection.execute(wanted).first() is not None


def end_job(
    connection: sa.Connection, job_id: str, status: str, now: float, *, message: str | None, owner: str | None = None
) -> bool:
    """Bring an open job to a final state; with `owner`, only while it is that process's. False: it was not open."""
    wanted = [jobs_table.c.id == job_id, _is_open]
    if owner is not None:
        wanted.append(jobs_table.c.owner == owner)
    changed = connection.execute(
        sa.update(jobs_table).where(*wanted).values(status=status, finished_at=now, message=message)
    )
    return changed.rowcount == 1


def complete_job(connection: sa.Connection, job_id: str, owner: str, now: float, result: dict[str, Any]) -> bool:
    """Store a result and complete its job, if it is still running here."""
    if not end_job(connection, job_id, "completed", now, message=None, owner=owner):
        return False
    connection.execute(sa.insert(results_table).values(**result, job_id=job_id, created_at=now))
    connection.execute(
        sa.update(jobs_table).where(jobs_table.c.id == job_id).values(result_id=result["id"], progress=1.0)
    )
    return True


def complete_sweep(connection: sa.Connection, job_id: str, owner: str, now: float, found: dict[str, Any]) -> bool:
    """Store what a sweep found and complete its job, if it is still running here."""
    if not end_job(connection, job_id, "completed", now, message=None, owner=owner):
        return False
    connection.execute(sa.insert(sweeps_table).values(**found, job_id=job_id, created_at=now))
    connection.execute(sa.update(jobs_table).where(jobs_table.c.id == job_id).values(progress=1.0))
    return True


def find_sweep(connection: sa.Connection, job_id: str) -> str | None:
    """The findings of a sweep, as JSON; its owner is in its job."""
    wanted = sa.select(sweeps_table.c.found).where(sweeps_table.c.job_id == job_id)
    return connection.execute(wanted).scalar_one_or_none()


def recent_jobs(connection: sa.Connection, agent_id: str, states: Sequence[str], limit: int) -> Sequence[Any]:
    """The agent's newest jobs with what they run and, once completed, the metrics; newest first."""
    jobs, results = jobs_table.c, results_table.c
    wanted = (
        sa.select(*_JOB, jobs.spec, results.metrics)
        .select_from(jobs_table.outerjoin(results_table, results.id == jobs.result_id))
        .where(jobs.agent_id == agent_id, jobs.status.in_(states))
    )
    return connection.execute(wanted.order_by(jobs.created_at.desc(), jobs.id.desc()).limit(limit)).all()


def open_owners(connection: sa.Connection) -> Sequence[tuple[str | None, float]]:
    """The processes that hold open jobs, each with its latest sign of life."""
    row = jobs_table.c
    wanted = sa.select(row.owner, sa.func.max(row.heartbeat)).where(_is_open).group_by(row.owner)
    return [(owner, latest) for owner, latest in connection.execute(wanted)]


def adopt(connection: sa.Connection, new_owner: str, gone: Sequence[str | None]) -> list[str]:
    """Take over the open jobs of processes that are gone: all are queued again, in order."""
    row = jobs_table.c
    orphaned = sa.and_(_is_open, sa.or_(row.owner.in_([o for o in gone if o]), row.owner.is_(None) & (None in gone)))
    ids = list(connection.execute(sa.select(row.id).where(orphaned).order_by(row.id)).scalars())
    connection.execute(
        sa.update(jobs_table)
        .where(row.id.in_(ids))
        .values(status="queued", owner=new_owner, heartbeat=_wall(), progress=0.0, message="resumed after a restart")
    )
    return ids


def release(connection: sa.Connection, owner: str) -> None:
    """Queue the open jobs of `owner` again for whichever process comes next. An orderly stop is not a failure."""
    mine = sa.and_(jobs_table.c.owner == owner, _is_open)
    running = sa.and_(mine, jobs_table.c.status == "running")
    connection.execute(sa.update(jobs_table).where(running).values(attempts=jobs_table.c.attempts - 1))
    connection.execute(
        sa.update(jobs_table)
        .where(mine)
        .values(status="queued", owner=None, progress=0.0, message="waiting for a server")
    )


def find_result(connection: sa.Connection, result_id: str, agent_id: str, columns: Sequence[str]) -> Any | None:
    """Chosen columns of a result of this agent, as a row."""
    wanted = sa.select(*(results_table.c[name] for name in columns)).where(
        results_table.c.id == result_id, results_table.c.agent_id == agent_id
    )
    return connection.execute(wanted).one_or_none()


def recent_results(connection: sa.Connection, agent_id: str, limit: int) -> Sequence[Any]:
    """Id, time and summary of the agent's newest results, newest first."""
    of = results_table.c
    wanted = sa.select(of.id, of.created_at, of.summary).where(of.agent_id == agent_id)
    return connection.execute(wanted.order_by(of.id.desc()).limit(limit)).all()


@dataclass(frozen=True, slots=True)
class SearchRuns:
    """The runs that one search is made of: an agent's, on one universe, in ranges that overlap, of one experiment.

    Runs that name no experiment are one experiment of their own.
    """

    agent_id: str
    market: str
    start: int
    end: int
    bar_seconds: int | None
    experiment: str | None


def tried(connection: sa.Connection, search: SearchRuns) -> dict[str, float | None]:
    """Annualised Sharpe ratio of each different strategy of a search; every variant of a sweep is one of them.

    It is None where it cannot be compared with the others: bars of another length, or a range of less than half or more
    than twice the time, scatter the ratio by chance alone.
    """
    found: dict[str, float | None] = {}
    for row in connection.execute(_within(search, sweeps_table, sweeps_table.c.tried)):
        found.update(json.loads(row.tried) if _alike(row, search) else dict.fromkeys(json.loads(row.tried)))
    for row in connection.execute(_within(search, results_table, results_table.c.variant, results_table.c.sharpe)):
        if _alike(row, search):
            found[row.variant] = row.sharpe
        else:
            found.setdefault(row.variant, None)
    return found


def _within(search: SearchRuns, table: sa.Table, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    of = table.c
    return sa.select(*columns, of.bar_seconds, of.start, of.end).where(
        of.agent_id == search.agent_id,
        of.market == search.market,
        of.start < search.end,
        of.end > search.start,
        of.experiment.is_not_distinct_from(search.experiment),
    )


def _alike(row: Any, search: SearchRuns) -> bool:
    """Whether a run has bars of the same length and half to twice the time."""
    span = search.end - search.start
    return row.bar_seconds == search.bar_seconds and span <= 2 * (row.end - row.start) <= 4 * span


def _wall() -> float:
    """Signs of life run on the machine's clock: the engine's own may stand still or run fast."""
    return time.time()

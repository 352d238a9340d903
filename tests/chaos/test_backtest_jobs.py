"""Backtest jobs when processes die: nothing is lost, and a job that cannot continue says why."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from api.backtests import ExecuteRequest
from api.times import AcceleratedClock
from engine.feeds.market import open_feed
from engine.jobs.jobs import Jobs
from engine.jobs.preparation import prepare
from engine.jobs.spec import CandleOrigin, JobLimits, JobSettings
from engine.store.backtests import JobRow, find_job
from engine.store.database import Store, default_url
from tests.idle import IDLE_SECONDS

from .conftest import Fields, Serve

pytestmark = pytest.mark.usefixtures("own_workers")

NOON = 1_750_075_200.0
STATEFUL = """
emit_signal(bars_in_position > 3, exit(TICKER))
emit_signal(cash > 0, entry(TICKER, "LONG", Weight(1)))
"""
QUICK: Fields = {
    "strategy_type": "signal",
    "script": 'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(1), stop_loss=0.05))',
    "universe": ["BINANCE:BTC/USDT"],
    "start_date": "2024-01-01",
    "end_date": "2024-06-30",
}
LONG: Fields = {**QUICK, "script": STATEFUL, "timeframe": "1m", "end_date": "2024-06-30"}
AWHILE: Fields = {**LONG, "end_date": "2024-03-31"}
MONTH: Fields = {**LONG, "end_date": "2024-01-31"}

AGENT = "agent_local"


class Desk:
    """Jobs of one process, driven directly."""

    def __init__(self, home: Path, settings: JobSettings) -> None:
        self.store = Store.open(default_url(home))
        self.clock = AcceleratedClock(NOON)
        self.feed = open_feed(self.store, self.clock, 7)
        self.jobs = Jobs(self.store, self.clock, CandleOrigin(self.store.url, 7), settings)

    def submit(self, body: Fields) -> str:
        spec = prepare(self.feed, NOON, ExecuteRequest.model_validate(body), 10_000_000)
        return self.jobs.submit(AGENT, spec.to_json(), lambda _: None).id

    def job(self, job_id: str) -> JobRow:
        found = self.store.read_now(lambda c: find_job(c, job_id, AGENT))
        assert found is not None
        return found

    def until(self, job_id: str, reached: Callable[[JobRow], bool]) -> JobRow:
        """The job once it is `reached`. It may take long on a busy machine, but it must make progress."""
        deadline, seen = time.monotonic() + IDLE_SECONDS, None
        while not reached(row := self.job(job_id)):
            if row != seen:
                deadline, seen = time.monotonic() + IDLE_SECONDS, row
            assert time.monotonic() < deadline, row
            time.sleep(0.01)  # worker processes work; there is nothing in this one to wait for
        return row


Open = Callable[..., AbstractContextManager[Desk]]


@pytest.fixture
def open_desk(tmp_path: Path) -> Open:
    """`with open_desk(...) as desk:` on one home for the whole test."""

    @contextmanager
    def opened(slots: int = 1, limits: JobLimits | None = None) -> Generator[Desk]:
        desk = Desk(tmp_path / "home", JobSettings(slots=slots, limits=limits or JobLimits()))
        try:
            yield desk
        finally:
            desk.jobs.close()
            desk.store.close()

    return opened


def trades_done(row: JobRow) -> bool:
    """The worker is in the middle of trading."""
    return row.status == "running" and row.message == "trading"


def ended(row: JobRow) -> bool:
    return row.status not in ("queued", "running")


def worker_pids() -> list[int]:
    return [child.pid for child in multiprocessing.active_children() if child.pid is not None]


@pytest.mark.long
def test_a_killed_worker_fails_its_own_job_only(open_desk: Open) -> None:
    with open_desk(slots=2) as desk:
        before = set(worker_pids())
        doomed = desk.submit(LONG)
        desk.until(doomed, trades_done)
        [victim] = set(worker_pids()) - before
        neighbour = desk.submit(MONTH)
        desk.until(neighbour, trades_done)

        os.kill(victim, signal.SIGKILL)

        failed = desk.until(doomed, ended)
        assert failed.status == "failed"
        assert "worker process was killed" in (failed.message or "")
        assert desk.until(desk.submit(QUICK), ended).status == "completed"
        assert desk.until(neighbour, ended).status == "completed"


@pytest.mark.slow
def test_a_worker_that_died_between_two_jobs_is_replaced(open_desk: Open) -> None:
    with open_desk() as desk:
        before = set(worker_pids())
        desk.until(desk.submit(QUICK), ended)
        [victim] = set(worker_pids()) - before
        os.kill(victim, signal.SIGKILL)
        while victim in worker_pids():
            time.sleep(0.01)  # until the operating system has reaped it

        assert desk.until(desk.submit(QUICK), ended).status in ("completed", "failed")
        assert desk.until(desk.submit(QUICK), ended).status == "completed"


@pytest.mark.long
def test_cancelling_ends_the_process_and_frees_the_slot(open_desk: Open) -> None:
    with open_desk() as desk:
        running, queued = desk.submit(LONG), desk.submit(QUICK)
        desk.until(running, trades_done)

        assert desk.jobs.cancel(running) is True

        assert desk.job(running).status == "cancelled"
        assert desk.until(queued, ended).status == "completed"
        assert desk.jobs.cancel(running) is False
        assert desk.jobs.cancel(queued) is False
        assert desk.job(running).status == "cancelled"


def test_a_queued_job_is_cancelled_before_it_starts(open_desk: Open) -> None:
    with open_desk() as desk:
        running, queued = desk.submit(LONG), desk.submit(QUICK)

        assert desk.jobs.cancel(queued) is True
        desk.jobs.cancel(running)

        assert desk.until(desk.submit(QUICK), ended).status == "completed"
        assert desk.job(queued).started_at is None


def test_a_job_that_takes_too_long_fails_with_the_limit(open_desk: Open) -> None:
    with open_desk(limits=JobLimits(seconds=1.5)) as desk:
        failed = desk.until(desk.submit(LONG), ended)

    assert failed.status == "failed"
    assert "longer than 1.5 s" in (failed.message or "")


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the address space reliably")
def test_a_job_that_needs_too_much_memory_fails_with_the_limit(open_desk: Open) -> None:
    with open_desk(limits=JobLimits(memory_mb=340)) as desk:
        wide = {**QUICK, "timeframe": "1m", "end_date": "2024-12-31"}
        universe = ["BINANCE:BTC/USDT", "BINANCE:ETH/USDT"]
        script = 'emit_signal(sma(close, 50) > 0, entry(TICKER, "LONG", Weight(0.1)))'
        failed = desk.until(desk.submit({**wide, "universe": universe, "script": script}), ended)
        again = desk.until(desk.submit(QUICK), ended)

    assert failed.status == "failed"
    assert "340 MB" in (failed.message or "")
    assert again.status == "completed"


@pytest.mark.slow
def test_a_closed_process_gives_its_jobs_to_the_next_one(open_desk: Open) -> None:
    with open_desk() as desk:
        running, queued = desk.submit(AWHILE), desk.submit(QUICK)
        desk.until(running, trades_done)
    with open_desk() as desk:
        assert desk.job(running).status == "queued"

        assert desk.jobs.resume() == 2

        assert desk.until(running, ended).status == "completed"
        assert desk.until(queued, ended).status == "completed"


@pytest.mark.slow
def test_two_processes_leave_each_others_jobs_alone(open_desk: Open) -> None:
    with open_desk() as first, open_desk() as second:
        job = first.submit(LONG)
        first.until(job, trades_done)

        assert second.jobs.resume() == 0
        assert second.jobs.cancel(job) is True

        assert first.until(first.submit(QUICK), ended).status == "completed"
        assert first.job(job).status == "cancelled"


@pytest.mark.slow
def test_orderly_stops_do_not_count_as_failed_attempts(open_desk: Open) -> None:
    with open_desk() as desk:
        job = desk.submit(AWHILE)
        desk.until(job, trades_done)
    for _ in range(3):
        with open_desk() as desk:
            desk.jobs.resume()
            desk.until(job, lambda row: row.status == "running")
    with open_desk() as desk:
        desk.jobs.resume()

        assert desk.until(job, ended).status == "completed"


@pytest.mark.slow
def test_a_job_that_takes_its_server_down_again_and_again_is_given_up(open_desk: Open) -> None:
    table = sa.table("backtest_jobs", sa.column("attempts"))
    with open_desk() as desk:
        job = desk.submit(LONG)
        desk.until(job, trades_done)
    with open_desk() as desk:
        desk.store.write_now(lambda c: c.execute(sa.update(table).values(attempts=3)))
        desk.jobs.resume()

        failed = desk.until(job, ended)

    assert failed.status == "failed"
    assert "stopped 3 times" in (failed.message or "")


@pytest.mark.parametrize(
    "last_words",
    [
        pytest.param(signal.SIGKILL, marks=pytest.mark.long, id="killed"),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow, id="stopped"),
    ],
)
def test_a_server_that_ends_in_mid_job_loses_nothing(last_words: int, serve: Serve, tmp_path: Path) -> None:
    with serve(tmp_path / "home") as server:
        done = server.post("/backtest/execute", QUICK)["backtest_id"]
        result = server.until(done, lambda s: s["status"] == "completed")["result_id"]
        verdict = server.get(f"/backtest/results/{result}")["metrics"]
        running = server.post("/backtest/execute", MONTH)["backtest_id"]
        waiting = [server.post("/backtest/execute", QUICK)["backtest_id"] for _ in range(2)]
        server.until(running, lambda s: s["status"] == "running" and s["progress"] > 0.2)
        server.process.send_signal(last_words)
        server.process.wait(20)

    with serve(tmp_path / "home") as server:
        assert server.get(f"/backtest/results/{result}")["metrics"] == verdict
        for job in (running, *waiting):
            assert server.until(job, lambda s: s["status"] not in ("queued", "running"))["status"] == "completed"


@pytest.mark.slow
def test_a_server_that_was_idle_takes_over_the_job_that_it_is_asked_about(serve: Serve, tmp_path: Path) -> None:
    with serve(tmp_path / "home") as idle:
        with serve(tmp_path / "home") as dying:
            job = dying.post("/backtest/execute", AWHILE)["backtest_id"]
            dying.until(job, lambda s: s["status"] == "running")
            dying.process.kill()
            dying.process.wait(20)

        assert idle.until(job, lambda s: s["status"] not in ("queued", "running"))["status"] == "completed"

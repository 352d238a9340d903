"""Backtest jobs: durable rows that threads of this process run in worker processes, and that a later process resumes.

A job belongs to the process that queued it. A process that stops gives its jobs back. A process that dies stops sending
heartbeats, and another process on the same database takes over its jobs.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from api.errors import HeyTradersError, explain
from api.times import Clock, iso8601
from engine.executor.local import alive
from engine.store import backtests as rows
from engine.store.candles import imported_since
from engine.store.database import Store, new_id

from .slots import JobEnd, Slot
from .spec import CandleOrigin, JobSettings, SweepOutcome, work_of

logger = logging.getLogger("heytraders.backtests")

MAX_ATTEMPTS: Final = 3
_BEAT_SECONDS: Final = 1.0
_CANCEL_LOOK_SECONDS: Final = 0.4
_SILENT_SECONDS: Final = 15.0
_ADOPT_LOOK_SECONDS: Final = 5.0
_CANCELLED: Final = "cancelled on request"


Look = Callable[[float, str], None]
"""Called with the share done and the stage."""

Fetch = Callable[[str, Look], None]
"""Brings the candles that a spec reads into the store."""


class Cancelled(Exception):
    """The job was cancelled during the fetch of its candles."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job that a request started, or `found` open. `created_at` is in unix seconds."""

    id: str
    status: str
    created_at: float
    found: bool = False

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the caller has to know: nothing about a new job."""
        if not self.found:
            return ()
        return (
            f"The same job is {self.status} since {iso8601(self.created_at)}: this is that job, and no second one was "
            "started. After it has ended, the same call starts a new one.",
        )


class Jobs:
    """Queues, runs, cancels and resumes backtests. Everything here blocks: call it in a thread.

    `fetch` runs in this process before a worker process gets the job, because workers never use the network. `first` is
    a slot whose process has been started.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        world: CandleOrigin,
        settings: JobSettings,
        fetch: Fetch = lambda _spec, _look: None,
        first: Slot | None = None,
    ) -> None:
        self._fetch = fetch
        self._store = store
        self._clock = clock
        self._world = world
        self._settings = settings
        self.owner: Final = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._first: Final = first
        self._slots: list[Slot] = []
        self._threads: list[threading.Thread] = []
        self._progress: dict[str, tuple[float, str]] = {}
        self._closing = threading.Event()
        self._turn = threading.Condition()
        self._waiting: deque[str] = deque()
        self._idle: set[int] = set()

    def resume(self) -> int:
        """Take over the jobs of ended processes and return their number; call it when the engine opens."""
        taken = self._adopt()
        if taken:
            self._start_threads()
        return taken

    def attend(self) -> None:
        """Watch open jobs from now on, in case the process that owns them dies; call it when a job is requested."""
        self._start_threads()

    def warm(self) -> None:
        """Start the first worker process, so that the first job does not wait for it."""
        self._start_threads()
        if self._slots:
            self._slots[0].warm()

    def submit(self, agent_id: str, spec: str, spend: Callable[[sa.Connection], None], prefix: str = "bt") -> Submitted:
        """Queue a job, or find the open one that does the same work on the same candles, however often a client asks.

        `spend` counts a new job against a quota in the same transaction.
        """
        job_id, work = new_id(prefix), work_of(spec)

        def queue(connection: sa.Connection) -> Submitted:
            for job, text in rows.open_jobs(connection, agent_id):
                if work_of(text) == work and not imported_since(connection, job.created_at):
                    return Submitted(job.id, job.status, job.created_at, found=True)
            spend(connection)
            now = self._clock.now()
            rows.insert_job(connection, job_id=job_id, agent_id=agent_id, spec=spec, now=now, owner=self.owner)
            return Submitted(job_id, "queued", now)

        submitted = self._store.write_now(queue)
        self._start_threads()
        if not submitted.found:
            self._enqueue([job_id])
        return submitted

    def cancel(self, job_id: str) -> bool:
        """Cancel an open job, wherever it runs; false when it had already ended."""
        now = self._clock.now()
        cancelled = self._store.write_now(lambda c: rows.end_job(c, job_id, "cancelled", now, message=_CANCELLED))
        for slot in self._slots:
            slot.stop(job_id, _CANCELLED)
        return cancelled

    def close(self) -> None:
        """Stop at once; queued and running jobs stay open for the next process on this database."""
        self._closing.set()
        with self._turn:
            self._turn.notify_all()
        for slot in self._slots or ([] if self._first is None else [self._first]):
            slot.close()
        for thread in self._threads:
            thread.join()
        if self._threads:
            self._store.write_now(lambda c: rows.release(c, self.owner))

    def _start_threads(self) -> None:
        with self._turn:
            if self._threads or self._closing.is_set():
                return
            started = [] if self._first is None else [self._first]
            more = self._settings.slots - len(started)
            self._slots = [*started, *(Slot(self._settings.limits) for _ in range(more))]
            self._threads = [
                threading.Thread(target=self._serve, args=(number,), daemon=True) for number in range(len(self._slots))
            ]
            self._threads.append(threading.Thread(target=self._watch, daemon=True))
            for thread in self._threads:
                thread.start()

    def _enqueue(self, job_ids: Iterable[str]) -> None:
        with self._turn:
            self._waiting.extend(job_ids)
            self._turn.notify_all()

    def _serve(self, number: int) -> None:
        """The loop of one slot: take the next job, run it, store its outcome."""
        while (job_id := self._next(number)) is not None:
            try:
                self._run(self._slots[number], job_id)
            except Exception:
                # The thread serves this slot for as long as the engine is open: one job must not end it.
                logger.exception("backtest %s could not be stored", job_id)

    def _next(self, number: int) -> str | None:
        """Wait for a job; `None` when closing. The first idle slot takes it, so that few processes stay warm."""
        with self._turn:
            self._idle.add(number)
            self._turn.wait_for(lambda: self._closing.is_set() or (self._waiting and number == min(self._idle)))
            self._idle.discard(number)
            self._turn.notify_all()
            return None if self._closing.is_set() else self._waiting.popleft()

    def _run(self, slot: Slot, job_id: str) -> None:
        now = self._clock.now()
        claimed = self._store.write_now(lambda c: rows.start_job(c, job_id, self.owner, now))
        if claimed is None:
            return
        if claimed.attempts > MAX_ATTEMPTS:
            self._end(claimed, JobEnd("failed", message=f"the server stopped {MAX_ATTEMPTS} times while it ran"))
            return

        def look(done: float, stage: str) -> None:
            self._progress[job_id] = (done, stage)

        try:
            ended = self._collect(claimed, look) or slot.run(self._world, job_id, claimed.spec, look)
        finally:
            self._progress.pop(job_id, None)
        if not self._closing.is_set():
            self._end(claimed, ended)

    def _collect(self, claimed: rows.Claimed, look: Look) -> JobEnd | None:
        """Fetch the job's candles; returns the outcome if the job ended here."""
        seen = time.monotonic()

        def looking(done: float, stage: str) -> None:
            nonlocal seen
            look(done, stage)
            if time.monotonic() - seen > _BEAT_SECONDS:
                seen = time.monotonic()
                if not self._store.read_now(lambda c: rows.still_running(c, claimed.id, self.owner)):
                    raise Cancelled

        try:
            self._fetch(claimed.spec, looking)
        except Cancelled:
            return JobEnd("cancelled", message=_CANCELLED)
        except HeyTradersError as error:
            return JobEnd("failed", message=explain(error))
        return None

    def _end(self, claimed: rows.Claimed, ended: JobEnd) -> None:
        now = self._clock.now()
        outcome = ended.outcome
        if outcome is None:
            self._store.write_now(
                lambda c: rows.end_job(c, claimed.id, ended.status, now, message=ended.message, owner=self.owner)
            )
            return
        if isinstance(outcome, SweepOutcome):
            found = {**outcome.columns(), "agent_id": claimed.agent_id}
            self._store.write_now(lambda c: rows.complete_sweep(c, claimed.id, self.owner, now, found))
            return
        result = {**outcome.columns(), "id": new_id("res"), "agent_id": claimed.agent_id}
        self._store.write_now(lambda c: rows.complete_job(c, claimed.id, self.owner, now, result))

    def _watch(self) -> None:
        """Send heartbeats while there is work, notice cancellations by other processes, adopt lost jobs."""
        beaten = adopted = 0.0
        while not self._closing.wait(_CANCEL_LOOK_SECONDS):
            now = time.monotonic()
            try:
                if self._progress:
                    self._stop_cancelled()
                if now - beaten >= _BEAT_SECONDS:
                    self._beat()
                    beaten = now
                if now - adopted >= _ADOPT_LOOK_SECONDS:
                    self._adopt()
                    adopted = now
            except Exception:
                # A database that is busy or full now may work at the next look; without the watch, jobs would hang.
                logger.exception("watching the backtests failed; it continues")

    def _stop_cancelled(self) -> None:
        for job_id in list(self._progress):
            if not self._store.read_now(lambda c, j=job_id: rows.still_running(c, j, self.owner)):
                for slot in self._slots:
                    slot.stop(job_id, _CANCELLED)

    def _beat(self) -> None:
        progress = dict(self._progress)
        if progress or self._waiting:
            self._store.write_now(lambda c: rows.beat(c, self.owner, progress))

    def _adopt(self) -> int:
        """Queue here the open jobs of ended processes."""
        gone = [owner for owner, seen in self._store.read_now(rows.open_owners) if self._is_gone(owner, seen)]
        if not gone:
            return 0
        ids = self._store.write_now(lambda c: rows.adopt(c, self.owner, gone))
        self._enqueue(ids)
        return len(ids)

    def _is_gone(self, owner: str | None, seen: float) -> bool:
        """Without an owner, silent for too long, or owned by an ended process of this machine."""
        if owner is None:
            return True
        if owner == self.owner:
            return False
        if time.time() - seen > _SILENT_SECONDS:
            return True
        host, pid, _ = owner.rsplit(":", 2)
        return host == socket.gethostname() and not alive(int(pid))

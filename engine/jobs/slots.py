"""One slot runs one job at a time in a separate worker process, which it can kill without affecting other jobs.

The second half of this module runs in that process. The process is spawned, so it imports this module again. It keeps
its feed warm, never touches the server's pipes, and ends with its parent, even if the parent is killed.
"""

from __future__ import annotations

import concurrent.futures
import logging
import threading
import time
import traceback
from collections.abc import Callable, MutableSequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.sharedctypes import RawArray
from typing import TYPE_CHECKING, Any, Final, Literal

from api.errors import HeyTradersError, explain
from engine.executor import takes_tasks
from engine.executor.local import Spawning, one_thread_each, prepare_process

from .spec import PORTFOLIO, SWEEP, CandleOrigin, JobLimits

if TYPE_CHECKING:
    from .spec import ResultColumns, SweepOutcome

logger = logging.getLogger("heytraders.backtests")

STAGES: Final = (
    "starting",
    "loading candles",
    "reading the script",
    "trading",
    "measuring",
    "trying a one-bar delay",
    "running variants",
    "judging the search",
)
"""What a job is doing; a worker reports the index."""

_SMALLER: Final = "use a shorter range, a longer timeframe or fewer tickers"
_LOOK_SECONDS: Final = 0.05
_CLOSE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class JobEnd:
    """The end of a job: an `outcome` if it completed, else a reason."""

    status: Literal["completed", "failed", "cancelled"]
    outcome: ResultColumns | SweepOutcome | None = None
    message: str | None = None


class Worker:
    """A worker process, which starts at once.

    Attributes:
        progress: The fraction done and the index of the stage, which the process writes.
        pool: Runs jobs in the process; see `takes_tasks`.
        ready: Done once the process has loaded what jobs need.
    """

    def __init__(self, memory_mb: int) -> None:
        one_thread_each()
        self.memory_mb: Final = memory_mb
        self.progress: Final = RawArray("d", 2)
        self._spawning: Final = Spawning()
        self.pool: Final = ProcessPoolExecutor(
            max_workers=1, mp_context=self._spawning, initializer=enter, initargs=(self.progress, memory_mb << 20)
        )
        self.ready: Final = self.pool.submit(greet)

    def submit(self, world: CandleOrigin, spec: str) -> Future[ResultColumns | SweepOutcome]:
        """Start a job."""
        self.progress[0] = self.progress[1] = 0.0
        return self.pool.submit(work, world, spec)

    def kill(self) -> None:
        """Kill the process, even while it starts."""
        self._spawning.kill()

    def end(self) -> None:
        """Wait until the process is gone: kill it, unless it is idle and ends by itself in time."""
        if not self.ready.done():
            self.kill()
        late = threading.Timer(_CLOSE_SECONDS, self.kill)
        late.start()
        self.pool.shutdown(wait=True, cancel_futures=True)
        late.cancel()


class Slot:
    """A place for a worker process. Only one thread at a time may call `run`; any thread may call `stop`."""

    def __init__(self, limits: JobLimits) -> None:
        self._limits = limits
        self._worker: Worker | None = None
        self._job: str | None = None
        self._stopped: str | None = None
        self._lock = threading.Lock()

    def warm(self) -> None:
        """Start the worker process, unless it is running, without waiting for it."""
        self._started()

    def run(self, world: CandleOrigin, job_id: str, spec: str, look: Callable[[float, str], None]) -> JobEnd:
        """Run one job to its end. `look` receives the progress and the stage, many times a second."""
        with self._lock:
            self._job, self._stopped = job_id, None
        try:
            return self._follow(world, spec, look)
        except BrokenProcessPool:
            self._discard()
            return self._killed()
        except MemoryError:
            self._discard()
            return JobEnd("failed", message=f"it needed more than {self._limits.memory_mb} MB of memory; {_SMALLER}")
        except HeyTradersError as error:
            return JobEnd("failed", message=explain(error))
        except Exception:
            # A fault in our code fails this job alone; the others go on.
            logger.exception("a backtest crashed")
            return JobEnd("failed", message="the engine failed to run it; the server's log on stderr says why")
        finally:
            with self._lock:
                self._job = None

    def stop(self, job_id: str, why: str) -> None:
        """Cancel the job for the reason `why` by killing its process, if it runs here."""
        with self._lock:
            if self._job == job_id:
                self._stopped = why
                self._kill()

    def close(self) -> None:
        """End the worker process and wait until it is gone."""
        with self._lock:
            self._stopped = "the server closed"
            if self._job is not None:
                self._kill()
        self._discard()

    def _follow(self, world: CandleOrigin, spec: str, look: Callable[[float, str], None]) -> JobEnd:
        deadline = time.monotonic() + self._limits.seconds
        worker = self._started()
        if not takes_tasks(worker.pool):  # it died between two jobs
            self._discard()
            worker = self._started()
        if not self._wait(worker, worker.ready, deadline, look):
            return self._overdue()
        worker.ready.result()
        if self._stopped is not None:
            return self._killed()
        future = worker.submit(world, spec)
        if not self._wait(worker, future, deadline, look):
            return self._overdue()
        return JobEnd("completed", future.result())

    def _started(self) -> Worker:
        with self._lock:
            if self._worker is None:
                self._worker = Worker(self._limits.memory_mb)
            return self._worker

    def _wait(self, worker: Worker, future: Future[Any], deadline: float, look: Callable[[float, str], None]) -> bool:
        """Wait until the future is done; false on timeout."""
        while not concurrent.futures.wait([future], timeout=_LOOK_SECONDS).done:
            if time.monotonic() > deadline:
                return False
            look(min(worker.progress[0], 1.0), STAGES[int(worker.progress[1])])
        return True

    def _overdue(self) -> JobEnd:
        with self._lock:
            self._kill()
        self._discard()
        return JobEnd("failed", message=f"it ran longer than {self._limits.seconds:g} s; {_SMALLER}")

    def _killed(self) -> JobEnd:
        if self._stopped is not None:
            return JobEnd("cancelled", message=self._stopped)
        return JobEnd(
            "failed",
            message=f"its worker process was killed, probably for exceeding its memory limit (the limit is "
            f"{self._limits.memory_mb} MB); run it again, and if that fails too, {_SMALLER}",
        )

    def _kill(self) -> None:
        if self._worker is not None:
            self._worker.kill()

    def _discard(self) -> None:
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()


SharedProgress = MutableSequence[float]
"""Shared with the parent: the fraction done, and the index of the stage."""

_progress: SharedProgress | None = None


def enter(progress: SharedProgress, memory_bytes: int) -> None:
    """Prepare the process and store its progress channel."""
    global _progress  # noqa: PLW0603 - a worker process has one set of surroundings
    prepare_process(memory_bytes)
    _progress = progress


def greet() -> None:
    """Load the modules that jobs need: the engine and the language, including NumPy and TA-Lib."""
    for name in ("engine.jobs.run", "engine.language.running", "engine.research.sweep"):
        import_module(name)


def work(world: CandleOrigin, spec: str) -> ResultColumns | SweepOutcome:
    """Run the backtest, the sweep or the portfolio that `spec` describes.

    Raises:
        HeyTradersError: The backtest cannot be run; the message is for the caller.
        MemoryError: It needs more memory than the limit.
        RuntimeError: An internal error, in words: not every exception can be sent to another process.
    """
    try:
        return _work(world, spec)
    except (HeyTradersError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - not every exception can be pickled
        raise RuntimeError(traceback.format_exc()) from None


def _work(world: CandleOrigin, spec: str) -> ResultColumns | SweepOutcome:
    progress = _progress
    if progress is None:
        raise RuntimeError("the worker was not entered")

    def report(done: float, stage: int) -> None:
        progress[0] = done
        progress[1] = float(stage)

    report(0.0, 0)
    if spec.startswith(SWEEP):
        from engine.research.sweep import run_sweep

        return run_sweep(world, spec, report)
    if spec.startswith(PORTFOLIO):
        from engine.research.portfolio import run_portfolio

        return run_portfolio(world, spec, report)
    from .run import run_backtest

    return run_backtest(world, spec, report)

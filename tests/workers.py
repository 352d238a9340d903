"""The processes of backtest jobs: one that is idle when its engine closes runs the next jobs of its test process.

A process takes nearly a second of computing to start. Tests of the processes themselves use the fixture `own_workers`.
"""

from __future__ import annotations

import os
from concurrent.futures.process import BrokenProcessPool
from typing import Final

from engine.executor import takes_tasks
from engine.jobs import slots

kept = True
"""Whether an idle process is kept, and a kept one used."""

_JOBS: Final = 20
"""After so many engines, a process ends, as it remembers the candles of each."""

_idle: list[slots.Worker] = []
_served: dict[slots.Worker, int] = {}


def keep_idle() -> None:
    """Keep idle processes from now on."""
    start, end = slots.Worker, slots.Worker.end

    def ended(self: slots.Worker) -> None:
        _served[self] = _served.get(self, 0) + 1
        if kept and not _idle and _served[self] < _JOBS and _idles(self):
            _idle.append(self)
        else:
            end(self)

    def started(memory_mb: int) -> slots.Worker:
        while kept and _idle:
            worker = _idle.pop()
            if worker.memory_mb == memory_mb and takes_tasks(worker.pool):
                return worker
            end(worker)
        return start(memory_mb)

    slots.Worker = started  # pyright: ignore[reportAttributeAccessIssue] - only called
    start.end = ended


def _idles(worker: slots.Worker) -> bool:
    """Whether the process lives and answers at once. A killed one takes calls until its end is noticed."""
    executor = worker.pool
    try:
        return worker.ready.done() and executor.submit(os.getpid).result(timeout=1) > 0
    except (BrokenProcessPool, TimeoutError):
        return False


def end_all() -> None:
    """End the kept processes."""
    global kept  # noqa: PLW0603 - the tests of this process are over
    kept = False
    while _idle:
        _idle.pop().end()

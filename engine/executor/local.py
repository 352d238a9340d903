"""The processes of this machine: spawned workers that read shared memory, replaced when they die.

Spawned processes import all modules again, so they behave the same on each platform. They never touch the pipes of the
server, and they end with their parent. A killed parent leaves its shared memory behind. The next parent that starts
removes it: the name of a segment contains the id of the process that made it.
"""

from __future__ import annotations

import multiprocessing
import os
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any, Final

import numpy as np

from . import MAX_ATTEMPTS, Array, P, Task, V, WorkerLost

_PREFIX: Final = "heytraders"
_SEGMENTS: Final = Path("/dev/shm")  # noqa: S108 - where Linux lists them; elsewhere they cannot be listed
_ONE_THREAD: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_AHEAD: Final = 2
"""Tasks handed out for each worker, so that none waits for the next one."""

Shape = tuple[str, tuple[int, ...], str]
"""Where a shared array is: the name of its segment, its shape and its type."""

_attached: dict[str, tuple[SharedMemory, Array]] = {}


class Spawning(SpawnContext):
    """Spawns processes and tracks them, so that they can be killed even while they start."""

    def __init__(self) -> None:
        super().__init__()
        self.spawned: list[SpawnProcess] = []

    def Process(  # noqa: N802 # pyright: ignore[reportIncompatibleVariableOverride] - executors only call it
        self, *args: Any, **kwargs: Any
    ) -> SpawnProcess:
        """Make a process."""
        process = SpawnProcess(*args, **kwargs)
        self.spawned.append(process)
        return process

    def kill(self) -> None:
        """Kill every started process."""
        for process in self.spawned:
            if process.pid is not None:
                process.kill()


class LocalExecutor:
    """A pool of spawned processes with arrays in shared memory."""

    def __init__(self, workers: int, memory_mb: int) -> None:
        self.workers: Final = workers
        self._memory = memory_mb << 20
        self._segments: dict[str, SharedMemory] = {}
        self._shapes: dict[str, Shape] = {}
        self._pool: ProcessPoolExecutor | None = None
        self._spawning = Spawning()
        self._closed = False
        self._lock = threading.Lock()
        remove_abandoned()

    def share(self, name: str, array: Array) -> None:
        """Copy an array into shared memory; every later task gets it under this name, read-only."""
        array = np.ascontiguousarray(array)
        label = f"{_PREFIX}-{os.getpid()}-{secrets.token_hex(4)}"
        segment = SharedMemory(label, create=True, size=max(1, array.nbytes))
        np.ndarray(array.shape, array.dtype, segment.buf)[...] = array
        self._drop(name)
        self._segments[name] = segment
        self._shapes[name] = (label, array.shape, array.dtype.str)

    def map(self, task: Task[P, V], parameters: Sequence[P]) -> Iterator[tuple[int, V]]:
        """Run the task once for each parameter, in any order; a task whose worker died is rerun.

        Raises:
            WorkerLost: One task killed its worker repeatedly, or the executor was closed.
        """
        waiting = list(range(len(parameters)))[::-1]
        attempts = [0] * len(parameters)
        running: dict[Future[V], int] = {}
        try:
            while waiting or running:
                self._hand_out(task, parameters, waiting, running, attempts)
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                lost: list[int] = []
                for future in done:
                    index = running.pop(future)
                    try:
                        value = future.result()
                    except BrokenProcessPool:
                        lost.append(index)
                    else:
                        yield index, value
                if lost:
                    self._replace([*lost, *running.values()], attempts, waiting)
                    running.clear()
        finally:
            if running:
                self._discard()

    def close(self) -> None:
        """Kill the workers and free the shared memory."""
        with self._lock:
            self._closed = True
        self._discard()
        for name in list(self._segments):
            self._drop(name)

    def _hand_out(
        self,
        task: Task[P, V],
        parameters: Sequence[P],
        waiting: list[int],
        running: dict[Future[V], int],
        attempts: list[int],
    ) -> None:
        """Keep every worker busy. A lost task runs alone, to identify the task that kills workers."""
        while waiting and len(running) < (1 if attempts[waiting[-1]] else _AHEAD * self.workers):
            try:
                future = self._ready().submit(_run, task, self._shapes, parameters[waiting[-1]])
            except BrokenProcessPool:
                if running:
                    return
                self._discard()
                continue  # it died between two tasks
            running[future] = waiting.pop()

    def _replace(self, lost: Sequence[int], attempts: list[int], waiting: list[int]) -> None:
        """Queue lost tasks again, on new processes."""
        self._discard()
        for index in lost:
            attempts[index] += 1
            if attempts[index] >= MAX_ATTEMPTS or self._closed:
                raise WorkerLost("its worker processes were killed again and again, perhaps for lack of memory")
        waiting.extend(sorted(lost, reverse=True))

    def _ready(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._closed:
                raise WorkerLost("the executor was closed")
            if self._pool is None:
                one_thread_each()
                self._spawning = Spawning()
                self._pool = ProcessPoolExecutor(
                    self.workers, self._spawning, initializer=prepare_process, initargs=(self._memory,)
                )
            return self._pool

    def _discard(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
            self._spawning.kill()
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def _drop(self, name: str) -> None:
        segment = self._segments.pop(name, None)
        if segment is not None:
            segment.close()
            with suppress(FileNotFoundError):
                segment.unlink()


def remove_abandoned() -> int:
    """Remove the shared memory of ended processes, and return the number of segments."""
    if not _SEGMENTS.is_dir():
        return 0
    removed = 0
    for path in _SEGMENTS.glob(f"{_PREFIX}-*-*"):
        owner = path.name.split("-")[1]
        if owner.isdigit() and not alive(int(owner)):
            with suppress(OSError):
                path.unlink()
                removed += 1
    return removed


def alive(pid: int) -> bool:
    """Whether a process of this machine runs; if that cannot be checked safely, it counts as running."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def one_thread_each() -> None:
    """Make child processes use one thread for linear algebra, because there is one worker per core."""
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")


def prepare_process(memory_bytes: int) -> None:
    """Prepare a worker process: quiet pipes, a memory limit, and an end with the parent."""
    _leave_pipes_alone()
    _limit_memory(memory_bytes)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _run(task: Task[P, V], shapes: Mapping[str, Shape], parameter: P) -> V:
    return task({name: _array(shape) for name, shape in shapes.items()}, parameter)


def _array(where: Shape) -> Array:
    """A shared array, attached once for each process."""
    label, shape, kind = where
    if label not in _attached:
        segment = SharedMemory(label)
        array: Array = np.ndarray(shape, np.dtype(kind), segment.buf)
        array.flags.writeable = False
        _attached[label] = segment, array
    return _attached[label][1]


def _leave_pipes_alone() -> None:
    """Detach the inherited standard input and output: the parent may use them for MCP."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - the descriptor lives as long as we


def _limit_memory(limit: int) -> None:
    """Limit the address space where the platform supports it."""
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, hard))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

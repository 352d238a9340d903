"""The processes of this machine: spawned workers that read shared memory, replaced when they die.

A process takes about a second to start and import. So an executor can leave its workers to the next one, and the
caller's process can work through the tasks while they start.

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
from importlib import import_module
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.shared_memory import SharedMemory
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, Final

import numpy as np

from . import MAX_ATTEMPTS, Array, P, Task, V, WorkerLost, takes_tasks

_PREFIX: Final = "heytraders"
_SEGMENTS: Final = Path("/dev/shm")  # noqa: S108 - where Linux lists them; elsewhere they cannot be listed
_ONE_THREAD: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_AHEAD: Final = 2
"""Tasks handed out for each worker, so that none waits for the next one."""

IDLE_SECONDS: Final = 60.0
"""How long workers without work wait for the next executor."""

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


class Workers:
    """Spawned processes that start at once and import a module."""

    def __init__(self, count: int, memory: int, module: str) -> None:
        one_thread_each()
        self.size: Final = count, memory
        self._spawning = Spawning()
        self.pool: Final = ProcessPoolExecutor(
            count, self._spawning, initializer=prepare_process, initargs=(memory, module)
        )
        self._greeting = self.pool.submit(os.getpid)

    @property
    def started(self) -> bool:
        """Whether one of them is ready."""
        return self._greeting.done()

    def end(self) -> None:
        """Kill them and wait until they are gone."""
        self._spawning.kill()
        self.pool.shutdown(wait=True, cancel_futures=True)


class _IdleWorkers:
    """The idle workers of this process, for the next executor. They end after `IDLE_SECONDS`."""

    def __init__(self) -> None:
        self._workers: Workers | None = None
        self._lock = threading.Lock()

    def take(self, count: int, memory: int) -> Workers | None:
        """The idle workers, if they fit and live."""
        with self._lock:
            workers, self._workers = self._workers, None
        if workers is None or (workers.size == (count, memory) and takes_tasks(workers.pool)):
            return workers
        workers.end()
        return None

    def give(self, workers: Workers) -> None:
        """Keep these workers, and end those kept before."""
        with self._lock:
            before, self._workers = self._workers, workers
        if before is not None:
            before.end()
        timer = threading.Timer(IDLE_SECONDS, self._end, (workers,))
        timer.daemon = True
        timer.start()

    def end(self) -> None:
        """End the kept workers."""
        with self._lock:
            workers, self._workers = self._workers, None
        if workers is not None:
            workers.end()

    def _end(self, workers: Workers) -> None:
        with self._lock:
            if self._workers is not workers:
                return
            self._workers = None
        workers.end()


_kept = _IdleWorkers()
Finalize(None, _kept.end, exitpriority=100)  # a spawned process waits for its own children when it ends


class LocalExecutor:
    """A pool of spawned processes with arrays in shared memory.

    Attributes:
        keeps: Use idle workers of an earlier executor, and leave them to the next one.
        helps: Run tasks in the caller's process while the workers start. Only for tasks that cannot kill it.
    """

    def __init__(self, workers: int, memory_mb: int, *, keeps: bool = False, helps: bool = False) -> None:
        self.workers: Final = workers
        self.keeps: Final = keeps
        self.helps: Final = helps
        self._memory = memory_mb << 20
        self._own: dict[str, Array] = {}
        self._segments: dict[str, SharedMemory] = {}
        self._shapes: dict[str, Shape] = {}
        self._processes: Workers | None = None
        self._busy = self._closed = False
        self._lock = threading.Lock()
        remove_abandoned()

    def share(self, name: str, array: Array) -> None:
        """Copy an array into shared memory; every later task gets it under this name, read-only."""
        array = np.ascontiguousarray(array)
        label = f"{_PREFIX}-{os.getpid()}-{secrets.token_hex(4)}"
        segment = SharedMemory(label, create=True, size=max(1, array.nbytes))
        np.ndarray(array.shape, array.dtype, segment.buf)[...] = array
        self._drop(name)
        self._own[name] = array
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
        self._busy = True
        try:
            while waiting or running:
                if self.helps and waiting and not running and not self._ready(task.__module__).started:
                    index = waiting.pop()
                    yield index, task(self._own, parameters[index])
                    continue
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
            self._busy = False
            if running:
                self._discard()

    def close(self) -> None:
        """Free the shared memory. Kill the workers, or keep them if they are idle and the executor keeps them."""
        with self._lock:
            self._closed = True
            idle = None
            if self.keeps and not self._busy:
                idle, self._processes = self._processes, None
        if idle is not None:
            _kept.give(idle)
        self._discard()
        self._own.clear()
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
                future = self._ready(task.__module__).pool.submit(_run, task, self._shapes, parameters[waiting[-1]])
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
                raise WorkerLost("its worker processes were killed repeatedly, perhaps for lack of memory")
        waiting.extend(sorted(lost, reverse=True))

    def _ready(self, module: str) -> Workers:
        with self._lock:
            if self._closed:
                raise WorkerLost("the executor was closed")
            if self._processes is None and self.keeps:
                self._processes = _kept.take(self.workers, self._memory)
            if self._processes is None:
                self._processes = Workers(self.workers, self._memory, module)
            return self._processes

    def _discard(self) -> None:
        with self._lock:
            processes, self._processes = self._processes, None
        if processes is not None:
            processes.end()

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


def prepare_process(memory_bytes: int, module: str = "") -> None:
    """Prepare a worker process: quiet pipes, a memory limit, an end with the parent, and the import of a module."""
    _leave_pipes_alone()
    _limit_memory(memory_bytes)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if module:
        import_module(module)


def _run(task: Task[P, V], shapes: Mapping[str, Shape], parameter: P) -> V:
    _detach({label for label, _, _ in shapes.values()})
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


def _detach(used: set[str]) -> None:
    """Release the arrays of earlier executors; those that something still refers to are released at a later task."""
    for label in [each for each in _attached if each not in used]:
        segment = _attached.pop(label)[0]
        try:
            segment.close()
        except BufferError:
            array: Array = np.empty(0)
            _attached[label] = segment, array


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

"""Runs heavy work: the same pure tasks on processes of this machine or on a cluster.

A task is a module-level function of the shared arrays and one parameter. It reads nothing else, so a task whose worker
died runs again, and every executor gives the same bits. A task that needs random numbers takes its seed from `seed_of`.
One task should take 50 ms or more: put several small jobs into one parameter.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextvars import ContextVar
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from api.errors import UserMustAct

Array = NDArray[Any]
P = TypeVar("P")
V = TypeVar("V")
Task = Callable[[Mapping[str, Array], P], V]

SETTING: Final = "HEYTRADERS_EXECUTOR"
MAX_ATTEMPTS: Final = 3
"""How often a task whose worker died is tried before the work fails."""


MEMORY_MB: Final = 2_048
"""What one process of the local pool may use, where the platform can bound it."""
INLINE_WORK: Final = 1_500_000
"""Bars times variants below which starting processes would take longer than the work."""

_listener: ContextVar[Callable[[float], None] | None] = ContextVar("listener", default=None)


def tell(done: float) -> None:
    """Report the completed share of the running task; it arrives only if the task runs in the caller's process."""
    listener = _listener.get()
    if listener is not None:
        listener(done)


class WorkerLost(Exception):
    """A task killed its worker `MAX_ATTEMPTS` times, or the cluster has no worker left."""


class Executor(Protocol):
    """Runs tasks in other processes. Only one thread at a time may use it; any thread may call `close`."""

    @property
    def workers(self) -> int:
        """The number of processes that run tasks in parallel."""
        ...

    def share(self, name: str, array: Array) -> None:
        """Give every later task an array under a name; it is copied once, not per task."""
        ...

    def map(self, task: Task[P, V], parameters: Sequence[P]) -> Iterator[tuple[int, V]]:
        """Run the task once for each parameter and yield index and value of each as it completes.

        Leaving the loop early, or `close`, ends all running tasks.

        Raises:
            WorkerLost: A task cannot be completed.
        """
        ...

    def close(self) -> None:
        """End every worker and free the shared arrays."""
        ...


class Inline:
    """Runs tasks in this process, for work too small to be worth starting processes."""

    def __init__(self, look: Callable[[float], None] | None = None) -> None:
        self.workers: Final = 1
        self._shared: dict[str, Array] = {}
        self._look = look

    def share(self, name: str, array: Array) -> None:
        """Give every later task an array."""
        self._shared[name] = array

    def map(self, task: Task[P, V], parameters: Sequence[P]) -> Iterator[tuple[int, V]]:
        """Run the tasks in order; `look` receives the progress of each."""
        for index, parameter in enumerate(parameters):
            token = _listener.set(self._look)
            try:
                value = task(self._shared, parameter)
            finally:
                _listener.reset(token)
            yield index, value

    def close(self) -> None:
        """Free the shared arrays."""
        self._shared.clear()


def takes_tasks(pool: ProcessPoolExecutor) -> bool:
    """Whether the processes of a pool take tasks: a pool that lost one never does again."""
    try:
        pool.submit(os.getpid)
    except BrokenProcessPool:
        return False
    return True


def open_executor(workers: int, memory_mb: int, setting: str = "", *, helps: bool = False) -> Executor:
    """The executor that the setting names: processes of this machine, or `dask://host:port`.

    Args:
        workers: Processes of the local pool. A cluster uses all its workers.
        memory_mb: Memory limit of one process of the local pool, where the platform supports it.
        setting: The value of `HEYTRADERS_EXECUTOR`; empty for the local pool, whose idle workers serve the next one.
        helps: Run tasks in this process too while the local pool starts.

    Raises:
        UserMustAct: The setting is invalid, the extra is missing, or the cluster does not answer.
    """
    if not setting:
        from .local import LocalExecutor

        return LocalExecutor(workers, memory_mb, keeps=True, helps=helps)
    if not setting.startswith("dask://"):
        raise UserMustAct(
            f"{SETTING}={setting[:100]!r} is not an executor",
            suggestion="Write dask://HOST:PORT of a Dask scheduler, or unset it to use this machine's cores",
        )
    from .cluster import ClusterExecutor

    return ClusterExecutor(setting.removeprefix("dask://"))


def executor_for(
    work: int, setting: str, look: Callable[[float], None] | None = None, *, helps: bool = False
) -> Executor:
    """The executor for work of this size: a cluster if one is set, else this process, or a pool for large work.

    Args:
        work: Bars times variants, or an equivalent.
        setting: The value of `HEYTRADERS_EXECUTOR`.
        look: Receives the progress of a task that runs in this process.
        helps: Run tasks in this process too while a pool starts; for tasks of a second at most.

    Raises:
        UserMustAct: See `open_executor`.
    """
    if work < INLINE_WORK and not setting:
        return Inline(look)
    return open_executor(pool_size(), MEMORY_MB, setting, helps=helps)


def pool_size() -> int:
    """Processes of the local pool: one for each core, at most 8."""
    return max(1, min(8, os.cpu_count() or 1))


def seed_of(work: str, index: int) -> np.random.SeedSequence:
    """The seed of one task: a function of the work's name and the task's index, whichever process runs it."""
    digest = hashlib.sha256(f"{work}:{index}".encode()).digest()
    return np.random.SeedSequence(int.from_bytes(digest[:16], "big"))

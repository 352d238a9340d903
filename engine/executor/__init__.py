"""Where heavy work runs: the same pure tasks on the processes of this machine, or on a cluster.

A task is a function of a module, given the arrays that were shared and one parameter. It reads nothing else, so a task
whose worker died simply runs again, and every executor gives the same bits. A task that needs chance takes its seed
from `seed_of`. One task should take 50 ms or more: put several small jobs into one parameter.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    """Say what share of the running task is done; heard where it runs in the process that asked for it."""
    listener = _listener.get()
    if listener is not None:
        listener(done)


class WorkerLost(Exception):
    """A task killed its worker `MAX_ATTEMPTS` times, or the cluster has no worker left."""


class Executor(Protocol):
    """Runs tasks in other processes. One thread at a time uses it; `close` may be called by any."""

    @property
    def workers(self) -> int:
        """Processes that run tasks at the same time."""
        ...

    def share(self, name: str, array: Array) -> None:
        """Give every later task an array, under a name; it is copied once, not once a task."""
        ...

    def map(self, task: Task[P, V], parameters: Sequence[P]) -> Iterator[tuple[int, V]]:
        """Run the task once for each parameter and yield the index and the value of each as it is ready.

        Leaving the loop early, or `close`, ends what still runs.

        Raises:
            WorkerLost: A task cannot be run to its end.
        """
        ...

    def close(self) -> None:
        """End every worker and free what was shared."""
        ...


class Inline:
    """Runs tasks in this process: for work so small that starting processes would cost more than it saves."""

    def __init__(self, look: Callable[[float], None] | None = None) -> None:
        self.workers: Final = 1
        self._shared: dict[str, Array] = {}
        self._look = look

    def share(self, name: str, array: Array) -> None:
        """Give every later task an array."""
        self._shared[name] = array

    def map(self, task: Task[P, V], parameters: Sequence[P]) -> Iterator[tuple[int, V]]:
        """Run the tasks in order; `look` hears how far each is."""
        for index, parameter in enumerate(parameters):
            token = _listener.set(self._look)
            try:
                value = task(self._shared, parameter)
            finally:
                _listener.reset(token)
            yield index, value

    def close(self) -> None:
        """Free what was shared."""
        self._shared.clear()


def open_executor(workers: int, memory_mb: int, setting: str = "") -> Executor:
    """The executor that the setting names: processes of this machine, or `dask://host:port`.

    Args:
        workers: Processes of the local pool. A cluster has as many as it has.
        memory_mb: What one process of the local pool may use, where the platform can bound it.
        setting: As `HEYTRADERS_EXECUTOR` has it; empty for the local pool.

    Raises:
        UserMustAct: The setting cannot be read, the extra is missing, or the cluster does not answer.
    """
    if not setting:
        from .local import LocalExecutor

        return LocalExecutor(workers, memory_mb)
    if not setting.startswith("dask://"):
        raise UserMustAct(
            f"{SETTING}={setting[:100]!r} is not an executor",
            suggestion="Write dask://HOST:PORT of a Dask scheduler, or unset it to use this machine's cores",
        )
    from .cluster import ClusterExecutor

    return ClusterExecutor(setting.removeprefix("dask://"))


def executor_for(work: int, setting: str, look: Callable[[float], None] | None = None) -> Executor:
    """Where work of this size runs: on a cluster if one is set, else in this process, or in a pool if it is large.

    Args:
        work: Bars times variants, or as much.
        setting: As `HEYTRADERS_EXECUTOR` has it.
        look: Hears how far a task is that runs in this process.

    Raises:
        UserMustAct: See `open_executor`.
    """
    if work < INLINE_WORK and not setting:
        return Inline(look)
    return open_executor(pool_size(), MEMORY_MB, setting)


def pool_size() -> int:
    """Processes of the local pool: one for each core, at most 8."""
    return max(1, min(8, os.cpu_count() or 1))


def seed_of(work: str, index: int) -> np.random.SeedSequence:
    """The seed of one task: a function of the work's name and the task's index, whoever runs it."""
    digest = hashlib.sha256(f"{work}:{index}".encode()).digest()
    return np.random.SeedSequence(int.from_bytes(digest[:16], "big"))

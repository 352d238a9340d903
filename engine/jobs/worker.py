"""The inside of a worker process: it takes one job at a time, keeps its feed warm and never touches the server's pipes.

A worker is spawned, so it imports this module afresh. It ends with its parent, also when the parent is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import MutableSequence
from importlib import import_module
from typing import TYPE_CHECKING, Final

from .world import World

if TYPE_CHECKING:
    from .outcome import Outcome

STAGES: Final = ("starting", "loading candles", "reading the script", "trading", "measuring", "trying a one-bar delay")
"""What a job is doing; a worker reports the index."""

Progress = MutableSequence[float]
"""Shared with the parent: the fraction done, and the index of the stage."""

_ONE_THREAD: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

_progress: Progress | None = None


def enter(progress: Progress, memory_bytes: int) -> None:
    """Prepare the process: quiet pipes, one thread for linear algebra, a memory limit, and an end with the parent."""
    global _progress  # noqa: PLW0603 - a worker process has one set of surroundings
    _leave_pipes_alone()
    _limit_memory(memory_bytes)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _progress = progress


def greet() -> None:
    """Load what every job needs: the engine's side, the language's, and with it NumPy and TA-Lib."""
    for name in ("engine.jobs.run", "engine.language.running"):
        import_module(name)


def work(world: World, spec: str) -> Outcome:
    """Run the backtest that `spec` describes.

    Raises:
        HeyTradersError: The backtest cannot be run; the message is for whoever asked for it.
        MemoryError: It needs more than the limit.
    """
    from .run import run_backtest

    progress = _progress
    if progress is None:
        raise RuntimeError("the worker was not entered")

    def report(done: float, stage: int) -> None:
        progress[0] = done
        progress[1] = float(stage)

    report(0.0, 0)
    return run_backtest(world, spec, report)


def one_thread_each() -> None:
    """Make child processes use one thread for linear algebra: there are as many workers as cores."""
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")


def _leave_pipes_alone() -> None:
    """The parent may speak MCP over its standard input and output; both are inherited, so let go of them."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - the descriptor lives as long as we


def _limit_memory(limit: int) -> None:
    """Bound the address space where the platform can."""
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

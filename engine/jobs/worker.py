"""The inside of a worker process: it takes one job at a time, keeps its feed warm and never touches the server's pipes.

A worker is spawned, so it imports this module afresh. It ends with its parent, also when the parent is killed.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from importlib import import_module
from typing import TYPE_CHECKING, Final

from engine.executor.local import prepare_process

from .settings import SWEEP, World

if TYPE_CHECKING:
    from .spec import Outcome, SweepOutcome

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

Progress = MutableSequence[float]
"""Shared with the parent: the fraction done, and the index of the stage."""

_progress: Progress | None = None


def enter(progress: Progress, memory_bytes: int) -> None:
    """Prepare the process, and remember where it reports its progress."""
    global _progress  # noqa: PLW0603 - a worker process has one set of surroundings
    prepare_process(memory_bytes)
    _progress = progress


def greet() -> None:
    """Load what every job needs: the engine's side, the language's, and with it NumPy and TA-Lib."""
    for name in ("engine.jobs.run", "engine.language.running"):
        import_module(name)


def work(world: World, spec: str) -> Outcome | SweepOutcome:
    """Run the backtest or the sweep that `spec` describes.

    Raises:
        HeyTradersError: The backtest cannot be run; the message is for whoever asked for it.
        MemoryError: It needs more than the limit.
    """
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
    from .run import run_backtest

    return run_backtest(world, spec, report)

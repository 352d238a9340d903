"""Tasks for the executors' tests. They are functions of a module because workers import them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine.executor import Array, seed_of


def drawn(shared: Mapping[str, Array], index: int) -> tuple[float, bytes]:
    """A sum over shared numbers and random ones; the same wherever it runs."""
    chance = np.random.default_rng(seed_of("test", index)).normal(size=100)
    return float((shared["prices"][index:] * 1.5).sum()), chance.tobytes()


def slow_then_drawn(shared: Mapping[str, Array], index: int) -> tuple[float, bytes]:
    """The same after 20 ms, so that a worker can die during the task."""
    time.sleep(0.02)
    return drawn(shared, index)


def dies_once(shared: Mapping[str, Array], given: tuple[int, str]) -> tuple[float, bytes]:
    """Kills its own process the first time index 7 runs."""
    index, mark = given
    if index == 7 and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return slow_then_drawn(shared, index)


def always_dies(_shared: Mapping[str, Array], _index: int) -> None:
    """Kills its own process each time."""
    os.kill(os.getpid(), signal.SIGKILL)


def refuses(_shared: Mapping[str, Array], index: int) -> int:
    """Raises an error of the task itself."""
    raise ValueError(f"index {index} is refused")


def sleeps(_shared: Mapping[str, Array], seconds: float) -> float:
    """Takes a while."""
    time.sleep(seconds)
    return seconds


def own_process(_shared: Mapping[str, Array], _index: int) -> int:
    """The id of the process that runs it."""
    return os.getpid()


def alters(shared: Mapping[str, Array], _index: int) -> bool:
    """Tries to write into what is shared."""
    try:
        shared["prices"][0] = 0.0
    except ValueError:
        return False
    return True

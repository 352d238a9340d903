"""Death at a random point of the program: before or after the n-th call into or out of the safety layer.

A kill from outside mostly hits a process that waits. This one hits between any two steps of the code under test,
including its threads, and uses the same SIGKILL.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import threading
from types import FrameType
from typing import Any, Final

from .safety_harness import ROOT

WATCHED: Final = (str(ROOT / "safety") + os.sep, str(ROOT / "api" / "transport.py"))


def perhaps_die_by_own_hand(chance: random.Random, share: float, most: int) -> None:
    """In a `share` of the runs, die at one of the next `most` steps, early steps more often than late ones."""
    if chance.random() < share:
        _die_at(int(most ** chance.random()))


def _die_at(step: int) -> None:
    steps = itertools.count(1)

    def watch(frame: FrameType, _event: str, _argument: Any) -> None:
        if frame.f_code.co_filename.startswith(WATCHED) and next(steps) >= step:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(watch)
    sys.setprofile(watch)

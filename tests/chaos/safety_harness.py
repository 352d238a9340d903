"""Runs an exchange, starts workers against it and kills them. It forks, so it needs a process without other threads."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from .safety_faults import Faults
from .safety_slots import Slot, Slots
from .safety_truth import SERVICE_PREFIX, Truth

ROOT: Final = Path(__file__).parents[2]
MAX_FAILED: Final = 20
DIES_EARLY: Final = 0.15
MOST_WISHES: Final = 8
LONGEST_DELAY: Final = 0.15

Life = Callable[[Slot, random.Random], None]
"""The work of a worker until it is killed. It gets its own random generator."""


@dataclass(frozen=True)
class Running:
    """An exchange in a separate process.

    Attributes:
        url: Base URL for clients.
    """

    url: str

    def truth(self) -> Truth:
        """The true state so far."""
        return Truth.read(json.loads(self._get("/_truth")))

    def calm(self) -> None:
        """No more faults."""
        self._get("/_calm")

    def _get(self, path: str) -> bytes:
        deadline = time.monotonic() + 10
        while True:
            try:
                with urllib.request.urlopen(self.url.removesuffix(SERVICE_PREFIX) + path, timeout=10) as answer:  # noqa: S310
                    return answer.read()
            except OSError:  # an outage
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


@contextmanager
def exchange(faults: Faults, seed: int, watched_home: Path | None = None) -> Generator[Running]:
    """An exchange for the duration of the block. It reads the ledger of `watched_home` at each order."""
    watched = [] if watched_home is None else [str(watched_home)]
    command = [sys.executable, "-m", "tests.chaos.safety_exchange", json.dumps(asdict(faults)), str(seed), *watched]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Running(f"http://127.0.0.1:{int(process.stdout.readline())}{SERVICE_PREFIX}")
        finally:
            process.stdin.close()
            process.wait(10)


@dataclass
class Killed:
    """Counts of killed and failed processes.

    Attributes:
        kills: Processes that died of SIGKILL, sent by us or by themselves.
        own_hand: Those that killed themselves at a random point of their program.
        failed: Processes that ended in any other way; must be 0.
    """

    kills: int = 0
    own_hand: int = 0
    failed: int = 0


@dataclass
class Worker:
    """A forked process that works on a slot until it is killed.

    How long depends on its progress, so that a slow machine tests as much as a fast one.

    Attributes:
        began_at: The slot's wish when the process began.
        wishes: The process dies after this many, `delay` seconds later.
        dies_at: On the monotonic clock, once that is known.
    """

    pid: int
    slot: Slot
    began_at: int
    wishes: int
    delay: float
    dies_at: float | None = None

    @classmethod
    def born(cls, life: Life, slot: Slot, chance: random.Random) -> Worker:
        """Fork one. Some die during their start."""
        seed, began_at = chance.getrandbits(32), slot.number
        wishes, delay = chance.randrange(MOST_WISHES), LONGEST_DELAY * chance.random()
        early = time.monotonic() + delay if chance.random() < DIES_EARLY else None
        return cls(forked(lambda: life(slot, random.Random(seed))), slot, began_at, wishes, delay, early)

    def is_due(self) -> bool:
        """Whether its time has come."""
        done = self.slot.wishes_done(self.pid, self.began_at)
        if self.dies_at is None and done is not None and done >= self.wishes:
            self.dies_at = time.monotonic() + self.delay
        return self.dies_at is not None and time.monotonic() >= self.dies_at

    def kill(self) -> bool:
        """Kill it, and return whether the kill is what ended it."""
        os.kill(self.pid, signal.SIGKILL)
        return os.waitpid(self.pid, 0)[1] == signal.SIGKILL

    def ended(self) -> int | None:
        """How it ended by itself, as `waitpid` reports; `None` while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return status if pid else None


def forked(work: Callable[[], None]) -> int:
    """Run `work` in a separate process, which ends with 0, or with 1 and a traceback."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - nothing of the parent may go on in the child
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def kill_at_random(life: Life, slots: Slots, kills: int, seed: int) -> Killed:
    """Keep a worker alive on each slot and kill them at random until `kills` are dead; then end the rest."""
    chance = random.Random(seed)
    killed = Killed()
    workers = [Worker.born(life, Slot(slots, index), chance) for index in range(slots.count)]
    while killed.kills < kills and killed.failed < MAX_FAILED:
        time.sleep(0.002)
        for index, worker in enumerate(workers):
            if not _died(worker, killed):
                continue
            workers[index] = Worker.born(life, worker.slot, chance)
    for worker in workers:
        worker.kill()
    return killed


def _died(worker: Worker, killed: Killed) -> bool:
    """Kill the worker if its time has come, and count how it ended, if it has."""
    status = worker.ended()
    if status is None and not worker.is_due():
        return False
    if status is None:
        killed.kills += worker.kill()
    elif status == signal.SIGKILL:
        killed.kills += 1
        killed.own_hand += 1
    else:
        killed.failed += 1
    return True

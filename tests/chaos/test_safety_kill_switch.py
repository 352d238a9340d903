"""One process pulls the kill switch while three others trade."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile

import anyio
import pytest

from safety.ledger import Ledger

from .safety_faults import Faults, honest
from .safety_gated import agent
from .safety_harness import ROOT, Running, exchange
from .safety_truth import Truth
from .safety_wishes import wish

SEED = 11
PROCESSES = 3
MANY = 100_000
UNDER_LOAD = 25
AT_ONCE_SECONDS = 2.0
"""How long an order that was claimed before the switch may take to arrive on a busy machine."""


@contextmanager
def trading(running: Running, home: Path) -> Generator[Callable[[], list[int]]]:
    """Processes that place order after order for the duration of the block. Yields how many turns each has finished."""
    command = [sys.executable, "-m", "tests.chaos.safety_sender", running.url, str(home), str(MANY)]
    with ExitStack() as files:
        turns = [files.enter_context(TemporaryFile()) for _ in range(PROCESSES)]
        senders = [
            subprocess.Popen([*command, str(n * MANY), "watched"], cwd=ROOT, stdout=turn)
            for n, turn in enumerate(turns)
        ]
        try:
            yield lambda: [os.fstat(turn.fileno()).st_size for turn in turns]
            assert [sender.poll() for sender in senders] == [None] * PROCESSES
        finally:
            for sender in senders:
                sender.kill()
                sender.wait()


def until(running: Running, reached: Callable[[Truth], bool], seconds: float = 60.0) -> Truth:
    """The truth once it meets the condition."""
    deadline = time.monotonic() + seconds
    while not reached(truth := running.truth()):
        assert time.monotonic() < deadline, truth
        time.sleep(0.05)  # other processes work; there is nothing in this one to wait for
    return truth


def by_ledger(home: Path) -> None:
    """As the tools and the command line do it."""
    ledger = Ledger.open(home)
    ledger.halt("a test", "another process")
    ledger.close()


def by_file(home: Path) -> None:
    """As a person with nothing but a shell does it."""
    (home / "HALT").touch()


def ours_open(truth: Truth) -> list[str]:
    """Our resting orders."""
    return [booked.order_id for booked in truth.booked if booked.label and booked.status == "OPEN"]


@pytest.mark.parametrize(
    ("pull", "faults"),
    [
        pytest.param(by_ledger, honest(think=0.02), marks=pytest.mark.slow),
        pytest.param(by_file, Faults(strangers=0.0), marks=pytest.mark.long),
    ],
    ids=["ledger", "file"],
)
def test_nothing_is_sent_once_the_switch_is_pulled_and_what_rests_is_cancelled(
    tmp_path: Path, pull: Callable[[Path], None], faults: Faults
) -> None:
    with exchange(faults, SEED) as running, trading(running, tmp_path) as turns:
        until(running, lambda truth: len(truth.arrivals) >= UNDER_LOAD)
        pull(tmp_path)
        pulled = time.time()
        truth = until(running, lambda truth: not ours_open(truth) and time.time() > pulled + AT_ONCE_SECONDS)
        before = turns()
        until(running, lambda _: all(now >= then + 2 for then, now in zip(before, turns(), strict=True)))
        later = running.truth()  # each process has begun and ended an order since

    ledger = Ledger.open(tmp_path)
    intents, switch = ledger.intents(limit=100_000), ledger.switch()
    ledger.close()
    assert switch.state == "HALTED"
    assert [intent.intent_id for intent in intents if (intent.sent_at or 0.0) > pulled] == []
    assert [arrival for arrival in later.arrivals if arrival.at > pulled + AT_ONCE_SECONDS] == []
    assert truth.cancels > 0
    assert ours_open(later) == []


async def test_orders_that_only_the_venue_names_are_cancelled_too(tmp_path: Path) -> None:
    faults = replace(honest(names_orders=False), echoes_labels=False)
    with exchange(faults, SEED) as running:
        async with agent(running.url, tmp_path) as own:
            for number in range(10):
                await own.place(wish(number, SEED))
            resting = ours_open(running.truth())
            by_file(tmp_path)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(own.watcher.run)
                with anyio.fail_after(30):
                    while ours_open(running.truth()):  # noqa: ASYNC110 - another process tells
                        await anyio.sleep(0.05)
                tasks.cancel_scope.cancel()

    assert resting

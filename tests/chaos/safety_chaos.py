"""The chaos run as a command: one hostile exchange, a few workers, many kills, and a verdict as JSON.

`python -m tests.chaos.safety_chaos --client gated --kills 2000 --labels dropped --seed 7 --report chaos.json`
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final

from . import safety_gated, safety_naive
from .safety_faults import Faults
from .safety_harness import Killed, Life, Running, exchange, kill_at_random
from .safety_slots import Slots
from .safety_truth import Truth

MEMORY: Final = Path("/dev/shm")
"""A folder in memory. A kill leaves written files as they are, so a disk would only cost time."""


ROUND: Final = 250
"""Maximum number of kills on one home."""

SUMMED: Final = ("killed", "fates", "figures")


@dataclass(frozen=True)
class Plan:
    """Settings of a run.

    Attributes:
        client: `gated` is ours, `naive` is what everybody writes first.
        kills: How many processes to kill.
        seed: Seed of all random draws.
        labels: `echoed` or `dropped`, as the exchange does with them.
        workers: Number of concurrent processes.
    """

    client: str
    kills: int
    seed: int
    labels: str = "echoed"
    workers: int = 4


@dataclass(frozen=True)
class Client:
    """A client under test, and how to judge its result.

    Attributes:
        life: Runs a worker, given the running exchange, the home and the seed.
        settle: Cleans up once the killing is over.
        judge: Returns the figures, and a list of violations, each a sentence.
    """

    life: Callable[[Running, Path, int], Life]
    settle: Callable[[Running, Path], None]
    judge: Callable[[Path, Truth], tuple[dict[str, int], list[str]]]


def run(plan: Plan) -> dict[str, Any]:
    """Run in rounds, each with its own exchange and home, because every start reads the home's whole journal."""
    began, rounds = time.monotonic(), list[dict[str, Any]]()
    for number, first in enumerate(range(0, plan.kills, ROUND)):
        part = replace(plan, kills=min(ROUND, plan.kills - first), seed=plan.seed + number)
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as home:
            rounds.append(run_round(part, Path(home)))
    summed = {name: _sum([each[name] for each in rounds]) for name in SUMMED}
    violations = [each for found in rounds for each in found["violations"]]
    return {"plan": asdict(plan), "seconds": round(time.monotonic() - began), **summed, "violations": violations}


def _sum(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Add up reports, figure by figure."""
    return {name: sum(part.get(name, 0) for part in parts) for name in dict.fromkeys(chain.from_iterable(parts))}


def run_round(plan: Plan, home: Path) -> dict[str, Any]:
    """Run one exchange on one home, and return the result."""
    client = CLIENTS[plan.client]
    slots = Slots(plan.workers)
    with exchange(Faults(echoes_labels=plan.labels == "echoed"), plan.seed) as running:
        killed = kill_at_random(client.life(running, home, plan.seed), slots, plan.kills, plan.seed)
        client.settle(running, home)
        truth = running.truth()
    slots.close()
    figures, violations = client.judge(home, truth)
    return {
        "killed": asdict(killed),
        "fates": dict(Counter(arrival.fate for arrival in truth.arrivals)),
        "figures": figures,
        "violations": violations + _worker_failures(killed),
    }


def _worker_failures(killed: Killed) -> list[str]:
    return [f"{killed.failed} workers ended with an error of their own"] if killed.failed else []


NAIVE: Final = Client(
    life=lambda running, home, seed: partial(safety_naive.live, running.url, home, seed),
    settle=lambda _running, _home: time.sleep(1.0),  # what the exchange still books late
    judge=safety_naive.judge,
)

GATED: Final = Client(
    life=lambda running, home, seed: safety_gated.life(running.url, home, seed),
    settle=safety_gated.settle,
    judge=safety_gated.judge,
)

CLIENTS: Final = {"gated": GATED, "naive": NAIVE}


def main() -> int:
    """Run with the arguments given. Returns 0 without violations, which the naive client cannot achieve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", choices=sorted(CLIENTS), default="gated")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--labels", choices=["echoed", "dropped"], default="echoed")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--report", type=Path, default=None)
    given = parser.parse_args()
    seed = secrets.randbelow(2**31) if given.seed is None else given.seed
    print(f"seed {seed}", file=sys.stderr, flush=True)  # noqa: T201 - a command
    plan = Plan(given.client, given.kills, seed, given.labels, given.workers)
    report = json.dumps(run(plan), indent=2)
    print(report)  # noqa: T201 - a command
    if given.report is not None:
        given.report.write_text(report + "\n")
    return 1 if json.loads(report)["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""Many processes against one daily limit: a program that prints, as JSON, how many orders were admitted.

    python -m tests.safety.ledger.limit_race HOME --processes 16 --attempts 1000 --limit 5000 --seed 1

Each process opens the ledger itself and tries orders of random size. The sum of the admitted orders must never exceed
the limit, and no order that would still have fitted may have been refused.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from api.errors import Unavailable
from safety.ledger import Ledger
from safety.terms.intent import Caller

from .books import go, order, proposal, within

STEP = Decimal(10)


def attempt(ledger: Ledger, limit: Decimal, number: int, dice: random.Random) -> bool:
    """Try one order of 10 to 50 USD, and send it if admitted, since it would expire otherwise. True if admitted."""
    usd = STEP * dice.randint(1, 5)
    offered = proposal(time.time(), order(str(number + 1), symbol=f"X{number % 50}/USDT"), usd=usd)
    admission = ledger.admit(offered, Caller("orders_place"), within(limit, usd), repeat_seconds=0)
    if admission.intent is None:
        return False
    while True:
        with suppress(Unavailable):
            return ledger.claim(admission.intent.intent_id, go).won


def worker(home: Path, attempts: int, limit: Decimal, seed: int, gate: int) -> tuple[int, int, float]:
    """One process's count of admitted orders, of times the ledger was too busy, and its longest wait in seconds."""
    dice = random.Random(seed)
    ledger = Ledger.open(home)
    os.read(gate, 1)
    admitted = busy = number = 0
    longest = 0.0
    while number < attempts:
        begun = time.perf_counter()
        try:
            admitted += attempt(ledger, limit, seed * attempts + number, dice)
            number += 1
        except Unavailable:
            busy += 1
        longest = max(longest, time.perf_counter() - begun)
    ledger.close()
    return admitted, busy, longest


def race(home: Path, processes: int, attempts: int, limit: Decimal, seed: int) -> dict[str, object]:
    """Run them all at once."""
    Ledger.open(home).close()
    gate, opener = os.pipe()
    results, told = os.pipe()
    children: list[int] = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            os.close(opener)
            done = worker(home, attempts, limit, seed * processes + number, gate)
            os.write(told, f"{json.dumps(done)}\n".encode())
            os._exit(0)
        children.append(child)
    os.close(told)
    begun = time.perf_counter()
    os.close(opener)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    seconds = time.perf_counter() - begun
    with os.fdopen(results) as lines:
        reports: list[tuple[int, int, float]] = [json.loads(line) for line in lines]
    os.close(gate)
    ledger = Ledger.open(home)
    usage = ledger.usage("real", order())
    breaks = ledger.verify()
    denied = sum(event.kind == "denied" for event in ledger.events(limit=1_000_000))
    ledger.close()
    return {
        "processes": processes,
        "attempts": attempts,
        "seed": seed,
        "limit": str(limit),
        "codes": codes,
        "admitted_by_process": [admitted for admitted, _, _ in reports],
        "booked": usage.count_24h,
        "sum": str(usage.notional_24h),
        "denied": denied,
        "breaks": breaks,
        "too_busy": sum(busy for _, busy, _ in reports),
        "longest_wait": round(max(longest for _, _, longest in reports), 3),
        "seconds": round(seconds, 2),
    }


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    for name, default in (("processes", 16), ("attempts", 1000), ("limit", 5000), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    print(json.dumps(race(given.home, given.processes, given.attempts, Decimal(given.limit), given.seed)))  # noqa: T201 - its output


if __name__ == "__main__":
    main()

"""Backtest speed: against other engines, over a universe, and with growing numbers of bars and symbols.

`python -m bench.backtest [rounds]` takes a few minutes. On a shared machine, trust the CPU time; wall time is printed
beside it. In every round, each engine runs in its own process, one after the other, so that a busy moment affects all
of them. The median over all runs counts. Targets: no slower than raptorbt at 8,760 and 525,600 bars, at least 40 times
as fast as backtesting.py, and with less memory than raptorbt.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.backtest_engines import ENGINES
from bench.backtest_universe import growth, year_of_hours

SIZES = (2_190, 8_760, 525_600)
RUNS = {2_190: 60, 8_760: 40, 525_600: 5}
SLOW_RUNS = {2_190: 3, 8_760: 2, 525_600: 1}
SLOW = frozenset({"backtesting.py"})
HEAVY = frozenset({"vectorbt", "backtesting.py"})
"""Run in one round only."""


@dataclass(frozen=True)
class Seen:
    """One engine at one size, over all rounds. Milliseconds, megabytes."""

    cpu: float
    wall: float
    load: float
    peak: float
    trades: int
    equity: float


def measure(name: str, size: int, rounds: int) -> Seen:
    """The medians of one engine."""
    runs = SLOW_RUNS[size] if name in SLOW else RUNS[size]
    seen = [_once(name, size, runs) for _ in range(1 if name in HEAVY else rounds)]
    return Seen(
        cpu=median(ms for s in seen for ms in s["cpu"]),
        wall=median(ms for s in seen for ms in s["wall"]),
        load=median(s["load"] for s in seen),
        peak=median(s["peak"] for s in seen),
        trades=seen[0]["trades"],
        equity=seen[0]["equity"],
    )


def _once(name: str, size: int, runs: int) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "bench.backtest_engines", name, str(size), str(runs)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(size: int, rounds: int) -> None:
    """All engines at one size, as a table, and whether the targets are met."""
    seen = {name: measure(name, size, rounds) for name in ENGINES}
    least, rival = seen["numpy floor"], seen["raptorbt"]
    print(f"\n{size:,} bars: RSI(14) <30 / >70, all in, 5 bp; ms a run (median), x of the floor")
    heads = ("CPU ms", "wall ms", "x floor", "x raptor", "load s", "peak MB", "trades")
    print(f"{'engine':16}" + "".join(f"{head:>10}" for head in heads) + f"{'equity':>14}")
    for name, s in seen.items():
        print(
            f"{name:16}{s.cpu:10.3f}{s.wall:10.3f}{s.cpu / least.cpu:10.1f}{s.cpu / rival.cpu:10.2f}"
            f"{s.load:10.2f}{s.peak:10.1f}{s.trades:10}{s.equity:14.4f}"
        )
    ours, slow = seen["heytraders"], seen["backtesting.py"]
    print(
        f"raptorbt x{ours.cpu / rival.cpu:.2f} (target <= 1.00 from 8,760 bars on), "
        f"backtesting.py {slow.cpu / ours.cpu:.0f} times as slow (target >= 40), "
        f"memory {ours.peak:.0f} of raptorbt's {rival.peak:.0f} MB, "
        f"trades agree: {ours.trades == rival.trades == least.trades}"
    )


def main() -> None:
    """Run all benchmarks."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {rounds} rounds")
    for size in SIZES:
        compare(size, rounds)
    year_of_hours()
    growth()


if __name__ == "__main__":
    main()

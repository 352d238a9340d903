"""The speed-up from one Dask worker to two on the same sweeps, and the size of a task.

`uv run --group dev python -m bench.cluster [VARIANTS]` starts two Dask clusters on this machine, one with one worker
and one with two, and runs two sweeps on each. The first has `VARIANTS` variants of the script of `bench.sweep`, which
only signals open and close: the least work for each byte sent back. The second has a twentieth of them with a stop
loss, which are traded bar by bar. Prints the bytes of a task and of its result, the processor time of scheduler,
workers and this process, and three efficiencies:

* raw: how much of twice the rate of one worker two workers reach;
* ceiling: the same for two processes that share nothing, each with half of the variants: what this machine allows. It
  is below 100 % where two processes share a core's units, its caches or the memory's bandwidth;
* of the ceiling: the first as a share of the second: what the cluster itself leaves.

Each round measures all of them by turns, and the medians over the rounds are printed: a machine's speed drifts. It must
be quiet: the scheduler and this process need a core at times too.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from engine.executor import Executor, Inline, open_executor
from engine.research.plan import Periods
from engine.research.sweep import run_variants
from engine.research.variants import blocks, run_block, share_of

from .sweep import SCRIPT, grid, setting

BARS = 8_760
ROUNDS = 7
WITH_A_STOP = SCRIPT.replace("Weight(1))", "Weight(1), stop_loss=0.03)")


def started(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A Dask process with this package on its path."""
    here = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "OPENBLAS_NUM_THREADS": "1",
        "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    }
    command = [sys.executable, "-W", "ignore", "-m", f"distributed.cli.{module}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=here)


def swept(executor: Executor, count: int, script: str) -> float:
    """Wall seconds of a sweep of `count` variants of a script."""
    frame, terms = setting(BARS, 1, f"{time.perf_counter_ns()}")
    terms = replace(terms, script=script)
    begun = time.perf_counter()
    run_variants(executor, terms, grid(count), frame, Periods.of(frame.time, frame.seconds), lambda _: None)
    return time.perf_counter() - begun


def weigh(count: int) -> None:
    """Print the bytes and the time of one task."""
    frame, terms = setting(BARS, 1, "weighed")
    shared = share_of(frame, Periods.of(frame.time, frame.seconds).edges)
    [block] = blocks(terms, grid(count), count)
    run_block(shared, block)
    begun = time.process_time()
    found = run_block(shared, block)
    took = time.process_time() - begun
    sent, back = len(pickle.dumps(block)), len(pickle.dumps(found))
    once = sum(each.nbytes for each in shared.values())
    print(f"a task of {count} variants: {1e3 * took:.0f} ms of CPU")
    print(f"bytes: {sent:,} sent, {back:,} back, {once:,} shared once")


def bare(count: int, script: str) -> float:
    """Wall seconds of a sweep in this process, without a cluster."""
    return swept(Inline(), count, script)


@dataclass
class Cluster:
    """A scheduler with some workers, and what one sweep used of the processor in each."""

    executor: Executor
    processes: list[subprocess.Popen[bytes]]
    cpu: list[list[float]] = field(default_factory=list[list[float]])

    @classmethod
    def start(cls, folder: Path, workers: int) -> Cluster:
        """Start it and connect."""
        file = folder / f"{workers}.json"
        common = ("--no-dashboard", "--scheduler-file", str(file))
        running = [started("dask_scheduler", "--host", "127.0.0.1", "--port", "0", *common)]
        while not (file.exists() and file.stat().st_size):
            time.sleep(0.1)
        address = file.read_text().split("tcp://")[1].split('"')[0]
        terms = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0")
        one = ("dask_worker", f"tcp://{address}", *terms, "--local-directory", str(folder))
        running.extend(started(*one) for _ in range(workers))
        executor = open_executor(1, 2_048, f"dask://{address}")
        while executor.workers < workers:
            time.sleep(0.1)
        return cls(executor, running)

    def sweep(self, count: int, script: str) -> float:
        """Wall seconds of a sweep."""
        before, own = [cpu_seconds(each) for each in self.processes], time.process_time()
        took = swept(self.executor, count, script)
        used = [cpu_seconds(process) - start for process, start in zip(self.processes, before, strict=True)]
        self.cpu.append([*used, time.process_time() - own])
        return took

    def stop(self) -> None:
        """Disconnect and end its processes."""
        self.executor.close()
        for process in self.processes[::-1]:
            process.kill()
            process.wait()


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """The processor time that a process has used (Linux)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def compare(name: str, clusters: tuple[Cluster, Cluster], pair: ProcessPoolExecutor, count: int, script: str) -> None:
    """Measure one kind of sweep by turns and print the medians."""
    one, two = clusters
    one.cpu.clear()
    two.cpu.clear()
    walls: list[tuple[float, float]] = []
    ceilings: list[float] = []
    for number in range(ROUNDS + 1):
        alone = pair.submit(bare, count // 2, script).result()
        together = [pair.submit(bare, count // 2, script) for _ in range(2)]
        ceiling = alone / max(each.result() for each in together)
        found = one.sweep(count, script), two.sweep(count, script)
        if number:  # the first round warms up
            ceilings.append(ceiling)
            walls.append(found)
    for cluster in clusters:
        used = np.median(cluster.cpu[1:], axis=0)
        shown = ", ".join(f"{each:.2f}" for each in used[1:-1])
        share = used[1:-1].sum() / used.sum()
        print(f"{name}, CPU seconds: scheduler {used[0]:.2f}, workers {shown}, this process {used[-1]:.2f}", end="")
        print(f"; {share:.0%} of them are the workers'")
    ratios = [first / (2.0 * second) for first, second in walls]
    raw, most = float(np.median(ratios)), float(np.median(ceilings))
    kept = float(np.median(np.divide(ratios, ceilings)))
    first, second = np.median(walls, axis=0)
    print(f"{name}: 1 worker {first:.2f} s, 2 workers {second:.2f} s")
    print(f"    efficiency: raw {raw:.0%}, ceiling {most:.0%}, of the ceiling {kept:.0%}", flush=True)


def main(count: int) -> None:
    """Measure and print."""
    weigh(285)
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2, get_context("spawn")) as pair:
        clusters: list[Cluster] = []
        try:
            clusters.extend(Cluster.start(Path(folder), workers) for workers in (1, 2))
            one, two = clusters
            compare("signals only", (one, two), pair, count, SCRIPT)
            compare("with a stop", (one, two), pair, count // 20, WITH_A_STOP)
        finally:
            for cluster in clusters:
                cluster.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)

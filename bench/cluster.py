"""The speed-up from one Dask worker to two on the same sweeps, and the size of a task.

`uv run --group dev python -m bench.cluster [VARIANTS]`: starts a scheduler and workers on this machine and runs two
sweeps on one worker and on two after a warm-up. The first has `VARIANTS` variants of the script of `bench.sweep`, which
only signals open and close: the least work for each byte sent back. The second has a twentieth of them with a stop
loss, which are traded bar by bar. Prints the bytes of a task and of its result, the best wall seconds, the processor
time of scheduler, workers and this process, and three efficiencies:

* raw: how much of twice the rate of one worker two workers reach;
* ceiling: the same for two processes that share nothing, each with half of the variants. It is below 100 % where
  two processes share a core's units, its caches or the memory's bandwidth;
* of the ceiling: the first as a share of the second: what the cluster itself costs.

The machine must be quiet: the scheduler and this process need a core at times too.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from engine.executor import Executor, Inline, open_executor
from engine.research.plan import Periods
from engine.research.sweep import run_variants
from engine.research.variants import blocks, run_block, share_of

from .sweep import SCRIPT, grid, setting

BARS = 8_760
ROUNDS = 3
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


def best(executor: Executor, count: int, script: str) -> float:
    """The best wall seconds of some warm runs."""
    swept(executor, count, script)
    return min(swept(executor, count, script) for _ in range(ROUNDS))


def bare(count: int, script: str) -> float:
    """The best wall seconds of the sweep in this process, without a cluster."""
    return best(Inline(), count, script)


def ceiling(count: int, script: str) -> float:
    """How much of twice the rate of one process two processes reach that share nothing."""
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        alone = processes.submit(bare, count // 2, script).result()
        together = [processes.submit(bare, count // 2, script) for _ in range(2)]
        return alone / max(each.result() for each in together)


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """The processor time that a process has used (Linux)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(count: int) -> None:
    """Measure and print."""
    weigh(285)
    sweeps = {"signals only": (count, SCRIPT), "with a stop": (count // 20, WITH_A_STOP)}
    most: dict[str, float] = {}
    for name, (variants, script) in sweeps.items():
        most[name] = ceiling(variants, script)
        print(f"{name}: {variants:,} variants in this process alone: {bare(variants, script):.2f} s", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "scheduler.json")
        here = ("--no-dashboard", "--scheduler-file", str(file))
        running = [started("dask_scheduler", "--host", "127.0.0.1", "--port", "0", *here)]
        try:
            while not (file.exists() and file.stat().st_size):
                time.sleep(0.1)
            address = file.read_text().split("tcp://")[1].split('"')[0]
            terms = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0")
            walls: dict[tuple[str, int], float] = {}
            for workers in (1, 2):
                running.append(started("dask_worker", f"tcp://{address}", *terms, "--local-directory", folder))
                executor = open_executor(1, 2_048, f"dask://{address}")
                while executor.workers < workers:
                    time.sleep(0.1)
                for name, sweep in sweeps.items():
                    begun, own = [cpu_seconds(each) for each in running], time.process_time()
                    walls[name, workers] = best(executor, *sweep)
                    used = [(cpu_seconds(p) - b) / (ROUNDS + 1) for p, b in zip(running, begun, strict=True)]
                    shown = ", ".join(f"{each:.2f}" for each in used[1:])
                    mine = (time.process_time() - own) / (ROUNDS + 1)
                    share = sum(used[1:]) / (sum(used) + mine)
                    print(f"{name}, CPU seconds: scheduler {used[0]:.2f}, workers {shown}, this process {mine:.2f}")
                    print(f"    {share:.0%} of them are the workers'")
                executor.close()
            for name in sweeps:
                one, two = walls[name, 1], walls[name, 2]
                raw = one / (2.0 * two)
                print(f"{name}: 1 worker {one:.2f} s, 2 workers {two:.2f} s")
                print(f"    efficiency: raw {raw:.0%}, ceiling {most[name]:.0%}, of the ceiling {raw / most[name]:.0%}")
        finally:
            for process in running[::-1]:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)

"""The same tasks give the same bits in this process, on a pool and on a cluster, even when workers are killed."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from importlib import import_module
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from api.errors import UserMustAct
from api.symbols import Instrument
from engine.executor import Executor, Inline, WorkerLost, open_executor
from engine.executor.local import LocalExecutor, remove_abandoned
from engine.frame import Bars, Frame, packed
from engine.jobs.run import BacktestTask, run_task
from engine.jobs.spec import ResultColumns, Spec
from engine.research.report import monte_carlo
from engine.simulation.settings import SimulationSettings
from engine.trading_rules import OrderRules

from . import work

PRICES = np.random.default_rng(5).normal(size=50_000)
TASKS = 40
BTC = Instrument("binance", "BTC", "USDT")


def results(executor: Executor) -> dict[int, tuple[float, bytes]]:
    executor.share("prices", PRICES)
    return dict(executor.map(work.slow_then_drawn, range(TASKS)))


@pytest.fixture(scope="module")
def expected() -> dict[int, tuple[float, bytes]]:
    return results(Inline())


@pytest.fixture(scope="module")
def pool() -> Generator[LocalExecutor]:
    executor = LocalExecutor(2, 2_048)
    yield executor
    executor.close()


@pytest.fixture(scope="module")
def single() -> Generator[LocalExecutor]:
    """A pool of one worker, where a second one would only start and import too."""
    executor = LocalExecutor(1, 1_024)
    yield executor
    executor.close()


def test_a_pool_gives_the_same_bits_as_this_process(
    pool: LocalExecutor, expected: dict[int, tuple[float, bytes]]
) -> None:
    assert results(pool) == expected


def test_a_worker_killed_in_the_middle_costs_no_result(
    pool: LocalExecutor, expected: dict[int, tuple[float, bytes]], tmp_path: Path
) -> None:
    pool.share("prices", PRICES)
    mark = str(tmp_path / "killed")
    found = dict(pool.map(work.dies_once, [(index, mark) for index in range(TASKS)]))

    assert Path(mark).exists()
    assert found == expected


def test_a_task_that_always_kills_its_worker_ends_the_work_with_a_reason(single: LocalExecutor) -> None:
    with pytest.raises(WorkerLost, match="killed repeatedly"):
        list(single.map(work.always_dies, [0]))


def test_a_task_that_fails_by_itself_is_not_tried_again(pool: LocalExecutor) -> None:
    with pytest.raises(ValueError, match="index 3 is refused"):
        list(pool.map(work.refuses, [3]))


def test_shared_arrays_cannot_be_written_to(pool: LocalExecutor) -> None:
    pool.share("prices", PRICES)

    assert dict(pool.map(work.alters, [0])) == {0: False}


def test_closing_ends_running_tasks_within_a_second() -> None:
    executor = LocalExecutor(2, 2_048)
    running = executor.map(work.sleeps, [0.01, 60.0, 60.0])
    next(running)
    asked = time.monotonic()
    threading.Timer(0.1, executor.close).start()
    with pytest.raises(WorkerLost):
        list(running)

    assert time.monotonic() - asked < 1.1


def test_workers_wait_for_the_next_executor_and_then_read_its_arrays(
    expected: dict[int, tuple[float, bytes]],
) -> None:
    first = LocalExecutor(1, 1_024, keeps=True)
    first.share("prices", np.zeros(50_000))
    known = dict(first.map(work.own_process, [0]))
    first.close()
    second = LocalExecutor(1, 1_024, keeps=True)
    try:
        found = results(second)
        again = dict(second.map(work.own_process, [0]))
        os.kill(again[0], signal.SIGKILL)
    finally:
        second.close()
    third = LocalExecutor(1, 1_024, keeps=True)
    try:
        after = results(third)
    finally:
        third.close()

    assert known == again
    assert os.getpid() not in known.values()
    assert found == expected == after


def test_the_process_of_the_caller_takes_tasks_until_the_workers_have_started(
    expected: dict[int, tuple[float, bytes]],
) -> None:
    executor = LocalExecutor(1, 1_024, helps=True)
    try:
        executor.share("prices", PRICES)
        early = dict(executor.map(work.own_process, range(3)))
        until(lambda: os.getpid() not in {pid for _, pid in executor.map(work.own_process, range(2))})
        found = results(executor)
    finally:
        executor.close()

    assert set(early.values()) == {os.getpid()}
    assert found == expected


def segments() -> set[Path]:
    return set(Path("/dev/shm").glob(f"heytraders-{os.getpid()}-*"))


def test_closing_frees_the_shared_memory() -> None:
    before = segments()
    executor = LocalExecutor(1, 2_048)
    executor.share("prices", PRICES)
    assert len(segments() - before) == 1
    executor.close()

    assert segments() == before


def test_what_a_killed_process_left_in_shared_memory_is_removed_at_the_next_start() -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    segment = SharedMemory(f"heytraders-{int(ended.stdout)}-abcd", create=True, size=64)
    mine = SharedMemory(f"heytraders-{os.getpid()}-abcd", create=True, size=64)
    try:
        assert remove_abandoned() >= 1
        assert not Path("/dev/shm", segment.name).exists()
        assert Path("/dev/shm", mine.name).exists()
    finally:
        segment.close()
        mine.close()
        mine.unlink()


@pytest.mark.parametrize("setting", ["ray://127.0.0.1:1", "dask://cluster.example:8786", "dask://10.0.0.5:8786"])
def test_a_cluster_that_strangers_could_reach_is_refused(setting: str) -> None:
    with pytest.raises(UserMustAct, match="HEYTRADERS_EXECUTOR"):
        open_executor(2, 2_048, setting)


class Cluster:
    """A Dask scheduler and its workers, each in its own process. `tls` are further arguments of each."""

    def __init__(self, folder: Path, *tls: str) -> None:
        self.folder = folder
        self.address = ""
        self.started: list[subprocess.Popen[bytes]] = []
        self._tls = tls

    def start(self, workers: int) -> None:
        file = self.folder / "scheduler.json"
        protocol = ("--protocol", "tls") if self._tls else ()
        self._run("scheduler", "--host", "127.0.0.1", "--port", "0", *protocol, "--scheduler-file", str(file))
        until(lambda: file.exists() and file.stat().st_size > 0)
        self.address = json.loads(file.read_text())["address"].partition("://")[2]
        for _ in range(workers):
            self.add_worker()

    def add_worker(self) -> None:
        here = str(self.folder)
        where = f"{'tls' if self._tls else 'tcp'}://{self.address}"
        self._run("worker", where, "--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--local-directory", here)

    def _run(self, program: str, *arguments: str) -> None:
        module = f"distributed.cli.dask_{program}"
        command = [sys.executable, "-W", "ignore", "-m", module, *arguments, "--no-dashboard", *self._tls]
        here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        with (self.folder / f"{program}.log").open("ab") as log:
            self.started.append(subprocess.Popen(command, stdout=log, stderr=log, env=here))

    def stop(self) -> None:
        for process in self.started[::-1]:
            process.kill()
            process.wait()


def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)  # other processes work


@pytest.fixture
def cluster(tmp_path: Path) -> Generator[Cluster]:
    pytest.importorskip("distributed")
    found = Cluster(tmp_path)
    found.start(2)
    yield found
    found.stop()


def backtests(executor: Executor, after: Callable[[int], None] = lambda _: None) -> dict[int, ResultColumns]:
    """Twelve single backtests of one script on a random walk; `after` receives the number of finished ones."""
    steps = np.random.default_rng(8).normal(0.0, 0.01, 3_000)
    close = 100.0 * np.exp(np.cumsum(steps))
    opened = np.concatenate(([100.0], close[:-1]))
    high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) * 0.998
    time_axis = 1_704_067_200 + 3_600 * np.arange(len(close))
    frame = Frame("1h", time_axis, {BTC: Bars(opened, high, low, close, np.full(len(close), 1e9), "simulated")})
    layout, arrays = packed(frame)
    for name, array in arrays.items():
        executor.share(name, array)
    settings = SimulationSettings(order_rules={BTC: OrderRules(0.0, 0.0)})
    tasks = [BacktestTask(spec(time_axis, n), layout, 100, settings) for n in range(6, 18)]
    found: dict[int, ResultColumns] = {}
    for index, outcome in executor.map(run_task, tasks):
        found[index] = outcome
        after(len(found))
    return found


def spec(axis: NDArray[np.int64], n: int) -> Spec:
    return Spec(
        strategy_type="signal",
        script=f"r = rsi(close, {n})\nemit_signal(r < 35, entry(TICKER, 'LONG', Weight(1)))\n"
        "emit_signal(r > 65, exit(TICKER))",
        generated=False,
        mode="isolated",
        exchange="binance",
        tickers=(BTC.ticker,),
        timeframe="1h",
        start=int(axis[100]),
        end=int(axis[-1]) + 3_600,
        start_date="2024-01-05",
        end_date="2024-05-04",
        as_of=float(axis[-1]) + 3_600,
        initial_cash=10_000.0,
        leverage=1.0,
        trading_fee=0.0005,
        slippage=0.0005,
        stop_loss=None,
        take_profit=None,
    )


def drawn(executor: Executor) -> dict[str, Any]:
    return monte_carlo(executor, "res_test", PRICES[:365] / 100.0, PRICES[:40], 10_000.0)


def test_single_backtests_and_monte_carlo_give_the_same_bits_in_a_worker(single: LocalExecutor) -> None:
    assert backtests(single) == backtests(Inline())
    assert drawn(single) == drawn(Inline())


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_gives_the_same_bits_also_when_a_worker_is_killed_in_the_middle(
    cluster: Cluster, expected: dict[int, tuple[float, bytes]]
) -> None:
    def kill(ended: int) -> None:
        if ended == 3:
            cluster.started[-1].kill()

    executor = open_executor(2, 2_048, f"dask://{cluster.address}")
    try:
        until(lambda: executor.workers == 2)
        found = results(executor)
        single = backtests(executor, kill)
        until(lambda: executor.workers == 1)
        histories = drawn(executor)
    finally:
        executor.close()

    assert found == expected
    assert single == backtests(Inline())
    assert histories == drawn(Inline())


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_result_whose_worker_dies_before_it_is_fetched_is_computed_again(
    tmp_path: Path, expected: dict[int, tuple[float, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only worker has the result and the shared arrays. It dies after its result is announced, before the fetch."""
    pytest.importorskip("distributed")
    cluster = Cluster(tmp_path)
    fetch: Callable[[Any], Any] = import_module("distributed").Future.result
    fetched: list[Any] = []

    def fetch_too_late(future: Any) -> Any:
        fetched.append(future)
        if len(fetched) == 1:
            cluster.add_worker()
            until(lambda: executor.workers == 2)
            cluster.started[1].kill()
            until(lambda: executor.workers == 1)
        return fetch(future)

    try:
        cluster.start(1)
        executor = open_executor(2, 2_048, f"dask://{cluster.address}")
        monkeypatch.setattr("distributed.Future.result", fetch_too_late)
        found = results(executor)
        executor.close()
    finally:
        cluster.stop()

    assert found == expected
    assert len(fetched) > 1


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_dies_before_it_has_the_arrays_costs_no_result(
    cluster: Cluster, expected: dict[int, tuple[float, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler has not noticed yet that it is gone, so the arrays are sent to it too."""
    send: Callable[..., Any] = import_module("distributed").Client.scatter
    sent: list[Any] = []

    def send_to_a_dead_worker(client: Any, *arrays: Any, **terms: Any) -> Any:
        sent.append(client)
        if len(sent) == 1:
            cluster.started[-1].kill()
            cluster.started[-1].wait()
            raise OSError("connection refused")
        return send(client, *arrays, **terms)

    executor = open_executor(2, 2_048, f"dask://{cluster.address}")
    try:
        until(lambda: executor.workers == 2)
        monkeypatch.setattr("distributed.Client.scatter", send_to_a_dead_worker)
        found = results(executor)
    finally:
        executor.close()

    assert found == expected
    assert len(sent) > 1


@pytest.mark.long
def test_a_cluster_with_mutual_tls_runs_tasks_and_refuses_a_client_without_a_certificate(
    tmp_path: Path, expected: dict[int, tuple[float, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificates and the options of scheduler and worker are those of docs/scale.md."""
    pytest.importorskip("distributed")
    page = (Path(__file__).parents[3] / "docs/scale.md").read_text()
    for command in re.findall(r"^openssl .*", page, re.MULTILINE):
        subprocess.run(shlex.split(command), cwd=tmp_path, check=True, capture_output=True)
    [scheduler, worker] = re.findall(r"^dask .*(--tls-ca-file .*)", page, re.MULTILINE)
    assert scheduler == worker
    exported = dict(re.findall(r"(HEYTRADERS_CLUSTER_\w+)=(\S+)", page))
    assert len(exported) == 3
    for name, file in exported.items():
        monkeypatch.setenv(name, str(tmp_path / file))
    options = [str(tmp_path / each) if each.endswith((".pem", ".key")) else each for each in scheduler.split()]
    cluster = Cluster(tmp_path, *options)
    try:
        cluster.start(1)
        executor = open_executor(2, 2_048, f"dask://{cluster.address}")
        found = results(executor)
        executor.close()
        stranger = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        stranger.check_hostname = False
        host, _, port = cluster.address.rpartition(":")
        with (
            socket.create_connection((host, int(port))) as plain,
            stranger.wrap_socket(plain) as encrypted,
            pytest.raises(ssl.SSLError, match="certificate required"),
        ):
            encrypted.recv(1)
    finally:
        cluster.stop()

    assert found == expected

"""1,000 variants of an RSI script on 8,760 bars with all metrics, beside raptorbt and vectorbt on the same bars.

Figures are wall seconds of warm processes. raptorbt and vectorbt loop over the same variants, raptorbt in as many
processes as this engine uses. vectorbt runs if the group `bench` is installed: `uv run --group bench python -m
bench.sweep`. Memory is that of this engine alone: a process with nothing else in it runs the sweep, and the highest
memory of it and of its workers is added up.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from numpy.typing import NDArray

from api.symbols import Instrument
from engine.executor import Array, Executor, Inline
from engine.executor.local import LocalExecutor
from engine.frame import Bars, Frame, Source
from engine.language.script import ScriptContext
from engine.research.plan import Periods
from engine.research.sweep import run_variants
from engine.research.variants import SweepTerms
from engine.simulation.settings import SimulationSettings

from .backtest_engines import CASH, FEE, market

BTC = Instrument("binance", "BTC", "USDT")
SCRIPT = """
n = param("n", 14, 2, 60)
oversold = param("oversold", 30, 5, 50)
overbought = param("overbought", 70, 50, 95)
r = rsi(close, n)
emit_signal(r < oversold, entry(TICKER, "LONG", Weight(1)))
emit_signal(r > overbought, exit(TICKER))
"""
NAMES = ("n", "oversold", "overbought")


def grid(count: int) -> NDArray[np.float64]:
    """`count` variants: RSI lengths, and the two levels."""
    lengths = [float(n) for n in range(6, 6 + max(10, count // 100))]
    levels = product(lengths, [20.0 + 2 * i for i in range(10)], [60.0 + 2 * i for i in range(10)])
    return np.array(list(levels)[:count])


def setting(size: int, tickers: int, name: str) -> tuple[Frame, SweepTerms]:
    """A frame and the common part of all variants."""
    times, opened, high, low, close, volume = market(size)
    instruments = tuple(Instrument("binance", f"T{i}", "USDT") if i else BTC for i in range(tickers))
    bars = {each: Bars(opened, high, low, close, volume, "simulated") for each in instruments}
    context = ScriptContext(instruments, "1h")
    settings = SimulationSettings(initial_cash=CASH, fee=FEE, slippage=0.0)
    sources: tuple[Source, ...] = ("simulated",) * tickers
    return Frame("1h", times, bars), SweepTerms(name, SCRIPT, context, NAMES, instruments, sources, 0, settings)


def ours(executor: Executor, size: int, variants: NDArray[np.float64], tickers: int = 1) -> float:
    """Wall seconds of one sweep: reading, indicators, simulation, all metrics, daily returns."""
    frame, terms = setting(size, tickers, f"{time.perf_counter_ns()}")
    periods = Periods.of(frame.time, frame.seconds)
    begun = time.perf_counter()
    run_variants(executor, terms, variants, frame, periods, lambda _: None)
    return time.perf_counter() - begun


def raptor_block(shared: Mapping[str, Array], values: NDArray[np.float64]) -> int:
    """raptorbt over some variants, in a worker like this engine's; each RSI length is computed once."""
    engine: Any = import_module("raptorbt")
    times, opened, high, low, close, volume = shared["market"]
    stamps = (times * 1e9).astype(np.int64)
    terms = engine.BacktestConfig(initial_capital=CASH, fees=FEE, slippage=0.0, fill_timing="next_bar_open")
    known: dict[float, Any] = {}
    trades = 0
    for n, oversold, overbought in values.tolist():
        rsi = known.setdefault(n, engine.rsi(close, int(n)))
        found = engine.run_single_backtest(
            stamps, opened, high, low, close, volume, rsi < oversold, rsi > overbought, config=terms
        )
        found.equity_curve()
        trades += found.metrics.total_trades
    return trades


def raptor(executor: Executor, size: int, variants: NDArray[np.float64]) -> float:
    """Wall seconds of the same variants with raptorbt."""
    executor.share("market", np.array(market(size)))
    parts = [variants[i : i + 50] for i in range(0, len(variants), 50)]
    list(executor.map(raptor_block, parts[:2]))
    begun = time.perf_counter()
    list(executor.map(raptor_block, parts))
    return time.perf_counter() - begun


def vectorbt(size: int, variants: NDArray[np.float64]) -> float:
    """Wall seconds of vectorbt, warm: one matrix of all variants, and eight metrics of each."""
    library: Any = import_module("vectorbt")
    talib: Any = import_module("talib")
    _, opened, _, _, close, _ = market(size)

    def run(values: NDArray[np.float64]) -> None:
        known = {n: talib.RSI(close, int(n)) for n in np.unique(values[:, 0]).tolist()}
        table = np.stack([known[n] for n in values[:, 0].tolist()], axis=1)
        later = np.zeros((1, len(values)), dtype=bool)
        enter = np.concatenate([later, (table < values[:, 1])[:-1]])
        leave = np.concatenate([later, (table > values[:, 2])[:-1]])
        book = library.Portfolio.from_signals(
            np.broadcast_to(close[:, None], table.shape), enter, leave,
            price=np.broadcast_to(opened[:, None], table.shape), fees=FEE, init_cash=CASH, freq="1h",
        )  # fmt: skip
        for metric in ("total_return", "sharpe_ratio", "sortino_ratio", "calmar_ratio", "max_drawdown"):
            getattr(book, metric)()
        for metric in ("count", "win_rate", "profit_factor"):
            getattr(book.trades, metric)()

    run(variants[:20])
    begun = time.perf_counter()
    run(variants)
    return time.perf_counter() - begun


async def through_the_tool() -> list[float]:
    """Wall seconds of calls of `backtest_sweep` over stdio, the first to a new server: 1,000 variants of a year."""
    from mcp import Client

    from .backtest_and_poll import call, server

    ranges = {"n": (6, 15, 1), "oversold": (20, 38, 2), "overbought": (60, 78, 2)}
    job: dict[str, Any] = {
        "universe": ["BINANCE:BTC/USDT"],
        "timeframe": "1h",
        "start_date": "2023-01-01",
        "end_date": "2023-12-31",
        "grid": {name: dict(zip(("low", "high", "step"), each, strict=True)) for name, each in ranges.items()},
    }
    took: list[float] = []
    with tempfile.TemporaryDirectory() as home:
        async with Client(server(Path(home))) as client:
            for number in range(5):
                milliseconds, found = await call(
                    client,
                    "backtest_sweep",
                    {**job, "script": SCRIPT.replace("rsi(close", f"rsi({1 + number} * close")},
                )
                if found["status"] != "completed" or found["variants"] != 1_000:
                    raise RuntimeError(str(found))
                took.append(milliseconds / 1_000)
    return took


def highest_mb(pid: int) -> float:
    """The highest memory of a process and of those that it started (Linux)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024 + sum(highest_mb(int(child)) for child in children)


def weigh(count: int, cores: int) -> float:
    """The highest memory of this process and its workers over a sweep, in MB. Call it in a process of its own."""
    pool = LocalExecutor(cores, 4_096, helps=True)
    try:
        ours(pool, 8_760, grid(count))
        return highest_mb(os.getpid())
    finally:
        pool.close()


def memory(cores: int) -> None:
    """Print this engine's memory for 1,000 and 10,000 variants of 8,760 bars."""
    for count in (1_000, 10_000):
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            used = alone.submit(weigh, count, cores).result()
        print(f"memory of {count:6,} variants       {used:7.0f} MB, all processes together", flush=True)


def small(variants: NDArray[np.float64]) -> None:
    """Print the time of a variant of 2,190 bars: medians of runs by turns, because a machine's speed drifts."""
    pairs = [(ours(Inline(), 2_190, variants), raptor(Inline(), 2_190, variants)) for _ in range(16)][1:]
    own, theirs = 1e3 * np.median(pairs, axis=0) / len(variants)
    ratio = float(np.median([first / second for first, second in pairs]))
    print(f"a variant of 2,190 bars       ours {own:.3f} ms, raptorbt {theirs:.3f} ms, ratio {ratio:.2f}", flush=True)


def best_of(rounds: int, work: Callable[[], float]) -> float:
    """The fastest of several rounds: the others shared the machine."""
    return min(work() for _ in range(rounds))


def main() -> None:
    """Print the figures."""
    cores = min(2, os.cpu_count() or 1)
    thousand = grid(1_000)
    pool = LocalExecutor(cores, 4_096)
    try:
        ours(pool, 8_760, thousand[:100])
        own = best_of(3, lambda: ours(pool, 8_760, thousand))
        alone = best_of(2, lambda: ours(Inline(), 8_760, thousand))
        print(
            f"1,000 variants x 8,760 bars   ours, {cores} processes {own:7.2f} s    one process {alone:7.2f} s",
            flush=True,
        )
        theirs = best_of(3, lambda: raptor(pool, 8_760, thousand))
        print(
            f"                              raptorbt, {cores} processes {theirs:7.2f} s   {theirs / own:.1f}x ours",
            flush=True,
        )
        if find_spec("vectorbt"):
            slow = vectorbt(8_760, thousand)
            print(f"                              vectorbt, warm {slow:7.2f} s   {slow / own:.1f}x ours")
        small(thousand[:200])
        ten = ours(pool, 8_760, grid(10_000))
        print(f"10,000 variants               {ten:7.2f} s, {ten / own:.1f}x of 1,000", flush=True)
        many = ours(pool, 8_760, thousand[:200], tickers=50)
        print(f"200 variants x 50 tickers     {many:7.2f} s", flush=True)
    finally:
        pool.close()
    first, *later = anyio.run(through_the_tool)
    print(
        f"through the tool              first call {first:.2f} s, then {min(later):.2f} to {max(later):.2f} s",
        flush=True,
    )
    memory(cores)


if __name__ == "__main__":
    main()

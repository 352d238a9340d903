"""The same job on each engine: RSI(14) below 30 enters with everything, above 70 exits, 5 basis points a side.

Every engine gets the same bars in its own process (`python -m bench.backtest_engines ENGINE BARS RUNS`), warms up once,
and prints a line of JSON: seconds to load, milliseconds per run, peak memory, trades, final equity. Each bar opens at
the previous close, so engines that fill at the next open and engines that fill at the same close make the same profit.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

Job = Callable[[], tuple[int, float]]
"""One run: closed trades and final equity."""

CASH = 10_000.0
FEE = 0.0005


def market(size: int) -> tuple[Any, ...]:
    """Open times (seconds), open, high, low, close, volume of a fat-tailed walk with 60 % annual volatility."""
    import numpy as np

    rng = np.random.default_rng(1)
    hours = {2_190: 4.0, 8_760: 1.0}.get(size, 8_760.0 / size)
    spread = 0.6 * (hours / 8_760.0) ** 0.5
    close = 30_000.0 * np.exp(np.cumsum(rng.standard_t(4, size) * spread / 2.0**0.5))
    opened = np.concatenate([[30_000.0], close[:-1]])
    wick = np.abs(rng.normal(0.0, spread / 2, (2, size)))
    high, low = np.maximum(opened, close) * (1.0 + wick[0]), np.minimum(opened, close) * (1.0 - wick[1])
    return 1_600_000_000 + np.arange(size) * int(hours * 3_600), opened, high, low, close, rng.random(size)


def without_pandas() -> None:
    """Hide pandas and polars: TA-Lib loads them if they are installed, and this package does not install them."""
    for name in ("pandas", "polars"):
        sys.modules[name] = None  # pyright: ignore[reportArgumentType] - Python's way to say "not installed"


def heytraders(size: int) -> Job:
    """This engine: indicator, both conditions, kernel, columnar trades, equity, all metrics."""
    without_pandas()
    import talib

    from api.symbols import Instrument
    from api.times import Timeframe
    from engine.frame import Bars, Frame
    from engine.program import Emission, Entry, Exit, Size
    from engine.results.metrics import measure_curve, measure_trades
    from engine.simulation.kernel import simulate
    from engine.simulation.settings import SimulationSettings

    times, opened, high, low, close, volume = market(size)
    timeframes: dict[int, Timeframe] = {2_190: "4h", 8_760: "1h"}
    timeframe = timeframes.get(size, "1m")
    instrument = Instrument("binance", "BTC", "USDT")
    terms = SimulationSettings(initial_cash=CASH, fee=FEE, slippage=0.0)

    def run() -> tuple[int, float]:
        frame = Frame(timeframe, times, {instrument: Bars(opened, high, low, close, volume, "simulated")})
        rsi = talib.RSI(close, 14)
        program = (
            Emission(rsi < 30.0, (Entry(instrument, 1, Size("weight", 1.0)),)),
            Emission(rsi > 70.0, (Exit(instrument),)),
        )
        result = simulate(frame, program, terms)
        measure_curve(result.equity, CASH, frame.seconds)
        return measure_trades(result).num_trades, float(result.equity[-2])

    return run


def raptorbt(size: int) -> Job:
    """Rust: its own RSI, single backtest with its metrics and equity; its trades are not read."""
    import raptorbt as engine

    times, opened, high, low, close, volume = market(size)
    stamps = times * 1_000_000_000
    terms = engine.BacktestConfig(initial_capital=CASH, fees=FEE, slippage=0.0, fill_timing="next_bar_open")

    def run() -> tuple[int, float]:
        rsi = engine.rsi(close, 14)
        result = engine.run_single_backtest(
            stamps, opened, high, low, close, volume, rsi < 30.0, rsi > 70.0, config=terms
        )
        return result.metrics.total_trades, float(result.equity_curve()[-2])

    return run


def vectorbt(size: int) -> Job:
    """Numba: TA-Lib's RSI (its own is not Wilder's), signals shifted by a bar, and the metrics that this engine also
    has."""
    import numpy as np
    import talib

    library: Any = import_module("vectorbt")
    _, opened, _, _, close, _ = market(size)

    def later(signal: Any) -> Any:
        return np.concatenate([[False], signal[:-1]])

    def run() -> tuple[int, float]:
        rsi = talib.RSI(close, 14)
        book = library.Portfolio.from_signals(
            close, later(rsi < 30.0), later(rsi > 70.0), price=opened, fees=FEE, init_cash=CASH, freq="1h"
        )
        for metric in ("sharpe_ratio", "sortino_ratio", "calmar_ratio", "max_drawdown", "annualized_volatility"):
            getattr(book, metric)()
        for metric in ("win_rate", "profit_factor"):
            getattr(book.trades, metric)()
        return int(book.trades.count()), float(book.value().iloc[-2])

    return run


def backtesting(size: int) -> Job:
    """backtesting.py: a strategy class over a pandas frame, with its statistics."""
    import pandas as pd
    import talib

    library: Any = import_module("backtesting")
    times, opened, high, low, close, volume = market(size)
    stamps: Any = pd.to_datetime  # pyright: ignore[reportUnknownVariableType] - its overloads have holes
    index = stamps(times, unit="s")
    table = pd.DataFrame({"Open": opened, "High": high, "Low": low, "Close": close, "Volume": volume}, index=index)
    base: Any = library.Strategy

    class Reversion(base):
        def init(self) -> None:
            self.rsi = self.I(talib.RSI, self.data.Close, 14)

        def next(self) -> None:
            if not self.position and self.rsi[-1] < 30.0:
                self.buy(size=0.9999)
            elif self.position and self.rsi[-1] > 70.0:
                self.position.close()

    def run() -> tuple[int, float]:
        test = library.Backtest(table, Reversion, cash=CASH * 1e6, commission=FEE, finalize_trades=True)
        stats = test.run()
        return int(stats["# Trades"]), float(stats["_equity_curve"]["Equity"].iloc[-2]) / 1e6

    return run


def floor(size: int) -> Job:
    """The lower bound: TA-Lib's RSI and a bare chain of NumPy events. No metrics, no trades, no checks."""
    without_pandas()
    import numpy as np
    import talib

    _, opened, _, _, close, _ = market(size)

    def run() -> tuple[int, float]:
        rsi = talib.RSI(close, 14)
        entries, exits = np.flatnonzero(rsi < 30.0), np.flatnonzero(rsi > 70.0)
        equity, cash, bar, count = np.empty(size), CASH, 0, 0
        while True:
            index = int(np.searchsorted(entries, bar))
            if index == len(entries) or entries[index] >= size - 1:
                break
            entered = int(entries[index]) + 1
            equity[bar:entered] = cash
            amount = cash / (opened[entered] * (1.0 + FEE))
            index = int(np.searchsorted(exits, entered))
            bar = int(exits[index]) + 1 if index < len(exits) and exits[index] < size - 1 else size
            np.multiply(close[entered:bar], amount, out=equity[entered:bar])
            count += 1
            if bar == size:
                return count, float(equity[-2])
            cash = float(amount * opened[bar] * (1.0 - FEE))
        equity[bar:] = cash
        return count, float(equity[-2])

    return run


ENGINES: dict[str, Callable[[int], Job]] = {
    "heytraders": heytraders,
    "raptorbt": raptorbt,
    "vectorbt": vectorbt,
    "backtesting.py": backtesting,
    "numpy floor": floor,
}


def main(name: str, size: int, rounds: int) -> None:
    """Time one engine and print the measurements."""
    started = time.perf_counter()
    job = ENGINES[name](size)
    loaded = time.perf_counter() - started
    trades, equity = job()
    cpu: list[float] = []
    wall: list[float] = []
    for _ in range(rounds):
        begun, busy = time.perf_counter(), time.process_time()
        job()
        cpu.append(1_000.0 * (time.process_time() - busy))
        wall.append(1_000.0 * (time.perf_counter() - begun))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024.0
    print(json.dumps({"load": loaded, "cpu": cpu, "wall": wall, "peak": peak, "trades": trades, "equity": equity}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

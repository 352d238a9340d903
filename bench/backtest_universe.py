"""A universe on one account: fifty symbols over a year of hourly bars, and the cost as bars and symbols grow."""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from api.symbols import Instrument
from engine.frame import Bars, Frame
from engine.program import Emission, Entry, Exit, Rebalance, SignalIntent, Size, StaticProgram
from engine.results.metrics import measure_curve, measure_trades
from engine.simulation.kernel import simulate
from engine.simulation.settings import SimulationSettings

TERMS = SimulationSettings()
LOOKBACK = 168


def universe(symbols: int, bars: int) -> Frame:
    """Walks with one common factor."""
    rng = np.random.default_rng(7)
    common = rng.standard_t(4, bars) * 0.004
    frame: dict[Instrument, Bars] = {}
    for i in range(symbols):
        close = 100.0 * np.exp(np.cumsum(common + rng.standard_t(4, bars) * 0.004))
        opened = np.concatenate([[100.0], close[:-1]])
        high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) * 0.998
        frame[Instrument("binance", f"S{i}", "USDT")] = Bars(opened, high, low, close, close, "simulated")
    return Frame("1h", 1_600_000_000 + 3_600 * np.arange(bars), frame)


def momentum(frame: Frame, every: int) -> StaticProgram:
    """Hold the best fifth by weekly return with equal weights, rebalanced every `every` bars."""
    close = np.stack([bars.close for bars in frame.bars.values()])
    past = np.full_like(close, np.nan)
    past[:, LOOKBACK:] = close[:, LOOKBACK:] / close[:, :-LOOKBACK] - 1.0
    best = max(len(close) // 5, 1)
    rank = np.argsort(np.argsort(-past, axis=0), axis=0)
    weights = np.where(rank < best, 0.99 / best, 0.0)
    due = np.arange(len(frame)) % every == 0
    due[:LOOKBACK] = False
    intents: tuple[SignalIntent, ...] = tuple(Rebalance(i, w) for i, w in zip(frame.bars, weights, strict=True))
    return (Emission(due, intents),)


def reversals(frame: Frame) -> StaticProgram:
    """Each symbol separately: buy a share of equity after a one-day fall, with a stop and a target."""
    size = Size("weight", 1.0 / len(frame.bars))
    program: list[Emission] = []
    for instrument, bars in frame.bars.items():
        change = np.zeros(len(frame))
        change[24:] = bars.close[24:] / bars.close[:-24] - 1.0
        program.append(Emission(change < -0.05, (Entry(instrument, 1, size, stop_loss=0.05, take_profit=0.1),)))
        program.append(Emission(change > 0.02, (Exit(instrument),)))
    return tuple(program)


def timed(frame: Frame, program: StaticProgram, runs: int = 5) -> tuple[float, int, int]:
    """Median CPU milliseconds with all metrics, fills, trades."""
    times: list[float] = []
    fills = trades = 0
    for _ in range(runs):
        begun = time.process_time()
        result = simulate(frame, program, TERMS)
        measure_curve(result.equity, TERMS.initial_cash, frame.seconds)
        measure_trades(result)
        times.append(1_000.0 * (time.process_time() - begun))
        fills, trades = len(result.fills), len(result.trades)
    return median(times), fills, trades


def year_of_hours() -> None:
    """Fifty symbols, 8,760 hourly bars."""
    frame = universe(50, 8_760)
    print("\n50 symbols x 8,760 hours on one account, kernel and metrics, CPU ms")
    for name, program in (
        ("momentum, weekly", momentum(frame, 168)),
        ("momentum, daily", momentum(frame, 24)),
        ("momentum, hourly", momentum(frame, 1)),
        ("reversals with stops", reversals(frame)),
    ):
        ms, fills, trades = timed(frame, program, 3)
        print(f"  {name:22}{ms:10.1f}{fills:10,} fills{trades:10,} trades{1_000.0 * ms / max(fills, 1):8.1f} us a fill")


def growth() -> None:
    """The cost per bar and symbol should stay constant as either grows."""
    print("\ngrowth: daily momentum and reversals, CPU ms (ns a bar and symbol)")
    for symbols, bars in ((10, 8_760), (20, 8_760), (40, 8_760), (80, 8_760), (20, 17_520), (20, 35_040), (20, 70_080)):
        frame = universe(symbols, bars)
        cells = symbols * bars
        shown = [timed(frame, program, 3)[0] for program in (momentum(frame, 24), reversals(frame))]
        print(f"  {symbols:3} x {bars:6,}" + "".join(f"{ms:10.1f} ({1e6 * ms / cells:4.0f})" for ms in shown))

"""What a strategy decides on closed bars, by the very kernel that backtests it.

The strategy is traded on an account of its own from the first bar of the subscription. A decision of the last closed
bar is filled at the next bar's open, which does not exist yet: one flat bar at the last close stands in for it, and
the fill in it is the decision. Nothing depends on that bar, as every operator reads the past only. So a signal is the
same whether it was found in time or after a restart, and the same that a backtest of these bars would trade.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from api.symbols import Instrument
from engine.feeds.feed import Feed
from engine.feeds.market import load_frame
from engine.frame import Bars, Floats, Frame
from engine.language import CompiledScript, ScriptContext, compile_script
from engine.simulation.kernel import simulate
from engine.simulation.result import Simulation
from engine.simulation.settings import SimulationSettings
from engine.simulation.trades import Fill, FillReason

from .deployment import Deployment

STARTING_CASH: Final = 10_000.0
_INSIDE_THE_BAR: Final[frozenset[FillReason]] = frozenset(
    {"stop_loss", "take_profit", "trailing_stop", "liquidation", "resolution", "grid"}
)

Action = Literal["entry", "exit", "rebalance"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One buy or sell.

    Attributes:
        key: Tells it from every other decision of the subscription; the same however often it is found.
        bar_time: Close of the bar on which it was decided, unix seconds.
        direction: 1 buys, -1 sells.
        price: Close of that bar, or the level that was reached inside it.
        weight: Value of what is traded, as a fraction of the strategy's equity.
        closes: Share of the strategy's position that it closes; 0 for what opens or adds.
        position: What it opens, changes or closes.
        reason: entry, signal, stop_loss, ...
    """

    key: str
    bar_time: int
    instrument: Instrument
    direction: Literal[1, -1]
    action: Action
    position: Literal["long", "short"]
    price: float
    weight: float
    closes: float
    reason: FillReason


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is new on a subscription. `seen_until` is the close of the last closed bar."""

    decisions: tuple[Decision, ...]
    seen_until: int


def decide(feed: Feed, deployment: Deployment, started_at: int, cursor: int) -> Outlook:
    """The decisions since the bar that closed at `cursor`; one of that very bar may be among them again. Blocking.

    Args:
        started_at: Open time of the first bar of the subscription; bars before it warm indicators up.

    Raises:
        HeyTradersError: The script does not fit the data, or there is none.
    """
    script = _compiled(deployment)
    frame = load_frame(feed, script.instruments, deployment.timeframe, started_at, None, warmup_bars=script.warmup_bars)
    seen_until = int(frame.time[-1]) + frame.seconds
    if seen_until <= cursor:
        return Outlook((), cursor)
    first_bar = int(np.searchsorted(frame.time, started_at))
    extended = _with_next_bar(frame)
    settings = SimulationSettings(
        initial_cash=STARTING_CASH,
        slippage=0.0,
        leverage=deployment.leverage,
        resolves_at=_resolutions(feed, script.instruments),
    )
    simulation = simulate(extended, script.program(extended, first_bar), settings, first_bar)
    return Outlook(tuple(_since(simulation, cursor)), seen_until)


def watched(deployment: Deployment) -> tuple[Instrument, ...]:
    """Every instrument that the strategy reads.

    Raises:
        InvalidInput: Its script does not compile.
    """
    return tuple(_compiled(deployment).instruments)


def _compiled(deployment: Deployment) -> CompiledScript:
    context = ScriptContext(deployment.instruments, deployment.timeframe, deployment.mode, deployment.exchange)
    return compile_script(deployment.script, context)


def _resolutions(feed: Feed, instruments: Iterable[Instrument]) -> dict[Instrument, int]:
    """When prediction tokens pay out."""
    tokens = (feed.listing(i) for i in instruments if i.market_type == "prediction")
    return {token.instrument: token.resolves_at for token in tokens if token.resolves_at is not None}


def _since(simulation: Simulation, cursor: int) -> Iterator[Decision]:
    """The fills of the bars that opened at `cursor` or later, as decisions."""
    net: dict[Instrument, float] = {}
    repeats: Counter[str] = Counter()
    for fill, bar in zip(simulation.fills.rows(), simulation.fills.bar.tolist(), strict=True):
        before = net.get(fill.instrument, 0.0)
        net[fill.instrument] = before + fill.direction * fill.amount
        opened = int(simulation.frame.time[bar])
        if opened < cursor or fill.reason == "end_of_data":
            continue
        label = f"{opened}:{fill.instrument.ticker}:{fill.direction}:{fill.reason}"
        repeats[label] += 1
        equity = simulation.equity[bar - simulation.first_bar - 1] if bar > simulation.first_bar else STARTING_CASH
        inside = fill.reason in _INSIDE_THE_BAR or fill.price != simulation.frame.bars[fill.instrument].open[bar]
        yield Decision(
            key=f"{label}:{repeats[label]}",
            bar_time=opened + simulation.frame.seconds if inside else opened,
            instrument=fill.instrument,
            direction=fill.direction,
            action=_action(fill),
            position="long" if _holding(before, net[fill.instrument], fill.amount) > 0 else "short",
            price=fill.price,
            weight=float(fill.amount * fill.price / equity) if equity > 0 else 0.0,
            closes=min(fill.amount / abs(before), 1.0) if before * fill.direction < 0 else 0.0,
            reason=fill.reason,
        )


def _action(fill: Fill) -> Action:
    if fill.reason == "rebalance":
        return "rebalance"
    if fill.reason == "grid":
        return "entry" if fill.direction > 0 else "exit"
    return "entry" if fill.reason == "entry" else "exit"


def _holding(before: float, after: float, traded: float) -> float:
    """The position that a fill is about: what it leaves, or what it closed if it leaves nothing."""
    return before if abs(after) <= traded * 1e-9 else after


def _with_next_bar(frame: Frame) -> Frame:
    """The frame with a flat bar at the last close, so that the last decisions are filled."""
    bars = {instrument: _flat_next(b) for instrument, b in frame.bars.items()}
    time = np.append(frame.time, frame.time[-1] + frame.seconds)
    return Frame(frame.timeframe, time, bars)


def _flat_next(bars: Bars) -> Bars:
    def extended(column: Floats, value: float) -> Floats:
        return np.append(column, value)

    last = float(bars.close[-1])
    prices = (extended(column, last) for column in (bars.open, bars.high, bars.low, bars.close))
    return Bars(*prices, volume=extended(bars.volume, float(bars.volume[-1])), source=bars.source)

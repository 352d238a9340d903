"""Computes a strategy's decisions on closed bars, with the same kernel that backtests it.

The strategy trades on a simulated account, on the terms of its backtest, from the first bar of the subscription. The
account's state is stored with the subscription, and each run continues from it over the bars that closed since. A
decision of the last closed bar fills at the next bar's open, which does not exist yet. One flat bar at the last close,
with the last volume, takes its place, and the fill in it is the decision. Resting orders, stops and targets fill only
in closed bars; the result lists those that are in the market during the coming bar. So a signal is the same whether it
was found in time or after a restart, and the same as a backtest of these bars would trade, with the same lots and
smallest orders. The one exception is a limit on the share of volume: the volume of the coming bar is not known yet.

Indicators are computed over a tail of history long enough to give bit-identical results to the whole history. If no
tail is long enough, or an instrument lacks bars, the whole history is loaded. A state that cannot be read is computed
again from the subscription's first bar.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np

from api.errors import HeyTradersError
from api.exchanges import EXCHANGES
from api.orders import OrderType
from api.symbols import Instrument
from api.times import SECONDS
from engine.feeds.feed import Feed
from engine.feeds.market import load_frame
from engine.frame import Frame
from engine.jobs.run import funding_rates, order_rules
from engine.language import CompiledScript, ScriptContext, compile_script
from engine.program import Entry, Grid, SizeKind
from engine.simulation.account import DUST
from engine.simulation.kept import DAY, KernelState, RestingEntry, RestingExits, RestingOrders, difference
from engine.simulation.kernel import Advance, advance
from engine.simulation.result import EndedEarly
from engine.simulation.rules import amount_for
from engine.simulation.schedule import EntryOrder, at
from engine.simulation.settings import SimulationSettings
from engine.simulation.trades import Fill, FillReason
from engine.trading_rules import ZERO, ListedTerms

from .bars import Shared
from .deployment import Deployment

_FIXED: Final[frozenset[SizeKind]] = frozenset({"notional", "amount"})
_INSIDE_THE_BAR: Final[frozenset[FillReason]] = frozenset(
    {"stop_loss", "take_profit", "trailing_stop", "liquidation", "resolution", "grid"}
)

DecidedAction = Literal["entry", "exit", "rebalance"]
EndReason = EndedEarly | Literal["empty_account", "liquidation"]


@dataclass(frozen=True, slots=True)
class LiveDecision:
    """One buy or sell.

    Attributes:
        key: Identifies it among the decisions of the subscription; the same each time it is found.
        bar_time: Close of the bar on which it was decided, unix seconds.
        direction: 1 buys, -1 sells.
        price: Close of that bar, or the level reached inside it.
        weight: Value of the trade, as a fraction of the strategy's equity.
        closes: Share of the strategy's position that it closes, before rounding to lots; 0 if it opens or adds.
        units: Base units on the strategy's simulated account.
        position: The position that it opens, changes or closes.
        reason: entry, signal, stop_loss, ...
        amount: Base units, if the script sets a size that does not depend on equity (`Notional`, `Amount`).
        stop, target: Exit prices of the position that it opens, if the entry names them.
        rung: The rung of a grid that it buys or sells; None if it is not a fill of a grid.
        limit: The limit of the entry that filled; None without one.
    """

    key: str
    bar_time: int
    instrument: Instrument
    direction: Literal[1, -1]
    action: DecidedAction
    position: Literal["long", "short"]
    price: float
    weight: float
    closes: float
    units: float
    reason: FillReason
    amount: float | None = None
    stop: float | None = None
    target: float | None = None
    rung: int | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Rest:
    """An order that is in the market during the coming bar.

    Attributes:
        slot: Its purpose; a later order of the same slot replaces it.
        direction: 1 buys, -1 sells.
        units: Base units on the strategy's simulated account.
        price: Its limit or, if `kind` is stop, the price that triggers a market order.
        closes: Whether it closes a position. When one of an instrument's exits fills, the others of its slot end.
        fixed: Whether the script sets a size that does not depend on equity.
        stop, target: Exit prices of the position that it opens.
        reason: The name of its fill.
    """

    slot: str
    instrument: Instrument
    direction: Literal[1, -1]
    units: float
    price: float
    kind: Literal["limit", "stop"]
    closes: bool
    reason: FillReason
    fixed: bool = True
    stop: float | None = None
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """The result of a run of a subscription.

    Attributes:
        seen_until: Close of the last closed bar.
        kept: The state to continue from, with the last bar that it has seen; None if nothing is new.
        ended: The portfolio limit that was reached, or that the last position was liquidated, or the account is empty.
            No more decisions follow.
        rests: The orders in the market once the coming bar has opened.
        holds: Base units of each instrument then, negative for a short.
        equity: Equity of the strategy's simulated account at the last close.
    """

    decisions: tuple[LiveDecision, ...]
    seen_until: int
    kept: str | None = None
    ended: EndReason | None = None
    rests: tuple[Rest, ...] = ()
    holds: dict[Instrument, float] = field(default_factory=dict[Instrument, float])
    equity: float = 0.0


def decide(
    feed: Feed,
    deployment: Deployment,
    started_at: int,
    cursor: int,
    kept: str | None = None,
    until: int | None = None,
    shared: Shared | None = None,
) -> Outlook:
    """The decisions since the bar that closed at `cursor`; one of that same bar may be repeated. Blocking.

    Args:
        started_at: Open time of the first bar of the subscription; earlier bars warm up indicators.
        kept: The state from the previous run. Without it, everything since `started_at` is traded again.
        until: Bars that close later are ignored.
        shared: What other subscriptions have computed in the same step.

    Raises:
        HeyTradersError: The script does not fit the data, or there is no data.
    """
    script = _compiled(deployment)
    seen, before = _read(kept, started_at)
    shared = shared or Shared()
    seen_until = max(shared.last_close(feed, i, deployment.timeframe) for i in script.instruments)
    if until is not None:
        seen_until = min(seen_until, until)
    if seen_until <= max(cursor, seen):
        return Outlook((), cursor)
    loaded, extended = _loaded(feed, script, deployment, started_at, seen, before, seen_until, shared)
    first_bar = int(np.searchsorted(loaded.time, seen))
    traded = replace(extended, bars={i: extended.bars[i] for i in deployment.instruments})
    settings = _settings(feed, deployment, int(loaded.time[0]), seen_until + 1, shared)
    program = shared.program(script, extended, int(np.searchsorted(loaded.time, started_at)))
    advanced = advance(traded, program, settings, first_bar, before)
    universe = tuple(traded.bars)
    decisions = tuple(_since(advanced, before, traded, settings, first_bar, cursor))
    return Outlook(
        decisions=decisions,
        seen_until=seen_until,
        kept=_written(seen_until, advanced.state),
        ended=_ended(advanced.state, settings, decisions),
        rests=tuple(_rests(advanced.resting, universe)),
        holds=_holds(advanced.resting, universe),
        equity=advanced.state.equity,
    )


def _rests(resting: Iterable[RestingOrders], universe: Sequence[Instrument]) -> Iterator[Rest]:
    """The orders of the coming bar, each with a slot that is stable from bar to bar."""
    entries: Counter[int] = Counter()
    for order in resting:
        instrument = universe[order.k]
        name = f"{instrument.ticker}#{order.cell}" if order.cell >= 0 else instrument.ticker
        match order:
            case RestingEntry(k, cell, side, units, price, stop, target, fixed):
                place, reason = ("", "grid") if cell >= 0 else (f":{entries[k]}", "entry")
                entries[k] += cell < 0
                yield Rest(
                    f"entry:{name}{place}",
                    instrument,
                    side,
                    units,
                    price,
                    "limit",
                    closes=False,
                    reason=reason,
                    fixed=fixed,
                    stop=stop,
                    target=target,
                )
            case RestingExits(_, cell, side, units, stop, why, target):
                away: Literal[1, -1] = -1 if side > 0 else 1
                if stop is not None:
                    yield Rest(f"stop:{name}", instrument, away, units, stop, "stop", closes=True, reason=why)
                if target is not None:
                    reason = "grid" if cell >= 0 else "take_profit"
                    yield Rest(f"target:{name}", instrument, away, units, target, "limit", closes=True, reason=reason)


def _holds(resting: Iterable[RestingOrders], universe: Sequence[Instrument]) -> dict[Instrument, float]:
    held = dict.fromkeys(universe, 0.0)
    for order in resting:
        if isinstance(order, RestingExits):
            held[universe[order.k]] += order.side * order.amount
    return held


def funding_paid(kept: str | None) -> float:
    """The funding that the strategy's simulated account has paid so far, money; negative if received."""
    state = _read(kept, 0)[1]
    return 0.0 if state is None else state.funding


def too_small(feed: Feed, deployment: Deployment, started_at: int) -> str:
    """Why the venue would refuse an entry of the script at the latest price; "" if none is known to be too small.

    Sizes that depend on the account's positions are not judged.
    """
    script = _compiled(deployment)
    loaded = load_frame(feed, script.instruments, deployment.timeframe, started_at, None, script.warmup_bars)
    program = script.program(loaded, int(np.searchsorted(loaded.time, started_at)))
    if not isinstance(program, tuple):
        return ""
    entries = (i for emission in program for i in emission.intents if isinstance(i, Entry | Grid))
    return next((why for entry in entries if (why := _too_small(feed, deployment, loaded, entry))), "")


def _too_small(feed: Feed, deployment: Deployment, loaded: Frame, entry: Entry | Grid) -> str:
    last, listing = len(loaded) - 1, feed.listing(entry.instrument)
    resting = entry.lower if isinstance(entry, Grid) else entry.limit
    price = float(loaded.bars[entry.instrument].close[-1]) if resting is None else at(resting, last)
    stop = None if isinstance(entry, Grid) or entry.stop_loss is None else at(entry.stop_loss, last)
    amount = amount_for(entry.size.kind, at(entry.size.value, last), deployment.initial_cash, price, stop)
    if not amount > 0.0 or not price > 0.0:
        return ""
    rules, terms, exchange = order_rules(listing), ListedTerms.of(listing), EXCHANGES[entry.instrument.exchange]
    smallest = float(terms.smallest if resting is None else max(terms.smallest, exchange.smallest_resting or ZERO))
    lots = rules.whole_lots(amount)
    if lots > 0.0 and lots >= smallest and rules.takes(lots, price):
        return ""
    least = f"{smallest:g} {entry.instrument.base[:12]} and " if smallest > 0.0 else ""
    return (
        f"an entry would be {amount:.6g} {entry.instrument.symbol} at {price:.6g}, worth {amount * price:.6g}, and the"
        f" smallest order on {exchange.name} is {least}{rules.minimum:g} {entry.instrument.quote}"
    )


def verify(feed: Feed, deployment: Deployment, started_at: int, kept: str | None) -> tuple[int, str | None]:
    """Replay a subscription from its first bar, and compare the account with the stored state. Blocking.

    Returns:
        The close of the last bar that both have seen, and a description of the first difference; None if equal.
    """
    seen, state = _read(kept, started_at)
    if state is None:
        return seen, None if kept is None else "the kept state cannot be read; it is computed again at the next bar"
    replayed = _read(decide(feed, deployment, started_at, started_at, until=seen).kept, started_at)[1]
    return seen, None if replayed is None else difference(state, replayed)


def _read(kept: str | None, started_at: int) -> tuple[int, KernelState | None]:
    """The close of the last bar that a stored state has seen, and the state."""
    if kept is not None:
        seen, _, text = kept.partition(" ")
        state = KernelState.from_json(text)
        if state is not None and seen.isdecimal():
            return int(seen), state
    return started_at, None


def _written(seen: int, state: KernelState) -> str:
    return f"{seen} {state.to_json()}"


def _loaded(
    feed: Feed,
    script: CompiledScript,
    deployment: Deployment,
    started_at: int,
    seen: int,
    before: KernelState | None,
    until: int,
    shared: Shared,
) -> tuple[Frame, Frame]:
    """The bars since the state, with as much earlier history as the script needs, and the same with the coming bar.

    A bar that closes later than `until`, while this is running, is left for the next run.
    """
    timeframe = deployment.timeframe
    tail = None if script.tail is None else max(script.tail, DAY // SECONDS[timeframe] + 1)
    if before is not None and tail is not None and before.bars > tail:
        frames = shared.frames(feed, script.instruments, timeframe, (seen, until, tail))
        if not any(bool(np.isnan(bars.close).any()) for bars in frames[0].bars.values()):
            return frames
    return shared.frames(feed, script.instruments, timeframe, (started_at, until, script.warmup_bars))


def _settings(feed: Feed, deployment: Deployment, start: int, end: int, shared: Shared) -> SimulationSettings:
    """The backtest's terms, with the funding rates due from `start` to before `end`, unix seconds."""
    return SimulationSettings(
        initial_cash=deployment.initial_cash,
        fee=deployment.fee,
        slippage=deployment.slippage,
        leverage=deployment.leverage,
        stop_loss=deployment.stop_loss,
        take_profit=deployment.take_profit,
        order_rules={i: shared.order_rules(feed, i) for i in deployment.instruments},
        max_volume_share=deployment.max_volume_share,
        resolves_at=_resolutions(feed, deployment.instruments),
        funding=funding_rates(feed, deployment.instruments, start, end),
    )


def _ended(state: KernelState, settings: SimulationSettings, decisions: Iterable[LiveDecision]) -> EndReason | None:
    if state.ending is not None:
        return state.ending
    if state.positions:
        return None
    if state.equity <= DUST * settings.initial_cash:
        return "empty_account"
    return "liquidation" if any(decision.reason == "liquidation" for decision in decisions) else None


def watched(deployment: Deployment) -> tuple[Instrument, ...]:
    """Every instrument that the strategy reads.

    Raises:
        InvalidInput: Its script does not compile.
    """
    return tuple(_compiled(deployment).instruments)


def order_types(deployment: Deployment) -> tuple[tuple[OrderType, ...], tuple[OrderType, ...]]:
    """The types of the orders with which a strategy opens positions, and closes them on a signal; none if unknown."""
    prediction = EXCHANGES[deployment.exchange].market_type == "prediction"
    resting: OrderType = "GTC" if prediction else "limit"
    at_once: OrderType = "FOK" if prediction else "market"
    entries, exits = set[OrderType](), set[OrderType]()
    with suppress(HeyTradersError):
        for intent in (i for emission in _compiled(deployment).plan.emissions for i in emission.intents):
            match intent.kind:
                case "entry":
                    entries.add(at_once if intent.options.get("limit") is None else resting)
                case "grid":
                    entries.add(resting)
                case "exit":
                    exits.add(at_once)
                case "rebalance":
                    entries.add(at_once)
                    exits.add(at_once)
                case "move_stop":
                    pass
    return tuple(sorted(entries)), tuple(sorted(exits))


def _compiled(deployment: Deployment) -> CompiledScript:
    context = ScriptContext(deployment.instruments, deployment.timeframe, deployment.mode, deployment.exchange)
    return compile_script(deployment.script, context)


def _resolutions(feed: Feed, instruments: Iterable[Instrument]) -> dict[Instrument, int]:
    """When prediction tokens pay out."""
    tokens = (feed.listing(i) for i in instruments if i.market_type == "prediction")
    return {token.instrument: token.resolves_at for token in tokens if token.resolves_at is not None}


def _since(
    advanced: Advance, before: KernelState | None, frame: Frame, settings: SimulationSettings, first: int, cursor: int
) -> Iterator[LiveDecision]:
    """The fills of the bars that opened at `cursor` or later, as decisions."""
    universe = tuple(frame.bars)
    net: dict[Instrument, float] = {}
    for position in before.positions if before is not None else ():
        held = universe[position.slot[0]]
        net[held] = net.get(held, 0.0) + position.signed
    repeats: Counter[str] = Counter()
    start = before.equity if before is not None else settings.initial_cash
    bars: list[int] = advanced.fills.bar.tolist()
    for number, (fill, bar) in enumerate(zip(advanced.fills.rows(), bars, strict=True)):
        held = net.get(fill.instrument, 0.0)
        net[fill.instrument] = held + fill.direction * fill.amount
        opened = int(frame.time[bar])
        label = f"{opened}:{fill.instrument.ticker}:{fill.direction}:{fill.reason}"
        repeats[label] += 1
        if opened < cursor:
            continue
        equity = advanced.equity[bar - first - 1] if bar > first else start
        order = advanced.entries.get(number)
        opens = held * fill.direction >= 0 and fill.reason == "entry"
        yield LiveDecision(
            key=f"{label}:{repeats[label]}",
            bar_time=opened + (frame.seconds if _inside(fill, order) else 0),
            instrument=fill.instrument,
            direction=fill.direction,
            action=_action(fill),
            position="long" if _holding(held, net[fill.instrument], fill.amount) > 0 else "short",
            price=fill.price,
            weight=float(fill.amount * fill.price / equity) if equity > 0 else 0.0,
            closes=_closes(fill, held, advanced.shares.get(number), settings),
            units=fill.amount,
            reason=fill.reason,
            amount=fill.amount if order is not None and order.kind in _FIXED and opens else None,
            stop=_level(order, fill, -1) if opens else None,
            target=_level(order, fill, 1) if opens else None,
            rung=advanced.rungs.get(number),
            limit=None if order is None else order.limit,
        )


def _closes(fill: Fill, held: float, asked: float | None, settings: SimulationSettings) -> float:
    """The share of the holding that a fill closes; for a single position, the share `asked` before rounding."""
    if held * fill.direction >= 0:
        return 0.0
    lot = settings.order_rules[fill.instrument].lot
    if asked is not None and 0.0 <= asked * abs(held) - fill.amount <= lot:
        return asked
    return min(fill.amount / abs(held), 1.0)


def _inside(fill: Fill, order: EntryOrder | None) -> bool:
    """Whether an order made it that was in the market during the bar, not a market order at its open."""
    return fill.reason in _INSIDE_THE_BAR or (order is not None and order.limit is not None)


def _level(order: EntryOrder | None, fill: Fill, which: Literal[1, -1]) -> float | None:
    """The price of an entry's stop (-1), fixed or trailing, or target (1)."""
    if order is None:
        return None
    fractions = (order.target,) if which > 0 else (order.stop, order.trail)
    fraction = min((f for f in fractions if f is not None), default=None)
    return None if fraction is None else fill.price * (1.0 + which * fill.direction * fraction)


def _action(fill: Fill) -> DecidedAction:
    if fill.reason == "rebalance":
        return "rebalance"
    if fill.reason == "grid":
        return "entry" if fill.direction > 0 else "exit"
    return "entry" if fill.reason == "entry" else "exit"


def _holding(before: float, after: float, traded: float) -> float:
    """The position of a fill: the one left after it, or the one it closed if nothing is left."""
    return before if abs(after) <= traded * 1e-9 else after

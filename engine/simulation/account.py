"""The account of a simulation: the only place where money moves, and the view of it that scripts read.

The balance is pure cash flow: buying subtracts the value, selling adds it, fees subtract. Equity is `balance +
sum(signed amount * price)`. Free cash is the balance plus every position's entry value, less its margin. The order of
the operations is part of the contract: the reference loop in the tests repeats it and must produce the same bits.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from api.symbols import Instrument
from engine.frame import Floats, Frame
from engine.program import AccountState, DirectionSign, PositionState
from engine.trading_rules import ANY_ORDER

from .market import Costs, TradedInstrument
from .result import SizeCounts
from .schedule import EntryOrder
from .trades import CODE, ExitReason, FillReason, Fills, Trades

DUST = 1e-9
"""Fills worth less than this share of the initial cash are not made."""

CUT: Final = 0.99
"""An opening with less than this share of what was asked counts as cut: fees alone take less."""

_ENTRY, _SIGNAL = CODE["entry"], CODE["signal"]

PositionSlot = tuple[int, int]
"""Where a position lives: the instrument's place in the universe, and the grid cell or -1."""


@dataclass(slots=True)
class OpenPosition:
    """An open position. `stop`, `target` and `trail` are fractions, `price_target` an absolute price (grid cells).

    `peak` is the best price since the entry up to bar `seen`, `entries` the number of orders that built the position,
    `fees` and `slippage` their cost. `done` holds the one-time exits that have already fired. `top` and `bottom` are
    the extremes of the bars from the entry to bar `measured`, for scripts that read them.
    """

    slot: PositionSlot
    side: DirectionSign
    amount: float
    entry: float
    opened: int
    fees: float
    slippage: float
    peak: float
    seen: int
    funding: float = 0.0
    tag: str | None = None
    entries: int = 1
    stop: float | None = None
    target: float | None = None
    trail: float | None = None
    price_target: float | None = None
    clear: int = -1
    reach: int = 256
    done: set[int] = field(default_factory=set[int])
    top: float = -math.inf
    bottom: float = math.inf
    measured: int = -1

    @property
    def signed(self) -> float:
        """Amount, negative for a short."""
        return self.side * self.amount

    def follow(self, order: EntryOrder) -> None:
        """Adopt the tag and the exits of the entry that has just filled."""
        self.stop, self.target, self.trail, self.tag = order.stop, order.target, order.trail, order.tag
        self.clear = -1

    def move_stop(self, price: float) -> None:
        """Move the stop to `price` if that is nearer to the market."""
        fraction = self.side * (1.0 - price / self.entry)
        if self.stop is None or fraction < self.stop:
            self.stop = fraction
            self.clear = -1

    def fixed_guard(self, costs: Costs) -> tuple[float, ExitReason]:
        """The nearer of stop and liquidation price, and which one it is; infinitely far without either."""
        side = self.side
        level = costs.liquidation_price(side, self.entry)
        if self.stop is not None:
            stop = self.entry * (1.0 - side * self.stop)
            if side * stop >= side * level:
                return stop, "stop_loss"
        return level, "liquidation"

    def guard(self, costs: Costs) -> tuple[float, ExitReason]:
        """The price against the position at which it must close, and why."""
        level, reason = self.fixed_guard(costs)
        if self.trail is not None:
            trailing = self.peak * (1.0 - self.side * self.trail)
            if self.side * trailing > self.side * level:
                return trailing, "trailing_stop"
        return level, reason

    def goal(self) -> float:
        """The take-profit price; infinitely far without a target."""
        if self.price_target is not None:
            return self.price_target
        if self.target is None:
            return self.side * math.inf
        return self.entry * (1.0 + self.side * self.target)


class SimulatedAccount:
    """Balance, open positions, and the record of fills and trades."""

    def __init__(self, initial_cash: float, markets: Sequence[TradedInstrument]) -> None:
        self.balance = initial_cash
        self.dust = DUST * initial_cash
        self.positions: dict[PositionSlot, OpenPosition] = {}
        self.order: list[PositionSlot] = []
        self.funding = 0.0
        self.sizes = SizeCounts()
        self._markets = markets
        self._costs = tuple(market.costs for market in markets)
        self._is_cut = False
        self._trades: list[float] = []
        self._fills: list[float] = []
        self._tags: dict[str | None, float] = {None: 0.0}
        self.opened: dict[int, list[int]] = {}
        self.closed: dict[int, tuple[int, float]] = {}
        self.shares: dict[int, float] = {}
        self.entries: dict[int, EntryOrder] = {}
        self.rungs: dict[int, int] = {}

    def equity(self, prices: Sequence[float]) -> float:
        """Balance and positions, each valued at its instrument's price."""
        total = self.balance
        for slot in self.order:
            total += self.positions[slot].signed * prices[slot[0]]
        return total

    def free(self) -> float:
        """Free cash."""
        balance = self.balance
        for slot in self.order:
            p = self.positions[slot]
            value = p.amount * p.entry
            balance += p.side * value - value * self._costs[slot[0]].inverse_leverage
        return balance

    def afford(self, cost: float, orders: int = 1) -> float:
        """The factor, at most 1, that scales down `orders` with a total cost of `cost`."""
        free = self.free()
        self._is_cut = False
        if cost <= free or cost <= 0.0:
            return 1.0
        factor = max(free / cost, 0.0)
        if factor * cost < self.dust:
            self.sizes.unfunded += orders
        elif factor < CUT:
            self.sizes.cut += orders
            self._is_cut = True
        return factor

    def fitted(self, k: int, amount: float, price: float, bar: int) -> float:
        """The amount of an opening that the exchange fills on `bar`: whole lots, capped at a share of the volume, and 0
        below its smallest order."""
        market = self._markets[k]
        if (market.most is None and market.rules is ANY_ORDER) or not self.dust <= amount * price < math.inf:
            return amount
        limit = math.inf if market.most is None else market.most.item(bar)
        limited = amount > limit
        fits = market.rules.whole_lots(min(amount, limit))
        self.sizes.volume_limited += limited
        if fits > 0.0 and market.rules.takes(fits, price):
            return fits
        if self._is_cut:
            self.sizes.cut -= 1
            self.sizes.unfunded += 1
        elif not limited:
            self.sizes.too_small += 1
        return 0.0

    def settle(self) -> None:
        """Correct a free balance that rounding has pushed below zero."""
        free = self.free()
        if free < 0.0:
            self.balance -= free

    def fund(self, bar: int, prices: Sequence[float]) -> None:
        """Charge the funding due at `bar` on open positions, at each instrument's price; shorts receive it."""
        for slot in self.order:
            rates = self._markets[slot[0]].funding
            rate = 0.0 if rates is None else rates.item(bar)
            if rate != 0.0:
                position = self.positions[slot]
                paid = position.signed * prices[slot[0]] * rate
                self.balance -= paid
                self.funding += paid
                position.funding += paid

    def note(self, order: EntryOrder) -> None:
        """Store the entry that made the newest fill, under the number of the fill."""
        self.entries[len(self._fills) // Fills.WIDTH - 1] = order

    def follow(self, position: OpenPosition, order: EntryOrder) -> None:
        """Note the entry that has just filled, and let the position adopt its tag and exits."""
        self.note(order)
        position.follow(order)

    def open(
        self,
        slot: PositionSlot,
        side: DirectionSign,
        amount: float,
        price: float,
        reference: float,
        bar: int,
        reason: FillReason,
        limit: float | None = None,
    ) -> OpenPosition | None:
        """Open or add to the position in `slot` at `price`; None if the amount is too small to trade.

        `reference` is the price before slippage. The exchange judges an order with a `limit` by that price.
        """
        amount = self.fitted(slot[0], amount, price if limit is None else limit, bar)
        value = amount * price
        if not value >= self.dust or value == math.inf:
            return None
        fee = value * self._costs[slot[0]].fee
        slippage = amount * abs(price - reference)
        self.balance -= side * value + fee
        self._note_rung(slot)
        self._fills += (bar, slot[0], side, amount, price, fee, slippage, CODE[reason])
        position = self.positions.get(slot)
        if position is None:
            position = OpenPosition(slot, side, amount, price, bar, fee, slippage, price, bar - 1)
            self.positions[slot] = position
            if slot[1] < 0:
                self.opened.setdefault(slot[0], []).append(bar)
            if self.order:
                insort(self.order, slot)
            else:
                self.order.append(slot)
            return position
        if position.side != side:
            raise AssertionError(f"slot {slot} holds the other side")
        total = position.amount + amount
        position.entry = (position.amount * position.entry + value) / total
        position.amount = total
        position.clear = -1
        position.fees += fee
        position.slippage += slippage
        if reason == "entry":
            position.entries += 1
        return position

    def close(
        self, position: OpenPosition, amount: float, price: float, reference: float, bar: int, reason: ExitReason
    ) -> None:
        """Close `amount` of a position in whole lots, at most all of it. A margined loss is capped at the margin.

        The exchange takes no part below one lot or, except of perpetuals, below its smallest order: it is not closed.
        The requested share, before rounding to lots, is stored under the number of the fill.
        """
        slot, side, costs = position.slot, position.side, self._costs[position.slot[0]]
        share = 1.0
        whole = amount >= position.amount
        if not whole:
            share = amount / position.amount
            market = self._markets[slot[0]]
            amount = market.rules.whole_lots(amount)
            reduces = market.instrument.market_type == "perpetual"
            if amount <= 0.0 or not (reduces or market.rules.takes(amount, price)):
                self.sizes.parts_kept += 1
                return
            self.shares[len(self._fills) // Fills.WIDTH] = share
        if whole:
            amount, fees, slippage = position.amount, position.fees, position.slippage
        else:
            share = amount / position.amount
            fees, slippage = position.fees * share, position.slippage * share
        funding = position.funding * share if position.funding else 0.0
        value = amount * price
        fee = 0.0 if reason == "resolution" else value * costs.fee
        slipped = amount * abs(price - reference)
        gross = side * amount * (price - position.entry)
        self.balance += side * value - fee
        pnl = gross - fees - fee
        if funding:
            pnl -= funding
        left = amount * position.entry * costs.inverse_leverage + gross - fee
        ruined = left < 0.0 and costs.can_liquidate(side)
        if ruined:
            self.balance -= left
            pnl -= left
        tag = self._tags.get(position.tag)
        if tag is None:
            tag = self._tags[position.tag] = float(len(self._tags))
        code, held, entry = CODE[reason], position.opened, position.entry
        self._note_rung(slot)
        self._fills += (bar, slot[0], -side, amount, price, fee, slipped, code)
        both, worse = fees + fee, slippage + slipped
        self._trades += (slot[0], side, amount, held, bar, entry, price, both, worse, pnl, code, tag)
        if whole:
            if slot[1] < 0:
                self.closed[slot[0]] = (bar, 100.0 * pnl / (amount * entry) if amount * entry > 0.0 else 0.0)
            position.amount = 0.0
            del self.positions[slot]
            self.order.remove(slot)
        else:
            position.amount -= amount
            position.fees -= fees
            position.slippage -= slippage
            position.funding -= funding
        if ruined:
            self.settle()

    def _note_rung(self, slot: PositionSlot) -> None:
        """Store the rung of a grid under the number of the coming fill."""
        if slot[1] >= 0:
            self.rungs[len(self._fills) // Fills.WIDTH] = slot[1]

    def round_trips(
        self,
        side: DirectionSign,
        tag: str | None,
        signals: tuple[bytes, bytes],
        first: int,
        size: Callable[[float, int], float],
        path: list[float],
    ) -> int:
        """Trade the only instrument from each entry signal to the next exit signal, flat before and after.

        The position must not be one that can be liquidated. `open`, `settle` and `close` in one loop, with the same
        bits.

        Args:
            signals: One byte a bar, 1 where an entry and where an exit is decided.
            first: The first bar that decides.
            size: The amount to buy at a price, base units, on a bar.
            path: Each trade adds its two fills: bar, balance, signed amount and free cash after each of them.

        Returns:
            The bar on which an entry fills that no exit follows; 0 if there is none.
        """
        market, costs, dust, most = self._markets[0], self._costs[0], self.dust, math.inf
        fee_rate, inverse, cap = costs.fee, costs.inverse_leverage, costs.cap
        entering, leaving = costs.factors(side)
        add_fills, add_trade, add_path = self._fills.extend, self._trades.extend, path.extend
        code, out = self._tags.setdefault(tag, float(len(self._tags))), -side
        next_entry, next_exit = signals[0].find, signals[1].find
        opens, last, bar = market.open.item, len(market.open) - 1, first
        while True:
            bar = next_entry(1, bar, last) + 1
            if not bar:
                return 0
            left = next_exit(1, bar, last) + 1
            if not left:
                return bar
            opened, closed = opens(bar), opens(left)
            price, exit_price = opened * entering, closed * leaving
            if price > cap:
                price = cap
            if exit_price > cap:
                exit_price = cap
            amount = size(price, bar)
            value = amount * price
            if not dust <= value < most:
                continue
            back, held = amount * exit_price, side * amount
            fee, exit_fee = value * fee_rate, back * fee_rate
            slipped, exit_slipped = amount * abs(price - opened), amount * abs(exit_price - closed)
            signed = side * value
            balance = self.balance - (signed + fee)
            margin = signed - value * inverse
            free = balance + margin
            if free < 0.0:
                balance -= free
                free = balance + margin
            self.balance = final = balance + (side * back - exit_fee)
            pnl, fees = held * (exit_price - price) - fee - exit_fee, fee + exit_fee
            add_fills((
                bar, 0, side, amount, price, fee, slipped, _ENTRY,
                left, 0, out, amount, exit_price, exit_fee, exit_slipped, _SIGNAL,
            ))  # fmt: skip
            add_trade((0, side, amount, bar, left, price, exit_price, fees, slipped + exit_slipped, pnl, _SIGNAL, code))
            add_path((bar, balance, held, free, left, final, 0.0, final))
            bar = left

    def records(self, frame: Frame) -> tuple[Trades, Fills]:
        """Everything that happened, by column."""
        return Trades(self._trades, tuple(self._tags), frame), Fills(self._fills, frame)


FLAT = PositionState(side=0, amount=0.0, entry_price=math.nan, bars_in_position=0, unrealized_pnl_pct=0.0)


def account_state(
    account: SimulatedAccount, states: dict[Instrument, PositionState], marks: Sequence[float], bar: int, peak: float
) -> AccountState:
    """The account at the close of `bar`, valued at `marks`; `peak` is the highest equity before.

    `states` comes flat, in the order of the universe, and is filled in.

    Positions in grid cells belong to the grid; they count only towards the money.
    """
    equity = account.equity(marks)
    instruments = tuple(states) if account.order else ()
    for slot in account.order:
        if slot[1] < 0:
            p = account.positions[slot]
            states[instruments[slot[0]]] = PositionState(
                side=p.side,
                amount=p.amount,
                entry_price=p.entry,
                bars_in_position=bar - p.opened,
                unrealized_pnl_pct=100.0 * p.side * (marks[slot[0]] / p.entry - 1.0),
            )
    top = max(peak, equity)
    drawdown = 100.0 * (equity / top - 1.0) if top > 0.0 else 0.0
    return AccountState(equity=equity, cash=account.free(), drawdown_pct=drawdown, positions=states)


def with_memory(
    state: PositionState, account: SimulatedAccount, k: int, bar: int, day: int, prices: tuple[Floats, Floats]
) -> PositionState:
    """Further state of a ticker that a script can read at the close of `bar`: extremes since entry and past trades.

    `day` is the first bar of the UTC day, `prices` the ticker's highs and lows.
    """
    opened, closed = account.opened.get(k, ()), account.closed.get(k)
    today = len(opened) - bisect_left(opened, day)
    if closed is None:
        closed = (bar, math.nan)
        since = math.nan
    else:
        since = float(bar - closed[0])
    position = account.positions.get((k, -1))
    top = bottom = math.nan
    if position is not None:
        begin = max(position.measured + 1, position.opened)
        if begin <= bar:
            position.top = float(np.fmax(position.top, np.fmax.reduce(prices[0][begin : bar + 1])))
            position.bottom = float(np.fmin(position.bottom, np.fmin.reduce(prices[1][begin : bar + 1])))
            position.measured = bar
        top, bottom = position.top, position.bottom
    return replace(
        state,
        highest_since_entry=top,
        lowest_since_entry=bottom,
        bars_since_exit=since,
        last_trade_pnl_pct=closed[1],
        trades_today=today,
    )

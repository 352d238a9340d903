"""The backtest rules as a plain loop over bars: slow and readable, the reference for the kernel.

It shares nothing with the kernel but the declarations of intents and settings. It computes money in the order that the
ledger documents, so both must get the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from api.symbols import Instrument
from engine.frame import Frame
from engine.program import Entry, Exit, Grid, MoveStop, Rebalance, SignalIntent, Size, StaticProgram
from engine.simulation.settings import SimulationSettings
from tests.engine.simulation.reference_orders import Held, Order, Row, Rung, read


class Reference:
    """One run; afterwards `equity`, `cash`, `trades`, `fills` and `ended` have the results."""

    def __init__(self, frame: Frame, program: StaticProgram, settings: SimulationSettings, first_bar: int = 0) -> None:
        self.frame, self.program, self.settings, self.first = frame, program, settings, first_bar
        self.names: list[Instrument] = list(frame.bars)
        self.balance = settings.initial_cash
        self.held: dict[tuple[int, int], Held] = {}
        self.waiting: list[Order] = []
        self.resting: dict[int, list[Order]] = {}
        self.rungs: dict[int, list[Rung]] = {}
        self.grids: dict[int, Any] = {}
        self.numbers = [0] * len(self.names)
        self.mark = [0.0] * len(self.names)
        self.equity: list[float] = []
        self.cash: list[float] = []
        self.trades: list[Row] = []
        self.fills: list[tuple[int, int, int, float, float]] = []
        self.ended: str | None = None
        self.resolved: list[int | None] = []
        self.rows: list[list[tuple[float, float, float, float] | None]] = []
        for name, b in frame.bars.items():
            columns = (b.open.tolist(), b.high.tolist(), b.low.tolist(), b.close.tolist())
            rows = [None if math.isnan(row[3]) else row for row in zip(*columns, strict=True)]
            self.resolved.append(self._resolve(name, rows))
            self.rows.append(rows)

    # --- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> Reference:
        size = len(self.frame)
        for t in range(size):
            before = list(self.mark)
            for k in range(len(self.names)):
                if self.has(k, t):
                    self.mark[k] = self.bar(k, t)[3]
            if t < self.first:
                continue
            if self.ended is None:
                self.trade(t, before)
            else:
                self.flee(t)
            equity = self.value(self.mark)
            last = t == size - 1
            if self.ended is None and not last:
                self.ended = self.limit(equity)
                if self.ended is None:
                    self.decide(t)
                else:
                    self.waiting, self.resting, self.rungs = [], {}, {}
            if last:
                for slot in sorted(self.held):
                    h = self.held[slot]
                    self.sell(slot, h.amount, self.slipped_exit(h, self.mark[h.k]), self.mark[h.k], t, "end_of_data")
                equity = self.balance
            self.equity.append(equity)
            self.cash.append(self.free())
        return self

    def limit(self, equity: float) -> str | None:
        s = self.settings
        if s.stop_loss is not None and equity <= s.initial_cash * (1.0 - s.stop_loss):
            return "portfolio_stop"
        if s.take_profit is not None and equity >= s.initial_cash * (1.0 + s.take_profit):
            return "portfolio_target"
        return None

    def flee(self, t: int) -> None:
        for slot in sorted(self.held):
            h = self.held[slot]
            if self.has(h.k, t):
                o = self.bar(h.k, t)[0]
                self.sell(slot, h.amount, self.slipped_exit(h, o), o, t, str(self.ended))

    def trade(self, t: int, before: list[float]) -> None:
        opens = [self.bar(k, t)[0] if self.has(k, t) else before[k] for k in range(len(self.names))]
        due = [w for w in self.waiting if self.has(w.k, t)]
        self.waiting = [w for w in self.waiting if not self.has(w.k, t)]
        self.market_orders(due, opens, t)
        equity = self.value(opens)
        for k in sorted(self.resting):
            self.limit_orders(k, t, gap=True, just_placed=self.has(k, t) and self.place(k, equity))
        for k in sorted(self.rungs):
            self.buy_rungs(k, opens, t, gap=True)
        for slot in sorted(self.held):
            self.close_by_itself(slot, t)
        fresh: set[tuple[int, int]] = set()
        for k in sorted(self.resting):
            fresh |= self.limit_orders(k, t, gap=False)
        for k in sorted(self.rungs):
            fresh |= self.buy_rungs(k, opens, t, gap=False)
            self.arm(k, t)
        for slot, h in self.held.items():
            if self.has(h.k, t) and slot not in fresh:
                _, high, low, _ = self.bar(h.k, t)
                h.peak = max(h.peak, high) if h.side > 0 else min(h.peak, low)
        for k, at in enumerate(self.resolved):
            if at == t:
                self.pay_out(k, t)

    # --- data --------------------------------------------------------------------------------------------------------

    def has(self, k: int, t: int) -> bool:
        return self.rows[k][t] is not None

    def bar(self, k: int, t: int) -> tuple[float, float, float, float]:
        row = self.rows[k][t]
        assert row is not None
        return row

    def _resolve(self, name: Instrument, rows: list[tuple[float, float, float, float] | None]) -> int | None:
        """The last bar before the outcome is known, whose close becomes the outcome; no bar follows it."""
        when = self.settings.resolves_at.get(name)
        times = self.frame.time.tolist()
        if when is None or when > times[-1] + self.frame.seconds:
            return None
        known = [(t, row) for t, row in enumerate(rows) if times[t] < when and row is not None]
        if not known:
            return None
        at, (opened, high, low, close) = known[-1]
        rows[at:] = [(opened, high, low, 1.0 if close >= 0.5 else 0.0), *[None] * (len(rows) - at - 1)]
        return at

    def perpetual(self, k: int) -> bool:
        return self.names[k].market_type == "perpetual"

    def can_liquidate(self, k: int, side: int) -> bool:
        return self.perpetual(k) and (self.settings.leverage > 1.0 or side < 0)

    # --- money -------------------------------------------------------------------------------------------------------

    def value(self, prices: Sequence[float]) -> float:
        total = self.balance
        for slot in sorted(self.held):
            h = self.held[slot]
            total += h.side * h.amount * prices[h.k]
        return total

    def free(self) -> float:
        total = self.balance
        for slot in sorted(self.held):
            h = self.held[slot]
            value = h.amount * h.entry
            total += h.side * value - value * (1.0 / self.settings.leverage)
        return total

    def unit_cost(self, price: float) -> float:
        return price * (1.0 / self.settings.leverage + self.settings.fee)

    def factor(self, cost: float) -> float:
        free = self.free()
        return 1.0 if cost <= free or cost <= 0.0 else max(free / cost, 0.0)

    def settle(self) -> None:
        free = self.free()
        if free < 0.0:
            self.balance -= free

    def slipped_entry(self, k: int, side: int, price: float) -> float:
        return self._buying(k, price) if side > 0 else price * (1.0 - self.settings.slippage)

    def slipped_exit(self, h: Held, price: float) -> float:
        return price * (1.0 - self.settings.slippage) if h.side > 0 else self._buying(h.k, price)

    def _buying(self, k: int, price: float) -> float:
        worse = price * (1.0 + self.settings.slippage)
        return min(worse, 1.0) if self.names[k].market_type == "prediction" else worse

    def buy(
        self, slot: tuple[int, int], side: int, amount: float, price: float, reference: float, t: int, kind: str
    ) -> Held | None:
        value = amount * price
        if not value >= 1e-9 * self.settings.initial_cash or value == math.inf:
            return None
        fee = value * self.settings.fee
        slipped = amount * abs(price - reference)
        self.balance -= side * value + fee
        self.fills.append((t, slot[0], side, amount, price))
        h = self.held.get(slot)
        if h is None:
            self.held[slot] = h = Held(slot[0], side, amount, price, t, fee, slipped, price)
            return h
        total = h.amount + amount
        h.entry = (h.amount * h.entry + value) / total
        h.amount = total
        h.fees += fee
        h.slipped += slipped
        h.entries += kind == "entry"
        return h

    def sell(self, slot: tuple[int, int], amount: float, price: float, reference: float, t: int, reason: str) -> None:
        h = self.held[slot]
        if amount >= h.amount:
            amount, fees, slipped = h.amount, h.fees, h.slipped
            del self.held[slot]
        else:
            share = amount / h.amount
            fees, slipped = h.fees * share, h.slipped * share
        value = amount * price
        fee = 0.0 if reason == "resolution" else value * self.settings.fee
        gross = h.side * amount * (price - h.entry)
        self.balance += h.side * value - fee
        pnl = gross - fees - fee
        left = amount * h.entry * (1.0 / self.settings.leverage) + gross - fee
        ruined = left < 0.0 and self.can_liquidate(h.k, h.side)
        if ruined:
            self.balance -= left
            pnl -= left
        self.fills.append((t, h.k, -h.side, amount, price))
        slippage = slipped + amount * abs(price - reference)
        self.trades.append(
            Row(h.k, h.side, amount, h.opened, t, h.entry, price, fees + fee, slippage, pnl, reason, h.tag)
        )
        h.amount -= amount
        h.fees -= fees
        h.slipped -= slipped
        if ruined:
            self.settle()

    def sized(self, size: Size, value: float, equity: float, price: float, stop: float | None) -> float:
        if size.kind == "amount":
            return value
        if price <= 0.0 or equity <= 0.0:
            return 0.0
        if size.kind == "notional":
            return value / price
        if size.kind == "weight":
            return equity * value / price
        return equity * value / (price * stop) if stop else 0.0

    # --- at the open -------------------------------------------------------------------------------------------------

    def market_orders(self, due: list[Order], opens: list[float], t: int) -> None:
        equity = self.value(opens)
        for order in [w for w in due if isinstance(w.intent, Exit)]:
            self.reduce(order, opens[order.k], equity, t)
        for order in [w for w in due if not isinstance(w.intent, Exit)]:
            self.reduce(order, opens[order.k], equity, t)
        wanted = [w for order in due if (w := self.wanted(order, opens[order.k], equity)) is not None]
        cost = 0.0
        for _, _, amount, price in wanted:
            cost += amount * self.unit_cost(price)
        factor = self.factor(cost)
        for order, side, amount, price in wanted:
            kind = "entry" if isinstance(order.intent, Entry) else "rebalance"
            h = self.buy((order.k, -1), side, amount * factor, price, opens[order.k], t, kind)
            if h is not None and kind == "entry":
                h.stop, h.target, h.trail, h.tag = order.stop, order.target, order.trail, order.intent.tag
            elif h is not None and h.tag is None:
                h.tag = order.intent.tag
        if wanted:
            self.settle()

    def wanted(self, order: Order, o: float, equity: float) -> tuple[Order, int, float, float] | None:
        """Side, amount and price of the opening fill of an order at the open."""
        k = order.k
        if isinstance(order.intent, Entry):
            side = order.intent.side
            price = self.slipped_entry(k, side, o)
            return order, side, self.sized(order.intent.size, order.size, equity, price, order.stop), price
        if isinstance(order.intent, Rebalance):
            goal = self.goal_amount(order, o, equity)
            side = 1 if goal > 0.0 else -1
            missing = side * goal - (self.held[k, -1].amount if (k, -1) in self.held else 0.0)
            return (order, side, missing, self.slipped_entry(k, side, o)) if missing > 0.0 else None
        if isinstance(order.intent, Grid):
            self.lay(order, o, equity)
        return None

    def goal_amount(self, order: Order, o: float, equity: float) -> float:
        return order.weight * equity / o if o > 0.0 else 0.0

    def reduce(self, order: Order, o: float, equity: float, t: int) -> None:
        main = self.held.get((order.k, -1))
        if isinstance(order.intent, Exit):
            for slot in sorted(s for s in self.held if s[0] == order.k):
                h = self.held[slot]
                if order.intent.side in (None, h.side):
                    self.sell(slot, h.amount * order.fraction, self.slipped_exit(h, o), o, t, "signal")
        elif main is not None and isinstance(order.intent, Entry) and main.side != order.intent.side:
            self.sell((order.k, -1), main.amount, self.slipped_exit(main, o), o, t, "signal")
        elif main is not None and isinstance(order.intent, Rebalance):
            keep = max(main.side * self.goal_amount(order, o, equity), 0.0)
            excess = main.amount - keep
            if keep == 0.0:
                self.sell((order.k, -1), main.amount, self.slipped_exit(main, o), o, t, "rebalance")
            elif excess * o >= 1e-9 * self.settings.initial_cash:
                self.sell((order.k, -1), excess, self.slipped_exit(main, o), o, t, "rebalance")

    # --- limit orders and grids --------------------------------------------------------------------------------------

    def place(self, k: int, equity: float) -> bool:
        """Size limit orders at the open at which they are placed; whether there are new ones."""
        new = [order for order in self.resting[k] if math.isnan(order.units)]
        for order in new:
            assert isinstance(order.intent, Entry)
            assert order.limit is not None
            order.units = self.sized(order.intent.size, order.size, equity, order.limit, order.stop)
        return bool(new)

    def limit_orders(self, k: int, t: int, *, gap: bool, just_placed: bool = False) -> set[tuple[int, int]]:
        if not self.has(k, t):
            return set()
        o, high, low, close = self.bar(k, t)
        slot, fresh = (k, -1), set[tuple[int, int]]()
        filled: float | None = None
        for order in list(self.resting[k]):
            intent, limit = order.intent, order.limit
            assert isinstance(intent, Entry)
            assert limit is not None
            reached = o if gap else (low if intent.side > 0 else high)
            if (reached > limit) if intent.side > 0 else (reached < limit):
                continue
            self.resting[k].remove(order)
            reference = o if gap else limit
            filled = price = self.taken(k, intent.side, o, limit) if just_placed else reference
            h = self.held.get(slot)
            if h is not None and h.side != intent.side:
                self.sell(slot, h.amount, price, reference, t, "signal")
                h = None
            amount = order.units
            amount *= self.factor(amount * self.unit_cost(max(limit, price)))
            new = self.buy(slot, intent.side, amount, price, reference, t, "entry")
            self.settle()
            if new is None:
                continue
            new.stop, new.target, new.trail, new.tag = order.stop, order.target, order.trail, intent.tag
            if h is None and not gap:
                fresh.add(slot)
        if not self.resting[k]:
            del self.resting[k]
        if filled is not None and not gap and slot in self.held:
            self.close_after_touch(slot, filled, t)
            if slot in fresh and slot in self.held:
                h = self.held[slot]
                h.peak = max(h.peak, close) if h.side > 0 else min(h.peak, close)
        return fresh

    def taken(self, k: int, side: int, o: float, limit: float) -> float:
        slipped = self.slipped_entry(k, side, o)
        return min(slipped, limit) if side > 0 else max(slipped, limit)

    def lay(self, order: Order, o: float, equity: float) -> None:
        intent = order.intent
        assert isinstance(intent, Grid)
        rungs: list[Rung] = []
        for buy, sell in zip(order.prices, order.prices[1:], strict=False):
            amount = self.sized(intent.size, order.size, equity, buy, None)
            rungs.append(Rung((order.k, self.numbers[order.k]), buy, sell, amount, buy < o, intent.tag))
            self.numbers[order.k] += 1
        self.rungs[order.k] = rungs

    def buy_rungs(self, k: int, opens: list[float], t: int, *, gap: bool) -> set[tuple[int, int]]:
        fresh = set[tuple[int, int]]()
        if not self.has(k, t):
            return fresh
        o, _, low, close = self.bar(k, t)
        for rung in reversed(self.rungs[k]):
            if not rung.armed or (opens[k] if gap else low) > rung.buy:
                continue
            rung.armed = False
            price = o if gap else rung.buy
            amount = rung.amount * self.factor(rung.amount * self.unit_cost(price))
            h = self.buy(rung.slot, 1, amount, price, price, t, "grid")
            self.settle()
            if h is not None:
                h.goal, h.tag = rung.sell, rung.tag
                if not gap:
                    fresh.add(rung.slot)
                    self.close_after_touch(rung.slot, price, t)
                    h.peak = max(price, close)
        return fresh

    def arm(self, k: int, t: int) -> None:
        if self.has(k, t):
            for rung in self.rungs[k]:
                if not rung.armed and rung.slot not in self.held:
                    rung.armed = self.bar(k, t)[3] > rung.buy

    # --- closing -----------------------------------------------------------------------------------------------------

    def adverse(self, h: Held) -> tuple[float, str, float]:
        """The nearest price against the position, the reason to close there, and its liquidation price."""
        s = self.settings
        liquidation = -math.inf * h.side
        if self.can_liquidate(h.k, h.side):
            liquidation = (h.entry - h.side * (h.entry * (1.0 / s.leverage))) / (1.0 - h.side * s.maintenance_margin)
        level, reason = liquidation, "liquidation"
        if h.stop is not None:
            stop = h.entry * (1.0 - h.side * h.stop)
            if (stop >= level) if h.side > 0 else (stop <= level):
                level, reason = stop, "stop_loss"
        if h.trail is not None:
            trailing = h.peak * (1.0 - h.side * h.trail)
            if (trailing > level) if h.side > 0 else (trailing < level):
                level, reason = trailing, "trailing_stop"
        return level, reason, liquidation

    def goal(self, h: Held) -> tuple[float, str]:
        if h.goal is not None:
            return h.goal, "grid"
        if h.target is None:
            return math.inf * h.side, "take_profit"
        return h.entry * (1.0 + h.side * h.target), "take_profit"

    def close_by_itself(self, slot: tuple[int, int], t: int) -> None:
        h = self.held[slot]
        if not self.has(h.k, t):
            return
        o, high, low, _ = self.bar(h.k, t)
        level, reason, liquidation = self.adverse(h)
        goal, profit = self.goal(h)
        long = h.side > 0
        if (o <= level) if long else (o >= level):
            ruined = (o <= liquidation) if long else (o >= liquidation)
            self.sell(slot, h.amount, self.slipped_exit(h, o), o, t, "liquidation" if ruined else reason)
        elif (o >= goal) if long else (o <= goal):
            self.sell(slot, h.amount, o, o, t, profit)
        elif (low <= level) if long else (high >= level):
            self.sell(slot, h.amount, self.slipped_exit(h, level), level, t, reason)
        elif (high >= goal) if long else (low <= goal):
            self.sell(slot, h.amount, goal, goal, t, profit)

    def close_after_touch(self, slot: tuple[int, int], touched: float, t: int) -> None:
        h = self.held[slot]
        _, high, low, close = self.bar(h.k, t)
        level, reason, _ = self.adverse(h)
        goal, profit = self.goal(h)
        if (low <= level) if h.side > 0 else (high >= level):
            level = min(level, touched) if h.side > 0 else max(level, touched)
            self.sell(slot, h.amount, self.slipped_exit(h, level), level, t, reason)
        elif (touched >= goal) if h.side > 0 else (touched <= goal):
            self.sell(slot, h.amount, touched, touched, t, profit)
        elif (close >= goal) if h.side > 0 else (close <= goal):
            self.sell(slot, h.amount, goal, goal, t, profit)

    def pay_out(self, k: int, t: int) -> None:
        for slot in sorted(s for s in self.held if s[0] == k):
            self.sell(slot, self.held[slot].amount, self.mark[k], self.mark[k], t, "resolution")
        self.waiting = [w for w in self.waiting if w.k != k]
        self.resting.pop(k, None)
        self.rungs.pop(k, None)
        self.grids.pop(k, None)

    # --- at the close ------------------------------------------------------------------------------------------------

    def decide(self, t: int) -> None:
        entered: dict[int, list[Order]] = {}
        for emission in self.program:
            if not emission.condition[t]:
                continue
            for intent in emission.intents:
                k = self.names.index(intent.instrument)
                at = self.resolved[k]
                if not self.has(k, t) or (at is not None and t >= at):
                    continue
                order = read(intent, k, t)
                if order is not None:
                    self.take(order, entered.setdefault(k, []))

    def take(self, order: Order, entered: list[Order]) -> None:
        k = order.k
        match order.intent:
            case Entry():
                if not any(isinstance(e.intent, Rebalance) for e in entered):
                    self.take_entry(order, order.intent, entered)
            case Exit():
                self.take_exit(order, order.intent, entered)
            case Rebalance():
                if not entered:
                    entered.append(order)
                    self.resting.pop(k, None)
                    self.waiting.append(order)
            case Grid(size=size):
                key = (order.prices, size.kind, order.size)
                if self.grids.get(k) != key:
                    self.grids[k] = key
                    self.rungs.pop(k, None)
                    self.forget(k, Grid)
                    self.waiting.append(order)
            case MoveStop():
                raise AssertionError("the reference does not move stops")

    def take_entry(self, order: Order, intent: Entry, entered: list[Order]) -> None:
        if any(isinstance(e.intent, Entry) and e.intent.side != intent.side for e in entered):
            return
        main = self.held.get((order.k, -1))
        have = len(entered) + (main.entries if main is not None and main.side == intent.side else 0)
        if have > 0 and have > intent.pyramiding:
            return
        if not entered:
            self.resting.pop(order.k, None)
        entered.append(order)
        if order.limit is None:
            self.waiting.append(order)
        else:
            self.resting.setdefault(order.k, []).append(order)

    def take_exit(self, order: Order, intent: Exit, entered: list[Order]) -> None:
        resting = self.resting.get(order.k, [])
        sides = {e.intent.side for e in resting if isinstance(e.intent, Entry)}
        if resting and not entered and (intent.side is None or intent.side in sides):
            del self.resting[order.k]
        if order.fraction >= 1.0 and intent.side != -1:
            self.rungs.pop(order.k, None)
            self.grids.pop(order.k, None)
            self.forget(order.k, Grid)
        self.waiting.append(order)

    def forget(self, k: int, kind: type[SignalIntent]) -> None:
        self.waiting = [w for w in self.waiting if not (w.k == k and isinstance(w.intent, kind))]

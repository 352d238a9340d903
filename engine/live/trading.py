"""Turns a strategy's orders into venue orders, through the engine's door.

An order's size is the strategy's size, scaled by the ratio of the account's equity to the backtest account's equity. A
difference of up to 1 % is due to costs and is ignored. Sizes that the script fixes (`Notional`, `Amount`) are not
scaled. An entry is never larger than the free money covers. An exit closes the same share of this subscription's
holding as the strategy closes of its simulated position, and never anything else in the account.

An entry carries its stop and target, so that they rest from its fill on, also while no process runs. At each bar they
are replaced by those of the whole position.

After a gap, late exits are still made, but late entries are not: the market has moved on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, TypeVar

import sqlalchemy as sa

from api.errors import HeyTradersError, InvalidInput, NotNow
from api.exchanges import EXCHANGES
from api.orders import Order, OrderType, PlaceRequest
from api.times import Clock
from engine.feeds.feed import Feed
from engine.store.database import Copy, Store
from engine.store.live import resting_table, signals_table, subscriptions_table
from engine.trading_rules import ZERO, Exits, Steps, down, from_float, up
from engine.venues.venue import Venue, Venues

from . import orders, positions, signals
from .booking import Bookings, Stage
from .door import DoorAnswer, OrderDoor, StrategyOrder
from .orders import NOTHING_HELD, DueOrder

logger = logging.getLogger("heytraders.live")

T = TypeVar("T")
_AGGRESSIVE: Final = Decimal("0.05")
_LEAST_GRACE: Final = 60
_DRIFT: Final = Decimal("0.01")
_BY_THE_VENUE: Final = frozenset({"liquidation", "resolution"})
LATE: Final = "no process ran the strategy when its bar closed, and an entry is never made late"
MISSED: Final = "the market did not fill its limit order"


@dataclass(frozen=True, slots=True)
class _WaitingOrders:
    """The orders of signals and the resting orders that wait for something."""

    signals: list[DueOrder]
    orders: list[DueOrder]


class Trader:
    """Executes the orders of strategies. Blocks; call it from a thread."""

    def __init__(self, store: Store, clock: Clock, feed: Feed, venues: Venues, door: OrderDoor) -> None:
        self._store = store
        self._clock = clock
        self._feed = feed
        self._venues = venues
        self._door = door
        self._waiting = Copy(store, _due, resting_table, signals_table, subscriptions_table)
        self._books = Bookings(store, venues)
        self._fresh: set[str] = set()

    def run(self, seen: Mapping[str, int]) -> None:
        """Cancel, follow and place the pending orders of all subscriptions. A failure of one does not stop the others.

        What venues answer in one step is booked in one transaction. Whatever a crash leaves unbooked is found again at
        the venue under the order's key.

        Args:
            seen: The close of the newest bar of each trading subscription that has just processed one.
        """
        self._books.clear()
        now = self._waiting.now()
        self._fresh = {each.key for each in (*now.signals, *now.orders) if seen.get(each.subscription_id) == each.since}
        self._all((order for order in now.orders if order.is_unclear), self._find_unrecorded)
        self._each("cancel", self._cancel)
        looked_at = {*seen, *(order.subscription_id for order in now.signals)}
        self._all((order for order in self._orders("open") if order.subscription_id in looked_at), self._follow)
        self._all(self._waiting.now().signals, self._carry_out)
        self._each("held", self._watch)
        self._each("cancel", self._cancel)
        if seen and self._books.read(lambda connection: positions.unintended(connection, seen)):
            self._books.write(lambda connection: positions.reconcile(connection, seen))
        leaving = {(order.subscription_id, order.slot) for order in self._orders("cancel")}
        due = (order for order in self._orders("due") if (order.subscription_id, order.slot) not in leaving)
        self._all(due, self._place)
        self._each("moving", self._protect)

    def _orders(self, state: orders.LiveOrderState) -> list[DueOrder]:
        return [order for order in self._waiting.now().orders if order.state == state]

    def _each(self, state: orders.LiveOrderState, step: Callable[[DueOrder], None]) -> None:
        self._all(self._orders(state), step)

    def _all(self, wanted: Iterable[DueOrder], step: Callable[[DueOrder], None]) -> None:
        for order in wanted:
            self._guarded(order, step)
        self._books.write_all()

    def _guarded(self, order: DueOrder, step: Callable[[DueOrder], None]) -> None:
        try:
            step(order)
        except NotNow as error:
            self._books.say(order, "due", f"{error.code}: {error.message}")
        except HeyTradersError as error:
            self._books.say(order, "refused", f"{error.code}: {error.message}")
        except Exception as error:
            logger.exception("live strategies: order %s", order.key)
            self._books.say(order, "refused", f"INTERNAL_ERROR: the order could not be made ({type(error).__name__})")

    def _cancel(self, order: DueOrder) -> None:
        """Cancel an order, and book what it had filled. Exits that rest on one entry end together."""
        if order.entry is None and order.order_id is not None:
            answer = self._door.cancel(order.agent_id, order.account_id, order.key)
            shown = answer.order or self._shown(order)
            if shown is not None and not orders.is_over(shown):
                return
            self._book(order, shown, "placed")
            return
        shown = self._shown(order)
        if shown is not None and shown.parent is not None and not orders.is_over(shown):
            self._door.set_exits(order.agent_id, order.account_id, shown.parent, Exits())
            shown = self._shown(order)
            if shown is not None and not orders.is_over(shown):
                return
        elif shown is not None and not orders.is_over(shown):
            answer = self._door.cancel(order.agent_id, order.account_id, order.key)
            shown = answer.order or self._shown(order)
            if shown is not None and not orders.is_over(shown):
                return
        self._book(order, shown, "placed")

    def _find_unrecorded(self, wish: DueOrder) -> None:
        """Record the exits that were placed on an entry by a process that died before it recorded them."""
        entry = wish.entry or ""
        for each in self._venue(wish).exits(wish.account_id, entry):
            if orders.is_over(each) and not each.filled_amount:
                continue
            row = self._books.write(lambda connection, each=each: positions.adopt(connection, wish, each, entry))
            if row.state != "open":
                continue
            self._book(row, each, "placed" if orders.is_over(each) else "open")
            if wish.state == "cancel" and not orders.is_over(each):
                self._books.write(lambda connection, row=row: orders.set_state(connection, row.key, "cancel"))

    def _follow(self, order: DueOrder) -> None:
        shown = self._shown(order)
        if shown is None or (order.order_id and not orders.is_over(shown) and shown.filled_amount == order.filled):
            return
        self._book(order, shown, "placed" if orders.is_over(shown) else "open")

    def _watch(self, order: DueOrder) -> None:
        """Trigger a stop whose price the market has reached; the exits beside it end."""
        price = float(self._venue(order).price(order.instrument))
        if order.direction * (price - order.price) >= 0.0 and self._held(order) != 0:
            self._books.write(lambda connection: orders.set_off(connection, order))

    def _protect(self, order: DueOrder) -> None:
        """Let the exits of a position rest on its newest entry, in place of all earlier ones."""
        group = self._books.read(lambda connection: positions.exits_beside(connection, order))
        wishes = [each for each in group if each.state == "moving"]
        if order.key not in {each.key for each in wishes}:
            return
        entry = self._books.read(lambda connection: positions.newest_entry(connection, order))
        earlier = [each for each in group if each.state == "open"]
        for each in earlier:
            if entry is None or each.entry == entry:
                self._follow(each)
            else:
                self._cancel(each)
        amount = self._covered(order)
        if amount == 0:
            self._say_nothing_held(wishes)
        elif entry is None:
            self._keep_here(wishes, "no order of this strategy opened the position")
        else:
            if any(each.entry != entry for each in wishes):
                self._books.write(lambda connection: positions.begin_to_rest(connection, wishes, entry))
            self._move(entry, amount, wishes, [each for each in earlier if each.entry == entry])

    def _move(self, entry: str, amount: Decimal, wishes: Sequence[DueOrder], earlier: Sequence[DueOrder]) -> None:
        """Replace the exits on an entry, and book what the earlier ones had filled."""
        try:
            resting = self._rest(entry, amount, wishes)
            ids = {placed.order_id for placed in resting}
            for each in earlier:
                if each.order_id not in ids:
                    self._follow(each)
            left = self._covered(wishes[0])
            if left < amount:  # an earlier one was filled while it was replaced
                resting = self._rest(entry, left, wishes)
        except NotNow:
            raise
        except HeyTradersError as error:
            self._keep_here(wishes, error.message)
            return
        if not resting:
            self._say_nothing_held(wishes)
        known, order = {each.order_id for each in earlier}, wishes[0]
        placed_now = {each.order_id or "": order.since for each in resting if each.order_id not in known}
        if placed_now:
            self._venue(order).count_from(order.account_id, placed_now)
        for placed in resting:
            wish = next((each for each in wishes if _is_target(each) == (placed.role == "take_profit")), None)
            if wish is not None and self._exit_level(wish, wish.price) == _exit_price(placed):
                self._books.write(lambda c, w=wish, p=placed: positions.rest_on(c, w, p, entry))

    def _rest(self, entry: str, amount: Decimal, wishes: Sequence[DueOrder]) -> list[Order]:
        """The exits of a position on one entry, placed unless they rest there already; none for an amount of 0."""
        order = wishes[0]
        by_role = {_is_target(each): self._exit_level(each, each.price) for each in wishes} if amount else {}
        wanted = Exits(stop=by_role.get(False), target=by_role.get(True))
        exits_now = self._venue(order).exits(order.account_id, entry)
        resting = [each for each in exits_now if not orders.is_over(each)]
        found = {each.role == "take_profit": (_exit_price(each), each.remaining_amount) for each in resting}
        if found == {role: (price, amount) for role, price in by_role.items()}:
            return resting
        return self._door.set_exits(order.agent_id, order.account_id, entry, wanted, amount)

    def _covered(self, order: DueOrder) -> Decimal:
        """Base units that the exits of an order's position are to cover."""
        return self._books.read(lambda connection: positions.covered(connection, order)) if self._held(order) else ZERO

    def _say_nothing_held(self, wishes: Sequence[DueOrder]) -> None:
        for each in wishes:
            if each.message != NOTHING_HELD:
                self._books.say(each, "due", NOTHING_HELD)

    def _keep_here(self, wishes: Sequence[DueOrder], why: str) -> None:
        """Hold exits that cannot rest together: a target rests alone, and this engine watches the price of a stop."""

        def work(connection: sa.Connection) -> None:
            for each in wishes:
                state: orders.LiveOrderState = "due" if _is_target(each) else "held"
                message = f"the engine watches the price: {why}"
                orders.change(connection, each.key, state=state, message=message, entry=None)

        self._books.write(work)

    def _take_back(self, order: DueOrder) -> None:
        """Free what exits hold of a spot balance, so that an order can sell it; they rest again afterwards."""
        if order.instrument.market_type == "perpetual":
            return
        for each in self._books.read(lambda connection: positions.resting_exits(connection, order)):
            self._cancel(each)
            if self._held(order) != 0:
                self._books.write(lambda connection, each=each: positions.rest_again(connection, each))

    def _carry_out(self, order: DueOrder) -> None:
        """Execute a signal, or record why not."""
        if order.state == "open":
            self._settle(order, DoorAnswer("placed", self._shown(order)))
            return
        if order.resting is not None and self._filled_by(order, order.resting):
            return
        if order.closes > 0:
            unclaimed = self._books.read(lambda connection: positions.unclaimed_fill(connection, order))
            if unclaimed is not None and self._filled_by(order, unclaimed):
                return
        if order.reason in _BY_THE_VENUE and self._gone(order):
            self._books.say(order, "placed", f"the exchange closed it: {order.reason}")
            return
        found = self._found(order)
        if found is not None:
            self._settle(order, found)
        elif order.closes == 0 and order.resting is not None:
            self._books.say(order, "skipped", MISSED)
        elif order.closes == 0 and self._clock.now() - order.since > max(order.seconds, _LEAST_GRACE):
            self._books.say(order, "skipped", LATE)
        else:
            self._send(order)

    def _found(self, order: DueOrder) -> DoorAnswer | None:
        """The outcome of an earlier try. There was none if this run has stored the order."""
        if order.key in self._fresh:
            return None
        return self._door.find(order.agent_id, order.account_id, order.key)

    def _place(self, order: DueOrder) -> None:
        found = self._found(order)
        if found is None:
            self._send(order)
        else:
            self._settle(order, found)

    def _send(self, order: DueOrder) -> None:
        venue = self._venue(order)
        amount = self._amount(venue, order)
        if amount <= 0:
            self._books.say(order, "skipped", _nothing(order))
            return
        if order.closes > 0:
            self._take_back(order)
        request = self._request(venue, order, amount)
        asked = StrategyOrder(order.key, order.agent_id, order.subscription_id, request)
        answer = self._door.place(asked)
        if answer.order is not None and answer.order.order_id is not None:
            placed = answer.order.order_id
            following = [each.order_id for each in venue.exits(order.account_id, placed)] if request.has_plan else []
            for order_id in (placed if order.kind == "limit" else None, *following):
                if order_id is not None:
                    self._books.rests(order, order_id)
        self._settle(order, answer)

    def _settle(self, order: DueOrder, answer: DoorAnswer) -> None:
        """Book the outcome of an order; one that has not ended stays due and is looked up under the same key."""
        placed = answer.order
        if answer.answered == "placed" and placed is not None:
            self._book(order, placed, "placed" if orders.is_over(placed) else "open")
        elif answer.answered == "refused":
            self._books.say(order, "refused", answer.reason)
        else:
            self._books.say(order, "due", answer.reason)

    def _book(self, order: DueOrder, shown: Order | None, stage: Stage) -> None:
        followed = [] if shown is None else self._followed(order, shown)
        self._books.outcome(order, shown, stage, Steps.of(self._feed.listing(order.instrument)).lot, followed)

    def _followed(self, order: DueOrder, shown: Order) -> list[Order]:
        """The exits that an entry carries."""
        carries = shown.filled_amount or order.stop is not None or order.target is not None
        if shown.order_id is None or shown.role != "entry" or order.closes != 0 or not carries:
            return []
        return self._venue(order).exits(order.account_id, shown.order_id)

    def _filled_by(self, order: DueOrder, key: str) -> bool:
        """Whether a resting order has filled for a signal; the signal then reports the fill."""

        def work(connection: sa.Connection) -> bool:
            row = orders.find(connection, key)
            if row is None or Decimal(row.filled or "0") == 0:
                return False
            filled = Decimal(row.filled)
            whole = row.wanted is None or filled >= Decimal(row.wanted)
            early = orders.EARLY if row.message == orders.EARLY else None
            message = early if whole else f"filled {row.filled} of {row.wanted}"
            fill = {name: getattr(row, name) for name in ("order_id", "wanted", "filled", "average")} | {"resting": key}
            orders.claim(connection, key)
            signals.set_order(connection, order.signal_id or "", "placed", message, **fill)
            return True

        return self._books.write(work)

    def _gone(self, order: DueOrder) -> bool:
        """Whether the venue has closed a position itself. The holding is then written off."""
        if order.instrument.market_type == "spot":
            return False
        symbol = order.instrument.symbol
        venue = self._venue(order)
        if any(position.symbol == symbol and position.size for position in venue.positions(order.account_id)):
            return False
        held = self._held(order)
        self._books.write(lambda connection: positions.change_held(connection, order, -held))
        return True

    def _amount(self, venue: Venue, order: DueOrder) -> Decimal:
        lot = Steps.of(self._feed.listing(order.instrument)).lot
        if order.closes > 0:
            held = self._held(order)
            share = ZERO if held * order.direction >= 0 else abs(held)
            return share if order.closes >= 1.0 else down(share * from_float(order.closes), lot)
        wanted = from_float(order.units)
        if not order.fixed:
            equity = venue.equity(order.account_id)
            if equity is None:
                raise InvalidInput("the account's equity is unknown: something it holds has no price")
            scale = equity / from_float(order.equity)
            wanted = wanted if abs(scale - 1) <= _DRIFT else wanted * scale
        most = venue.affordable(order.account_id, order.instrument, _leverage(order) or 1)
        if order.kind == "limit":
            last, limit = venue.price(order.instrument), from_float(order.price)
            most *= last / limit if order.direction > 0 else min(last / limit, Decimal(1))
        return down(min(wanted, most), lot)

    def _held(self, order: DueOrder) -> Decimal:
        """Base units that the subscription holds of an order's instrument; negative when short."""
        symbol = order.instrument.symbol
        known = self._books.read(lambda connection: positions.held(connection, order.subscription_id, symbol))
        if known is not None:
            return known
        venue = self._venue(order)
        placed = self._books.read(lambda connection: signals.order_ids(connection, order.subscription_id))
        sums = dict.fromkeys({name for name, _ in placed}, ZERO)
        for name, order_id in placed:
            found = venue.find(order.account_id, order_id)
            filled = ZERO if found is None else found.filled_amount or ZERO
            sums[name] += filled if found is not None and found.side == "buy" else -filled
        self._books.write(lambda connection: positions.set_held(connection, order.subscription_id, sums))
        return sums.get(symbol, ZERO)

    def _request(self, venue: Venue, order: DueOrder, amount: Decimal) -> PlaceRequest:
        exchange = EXCHANGES[order.instrument.exchange]
        order_type: OrderType = "market"
        price: Decimal | None = None
        if order.kind == "limit":
            order_type = "GTC" if exchange.market_type == "prediction" else "limit"
            price = self._limit(order, from_float(order.price))
        elif exchange.market_type == "prediction":
            order_type, price = "FOK", self._aggressive_price(venue, order)
        stop, target = self._plan(venue, order, price)
        return PlaceRequest(
            account_id=order.account_id,
            exchange=exchange.id,
            symbol=order.instrument.symbol,
            side=order.side,
            order_type=order_type,
            amount=amount,
            price=price,
            leverage=_leverage(order),
            label=f"live:{order.subscription_id}",
            stop_loss=stop,
            take_profit=target,
        )

    def _plan(self, venue: Venue, order: DueOrder, limit: Decimal | None) -> tuple[Decimal | None, Decimal | None]:
        """The stop and target that an entry carries, without one that the market has already passed."""
        if order.closes > 0 or (order.stop is None and order.target is None):
            return None, None
        last, sign = venue.price(order.instrument), order.direction
        entry = last if limit is None else sign * min(sign * limit, sign * last)
        away = replace(order, side="sell" if sign > 0 else "buy")
        stop = None if order.stop is None else self._exit_level(replace(away, kind="stop"), order.stop)
        target = None if order.target is None else self._exit_level(replace(away, kind="limit"), order.target)
        most = Decimal(1) if order.instrument.market_type == "prediction" else None
        return (
            stop if stop is not None and stop > 0 and sign * (entry - stop) > 0 else None,
            target if target is not None and sign * (target - entry) > 0 and (most is None or target < most) else None,
        )

    def _limit(self, order: DueOrder, price: Decimal) -> Decimal:
        """The nearest valid price at the exchange that is no worse than the script's."""
        tick = self._step(order, price)
        return down(price, tick) if order.direction > 0 else up(price, tick)

    def _exit_level(self, exit_order: DueOrder, price: float) -> Decimal:
        """The valid price next to the script's: no worse for a target, and never reached earlier for a stop."""
        level = from_float(price)
        tick = self._step(exit_order, level)
        return up(level, tick) if _is_target(exit_order) == (exit_order.direction < 0) else down(level, tick)

    def _step(self, order: DueOrder, price: Decimal) -> Decimal:
        """The step between two valid prices at the exchange."""
        tick = Steps.of(self._feed.listing(order.instrument)).tick
        most = EXCHANGES[order.instrument.exchange].price_digits
        if most is not None and price != price.to_integral_value():
            tick = max(tick, Decimal(1).scaleb(min(0, price.adjusted() - most + 1)))
        return tick

    def _aggressive_price(self, venue: Venue, order: DueOrder) -> Decimal:
        """Prediction markets have no market orders. A limit well beyond the last price fills at once or not at all."""
        tick = Steps.of(self._feed.listing(order.instrument)).tick
        last = venue.price(order.instrument)
        if order.direction > 0:
            return min(up(last * (1 + _AGGRESSIVE), tick), 1 - tick)
        return max(down(last * (1 - _AGGRESSIVE), tick), tick)

    def _shown(self, order: DueOrder) -> Order | None:
        """An order as its venue shows it now; None if it was never placed."""
        if order.entry is not None:
            resting = self._venue(order).exits(order.account_id, order.entry)
            return next((each for each in resting if each.order_id == order.order_id), None)
        order_id = order.order_id
        if order_id is None:
            found = self._door.find(order.agent_id, order.account_id, order.key)
            if found is None or found.order is None:
                return None
            order_id = found.order.order_id
        return None if order_id is None else self._venue(order).find(order.account_id, order_id)

    def _venue(self, order: DueOrder) -> Venue:
        return self._venues.of(order.agent_id, order.account_id)


def _due(connection: sa.Connection) -> _WaitingOrders:
    waits = sa.not_(orders.COVERS_NOTHING)
    awaited = orders.in_state(connection, "cancel", "open", "held", "due", "moving", where=waits)
    return _WaitingOrders(signals.due_orders(connection), awaited)


def _is_target(order: DueOrder) -> bool:
    """Whether an exit is a target, not a stop."""
    return order.kind == "limit"


def _exit_price(exit_order: Order) -> Decimal | None:
    target = exit_order.price or exit_order.take_profit
    return target if exit_order.role == "take_profit" else exit_order.stop_loss


def _leverage(order: DueOrder) -> int | None:
    """Whole numbers only, as orders require; `None` without leverage."""
    return max(int(order.leverage), 1) if order.instrument.market_type == "perpetual" else None


def _nothing(order: DueOrder) -> str:
    if order.closes > 0:
        return "nothing is held, so no order was needed"
    return "the free money of the account buys less than one lot"

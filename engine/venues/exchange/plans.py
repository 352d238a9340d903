"""Exits of orders on own accounts: where the exchange has stop orders they rest there, elsewhere this engine watches.

When an entry fills, its exits are recorded in the transaction that books the fill, each with the id that it will have
at the exchange. They wait in the database until the entry has ended. Then they are placed at the exchange, in the form
that its convention names. If it has none, or refuses, they wait here until the last price reaches one of them. The
process that updates an exit in the database sends it, once. After a fill the other exit is cancelled. An exit of
unknown outcome is looked up by its id. It is sent again, under the same id, only after the exchange has not known it
for a minute.

An exchange may end an exit before it has filled: the price jumps over the bound of a stop, or the margin does not
suffice. Another exit for the rest then takes its place, with the same price and an id of its own. It is sent at once if
the price is still beyond it, and otherwise rests or waits as the first did.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa

from api.errors import HeyTradersError
from api.exchanges import EXCHANGES, ExchangeId
from engine.store.database import Store
from engine.store.exchange_data import SentOrder, add_order, change_order, exits_of, take, with_plans
from engine.trading_rules import Permit, down, up
from engine.venues.exchange.conventions import CONVENTIONS

from .exits import as_asked, cancel, is_behind, is_reached, left_to_close, new_exit, price_of, take_all
from .holdings import free_amount
from .markets import ExchangeMarket
from .orders import (
    LEFT_BEHIND,
    PAIR,
    PLACE_PAIR,
    TRIGGER,
    arguments,
    pair_arguments,
    read_order,
    refusal,
    trigger_arguments,
)
from .reading import AccountReader
from .session import WriteResult
from .views import ENDED, HELD, MISSED, WAITING, OwnAccount

logger = logging.getLogger("heytraders.plans")

_LOST_SECONDS: Final = 60.0
"""Time after which an exit unknown to the exchange counts as not received."""

_GIVEN_UP: Final = 86_400.0
"""After a day, an entry that its exchange never knew is no longer queried here."""

_AGAIN_SECONDS: Final = 30.0
"""Delay before an exit that was refused, or not permitted, is retried."""

_REST_AGAIN_SECONDS: Final = 600.0
"""Time for which this engine watches exits that could not be placed at their exchange, before it tries again."""

_RESTING_SECONDS: Final = 5.0
"""Time between two looks at exits that all rest at their exchange, so that they leave requests for other calls."""

_PASSED_SECONDS: Final = 60.0
"""Time after which an exit that rests unfilled although the price has passed it is reported."""

_PAIR: Final = 2
_AGGRESSIVE: Final = Decimal("0.05")
"""How far beyond the price an exit may fill if the exchange has no market orders."""

Write = Callable[..., WriteResult]


class Plans:
    """Manages the exits of all connected accounts. Blocking; safe in several processes on one database.

    Args:
        store: The database that records orders.
        reader: Queries the exchanges.
        write: Sends a request that changes something, once: account, ccxt method, arguments.
        connected: The current accounts.
        permit: The gate's decision on each exit before it is sent.
    """

    def __init__(
        self,
        store: Store,
        reader: AccountReader,
        write: Write,
        connected: Callable[[], Sequence[OwnAccount]],
        permit: Permit,
    ) -> None:
        self._store = store
        self._reader = reader
        self._write = write
        self._connected = connected
        self._permit = permit
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._said: set[str] = set()
        self._kept_here: dict[str, float] = {}
        self._prices: dict[tuple[str, str], Decimal] = {}
        self._look_again: dict[tuple[str, ...], float] = {}
        self._passed: dict[str, float] = {}

    def start(self, seconds: float) -> None:
        """Poll every `seconds` in the background, until `close`."""
        self._thread = threading.Thread(target=self._repeat, args=(seconds,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop polling, after booking requests in progress."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Update every plan to its exchange's current state. If an exchange cannot be reached, retry next time."""
        self._prices.clear()
        for entry in self._store.read_now(with_plans):
            if entry.venue_id is None and time.time() - entry.created_at > _GIVEN_UP:
                continue
            own = next((each for each in self._connected() if each.account_id == entry.account_id), None)
            if own is None:
                continue
            try:
                self._keep(own, entry)
            except HeyTradersError as error:
                self._complain(f"{entry.order_id} on {entry.account_id}: {error.message}")

    def _repeat(self, seconds: float) -> None:
        while not self._closing.wait(seconds):
            try:
                self.look()
            except Exception:
                # Positions rely on this thread: after any fault it looks again.
                logger.exception("exits of own accounts")

    def _complain(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            logger.warning("exits: %s", text)

    def _keep(self, own: OwnAccount, entry: SentOrder) -> None:
        rows = self._store.read_now(lambda c: exits_of(c, entry.order_id))
        at_venue = tuple(each.order_id for each in rows if each.status == "OPEN" and each.venue_id is not None)
        if at_venue and all(each.order_id in at_venue or each.status in ENDED for each in rows):
            if time.monotonic() < self._look_again.get(at_venue, 0.0):
                return
            self._look_again[at_venue] = time.monotonic() + _RESTING_SECONDS
        entry = self._reader.now(own, entry)
        exits = [self._known(own, each) for each in rows]
        if any(each.status == "FILLED" for each in exits):
            self._end(own, entry)
            return
        if any(each.status == MISSED for each in exits):
            self._take_places(own, entry)
            exits = self._store.read_now(lambda c: exits_of(c, entry.order_id))
        sent = [each for each in exits if each.status not in ENDED and each.status != WAITING]
        waiting = [each for each in exits if each.status == WAITING]
        if not sent and not waiting:
            return
        price = self._price(own, entry)
        self._watch(own, sent, price)
        reached = next((each for each in waiting if is_reached(each, price)), None)
        reduces_only = EXCHANGES[own.exchange].market_type == "perpetual"
        if sent and not (reduces_only and all(each.order_type == TRIGGER for each in sent)):
            if reached is not None and all(each.order_type in {TRIGGER, PAIR} for each in sent):
                self._cancel_at_venue(own, sent)
            return
        if reached is not None:
            self._send(own, entry, reached, price)
        elif waiting and entry.status in ENDED and time.time() > self._kept_here.get(entry.order_id, 0.0):
            self._rest(own, entry, waiting)

    def _price(self, own: OwnAccount, entry: SentOrder) -> Decimal:
        """The last price, requested once per poll."""
        key = (own.exchange, entry.symbol)
        if key not in self._prices:
            self._prices[key] = self._reader.price(self._reader.market(own.exchange, entry.symbol).instrument).last
        return self._prices[key]

    def _known(self, own: OwnAccount, exit_order: SentOrder) -> SentOrder:
        """An exit in its current state. One that never reached its exchange waits again."""
        if exit_order.status in ENDED or exit_order.status == WAITING:
            return exit_order
        now = self._reader.now(own, exit_order)
        lost = now.venue_id is None and time.time() - now.updated_at > _LOST_SECONDS
        if lost and self._move(now, WAITING):
            return replace(now, status=WAITING)
        return now

    def _take_places(self, own: OwnAccount, entry: SentOrder) -> None:
        """Put an exit in the place of each that its exchange ended before it had filled."""
        lot = self._reader.market(own.exchange, entry.symbol).lot

        def work(connection: sa.Connection) -> Sequence[SentOrder]:
            exits = exits_of(connection, entry.order_id)
            missed = [each for each in exits if each.status == MISSED]
            for each in missed:
                left = each.amount - each.filled
                change_order(connection, replace(each, status="CANCELLED", updated_at=time.time()))
                if left_to_close(each, exits) >= lot:
                    number = sum(other.role == each.role for other in exits)
                    again = new_exit(entry, each.role or "", price_of(each), left // lot * lot, number)
                    at = each.created_at
                    add_order(connection, replace(again, created_at=at, updated_at=at, message=each.message))
            return missed

        for each in self._store.write_now(work):
            self._complain(f"{each.role} of {entry.symbol} on {entry.account_id}: {each.message}; another replaces it")

    def _watch(self, own: OwnAccount, sent: Sequence[SentOrder], price: Decimal) -> None:
        """Notice exits at the exchange that the price has passed without filling them.

        A limit order that this engine sent is cancelled, and then replaced as an exit that its exchange ended. An order
        that rests there by its own trigger is reported.
        """
        for each in sent:
            if each.order_type == "limit" and is_behind(each, price):
                noted = replace(each, message=LEFT_BEHIND)
                self._store.write_now(lambda c, noted=noted: change_order(c, noted))
                self._cancel_at_venue(own, [noted])
            elif each.order_type in {TRIGGER, PAIR} and is_reached(each, price):
                since = self._passed.setdefault(each.order_id, time.monotonic())
                if each.message is None and time.monotonic() - since > _PASSED_SECONDS:
                    name = EXCHANGES[own.exchange].name
                    why = f"the price passed {price_of(each):f} and {name} has not filled it: look there, and close it"
                    self._store.write_now(lambda c, each=each, why=why: change_order(c, replace(each, message=why)))
                    self._complain(f"{each.role} of {each.symbol} on {each.account_id}: {why}")
            else:
                self._passed.pop(each.order_id, None)

    def _cancel_at_venue(self, own: OwnAccount, exits: Sequence[SentOrder]) -> None:
        """Cancel exits at their exchange, and record what it then shows."""
        for each in exits:
            if each.venue_id is not None:
                market = self._reader.market(own.exchange, each.symbol)
                self._write(own, "cancel_order", each.venue_id, market.symbol, self._reader.book_of(each))
                self._reader.now(own, each)

    def _send(self, own: OwnAccount, entry: SentOrder, exit_order: SentOrder, price: Decimal) -> None:
        """Send an exit whose price is reached, if this process claims it and the gate permits it."""
        was_tried = exit_order.message is not None and exit_order.updated_at > exit_order.created_at
        if was_tried and time.time() - exit_order.updated_at < _AGAIN_SECONDS:
            return
        market = self._reader.market(own.exchange, entry.symbol)
        if entry.status not in ENDED:
            self._write(own, "cancel_order", entry.venue_id, market.symbol)
            entry = self._reader.now(own, entry)
            exit_order = next(e for e in self._store.read_now(lambda c: exits_of(c, entry.order_id)) if e == exit_order)
        why = self._permit(as_asked(entry, exit_order))
        if why:
            self._wait(exit_order, why)
            return
        if not self._move(exit_order, "INIT"):
            return
        amount = self._to_send(own, exit_order, market)
        if amount == 0:
            self._wait(exit_order, "the account holds nothing of it that could be sold")
            return
        taken = replace(exit_order, status="INIT", updated_at=time.time(), message=None, amount=amount)
        sent = _as_sent(taken, market, price)
        self._store.write_now(lambda c: change_order(c, sent))
        args, params = arguments(own.exchange, sent, market, sent.client_id, sent.created_at)
        written = self._write(own, "create_order", *args, params)
        name = EXCHANGES[own.exchange].name
        refused = refusal(own.exchange, written) if written.sent else None
        if refused is not None and self._nothing_to_close(entry, refused):
            self._store.write_now(lambda c: change_order(c, sent.ended("CANCELLED", refused, time.time())))
            self._end(own, entry)
        elif not written.sent or refused is not None:
            self._wait(sent, f"{name} refused it: {refused}" if refused else f"{name} could not be reached")
        elif CONVENTIONS[own.exchange].answers_with_order and written.answer is not None and not written.problem:
            seen = read_order(written.answer, market)
            if seen.order_id is not None and seen.client_id in {None, sent.client_id}:
                self._reader.learn(sent, seen)

    def _nothing_to_close(self, entry: SentOrder, refused: str) -> bool:
        """Whether a refusal says that the position is closed, and not only that it is not yet visible."""
        is_settled = time.time() - entry.updated_at > _LOST_SECONDS
        return is_settled and any(word in refused for word in CONVENTIONS[entry.exchange].nothing_to_close)

    def _rest(self, own: OwnAccount, entry: SentOrder, waiting: Sequence[SentOrder]) -> None:
        """Place the exits of an ended entry at the exchange, if it has a form for them.

        They are updated in the database before a request is sent. Their outcome is looked up by their ids, as with any
        exit. If the exchange refuses, or a price is between two of its steps, this engine watches them instead.
        """
        form = CONVENTIONS[own.exchange].exits
        if form == "engine":
            return
        market = self._reader.market(own.exchange, entry.symbol)
        amount = self._to_send(own, waiting[0], market)
        fits = all(price_of(each) % market.price_step(price_of(each)) == 0 for each in waiting)
        if not fits or amount == 0 or any(self._permit(as_asked(entry, each)) for each in waiting):
            self._kept_here[entry.order_id] = time.time() + _REST_AGAIN_SECONDS
            return
        is_pair = form == "order list" and len(waiting) == _PAIR
        kind = PAIR if is_pair else TRIGGER
        taken = [
            replace(each, status="INIT", updated_at=time.time(), message=None, amount=amount, order_type=kind)
            for each in waiting
        ]
        for batch in [taken] if is_pair or form == "position group" else [[each] for each in taken]:
            if not self._store.write_now(lambda c, batch=batch: take_all(c, batch)):
                return
            self._place(own, entry, batch, market)

    def _place(self, own: OwnAccount, entry: SentOrder, batch: Sequence[SentOrder], market: ExchangeMarket) -> None:
        """Send exits that will rest, in one request."""
        if batch[0].order_type == PAIR:
            by_role = {each.role: each for each in batch}
            written = self._write(own, PLACE_PAIR, pair_arguments(by_role["stop_loss"], by_role["take_profit"], market))
        elif CONVENTIONS[own.exchange].exits == "position group":
            written = self._write(own, "create_orders", [_named(own.exchange, each, market) for each in batch])
        else:
            args, params = trigger_arguments(own.exchange, batch[0], market, _bound_of(batch[0], market))
            written = self._write(own, "create_order", *args, params)
        refused = refusal(own.exchange, written) if written.sent else None
        if written.sent and refused is None:
            return
        self._kept_here[entry.order_id] = time.time() + _REST_AGAIN_SECONDS
        self._complain(f"exits of {entry.symbol} wait here, not at the exchange: {refused or written.problem}")
        for each in batch:
            self._store.write_now(lambda c, each=each: change_order(c, replace(each, status=WAITING)))

    def _to_send(self, own: OwnAccount, exit_order: SentOrder, market: ExchangeMarket) -> Decimal:
        """What no exit of the plan has closed yet; for spot and prediction accounts, at most the free balance."""
        left = left_to_close(exit_order, self._store.read_now(lambda c: exits_of(c, exit_order.parent or "")))
        if market.instrument.market_type == "perpetual":
            return left
        free = free_amount(self._reader, own, market.instrument.base)
        return min(left, free // market.lot * market.lot)

    def _end(self, own: OwnAccount, entry: SentOrder) -> None:
        """The position is closed: the exits that are left and the rest of the entry end."""
        for each in self._store.read_now(lambda c: exits_of(c, entry.order_id)):
            if each.status in HELD:
                self._store.write_now(lambda c, each=each: cancel(c, each, "The other exit was filled", time.time()))
            elif each.status not in ENDED:
                self._cancel_at_venue(own, [each])
        if entry.status not in ENDED and entry.venue_id is not None:
            market = self._reader.market(own.exchange, entry.symbol)
            self._write(own, "cancel_order", entry.venue_id, market.symbol)
            self._reader.now(own, entry)

    def _move(self, exit_order: SentOrder, status: str) -> bool:
        return self._store.write_now(lambda c: take(c, exit_order, status, time.time()))

    def _wait(self, exit_order: SentOrder, why: str) -> None:
        """Return an exit to waiting, and record why it was not sent."""
        again = replace(exit_order, status=WAITING, message=why[:300], updated_at=time.time())
        self._store.write_now(lambda c: change_order(c, again))
        self._complain(f"{exit_order.role} on {exit_order.account_id}: {why}")


def _as_sent(exit_order: SentOrder, market: ExchangeMarket, price: Decimal) -> SentOrder:
    """An exit as its exchange accepts it: a market order, or a limit order well beyond the price."""
    row = CONVENTIONS[exit_order.exchange]
    limit = _bound(exit_order, market, price)
    if limit is None:
        return replace(exit_order, order_type="market", price=None)
    return replace(exit_order, order_type="FOK" if row.lists_outcomes and row.takes_fok else "limit", price=limit)


def _bound(exit_order: SentOrder, market: ExchangeMarket, price: Decimal) -> Decimal | None:
    """The worst price of an exit at `price`; `None` if its exchange takes market orders."""
    row = CONVENTIONS[exit_order.exchange]
    sells = exit_order.side == "sell"
    if not (row.no_market_sells if sells else row.no_market_buys):
        return None
    beyond = price * (1 - _AGGRESSIVE if sells else 1 + _AGGRESSIVE)
    step = market.price_step(beyond)
    limit = max(down(beyond, step), step) if sells else up(beyond, step)
    return min(limit, 1 - step) if row.lists_outcomes else limit


def _bound_of(exit_order: SentOrder, market: ExchangeMarket) -> Decimal | None:
    """The same for an exit that rests until its own price."""
    return _bound(exit_order, market, price_of(exit_order))


def _named(exchange: ExchangeId, exit_order: SentOrder, market: ExchangeMarket) -> dict[str, Any]:
    """One order of ccxt's `create_orders`."""
    args, params = trigger_arguments(exchange, exit_order, market, _bound_of(exit_order, market))
    return {**dict(zip(("symbol", "type", "side", "amount", "price"), args, strict=True)), "params": params}

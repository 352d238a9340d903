"""The user's own exchange accounts: holdings, orders, placing and cancelling.

Every order is recorded before it is sent, with the id that it will have at the exchange, and is sent once. Its outcome
is looked up at the exchange by that id. Only the process with the safety gate for real money has accounts here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa

from api.accounts import (
    Account,
    BalancesRequest,
    BalancesResponse,
    OpenOrdersRequest,
    OpenOrdersResponse,
    Position,
)
from api.errors import (
    NO_EFFECT,
    HeyTradersError,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    Unavailable,
    UserMustAct,
    before_any_effect,
)
from api.exchanges import EXCHANGES
from api.orders import (
    CANCELLABLE,
    CancelRequest,
    Order,
    OrdersRequest,
    OrdersResponse,
    PlacedOrder,
    PlaceRequest,
    wrong_side,
)
from api.symbols import Instrument
from engine.store.database import Store, new_id
from engine.store.exchange_data import SentOrder, add_order, change_order, exits_of, find_sent
from engine.trading_rules import Exits, Permit, affordable, exact
from engine.venues.exchange.conventions import CONVENTIONS

from . import holdings
from .exits import replace_exits
from .markets import ExchangeMarket, Markets
from .orders import (
    arguments,
    check,
    order_id_for,
    read_order,
    refusal,
    unlike,
)
from .plans import Plans
from .reading import AccountReader
from .session import WRONG_CLOCK, Connector, WriteResult
from .views import ENDED, HELD, OwnAccount, account_view, foreign_view, order_view, placed_view

_LOOKS: Final = 3
_LOOK_SECONDS: Final = 0.5


class ExchangeAccounts:
    """All connected accounts, as a `Venue`. Thread-safe.

    Args:
        store: The database that records sent orders.
        connector: The client for the exchanges.
        markets: Their markets.
        connected: The current accounts.
        real_prices: Whether this engine uses the exchanges' own prices. Without them, no order can be checked.
    """

    def __init__(
        self,
        store: Store,
        connector: Connector,
        markets: Markets,
        connected: Callable[[], Sequence[OwnAccount]],
        *,
        real_prices: bool,
    ) -> None:
        self._store = store
        self._real_prices = real_prices
        self._connector = connector
        self._reader = AccountReader(store, connector, markets)
        self._connected = connected
        self._plans: Plans | None = None

    def placed(self, order_id: str) -> bool:
        """See `OwnVenue`."""
        return self._store.read_now(lambda c: find_sent(c, None, order_id)) is not None

    def accounts(self) -> list[Account]:
        """See `Venue`."""
        return [account_view(one) for one in self._connected()]

    def account(self, account_id: str) -> Account:
        """See `Venue`."""
        return account_view(self._own(account_id))

    def balances(self, request: BalancesRequest) -> BalancesResponse:
        """See `Venue`."""
        return holdings.balances(self._reader, self._own(request.account_id))

    def positions(self, account_id: str) -> list[Position]:
        """See `Venue`."""
        return holdings.positions(self._reader, self._own(account_id))

    def open_orders(self, request: OpenOrdersRequest) -> OpenOrdersResponse:
        """See `Venue`. Includes orders placed elsewhere."""
        own = self._own(request.account_id)
        return OpenOrdersResponse(account_id=own.account_id, orders=self._reader.open_orders(own, request.symbol))

    def orders(self, request: OrdersRequest) -> OrdersResponse:
        """See `Venue`. As the exchange shows them now; an error if it cannot be reached.

        With account and symbol, orders that a copy of this home sent are included.
        """
        rows: list[Order] = []
        for own in self._connected():
            if request.account_id in {None, own.account_id} and request.exchange in {None, own.exchange}:
                rows += self._reader.orders(own)
                if request.account_id is not None and request.symbol is not None:
                    rows += self._reader.unrecorded(own, request.symbol)
        if request.symbol is not None:
            rows = [one for one in rows if one.symbol == request.symbol]
        if request.status is not None:
            rows = [one for one in rows if one.status == request.status]
        rows.sort(key=lambda one: one.created_at or "", reverse=True)
        page = rows[request.offset : request.offset + request.limit]
        return OrdersResponse(orders=page, total=len(rows), limit=request.limit, offset=request.offset)

    def count_from(self, account_id: str, since: Mapping[str, int]) -> None:
        """See `Venue`: an exchange fills orders by itself."""

    def find(self, account_id: str, order_id: str) -> Order | None:
        """See `Venue`. The exchange's own order id works too."""
        own = self._own(account_id)
        by_label = order_id_for(own.exchange, account_id, order_id)
        row = self._store.read_now(lambda c: find_sent(c, account_id, order_id) or find_sent(c, account_id, by_label))
        if row is None:
            return None
        known = self._reader.now(own, row)
        return None if known.venue_id is None else order_view(known, own)

    def price(self, instrument: Instrument) -> Decimal:
        """See `Venue`: the exchange's last trade."""
        return self._reader.price(instrument).last

    def equity(self, account_id: str) -> Decimal | None:
        """See `Venue`."""
        return holdings.equity(self._reader, self._own(account_id))

    def affordable(self, account_id: str, instrument: Instrument, leverage: int) -> Decimal:
        """See `Venue`. At the best price of the other side, if the exchange shows one."""
        own = self._own(account_id)
        market, price = self._reader.market(own.exchange, instrument.symbol), self._reader.price(instrument)
        terms = EXCHANGES[own.exchange]
        fees = [fee for fee in (market.taker_fee, market.maker_fee) if fee is not None]
        with exact():
            free = holdings.free_amount(self._reader, own, instrument.quote)
            return affordable(free, price.ask or price.last, leverage, max(fees, default=terms.worst_fee), market.lot)

    def _own(self, account_id: str) -> OwnAccount:
        connected = self._connected()
        found = next((one for one in connected if one.account_id == account_id), None)
        if found is None:
            names = ", ".join(one.account_id for one in connected)
            raise NotFound(f"no account {account_id} is connected", suggestion=f"Connected: {names or 'none'}")
        return found

    def keep_plans(self, permit: Permit, seconds: float) -> Plans:
        """Start watching the exits of all accounts, including those left by an earlier process.

        Args:
            permit: The gate's decision on each exit.
            seconds: Polling interval.
        """
        self._plans = Plans(self._store, self._reader, self._write, self._connected, permit)
        self._plans.start(seconds)
        return self._plans

    def why_no_exits(self, account_id: str) -> str:
        """See `Venue`."""
        exchange = EXCHANGES[self._own(account_id).exchange]
        return f"{exchange.name} {exchange.no_exits}" if exchange.no_exits else ""

    def exits(self, account_id: str, order_id: str) -> list[Order]:
        """See `Venue`."""
        own = self._own(account_id)
        return [order_view(row, own) for row in self._store.read_now(lambda c: exits_of(c, order_id))]

    def set_exits(self, account_id: str, order_id: str, exits: Exits, amount: Decimal | None = None) -> list[Order]:
        """See `Venue`. This engine holds no trailing stops; move the stop instead."""
        own = self._own(account_id)
        by_label = order_id_for(own.exchange, account_id, order_id)
        entry = self._store.read_now(lambda c: find_sent(c, account_id, order_id) or find_sent(c, account_id, by_label))
        if entry is None:
            raise NotFound(f"there is no order {order_id}", code="ORDER_NOT_FOUND")
        if exits.trail is not None:
            raise InvalidInput("exchange accounts have no trailing stops", suggestion="Move the stop instead")
        exits.check(entry.direction)
        prices = exits.prices(entry.direction, entry.average or entry.price or Decimal(0))
        self._take_back(own, entry.order_id)
        self._store.write_now(lambda c: replace_exits(c, entry, prices, time.time(), amount))
        self._reader.now(own, entry)
        rows = self._store.read_now(lambda c: exits_of(c, entry.order_id))
        return [order_view(row, own) for row in rows if row.status not in ENDED]

    def _take_back(self, own: OwnAccount, entry_id: str) -> None:
        """Cancel an entry's exits that rest at the exchange; a pair is cancelled together."""
        for each in self._store.read_now(lambda c: exits_of(c, entry_id)):
            now = self._reader.now(own, each)
            if now.status in CANCELLABLE and now.venue_id is not None:
                market = self._reader.market(own.exchange, now.symbol)
                self._write(own, "cancel_order", now.venue_id, market.symbol, self._reader.book_of(now))
                self._reader.now(own, now)

    def place(self, request: PlaceRequest, client_id: str | None = None) -> PlacedOrder:
        """See `Venue`. Sent once; without a `client_id`, the label identifies the order."""
        own = self._own(request.account_id)
        with before_any_effect("the order was not sent"):
            market = self._checked(own, request)
            if request.has_plan:
                self._check_sides(request, market)
        label = request.label or client_id or new_id("order")
        sent_as = order_id_for(own.exchange, own.account_id, client_id or label)
        row, is_new = self._write_down(own, request, market, label, sent_as)
        if not is_new:
            return self._sent_before(own, row)
        if request.leverage is not None:
            self._set_leverage(own, row, request.leverage, market)
        args, params = arguments(own.exchange, row, market, sent_as, row.created_at)
        written = self._write(own, "create_order", *args, params)
        name = EXCHANGES[own.exchange].name
        if not written.sent:
            self._end(row, "REJECTED", "nothing was sent")
            raise Unavailable(
                f"nothing was sent to {name}: {written.problem}", suggestion="Place the order again", code=NO_EFFECT
            )
        refused = refusal(own.exchange, written)
        if refused is not None:
            self._end(row, "REJECTED", refused)
            clock_is_wrong = refused.partition(":")[0] in WRONG_CLOCK
            raise InvalidInput(
                f"{name} refused the order: {refused}",
                suggestion=f"There is no order; {'set the clock of this machine' if clock_is_wrong else 'correct it'}",
            )
        if CONVENTIONS[own.exchange].answers_with_order and written.answer is not None and not written.problem:
            seen = read_order(written.answer, market)
            if seen.order_id is not None and not unlike(seen, request, sent_as):
                return placed_view(self._reader.learn(row, seen), own)
        return self._found_or_unknown(own, row, written.problem or "the answer does not show the order that was sent")

    def check(self, request: PlaceRequest) -> None:
        """See `OwnVenue`."""
        self._checked(self._own(request.account_id), request)

    def _checked(self, own: OwnAccount, request: PlaceRequest) -> ExchangeMarket:
        """The market of an order that its exchange would take as it is."""
        if request.exchange != own.exchange:
            raise InvalidInput(
                f"account {own.account_id} is on {own.exchange}, not {request.exchange}",
                suggestion=f"Set exchange to {own.exchange}",
            )
        if not self._real_prices:
            raise UserMustAct(
                "this server runs on simulated prices, which say nothing about an order with real money",
                suggestion="Set HEYTRADERS_DATA=exchange and restart it",
                code=NO_EFFECT,
            )
        market = self._reader.market(own.exchange, request.symbol)
        check(request, market)
        if request.has_plan and self._plans is None:
            raise InvalidInput(
                f"this process does not watch the exits of account {own.account_id}",
                suggestion="Leave stop_loss and take_profit out",
            )
        return market

    def _check_sides(self, request: PlaceRequest, market: ExchangeMarket) -> None:
        """Refuse exits that would close the position at once."""
        last = self._reader.price(market.instrument).last
        better = min if request.side == "buy" else max
        at_limit = request.price is not None and better(request.price, last) == request.price
        wrong = wrong_side(
            request, request.price if at_limit else last, "the limit" if at_limit else "the market price"
        )
        if wrong is not None:
            value = request.stop_loss if wrong.field == "stop_loss" else request.take_profit
            raise InvalidInput(f"{wrong.field} {value:f} {wrong.rule}", suggestion=wrong.suggestion)

    def _write(self, own: OwnAccount, method: str, *args: Any) -> WriteResult:
        account = (own.account_id, own.keys())
        return self._connector.write(
            own.exchange, method, *args, account=account, markets=self._reader.raw_markets(own)
        )

    def _write_down(
        self, own: OwnAccount, request: PlaceRequest, market: ExchangeMarket, label: str, client_id: str
    ) -> tuple[SentOrder, bool]:
        now = time.time()
        row = SentOrder(
            order_id=new_id("order"),
            account_id=own.account_id,
            exchange=own.exchange,
            symbol=market.instrument.symbol,
            label=label,
            client_id=client_id,
            side=request.side,
            order_type=request.order_type,
            amount=request.amount,
            price=request.price,
            leverage=request.leverage,
            stop_loss=request.stop_loss,
            take_profit=request.take_profit,
            reduce_only=bool(request.reduce_only),
            status="INIT",
            created_at=now,
            updated_at=now,
        )
        return self._store.write_now(lambda c: add_order(c, row))

    def _sent_before(self, own: OwnAccount, row: SentOrder) -> PlacedOrder:
        """An order with this label was sent before: return its outcome, and send nothing again."""
        if row.status == "REJECTED":
            raise InvalidInput(f"the order of this label was refused: {row.message}", suggestion="Use another label")
        return self._found_or_unknown(own, row, "it was sent before")

    def _found_or_unknown(self, own: OwnAccount, row: SentOrder, why: str) -> PlacedOrder:
        for attempt in range(_LOOKS):
            if attempt:
                time.sleep(_LOOK_SECONDS)
            try:
                seen = self._reader.look(own, row)
            except HeyTradersError:
                continue
            if seen is not None and seen.order_id is not None:
                return placed_view(self._reader.learn(row, seen), own)
        raise OutcomeUnknown(
            f"the order was sent to {EXCHANGES[own.exchange].name}, and it is not known whether it was placed ({why})",
            suggestion="Do not place it again; orders_list shows it as soon as the exchange does",
        )

    def _set_leverage(self, own: OwnAccount, row: SentOrder, leverage: int, market: ExchangeMarket) -> None:
        convention = CONVENTIONS[own.exchange]
        written = self._write(own, "set_leverage", leverage, market.symbol, dict(convention.leverage_parameters))
        if written.problem or written.status != 200:
            self._end(row, "REJECTED", "the leverage could not be set, so the order was not sent")
            raise Unavailable(
                f"{EXCHANGES[own.exchange].name} did not confirm leverage {leverage}"
                f" ({written.problem or f'status {written.status}'}); the order was not sent",
                suggestion="Place the order again, or leave leverage out",
                code=NO_EFFECT,
            )

    def _end(self, row: SentOrder, status: str, message: str) -> None:
        ended = row.ended(status, message, time.time())
        self._store.write_now(lambda c: change_order(c, ended))

    def cancel(self, request: CancelRequest) -> Order:
        """See `Venue`. An order placed elsewhere also needs `account_id` and `symbol`."""
        row = self._store.read_now(lambda c: find_sent(c, request.account_id, request.order_id))
        if row is not None and row.status in HELD:
            return order_view(self._cancel_waiting(row), self._own(row.account_id))
        with before_any_effect("nothing was cancelled"):
            own, market, venue_id, book = self._to_cancel(request, row)
        written = self._write(own, "cancel_order", venue_id, market.symbol, book)
        if not written.sent:
            name = EXCHANGES[own.exchange].name
            raise Unavailable(
                f"nothing was sent to {name}, so order {request.order_id} was not cancelled: {written.problem}",
                suggestion="Cancel it again",
                code=NO_EFFECT,
            )
        shown = self._after_cancel(own, market, venue_id, row, written.problem)
        if row is not None and row.parent is not None:
            self._cancel_waiting(row)
            self._take_back(own, row.parent)
        return shown

    def _to_cancel(
        self, request: CancelRequest, row: SentOrder | None
    ) -> tuple[OwnAccount, ExchangeMarket, str, dict[str, Any]]:
        """The account, the market and the exchange's id of an open order, and the book that it is in."""
        if row is not None:
            own, venue_id = self._own(row.account_id), row.venue_id
            market = self._reader.market(row.exchange, row.symbol)
        elif request.account_id is not None and request.symbol is not None:
            own = self._own(request.account_id)
            market, venue_id = self._reader.market(own.exchange, request.symbol), request.order_id
        else:
            raise NotFound(
                f"order {request.order_id} was not sent from here",
                suggestion="Add account_id, exchange and symbol to cancel an order placed elsewhere",
                code="ORDER_NOT_FOUND",
            )
        if row is not None and row.status not in CANCELLABLE:
            raise InvalidInput(f"order {request.order_id} is {row.status}", suggestion="Only open orders are cancelled")
        if row is not None and venue_id is None:
            seen = self._reader.look(own, row)
            venue_id = None if seen is None else seen.order_id
        if venue_id is None:
            raise NotFound(f"{EXCHANGES[own.exchange].name} shows no such order", code="ORDER_NOT_FOUND")
        book = self._reader.book_of(row) if row is not None else self._reader.book_with(own, market, venue_id)
        return own, market, venue_id, book

    def _cancel_waiting(self, row: SentOrder) -> SentOrder:
        """Cancel the exits of a plan together. They have not been sent."""

        def work(connection: sa.Connection) -> SentOrder:
            for each in exits_of(connection, row.parent or ""):
                if each.status in HELD:
                    change_order(
                        connection, each.ended("CANCELLED", "Cancelled on request, with its exits", time.time())
                    )
            return find_sent(connection, row.account_id, row.order_id) or row

        return self._store.write_now(work)

    def _after_cancel(
        self, own: OwnAccount, market: ExchangeMarket, venue_id: str, row: SentOrder | None, problem: str
    ) -> Order:
        """The exchange's view of an order after a cancel request: the answer itself proves nothing."""
        try:
            raw = self._reader.look_by_its_id(own, market, venue_id, row)
        except HeyTradersError as error:
            raise OutcomeUnknown(
                f"whether order {venue_id} was cancelled is not known: {error.message}",
                suggestion="Look at accounts_open_orders, and cancel again if it is still there",
            ) from error
        if raw is None:
            raise OutcomeUnknown(
                f"whether order {venue_id} was cancelled is not known: it is no longer shown",
                suggestion="Look at accounts_open_orders and accounts_balances",
            )
        seen = read_order(raw, market)
        shown = foreign_view(raw, seen, own, market) if row is None else order_view(self._reader.learn(row, seen), own)
        if seen.status in CANCELLABLE:
            raise Unavailable(
                f"order {venue_id} is still open ({problem or 'the exchange has not cancelled it yet'})",
                suggestion="Cancel it again",
            )
        if seen.status == "FILLED":
            raise InvalidInput(f"order {venue_id} was filled before it could be cancelled")
        return shown

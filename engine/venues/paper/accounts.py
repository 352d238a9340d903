"""Paper accounts as a venue: the only way to place, list and cancel paper orders and to read paper accounts.

Every call first brings the account up to date (see `settlement`). Prices are read before a write transaction begins.
The books are read again inside it, so that two processes cannot spend or fill the same thing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar

import sqlalchemy as sa

from api.accounts import Account, BalancesRequest, BalancesResponse, OpenOrdersRequest, OpenOrdersResponse, Position
from api.errors import InvalidInput, NotFound, before_any_effect
from api.exchanges import EXCHANGES, USUAL_EXCHANGE, ExchangeId
from api.orders import (
    CANCELLABLE,
    INTERNAL_PREFIX,
    CancelRequest,
    Order,
    OrdersRequest,
    OrdersResponse,
    PlacedOrder,
    PlaceRequest,
)
from api.refusals import call_text, show
from api.symbols import Instrument, resolve
from api.times import Clock
from engine.feeds.feed import Feed
from engine.store.accounts import accounts_table, orders_table
from engine.store.database import Copy, Store
from engine.trading_rules import ZERO, Exits, ListedTerms, Steps, affordable, exact
from engine.venues.paper.records import (
    AccountRecord,
    DueSettlement,
    OrderRecord,
    find_account,
    lock_account,
    order_of,
    read_accounts,
    read_order,
    read_orders,
    read_positions,
    update_order,
    waiting,
)
from engine.venues.paper.settlement import Upkeep

from .administration import open_defaults
from .placing import PricedRequest, check_priced, place
from .prices import Prices
from .trading import TradingAccount
from .views import Holdings, account_view, balances_view, equity, order_view, placed_view

T = TypeVar("T")


class PaperAccounts:
    """The paper accounts of one owner (an agent's id), as a `Venue`. Thread-safe.

    Args:
        store: The database.
        feed: Prices.
        clock: The time.
        owner: The agent's id.
        connected: The ids of the owner's exchange accounts, for an error that lists all accounts.
    """

    def __init__(
        self, store: Store, feed: Feed, clock: Clock, owner: str, connected: Callable[[], Collection[str]] = tuple[str]
    ) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock
        self._owner = owner
        self._connected = connected
        self._prices = Prices(feed)
        self._upkeep = Upkeep(store, self._prices, clock)
        self._records = Copy(store, lambda connection: read_accounts(connection, owner), accounts_table)

    def place(self, request: PlaceRequest, client_id: str | None = None) -> PlacedOrder:
        """See `Venue`. A `client_id` is the order's own id."""
        account = self._account(request.account_id)
        waits = self._store.read_now(lambda connection: waiting(connection, [account]))
        with before_any_effect("the order was not placed"):
            instrument = resolve(request.symbol, request.exchange, known=self._feed.listings)
            priced = PricedRequest(
                request, instrument, self._prices.listing(instrument), self._prices.quote(instrument)
            )
        with exact():
            check_priced(priced, account)
        if waits:
            self._upkeep.meet(waits)

        def work(connection: sa.Connection) -> OrderRecord:
            lock_account(connection, account)
            fresh = find_account(read_accounts(connection, self._owner), account.account_id)
            placed = None if client_id is None else read_order(connection, fresh, client_id)
            if placed is not None:
                return placed
            check_priced(priced, fresh)
            return place(TradingAccount(connection, fresh, self._clock.now()), priced, client_id)

        return placed_view(self._write(work), account, priced.quote)

    def accounts(self) -> list[Account]:
        """See `Venue`. The first call opens them, one for each exchange."""
        return [account_view(account) for account in self._accounts()]

    def account(self, account_id: str) -> Account:
        """See `Venue`."""
        return account_view(self._account(account_id))

    def find(self, account_id: str, order_id: str) -> Order | None:
        """See `Venue`."""
        account = self._account(account_id)

        def work(connection: sa.Connection) -> tuple[OrderRecord | None, list[DueSettlement]]:
            found = read_order(connection, account, order_id)
            return found, waiting(connection, [account]) if found is not None and found.is_open else []

        found, waits = self._store.read_now(work)
        if self._upkeep.meet(waits):
            found = self._read_order(account, order_id)
        return None if found is None else order_view(found, account)

    def count_from(self, account_id: str, since: Mapping[str, int]) -> None:
        """See `Venue`."""
        account = self._account(account_id)
        mine = sa.and_(orders_table.c.account == account.id, orders_table.c.order_id.in_(since))

        def work(connection: sa.Connection) -> None:
            lock_account(connection, account)
            for order in list(read_orders(connection, mine)):
                if order.is_open and order.filled == 0:
                    update_order(connection, order, replace(order, seen_until=since[order.order_id]))

        self._write(work)

    def price(self, instrument: Instrument) -> Decimal:
        """See `Venue`: the exchange's last trade or the latest close of any available timeframe."""
        return self._prices.quote(instrument).close

    def equity(self, account_id: str) -> Decimal | None:
        """See `Venue`."""
        with exact():
            return equity(self._holdings(self._account(account_id)), self._prices)

    def affordable(self, account_id: str, instrument: Instrument, leverage: int) -> Decimal:
        """See `Venue`."""
        account = self._account(account_id)
        listing, quote = self._prices.listing(instrument), self._prices.quote(instrument)
        steps, fee = Steps.of(listing), ListedTerms.of(listing).worst_fee
        free = self._free(account)
        with exact():
            return affordable(free, quote.taker_price(1, steps), leverage, fee, steps.lot)

    def cancel(self, request: CancelRequest) -> Order:
        """See `Venue`. Also raises `InvalidInput` if its exchange cancels by a different id."""
        accounts = self._accounts() if request.account_id is None else [self._account(request.account_id)]

        def where(connection: sa.Connection) -> tuple[AccountRecord, list[DueSettlement]]:
            found = find_order(connection, accounts, request)
            account = next(account for account in accounts if account.id == found.account)
            return account, waiting(connection, [account])

        account, waits = self._store.read_now(where)
        self._upkeep.meet(waits)

        def work(connection: sa.Connection) -> OrderRecord:
            lock_account(connection, account)
            order = find_order(connection, accounts, request)
            trading = TradingAccount(connection, account, self._clock.now())
            if not order.is_open:
                raise _ended(request, order, trading.exits_of(order))
            return trading.cancel(order)

        return order_view(self._write(work), account)

    def why_no_exits(self, account_id: str) -> str:
        """See `Venue`."""
        del account_id
        return ""

    def exits(self, account_id: str, order_id: str) -> list[Order]:
        """See `Venue`."""
        account = self._account(account_id)
        self._upkeep.settle([account])
        mine = sa.and_(orders_table.c.account == account.id, orders_table.c.parent == order_id)
        found = self._store.read_now(lambda connection: list(read_orders(connection, mine)))
        return [order_view(order, account) for order in found]

    def set_exits(self, account_id: str, order_id: str, exits: Exits, amount: Decimal | None = None) -> list[Order]:
        """See `Venue`."""
        account = self._account(account_id)
        known = self._read_order(account, order_id)
        if known is None:
            raise NotFound(f"there is no order {order_id}", code="ORDER_NOT_FOUND")
        exits.check(known.direction)
        tick = Steps.of(self._prices.listing(known.instrument)).tick
        self._upkeep.settle([account])

        def work(connection: sa.Connection) -> list[OrderRecord]:
            lock_account(connection, account)
            trading = TradingAccount(connection, account, self._clock.now())
            entry = trading.order(known)
            return trading.exits_of(trading.set_exits(entry, exits, tick, amount))

        return [order_view(order, account) for order in self._write(work)]

    def orders(self, request: OrdersRequest) -> OrdersResponse:
        """See `Venue`."""
        accounts = self._accounts() if request.account_id is None else [self._account(request.account_id)]
        self._upkeep.settle(accounts)
        page = self._store.read_now(lambda connection: find_page(connection, accounts, request))
        by_id = {account.id: account for account in accounts}
        return OrdersResponse(
            orders=[order_view(order, by_id[order.account]) for order in page.orders],
            total=page.total,
            limit=request.limit,
            offset=request.offset,
        )

    def balances(self, request: BalancesRequest) -> BalancesResponse:
        """See `Venue`. With a symbol (Polymarket only), returns only the size of that position.

        Raises:
            NotFound: The account or the token does not exist.
            InvalidInput: A symbol on an exchange other than Polymarket.
        """
        account = self._account(request.account_id)
        token = None if request.symbol is None else self._token(account, request.symbol)
        holdings = self._holdings(account)
        response = balances_view(holdings, self._prices, self._clock.now())
        return response if token is None else response.model_copy(update={"positions": [_size_only(holdings, token)]})

    def positions(self, account_id: str) -> list[Position]:
        """See `Venue`."""
        return self.balances(BalancesRequest(account_id=account_id)).positions

    def open_orders(self, request: OpenOrdersRequest) -> OpenOrdersResponse:
        """See `Venue`."""
        account = self._account(request.account_id)
        if request.symbol is None and account.terms.symbol_needed:
            raise InvalidInput(
                f"symbol is missing, and {account.terms.name} accounts need it",
                suggestion="Add the symbol, e.g. BTC/USDT; accounts_balances shows open orders in all symbols",
            )
        wanted = None if request.symbol is None else self._listed(account, request.symbol)
        orders = [o for o in self._holdings(account).orders if wanted in {None, o.instrument}]
        return OpenOrdersResponse(
            account_id=account.account_id, orders=[order_view(order, account) for order in reversed(orders)]
        )

    def _accounts(self) -> list[AccountRecord]:
        """The owner's accounts; the first call opens them."""
        records = self._records.now()
        if records:
            return records
        self._store.write_now(lambda connection: open_defaults(connection, self._owner, self._clock.now()))
        return self._records.now()

    def _account(self, account_id: str) -> AccountRecord:
        return find_account(self._accounts(), account_id, self._connected)

    def _read_order(self, account: AccountRecord, order_id: str) -> OrderRecord | None:
        return self._store.read_now(lambda connection: read_order(connection, account, order_id))

    def _holdings(self, account: AccountRecord) -> Holdings:
        def work(connection: sa.Connection) -> tuple[Holdings, list[DueSettlement]]:
            trading = TradingAccount(connection, account, self._clock.now())
            orders, positions = tuple(trading.open_orders()), tuple(read_positions(connection, account))
            holdings = Holdings(account, trading.books.balances(), positions, orders)
            return holdings, waiting(connection, [account])

        holdings, waits = self._store.read_now(work)
        return self._store.read_now(work)[0] if self._upkeep.meet(waits) else holdings

    def _free(self, account: AccountRecord) -> Decimal:
        """The free money of an account, after all bars that have closed."""

        def work(connection: sa.Connection) -> tuple[Decimal, list[DueSettlement]]:
            free = TradingAccount(connection, account, self._clock.now()).books.amount("free", account.currency)
            return free, waiting(connection, [account])

        free, waits = self._store.read_now(work)
        return self._store.read_now(work)[0] if self._upkeep.meet(waits) else free

    def _token(self, account: AccountRecord, symbol: str) -> Instrument:
        if EXCHANGES[account.exchange].market_type != "prediction":
            markets = EXCHANGES[USUAL_EXCHANGE["prediction"]].name
            raise InvalidInput(
                f"symbol is for {markets} accounts, and {account.account_id} is on {account.exchange}",
                suggestion="Leave symbol out; the answer holds all positions",
            )
        return self._listed(account, symbol)

    def _listed(self, account: AccountRecord, symbol: str) -> Instrument:
        return resolve(symbol, account.exchange, known=self._feed.listings)

    def _write(self, work: Callable[[sa.Connection], T]) -> T:
        def exactly(connection: sa.Connection) -> T:
            with exact():
                return work(connection)

        return self._store.write_now(exactly)


def _ended(request: CancelRequest, order: OrderRecord, exits: list[OrderRecord]) -> InvalidInput:
    """The error for cancelling an ended order; for an entry, it names the resting exits."""
    left = "Nothing is left to cancel; orders_list shows what became of it"
    if exits:
        by_venue = EXCHANGES[order.instrument.exchange].cancels_by_own_id
        name = exits[0].exchange_order_id if by_venue else exits[0].order_id
        left = f'Its exits rest; orders_cancel(order_id="{name}") cancels them together'
    return InvalidInput(
        f"order {request.order_id} is {order.status}; only {', '.join(CANCELLABLE)} can be cancelled", suggestion=left
    )


def _size_only(holdings: Holdings, token: Instrument) -> Position:
    """A position as in the single-market query: its size, and 0 for fields that the query does not return."""
    held = next((p for p in holdings.positions if p.instrument == token), None)
    return Position(
        symbol=f"{token.base}/{token.quote}",
        side="long",
        size=held.size if held else ZERO,
        entry_price=ZERO,
        unrealized_pnl=ZERO,
        leverage=ZERO + 1,
    )


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the matching orders, and the total number of matches."""

    orders: list[OrderRecord]
    total: int


def find_page(connection: sa.Connection, accounts: Sequence[AccountRecord], request: OrdersRequest) -> Page:
    """The orders of `accounts` that match the request, newest first.

    Raises:
        InvalidInput: No exchange in question lists the symbol.
    """
    table = orders_table.c
    where = table.account.in_([account.id for account in accounts])
    if request.status is not None:
        where = sa.and_(where, table.status == request.status)
    if request.exchange is not None:
        where = sa.and_(where, table.exchange == request.exchange)
    if request.symbol is not None:
        where = sa.and_(where, _symbol_filter(accounts, request.symbol, request.exchange))
    total = connection.execute(sa.select(sa.func.count()).select_from(orders_table).where(where)).scalar_one()
    query = sa.select(orders_table).where(where).order_by(table.seq.desc())
    rows = connection.execute(query.limit(request.limit).offset(request.offset)).mappings()
    return Page([order_of(row) for row in rows], total)


def find_order(connection: sa.Connection, accounts: Sequence[AccountRecord], request: CancelRequest) -> OrderRecord:
    """The order to cancel, by our id or by the venue's.

    Raises:
        NotFound: `ORDER_NOT_FOUND`; says what an order placed elsewhere would need.
        InvalidInput: Lighter's orders are identified by their numeric id.
    """
    table = orders_table.c
    named = sa.or_(table.order_id == request.order_id, table.exchange_order_id == request.order_id)
    where = sa.and_(table.account.in_([account.id for account in accounts]), named)
    if request.exchange is not None:
        where = sa.and_(where, table.exchange == request.exchange)
    if request.symbol is not None:
        where = sa.and_(where, _symbol_filter(accounts, request.symbol, request.exchange))
    order = next(read_orders(connection, where), None)
    if order is None:
        raise _unknown_order(request)
    exchange = EXCHANGES[order.instrument.exchange]
    if exchange.own_order_ids == "numeric" and request.order_id.startswith(INTERNAL_PREFIX):
        raise InvalidInput(
            f"order_id {show(request.order_id)} does not work on {exchange.name}, which knows its own numeric ids only",
            suggestion=f"Use the exchange_order_id {order.exchange_order_id}",
            corrected=call_text("orders_cancel", {"order_id": order.exchange_order_id}),
        )
    return order


def _symbol_filter(accounts: Sequence[AccountRecord], symbol: str, exchange: str | None) -> sa.ColumnElement[bool]:
    """The instrument of the symbol on each exchange in question; it may be missing on some."""
    table = orders_table.c
    venues: set[ExchangeId] = {account.exchange for account in accounts if exchange in (None, account.exchange)}
    meanings: list[sa.ColumnElement[bool]] = []
    wrong: InvalidInput | None = None
    for venue in sorted(venues):
        try:
            instrument = resolve(symbol, venue)
        except InvalidInput as error:
            wrong = error
            continue
        same = (table.exchange == venue, table.base == instrument.base, table.quote == instrument.quote)
        meanings.append(sa.and_(*same))
    if not meanings and wrong is not None:
        raise wrong
    return sa.or_(sa.false(), *meanings)


def _unknown_order(request: CancelRequest) -> NotFound:
    conditional = {"exchange": request.exchange, "symbol": request.symbol, "account_id": request.account_id}
    missing = [name for name, value in conditional.items() if value is None]
    elsewhere = f"; an order that was not placed here also needs {', '.join(missing)}" if missing else ""
    return NotFound(
        f"there is no order {show(request.order_id)}",
        suggestion=f"orders_list shows the ids of your orders{elsewhere}",
        code="ORDER_NOT_FOUND",
    )

"""The paper broker: the one way to place, list and cancel orders and to look at accounts, for whoever calls.

Every call first settles what time has done (see `settlement`). Prices are read before a write transaction begins;
what was read from the books is read again inside it, so that two processes cannot spend or fill the same thing twice.
`owner` is an agent's id throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import anyio.to_thread
import sqlalchemy as sa

from api.accounts import Account, BalancesRequest, BalancesResponse, OpenOrdersRequest, OpenOrdersResponse, Position
from api.errors import InvalidInput
from api.exchanges import EXCHANGES
from api.orders import (
    CANCELLABLE,
    CancelRequest,
    ListRequest,
    ListResponse,
    Order,
    PlacedOrder,
    PlaceRequest,
)
from api.symbols import Instrument, resolve
from engine.clock import Clock
from engine.feeds.feed import Feed
from engine.store.database import Store

from .lifecycle import find_account, open_defaults
from .money import ZERO, exact
from .placing import Ticket, affordable, check_ticket, place
from .prices import Prices, Steps
from .records import AccountRecord, OrderRecord, lock_account, read_accounts, read_order, read_positions
from .search import find_order, find_page
from .trading import TradingAccount
from .upkeep import Upkeep
from .valuation import Holdings, balances_view, equity
from .views import account_view, order_view, placed_view

T = TypeVar("T")


class Broker:
    """Paper trading on one database and one feed. All methods may be called from several tasks at once."""

    def __init__(self, store: Store, feed: Feed, clock: Clock) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock
        self._prices = Prices(feed)
        self._upkeep = Upkeep(store, self._prices, clock)

    async def place(self, owner: str, request: PlaceRequest, *, order_id: str | None = None) -> PlacedOrder:
        """Place an order.

        Args:
            owner: Whose account it must be.
            request: The order; `label` comes back with it and says where it came from.
            order_id: Makes placing idempotent: the same id again returns the order that is there.

        Raises:
            NotFound: The account or symbol does not exist.
            InvalidInput: It cannot be placed; nothing was changed.
        """
        return await anyio.to_thread.run_sync(self.place_now, owner, request, order_id)

    async def cancel(self, owner: str, request: CancelRequest) -> Order:
        """Cancel an order.

        Raises:
            NotFound: `ORDER_NOT_FOUND`.
            InvalidInput: It has ended already, or the id is not the one its venue goes by.
        """
        return await anyio.to_thread.run_sync(self.cancel_now, owner, request)

    async def orders(self, owner: str, request: ListRequest) -> ListResponse:
        """A page of orders, newest first."""
        return await anyio.to_thread.run_sync(self._orders, owner, request)

    async def accounts(self, owner: str) -> list[Account]:
        """All accounts."""
        records = await anyio.to_thread.run_sync(self._accounts, owner)
        return [account_view(account) for account in records]

    async def account(self, owner: str, account_id: str) -> Account:
        """One account.

        Raises:
            NotFound: No account has that id.
        """
        return await anyio.to_thread.run_sync(self.account_now, owner, account_id)

    async def balances(self, owner: str, request: BalancesRequest) -> BalancesResponse:
        """What an account holds; with a symbol (Polymarket) only the size of that position.

        Raises:
            NotFound: The account or the token does not exist.
            InvalidInput: A symbol on an exchange other than Polymarket.
        """
        return await anyio.to_thread.run_sync(self._balances, owner, request)

    async def open_orders(self, owner: str, request: OpenOrdersRequest) -> OpenOrdersResponse:
        """The resting orders of an account, newest first.

        Raises:
            NotFound: The account or the symbol does not exist.
            InvalidInput: Lighter without a symbol.
        """
        return await anyio.to_thread.run_sync(self._open_orders, owner, request)

    def place_now(self, owner: str, request: PlaceRequest, order_id: str | None = None) -> PlacedOrder:
        """`place` for threads: blocks."""
        account = find_account(self._accounts(owner), request.account_id)
        instrument = resolve(request.symbol, request.exchange, known=self._feed.listings)
        ticket = Ticket(request, instrument, self._prices.listing(instrument), self._prices.quote(instrument))
        with exact():
            check_ticket(ticket, account)
        self._upkeep.settle([account])

        def work(connection: sa.Connection) -> OrderRecord:
            lock_account(connection, account)
            fresh = find_account(read_accounts(connection, owner), account.account_id)
            placed = None if order_id is None else read_order(connection, fresh, order_id)
            if placed is not None:
                return placed
            check_ticket(ticket, fresh)
            return place(TradingAccount(connection, fresh, self._clock.now()), ticket, order_id)

        return placed_view(self._write(work), account, ticket.quote)

    def account_now(self, owner: str, account_id: str) -> Account:
        """`account` for threads: blocks."""
        return account_view(find_account(self._accounts(owner), account_id))

    def order_now(self, owner: str, account_id: str, order_id: str) -> Order | None:
        """The order that was placed with this id of our own, if it was. Blocks."""
        account = find_account(self._accounts(owner), account_id)
        found = self._store.read_now(lambda connection: read_order(connection, account, order_id))
        return None if found is None else order_view(found, account)

    def last_price_now(self, instrument: Instrument) -> Decimal:
        """The latest close, of whatever timeframe there is. Blocks.

        Raises:
            NotFound: The instrument has no price.
        """
        return self._prices.quote(instrument).close

    def equity_now(self, owner: str, account_id: str) -> Decimal | None:
        """What an account is worth in its own currency; `None` while something in it has no price. Blocks."""
        account = find_account(self._accounts(owner), account_id)
        with exact():
            return equity(self._holdings(account), self._prices)

    def affordable_now(self, owner: str, account_id: str, instrument: Instrument, leverage: int) -> Decimal:
        """How many base units a market order can open with the account's free money, its fee included. Blocks.

        Raises:
            NotFound: The account does not exist, or the instrument has no price.
        """
        account = find_account(self._accounts(owner), account_id)
        steps, quote = Steps.of(self._prices.listing(instrument)), self._prices.quote(instrument)
        with exact():
            free = self._holdings(account).free(account.currency)
            return affordable(free, quote.taker_price(1, steps), leverage, account.terms, steps.lot)

    def cancel_now(self, owner: str, request: CancelRequest) -> Order:
        """`cancel` for threads: blocks."""
        accounts = self._accounts(owner)
        found = self._store.read_now(lambda connection: find_order(connection, accounts, request))
        account = next(account for account in accounts if account.id == found.account)
        self._upkeep.settle([account])

        def work(connection: sa.Connection) -> OrderRecord:
            lock_account(connection, account)
            order = find_order(connection, accounts, request)
            if not order.is_open:
                raise InvalidInput(
                    f"order {request.order_id} is {order.status}; only {', '.join(CANCELLABLE)} can be cancelled",
                    suggestion="Nothing is left to cancel; orders_list shows what became of it",
                )
            return TradingAccount(connection, account, self._clock.now()).end(
                order, "CANCELLED", "Cancelled on request"
            )

        return order_view(self._write(work), account)

    def _orders(self, owner: str, request: ListRequest) -> ListResponse:
        accounts = self._accounts(owner)
        self._upkeep.settle(accounts)
        page = self._store.read_now(lambda connection: find_page(connection, accounts, request))
        by_id = {account.id: account for account in accounts}
        return ListResponse(
            orders=[order_view(order, by_id[order.account]) for order in page.orders],
            total=page.total,
            limit=request.limit,
            offset=request.offset,
        )

    def _balances(self, owner: str, request: BalancesRequest) -> BalancesResponse:
        account = find_account(self._accounts(owner), request.account_id)
        token = None if request.symbol is None else self._token(account, request.symbol)
        holdings = self._holdings(account)
        response = balances_view(holdings, self._prices, self._clock.now())
        return response if token is None else response.model_copy(update={"positions": [_size_only(holdings, token)]})

    def _open_orders(self, owner: str, request: OpenOrdersRequest) -> OpenOrdersResponse:
        account = find_account(self._accounts(owner), request.account_id)
        if request.symbol is None and EXCHANGES[account.exchange].symbol_needed:
            raise InvalidInput(
                "symbol is missing, and Lighter accounts need it",
                suggestion="Add the symbol, e.g. BTC/USDT; accounts_balances shows open orders in all symbols",
            )
        wanted = None if request.symbol is None else self._listed(account, request.symbol)
        orders = [o for o in self._holdings(account).orders if wanted in {None, o.instrument}]
        return OpenOrdersResponse(
            account_id=account.account_id, orders=[order_view(order, account) for order in reversed(orders)]
        )

    def _accounts(self, owner: str) -> list[AccountRecord]:
        """The owner's accounts; at the first look they are opened."""
        records = self._store.read_now(lambda connection: read_accounts(connection, owner))
        if records:
            return records
        self._store.write_now(lambda connection: open_defaults(connection, owner, self._clock.now()))
        return self._store.read_now(lambda connection: read_accounts(connection, owner))

    def _holdings(self, account: AccountRecord) -> Holdings:
        self._upkeep.settle([account])

        def work(connection: sa.Connection) -> Holdings:
            trading = TradingAccount(connection, account, self._clock.now())
            positions = tuple(read_positions(connection, account))
            return Holdings(account, trading.books.balances(), positions, tuple(trading.open_orders()))

        return self._store.read_now(work)

    def _token(self, account: AccountRecord, symbol: str) -> Instrument:
        if not EXCHANGES[account.exchange].is_prediction:
            raise InvalidInput(
                f"symbol is for Polymarket accounts, and {account.account_id} is on {account.exchange}",
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


def _size_only(holdings: Holdings, token: Instrument) -> Position:
    """A position as the single-market query shows it: its size, and 0 for what that query does not know."""
    held = next((p for p in holdings.positions if p.instrument == token), None)
    return Position(
        symbol=f"{token.base}/{token.quote}",
        side="long",
        size=held.size if held else ZERO,
        entry_price=ZERO,
        unrealized_pnl=ZERO,
        leverage=ZERO + 1,
    )

"""The interface of every venue, and the lookup of an account's venue.

Routes and live strategies use only this module. Behind it are the paper accounts (`paper`) and the exchange accounts
that the user has connected (`exchange`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final, Protocol

from api.accounts import Account, BalancesRequest, BalancesResponse, OpenOrdersRequest, OpenOrdersResponse, Position
from api.orders import CancelRequest, Order, OrdersRequest, OrdersResponse, PlacedOrder, PlaceRequest
from api.symbols import Instrument
from engine.access import LOCAL_AGENT
from engine.trading_rules import Exits

_OWNERS_KEPT: Final = 256
"""How many agents' paper accounts stay in memory between two calls."""


class Venue(Protocol):
    """The accounts of one owner at one venue. Every method blocks: call it from a thread.

    Amounts are exact decimals in base units, prices in quote currency per base unit. A method that takes an account id
    raises `NotFound` if there is no such account. A method that has to query an exchange also raises `Unavailable`,
    `RateLimited` or `NotAuthorised` on failure; it never returns a partial answer.
    """

    def accounts(self) -> list[Account]:
        """All accounts, oldest first. Queries no exchange."""
        ...

    def account(self, account_id: str) -> Account:
        """One account. Queries no exchange."""
        ...

    def balances(self, request: BalancesRequest) -> BalancesResponse:
        """The holdings of an account: cash, positions and resting orders."""
        ...

    def positions(self, account_id: str) -> list[Position]:
        """The open positions of an account; spot holdings are balances."""
        ...

    def open_orders(self, request: OpenOrdersRequest) -> OpenOrdersResponse:
        """The resting orders of an account, newest first.

        Raises:
            NotFound: No such account, or the exchange does not list the symbol.
            InvalidInput: The exchange lists open orders of one symbol at a time, and none is given.
        """
        ...

    def orders(self, request: OrdersRequest) -> OrdersResponse:
        """A page of the orders placed here, newest first, including ended ones."""
        ...

    def find(self, account_id: str, order_id: str) -> Order | None:
        """An order by its `order_id` or its `client_id`; `None` if there is none.

        An exchange is not queried again about an order that has ended.
        """
        ...

    def place(self, request: PlaceRequest, client_id: str | None = None) -> PlacedOrder:
        """Place an order.

        Args:
            request: The order. Its label is returned with it.
            client_id: A permanent id of the order: placing it again under the same id returns the first order.

        Raises:
            NotFound: The account or the symbol does not exist.
            InvalidInput: The order is invalid at the venue, or the venue refused it. There is no order.
            Unavailable: Nothing was sent.
            OutcomeUnknown: It was sent, and it is not yet known whether there is an order.
        """
        ...

    def count_from(self, account_id: str, since: Mapping[str, int]) -> None:
        """Match resting paper orders against bars that open at `since` (unix seconds) or later, as their backtest does.

        They were decided at the close at which the first of these bars opens. Does nothing at an exchange.

        Args:
            account_id: The account.
            since: By `order_id`.
        """
        ...

    def cancel(self, request: CancelRequest) -> Order:
        """Cancel the rest of an order.

        Raises:
            NotFound: `ORDER_NOT_FOUND`.
            InvalidInput: It has ended already.
            OutcomeUnknown: It is not yet known whether it was cancelled.
        """
        ...

    def why_no_exits(self, account_id: str) -> str:
        """Why stops and targets cannot rest at the venue, so that this engine watches the price; "" if they can."""
        ...

    def exits(self, account_id: str, order_id: str) -> list[Order]:
        """All exits of an entry, ended ones included, as last seen. Queries no exchange.

        Args:
            account_id: The account.
            order_id: The entry's `order_id`.
        """
        ...

    def set_exits(self, account_id: str, order_id: str, exits: Exits, amount: Decimal | None = None) -> list[Order]:
        """Replace the exits of an entry; the previous ones end.

        They cover the filled part of the entry and grow with it; a fill of one cancels the others.

        Args:
            account_id: The account.
            order_id: The entry's `order_id` or `client_id`.
            exits: The new exits; `Exits()` removes all.
            amount: What they cover, if one entry carries the exits of a position that several entries built.

        Returns:
            The exits that now rest; none while the entry has no fill.

        Raises:
            NotFound: There is no such order.
            InvalidInput: An exit would close the position at once.
        """
        ...

    def price(self, instrument: Instrument) -> Decimal:
        """The latest price.

        Raises:
            NotFound: The instrument has none.
        """
        ...

    def equity(self, account_id: str) -> Decimal | None:
        """The value of an account in its own currency; `None` while any asset in it has no price."""
        ...

    def affordable(self, account_id: str, instrument: Instrument, leverage: int) -> Decimal:
        """How many base units a market order can open with the account's free money, its fee included.

        Args:
            account_id: The account.
            instrument: The instrument to buy or sell short.
            leverage: 1 without leverage.
        """
        ...


class OwnVenue(Venue, Protocol):
    """The exchange accounts that the user has connected, as one venue."""

    def placed(self, order_id: str) -> bool:
        """Whether the order was placed here. Queries no exchange."""
        ...

    def check(self, request: PlaceRequest) -> None:
        """Refuse an order that its exchange would not take as it is. Blocks; sends nothing.

        Raises:
            NotFound: The account or the symbol does not exist.
            InvalidInput: A price or an amount is off the exchange's steps, the order is too small, or the exchange has
                no orders of this type.
            UserMustAct: This engine runs on simulated prices.
            NotNow: The exchange's markets are not known now.
        """
        ...


class Venues:
    """All venues of an engine.

    Args:
        paper: Gives the paper accounts of an owner, an agent's id.
        own: The connected exchange accounts. They belong only to this machine's user; an agent that registered over
            the network has only paper accounts.
        connected: The ids of these accounts now.
    """

    def __init__(
        self, paper: Callable[[str], Venue], own: OwnVenue | None, connected: Callable[[], Collection[str]]
    ) -> None:
        self.paper = lru_cache(_OWNERS_KEPT)(paper)
        self._own = own
        self.connected = connected

    def of(self, owner: str, account_id: str | None, order_id: str | None = None) -> Venue:
        """The venue of an account or, if none is named, of an order; paper if no other venue has it. Blocks."""
        own = self._own_of(owner)
        if own is None:
            return self.paper(owner)
        is_own = account_id in self.connected() if account_id is not None else bool(order_id) and own.placed(order_id)
        return own if is_own else self.paper(owner)

    def check(self, request: PlaceRequest) -> None:
        """See `OwnVenue`. Paper accounts check when they place. Blocks."""
        if self._own is not None and request.account_id in self.connected():
            self._own.check(request)

    def all(self, owner: str) -> tuple[Venue, ...]:
        """Every venue that has accounts of this owner, paper first."""
        own = self._own_of(owner)
        return (self.paper(owner),) if own is None else (self.paper(owner), own)

    def _own_of(self, owner: str) -> OwnVenue | None:
        return self._own if owner == LOCAL_AGENT else None

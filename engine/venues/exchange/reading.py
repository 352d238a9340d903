"""Reads the orders of own accounts at their exchanges, and records what became of those sent from here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, cast

from api.errors import NotFound
from api.exchanges import EXCHANGES, ExchangeId
from api.orders import Order
from api.symbols import Instrument, resolve
from engine.store.database import Store
from engine.store.exchange_data import SentOrder, orders_of
from engine.venues.exchange.convention import TriggerBook
from engine.venues.exchange.conventions import CONVENTIONS

from .exits import book_outcome, why_missed
from .markets import ExchangeMarket, LivePrice, Markets, decimal
from .orders import (
    LEFT_BEHIND,
    TRIGGER,
    SeenOrder,
    arguments,
    hashed_order,
    identified_order,
    order_of_trades,
    read_order,
)
from .session import Connector
from .views import ENDED, HELD, MISSED, OwnAccount, foreign_view, order_view

_FIND_BY: Final = {"newClientOrderId": "origClientOrderId"}
"""The query parameter for our id, if it differs from the one for placing."""

_IDENTITY: Final = ("id", "clientOrderId")
_LAST_PAGE: Final = "LTE="
_GIVEN_UP: Final = 7 * 86_400.0
"""After a week, an order without any answer is no longer queried every time."""


class AccountReader:
    """Reads own accounts at their exchanges and records the state of orders. Blocking.

    Attributes:
        markets: The markets of all exchanges.
    """

    def __init__(self, store: Store, connector: Connector, markets: Markets) -> None:
        self._store = store
        self._connector = connector
        self.markets = markets

    def read(self, own: OwnAccount, method: str, *args: Any, **params: Any) -> Any:
        """Call a read-only ccxt method with the account's keys."""
        return self._connector.read(
            own.exchange, method, *args, account=(own.account_id, own.keys()), markets=self.raw_markets(own), **params
        )

    def raw_markets(self, own: OwnAccount) -> Callable[[], list[Any]]:
        """The market list for the account's session, on demand."""
        return lambda: self.markets.raw(own.exchange)

    def market(self, exchange: ExchangeId, symbol: str) -> ExchangeMarket:
        """The market of a symbol.

        Raises:
            NotFound: The exchange does not list it.
        """
        listed = self.markets.of(exchange)
        instrument = resolve(symbol, exchange)
        if (found := listed.get(instrument)) is None:
            raise NotFound(
                f"{EXCHANGES[exchange].name} does not list {instrument.symbol}",
                suggestion=f'market_tickers(exchange="{exchange}") shows what it lists',
            )
        return found

    def by_symbol(self, exchange: ExchangeId) -> dict[str, ExchangeMarket]:
        """The markets of an exchange by ccxt's symbol."""
        return {market.symbol: market for market in self.markets.of(exchange).values()}

    def price(self, instrument: Instrument) -> LivePrice:
        """The current price of an instrument, requested now."""
        return self.markets.price(self.market(instrument.exchange, instrument.symbol))

    def open_orders(self, own: OwnAccount, symbol: str | None) -> list[Order]:
        """Resting orders at the exchange, newest first, of one symbol or all; including orders placed elsewhere."""
        market = None if symbol is None else self.market(own.exchange, symbol)
        markets = self.by_symbol(own.exchange)
        sent = {row.client_id.lower(): row for row in self._sent(own)}
        by_venue_id = {row.venue_id: row for row in sent.values() if row.venue_id is not None}
        found: list[Order] = []
        for raw in self._resting(own, market):
            traded = markets.get(str(raw.get("symbol")))
            if traded is None:
                continue
            seen = read_order(raw, traded)
            row = sent.get((seen.client_id or "").lower()) or by_venue_id.get(seen.order_id or "")
            found.append(
                foreign_view(raw, seen, own, traded) if row is None else order_view(self.learn(row, seen), own)
            )
        waiting = (row for row in sent.values() if row.status in HELD)
        wanted = None if market is None else market.instrument.symbol
        held_here = [order_view(row, own) for row in waiting if wanted in {None, row.symbol}]
        return [*held_here, *found[::-1]]

    def _sent(self, own: OwnAccount) -> Sequence[SentOrder]:
        return self._store.read_now(lambda c: orders_of(c, own.account_id))

    def _resting(self, own: OwnAccount, market: ExchangeMarket | None) -> Sequence[Mapping[str, Any]]:
        """Open orders in ccxt's format, oldest first."""
        if CONVENTIONS[own.exchange].lists_outcomes:
            return [hashed_order(raw) for raw in self._pages(own, "clobPrivateGetDataOrders", market)][::-1]
        if market is None and EXCHANGES[own.exchange].symbol_needed:
            return [one for each in self._with_orders(own) for one in self.read(own, "fetch_open_orders", each.symbol)]
        symbol = None if market is None else market.symbol
        resting: list[Mapping[str, Any]] = self.read(own, "fetch_open_orders", symbol)
        if CONVENTIONS[own.exchange].trigger_book is None:
            return resting
        apart: list[Mapping[str, Any]] = self.read(own, "fetch_open_orders", symbol, params={"trigger": True})
        return [*resting, *apart]

    def book_of(self, row: SentOrder) -> dict[str, Any]:
        """ccxt's parameters that name the book in which an order is, to cancel it."""
        apart = row.order_type == TRIGGER and CONVENTIONS[row.exchange].trigger_book is not None
        return {"trigger": True} if apart else {}

    def book_with(self, own: OwnAccount, market: ExchangeMarket, venue_id: str) -> dict[str, Any]:
        """The same for an order placed elsewhere."""
        if CONVENTIONS[own.exchange].trigger_book is None:
            return {}
        apart = self.read(own, "fetch_open_orders", market.symbol, params={"trigger": True})
        return {"trigger": True} if any(str(one.get("id")) == venue_id for one in apart) else {}

    def _with_orders(self, own: OwnAccount) -> list[ExchangeMarket]:
        """The markets with open orders, for exchanges that list orders of one market at a time."""
        markets = {market.market_id: market for market in self.markets.of(own.exchange).values()}
        index = CONVENTIONS[own.exchange].login(own.keys().values)["options"]["accountIndex"]
        answer = self.read(own, "publicGetAccount", {"by": "index", "value": index})
        counted = [one for account in answer.get("accounts") or () for one in account.get("positions") or ()]
        busy = {str(one.get("market_id")) for one in counted if decimal(one.get("open_order_count"))}
        return [market for market_id, market in markets.items() if market_id in busy]

    def _pages(self, own: OwnAccount, method: str, market: ExchangeMarket | None) -> list[Mapping[str, Any]]:
        """All orders that Polymarket lists, newest first."""
        self.read(own, "load_api_credentials")
        asked = {} if market is None else {"asset_id": market.symbol}
        found: list[Mapping[str, Any]] = []
        cursor: str | None = None
        while cursor != _LAST_PAGE:
            answer = self.read(own, method, asked if cursor is None else {**asked, "next_cursor": cursor})
            found += answer.get("data") or ()
            cursor = answer.get("next_cursor") or _LAST_PAGE
        return found

    def orders(self, own: OwnAccount) -> list[Order]:
        """Every existing order sent from here, queried again until it has ended."""
        found: list[Order] = []
        now = time.time()
        for row in self._sent(own):
            given_up = row.venue_id is None and now - row.created_at >= _GIVEN_UP
            known = row if given_up else self.now(own, row)
            if known.venue_id is not None or known.role is not None:
                found.append(order_view(known, own))
        return found

    def unrecorded(self, own: OwnAccount, symbol: str) -> list[Order]:
        """Recent orders of a symbol that a safety gate sent and that this database does not know.

        Another home sent them, or this one before it was replaced by an older copy. Only exchanges whose order ids name
        the intent show them.

        Raises:
            HeyTradersError: The exchange cannot be reached, so nothing can be concluded.
        """
        if not CONVENTIONS[own.exchange].names_intents:
            return []
        market = self.market(own.exchange, symbol)
        shown = [(raw, read_order(raw, market)) for raw in self._history(own, market)]
        known = {row.client_id.lower() for row in self._sent(own)}
        strange = [one for one in shown if (one[1].client_id or "").lower() not in known]
        views = [foreign_view(raw, seen, own, market) for raw, seen in strange]
        return [each for each in views if each.label is not None]

    def _history(self, own: OwnAccount, market: ExchangeMarket) -> list[Mapping[str, Any]]:
        """The newest orders of a market, open and ended, in ccxt's format."""
        match CONVENTIONS[own.exchange].finder:
            case "by identifier":
                asked = {"market": market.market_id}
                methods = ("privateGetOrdersOpen", "privateGetOrdersClosed")
                return [identified_order(raw) for method in methods for raw in self.read(own, method, asked)]
            case "by our id":
                return list(self.read(own, "fetch_orders", market.symbol))
            case _:
                methods = ("fetch_open_orders", "fetch_closed_orders")
                return [raw for method in methods for raw in self.read(own, method, market.symbol)]

    def now(self, own: OwnAccount, row: SentOrder) -> SentOrder:
        """The order in its current state; an ended order is not queried again.

        Raises:
            HeyTradersError: The exchange cannot be reached.
        """
        seen = None if row.status in ENDED or row.status in HELD else self.look(own, row)
        return row if seen is None else self.learn(row, seen)

    def look(self, own: OwnAccount, row: SentOrder) -> SeenOrder | None:
        """The order at the exchange, found by our id; `None` if the exchange has none.

        Raises:
            HeyTradersError: The exchange cannot be reached, so nothing can be concluded.
        """
        market = self.market(own.exchange, row.symbol)
        raw = self._by_our_id(own, row, market)
        return None if raw is None else read_order(raw, market)

    def look_by_its_id(self, own: OwnAccount, market: ExchangeMarket, venue_id: str, row: SentOrder | None) -> Any:
        """An order by the exchange's own id, in ccxt's format; `None` if the exchange has none.

        `row` is its record if it was sent from here.

        Raises:
            HeyTradersError: The exchange cannot be reached, so nothing can be concluded.
        """
        match CONVENTIONS[own.exchange].finder:
            case "by identifier":
                return self._asked(lambda: identified_order(self.read(own, "privateGetOrder", {"uuid": venue_id})))
            case "in lists":
                return self._in_lists(own, market, "id", venue_id)
            case "by its hash":
                return self._by_hash(own, market, venue_id, None if row is None else row.amount)
            case "by our id" | "as its id":
                if row is not None and self.book_of(row):
                    return self._by_our_id(own, row, market)
                found = self._asked(lambda: self.read(own, "fetch_order", venue_id, market.symbol))
                if found is None and CONVENTIONS[own.exchange].trigger_book is not None:
                    return self._asked(
                        lambda: self.read(own, "fetch_order", venue_id, market.symbol, {"trigger": True})
                    )
                return found

    def _by_our_id(self, own: OwnAccount, row: SentOrder, market: ExchangeMarket) -> Mapping[str, Any] | None:
        convention = CONVENTIONS[own.exchange]
        if row.order_type == TRIGGER and convention.trigger_book is not None:
            return self._trigger(own, market, convention.trigger_book, row.client_id)
        found: Mapping[str, Any] | None = None
        match convention.finder:
            case "by identifier":
                asked = {"identifier": row.client_id}
                return self._asked(lambda: identified_order(self.read(own, "privateGetOrder", asked)))
            case "by our id":
                named = {_FIND_BY.get(convention.id_parameter, convention.id_parameter): row.client_id}
                return self._asked(lambda: self.read(own, "fetch_order", None, market.symbol, named))
            case "as its id":
                wanted = row.venue_id or row.client_id
                found = self._asked(lambda: self.read(own, "fetch_order", wanted, market.symbol))
            case "by its hash":
                args, params = arguments(own.exchange, row, market, row.client_id, row.created_at)
                order_id = row.venue_id or self.read(own, "order_hash", *args, params)
                return self._by_hash(own, market, order_id, row.amount)
            case "in lists":
                pass
        return self._in_lists(own, market, "clientOrderId", row.client_id) if found is None else found

    def _trigger(
        self, own: OwnAccount, market: ExchangeMarket, book: TriggerBook, client_id: str
    ) -> Mapping[str, Any] | None:
        """A trigger order by our id, with the fill of the order that it became."""
        named = {book.id_parameter: client_id, "trigger": True}
        waits = self._asked(lambda: self.read(own, "fetch_order", None, market.symbol, named))
        if waits is None:
            return None
        became = str(cast("Mapping[str, Any]", waits.get("info") or {}).get(book.became) or "")
        if became in {"", "0"}:
            return {**waits, "status": "open"} if waits.get("status") == "closed" else waits
        fired = self._asked(lambda: self.read(own, "fetch_order", became, market.symbol))
        return {**waits, "status": "open"} if fired is None else {**fired, **{n: waits[n] for n in _IDENTITY}}

    def _asked(self, ask: Callable[[], Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
        try:
            return ask()
        except NotFound as error:
            if error.code != "ORDER_NOT_FOUND":
                raise
            return None

    def _in_lists(self, own: OwnAccount, market: ExchangeMarket, field: str, wanted: str) -> Mapping[str, Any] | None:
        """An order from the lists of open and ended ones, for exchanges that cannot query one or soon drop it."""
        for method in ("fetch_open_orders", "fetch_closed_orders"):
            for raw in self.read(own, method, market.symbol):
                if str(raw.get(field)).lower() == wanted.lower():
                    return raw
        return None

    def _by_hash(
        self, own: OwnAccount, market: ExchangeMarket, order_id: str, amount: Decimal | None
    ) -> Mapping[str, Any] | None:
        """An order by its id among the open ones, or by its trades, since an ended order soon disappears."""
        self.read(own, "load_api_credentials")
        raw = self._asked(lambda: self.read(own, "clobPrivateGetDataOrderId", {"id": order_id}))
        if raw and raw.get("id"):
            return hashed_order(raw)
        for one in self._pages(own, "clobPrivateGetDataOrders", market):
            if one.get("id") == order_id:
                return hashed_order(one)
        trades = self._pages(own, "clobPrivateGetDataTrades", market)
        return None if amount is None else order_of_trades(order_id, amount, trades)

    def learn(self, row: SentOrder, seen: SeenOrder) -> SentOrder:
        """Record the exchange's state of an order."""
        missed = row.role is not None and seen.status in ENDED and self._is_missed(row, seen)
        told = None if row.role is not None and seen.status == "FILLED" else row.message
        changed = row.learned(
            venue_id=seen.order_id or row.venue_id,
            status=MISSED if missed else seen.status,
            message=why_missed(row, seen) if missed else told,
            filled=seen.filled,
            average=seen.average,
            fee=row.fee if seen.fee is None else seen.fee,
            fee_currency=seen.fee_currency or row.fee_currency,
            now=time.time(),
        )
        if changed != row:
            lot = self.market(row.exchange, row.symbol).lot if changed.has_plan else None
            self._store.write_now(lambda c: book_outcome(c, changed, lot))
        return changed

    def _is_missed(self, row: SentOrder, seen: SeenOrder) -> bool:
        """Whether an exit has ended before it filled, by its exchange's doing: the market left it behind, for example.

        Nobody cancels a market order, so it counts whatever the exchange calls it.
        """
        left = row.amount - seen.filled
        if left < self.market(row.exchange, row.symbol).lot:
            return False
        if row.message == LEFT_BEHIND or row.order_type in {"market", "FOK"}:
            return True
        return seen.state not in CONVENTIONS[row.exchange].nothing_to_close

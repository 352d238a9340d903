"""Reads the holdings of own accounts, and the outcome of orders sent to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, cast

import sqlalchemy as sa

from api.accounts import Balance, BalancesResponse, Position
from api.errors import HeyTradersError, NotFound
from api.exchanges import EXCHANGES, ExchangeId
from api.orders import ExitRole, Order
from api.symbols import Instrument, resolve
from api.times import iso8601
from engine.store.database import Store, new_id
from engine.store.exchange_data import SentOrder, add_order, change_order, exits_of, orders_of
from engine.trading_rules import ZERO
from engine.venues.exchange.convention import TriggerBook
from engine.venues.exchange.conventions import CONVENTIONS

from .markets import LivePrice, Market, Markets, decimal
from .orders import (
    LEFT_BEHIND,
    TRIGGER,
    Seen,
    arguments,
    order_id_for,
    polymarket_fills,
    polymarket_order,
    polymarket_positions,
    read_order,
    upbit_order,
)
from .session import Connector
from .views import ENDED, HELD, MISSED, WAITING, OwnAccount, foreign_view, held, order_view

_DOLLARS: Final = ("USDT", "USDC", "USD")
_FIND_BY: Final = {"newClientOrderId": "origClientOrderId"}
"""The query parameter for our id, if it differs from the one for placing."""

_IDENTITY: Final = ("id", "clientOrderId")
_LAST_PAGE: Final = "LTE="
_GIVEN_UP: Final = 7 * 86_400.0
"""After a week, an order without any answer is no longer queried every time."""


class AccountReader:
    """Reads own accounts at their exchanges and records the state of orders. Blocking."""

    def __init__(self, store: Store, connector: Connector, markets: Markets) -> None:
        self._store = store
        self._connector = connector
        self._markets = markets

    def read(self, own: OwnAccount, method: str, *args: Any, **params: Any) -> Any:
        """Call a read-only ccxt method with the account's keys."""
        return self._connector.read(
            own.exchange, method, *args, account=(own.account_id, own.keys()), markets=self.raw_markets(own), **params
        )

    def raw_markets(self, own: OwnAccount) -> Callable[[], list[Any]]:
        """The market list for the account's session, on demand."""
        return lambda: self._markets.raw(own.exchange)

    def market(self, exchange: ExchangeId, symbol: str) -> Market:
        """The market of a symbol.

        Raises:
            NotFound: The exchange does not list it.
        """
        listed = self._markets.of(exchange)
        instrument = resolve(symbol, exchange)
        if (found := listed.get(instrument)) is None:
            raise NotFound(
                f"{EXCHANGES[exchange].name} does not list {instrument.symbol}",
                suggestion=f'market_tickers(exchange="{exchange}") shows what it lists',
            )
        return found

    def _by_symbol(self, exchange: ExchangeId) -> dict[str, Market]:
        return {market.symbol: market for market in self._markets.of(exchange).values()}

    def price(self, instrument: Instrument) -> LivePrice:
        """The current price of an instrument, requested now."""
        return self._markets.price(self.market(instrument.exchange, instrument.symbol))

    def free(self, own: OwnAccount, asset: str) -> Decimal:
        """The available amount of an asset; of a prediction market also the tokens in the wallet that none sells."""
        row = EXCHANGES[own.exchange]
        if row.market_type != "prediction":
            return sum((each.free for each in self._held(own, ()) if each.asset == asset), ZERO)
        resting = self.open_orders(own, None)
        if asset == row.quote:
            return sum((each.free for each in self._held(own, resting) if each.asset == asset), ZERO)
        symbol = f"{asset}/{row.quote}"
        sells = [one for one in resting if one.side == "sell" and one.symbol == symbol and one.role is None]
        tied = sum((one.remaining_amount or ZERO for one in sells), ZERO)
        return sum((one.size for one in self.positions(own) if one.symbol == symbol), ZERO) - tied

    def balances(self, own: OwnAccount) -> BalancesResponse:
        """The holdings of the account.

        Raises:
            HeyTradersError: The exchange cannot be reached, or does not accept the key.
        """
        positions, resting = self.positions(own), self.open_orders(own, None)
        rows = self._held(own, resting)
        worth = self._worth(own, rows, positions, _DOLLARS[0])
        return BalancesResponse(
            account_id=own.account_id,
            total_equity_usd=None if worth is None else worth.quantize(Decimal("0.01")),
            balances=rows,
            positions=positions,
            open_orders=resting,
            updated_at=iso8601(time.time()),
            paper=False,
        )

    def equity(self, own: OwnAccount) -> Decimal | None:
        """The value of the account in its own currency; `None` if any asset in it has no price."""
        return self._worth(own, self._held(own, ()), self.positions(own), EXCHANGES[own.exchange].quote)

    def _held(self, own: OwnAccount, resting: Sequence[Order]) -> list[Balance]:
        """The balance of each asset. Prediction market balances do not show the part held by open buy orders."""
        row = EXCHANGES[own.exchange]
        buys = [one for one in resting if row.market_type == "prediction" and one.side == "buy"]
        tied = sum(((one.remaining_amount or ZERO) * (one.price or ZERO) for one in buys), ZERO)
        rows: list[Balance] = []
        for asset, free, used in held(self.read(own, "fetch_balance")):
            more = tied if asset == row.quote else ZERO
            if free or used:
                rows.append(Balance(asset=asset, free=free - more, used=used + more, total=free + used))
        return rows

    def positions(self, own: OwnAccount) -> list[Position]:
        """Open positions: perpetuals, or tokens of a prediction market. Spot holdings are balances."""
        kind = EXCHANGES[own.exchange].market_type
        if kind == "spot":
            return []
        if kind == "prediction":
            wallet = CONVENTIONS[own.exchange].login(own.keys().values)["walletAddress"]
            return polymarket_positions(self.read(own, "dataPublicGetPositions", {"user": wallet, "limit": "500"}))
        markets = self._by_symbol(own.exchange)
        found: list[Position] = []
        for raw in self.read(own, "fetch_positions"):
            market, contracts = markets.get(str(raw.get("symbol"))), decimal(raw.get("contracts"))
            if market is None or not contracts:
                continue
            found.append(
                Position(
                    symbol=market.instrument.symbol,
                    side="short" if raw.get("side") == "short" else "long",
                    size=abs(contracts) * market.contract,
                    entry_price=decimal(raw.get("entryPrice")) or Decimal(0),
                    unrealized_pnl=decimal(raw.get("unrealizedPnl")) or Decimal(0),
                    leverage=decimal(raw.get("leverage")) or Decimal(1),
                    mark_price=decimal(raw.get("markPrice")),
                    liquidation_price=decimal(raw.get("liquidationPrice")),
                    margin=decimal(raw.get("initialMargin")),
                )
            )
        return found

    def _worth(
        self, own: OwnAccount, rows: Sequence[Balance], positions: Sequence[Position], currency: str
    ) -> Decimal | None:
        """Value in a currency, treating all dollar currencies as equal; `None` if any asset has no price."""
        same = _DOLLARS if currency in _DOLLARS else (currency,)
        if EXCHANGES[own.exchange].market_type == "prediction":
            total = sum((p.size * (p.mark_price or p.entry_price) for p in positions), ZERO)
        else:
            total = sum((p.unrealized_pnl for p in positions), ZERO)
        total += sum((row.total for row in rows if row.asset in same), ZERO)
        others = [row for row in rows if row.asset not in same]
        if not others:
            return total
        try:
            prices = self._markets.prices(own.exchange)
        except HeyTradersError:
            return None
        for row in others:
            listed = (self._markets.of(own.exchange).get(Instrument(own.exchange, row.asset, quote)) for quote in same)
            found = next((prices[m.symbol] for m in listed if m is not None and m.symbol in prices), None)
            if found is None:
                return None
            total += row.total * found.last
        return total

    def open_orders(self, own: OwnAccount, symbol: str | None) -> list[Order]:
        """Resting orders at the exchange, newest first, of one symbol or all; including orders placed elsewhere."""
        market = None if symbol is None else self.market(own.exchange, symbol)
        markets = self._by_symbol(own.exchange)
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

    def _resting(self, own: OwnAccount, market: Market | None) -> Sequence[Mapping[str, Any]]:
        """Open orders in ccxt's format, oldest first."""
        if CONVENTIONS[own.exchange].lists_outcomes:
            return [polymarket_order(raw) for raw in self._pages(own, "clobPrivateGetDataOrders", market)][::-1]
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

    def book_with(self, own: OwnAccount, market: Market, venue_id: str) -> dict[str, Any]:
        """The same for an order placed elsewhere."""
        if CONVENTIONS[own.exchange].trigger_book is None:
            return {}
        apart = self.read(own, "fetch_open_orders", market.symbol, params={"trigger": True})
        return {"trigger": True} if any(str(one.get("id")) == venue_id for one in apart) else {}

    def _with_orders(self, own: OwnAccount) -> list[Market]:
        """The markets with open orders, for exchanges that list orders of one market at a time."""
        markets = {market.market_id: market for market in self._markets.of(own.exchange).values()}
        index = CONVENTIONS[own.exchange].login(own.keys().values)["options"]["accountIndex"]
        answer = self.read(own, "publicGetAccount", {"by": "index", "value": index})
        counted = [one for account in answer.get("accounts") or () for one in account.get("positions") or ()]
        busy = {str(one.get("market_id")) for one in counted if decimal(one.get("open_order_count"))}
        return [market for market_id, market in markets.items() if market_id in busy]

    def _pages(self, own: OwnAccount, method: str, market: Market | None) -> list[Mapping[str, Any]]:
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

    def now(self, own: OwnAccount, row: SentOrder) -> SentOrder:
        """The order in its current state; an ended order is not queried again.

        Raises:
            HeyTradersError: The exchange cannot be reached.
        """
        seen = None if row.status in ENDED or row.status in HELD else self.look(own, row)
        return row if seen is None else self.learn(row, seen)

    def look(self, own: OwnAccount, row: SentOrder) -> Seen | None:
        """The order at the exchange, found by our id; `None` if the exchange has none.

        Raises:
            HeyTradersError: The exchange cannot be reached, so nothing can be concluded.
        """
        market = self.market(own.exchange, row.symbol)
        raw = self._by_our_id(own, row, market)
        return None if raw is None else read_order(raw, market)

    def look_by_its_id(self, own: OwnAccount, market: Market, venue_id: str, row: SentOrder | None) -> Any:
        """An order by the exchange's own id, in ccxt's format; `None` if the exchange has none.

        `row` is its record if it was sent from here.

        Raises:
            HeyTradersError: The exchange cannot be reached, so nothing can be concluded.
        """
        match CONVENTIONS[own.exchange].finder:
            case "by identifier":
                return self._asked(lambda: upbit_order(self.read(own, "privateGetOrder", {"uuid": venue_id})))
            case "in lists":
                return self._in_lists(own, market, "id", venue_id)
            case "by its hash":
                return self._at_polymarket(own, market, venue_id, None if row is None else row.amount)
            case "by our id" | "as its id":
                if row is not None and self.book_of(row):
                    return self._by_our_id(own, row, market)
                found = self._asked(lambda: self.read(own, "fetch_order", venue_id, market.symbol))
                if found is None and CONVENTIONS[own.exchange].trigger_book is not None:
                    return self._asked(
                        lambda: self.read(own, "fetch_order", venue_id, market.symbol, {"trigger": True})
                    )
                return found

    def _by_our_id(self, own: OwnAccount, row: SentOrder, market: Market) -> Mapping[str, Any] | None:
        convention = CONVENTIONS[own.exchange]
        if row.order_type == TRIGGER and convention.trigger_book is not None:
            return self._trigger(own, market, convention.trigger_book, row.client_id)
        found: Mapping[str, Any] | None = None
        match convention.finder:
            case "by identifier":
                asked = {"identifier": row.client_id}
                return self._asked(lambda: upbit_order(self.read(own, "privateGetOrder", asked)))
            case "by our id":
                named = {_FIND_BY.get(convention.id_parameter, convention.id_parameter): row.client_id}
                return self._asked(lambda: self.read(own, "fetch_order", None, market.symbol, named))
            case "as its id":
                wanted = row.venue_id or row.client_id
                found = self._asked(lambda: self.read(own, "fetch_order", wanted, market.symbol))
            case "by its hash":
                args, params = arguments(own.exchange, row, market, row.client_id, row.created_at)
                order_id = row.venue_id or self.read(own, "order_hash", *args, params)
                return self._at_polymarket(own, market, order_id, row.amount)
            case "in lists":
                pass
        return self._in_lists(own, market, "clientOrderId", row.client_id) if found is None else found

    def _trigger(self, own: OwnAccount, market: Market, book: TriggerBook, client_id: str) -> Mapping[str, Any] | None:
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

    def _in_lists(self, own: OwnAccount, market: Market, field: str, wanted: str) -> Mapping[str, Any] | None:
        """An order from the lists of open and ended ones, for exchanges that cannot query one or soon drop it."""
        for method in ("fetch_open_orders", "fetch_closed_orders"):
            for raw in self.read(own, method, market.symbol):
                if str(raw.get(field)).lower() == wanted.lower():
                    return raw
        return None

    def _at_polymarket(
        self, own: OwnAccount, market: Market, order_id: str, amount: Decimal | None
    ) -> Mapping[str, Any] | None:
        """An order by its id among the open ones, or by its trades, since an ended order soon disappears."""
        self.read(own, "load_api_credentials")
        raw = self._asked(lambda: self.read(own, "clobPrivateGetDataOrderId", {"id": order_id}))
        if raw and raw.get("id"):
            return polymarket_order(raw)
        for one in self._pages(own, "clobPrivateGetDataOrders", market):
            if one.get("id") == order_id:
                return polymarket_order(one)
        trades = self._pages(own, "clobPrivateGetDataTrades", market)
        return None if amount is None else polymarket_fills(order_id, amount, trades)

    def learn(self, row: SentOrder, seen: Seen) -> SentOrder:
        """Record the exchange's state of an order."""
        missed = row.role is not None and seen.status in ENDED and self._is_missed(row, seen)
        told = None if row.role is not None and seen.status == "FILLED" else row.message
        changed = row.learned(
            venue_id=seen.order_id or row.venue_id,
            status=MISSED if missed else seen.status,
            message=_why_missed(row, seen) if missed else told,
            filled=seen.filled,
            average=seen.average,
            fee=row.fee if seen.fee is None else seen.fee,
            fee_currency=seen.fee_currency or row.fee_currency,
            now=time.time(),
        )
        if changed != row:
            lot = self.market(row.exchange, row.symbol).lot if changed.has_plan else None
            self._store.write_now(lambda c: _booked(c, changed, lot))
        return changed

    def _is_missed(self, row: SentOrder, seen: Seen) -> bool:
        """Whether an exit has ended before it filled, by its exchange's doing: the market left it behind, for example.

        Nobody cancels a market order, so it counts whatever the exchange calls it.
        """
        left = row.amount - seen.filled
        if left < self.market(row.exchange, row.symbol).lot:
            return False
        if row.message == LEFT_BEHIND or row.order_type in {"market", "FOK"}:
            return True
        return seen.state not in CONVENTIONS[row.exchange].nothing_to_close


def _why_missed(row: SentOrder, seen: Seen) -> str:
    name = EXCHANGES[row.exchange].name
    why = LEFT_BEHIND if row.message == LEFT_BEHIND else f"{name} ended it: {seen.state or seen.status}"
    return f"{seen.filled.normalize():f} of {row.amount.normalize():f} filled, then {why}"


def _booked(connection: sa.Connection, order: SentOrder, lot: Decimal | None) -> None:
    """Record the outcome of an order and, for an entry, the exits that protect the filled part."""
    change_order(connection, order)
    if lot is None:
        return
    exits = exits_of(connection, order.order_id)
    amount = _received(order, lot) - sum(each.filled for each in exits)
    if not exits and amount > 0:
        for role in ("stop_loss", "take_profit"):
            price = getattr(order, role)
            if price is not None:
                add_order(connection, new_exit(order, role, price, amount))
    for each in exits:
        if each.status == WAITING and each.amount != amount:
            change_order(connection, replace(each, amount=amount, updated_at=order.updated_at))


def _received(order: SentOrder, lot: Decimal) -> Decimal:
    """The filled amount of an order, less a fee deducted from it, in whole lots."""
    base = order.symbol.partition("/")[0]
    fee = order.fee if order.fee is not None and order.fee_currency == base and order.side == "buy" else Decimal(0)
    return (order.filled - fee) // lot * lot


def new_exit(entry: SentOrder, role: str, price: Decimal, amount: Decimal, number: int = 0) -> SentOrder:
    """An exit that waits for its price, with its id at the exchange; `number` counts the exits it replaces."""
    label = f"{entry.order_id}/{role}" + (f"/{number}" if number else "")
    return SentOrder(
        order_id=new_id("order"),
        account_id=entry.account_id,
        exchange=entry.exchange,
        symbol=entry.symbol,
        label=label,
        client_id=order_id_for(entry.exchange, entry.account_id, label),
        side="sell" if entry.side == "buy" else "buy",
        order_type="market",
        amount=amount,
        price=None,
        leverage=None,
        status=WAITING,
        created_at=entry.updated_at,
        updated_at=entry.updated_at,
        stop_loss=price if role == "stop_loss" else None,
        take_profit=price if role == "take_profit" else None,
        reduce_only=True,
        role=role,
        parent=entry.order_id,
    )


def replace_exits(
    connection: sa.Connection,
    entry: SentOrder,
    prices: Mapping[ExitRole, Decimal],
    now: float,
    amount: Decimal | None = None,
) -> None:
    """Replace an entry's waiting or cancelled exits. The new ones cover `amount`, or else as much as the old ones."""
    stop, target = prices.get("stop_loss"), prices.get("take_profit")
    change_order(connection, replace(entry, stop_loss=stop, take_profit=target, updated_at=now))
    exits = exits_of(connection, entry.order_id)
    if any(each.status not in HELD and each.status != "CANCELLED" for each in exits):
        return
    protected = max((each.amount for each in exits), default=Decimal(0)) if amount is None else amount
    for each in exits:
        if each.status in HELD:
            change_order(connection, each.ended("CANCELLED", "Replaced", now))
    for role in ("stop_loss", "take_profit"):
        price, number = prices.get(role), sum(each.role == role for each in exits)
        if price is not None and protected:
            added = new_exit(entry, role, price, protected, number)
            add_order(connection, replace(added, created_at=now, updated_at=now))


def withdrawal_right(connector: Connector, own: OwnAccount, markets: Callable[[], list[Any]]) -> bool | None:
    """Whether the key may withdraw money; `None` if the exchange does not say. Blocking.

    Raises:
        HeyTradersError: The exchange cannot be reached, or does not accept the key.
    """
    account = (own.account_id, own.keys())
    connector.read(own.exchange, "fetch_balance", account=account, markets=markets)
    if not CONVENTIONS[own.exchange].tells_permissions or own.testnet:
        return None
    said = connector.read(own.exchange, "sapiGetAccountApiRestrictions", account=account)
    return bool(said.get("enableWithdrawals") or said.get("enableInternalTransfer"))

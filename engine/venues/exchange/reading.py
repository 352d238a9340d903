"""What an own account holds, and what became of the orders that were sent to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from api.accounts import Balance, BalancesResponse, Position
from api.errors import HeyTradersError, NotFound
from api.exchanges import EXCHANGES, ExchangeId
from api.orders import Order
from api.symbols import Instrument, resolve
from engine.clock import iso8601
from engine.store.database import Store
from engine.store.exchange_data import SentOrder, change_order, orders_of
from engine.venues.amounts import ZERO

from .conventions import CONVENTIONS
from .markets import LivePrice, Market, Markets, decimal
from .orders import Seen, read_order
from .session import Connector
from .views import ENDED, OwnAccount, foreign_view, held, order_view, upbit_order

_DOLLARS: Final = ("USDT", "USDC", "USD")
_GIVEN_UP: Final = 7 * 86_400.0
"""After a week an order of which nothing was heard is no longer asked for at every look."""


class AccountReader:
    """Reads own accounts at their exchanges and writes down what it learns of orders. Blocking."""

    def __init__(self, store: Store, connector: Connector, markets: Markets) -> None:
        self._store = store
        self._connector = connector
        self._markets = markets

    def read(self, own: OwnAccount, method: str, *args: Any, **params: Any) -> Any:
        """Call a method of ccxt that changes nothing, with the account's keys."""
        return self._connector.read(
            own.exchange, method, *args, account=(own.account_id, own.keys()), markets=self.raw_markets(own), **params
        )

    def raw_markets(self, own: OwnAccount) -> Callable[[], list[Any]]:
        """The list of markets that the account's session takes, when it is needed."""
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
        """What an instrument trades at, asked for now."""
        return self._markets.price(self.market(instrument.exchange, instrument.symbol))

    def free(self, own: OwnAccount, asset: str) -> Decimal:
        """How much of an asset is available."""
        return sum((free for held_asset, free, _ in held(self.read(own, "fetch_balance")) if held_asset == asset), ZERO)

    def balances(self, own: OwnAccount) -> BalancesResponse:
        """What the account holds.

        Raises:
            HeyTradersError: The exchange cannot be asked, or does not accept the key.
        """
        rows, positions = self._held(own), self.positions(own)
        worth = self._worth(own, rows, positions, _DOLLARS[0])
        return BalancesResponse(
            account_id=own.account_id,
            total_equity_usd=None if worth is None else worth.quantize(Decimal("0.01")),
            balances=rows,
            positions=positions,
            open_orders=self.open_orders(own, None),
            updated_at=iso8601(time.time()),
            paper=False,
        )

    def equity(self, own: OwnAccount) -> Decimal | None:
        """What the account is worth in its own currency; `None` where something in it has no price."""
        return self._worth(own, self._held(own), self.positions(own), EXCHANGES[own.exchange].quote)

    def _held(self, own: OwnAccount) -> list[Balance]:
        raw = self.read(own, "fetch_balance")
        return [
            Balance(asset=a, free=free, used=used, total=free + used) for a, free, used in held(raw) if free or used
        ]

    def positions(self, own: OwnAccount) -> list[Position]:
        """What is open at a perpetual exchange; its spot holdings are balances."""
        if EXCHANGES[own.exchange].market_type != "perpetual":
            return []
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
        """In a currency, dollars of every kind being the same; `None` where something has no price."""
        same = _DOLLARS if currency in _DOLLARS else (currency,)
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
        """What rests at the exchange, newest first, of one symbol or of all; orders placed elsewhere included."""
        market = None if symbol is None else self.market(own.exchange, symbol)
        markets = self._by_symbol(own.exchange)
        sent = {row.client_id.lower(): row for row in self._store.read_now(lambda c: orders_of(c, own.account_id))}
        found: list[Order] = []
        for raw in self.read(own, "fetch_open_orders", None if market is None else market.symbol):
            traded = markets.get(str(raw.get("symbol")))
            if traded is None:
                continue
            seen = read_order(raw, traded)
            row = sent.get((seen.client_id or "").lower())
            found.append(
                foreign_view(raw, seen, own, traded) if row is None else order_view(self.learn(row, seen), own)
            )
        return found[::-1]

    def orders(self, own: OwnAccount) -> list[Order]:
        """Every order sent from here that exists, asked for again until it has ended."""
        found: list[Order] = []
        now = time.time()
        for row in self._store.read_now(lambda c: orders_of(c, own.account_id)):
            given_up = row.venue_id is None and now - row.created_at >= _GIVEN_UP
            known = row if given_up else self.now(own, row)
            if known.venue_id is not None:
                found.append(order_view(known, own))
        return found

    def now(self, own: OwnAccount, row: SentOrder) -> SentOrder:
        """The order as it is now; one that has ended is not asked for again.

        Raises:
            HeyTradersError: The exchange cannot be asked.
        """
        seen = None if row.status in ENDED else self.look(own, row)
        return row if seen is None else self.learn(row, seen)

    def look(self, own: OwnAccount, row: SentOrder) -> Seen | None:
        """The order at the exchange, found by the id that we gave it; `None` where the exchange has none.

        Raises:
            HeyTradersError: The exchange cannot be asked, so nothing follows.
        """
        market = self.market(own.exchange, row.symbol)
        try:
            raw = self._by_id(own, row, market)
        except NotFound as error:
            if error.code != "ORDER_NOT_FOUND":
                raise
            raw = None
        if raw is None and CONVENTIONS[own.exchange].finds_for is not None:
            raw = self._in_lists(own, row, market)
        return None if raw is None else read_order(raw, market)

    def _by_id(self, own: OwnAccount, row: SentOrder, market: Market) -> Mapping[str, Any] | None:
        if own.exchange == "upbit":
            return upbit_order(self.read(own, "privateGetOrder", {"identifier": row.client_id}))
        name = "origClientOrderId" if own.exchange.startswith("binance") else "clientOrderId"
        if own.exchange in {"gate", "gatefutures"}:
            return self.read(own, "fetch_order", row.venue_id or row.client_id, market.symbol)
        return self.read(own, "fetch_order", None, market.symbol, {name: row.client_id})

    def _in_lists(self, own: OwnAccount, row: SentOrder, market: Market) -> Mapping[str, Any] | None:
        """For exchanges that soon forget our ids: the same order in the lists of open and ended ones."""
        for method in ("fetch_open_orders", "fetch_closed_orders"):
            for raw in self.read(own, method, market.symbol):
                if str(raw.get("clientOrderId")).lower() == row.client_id.lower():
                    return raw
        return None

    def learn(self, row: SentOrder, seen: Seen) -> SentOrder:
        """Write down what the exchange shows of an order."""
        changed = row.learned(
            venue_id=seen.order_id or row.venue_id,
            status=seen.status,
            filled=seen.filled,
            average=seen.average,
            fee=seen.fee,
            fee_currency=seen.fee_currency,
            now=time.time(),
        )
        if changed != row:
            self._store.write_now(lambda c: change_order(c, changed))
        return changed

"""An exchange's markets with steps, minimums and fees, and its live prices. Market lists are cached for a day."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from api.errors import HeyTradersError, Unavailable
from api.exchanges import EXCHANGES, ExchangeId
from api.symbols import Instrument, is_asset
from engine.store.database import Store
from engine.store.exchange_data import read_markets, write_markets
from engine.venues.exchange.conventions import CONVENTIONS

from .session import Connector

LIST_SECONDS: Final = 86_400.0
PRICE_SECONDS: Final = 5.0
"""How long a live price is valid. An order is checked against prices at most 10 s old."""

RETRY_SECONDS: Final = 60.0
"""How long a stored list is used after an exchange returned none."""

_PREDICTIONS: Final = 500
_KEPT: Final = (
    "id", "lowercaseId", "symbol", "base", "quote", "settle", "baseId", "quoteId", "settleId", "type", "spot", "margin",
    "swap", "future", "option", "active", "contract", "linear", "inverse", "subType", "taker", "maker", "contractSize",
    "precision", "limits", "tierBased", "percentage", "feeSide", "marginModes", "numericId", "baseName",
)  # fmt: skip
"""Fields of a ccxt market that calls need. The exchange's raw answer is several times as long."""


@dataclass(frozen=True, slots=True)
class ExchangeMarket:
    """A market. Steps, minimums and prices are exact decimals: prices in quote units, amounts in base units.

    `symbol` is ccxt's name, `market_id` the exchange's. `contract` is the number of base units in one contract, 1 if
    amounts are in base units.
    `turnover` is the last day's, in quote units. `payout` is the payout of a resolved token, else `None`.
    """

    instrument: Instrument
    symbol: str
    market_id: str
    tick: Decimal
    lot: Decimal
    contract: Decimal
    min_amount: Decimal | None
    min_cost: Decimal | None
    maker_fee: Decimal | None
    taker_fee: Decimal | None
    turnover: float
    title: str | None = None
    resolves_at: int | None = None
    payout: int | None = None

    def price_step(self, price: Decimal) -> Decimal:
        """The price step near `price`."""
        return price_step(self.instrument.exchange, self.instrument.quote, price, self.tick)


def price_step(exchange: ExchangeId, quote: str, price: Decimal, least: Decimal) -> Decimal:
    """The price step near `price`.

    Args:
        exchange: The exchange.
        quote: The market's quote currency.
        price: 0 if unknown.
        least: The market's own step, overridden by a limit on significant figures or a documented table.
    """
    table, digits = CONVENTIONS[exchange].price_table, EXCHANGES[exchange].price_digits
    if table is not None and table.quote == quote:
        return table.step(price)
    if digits is not None and price > 0:
        return min(Decimal(1), max(least, Decimal(1).scaleb(price.adjusted() + 1 - digits)))
    return least


@dataclass(frozen=True, slots=True)
class LivePrice:
    """The last trade of a market and its best bid and ask. `at` is the exchange's time, unix seconds."""

    last: Decimal
    bid: Decimal | None
    ask: Decimal | None
    change_pct: float | None
    turnover: float | None
    at: float


class Markets:
    """The markets of all exchanges. Blocking: use it in a thread.

    Args:
        store: The database for market lists.
        connector: Queries the exchanges; `None` serves the stored lists, however old.
    """

    def __init__(self, store: Store, connector: Connector | None) -> None:
        self._store = store
        self._connector = connector
        self._lock = threading.Lock()
        self._lists: dict[ExchangeId, tuple[float, dict[Instrument, ExchangeMarket], list[Any]]] = {}
        self._prices: dict[ExchangeId, tuple[float, dict[str, LivePrice]]] = {}

    def of(self, exchange: ExchangeId) -> Mapping[Instrument, ExchangeMarket]:
        """Everything that trades on `exchange`, the largest turnover first.

        Raises:
            HeyTradersError: No list is stored, and the exchange returns none.
        """
        return self._list(exchange)[1]

    def raw(self, exchange: ExchangeId) -> list[Any]:
        """The same list in ccxt's format."""
        return self._list(exchange)[2]

    def prices(self, exchange: ExchangeId) -> Mapping[str, LivePrice]:
        """Live prices by ccxt's symbol, at most `PRICE_SECONDS` old.

        Raises:
            HeyTradersError: The exchange returns none.
        """
        with self._lock:
            at, kept = self._prices.get(exchange, (0.0, {}))
            if time.monotonic() - at < PRICE_SECONDS and kept:
                return kept
        found = self._fetch_prices(exchange)
        with self._lock:
            self._prices[exchange] = (time.monotonic(), found)
        return found

    def price(self, market: ExchangeMarket) -> LivePrice:
        """The live price of one market, requested now.

        Raises:
            HeyTradersError: The exchange returns none.
        """
        exchange = market.instrument.exchange
        if EXCHANGES[exchange].market_type == "prediction":
            return self._prediction_price(market)
        raw = self._asked.read(
            exchange, "fetch_ticker", market.symbol, markets=lambda: self.raw(exchange), patience=10.0
        )
        found = _live(raw)
        if found is None:
            book = self._asked.read(exchange, "fetch_order_book", market.symbol, 5)
            found = _from_book(book)
        if found is None:
            raise Unavailable(f"{EXCHANGES[exchange].name} has no price of {market.instrument.symbol} now")
        return found

    @property
    def _asked(self) -> Connector:
        if self._connector is None:
            raise Unavailable(
                "the markets of this exchange are not stored yet",
                suggestion="heytraders-mcp data fetch brings them, and candles with them",
            )
        return self._connector

    def _list(self, exchange: ExchangeId) -> tuple[float, dict[Instrument, ExchangeMarket], list[Any]]:
        with self._lock:
            kept = self._lists.get(exchange)
            if kept is not None and time.time() < kept[0]:
                return kept
            stored = self._store.read_now(lambda connection: read_markets(connection, exchange))
            if stored is not None and (self._connector is None or time.time() - stored[0] < LIST_SECONDS):
                return self._keep(exchange, stored[1], stored[0] + LIST_SECONDS)
            try:
                fresh = self._fetch_list(exchange)
            except HeyTradersError:
                if stored is None:
                    raise
                return self._keep(exchange, stored[1], time.time() + RETRY_SECONDS)
            now = time.time()
            self._store.write_now(lambda connection: write_markets(connection, exchange, fresh, now))
            return self._keep(exchange, fresh, now + LIST_SECONDS)

    def _keep(
        self, exchange: ExchangeId, stored: Any, until: float
    ) -> tuple[float, dict[Instrument, ExchangeMarket], list[Any]]:
        is_prediction = EXCHANGES[exchange].market_type == "prediction"
        read = _prediction_markets(exchange, stored["markets"]) if is_prediction else _markets(exchange, stored)
        by_instrument: dict[Instrument, ExchangeMarket] = {}
        for one in sorted(read, key=lambda one: -one.turnover):
            by_instrument.setdefault(one.instrument, one)
        kept = (until, by_instrument, stored["markets"])
        self._lists[exchange] = kept
        return kept

    def _fetch_list(self, exchange: ExchangeId) -> dict[str, Any]:
        if EXCHANGES[exchange].market_type == "prediction":
            pages = [
                self._asked.read(exchange, "gammaPublicGetMarkets", {**_OPEN_MARKETS, "offset": str(offset)})
                for offset in range(0, _PREDICTIONS, int(_OPEN_MARKETS["limit"]))
            ]
            return {"markets": [{name: one.get(name) for name in _PREDICTION_FIELDS} for page in pages for one in page]}
        raw = self._asked.read(exchange, "fetch_markets", patience=30.0)
        wanted = [_slim(exchange, market) for market in raw if _is_ours(exchange, market)]
        tickers = self._asked.read(exchange, "fetch_tickers", markets=lambda: wanted, patience=30.0)
        said = {symbol: (one.get("quoteVolume"), one.get("last")) for symbol, one in tickers.items()}
        return {"markets": wanted, "said": {market["symbol"]: said.get(market["symbol"]) for market in wanted}}

    def _fetch_prices(self, exchange: ExchangeId) -> dict[str, LivePrice]:
        if EXCHANGES[exchange].market_type == "prediction":
            raw = self._asked.read(exchange, "gammaPublicGetMarkets", _OPEN_MARKETS)
            return {symbol: price for market in raw for symbol, price in _prediction_prices(exchange, market).items()}
        raw = self._asked.read(exchange, "fetch_tickers", markets=lambda: self.raw(exchange))
        found = {symbol: _live(one) for symbol, one in raw.items()}
        return {symbol: one for symbol, one in found.items() if one is not None}

    def _prediction_price(self, market: ExchangeMarket) -> LivePrice:
        asked = {"token_id": market.instrument.base}
        book = self._asked.read(market.instrument.exchange, "clobPublicGetBook", asked, patience=10.0)
        bids = [Decimal(str(level["price"])) for level in book.get("bids") or ()]
        asks = [Decimal(str(level["price"])) for level in book.get("asks") or ()]
        bid, ask = max(bids, default=None), min(asks, default=None)
        said = book.get("last_trade_price")
        sides = [side for side in (bid, ask) if side is not None]
        last = Decimal(str(said)) if said else sum(sides, Decimal(0)) / max(len(sides), 1)
        at = float(book["timestamp"]) / 1_000 if book.get("timestamp") else time.time()
        return LivePrice(last, bid, ask, None, None, at)


_OPEN_MARKETS: Final = {
    "limit": "500", "active": "true", "closed": "false", "order": "volume24hr", "ascending": "false"
}  # fmt: skip
_PREDICTION_FIELDS: Final = (
    "id", "question", "conditionId", "slug", "endDate", "clobTokenIds", "outcomes", "outcomePrices", "closed", "active",
    "volume24hr", "orderPriceMinTickSize", "orderMinSize", "negRisk", "bestBid", "bestAsk", "lastTradePrice",
)  # fmt: skip


def decimal(value: Any) -> Decimal | None:
    """A number from an answer, exactly; `None` if the answer has none."""
    if value is None or value == "":
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _is_ours(exchange: ExchangeId, market: Mapping[str, Any]) -> bool:
    """Whether the API trades this kind of market on the exchange and can express its name."""
    row = EXCHANGES[exchange]
    if market.get("active") is False or not is_asset(str(market.get("base")).upper()):
        return False
    if row.market_type == "perpetual":
        is_perpetual = bool(market.get("swap")) and market.get("linear") is not False
        return is_perpetual and market.get("settle") == market.get("quote") == row.quote
    return bool(market.get("spot")) and is_asset(str(market.get("quote")))


def _slim(exchange: ExchangeId, market: Mapping[str, Any]) -> dict[str, Any]:
    slim = {name: market.get(name) for name in _KEPT}
    raw: dict[str, Any] = market.get("info") or {}
    slim["info"] = (
        raw if CONVENTIONS[exchange].keeps_raw else {name: raw[name] for name in ("orderTypes",) if name in raw}
    )
    return json.loads(json.dumps(slim, default=str))


def _markets(exchange: ExchangeId, stored: Mapping[str, Any]) -> list[ExchangeMarket]:
    found: list[ExchangeMarket] = []
    for raw in stored["markets"]:
        turnover, last = stored["said"].get(raw["symbol"]) or (None, None)
        precision: dict[str, Any] = raw.get("precision") or {}
        limits: dict[str, Any] = raw.get("limits") or {}
        contract = decimal(raw.get("contractSize")) or Decimal(1)
        if not raw.get("contract"):
            contract = Decimal(1)
        lot = (decimal(precision.get("amount")) or Decimal("0.00000001")) * contract
        least = decimal((limits.get("amount") or {}).get("min"))
        market = ExchangeMarket(
            instrument=Instrument(exchange, str(raw["base"]).upper(), str(raw["quote"])),
            symbol=raw["symbol"],
            market_id=str(raw["id"]),
            tick=_tick(exchange, raw, decimal(last)),
            lot=lot.normalize(),
            contract=contract,
            min_amount=None if least is None else (least * contract).normalize(),
            min_cost=_min_cost(exchange, str(raw["quote"]), decimal((limits.get("cost") or {}).get("min"))),
            maker_fee=decimal(raw.get("maker")),
            taker_fee=decimal(raw.get("taker")),
            turnover=float(decimal(turnover) or 0),
        )
        found.append(market)
    return found


def _tick(exchange: ExchangeId, raw: Mapping[str, Any], last: Decimal | None) -> Decimal:
    decimals = CONVENTIONS[exchange].price_decimals
    if decimals is None:
        least = (decimal((raw.get("precision") or {}).get("price")) or Decimal("0.00000001")).normalize()
    else:
        info: dict[str, Any] = raw.get("info") or {}
        least = Decimal(1).scaleb(int(info.get("szDecimals") or 0) - decimals)
    return price_step(exchange, str(raw["quote"]), last or Decimal(0), least)


def _min_cost(exchange: ExchangeId, quote: str, told: Decimal | None) -> Decimal | None:
    row = EXCHANGES[exchange]
    is_told = CONVENTIONS[exchange].minimum_told or quote != row.quote
    return (told or None) if is_told else row.minimum


def _prediction_markets(exchange: ExchangeId, stored: Sequence[Mapping[str, Any]]) -> list[ExchangeMarket]:
    return [one for raw in stored for one in _tokens(exchange, raw)]


def _tokens(exchange: ExchangeId, raw: Mapping[str, Any]) -> list[ExchangeMarket]:
    try:
        tokens, outcomes = json.loads(raw.get("clobTokenIds") or "[]"), json.loads(raw.get("outcomes") or "[]")
    except ValueError:
        return []
    ends = raw.get("endDate")
    resolves_at = None if not ends else int(datetime.fromisoformat(str(ends)).timestamp())
    return [
        ExchangeMarket(
            instrument=Instrument(exchange, str(token), EXCHANGES[exchange].quote),
            symbol=str(token),
            market_id=str(raw.get("conditionId")),
            tick=decimal(raw.get("orderPriceMinTickSize")) or Decimal("0.01"),
            lot=Decimal("0.01"),
            contract=Decimal(1),
            min_amount=decimal(raw.get("orderMinSize")),
            min_cost=None,
            maker_fee=None,
            taker_fee=None,
            turnover=float(decimal(raw.get("volume24hr")) or 0),
            title=f"{raw.get('question')} ({outcome})",
            resolves_at=resolves_at,
        )
        for token, outcome in zip(tokens, outcomes, strict=False)
    ]


def _prediction_prices(exchange: ExchangeId, raw: Mapping[str, Any]) -> dict[str, LivePrice]:
    found: dict[str, LivePrice] = {}
    now = time.time()
    first = True
    for market, price in zip(_tokens(exchange, raw), json.loads(raw.get("outcomePrices") or "[]"), strict=False):
        last = decimal(price)
        if last is not None:
            bid, ask = (decimal(raw.get("bestBid")), decimal(raw.get("bestAsk"))) if first else (None, None)
            found[market.symbol] = LivePrice(last, bid, ask, None, market.turnover, now)
        first = False
    return found


def _live(raw: Mapping[str, Any]) -> LivePrice | None:
    last = decimal(raw.get("last")) or decimal(raw.get("close")) or decimal(raw.get("markPrice"))
    if last is None or last <= 0:
        return None
    change, turnover, at = decimal(raw.get("percentage")), decimal(raw.get("quoteVolume")), raw.get("timestamp")
    return LivePrice(
        last,
        decimal(raw.get("bid")),
        decimal(raw.get("ask")),
        None if change is None or not math.isfinite(change) else float(change),
        None if turnover is None else float(turnover),
        float(at) / 1_000 if at else time.time(),
    )


def _from_book(book: Mapping[str, Any]) -> LivePrice | None:
    bid = decimal(book["bids"][0][0]) if book.get("bids") else None
    ask = decimal(book["asks"][0][0]) if book.get("asks") else None
    if bid is None or ask is None:
        return None
    return LivePrice((bid + ask) / 2, bid, ask, None, None, time.time())

"""Reads price, exchange rate, account and clock before the rules run, but only the facts that some limit needs.

A fact that cannot be read is `None`, and the rules that need it deny. If the service refuses for a reason that can be
fixed (no such account, a key without the scope), its error is raised unchanged: nothing has been sent yet.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Final, TypeVar

import anyio

from api import accounts, market, meta
from api.accounts import BalancesResponse, Position
from api.client import Client
from api.errors import HeyTradersError, NotFound, NotNow, OutcomeUnknown
from api.exchanges import ExchangeId
from api.orders import Order as ShownOrder
from api.symbols import BITCOIN_IN_DOLLARS, BITCOIN_IN_WON, Instrument, resolve
from safety.policy.evaluation import Need
from safety.terms.facts import AccountFacts, Facts, Quote, RestingOrder
from safety.terms.proposal import Action, Channel, OrderTerms, PublicationTerms

DOLLARS: Final = frozenset({"USD", "USDT", "USDC"})
"""Each counts as one USD."""

FIAT: Final = frozenset({"KRW"})
"""These count as cash too, at the order's own rate. Bitcoin is not cash, even if an order is paid in it."""

OTHER: Final = "(other holdings)"
"""Stands in for a symbol: everything in a spot account except its cash and the order's asset."""

ZERO: Final = Decimal(0)


def account_facts(
    order: OrderTerms, shown: BalancesResponse, age: float, quote: Quote | None, usd_rate: Decimal | None
) -> AccountFacts:
    """The snapshot for rules about `order`.

    Args:
        order: The planned order.
        shown: The balances from the service.
        age: Seconds since it was requested.
        quote: The quote of the order's symbol.
        usd_rate: USD per unit of the order's quote currency.
    """
    positions: dict[str, Decimal] = {}
    values: dict[str, Decimal] = {}
    for position in shown.positions:
        symbol = _symbol(order, position.symbol)
        positions[symbol] = positions.get(symbol, ZERO) + _signed(position)
        price = quote.price if quote is not None and symbol == order.symbol else _mark(position)
        if price is not None and usd_rate is not None:
            values[symbol] = values.get(symbol, ZERO) + abs(position.size) * price * usd_rate
    if order.market_type == "spot":
        _add_spot(order, shown, quote, usd_rate, positions, values)
    return AccountFacts(
        age=age,
        equity_usd=shown.total_equity_usd,
        free={balance.asset: balance.free for balance in shown.balances},
        positions=positions,
        position_usd=values,
        open_orders=tuple(_resting(order, each) for each in shown.open_orders),
    )


def _add_spot(
    order: OrderTerms,
    shown: BalancesResponse,
    quote: Quote | None,
    usd_rate: Decimal | None,
    positions: dict[str, Decimal],
    values: dict[str, Decimal],
) -> None:
    traded = resolve(order.symbol, order.exchange)
    held = sum((each.total for each in shown.balances if each.asset == traded.base), ZERO)
    rates = dict.fromkeys(DOLLARS, Decimal(1))
    if usd_rate is not None and traded.quote in FIAT:
        rates[traded.quote] = usd_rate
    cash = sum((each.total * rates[each.asset] for each in shown.balances if each.asset in rates), ZERO)
    positions[order.symbol] = held
    if quote is None or usd_rate is None or shown.total_equity_usd is None:
        return
    values[order.symbol] = held * quote.price * usd_rate
    values[OTHER] = max(ZERO, shown.total_equity_usd - cash - values[order.symbol])


def _symbol(order: OrderTerms, written: str) -> str:
    """A symbol in the notation of orders, from any notation of the service; an unreadable one is returned unchanged."""
    try:
        return resolve(written, order.exchange).symbol
    except HeyTradersError:
        return written


def _signed(position: Position) -> Decimal:
    return -abs(position.size) if position.side == "short" else position.size


def _mark(position: Position) -> Decimal | None:
    """The market price derived from the position: the hosted service only gives its entry price and profit."""
    if position.mark_price is not None:
        return position.mark_price
    if not position.size or position.entry_price <= 0:
        return None
    price = position.entry_price + position.unrealized_pnl / _signed(position)
    return price if price > 0 else None


def _resting(order: OrderTerms, shown: ShownOrder) -> RestingOrder:
    remaining = shown.remaining_amount if shown.remaining_amount is not None else shown.amount
    return RestingOrder(
        symbol=_symbol(order, shown.symbol or ""),
        side=shown.side or "",
        price=shown.price,
        remaining=remaining if remaining is not None else ZERO,
        role=None if shown.role == "entry" else shown.role,
        parent=shown.parent,
    )


CANDLE_SECONDS: Final = 60
RATE_SECONDS: Final = 300
"""Maximum age of the prices behind a currency's rate."""

CLOCK_SECONDS: Final = 15
"""How long the timestamp of an earlier answer stays usable."""

SHORTEST_NUMBER: Final = 5
"""Minimum length of a balance that a publication must not contain; a shorter number could be in any text."""

Result = TypeVar("Result")


@dataclass(slots=True)
class _Seen:
    """Results so far of the parallel requests about one order."""

    quote: Quote | None = None
    quote_at: float = 0.0
    usd_rate: Decimal | None = None
    balances: accounts.BalancesResponse | None = None
    balances_at: float = 0.0
    refusals: list[HeyTradersError] = field(default_factory=list[HeyTradersError])


@dataclass(frozen=True, slots=True)
class Gathering:
    """Reads facts from the service.

    Attributes:
        client: The service.
        now: Unix seconds.
    """

    client: Client
    now: Callable[[], float] = time.time
    _venues: dict[str, tuple[str | None, str | None]] = field(default_factory=dict[str, tuple[str | None, str | None]])

    async def facts(self, action: Action, wanted: frozenset[Need], channel: Channel) -> Facts:
        """The facts that the rules need about `action`, read in parallel.

        Args:
            action: The action to judge.
            wanted: The facts that the limits need.
            channel: The action's channel.

        Raises:
            HeyTradersError: The service refuses a request for a reason that can be fixed.
        """
        found = Facts(now=self.now(), money=channel.money)
        if isinstance(action, OrderTerms):
            found = await self._about_order(action, wanted, found, channel)
        elif isinstance(action, PublicationTerms) and "texts" in wanted:
            found = replace(found, known_texts=await self._known_texts())
        if "clock" in wanted:
            found = replace(found, clock_skew=await self._clock_skew())
        return found.later(self.now())

    async def quote(self, exchange: ExchangeId, symbol: str) -> Quote | None:
        """The close of the newest minute. An unfinished minute is as fresh as the answer.

        A minute in the future counts as old by the same amount: one of the clocks is wrong.
        """
        asked = market.OhlcvRequest(symbol=symbol, exchange=exchange, timeframe="1m", start=None, end=None, limit=1)
        try:
            answer = await _unless_later(self.client.call(market.MARKET_OHLCV, asked))
        except NotFound:
            # Imported candles may be longer than a minute: the list of markets has their last price and its time.
            if (listed := await self._listed_quote(exchange, symbol)) is None:
                raise
            return listed
        if answer is None or not answer.candles:
            return None
        opened, close = _unix(answer.candles[-1][0]), Decimal(repr(answer.candles[-1][4]))
        if opened is None or not close.is_finite() or close <= 0:
            return None
        if answer.source == "exchange" and (live := await self._listed_quote(exchange, symbol)) is not None:
            return live
        now = self.now()
        return Quote(close, max(0.0, now - opened - CANDLE_SECONDS, opened - now), answer.source)

    async def _listed_quote(self, exchange: ExchangeId, symbol: str) -> Quote | None:
        """The last price in the list of markets, with its own time: of an exchange, its last trade."""
        found = await self._listed(exchange, symbol)
        traded_at = None if found is None or found.as_of is None else _unix(found.as_of)
        if found is None or found.price is None or found.price <= 0 or traded_at is None:
            return None
        now = self.now()
        return Quote(found.price, max(0.0, now - traded_at, traded_at - now - 1), found.source, found.title)

    async def _listed(self, exchange: ExchangeId, symbol: str) -> market.Ticker | None:
        """The symbol in the list of markets; `None` if it is not there, or while the service cannot answer."""
        instrument = resolve(symbol, exchange)
        asked = market.TickersRequest.model_validate({"exchange": exchange, "search": instrument.base, "limit": 500})
        answer = await _unless_later(self.client.call(market.MARKET_TICKERS, asked))
        return None if answer is None else next((t for t in answer.tickers if t.symbol == instrument.symbol), None)

    async def _about_order(self, order: OrderTerms, wanted: frozenset[Need], found: Facts, channel: Channel) -> Facts:
        seen = _Seen()
        async with anyio.create_task_group() as tasks:
            if not wanted.isdisjoint({"quote", "usd_rate", "account"}):
                tasks.start_soon(self._see_price, order, seen)
            if "account" in wanted:
                tasks.start_soon(self._see_account, order.account_id, seen)
                if channel.money == "real" and channel.exchange is None:
                    tasks.start_soon(self._see_venue, order.account_id)
        if seen.refusals:
            raise seen.refusals[0]
        now = self.now()
        quote = seen.quote and replace(seen.quote, age=seen.quote.age + max(0.0, now - seen.quote_at))
        account: AccountFacts | None = None
        if seen.balances is not None:
            age = max(0.0, now - seen.balances_at)
            account = account_facts(order, seen.balances, age, seen.quote, seen.usd_rate)
            exchange, market_type = self._venues.get(order.account_id, (None, None))
            account = replace(account, exchange=channel.exchange or exchange, market_type=market_type)
        healthy = not ("quote" in wanted and seen.quote is None) and not ("account" in wanted and account is None)
        return replace(found, now=now, quote=quote, usd_rate=seen.usd_rate, account=account, upstream_healthy=healthy)

    async def _see_price(self, order: OrderTerms, seen: _Seen) -> None:
        try:
            seen.quote = await self.quote(order.exchange, order.symbol)
            seen.quote_at = self.now()
            if order.market_type == "prediction" and seen.quote is not None and seen.quote.title is None:
                found = await self._listed(order.exchange, order.symbol)
                seen.quote = replace(seen.quote, title=None if found is None else found.title)
            seen.usd_rate = await self._usd_rate(order)
        except HeyTradersError as refused:
            seen.refusals.append(refused)

    async def _see_account(self, account_id: str, seen: _Seen) -> None:
        asked = accounts.BalancesRequest(account_id=account_id)
        seen.balances_at = self.now()
        try:
            seen.balances = await _unless_later(self.client.call(accounts.ACCOUNTS_BALANCES, asked))
        except HeyTradersError as refused:
            seen.refusals.append(refused)

    async def _see_venue(self, account_id: str) -> None:
        """Read the account's venue. It never changes, so one request is enough; a missing answer blocks nothing."""
        if account_id in self._venues:
            return
        with suppress(HeyTradersError):
            shown = await self.client.call(accounts.ACCOUNTS_GET, accounts.AccountRequest(account_id=account_id))
            self._venues[account_id] = (shown.exchange, shown.market_type)

    async def _usd_rate(self, order: OrderTerms) -> Decimal | None:
        """USD per unit of the order's quote currency.

        KRW is converted through bitcoin's two prices; other currencies are not converted.
        """
        currency = resolve(order.symbol, order.exchange).quote
        if currency in DOLLARS:
            return Decimal(1)
        if currency not in {"KRW", "BTC"}:
            return None
        dollars = await self._recent(BITCOIN_IN_DOLLARS)
        if dollars is None or currency == "BTC":
            return dollars
        won = await self._recent(BITCOIN_IN_WON)
        return None if won is None else dollars / won

    async def _recent(self, instrument: Instrument) -> Decimal | None:
        """A price that is recent enough to convert with."""
        found = await self.quote(instrument.exchange, instrument.symbol)
        return None if found is None or found.age > RATE_SECONDS else found.price

    async def _clock_skew(self) -> float | None:
        """Seconds between this clock and the service's, from an answer to these requests or from a health check."""
        told = self.client.server_time
        if told is None or self.now() - told.heard > CLOCK_SECONDS:
            await _unless_later(self.client.call(meta.META_HEALTH, meta.HealthRequest()))
            told = self.client.server_time
        return None if told is None else abs(told.heard - told.said)

    async def _known_texts(self) -> tuple[str, ...]:
        """Ids, balances and positions of every account, which a publication must not reveal."""
        listed = await self.client.call(accounts.ACCOUNTS_LIST, accounts.AccountsRequest())
        ids = [account.account_id for account in listed.accounts if account.account_id]
        texts = set(ids)
        for account_id in ids:
            shown = await self.client.call(accounts.ACCOUNTS_BALANCES, accounts.BalancesRequest(account_id=account_id))
            numbers = [number for row in shown.balances for number in (row.free, row.used, row.total)]
            numbers += [number for row in shown.positions for number in (abs(row.size), abs(row.unrealized_pnl))]
            texts |= {text for number in (*numbers, shown.total_equity_usd) if (text := _written(number))}
            texts |= {order.order_id for order in shown.open_orders if order.order_id}
        return tuple(sorted(texts))


async def _unless_later(answer: Awaitable[Result]) -> Result | None:
    """The answer, or `None` while the service cannot give one."""
    try:
        return await answer
    except (NotNow, OutcomeUnknown):
        return None


def _unix(moment: str) -> float | None:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return None


def _written(number: Decimal | None) -> str | None:
    text = "" if number is None else format(number.normalize(), "f")
    return text if len(text) >= SHORTEST_NUMBER else None

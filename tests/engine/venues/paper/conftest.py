"""A broker on a market with hand-written bars, on a clock that moves only with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from anyio.to_thread import run_sync

from api.accounts import BalancesRequest, BalancesResponse
from api.errors import HeyTradersError, NotFound
from api.exchanges import ExchangeId
from api.orders import CancelRequest, Order, OrdersRequest, PlacedOrder, PlaceRequest
from api.symbols import Instrument
from api.times import AcceleratedClock, Timeframe
from engine.feeds.feed import Candles, InstrumentListing
from engine.feeds.market import FundingRates
from engine.frame import Bars
from engine.store.database import Store, default_url
from engine.venues.paper.accounts import PaperAccounts
from engine.venues.paper.administration import Administration
from engine.venues.paper.postings import verify
from engine.venues.paper.records import read_accounts

START = 1_750_075_200
"""2025-06-16, 12:00 UTC."""

OWNER = "agent_test"
TOKEN = "99244664687000000001"

BTC = Instrument("binance", "BTC", "USDT")
ETH = Instrument("binance", "ETH", "USDT")
BTC_PERP = Instrument("binancefuturesusd", "BTC", "USDT")
BTC_WON = Instrument("upbit", "BTC", "KRW")
BTC_LIGHTER = Instrument("lighter", "BTC", "USDC")
BTC_HYPER = Instrument("hyperliquid", "BTC", "USDC")
BTC_GATE = Instrument("gate", "BTC", "USDT")
RAIN = Instrument("polymarket", TOKEN, "USDC")

Bar = tuple[float, float, float, float, float]
"""Open, high, low, close, volume."""


def flat(price: float, volume: float = 1_000_000.0) -> Bar:
    """A bar without movement."""
    return (price, price, price, price, volume)


@dataclass
class Market:
    """Hand-written minute bars. `tick` closes a minute for every instrument."""

    clock: AcceleratedClock
    listed: dict[Instrument, InstrumentListing]
    bars: dict[Instrument, list[Bar]]
    rates: dict[Instrument, list[tuple[int, float]]] = field(default_factory=dict[Instrument, list[tuple[int, float]]])

    def funding(self, instrument: Instrument, start: int, end: int) -> FundingRates | None:
        """See `FundingFeed`."""
        due = [(at, rate) for at, rate in self.rates.get(instrument, ()) if start <= at < end]
        return FundingRates(np.array([at for at, _ in due], np.int64), np.array([rate for _, rate in due]), ())

    def tick(self, moves: dict[Instrument, Bar] | None = None) -> None:
        """Pass a minute; instruments not in `moves` stay at their last close."""
        for instrument, history in self.bars.items():
            last = history[-1][3]
            history.append((moves or {}).get(instrument, flat(last)))
        self.clock.advance(60)

    def resolve(self, token: Instrument, payout: int) -> None:
        """Resolve a prediction market."""
        self.listed[token] = replace(self.listed[token], payout=payout, resolves_at=int(self.clock.now()))

    def listings(self, exchange: ExchangeId) -> Sequence[InstrumentListing]:
        """See `Feed`."""
        return [one for one in self.listed.values() if one.instrument.exchange == exchange]

    def listing(self, instrument: Instrument) -> InstrumentListing:
        """See `Feed`."""
        if instrument not in self.listed:
            raise NotFound(f"{instrument.ticker} is not listed")
        return self.listed[instrument]

    def candles(
        self,
        instrument: Instrument,
        timeframe: Timeframe,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
    ) -> Candles:
        """See `Feed`: only minute bars, the first one an hour before noon."""
        del end
        if timeframe != "1m" or instrument not in self.bars:
            raise NotFound(f"no {timeframe} bars of {instrument.ticker}")
        history = self.bars[instrument]
        times = np.arange(len(history), dtype=np.int64) * 60 + START - 60
        keep = np.flatnonzero(times >= (start if start is not None else 0))[-(limit or len(history)) :]
        if len(keep) == 0:
            raise NotFound("no bars in that range")
        columns = np.array(history)[keep].T
        return Candles(instrument, "1m", times[keep], Bars(*columns, source="simulated"))


def a_market(clock: AcceleratedClock) -> Market:
    """A few instruments of every kind, with one closed bar each."""
    steps = {
        BTC: ("0.1", "0.00001", 100_000.0),
        ETH: ("0.01", "0.0001", 2_000.0),
        BTC_PERP: ("0.1", "0.001", 100_000.0),
        BTC_WON: ("1000", "0.0001", 140_000_000.0),
        BTC_LIGHTER: ("0.1", "0.00001", 100_000.0),
        BTC_HYPER: ("1", "0.00001", 100_000.0),
        BTC_GATE: ("0.1", "0.00001", 100_000.0),
        RAIN: ("0.01", "0.01", 0.60),
    }
    listed = {
        instrument: InstrumentListing(instrument, rank, None, (), tick, lot, "simulated", title="Will it rain?")
        for rank, (instrument, (tick, lot, _)) in enumerate(steps.items(), start=1)
    }
    return Market(clock, listed, {instrument: [flat(price)] for instrument, (_, _, price) in steps.items()})


class Bench:
    """A broker with its surroundings, and short methods for what tests do."""

    def __init__(self, home: Path, market: Market, clock: AcceleratedClock) -> None:
        self.home = home
        self.market = market
        self.clock = clock
        self.reopen()

    def reopen(self) -> None:
        """Does what a restart of the process does."""
        self.store = Store.open(default_url(self.home))
        self.broker = self.accounts_of(OWNER)

    def accounts_of(self, owner: str) -> PaperAccounts:
        """The paper accounts of an owner."""
        return PaperAccounts(self.store, self.market, self.clock, owner)

    async def place(self, account: str, symbol: str, side: str, amount: object, **more: Any) -> PlacedOrder:
        """Place an order on the owner's account at an exchange, by default a market order."""
        fields = {"exchange": account, "symbol": symbol, "side": side, "amount": amount, **more}
        request = PlaceRequest.model_validate({"account_id": f"paper-{account}", **fields})
        return await run_sync(self.broker.place, request)

    async def cancel(self, order_id: str | None, **more: Any) -> Order:
        """Cancel an order."""
        return await run_sync(self.broker.cancel, CancelRequest(order_id=order_id or "", **more))

    async def orders(self, **filters: Any) -> list[Order]:
        """Orders, newest first."""
        return (await run_sync(self.broker.orders, OrdersRequest(**filters))).orders

    async def order(self, order_id: str | None) -> Order:
        """The current state of an order."""
        return next(order for order in await self.orders(limit=200) if order.order_id == order_id)

    async def balances(self, account: str, symbol: str | None = None) -> BalancesResponse:
        """The balances endpoint."""
        return await run_sync(self.broker.balances, BalancesRequest(account_id=f"paper-{account}", symbol=symbol))

    async def cash(self, account: str) -> tuple[str, str]:
        """Free and used amounts of an account's currency, as text."""
        cash = (await self.balances(account)).balances[0]
        return f"{cash.free:f}", f"{cash.used:f}"

    def office(self) -> Administration:
        """The owner's command-line actions."""
        return Administration(self.store, self.clock, OWNER)

    def problems(self, exchanges: Collection[str] | None = None) -> list[str]:
        """Complaints of the books' verification, of the accounts at these exchanges or of all."""

        def look(connection: sa.Connection) -> list[str]:
            accounts = read_accounts(connection, OWNER)
            looked_at = [a for a in accounts if exchanges is None or a.exchange in exchanges]
            return [problem for account in looked_at for problem in verify(connection, account)]

        return self.store.read_now(look)


@pytest.fixture
def clock() -> AcceleratedClock:
    """A clock that stays at noon until the market ticks."""
    return AcceleratedClock(START)


@pytest.fixture
def market(clock: AcceleratedClock) -> Market:
    """BTC at 100,000 USDT and 140,000,000 KRW, ETH at 2,000, rain at 60 cents."""
    return a_market(clock)


@pytest.fixture
def desk(tmp_path: Path, market: Market, clock: AcceleratedClock) -> Iterable[Bench]:
    """A new broker; after any test, its books must add up."""
    bench = Bench(tmp_path / "home", market, clock)
    yield bench
    problems = bench.problems()
    bench.store.close()
    assert problems == []


Attempt = Callable[[], Awaitable[object]]
Refused = Callable[[Attempt], Awaitable[HeyTradersError]]


@pytest.fixture
def changes_nothing(desk: Bench) -> Refused:
    """Runs a call that must fail, checks that no balance and no order changed, and returns the error."""

    async def attempt(act: Attempt) -> HeyTradersError:
        accounts = desk.broker.accounts()
        before = [await desk.balances(str(a.exchange)) for a in accounts], await desk.orders(limit=200)
        with pytest.raises(HeyTradersError) as refused:
            await act()
        after = [await desk.balances(str(a.exchange)) for a in accounts], await desk.orders(limit=200)
        assert after == before
        return refused.value

    return attempt

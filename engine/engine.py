"""The engine's parts, opened once and passed to everything that needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from api.exchanges import DataChoice, ExchangeId
from api.times import Clock, SystemClock
from engine.access import LOCAL_AGENT, QuotaSettings

from .jobs.spec import JobSettings
from .live import LiveSettings

if TYPE_CHECKING:
    from engine.access import Access
    from engine.store.database import Store
    from engine.venues.venue import Venues

    from .documents import Library
    from .feeds.market import MarketFeed
    from .jobs.jobs import Jobs
    from .jobs.slots import Slot
    from .live.door import OrderDoor
    from .live.live import Live
    from .venues.exchange.accounts import ExchangeAccounts
    from .venues.exchange.plans import Plans
    from .venues.exchange.session import Connector
    from .venues.exchange.views import OwnAccount


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Settings for opening an engine.

    Attributes:
        home: Folder of the database and of the local key.
        database_url: A SQLAlchemy URL in place of the SQLite file in `home`.
        seed: Selects the simulated market; the same seed gives the same market.
        data: Whether candles that were not imported are simulated, or come from the exchanges.
        venue_urls: For development: servers on this machine in place of exchanges.
        own_accounts: The exchange accounts that the user has connected. Only a process with the safety gate for real
            money passes them in; without them every account is a paper account.
        quotas: Limits for agents.
        jobs: How backtests are run.
        live: How live strategies are run.
    """

    home: Path
    database_url: str | None = None
    seed: int = 7
    data: DataChoice = "simulated"
    venue_urls: Mapping[ExchangeId, str] = field(default_factory=dict["ExchangeId", str])
    own_accounts: Callable[[], Sequence[OwnAccount]] | None = None
    quotas: QuotaSettings = field(default_factory=QuotaSettings)
    jobs: JobSettings = field(default_factory=JobSettings)
    live: LiveSettings = field(default_factory=LiveSettings)


@dataclass(frozen=True, slots=True)
class Engine:
    """An open engine. `open` it, serve it with `create_app`, and `aclose` it."""

    settings: EngineSettings
    clock: Clock
    store: Store
    connector: Connector
    feed: MarketFeed
    access: Access
    library: Library
    venues: Venues
    jobs: Jobs
    live: Live
    plans: Plans | None = None

    @classmethod
    async def open(
        cls,
        settings: EngineSettings,
        clock: Clock | None = None,
        door: Callable[[OrderDoor], OrderDoor] | None = None,
        worker: Slot | None = None,
    ) -> Engine:
        """Open the database, the feed and everything on top of them.

        Args:
            settings: The engine's settings.
            clock: The system clock by default.
            door: Builds the order door for live strategies around the door to the paper accounts. By default, only
                the paper door is used.
            worker: A slot with a process that has been started, for the first job. Its limits are those of `settings`.

        Raises:
            UserMustAct: The database cannot be used.
        """
        return await anyio.to_thread.run_sync(cls._open, settings, clock or SystemClock(), door, worker)

    @classmethod
    def _open(
        cls,
        settings: EngineSettings,
        clock: Clock,
        door: Callable[[OrderDoor], OrderDoor] | None,
        worker: Slot | None,
    ) -> Engine:
        from engine.access import Access
        from engine.store.database import Store, default_url
        from engine.venues.venue import Venues

        from .documents import Library
        from .feeds.market import open_feed
        from .jobs.jobs import Jobs
        from .jobs.preparation import collect
        from .jobs.spec import CandleOrigin
        from .live.door import PaperDoor
        from .live.live import Live
        from .venues.exchange.session import Connector
        from .venues.paper.accounts import PaperAccounts

        store = Store.open(settings.database_url or default_url(settings.home))
        connector = Connector(store, settings.venue_urls)
        feed = open_feed(store, clock, settings.seed, settings.data, connector)
        access = Access(store, clock, settings.home, settings.quotas)
        world = CandleOrigin(store.url, settings.seed, settings.jobs.executor, settings.data)
        jobs = Jobs(store, clock, world, settings.jobs, partial(collect, feed), worker)
        jobs.resume()
        own = _own_accounts(settings, store, connector)
        listed = settings.own_accounts

        def paper(owner: str) -> PaperAccounts:
            return PaperAccounts(store, feed, clock, owner, venues.connected if owner == LOCAL_AGENT else tuple[str])

        venues = Venues(paper, own, lambda: [] if listed is None else [one.account_id for one in listed()])
        books: OrderDoor = PaperDoor(venues.paper, venues)
        orders = books if door is None else door(books)
        live = Live(store, clock, feed, venues, orders, settings.live)
        live.resume()
        plans = None if own is None else own.keep_plans(orders.permit_exit, settings.live.poll_seconds)
        return cls(settings, clock, store, connector, feed, access, Library(settings.quotas), venues, jobs, live, plans)

    async def aclose(self) -> None:
        """Close everything; pending backtests and subscriptions continue in the next engine on this database."""
        await anyio.to_thread.run_sync(self.live.close)
        if self.plans is not None:
            await anyio.to_thread.run_sync(self.plans.close)
        await anyio.to_thread.run_sync(self.jobs.close)
        await anyio.to_thread.run_sync(self.connector.close)
        await anyio.to_thread.run_sync(self.store.close)


def _own_accounts(settings: EngineSettings, store: Store, connector: Connector) -> ExchangeAccounts | None:
    if settings.own_accounts is None:
        return None
    from .venues.exchange.accounts import ExchangeAccounts
    from .venues.exchange.markets import Markets

    real_prices = settings.data == "exchange"
    return ExchangeAccounts(store, connector, Markets(store, connector), settings.own_accounts, real_prices=real_prices)

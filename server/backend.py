"""Opens the backend of the calls, the hosted service or the embedded engine: lazily, once per process.

The only module outside `engine` that imports it, and only when a call needs it. Each backend runs in a separate task:
an engine opened during one call must outlive that call, and must be closed by the task that opened it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

import anyio
import anyio.abc
import anyio.lowlevel
import anyio.to_thread
from pydantic import SecretStr

from safety.exits import Redactor, know
from server.lifecycle import Safety

from .keys import find_key, keep_registered_key
from .settings import Settings

if TYPE_CHECKING:
    from api.client import Client
    from engine.engine import Engine
    from engine.live.door import OrderDoor
    from engine.venues.exchange.views import OwnAccount
    from safety.face import Gate
    from safety.gate import GateContext

    from .channels import Reached

POLL_SECONDS: Final = 1.0
FAST_POLL_SECONDS: Final = 0.05

Source = Literal["hosted", "embedded"]
MakeDoor = Callable[["OrderDoor"], "OrderDoor"]
"""Makes the door of live strategies from the door to the paper books."""

Opener = Callable[[Settings], AbstractAsyncContextManager["Reached"]]


class Backend:
    """The API clients of this process, opened on first use.

    Attributes:
        settings: Settings of this process.
        source: The service behind `client`: hosted with a key or base URL, else embedded.
    """

    def __init__(self, settings: Settings, tasks: anyio.abc.TaskGroup) -> None:
        self.settings = settings
        self.source: Source = "hosted" if settings.hosted else "embedded"
        self._tasks = tasks
        self._lock = anyio.Lock()
        self._reached: dict[Source, Reached] = {}
        self._closing = anyio.Event()
        self._closed: list[anyio.Event] = []
        self._safety = Safety(settings, self.reached, tasks)

    async def reached(self) -> Reached:
        """The API client, and the channels of its accounts."""
        return await self._get(self.source)

    async def client(self) -> Client:
        """The API."""
        return (await self._get(self.source)).client

    async def engine_client(self) -> Client:
        """The API of the embedded engine, even if `client` is hosted."""
        return (await self._get("embedded")).client

    async def safety(self) -> Gate:
        """The one gate before money, publications and webhooks."""
        return await self._safety.gate()

    async def context(self) -> GateContext:
        """The gate's context, for the command line; tools never get it."""
        return await self._safety.context()

    def begin(self) -> None:
        """Continue the work that an earlier process left."""
        self._safety.begin()

    def save(self, api_key: str) -> str:
        """Store a key that `client` registered. The hosted service is called with it from now on."""
        know(api_key)
        source = self.settings.url if self.settings.hosted else "embedded"
        path = keep_registered_key(self.settings.home, source, api_key)
        self._reached.pop("hosted", None)
        return path.name

    async def _get(self, source: Source) -> Reached:
        async with self._lock:
            if source not in self._reached:
                opener = hosted_client if source == "hosted" else partial(embedded_client, door=self.door())
                with anyio.CancelScope(shield=True):
                    self._reached[source] = await self._tasks.start(self._hold, opener)
            return self._reached[source]

    def door(self) -> MakeDoor | None:
        """The function that makes the gate the door of live strategies; `None` with a hosted service.

        With a hosted service, the gate serves that service only.
        """
        if self.settings.hosted:
            return None
        token = anyio.lowlevel.current_token()

        def door(books: OrderDoor) -> OrderDoor:
            from server.live_orders import GateDoor

            return GateDoor(self._safety, books, token)

        return door

    async def aclose(self) -> None:
        """Close all clients, and wait until they are closed."""
        await self._safety.stop()
        self._closing.set()
        for closed in self._closed:
            await closed.wait()
        await self._safety.aclose()

    async def _hold(self, opener: Opener, *, task_status: anyio.abc.TaskStatus[Reached]) -> None:
        closed = anyio.Event()
        async with opener(self.settings) as reached:
            self._closed.append(closed)
            task_status.started(reached)
            await self._closing.wait()
        closed.set()


@asynccontextmanager
async def open_backend(settings: Settings) -> AsyncGenerator[Backend]:
    """A backend for the server's run time. It opens clients later, on demand, and closes them at the end."""
    async with anyio.create_task_group() as tasks:
        backend = Backend(settings, tasks)
        backend.begin()
        try:
            yield backend
        finally:
            with anyio.CancelScope(shield=True):
                await backend.aclose()


@asynccontextmanager
async def hosted_client(settings: Settings) -> AsyncGenerator[Reached]:
    """The hosted service, with the key that belongs to its URL."""
    from api.client import Client
    from api.transport import hosted
    from safety.terms.channel import Channels

    from .channels import Reached

    found = await anyio.to_thread.run_sync(find_key, settings.home, settings.url, settings.api_key)
    key = found.key if found else None
    arriving = Redactor()
    if key:
        know(key.get_secret_value())
        arriving.know(key.get_secret_value())
    wire = hosted(settings.url, key, header=settings.auth_header, hide=arriving.known)
    async with _closing(Client(wire, source="hosted", amounts=settings.amounts)) as client:
        yield Reached(client, Channels.hosted(settings.url))


@asynccontextmanager
async def embedded_client(settings: Settings, door: MakeDoor | None = None) -> AsyncGenerator[Reached]:
    """The embedded engine, in this process, with this machine's own key."""
    async with open_engine(settings, door, gated=True) as engine:
        from api.client import Client
        from api.transport import embedded
        from engine.access import LOCAL_AGENT
        from engine.routes import create_app

        from .channels import Reached, local_channels

        key = await engine.access.local_key()
        know(key)
        wire = embedded(create_app(engine), SecretStr(key))
        async with _closing(Client(wire, source="embedded")) as client:
            yield Reached(client, local_channels(settings.home, engine.venues.paper(LOCAL_AGENT).account))


@asynccontextmanager
async def _closing(client: Client) -> AsyncGenerator[Client]:
    try:
        yield client
    finally:
        with anyio.CancelScope(shield=True):
            await client.aclose()


@asynccontextmanager
async def open_engine(
    settings: Settings, door: MakeDoor | None = None, *, gated: bool = False
) -> AsyncGenerator[Engine]:
    """The embedded engine, imported and opened in a thread so that the event loop stays free.

    `gated` gives it the user's exchange accounts and lets it run live strategies. Set it only if every order passes the
    gate first.
    """
    from server.channels import own_accounts

    own = partial(own_accounts, settings.home) if gated else None
    opening = await anyio.to_thread.run_sync(_import_engine, settings, door, own)
    engine = await opening()
    try:
        yield engine
    finally:
        with anyio.CancelScope(shield=True):
            await engine.aclose()


def _import_engine(
    settings: Settings, door: MakeDoor | None, own: Callable[[], Sequence[OwnAccount]] | None
) -> Callable[[], Awaitable[Engine]]:
    """A function that opens an engine with these settings."""
    from api.times import AcceleratedClock, SystemClock
    from engine.engine import Engine, EngineSettings
    from engine.jobs.spec import JobSettings, Limits
    from engine.live import LiveSettings

    fast = settings.time_speed != 1.0
    live = LiveSettings(
        poll_seconds=FAST_POLL_SECONDS if fast else POLL_SECONDS,
        webhooks_to_loopback=settings.webhooks_to_loopback,
        stays=settings.stays,
        in_background=own is not None,
    )
    limits = Limits(settings.backtest_seconds, settings.backtest_memory_mb)
    jobs = JobSettings(limits=limits, executor=settings.executor)
    if settings.backtest_slots is not None:
        jobs = replace(jobs, slots=settings.backtest_slots)
    given = EngineSettings(
        home=settings.home,
        database_url=settings.database_url,
        seed=settings.seed,
        data=settings.data,
        venue_urls=settings.venue_urls,
        own_accounts=own,
        jobs=jobs,
        live=live,
    )
    clock = AcceleratedClock(time.time(), settings.time_speed) if fast else SystemClock()
    return partial(Engine.open, given, clock, door)

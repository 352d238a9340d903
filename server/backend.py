"""Opens the backend of the calls, the hosted service or the embedded engine, and the gate before it: once per process.

The only module outside `engine` that imports it, and only when a call needs it. Each backend runs in a separate task:
an engine opened during one call must outlive that call, and must be closed by the task that opened it.

Starting a server and listing its tools imports none of this. A home with a ledger may have approved intents to send or
sent ones to resolve, so the watcher of the gate starts soon after the server, before any call.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.abc
import anyio.lowlevel
import anyio.to_thread
from anyio import to_thread
from pydantic import SecretStr

from safety.exits import Redactor, know
from server.gate import build_gate_context, build_watcher
from server.keys import find_key, keep_registered_key
from server.settings import Settings

if TYPE_CHECKING:
    from api.client import BackendKind, Client
    from engine.engine import Engine
    from engine.jobs.slots import Slot
    from engine.live.door import OrderDoor
    from engine.venues.exchange.views import OwnAccount
    from safety.face import Gate
    from safety.gate import GateContext
    from safety.ledger import Ledger
    from server.channels import Reached


LEDGER: Final = "safety.db"
SOON: Final = 3.0
"""Delay in seconds after the start, so that a client's first calls come first."""

IDLE: Final = 2.0
"""Seconds between two readings of the ledger while there is no reason to open the engine."""

_log = logging.getLogger("heytraders.safety")


class Safety:
    """The one gate of this process. Its ledger is shared with every other process of the same home.

    Args:
        settings: Settings of this process.
        reached: Opens the backend of the calls.
        tasks: Runs the watcher until `stop`.
    """

    def __init__(
        self, settings: Settings, reached: Callable[[], Awaitable[Reached]], tasks: anyio.abc.TaskGroup
    ) -> None:
        self._settings = settings
        self._reached = reached
        self._tasks = tasks
        self._lock = anyio.Lock()
        self._ledger: Ledger | None = None
        self._context: GateContext | None = None
        self._gate: Gate | None = None
        self._watch_scope: anyio.CancelScope | None = None
        self._watch_ended = anyio.Event()
        self._turn: anyio.CancelScope | None = None
        self._check_scope = anyio.CancelScope()

    async def gate(self) -> Gate:
        """The gate for tools.

        Raises:
            UserMustAct: The ledger cannot be used, so nothing passes.
        """
        context = await self.context()
        self._watch()
        if self._gate is None or self._gate.orders.context is not context:
            from safety.gate import Gate

            self._gate = Gate.of(context)
        return self._gate

    async def context(self) -> GateContext:
        """The gate's context; a new one after a newly registered key has changed the client."""
        reached = await self._reached()
        async with self._lock:
            if self._context is None or self._context.client is not reached.client:
                ledger = await self._open_ledger()
                self._context = await to_thread.run_sync(partial(build_gate_context, self._settings, reached, ledger))
                if self._turn is not None:
                    self._turn.cancel()
            return self._context

    def begin(self) -> None:
        """Start the watcher with the server if there may be something to watch."""
        if (self._settings.home / LEDGER).exists():
            self._watch()

    async def stop(self) -> None:
        """Stop the watcher, after booking the outcome of anything being sent."""
        self._check_scope.cancel()
        if self._watch_scope is not None:
            self._watch_scope.cancel()
            await self._watch_ended.wait()

    async def aclose(self) -> None:
        """Close the ledger, after `stop`."""
        if self._ledger is not None:
            await to_thread.run_sync(self._ledger.close)

    async def _open_ledger(self) -> Ledger:
        if self._ledger is None:
            from safety.ledger import Ledger

            self._ledger = await to_thread.run_sync(partial(Ledger.open, self._settings.home, recent=True))
            self._tasks.start_soon(self._check, self._ledger)
        return self._ledger

    async def _check(self, ledger: Ledger) -> None:
        """Check the whole journal once, in the background; opening it has only checked the newest part."""
        try:
            with self._check_scope:
                await anyio.sleep(SOON)
                await to_thread.run_sync(ledger.check, abandon_on_cancel=True)
        except Exception as error:  # noqa: BLE001 - what cannot be read is told to the next call
            _log.warning("the journal was not checked: %s", error)

    def _watch(self) -> None:
        """Start the watcher unless it is running. A read-only server sends nothing, not even approved intents."""
        if self._watch_scope is None and not self._settings.read_only:
            self._watch_scope = anyio.CancelScope()
            self._watch_ended = anyio.Event()
            self._tasks.start_soon(self._keep_watch, self._watch_scope)

    async def _keep_watch(self, scope: anyio.CancelScope) -> None:
        """Watch until stopped. A failure ends it until the next call through the gate, which reports the cause."""
        try:
            with scope:
                await self._wait_for_a_reason()
                while True:
                    watcher = await to_thread.run_sync(build_watcher, await self.context())
                    with anyio.CancelScope() as self._turn:
                        await watcher.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, calls must go on
            _log.warning("nothing is watched until the next call through the gate: %s", error)
            self._watch_scope = None
        finally:
            self._watch_ended.set()

    async def _wait_for_a_reason(self) -> None:
        """Return when a call has opened the gate or an intent is waiting; with a hosted service, soon."""
        if self._context is None:
            await anyio.sleep(SOON)
        while self._context is None and not self._settings.hosted:
            async with self._lock:
                ledger = await self._open_ledger()
            if await to_thread.run_sync(_something_waits, ledger):
                return
            await anyio.sleep(IDLE)


def _something_waits(ledger: Ledger) -> bool:
    from safety.terms.intent import UNDECIDED

    ledger.expire_due()
    waiting = ledger.intents(states=(*UNDECIDED, "SENT", "UNKNOWN"), limit=1)
    return bool(waiting) or ledger.switch().state == "HALTED"


POLL_SECONDS: Final = 1.0
FAST_POLL_SECONDS: Final = 0.05

MakeDoor = Callable[["OrderDoor"], "OrderDoor"]
"""Makes the door of live strategies from the door to the paper books."""

ReachOpener = Callable[[Settings], AbstractAsyncContextManager["Reached"]]


class Backend:
    """The API clients of this process, opened on first use.

    Attributes:
        settings: Settings of this process.
        source: The service behind `client`: hosted with a key or base URL, else embedded.
    """

    def __init__(self, settings: Settings, tasks: anyio.abc.TaskGroup) -> None:
        self.settings = settings
        self.source: BackendKind = "hosted" if settings.hosted else "embedded"
        self._tasks = tasks
        self._lock = anyio.Lock()
        self._reached: dict[BackendKind, Reached] = {}
        self._closing = anyio.Event()
        self._closed: list[anyio.Event] = []
        self._safety = Safety(settings, self.reached, tasks)

    async def reached(self) -> Reached:
        """The API client, and the channels of its accounts."""
        return await self._get(self.source)

    async def client(self, *, runs_jobs: bool = False) -> Client:
        """The API. `runs_jobs`: the first worker process starts while the engine is imported and opened."""
        return (await self._get(self.source, runs_jobs=runs_jobs)).client

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

    async def _get(self, source: BackendKind, *, runs_jobs: bool = False) -> Reached:
        async with self._lock:
            if source not in self._reached:
                local = partial(embedded_client, door=self.door(), runs_jobs=runs_jobs)
                opener = hosted_client if source == "hosted" else local
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

    async def _hold(self, opener: ReachOpener, *, task_status: anyio.abc.TaskStatus[Reached]) -> None:
        closed = anyio.Event()
        try:
            async with opener(self.settings) as reached:
                self._closed.append(closed)
                task_status.started(reached)
                await self._closing.wait()
        finally:
            closed.set()  # also when closing failed: `aclose` waits for it, shielded


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
    from safety.terms.proposal import Channels
    from server.channels import Reached

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
async def embedded_client(
    settings: Settings, door: MakeDoor | None = None, *, runs_jobs: bool = False
) -> AsyncGenerator[Reached]:
    """The embedded engine, in this process, with this machine's own key."""
    async with open_engine(settings, door, gated=True, runs_jobs=runs_jobs) as engine:
        from api.client import Client
        from api.transport import embedded
        from engine.access import LOCAL_AGENT
        from engine.routes import create_app
        from server.channels import Reached, local_channels

        key = await engine.access.local_key()
        know(key)
        wire = embedded(create_app(engine), SecretStr(key))
        async with _closing(Client(wire, source="embedded")) as client:
            paper = engine.venues.paper(LOCAL_AGENT)
            yield Reached(client, local_channels(settings.home, paper.account, engine.venues.check))


@asynccontextmanager
async def _closing(client: Client) -> AsyncGenerator[Client]:
    try:
        yield client
    finally:
        with anyio.CancelScope(shield=True):
            await client.aclose()


@asynccontextmanager
async def open_engine(
    settings: Settings, door: MakeDoor | None = None, *, gated: bool = False, runs_jobs: bool = False
) -> AsyncGenerator[Engine]:
    """The embedded engine, imported and opened in a thread so that the event loop stays free.

    `gated` gives it the user's exchange accounts and lets it run live strategies. Set it only if every order passes the
    gate first. `runs_jobs` starts a worker process before the rest is imported, because a process takes a second to
    start.
    """
    from server.channels import own_accounts

    own = partial(own_accounts, settings.home) if gated else None
    limits = settings.backtest_seconds, settings.backtest_memory_mb
    worker = await anyio.to_thread.run_sync(_start_worker, *limits) if runs_jobs else None
    try:
        opening = await anyio.to_thread.run_sync(_import_engine, settings, door, own)
        engine = await opening(worker)
    except BaseException:
        if worker is not None:
            worker.close()
        raise
    try:
        yield engine
    finally:
        with anyio.CancelScope(shield=True):
            await engine.aclose()


def _start_worker(seconds: float, memory_mb: int) -> Slot:
    """A slot for jobs whose process is starting."""
    from engine.jobs.slots import Slot
    from engine.jobs.spec import JobLimits

    slot = Slot(JobLimits(seconds, memory_mb))
    slot.warm()
    return slot


def _import_engine(
    settings: Settings, door: MakeDoor | None, own: Callable[[], Sequence[OwnAccount]] | None
) -> Callable[[Slot | None], Awaitable[Engine]]:
    """A function that opens an engine with these settings and a started worker."""
    from api.times import AcceleratedClock, SystemClock
    from engine.engine import Engine, EngineSettings
    from engine.jobs.spec import JobLimits, JobSettings
    from engine.live import LiveSettings

    fast = settings.time_speed != 1.0
    live = LiveSettings(
        poll_seconds=FAST_POLL_SECONDS if fast else POLL_SECONDS,
        webhooks_to_loopback=settings.webhooks_to_loopback,
        stays=settings.stays,
        in_background=own is not None,
    )
    limits = JobLimits(settings.backtest_seconds, settings.backtest_memory_mb)
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

"""Builds the gate of this process when a call first needs it, and runs the watcher in the background.

Starting a server and listing its tools imports none of this. A home with a ledger may have approved intents to send or
sent ones to resolve, so the watcher starts soon after the server, before any call.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.abc
from anyio import to_thread

from .settings import Settings

if TYPE_CHECKING:
    from safety.face import Gate
    from safety.gate import GateContext
    from safety.ledger import Ledger, Switch
    from safety.sending.watcher import Watcher
    from safety.terms.channel import Money

    from .channels import Reached

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
        self._watch_scope: anyio.CancelScope | None = None
        self._watch_ended = anyio.Event()
        self._turn: anyio.CancelScope | None = None
        self._check_scope = anyio.CancelScope()

    async def gate(self) -> Gate:
        """The gate for tools.

        Raises:
            UserMustAct: The ledger cannot be used, so nothing passes.
        """
        from safety.gate import Gate

        context = await self.context()
        self._watch()
        return Gate.of(context)

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
            _log.warning("the journal was not looked through: %s", error)

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


def build_gate_context(
    settings: Settings, reached: Reached, ledger: Ledger, now: Callable[[], float] = time.time
) -> GateContext:
    """A gate context for these settings. Imports heavy modules, so call it in a thread."""
    from safety.exits import know
    from safety.gate import GateContext
    from safety.gate.gathering import Gathering
    from safety.gate.judging import Judge
    from safety.sending.execution import Executor

    if settings.webhook_secret is not None:
        know(settings.webhook_secret.get_secret_value())
    client, channels = reached.client, reached.channels
    judge = Judge(
        settings.home,
        ledger,
        Gathering(client, now),
        channels,
        key_in_environment=settings.key_in_environment,
        started_by_client=not settings.stays,
    )
    return GateContext(
        home=settings.home,
        client=client,
        channels=channels,
        ledger=ledger,
        judge=judge,
        executor=Executor(client, ledger, judge, channels, now, webhook_secret=settings.webhook_secret),
        now=now,
        webhook_secret=settings.webhook_secret,
    )


def build_watcher(context: GateContext) -> Watcher:
    """The watcher for this context."""
    from safety.gate.halting import clean_up, watch_losses
    from safety.sending.reconciliation import Reconciler
    from safety.sending.watcher import Expiry, Watcher

    client, ledger, channels, now = context.client, context.ledger, context.channels, context.now

    async def standing_seconds(money: Money) -> float | None:
        loaded, _, _ = await to_thread.run_sync(context.judge.in_force)
        return loaded.policy.limits(money).standing_seconds

    async def follow_halt(_switch: Switch) -> Sequence[str]:
        return (await clean_up(context)).failed

    return Watcher(
        ledger=ledger,
        services=channels.services,
        executor=context.executor,
        reconciler=Reconciler(client, ledger, channels, now=now),
        expiry=Expiry(client, ledger, channels.services, standing_seconds, now),
        follow_halt=follow_halt,
        watch_losses=partial(watch_losses, context),
        now=now,
    )

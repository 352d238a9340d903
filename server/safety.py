"""Builds the gate of this process, when a call first needs it: ledger, policy, executor, on the backend's client.

Starting a server and listing its tools imports none of this.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from .settings import Settings

if TYPE_CHECKING:
    from api.client import Client
    from safety.face import SafetyDesk
    from safety.gate import Footing
    from safety.ledger import Ledger


class Safety:
    """The one gate of this process. Its ledger is shared with every other process of the same home."""

    def __init__(self, settings: Settings, client: Callable[[], Awaitable[Client]]) -> None:
        self._settings = settings
        self._client = client
        self._lock = anyio.Lock()
        self._ledger: Ledger | None = None
        self._footing: Footing | None = None

    async def gate(self) -> SafetyDesk:
        """What tools go through.

        Raises:
            UserMustAct: The ledger cannot be used; then nothing passes.
        """
        from safety.gate import Gate

        return Gate(await self.footing())

    async def footing(self) -> Footing:
        """What the gate stands on; another one once a newly registered key has changed the client."""
        client = await self._client()
        async with self._lock:
            if self._footing is None or self._footing.client is not client:
                ledger = await self._open_ledger()
                self._footing = await to_thread.run_sync(partial(build_footing, self._settings, client, ledger))
            return self._footing

    async def aclose(self) -> None:
        """Close the ledger."""
        if self._ledger is not None:
            await to_thread.run_sync(self._ledger.close)

    async def _open_ledger(self) -> Ledger:
        if self._ledger is None:
            from safety.ledger import Ledger

            self._ledger = await to_thread.run_sync(Ledger.open, self._settings.home)
        return self._ledger


def build_footing(settings: Settings, client: Client, ledger: Ledger, now: Callable[[], float] = time.time) -> Footing:
    """A footing of these settings. Imports what it is made of, so call it in a thread."""
    from safety.execution import Executor
    from safety.gate import Footing
    from safety.gathering import Gathering
    from safety.judging import Judge

    in_environment = settings.api_key is not None and not settings.signed_in
    service = settings.url if client.source == "hosted" else "embedded"
    gathering = Gathering(client, client.source, now)
    judge = Judge(settings.home, ledger, gathering, service, key_in_environment=in_environment)
    return Footing(
        home=settings.home,
        client=client,
        backend=client.source,
        service=service,
        ledger=ledger,
        judge=judge,
        executor=Executor(client, ledger, judge, now, webhook_secret=settings.webhook_secret),
        now=now,
        webhook_secret=settings.webhook_secret,
    )

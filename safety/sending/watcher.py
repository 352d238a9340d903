"""Runs in the background of every server process: sends approved intents and resolves unknown outcomes.

A human approves in another process, and the caller may be gone, so some process must keep watch. Any number of
processes may watch one ledger: the first to claim an intent sends it, and all other work may safely run twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio
import anyio.abc
from anyio import to_thread

from api.client import Client
from api.errors import HeyTradersError
from api.live import LIVE_PAUSE, LIVE_SUBSCRIPTION_GET, Subscription, SubscriptionRequest, SwitchRequest
from safety.sending.execution import OrderSender
from safety.sending.reconciliation import QUIET, Reconciler
from safety.terms.intent import UNDECIDED, Intent, IntentState
from safety.terms.proposal import DeploymentTerms, Money

if TYPE_CHECKING:
    from safety.ledger import Ledger
    from safety.ledger.journal import Event
    from safety.ledger.switch import Switch

OPEN: Final[frozenset[IntentState]] = frozenset({*UNDECIDED, "SENT", "UNKNOWN"})

FOLLOWED: Final = "halt_followed"
"""Event kind: orders were cancelled after a halt. The subject is the service."""

NEWEST: Final = 1000

_log = logging.getLogger("heytraders.safety")


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds.

    Attributes:
        brisk: Between two readings of the ledger while an intent is pending or unknown.
        idle: The same otherwise.
        own_caller: How long an intent that needed no approval is left to its own call.
        again: Delay before sending is tried again.
        halted: Delay before cancelling is tried again.
        hopeful: How long after an unknown outcome readings stay brisk.
        deployments: Between two checks of strategies that trade by themselves.
    """

    brisk: float = 0.5
    idle: float = 2.0
    own_caller: float = 3.0
    again: float = 2.0
    halted: float = 30.0
    hopeful: float = 300.0
    deployments: float = 60.0


@dataclass(slots=True)
class Watcher:
    """Watches one ledger for the services that one client reaches.

    Attributes:
        ledger: The ledger of this home.
        services: Service names of the intents; halts are booked under the first.
        executor: Sends.
        reconciler: Resolves unknown outcomes.
        expiry: Ends expired standing approvals.
        follow_halt: Cancels and pauses after a halt; returns the failures.
        pace: The intervals.
        now: Unix seconds, on the ledger's clock.
        watch_losses: Checks accounts on which strategies trade by themselves; `None` if there are none.
        looks: Rounds so far.
    """

    ledger: Ledger
    services: tuple[str, ...]
    executor: OrderSender
    reconciler: Reconciler
    expiry: Expiry
    follow_halt: Callable[[Switch], Awaitable[Sequence[str]]]
    pace: Pace = field(default_factory=Pace)
    now: Callable[[], float] = time.time
    watch_losses: Callable[[], Awaitable[None]] | None = None
    looks: int = 0
    _running: set[str] = field(default_factory=set[str])
    _next: dict[str, float] = field(default_factory=dict[str, float])
    _said: set[str] = field(default_factory=set[str])

    async def run(self) -> None:
        """Watch until cancelled. A failed round does not end it."""
        async with anyio.create_task_group() as tasks:
            while True:
                soon = await self._look(tasks)
                self.looks += 1
                await anyio.sleep(self.pace.brisk if soon else self.pace.idle)

    async def _look(self, tasks: anyio.abc.TaskGroup) -> bool:
        """Start all work that is due. Returns whether the next round should come soon."""
        try:
            waiting, switch = await to_thread.run_sync(self._read)
        except Exception as error:  # noqa: BLE001 - the next look may do better
            self._complain("the ledger", error)
            return False
        if switch.state == "HALTED":
            self._start(tasks, "the halt", lambda: self._follow(switch), every=self.pace.halted)
        for intent in waiting:
            if self._is_due(intent):
                name = intent.intent_id
                self._start(
                    tasks, f"intent {name}", lambda name=name: self.executor.execute(name), every=self.pace.again
                )
        self._start(tasks, "the reconciliation", self.reconciler.look)
        self._start(tasks, "standing approvals", self.expiry.pause_due, every=self.pace.deployments)
        if self.watch_losses is not None:
            self._start(tasks, "losses", self.watch_losses, every=self.pace.deployments)
        return any(self._is_urgent(each) for each in waiting)

    def _read(self) -> tuple[list[Intent], Switch]:
        """Pending and unresolved intents, after expiry, and the switch."""
        self.ledger.expire_due()
        return self.ledger.intents(states=OPEN, service=self.services), self.ledger.switch()

    def _is_urgent(self, intent: Intent) -> bool:
        """Whether its state may change soon. An intent that has long been unknown is not urgent."""
        return intent.state != "UNKNOWN" or self.now() - intent.changed_at < self.pace.hopeful

    def _is_due(self, intent: Intent) -> bool:
        if intent.state == "NOT_SENT":
            return self.now() - intent.changed_at >= self.pace.again
        if intent.state != "APPROVED":
            return False
        return not intent.automatic or self.now() - intent.created >= self.pace.own_caller

    async def _follow(self, switch: Switch) -> None:
        """Cancel and pause once for each halt, whichever process engaged the switch, and retry failures.

        Orders that appear later, such as one that had been given up, are cancelled too.
        """
        event = await to_thread.run_sync(self.ledger.latest, FOLLOWED, self.services[0])
        if event is not None and (event.at < (switch.since or 0.0) or await to_thread.run_sync(self._appeared, event)):
            event = None
        if event is not None and not event.body["failed"]:
            return
        failed = list(await self.follow_halt(switch))
        if event is None or event.body["failed"] != failed:
            await to_thread.run_sync(lambda: self.ledger.record(FOLLOWED, subject=self.services[0], failed=failed))

    def _appeared(self, since: Event) -> bool:
        """Whether the service has acknowledged an action of ours since then."""
        placed = self.ledger.intents(states={"ACKED"}, service=self.services, limit=NEWEST)
        return any(each.changed_at > since.at for each in placed)

    def _start(
        self,
        tasks: anyio.abc.TaskGroup,
        name: str,
        work: Callable[[], Awaitable[object]],
        *,
        every: float = 0.0,
    ) -> None:
        """Run a job in the background, unless it is still running or was started within `every` seconds."""
        if name in self._running or self._next.get(name, 0.0) > anyio.current_time():
            return
        if every:
            self._next[name] = anyio.current_time() + every
        self._running.add(name)
        tasks.start_soon(self._do, name, work)

    async def _do(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - the next look may do better
            self._complain(name, error)
        finally:
            self._running.discard(name)

    def _complain(self, name: str, error: Exception) -> None:
        """Log each failure once."""
        text = f"{name}: {type(error).__name__}: {error}"
        if text not in self._said:
            self._said.add(text)
            _log.warning("%s", text)


EXPIRED: Final = "standing_expired"
"""Event kind: a subscription was paused, or found paused. The subject is the subscription."""

MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Expiry:
    """Pauses strategies whose approval to trade by themselves has expired (R30).

    Attributes:
        client: The service.
        ledger: The ledger of this home.
        services: Service names of the intents.
        seconds: How long an approval lasts, per kind of money; `None` means forever.
        now: Unix seconds, on the ledger's clock.
    """

    client: Client
    ledger: Ledger
    services: tuple[str, ...]
    seconds: Callable[[Money], Awaitable[float | None]]
    now: Callable[[], float] = time.time

    async def pause_due(self) -> list[str]:
        """Pause every strategy with an expired approval, and return the ids of the paused ones.

        Raises:
            HeyTradersError: At least one could not be paused; the others were. The next call tries again.
        """
        seconds: dict[Money, float | None] = {"paper": await self.seconds("paper"), "real": await self.seconds("real")}
        due = await to_thread.run_sync(self._due, seconds)
        paused: list[str] = []
        trouble: HeyTradersError | None = None
        for each in due:
            try:
                paused += [each.order_id or ""] if await self._pause(each) else []
            except HeyTradersError as error:
                trouble = trouble or error
        if trouble is not None:
            raise trouble
        return paused

    def _due(self, seconds: Mapping[Money, float | None]) -> list[Intent]:
        if set(seconds.values()) == {None}:
            return []
        latest: dict[str, Intent] = {}
        for each in reversed(self.ledger.intents(states={"ACKED"}, service=self.services, limit=MOST)):
            if each.order_id and isinstance(each.proposal.action, DeploymentTerms):
                latest[each.order_id] = each
        over = [
            each
            for each in latest.values()
            if (span := seconds[each.proposal.money]) is not None and self.now() - (each.sent_at or 0.0) > span
        ]
        return [each for each in over if not self._is_ended(each)]

    def _is_ended(self, intent: Intent) -> bool:
        ended = self.ledger.latest(EXPIRED, intent.order_id or "")
        return ended is not None and ended.at >= (intent.sent_at or 0.0)

    async def _pause(self, intent: Intent) -> bool:
        name = intent.order_id or ""
        shown = await self.client.call(LIVE_SUBSCRIPTION_GET, SubscriptionRequest(subscription_id=name))
        trading = shown.status not in QUIET
        if trading:
            strategy = shown.strategy_id or intent.proposal.action.model_dump()["strategy_id"]
            request = SwitchRequest(strategy_id=strategy, subscription_id=name)
            paused = await self.client.call(LIVE_PAUSE, request)
            shown = shown.model_copy(update={"status": paused.status or "paused"})
        await to_thread.run_sync(self._book, intent, shown)
        return trading

    def _book(self, intent: Intent, shown: Subscription) -> None:
        self.ledger.observe(intent.intent_id, shown.model_dump(exclude_none=True))
        self.ledger.record(EXPIRED, subject=intent.order_id, status=shown.status)

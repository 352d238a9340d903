"""Runs subscriptions: evaluates closed bars, stores signals, places orders, sends webhooks.

The process that holds the lease uses two threads: one for bars and orders, one for webhooks, so that a slow receiver
does not delay signals. A signal and its delivery are stored in one transaction with the bar that caused them, so the
next owner finds again whatever a crash interrupts. Subscriptions whose bars close together share that transaction, and
the bars that they read.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from api.errors import HeyTradersError, InvalidInput, NotNow
from api.times import SECONDS, Clock
from engine.feeds.feed import Feed
from engine.store.database import Store
from engine.venues.venue import Venues

from . import LiveSettings, orders, outbox, signals, subscriptions
from .delivery import Receipt, deliver, judge
from .door import OrderDoor
from .lease import Lease
from .subscriptions import Running
from .trading import Trader

if TYPE_CHECKING:
    from .bars import Shared
    from .decisions import Outlook

logger = logging.getLogger("heytraders.live")

MAX_FAILURES: Final = 5
_TOGETHER_SECONDS: Final = 0.2
"""For so long, the results of several subscriptions are collected before one transaction stores them."""
_PRUNED_EVERY: Final = 86_400
_WAITS: Final = "It waits, and continues by itself:"
_ENDINGS: Final = {
    "portfolio_stop": "the portfolio's stop loss was reached; everything it held is sold",
    "portfolio_target": "the portfolio's profit target was reached; everything it held is sold",
    "empty_account": "the strategy's account is empty",
    "liquidation": "the exchange liquidated its position. Deploy it again to continue with the money that is left",
}


@dataclass(frozen=True, slots=True)
class _Result:
    """What a subscription decided on the bars that have closed, at unix seconds of the engine's clock."""

    running: Running
    outlook: Outlook
    at: float


class Runner:
    """Runs every active subscription of a database while it holds the lease. Its methods block."""

    def __init__(
        self, store: Store, clock: Clock, feed: Feed, venues: Venues, door: OrderDoor, settings: LiveSettings
    ) -> None:
        self._store = store
        self._clock = clock
        self._feed = feed
        self._trader = Trader(store, clock, feed, venues, door)
        self._settings = settings
        self._lease = Lease(store, stays=settings.stays)
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._retry_at: dict[str, float] = {}
        self._pruned_at = 0.0
        self.trouble: dict[str, str] = {}
        """Why subscriptions wait, by id, where the database could not record it."""

    def start(self) -> None:
        """Start in the background; calling it again changes nothing."""
        with self._starting:
            if self._threads or self._closing.is_set():
                return
            self._threads = [
                threading.Thread(target=self._repeat, args=(step,), daemon=True) for step in (self.tick, self.send)
            ]
            for thread in self._threads:
                thread.start()

    def close(self) -> None:
        """Stop the threads, and let another process take over at once."""
        self._closing.set()
        for thread in self._threads:
            thread.join()
        self._lease.release()

    def claim(self) -> bool:
        """Become the process that runs the strategies, unless another one does."""
        return self._lease.take()

    def tick(self) -> None:
        """Process every active subscription once, if this process holds the lease."""
        active = self._store.read_now(subscriptions.active)
        if not active and not self._settings.stays and not self._store.read_now(orders.cancels_wait):
            return
        from .bars import Shared

        seen: dict[str, int] = {}
        shared, results, begun = Shared(), list[_Result](), time.monotonic()
        for running in active:
            try:
                if not self.claim():
                    self.trouble.clear()
                    return
                result = self._evaluate(running, shared)
            except Exception as error:  # noqa: BLE001 - noted and repeated at the next step; the other ones go on
                self._note(running, error)
                continue
            if result is None:
                self.trouble.pop(running.id, None)
                continue
            results.append(result)
            if time.monotonic() - begun >= _TOGETHER_SECONDS:
                seen |= self._record(results)
                results, begun = [], time.monotonic()
        seen |= self._record(results)
        if self.claim():
            self._trader.run(seen)
            self._prune()

    def _record(self, results: Sequence[_Result]) -> dict[str, int]:
        """Store results in one transaction; if that fails, one by one, so that a fault of one stops no other.

        Returns:
            The close of the newest bar of each trading subscription that has processed one.
        """
        try:
            stored = self._store.write_now(lambda connection: [_written(connection, each) for each in results])
        except Exception as error:  # noqa: BLE001 - noted and repeated at the next step
            if len(results) > 1 and not isinstance(error, NotNow):
                return {key: until for each in results for key, until in self._record([each]).items()}
            for each in results:
                self._note(each.running, error)
            return {}
        for each in results:
            self._retry_at.pop(each.running.id, None)
            self.trouble.pop(each.running.id, None)
        return {each.running.id: each.outlook.seen_until for each, new in zip(results, stored, strict=True) if new}

    def _note(self, running: Running, error: Exception) -> None:
        """Remember why a subscription waits, and log it once."""
        if isinstance(error, HeyTradersError):
            why = f"{_WAITS} {error.message}"
        else:
            why = f"{_WAITS} INTERNAL_ERROR ({type(error).__name__})"
        if self.trouble.get(running.id) != why:
            logger.warning("live strategies: %s: %s", running.id, why, exc_info=not isinstance(error, HeyTradersError))
        self.trouble[running.id] = why

    def _prune(self) -> None:
        """Once a day, by the engine's clock, delete data past its retention period."""
        now = self._clock.now()
        if now >= self._pruned_at + _PRUNED_EVERY:
            self._pruned_at = now
            self._store.write_now(lambda connection: subscriptions.prune(connection, now))

    def send(self) -> None:
        """Send the due deliveries: several receivers in parallel, each in order."""
        while not self._closing.is_set():
            due = self._store.read_now(lambda connection: outbox.due(connection, self._clock.now()))
            if not due or not self._lease.take():
                return
            with ThreadPoolExecutor(len(due)) as senders:
                list(senders.map(self._deliver, due))

    def _deliver(self, delivery: outbox.DueDelivery) -> None:
        now = self._clock.now()
        try:
            receipt = deliver(
                judge(delivery.url, allow_loopback=self._settings.webhooks_to_loopback),
                delivery_id=delivery.id,
                event=delivery.event,
                body=delivery.body,
                secret=delivery.secret,
                now=now,
                deadline=self._settings.webhook_seconds,
            )
        except InvalidInput as error:
            receipt = Receipt(delivered=False, status=None, seconds=0.0, note=error.message)
        self._store.write_now(lambda connection: outbox.record(connection, delivery, receipt, now))

    def _repeat(self, step: Callable[[], None]) -> None:
        while not self._closing.is_set():
            try:
                step()
            except HeyTradersError as error:
                logger.warning("live strategies: %s", error.message)
            except Exception:
                # The thread runs every strategy: a fault in one step must not end the others.
                logger.exception("live strategies")
            self._closing.wait(self._settings.poll_seconds)

    def _evaluate(self, running: Running, shared: Shared) -> _Result | None:
        """Evaluate the bars that closed since the last run; None if there is no new one."""
        from .decisions import decide

        now = self._clock.now()
        next_close = running.cursor + SECONDS[running.deployment.timeframe]
        if now < max(next_close, self._retry_at.get(running.id, 0.0)):
            return None
        try:
            outlook = decide(
                self._feed, running.deployment, running.started_at, running.cursor, running.kept, shared=shared
            )
        except NotNow as error:
            self._wait(running, f"{_WAITS} {error.message}")
            return None
        except HeyTradersError as error:
            self._failed(running, f"{error.code}: {error.message}", now)
            return None
        except Exception as error:
            logger.exception("live strategies: %s", running.id)
            self._failed(running, f"INTERNAL_ERROR: the strategy could not be run ({type(error).__name__})", now)
            return None
        return None if outlook.seen_until <= running.cursor else _Result(running, outlook, now)

    def _wait(self, running: Running, why: str) -> None:
        if running.message != why:
            self._store.write_now(lambda connection: subscriptions.set_message(connection, running, why))

    def _failed(self, running: Running, problem: str, now: float) -> None:
        """Count a failure; the fifth in a row stops the subscription."""
        failures = running.failures + 1
        stops = failures >= MAX_FAILURES
        self._retry_at[running.id] = now + SECONDS[running.deployment.timeframe]

        def work(connection: sa.Connection) -> None:
            said = problem if stops else subscriptions.with_orders(running, problem, "failed")
            subscriptions.set_failure(connection, running.id, failures, said)
            outbox.post(connection, running, "error", {"message": said, "failures": failures}, now)
            if stops:
                message = f"Stopped after {failures} failures in a row: {problem}"
                message = subscriptions.with_orders(running, message, "ended")
                orders.end_all(connection, running.id)
                subscriptions.set_status(connection, running.id, "stopped", message)
                outbox.post(connection, running, "strategy_stopped", {"message": message}, now)

        self._store.write_now(work)


def _written(connection: sa.Connection, result: _Result) -> bool:
    """Store a result, all or nothing. Returns whether the subscription trades on these bars now.

    One that no longer waits for them is left unchanged.
    """
    running, outlook, now = result.running, result.outlook, result.at
    if not subscriptions.is_unchanged(connection, running):
        return False
    fresh = signals.fresh(connection, running, outlook.decisions)
    resting: dict[str, str] = {}
    if running.mode == "trade":
        resting = orders.match(connection, running, fresh, outlook.seen_until)
        orders.sync(connection, running, outlook)
    for signal in signals.store(connection, running, fresh, now, resting):
        outbox.post(connection, running, "signal", signal.model_dump(mode="json", exclude_none=True), now)
    subscriptions.set_seen(connection, running.id, outlook.seen_until, outlook.kept)
    if outlook.ended is not None:
        message = f"Ended: {_ENDINGS[outlook.ended]}."
        if running.mode == "trade":
            message += " Its resting orders are cancelled."
        orders.end_all(connection, running.id)
        subscriptions.set_status(connection, running.id, "stopped", message)
        outbox.post(connection, running, "strategy_stopped", {"message": message}, now)
    return running.mode == "trade"

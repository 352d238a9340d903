"""Finds out what became of attempts whose outcome is unknown, by reading alone. Nothing is ever sent again.

Found means acknowledged. Not found means absent only after a grace and several complete looks, and even then it is
looked for until it can no longer come.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from api.client import Client
from api.errors import HeyTradersError
from api.live import LIVE_SUBSCRIPTIONS_LIST, SubscriptionsRequest
from safety.sending.listing import SYMBOL_NEEDED, read_listing
from safety.sending.resolution import Patience, Resolution
from safety.terms.channel import PAPER_SERVICE, Channels
from safety.terms.intent import Intent
from safety.terms.proposal import Order, Standing

if TYPE_CHECKING:
    from safety.ledger import Ledger

MOST: Final = 200
"""Intents of a kind that are looked for at a time, newest first."""

UNHURRIED: Final = 5.0
"""Seconds between two readings of the ledger for what is not urgent."""


@dataclass(slots=True)
class _Plan:
    looks: int = 0
    due: float = 0.0


@dataclass(slots=True)
class Reconciler:
    """Looks for the intents in doubt of what one client reaches.

    Attributes:
        client: The service.
        ledger: Of this home.
        channels: Say whose money an account holds.
        patience: How long is waited for what.
        now: Unix seconds, on the ledger's clock.
    """

    client: Client
    ledger: Ledger
    channels: Channels
    patience: Patience = field(default_factory=Patience)
    now: Callable[[], float] = time.time
    _plans: dict[str, _Plan] = field(default_factory=dict[str, _Plan])
    _others: list[Intent] = field(default_factory=list[Intent])
    _others_due: float = 0.0

    async def look(self, *, at_once: bool = False) -> None:
        """Look at everything whose time has come: at first at once, then after 1, 2, 4 and up to 60 seconds.

        Args:
            at_once: Look at everything now.
        """
        now = self.now()
        if at_once:
            self._others_due = now
        watched = await to_thread.run_sync(self._watched, now)
        self._plans = {each.intent_id: self._plans.get(each.intent_id, _Plan()) for each in watched}
        due = [each for each in watched if at_once or self._plans[each.intent_id].due <= now]
        for each in due:
            plan = self._plans[each.intent_id]
            plan.due = now + self.patience.pause(each, plan.looks)
            plan.looks += 1
        for account_id in sorted({account for each in due if (account := _account(each))}):
            await self._look_at_account(account_id, [each for each in due if _account(each) == account_id])
        if any(isinstance(each.proposal.action, Standing) for each in due):
            await self._look_at_subscriptions()

    async def _look_at_account(self, account_id: str, intents: Iterable[Intent]) -> None:
        began = self.now()
        since = min(self._earliest(each) for each in intents)
        orders = [each.proposal.action for each in intents]
        symbols = {each.symbol for each in orders if isinstance(each, Order) and each.exchange in SYMBOL_NEEDED}
        listing = await read_listing(self.client, account_id, since=since, symbols=sorted(symbols))
        channel = await self.channels.of_account(account_id)
        echoed = bool(channel.labels_echoed)
        resolution = Resolution(self.ledger, (channel.service,), self.patience, always_labelled=echoed)
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(resolution.orders, account_id, listing, began, self._earliest)

    async def _look_at_subscriptions(self) -> None:
        began = self.now()
        try:
            listed = (await self.client.call(LIVE_SUBSCRIPTIONS_LIST, SubscriptionsRequest())).subscriptions
        except HeyTradersError:
            return
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._resolution.subscriptions, listed, began, self._earliest)

    def _watched(self, now: float) -> list[Intent]:
        """What is in doubt, after attempts whose process is gone have been given up as unknown."""
        watched: list[Intent] = []
        for each in self.ledger.intents(states={"SENT", "UNKNOWN"}, service=self.channels.services, limit=MOST):
            if each.state == "SENT" and now - (each.sent_at or now) > self.patience.exchange:
                self._resolution.lost(each)
            elif each.state == "SENT":
                continue
            if each.proposal.action.kind != "publication":
                watched.append(each)
        if now >= self._others_due:
            self._others, self._others_due = self._unhurried(now), now + UNHURRIED
        return watched + self._others

    def _unhurried(self, now: float) -> list[Intent]:
        """What is looked for with less haste: what was given up, refusals, and whether labels come back."""
        given_up = self.ledger.intents(states={"ABSENT"}, service=self.channels.services, limit=MOST)
        refused = self.ledger.intents(states={"REJECTED"}, service=self.channels.services, limit=MOST)
        watched = [each for each in given_up if now - (each.sent_at or now) < self.patience.watched]
        watched += [each for each in refused if not each.sweeps and now - each.changed_at >= self.patience.lag]
        for service in self.channels.services:
            if service != PAPER_SERVICE and self.ledger.labels_echoed(service) is None:
                placed = self.ledger.intents(states={"ACKED"}, service=(service,), limit=MOST)
                watched += [each for each in placed if _account(each)][:1]
        return watched

    def _earliest(self, intent: Intent) -> float:
        """When its order can have been made at the earliest, should this clock have been set back or forth since."""
        clock = self.client.server_time
        ahead = 0.0 if clock is None else min(0.0, clock.said - clock.heard)
        return (intent.sent_at or intent.created) + ahead - self.patience.skew

    @property
    def _resolution(self) -> Resolution:
        return Resolution(self.ledger, self.channels.services, self.patience)


def _account(intent: Intent) -> str:
    action = intent.proposal.action
    return action.account_id if isinstance(action, Order) else ""

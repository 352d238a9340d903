"""Resolves attempts of unknown outcome by reading only. Nothing is ever sent again.

An order that is found is acknowledged. One that is not found is absent only after a grace period and several complete
listings. Even then the search continues until the order can no longer appear.

Anything inexplicable halts, once: two orders for one intent, a refused or given-up order that exists after all, orders
that cannot be told apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from api.client import Client
from api.errors import HeyTradersError, InvalidInput
from api.live import LIVE_SUBSCRIPTIONS_LIST, Subscription, SubscriptionsRequest
from api.orders import Order as ShownOrder
from safety.sending.execution import ALARM, SNAPSHOT, as_result, differs, order_id_of
from safety.sending.listing import (
    SYMBOL_NEEDED,
    Matches,
    OrderListing,
    by_label,
    by_terms,
    ids,
    read_listing,
    unix_or_none,
)
from safety.terms.intent import LABEL_PREFIX, Intent, IntentState
from safety.terms.proposal import Channels, DeploymentTerms, OrderTerms

if TYPE_CHECKING:
    from safety.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Patience:
    """Waiting times in seconds, except `sweeps`.

    Attributes:
        exchange: Longest duration of an attempt; if it takes longer, its process has died.
        grace: Minimum time from unknown to absent.
        sweeps: Minimum number of complete listings before absent.
        first: Delay before the second look, doubled each time.
        longest: Maximum delay between two looks.
        given_up: Delay between two looks for an absent intent.
        watched: How long after sending an absent intent is searched for.
        lag: Delay after a refusal before a look verifies that there is no order.
        skew: Error and resolution of the service's clock after its offset is corrected.
    """

    exchange: float = 60.0
    grace: float = 60.0
    sweeps: int = 5
    first: float = 1.0
    longest: float = 60.0
    given_up: float = 300.0
    watched: float = 86_400.0
    lag: float = 10.0
    skew: float = 5.0

    def pause(self, intent: Intent, looks: int) -> float:
        """Delay before the next look, after this many."""
        if intent.state == "ABSENT":
            return self.given_up
        return min(self.longest, self.first * 2.0 ** min(looks, 30))


BY: Final = "the reconciliation"
NEWEST: Final = 1000


QUIET: Final = frozenset({"paused", "stopped", "unsubscribed"})


Earliest = Callable[[Intent], float]
"""Earliest possible creation of an intent's order, Unix seconds on the service's clock."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Resolves the unknown intents of the services that one client reaches. Blocking.

    Attributes:
        ledger: The ledger of this home.
        services: Service names of the intents; exactly one for orders.
        patience: When a missing order counts as absent.
        always_labelled: The channel always returns labels.
    """

    ledger: Ledger
    services: tuple[str, ...]
    patience: Patience
    always_labelled: bool = False

    def orders(self, account_id: str, listing: OrderListing, began: float, earliest: Earliest) -> None:
        """Conclude from a listing started at `began`. The ledger is read afterwards, so it has every listed order."""
        doubted, placed = self._known(lambda each: _is_on(each, account_id))
        self._note_labels(placed, listing.orders)
        known = [each for each in (*doubted, *placed) if each.state != "SENT"]
        matches = by_label(known, listing.orders)
        self._accept(known, matches)
        rest = [each for each in doubted if not matches.mentions(each)]
        if not (self.always_labelled or self.ledger.labels_echoed(self.services[0])):
            possible = [each for each in rest if each.state != "REJECTED"]
            matches = self._by_terms(possible, placed, listing.orders, earliest)
            self._accept(possible, matches)
            rest = [each for each in rest if not matches.mentions(each)]
        if listing.complete:
            self._miss([each for each in rest if earliest(each) >= listing.since], began)

    def subscriptions(self, listed: Collection[Subscription], began: float, earliest: Earliest) -> None:
        """Conclude from all subscriptions, in a reading started at `began`."""
        doubted, placed = self._known(lambda each: isinstance(each.proposal.action, DeploymentTerms))
        taken = {each.order_id: each.sent_at or 0.0 for each in sorted(placed, key=lambda each: each.sent_at or 0.0)}
        missing: list[Intent] = []
        for each in doubted:
            if each.state not in {"UNKNOWN", "ABSENT"}:
                continue
            fitting = [shown for shown in listed if _fits(each, shown, taken, earliest(each))]
            if len(fitting) > 1:
                self._alarm(each, f"several subscriptions could belong to intent {each.intent_id}")
            elif fitting:
                self._settle(each, "ACKED", fitting[0].model_dump(exclude_none=True), fitting[0].subscription_id)
            else:
                missing.append(each)
        self._miss(missing, began)

    def lost(self, intent: Intent) -> None:
        """The sending process went away before the outcome was known."""
        self._settle(intent, "UNKNOWN", reason="the process that sent it ended before the outcome was known")

    def _known(self, wanted: Callable[[Intent], bool]) -> tuple[list[Intent], list[Intent]]:
        """Unresolved intents, and acknowledged ones."""
        doubted = self.ledger.intents(states={"SENT", "UNKNOWN"}, service=self.services, limit=NEWEST)
        doubted += self.ledger.intents(states={"ABSENT", "REJECTED"}, service=self.services, limit=NEWEST)
        placed = self.ledger.intents(states={"ACKED"}, service=self.services, limit=NEWEST)
        return [each for each in doubted if wanted(each)], [each for each in placed if wanted(each)]

    def _by_terms(
        self, possible: list[Intent], placed: Iterable[Intent], listed: Iterable[ShownOrder], earliest: Earliest
    ) -> Matches:
        taken = {each.order_id for each in placed if each.order_id}
        free = [each for each in listed if ids(each).isdisjoint(taken) and not _is_ours(each)]
        before = {each.intent_id: self._before(each) for each in possible}
        return by_terms(possible, free, before=before, earliest=earliest)

    def _before(self, intent: Intent) -> frozenset[str]:
        """Order ids that its account had before sending.

        Later snapshots, by processes that lost the claim, are ignored.
        """
        event = self.ledger.latest(SNAPSHOT, intent.intent_id, until=intent.sent_at or intent.created)
        return frozenset(event.body["ids"]) if event else frozenset()

    def _note_labels(self, placed: Iterable[Intent], listed: Iterable[ShownOrder]) -> None:
        """Store whether the service returns labels, judging by orders that are certainly ours."""
        ours = {each.order_id for each in placed if each.order_id}
        seen = [_is_ours(each) for each in listed if _is_ours(each) or not ids(each).isdisjoint(ours)]
        if seen:
            self.ledger.note_labels(self.services[0], all(seen))

    def _accept(self, intents: Iterable[Intent], matches: Matches) -> None:
        for each in intents:
            if each.intent_id in matches.several:
                self._alarm(each, f"several orders could belong to intent {each.intent_id}")
            elif each.intent_id in matches.found and each.state != "ACKED":
                self._found(each, matches.found[each.intent_id])

    def _found(self, intent: Intent, shown: ShownOrder) -> None:
        name = order_id_of(shown)
        order = intent.proposal.action
        wrong = differs(order, shown) if isinstance(order, OrderTerms) else None
        if intent.state == "REJECTED":
            self._alarm(intent, f"intent {intent.intent_id} was refused, but exists as order {name}")
            return
        if intent.state == "ABSENT":
            self._alarm(
                intent, (f"intent {intent.intent_id} was recorded as ABSENT, and its order has appeared after all")
            )
        if wrong:
            self._alarm(intent, f"order {name} of intent {intent.intent_id} has another {wrong} than was sent")
        self._settle(intent, "ACKED", as_result(shown), name, reason="it was found among the account's orders")

    def _miss(self, intents: Iterable[Intent], began: float) -> None:
        """Book that a complete listing, started at `began`, did not contain them."""
        for each in intents:
            waited = began - each.changed_at
            if waited < 0:
                continue
            if each.state == "REJECTED" and waited >= self.patience.lag and not each.sweeps:
                self.ledger.swept(each.intent_id)
            elif each.state == "UNKNOWN":
                looks = self.ledger.swept(each.intent_id)
                if looks >= self.patience.sweeps and waited >= self.patience.grace:
                    self._settle(each, "ABSENT", reason=f"it was not found in {looks} complete searches")

    def _settle(
        self,
        intent: Intent,
        to: IntentState,
        result: dict[str, object] | None = None,
        order_id: str | None = None,
        *,
        reason: str = "",
    ) -> None:
        """Move an intent, unless another process has moved it."""
        try:
            self.ledger.settle(intent.intent_id, to, result=result, order_id=order_id, reason=reason)
        except InvalidInput:
            return

    def _alarm(self, intent: Intent, reason: str) -> None:
        """Halt. A human who releases the switch has seen the alarm, so it is not raised again."""
        raised = self.ledger.latest(ALARM, intent.intent_id)
        if raised is None or raised.body["reason"] != reason:
            self.ledger.halt(reason, BY)
            self.ledger.record(ALARM, subject=intent.intent_id, reason=reason)


def _is_on(intent: Intent, account_id: str) -> bool:
    action = intent.proposal.action
    return isinstance(action, OrderTerms) and action.account_id == account_id


def _is_ours(shown: ShownOrder) -> bool:
    return (shown.label or "").startswith(f"{LABEL_PREFIX}:")


def _fits(intent: Intent, shown: Subscription, taken: Mapping[str | None, float], earliest: float) -> bool:
    """Whether a subscription fulfils an intent. The effect of a later resume proves nothing."""
    action = intent.proposal.action
    if not isinstance(action, DeploymentTerms) or not shown.subscription_id:
        return False
    if action.action == "resume":
        later = taken.get(shown.subscription_id, 0.0) > (intent.sent_at or 0.0)
        is_on = (shown.status or "paused") not in QUIET
        return shown.subscription_id == action.subscription_id and is_on and not later
    made = unix_or_none(shown.created_at)
    return (
        shown.subscription_id not in taken
        and shown.strategy_id == action.strategy_id
        and (shown.mode or "trade").lower() != "signal"
        and shown.account_id in {None, action.account_id}
        and (made is None or made >= earliest)
    )


MOST: Final = 200
"""Maximum intents per kind and reading, newest first."""

UNHURRIED: Final = 5.0
"""Seconds between two readings of the ledger for intents that are not urgent."""


@dataclass(slots=True)
class _Plan:
    looks: int = 0
    due: float = 0.0


@dataclass(slots=True)
class Reconciler:
    """Searches for the unresolved intents of the services that one client reaches.

    Attributes:
        client: The service.
        ledger: The ledger of this home.
        channels: Tell whose money an account holds.
        patience: The waiting times.
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

    async def look(self) -> None:
        """Look for every intent that is due: first immediately, then after 1, 2, 4 and up to 60 seconds."""
        now = self.now()
        watched = await to_thread.run_sync(self._watched, now)
        self._plans = {each.intent_id: self._plans.get(each.intent_id, _Plan()) for each in watched}
        due = [each for each in watched if self._plans[each.intent_id].due <= now]
        for each in due:
            plan = self._plans[each.intent_id]
            plan.due = now + self.patience.pause(each, plan.looks)
            plan.looks += 1
        for account_id in sorted({account for each in due if (account := _account(each))}):
            await self._look_at_account(account_id, [each for each in due if _account(each) == account_id])
        if any(isinstance(each.proposal.action, DeploymentTerms) for each in due):
            await self._look_at_subscriptions()

    async def _look_at_account(self, account_id: str, intents: Iterable[Intent]) -> None:
        began = self.now()
        since = min(self._earliest(each) for each in intents)
        orders = [each.proposal.action for each in intents]
        symbols = {each.symbol for each in orders if isinstance(each, OrderTerms) and each.exchange in SYMBOL_NEEDED}
        listing = await read_listing(self.client, account_id, since=since, symbols=sorted(symbols))
        channel = await self.channels.of_account(account_id)
        echoed = bool(channel.labels_echoed)
        resolution = Resolution(self.ledger, (channel.service,), self.patience, always_labelled=echoed)
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(resolution.orders, account_id, listing, began, self._earliest)

    async def _look_at_subscriptions(self) -> None:
        began = self.now()
        try:
            listed = (await self.client.call(LIVE_SUBSCRIPTIONS_LIST, SubscriptionsRequest(ended=True))).subscriptions
        except HeyTradersError:
            return
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._resolution.subscriptions, listed, began, self._earliest)

    def _watched(self, now: float) -> list[Intent]:
        """Unresolved intents. Attempts whose process is gone become unknown first."""
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
        """Intents with a slower schedule: those given up, refusals, and those that show whether labels come back."""
        given_up = self.ledger.intents(states={"ABSENT"}, service=self.channels.services, limit=MOST)
        refused = self.ledger.intents(states={"REJECTED"}, service=self.channels.services, limit=MOST)
        watched = [each for each in given_up if now - (each.sent_at or now) < self.patience.watched]
        watched += [each for each in refused if not each.sweeps and now - each.changed_at >= self.patience.lag]
        for channel in {self.channels.common, self.channels.unknown}:
            if channel.labels_echoed is None and self.ledger.labels_echoed(channel.service) is None:
                placed = self.ledger.intents(states={"ACKED"}, service=(channel.service,), limit=MOST)
                watched += [each for each in placed if _account(each)][:1]
        return watched

    def _earliest(self, intent: Intent) -> float:
        """Earliest possible creation of its order, even if this clock was set back or forward since."""
        clock = self.client.server_time
        ahead = 0.0 if clock is None else min(0.0, clock.said - clock.heard)
        return (intent.sent_at or intent.created) + ahead - self.patience.skew

    @property
    def _resolution(self) -> Resolution:
        return Resolution(self.ledger, self.channels.services, self.patience)


def _account(intent: Intent) -> str:
    action = intent.proposal.action
    return action.account_id if isinstance(action, OrderTerms) else ""

"""Draws the conclusions from what a service shows: found, not there yet, absent, or wrong enough to halt.

What cannot be explained halts, once: two orders for one intent, an order that was refused or given up and is there all
the same, orders that nobody can tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from api.errors import InvalidInput
from api.live import Subscription
from api.orders import Order as ShownOrder
from safety.sending.classify import as_result, differs, order_id_of
from safety.sending.execution import SNAPSHOT
from safety.sending.listing import Listing, Matches, by_label, by_terms, ids, unix_or_none
from safety.terms.intent import LABEL_PREFIX, Intent, State
from safety.terms.proposal import Order, Standing

if TYPE_CHECKING:
    from safety.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds, but for `sweeps`.

    Attributes:
        exchange: Longest time that an attempt can take; one that is older has lost its process.
        grace: After an outcome became unknown, before it may be taken for absent.
        sweeps: Complete looks before that.
        first: Before the second look; doubled each time.
        longest: Between two looks.
        given_up: Between two looks for what was taken for absent.
        watched: After sending, until when such a thing is looked for.
        lag: After a refusal, before a look makes sure that nothing is there.
        skew: How far the service's clock may be off once its difference is known, and how coarse it is.
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
        """Before the next look, after so many."""
        if intent.state == "ABSENT":
            return self.given_up
        return min(self.longest, self.first * 2.0 ** min(looks, 30))


BY: Final = "the reconciliation"
ALARM: Final = "alarm"
NEWEST: Final = 1000
QUIET: Final = frozenset({"paused", "stopped", "unsubscribed"})

Earliest = Callable[[Intent], float]
"""When what an intent asked for can have been made at the earliest, Unix seconds on the service's clock."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Moves the intents in doubt of what one client reaches. Blocking.

    Attributes:
        ledger: Of this home.
        services: As intents name them; of orders exactly one.
        patience: When something that is not there is absent.
        always_labelled: The channel surely returns labels.
    """

    ledger: Ledger
    services: tuple[str, ...]
    patience: Patience
    always_labelled: bool = False

    def orders(self, account_id: str, listing: Listing, began: float, earliest: Earliest) -> None:
        """Conclude from a listing, begun at `began`. The ledger is read now: whatever is listed was in it before."""
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
        """Conclude from all subscriptions, read since `began`."""
        doubted, placed = self._known(lambda each: isinstance(each.proposal.action, Standing))
        taken = {each.order_id: each.sent_at or 0.0 for each in sorted(placed, key=lambda each: each.sent_at or 0.0)}
        missing: list[Intent] = []
        for each in doubted:
            if each.state not in {"UNKNOWN", "ABSENT"}:
                continue
            fitting = [shown for shown in listed if _fits(each, shown, taken, earliest(each))]
            if len(fitting) > 1:
                self._alarm(each, f"several subscriptions could be that of intent {each.intent_id}")
            elif fitting:
                self._settle(each, "ACKED", fitting[0].model_dump(exclude_none=True), fitting[0].subscription_id)
            else:
                missing.append(each)
        self._miss(missing, began)

    def lost(self, intent: Intent) -> None:
        """Whoever sent it went away before the outcome was known."""
        self._settle(intent, "UNKNOWN", reason="whoever sent it went away before the outcome was known")

    def _known(self, wanted: Callable[[Intent], bool]) -> tuple[list[Intent], list[Intent]]:
        """Intents in doubt, and those that are not."""
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
        """What its account showed before it was sent. A process that came too late to send looks after that."""
        event = self.ledger.latest(SNAPSHOT, intent.intent_id, until=intent.sent_at or intent.created)
        return frozenset(event.body["ids"]) if event else frozenset()

    def _note_labels(self, placed: Iterable[Intent], listed: Iterable[ShownOrder]) -> None:
        """Remember whether the service returns labels, as orders show that are surely ours."""
        ours = {each.order_id for each in placed if each.order_id}
        seen = [_is_ours(each) for each in listed if _is_ours(each) or not ids(each).isdisjoint(ours)]
        if seen:
            self.ledger.note_labels(self.services[0], all(seen))

    def _accept(self, intents: Iterable[Intent], matches: Matches) -> None:
        for each in intents:
            if each.intent_id in matches.several:
                self._alarm(each, f"several orders could be that of intent {each.intent_id}")
            elif each.intent_id in matches.found and each.state != "ACKED":
                self._found(each, matches.found[each.intent_id])

    def _found(self, intent: Intent, shown: ShownOrder) -> None:
        name = order_id_of(shown)
        order = intent.proposal.action
        wrong = differs(order, shown) if isinstance(order, Order) else None
        if intent.state == "REJECTED":
            self._alarm(intent, f"intent {intent.intent_id} was refused and exists all the same, as order {name}")
            return
        if intent.state == "ABSENT":
            self._alarm(intent, f"intent {intent.intent_id} was given up as absent and has shown up after all")
        if wrong:
            self._alarm(intent, f"order {name} of intent {intent.intent_id} has another {wrong} than was sent")
        self._settle(intent, "ACKED", as_result(shown), name, reason="it was found among the account's orders")

    def _miss(self, intents: Iterable[Intent], began: float) -> None:
        """A complete look, begun then, did not find them."""
        for each in intents:
            waited = began - each.changed_at
            if waited < 0:
                continue
            if each.state == "REJECTED" and waited >= self.patience.lag and not each.sweeps:
                self.ledger.swept(each.intent_id)
            elif each.state == "UNKNOWN":
                looks = self.ledger.swept(each.intent_id)
                if looks >= self.patience.sweeps and waited >= self.patience.grace:
                    self._settle(each, "ABSENT", reason=f"it was not there in {looks} complete looks")

    def _settle(
        self,
        intent: Intent,
        to: State,
        result: dict[str, object] | None = None,
        order_id: str | None = None,
        *,
        reason: str = "",
    ) -> None:
        """Move it, unless another process has moved it."""
        try:
            self.ledger.settle(intent.intent_id, to, result=result, order_id=order_id, reason=reason)
        except InvalidInput:
            return

    def _alarm(self, intent: Intent, reason: str) -> None:
        """Halt. A human who releases has seen it, so the same is not raised again."""
        raised = self.ledger.latest(ALARM, intent.intent_id)
        if raised is None or raised.body["reason"] != reason:
            self.ledger.halt(reason, BY)
            self.ledger.record(ALARM, subject=intent.intent_id, reason=reason)


def _is_on(intent: Intent, account_id: str) -> bool:
    action = intent.proposal.action
    return isinstance(action, Order) and action.account_id == account_id


def _is_ours(shown: ShownOrder) -> bool:
    return (shown.label or "").startswith(f"{LABEL_PREFIX}:")


def _fits(intent: Intent, shown: Subscription, taken: Mapping[str | None, float], earliest: float) -> bool:
    """Whether a subscription is what an intent asked for. What a later resume has done proves nothing of it."""
    action = intent.proposal.action
    if not isinstance(action, Standing) or not shown.subscription_id:
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

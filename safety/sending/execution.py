"""The only sender: one attempt per intent, booked before it is sent and always settled afterwards.

A claim is on the disk before a connection is opened. From then on, cancellation is ignored until the outcome is booked.
A process that dies in between leaves the intent SENT, which the reconciliation later treats as unknown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import anyio
from anyio import to_thread

from api import orders
from api.client import Client
from api.errors import Denied, HeyTradersError, InvalidInput, NotFound, NotNow, OutcomeUnknown, explain, show
from api.transport import Lost, NotSent
from safety.ledger import Verdict, stop
from safety.sending.classify import Classified, classify, differs, order_id_of, request_for
from safety.terms.channel import Channel, Channels
from safety.terms.facts import SwitchState, Usage
from safety.terms.intent import Intent, State
from safety.terms.proposal import Action, Order

if TYPE_CHECKING:
    from pydantic import SecretStr

    from safety.ledger import Ledger

SNAPSHOT: Final = "orders_before"
"""Event kind: the orders that looked like an intent before it was sent, for services that drop labels."""

BY: Final = "the check before sending"
NEWEST: Final = 200
LOSER_POLL_SECONDS: Final = 0.1

Decide = Callable[[Intent, Usage, SwitchState], Verdict]


class Ground(Protocol):
    """The input of the final check before sending, such as `judging.Assessment`."""

    def verdict(self, intent: Intent, usage: Usage, switch: SwitchState) -> Verdict:
        """Whether the intent may be sent now. Pure."""
        ...


class Assesses(Protocol):
    """Assesses an action before it is sent, such as `judging.Judge`."""

    async def assess(self, action: Action, *, subscription_id: str = "", priced: bool = False) -> Ground:
        """The input of the final check of `action`, which may come from a deployed strategy."""
        ...


@dataclass(frozen=True, slots=True)
class Executor:
    """Sends intents that it has claimed in the ledger.

    Attributes:
        client: The service.
        ledger: The ledger of this home.
        judge: Makes the final check.
        channels: Tell whose money an account holds.
        now: Unix seconds, on the ledger's clock.
        webhook_secret: Signs deliveries; the user's, never a model's.
        patience: Seconds to wait for another process that is sending the same intent.
        fresh: Maximum age in seconds of a claim when its request is sent. An older one means that the machine slept,
            and the claim is released.
    """

    client: Client
    ledger: Ledger
    judge: Assesses
    channels: Channels
    now: Callable[[], float] = time.time
    webhook_secret: SecretStr | None = None
    patience: float = 50.0
    fresh: float = 10.0

    async def execute(
        self,
        intent_id: str,
        *,
        ground: Ground | None = None,
        admitted: Intent | None = None,
        webhook_secret: SecretStr | None = None,
    ) -> Intent:
        """Send an approved intent, once, and return its new state. Never raises for failures of the service.

        Cancelled before the claim, the intent stays approved. If another process was faster, its outcome is returned.

        Args:
            intent_id: Id of the intent.
            ground: A fresh assessment, if the caller has just made one.
            admitted: The intent as the caller has just admitted it; read from the ledger unless given.
            webhook_secret: Replaces the user's secret for this intent.

        Raises:
            NotFound: There is no such intent.
            OutcomeUnknown: It was sent, and the ledger could not record the outcome.
        """
        intent = admitted or await to_thread.run_sync(self._known, intent_id)
        secret = webhook_secret or self.webhook_secret
        try:
            channel = await self._channel(intent)
            ground = ground or await self.judge.assess(
                intent.proposal.action,
                subscription_id=intent.caller.client if intent.caller.origin else "",
                priced=intent.proposal.quote is not None,
            )
            alone = await self._needs_to_be_alone(intent, channel)
        except (HeyTradersError, ValueError) as error:
            return await to_thread.run_sync(self._not_now, intent, error)
        decide, won = _last_word(ground, alone=alone), False
        with anyio.CancelScope(shield=True):
            claim = await to_thread.run_sync(self.ledger.claim, intent.intent_id, decide)
            intent, won = claim.intent, claim.won
            if won:
                intent = await self._sent(intent, channel, secret)
        return intent if won else await self._outcome_of_another(intent)

    def _known(self, intent_id: str) -> Intent:
        intent = self.ledger.intent(intent_id)
        if intent is None:
            raise NotFound(
                f"there is no intent {show(intent_id)}",
                suggestion="Use the intent_id that the call returned",
                code="INTENT_NOT_FOUND",
            )
        return intent

    async def _channel(self, intent: Intent) -> Channel:
        """The channel for which the intent was judged and approved.

        Raises:
            Denied: Its account has moved to another channel, so verdict and approval no longer apply.
        """
        channel = await self.channels.of(intent.proposal.action)
        if (channel.money, channel.service) != (intent.proposal.money, intent.proposal.service):
            raise Denied(
                f"intent {intent.intent_id} was judged as {intent.proposal.money} money, and its account now holds"
                f" {channel.money} money",
                suggestion="Place it again, so that it is judged for what it is",
            )
        return channel

    async def _sent(self, intent: Intent, channel: Channel, secret: SecretStr | None) -> Intent:
        """Send a claimed intent and book the outcome."""
        found = await self._attempt(intent, channel, secret)
        try:
            return await to_thread.run_sync(self._settle, intent.intent_id, found)
        except HeyTradersError as error:
            raise OutcomeUnknown(
                f"intent {intent.intent_id} was sent ({found.state}), but its outcome could not be written down:"
                f" {explain(error)}",
                suggestion="order_intent shows it once it has been looked for. Do not place it again.",
            ) from error

    async def _attempt(self, intent: Intent, channel: Channel, secret: SecretStr | None) -> Classified:
        action = intent.proposal.action
        if abs(self.now() - (intent.sent_at or 0.0)) > self.fresh:
            return Classified("NOT_SENT", "this machine paused between the claim and the sending")
        try:
            endpoint, request = request_for(action, intent.label, secret)
        except ValueError:
            return Classified("NOT_SENT", "its terms are no request of the API")
        try:
            seen = await self.client.send_once(endpoint, request)
        except (NotSent, Lost) as failure:
            seen = failure
        except Exception as error:  # noqa: BLE001 - whatever it is, it may have happened after the bytes had left
            return Classified("UNKNOWN", f"the attempt broke off with {type(error).__name__}")
        return classify(action, seen, intent.label, trusted=channel.certain_refusals)

    def _settle(self, intent_id: str, found: Classified) -> Intent:
        """Book an outcome. A faster reconciliation is only overridden by proof that the order exists."""
        only_from: State | None = None if found.state == "ACKED" else "SENT"
        return self.ledger.settle(
            intent_id,
            found.state,
            result=found.result,
            order_id=found.order_id,
            reason=found.reason,
            only_from=only_from,
        )

    def _not_now(self, intent: Intent, error: Exception) -> Intent:
        """Do not send an intent that could not be assessed. A human's approval survives a temporary failure."""
        if not intent.automatic and isinstance(error, NotNow):
            return intent
        reason = explain(error) if isinstance(error, HeyTradersError) else "its terms are no request of the API"
        try:
            return self.ledger.decline(intent.intent_id, reason, by_human=False)
        except InvalidInput:
            return self._known(intent.intent_id)

    async def _needs_to_be_alone(self, intent: Intent, channel: Channel) -> bool:
        """Whether no other order may be in doubt on its account and symbol, since labels cannot tell them apart.

        If so, store the ids of existing orders that look like it: none of them is the one about to be sent. Before any
        order with real money, the account's orders must agree with the ledger; otherwise trading halts.
        """
        order = intent.proposal.action
        if not isinstance(order, Order) or channel.money == "paper":
            return False
        asked = orders.ListRequest(account_id=order.account_id, limit=NEWEST)
        listed = await self.client.call(orders.ORDERS_LIST, asked)
        labels = [each.label for each in listed.orders if each.label]
        wrong = await to_thread.run_sync(self.ledger.contradicted_by, labels)
        if wrong:
            await to_thread.run_sync(self.ledger.halt, wrong, BY)
        if not channel.alone_needed or channel.labels_echoed:
            return False
        if await to_thread.run_sync(self.ledger.labels_echoed, intent.proposal.service):
            return False
        alike = [name for each in listed.orders if (name := order_id_of(each)) and differs(order, each) is None]
        await to_thread.run_sync(lambda: self.ledger.record(SNAPSHOT, subject=intent.intent_id, ids=alike))
        return True

    async def _outcome_of_another(self, intent: Intent) -> Intent:
        """The intent, after its sender knows the outcome."""
        with anyio.move_on_after(self.patience):
            while intent.state == "SENT":
                await anyio.sleep(LOSER_POLL_SECONDS)
                intent = await to_thread.run_sync(self._known, intent.intent_id)
        return intent


def _last_word(ground: Ground, *, alone: bool) -> Decide:
    def decide(intent: Intent, usage: Usage, switch: SwitchState) -> Verdict:
        if alone and (usage.in_flight_here or usage.unknown_here):
            return stop(
                "DECLINED",
                "another order on this account and symbol is being sent or of unknown outcome, and the service is not"
                " known to return labels that would tell them apart",
            )
        return ground.verdict(intent, usage, switch)

    return decide

"""The only sender: one attempt per intent, booked before it is sent and always settled afterwards.

A claim is on the disk before a connection is opened. From then on, cancellation is ignored until the outcome is booked.
A process that dies in between leaves the intent SENT, which the reconciliation later treats as unknown.

Only proof counts as an outcome: any ambiguous response means UNKNOWN.

| seen | state |
|---|---|
| 2xx, success, an order id, and terms that are those we sent | ACKED |
| 2xx or 4xx, a documented refusal, and no order id | REJECTED |
| no connection came about, so no byte had left | NOT_SENT |
| all else: timeouts, broken lines, 408, 409, 429, 5xx, redirects, unreadable answers, no id, other terms | UNKNOWN |
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import anyio
from anyio import to_thread
from pydantic import ValidationError

from api import orders
from api.arena import ARENA_POST, ARENA_PROFILE_UPDATE, PostRequest, ProfileUpdateRequest
from api.client import Client
from api.endpoint import Endpoint
from api.errors import (
    CODES,
    Denied,
    HeyTradersError,
    InvalidInput,
    NotFound,
    NotNow,
    OutcomeUnknown,
    Unavailable,
    ended,
    explain,
    show,
)
from api.inputs import Request
from api.live import LIVE_RESUME, LIVE_SUBSCRIBE, SubscribeRequest, Subscription, SwitchRequest
from api.orders import Order as ShownOrder
from api.outputs import Response
from api.times import CALL_ENDS
from api.transport import Answer, Garbled, Lost, NotSent, read_envelope, unwrap
from safety.terms.facts import SwitchState, Usage
from safety.terms.intent import Intent, IntentState, Verdict, stop
from safety.terms.proposal import Action, Channel, Channels, DeploymentTerms, OrderTerms, PublicationTerms

if TYPE_CHECKING:
    from pydantic import SecretStr

    from safety.ledger import Ledger


def request_for(action: Action, label: str, secret: SecretStr | None) -> tuple[Endpoint[Any, Any], Request]:
    """The API call for an action.

    Args:
        action: The action in question.
        label: The label of an order.
        secret: Signs the deliveries of a webhook.

    Raises:
        ValueError: Its terms are not a valid API request.
    """
    if isinstance(action, OrderTerms):
        return orders.ORDERS_PLACE, action.request(label)
    if isinstance(action, PublicationTerms):
        if action.action == "post":
            return ARENA_POST, PostRequest.model_validate_json(action.body)
        return ARENA_PROFILE_UPDATE, ProfileUpdateRequest.model_validate_json(action.body)
    if action.action == "resume":
        ids = {"strategy_id": action.strategy_id, "subscription_id": action.subscription_id}
        return LIVE_RESUME, SwitchRequest.model_validate(ids)
    return LIVE_SUBSCRIBE, _subscription(action, secret)


def _subscription(action: DeploymentTerms, secret: SecretStr | None) -> SubscribeRequest:
    webhook = None
    if action.webhook_url is not None:
        signed = {} if secret is None else {"secret": secret.get_secret_value()}
        events = {} if action.webhook_events is None else {"events": action.webhook_events}
        webhook = {"url": action.webhook_url, **events, **signed}
    asked = {"strategy_id": action.strategy_id, "mode": "trade", "account_id": action.account_id, "webhook": webhook}
    return SubscribeRequest.model_validate(asked)


AttemptAnswer = Answer | NotSent | Lost

REFUSALS: Final = frozenset({"VALIDATION_ERROR", "INVALID_API_KEY", "EXPIRED_API_KEY", "INSUFFICIENT_PERMISSIONS"})
"""Codes of the API document that are returned before anything is done."""

OWN_REFUSALS: Final = CODES - {"INTERNAL_ERROR"}
"""The same if every documented refusal is certain."""

UNCLEAR_STATUSES: Final = frozenset({408, 409, 429})
"""Refusals that a gateway may return after the service has started the work."""

_ANSWERS: Final[dict[str, type[Response]]] = {"order": ShownOrder, "standing": Subscription, "publication": Response}

ROUNDING: Final = Decimal("0.01")
"""Exchanges round amounts and prices to their steps; values within this share count as equal."""


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """The outcome of an attempt.

    Attributes:
        state: ACKED, REJECTED, NOT_SENT or UNKNOWN.
        reason: Why, in one sentence; for a refusal, `CODE: text`.
        result: The service's response, if reliable.
        order_id: The service's id of the order or subscription.
    """

    state: IntentState
    reason: str = ""
    result: dict[str, Any] | None = None
    order_id: str | None = None


def classify(action: Action, seen: AttemptAnswer, label: str, *, trusted: bool) -> AttemptOutcome:
    """The outcome of the attempt at `action`.

    Args:
        action: The action that was sent.
        seen: The response.
        label: The label of an order.
        trusted: Any documented refusal is certain, as the channel says.
    """
    if isinstance(seen, NotSent):
        return AttemptOutcome("NOT_SENT", str(seen))
    if isinstance(seen, Lost):
        return AttemptOutcome("UNKNOWN", str(seen))
    try:
        data = unwrap(seen.status, seen.body, trusted=trusted)
    except Garbled as garbled:
        return AttemptOutcome("UNKNOWN", str(garbled))
    except HeyTradersError as failure:
        return _failed(failure, seen, trusted=trusted)
    if not 200 <= seen.status < 300:
        return AttemptOutcome("UNKNOWN", f"the service answered with status {seen.status}")
    return _done(action, data, label)


def _failed(failure: HeyTradersError, answer: Answer, *, trusted: bool) -> AttemptOutcome:
    said = f"{failure.code}: {ended(failure.message)} {failure.suggestion}".strip()
    certain = answer.status // 100 in {2, 4} and answer.status not in UNCLEAR_STATUSES
    known = OWN_REFUSALS if trusted else REFUSALS
    if certain and _refusal(answer.body) in known:
        return AttemptOutcome("REJECTED", said)
    return AttemptOutcome("UNKNOWN", f"the service answered with status {answer.status}, {said}")


def _refusal(body: bytes) -> str | None:
    """The code of a refusal in the API's format that names no order."""
    envelope = read_envelope(body) or {}
    error, data = _mapping(envelope.get("error")), _mapping(envelope.get("data"))
    if envelope.get("success") is not False or {"order_id", "exchange_order_id"} & (error.keys() | data.keys()):
        return None
    code = error.get("code")
    return code if isinstance(code, str) else None


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _done(action: Action, data: object, label: str) -> AttemptOutcome:
    try:
        shown = _ANSWERS[action.kind].model_validate(data)
    except ValidationError:
        return AttemptOutcome("UNKNOWN", "the answer does not match the API")
    wrong = _unlike(action, shown, label)
    if wrong:
        return AttemptOutcome("UNKNOWN", wrong)
    return AttemptOutcome("ACKED", result=as_result(shown), order_id=_id_of(shown))


def as_result(shown: Response) -> dict[str, Any]:
    """The service's response in the ledger's format."""
    return shown.model_dump(exclude_none=True)


def _id_of(shown: Response) -> str | None:
    if isinstance(shown, ShownOrder):
        return order_id_of(shown)
    return shown.subscription_id if isinstance(shown, Subscription) else None


def order_id_of(shown: ShownOrder) -> str | None:
    """The service's id, or else the exchange's."""
    return shown.order_id or shown.exchange_order_id or None


def _unlike(action: Action, shown: Response, label: str) -> str:
    """Why a response does not prove that the action was done; "" if it does."""
    if isinstance(action, OrderTerms) and isinstance(shown, ShownOrder):
        if order_id_of(shown) is None:
            return "the answer contains no order id"
        if shown.label and shown.label != label:
            return "the answer is about an order with another label"
        differing = differs(action, shown)
        return f"the answer is about an order with another {differing}" if differing else ""
    if isinstance(action, DeploymentTerms) and isinstance(shown, Subscription):
        return _unlike_deployment(action, shown)
    return ""


def _unlike_deployment(action: DeploymentTerms, shown: Subscription) -> str:
    if not shown.subscription_id:
        return "the answer contains no subscription id"
    if action.subscription_id and shown.subscription_id != action.subscription_id:
        return "the answer is about another subscription"
    if shown.account_id and action.account_id and shown.account_id != action.account_id:
        return "the answer is about another account"
    return ""


def differs(order: OrderTerms, shown: ShownOrder) -> str | None:
    """The first field that differs between the sent order and the service's; fields not shown count as equal."""
    checks = {
        "account_id": _same_text(order.account_id, shown.account_id),
        "exchange": _same_text(order.exchange, shown.exchange),
        "symbol": _same_symbol(order.symbol, shown.symbol),
        "side": _same_text(order.side, shown.side),
        "order_type": _same_kind(order.order_type, shown.order_type),
        "amount": _near(order.amount, shown.amount),
        "price": order.price is None or _near(order.price, shown.price or None),
        "stop_loss": shown.stop_loss is None or shown.stop_loss == order.stop_loss,
        "take_profit": shown.take_profit is None or shown.take_profit == order.take_profit,
    }
    return next((name for name, same in checks.items() if not same), None)


def _same_text(sent: str, shown: str | None) -> bool:
    return not shown or shown.casefold() == sent.casefold()


def _same_symbol(sent: str, shown: str | None) -> bool:
    """`BTC/USDT:USDT`, `BTC/USDT` and `btcusdt` are the same; so are a token id and `TOKEN_ID/USDC`."""
    if not shown:
        return True
    one, other = (re.sub(r"[^0-9a-z]", "", text.casefold()) for text in (sent, shown))
    return one.startswith(other) or other.startswith(one)


def _same_kind(sent: str, shown: str | None) -> bool:
    """Services name limit order types in their own ways; only a market order always has the same name."""
    return not shown or (shown.casefold() == "market") == (sent == "market")


def _near(sent: Decimal, shown: Decimal | None) -> bool:
    return shown is None or abs(shown - sent) <= ROUNDING * sent


SNAPSHOT: Final = "orders_before"
"""Event kind: the orders that looked like an intent before it was sent, for services that drop labels."""

ALARM: Final = "alarm"
"""Event kind: an order contradicted the ledger, and trading was halted for it."""

BY: Final = "the check before sending"
NEWEST: Final = 200
LOSER_POLL_SECONDS: Final = 0.1
LEAST_SECONDS: Final = 10.0
"""Time that a call must have left when it claims an order. The request ends at the call's deadline."""

Decide = Callable[[Intent, Usage, SwitchState], Verdict]


class FinalCheck(Protocol):
    """The input of the final check before sending, such as `judging.Assessment`."""

    def verdict(self, intent: Intent, usage: Usage, switch: SwitchState) -> Verdict:
        """Whether the intent may be sent now. Pure."""
        ...


class Assessor(Protocol):
    """Assesses an action before it is sent, such as `judging.Judge`."""

    async def assess(self, action: Action, *, subscription_id: str = "", priced: bool = False) -> FinalCheck:
        """The input of the final check of `action`, which may come from a deployed strategy."""
        ...


@dataclass(frozen=True, slots=True)
class OrderSender:
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
    judge: Assessor
    channels: Channels
    now: Callable[[], float] = time.time
    webhook_secret: SecretStr | None = None
    patience: float = 50.0
    fresh: float = 10.0

    async def execute(
        self,
        intent_id: str,
        *,
        check: FinalCheck | None = None,
        admitted: Intent | None = None,
        webhook_secret: SecretStr | None = None,
    ) -> Intent:
        """Send an approved intent, once, and return its new state. Never raises for failures of the service.

        Cancelled before the claim, the intent stays approved. If another process was faster, its outcome is returned.

        Args:
            intent_id: Id of the intent.
            check: A fresh assessment, if the caller has just made one.
            admitted: The intent as the caller has just admitted it; read from the ledger unless given.
            webhook_secret: Replaces the user's secret for this intent.

        Raises:
            NotFound: There is no such intent.
            OutcomeUnknown: It was sent, and the ledger could not record the outcome.
        """
        intent = admitted or await to_thread.run_sync(self._known, intent_id)
        try:
            channel = await self._channel(intent)
            check = check or await self.judge.assess(
                intent.proposal.action,
                subscription_id=intent.caller.client if intent.caller.origin else "",
                priced=intent.proposal.quote is not None,
            )
            alone = await self._needs_to_be_alone(intent, channel)
        except (HeyTradersError, ValueError) as error:
            return await to_thread.run_sync(self._not_now, intent, error)
        left = CALL_ENDS.get() - anyio.current_time()
        if left < LEAST_SECONDS:
            return await self._too_late(intent, left)
        decide, won = _last_word(check, alone=alone), False
        with anyio.CancelScope(shield=True):
            claim = await to_thread.run_sync(self.ledger.claim, intent.intent_id, decide)
            intent, won = claim.intent, claim.won
            if won:
                intent = await self.send(intent, channel, webhook_secret)
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

    async def _too_late(self, intent: Intent, left: float) -> Intent:
        """Send nothing, because the caller would leave before the answer. A human's approval waits for the next try.

        Raises:
            Unavailable: No human had approved the intent, which is now declined.
        """
        late = Unavailable(
            f"only {max(left, 0.0):.0f} s of this call's time were left to send it, so nothing was sent",
            suggestion="The service is slow: look with meta_health, then place it again.",
        )
        intent = await to_thread.run_sync(self._not_now, intent, late)
        if intent.automatic and intent.state == "DECLINED":
            raise late
        return intent

    def claims_when_admitted(self, channel: Channel) -> bool:
        """Whether the final check of an action follows at once on its admission, with nothing to ask in between.

        Before an order with real money is claimed, the service lists the orders of its account.
        """
        return channel.money == "paper" and CALL_ENDS.get() - anyio.current_time() >= LEAST_SECONDS

    async def send(self, intent: Intent, channel: Channel, webhook_secret: SecretStr | None = None) -> Intent:
        """Send an intent that the caller has claimed, and book the outcome. The caller shields it.

        Raises:
            OutcomeUnknown: It was sent, and the ledger could not record the outcome.
        """
        found = await self._attempt(intent, channel, webhook_secret or self.webhook_secret)
        try:
            return await to_thread.run_sync(self._settle, intent.intent_id, found)
        except HeyTradersError as error:
            raise OutcomeUnknown(
                f"intent {intent.intent_id} was sent ({found.state}), but its outcome could not be recorded:"
                f" {explain(error)}",
                suggestion="order_intent shows it once the server has looked for the order. Do not place it again.",
            ) from error

    async def _attempt(self, intent: Intent, channel: Channel, secret: SecretStr | None) -> AttemptOutcome:
        """One request, which ends at the call's deadline at the latest."""
        action = intent.proposal.action
        if abs(self.now() - (intent.sent_at or 0.0)) > self.fresh:
            return AttemptOutcome("NOT_SENT", "this machine paused between the claim and the sending")
        try:
            endpoint, request = request_for(action, intent.label, secret)
        except ValueError:
            return AttemptOutcome("NOT_SENT", "its terms are not a valid request of the API")
        deadline = CALL_ENDS.get()
        if deadline - anyio.current_time() < LEAST_SECONDS / 2:
            return AttemptOutcome("NOT_SENT", "the ledger was busy until the call's deadline had almost come")
        seen: AttemptAnswer = Lost("no complete answer before the call's deadline")
        try:
            with anyio.CancelScope(deadline=deadline):
                seen = await self.client.send_once(endpoint, request)
        except (NotSent, Lost) as failure:
            seen = failure
        except Exception as error:  # noqa: BLE001 - whatever it is, it may have happened after the bytes had left
            return AttemptOutcome("UNKNOWN", f"the attempt failed with {type(error).__name__}")
        return classify(action, seen, intent.label, trusted=channel.certain_refusals)

    def _settle(self, intent_id: str, found: AttemptOutcome) -> Intent:
        """Book an outcome. A faster reconciliation is only overridden by proof that the order exists."""
        only_from: IntentState | None = None if found.state == "ACKED" else "SENT"
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
        reason = (
            explain(error) if isinstance(error, HeyTradersError) else ("its terms are not a valid request of the API")
        )
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
        if not isinstance(order, OrderTerms) or channel.money == "paper":
            return False
        symbol = order.symbol if channel.client_ids else None
        asked = orders.OrdersRequest(account_id=order.account_id, symbol=symbol, limit=NEWEST)
        listed = await self.client.call(orders.ORDERS_LIST, asked)
        await to_thread.run_sync(self._compare, [each.label for each in listed.orders if each.label])
        if not channel.alone_needed or channel.labels_echoed:
            return False
        if await to_thread.run_sync(self.ledger.labels_echoed, intent.proposal.service):
            return False
        alike = [name for each in listed.orders if (name := order_id_of(each)) and differs(order, each) is None]
        await to_thread.run_sync(lambda: self.ledger.record(SNAPSHOT, subject=intent.intent_id, ids=alike))
        return True

    def _compare(self, labels: list[str]) -> None:
        """Halt if labels contradict the ledger. A human who releases the switch has seen them: they count once."""
        found = self.ledger.contradicted_by(labels)
        seen = {name: self.ledger.latest(ALARM, name) for name in found}
        new = {name: why for name, why in found.items() if (at := seen[name]) is None or at.body["reason"] != why}
        if not new:
            return
        more = f", and {len(new) - 1} more like it" if len(new) > 1 else ""
        self.ledger.halt(
            f"{next(iter(new.values()))}{more}: this home is an old copy, or a copy of it trades too. First compare"
            " orders_list with the orders at the exchange",
            BY,
        )
        for name, why in new.items():
            self.ledger.record(ALARM, subject=name, reason=why)

    async def _outcome_of_another(self, intent: Intent) -> Intent:
        """The intent, after its sender knows the outcome."""
        with anyio.move_on_after(self.patience):
            while intent.state == "SENT":
                await anyio.sleep(LOSER_POLL_SECONDS)
                intent = await to_thread.run_sync(self._known, intent.intent_id)
        return intent


def _last_word(check: FinalCheck, *, alone: bool) -> Decide:
    def decide(intent: Intent, usage: Usage, switch: SwitchState) -> Verdict:
        if alone and (usage.in_flight_here or usage.unknown_here):
            return stop(
                "DECLINED",
                "another order on this account and symbol is being sent or has an unknown outcome, and the service may "
                "not return the labels that tell them apart",
            )
        return check.verdict(intent, usage, switch)

    return decide

"""Places orders through the gate, at once or after a human's approval, and follows them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from api import orders
from api.errors import HeyTradersError, InvalidInput, NotNow
from api.orders import PlaceRequest, wrong_side
from safety.face import Asking, DialogAnswer, GatedOrder
from safety.gate.halting import pull
from safety.gate.judging import Assessment
from safety.gate.wording import gated_order, how_to_approve, refusal, stopped
from safety.human.in_force import BY_ELICITATION, covers
from safety.human.screen import question
from safety.policy.case import worth
from safety.terms.facts import PolicyDecision, SwitchState, Usage
from safety.terms.intent import Admission, Caller, Intent, Verdict, stop
from safety.terms.proposal import Action, OrderTerms, Proposal

if TYPE_CHECKING:
    from pydantic import SecretStr

    from safety.gate import GateContext

PENDING_SECONDS: Final = 300
"""Time limit for an approval."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """An action that the ledger has admitted.

    Attributes:
        intent: Its current state.
        decision: The policy's.
        repeated: It is the intent of an earlier call.
        assessment: The inputs of the decision.
    """

    intent: Intent
    decision: PolicyDecision
    repeated: bool
    assessment: Assessment


async def admit(
    context: GateContext, action: Action, caller: Caller, *, ask_first: bool = False, can_elicit: bool = False
) -> Admitted:
    """Admit an action or refuse it. Earlier failures or losses may engage the kill switch here.

    Args:
        context: The gate's context.
        action: The action in question.
        caller: The caller's tool and client.
        ask_first: Ask the user even if the policy does not require it.
        can_elicit: Whether the client can show a question.

    Raises:
        Denied: The policy denies it.
        HeyTradersError: The service refuses a question for a reason that can be fixed.
    """
    assessment = await _assessed(context, action, caller, can_elicit=can_elicit)
    admission, usage = await to_thread.run_sync(partial(_book, context, assessment, caller, ask_first=ask_first))
    return await _admitted(context, assessment, caller, admission, usage)


async def admit_and_carry_out(
    context: GateContext, action: Action, caller: Caller, *, webhook_secret: SecretStr | None = None
) -> Admitted:
    """Admit an action, and send it unless a human has to approve it. The returned intent has its outcome.

    If nothing has to be read between admission and claim, both are one transaction of the ledger.

    Args:
        context: The gate's context.
        action: The action in question.
        caller: The caller's tool and client.
        webhook_secret: Signs the deliveries of this deployment, instead of the user's secret.

    Raises:
        Denied: The policy denies it.
        HeyTradersError: The service refuses a question for a reason that can be fixed.
    """
    assessment = await _assessed(context, action, caller)
    if not context.executor.claims_when_admitted(assessment.channel):
        booked, intent = await to_thread.run_sync(partial(_book, context, assessment, caller, ask_first=False)), None
    else:
        booked, intent = await _book_and_send(context, assessment, caller, webhook_secret)
    if intent is not None:
        return Admitted(intent, booked[0].decision, booked[0].repeated, assessment)
    admitted = await _admitted(context, assessment, caller, *booked)
    intent = await carry_out(context, admitted.intent, assessment, webhook_secret=webhook_secret)
    return replace(admitted, intent=intent)


async def _book_and_send(
    context: GateContext, assessment: Assessment, caller: Caller, webhook_secret: SecretStr | None
) -> tuple[tuple[Admission, Usage | None], Intent | None]:
    """Book an action; if that claims it too, send it and book its outcome, even if the caller leaves."""
    with anyio.CancelScope(shield=True):
        book = partial(_book, context, assessment, caller, ask_first=False, claims=True)
        admission, usage = await to_thread.run_sync(book)
        intent = None
        if admission.intent is not None and admission.claimed:
            intent = await context.executor.send(admission.intent, assessment.channel, webhook_secret)
            await _halt_after_failure(context, intent, assessment)
        return (admission, usage), intent
    raise AssertionError("a shielded block always ends")


async def _assessed(context: GateContext, action: Action, caller: Caller, *, can_elicit: bool = False) -> Assessment:
    subscription_id = caller.client if caller.origin else ""
    refuse_where_there_are_no_plans(context, action)
    assessment = await context.judge.assess(action, can_elicit=can_elicit, subscription_id=subscription_id)
    _refuse_wrong_sides(assessment)
    await refuse_what_the_exchange_does_not_take(context, assessment)
    return assessment


async def _admitted(
    context: GateContext, assessment: Assessment, caller: Caller, admission: Admission, usage: Usage | None
) -> Admitted:
    trip = usage and assessment.trip(usage)
    if trip is not None:
        await pull(context, trip)
    if admission.intent is None:
        raise refusal(admission.decision, caller.tool)
    return Admitted(admission.intent, admission.decision, admission.repeated, assessment)


def refuse_where_there_are_no_plans(context: GateContext, action: Action) -> None:
    """The hosted service supports neither exits nor reduce-only orders, and would place the entry without them.

    Raises:
        InvalidInput: The order has one of them; nothing was sent.
    """
    if not isinstance(action, OrderTerms) or context.channels.trade_plans:
        return
    given = {"stop_loss": action.stop_loss, "take_profit": action.take_profit, "reduce_only": action.reduce_only}
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise InvalidInput(
            f"the hosted service has no {' and no '.join(names)}: it would place the order without them; nothing was "
            "sent",
            suggestion=f"Leave {' and '.join(names)} out and watch the price, or deploy a strategy with the exits:"
            " live_subscribe",
        )


def _refuse_wrong_sides(assessment: Assessment) -> None:
    """Refuse an exit that would close the position at once, before asking anyone, if the price is known."""
    action, quote = assessment.action, assessment.facts.quote
    if not isinstance(action, OrderTerms) or action.price is not None or quote is None:
        return
    wrong = wrong_side(action.own_request, quote.price, "the market price")
    if wrong is not None:
        value = getattr(action, wrong.field)
        raise InvalidInput(f"{wrong.field} {value:f} {wrong.rule}", suggestion=wrong.suggestion)


async def refuse_what_the_exchange_does_not_take(context: GateContext, assessment: Assessment) -> None:
    """Refuse an order that the exchange of a connected account would refuse, before a human is asked about it.

    If its rules cannot be read now, the limits decide alone. They are read again before the order is sent.

    Raises:
        HeyTradersError: Says what the exchange does not take, and what it would.
    """
    action = assessment.action
    if isinstance(action, OrderTerms) and assessment.channel.exchange is not None and assessment.settled is None:
        with suppress(NotNow):
            await context.channels.check(action.own_request)


def _book(
    context: GateContext, assessment: Assessment, caller: Caller, *, ask_first: bool, claims: bool = False
) -> tuple[Admission, Usage | None]:
    """Decide and book, and claim too if `claims`, unless the usage engages the kill switch."""
    ledger, account = context.ledger, assessment.facts.account
    if isinstance(assessment.action, OrderTerms) and account is not None and account.equity_usd is not None:
        ledger.saw_equity(assessment.channel.money, assessment.action.account_id, account.equity_usd)
    seen: list[Usage] = []

    def decide(usage: Usage, state: SwitchState) -> PolicyDecision:
        seen.append(usage)
        return assessment.decide(usage, state)

    def last_word(intent: Intent, usage: Usage, state: SwitchState) -> Verdict:
        trip = assessment.trip(usage)
        return assessment.verdict(intent, usage, state) if trip is None else stop(intent.state, trip.reason)

    admission = ledger.admit(
        propose(context, assessment),
        caller,
        decide,
        repeat_seconds=assessment.limits.repeat_seconds,
        ask_first=ask_first,
        last_word=last_word if claims else None,
    )
    return admission, seen[0] if seen else None


def propose(context: GateContext, assessment: Assessment) -> Proposal:
    """The exact terms that a policy judges and a human signs."""
    now = context.now()
    return Proposal(
        action=assessment.action,
        money=assessment.channel.money,
        service=assessment.channel.service,
        policy_hash=assessment.loaded.policy.hash,
        quote=None if assessment.facts.quote is None else assessment.facts.quote.price,
        title=None if assessment.facts.quote is None else assessment.facts.quote.title,
        notional_usd=_notional(assessment),
        created=now,
        expires=now + PENDING_SECONDS,
    )


def _notional(assessment: Assessment) -> Decimal | None:
    return worth(assessment.action, assessment.facts).usd if isinstance(assessment.action, OrderTerms) else None


WENT_AWAY: Final = "the call was cancelled before anything was sent"
SAID_NO: Final = "the user said no in the client's dialog"


@dataclass(frozen=True, slots=True)
class Orders:
    """Places orders.

    Attributes:
        context: The gate's context.
    """

    context: GateContext

    async def place(self, request: PlaceRequest, tool: str, client: str) -> GatedOrder:
        """Place an order, or say that a human has to approve it first.

        Raises:
            HeyTradersError: It was definitely not placed; the error says why and what to do.
        """
        admitted = await admit_and_carry_out(self.context, OrderTerms.of(request), Caller(tool, client))
        return _told(admitted.intent, repeated=admitted.repeated)

    async def place_and_follow(
        self, request: PlaceRequest, tool: str, client: str, asking: Asking, wait_seconds: float
    ) -> GatedOrder:
        """Ask, wait for the human, place and follow within `wait_seconds`; the rest continues in the background.

        Raises:
            HeyTradersError: It was definitely not placed; the error says why and what to do.
        """
        wait = Wait(asking, wait_seconds)
        order, caller, able = OrderTerms.of(request), Caller(tool, client), asking.available
        if able:
            admitted = await admit(self.context, order, caller, ask_first=True, can_elicit=True)
        else:
            admitted = await admit_and_carry_out(self.context, order, caller)
        intent = admitted.intent
        asks = able and intent.state == "PENDING" and _yes_counts(admitted)
        if asks:
            intent = await _ask(self.context, intent, wait)
        if able or intent.state == "PENDING":
            at_once = intent is admitted.intent and intent.state != "PENDING"
            intent = await decided(self.context, intent, wait)
            intent = await carry_out(self.context, intent, admitted.assessment, at_once=at_once)
        intent = await settled(self.context, intent, wait)
        intent = await followed(self.context, intent, wait)
        return _told(intent, repeated=admitted.repeated and not asks)  # an answer may come with a separate call


async def carry_out(
    context: GateContext,
    intent: Intent,
    assessment: Assessment,
    *,
    at_once: bool = True,
    webhook_secret: SecretStr | None = None,
) -> Intent:
    """Send an intent once, if it may be sent. A failure or an unknown outcome may engage the kill switch.

    A caller that disconnects before the claim withdraws the intent, unless a human has approved it. After the claim,
    nothing stops the attempt from being booked.

    Args:
        context: The gate's context.
        intent: The intent, as admitted or found.
        assessment: The assessment at its admission.
        at_once: The assessment is only moments old and need not be repeated.
        webhook_secret: Signs the deliveries of this deployment, instead of the user's secret.
    """
    if intent.state not in {"APPROVED", "NOT_SENT"}:
        return intent
    check = assessment if at_once else None
    try:
        intent = await context.executor.execute(
            intent.intent_id, check=check, admitted=intent if at_once else None, webhook_secret=webhook_secret
        )
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(_take_back, context, intent.intent_id)
        raise
    await _halt_after_failure(context, intent, assessment)
    return intent


async def _halt_after_failure(context: GateContext, intent: Intent, assessment: Assessment) -> None:
    """Engage the kill switch if an order that was not acknowledged is one too many."""
    if intent.state == "ACKED":
        return
    with anyio.CancelScope(shield=True):
        usage = await to_thread.run_sync(context.ledger.usage, intent.proposal.money, intent.proposal.action)
        trip = assessment.trip(usage)
        if trip is not None:
            await pull(context, trip)


def _take_back(context: GateContext, intent_id: str) -> None:
    now = context.ledger.intent(intent_id)
    if now is None or now.state != "APPROVED" or now.key_id is not None:
        return
    with suppress(InvalidInput):  # another process has claimed it
        context.ledger.decline(intent_id, WENT_AWAY, by_human=False)


def _yes_counts(admitted: Admitted) -> bool:
    """Whether a yes in the client's dialog would count; if not, the dialog is skipped."""
    would_be = replace(admitted.intent, key_id=BY_ELICITATION, signature="")
    assessment = admitted.assessment
    return covers(would_be, admitted.decision, assessment.approver, assessment.limits)


async def _ask(context: GateContext, intent: Intent, wait: Wait) -> Intent:
    """Ask the question, whose text never changes, and book the answer. Without an answer, the intent is unchanged."""
    answer: DialogAnswer = "not_asked"
    with anyio.move_on_after(wait.left):
        answer = await wait.asking.ask(intent.intent_id, question(intent.proposal))
    if answer == "not_asked":
        return intent
    return await to_thread.run_sync(_book_answer, context, intent, answer == "yes")


def _book_answer(context: GateContext, intent: Intent, yes: bool) -> Intent:  # noqa: FBT001 - for a thread
    ledger = context.ledger
    try:
        if yes:
            return ledger.approve(intent.intent_id, signature="", key_id=BY_ELICITATION)
        return ledger.decline(intent.intent_id, SAID_NO, by_human=True)
    except InvalidInput:
        return ledger.intent(intent.intent_id) or intent


def _told(intent: Intent, *, repeated: bool) -> GatedOrder:
    error = stopped(intent)
    if error is not None:
        raise error
    return gated_order(intent, repeated=repeated)


POLL_SECONDS: Final = 0.25
LOOK_SECONDS: Final = 1.0
TELL_SECONDS: Final = 5.0
LISTED: Final = 50
ENDED: Final = frozenset({"FILLED", "CANCELLED", "REJECTED"})


@dataclass(slots=True)
class Wait:
    """A time limit for waiting, and the dialog that shows its progress.

    Attributes:
        asking: The caller's dialog.
        seconds: In all.
        started: On the event loop's clock.
    """

    asking: Asking
    seconds: float
    started: float = field(default_factory=anyio.current_time)
    _told: float = -TELL_SECONDS

    @property
    def left(self) -> float:
        """Seconds."""
        return self.started + self.seconds - anyio.current_time()

    async def pause(self, longest: float, message: str) -> bool:
        """Sleep briefly and report progress now and then; `False` when the time is up."""
        if self.left <= 0:
            return False
        done = self.seconds - self.left
        if done - self._told >= TELL_SECONDS:
            self._told = done
            await self.asking.tell(done, self.seconds, message)
        await anyio.sleep(min(longest, max(0.0, self.left)))
        return True


async def decided(context: GateContext, intent: Intent, wait: Wait) -> Intent:
    """The intent after a human has decided or the time is up."""
    message = f"Waiting for the user: run `{how_to_approve(intent)}` in a terminal"
    return await _until(context, intent, wait, message, lambda now: now.state != "PENDING")


async def settled(context: GateContext, intent: Intent, wait: Wait) -> Intent:
    """The intent after its sender knows the outcome."""
    return await _until(context, intent, wait, "The order is being sent", lambda now: now.state != "SENT")


async def followed(context: GateContext, intent: Intent, wait: Wait) -> Intent:
    """The intent of a placed order, after the order has ended or the time is up."""
    while intent.state == "ACKED" and not ended(intent):
        if not await wait.pause(LOOK_SECONDS, f"The order is {(intent.result or {}).get('status', 'placed')}"):
            break
        intent = await refreshed(context, intent)
    return intent


async def refreshed(context: GateContext, intent: Intent) -> Intent:
    """The intent with the current state of its order, if it is among the newest."""
    order = intent.proposal.action
    if intent.state != "ACKED" or not isinstance(order, OrderTerms) or ended(intent):
        return intent
    asked = orders.OrdersRequest(account_id=order.account_id, symbol=order.symbol, limit=LISTED)
    try:
        listed = await context.client.call(orders.ORDERS_LIST, asked)
    except HeyTradersError:
        return intent
    for each in listed.orders:
        if each.order_id is not None and each.order_id == intent.order_id:
            shown = {**(intent.result or {}), **each.model_dump(mode="json", exclude_none=True)}
            return await to_thread.run_sync(context.ledger.observe, intent.intent_id, shown)
    return intent


def ended(intent: Intent) -> bool:
    """Whether the service reports the order as ended."""
    return (intent.result or {}).get("status") in ENDED


async def _until(
    context: GateContext, intent: Intent, wait: Wait, message: str, enough: Callable[[Intent], bool]
) -> Intent:
    while not enough(intent):
        if not await wait.pause(POLL_SECONDS, message):
            break
        found = await to_thread.run_sync(context.ledger.intent, intent.intent_id)
        intent = intent if found is None else found
    return intent

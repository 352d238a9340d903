"""Orders through the gate: placed at once, or with a human's word that is waited for, and then followed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from api.errors import InvalidInput
from api.orders import PlaceRequest, wrong_side
from safety.face import Answer, Asking, GatedOrder
from safety.gate.following import Wait, decided, followed, settled
from safety.gate.footing import Footing
from safety.gate.halting import pull_if_tripped
from safety.gate.wording import gated_order, refusal, stopped
from safety.human.approval import BY_ELICITATION, covers
from safety.human.screen import question
from safety.ledger import Admission
from safety.looking.judging import Looked
from safety.policy.valuation import worth
from safety.terms.decision import Decision
from safety.terms.facts import SwitchState, Usage
from safety.terms.intent import Caller, Intent
from safety.terms.proposal import Action, Order, Proposal

if TYPE_CHECKING:
    from pydantic import SecretStr

    from safety.looking.judging import Looked

PENDING_SECONDS: Final = 300
"""How long an approval may take."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """An action that the ledger has let in.

    Attributes:
        intent: As it stands.
        decision: The policy's.
        repeated: It is the intent of an earlier call.
        looked: What the decision rests on.
    """

    intent: Intent
    decision: Decision
    repeated: bool
    looked: Looked


async def admit(
    footing: Footing, action: Action, caller: Caller, *, ask_first: bool = False, can_elicit: bool = False
) -> Admitted:
    """Let an action in, or refuse it. What has gone wrong before may pull the kill switch on this occasion.

    Args:
        footing: Of the gate.
        action: What is to be done.
        caller: Who asks.
        ask_first: Put the question to the user even where the policy wants none.
        can_elicit: Whether the client can show a question.

    Raises:
        Denied: The policy denies it.
        HeyTradersError: The service refuses a question for a reason that can be fixed.
    """
    subscription_id = caller.client if caller.origin else ""
    refuse_where_there_are_no_plans(footing, action)
    looked = await footing.judge.look(action, can_elicit=can_elicit, subscription_id=subscription_id)
    _refuse_wrong_sides(looked)
    admission, usage = await to_thread.run_sync(_book, footing, looked, caller, ask_first)
    await pull_if_tripped(footing, looked, usage)
    if admission.intent is None:
        raise refusal(admission.decision, caller.tool)
    return Admitted(admission.intent, admission.decision, admission.repeated, looked)


def refuse_where_there_are_no_plans(footing: Footing, action: Action) -> None:
    """The hosted service knows no exits and no reduce-only orders, and would place the entry without them.

    Raises:
        InvalidInput: The order has some; nothing was asked or sent.
    """
    if not isinstance(action, Order) or footing.client.source == "embedded":
        return
    given = {"stop_loss": action.stop_loss, "take_profit": action.take_profit, "reduce_only": action.reduce_only}
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise InvalidInput(
            f"the hosted service has no {' and no '.join(names)}: it would place the order without; nothing was sent",
            suggestion=f"Leave {' and '.join(names)} out and watch the price, or deploy a strategy with the exits:"
            " live_subscribe",
        )


def _refuse_wrong_sides(looked: Looked) -> None:
    """An exit that would close the position at once is refused before anyone is asked, where the price is known."""
    action, quote = looked.action, looked.facts.quote
    if not isinstance(action, Order) or action.price is not None or quote is None:
        return
    wrong = wrong_side(action.own_request, quote.price, "the market price")
    if wrong is not None:
        value = getattr(action, wrong.field)
        raise InvalidInput(f"{wrong.field} {value:f} {wrong.rule}", suggestion=wrong.way_out)


def _book(footing: Footing, looked: Looked, caller: Caller, ask_first: bool) -> tuple[Admission, Usage | None]:  # noqa: FBT001
    ledger, account = footing.ledger, looked.facts.account
    if isinstance(looked.action, Order) and account is not None and account.equity_usd is not None:
        ledger.saw_equity(looked.channel.money, looked.action.account_id, account.equity_usd)
    seen: list[Usage] = []

    def decide(usage: Usage, state: SwitchState) -> Decision:
        seen.append(usage)
        return looked.decide(usage, state)

    admission = ledger.admit(
        propose(footing, looked),
        caller,
        decide,
        repeat_seconds=looked.limits.repeat_seconds,
        ask_first=ask_first,
    )
    return admission, seen[0] if seen else None


def propose(footing: Footing, looked: Looked) -> Proposal:
    """The exact terms that a policy judges and a human signs."""
    now = footing.now()
    return Proposal(
        action=looked.action,
        money=looked.channel.money,
        service=looked.channel.service,
        policy_hash=looked.loaded.policy.hash,
        quote=None if looked.facts.quote is None else looked.facts.quote.price,
        notional_usd=_notional(looked),
        created=now,
        expires=now + PENDING_SECONDS,
    )


def _notional(looked: Looked) -> Decimal | None:
    return worth(looked.action, looked.facts).usd if isinstance(looked.action, Order) else None


WENT_AWAY: Final = "the call was cancelled before anything was sent"
SAID_NO: Final = "the user said no in the client's dialog"


async def place(footing: Footing, request: PlaceRequest, caller: Caller) -> GatedOrder:
    """Place an order, or say that a human has to approve it first.

    Raises:
        HeyTradersError: It surely was not placed; says why and what to do.
    """
    admitted = await admit(footing, Order.of(request), caller)
    intent = await carry_out(footing, admitted.intent, admitted.looked)
    return _told(intent, repeated=admitted.repeated)


async def place_and_follow(
    footing: Footing, request: PlaceRequest, caller: Caller, asking: Asking, wait_seconds: float
) -> GatedOrder:
    """Ask, wait for the human, place and follow, all within `wait_seconds`; what is not over then goes on without us.

    Raises:
        HeyTradersError: It surely was not placed; says why and what to do.
    """
    wait = Wait(asking, wait_seconds)
    able = asking.available
    admitted = await admit(footing, Order.of(request), caller, ask_first=able, can_elicit=able)
    intent = admitted.intent
    asks = able and intent.state == "PENDING" and _yes_counts(admitted)
    if asks:
        intent = await _ask(footing, intent, wait)
    at_once = intent is admitted.intent and intent.state != "PENDING"
    intent = await decided(footing, intent, wait)
    intent = await carry_out(footing, intent, admitted.looked, at_once=at_once)
    intent = await settled(footing, intent, wait)
    intent = await followed(footing, intent, wait)
    return _told(intent, repeated=admitted.repeated and not asks)  # an answer may come with a call of its own


async def carry_out(
    footing: Footing,
    intent: Intent,
    looked: Looked,
    *,
    at_once: bool = True,
    webhook_secret: SecretStr | None = None,
) -> Intent:
    """Send what may be sent, once. A failure or an unknown outcome may pull the kill switch.

    A caller that goes away before the claim takes back what nobody but the caller has asked for; afterwards nothing
    stops the attempt from being booked.

    Args:
        footing: Of the gate.
        intent: As it was admitted, or found.
        looked: What its admission rested on.
        at_once: That was a moment ago, so that nobody needs to look again.
        webhook_secret: Signs the deliveries of this deployment, in place of the user's.
    """
    if intent.state not in {"APPROVED", "NOT_SENT"}:
        return intent
    ground = looked if at_once else None
    try:
        intent = await footing.executor.execute(
            intent.intent_id, ground=ground, admitted=intent if at_once else None, webhook_secret=webhook_secret
        )
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(_take_back, footing, intent.intent_id)
        raise
    if intent.state == "ACKED":
        return intent
    with anyio.CancelScope(shield=True):
        usage = await to_thread.run_sync(footing.ledger.usage, intent.proposal.money, intent.proposal.action)
        await pull_if_tripped(footing, looked, usage)
    return intent


def _take_back(footing: Footing, intent_id: str) -> None:
    now = footing.ledger.intent(intent_id)
    if now is None or now.state != "APPROVED" or now.key_id is not None:
        return
    with suppress(InvalidInput):  # another process has claimed it
        footing.ledger.decline(intent_id, WENT_AWAY, by_human=False)


def _yes_counts(admitted: Admitted) -> bool:
    """Whether a yes in the client's dialog would be worth anything. Nobody is asked in vain."""
    would_be = replace(admitted.intent, key_id=BY_ELICITATION, signature="")
    looked = admitted.looked
    return covers(would_be, admitted.decision, looked.approver, looked.limits)


async def _ask(footing: Footing, intent: Intent, wait: Wait) -> Intent:
    """Put the question, whose text never changes, and book the answer. No answer leaves the intent as it is."""
    answer: Answer = "not_asked"
    with anyio.move_on_after(wait.left):
        answer = await wait.asking.ask(intent.intent_id, question(intent.proposal))
    if answer == "not_asked":
        return intent
    return await to_thread.run_sync(_book_answer, footing, intent, answer == "yes")


def _book_answer(footing: Footing, intent: Intent, yes: bool) -> Intent:  # noqa: FBT001 - for a thread
    ledger = footing.ledger
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

"""The first half of every way through the gate: a look at the world, a decision, and a row in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from anyio import to_thread

from safety.ledger import Admission
from safety.looking.judging import Looked
from safety.policy.valuation import worth
from safety.terms.decision import Decision
from safety.terms.facts import SwitchState, Usage
from safety.terms.intent import Caller, Intent
from safety.terms.proposal import Action, Order, Proposal

from .footing import Footing
from .halting import pull_if_tripped
from .wording import refusal

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
        HeyTradersError: The service refuses a question for a reason that somebody can mend.
    """
    subscription_id = caller.client if caller.origin else ""
    looked = await footing.judge.look(action, can_elicit=can_elicit, subscription_id=subscription_id)
    admission, usage = await to_thread.run_sync(_book, footing, looked, caller, ask_first)
    await pull_if_tripped(footing, looked, usage)
    if admission.intent is None:
        raise refusal(admission.decision, caller.tool)
    return Admitted(admission.intent, admission.decision, admission.repeated, looked)


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

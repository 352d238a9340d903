"""`heytraders-mcp approve`: a human reviews what an agent wants to do, and signs or declines it.

This command only signs. The running server sends the signed intent; this command never sees the API key.
`heytraders-mcp settle`: a human decides the outcome of an order that the server could not resolve.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

import anyio
import click

from api import orders
from api.errors import HeyTradersError, InvalidInput, NotFound, clean, explain, show
from safety.human.in_force import order_words, question_words, settle_words
from safety.human.screen import fact, paper, plain, screen, summary, whole_text
from safety.terms.proposal import OrderTerms
from server.backend import open_backend
from server.settings import Settings

from .passphrase import refuse_without_terminal, signing_key

if TYPE_CHECKING:
    from safety.ledger import Ledger
    from safety.policy.evaluation import Policy
    from safety.terms.intent import Intent, IntentState


WAIT_SECONDS: Final = 80.0
"""An approved intent waits up to 75 s for a fresh price; after that it is never sent."""
LOOK_SECONDS: Final = 0.2


@click.command("approve")
@click.argument("intent_id", required=False)
@click.option("--decline", is_flag=True, help="Refuse INTENT_ID; needs no passphrase.")
@click.option("--ask-again", is_flag=True, help="End the pause that follows declined questions, or too many.")
@click.option("--list", "only_list", is_flag=True, help="Only list what waits.")
def approve(*, intent_id: str | None, decline: bool, ask_again: bool, only_list: bool) -> None:
    """Show what waits for a human, and approve or refuse it: INTENT_ID, or the one that you pick."""
    home = Settings.read(os.environ).home
    from safety.human.in_force import load
    from safety.ledger import Ledger

    if not Ledger.exists(home):
        click.echo("Nothing waits for approval.")
        return
    with closing(Ledger.open(home)) as ledger:
        if ask_again:
            refuse_without_terminal()
            key, words = signing_key(home, ledger), question_words(ledger.head()[1])
            ledger.allow_questions(signature=key.sign(words))
            click.echo("Agents may ask again.")
            return
        ledger.expire_due()
        waiting = ledger.intents(states={"PENDING"})
        if only_list or (not waiting and intent_id is None):
            _show_list(waiting)
            return
        intent = _picked(ledger, waiting, intent_id)
        if decline:
            _declined(ledger, intent)
            return
        refuse_without_terminal()
        policy = load(home, ledger).policy
        click.echo("\n".join(_shown(intent, ledger, policy)))
        if not _wanted(intent, policy):
            _declined(ledger, intent)
            return
        key = signing_key(home, ledger)
        ledger.approve(intent.intent_id, signature=key.sign(order_words(intent)), key_id=key.key_id)
        click.echo("Approved. Waiting for the server to carry it out ...")
        sys.exit(0 if _told(ledger, intent.intent_id) else 1)


def _show_list(waiting: list[Intent]) -> None:
    if not waiting:
        click.echo("Nothing waits for approval.")
    for number, intent in enumerate(waiting, 1):
        left = max(0, round(intent.proposal.expires - time.time()))
        click.echo(f"{number:>3}  {intent.intent_id}  {left:>3} s left  {summary(intent.proposal)}")


def _picked(ledger: Ledger, waiting: list[Intent], intent_id: str | None) -> Intent:
    """The chosen intent.

    Raises:
        NotFound: No intent has this id, or it is no longer pending.
    """
    if intent_id is None:
        return waiting[0] if len(waiting) == 1 else _asked_for(waiting)
    for intent in waiting:
        if intent.intent_id == intent_id.upper():
            return intent
    known = ledger.intent(intent_id)
    state = f"is {known.state}" if known else "is not known"
    raise NotFound(
        f"{intent_id[:40]!r} {state} and does not wait for approval",
        suggestion=("heytraders-mcp approve --list shows what waits"),
    )


def _asked_for(waiting: list[Intent]) -> Intent:
    _show_list(waiting)
    refuse_without_terminal()
    number: int = click.prompt("Which one", type=click.IntRange(1, len(waiting)))
    return waiting[number - 1]


def _shown(intent: Intent, ledger: Ledger, policy: Policy) -> list[str]:
    """The facts, at most ten lines, below the text to publish, if any."""
    lines = [*whole_text(intent.proposal), *screen(intent.proposal)]
    limit = policy.limits(intent.proposal.money).daily_notional
    if limit is not None and intent.proposal.notional_usd is not None:
        usage = ledger.usage(intent.proposal.money, intent.proposal.action)
        left = max(Decimal(0), limit - max(usage.notional_24h, usage.notional_day))
        lines.append(f"{'left after it':<15} {plain(left)} of {plain(limit)} USD for 24 hours")
    return lines


def _wanted(intent: Intent, policy: Policy) -> bool:
    """The human's decision; above the policy's threshold, they must type the amount.

    Raises:
        InvalidInput: The typed amount differs.
    """
    answer: str = click.prompt("Approve it", type=click.Choice(("yes", "no", "later")))
    if answer == "later":
        raise click.Abort
    if answer == "no":
        return False
    action = intent.proposal.action
    if action.kind == "order" and _is_large(intent, policy):
        typed: str = click.prompt(f"It is above {plain(policy.typed_amount_above)} USD. Type the amount, in units")
        if _number(typed) != action.amount:
            raise InvalidInput(f"{typed[:40]!r} is not the amount; nothing was approved", suggestion="Look again")
    return True


def _is_large(intent: Intent, policy: Policy) -> bool:
    """Whether it is above the threshold. Real money of unknown value always is."""
    worth = intent.proposal.notional_usd
    return not paper(intent.proposal) if worth is None else worth > policy.typed_amount_above


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        return None


def _declined(ledger: Ledger, intent: Intent) -> None:
    ledger.decline(intent.intent_id, "declined by a human", by_human=True)
    click.echo(f"Declined: {summary(intent.proposal)}")


def _told(ledger: Ledger, intent_id: str) -> bool:
    """Wait for the server to send it, and print the outcome. Returns whether it succeeded."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        intent = ledger.intent(intent_id)
        if intent is None or intent.state not in {"APPROVED", "SENT", "NOT_SENT"}:
            break
        if time.monotonic() > deadline:
            ledger.expire_due()
            intent = ledger.intent(intent_id)
            break
        time.sleep(LOOK_SECONDS)
    state: IntentState = intent.state if intent else "UNKNOWN"
    details = [clean(intent.reason)] if intent and intent.reason else []
    if intent and intent.order_id:
        thing = "Order" if intent.proposal.action.kind == "order" else "Subscription"
        details.append(f"{thing} {fact(intent.order_id)}.")
    click.echo(" ".join([f"{state}: {OUTCOMES[state]}", *details]))
    return state == "ACKED"


OUTCOMES: Final[dict[IntentState, str]] = {
    "PENDING": "it still waits.",
    "APPROVED": "no running server has picked it up, and nothing was sent. Is the client open?",
    "SENT": "it was sent, and the answer is not there yet. heytraders-mcp audit tail shows what happens next.",
    "ACKED": "it was carried out.",
    "REJECTED": "it was refused, and nothing was placed.",
    "UNKNOWN": "it was sent, and whether it was placed is being found out. It is not sent again.",
    "NOT_SENT": "the service could not be reached, and nothing was sent.",
    "ABSENT": "it was sent, and the service has not shown it so far. It is not sent again, and is still watched.",
    "DECLINED": "it was declined, and nothing was sent.",
    "EXPIRED": "no running server picked it up in time, and nothing was sent. Is the client open?",
    "EXPIRED_DRIFT": "the market moved away, and nothing was sent.",
    "HALTED": "trading is halted, and nothing was sent. heytraders-mcp release ends the halt.",
}


LISTED: Final = 200


@click.command("settle")
@click.argument("intent_id")
@click.option("--order", "order_id", help="It is the order with this id.")
@click.option("--absent", is_flag=True, help="It was never placed.")
def settle(*, intent_id: str, order_id: str | None, absent: bool) -> None:
    """Settle INTENT_ID, whose outcome is unknown: show what it could be, and ask for the passphrase."""
    if (order_id is not None) == absent:
        raise InvalidInput("say either --order ID or --absent", suggestion="Look at the exchange itself first")
    refuse_without_terminal()
    settings = Settings.read(os.environ)
    from safety.ledger import Ledger

    with closing(Ledger.open(settings.home)) as ledger:
        intent = _unclear(ledger, intent_id)
        click.echo("\n".join([*screen(intent.proposal), "", *_candidates(settings, intent)]))
        key = signing_key(settings.home, ledger)
        signature = key.sign(settle_words(intent, order_id))
        settled = ledger.settle_by_human(intent.intent_id, order_id, signature=signature)
    click.echo(f"Intent {settled.intent_id} is {settled.state} now.")


def _unclear(ledger: Ledger, intent_id: str) -> Intent:
    """The intent, if it can be settled.

    Raises:
        InvalidInput: Its outcome is known, or it is not an order.
    """
    intent = ledger.intent(intent_id)
    if (
        intent is None
        or intent.state not in {"UNKNOWN", "ABSENT"}
        or not isinstance(intent.proposal.action, OrderTerms)
    ):
        found = "there is no such intent" if intent is None else f"it is {intent.state}"
        raise InvalidInput(
            f"intent {show(intent_id)} is not an order of unknown outcome: {found}",
            suggestion="safety_status lists the unresolved ones",
        )
    return intent


def _candidates(settings: Settings, intent: Intent) -> list[str]:
    """Orders of the account that match the intent's terms, exact matches first."""
    try:
        listed = anyio.run(_listed, settings, intent)
    except HeyTradersError as error:
        return [f"The account's orders could not be read: {explain(error)}"]
    if not listed:
        return [f"None of the newest {LISTED} orders of the account has these terms."]
    return ["Orders of the account with these terms:", *map(_line, listed)]


async def _listed(settings: Settings, intent: Intent) -> list[orders.Order]:
    from safety.sending.execution import differs

    order = intent.proposal.action
    if not isinstance(order, OrderTerms):
        return []
    async with open_backend(settings) as backend:
        client = await backend.client()
        asked = orders.OrdersRequest(account_id=order.account_id, limit=LISTED)
        shown = (await client.call(orders.ORDERS_LIST, asked)).orders
    fitting = [each for each in shown if differs(order, each) is None]
    return sorted(fitting, key=lambda each: (each.amount != order.amount, each.price != order.price))


def _line(shown: orders.Order) -> str:
    amount = "?" if shown.amount is None else plain(shown.amount)
    price = "" if shown.price is None else f" at {plain(shown.price)}"
    made = shown.created_at or "time unknown"
    name = shown.order_id or shown.exchange_order_id or "?"
    return (
        f"  {fact(name)}  {fact(shown.side or '')} {amount} {fact(shown.symbol or '')}{price}, {shown.status}, {made}"
    )

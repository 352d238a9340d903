"""`heytraders-mcp settle`: a human says what became of an order whose outcome no reading can tell."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Final

import anyio
import click

from api import orders
from api.errors import HeyTradersError, InvalidInput, explain, show
from safety.human.approval import settle_words
from safety.human.screen import fact, plain, screen
from safety.terms.proposal import Order
from server.backend import open_backend
from server.settings import Settings

from .passphrase import refuse_without_terminal, signing_key

if TYPE_CHECKING:
    from safety.ledger import Ledger
    from safety.terms.intent import Intent

LISTED: Final = 200


@click.command("settle")
@click.argument("intent_id")
@click.option("--order", "order_id", help="It is the order with this id.")
@click.option("--absent", is_flag=True, help="It was never placed.")
def command(*, intent_id: str, order_id: str | None, absent: bool) -> None:
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
        words = settle_words(intent, order_id)
        settled = ledger.settle_by_human(
            intent.intent_id, order_id, signature=key.sign(words), key_id=key.key_id, over=words
        )
    click.echo(f"Intent {settled.intent_id} is {settled.state} now.")


def _unclear(ledger: Ledger, intent_id: str) -> Intent:
    """The intent, if there is something to settle.

    Raises:
        InvalidInput: Its outcome is known, or it is not an order.
    """
    intent = ledger.intent(intent_id)
    if intent is None or intent.state not in {"UNKNOWN", "ABSENT"} or not isinstance(intent.proposal.action, Order):
        found = "there is no such intent" if intent is None else f"it is {intent.state}"
        raise InvalidInput(
            f"intent {show(intent_id)} is not an order of unknown outcome: {found}",
            suggestion="safety_status lists the unresolved ones",
        )
    return intent


def _candidates(settings: Settings, intent: Intent) -> list[str]:
    """Orders of the account that have the intent's terms, those that fit exactly first."""
    try:
        listed = anyio.run(_listed, settings, intent)
    except HeyTradersError as error:
        return [f"The account's orders could not be read: {explain(error)}"]
    if not listed:
        return [f"None of the newest {LISTED} orders of the account has these terms."]
    return ["Orders of the account with these terms:", *map(_line, listed)]


async def _listed(settings: Settings, intent: Intent) -> list[orders.Order]:
    from safety.sending.classify import differs

    order = intent.proposal.action
    if not isinstance(order, Order):
        return []
    async with open_backend(settings) as backend:
        client = await backend.client()
        asked = orders.ListRequest(account_id=order.account_id, limit=LISTED)
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

"""`heytraders-mcp release`: a human ends a halt, with the passphrase."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Final

import click

from api.errors import clean
from safety.human.approval import release_words
from server.settings import Settings

from .passphrase import signing_key

if TYPE_CHECKING:
    from safety.ledger import Event, Ledger, Switch

MAX_BREAKS: Final = 5
NEWEST: Final = 1000


@click.command("release")
def command() -> None:
    """End a halt: show why it began and what is unclear, and ask for the passphrase."""
    home = Settings.read(os.environ).home
    from safety.ledger import Ledger

    with closing(Ledger.open(home)) as ledger:
        switch = ledger.switch()
        if switch.state == "ACTIVE":
            click.echo("Nothing is halted.")
            return
        click.echo("\n".join(_told(ledger, switch)))
        key = signing_key(home, ledger)
        words = release_words(switch.state, switch.since or 0.0, ledger.head()[1])
        ledger.release(signature=key.sign(words), key_id=key.key_id, over=words)
    click.echo("Released. What was cancelled, paused or declined during the halt stays so.")


def _alarms(ledger: Ledger, switch: Switch) -> list[Event]:
    """What else went wrong since, which moved nothing because everything was halted already."""
    from safety.sending.resolution import ALARM

    newest = ledger.events(limit=NEWEST, newest=True)
    return [event for event in newest if event.kind == ALARM and event.at >= (switch.since or 0.0)]


def _told(ledger: Ledger, switch: Switch) -> list[str]:
    """What a human should know before trading goes on."""
    lines = [f"{switch.state}, by {clean(switch.by)}: {clean(switch.reason)}"]
    told = (clean(alarm.body["reason"]) for alarm in _alarms(ledger, switch))
    lines += [f"and also: {reason}" for reason in dict.fromkeys(told) if reason != clean(switch.reason)]
    unclear = ledger.intents(states={"SENT", "UNKNOWN"})
    lines += [f"unclear: intent {intent.intent_id} is {intent.state}, {clean(intent.reason)}" for intent in unclear]
    breaks = ledger.verify()
    lines += [f"journal: {found}" for found in breaks[:MAX_BREAKS]]
    if breaks:
        lines.append("The journal does not hold together: it may have been changed. Releasing accepts that.")
    return lines

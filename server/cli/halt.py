"""`heytraders-mcp halt` stops all trading at once, without a passphrase; `release` lets a human end the halt."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import click

from api.errors import HeyTradersError, clean, explain
from safety.human.in_force import release_words
from server.backend import open_backend
from server.logs import start_log
from server.settings import Settings, home_of

from .passphrase import signing_key

if TYPE_CHECKING:
    from safety.face import Halted
    from safety.ledger import Ledger
    from safety.ledger.journal import Event
    from safety.ledger.switch import Switch


BY: Final = "the command line"
BY_HAND: Final = "Cancel open orders and pause strategies by hand, at the service itself."


@click.command("halt")
@click.argument("reason", nargs=-1)
def halt(reason: tuple[str, ...]) -> None:
    """Send no more orders, cancel our open ones, pause strategies that trade. Only `release` ends it.

    Exit code 1 when something could not be cancelled or paused; nothing more is sent even then.
    """
    why = " ".join(reason) or "halted at the command line"
    _halt(home_of(os.environ), why)
    click.echo("Halted: nothing more is sent. Cancelling open orders and pausing strategies ...")
    try:
        settings = Settings.read(os.environ)
        start_log(settings)
        done = anyio.run(_clean_up, settings, why)
    except (HeyTradersError, ExceptionGroup) as failed:
        error = _known(failed)
        if error is None:
            raise
        click.echo(f"heytraders-mcp: nothing could be cancelled or paused: {explain(error)}", err=True)
        click.echo(f"heytraders-mcp: {BY_HAND}", err=True)
        sys.exit(1)
    for word, names in (("cancelled", done.cancelled), ("paused", done.paused), ("FAILED", done.failed)):
        for name in names:
            click.echo(f"{word:<10} {name}")
    click.echo(f"{len(done.cancelled)} cancelled, {len(done.paused)} paused. `heytraders-mcp release` ends the halt.")
    sys.exit(1 if done.failed else 0)


def _known(failed: Exception) -> HeyTradersError | None:
    """The error with the cause, unwrapped from task groups."""
    if isinstance(failed, ExceptionGroup):
        return next(filter(None, map(_known, failed.exceptions)), None)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType] - of exceptions
    return failed if isinstance(failed, HeyTradersError) else None


def _halt(home: Path, why: str) -> None:
    """Engage the switch on disk before anything else; if the ledger is broken, by the file alone."""
    from safety.ledger import Ledger
    from safety.ledger.switch import write_file

    try:
        with closing(Ledger.open(home)) as ledger:
            ledger.halt(why, BY)
    except HeyTradersError as error:
        if not write_file(home, why):
            raise
        click.echo(f"heytraders-mcp: halted with the file HALT only: {explain(error)}", err=True)


async def _clean_up(settings: Settings, why: str) -> Halted:
    """Run the gate's clean-up after the switch."""
    async with open_backend(settings) as backend:
        return await (await backend.safety()).kill_switch.halt(why, BY)


MAX_BREAKS: Final = 5
NEWEST: Final = 1000


@click.command("release")
def release() -> None:
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
    """Later alarms, which changed nothing because trading was already halted."""
    from safety.sending.reconciliation import ALARM

    newest = ledger.events(limit=NEWEST, newest=True)
    return [event for event in newest if event.kind == ALARM and event.at >= (switch.since or 0.0)]


def _told(ledger: Ledger, switch: Switch) -> list[str]:
    """What a human should know before trading resumes."""
    lines = [f"{switch.state}, by {clean(switch.by)}: {clean(switch.reason)}"]
    told = (clean(alarm.body["reason"]) for alarm in _alarms(ledger, switch))
    lines += [f"and also: {reason}" for reason in dict.fromkeys(told) if reason != clean(switch.reason)]
    unclear = ledger.intents(states={"SENT", "UNKNOWN"})
    lines += [f"unclear: intent {intent.intent_id} is {intent.state}, {clean(intent.reason)}" for intent in unclear]
    breaks = ledger.verify()
    lines += [f"journal: {found}" for found in breaks[:MAX_BREAKS]]
    if breaks:
        lines.append("The journal is inconsistent: it may have been altered. Releasing accepts it as it is.")
    return lines

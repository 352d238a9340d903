"""`heytraders-mcp halt`: anybody may stop everything, at once and without a passphrase."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Final

import anyio
import click

from api.errors import HeyTradersError, explain
from server.backend import open_backend
from server.logs import start_log
from server.settings import Settings

if TYPE_CHECKING:
    from safety.face import Halted

BY: Final = "the command line"


@click.command("halt")
@click.argument("reason", nargs=-1)
def command(reason: tuple[str, ...]) -> None:
    """Send no more orders, cancel our open ones, pause strategies that trade. Only `release` ends it.

    Exit code 1 when something could not be cancelled or paused; nothing more is sent even then.
    """
    settings = Settings.read(os.environ)
    start_log(settings)
    why = " ".join(reason) or "halted at the command line"
    _halt(settings, why)
    click.echo("Halted: nothing more is sent. Cancelling open orders and pausing strategies ...")
    try:
        done = anyio.run(_clean_up, settings, why)
    except HeyTradersError as error:
        click.echo(f"heytraders-mcp: nothing could be cancelled or paused: {explain(error)}", err=True)
        sys.exit(1)
    for word, names in (("cancelled", done.cancelled), ("paused", done.paused), ("FAILED", done.failed)):
        for name in names:
            click.echo(f"{word:<10} {name}")
    click.echo(f"{len(done.cancelled)} cancelled, {len(done.paused)} paused. `heytraders-mcp release` ends the halt.")
    sys.exit(1 if done.failed else 0)


def _halt(settings: Settings, why: str) -> None:
    """The switch first, on the disk before anything else is tried; with a ledger that is broken, by the file alone."""
    from safety.ledger import Ledger
    from safety.ledger.switch import write_file

    try:
        with closing(Ledger.open(settings.home)) as ledger:
            ledger.halt(why, BY)
    except HeyTradersError as error:
        if not write_file(settings.home, why):
            raise
        click.echo(f"heytraders-mcp: halted by the file HALT alone: {explain(error)}", err=True)


async def _clean_up(settings: Settings, why: str) -> Halted:
    """What the gate does behind the switch."""
    async with open_backend(settings) as backend:
        return await (await backend.safety()).halt(why, BY)

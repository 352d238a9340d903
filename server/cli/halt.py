"""`heytraders-mcp halt`: anybody may stop everything, at once and without a passphrase."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import click

from api.errors import HeyTradersError, explain
from server.backend import open_backend
from server.logs import start_log
from server.settings import Settings, home_of

if TYPE_CHECKING:
    from safety.face import Halted

BY: Final = "the command line"
BY_HAND: Final = "Cancel open orders and pause strategies by hand, at the service itself."


@click.command("halt")
@click.argument("reason", nargs=-1)
def command(reason: tuple[str, ...]) -> None:
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
    """The error that says what is wrong, also where task groups have wrapped it."""
    if isinstance(failed, ExceptionGroup):
        return next(filter(None, map(_known, failed.exceptions)), None)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType] - of exceptions
    return failed if isinstance(failed, HeyTradersError) else None


def _halt(home: Path, why: str) -> None:
    """The switch first, on the disk before anything else is tried; with a ledger that is broken, by the file alone."""
    from safety.ledger import Ledger
    from safety.ledger.switch import write_file

    try:
        with closing(Ledger.open(home)) as ledger:
            ledger.halt(why, BY)
    except HeyTradersError as error:
        if not write_file(home, why):
            raise
        click.echo(f"heytraders-mcp: halted by the file HALT alone: {explain(error)}", err=True)


async def _clean_up(settings: Settings, why: str) -> Halted:
    """What the gate does behind the switch."""
    async with open_backend(settings) as backend:
        return await (await backend.safety()).halt(why, BY)

"""`heytraders-mcp halt`: anybody may stop everything, at once and without a passphrase."""

from __future__ import annotations

import os
from contextlib import closing

import click

from server.settings import Settings


@click.command("halt")
@click.argument("reason", nargs=-1)
def command(reason: tuple[str, ...]) -> None:
    """Send no more orders, cancel our open ones, pause strategies that trade. Only `release` ends it."""
    from safety.ledger import Ledger

    settings = Settings.read(os.environ)
    why = " ".join(reason) or "halted at the command line"
    with closing(Ledger.open(settings.home)) as ledger:
        ledger.halt(why, "the command line")
    click.echo("Halted. Nothing more is sent. heytraders-mcp release ends it.")

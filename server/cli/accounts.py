"""`heytraders-mcp accounts`: the paper accounts of this machine's user, and their books."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast, get_args

import anyio
import anyio.to_thread
import click

from api.exchanges import ExchangeId
from server.backend import open_engine
from server.logs import start_log
from server.settings import Settings

if TYPE_CHECKING:
    from engine.venues.paper.administration import Administration, Summary

Result = TypeVar("Result")


@click.group("accounts")
def command() -> None:
    """List, open, fund, reset, close and check paper accounts."""


@command.command("list")
def list_() -> None:
    """List all accounts with their free cash."""
    for summary in _run(lambda office: office.accounts()):
        click.echo(_told(summary))


@command.command("create")
@click.argument("exchange", type=click.Choice(get_args(ExchangeId)))
@click.option("--id", "account_id", help="What orders will call it.  [default: made up]")
@click.option("--name", help="For people.")
@click.option("--balance", help="Cash to start with.  [default: that of the exchange's first account]")
def create(*, exchange: str, account_id: str | None, name: str | None, balance: str | None) -> None:
    """Open another paper account on EXCHANGE."""
    venue = cast("ExchangeId", exchange)
    click.echo(_told(_run(lambda office: office.create(venue, account_id, name, balance))))


@command.command("fund")
@click.argument("account_id")
@click.argument("amount")
@click.option("--asset", help="What to pay in.  [default: the exchange's currency]")
def fund(*, account_id: str, amount: str, asset: str | None) -> None:
    """Pay AMOUNT into ACCOUNT_ID. After a --, a negative amount takes out."""
    click.echo(_told(_run(lambda office: office.fund(account_id, amount, asset))))


@command.command("reset")
@click.argument("account_id")
def reset(*, account_id: str) -> None:
    """Give ACCOUNT_ID its opening balance again, without orders and positions."""
    click.echo(_told(_run(lambda office: office.reset(account_id))))


@command.command("close")
@click.argument("account_id")
def close(*, account_id: str) -> None:
    """Let ACCOUNT_ID take no more orders; `reset` opens it again."""
    click.echo(_told(_run(lambda office: office.close(account_id))))


@command.command("ledger")
@click.argument("account_id")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Newest rows to show.")
def ledger(*, account_id: str, limit: int) -> None:
    """Show the newest rows of the books of ACCOUNT_ID, one posting after the other."""
    from engine.clock import iso8601

    for row in _run(lambda office: office.ledger(account_id, limit)):
        order = row.order_id or ""
        click.echo(
            f"{row.seq:>8} {iso8601(row.at / 1000)} {row.kind:<11} {row.book:<9} {row.amount:>+28f} "
            f"{row.asset[:20]:<20} {order}"
        )


@command.command("verify")
@click.argument("account_id", required=False)
def verify(*, account_id: str | None) -> None:
    """Check that the books of all accounts, or of ACCOUNT_ID, add up. Exit code 1 if they do not."""
    found = _run(lambda office: office.verify(account_id))
    for name, problems in found.items():
        click.echo(f"{'BAD' if problems else 'ok '} {name}")
        for problem in problems:
            click.echo(f"    {problem}")
    sys.exit(1 if any(found.values()) else 0)


def _told(summary: Summary) -> str:
    account = summary.account
    return (
        f"{account.account_id:<28} {account.exchange:<18} {account.status:<7} {summary.free:f} {account.currency} free"
    )


def _run(work: Callable[[Administration], Result]) -> Result:
    settings = Settings.read(os.environ)
    start_log(settings)
    return anyio.run(_with_accounts, settings, work)


async def _with_accounts(settings: Settings, work: Callable[[Administration], Result]) -> Result:
    async with open_engine(settings) as engine:
        from engine.access import LOCAL_AGENT
        from engine.venues.paper.administration import Administration

        office = Administration(engine.store, engine.clock, LOCAL_AGENT)
        return await anyio.to_thread.run_sync(work, office)

"""`heytraders-mcp accounts`: paper accounts with their books, and the user's exchange accounts."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast, get_args

import anyio
import anyio.to_thread
import click

from api.exchanges import EXCHANGES, ExchangeId
from safety.exits import know
from server import channels as account_keys
from server.backend import open_engine
from server.channels import ACCOUNT_ID, ConnectedAccount, ConnectedAccounts
from server.logs import start_log
from server.settings import BadSetting, Settings

if TYPE_CHECKING:
    from engine.venues.exchange.holdings import KeyRights
    from engine.venues.paper.administration import AccountSummary, Administration

Result = TypeVar("Result")


@click.group("accounts")
def accounts() -> None:
    """Connect exchange accounts; list, open, fund, reset, close and check paper accounts."""


@accounts.command("list", short_help="List accounts.")
def list_() -> None:
    """List paper accounts with their free cash, then the exchange accounts that are connected."""
    settings = Settings.read(os.environ)
    for summary in _run(lambda office: office.accounts()):
        click.echo(f"paper  {_told(summary)}")
    for one in ConnectedAccounts(settings.home).all():
        network = "testnet" if one.testnet else "real"
        click.echo(f"{network:<6} {one.account_id:<28} {one.exchange:<18} connected {one.name}".rstrip())


@accounts.command("connect")
@click.argument("exchange", type=click.Choice(get_args(ExchangeId)))
@click.option("--id", "account_id", required=True, help="The account id for orders.")
@click.option("--name", default="", help="A name for display.")
@click.option("--testnet", is_flag=True, help="The exchange's testnet, with play money.")
@click.option("--file", "in_file", is_flag=True, help="Keep the keys in a private file, not in the keyring.")
def connect(*, exchange: str, account_id: str, name: str, testnet: bool, in_file: bool) -> None:
    """Connect your account on EXCHANGE. Its keys are asked for; no option and no variable takes them.

    Give the key the right to read and to trade, and not the right to withdraw. Orders on the account pass the safety
    layer, under limits that you sign (heytraders-mcp policy sign).
    """
    click.echo(_connected(cast("ExchangeId", exchange), account_id, name, testnet=testnet, in_file=in_file))


@accounts.command("disconnect")
@click.argument("account_id")
def disconnect(*, account_id: str) -> None:
    """Forget the exchange account ACCOUNT_ID and its keys. Orders that rest at the exchange stay there."""
    settings = Settings.read(os.environ)
    registry = ConnectedAccounts(settings.home)
    account = registry.get(account_id)
    if account is None:
        known = ", ".join(one.account_id for one in registry.all()) or "none"
        raise BadSetting(f"no account {account_id} is connected", suggestion=f"Connected: {known}")
    registry.remove(account_id)
    place = account_keys.forget(settings.home, account)
    click.echo(f"{account_id} is disconnected; its keys are gone from the {place}. Delete them at the exchange too.")


@accounts.command("create")
@click.argument("exchange", type=click.Choice(get_args(ExchangeId)))
@click.option("--id", "account_id", help="The account id for orders.  [default: generated]")
@click.option("--name", help="A name for display.")
@click.option("--balance", help="Cash to start with.  [default: that of the exchange's first account]")
def create(*, exchange: str, account_id: str | None, name: str | None, balance: str | None) -> None:
    """Open another paper account on EXCHANGE."""
    venue = cast("ExchangeId", exchange)
    click.echo(_told(_run(lambda office: office.create(venue, account_id, name, balance))))


@accounts.command("fund")
@click.argument("account_id")
@click.argument("amount")
@click.option("--asset", help="What to pay in.  [default: the exchange's currency]")
def fund(*, account_id: str, amount: str, asset: str | None) -> None:
    """Pay AMOUNT into ACCOUNT_ID. After a --, a negative amount withdraws."""
    click.echo(_told(_run(lambda office: office.fund(account_id, amount, asset))))


@accounts.command("reset", short_help="Reset an account to its opening balance.")
@click.argument("account_id")
def reset(*, account_id: str) -> None:
    """Reset ACCOUNT_ID to its opening balance, without orders and positions."""
    click.echo(_told(_run(lambda office: office.reset(account_id))))


@accounts.command("close")
@click.argument("account_id")
def close(*, account_id: str) -> None:
    """Close ACCOUNT_ID to new orders; `reset` opens it again."""
    click.echo(_told(_run(lambda office: office.close(account_id))))


@accounts.command("ledger", short_help="Show the newest rows of the books.")
@click.argument("account_id")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Newest rows to show.")
def ledger(*, account_id: str, limit: int) -> None:
    """Show the newest rows of the books of ACCOUNT_ID, one line per posting."""
    from api.times import iso8601

    for row in _run(lambda office: office.ledger(account_id, limit)):
        order = row.order_id or ""
        click.echo(
            f"{row.seq:>8} {iso8601(row.at / 1000)} {row.kind:<11} {row.book:<9} {row.amount:>+28f} "
            f"{row.asset[:20]:<20} {order}"
        )


@accounts.command("verify", short_help="Check that the books add up.")
@click.argument("account_id", required=False)
def verify(*, account_id: str | None) -> None:
    """Check that the books of all accounts, or of ACCOUNT_ID, add up. Exit code 1 if they do not."""
    found = _run(lambda office: office.verify(account_id))
    for name, problems in found.items():
        click.echo(f"{'BAD' if problems else 'ok '} {name}")
        for problem in problems:
            click.echo(f"    {problem}")
    sys.exit(1 if any(found.values()) else 0)


def _connected(exchange: ExchangeId, account_id: str, name: str, *, testnet: bool, in_file: bool) -> str:
    from engine.venues.exchange.conventions import CONVENTIONS

    settings = Settings.read(os.environ)
    start_log(settings)
    row = CONVENTIONS[exchange]
    if testnet and not row.testnet:
        raise BadSetting(f"{EXCHANGES[exchange].name} has no testnet", suggestion="Leave --testnet out")
    network = "testnet account" if testnet else "account"
    if not re.fullmatch(ACCOUNT_ID, account_id):
        raise BadSetting(
            f"--id {account_id[:80]!r} is not a valid account id",
            suggestion="Use 1 to 64 letters, digits, hyphens and underscores",
        )
    known = ConnectedAccounts(settings.home).get(account_id)
    if known is not None and (known.exchange, known.testnet) != (exchange, testnet):
        where = f"{EXCHANGES[known.exchange].name} {'testnet ' if known.testnet else ''}account"
        raise BadSetting(
            f"{account_id} is already a {where}, and policies name it as that",
            suggestion=f"Choose another --id, or first: heytraders-mcp accounts disconnect {account_id}",
        )
    if any(summary.account.account_id == account_id for summary in _run(lambda office: office.accounts())):
        raise BadSetting(f"{account_id} is a paper account", suggestion="Choose another --id")
    if row.testnet and not testnet:
        click.echo("This is real money. --testnet connects the exchange's testnet, where you can try all of it first.")
    name_of = EXCHANGES[exchange].name
    secrets = tuple(_asked(f"{name_of} {one.name}", one.pattern, one.form) for one in row.credentials)
    for secret in secrets:
        know(secret)
    account = ConnectedAccount(
        account_id=account_id,
        exchange=exchange,
        name=name,
        testnet=testnet,
        labels_echoed=True,
        client_ids=True,
    )
    rights = _checked(settings, account, secrets)
    place = account_keys.keep(settings.home, account, secrets, in_file=in_file)
    ConnectedAccounts(settings.home).put(account)
    kept = "this machine's keyring" if place == "keyring" else "a file that only you can read"
    return (
        f"Connected the {EXCHANGES[exchange].name} {network} {account_id}; its keys are kept in {kept}.\n{rights}\n"
        "Nothing is traded yet: orders need HEYTRADERS_DATA=exchange and a policy that you sign "
        "(heytraders-mcp policy sign)."
    )


def _asked(what: str, pattern: str, form: str) -> str:
    """Read one secret: typed without echo, or one line from a pipe."""
    typed = click.prompt(f"{what} ({form})", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
    text = str(typed).strip()
    if not re.fullmatch(pattern, text):
        raise BadSetting(f"the input is not a {what}: {form}", suggestion="Copy it again")
    return text


def _checked(settings: Settings, account: ConnectedAccount, secrets: tuple[str, ...]) -> str:
    """What the exchange says about the keys.

    Raises:
        BadSetting: The keys may withdraw. Nothing was stored.
        HeyTradersError: The exchange rejects them, or cannot be reached. Nothing was stored.
    """
    rights = anyio.run(_key_rights, settings, account, secrets)
    name = f"{EXCHANGES[account.exchange].name}'s testnet" if account.testnet else EXCHANGES[account.exchange].name
    if rights.whole_wallet:
        return "The private key controls the whole wallet: use a wallet that holds only what you trade with."
    if rights.withdraw:
        raise BadSetting(
            f"this {name} key may withdraw or transfer money; nothing was stored",
            suggestion="Create a key that may only read and trade, and connect that",
        )
    if rights.withdraw is None:
        return f"{name} does not say what a key may do: check there yourself that it may not withdraw."
    if rights.trade is False:
        return (
            f"{name} says that the key may not withdraw. It may not trade either, so {name} will refuse its orders: "
            "give it the right to trade there."
        )
    return f"{name} says that the key may not withdraw."


async def _key_rights(settings: Settings, account: ConnectedAccount, secrets: tuple[str, ...]) -> KeyRights:
    async with open_engine(settings) as engine:
        from engine.venues.exchange.holdings import key_rights
        from engine.venues.exchange.markets import Markets
        from engine.venues.exchange.session import Keys
        from engine.venues.exchange.views import OwnAccount

        keys = Keys(secrets, testnet=account.testnet)
        own = OwnAccount(account.account_id, account.exchange, account.name, account.testnet, lambda: keys)
        markets = partial(Markets(engine.store, engine.connector).raw, account.exchange)
        return await anyio.to_thread.run_sync(key_rights, engine.connector, own, markets)


def _told(summary: AccountSummary) -> str:
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

        office = Administration(
            engine.store,
            engine.clock,
            LOCAL_AGENT,
            lambda: [one.account_id for one in ConnectedAccounts(settings.home).all()],
        )
        return await anyio.to_thread.run_sync(work, office)

"""`heytraders-mcp policy`: shows the limits, tests an order against them, and signs them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from pydantic import ValidationError

from api.errors import InvalidInput, ended
from api.orders import PlaceRequest
from api.refusals import refuse
from safety.human.in_force import POLICY_FILE, Loaded, assurance_of, draft, load, objection, sign, trusted
from safety.policy.case import instrument
from safety.policy.evaluation import Policy, evaluate
from safety.policy.explain import explain
from safety.policy.limits import Change, Limits, changes
from safety.policy.text import parse_policy, write_policy
from safety.private_file import write_private
from safety.terms.facts import AccountFacts, Assurance, Facts, PolicyDecision, Quote, RuleResult, Usage
from safety.terms.proposal import Money, OrderTerms
from server.settings import Settings

from .passphrase import new_passphrase, signing_key

if TYPE_CHECKING:
    from safety.ledger import Ledger


@click.group("policy")
def policy() -> None:
    """Show, explain, try and sign what agents may do."""


@policy.command("show", short_help="Show the policy in force.")
@click.option("--toml", is_flag=True, help=f"The whole policy in force, to be kept as {POLICY_FILE} and edited.")
def show(*, toml: bool) -> None:
    """Show the policy in force: where it comes from, and every limit that is set."""
    with _open() as (settings, ledger):
        loaded = load(settings.home, ledger)
        if toml:
            emptied = _is_empty(settings.home / POLICY_FILE)
            policy = _signed(settings.home, ledger)[0] or Policy() if emptied else loaded.policy
            click.echo(write_policy(policy), nl=False)
            return
        click.echo(_standing(settings, ledger, loaded))
        for warning in loaded.warnings:
            click.echo(f"WARNING {warning}")
        click.echo("\n".join(_limits(loaded)))


def _is_empty(path: Path) -> bool:
    """Whether the file is empty: with `show --toml > policy.toml`, the shell empties it before it can be read."""
    try:
        return path.stat().st_size == 0
    except OSError:
        return False


def _standing(settings: Settings, ledger: Ledger, loaded: Loaded) -> str:
    """The source of the policy, and the assurance level."""
    approver = trusted(settings.home, ledger)
    return (
        f"{loaded.origin}\nassurance {assurance_of(loaded, approver, key_in_environment=settings.key_in_environment)}"
    )


def _limits(loaded: Loaded) -> list[str]:
    """Every limit that is set, capped by the built-in ceilings."""
    lines = [f"typed_amount_above = {loaded.policy.typed_amount_above}"]
    for title, limits in (
        ("real money", loaded.policy.limits("real")),
        ("simulated money", loaded.policy.limits("paper")),
    ):
        differing = changes(Limits(), limits)
        lines += ["", f"{title}: {'no limits' if not differing else ''}".rstrip(": ").rstrip()]
        lines += [f"  {change.name:<20} {_value(change.after):<24} {_meaning(change.name)}" for change in differing]
    return lines


@policy.command("init", short_help="Write a first policy.toml.")
@click.option("--account", "accounts", multiple=True, required=True, help="An account that may trade; repeat for more.")
@click.option(
    "--symbol",
    "symbols",
    multiple=True,
    required=True,
    metavar="SYMBOL=MOST",
    help="A symbol and the most base units of one order of it, e.g. BTC/USDT=0.001; repeat for more.",
)
def init(*, accounts: tuple[str, ...], symbols: tuple[str, ...]) -> None:
    """Write a short policy.toml that lets these accounts trade these symbols; everything else keeps its limit."""
    path = Settings.read(os.environ).home / POLICY_FILE
    if path.exists() and not _is_empty(path):
        raise InvalidInput(f"{path} already exists", suggestion="Edit it, or move it aside first")
    text = first_policy(accounts, symbols)
    parse_policy(text)
    write_private(path, text)
    click.echo(f"Wrote {path}:\n\n{text}\nNone of it is in force yet. Next: heytraders-mcp policy sign")


def first_policy(accounts: tuple[str, ...], symbols: tuple[str, ...]) -> str:
    """The text of a short policy.

    Raises:
        InvalidInput: A symbol comes without the maximum amount of an order.
    """
    most: dict[str, str] = {}
    for each in symbols:
        symbol, equals, amount = each.rpartition("=")
        if not equals:
            raise InvalidInput(
                f"{each!r} does not say the most base units of one order", suggestion=f"Write it as {each}=0.001"
            )
        most[symbol] = amount
    kinds = sorted({"perpetual" if ":" in symbol else "spot" if "/" in symbol else "prediction" for symbol in most})
    table = ", ".join(f"{json.dumps(symbol)} = {json.dumps(amount)}" for symbol, amount in most.items())
    return (
        "# What agents may do with real money, once `heytraders-mcp policy sign` has signed it.\n"
        "# `heytraders-mcp policy show --toml` writes every other limit with its meaning.\n\n"
        f"[live]\ntrading = true\naccounts = {json.dumps(list(accounts))}\nmarket_types = {json.dumps(kinds)}\n"
        f"symbols = {json.dumps(list(most))}\nmax_amount = {{ {table} }}\n"
    )


@policy.command("sign", short_help="Sign policy.toml with your passphrase.")
def sign_() -> None:
    """Sign policy.toml: show in words what changes, what allows more, and ask for the passphrase."""
    with _open() as (settings, ledger):
        home = settings.home
        asked = draft(home)
        if asked is None:
            path = home / POLICY_FILE
            raise InvalidInput(
                f"there is no {path}",
                suggestion="Create it with `heytraders-mcp policy init --account ID --symbol BTC/USDT=0.001`",
            )
        before, version = _signed(home, ledger)
        differing = changes(before or Policy(), asked)
        if before is not None and not differing:
            click.echo(f"{POLICY_FILE} equals the signed version {version}. There is nothing to sign.")
            return
        click.echo(
            "\n".join([*map(_told, differing), *_above_ceilings(asked)]) or "Nothing differs from the built-in limits."
        )
        for symbol in sorted((asked.live.symbols or frozenset()) - (asked.live.max_amount or {}).keys()):
            click.echo(f"WARNING live.max_amount has no number for {symbol}, so every order in it is denied")
        looser = sum(change.loosens for change in differing)
        click.confirm(f"{looser} of {len(differing)} changes allow more. Sign them", abort=True)
        key = signing_key(home, ledger)
        ledger.store_policy(sign(asked, version, key, time.time()))
        click.echo(f"Signed. In force now: {_standing(settings, ledger, load(home, ledger))}")


def _signed(home: Path, ledger: Ledger) -> tuple[Policy | None, int]:
    """The signed policy, if its signature counts, and the version of the last one."""
    signed = ledger.signed_policy()
    if signed is None:
        return None, 0
    if objection(signed, trusted(home, ledger)):
        return None, signed.version
    return parse_policy(signed.toml), signed.version


def _told(change: Change) -> str:
    """One change, worded for a human."""
    way = "ALLOWS MORE" if change.loosens else "tightens"
    return f"{way:<12} {change.name}: {_value(change.before)} -> {_value(change.after)}  ({_meaning(change.name)})"


def _above_ceilings(asked: Policy) -> list[str]:
    return [
        f"{'CEILING':<12} live.{change.name}: {_value(change.before)} is too much; {_value(change.after)} will count"
        for change in changes(asked.live, asked.limits("real"))
        if change.before is not None
    ]


def _meaning(name: str) -> str:
    table, _, inner = name.rpartition(".")
    model = Policy if not table and name in Policy.model_fields else Limits
    return model.model_fields[inner or name].description or ""


def _value(value: object) -> str:
    if value is None:
        return "unlimited"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(str, value))) or "none"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, dict):
        return ", ".join(f"{key} {amount:f}" for key, amount in sorted(value.items())) or "none"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return format(value, "f") if hasattr(value, "normalize") else str(value)


@policy.command("explain")
@click.option("--paper", is_flag=True, help="The limits for simulated money.")
def explain_(*, paper: bool) -> None:
    """Show each rule in words, with the value in force."""
    with _open() as (settings, ledger):
        loaded = load(settings.home, ledger)
    for row in explain(loaded.policy, "paper" if paper else "real"):
        click.echo(f"{row.rule:<20} {row.words}")


@policy.command("passphrase")
def passphrase() -> None:
    """Choose another passphrase. What was signed stays signed."""
    new_passphrase(Settings.read(os.environ).home)
    click.echo("Changed.")


@contextmanager
def _open() -> Generator[tuple[Settings, Ledger]]:
    from safety.ledger import Ledger

    settings = Settings.read(os.environ)
    with closing(Ledger.open(settings.home)) as ledger:
        yield settings, ledger


EQUITY: Final = "10000"


@policy.command("simulate", short_help="Try an order against the policy.")
@click.argument("terms", nargs=-1, metavar="KEY=VALUE...")
@click.option("--draft", "as_if_signed", is_flag=True, help="As if policy.toml were signed.")
@click.option("--paper", is_flag=True, help="Under the limits for simulated money.")
@click.option("--quote", help="Market price, quote currency per unit.  [default: the order's price]")
@click.option("--equity", default=EQUITY, show_default=True, help="USD that the account holds.")
@click.option("--usd-rate", default="1", show_default=True, help="USD per unit of the quote currency.")
def simulate(
    *, terms: tuple[str, ...], as_if_signed: bool, paper: bool, quote: str | None, equity: str, usd_rate: str
) -> None:
    """Show how the policy would judge an order, KEY=VALUE as in orders_place."""
    order = _order(terms)
    price = order.price if quote is None else _number("--quote", quote)
    settings = Settings.read(os.environ)
    money: Money = "paper" if paper else "real"
    from safety.ledger import Ledger

    with closing(Ledger.open(settings.home)) as ledger:
        policy, assurance = _in_force(settings, ledger, as_if_signed=as_if_signed)
        facts = Facts(
            now=time.time(),
            money=money,
            switch=ledger.switch().state,
            assurance=assurance,
            quote=None if price is None else Quote(price, 0.0),
            usd_rate=_number("--usd-rate", usd_rate),
            account=_account(order, price, _number("--equity", equity), _number("--usd-rate", usd_rate)),
            usage=_usage(ledger.usage(money, order), _number("--equity", equity)),
            clock_skew=0.0,
        )
    decision = evaluate(order, policy, facts)
    click.echo("\n".join(_verdict(decision)))
    click.echo(
        f"Assumed: market price {'unknown' if price is None else f'{price:f}'}, {equity} USD on the account, all of it "
        "free, no position, no open order, a healthy service. What the ledger has used of the limits is counted."
    )


def _order(terms: tuple[str, ...]) -> OrderTerms:
    """The order, as strictly as any tool reads it.

    Raises:
        InvalidInput: It is not an order.
    """
    given: dict[str, object] = {}
    for term in terms:
        key, equals, value = term.partition("=")
        if not equals:
            raise InvalidInput(f"{term!r} is not KEY=VALUE", suggestion="For example symbol=BTC/USDT")
        given[key] = value
    try:
        return OrderTerms.of(PlaceRequest.model_validate(given))
    except ValidationError as error:
        raise refuse("policy simulate", PlaceRequest, error, given) from None


def _in_force(settings: Settings, ledger: Ledger, *, as_if_signed: bool) -> tuple[Policy, Assurance]:
    if not as_if_signed:
        loaded, approver = load(settings.home, ledger), trusted(settings.home, ledger)
        return loaded.policy, assurance_of(loaded, approver, key_in_environment=settings.key_in_environment).level
    asked = draft(settings.home)
    if asked is None:
        raise InvalidInput("there is no policy.toml", suggestion="heytraders-mcp policy show --toml writes one")
    return asked, "separate" if asked.separate_user else "passphrase"


def _usage(used: Usage, equity: Decimal) -> Usage:
    """The ledger's usage; an account that it has not seen is assumed to have held this equity all along."""
    return replace(
        used,
        day_start_equity=used.day_start_equity or equity,
        high_water_equity=used.high_water_equity or equity,
    )


def _account(order: OrderTerms, price: Decimal | None, equity: Decimal, usd_rate: Decimal) -> AccountFacts:
    """An account with all its equity in the asset that the order would spend."""
    named = instrument(order.symbol, order.exchange)
    units = equity / usd_rate if usd_rate else Decimal(0)
    free = {named.quote: units, named.base: units / price if price else Decimal(0)}
    return AccountFacts(age=0.0, equity_usd=equity, free=free)


def _verdict(decision: PolicyDecision) -> list[str]:
    worth = "" if decision.notional_usd is None else f", worth {decision.notional_usd:f} USD at worst"
    lines = [f"{_ANSWERS[decision.outcome.name]}{worth}", *map(_finding, decision.against)]
    if decision.suggestion is not None:
        from safety.gate.wording import call

        lines.append(f"This would not be denied: {call('orders_place', decision.suggestion)}")
    return lines


_ANSWERS: Final = {"PASS": "PASS: it is sent at once", "REQUIRE": "REQUIRE: a human has to approve it", "DENY": "DENY"}


def _finding(finding: RuleResult) -> str:
    return f"  {finding.outcome.name:<7} {finding.rule}: {ended(finding.reason)} {finding.what_to_do}".rstrip()


def _number(name: str, text: str) -> Decimal:
    """A number typed by a person.

    Raises:
        InvalidInput: It is not a number, or not positive.
    """
    if not text.isascii() or not text.replace(".", "", 1).isdecimal() or not Decimal(text) > 0 or len(text) > 30:
        raise InvalidInput(f"{name} {text[:40]!r} is not a positive number", suggestion="Write it as 0.5 or 60000")
    return Decimal(text)

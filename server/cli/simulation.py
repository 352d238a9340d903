"""`heytraders-mcp policy simulate`: what the limits would say to an order, without a service and without sending it.

What the ledger has used of the limits is real; what only the service knows is assumed, and each assumption is printed.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import click
from pydantic import ValidationError

from api.errors import InvalidInput, ended
from api.orders import PlaceRequest
from api.refusals import refuse
from safety.gate.wording import call
from safety.human.approver import trusted
from safety.human.assurance import assess
from safety.policy.evaluation import evaluate
from safety.policy.file import draft, load
from safety.policy.valuation import instrument
from safety.terms.channel import Money
from safety.terms.decision import Decision, Finding
from safety.terms.facts import AccountFacts, Assurance, Facts, Quote, Usage
from safety.terms.proposal import Order
from server.settings import Settings

if TYPE_CHECKING:
    from safety.ledger import Ledger
    from safety.policy.policy import Policy

EQUITY: Final = "10000"


@click.command("simulate", short_help="Try an order against the policy.")
@click.argument("terms", nargs=-1, metavar="KEY=VALUE...")
@click.option("--draft", "as_if_signed", is_flag=True, help="As if policy.toml were signed.")
@click.option("--paper", is_flag=True, help="Under the limits for simulated money.")
@click.option("--quote", help="Market price, quote currency per unit.  [default: the order's price]")
@click.option("--equity", default=EQUITY, show_default=True, help="USD that the account holds.")
@click.option("--usd-rate", default="1", show_default=True, help="USD per unit of the quote currency.")
def command(
    *, terms: tuple[str, ...], as_if_signed: bool, paper: bool, quote: str | None, equity: str, usd_rate: str
) -> None:
    """Say what the policy would answer to an order, KEY=VALUE as in orders_place."""
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
    click.echo("\n".join(_told(decision)))
    click.echo(
        f"Assumed: market price {'unknown' if price is None else f'{price:f}'}, {equity} USD on the account, all of it "
        "free, no position, no open order, a healthy service. What the ledger has used of the limits is counted."
    )


def _order(terms: tuple[str, ...]) -> Order:
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
        return Order.of(PlaceRequest.model_validate(given))
    except ValidationError as error:
        raise refuse("policy simulate", PlaceRequest, error, given) from None


def _in_force(settings: Settings, ledger: Ledger, *, as_if_signed: bool) -> tuple[Policy, Assurance]:
    if not as_if_signed:
        loaded, approver = load(settings.home, ledger), trusted(settings.home, ledger)
        return loaded.policy, assess(loaded, approver, key_in_environment=settings.key_in_environment).level
    asked = draft(settings.home)
    if asked is None:
        raise InvalidInput("there is no policy.toml", suggestion="heytraders-mcp policy show --toml writes one")
    return asked, "separate" if asked.separate_user else "passphrase"


def _usage(used: Usage, equity: Decimal) -> Usage:
    """What the ledger knows; an account that it has not seen has always held what it is assumed to hold."""
    return replace(
        used,
        day_start_equity=used.day_start_equity or equity,
        high_water_equity=used.high_water_equity or equity,
    )


def _account(order: Order, price: Decimal | None, equity: Decimal, usd_rate: Decimal) -> AccountFacts:
    """All of the equity in what the order would spend."""
    named = instrument(order.symbol, order.exchange)
    units = equity / usd_rate if usd_rate else Decimal(0)
    free = {named.quote: units, named.base: units / price if price else Decimal(0)}
    return AccountFacts(age=0.0, equity_usd=equity, free=free)


def _told(decision: Decision) -> list[str]:
    worth = "" if decision.notional_usd is None else f", worth {decision.notional_usd:f} USD at worst"
    lines = [f"{_ANSWERS[decision.outcome.name]}{worth}", *map(_finding, decision.against)]
    if decision.suggestion is not None:
        lines.append(f"This would not be denied: {call('orders_place', decision.suggestion)}")
    return lines


_ANSWERS: Final = {"PASS": "PASS: it goes out at once", "REQUIRE": "REQUIRE: a human has to approve it", "DENY": "DENY"}


def _finding(finding: Finding) -> str:
    return f"  {finding.outcome.name:<7} {finding.rule}: {ended(finding.reason)} {finding.way_out}".rstrip()


def _number(name: str, text: str) -> Decimal:
    """A number that a person typed.

    Raises:
        InvalidInput: It is not a number, or not positive.
    """
    if not text.isascii() or not text.replace(".", "", 1).isdecimal() or not Decimal(text) > 0 or len(text) > 30:
        raise InvalidInput(f"{name} {text[:40]!r} is no positive number", suggestion="Write it as 0.5 or 60000")
    return Decimal(text)

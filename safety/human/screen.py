"""Renders what a human sees before approving: at most ten lines, from the proposal alone.

An agent may choose the terms but not how they look. Facts are plain ASCII with all other characters spelt out, so that
no two symbols or accounts look alike. An agent's own words are quoted, on a line that says whose they are.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_UP, Context, Decimal
from typing import Any, Final, cast

from api.errors import InvalidInput
from api.exchanges import EXCHANGES
from safety.exits import cleaned
from safety.policy.case import instrument
from safety.terms.proposal import CONNECTED_SERVICE, Action, DeploymentTerms, OrderTerms, Proposal, PublicationTerms

MAX_LINES: Final = 10
MAX_WORDS: Final = 280
"""Characters of an agent's own words on one line."""

_WIDTH: Final = 15
_DIGITS: Final = 8
_TITLE: Final = 100


def screen(proposal: Proposal) -> list[str]:
    """The facts, one per line, at most nine; the tenth line is for what is left of the limits."""
    lines = [*_headline(proposal), *_terms(proposal), ("expires", _clock(proposal.expires))]
    lines.append(("fingerprint", proposal.digest[:16]))
    return [f"{name:<{_WIDTH}} {text}" for name, text in lines[: MAX_LINES - 1]]


def summary(proposal: Proposal) -> str:
    """The same in one sentence, without times: `buy 0.001 BTC/USDT at 60000 (limit) on binance, account a1`.

    A second one says who holds its exits.
    """
    action = proposal.action
    said = f"{_sentence(action)} ({'simulated' if paper(proposal) else 'real'})"
    if proposal.title:
        said = f"{said} on the question {words(proposal.title, limit=_TITLE)}"
    return (
        f"{said}. Exits: {_holder(action, proposal)}" if isinstance(action, OrderTerms) and _has_exits(action) else said
    )


def question(proposal: Proposal) -> str:
    """The text of the client's dialog. It is the same each time it is asked."""
    return "\n".join(screen(proposal))


def whole_text(proposal: Proposal) -> list[str]:
    """The full text to be published, line by line; empty if nothing is."""
    if not isinstance(proposal.action, PublicationTerms):
        return []
    fields = _body(proposal.action)
    return [
        f"{fact(name)}: {words(line, limit=len(line) + 2)}"
        for name, value in fields.items()
        for line in _text(value).splitlines()
    ]


def paper(proposal: Proposal) -> bool:
    """Whether the money is simulated."""
    return proposal.money == "paper"


def _headline(proposal: Proposal) -> Iterator[tuple[str, str]]:
    if paper(proposal):
        yield "SIMULATED", "no real money and nothing public: the embedded engine"
    elif isinstance(proposal.action, PublicationTerms):
        yield "PUBLIC", f"{proposal.action.action} under your name at {fact(proposal.service)}"
    else:
        own = proposal.service == CONNECTED_SERVICE
        yield "REAL MONEY", "on your own account at the exchange" if own else f"at {fact(proposal.service)}"


def _terms(proposal: Proposal) -> Iterator[tuple[str, str]]:
    action = proposal.action
    if isinstance(action, OrderTerms):
        yield from _order_terms(action, proposal)
    elif isinstance(action, DeploymentTerms):
        yield from _deployment_terms(action)
    else:
        for name, value in list(_body(action).items())[: MAX_LINES - 5]:
            yield fact(name)[:_WIDTH], words(value)


def _order_terms(order: OrderTerms, proposal: Proposal) -> Iterator[tuple[str, str]]:
    yield order.side.upper(), f"{plain(order.amount)} {fact(order.symbol)}{_exits(order)}"
    if proposal.title:
        yield "question", words(proposal.title, limit=_TITLE)
    if _has_exits(order):
        yield "exits", _holder(order, proposal)
    market = "" if proposal.quote is None else f"; the market was at {plain(proposal.quote)}"
    price = (
        "any price (market order)" if order.price is None else f"{plain(order.price)} or better ({order.order_type})"
    )
    yield "price", f"{price}{market}"
    lever = "" if order.leverage is None else f", with leverage {order.leverage}"
    yield "worth", f"{_worth(order, proposal)}{lever}"
    yield "account", f"{fact(order.account_id)} on {order.exchange}, {order.market_type}"
    if order.label:
        yield "the agent says", words(order.label)


def _worth(order: OrderTerms, proposal: Proposal) -> str:
    """The order's value in the account's currency, and in USD at the worse of its price and the market's."""
    price = proposal.quote if order.price is None else order.price
    known = [] if price is None else [f"{plain(_shortened(order.amount * price))} {_currency(order)}"]
    if proposal.notional_usd is not None:
        known.append(f"at worst {plain(proposal.notional_usd)} USD")
    return ", ".join(known) or "not known"


def _currency(order: OrderTerms) -> str:
    try:
        return fact(instrument(order.symbol, order.exchange).quote)
    except InvalidInput:
        return "of the quote currency"


def _shortened(value: Decimal) -> Decimal:
    """An amount of money with eight significant digits, rounded up."""
    return value if len(value.as_tuple().digits) <= _DIGITS else Context(_DIGITS, ROUND_UP).plus(value)


def _exits(order: OrderTerms) -> str:
    """The exits of an order, which are approved with it."""
    if order.reduce_only:
        return ", reduce only: it can only close"
    prices = {"stop at": order.stop_loss, "target at": order.take_profit}
    told = [f"{name} {plain(price)}" for name, price in prices.items() if price is not None]
    return f", then {' or '.join(told)}" if told else ""


def _has_exits(order: OrderTerms) -> bool:
    return order.stop_loss is not None or order.take_profit is not None


def _holder(order: OrderTerms, proposal: Proposal) -> str:
    """Who holds the exits of an order, and when a process has to run for them."""
    if paper(proposal):
        return "rest on the paper account; bars that close while no process runs are applied when one runs again"
    pair = order.stop_loss is not None and order.take_profit is not None
    return EXCHANGES[order.exchange].held_by(pair=pair)


def _deployment_terms(deployment: DeploymentTerms) -> Iterator[tuple[str, str]]:
    if deployment.action == "resume":
        yield (
            "RESUME",
            f"subscription {fact(deployment.subscription_id or '?')}, strategy {fact(deployment.strategy_id)}",
        )
    else:
        yield "DEPLOY", f"strategy {fact(deployment.strategy_id)}"
    yield "which", "places orders by itself, without asking for each, until it is paused"
    yield "account", fact(deployment.account_id or "that of the subscription")
    for said in deployment.refused or ():
        yield "but", words(said)
    if deployment.webhook_url:
        yield (
            "reports to",
            f"{fact(deployment.webhook_url)} ({', '.join(map(fact, deployment.webhook_events or ())) or 'all'})",
        )


def _sentence(action: Action) -> str:
    if isinstance(action, OrderTerms):
        price = "at market" if action.price is None else f"at {plain(action.price)} ({action.order_type})"
        lever = "" if action.leverage is None else f", leverage {action.leverage}"
        where = f"on {action.exchange}, account {fact(action.account_id)}"
        return f"{action.side} {plain(action.amount)} {fact(action.symbol)} {price}{lever}{_exits(action)} {where}"
    if isinstance(action, DeploymentTerms):
        what = f" of subscription {fact(action.subscription_id)}" if action.subscription_id else ""
        account = f" on account {fact(action.account_id)}" if action.account_id else ""
        return f"{action.action} strategy {fact(action.strategy_id)}{what} in mode trade{account}"
    fields = _body(action)
    if action.action == "post":
        return f"publish the post {words(fields.get('title', ''), limit=100)}"
    return f"change the public profile: {', '.join(map(fact, fields))}"


def _body(publication: PublicationTerms) -> dict[str, Any]:
    fields: object = json.loads(publication.body)
    if not isinstance(fields, dict):
        return {"text": publication.body}
    return {name: value for name, value in cast("dict[str, Any]", fields).items() if value is not None}


def _text(value: object) -> str:
    return ", ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)


def plain(value: Decimal) -> str:
    """A number with all its digits and without an exponent."""
    return format(value.normalize(), "f")


def fact(text: str) -> str:
    """A term for display: one line of ASCII, with all other characters spelt out."""
    visible = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return visible.encode("ascii", "backslashreplace").decode("ascii")


def words(value: object, limit: int = MAX_WORDS) -> str:
    """Someone's own words: cleaned, on one line, in quotes, cut to `limit` characters."""
    text = _MARKS.sub(r"\1", unicodedata.normalize("NFC", cleaned(_text(value))))
    line = "".join(character for character in " ".join(text.split()) if character.isprintable())
    cut = line if len(line) <= limit else f"{line[: limit - 1]}…"
    more = "" if len(line) <= limit else f" ({len(line)} characters in all)"
    return json.dumps(cut, ensure_ascii=False) + more


_MARK: Final = "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_MARKS: Final = re.compile(f"({_MARK}{{2}}){_MARK}+")
"""More than two combining marks on one letter would cover the lines above."""


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"

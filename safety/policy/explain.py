"""Explains the policy in words: each rule under the limits in force, and what is left of each limit."""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, cast

from safety.policy.account import counts, loss_allowed, stakes
from safety.policy.case import DAY, EXACT, Case, Missing, plain, worth
from safety.policy.conduct import (
    CHANNEL_DAY,
    CHANNEL_ORDER,
    DECLINED_PAUSE,
    DECLINES_WITHIN,
    MOST_PENDING,
    MOST_PROMPTS,
    carried,
)
from safety.policy.evaluation import RULES, Policy
from safety.policy.limits import Limits
from safety.terms.facts import Facts
from safety.terms.proposal import Money, OrderTerms


@dataclass(frozen=True, slots=True)
class Explained:
    """A rule and its current text."""

    rule: str
    words: str


_CLAUSES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "R01_MODE": (("trading", "orders may be placed"),),
    "R02_ACCOUNT_ALLOW": (("accounts", "only these accounts: {}"),),
    "R03_VENUE_ALLOW": (("market_types", "only these kinds of market: {}"), ("exchanges", "only these exchanges: {}")),
    "R04_SYMBOL_ALLOW": (("symbols", "only these symbols: {}"), ("forbidden_symbols", "never these: {}")),
    "R05_ORDER_TYPE": (("order_types", "only these order types: {}"),),
    "R07_MAX_AMOUNT": (("max_amount", "largest order in base units: {}; a symbol without a number is denied"),),
    "R08_MAX_NOTIONAL": (("max_notional", "one order is worth at most {} USD"),),
    "R10_COLLAR": (
        ("collar", "a price lies within {} of the market"),
        ("collar_major", "within {} for the ten largest assets"),
        ("collar_probability", "within {} on prediction markets"),
        ("quote_age", "a market price is valid for {}"),
    ),
    "R11_LEVERAGE": (("max_leverage", "leverage is stated, and at most {}"),),
    "R12_DAILY_NOTIONAL": (("daily_notional", "all orders of 24 hours, and of a UTC day, are worth at most {} USD"),),
    "R13_DAILY_COUNT": (("daily_count", "at most {} orders over the same spans"),),
    "R14_THROTTLE": (("seconds_between", "{} between two orders"), ("per_minute", "at most {} orders in a minute")),
    "R15_DUPLICATE": (
        ("duplicate_seconds", "an order like one of the last {} needs a human's approval"),
        ("repeat_seconds", "an identical call within {} returns the existing intent"),
    ),
    "R16_OPEN_ORDERS": (
        ("open_orders", "at most {} open orders of the account"),
        ("open_orders_symbol", "at most {} of one symbol"),
    ),
    "R17_POSITION": (
        ("position_usd", "at most {} USD in one symbol"),
        ("position_share", "at most {} of the equity in one symbol"),
        ("exposure_share", "at most {} of the equity in all positions and orders"),
    ),
    "R18_DAILY_LOSS": (
        ("daily_loss_usd", "a loss of {} USD since midnight UTC halts all trading"),
        ("daily_loss_share", "so does a loss of {} of the equity at midnight"),
    ),
    "R19_DRAWDOWN": (("drawdown_share", "{} below the highest equity, only orders that reduce a position pass"),),
    "R21_SELF_TRADE": (("no_self_trade", "no order may trade with a resting order of the same user"),),
    "R22_REARM": (("rearm_after", "after {} orders in a row without a human's approval, the next one needs it"),),
    "R23_FAILURES": (
        ("cooldown_failures", "{} failures in a row pause trading"),
        ("cooldown_seconds", "such a pause lasts {}"),
        ("halt_failures", "{} failures in a row halt trading"),
    ),
    "R24_UNRESOLVED": (
        ("one_unresolved", "while an order's outcome is unknown, no other order is sent on its account and symbol"),
        ("halt_unresolved", "{} unknown outcomes halt all trading"),
    ),
    "R25_FUNDS": (("check_funds", "the free balance covers the order"),),
    "R26_CLOCK": (("clock_skew", "this clock is within {} of the service's"),),
    "R27_UPSTREAM": (("snapshot_age", "the service answers, and the account was read within {}"),),
    "R28_APPROVAL": (
        ("ask_a_human", "every order needs a human's approval"),
        ("automatic_up_to", "except those of at most {} USD"),
    ),
    "R29_CHANNEL_CEILING": (("elicitation_up_to", "the client's own dialog may answer for orders of at most {} USD"),),
    "R30_STANDING": (
        ("ask_for_standing", "a strategy that trades by itself always needs a human's approval"),
        ("max_standing", "at most {} of them"),
        ("standing_seconds", "each is paused after {}"),
    ),
    "R31_WEBHOOK": (
        ("webhook_hosts", "webhooks call only these hosts: {}"),
        ("public_webhooks", "over https, by public names, and never with a secret that a model supplied"),
    ),
    "R32_PUBLISH": (
        ("ask_to_publish", ("posts and profile changes need a human's approval, and hold no account data or keys")),
    ),
}

_ALWAYS: Final = {
    "R06_SANITY": "an order is exactly what the API accepts: plain positive decimals, a symbol of that exchange, "
    "a price where one is due",
    "R09_WORST_CASE": (
        "an order counts at the worst of its price and the market's, with leverage; if any limit is in money, an "
        "order of unknown value is denied"
    ),
    "R20_SWITCH": "while the kill switch is HALTED nothing passes, while REDUCING only what reduces a position",
}

_SHARES: Final = frozenset(
    {"collar", "collar_major", "position_share", "exposure_share", "daily_loss_share", "drawdown_share"}
)
_SPANS: Final = (
    ("day", 86_400),
    ("hour", 3_600),
    ("minute", 60),
)


def explain(policy: Policy, money: Money) -> list[Explained]:
    """Each rule under the limits in force for `money`, ceilings included, in table order."""
    limits = policy.limits(money)
    rows = [Explained(rule.id, _ALWAYS.get(rule.id) or _words(rule.id, limits)) for rule in RULES]
    if money == "real":
        rows = [Explained(row.rule, row.words + _channels()) if row.rule.startswith("R29") else row for row in rows]
    return [
        *rows,
        Explained(
            "R28_FATIGUE",
            f"at most {MOST_PENDING} questions wait for a human and {MOST_PROMPTS} are asked in an hour; two refusals "
            f"within {_span(DECLINES_WITHIN)} mean {_span(DECLINED_PAUSE)} without questions",
        ),
        Explained("R33_CANCEL", "cancelling, pausing and unsubscribing always work"),
    ]


def explained_markdown(policy: Policy, money: Money) -> str:
    """The same as a markdown list."""
    return "\n".join(f"* **{row.rule}**: {row.words}." for row in explain(policy, money))


def _words(rule: str, limits: Limits) -> str:
    if not limits.trading and rule == "R01_MODE":
        return "no orders are placed at all"
    if limits.cooldown_failures is None and limits.halt_failures is None and rule == "R23_FAILURES":
        return "no limit"
    said = [
        text.format(_shown(name, value))
        for name, text in _CLAUSES[rule]
        if (value := getattr(limits, name)) is not None and value is not False and value != _SILENT.get(name)
    ]
    return "; ".join(said) or "no limit"


_SILENT: Final[dict[str, object]] = {
    "forbidden_symbols": frozenset[str](),
    "seconds_between": 0,
    "duplicate_seconds": 0,
    "repeat_seconds": 0,
    "automatic_up_to": Decimal(0),
    "elicitation_up_to": Decimal(0),
}
"""Values that need no text."""


def _shown(name: str, value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(cast("frozenset[str]", value))) or "none"
    if isinstance(value, dict):
        table = cast("dict[str, Decimal]", value)
        return ", ".join(f"{symbol} {plain(amount)}" for symbol, amount in sorted(table.items())) or "none"
    if isinstance(value, Decimal):
        return f"{plain(value * 100)} %" if name in _SHARES else plain(value)
    if name.endswith(("_seconds", "_age", "_between", "_skew")) and isinstance(value, int):
        return _span(value)
    return str(value)


def _span(seconds: int) -> str:
    for unit, length in _SPANS:
        if seconds >= length and seconds % length == 0:
            count = seconds // length
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} s"


def _channels() -> str:
    return "; by assurance level, USD of one order and of a day: " + ", ".join(
        f"{level} {plain(CHANNEL_ORDER[level])} and {plain(CHANNEL_DAY[level])}" for level in CHANNEL_ORDER
    )


@dataclass(frozen=True, slots=True)
class Remaining:
    """One limit and what is left of it, in the same unit.

    Attributes:
        resets_at: Unix seconds when the full limit is available again, if nothing else happens.
    """

    rule: str
    limit: str
    left: str
    unit: str | None = None
    resets_at: float | None = None


def left(policy: Policy, facts: Facts, order: OrderTerms | None = None) -> list[Remaining]:
    """What is left of each limit that is set and has known facts, in rule order.

    Args:
        policy: The user's policy.
        facts: The known facts.
        order: Its symbol selects positions and open orders; without an order they are left out.
    """
    limits = policy.limits(facts.money)
    with decimal.localcontext(EXACT):
        case = None if order is None else Case(order, limits, facts, worth(order, facts))
        return [
            *_of_orders(limits),
            *_of_days(limits, facts),
            *_of_symbols(case),
            *_of_account(limits, facts),
            *_of_humans(limits, facts),
        ]


def _usd(rule: str, limit: Decimal, used: Decimal, resets_at: float | None = None, *, unit: str = "USD") -> Remaining:
    return Remaining(rule, plain(limit), plain(max(limit - used, Decimal(0))), unit, resets_at if used else None)


def _count(rule: str, limit: int, used: int, unit: str, resets_at: float | None = None) -> Remaining:
    return Remaining(rule, str(limit), str(max(limit - used, 0)), unit, resets_at if used else None)


def _of_orders(limits: Limits) -> Iterator[Remaining]:
    for symbol, amount in sorted((limits.max_amount or {}).items()):
        yield Remaining("R07_MAX_AMOUNT", plain(amount), plain(amount), f"base units of one {symbol} order")
    if limits.max_notional is not None:
        yield Remaining("R08_MAX_NOTIONAL", plain(limits.max_notional), plain(limits.max_notional), "USD of one order")


def _of_days(limits: Limits, facts: Facts) -> Iterator[Remaining]:
    usage = facts.usage
    if limits.daily_notional is not None:
        used = max(usage.notional_24h, usage.notional_day)
        yield _usd("R12_DAILY_NOTIONAL", limits.daily_notional, used, facts.now + DAY)
    if limits.daily_count is not None:
        used = max(usage.count_24h, usage.count_day)
        yield _count("R13_DAILY_COUNT", limits.daily_count, used, "orders", facts.now + DAY)
    if limits.per_minute is not None:
        used = sum(age < 60 for age in usage.order_ages)
        yield _count("R14_THROTTLE", limits.per_minute, used, "orders in a minute", facts.now + 60)


def _of_symbols(case: Case | None) -> Iterator[Remaining]:
    if case is None or case.facts.account is None:
        return
    for where, allowed, count in counts(case):
        yield _count("R16_OPEN_ORDERS", allowed, count, f"open orders of {where}")
    with suppress(Missing):
        for stake in stakes(case):
            of = f"USD in {stake.symbol}" if stake.symbol else "USD in all positions and orders"
            yield _usd("R17_POSITION", stake.allowed, stake.used, unit=of)


def _of_account(limits: Limits, facts: Facts) -> Iterator[Remaining]:
    start, now = facts.usage.day_start_equity, None if facts.account is None else facts.account.equity_usd
    if start is None or now is None:
        return
    allowed = loss_allowed(limits, start)
    if allowed is not None:
        yield _usd("R18_DAILY_LOSS", allowed, max(start - now, Decimal(0)))


def _of_humans(limits: Limits, facts: Facts) -> Iterator[Remaining]:
    usage = facts.usage
    if limits.ask_a_human and limits.rearm_after is not None and limits.automatic_up_to > 0:
        yield _count("R22_REARM", limits.rearm_after, usage.automatic_in_a_row, "orders without a human")
    if facts.money == "real":
        used = max(usage.notional_24h, usage.notional_day)
        of_order, of_day = carried(facts)
        yield Remaining("R29_CHANNEL_CEILING", plain(of_order), plain(of_order), "USD of one order")
        yield _usd("R29_CHANNEL_CEILING", of_day, used, facts.now + DAY)
    if limits.max_standing is not None:
        yield _count("R30_STANDING", limits.max_standing, usage.standing_active, "strategies in mode trade")

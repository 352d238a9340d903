"""What is left of each limit, for an agent that asks beforehand."""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

from safety.terms.facts import Facts
from safety.terms.proposal import Order

from .limits import Limits
from .policy import Policy
from .rules.case import DAY, Case, Missing
from .rules.exposure import counts, loss_allowed, stakes
from .rules.human import carried
from .valuation import EXACT, plain, worth


@dataclass(frozen=True, slots=True)
class Remaining:
    """One limit and what is left of it, in the same unit.

    Attributes:
        resets_at: Unix seconds by which all of it is there again, if nothing else happens.
    """

    rule: str
    limit: str
    left: str
    unit: str | None = None
    resets_at: float | None = None


def left(policy: Policy, facts: Facts, order: Order | None = None) -> list[Remaining]:
    """What is left of each limit that is set and whose facts are known, in the order of the rules.

    Args:
        policy: What the user allows.
        facts: What is known.
        order: Whose symbol positions and open orders are told of; without one they are not.
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

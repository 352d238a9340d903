"""What is left of each limit, for an agent that asks beforehand."""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from .facts import Facts
from .limits import Limits
from .policy import Policy
from .rules.case import DAY
from .rules.human import CHANNEL_DAY, CHANNEL_ORDER
from .valuation import EXACT, plain


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


def left(policy: Policy, facts: Facts) -> list[Remaining]:
    """What is left of each limit that is set and whose facts are known, in the order of the rules."""
    limits = policy.limits(facts.backend)
    with decimal.localcontext(EXACT):
        return [*_of_orders(limits), *_of_days(limits, facts), *_of_account(limits, facts), *_of_humans(limits, facts)]


def _usd(rule: str, limit: Decimal, used: Decimal, resets_at: float | None = None) -> Remaining:
    return Remaining(rule, plain(limit), plain(max(limit - used, Decimal(0))), "USD", resets_at if used else None)


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


def _of_account(limits: Limits, facts: Facts) -> Iterator[Remaining]:
    account, usage = facts.account, facts.usage
    if account is None:
        return
    if limits.open_orders is not None:
        yield _count("R16_OPEN_ORDERS", limits.open_orders, len(account.open_orders), "open orders")
    if account.equity_usd is None:
        return
    if limits.exposure_share is not None:
        held = sum(map(abs, account.position_usd.values()), Decimal(0)) + usage.reserved_usd
        yield _usd("R17_POSITION", limits.exposure_share * account.equity_usd, held)
    if usage.day_start_equity is not None and limits.daily_loss_usd is not None:
        lost = max(usage.day_start_equity - account.equity_usd, Decimal(0))
        yield _usd("R18_DAILY_LOSS", limits.daily_loss_usd, lost)


def _of_humans(limits: Limits, facts: Facts) -> Iterator[Remaining]:
    usage = facts.usage
    if limits.ask_a_human and limits.rearm_after is not None and limits.automatic_up_to > 0:
        yield _count("R22_REARM", limits.rearm_after, usage.automatic_in_a_row, "orders without a human")
    if facts.backend != "embedded":
        used = max(usage.notional_24h, usage.notional_day)
        most = plain(CHANNEL_ORDER[facts.assurance])
        yield Remaining("R29_CHANNEL_CEILING", most, most, "USD of one order")
        yield _usd("R29_CHANNEL_CEILING", CHANNEL_DAY[facts.assurance], used, facts.now + DAY)
    if limits.max_standing is not None:
        yield _count("R30_STANDING", limits.max_standing, usage.standing_active, "strategies in mode trade")

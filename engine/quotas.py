"""Rate limits and quotas of agents, and the two places where usage is counted.

Requests are counted in memory, since their window is a minute. Backtests and registrations are counted in the
database, so that neither a restart nor a second process resets them.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa

from api.errors import RateLimited

from .clock import Clock
from .store.accounts import usage_table

Kind = Literal["backtests", "registrations"]
Tier = Literal["provisional", "local"]

MINUTE: Final = 60.0
HOUR: Final = 3_600.0
DAY: Final = 86_400.0
_CROWDED: Final = 4_096


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one API key."""

    requests_per_minute: int
    backtests_per_hour: int
    backtests_per_day: int


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """The service's published limits for agents that registered themselves, and a laptop's for its own user."""

    provisional: Limits = Limits(requests_per_minute=300, backtests_per_hour=10, backtests_per_day=30)
    local: Limits = Limits(requests_per_minute=60_000, backtests_per_hour=2_000, backtests_per_day=20_000)
    registrations_per_hour: int = 5
    anonymous_requests_per_minute: int = 300
    provisional_key_seconds: float = DAY

    def limits(self, tier: Tier) -> Limits:
        """The limits of a tier."""
        return self.local if tier == "local" else self.provisional


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` of a kind in any `seconds`."""

    kind: Kind
    limit: int
    seconds: float

    @property
    def period(self) -> str:
        """`hour` or `day`."""
        return "day" if self.seconds == DAY else "hour"


class RequestRate:
    """Counts requests over a sliding minute, per key or address."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, deque[float]] = {}

    def count(self, subject: str, limit: int) -> None:
        """Count one request by `subject`.

        Raises:
            RateLimited: `limit` requests were made within the last minute.
        """
        now = self._clock.now()
        if len(self._seen) > _CROWDED:
            self._forget_idle(now)
        seen = self._seen.setdefault(subject, deque())
        while seen and seen[0] <= now - MINUTE:
            seen.popleft()
        if len(seen) >= limit:
            raise _exhausted("requests", limit, "minute", seen[0] + MINUTE - now)
        seen.append(now)

    def used(self, subject: str) -> int:
        """Requests by `subject` within the last minute."""
        after = self._clock.now() - MINUTE
        return sum(at > after for at in self._seen.get(subject, ()))

    def _forget_idle(self, now: float) -> None:
        self._seen = {who: seen for who, seen in self._seen.items() if seen and seen[-1] > now - MINUTE}


def used(connection: sa.Connection, subject: str, window: Window, now: float) -> int:
    """How much of the window's limit `subject` has used."""
    return connection.execute(
        sa.select(sa.func.count()).select_from(usage_table).where(*_within(subject, window, now))
    ).scalar_one()


def spend(connection: sa.Connection, subject: str, windows: tuple[Window, ...], now: float) -> None:
    """Use one of `subject`'s allowance, in the caller's write transaction.

    Raises:
        RateLimited: One of the windows is full; nothing was counted.
    """
    for window in windows:
        if used(connection, subject, window, now) >= window.limit:
            oldest = sa.select(usage_table.c.at).where(*_within(subject, window, now)).order_by(usage_table.c.at.desc())
            blocking = connection.execute(oldest.offset(max(window.limit - 1, 0)).limit(1)).scalar()
            wait = window.seconds if blocking is None else blocking + window.seconds - now
            raise _exhausted(window.kind, window.limit, window.period, wait)
    kind = windows[0].kind
    connection.execute(
        sa.delete(usage_table).where(usage_table.c.kind == kind, usage_table.c.at <= now - windows[-1].seconds)
    )
    connection.execute(sa.insert(usage_table).values(subject=subject, kind=kind, at=now))


def _within(subject: str, window: Window, now: float) -> tuple[sa.ColumnElement[bool], ...]:
    row = usage_table.c
    return (row.subject == subject, row.kind == window.kind, row.at > now - window.seconds)


def _exhausted(kind: str, limit: int, period: str, wait: float) -> RateLimited:
    seconds = max(1, math.ceil(wait))
    return RateLimited(
        f"the limit of {limit} {kind} per {period} is used up",
        suggestion=f"Try again in {seconds} s",
        retry_after=float(seconds),
    )

"""Callers and their permissions: API keys, scopes, rate limits and quotas.

Requests are counted in memory, since their window is a minute. Backtests and registrations are counted in the
database, so that neither a restart nor a second process resets them.
"""

from __future__ import annotations

import hashlib
import math
import os
import secrets
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, cast

import anyio.to_thread
import sqlalchemy as sa

from api.endpoint import Scope
from api.errors import NotAuthorised, RateLimited
from api.times import Clock
from engine.store.accounts import agents_table, keys_table, usage_table
from engine.store.database import Store, Version, new_id

QuotaKind = Literal["backtests", "registrations"]
Tier = Literal["provisional", "local"]

MINUTE: Final = 60.0
HOUR: Final = 3_600.0
DAY: Final = 86_400.0
_CROWDED: Final = 4_096


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """The limits of one API key."""

    requests_per_minute: int
    backtests_per_hour: int
    backtests_per_day: int


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """The service's published limits for agents that registered themselves, and a laptop's for its own user."""

    provisional: KeyLimits = KeyLimits(requests_per_minute=300, backtests_per_hour=10, backtests_per_day=30)
    local: KeyLimits = KeyLimits(requests_per_minute=60_000, backtests_per_hour=2_000, backtests_per_day=20_000)
    registrations_per_hour: int = 5
    anonymous_requests_per_minute: int = 300
    provisional_key_seconds: float = DAY

    def limits(self, tier: Tier) -> KeyLimits:
        """The limits of a tier."""
        return self.local if tier == "local" else self.provisional


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` of a kind in any `seconds`."""

    kind: QuotaKind
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


ALL_SCOPES: Final[tuple[Scope, ...]] = ("research", "read", "trade")
PROVISIONAL_SCOPES: Final[tuple[Scope, ...]] = ("research",)
LOCAL_AGENT: Final = "agent_local"
KEY_FILE: Final = "local.key"
_REGISTER: Final = "POST /meta/register gives a provisional key for market data and backtests"


@dataclass(frozen=True, slots=True)
class ApiCaller:
    """The sender of a request. Without a key, only the network address is known."""

    address: str
    agent_id: str | None = None
    key_id: str | None = None
    display_name: str | None = None
    tier: Tier = "provisional"
    scopes: frozenset[Scope] = frozenset()

    @property
    def identified(self) -> str:
        """The agent's id, for handlers of endpoints that need a key."""
        if self.agent_id is None:
            raise NotAuthorised("no API key was sent", suggestion=f"Send it as X-API-Key; {_REGISTER}")
        return self.agent_id


@dataclass(frozen=True, slots=True)
class Registration:
    """A new agent and its only copy of the key. `expires_at` in unix seconds."""

    agent_id: str
    key_id: str
    api_key: str
    scopes: tuple[Scope, ...]
    expires_at: float

    def caller(self, address: str) -> ApiCaller:
        """The new agent as a caller."""
        return ApiCaller(address, self.agent_id, self.key_id, scopes=frozenset(self.scopes))


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """The details that an agent gives when it registers."""

    display_name: str
    description: str | None = None
    strategy_type: str | None = None
    risk_profile: str | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """Usage of one quota in its period (minute, hour or day)."""

    name: str
    used: int
    limit: int
    period: str


@dataclass(frozen=True, slots=True)
class _Key:
    caller: ApiCaller
    expires_at: float | None


class Access:
    """Admits callers, registers agents and counts their usage."""

    def __init__(self, store: Store, clock: Clock, home: Path, settings: QuotaSettings) -> None:
        self._store = store
        self._clock = clock
        self._home = home
        self._settings = settings
        self._requests = RequestRate(clock)
        self._kept: tuple[Version, dict[str, _Key]] | None = None

    async def admit(self, key: str | None, scope: Scope | None, address: str) -> ApiCaller:
        """Identify the caller, count the request and check that the key covers `scope`.

        If no key is required, a caller with a missing or wrong key is anonymous.

        Raises:
            NotAuthorised: The key is missing, wrong, expired or lacks the scope; the error code says which.
            RateLimited: Too many requests in the last minute.
        """
        found = await self._find(key, address) if key else None
        expired = found is not None and found.expires_at is not None and found.expires_at <= self._clock.now()
        if found is None or expired:
            self._requests.count(address, self._settings.anonymous_requests_per_minute)
            if scope is None:
                return ApiCaller(address)
            raise _expired() if expired else _unknown_key(key)
        caller = found.caller
        self._requests.count(caller.key_id or address, self._limits(caller).requests_per_minute)
        if scope is not None:
            require(caller, scope)
        return caller

    async def register(self, profile: AgentProfile, address: str) -> Registration:
        """Make a provisional agent with a key for research.

        Raises:
            RateLimited: Too many agents were registered from this address in the last hour.
        """
        now = self._clock.now()
        api_key = f"ht_prov_{secrets.token_urlsafe(32)}"
        made = Registration(
            agent_id=new_id("agent"),
            key_id=new_id("key"),
            api_key=api_key,
            scopes=PROVISIONAL_SCOPES,
            expires_at=now + self._settings.provisional_key_seconds,
        )
        window = Window("registrations", self._settings.registrations_per_hour, HOUR)

        def work(connection: sa.Connection) -> None:
            spend(connection, f"address:{address}", (window,), now)
            connection.execute(
                sa.insert(agents_table).values(
                    id=made.agent_id,
                    display_name=profile.display_name,
                    description=profile.description,
                    strategy_type=profile.strategy_type,
                    risk_profile=profile.risk_profile,
                    created_at=now,
                )
            )
            _insert_key(connection, made, "provisional", now)

        await self._store.write(work)
        return made

    def spend_backtest(self, connection: sa.Connection, caller: ApiCaller) -> None:
        """Count one backtest, in the write transaction that stores the job.

        Raises:
            RateLimited: The hour's or the day's backtests are used up.
        """
        spend(connection, caller.identified, self._backtest_windows(caller.tier), self._clock.now())

    async def allowances(self, caller: ApiCaller) -> tuple[Allowance, ...]:
        """The caller's usage of each quota."""
        now = self._clock.now()
        windows = self._backtest_windows(caller.tier)

        def work(connection: sa.Connection) -> list[int]:
            return [used(connection, caller.identified, window, now) for window in windows]

        counts = await self._store.read(work)
        requests = self._requests.used(caller.key_id or caller.address)
        names = ("backtests", "backtests_daily")
        return (
            Allowance("api_calls", requests, self._limits(caller).requests_per_minute, "minute"),
            *(Allowance(name, n, w.limit, w.period) for name, w, n in zip(names, windows, counts, strict=True)),
        )

    async def local_key(self) -> str:
        """The key of this machine's user, with every scope. Kept in the home folder, readable by its owner only."""
        known = await anyio.to_thread.run_sync(self._known_local_key)
        return known or await self._store.write(self._make_local_key)

    def _known_local_key(self) -> str | None:
        """The key in the file, if the database knows it."""
        key = _read_key(self._home / KEY_FILE)
        wanted = sa.select(keys_table.c.id).where(keys_table.c.digest == _digest(key or ""))
        return key if key and self._store.read_now(lambda c: c.execute(wanted).first()) else None

    def _make_local_key(self, connection: sa.Connection) -> str:
        """Runs under the database's write lock, so that two processes starting at once agree on one key."""
        path = self._home / KEY_FILE
        key = _read_key(path) or _write_key(path, f"ht_local_{secrets.token_urlsafe(32)}")
        digest_is_known = sa.select(keys_table.c.id).where(keys_table.c.digest == _digest(key))
        if connection.execute(digest_is_known).first():
            return key
        now = self._clock.now()
        if not connection.execute(sa.select(agents_table.c.id).where(agents_table.c.id == LOCAL_AGENT)).first():
            connection.execute(
                sa.insert(agents_table).values(id=LOCAL_AGENT, display_name="Local agent", created_at=now)
            )
        made = Registration(LOCAL_AGENT, new_id("key"), key, ALL_SCOPES, expires_at=float("inf"))
        _insert_key(connection, made, "local", now)
        return key

    async def _find(self, key: str, address: str) -> _Key | None:
        found = await anyio.to_thread.run_sync(self._known, _digest(key))
        return None if found is None else replace(found, caller=replace(found.caller, address=address))

    def _known(self, digest: str) -> _Key | None:
        """A stored key, from the copy in memory while no process has changed keys or agents."""
        version = self._store.version(keys_table.name, agents_table.name)
        kept = self._kept
        if kept is None or version.others is None or version != kept[0]:
            kept = self._kept = (version, {})
        found = kept[1]
        if digest not in found:
            columns = (keys_table, agents_table.c.display_name)
            query = sa.select(*columns).join(agents_table).where(keys_table.c.digest == digest)
            row = self._store.read_now(lambda connection: connection.execute(query).one_or_none())
            if row is None:
                return None
            scopes = frozenset(cast("list[Scope]", row.scopes.split(",")))
            caller = ApiCaller("", row.agent_id, row.id, row.display_name, row.tier, scopes)
            found[digest] = _Key(caller, row.expires_at)
        return found[digest]

    def _limits(self, caller: ApiCaller) -> KeyLimits:
        return self._settings.limits(caller.tier)

    def _backtest_windows(self, tier: Tier) -> tuple[Window, ...]:
        limits = self._settings.limits(tier)
        return (
            Window("backtests", limits.backtests_per_hour, HOUR),
            Window("backtests", limits.backtests_per_day, DAY),
        )


def require(caller: ApiCaller, scope: Scope) -> None:
    """Refuse a caller whose key does not cover `scope`.

    Raises:
        NotAuthorised: `INSUFFICIENT_PERMISSIONS`.
    """
    if scope not in caller.scopes:
        raise _out_of_scope(scope, caller)


def _digest(key: str) -> str:
    """A plain hash is enough: keys are 256 random bits and cannot be guessed."""
    return hashlib.sha256(key.encode()).hexdigest()


def _insert_key(connection: sa.Connection, made: Registration, tier: Tier, now: float) -> None:
    connection.execute(
        sa.insert(keys_table).values(
            id=made.key_id,
            agent_id=made.agent_id,
            digest=_digest(made.api_key),
            tier=tier,
            scopes=",".join(made.scopes),
            created_at=now,
            expires_at=None if tier == "local" else made.expires_at,
        )
    )


def _read_key(path: Path) -> str | None:
    try:
        key = path.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return key if key.startswith("ht_local_") else None


def _write_key(path: Path, key: str) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
        file.write(f"{key}\n")
    fresh.replace(path)
    return key


def _unknown_key(key: str | None) -> NotAuthorised:
    what = "the API key is not known" if key else "no API key was sent"
    return NotAuthorised(what, suggestion=f"Send a valid key in the header X-API-Key; {_REGISTER}")


def _expired() -> NotAuthorised:
    return NotAuthorised("the API key has expired", suggestion=f"Register again: {_REGISTER}", code="EXPIRED_API_KEY")


def _out_of_scope(scope: Scope, caller: ApiCaller) -> NotAuthorised:
    held = ", ".join(s for s in ALL_SCOPES if s in caller.scopes) or "no scope"
    return NotAuthorised(
        f"this needs the scope {scope}, and the API key has {held}",
        suggestion=f"Ask the user for a key with the scope {scope}",
        code="INSUFFICIENT_PERMISSIONS",
    )

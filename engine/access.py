"""Callers and their permissions: API keys, scopes and quotas."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import anyio.to_thread
import sqlalchemy as sa

from api.endpoint import Scope
from api.errors import NotAuthorised

from .clock import Clock
from .quotas import DAY, HOUR, Limits, QuotaSettings, RequestRate, Tier, Window, spend, used
from .store import new_id
from .store.accounts import agents_table, keys_table
from .store.database import Store

ALL_SCOPES: Final[tuple[Scope, ...]] = ("research", "read", "trade")
PROVISIONAL_SCOPES: Final[tuple[Scope, ...]] = ("research",)
LOCAL_AGENT: Final = "agent_local"
KEY_FILE: Final = "local.key"
_REGISTER: Final = "POST /meta/register gives a provisional key for market data and backtests"


@dataclass(frozen=True, slots=True)
class Caller:
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

    def caller(self, address: str) -> Caller:
        """The new agent as a caller."""
        return Caller(address, self.agent_id, self.key_id, scopes=frozenset(self.scopes))


@dataclass(frozen=True, slots=True)
class Profile:
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
    caller: Caller
    expires_at: float | None


class Access:
    """Admits callers, registers agents and counts their usage."""

    def __init__(self, store: Store, clock: Clock, home: Path, settings: QuotaSettings) -> None:
        self._store = store
        self._clock = clock
        self._home = home
        self._settings = settings
        self._requests = RequestRate(clock)

    async def admit(self, key: str | None, scope: Scope | None, address: str) -> Caller:
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
                return Caller(address)
            raise _expired() if expired else _unknown_key(key)
        caller = found.caller
        self._requests.count(caller.key_id or address, self._limits(caller).requests_per_minute)
        if scope is not None:
            require(caller, scope)
        return caller

    async def register(self, profile: Profile, address: str) -> Registration:
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

    def spend_backtest(self, connection: sa.Connection, caller: Caller) -> None:
        """Count one backtest, in the write transaction that stores the job.

        Raises:
            RateLimited: The hour's or the day's backtests are used up.
        """
        spend(connection, caller.identified, self._backtest_windows(caller.tier), self._clock.now())

    async def allowances(self, caller: Caller) -> tuple[Allowance, ...]:
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
        columns = (keys_table, agents_table.c.display_name)
        query = sa.select(*columns).join(agents_table).where(keys_table.c.digest == _digest(key))
        row = await self._store.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            return None
        scopes = frozenset(cast("list[Scope]", row.scopes.split(",")))
        return _Key(Caller(address, row.agent_id, row.id, row.display_name, row.tier, scopes), row.expires_at)

    def _limits(self, caller: Caller) -> Limits:
        return self._settings.limits(caller.tier)

    def _backtest_windows(self, tier: Tier) -> tuple[Window, ...]:
        limits = self._settings.limits(tier)
        return (
            Window("backtests", limits.backtests_per_hour, HOUR),
            Window("backtests", limits.backtests_per_day, DAY),
        )


def require(caller: Caller, scope: Scope) -> None:
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
    what = "the API key is not known here" if key else "no API key was sent"
    return NotAuthorised(what, suggestion=f"Send a valid key in the header X-API-Key; {_REGISTER}")


def _expired() -> NotAuthorised:
    return NotAuthorised("the API key has expired", suggestion=f"Register again: {_REGISTER}", code="EXPIRED_API_KEY")


def _out_of_scope(scope: Scope, caller: Caller) -> NotAuthorised:
    held = ", ".join(s for s in ALL_SCOPES if s in caller.scopes) or "no scope"
    return NotAuthorised(
        f"this needs the scope {scope}, and the API key has {held}",
        suggestion=f"Ask the user for a key with the scope {scope}",
        code="INSUFFICIENT_PERMISSIONS",
    )

"""All settings from outside, read once at the edge into a frozen object that is passed down.

Nothing below the command line reads the environment. Every default is the safe choice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from platformdirs import user_state_path
from pydantic import SecretStr

from api.exchanges import DataChoice, ExchangeId
from server.keys import BadSetting
from tools.surface import TOOLSETS, Toolset

from .keys import signed_in

VARIABLES: Final = (
    "HEYTRADERS_API_KEY",
    "HEYTRADERS_BASE_URL",
    "HEYTRADERS_HOME",
    "HEYTRADERS_DATABASE_URL",
    "HEYTRADERS_TOOLSETS",
    "HEYTRADERS_READ_ONLY",
    "HEYTRADERS_AUTH_HEADER",
    "HEYTRADERS_AMOUNTS",
    "HEYTRADERS_SEED",
    "HEYTRADERS_DATA",
    "HEYTRADERS_VENUE_URLS",
    "HEYTRADERS_BACKTEST_SLOTS",
    "HEYTRADERS_BACKTEST_SECONDS",
    "HEYTRADERS_BACKTEST_MEMORY_MB",
    "HEYTRADERS_EXECUTOR",
    "HEYTRADERS_CLUSTER_CA",
    "HEYTRADERS_CLUSTER_CERT",
    "HEYTRADERS_CLUSTER_KEY",
    "HEYTRADERS_WEBHOOK_SECRET",
    "HEYTRADERS_WEBHOOK_LOOPBACK",
    "HEYTRADERS_LOG_LEVEL",
)
"""All known variables."""

_LOOKS_LIKE_ONE: Final = re.compile("hey[-_]?traders?[-_]", re.IGNORECASE)

HOSTED_URL: Final = "https://hey-traders.com/api/v1"

AuthHeader = Literal["x-api-key", "bearer"]
Amounts = Literal["number", "string"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

_Choice = TypeVar("_Choice", bound=str)
_UNEXPANDED: Final = re.compile(r"\$\{|\$[A-Za-z_(]|%[A-Za-z_]+%")
_YES: Final = ("1", "true", "yes", "on")
_NO: Final = ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a server process.

    Attributes:
        home: Folder of the database, keys and logs; nothing outside it is written.
        api_key: Key for the hosted service from the environment, never shown; a stored key takes precedence.
        base_url: The hosted service. `None` without a key means the embedded engine.
        signed_in: `heytraders-mcp login` has stored a key for `url`.
        database_url: SQLAlchemy URL of the embedded engine's database, SQLite under `home` by default.
        toolsets: Which groups of tools are exposed.
        read_only: Expose only tools that change nothing; overrides `toolsets`.
        auth_header: Header that carries the key to the hosted service.
        amounts: Format of amounts to the hosted service: JSON numbers (API 1.0.4) or strings (later versions).
        seed: Seed of the simulated market.
        data: Source of the embedded engine's market data: `simulated`, or `exchange` for the exchanges' own.
        venue_urls: For development: servers on this machine that replace exchanges, by exchange.
        backtest_slots: Maximum concurrent backtests; `None` uses the number of cores.
        backtest_seconds: Maximum run time of a backtest in seconds.
        backtest_memory_mb: Maximum memory of a backtest's process.
        executor: Executor of sweeps: empty for this machine's cores, or `dask://host:port`. A remote cluster needs the
            three HEYTRADERS_CLUSTER_ files, which the cluster's client reads.
        webhook_secret: Signs deliveries of the hosted service, never shown; no tool can give another.
        webhooks_to_loopback: For development: webhooks of the embedded engine may reach this machine, also without TLS.
        time_speed: Speed of the embedded engine's clock relative to real time. Above 1, its time runs ahead of now,
            which is only safe in the demo's temporary home, so no variable sets it.
        stays: Whether this process continues after clients disconnect: `run`, and `serve` over HTTP. No variable sets
            it.
        log_level: Level of the log on stderr.
        misspelt: Variables that look like settings but are unknown.
    """

    home: Path
    api_key: SecretStr | None = None
    base_url: str | None = None
    signed_in: bool = False
    database_url: str | None = None
    toolsets: tuple[Toolset, ...] = TOOLSETS
    read_only: bool = False
    auth_header: AuthHeader = "x-api-key"
    amounts: Amounts = "number"
    seed: int = 7
    data: DataChoice = "simulated"
    venue_urls: Mapping[ExchangeId, str] = field(default_factory=dict["ExchangeId", str])
    backtest_slots: int | None = None
    backtest_seconds: int = 600
    backtest_memory_mb: int = 4_096
    executor: str = ""
    webhook_secret: SecretStr | None = None
    webhooks_to_loopback: bool = False
    time_speed: float = 1.0
    stays: bool = False
    log_level: LogLevel = "WARNING"
    misspelt: tuple[str, ...] = ()

    @property
    def doubts(self) -> list[str]:
        """One sentence for each unknown variable. Its value is never shown."""
        if not self.misspelt:
            return []
        from api.errors import clean, closest

        near = {name: closest(name.upper(), VARIABLES, count=1) for name in self.misspelt}
        return [
            f"{clean(name, 60)} is not a setting and has no effect" + (f"; did you mean {meant[0]}?" if meant else "")
            for name, meant in near.items()
        ]

    @property
    def key_in_environment(self) -> bool:
        """Whether a key is in the environment, where an agent that reads the client's settings can find it."""
        return self.api_key is not None

    @property
    def hosted(self) -> bool:
        """Whether calls go to the hosted service: a key was given or stored, or a base URL given."""
        return self.api_key is not None or self.base_url is not None or self.signed_in

    @property
    def url(self) -> str:
        """Base URL of the hosted service."""
        return self.base_url or HOSTED_URL

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Read the `HEYTRADERS_*` variables. An empty variable counts as absent.

        Raises:
            BadSetting: A value cannot be used; the message names the variable, the value and what is accepted.
        """
        given = {name: value.strip() for name, value in environment.items() if value.strip()}
        home = home_of(environment)
        base_url = _base_url(given.get("HEYTRADERS_BASE_URL"))
        key = given.get("HEYTRADERS_API_KEY")
        return cls(
            home=home,
            api_key=read_key(key, "HEYTRADERS_API_KEY") if key else None,
            base_url=base_url,
            signed_in=signed_in(home, base_url or HOSTED_URL),
            database_url=given.get("HEYTRADERS_DATABASE_URL"),
            toolsets=parse_toolsets(given.get("HEYTRADERS_TOOLSETS"), "HEYTRADERS_TOOLSETS"),
            read_only=_flag(given, "HEYTRADERS_READ_ONLY"),
            auth_header=_choice(given, "HEYTRADERS_AUTH_HEADER", "x-api-key", get_args(AuthHeader)),
            amounts=_choice(given, "HEYTRADERS_AMOUNTS", "number", get_args(Amounts)),
            seed=7 if (seed := _whole(given, "HEYTRADERS_SEED", 0, 999_999_999)) is None else seed,
            data=_choice(given, "HEYTRADERS_DATA", "simulated", get_args(DataChoice)),
            venue_urls=_venue_urls(given.get("HEYTRADERS_VENUE_URLS")),
            backtest_slots=_whole(given, "HEYTRADERS_BACKTEST_SLOTS", 1, 64),
            backtest_seconds=_whole(given, "HEYTRADERS_BACKTEST_SECONDS", 1, 86_400) or 600,
            backtest_memory_mb=_whole(given, "HEYTRADERS_BACKTEST_MEMORY_MB", 512, 1_048_576) or 4_096,
            executor=given.get("HEYTRADERS_EXECUTOR", ""),
            webhook_secret=_secret(given.get("HEYTRADERS_WEBHOOK_SECRET")),
            webhooks_to_loopback=_flag(given, "HEYTRADERS_WEBHOOK_LOOPBACK"),
            log_level=_choice(given, "HEYTRADERS_LOG_LEVEL", "WARNING", get_args(LogLevel)),
            misspelt=tuple(sorted(n for n in given if _LOOKS_LIKE_ONE.match(n) and n not in VARIABLES)),
        )


def home_of(environment: Mapping[str, str]) -> Path:
    """The home folder, even if other settings are invalid.

    Raises:
        BadSetting: The path is relative or holds an unexpanded variable, so different programs would use different
            homes.
    """
    named = environment.get("HEYTRADERS_HOME", "").strip()
    if not named:
        return user_state_path("heytraders-mcp")
    if _UNEXPANDED.search(named):
        raise BadSetting(
            f"HEYTRADERS_HOME={named[:200]!r} contains a variable that was not replaced",
            suggestion="Write the folder out, such as /home/me/desk",
        )
    try:
        home = Path(named).expanduser()
    except RuntimeError:
        home = Path()
    if not home.is_absolute():
        raise BadSetting(
            f"HEYTRADERS_HOME={named[:200]!r} is relative: which folder that is depends on where a program is started",
            suggestion=f"Write it out, such as {Path.home() / 'desk'}",
        )
    return home


def parse_toolsets(text: str | None, name: str) -> tuple[Toolset, ...]:
    """Read a comma-separated list of toolsets; `None` means all. The order of the tool list never changes.

    Raises:
        BadSetting: A toolset is unknown, or there is none; `name` is the variable or option to fix.
    """
    if text is None:
        return TOOLSETS
    wanted = {part.strip().lower() for part in text.split(",") if part.strip()}
    unknown = sorted(wanted.difference(TOOLSETS))
    if unknown or not wanted:
        raise BadSetting(
            f"{name}={text!r} names {', '.join(map(repr, unknown)) or 'no toolset'}",
            suggestion=f"Choose from {','.join(TOOLSETS)}, separated by commas",
        )
    return tuple(toolset for toolset in TOOLSETS if toolset in wanted)


def _venue_urls(text: str | None) -> dict[ExchangeId, str]:
    """Servers that replace exchanges, such as `binance=http://127.0.0.1:9000`. They must be on this machine."""
    found: dict[ExchangeId, str] = {}
    for part in (text or "").split(","):
        name, _, url = part.strip().partition("=")
        if not name:
            continue
        exchange = next((one for one in get_args(ExchangeId) if one == name.strip().lower()), None)
        parts = urlsplit(url.strip())
        try:
            local = parts.hostname in ("127.0.0.1", "localhost", "::1") and parts.port is not None
        except ValueError:
            local = False
        if exchange is None or not local or parts.scheme not in ("http", "https") or parts.path.strip("/"):
            raise BadSetting(
                f"HEYTRADERS_VENUE_URLS names {part.strip()[:100]!r}, not an exchange and a server of this machine",
                suggestion="Write it as binance=http://127.0.0.1:9000,gate=http://127.0.0.1:9001",
            )
        found[exchange] = f"{parts.scheme}://{parts.netloc}"
    return found


def _choice(given: Mapping[str, str], name: str, default: _Choice, allowed: tuple[_Choice, ...]) -> _Choice:
    value = given.get(name, default)
    for choice in allowed:
        if value.lower() == choice.lower():
            return choice
    raise BadSetting(f"{name}={value!r} is not known", suggestion=f"Set it to {' or '.join(allowed)}")


def _flag(given: Mapping[str, str], name: str) -> bool:
    value = given.get(name, "0").lower()
    if value in _YES:
        return True
    if value in _NO:
        return False
    raise BadSetting(f"{name}={value!r} is neither yes nor no", suggestion="Set it to 1 or 0")


def _whole(given: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    """A number within a range; `None` if the variable is not set."""
    text = given.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or not low <= int(text) <= high:
        raise BadSetting(
            f"{name}={text[:40]!r} is not a whole number in the allowed range",
            suggestion=(f"Set it to {low} to {high}"),
        )
    return int(text)


def _secret(text: str | None) -> SecretStr | None:
    if text is not None and not 8 <= len(text) <= 256:
        raise BadSetting(
            f"HEYTRADERS_WEBHOOK_SECRET has {len(text)} characters", suggestion="Use 8 to 256, chosen at random"
        )
    return None if text is None else SecretStr(text)


def read_key(text: str, name: str) -> SecretStr:
    """An API key that is valid in a header. The value is never shown in the message.

    Raises:
        BadSetting: It is not valid; `name` is the variable or option that held it.
    """
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > 512:
        raise BadSetting(
            f"{name} contains characters that a key cannot have (spaces, line breaks or non-ASCII)",
            suggestion="Copy the key again, without quotes",
        )
    return SecretStr(text)


def _base_url(text: str | None) -> str | None:
    """An https URL, or http on this machine (the embedded engine served by `heytraders-mcp engine`).

    The URL is normalised: limits are per service, and two spellings would double them.
    """
    if text is None:
        return None
    try:
        parts = urlsplit(text)
        local = parts.hostname in ("127.0.0.1", "localhost", "::1")
        usable = bool(_HOST.fullmatch(parts.netloc.rpartition("@")[2])) and bool(_PATH.fullmatch(parts.path))
        usable = usable and parts.port != 0 and not (parts.query or parts.fragment)
    except ValueError:
        usable = local = False
        parts = urlsplit("")
    if not usable or parts.username is not None or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise BadSetting(
            f"HEYTRADERS_BASE_URL={_without_user(text)[:100]!r} is not an https URL without user, query or fragment",
            suggestion=f"Set it to {HOSTED_URL}, or to http://127.0.0.1:8787/api/v1 for a local engine",
        )
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path.rstrip('/')}"


_HOST: Final = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")
"""A name without a trailing dot, or an address."""

_PATH: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*/*")
"""No empty segments, dots or escapes, which allow many spellings of one path."""

_PORTS: Final = {"https": 443, "http": 80}


def _without_user(url: str) -> str:
    """A URL for messages, without the part before an @, which may be a password."""
    scheme, mark, rest = url.rpartition("://")
    return f"{scheme}{mark}…@{rest.rpartition('@')[2]}" if "@" in rest else url

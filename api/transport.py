"""Sends bytes, receives bytes, and opens the envelope `{success, data, error, meta}`. Only this file imports httpx.

Errors leave this file as `NotSent` or `Lost`, raised outside the `except` blocks: httpx's exceptions carry the request
and with it the key, and Python would keep them as the context of ours.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import ssl
import sys
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.util import find_spec
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

import anyio
import httpx
from pydantic import SecretStr

from api.endpoint import Method
from api.outputs import from_wire

from .errors import HeyTradersError, NotAuthorised, UserMustAct, clean, clean_lines, error_for, show

HOSTED_URL: Final = "https://hey-traders.com/api/v1"
EMBEDDED_URL: Final = "http://engine.invalid/api/v1"
MAX_BODY: Final = 2 * 1024 * 1024
ONCE_SECONDS: Final = 30.0
"""Time-out for the answer to a request that is sent only once: waiting costs less than an unknown outcome."""

AuthHeader = Literal["x-api-key", "bearer"]

for _name in ("httpx", "httpcore"):
    # Below WARNING, httpx logs whole response headers, in which a service may quote the key.
    logging.getLogger(_name).setLevel(logging.WARNING)

if find_spec("sniffio") is None:
    # httpx and httpcore import it several times a request, and without this line look through all folders each time.
    sys.modules["sniffio"] = None  # pyright: ignore[reportArgumentType] - so Python marks a module as missing

_UNREACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)
_KEY: Final = re.compile(r"[\x21-\x7e]{8,512}")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, between two pieces of an answer, and for the whole exchange."""

    connect: float = 5.0
    read: float = 15.0
    total: float = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole."""

    status: int
    body: bytes
    retry_after: str | None
    location: str


class NotSent(Exception):
    """The request did not leave this machine; nothing happened."""


class Lost(Exception):
    """The request may have arrived, but its answer did not, or we refused the answer."""


class Wire:
    """Sends requests to one service. It holds the key and never shows it.

    Args:
        http: Keeps connections.
        fresh: Opens a connection for each request and closes it after the answer.
        once: Its timeouts.
        hide: Removes secrets from answers, before they are cut or shown.
    """

    def __init__(
        self,
        base_url: str,
        key: SecretStr | None,
        *,
        http: httpx.AsyncClient,
        timeouts: Timeouts,
        fresh: httpx.AsyncClient,
        once: Timeouts,
        hide: Callable[[str], str] | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._key = key
        self._hide = hide
        self._http, self._timeouts = http, timeouts
        self._fresh, self._once = fresh, once

    async def send(self, method: Method, url: str, body: bytes | None = None) -> Answer:
        """One exchange, once.

        Raises:
            NotSent: No connection was made.
            Lost: Any other failure to get a complete answer of at most `MAX_BODY` bytes.
        """
        return await self._send(self._http, self._timeouts.total, method, url, body)

    async def send_once(self, method: Method, url: str, body: bytes | None) -> Answer:
        """The same over a new connection, which no proxy can have dropped, and with a longer time-out."""
        return await self._send(self._fresh, self._once.total, method, url, body)

    async def _send(
        self, http: httpx.AsyncClient, seconds: float, method: Method, url: str, body: bytes | None
    ) -> Answer:
        failure: NotSent | Lost = Lost(f"no complete answer from {self._host} within {seconds:g} s")
        with anyio.move_on_after(seconds):
            try:
                return await self._exchange(http, method, url, body)
            except _UNREACHED as error:
                failure = NotSent(f"no connection to {self._host} ({type(error).__name__})")
            except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
                failure = Lost(f"the connection to {self._host} broke ({type(error).__name__})")
            except _Refused as refused:
                failure = Lost(str(refused))
        raise failure

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        await self._fresh.aclose()

    @property
    def _host(self) -> str:
        return urlsplit(self.base_url).netloc

    async def _exchange(self, http: httpx.AsyncClient, method: Method, url: str, body: bytes | None) -> Answer:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        async with http.stream(method, url, content=body, headers=headers) as answer:
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise _Refused(f"{self._host} compressed its answer without being asked to")
            received = bytearray()
            async for piece in answer.aiter_raw():
                received += piece
                if len(received) > MAX_BODY:
                    raise _Refused(f"the answer of {self._host} is larger than {MAX_BODY // 1024} KiB")
            return Answer(
                answer.status_code,
                self._without_key(bytes(received)),
                answer.headers.get("retry-after"),
                self._without_key(answer.headers.get("location", "").encode()).decode(),
            )

    def _without_key(self, text: bytes) -> bytes:
        """A service that quotes the key back, in any capitals, must not show it to a model."""
        if self._key is not None:
            text = re.sub(re.escape(self._key.get_secret_value().encode()), b"[API key]", text, flags=re.IGNORECASE)
        if self._hide is not None:
            text = self._hide(text.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        return text


class _Refused(Exception):
    """An answer that is not read to its end."""


class _KeyAuth(httpx.Auth):
    """Adds the key to each request as it leaves, so that the client's own headers never hold it."""

    def __init__(self, key: SecretStr, header: AuthHeader) -> None:
        self._key = key
        self._header: AuthHeader = header

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        secret = self._key.get_secret_value()
        if self._header == "bearer":
            request.headers["Authorization"] = f"Bearer {secret}"
        else:
            request.headers["X-API-Key"] = secret
        yield request


def hosted(
    base_url: str = HOSTED_URL,
    key: SecretStr | None = None,
    *,
    header: AuthHeader = "x-api-key",
    timeouts: Timeouts = Timeouts(),
    once: Timeouts | None = None,
    hide: Callable[[str], str] | None = None,
) -> Wire:
    """A wire to the hosted service, or to an engine over HTTP.

    Args:
        base_url: Up to the version.
        key: The API key.
        header: How the key is sent.
        timeouts: For requests that may be sent again.
        once: For requests that may not; by default at least `ONCE_SECONDS`.
        hide: Removes secrets from answers.

    Raises:
        UserMustAct: The base URL is not https (http is for loopback only), or the key cannot be sent.
    """
    check_base_url(base_url)
    return _wire(base_url, key, header, timeouts, None, once, hide)


def embedded(app: Callable[..., Any], key: SecretStr | None = None, *, timeouts: Timeouts | None = None) -> Wire:
    """A wire to an ASGI application in this process."""
    inside = httpx.ASGITransport(app, raise_app_exceptions=False)
    chosen = timeouts or Timeouts(total=45.0)
    return _wire(EMBEDDED_URL, key, "x-api-key", chosen, inside, once=replace(chosen, total=ONCE_SECONDS))


@cache
def _authorities() -> ssl.SSLContext:
    """The certificate authorities that are trusted. Reading them takes 50 ms, so they are read once."""
    return httpx.create_ssl_context(trust_env=False)


def _wire(
    base_url: str,
    key: SecretStr | None,
    header: AuthHeader,
    timeouts: Timeouts,
    transport: httpx.AsyncBaseTransport | None,
    once: Timeouts | None = None,
    hide: Callable[[str], str] | None = None,
) -> Wire:
    if key is not None and _KEY.fullmatch(key.get_secret_value()) is None:
        raise NotAuthorised(
            "the API key is not 8 to 512 visible ASCII characters",
            suggestion="Copy it again from the HeyTraders dashboard; quotes and spaces are not part of it.",
        )
    once = once or replace(timeouts, read=max(timeouts.read, ONCE_SECONDS), total=max(timeouts.total, ONCE_SECONDS))
    trusted = _authorities() if transport is None else True

    def opened(patience: Timeouts, limits: httpx.Limits) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            auth=None if key is None else _KeyAuth(key, header),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "heytraders-mcp"},
            timeout=httpx.Timeout(patience.read, connect=patience.connect),
            limits=limits,
            transport=transport,
            verify=trusted,
            trust_env=False,
            follow_redirects=False,
        )

    return Wire(
        base_url,
        key,
        http=opened(timeouts, httpx.Limits(max_connections=100, max_keepalive_connections=20)),
        timeouts=timeouts,
        fresh=opened(once, httpx.Limits(max_keepalive_connections=0)),
        once=once,
        hide=hide,
    )


def check_base_url(base_url: str) -> None:
    """Refuse a base URL that would send the key unencrypted or to an unexpected host.

    Raises:
        UserMustAct: Not https (http passes on loopback), without a host, or with user, query or fragment.
    """
    try:
        parts = urlsplit(base_url)
        host, clear = parts.hostname, not (parts.username or parts.password or parts.query or parts.fragment)
        secure = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host or ""))
        usable = bool(host) and clear and secure and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or not re.fullmatch(r"[\x21-\x7e]+", base_url):
        raise UserMustAct(
            f"the base URL {show(base_url)} cannot be used",
            suggestion=f"Use https, such as {HOSTED_URL}; http is for loopback only.",
            code="VALIDATION_ERROR",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


MAX_RETRY_AFTER: Final = 3600.0
"""Maximum wait, in seconds, that we accept from a service."""

_MAX_OWN_TEXT: Final = 2000

_PLAIN_REFUSALS: Final[dict[int, tuple[str, str]]] = {
    400: ("VALIDATION_ERROR", "the service refused the request as malformed"),
    401: ("INVALID_API_KEY", "the service does not accept the API key"),
    403: ("INSUFFICIENT_PERMISSIONS", "the service forbids this call"),
    404: ("DATA_UNAVAILABLE", "the service has no such endpoint or object"),
    405: ("DATA_UNAVAILABLE", "the service has no such endpoint"),
    413: ("VALIDATION_ERROR", "the request is too large for the service"),
    422: ("VALIDATION_ERROR", "the service refused the request as malformed"),
    429: ("RATE_LIMITED", "too many requests"),
}
"""Statuses that are clear without an envelope, as gateways and proxies send them."""


class Garbled(Exception):
    """An answer that the API does not describe. It does not show whether the call took effect."""


def unwrap(
    status: int, body: bytes, *, trusted: bool, retry_after: str | None = None, now: datetime | None = None
) -> object:
    """The `data` of a success, `{}` where it is null.

    Args:
        status: HTTP status.
        body: The whole body.
        trusted: The texts come from our own engine, not from a stranger, and may be longer.
        retry_after: The header of that name.
        now: What a date in `retry_after` is compared with.

    Raises:
        HeyTradersError: The failure reported by the envelope or, without one, by the status.
        Garbled: Neither says what happened.
    """
    wait = seconds_to_wait(retry_after, now)
    envelope = read_envelope(body)
    if envelope is None:
        if status in _PLAIN_REFUSALS:
            code, message = _PLAIN_REFUSALS[status]
            raise error_for(code, f"{message} (HTTP {status})", status=status, retry_after=wait)
        raise Garbled(f"HTTP {status} with {_kind(body)} in place of the API's JSON envelope")
    error = envelope.get("error")
    if envelope.get("success") is True and status < 400:
        data = envelope.get("data")
        return {} if data is None else data
    raise _failure(
        status, cast("Mapping[str, object]", error) if isinstance(error, Mapping) else {}, wait, trusted=trusted
    )


def server_time(body: bytes) -> float | None:
    """The service's clock at the time of the answer, unix seconds, if `meta.timestamp` contains it."""
    meta = (read_envelope(body) or {}).get("meta")
    told = cast("Mapping[str, object]", meta).get("timestamp") if isinstance(meta, Mapping) else None
    if not isinstance(told, str):
        return None
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def read_envelope(body: bytes) -> Mapping[str, object] | None:
    """The parsed body, if it is an envelope."""
    try:
        parsed = from_wire(body)
    except (ValueError, RecursionError):
        return None
    envelope = cast("dict[str, object]", parsed) if isinstance(parsed, dict) else {}
    return envelope if isinstance(envelope.get("success"), bool) else None


def _failure(status: int, error: Mapping[str, object], wait: float | None, *, trusted: bool) -> HeyTradersError:
    limit = _MAX_OWN_TEXT if trusted else 300
    shown = clean_lines if trusted else clean
    texts = (error.get(key) for key in ("code", "message", "suggestion"))
    code, message, suggestion = (shown(text, limit) if isinstance(text, str) else "" for text in texts)
    if not trusted:
        # A stranger's words are in quotes that they cannot close: data, not a sentence of ours.
        message = message and f"the service says {json.dumps(message, ensure_ascii=False)}"
        suggestion = suggestion and f"It suggests {json.dumps(suggestion, ensure_ascii=False)}"
    return error_for(
        code or _PLAIN_REFUSALS.get(status, ("INTERNAL_ERROR", ""))[0],
        message or f"the service failed without saying why (HTTP {status})",
        status=status,
        suggestion=suggestion,
        retry_after=wait,
    )


def _kind(body: bytes) -> str:
    start = body[:200].lstrip().lower()
    if not start:
        return "an empty body"
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "an HTML page"
    return "truncated or unexpected JSON" if start.startswith((b"{", b"[")) else "text"


def seconds_to_wait(header: str | None, now: datetime | None = None) -> float | None:
    """Read `Retry-After`, seconds or an HTTP date, as seconds from `now` between 0 and `MAX_RETRY_AFTER`."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), MAX_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    now = now or datetime.now(UTC)
    return min(max((aware - now).total_seconds(), 0.0), MAX_RETRY_AFTER)

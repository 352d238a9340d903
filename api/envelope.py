"""The one place that opens the envelope `{success, data, error, meta}`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, cast

from .errors import HeyTradersError, clean, clean_lines, error_for
from .numbers import from_wire

MAX_RETRY_AFTER: Final = 3600.0
"""Longest wait, in seconds, that a service is believed to want."""

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
"""Statuses that are clear without an envelope, as gateways and proxies answer them."""


class Garbled(Exception):
    """An answer that is not what the API describes. Whether the call took effect cannot be told from it."""


def unwrap(
    status: int, body: bytes, *, trusted: bool, retry_after: str | None = None, now: datetime | None = None
) -> object:
    """The `data` of a success, `{}` where it is null.

    Args:
        status: HTTP status.
        body: The whole body.
        trusted: Its texts are our own engine's, not a stranger's, and may be longer.
        retry_after: The header of that name.
        now: What a date in `retry_after` is compared with.

    Raises:
        HeyTradersError: The failure that the envelope, or failing that the status, reports.
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
    """The service's own clock when it answered, unix seconds, where `meta.timestamp` says so."""
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
    if not isinstance(parsed, dict):
        return None
    envelope = cast("dict[str, object]", parsed)
    return envelope if isinstance(envelope.get("success"), bool) else None


def _failure(status: int, error: Mapping[str, object], wait: float | None, *, trusted: bool) -> HeyTradersError:
    limit = _MAX_OWN_TEXT if trusted else 300
    shown = clean_lines if trusted else clean
    texts = (error.get(key) for key in ("code", "message", "suggestion"))
    code, message, suggestion = (shown(text, limit) if isinstance(text, str) else "" for text in texts)
    if not trusted:
        message = message and f"the service says {_quoted(message)}"
        suggestion = suggestion and f"It suggests {_quoted(suggestion)}"
    return error_for(
        code or _PLAIN_REFUSALS.get(status, ("INTERNAL_ERROR", ""))[0],
        message or f"the service failed without saying why (HTTP {status})",
        status=status,
        suggestion=suggestion,
        retry_after=wait,
    )


def _quoted(words: str) -> str:
    """A stranger's words between quotes that they cannot close: data, not a sentence of ours."""
    return json.dumps(words, ensure_ascii=False)


def _kind(body: bytes) -> str:
    start = body[:200].lstrip().lower()
    if not start:
        return "an empty body"
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "an HTML page"
    return "cut-off or foreign JSON" if start.startswith((b"{", b"[")) else "text"


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

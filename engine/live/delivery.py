"""One webhook delivery: signed, sent to a judged address, and judged by its status alone.

A receiver checks `X-HeyTraders-Signature: t=<unix seconds>,v1=<hex>` by computing HMAC-SHA256 with its secret over
`<t>.<body>`; an old `t` is a replay, and a known `X-HeyTraders-Delivery` has been seen before.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Final

from api.errors import clean

from .targets import Target, Unreachable

TIMEOUT: Final = 5.0
_READ_AT_MOST: Final = 4_096


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a delivery went: `status` is the receiver's HTTP status, `note` what went wrong, for people."""

    delivered: bool
    status: int | None
    seconds: float
    note: str


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The value of the signature header."""
    mac = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={mac.hexdigest()}"


def deliver(target: Target, *, delivery_id: str, event: str, body: bytes, secret: str | None, now: float) -> Receipt:
    """Post `body` once. Never raises: what can go wrong is part of the receipt. Redirects are not followed."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "heytraders-webhooks/1",
        "X-HeyTraders-Event": event,
        "X-HeyTraders-Delivery": delivery_id,
    }
    if secret:
        headers["X-HeyTraders-Signature"] = signature(secret, int(now), body)
    began = time.monotonic()
    try:
        status = _post(target, body, headers)
    except Unreachable as error:
        return Receipt(delivered=False, status=None, seconds=time.monotonic() - began, note=error.message)
    except (OSError, http.client.HTTPException) as error:
        reason = clean(str(error), 120) or type(error).__name__
        return Receipt(delivered=False, status=None, seconds=time.monotonic() - began, note=f"no answer: {reason}")
    delivered = 200 <= status < 300
    note = "" if delivered else f"the receiver answered {status}; a delivery counts with 2xx only"
    return Receipt(delivered=delivered, status=status, seconds=time.monotonic() - began, note=note)


def _post(target: Target, body: bytes, headers: dict[str, str]) -> int:
    connection = _Pinned(target)
    try:
        connection.request("POST", target.path, body, headers)
        response = connection.getresponse()
        response.read(_READ_AT_MOST)
        return response.status
    finally:
        connection.close()


class _Pinned(http.client.HTTPConnection):
    """Connects to the address that was judged, not to what the name resolves to a moment later."""

    def __init__(self, target: Target) -> None:
        super().__init__(target.host, target.port, timeout=TIMEOUT)
        self._target = target

    def connect(self) -> None:
        self.sock = socket.create_connection((self._target.address(), self._target.port), TIMEOUT)
        if self._target.scheme == "https":
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self._target.host)

"""One webhook delivery: signed, sent to a judged address, judged by its status alone, and over within a deadline.

A receiver checks `X-HeyTraders-Signature: t=<unix seconds>,v1=<hex>` by computing HMAC-SHA256 with its secret over
`<t>.<body>`; an old `t` is a replay, and a known `X-HeyTraders-Delivery` has been seen before.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from .targets import Target, Unreachable

_SILENCE: Final = 5.0
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


def deliver(
    target: Target,
    *,
    delivery_id: str,
    event: str,
    body: bytes,
    secret: str | None,
    now: float,
    deadline: float,
) -> Receipt:
    """Post `body` once. What can go wrong is part of the receipt, without a word of the receiver's. Redirects are not
    followed. `deadline`: seconds that it may take in all, however slowly the receiver dribbles its answer.
    """
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
        status = _post(target, body, headers, deadline)
    except Unreachable as error:
        return Receipt(delivered=False, status=None, seconds=time.monotonic() - began, note=error.message)
    except (OSError, http.client.HTTPException) as error:
        return Receipt(delivered=False, status=None, seconds=time.monotonic() - began, note=_reason(error))
    delivered = 200 <= status < 300
    note = "" if delivered else f"the receiver answered {status}; a delivery counts with 2xx only"
    return Receipt(delivered=delivered, status=status, seconds=time.monotonic() - began, note=note)


def _reason(error: OSError | http.client.HTTPException) -> str:
    if isinstance(error, OSError):
        return f"no answer: {error.strerror or type(error).__name__}"
    return f"no answer in HTTP: {type(error).__name__}"


def _post(target: Target, body: bytes, headers: dict[str, str], deadline: float) -> int:
    connection = _Pinned(target)
    watch = threading.Timer(deadline, connection.cut)
    watch.daemon = True
    watch.start()
    try:
        connection.request("POST", target.path, body, headers)
        response = connection.getresponse()
        if connection.is_cut:
            raise TimeoutError
        with suppress(OSError, http.client.HTTPException):
            response.read(_READ_AT_MOST)
    except (OSError, http.client.HTTPException):
        if connection.is_cut:
            raise TimeoutError(None, f"it took longer than {deadline:g} s") from None
        raise
    else:
        return response.status
    finally:
        watch.cancel()
        connection.close()


class _Pinned(http.client.HTTPConnection):
    """Connects to the address that was judged, not to what the name resolves to a moment later."""

    def __init__(self, target: Target) -> None:
        super().__init__(target.host, target.port, timeout=_SILENCE)
        self._target = target
        self.is_cut = False

    def connect(self) -> None:
        self.sock = socket.create_connection((self._target.address(), self._target.port), _SILENCE)
        if self._target.scheme == "https":
            self.sock = ssl.create_default_context().wrap_socket(
                self.sock, server_hostname=self._target.host, do_handshake_on_connect=False
            )
        if self.is_cut:
            raise TimeoutError
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.do_handshake()

    def cut(self) -> None:
        """End the connection from another thread, whatever it waits for."""
        self.is_cut = True
        if self.sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

"""One webhook delivery: signed, sent to a judged address, judged by its status alone, and over within a deadline.

Signatures follow the Standard Webhooks specification: `webhook-id`, `webhook-timestamp` (unix seconds) and
`webhook-signature`, which is `v1,` and the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`. A secret that starts
with `whsec_` is base64 after that prefix; any other secret is the key as it is. A receiver refuses old timestamps, and
ids that it has seen before.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import ssl
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from api.errors import InvalidInput

from .targets import Target, Unreachable

if TYPE_CHECKING:
    import httpx

_SILENCE: Final = 5.0
"""Seconds without a byte after which a receiver is given up, before the deadline."""
_PREFIX: Final = "whsec_"


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a delivery went: `status` is the receiver's HTTP status, `note` what went wrong, for people."""

    delivered: bool
    status: int | None
    seconds: float
    note: str


def signing_key(secret: str) -> bytes:
    """The key that a webhook's secret names.

    Raises:
        InvalidInput: What follows `whsec_` is not base64.
    """
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise InvalidInput(
            "the webhook secret starts with whsec_, but what follows is not base64",
            suggestion="Copy the whole secret from the receiver, or use one without that prefix",
        ) from None


def signature(secret: str, delivery_id: str, timestamp: int, body: bytes) -> str:
    """The value of the `webhook-signature` header."""
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    mac = hmac.new(signing_key(secret), signed, hashlib.sha256)
    return f"v1,{base64.b64encode(mac.digest()).decode()}"


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
    """Post `body` once; blocks. Redirects are not followed, and nothing that the receiver says gets into the receipt.

    Args:
        target: Where to; its name is resolved and judged again, and only the judged address is connected to.
        delivery_id: The same for every attempt of one delivery.
        event: What the body reports.
        body: JSON.
        secret: Signs the body; without one the delivery is not signed.
        now: The time that is signed, unix seconds.
        deadline: Seconds that all of it may take, however slowly the receiver answers.
    """
    headers = {
        "Host": target.host if target.port in {80, 443} else f"{target.host}:{target.port}",
        "Content-Type": "application/json",
        "User-Agent": "heytraders-webhooks/1",
        "X-HeyTraders-Event": event,
        "webhook-id": delivery_id,
        "webhook-timestamp": str(int(now)),
    }
    began = time.monotonic()
    try:
        if secret:
            headers["webhook-signature"] = signature(secret, delivery_id, int(now), body)
        status, note = anyio.run(_post, target, body, headers, deadline)
    except (Unreachable, InvalidInput) as error:
        status, note = None, error.message
    delivered = status is not None and 200 <= status < 300
    return Receipt(delivered=delivered, status=status, seconds=time.monotonic() - began, note=note)


async def _post(target: Target, body: bytes, headers: dict[str, str], deadline: float) -> tuple[int | None, str]:
    """The receiver's status, and what went wrong."""
    import httpx

    try:
        with anyio.fail_after(deadline):
            address = await anyio.to_thread.run_sync(target.address, abandon_on_cancel=True)
            async with (
                httpx.AsyncClient(verify=trusted_certificates(), timeout=_SILENCE, trust_env=False) as client,
                client.stream(
                    "POST",
                    _pinned(target, address),
                    content=body,
                    headers=headers,
                    extensions={"sni_hostname": target.host},
                ) as response,
            ):
                status = response.status_code
    except TimeoutError:
        return None, f"no answer: it took longer than {deadline:g} s"
    except httpx.HTTPError as error:
        return None, _reason(error)
    if 200 <= status < 300:
        return status, ""
    return status, f"the receiver answered {status}; a delivery counts with 2xx only"


@cache
def trusted_certificates() -> ssl.SSLContext:
    """The certificates that this machine trusts, read once: that takes longer than a delivery."""
    return ssl.create_default_context()


def _pinned(target: Target, address: str) -> str:
    """The URL with the judged address in place of the name, which a moment later may resolve to another."""
    host = f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    return f"{target.scheme}://{host}:{target.port}{target.path}"


def _reason(error: httpx.HTTPError) -> str:
    """What went wrong in our own words: the library's may quote the receiver."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate does not count: {cause.verify_message}"
        if isinstance(cause, OSError) and cause.strerror:
            return f"no answer: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    kind = type(error).__name__
    timed_out = kind.endswith("Timeout")
    return f"no answer for {_SILENCE:g} s" if timed_out else f"no answer in HTTP: {kind}"

"""Checks where a webhook may go and makes one delivery: signed, judged by its HTTP status alone, within a deadline.

Only public https servers may be reached, however their address is written. The URL is checked when it is configured.
The address that its name resolves to is checked at each delivery, and the connection goes to exactly that address. The
rules follow OWASP's guidance on server-side request forgery.

Signatures follow the Standard Webhooks specification: `webhook-id`, `webhook-timestamp` (unix seconds) and
`webhook-signature`, which is `v1,` and the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`. A secret that starts
with `whsec_` is base64 after that prefix; any other secret is used as the key directly. A receiver should refuse
old timestamps and ids that it has seen before.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
import socket
import ssl
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from api.errors import HeyTradersError, InvalidInput, show

if TYPE_CHECKING:
    import httpx

_SILENCE: Final = 5.0
"""Idle timeout in seconds, within the deadline."""
_PREFIX: Final = "whsec_"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The outcome of a delivery: `status` is the receiver's HTTP status, `note` a readable error."""

    delivered: bool
    status: int | None
    seconds: float
    note: str


def signing_key(secret: str) -> bytes:
    """The key that a webhook's secret names.

    Raises:
        InvalidInput: The text after `whsec_` is not base64.
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
    target: CheckedUrl,
    *,
    delivery_id: str,
    event: str,
    body: bytes,
    secret: str | None,
    now: float,
    deadline: float,
) -> Receipt:
    """Post `body` once; blocks. Redirects are not followed, and no text from the receiver gets into the receipt.

    Args:
        target: The destination; its name is resolved and checked again, and only the checked address is used.
        delivery_id: The same for every attempt of one delivery.
        event: The event that the body reports.
        body: JSON.
        secret: Signs the body; without one the delivery is not signed.
        now: The time to sign, unix seconds.
        deadline: Limit for the whole delivery in seconds, however slowly the receiver answers.
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


async def _post(target: CheckedUrl, body: bytes, headers: dict[str, str], deadline: float) -> tuple[int | None, str]:
    """The receiver's status, and the error."""
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
    return status, f"the receiver answered {status}; only a 2xx answer counts as delivered"


@cache
def trusted_certificates() -> ssl.SSLContext:
    """The certificates that this machine trusts. Read once, because reading takes longer than a delivery."""
    return ssl.create_default_context()


def _pinned(target: CheckedUrl, address: str) -> str:
    """The URL with the checked address in place of the name, which could resolve differently a moment later."""
    host = f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    return f"{target.scheme}://{host}:{target.port}{target.path}"


def _reason(error: httpx.HTTPError) -> str:
    """The error in our own words: the library's text may quote the receiver."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate is not valid: {cause.verify_message}"
        if isinstance(cause, OSError) and cause.strerror:
            return f"no answer: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    kind = type(error).__name__
    timed_out = kind.endswith("Timeout")
    return f"no answer for {_SILENCE:g} s" if timed_out else f"no answer in HTTP: {kind}"


_NUMERIC_LABEL: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
_LOCAL_NAMES: Final = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".onion")
_PUBLIC_ONLY: Final = "Use the https address of a public server"
_THIS_MACHINE: Final = (
    f"{_PUBLIC_ONLY}. For development, HEYTRADERS_WEBHOOK_LOOPBACK=1 where the engine is started allows this machine"
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Unreachable(HeyTradersError):
    """A target whose name does not resolve to a permitted address."""

    default_code = "VALIDATION_ERROR"


@dataclass(frozen=True, slots=True)
class CheckedUrl:
    """A checked URL. `host` is the name that the certificate must match."""

    scheme: str
    host: str
    port: int
    path: str
    allow_loopback: bool

    def address(self) -> str:
        """The address to connect to.

        Raises:
            Unreachable: The name does not resolve, or to an address that is not public.
        """
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise Unreachable(f"the name {self.host} does not resolve") from None
        addresses = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found]
        for address in addresses:
            if not _allowed(address, allow_loopback=self.allow_loopback):
                raise Unreachable(f"{self.host} resolves to {address}, which is not public")
        return str(addresses[0])


def judge(url: str, *, allow_loopback: bool = False) -> CheckedUrl:
    """Check a webhook's URL.

    Args:
        url: An absolute URL without user names or fragments.
        allow_loopback: For development: http and https to this machine pass as well.

    Raises:
        InvalidInput: Not https, a port other than 443, or a non-public address in any notation.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    target = CheckedUrl(
        scheme=parts.scheme,
        host=host,
        port=parts.port or (443 if parts.scheme == "https" else 80),
        path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        allow_loopback=allow_loopback,
    )
    if allow_loopback and _is_loopback(host):
        return target
    problem = _problem(target)
    if problem:
        raise InvalidInput(
            f"webhook url {show(url, 100)} {problem}", suggestion=_THIS_MACHINE if _is_loopback(host) else _PUBLIC_ONLY
        )
    return target


def _problem(target: CheckedUrl) -> str:
    """The problem with a target, as the rest of a sentence that starts "webhook url"; empty if there is none."""
    if target.scheme != "https":
        return "is not https"
    if target.port != 443:
        return f"names port {target.port}; deliveries go to port 443"
    literal = _literal(target.host)
    if literal is not None:
        return "" if _allowed(literal, allow_loopback=False) else "points to an address that is not public"
    labels = target.host.split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]) or target.host.startswith("["):
        return "hides an address in an unusual notation"
    if len(labels) < 2 or target.host.endswith(_LOCAL_NAMES):
        return "names a host of a local network"
    if not re.fullmatch(r"[a-z0-9_.-]{1,253}", target.host) or not all(labels):
        return "has no usable host name"
    return ""


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    literal = _literal(host)
    return host == "localhost" if literal is None else literal.is_loopback


def _allowed(address: Address, *, allow_loopback: bool) -> bool:
    """Whether an address is public; an address that embeds an IPv4 address is checked by that too."""
    if allow_loopback and address.is_loopback:
        return True
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        in_nat64 = address in ipaddress.ip_network("64:ff9b::/96")
        if in_nat64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _allowed(inner, allow_loopback=allow_loopback)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved

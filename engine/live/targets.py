"""Whom a webhook may reach: public https servers only, however their address is written.

What a URL says is judged when it is configured; what its name resolves to is judged again at each delivery, and the
connection goes to the very address that was judged. Rules after OWASP's guidance on server-side request forgery.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from api.errors import HeyTradersError, InvalidInput, show

_NUMERIC_LABEL: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
_LOCAL_NAMES: Final = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".onion")
_WAY_OUT: Final = "Use the https address of a public server"
_THIS_MACHINE: Final = (
    f"{_WAY_OUT}. For development, HEYTRADERS_WEBHOOK_LOOPBACK=1 where the engine is started allows this machine"
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Unreachable(HeyTradersError):
    """A target whose name does not resolve to an address that may be reached."""

    default_code = "VALIDATION_ERROR"


@dataclass(frozen=True, slots=True)
class Target:
    """A judged URL. `host` is what the certificate must name."""

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


def judge(url: str, *, allow_loopback: bool = False) -> Target:
    """Check a webhook's URL.

    Args:
        url: An absolute URL without user names or fragments.
        allow_loopback: For development: http and https to this machine pass as well.

    Raises:
        InvalidInput: Not https, another port than 443, or an address that is no public one, in whatever notation.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    target = Target(
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
            f"webhook url {show(url, 100)} {problem}", suggestion=_THIS_MACHINE if _is_loopback(host) else _WAY_OUT
        )
    return target


def _problem(target: Target) -> str:
    """What is wrong with a target, continuing "webhook url ..."; empty when nothing is."""
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
    """Whether an address is public; one that carries an IPv4 address inside is judged by that one too."""
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

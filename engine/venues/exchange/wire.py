"""Safeguards on ccxt's classes and every request: nothing is logged or kept, each request waits for its turn, payments
to third parties are refused, and what happened on the wire is recorded.

ccxt itself is imported by `session`, which passes its classes to this module.
"""

from __future__ import annotations

import json
import logging
import platform
import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from api.errors import Unavailable, UserMustAct, clean

from .convention import Signer

PATIENCE: Final = 5.0
"""How long a call waits for its turn unless it says otherwise."""

_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_LIBRARIES: Final = {"Linux": "so", "Darwin": "dylib", "Windows": "dll"}
_HASHED: Final = (
    ("salt", "uint256"), ("maker", "address"), ("signer", "address"), ("tokenId", "uint256"),
    ("makerAmount", "uint256"), ("takerAmount", "uint256"), ("side", "uint8"), ("signatureType", "uint8"),
    ("timestamp", "uint256"), ("metadata", "bytes32"), ("builder", "bytes32"),
)  # fmt: skip
"""The fields of an order of Polymarket's second order book, as signed and hashed (EIP-712)."""


@dataclass(slots=True)
class Trace:
    """What happened on the wire during one call."""

    patience: float = PATIENCE
    requests: int = 0
    writes: int = 0
    status: int | None = None
    body: str = ""
    retry_after: float | None = None


trace_of: ContextVar[Trace] = ContextVar("trace")


def careful(base: Any, hidden_fee: str | None) -> Any:
    """The exchange's class with our rules applied to every request.

    Args:
        base: The class.
        hidden_fee: A regular expression that no request body may match.
    """
    silent = logging.getLogger("heytraders.silent")
    silent.disabled = True

    class Careful(base):
        logger = silent
        enableLastHttpResponse = enableLastJsonResponse = enableLastResponseHeaders = False  # noqa: N815 - ccxt's names
        house_turn: Any = None

        async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
            trace = trace_of.get()
            writes = method != "GET" and not urlsplit(url).path.endswith("/info") and "/auth/" not in url
            if writes and hidden_fee is not None:
                _refuse_hidden_fees(hidden_fee, body)
            asked = await self.house_turn(url, trace.patience, body)
            trace.requests += 1
            trace.writes += writes
            trace.status, trace.body = None, ""
            try:
                parent: Any = super()
                answer: Any = await parent.fetch(asked, method, headers, body)
            finally:
                self.last_request_headers = None
            return answer

        async def signer(self) -> str:
            """The address of the private key. Sends nothing."""
            return self.eth_get_address_from_private_key(self.privateKey)

        def set_last_request(self, request: Any) -> None:
            """Keep nothing."""

        def on_rest_response(
            self, code: int, reason: str, url: str, method: str, response_headers: Any, response_body: str, *rest: Any
        ) -> Any:
            trace = trace_of.get()
            trace.status, trace.body = code, response_body
            trace.retry_after = retry_after(response_headers)
            parent: Any = super()
            return parent.on_rest_response(code, reason, url, method, response_headers, response_body, *rest)

    return Careful


def paying_nobody(base: Any) -> Any:
    """A class without ccxt's requests that approve a fee or name a referrer."""

    class Unpaid(base):
        async def initialize_client(self) -> bool:
            """Approve no third-party fee and name no referrer (Hyperliquid)."""
            return True

        async def handle_builder_fee_approval(self, *_: Any, **__: Any) -> bool:
            """Approve no third-party fee (Hyperliquid, Lighter)."""
            return True

        async def set_ref(self) -> Any:
            """Name no referrer (Hyperliquid)."""
            return None

        async def check_if_standard_tier(self, *_: Any) -> bool:
            """Skip the check whether an integrator may be paid: none is (Lighter)."""
            return True

    return Unpaid


def knowing_its_kind(base: Any) -> Any:
    """A class that takes no unified account for an ordinary one, where ccxt does so after any failed request."""

    class Knowing(base):
        async def load_unified_status(self, *given: Any, **more: Any) -> bool:
            """Whether this is a unified account (Gate)."""
            parent: Any = super()
            return await self._answered("unifiedAccount", parent.load_unified_status(*given, **more))

        async def is_unified_enabled(self, *given: Any, **more: Any) -> Any:
            """Whether this is a unified account (Hyperliquid)."""
            parent: Any = super()
            return await self._answered("enableUnifiedMargin", parent.is_unified_enabled(*given, **more))

        async def _answered(self, option: str, asking: Any) -> Any:
            is_known = self.options.get(option) is not None
            found = await asking
            status = trace_of.get().status
            if not is_known and (status is None or status in {418, 429} or status >= 500):
                self.options[option] = None
                raise Unavailable(f"{self.name} did not answer which kind of account this is", suggestion="Try again")
            return found

    return Knowing


def grouping(base: Any) -> Any:
    """Hyperliquid's class, which groups trigger orders so that they end with each other and with the position."""

    class Grouping(base):
        def sign_l1_action(self, action: Any, *rest: Any) -> Any:
            """Name the group before signing; ccxt names it only for exits of an entry in the same action."""
            if action.get("type") == "order" and all("trigger" in order["t"] for order in action["orders"]):
                action["grouping"] = "positionTpsl"
            parent: Any = super()
            return parent.sign_l1_action(action, *rest)

    return Grouping


def hashing(base: Any) -> Any:
    """Polymarket's class, which can also compute the id of a signed order there."""

    class Hashing(base):
        house_signed: Any = None

        def sign_clob_order(self, message: Any, address: str, version: str, kind: Any) -> Any:
            """Keep the signed data, so that it can be hashed (Polymarket)."""
            self.house_signed = (message, address, version)
            parent: Any = super()
            return parent.sign_clob_order(message, address, version, kind)

        async def order_hash(self, outcome: str, *order: Any) -> str:
            """The id at Polymarket of an order with these `create_order` arguments. Sends nothing."""
            await self.load_outcome(outcome)
            self.build_clob_order_body(outcome, *order)
            message, address, version = self.house_signed
            name, chain = self.options["ctfExchangeName"], self.options["chainId"]
            domain = {"name": name, "version": version, "chainId": chain, "verifyingContract": address}
            struct = [{"name": field, "type": kind} for field, kind in _HASHED]
            encoded = self.eth_encode_structured_data(domain, {"Order": struct}, message)
            return f"0x{self.hash(encoded, 'keccak', 'hex')}"

    return Hashing


def _refuse_hidden_fees(pattern: str, body: Any) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    if re.search(pattern, text):
        raise RuntimeError("the request would have paid a third party; nothing was sent")


def refusal_in(body: str) -> tuple[str, str]:
    """The exchange's code in the body of a refusal, and code and words together; "" where there are none."""
    try:
        read: Any = json.loads(body)
    except ValueError:
        return "", ""
    if not isinstance(read, Mapping):
        return "", ""
    outer = cast("Mapping[str, Any]", read)
    error = outer.get("error")
    inner = cast("Mapping[str, Any]", error) if isinstance(error, Mapping) else outer
    code = next((clean(str(inner[key]), 40) for key in ("name", "label", "code") if inner.get(key)), "")
    words = inner.get("msg") or inner.get("message") or (error if isinstance(error, str) else "")
    return code, ": ".join(part for part in (code, clean(str(words), 120)) if part)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from either form of the header."""
    value = next((text for name, text in headers.items() if name.lower() == "retry-after"), None)
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def signing_library(signer: Signer) -> str:
    """Path of the signing library of a package for this machine. Its Python code is not imported.

    Its functions are called by position, so another version could sign something else.

    Args:
        signer: The package, and what it calls its libraries.

    Raises:
        UserMustAct: The package is not installed in this version, or has no library for this machine.
    """
    wanted = signer.package
    name, _, version = wanted.partition("==")
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        installed = "not installed"
    if installed != version:
        raise UserMustAct(
            f"orders are signed by the library of {wanted}; {name} is {installed}",
            suggestion=f"Install it without its dependencies: uv pip install --no-deps {wanted}",
            code="INTERNAL_ERROR",
        )
    machine = _MACHINES.get(platform.machine().lower())
    kind = _LIBRARIES.get(platform.system())
    library = f"{signer.library}-{platform.system().lower()}-{machine}.{kind}"
    spec = find_spec(signer.module)
    for folder in () if spec is None else spec.submodule_search_locations or ():
        if (path := Path(folder) / "signers" / library).is_file():
            return str(path)
    raise UserMustAct(
        f"{wanted} has no signing library for this machine ({library})",
        suggestion="Its libraries are for amd64 on Linux, macOS and Windows, and for arm64 on Linux and macOS",
        code="INTERNAL_ERROR",
    )

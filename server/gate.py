"""Who may speak to the HTTP transports: holders of the token, and pages of this machine only.

A browser page of another origin must not reach a server on the user's machine, nor may another program that found its
port. So Host and Origin are checked against this machine's names, and a bearer token is wanted.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

ONLY_THIS_MACHINE: Final = TransportSecuritySettings(
    enable_dns_rebinding_protection=True,
    allowed_hosts=["127.0.0.1:*", "localhost:*", "[::1]:*"],
    allowed_origins=["http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*"],
)


class LocalGate:
    """Refuses requests under a foreign Host (DNS rebinding) or from a page of a foreign Origin.

    The SDK's SSE transport checks the same, but ends each refusal with a traceback in the log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._check = TransportSecurityMiddleware(ONLY_THIS_MACHINE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if it is of this machine."""
        if scope["type"] == "http":
            refusal = await self._check.validate_request(Request(scope), is_post=False)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BearerGate:
    """Answers 401 to every HTTP request without `Authorization: Bearer <token>`.

    Requests for OAuth metadata get 404: there is no login server, and a client that gets 401 there looks for one.
    """

    def __init__(self, app: ASGIApp, token: SecretStr) -> None:
        self._app = app
        self._expected = f"Bearer {token.get_secret_value()}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if it holds the token. The comparison takes the same time wherever it fails."""
        if scope["type"] == "http" and scope["path"].startswith("/.well-known/oauth"):
            await PlainTextResponse("This server has no OAuth; use its bearer token.", 404)(scope, receive, send)
            return
        if scope["type"] == "http" and not hmac.compare_digest(_authorization(scope), self._expected):
            refusal = PlainTextResponse(
                "A bearer token is needed: the server printed it when it started.",
                status_code=401,
                headers={"WWW-Authenticate": "Bearer"},
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _authorization(scope: Scope) -> bytes:
    values = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    return values[0] if len(values) == 1 else b""

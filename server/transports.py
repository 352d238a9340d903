"""Serves MCP over stdio, SSE and streamable HTTP, each with an orderly shutdown.

The SDK's own stdio loop dies at once on SIGTERM and hangs on SIGINT, because its reader thread cannot be interrupted.
Here a signal first closes the backend and then ends the process, with the exit code that a shell expects.

HTTP is for this machine only. Neither a browser page of another origin nor another program that found the port may
reach the server. So Host and Origin are checked against this machine's names, and a bearer token is required.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import re
import signal
import socket
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import anyio
import click
from pydantic import SecretStr
from starlette.responses import PlainTextResponse
from typing_extensions import override

from server.backend import open_backend
from server.settings import BadSetting, Settings

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer
    from starlette.types import ASGIApp, Receive, Scope, Send
    from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

_OUR_HOST: Final = re.compile(rb"(127\.0\.0\.1|localhost|\[::1\]):[0-9]+")
_OUR_ORIGIN: Final = re.compile(rb"http://" + _OUR_HOST.pattern)
_OTHER_HOST: Final = (
    "The Host header must be 127.0.0.1, localhost or [::1] with the port. Call this server by such a URL."
)
_OTHER_ORIGIN: Final = "The Origin header must be http:// and this machine's address with a port, or be left out."


class LocalGate:
    """Refuses requests under a foreign Host (DNS rebinding) or from a page of a foreign Origin.

    The SDK's SSE transport checks nearly the same, but ends each refusal with a traceback in the log. The engine's REST
    API has no other check, and starts without the SDK. A refusal does not repeat the header, which may be hostile.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if it comes from this machine."""
        if scope["type"] == "http":
            hosts = _values(scope, b"host")
            if not hosts or not all(map(_OUR_HOST.fullmatch, hosts)):
                await PlainTextResponse(_OTHER_HOST, 421)(scope, receive, send)
                return
            if not all(map(_OUR_ORIGIN.fullmatch, _values(scope, b"origin"))):
                await PlainTextResponse(_OTHER_ORIGIN, 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BearerGate:
    """Answers 401 to every HTTP request without `Authorization: Bearer <token>`.

    Requests for OAuth metadata get 404: there is no login server, and a client that gets 401 there would look for one.
    """

    def __init__(self, app: ASGIApp, token: SecretStr) -> None:
        self._app = app
        self._expected = f"Bearer {token.get_secret_value()}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if it holds the token. The comparison runs in constant time."""
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
    values = _values(scope, b"authorization")
    return values[0] if len(values) == 1 else b""


def _values(scope: Scope, header: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name.lower() == header]


HttpTransport = Literal["sse", "streamable-http"]
PATHS: dict[HttpTransport, str] = {"sse": "/sse", "streamable-http": "/mcp"}

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 5.0
HEAD_SECONDS = 10.0
"""Time limit for the head of a request."""
MOST_WAITING = 100
"""Connections that have not sent the head of a request."""


def serve_stdio(settings: Settings) -> None:
    """Serve one client over standard input and output. A signal ends the process with exit code 128 + its number."""
    anyio.run(_stdio, settings)


async def _stdio(settings: Settings) -> None:
    from server.app import create_server

    session_ended = anyio.Event()
    async with open_backend(settings) as backend, anyio.create_task_group() as tasks:

        async def end_at_signal() -> None:
            with anyio.open_signal_receiver(*SIGNALS) as signals:
                async for number in signals:
                    session.cancel()
                    with anyio.move_on_after(GRACE_SECONDS):
                        await session_ended.wait()
                        await backend.aclose()
                    sys.stderr.flush()
                    os._exit(128 + number)

        tasks.start_soon(end_at_signal)
        with anyio.CancelScope() as session:
            await create_server(settings, backend, session_ended.set).run_stdio_async()
        if not session.cancel_called:
            tasks.cancel_scope.cancel()


async def serve_http(
    settings: Settings, transport: HttpTransport, listener: socket.socket, token: SecretStr | None, announcement: str
) -> int:
    """Serve any number of clients until a signal, and return its number."""
    from server.app import create_server

    async with open_backend(settings) as backend:
        app = http_app(create_server(settings, backend), transport, token)
        return await run_asgi(app, listener, settings.log_level, announcement)


def http_app(server: MCPServer[Any], transport: HttpTransport, token: SecretStr | None) -> ASGIApp:
    """The web application of a transport, open only to this machine and to holders of the token."""
    from mcp.server.transport_security import TransportSecuritySettings

    security = TransportSecuritySettings(
        allowed_hosts=["127.0.0.1:*", "localhost:*", "[::1]:*"],
        allowed_origins=["http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*"],
    )
    if transport == "sse":
        app: ASGIApp = server.sse_app(sse_path=PATHS["sse"], transport_security=security)
    else:
        app = server.streamable_http_app(streamable_http_path=PATHS["streamable-http"], transport_security=security)
    gated = LocalGate(app)
    return BearerGate(gated, token) if token else gated


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on this machine only.

    Raises:
        BadSetting: The host is not this machine, or the port is taken.
    """
    if host not in LOOPBACK:
        raise BadSetting(
            f"--host {host} is not this machine",
            suggestion="Use 127.0.0.1, and a reverse proxy with TLS and its own login to serve others",
        )
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise BadSetting(
            f"port {port} on {host} cannot be used ({error.strerror})", suggestion="Choose another with --port, or 0"
        ) from error


class UnreadConnections:
    """Connections that have not sent the head of a request, the oldest first."""

    def __init__(self) -> None:
        self._timers: dict[asyncio.Transport, asyncio.TimerHandle] = {}

    def add(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Start a connection's time limit for its next request, and close the oldest if there are too many."""
        self.remove(transport)
        self._timers[transport] = loop.call_later(HEAD_SECONDS, transport.abort)
        if len(self._timers) > MOST_WAITING:
            oldest = next(iter(self._timers))
            oldest.abort()
            self.remove(oldest)

    def remove(self, transport: asyncio.Transport) -> None:
        """Remove a connection that has sent a request or is closed."""
        timer = self._timers.pop(transport, None)
        if timer is not None:
            timer.cancel()


def _bounded_protocol() -> type[H11Protocol]:
    """HTTP/1.1 that closes idle connections.

    A connection has a few seconds for the head of each request. If more than `MOST_WAITING` have sent none, the oldest
    is closed, so that idle connections cannot block others. No refusal is logged.
    """
    from uvicorn.protocols.http.h11_impl import H11Protocol

    waiting = UnreadConnections()

    class Bounded(H11Protocol):
        """One connection."""

        @override
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            waiting.add(transport, self.loop)

        @override
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._answers():
                waiting.remove(self.transport)

        @override
        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self._answers():
                waiting.add(self.transport, self.loop)

        @override
        def connection_lost(self, exc: Exception | None) -> None:
            waiting.remove(self.transport)
            super().connection_lost(exc)

        def _answers(self) -> bool:
            """Whether a request is being answered; there is no cycle before the first request."""
            cycle = cast("RequestResponseCycle | None", self.cycle)
            return cycle is not None and not cycle.response_complete

    return Bounded


async def run_asgi(app: ASGIApp, listener: socket.socket, log_level: str, announcement: str) -> int:
    """Serve an application until SIGINT or SIGTERM, and return the signal's number. Open streams get a second to end.

    The announcement goes to stderr when requests are accepted and signals are handled.
    """
    import uvicorn

    class Server(uvicorn.Server):
        """Leaves signals to us: uvicorn would raise them again before the backend is closed."""

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None]:
            yield

    config = uvicorn.Config(
        app,
        http=_bounded_protocol(),
        log_config=None,
        log_level=log_level.lower(),
        timeout_graceful_shutdown=1,
        access_log=False,
        proxy_headers=False,
        backlog=MOST_WAITING,
    )
    server = Server(config)
    received = 0

    async def stop_at_signal() -> None:
        nonlocal received
        with anyio.open_signal_receiver(*SIGNALS) as signals:
            click.echo(announcement, err=True)
            async for number in signals:
                server.force_exit = server.should_exit
                server.should_exit = True
                received = int(number)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop_at_signal)
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()
    return received

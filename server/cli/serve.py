"""`heytraders-mcp serve`: MCP over any of the transports; `engine`: the embedded engine's REST API."""

from __future__ import annotations

import json
import os
import socket
import sys
from dataclasses import replace
from typing import get_args

import anyio
import click
from pydantic import SecretStr

from server.backend import open_engine
from server.keys import http_token
from server.logs import start_log
from server.settings import BadSetting, Settings, parse_toolsets
from server.transports import PATHS, HttpTransport, LocalGate, listen, run_asgi, serve_http, serve_stdio


@click.command("serve")
@click.option("--transport", type=click.Choice(["stdio", *get_args(HttpTransport)]), default="stdio", show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="This machine only.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 picks a free one.")
@click.option("--toolsets", help="Comma-separated: research, trading, live, arena.  [default: all]")
@click.option("--read-only", is_flag=True, help="Offer only tools that change nothing.")
@click.option("--no-auth", is_flag=True, help="Do not require a bearer token. Embedded engine only.")
def serve(*, transport: str, host: str, port: int, toolsets: str | None, read_only: bool, no_auth: bool) -> None:
    """Serve MCP over stdio, SSE or streamable HTTP."""
    settings = Settings.read(os.environ)
    if toolsets is not None:
        settings = replace(settings, toolsets=parse_toolsets(toolsets, "--toolsets"))
    settings = replace(settings, read_only=settings.read_only or read_only)
    if transport == "stdio":
        start_log(settings)
        serve_stdio(settings)
        return
    chosen: HttpTransport = "sse" if transport == "sse" else "streamable-http"
    settings = replace(settings, stays=True)
    token = _token(settings, no_auth=no_auth)
    start_log(settings, *([token] if token else []))
    listener = listen(host, port)
    announcement = _snippet(host, listener.getsockname()[1], chosen, token)
    sys.exit(128 + anyio.run(serve_http, settings, chosen, listener, token, announcement))


def _token(settings: Settings, *, no_auth: bool) -> SecretStr | None:
    if not no_auth:
        return http_token(settings.home)
    if settings.hosted:
        raise BadSetting(
            "--no-auth is for the embedded engine; with a hosted key anything on this machine could use it",
            suggestion="Leave --no-auth out; the token is printed at the start",
        )
    return None


def _snippet(host: str, port: int, transport: HttpTransport, token: SecretStr | None) -> str:
    """The text to paste into a client's configuration. The token is printed nowhere else."""
    authority = f"[{host}]" if ":" in host else host
    entry: dict[str, object] = {
        "type": "sse" if transport == "sse" else "http",
        "url": f"http://{authority}:{port}{PATHS[transport]}",
    }
    if token:
        entry["headers"] = {"Authorization": f"Bearer {token.get_secret_value()}"}
    return "Ready. For a client's configuration:\n" + json.dumps({"mcpServers": {"heytraders": entry}}, indent=2)


@click.command("engine")
@click.option("--host", default="127.0.0.1", show_default=True, help="This machine only.")
@click.option("--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="0 picks a free one.")
def engine(*, host: str, port: int) -> None:
    """Serve the embedded engine's REST API, the same as the hosted service's except for the host."""
    settings = Settings.read(os.environ)
    start_log(settings)
    sys.exit(128 + anyio.run(_serve, settings, listen(host, port)))


async def _serve(settings: Settings, listener: socket.socket) -> int:
    from engine.routes import create_app

    async with open_engine(settings) as engine:
        key = await engine.access.local_key()
        host, port = listener.getsockname()[:2]
        base = f"http://{f'[{host}]' if ':' in host else host}:{port}/api/v1"
        source = "the exchanges' data" if settings.data == "exchange" else "simulated data"
        announcement = (
            f"Serving the HeyTraders API on {base} ({source} or what was imported; paper accounts only).\n"
            f"A key with every scope, for this machine only: {key}\n"
            f'Try: curl -H "X-API-Key: {key}" "{base}/market/ohlcv?symbol=BTC/USDT&timeframe=1h"'
        )
        return await run_asgi(LocalGate(create_app(engine)), listener, settings.log_level, announcement)

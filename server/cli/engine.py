"""`heytraders-mcp engine`: the embedded engine's REST API for any HTTP client."""

from __future__ import annotations

import os
import socket
import sys

import anyio
import click

from server.backend import open_engine
from server.gate import LocalGate
from server.logs import start_log
from server.settings import Settings
from server.transports import listen, run_asgi


@click.command("engine")
@click.option("--host", default="127.0.0.1", show_default=True, help="This machine only.")
@click.option("--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="0 picks a free one.")
def command(*, host: str, port: int) -> None:
    """Serve the embedded engine's REST API, the same as the hosted service's but for the host."""
    settings = Settings.read(os.environ)
    start_log(settings)
    sys.exit(128 + anyio.run(_serve, settings, listen(host, port)))


async def _serve(settings: Settings, listener: socket.socket) -> int:
    from engine.app import create_app

    async with open_engine(settings) as engine:
        key = await engine.access.local_key()
        host, port = listener.getsockname()[:2]
        base = f"http://{f'[{host}]' if ':' in host else host}:{port}/api/v1"
        announcement = (
            f"Serving the HeyTraders API on {base} (simulated or imported data, paper accounts).\n"
            f"A key with every scope, for this machine only: {key}\n"
            f'Try: curl -H "X-API-Key: {key}" "{base}/market/ohlcv?symbol=BTC/USDT&timeframe=1h"'
        )
        return await run_asgi(LocalGate(create_app(engine)), listener, settings.log_level, announcement)

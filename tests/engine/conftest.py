"""An engine in a temporary folder, on a clock that only the test moves, with an HTTP client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from api.times import AcceleratedClock
from engine.engine import Engine, EngineSettings
from engine.routes import create_app

NOON = 1_750_075_200.0
"""2025-06-16, 12:00 UTC."""


class Call(Protocol):
    """Sends one request to the engine; with `key` None it sends no key, with "local" the key with every scope."""

    async def __call__(
        self, method: str, path: str, *, key: str | None = "local", address: str = "127.0.0.1", **request: Any
    ) -> httpx.Response: ...


@pytest.fixture
def clock() -> AcceleratedClock:
    """A clock that stays at noon until advanced."""
    return AcceleratedClock(NOON)


@pytest.fixture
async def engine(tmp_path: Path, clock: AcceleratedClock) -> AsyncIterator[Engine]:
    """A fresh engine."""
    opened = await Engine.open(EngineSettings(tmp_path / "home"), clock)
    yield opened
    await opened.aclose()


@pytest.fixture
def call(engine: Engine) -> Call:
    """A client of the engine."""
    app = create_app(engine)

    async def send(
        method: str, path: str, *, key: str | None = "local", address: str = "127.0.0.1", **request: Any
    ) -> httpx.Response:
        shown = await engine.access.local_key() if key == "local" else key
        headers = {**({"X-API-Key": shown} if shown else {}), **request.pop("headers", {})}
        transport = httpx.ASGITransport(app, client=(address, 4_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://engine/api/v1", headers=headers) as client:
            return await client.request(method, path, **request)

    return send


@pytest.fixture
def register(call: Call) -> Callable[..., Awaitable[str]]:
    """Registers an agent from an address and returns its provisional key."""

    async def make(address: str = "10.0.0.1") -> str:
        answer = await call("POST", "/meta/register", key=None, address=address, json={"display_name": "Probe"})
        return str(answer.json()["data"]["api_key"])

    return make

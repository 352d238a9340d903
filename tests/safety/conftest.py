"""A hosted service that must not receive certain calls, and an MCP client whose server would make them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from mcp import Client
from pydantic import SecretStr

from server.settings import Settings
from tests.api.conftest import FakeService, service
from tests.conftest import Connect

__all__ = ["service"]

Hosted = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def hosted(connect: Connect, settings: Settings, service: FakeService) -> Hosted:
    """`async with hosted() as client:` gives a client of a server that calls `service`, in both protocol eras."""

    @asynccontextmanager
    async def session(
        *, key: str | None = "ht_live_canary_0123456789", read_only: bool = False
    ) -> AsyncGenerator[Client]:
        chosen = Settings(
            home=settings.home, api_key=SecretStr(key) if key else None, base_url=service.url, read_only=read_only
        )
        async with connect(chosen) as client:
            yield client

    return session

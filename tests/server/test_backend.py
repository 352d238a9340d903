"""The backend that answers calls: opened lazily, once, and with the right key."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from engine.engine import Engine
from server.backend import open_backend
from server.settings import Settings
from tests.conftest import Connect

NEW_KEY = "ht_prov_canary_abcdefgh1234"


class Hosted(BaseHTTPRequestHandler):
    """A hosted service that registers everyone and records the keys that it receives."""

    seen: list[str | None]

    def _answer(self, data: dict[str, Any]) -> None:
        self.seen.append(self.headers.get("X-API-Key"))
        body = json.dumps({"success": True, "data": data, "error": None, "meta": {}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Health."""
        self._answer({"status": "ok"})

    def do_POST(self) -> None:
        """Register."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({"api_key": NEW_KEY, "agent_id": "agent_1", "scopes": ["research"], "quota": {}})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextmanager
def hosted_service() -> Generator[tuple[str, list[str | None]]]:
    """Its base URL, and the keys in the requests."""
    seen: list[str | None] = []
    handler = type("Handler", (Hosted,), {"seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{web.server_port}/api/v1", seen
        finally:
            web.shutdown()
            thread.join()


async def test_a_registered_key_is_stored_used_from_then_on_and_never_shown(
    connect: Connect, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with hosted_service() as (url, seen):
        chosen = Settings(home=settings.home, base_url=url)
        async with connect(chosen) as client:
            registered = await client.call_tool("meta_register", {"display_name": "Bot"})
            health = await client.call_tool("meta_health", {})
        async with connect(chosen) as later:
            await later.call_tool("meta_health", {})

    assert registered.structured_content is not None
    assert registered.structured_content["key_ends_with"] == NEW_KEY[-4:]
    assert health.structured_content == {"status": "ok", "source": "hosted"}
    assert seen == [None, NEW_KEY, NEW_KEY]
    assert NEW_KEY not in str(registered.model_dump())
    assert NEW_KEY not in caplog.text


async def test_a_stored_key_goes_to_no_other_address(connect: Connect, settings: Settings) -> None:
    with hosted_service() as (url, _), hosted_service() as (other_url, other_seen):
        async with connect(Settings(home=settings.home, base_url=url)) as client:
            await client.call_tool("meta_register", {"display_name": "Bot"})
        async with connect(Settings(home=settings.home, base_url=other_url)) as client:
            await client.call_tool("meta_health", {})

    assert other_seen == [None]


async def test_a_key_from_the_environment_wins_over_a_stored_one(connect: Connect, settings: Settings) -> None:
    with hosted_service() as (url, seen):
        given = Settings(home=settings.home, base_url=url, api_key=SecretStr("ht_live_from_environment"))
        async with connect(given) as client:
            await client.call_tool("meta_register", {"display_name": "Bot"})
            await client.call_tool("meta_health", {})

    assert seen == ["ht_live_from_environment", "ht_live_from_environment"]


async def test_the_engine_is_opened_once_for_calls_that_come_together(settings: Settings) -> None:
    clients: list[object] = []
    async with open_backend(settings) as backend, anyio.create_task_group() as tasks:

        async def ask() -> None:
            clients.append(await backend.client())

        for _ in range(5):
            tasks.start_soon(ask)

    assert len(clients) == 5
    assert len({id(client) for client in clients}) == 1


async def test_a_call_that_is_given_up_does_not_close_the_engine_for_the_next(settings: Settings) -> None:
    async with open_backend(settings) as backend:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await backend.client()
        assert await backend.client() is await backend.client()


async def test_nothing_is_written_before_the_first_call(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with open_backend(Settings(home=home)):
        assert not home.exists()


async def test_an_engine_that_cannot_open_is_an_error_with_what_to_do(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way", encoding="utf-8")
    async with connect(Settings(home=tmp_path / "home")) as client:
        first = await client.call_tool("market_tickers", {})
        second = await client.call_tool("market_tickers", {})

    assert first.is_error
    assert second.is_error
    assert "HEYTRADERS_HOME" in str(first.content)


@pytest.mark.parametrize("failing", ["engine.engine.Engine.aclose", "api.client.Client.aclose"])
async def test_a_server_whose_engine_fails_to_close_ends_with_that_failure(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    close = Engine.aclose

    async def fails(closing: Any) -> None:
        if isinstance(closing, Engine):
            await close(closing)
        raise OSError("the disk is full")

    monkeypatch.setattr(failing, fails)

    async def serve() -> None:
        async with open_backend(settings) as backend:
            await backend.client()
            await backend.safety()

    with pytest.raises(ExceptionGroup) as raised:
        await serve()

    assert raised.group_contains(OSError, match="the disk is full")

"""A fake hosted service for client tests: a real socket that sends the scripted answers, valid or broken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Recorded:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeService:
    """Answers each request with the next of `replies` and repeats the last one.

    A reply is raw bytes. Bytes after `hang` are never sent; `drip` sends byte by byte, 20 ms apart.
    """

    url: str = ""
    replies: list[bytes] = field(default_factory=list[bytes])
    hang: bool = False
    drip: bool = False
    requests: list[Recorded] = field(default_factory=list[Recorded])
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    serving: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])

    def answers(self, status: int, body: object, **headers: str) -> None:
        """Add a complete JSON answer."""
        self.replies.append(
            response(status, json.dumps(body).encode(), **{"Content-Type": "application/json", **headers})
        )

    def succeeds(self, data: Any) -> None:
        """Add a success."""
        self.answers(200, {"success": True, "data": data, "error": None, "meta": {"timestamp": "2026-01-01T00:00:00Z"}})

    def fails(self, status: int, code: str, message: str = "no", suggestion: str = "", **headers: str) -> None:
        """Add a documented failure."""
        error = {"code": code, "message": message, "suggestion": suggestion}
        self.answers(status, {"success": False, "data": None, "error": error, "meta": {}}, **headers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            self.requests.append(await _read(reader))
            await self._reply(writer, self.replies.pop(0) if len(self.replies) > 1 else self.replies[0])
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _reply(self, writer: asyncio.StreamWriter, reply: bytes) -> None:
        for piece in [bytes([byte]) for byte in reply] if self.drip else [reply]:
            writer.write(piece)
            await writer.drain()
            if self.drip and await self._closed_within(0.02):
                return
        if self.hang:
            await self.closing.wait()

    async def _closed_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            return await asyncio.wait_for(self.closing.wait(), seconds)
        return False

    async def end(self) -> None:
        """Close every connection and wait until they are closed."""
        self.closing.set()
        await asyncio.gather(*self.serving)


def response(status: int, body: bytes, **headers: str) -> bytes:
    """A raw HTTP response."""
    lines = {
        "Content-Length": str(len(body)),
        "Connection": "close",
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


async def _read(reader: asyncio.StreamReader) -> Recorded:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *rest = head.split("\r\n")
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in rest if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, target, _ = first.split(" ")
    return Recorded(method, target, headers, body)


@pytest.fixture
async def service() -> AsyncGenerator[FakeService]:
    """A fake hosted service on loopback."""
    fake = FakeService()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    fake.url = f"http://127.0.0.1:{port}/api/v1"
    yield fake
    server.close()
    await fake.end()
    await server.wait_closed()

"""How the hostile exchange parses requests and formats its answers, before faults are applied."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

PRICE: Final = 100.0

Reply = tuple[int, bytes]
Fields = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes


def moment(at: float) -> str:
    """ISO 8601 UTC in whole seconds, as the API document shows it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def success(data: Fields) -> Reply:
    """The envelope of a success."""
    return 200, json.dumps(
        {"success": True, "data": data, "error": None, "meta": {"timestamp": moment(time.time())}}
    ).encode()


def failure(status: int, code: str) -> Reply:
    """The envelope of a failure."""
    error = {"code": code, "message": "no", "suggestion": "Try it again."}
    meta = {"timestamp": moment(time.time())}
    return status, json.dumps({"success": False, "data": None, "error": error, "meta": meta}).encode()


GARBAGE: Final[Reply] = (200, b"<html><body>Everything is fine</body></html>")


def candles(query: dict[str, str]) -> Fields:
    """A market without movement: the last minutes at `PRICE`."""
    minute = int(time.time()) // 60 * 60
    rows = [[moment(at), PRICE, PRICE, PRICE, PRICE, 1.0] for at in range(minute - 240, minute + 60, 60)]
    return {"symbol": query.get("symbol"), "exchange": query.get("exchange"), "timeframe": "1m", "candles": rows}


async def read_request(reader: asyncio.StreamReader) -> Asked:
    """One whole HTTP request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *rest = head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, target, _ = first.split(" ")
    parts = urlsplit(target)
    return Asked(method, parts.path, {name: values[-1] for name, values in parse_qs(parts.query).items()}, body)


def http(status: int, body: bytes) -> bytes:
    """A whole HTTP answer that closes the connection."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body

"""Answers messages that are not JSON-RPC. The SDK's stdio transport drops them, so their sender would wait forever.

Python and the SDK's parser disagree on a few inputs (half of a surrogate pair, very long integers, deep nesting, a byte
order mark). Where Python can still read the id, the error goes to that request; otherwise its id is null.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import anyio
from mcp.shared.message import SessionMessage
from mcp.types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError, JSONRPCNotification
from pydantic import ValidationError

_LONGEST_ID: Final = 200
_LONGEST_NUMBER: Final = 18
_BYTE_ORDER_MARK: Final = "\ufeff"

Incoming = SessionMessage | Exception


class Answering:
    """The incoming half of a connection without unreadable messages, whose answers go to `reply`."""

    def __init__(self, incoming: Any, reply: Callable[[SessionMessage], Awaitable[None]]) -> None:
        self._incoming = incoming
        self._reply = reply

    async def receive(self) -> Incoming:
        """The next readable message."""
        while True:
            item: Incoming = await self._incoming.receive()
            if isinstance(item, ValidationError):
                answer = answer_to(item)
            elif _lacks_an_id(item):
                answer = _failure(None, INVALID_REQUEST, "a request needs an id: a whole number or a string")
            else:
                return item
            if answer is not None:
                await self._reply(SessionMessage(answer))

    def __aiter__(self) -> Answering:
        return self

    async def __anext__(self) -> Incoming:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._incoming, name)

    async def __aenter__(self) -> Answering:
        await self._incoming.__aenter__()
        return self

    async def __aexit__(self, *details: Any) -> bool | None:
        left: bool | None = await self._incoming.__aexit__(*details)
        return left


def _lacks_an_id(item: Incoming) -> bool:
    """Whether it calls a method without an id, or with one such as 1.5: the SDK takes it for a notification."""
    message = item.message if isinstance(item, SessionMessage) else None
    return isinstance(message, JSONRPCNotification) and not message.method.startswith("notifications/")


def answer_to(error: ValidationError) -> JSONRPCError | None:
    """The error response to a message that failed validation; `None` for an empty line and for a notification."""
    problems = error.errors(include_url=False, include_context=False)
    line, said = problems[0]["input"], problems[0]["msg"]
    if problems[0]["type"] != "json_invalid" or not isinstance(line, str):
        inputs: list[Any] = [each["input"] for each in problems]
        return _failure(
            next(filter(None, map(_id, inputs)), None),
            INVALID_REQUEST,
            "the message is JSON, but not a JSON-RPC 2.0 request",
        )
    if not line.strip():
        return None
    message = _read(line)
    if isinstance(message, dict) and "method" in message and "id" not in message:
        return None
    return _failure(_id(message), PARSE_ERROR, _reason(line, message, said))


def _reason(line: str, message: Any, said: str) -> str:
    if line.startswith(_BYTE_ORDER_MARK):
        return "the message starts with a byte order mark; send UTF-8 without one"
    try:
        json.dumps(message, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "the message contains half of a surrogate pair; write the character itself, or both of its \\u escapes"
    return "the message is not JSON that this server can read: " + said.removeprefix("Invalid JSON: ")


def _read(line: str) -> Any:
    """The message as read by Python's parser, without very long integers; `None` if that fails too."""
    try:
        return json.loads(line.lstrip(_BYTE_ORDER_MARK), parse_int=_short_integer)
    except (ValueError, RecursionError):
        return None


def _short_integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else None


def _id(message: Any) -> int | str | None:
    fields = cast("dict[str, Any]", message) if isinstance(message, dict) else {}
    found = fields.get("id")
    if isinstance(found, bool) or not isinstance(found, int | str):
        return None
    if isinstance(found, str) and (len(found) > _LONGEST_ID or not found.isprintable()):
        return None
    return found


def _failure(request_id: int | str | None, code: int, message: str) -> JSONRPCError:
    return JSONRPCError(jsonrpc="2.0", id=request_id, error=ErrorData(code=code, message=message))

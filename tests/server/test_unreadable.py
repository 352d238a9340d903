"""Lines on standard input that are not JSON-RPC: each gets an answer, and the next call works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from tests.conftest import Connect

ROOT = Path(__file__).parents[2]
PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS = -32700, -32600, -32602

CALL = '{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"script_check","arguments":{"script":%s}}}'


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    """A stdio server after the handshake."""
    environment = {**os.environ, "HEYTRADERS_HOME": str(tmp_path_factory.mktemp("home"))}
    command = [sys.executable, "-m", "heytraders_mcp"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=-1, stdout=-1, stderr=-1) as server:
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        ask(server, json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}))
        tell(server, json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        yield server
        _, errors = server.communicate(timeout=60)
        assert b"Traceback" not in errors


def tell(server: subprocess.Popen[bytes], line: str) -> None:
    """Send a line."""
    assert server.stdin is not None
    server.stdin.write(line.encode("utf-8", "surrogatepass") + b"\n")
    server.stdin.flush()


def ask(server: subprocess.Popen[bytes], line: str) -> dict[str, Any]:
    """Send a line and read the answer."""
    tell(server, line)
    assert server.stdout is not None
    answer: dict[str, Any] = json.loads(server.stdout.readline())
    return answer


@pytest.mark.parametrize(
    ("line", "request_id", "code", "words"),
    [
        (CALL % (10, r'"# trend \ud83d"'), 10, PARSE_ERROR, "surrogate"),
        (CALL % (11, r'"\udd1e first"'), 11, PARSE_ERROR, "surrogate"),
        (CALL % ('"text-id"', r'"\ud83d\u0041"'), "text-id", PARSE_ERROR, "surrogate"),
        (CALL % (12, "9" * 5_000), 12, PARSE_ERROR, "out of range"),
        (CALL % (13, "-" + "9" * 9_000), 13, PARSE_ERROR, "out of range"),
        (CALL % (14, "[" * 300 + "]" * 300), 14, PARSE_ERROR, "recursion"),
        ("\ufeff" + CALL % (15, '"x"'), 15, PARSE_ERROR, "byte order mark"),
        ("[" * 100_000, None, PARSE_ERROR, "recursion"),
        ("this is no JSON", None, PARSE_ERROR, "not JSON"),
        ('{"jsonrpc":"2.0","id":16,"method":"ping"', None, PARSE_ERROR, "not JSON"),
        ("{'jsonrpc': '2.0', 'id': 17}", None, PARSE_ERROR, "not JSON"),
        ("[]", None, INVALID_REQUEST, "not a JSON-RPC"),
        ("17", None, INVALID_REQUEST, "not a JSON-RPC"),
        ('{"jsonrpc":"1.0","id":18,"method":"ping"}', 18, INVALID_REQUEST, "not a JSON-RPC"),
        ('{"jsonrpc":"2.0","id":19,"method":"ping","params":[1]}', 19, INVALID_REQUEST, "not a JSON-RPC"),
        ('{"jsonrpc":"2.0","id":20,"method":5}', 20, INVALID_REQUEST, "not a JSON-RPC"),
        ('{"jsonrpc":"2.0","id":1.5,"method":"ping"}', None, INVALID_REQUEST, "needs an id"),
        ('{"jsonrpc":"2.0","id":null,"method":"tools/list"}', None, INVALID_REQUEST, "needs an id"),
        ('{"jsonrpc":"2.0","id":[21],"method":"ping"}', None, INVALID_REQUEST, "needs an id"),
    ],
)
def test_a_line_that_cannot_be_read_is_answered(
    process: subprocess.Popen[bytes], line: str, request_id: int | str | None, code: int, words: str
) -> None:
    answer = ask(process, line)

    assert (answer["id"], answer["error"]["code"]) == (request_id, code)
    assert words in answer["error"]["message"]
    assert ask(process, '{"jsonrpc":"2.0","id":99,"method":"ping"}') == {"jsonrpc": "2.0", "id": 99, "result": {}}


def test_an_empty_line_and_a_broken_notification_are_passed_over(process: subprocess.Popen[bytes]) -> None:
    tell(process, "")
    tell(process, '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"reason":"\\ud83d"}}')

    assert ask(process, '{"jsonrpc":"2.0","id":99,"method":"ping"}')["id"] == 99


def test_a_prompt_that_does_not_exist_is_an_invalid_parameter(process: subprocess.Popen[bytes]) -> None:
    answer = ask(process, '{"jsonrpc":"2.0","id":30,"method":"prompts/get","params":{"name":"no_such_prompt"}}')

    assert answer["error"]["code"] == INVALID_PARAMS
    assert "portfolio_brief" in answer["error"]["message"]


async def test_a_prompt_that_does_not_exist_is_an_invalid_parameter_in_both_eras(connect: Connect) -> None:
    async with connect() as client:
        with pytest.raises(MCPError, match="there is no prompt") as refusal:
            await client.get_prompt("no_such_prompt")

    assert refusal.value.code == INVALID_PARAMS

"""Secrets over a whole run: the service repeats the key in every spelling; tools, log, journal and files stay clean."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

from safety.ledger import Ledger
from server.keys import LOGINS
from server.logs import Redacting
from tests.dialogs import YES, Person
from tests.traces import WAYS, traces
from tools.surface import exposed

from .conftest import KEY, PASSPHRASE, Arm, Attack, Target
from .registry import CONFIRMED, ORDER, POST, SWITCH, TRADE
from .urls import ALLOWED
from .venue import REGISTERED_KEY, open_venue

ROOT: Final = Path(__file__).parents[2]
SPELLED: Final = " | ".join(way(KEY) for way in WAYS.values())
ARGUMENTS: Final[dict[str, dict[str, Any]]] = {
    "orders_place": ORDER,
    "order_preview": ORDER,
    "place_with_confirmation": CONFIRMED,
    "live_subscribe": TRADE,
    "live_resume": SWITCH,
    "live_pause": SWITCH,
    "arena_post": POST,
    "live_webhook_set": {"subscription_id": "sub_1", "url": ALLOWED},
    "live_webhook_test": {"url": ALLOWED},
    "meta_register": {"display_name": "Another"},
    "safety_halt": {"reason": f"the key is {KEY}"},
    "docs_read": {"slug": "signal-dsl"},
    "market_evaluate": {"symbol": "BTC/USDT", "expression": "close"},
}
OTHERS: Final = {
    "account_id": "acc_1", "order_id": "api-1", "subscription_id": "sub_1", "result_id": "r1", "backtest_id": "b1",
    "agent_id": "a1", "intent_id": "01JD0000000000000000000001", "symbol": "BTC/USDT", "slug": "signal-dsl",
}  # fmt: skip
RESOURCES: Final = (
    "heytraders://accounts", "heytraders://accounts/acc_1", "heytraders://subscriptions/sub_1",
    "heytraders://safety/policy", "heytraders://safety/journal", "heytraders://docs/data",
)  # fmt: skip


async def everything(client: Client) -> list[str]:
    """Everything a client can see: every tool with sensible and with nonsensical arguments, resources, prompts."""
    seen: list[str] = []
    for tool in (await client.list_tools()).tools:
        if tool.name == "backtest_and_poll":
            continue
        needed = {name: OTHERS[name] for name in tool.input_schema.get("required", []) if name in OTHERS}
        for arguments in (ARGUMENTS.get(tool.name, needed), {**needed, "label": KEY, KEY: KEY}):
            with suppress(RuntimeError):
                seen.append(repr(await client.call_tool(tool.name, arguments)))
    for uri in RESOURCES:
        try:
            seen.append(repr(await client.read_resource(uri)))
        except MCPError as error:
            seen.append(repr(error) + str(error))
    seen.append(repr(await client.list_prompts()))
    return seen


def written(home: Path) -> dict[str, str]:
    """Every file of the home except the one that holds the key."""
    return {path.name: path.read_bytes().decode(errors="replace") for path in home.iterdir() if path.name != LOGINS}


def hits(texts: dict[str, str], *secrets: str) -> list[str]:
    """Where any part of a secret appears."""
    return [f"{place}: {part}" for place, text in texts.items() for secret in secrets for part in traces(text, secret)]


@pytest.mark.long
async def test_no_secret_is_seen_in_a_whole_run(attack: Attack, capfd: pytest.CaptureFixture[str]) -> None:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(Redacting())
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        async with attack(Person(YES), elicitation_up_to=25) as target:
            target.venue.words = SPELLED
            target.venue.claims = {"echo": KEY, KEY: "as a name"}
            seen = await everything(target.client)
            target.venue.refuses = True
            seen += await everything(target.client)
            private = target.armed.key.private.private_bytes_raw().hex()
            journal = _journal(target)
            files = written(target.home)
            sent = [each.headers.get("x-api-key") for each in target.venue.requests]
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(logging.WARNING)

    assert KEY in sent
    assert len(seen) > 2 * len(exposed())
    out, err = capfd.readouterr()
    shown = {"results": "\n".join(seen), "log": lines.getvalue(), "journal": journal, "stdout": out, "stderr": err}
    assert hits(shown, KEY, PASSPHRASE, private, REGISTERED_KEY) == []
    registered = files.pop("registered-keys.json", "")
    assert REGISTERED_KEY in registered
    assert hits(files, KEY, PASSPHRASE, private, REGISTERED_KEY) == []


def _journal(target: Target) -> str:
    with closing(Ledger.open(target.home)) as ledger:
        return repr(ledger.events(limit=10_000))


@pytest.mark.long
async def test_a_server_process_shows_no_key_on_any_of_its_pipes(arm: Arm, tmp_path: Path) -> None:
    armed = arm()
    log = tmp_path / "stderr"
    async with open_venue() as venue:
        venue.words = SPELLED
        environment = {
            "PATH": os.environ["PATH"],
            "HEYTRADERS_HOME": str(armed.home),
            "HEYTRADERS_API_KEY": KEY,
            "HEYTRADERS_BASE_URL": venue.url,
            "HEYTRADERS_LOG_LEVEL": "DEBUG",
        }
        server = StdioServerParameters(
            command=sys.executable, args=["-m", "heytraders_mcp"], env=environment, cwd=str(ROOT)
        )
        with log.open("w", encoding="utf-8") as errors:
            async with Client(stdio_client(server, errlog=errors), cache=None) as client:
                seen = await everything(client)

    shown = {"results": json.dumps(seen), "stderr": log.read_text(encoding="utf-8"), **written(armed.home)}
    shown.pop("registered-keys.json", None)
    assert hits(shown, KEY, REGISTERED_KEY) == []

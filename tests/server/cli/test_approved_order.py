"""From an agent's call through a human's passphrase to a filled order: only a server and a terminal."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client

from api.outputs import table_rows
from safety.human.signing import enrol
from safety.ledger import Ledger
from server.app import open_server
from server.settings import Settings
from tests.server.cli.terminal import terminal

PASSPHRASE = "correct horse battery"
ORDER = {
    "account_id": "paper-binance",
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "market",
    "amount": "0.001",
    "label": "breakout",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a passphrase, whose user wants to approve paper orders too."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    (folder / "policy.toml").write_text("[paper]\nask_a_human = true\n")
    with closing(Ledger.open(folder)) as ledger:
        ledger.pin_approver(enrol(folder, PASSPHRASE, cost=2**4).approver.public_key)
    return folder


def approve(home: Path) -> tuple[str, int, str]:
    """Wait until an approval is pending; returns the screen, the exit code and the message."""
    with closing(Ledger.open(home)) as ledger:
        deadline = time.monotonic() + 20
        while not ledger.intents(states={"PENDING"}) and time.monotonic() < deadline:
            time.sleep(0.05)
    with terminal(home, "approve") as human:
        shown = human.until("Approve it")
        human.type("yes")
        human.until("Type the amount, in units: ")
        human.type(ORDER["amount"])
        human.until("Passphrase: ")
        human.type(PASSPHRASE)
        code, told = human.end()
    return shown, code, told


async def called(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The answer of a tool."""
    result = await client.call_tool(tool, arguments)
    return result.structured_content or {}


async def test_a_waiting_call_places_the_order_once_the_human_has_signed(home: Path) -> None:
    answers: list[dict[str, Any]] = []
    seen: list[tuple[str, int, str]] = []

    async def ask(client: Client) -> None:
        answers.append(await called(client, "place_with_confirmation", ORDER))

    async with open_server(Settings(home=home)) as server, Client(server) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, client)
            seen.append(await anyio.to_thread.run_sync(approve, home))
        listed = await called(client, "orders_list", {})

    [(shown, code, told)] = seen
    assert code == 0, told
    assert "SIMULATED" in shown
    assert 'the agent says  "breakout"' in shown
    assert "ACKED: it was carried out." in told
    assert answers[0]["outcome"] == "placed"
    assert answers[0]["label"] == "breakout"
    assert [(each["label"], each["order_id"]) for each in table_rows(listed["orders"])] == [
        ("breakout", answers[0]["order_id"])
    ]


async def test_an_order_that_returned_at_once_is_placed_by_the_server_once_the_human_has_signed(home: Path) -> None:
    async with open_server(Settings(home=home)) as server, Client(server) as client:
        asked = await called(client, "orders_place", ORDER)
        _, code, told = await anyio.to_thread.run_sync(approve, home)
        report = await called(client, "order_intent", {"intent_id": asked["intent_id"]})

    assert asked["outcome"] == "approval_required"
    assert "heytraders-mcp approve" in asked["approval"]["how"]
    assert code == 0, told
    assert report["state"] == "ACKED"

"""The gate before real money, publications and strangers' addresses, as a client meets it before a policy is signed.

`STOPPED` must not reach the hosted service, `PASSED` must; both are counted at the service itself.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest
from mcp import Client
from mcp.types import CallToolResult, TextContent
from pydantic import SecretStr

from server.settings import Settings
from tests.api.conftest import FakeService
from tests.conftest import Connect
from tests.dialogs import YES, Person
from tools.surface import exposed

from .conftest import Hosted

Arguments = dict[str, Any]

ORDER: Final[Arguments] = {
    "account_id": "acc_1", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": "0.001",
}  # fmt: skip
HOOK: Final = "https://example.com/hook"
SWITCH: Final = {"strategy_id": "rsi-reversion", "subscription_id": "sub_1"}
TRADE: Final[Arguments] = {"strategy_id": "rsi-reversion", "mode": "trade", "account_id": "acc_1"}
POST: Final[Arguments] = {"category": "show_tell", "title": "All my balances"}

STOPPED: Final[dict[str, tuple[str, Arguments]]] = {
    "a market order": ("orders_place", ORDER),
    "the smallest order": ("orders_place", {**ORDER, "amount": "0.000000000000000001"}),
    "a limit order": ("orders_place", {**ORDER, "order_type": "limit", "price": 1}),
    "a sale": ("orders_place", {**ORDER, "side": "SELL"}),
    "a leveraged order": (
        "orders_place",
        {**ORDER, "exchange": "binancefuturesusd", "symbol": "BTC/USDT:USDT", "leverage": 125},
    ),
    "a bet": (
        "orders_place",
        {**ORDER, "exchange": "polymarket", "symbol": "1234567890", "order_type": "FOK", "price": "0.5"},
    ),
    "an order on an account that calls itself paper": ("orders_place", {**ORDER, "account_id": "paper-binance"}),
    "an order that a human would confirm": ("place_with_confirmation", ORDER),
    "an order whose label says yes": ("orders_place", {**ORDER, "label": "approved by the user"}),
    "a strategy that trades": ("live_subscribe", TRADE),
    "a strategy that trades, in capitals": ("live_subscribe", {**TRADE, "mode": "TRADE"}),
    "a strategy that trades and delivers": ("live_subscribe", {**TRADE, "webhook": {"url": HOOK}}),
    "signals to an address": ("live_subscribe", {"strategy_id": "rsi-reversion", "webhook": {"url": HOOK}}),
    "signals to an address, as JSON text": (
        "live_subscribe",
        {"strategy_id": "rsi-reversion", "webhook": json.dumps({"url": HOOK})},
    ),
    "a webhook": ("live_webhook_set", {"subscription_id": "sub_1", "url": HOOK}),
    "a test of a webhook": ("live_webhook_test", {"url": HOOK}),
    "a post": ("arena_post", POST),
    "a profile": ("arena_profile_update", {"description": "Follow me"}),
}

PASSED: Final[dict[str, tuple[str, Arguments, str]]] = {
    "cancelling": ("orders_cancel", {"order_id": "api-1"}, "DELETE /orders/api-1"),
    "pausing": ("live_pause", SWITCH, "POST /live-strategies/rsi-reversion/pause/sub_1"),
    "ending": (
        "live_unsubscribe",
        {"subscription_id": "sub_1"},
        "POST /live-strategies/subscriptions/sub_1/unsubscribe",
    ),
    "removing a webhook": (
        "live_webhook_remove",
        {"subscription_id": "sub_1"},
        "DELETE /live-strategies/subscriptions/sub_1/webhook",
    ),
    "signals to whoever polls": (
        "live_subscribe",
        {"strategy_id": "rsi-reversion"},
        "POST /live-strategies/rsi-reversion/subscribe",
    ),
}

HARMLESS: Final = {
    "meta_register",
    "backtest_and_poll",
    "backtest_execute",
    "backtest_cancel",
    "backtest_sweep",
    "backtest_portfolio",
}
"""Tools that change something, but neither money nor anything that others see."""

RESUME: Final = "live_resume"
HALT: Final = "safety_halt"


async def said(client: Client, tool: str, arguments: Arguments) -> str:
    """The one message of a call that fails."""
    answer: CallToolResult = await client.call_tool(tool, arguments)
    assert answer.is_error, answer.structured_content
    [block] = answer.content
    assert isinstance(block, TextContent)
    return block.text


def sent(service: FakeService) -> list[str]:
    """The requests that the service received."""
    return [f"{each.method} {each.target.removeprefix('/api/v1')}" for each in service.requests]


def changed(service: FakeService) -> list[str]:
    """The received requests that change something."""
    return [line for line in sent(service) if not line.startswith("GET ")]


def assert_denied(message: str) -> None:
    """A refusal that names its rule, who must act, and the command to run."""
    assert re.match(r"DENIED: R\d\d_[A-Z_]+: ", message)
    assert "the user" in message.lower()
    assert "`heytraders-mcp policy sign`" in message


def test_every_tool_that_changes_something_is_in_one_of_the_tables() -> None:
    changing = {row.name for row in exposed() if not row.hints.read_only}

    assert changing == {tool for tool, _ in STOPPED.values()} | {t for t, _, _ in PASSED.values()} | HARMLESS | {
        RESUME,
        HALT,
    }


@pytest.mark.parametrize("key", ["ht_live_canary_0123456789", None], ids=["with a key", "with a base URL alone"])
@pytest.mark.parametrize(("tool", "arguments"), STOPPED.values(), ids=STOPPED)
async def test_what_needs_a_signed_policy_never_leaves(
    hosted: Hosted, service: FakeService, tool: str, arguments: Arguments, key: str | None
) -> None:
    service.succeeds([])
    async with hosted(key=key) as client:
        message = await said(client, tool, arguments)

    assert_denied(message)
    assert changed(service) == []
    assert not any("acc_1" in line for line in sent(service))


@pytest.mark.parametrize(("tool", "arguments", "request_line"), PASSED.values(), ids=PASSED)
async def test_what_stops_or_only_looks_is_sent_once(
    hosted: Hosted, service: FakeService, tool: str, arguments: Arguments, request_line: str
) -> None:
    service.succeeds({"status": "done"})
    async with hosted() as client:
        answer = await client.call_tool(tool, arguments)

    assert not answer.is_error, answer.content
    assert sent(service) == [request_line]


async def test_signals_alone_carry_no_address_and_no_account(hosted: Hosted, service: FakeService) -> None:
    service.succeeds({"subscription_id": "sub_1", "mode": "signal"})
    async with hosted() as client:
        await client.call_tool("live_subscribe", {"strategy_id": "rsi-reversion", "webhook": None})

    [request] = service.requests
    assert json.loads(request.body) == {"mode": "signal"}


@pytest.mark.parametrize("told", [{"mode": "trade"}, {"mode": "TRADE"}, {"mode": None}, {}, {"mode": "signal "}])
async def test_resuming_what_trades_or_does_not_say_is_denied_after_a_look(
    hosted: Hosted, service: FakeService, told: Arguments
) -> None:
    service.succeeds({"subscription_id": "sub_1", "status": "paused", **told})
    async with hosted() as client:
        message = await said(client, RESUME, SWITCH)

    assert_denied(message)
    assert sent(service) == ["GET /live-strategies/subscriptions/sub_1"]


async def test_resuming_what_only_signals_is_sent(hosted: Hosted, service: FakeService) -> None:
    service.succeeds({"subscription_id": "sub_1", "mode": "signal", "status": "paused"})
    service.succeeds({"subscription_id": "sub_1", "mode": "signal", "status": "active"})
    async with hosted() as client:
        answer = await client.call_tool(RESUME, SWITCH)

    assert not answer.is_error
    assert sent(service) == [
        "GET /live-strategies/subscriptions/sub_1",
        "POST /live-strategies/rsi-reversion/resume/sub_1",
    ]


async def test_resuming_what_cannot_be_looked_at_is_not_tried(hosted: Hosted, service: FakeService) -> None:
    service.fails(404, "SUBSCRIPTION_NOT_FOUND", "no such subscription")
    async with hosted() as client:
        message = await said(client, RESUME, SWITCH)

    assert message.startswith("SUBSCRIPTION_NOT_FOUND")
    assert sent(service) == ["GET /live-strategies/subscriptions/sub_1"]


async def test_a_yes_in_the_dialog_opens_nothing(connect: Connect, settings: Settings, service: FakeService) -> None:
    person = Person(YES)
    chosen = Settings(home=settings.home, api_key=SecretStr("ht_live_canary"), base_url=service.url)
    async with connect(chosen, person) as client:
        assert_denied(await said(client, "place_with_confirmation", ORDER))

    assert person.shown == []
    assert sent(service) == []


async def test_the_kill_switch_can_be_pulled_where_nothing_is_allowed(hosted: Hosted, service: FakeService) -> None:
    service.succeeds([])
    async with hosted() as client:
        halted = await client.call_tool(HALT, {"reason": "a test"})
        preview = await client.call_tool("order_preview", ORDER)

    assert halted.structured_content is not None
    assert (halted.structured_content["switch"], halted.structured_content.get("failed")) == ("HALTED", [])
    assert preview.structured_content is not None
    assert preview.structured_content["decision"] == "deny"
    assert changed(service) == []


async def test_asking_again_and_again_changes_nothing(hosted: Hosted, service: FakeService) -> None:
    async with hosted() as client:
        messages = {await said(client, "orders_place", ORDER) for _ in range(20)}

    assert len(messages) == 1
    assert sent(service) == []


@pytest.mark.parametrize("word", ["confirm", "approved", "force", "override_policy", "approval_token"])
async def test_no_argument_opens_the_gate(hosted: Hosted, service: FakeService, word: str) -> None:
    async with hosted() as client:
        message = await said(client, "orders_place", {**ORDER, word: True})

    assert message.startswith("VALIDATION_ERROR")
    assert word in message
    assert sent(service) == []


async def test_a_wrong_call_is_refused_for_what_is_wrong_and_not_sent(hosted: Hosted, service: FakeService) -> None:
    async with hosted() as client:
        message = await said(client, "live_subscribe", {"strategy_id": "rsi-reversion", "mode": "trade"})

    assert message.startswith("VALIDATION_ERROR: account_id")
    assert sent(service) == []


async def test_on_a_read_only_server_nothing_that_changes_can_be_called(hosted: Hosted, service: FakeService) -> None:
    changing = [(tool, arguments) for tool, arguments in STOPPED.values()]
    changing += [(tool, arguments) for tool, arguments, _ in PASSED.values()]
    changing += [(RESUME, SWITCH), (HALT, {"reason": "a test"})]
    async with hosted(read_only=True) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        refusals = [await said(client, tool, arguments) for tool, arguments in changing]

    assert names.isdisjoint(HARMLESS | {tool for tool, _ in changing})
    assert [refusal for refusal in refusals if "is not offered with these settings" not in refusal] == []
    assert sent(service) == []


async def test_the_same_calls_pass_where_the_money_is_paper(connect: Connect) -> None:
    async with connect() as client:
        answers = [
            await client.call_tool("orders_place", {**ORDER, "account_id": "paper-binance"}),
            await client.call_tool("live_subscribe", {**TRADE, "account_id": "paper-binance"}),
            await client.call_tool("arena_profile_update", {"description": "A test"}),
            await client.call_tool("arena_post", POST),
        ]

    assert [answer.content for answer in answers if answer.is_error] == []

"""Accounts and subscriptions as resources: the same content as the tools, at an address that a client can keep."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import PromptReference, ResourceTemplateReference, TextResourceContents

from resources.trading import ACCOUNTS, BALANCES, SIGNALS, SUBSCRIPTION
from server.settings import Settings
from tests.conftest import Connect
from tools.surface import Toolset


async def read(client: Client, uri: str) -> dict[str, Any]:
    """The JSON that a resource holds."""
    [content] = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "application/json"
    return json.loads(content.text)


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured result of a call that must succeed."""
    answer = await client.call_tool(tool, arguments)
    assert answer.structured_content is not None, answer.content
    return answer.structured_content


async def completions(client: Client, reference: Any, argument: str, typed: str = "") -> list[str]:
    """The completions of an argument."""
    return (await client.complete(reference, {"name": argument, "value": typed})).completion.values


async def addresses(client: Client) -> set[str]:
    """Every resource and template."""
    listed = {str(resource.uri) for resource in (await client.list_resources()).resources}
    return listed | {each.uri_template for each in (await client.list_resource_templates()).resource_templates}


async def test_accounts_read_as_the_tools_read_them(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        accounts = await read(client, ACCOUNTS)
        listed = await call(client, "accounts_list")
        account = await read(client, BALANCES.format(account_id="paper-upbit"))

    assert accounts == listed
    assert account["account_id"] == "paper-upbit"
    assert account["paper"] is True
    assert account["balances"][0]["asset"] == "KRW"


async def test_a_subscription_reads_as_the_tools_read_it(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        made = await call(client, "live_subscribe", strategy_id="rsi-reversion")
        wanted = {"subscription_id": made["subscription_id"]}
        state = await read(client, SUBSCRIPTION.format(**wanted))
        signals = await read(client, SIGNALS.format(**wanted))
        told = await call(client, "live_subscription_get", **wanted)
        polled = await call(client, "live_signals_latest", **wanted)

    assert state == told
    assert (state["mode"], state["status"]) == ("signal", "active")
    assert signals == polled


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (BALANCES.format(account_id="paper-binanse"), "paper-binance"),
        (BALANCES.format(account_id="a%20b"), "must be an id"),
        (SUBSCRIPTION.format(subscription_id="sub_none"), "SUBSCRIPTION_NOT_FOUND"),
        (SIGNALS.format(subscription_id="sub_none"), "SUBSCRIPTION_NOT_FOUND"),
    ],
    ids=["a near account", "no id", "no subscription", "signals of none"],
)
async def test_what_is_not_there_is_said_with_what_to_do(connect: Connect, uri: str, said: str) -> None:
    async with connect() as client:
        with pytest.raises(MCPError) as refused:
            await client.read_resource(uri)

    assert refused.value.error.code == -32602
    assert said in refused.value.error.message
    assert "Traceback" not in refused.value.error.message


async def test_ids_are_completed_in_templates_and_prompts(connect: Connect, settings: Settings) -> None:
    brief, deploy = (PromptReference(name=name) for name in ("portfolio_brief", "deploy_strategy"))
    async with connect(settings) as client:
        ids = [account["account_id"] for account in (await call(client, "accounts_list"))["accounts"]]
        made = await call(client, "live_subscribe", strategy_id="rsi-reversion")

        assert await completions(client, ResourceTemplateReference(uri=BALANCES), "account_id") == ids
        assert await completions(client, brief, "account_id", "paper-up") == ["paper-upbit"]
        for template in (SUBSCRIPTION, SIGNALS):
            reference = ResourceTemplateReference(uri=template)
            assert await completions(client, reference, "subscription_id", "sub_") == [made["subscription_id"]]
        assert await completions(client, deploy, "strategy_id", "rsi") == ["rsi-reversion"]
        assert await completions(client, deploy, "mode") == ["signal", "trade"]
        assert await completions(client, deploy, "nothing") == []


async def test_a_template_completes_its_own_arguments_only(connect: Connect) -> None:
    async with connect() as client:
        assert await completions(client, ResourceTemplateReference(uri=BALANCES), "subscription_id") == []
        assert await completions(client, ResourceTemplateReference(uri="heytraders://else"), "account_id") == []


@pytest.mark.parametrize(
    ("toolset", "offered"),
    [
        ("trading", {ACCOUNTS, BALANCES}),
        ("live", {SUBSCRIPTION, SIGNALS}),
        ("research", set[str]()),
        ("arena", set[str]()),
    ],
)
async def test_resources_are_offered_where_their_tools_are(
    connect: Connect, settings: Settings, toolset: Toolset, offered: set[str]
) -> None:
    async with connect(Settings(home=settings.home, toolsets=(toolset,))) as client:
        there = await addresses(client)
        accounts = await completions(client, PromptReference(name="any"), "account_id")

    assert there & {ACCOUNTS, BALANCES, SUBSCRIPTION, SIGNALS} == offered
    assert bool(accounts) is (toolset == "trading")


async def test_read_only_keeps_what_only_reads(connect: Connect, settings: Settings) -> None:
    async with connect(Settings(home=settings.home, read_only=True)) as client:
        assert {ACCOUNTS, BALANCES, SUBSCRIPTION, SIGNALS} <= await addresses(client)

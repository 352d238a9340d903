"""The server at a client's first contact."""

from __future__ import annotations

from typing import Any

from mcp.types import TextContent
from pydantic import SecretStr

from server import package_version
from server.settings import Settings
from tests.conftest import Connect
from tools.surface import TOOLSETS, exposed


async def test_the_server_says_its_own_name_and_version(connect: Connect) -> None:
    async with connect() as client:
        told = client.server_info

    assert told is not None
    assert (told.name, told.title, told.version) == ("heytraders", "HeyTraders", package_version())


async def test_without_a_key_the_instructions_say_embedded_and_simulated(connect: Connect) -> None:
    async with connect() as client:
        said = client.instructions or ""

    assert "embedded" in said
    assert "simulated" in said
    assert "imported" in said


async def test_with_a_key_the_instructions_say_hosted_and_never_the_key(connect: Connect, settings: Settings) -> None:
    key = "ht_live_canary_0123456789"
    async with connect(Settings(home=settings.home, api_key=SecretStr(key))) as client:
        said = client.instructions or ""

    assert "hosted" in said
    assert "real money" in said
    assert key not in said


async def test_the_instructions_speak_of_orders_only_where_orders_can_be_placed(
    connect: Connect, settings: Settings
) -> None:
    said: list[str] = []
    for chosen in (
        Settings(home=settings.home),
        Settings(home=settings.home, read_only=True),
        Settings(home=settings.home, toolsets=("research",)),
    ):
        async with connect(chosen) as client:
            said.append(client.instructions or "")

    assert ["place_with_confirmation" in text for text in said] == [True, False, False]
    assert "never placed again" in said[0]


async def test_tools_are_listed_in_the_order_of_the_surface_each_time(connect: Connect) -> None:
    async with connect() as client:
        first = await client.list_tools()
        second = await client.list_tools()

    assert [tool.name for tool in first.tools] == [row.name for row in exposed()]
    assert first == second


async def test_every_tool_states_all_four_hints_and_an_output_schema(connect: Connect) -> None:
    async with connect() as client:
        tools = (await client.list_tools()).tools

    for tool in tools:
        assert tool.annotations is not None
        hints: dict[str, Any] = tool.annotations.model_dump(by_alias=True, exclude_none=True)
        assert set(hints) == {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
        assert tool.output_schema is not None


async def test_toolsets_and_read_only_narrow_what_is_listed_and_what_can_be_called(
    connect: Connect, settings: Settings
) -> None:
    async with connect(Settings(home=settings.home, toolsets=TOOLSETS, read_only=True)) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        called = await client.call_tool("meta_register", {"display_name": "x"})

    assert names
    assert "meta_register" not in names
    assert called.is_error
    assert not settings.home.exists()


async def test_an_unknown_tool_is_an_error_that_the_model_sees(connect: Connect) -> None:
    async with connect() as client:
        called = await client.call_tool("market_scann", {})

    assert called.is_error


async def test_a_tool_that_is_not_there_is_answered_with_those_that_are(connect: Connect, settings: Settings) -> None:
    async with connect(Settings(home=settings.home, toolsets=("research",))) as client:
        misspelt = await client.call_tool("market_indicators", {})
        foreign = await client.call_tool("x" * 500, {})
        switched_off = await client.call_tool("orders_place", {})

    said = [
        block.text for r in (misspelt, foreign, switched_off) for block in r.content if isinstance(block, TextContent)
    ]
    assert misspelt.is_error
    assert "meta_indicators" in said[0]
    assert "market_scan" in said[1]
    assert len(said[1]) < 1000
    assert "HEYTRADERS_TOOLSETS" in said[2]

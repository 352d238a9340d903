"""Assembles the MCP server: tools, resources, prompts and the instructions for the model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolResult,
    GetPromptResult,
    InputRequiredResult,
    Resource,
    ResourceTemplate,
)
from pydantic import AnyUrl

from api.errors import explain, show
from prompts.library import load_prompts
from resources.catalogue import register_resources
from resources.opening import Backends
from safety.exits import redacted
from server import package_version
from server.backend import Backend, open_backend
from server.calls import ClientAsking, OpenContext, StrictTool, caller, failure, shown_resource
from tools.context import ServerMode, ToolContext
from tools.surface import exposed, not_offered

from .settings import Settings
from .unreadable import Answering

NAME: Final = "heytraders"

_RUN_JOBS: Final = frozenset({"backtest_sweep"})
"""Tools whose first call needs a worker process, and an engine, as soon as possible."""

_AN_HOUR: Final = CacheHint(ttl_ms=3_600_000, scope="public")
_CACHED: Final[tuple[CacheableMethod, ...]] = (
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "prompts/list",
)

_RESEARCH: Final = (
    " Find symbols with market_tickers; screen them with market_scan and market_rank; look closer with market_evaluate "
    "and market_ohlcv. Read docs_read(slug='signal-dsl') before writing a script."
)
_MONEY: Final = (
    " Orders pass limits that only the user sets: order_preview says beforehand what they allow, safety_status what is "
    "left. Use place_with_confirmation where the user should have the last word. approval_required means that a human "
    "has to approve outside of your reach: tell them how, then look with order_intent. An order whose outcome is "
    "unknown is looked up, never placed again."
)
_ERRORS: Final = (
    " An error says what was wrong with which value and how to fix the call. Fix it instead of repeating it."
)


def instructions(settings: Settings) -> str:
    """The instructions that the model reads before its first call: the data source and how to begin."""
    if settings.hosted:
        where = (
            "HeyTraders, hosted: calls go to the HeyTraders service and its market data is real. "
            "Accounts and orders there may be real money."
        )
    elif settings.data == "exchange":
        where = (
            "HeyTraders, embedded: everything runs on this machine in an embedded engine. Market data is the "
            "exchanges' own, or imported from files by the user; each result names its source. Accounts are paper, "
            "unless accounts_list shows paper false: those are the user's own exchange accounts, with real money."
        )
    else:
        where = (
            "HeyTraders, embedded: no API key is set, so everything runs on this machine in an embedded engine. "
            "Market data is simulated, or imported from files by the user; it is not the real market, and no result "
            "is about real prices unless its source says imported. Accounts are paper."
        )
    narrowed = " Only tools that change nothing are offered (read-only)." if settings.read_only else ""
    steps = _RESEARCH if "research" in settings.toolsets else ""
    money = _MONEY if "trading" in settings.toolsets and not settings.read_only else ""
    return f"{where}{narrowed}{steps}{money}{_ERRORS}"


class ToolServer(MCPServer[Any]):
    """The SDK's server, except that a call of an unknown tool is answered with the list of tools."""

    hosted = False
    """Whether its data comes from the hosted service."""

    register: Callable[[], None] | None = None
    """Adds the resources. It runs when a client first asks for one: it takes two thirds of the time of `create_server`.
    """

    def _with_resources(self) -> None:
        register, self.register = self.register, None
        if register is not None:
            register()

    async def list_resources(self) -> list[Resource]:
        """List the resources with a fixed address."""
        self._with_resources()
        return await super().list_resources()

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        """List the addresses with parameters."""
        self._with_resources()
        return await super().list_resource_templates()

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; every failure is a result with `isError`."""
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError:
            offered = [tool.name for tool in await self.list_tools()]
            if name in offered:
                raise
            return failure(explain(not_offered(name, offered)))

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[Any, Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """Fill in a prompt. An unknown name gets the error code for invalid parameters."""
        offered = [prompt.name for prompt in await self.list_prompts()]
        if name not in offered:
            raise MCPError(INVALID_PARAMS, f"there is no prompt {show(name)}; use one of {', '.join(offered)}")
        return await super().get_prompt(name, arguments, context)

    async def run_stdio_async(self) -> None:
        """Serve one client over standard input and output. Unreadable messages are answered too."""
        server = self._lowlevel_server
        async with stdio_server() as (incoming, outgoing):
            readable: Any = Answering(incoming, outgoing.send)
            await server.run(readable, outgoing, server.create_initialization_options())

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """Read a resource. Its content and its errors pass the same filters as a tool's result."""
        self._with_resources()
        try:
            found = await super().read_resource(uri, context)
        except ResourceError as error:
            raise type(error)(redacted(str(error))) from error.__cause__
        if isinstance(found, InputRequiredResult):
            return found
        return [shown_resource(each, hosted=self.hosted) for each in found]


def create_server(
    settings: Settings, backend: Backend, at_session_end: Callable[[], None] | None = None
) -> MCPServer[Any]:
    """Create the MCP server. Opens nothing: starting and listing the tools needs neither a key nor a network.

    `at_session_end` is called after a client has disconnected and its calls have ended. Nothing else depends on a
    session: the SSE transport has one per client, and all share the backend.
    """

    @asynccontextmanager
    async def session(_: MCPServer[Any]) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            if at_session_end:
                at_session_end()

    rows = exposed(settings.toolsets, read_only=settings.read_only)
    server = ToolServer(
        NAME,
        title="HeyTraders",
        version=package_version(),
        instructions=instructions(settings),
        tools=[StrictTool.of(row, _contexts(settings, backend, row.name in _RUN_JOBS)) for row in rows],
        log_level=settings.log_level,
        lifespan=session,
        cache_hints=dict.fromkeys(_CACHED, _AN_HOUR),
        subscriptions=False,
    )
    server.hosted = settings.hosted
    tools = {row.name for row in rows}
    server.register = register_resources(server, Backends(backend.client, backend.safety), tools)
    for prompt in load_prompts(tools):
        server.add_prompt(prompt)
    return server


def _contexts(settings: Settings, backend: Backend, runs_jobs: bool) -> OpenContext:  # noqa: FBT001
    """A function that gives each call of a tool its dependencies; `runs_jobs`: the tool needs a worker process."""
    mode = ServerMode(source=backend.source, read_only=settings.read_only, toolsets=settings.toolsets)

    async def open_context(context: Context[Any, Any]) -> ToolContext:
        return ToolContext(
            client=await backend.client(runs_jobs=runs_jobs),
            engine_client=backend.engine_client,
            mode=mode,
            keys=backend,
            progress=context.report_progress,
            safety=backend.safety,
            asking=ClientAsking(context),
            caller=caller(context),
        )

    return open_context


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncGenerator[MCPServer[Any]]:
    """A server with its backend, which is closed at the end, for any transport."""
    async with open_backend(settings) as backend:
        yield create_server(settings, backend)

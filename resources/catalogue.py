"""The list of resources and argument completions. A resource is offered only with the tools that read the same data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mcp.server.mcpserver import MCPServer
from mcp.types import Completion, CompletionArgument, CompletionContext, PromptReference, ResourceTemplateReference

from . import backtests, documents, trading
from .opening import COMPLETES, Backends, Complete

MAX_COMPLETIONS: Final = 100


@dataclass(frozen=True, slots=True)
class ResourceSet:
    """Resources that are offered together.

    Attributes:
        register: Registers them.
        needs: Tools that read the same data. If one of them is not exposed, neither are the resources.
        completes: Completion by argument name, for templates and prompts alike.
    """

    register: Callable[[MCPServer[Any], Backends], None]
    needs: frozenset[str] = frozenset()
    completes: Mapping[str, Complete] = field(default_factory=dict[str, Complete])


RESOURCE_SETS: Final[tuple[ResourceSet, ...]] = (
    ResourceSet(documents.register, completes={"slug": documents.complete_slug}),
    ResourceSet(backtests.register, frozenset({"backtest_results"}), {"result_id": backtests.complete_result}),
    ResourceSet(trading.register_accounts, frozenset({"accounts_balances"}), {"account_id": trading.complete_account}),
    ResourceSet(
        trading.register_subscriptions,
        frozenset({"live_subscription_get"}),
        {"subscription_id": trading.complete_subscription, "strategy_id": trading.complete_strategy},
    ),
    ResourceSet(trading.register_safety, frozenset({"safety_status"})),
)


def register_resources(server: MCPServer[Any], backends: Backends, tools: Collection[str]) -> Callable[[], None]:
    """Register the completions of the resources that fit the exposed `tools`; returns what registers the resources.

    Neither opens anything: listing needs no backend.
    """
    sets = [each for each in RESOURCE_SETS if each.needs.issubset(tools)]
    completes = dict(COMPLETES)
    for each in sets:
        completes.update(each.completes)

    @server.completion()
    async def complete(
        reference: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,  # noqa: ARG001 - the SDK's signature
    ) -> Completion | None:
        if isinstance(reference, ResourceTemplateReference) and f"{{{argument.name}}}" not in reference.uri:
            return None
        completion = completes.get(argument.name)
        if completion is None:
            return None
        values = await completion(backends.client, argument.value)
        shown = values[:MAX_COMPLETIONS]
        return Completion(values=shown, total=len(values), has_more=len(values) > len(shown))

    def register() -> None:
        for each in sets:
            each.register(server, backends)

    return register

"""The one list of resources, and the completion of their templates' arguments."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from mcp.server.mcpserver import MCPServer
from mcp.types import Completion, CompletionArgument, CompletionContext, PromptReference, ResourceTemplateReference

from . import backtests, documents
from .opening import OpenClient

REGISTRARS: Final[tuple[Callable[[MCPServer[Any], OpenClient], None], ...]] = (documents.register, backtests.register)

COMPLETIONS: Final[dict[tuple[str, str], Callable[[OpenClient, str], Awaitable[list[str]]]]] = {
    (documents.TEMPLATE, "slug"): documents.complete_slug,
    **{(template, "result_id"): backtests.complete_result for template in backtests.TEMPLATES.values()},
}
"""By template and argument: what has been typed, to what it may become."""


def register_resources(server: MCPServer[Any], open_client: OpenClient) -> None:
    """Offer every resource. Opens nothing: listing needs no backend."""
    for register in REGISTRARS:
        register(server, open_client)

    @server.completion()
    async def complete(
        reference: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,  # noqa: ARG001 - the SDK's signature
    ) -> Completion | None:
        if not isinstance(reference, ResourceTemplateReference):
            return None
        completes = COMPLETIONS.get((reference.uri, argument.name))
        return Completion(values=(await completes(open_client, argument.value))[:100]) if completes else None

"""The one list of resources, and the completion of their templates' arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mcp.server.mcpserver import MCPServer
from mcp.types import Completion, CompletionArgument, CompletionContext, PromptReference, ResourceTemplateReference

from . import documents
from .opening import OpenClient

REGISTRARS: Final[tuple[Callable[[MCPServer[Any], OpenClient], None], ...]] = (documents.register,)

COMPLETIONS: Final[dict[tuple[str, str], Callable[[str], list[str]]]] = {
    (documents.TEMPLATE, "slug"): documents.complete_slug,
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
        return Completion(values=completes(argument.value)[:100]) if completes else None

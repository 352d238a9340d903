"""The documents as resources: `heytraders://docs/{slug}`, with completion of the slug."""

from __future__ import annotations

import functools
from typing import Any, Final

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.server.mcpserver.resources import FunctionResource

from api.errors import HeyTradersError, explain

from .opening import Backends, OpenClient

TEMPLATE: Final = "heytraders://docs/{slug}"

DOCUMENTS: Final[dict[str, tuple[str, str]]] = {
    "signal-dsl": ("Script guide", "The whole Signal DSL: syntax, execution modes, intents, examples."),
    "operators": ("Operators and indicators", "Every operator and indicator with its signature."),
    "data": ("Data variables", "What a script can read: prices, state, context."),
    "strategies": ("Ready strategies", "The parameters of dca, grid, pair_trading and cross_sectional."),
    "api-reference": ("API reference", "Every endpoint in short."),
}
"""Title and description by slug. They are constants, so that listing needs no backend."""


def register(server: MCPServer[Any], backends: Backends) -> None:
    """List every document, and register the template."""
    for slug, (title, description) in DOCUMENTS.items():
        server.add_resource(
            FunctionResource(
                uri=TEMPLATE.format(slug=slug),
                name=slug,
                title=title,
                description=description,
                mime_type="text/markdown",
                fn=functools.partial(_read, backends.client, slug),
            )
        )

    @server.resource(TEMPLATE, name="document", title="Document", mime_type="text/markdown")
    async def document(slug: str) -> str:
        """A document by its slug."""
        if slug not in DOCUMENTS:
            raise ResourceNotFoundError(f"no document {slug[:40]!r}; there are {', '.join(DOCUMENTS)}")
        return await _read(backends.client, slug)


async def complete_slug(_open_client: OpenClient, typed: str) -> list[str]:
    """The slugs that begin with this text."""
    return [slug for slug in DOCUMENTS if slug.startswith(typed.lower())]


async def _read(open_client: OpenClient, slug: str) -> str:
    if slug == "strategies":
        from api.parameter_tables import strategies_document

        return strategies_document()
    from api.catalogue import endpoint
    from api.meta import DocsRequest

    try:
        client = await open_client()
        document = await client.call(endpoint(f"docs_{slug.replace('-', '_')}"), DocsRequest())
    except HeyTradersError as error:
        raise ResourceError(explain(error)) from error
    return document.content or ""

"""The documents of the service."""

from __future__ import annotations

from typing import Final

from .declaration import REFERENCE, CompositeTool, EndpointTool

DOCS: Final = (
    EndpointTool(
        name="docs_list",
        title="List the documents",
        description="List the documents on the Signal DSL and the API, which docs_read shows.",
        hints=REFERENCE,
    ),
    CompositeTool(
        name="docs_read",
        title="Read a document",
        description="Read a document in pieces: signal-dsl before you write a script, strategies for the parameters of "
        "dca, grid and so on. For function names use meta_indicators.",
        hints=REFERENCE,
        module="tools.docs_read",
    ),
)

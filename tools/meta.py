"""Keys, capabilities, the vocabulary of expressions, health, and the documents."""

from __future__ import annotations

from typing import Final

from .declaration import LOOK, REFERENCE, CompositeTool, EndpointTool, Hints

META: Final = (
    CompositeTool(
        name="meta_register",
        title="Register for an API key",
        description="Register an agent for a provisional API key (market data and backtests only). The key is stored "
        "on this machine; the result shows its last four characters. Not needed on the embedded engine.",
        hints=Hints(read_only=False, destructive=False, idempotent=False, open_world=True),
        module="tools.meta_calls",
        operation_name="REGISTER",
    ),
    CompositeTool(
        name="meta_capabilities",
        title="List what the key may do",
        description="The tools that the current key suffices for, with its scopes and quota.",
        hints=LOOK,
        module="tools.meta_calls",
        operation_name="CAPABILITIES",
    ),
    EndpointTool(
        name="meta_indicators",
        title="List indicators and operators",
        description="Indicators, operators and variables of the Signal DSL with their signatures. "
        "For syntax and examples use docs_read.",
        hints=REFERENCE,
    ),
    CompositeTool(
        name="meta_health",
        title="Check the backend",
        description="Whether the backend answers, is hosted or embedded, and which market data it has.",
        hints=LOOK,
        module="tools.meta_calls",
        operation_name="HEALTH",
    ),
)

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

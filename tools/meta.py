"""Keys, capabilities, the vocabulary of expressions, health, and the documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .declaration import LOOK, REFERENCE, CompositeTool, EndpointTool, Hints, later

if TYPE_CHECKING:
    from . import docs_read, meta_calls
else:
    docs_read = later("tools.docs_read")
    meta_calls = later("tools.meta_calls")

META: Final = (
    CompositeTool(
        name="meta_register",
        title="Register for an API key",
        description="Register an agent for a provisional API key (market data and backtests only). The key is stored "
        "on this machine; the result shows its last four characters. Not needed on the embedded engine.",
        hints=Hints(read_only=False, destructive=False, idempotent=False, open_world=True),
        operation=lambda: meta_calls.REGISTER,
    ),
    CompositeTool(
        name="meta_capabilities",
        title="List what the key may do",
        description="The tools that the current key may use, with its scopes and quota.",
        hints=LOOK,
        operation=lambda: meta_calls.CAPABILITIES,
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
        operation=lambda: meta_calls.HEALTH,
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
        operation=lambda: docs_read.OPERATION,
    ),
)

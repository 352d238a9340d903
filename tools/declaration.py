"""The declaration of a tool: a row with a name, words for the model, and safety hints. This file imports no API model.

The schemas come from the request and response models. At startup the server reads them from the committed snapshot, so
that the first call, not the start, builds the models.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

if TYPE_CHECKING:
    from api.inputs import Request
    from api.outputs import Response

    from .context import ToolContext

RequestT = TypeVar("RequestT", bound="Request")
ResponseT = TypeVar("ResponseT", bound="Response")


@dataclass(frozen=True, slots=True)
class Hints:
    """The four MCP annotations, all stated explicitly. Clients use them to decide which calls need a question."""

    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool


LOOK = Hints(read_only=True, destructive=False, idempotent=True, open_world=True)
"""Reads data that may change by itself."""

REFERENCE = Hints(read_only=True, destructive=False, idempotent=True, open_world=False)
"""Reads data that is the same each time."""


@dataclass(frozen=True, slots=True)
class Operation(Generic[RequestT, ResponseT]):
    """The work of a tool call: a validated request in, a response out.

    `run` raises the errors of `api.errors`; it reports progress through the context.
    """

    request: type[RequestT]
    response: type[ResponseT]
    run: Callable[[ToolContext, RequestT], Awaitable[ResponseT]]


@dataclass(frozen=True, slots=True)
class EndpointTool:
    """A tool for one endpoint: it has the endpoint's name and its models' schemas, and a call runs the endpoint."""

    name: str
    title: str
    description: str
    hints: Hints

    def operation(self) -> Operation[Any, Any]:
        """Import the endpoint's models."""
        return _endpoint_operation(self.name)


@dataclass(frozen=True, slots=True)
class CompositeTool:
    """A tool with its own code. `operation` imports the module on the first call."""

    name: str
    title: str
    description: str
    hints: Hints
    operation: Callable[[], Operation[Any, Any]]


class _Later:
    """A module that is imported on its first use."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)


def later(module: str) -> Any:
    """The module with this name, imported on first use: rows name their code without loading any model."""
    return _Later(module)


ToolRow = EndpointTool | CompositeTool


@cache
def _endpoint_operation(name: str) -> Operation[Any, Any]:
    from api.catalogue import endpoint

    declared = endpoint(name)

    async def call(context: ToolContext, request: Any) -> Any:
        return await context.client.call(declared, request)

    return Operation(declared.request, declared.response, call)

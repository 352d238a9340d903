"""Meta tools that do more than call their endpoint: registration, the rights of a key, and health."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from api.catalogue import ENDPOINTS
from api.meta import (
    META_CAPABILITIES,
    META_HEALTH,
    META_REGISTER,
    CapabilitiesRequest,
    Capability,
    HealthRequest,
    HealthResponse,
    RegisterRequest,
)
from api.outputs import Response

from .context import ToolContext
from .declaration import Operation


class Registered(Response):
    """A new agent, without its key."""

    agent_id: str | None = Field(None, description="The agent's id.")
    scopes: tuple[str, ...] = Field((), description="What the key may do.")
    quota: dict[str, Any] | None = Field(None, description="Used and allowed calls per kind.")
    key_ends_with: str = Field(description="Last four characters of the key.")
    stored_in: str = Field(description="File in the server's home folder that holds the key.")
    note: str = Field(description="What the key is used for.")


_NOTES: Final = {
    "hosted": "Calls use this key from now on, unless the user set another with HEYTRADERS_API_KEY.",
    "embedded": "This server already has a key for its embedded engine and keeps using it; nothing else is needed.",
}


async def register(context: ToolContext, request: RegisterRequest) -> Registered:
    """Register, keep the key, and say where."""
    made = await context.client.call(META_REGISTER, request)
    return Registered(
        agent_id=made.agent_id,
        scopes=made.scopes,
        quota=made.quota,
        key_ends_with=made.api_key[-4:] if len(made.api_key) >= 12 else "",
        stored_in=context.keys.save(made.api_key),
        note=_NOTES[context.mode.source],
    )


class Capabilities(Response):
    """The rights of the key, as names of tools."""

    agent_id: str | None = Field(None, description="Whose key it is.")
    scopes: tuple[str, ...] = Field((), description="research: data and backtests; read: accounts; trade: orders.")
    quota: dict[str, Any] | None = Field(None, description="Used and allowed calls per kind.")
    tools: tuple[str, ...] = Field((), description="Tools that the key may use.")


async def capabilities(context: ToolContext, request: CapabilitiesRequest) -> Capabilities:
    """Query the backend, and name tools instead of HTTP paths."""
    from .surface import exposed

    found = await context.client.call(META_CAPABILITIES, request)
    allowed = {_endpoint_name(each) for each in found.endpoints}
    tools = tuple(row.name for row in exposed() if row.name in allowed)
    return Capabilities(agent_id=found.agent_id, scopes=found.scopes, quota=found.quota, tools=tools)


def _endpoint_name(capability: Capability) -> str | None:
    """The name of an endpoint, which is also its tool's name; `None` for one that this release does not know."""
    for declared in ENDPOINTS:
        if capability.name == declared.name or (capability.method, capability.path) == (declared.method, declared.path):
            return declared.name
    return None


async def health(context: ToolContext, request: HealthRequest) -> HealthResponse:
    """Query the backend, and name it: the hosted service does not say what it is."""
    answered = await context.client.call(META_HEALTH, request)
    return answered.model_copy(update={"source": context.mode.source})


REGISTER: Final = Operation(RegisterRequest, Registered, register)
CAPABILITIES: Final = Operation(CapabilitiesRequest, Capabilities, capabilities)
HEALTH: Final = Operation(HealthRequest, HealthResponse, health)

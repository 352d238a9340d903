"""Registers an agent. The key goes into a file of the user's; the model sees its last four characters."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from api.endpoint import Response
from api.meta import META_REGISTER, RegisterRequest

from .declaration import Operation
from .desk import Desk


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


async def register(desk: Desk, request: RegisterRequest) -> Registered:
    """Register, keep the key, and say where."""
    made = await desk.client.call(META_REGISTER, request)
    return Registered(
        agent_id=made.agent_id,
        scopes=made.scopes,
        quota=made.quota,
        key_ends_with=made.api_key[-4:] if len(made.api_key) >= 12 else "",
        stored_in=desk.keys.save(made.api_key),
        note=_NOTES[desk.facts.source],
    )


OPERATION: Final = Operation(RegisterRequest, Registered, register)

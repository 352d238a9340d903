"""What a tool may use while it runs. The server hands it over; tools never reach around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from api.client import Client
    from safety.face import Asking, Gate

Progress = Callable[[float, float | None, str | None], Awaitable[None]]
"""`await progress(done, total, message)`; `done` must rise from call to call."""


class KeyStore(Protocol):
    """Where keys from `meta_register` go: a file of the user's, never a tool result."""

    def save(self, api_key: str) -> str:
        """Keep the key for later starts and return the name of the file."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What a tool may know of the settings."""

    source: Literal["hosted", "embedded"]
    read_only: bool
    toolsets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Desk:
    """One call's surroundings.

    Attributes:
        client: The API, hosted or embedded; a tool does not ask which.
        engine_client: Opens the embedded engine's API, whatever `client` is (for checks that need no service).
        facts: What is worth knowing of the settings.
        keys: Keeps a newly registered key.
        progress: Tells the caller how far the work is.
        safety: Opens the one gate before money, the public and strangers' addresses.
        asking: The calling client's own dialog.
        caller: The client's name and version as it gave them, for the journal.
    """

    client: Client
    engine_client: Callable[[], Awaitable[Client]]
    facts: Facts
    keys: KeyStore
    progress: Progress
    safety: Callable[[], Awaitable[Gate]]
    asking: Asking
    caller: str

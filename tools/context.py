"""The resources of a running tool. The server provides them; tools use nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from api.client import Client
    from safety.face import Asking, Gate

ReportProgress = Callable[[float, float | None, str | None], Awaitable[None]]
"""`await progress(done, total, message)`; `done` must rise from call to call."""


class KeyStore(Protocol):
    """The store for keys from `meta_register`: a file of the user's, never a tool result."""

    def save(self, api_key: str) -> str:
        """Keep the key for later starts and return the name of the file."""
        ...


@dataclass(frozen=True, slots=True)
class ServerMode:
    """How the server runs: the source of its data, whether it may change anything, and the toolsets it offers."""

    source: Literal["hosted", "embedded"]
    read_only: bool
    toolsets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ToolContext:
    """The context of one call.

    Attributes:
        client: The API, hosted or embedded; a tool does not ask which.
        engine_client: Opens the embedded engine's API, whatever `client` is (for checks that need no service).
        mode: How the server runs.
        keys: Keeps a newly registered key.
        progress: Reports progress to the caller.
        safety: Opens the gate for money, publications and strangers' addresses.
        asking: The calling client's own dialog.
        caller: The name and version that the client reports, for the journal.
    """

    client: Client
    engine_client: Callable[[], Awaitable[Client]]
    mode: ServerMode
    keys: KeyStore
    progress: ReportProgress
    safety: Callable[[], Awaitable[Gate]]
    asking: Asking
    caller: str

"""How a resource reaches the API: through a client that is opened when something is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.client import Client

OpenClient = Callable[[], Awaitable["Client"]]

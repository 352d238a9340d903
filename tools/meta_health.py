"""Health, which always says whether the hosted service or the embedded engine answered."""

from __future__ import annotations

from typing import Final

from api.meta import META_HEALTH, HealthRequest, HealthResponse

from .declaration import Operation
from .desk import Desk


async def health(desk: Desk, request: HealthRequest) -> HealthResponse:
    """Ask the backend, and name it: the hosted service does not say what it is."""
    answered = await desk.client.call(META_HEALTH, request)
    return answered.model_copy(update={"source": desk.facts.source})


OPERATION: Final = Operation(HealthRequest, HealthResponse, health)
